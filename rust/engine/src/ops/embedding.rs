//! Rows of several tables, picked by index and summed: the first steps of an encoder, with the normalisation that follows.

use kernels::RowsMut;

use super::indexing::{check_indices, position, wide};
use super::{Context, Element, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};
use crate::rows::FLOPS_PER_ELEMENT;
use crate::{LayerNorm, Rows};

pub(super) const KINDS: &[Kind] = &[Kind { name: "embedding", types: TABLES, make: embedding }];

const TABLES: Types = Types::of(&[DataType::Float32, DataType::Int8, DataType::Uint8]);

/// Where the operands of the first table are, and how many each has: the table, its indices, its scale and its zero point.
const FIRST: usize = 2;
const EACH: usize = 4;

/// Operations of linear layers that a number of a table takes as long as: ten rows of three tables took 6.3 us by gathers and
/// additions of their own, half of it for the steps (Intel Xeon with AMX).
const FLOPS_PER_NUMBER: usize = 24;

/// Rows that are summed before they are normalised together.
const TOGETHER: usize = 4;

/// `((a[i] + b[j]) + c[k]) + ...`, each sum of the next row; then, where there is an `epsilon`, normalised along the last axis.
///
/// Operands: the normalisation's scale and bias, either absent; then four for each table. A table is `[..., rows, width]`, and its
/// indices say which row each row of the result reads, as those of a gather do; without indices its rows come in turn, again and
/// again. With a scale and a zero point, `[..., rows, 1]` or one element, a table of integers stands for
/// `(table - zero point) * scale`.
/// The attribute `inside` says for each table whether an index outside it is refused, not clamped.
struct Embedding {
    inside: Vec<bool>,
    epsilon: Option<f32>,
    label: String,
}

fn embedding(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let refuse = |what: &str| Err(BuildError::Value(format!("embedding: {what}")));
    let inside: Vec<bool> = request.attributes.ints("inside")?.iter().map(|is_inside| *is_inside != 0).collect();
    if request.operands.len() != FIRST + EACH * inside.len() || inside.is_empty() {
        return refuse("operands of another number of tables");
    }
    if request.result()?.rank() == 0 || request.result()?.dtype != DataType::Float32 {
        return refuse("a result that has no rows of float32");
    }
    let floats = (0..FIRST).chain((0..inside.len()).map(|table| FIRST + EACH * table + 2));
    if floats.filter_map(|position| request.optional(position)).any(|kind| kind.dtype != DataType::Float32) {
        return refuse("a scale or a bias that is not float32");
    }
    for first in (FIRST..request.operands.len()).step_by(EACH) {
        let table = request.operand(first)?.dtype;
        if request.optional(first + 1).is_some() {
            check_indices(request, first + 1)?;
        }
        let zero = request.optional(first + 3).map(|zero| zero.dtype);
        let fits = match table {
            DataType::Float32 => request.optional(first + 2).is_none() && zero.is_none(),
            DataType::Int8 | DataType::Uint8 => request.optional(first + 2).is_some() && zero == Some(table),
            _ => return Err(request.unsupported(table)),
        };
        if !fits {
            return refuse("a table of integers without scale and zero point, or one of floats with them");
        }
    }
    let epsilon = request.attributes.optional_float("epsilon")?.map(|epsilon| *epsilon as f32);
    let label = format!("embedding{}", if epsilon.is_some() { "+layerNormalization" } else { "" });
    Ok(Box::new(Embedding { inside, epsilon, label }))
}

/// The numbers of a table.
enum Numbers<'a> {
    Floats(&'a [f32]),
    Signed(&'a [i8], &'a [f32], &'a [i8]),
    Unsigned(&'a [u8], &'a [f32], &'a [u8]),
}

/// A table, and where its rows go.
struct Table<'a> {
    numbers: Numbers<'a>,
    rows: usize,
    /// For each row of the result; none where the rows come in turn.
    indices: Option<Vec<usize>>,
}

impl<'a> Table<'a> {
    /// From its four operands, for `count` rows of `width`.
    fn new(given: &[Tensor<'a>], is_inside: bool, [count, width]: [usize; 2]) -> Result<Self, RunError> {
        let refuse = |what: String| RunError::Operand(format!("{what} for {count} rows of {width}"));
        let [table, indices, scale, zero] = given else { return Err(refuse("a table without its operands".into())) };
        let rows = table.count().checked_div(width).unwrap_or_default();
        let numbers = match table.dtype {
            DataType::Int8 => Numbers::Signed(table.elements(), scale.elements(), zero.elements()),
            DataType::Uint8 => Numbers::Unsigned(table.elements(), scale.elements(), zero.elements()),
            _ => Numbers::Floats(table.elements()),
        };
        let is_scaled = !matches!(numbers, Numbers::Floats(_));
        let fits = |values: &Tensor<'_>| [1, rows].contains(&values.count());
        if rows * width != table.count() || is_scaled && !(fits(scale) && fits(zero)) {
            return Err(refuse(format!("a table of shape {:?}", table.shape)));
        }
        if rows == 0 {
            return Err(RunError::NoElements("reads from an axis of no elements".into()));
        }
        if !indices.is_present() {
            return if count.is_multiple_of(rows) {
                Ok(Self { numbers, rows, indices: None })
            } else {
                Err(refuse(format!("{rows} rows in turn")))
            };
        }
        let wide = wide(indices);
        if wide.len() != count {
            return Err(refuse(format!("{} indices", wide.len())));
        }
        if is_inside && let Some(index) = wide.iter().find(|index| !(0..rows as i64).contains(*index)) {
            return Err(RunError::Operand(format!("row {index} of a table of {rows}")));
        }
        Ok(Self { numbers, rows, indices: Some(wide.into_iter().map(|index| position(index, rows)).collect()) })
    }

    /// Writes its row for a row of the result, or adds it.
    fn put(&self, cx: &Context<'_>, row: usize, is_first: bool, to: &mut [f32]) {
        let index = self.indices.as_ref().map_or(row % self.rows, |indices| indices[row]);
        let range = index * to.len()..(index + 1) * to.len();
        match &self.numbers {
            Numbers::Floats(table) if is_first => to.copy_from_slice(&table[range]),
            Numbers::Floats(table) => cx.engine.kernels.accumulate(&table[range], to),
            Numbers::Signed(table, scale, zero) => {
                scaled(&table[range], own(scale, index), own(zero, index), is_first, to);
            }
            Numbers::Unsigned(table, scale, zero) => {
                scaled(&table[range], own(scale, index), own(zero, index), is_first, to);
            }
        }
    }
}

/// What a row has, or all rows together.
fn own<T: Copy>(values: &[T], row: usize) -> T {
    values[if values.len() == 1 { 0 } else { row }]
}

impl Op for Embedding {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn scratch(&self, _: &[&[usize]], results: &[&[usize]]) -> usize {
        // What is normalised, which cannot be done in place.
        if self.epsilon.is_some() { results[0].iter().product::<usize>() * size_of::<f32>() } else { 0 }
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let shape = results[0].shape;
        let (width, count) = (shape.last().copied().unwrap_or_default(), shape.iter().rev().skip(1).product());
        let out = results[0].elements::<f32>();
        if out.is_empty() {
            return Ok(());
        }
        let tables: Vec<_> = (operands[FIRST..].chunks(EACH).zip(&self.inside))
            .map(|(given, is_inside)| Table::new(given, *is_inside, [count, width]))
            .collect::<Result<_, _>>()?;
        let vector = |position: usize| {
            let values = operands[position].is_present().then(|| operands[position].elements::<f32>());
            let fits = values.is_none_or(|values| values.len() == width);
            if fits { Ok(values) } else { Err(RunError::Operand(format!("operand {position} for rows of {width}"))) }
        };
        let (scale, bias) = (vector(0)?, vector(1)?);
        let scratch = std::mem::take(&mut cx.scratch);
        // Bytes that are none may lie anywhere.
        let mut sums: &mut [f32] = if scratch.is_empty() { &mut [] } else { bytemuck::cast_slice_mut(scratch) };
        let cx = &*cx;
        let sum = |first: usize, out: &mut [f32]| {
            for (row, to) in out.chunks_exact_mut(width).enumerate() {
                for (number, table) in tables.iter().enumerate() {
                    table.put(cx, first + row, number == 0, to);
                }
            }
        };
        let each = tables.len() * FLOPS_PER_NUMBER + self.epsilon.map_or(0, |_| FLOPS_PER_ELEMENT);
        let height = count.div_ceil(cx.pieces(out.len() * each));
        let mut pieces = Vec::new();
        for (number, out) in out.chunks_mut(height * width).enumerate() {
            let room = if self.epsilon.is_some() { out.len() } else { 0 };
            let (own, rest) = sums.split_at_mut(room);
            sums = rest;
            pieces.push((number * height, own, out));
        }
        cx.for_each(pieces, |(first, sums, out)| {
            let Some(epsilon) = self.epsilon else { return sum(first, out) };
            let together = TOGETHER * width;
            for (number, (sums, out)) in sums.chunks_mut(together).zip(out.chunks_mut(together)).enumerate() {
                sum(first + number * TOGETHER, sums);
                let rows = sums.len() / width;
                let x = Rows::new(sums, rows, width, width).expect("whole rows");
                let out = RowsMut::new(out, rows, width, width).expect("whole rows");
                cx.engine.kernels.layer_norm(&LayerNorm { x, scale, bias, epsilon }, out);
            }
        });
        Ok(())
    }
}

/// `(table - zero) * scale`, written or added. The difference has nine bits, so that only the product is rounded.
fn scaled<Q: Element + Into<i16>>(table: &[Q], scale: f32, zero: Q, is_first: bool, to: &mut [f32]) {
    let zero: i16 = zero.into();
    let number = |x: &Q| f32::from((*x).into() - zero) * scale;
    if is_first {
        to.iter_mut().zip(table).for_each(|(to, x)| *to = number(x));
    } else {
        to.iter_mut().zip(table).for_each(|(to, x)| *to += number(x));
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::Attribute;
    use crate::ops::testing::{Given, run_optional};
    use crate::plan::DataType::{Float32, Int8, Int32, Int64, Uint8};

    const WIDTH: usize = 37;

    fn numbers(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * step).sin()).collect()
    }

    /// Tables as this operator reads them, and what its sums and its normalisation are made of alone.
    #[test]
    fn rows_of_tables_are_summed_and_normalised_as_by_operators_of_their_own() {
        for (count, threads) in [(1, 1), (6, 1), (6, 2), (100, 2)] {
            let words = numbers(11 * WIDTH, 0.7);
            let kinds: Vec<i8> = (0..3 * WIDTH).map(|i| (i * 7 % 256) as u8 as i8).collect();
            let places: Vec<u8> = (0..count * WIDTH).map(|i| (i * 5 % 256) as u8).collect();
            let (scales, zero) = (numbers(3, 0.9), -128_i8);
            let (steps, lows) = (numbers(count, 0.4), (0..count).map(|i| (i * 50) as u8).collect::<Vec<_>>());
            // The second is the first from the end, the third beyond the end.
            let indices: Vec<i64> = (0..count).map(|i| [4, -1, 99, 0, 7][i % 5]).collect();
            let other: Vec<i32> = (0..count).map(|i| (i % 3) as i32).collect();
            let last = numbers(WIDTH, 0.2);
            let row = |i: usize| -> Vec<f32> {
                let (word, kind) = ([4, 10, 10, 0, 7][i % 5], i % 3);
                (0..WIDTH)
                    .map(|at| {
                        let kind = (f32::from(kinds[kind * WIDTH + at]) - f32::from(zero)) * scales[kind];
                        let place = (f32::from(places[i * WIDTH + at]) - f32::from(lows[i])) * steps[i];
                        words[word * WIDTH + at] + kind + place + last[at]
                    })
                    .collect()
            };
            let want: Vec<f32> = (0..count).flat_map(row).collect();
            let given = [
                Given::new(Float32, &[11, WIDTH], &words),
                Given::new(Int64, &[count], &indices),
                Given::new(Int8, &[3, WIDTH], &kinds),
                Given::new(Int32, &[1, count], &other),
                Given::new(Float32, &[3, 1], &scales),
                Given::new(Int8, &[1, 1], &[zero]),
                Given::new(Uint8, &[1, count, WIDTH], &places),
                Given::new(Float32, &[1, count, 1], &steps),
                Given::new(Uint8, &[1, count, 1], &lows),
                Given::new(Float32, &[WIDTH], &last),
            ];
            let [words, word, kinds, kind, scale, zero, places, step, low, last] = given.each_ref().map(Some);
            let tables = [
                [words, word, None, None],
                [kinds, kind, scale, zero],
                [places, None, step, low],
                [last, None, None, None],
            ];
            let (factors, summands) = (numbers(WIDTH, 0.3), numbers(WIDTH, 1.1));
            let affine = [Given::new(Float32, &[WIDTH], &factors), Given::new(Float32, &[WIDTH], &summands)];
            let result = [1, count, WIDTH];
            let inside = ("inside", Attribute::Ints(vec![0; 4]));
            let run = |kind: &str, operands: &[Option<&Given>], attributes: &[(&str, Attribute)]| {
                let found = run_optional(kind, operands, attributes, &[(Float32, &result)], threads).unwrap();
                found[0].elements::<f32>().to_vec()
            };
            let sums = run("embedding", &[&[None; 2], &*tables.concat()].concat(), std::slice::from_ref(&inside));
            assert_eq!(sums, want);
            let [scale, bias] = affine.each_ref().map(Some);
            let epsilon = ("epsilon", Attribute::Float(1e-12));
            let sums = Given::new(Float32, &result, &sums);
            let alone = run("layerNorm", &[Some(&sums), scale, bias], &[epsilon.clone(), ("axes", Attribute::Int(1))]);
            assert_eq!(run("embedding", &[&[scale, bias], &*tables.concat()].concat(), &[epsilon, inside]), alone);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let floats = Given::new(Float32, &[2, WIDTH], &numbers(2 * WIDTH, 0.7));
        let bytes = Given::new(Int8, &[2, WIDTH], &[1_i8; 2 * WIDTH]);
        let scale = Given::new(Float32, &[2, 1], &[1.0_f32; 2]);
        let indices = |values: &[i32]| Given::new(Int32, &[values.len()], values);
        let run = |table: [Option<&Given>; 4], is_inside: i64, count: usize| {
            let attributes = [("inside", Attribute::Ints(vec![is_inside]))];
            let operands = [&[None; 2], &table[..]].concat();
            run_optional("embedding", &operands, &attributes, &[(Float32, &[count, WIDTH])], 1).is_ok()
        };
        let (far, near) = (indices(&[0, 2, 1]), indices(&[0, 1, 1]));
        assert!(run([Some(&floats), Some(&far), None, None], 0, 3));
        assert!(!run([Some(&floats), Some(&far), None, None], 1, 3));
        assert!(run([Some(&floats), Some(&near), None, None], 1, 3));
        assert!(!run([Some(&floats), Some(&near), None, None], 1, 4));
        assert!(!run([Some(&floats), None, None, None], 0, 3));
        assert!(run([Some(&floats), None, None, None], 0, 4));
        assert!(!run([Some(&floats), None, Some(&scale), None], 0, 4));
        assert!(!run([Some(&bytes), None, None, None], 0, 4));
        assert!(!run([Some(&bytes), None, Some(&scale), Some(&scale)], 0, 4));
        let (few, zero) = (Given::new(Float32, &[3], &[1.0_f32; 3]), Given::new(Int8, &[1], &[1_i8]));
        assert!(run([Some(&bytes), None, Some(&scale), Some(&zero)], 0, 4));
        assert!(!run([Some(&bytes), None, Some(&few), Some(&zero)], 0, 4));
        assert!(!run([Some(&scale), None, None, None], 0, 4));
    }
}

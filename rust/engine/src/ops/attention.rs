//! Attention over all heads, read where the projections have left them.

use super::relative::{Terms, read_columns};
use super::texts::text_starts;
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};
use crate::{Heads, HeadsMask, Scores};

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "attention", types: Types::of(&[DataType::Float32]), make: attention },
    Kind { name: "rotary", types: Types::of(&[DataType::Float32]), make: rotary },
    Kind { name: "truth", types: Types::of(&[DataType::Uint8]), make: truth },
];

/// Where the operand is that says which rows are one text.
const STARTS: usize = 5;

/// `softmax(mask(scale * q @ k^T + bias)) @ v`, written as `[batch, queries, heads * width]`.
///
/// Operands: q, k, v, bias, mask; the last two broadcast to `[batch, heads, queries, keys]`. With the attribute `fill`
/// the mask is a condition in float32: where it is zero, the score becomes `fill`. `undefinedIsZero` gives rows whose
/// softmax is NaN weights of zero, and `emptyIsZero` those whose mask is minus infinity for all keys; with `bfloat16` the
/// products round what they multiply to that. The attributes `q`, `k` and `v` say where heads lie, as in [`Place`].
///
/// With a sixth operand, the [`text_starts`] of `n` texts and the number of tokens behind them, the rows are those of
/// texts that do not see one another, the batch is 1, and bias and mask are over the longest text's queries and keys.
///
/// Behind that one there are two operands for each of the [`Terms`] that are added for the distance of query and key.
struct Attention {
    places: [Place; 3],
    scale: f32,
    fill: Option<f32>,
    undefined_is_zero: bool,
    empty_is_zero: bool,
    bfloat16: bool,
    terms: Terms,
    label: String,
}

/// Where the heads of an operand are: `[]` for `[batch, heads, rows, depth]` (or `[batch, rows, depth]`, one head), or
/// `[offset, heads, depth]` for heads side by side from a column on, in rows that may hold more.
#[derive(Clone, Copy, Debug)]
enum Place {
    Apart,
    InRows { offset: usize, heads: usize, depth: usize },
}

impl Place {
    fn read(request: &Request<'_>, name: &str) -> Result<Self, BuildError> {
        let numbers = request.attributes.ints(name)?;
        let refuse = || BuildError::Attribute(format!("attribute '{name}' is {numbers:?}"));
        let sizes: Vec<usize> =
            numbers.iter().map(|n| usize::try_from(*n).ok()).collect::<Option<_>>().ok_or_else(refuse)?;
        match *sizes {
            [] => Ok(Self::Apart),
            [offset, heads, depth] if heads > 0 && depth > 0 => Ok(Self::InRows { offset, heads, depth }),
            _ => Err(refuse()),
        }
    }

    fn view<'a>(self, operand: &Tensor<'a>) -> Result<Heads<'a>, RunError> {
        let data: &'a [f32] = operand.elements();
        let found = match (self, operand.shape) {
            (Self::Apart, &[batch, heads, rows, depth]) => {
                Heads::new(data, [batch, heads, rows, depth], [heads * rows * depth, rows * depth, depth])
            }
            (Self::Apart, &[batch, rows, depth]) => Heads::new(data, [batch, 1, rows, depth], [rows * depth, 0, depth]),
            (Self::InRows { offset, heads, depth }, &[batch, rows, cols])
                if heads.checked_mul(depth).and_then(|own| own.checked_add(offset)).is_some_and(|end| end <= cols) =>
            {
                Heads::new(data.get(offset..).unwrap_or(&[]), [batch, heads, rows, depth], [rows * cols, depth, cols])
            }
            _ => None,
        };
        found.ok_or_else(|| RunError::Operand(format!("{:?} does not hold heads at {self:?}", operand.shape)))
    }
}

fn attention(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let dtype = request.operand(0)?.dtype;
    let others = [Some(request.operand(1)?), Some(request.operand(2)?), request.optional(3), request.optional(4)];
    let starts = request.optional(STARTS).map_or(DataType::Int32, |starts| starts.dtype);
    if others.into_iter().flatten().chain(request.results).any(|kind| kind.dtype != dtype) || starts != DataType::Int32
    {
        return Err(BuildError::Value("attention: operands of several types".into()));
    }
    let attributes = request.attributes;
    let fill = attributes.optional_float("fill")?.map(|fill| *fill as f32);
    let bfloat16 = attributes.optional_bool("bfloat16")?.copied().unwrap_or_default();
    let terms = Terms::read(request, STARTS + 1)?;
    let mut label = if bfloat16 { "attention(bfloat16)" } else { "attention" }.to_owned();
    if request.optional(3).is_some() {
        label += "+bias";
    }
    if !terms.is_empty() {
        label += "+relative";
    }
    if request.optional(4).is_some() {
        label += if fill.is_some() { "+where" } else { "+mask" };
    }
    if request.optional(STARTS).is_some() {
        label += "+texts";
    }
    Ok(Box::new(Attention {
        places: [Place::read(request, "q")?, Place::read(request, "k")?, Place::read(request, "v")?],
        scale: *attributes.float("scale")? as f32,
        fill,
        undefined_is_zero: *attributes.bool("undefinedIsZero")?,
        empty_is_zero: attributes.optional_bool("emptyIsZero")?.copied().unwrap_or_default(),
        bfloat16,
        terms,
        label,
    }))
}

impl Op for Attention {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn scratch(&self, operands: &[&[usize]], _: &[&[usize]]) -> usize {
        self.terms.scratch(operands.get(STARTS + 1..).unwrap_or_default())
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let [q, k, v] = [0, 1, 2].map(|index| self.places[index].view(&operands[index]));
        let views = [q?, k?, v?];
        let [batch, heads, queries, depth] = views[0].shape();
        let [_, own_heads, keys, width] = views[2].shape();
        let fits = views[1].shape() == [batch, own_heads, keys, depth]
            && views[2].shape()[0] == batch
            && own_heads > 0
            && heads.is_multiple_of(own_heads);
        let out = results[0].elements::<f32>();
        if !fits || out.len() != batch * queries * heads * width {
            let shapes = views.map(|view| view.shape());
            return Err(RunError::Operand(format!("heads of {shapes:?} for {} results", out.len())));
        }
        if out.is_empty() {
            return Ok(());
        }
        if keys == 0 {
            return Err(RunError::Operand("a softmax over no keys".into()));
        }
        let starts = operands.get(STARTS).filter(|operand| operand.is_present());
        let starts = starts.map(|starts| text_starts(starts, queries)).transpose()?;
        let longest = starts.iter().flat_map(|starts| starts.windows(2)).map(|ends| ends[1] - ends[0]).max();
        if starts.is_some() && (batch != 1 || queries != keys) {
            return Err(RunError::Operand(format!("{batch} batches of {queries} queries and {keys} keys as texts")));
        }
        let scores = [batch, heads, longest.unwrap_or(queries), longest.unwrap_or(keys)];
        let over = |position: usize| {
            let operand = operands.get(position).filter(|operand| operand.is_present());
            operand.map(|operand| stretched(operand, scores)).transpose()
        };
        let mask = match (over(4)?, self.fill) {
            (None, _) => HeadsMask::None,
            (Some(mask), None) => HeadsMask::Add(mask),
            (Some(keep), Some(fill)) => HeadsMask::Keep { keep, fill },
        };
        let bias = over(3)?;
        let memory = read_columns(operands.get(STARTS + 1..).unwrap_or_default(), std::mem::take(&mut cx.scratch), cx);
        let rows = [queries, keys];
        let relative =
            self.terms.views(operands.get(STARTS + 1..).unwrap_or_default(), memory, [batch, heads], rows, scores)?;
        let scores = Scores {
            scale: self.scale,
            bias,
            relative: &relative,
            mask,
            undefined_is_zero: self.undefined_is_zero,
            bfloat16: self.bfloat16,
        };
        match &starts {
            Some(starts) => cx.engine.attention_of_texts(views, scores, starts, out),
            None => cx.engine.attention(views, scores, out),
        }
        if let (true, HeadsMask::Add(mask)) = (self.empty_is_zero, mask) {
            let whole: Vec<usize> = (0..=batch).map(|batch| batch * queries).collect();
            let is_batch = starts.is_none();
            clear_empty(mask, starts.as_deref().unwrap_or(&whole), is_batch, heads, out);
        }
        Ok(())
    }
}

/// Zeros the results of queries whose mask hides all keys; queries `starts[i]..starts[i + 1]` see their own keys, and
/// have a part of the mask to themselves in a batch.
fn clear_empty(mask: Heads<'_>, starts: &[usize], is_batch: bool, heads: usize, out: &mut [f32]) {
    let width = out.len() / (starts.last().copied().unwrap_or_default() * heads).max(1);
    for (number, ends) in starts.windows(2).enumerate() {
        let seen = if is_batch { mask.shape()[3] } else { ends[1] - ends[0] };
        for head in 0..heads {
            let rows = mask.head(if is_batch { number } else { 0 }, head);
            for (query, row) in (ends[0]..ends[1]).enumerate() {
                if rows.row(query)[..seen].iter().all(|x| *x == f32::NEG_INFINITY) {
                    out[(row * heads + head) * width..][..width].fill(0.0);
                }
            }
        }
    }
}

/// An operand over the scores; axes of one element repeat, but for the keys.
fn stretched<'a>(operand: &Tensor<'a>, scores: [usize; 4]) -> Result<Heads<'a>, RunError> {
    let own = operand.shape;
    let mut shape = [1; 4];
    let fits = own.len() <= 4;
    if fits {
        shape[4 - own.len()..].copy_from_slice(own);
    }
    let found = if fits { Heads::repeated(operand.elements(), &shape, scores) } else { None };
    found.ok_or_else(|| RunError::Operand(format!("shape {own:?} over scores of {scores:?}")))
}

/// A condition as the attention takes it: 1 where it holds, or where it does not with `inverted`; over `keys` columns.
///
/// With a result whose last axis is longer than the operand's, the one element is repeated.
struct Truth {
    inverted: bool,
}

fn truth(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    if request.result()?.dtype != DataType::Float32 {
        return Err(BuildError::Value("truth: the result is not float32".into()));
    }
    Ok(Box::new(Truth { inverted: *request.attributes.bool("inverted")? }))
}

impl Op for Truth {
    fn label(&self) -> String {
        "mask".into()
    }

    fn run(&self, operands: &[Tensor<'_>], results: &mut [TensorMut<'_>], _: &mut Context<'_>) -> Result<(), RunError> {
        let x = operands[0].elements::<u8>();
        let out = results[0].elements::<f32>();
        if x.len() != out.len() {
            return Err(RunError::Operand(format!("{} results of {:?}", out.len(), operands[0].shape)));
        }
        for (out, x) in out.iter_mut().zip(x) {
            *out = if (*x != 0) != self.inverted { 1.0 } else { 0.0 };
        }
        Ok(())
    }
}

/// `x * cos + rotated(x) * sin`, written as `[batch, rows, heads * depth]`; `rotated` swaps the halves of the depth and
/// negates the one that comes first then.
///
/// Operands: x, cos, sin; the last two broadcast to `[batch, heads, rows, depth]`. The attribute `x` is a [`Place`].
struct Rotary {
    place: Place,
}

fn rotary(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let dtype = request.operand(0)?.dtype;
    if [request.operand(1)?.dtype, request.operand(2)?.dtype, request.result()?.dtype] != [dtype; 3] {
        return Err(BuildError::Value("rotary: operands of several types".into()));
    }
    Ok(Box::new(Rotary { place: Place::read(request, "x")? }))
}

/// Operations an element of rotary positions costs, roughly.
const ROTARY_OPERATIONS: usize = 8;

impl Op for Rotary {
    fn label(&self) -> String {
        "rotary".into()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let x = self.place.view(&operands[0])?;
        let shape @ [batch, heads, rows, depth] = x.shape();
        let (cos, sin) = (stretched(&operands[1], shape)?, stretched(&operands[2], shape)?);
        let out = results[0].elements::<f32>();
        if out.len() != batch * heads * rows * depth || !depth.is_multiple_of(2) {
            return Err(RunError::Operand(format!("{} results of heads {shape:?}", out.len())));
        }
        if out.is_empty() {
            return Ok(());
        }
        let token = heads * depth;
        let count = (batch * rows).div_ceil(cx.pieces(out.len() * ROTARY_OPERATIONS));
        let pieces = out.chunks_mut(count * token).enumerate().collect();
        cx.for_each(pieces, |(number, piece): (usize, &mut [f32])| {
            for (index, out) in piece.chunks_exact_mut(token).enumerate() {
                let (batch, row) = ((number * count + index) / rows, (number * count + index) % rows);
                for (head, out) in out.chunks_exact_mut(depth).enumerate() {
                    let [x, cos, sin] = [x, cos, sin].map(|view| view.head(batch, head).row(row));
                    let (first, second) = x.split_at(depth / 2);
                    let (low, high) = out.split_at_mut(depth / 2);
                    for (at, out) in low.iter_mut().enumerate() {
                        *out = first[at] * cos[at] + -second[at] * sin[at];
                    }
                    for (at, out) in high.iter_mut().enumerate() {
                        *out = second[at] * cos[depth / 2 + at] + first[at] * sin[depth / 2 + at];
                    }
                }
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::Attribute;
    use crate::ops::testing::{Given, run, run_optional};
    use crate::plan::DataType::{Float32, Int32};

    #[test]
    fn queries_without_keys_are_zero_and_others_that_are_nan_stay_so() {
        let (heads, queries, depth) = (2, 3, 4);
        let numbers = |count: usize, step: f32| (0..count).map(|i| (i as f32 * step).sin()).collect::<Vec<_>>();
        for texts in [false, true] {
            // As one batch of two, or as one after another.
            let (batch, rows) = if texts { (1, 2 * queries) } else { (2, queries) };
            let cut = |x: &[f32]| Given::new(Float32, &[batch, rows, heads * depth], x);
            let mut q = numbers(2 * queries * heads * depth, 0.3);
            // The second query of the first text, in its first head.
            q[heads * depth] = f32::NAN;
            let (k, v) = (numbers(q.len(), 0.7), numbers(q.len(), 1.1));
            // The third query sees nothing.
            let mask: Vec<f32> =
                (0..queries * queries).map(|i| if i / queries == 2 { f32::NEG_INFINITY } else { 0.0 }).collect();
            let mask = Given::new(Float32, &[1, 1, queries, queries], &mask);
            let (q, k, v) = (cut(&q), cut(&k), cut(&v));
            let starts = Given::new(Int32, &[3], &[0, queries as i32, 2 * queries as i32]);
            let mut operands = vec![Some(&q), Some(&k), Some(&v), None, Some(&mask)];
            if texts {
                operands.push(Some(&starts));
            }
            let place = Attribute::Ints([0, heads, depth].map(|n| n as i64).to_vec());
            let attributes = [
                ("q", place.clone()),
                ("k", place.clone()),
                ("v", place),
                ("scale", Attribute::Float(0.5)),
                ("undefinedIsZero", Attribute::Bool(false)),
                ("emptyIsZero", Attribute::Bool(true)),
            ];
            let result = [batch, rows, heads * depth];
            let found = run_optional("attention", &operands, &attributes, &[(Float32, &result)], 2).unwrap();
            for (at, x) in found[0].elements::<f32>().iter().enumerate() {
                let (row, head) = (at / (heads * depth), at / depth % heads);
                match (row, head) {
                    (1, 0) => assert!(x.is_nan()),
                    (row, _) => assert_eq!(*x == 0.0, row % queries == 2, "{row} {head}: {x}"),
                }
            }
        }
    }

    #[test]
    fn rotary_positions_turn_halves_wherever_the_heads_are() {
        let (batch, heads, rows, depth, offset, cols) = (2, 3, 5, 4, 2, 17);
        let numbers = |count: usize, step: f32| (0..count).map(|i| (i as f32 * step).sin()).collect::<Vec<_>>();
        let (x, cos, sin) = (numbers(batch * rows * cols, 0.3), numbers(rows * depth, 0.7), numbers(rows * depth, 1.1));
        let mut want = Vec::new();
        for token in 0..batch * rows {
            for at in 0..heads * depth {
                let (head, d, row) = (at / depth, at % depth, token % rows);
                let x = |d: usize| x[token * cols + offset + head * depth + d];
                let rotated = if d < depth / 2 { -x(d + depth / 2) } else { x(d - depth / 2) };
                want.push(x(d) * cos[row * depth + d] + rotated * sin[row * depth + d]);
            }
        }
        let given = [
            Given::new(Float32, &[batch, rows, cols], &x),
            Given::new(Float32, &[1, 1, rows, depth], &cos),
            Given::new(Float32, &[rows, depth], &sin),
        ];
        let place = [offset, heads, depth].map(|n| n as i64).to_vec();
        let result = [batch, rows, heads * depth];
        for threads in [1, 2] {
            let attributes = [("x", Attribute::Ints(place.clone()))];
            let found = run("rotary", &given, &attributes, &[(Float32, &result)], threads).unwrap();
            assert_eq!(found[0].elements::<f32>(), want);
        }
    }
}

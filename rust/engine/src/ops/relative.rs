//! Operands of the terms that attention adds for the distance of query and key.

use super::indexing::{check_indices, position};
use super::{Context, Request, Tensor};
use crate::plan::{BuildError, DataType, RunError};
use crate::{Heads, Relative};

/// What is known of the terms when a plan is built.
///
/// Two operands each: `[batch, heads, rows, distances]`, and the indices of the last axis, `[1, 1, queries, keys]`. The
/// attribute `factors` says what each is multiplied with, and `byKey` where it is not 0 that the rows are the keys', and the
/// indices `[1, 1, keys, queries]`. Indices are clamped as those of a gather are.
pub(super) struct Terms {
    factors: Vec<f32>,
    by_key: Vec<bool>,
}

/// Operands of a term.
const EACH: usize = 2;

impl Terms {
    /// From the operands behind `first`.
    pub(super) fn read(request: &Request<'_>, first: usize) -> Result<Self, BuildError> {
        let factors = request.attributes.optional_floats("factors")?.unwrap_or_default();
        let by_key = request.attributes.optional_ints("byKey")?.unwrap_or_default();
        let operands = request.operands.len().saturating_sub(first);
        if factors.len() != by_key.len() || operands != EACH * factors.len() {
            let counts = [factors.len(), by_key.len()];
            return Err(BuildError::Value(format!("{}: {operands} operands of terms, {counts:?} terms", request.kind)));
        }
        for term in 0..factors.len() {
            if request.operand(first + EACH * term)?.dtype != DataType::Float32 {
                return Err(BuildError::Value(format!("{}: a term that is not float32", request.kind)));
            }
            check_indices(request, first + EACH * term + 1)?;
        }
        Ok(Self {
            factors: factors.iter().map(|factor| *factor as f32).collect(),
            by_key: by_key.iter().map(|is| *is != 0).collect(),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.factors.is_empty()
    }

    /// Bytes that the clamped indices take.
    pub(super) fn scratch(&self, operands: &[&[usize]]) -> usize {
        operands.chunks_exact(EACH).map(|pair| pair[1].iter().product::<usize>() * size_of::<u32>()).sum()
    }

    /// The terms of one run, over `rows` queries and keys; `scores` is `[batch, heads, queries, keys]` of the longest text.
    pub(super) fn views<'a>(
        &self,
        operands: &[Tensor<'a>],
        columns: &'a [u32],
        [batch, heads]: [usize; 2],
        [queries, keys]: [usize; 2],
        scores: [usize; 4],
    ) -> Result<Vec<Relative<'a>>, RunError> {
        let mut rest = columns;
        let mut found = Vec::with_capacity(self.factors.len());
        for (pair, (factor, is_by_key)) in operands.chunks_exact(EACH).zip(self.factors.iter().zip(&self.by_key)) {
            let (source, indices) = (&pair[0], &pair[1]);
            let (rows, over) =
                if *is_by_key { (keys, [scores[3], scores[2]]) } else { (queries, [scores[2], scores[3]]) };
            let refuse =
                || RunError::Operand(format!("rows of {:?} at {:?} over {scores:?}", source.shape, indices.shape));
            let (own, after) = rest.split_at_checked(indices.count()).ok_or_else(refuse)?;
            rest = after;
            let &[_, _, _, distances] = source.shape else { return Err(refuse()) };
            if source.shape != [batch, heads, rows, distances] || indices.shape != [1, 1, over[0], over[1]] {
                return Err(refuse());
            }
            if u32::try_from(distances).is_err() {
                return Err(refuse());
            }
            if distances == 0 {
                return Err(RunError::NoElements("reads from an axis of no elements".into()));
            }
            let strides = [heads * rows * distances, rows * distances, distances];
            let source = Heads::new(source.elements(), [batch, heads, rows, distances], strides).ok_or_else(refuse)?;
            found.push(Relative { source, columns: own, stride: over[1], factor: *factor, is_by_key: *is_by_key });
        }
        Ok(found)
    }
}

/// The indices of all terms, one after another, each clamped to the last axis of its source.
pub(super) fn read_columns<'a>(operands: &[Tensor<'_>], memory: &'a mut [u8], cx: &Context<'_>) -> &'a [u32] {
    // Memory of no bytes may be anywhere.
    let columns: &mut [u32] = if memory.is_empty() { &mut [] } else { bytemuck::cast_slice_mut(memory) };
    let mut rest = &mut *columns;
    for pair in operands.chunks_exact(EACH) {
        let (size, indices) = (pair[0].shape.last().copied().unwrap_or_default(), &pair[1]);
        let (own, after) = rest.split_at_mut(indices.count().min(rest.len()));
        rest = after;
        match indices.dtype {
            DataType::Int32 => clamped(indices.elements::<i32>(), size, own, cx),
            DataType::Uint32 => clamped(indices.elements::<u32>(), size, own, cx),
            _ => clamped(indices.elements::<i64>(), size, own, cx),
        }
    }
    columns
}

/// Indices that are worth a thread of their own.
const PER_PIECE: usize = 1 << 14;

fn clamped<T: Copy + Into<i64> + Sync>(indices: &[T], size: usize, to: &mut [u32], cx: &Context<'_>) {
    let pieces = to.chunks_mut(PER_PIECE).zip(indices.chunks(PER_PIECE)).collect();
    cx.for_each(pieces, |(to, from): (&mut [u32], &[T])| {
        for (to, index) in to.iter_mut().zip(from) {
            *to = position((*index).into(), size) as u32;
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::ops::Attribute;
    use crate::ops::testing::{Given, run_optional};
    use crate::plan::DataType::{Float32, Int32, Int64};

    fn numbers(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * step).sin()).collect()
    }

    /// Attention over texts of these lengths, with terms or with their sum as a bias: one text after another, or a batch.
    struct Case {
        heads: usize,
        depth: usize,
        distances: usize,
        longest: usize,
        starts: Vec<usize>,
        is_batch: bool,
    }

    impl Case {
        fn rows(&self) -> usize {
            *self.starts.last().unwrap()
        }

        fn shape(&self, cols: usize) -> [usize; 4] {
            let texts = self.starts.len() - 1;
            if self.is_batch { [texts, self.heads, self.longest, cols] } else { [1, self.heads, self.rows(), cols] }
        }

        /// What stands in the terms' place, for the text that begins at `first`.
        fn bias(&self, sources: &[Vec<f32>; 2], columns: &[i64], text: usize) -> Vec<f32> {
            let [_, heads, rows, _] = self.shape(0);
            let (batch, first) = if self.is_batch { (text, 0) } else { (0, self.starts[text]) };
            let length = self.starts[text + 1] - self.starts[text];
            let column = |from: usize, to: usize| {
                let index = columns[from * self.longest + to];
                let last = self.distances as i64 - 1;
                (if index < 0 { index + self.distances as i64 } else { index }).clamp(0, last) as usize
            };
            let read = |source: &[f32], head: usize, row: usize, column: usize| {
                source[((batch * heads + head) * rows + first + row) * self.distances + column]
            };
            let places =
                (0..heads).flat_map(|head| (0..length * length).map(move |at| (head, at / length, at % length)));
            places
                .map(|(head, query, key)| {
                    let own = 0.0 + 0.5 * read(&sources[0], head, query, column(query, key));
                    own + -1.25 * read(&sources[1], head, key, column(key, query))
                })
                .collect()
        }
    }

    fn attention(operands: &[Option<&Given>], result: &[usize], terms: bool) -> Vec<f32> {
        let apart = Attribute::Ints(Vec::new());
        let mut attributes = vec![
            ("q", apart.clone()),
            ("k", apart.clone()),
            ("v", apart),
            ("scale", Attribute::Float(0.3)),
            ("undefinedIsZero", Attribute::Bool(false)),
        ];
        if terms {
            attributes.push(("factors", Attribute::Floats(vec![0.5, -1.25])));
            attributes.push(("byKey", Attribute::Ints(vec![0, 1])));
        }
        let found = run_optional("attention", operands, &attributes, &[(Float32, result)], 2).unwrap();
        found[0].elements::<f32>().to_vec()
    }

    #[test]
    fn terms_are_the_bias_they_sum_to() {
        // The last ones are more than are summed at a time.
        let lengths = [[37, 37], [5, 40], [1, 18], [3, 1100]];
        for (starts, is_batch) in
            lengths.iter().flat_map(|[a, b]| [(vec![0, *a, a + b], false), (vec![0, *b, 2 * b], true)])
        {
            let longest = starts.windows(2).map(|ends| ends[1] - ends[0]).max().unwrap();
            let case = Case { heads: 3, depth: 4, distances: 11, longest, starts, is_batch };
            let [batch, heads, rows, _] = case.shape(0);
            let own = case.shape(case.depth);
            let count = own.iter().product();
            let x = [0.3, 0.7, 1.1].map(|step| Given::new(Float32, &own, &numbers(count, step)));
            let wide = case.shape(case.distances);
            let sources = [0.37, 0.91].map(|step| numbers(wide.iter().product(), step));
            // Beyond both ends as well.
            let columns: Vec<i64> = (0..longest * longest).map(|i| (i * 7 % 29) as i64 - 12).collect();
            let narrow: Vec<i32> = columns.iter().map(|column| *column as i32).collect();
            let given = [
                Given::new(Float32, &wide, &sources[0]),
                Given::new(Int64, &[1, 1, longest, longest], &columns),
                Given::new(Float32, &wide, &sources[1]),
                Given::new(Int32, &[1, 1, longest, longest], &narrow),
            ];
            let starts: Vec<i32> = case.starts.iter().map(|start| *start as i32).collect();
            let starts = Given::new(Int32, &[starts.len()], &starts);
            let mut operands = vec![Some(&x[0]), Some(&x[1]), Some(&x[2]), None, None];
            operands.push((!is_batch).then_some(&starts));
            operands.extend(given.iter().map(Some));
            let width = heads * case.depth;
            let found = attention(&operands, &[batch, rows, width], true);

            // Each text by itself, with a bias.
            for (text, ends) in case.starts.windows(2).enumerate() {
                let length = ends[1] - ends[0];
                let bias = case.bias(&sources, &columns, text);
                let bias = Given::new(Float32, &[1, heads, length, length], &bias);
                let part = x.each_ref().map(|x| {
                    let all = x.elements::<f32>();
                    let first = |head| if is_batch { (text * heads + head) * rows } else { head * rows + ends[0] };
                    let rows_of = (0..heads).map(|head| first(head) * case.depth);
                    let cut: Vec<f32> = rows_of.flat_map(|at| all[at..at + length * case.depth].to_vec()).collect();
                    Given::new(Float32, &[1, heads, length, case.depth], &cut)
                });
                let operands = [Some(&part[0]), Some(&part[1]), Some(&part[2]), Some(&bias), None];
                let wanted = attention(&operands, &[1, length, width], false);
                assert_eq!(found[ends[0] * width..ends[1] * width], wanted, "{:?}, batch {is_batch}", case.starts);
            }
        }
    }

    #[test]
    fn terms_that_do_not_fit_are_refused() {
        let x = Given::new(Float32, &[1, 1, 3, 2], &numbers(6, 0.3));
        let fits = Given::new(Float32, &[1, 1, 3, 5], &numbers(15, 0.3));
        let short = Given::new(Float32, &[1, 1, 2, 5], &numbers(10, 0.3));
        let empty = Given::new::<f32>(Float32, &[1, 1, 3, 0], &[]);
        let columns = Given::new(Int32, &[1, 1, 3, 3], &[0; 9]);
        let other = Given::new(Int32, &[3, 3], &[0; 9]);
        let apart = Attribute::Ints(Vec::new());
        for (terms, by_key, is_right) in [
            (vec![&fits, &columns], vec![0], true),
            (vec![&short, &columns], vec![0], false),
            (vec![&short, &columns], vec![1], false),
            (vec![&empty, &columns], vec![0], false),
            (vec![&fits, &other], vec![0], false),
            (vec![&fits, &fits], vec![0], false),
            (vec![&columns, &columns], vec![0], false),
            (vec![&fits], vec![0], false),
            (vec![&fits, &columns], vec![0, 0], false),
        ] {
            let mut operands = vec![Some(&x), Some(&x), Some(&x), None, None, None];
            operands.extend(terms.into_iter().map(Some));
            let attributes = [
                ("q", apart.clone()),
                ("k", apart.clone()),
                ("v", apart.clone()),
                ("scale", Attribute::Float(1.0)),
                ("undefinedIsZero", Attribute::Bool(false)),
                ("factors", Attribute::Floats(vec![1.0])),
                ("byKey", Attribute::Ints(by_key)),
            ];
            let found = run_optional("attention", &operands, &attributes, &[(Float32, &[1, 3, 2])], 1);
            assert_eq!(found.is_ok(), is_right);
        }
    }
}

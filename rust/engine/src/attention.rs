//! Attention over all heads of a batch.

use kernels::{Attention, Mask, RowsMut};

use crate::relative::{Part, Relative, sums};
use crate::{Engine, Heads, scratch};

/// Operations of linear layers that take as long as attention of one head does.
///
/// Fitted to what `examples/attention_roof.rs` prints for 10 to 256 tokens, 0.15 to 0.70 of the multiply-add peak: what there
/// is once, what there is for each element of q, k, v and the result, and the two products with the softmax between them.
pub(crate) fn operations(queries: usize, keys: usize, width: usize) -> usize {
    40_000 + 25 * (queries + keys) * width + 26 * queries * keys * width / 10
}

/// Sums for distances that a thread keeps at a time: 4 MiB. Keys and values are packed again for the queries behind them, of
/// which there are 128 with 8,192 keys.
const MOST_SUMS: usize = 1 << 20;

/// What happens between the scores and the weights.
#[derive(Clone, Copy, Debug)]
pub struct Scores<'a> {
    /// Multiplied with each score.
    pub scale: f32,
    /// Added to the scaled scores.
    pub bias: Option<Heads<'a>>,
    /// Added to the scaled scores as well.
    pub relative: &'a [Relative<'a>],
    /// Applied to the scaled and biased scores.
    pub mask: HeadsMask<'a>,
    /// A query whose softmax is NaN gets weights of zero.
    pub undefined_is_zero: bool,
    /// Whether the products round what they multiply to bfloat16, as [`kernels::Attention::bfloat16`] says.
    pub bfloat16: bool,
}

/// A mask over the scores of all heads, each axis either the scores' own or repeated.
#[derive(Clone, Copy, Debug)]
pub enum HeadsMask<'a> {
    /// Scores stay as they are.
    None,
    /// Added to the scores.
    Add(Heads<'a>),
    /// Where this is zero, the score becomes `fill`.
    Keep {
        /// Non-zero where the score stays.
        keep: Heads<'a>,
        /// What the other scores become.
        fill: f32,
    },
}

impl Engine {
    /// `softmax(mask(scale * q @ k^T + bias)) @ v` over all heads, written as `[batch, queries, heads, width]`.
    ///
    /// The keys and values may have fewer heads, each shared by as many neighbouring heads of the queries.
    ///
    /// That order of the result is the one in which the heads of a token are adjacent, so that merging them is free.
    ///
    /// # Panics
    ///
    /// The shapes do not fit together.
    pub fn attention(&self, [q, k, v]: [Heads<'_>; 3], scores: Scores<'_>, out: &mut [f32]) {
        let [batches, heads, queries, depth] = q.shape();
        let [_, shared, keys, width] = v.shape();
        if out.is_empty() {
            return;
        }
        assert!(shared > 0 && heads.is_multiple_of(shared), "{heads} heads of queries, {shared} of values");
        // Grouped queries: neighbouring heads read the same keys and values.
        let group = heads / shared;
        let all = RowsMut::new(out, batches * queries, heads * width, heads * width).expect("output");

        // A piece is a head, or part of its queries where there are too few heads to go round. Whole panels of queries
        // each, so that no piece is computed for lanes that stay empty.
        let wanted = self.pieces(batches * heads * operations(queries, keys, depth + width));
        let parts = wanted.div_ceil(batches * heads);
        let panel = self.kernels.panel_width;
        let count = queries.div_ceil(parts).next_multiple_of(panel).min(queries);

        let together = if batches == 1 { heads_together(heads, wanted) } else { 1 };
        let mut pieces = Vec::with_capacity(batches * heads * queries.div_ceil(count));
        let mut rest = all;
        for batch in 0..batches {
            for start in (0..queries).step_by(count) {
                let (mut rows, after) = rest.split_at_row(count.min(queries - start));
                rest = after;
                for head in (0..heads).step_by(together) {
                    let (own, others) = rows.split_at_col(together.min(heads - head) * width);
                    rows = others;
                    pieces.push((batch, head, start, own));
                }
            }
        }
        let one = |batch: usize, head: usize, start: usize, out: RowsMut<'_>| {
            let whole = match scores.mask {
                HeadsMask::None => Mask::None,
                HeadsMask::Add(mask) => Mask::Add(mask.head(batch, head)),
                HeadsMask::Keep { keep, fill } => Mask::Keep { keep: keep.head(batch, head), fill },
            };
            let bias = scores.bias.map(|bias| bias.head(batch, head).range(start, out.count()));
            let part = Part { batch, head, first: 0, start, queries: out.count(), keys };
            let task = Attention {
                q: q.head(batch, head).range(start, out.count()),
                k: k.head(batch, head / group),
                v: v.head(batch, head / group),
                scale: scores.scale,
                bias,
                mask: whole.range(start, out.count()),
                undefined_is_zero: scores.undefined_is_zero,
                bfloat16: scores.bfloat16,
            };
            self.one_head(task, scores.relative, part, out);
        };
        self.share(wanted, pieces, |(batch, head, start, out)| {
            each_head(head, width, out, |head, out| one(batch, head, start, out));
        });
    }
}

impl Engine {
    /// Attention of some queries of one head, with what is added for the distance of query and key.
    pub(crate) fn one_head(&self, task: Attention<'_>, relative: &[Relative<'_>], part: Part, out: RowsMut<'_>) {
        scratch::with(|scratch| {
            if relative.is_empty() {
                return self.kernels.attention(&task, &mut scratch.kernels, out);
            }
            let most = (MOST_SUMS / part.keys).max(1).next_multiple_of(self.kernels.panel_width);
            let mut rest = out;
            for first in (0..part.queries).step_by(most) {
                let count = most.min(part.queries - first);
                let (own, after) = rest.split_at_row(count);
                rest = after;
                let part = Part { start: part.start + first, queries: count, ..part };
                let bias = task.bias.map(|bias| bias.range(first, count));
                let bias = Some(sums(relative, bias, part, &mut scratch.bias));
                let (q, mask) = (task.q.range(first, count), task.mask.range(first, count));
                self.kernels.attention(&Attention { q, bias, mask, ..task }, &mut scratch.kernels, own);
            }
        });
    }
}

/// Neighbouring heads of one text that are a piece together: as few pieces as are wanted.
///
/// Threads that take twelve pieces of 1 us in turn wait for one another at each: all-MiniLM-L6-v2 with 10 and with 30 tokens
/// takes 0.98 of the time with one piece for each of two threads (Intel Xeon with AMX).
pub(crate) fn heads_together(heads: usize, wanted: usize) -> usize {
    heads.div_ceil(wanted.max(1))
}

/// Calls `work` for each of some neighbouring heads, with its columns of the result.
pub(crate) fn each_head(first: usize, width: usize, out: RowsMut<'_>, mut work: impl FnMut(usize, RowsMut<'_>)) {
    let (mut rest, mut head) = (out, first);
    while rest.cols() > 0 {
        let (own, others) = rest.split_at_col(width);
        work(head, own);
        (rest, head) = (others, head + 1);
    }
}

//! Attention of texts that lie one after another, without padding between them.

use kernels::{Attention, Mask, Rows, RowsMut};

use crate::attention::{each_head, heads_together, operations};
use crate::relative::Part;
use crate::{Engine, Heads, HeadsMask, Scores};

impl Engine {
    /// For each text `softmax(mask(scale * q @ k^T + bias)) @ v` over all heads, written as `[tokens, heads, width]`.
    ///
    /// Operands are `[1, heads, tokens, depth]`; text `i` is the tokens `starts[i]..starts[i + 1]`. Bias and mask are
    /// `[1, heads, longest, longest]`, and a text has as much of them as it is long.
    ///
    /// # Panics
    ///
    /// The shapes do not fit together.
    pub fn attention_of_texts(&self, [q, k, v]: [Heads<'_>; 3], scores: Scores<'_>, starts: &[usize], out: &mut [f32]) {
        let [_, heads, tokens, depth] = q.shape();
        let [_, shared, _, width] = v.shape();
        if out.is_empty() {
            return;
        }
        assert!(shared > 0 && heads.is_multiple_of(shared), "{heads} heads of queries, {shared} of values");
        let group = heads / shared;
        let texts = starts.len().saturating_sub(1);
        let lengths = starts.windows(2).map(|ends| ends[1] - ends[0]);
        let head: usize = lengths.map(|length| operations(length, length, depth + width)).sum();
        // As for a batch: a piece is a head of a text, or whole panels of its queries where there are too few of those.
        let wanted = self.pieces(heads * head);
        let parts = wanted.div_ceil((texts * heads).max(1));
        let together = if texts == 1 { heads_together(heads, wanted) } else { 1 };
        let mut pieces = Vec::with_capacity(texts * heads * parts);
        let mut rest = RowsMut::new(out, tokens, heads * width, heads * width).expect("output");
        for ends in starts.windows(2) {
            let (first, length) = (ends[0], ends[1] - ends[0]);
            let count = length.div_ceil(parts).next_multiple_of(self.kernels.panel_width).min(length).max(1);
            for start in (0..length).step_by(count) {
                let (mut rows, after) = rest.split_at_row(count.min(length - start));
                rest = after;
                for head in (0..heads).step_by(together) {
                    let (own, others) = rows.split_at_col(together.min(heads - head) * width);
                    rows = others;
                    pieces.push((first, length, head, start, own));
                }
            }
        }
        let one = |first: usize, length: usize, head: usize, start: usize, out: RowsMut<'_>| {
            let part = Part { batch: 0, head, first, start, queries: out.count(), keys: length };
            let task = Attention {
                q: q.head(0, head).range(first + start, out.count()),
                k: k.head(0, head / group).range(first, length),
                v: v.head(0, head / group).range(first, length),
                scale: scores.scale,
                bias: scores.bias.map(|bias| own_rows(bias, head, start, out.count(), length)),
                mask: match scores.mask {
                    HeadsMask::None => Mask::None,
                    HeadsMask::Add(mask) => Mask::Add(own_rows(mask, head, start, out.count(), length)),
                    HeadsMask::Keep { keep, fill } => {
                        Mask::Keep { keep: own_rows(keep, head, start, out.count(), length), fill }
                    }
                },
                undefined_is_zero: scores.undefined_is_zero,
                bfloat16: scores.bfloat16,
            };
            self.one_head(task, scores.relative, part, out);
        };
        self.share(wanted, pieces, |(first, length, head, start, out)| {
            each_head(head, width, out, |head, out| one(first, length, head, start, out));
        });
    }
}

/// The part of a mask or bias that some queries of a text have.
fn own_rows<'a>(over: Heads<'a>, head: usize, start: usize, count: usize, length: usize) -> Rows<'a> {
    over.head(0, head).range(start, count).columns(0, length)
}

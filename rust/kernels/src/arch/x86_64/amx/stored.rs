//! Products by matrices in few bits: some panels are widened, and multiplied as floats.

use std::mem::take;

use super::floats::{GROUP, matmul as multiply};
use super::split::VECTORS;
use super::tiles::Tiles;
use crate::RowsMut;
use crate::arch::generic::stored::widen_panel;
use crate::arch::x86_64::avx512::Avx512;
use crate::arch::x86_64::stored::Vectors512;
use crate::packed::LANES;
use crate::stored::StoredMatmul;
use crate::task::{Matmul, Scratch, lines};

#[inline(always)]
pub(super) fn matmul(
    s: Avx512,
    w: Vectors512,
    tiles: Tiles,
    task: &StoredMatmul<'_>,
    scratch: &mut Scratch,
    mut out: RowsMut<'_>,
) {
    let StoredMatmul { after, b } = task;
    let (cols, size) = (out.cols(), b.k() * VECTORS);
    // Nothing but attention uses this part of the scratch.
    let mut store = take(&mut scratch.values);
    for first in (0..b.count()).step_by(GROUP) {
        let count = GROUP.min(b.count() - first);
        let floats = lines(&mut store, count * size);
        for (panel, to) in (first..first + count).zip(floats.chunks_exact_mut(size)) {
            widen_panel::<_, _, VECTORS>(s, w, *b, panel, to);
        }
        let start = first * VECTORS * LANES;
        let width = (count * VECTORS * LANES).min(cols - start);
        let (own, others) = out.split_at_col(width);
        out = others;
        let part = Matmul {
            bias: after.bias.map(|bias| &bias[start..start + width]),
            factor: after.factor.map(|rows| rows.columns(start, width)),
            residual: after.residual.map(|rows| rows.columns(start, width)),
            left_is_packed: after.left_is_packed || first > 0,
            ..*after
        };
        multiply(s, tiles, &part, |panel| &floats[panel * size..], scratch, own);
    }
    scratch.values = store;
}

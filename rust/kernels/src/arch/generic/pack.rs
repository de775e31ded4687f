//! Left-hand rows in the order in which a register tile reads them: for each `k`, one element of every row.

use crate::Rows;
use crate::packed::{LANES, Line};

/// Writes `rows` as `[k][row]`, without gaps.
#[inline(always)]
pub(super) fn pack_left(rows: Rows<'_>, to: &mut [f32]) {
    let count = rows.count();
    for row in 0..count {
        // `skip`, not an index: rows of no elements leave nothing to index.
        for (dest, x) in to.iter_mut().skip(row).step_by(count).zip(rows.row(row)) {
            *dest = *x;
        }
    }
}

/// The floats of some lines.
#[inline(always)]
pub(super) fn floats(lines: &[Line]) -> &[f32] {
    // SAFETY: a Line is sixteen floats, and repr(C) with an alignment equal to its size leaves no gap.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * LANES) }
}

/// The floats of some lines, writable.
#[inline(always)]
pub(super) fn floats_mut(lines: &mut [Line]) -> &mut [f32] {
    // SAFETY: as in `floats`; the borrow of the lines is passed on.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LANES) }
}

//! Left-hand rows in the order in which a register tile reads them: for each `k`, one element of every row.

use super::{Simd, Vector};
use crate::Rows;
use crate::packed::{LANES, Line};

/// Lines for `rows` packed rows of `k` elements: what [`pack_left`] may write behind the last of them included.
pub(super) fn left_lines(rows: usize, k: usize) -> usize {
    (rows * k).div_ceil(LANES) + 1
}

/// Writes `rows`, sixteen at most, as `[k][row]` without gaps, and anything up to fifteen elements behind that.
///
/// By squares in registers: [104, 384] x [384, 384] with its packing takes 281 us, and 296 us if that goes element by
/// element (AVX-512, AMD EPYC 25/17, best of 15, three runs in turn).
#[inline(always)]
#[allow(clippy::needless_range_loop)] // as said below
pub(super) fn pack_left<S: Simd>(s: S, rows: Rows<'_>, to: &mut [f32]) {
    let (count, k) = (rows.count(), rows.cols());
    debug_assert!(count <= LANES);
    for first in (0..k).step_by(LANES) {
        let square = transposed(s, rows, first);
        // Sixteen steps that may end early are unrolled, and the square stays in registers.
        for step in 0..LANES {
            if step == k - first {
                break;
            }
            // Ascending, so that each vector's surplus lanes are overwritten by the next one.
            let dest = to[(first + step) * count..].first_chunk_mut::<LANES>().expect("room behind the last row");
            square[step].store(dest);
        }
    }
}

/// Writes `rows` times a factor as `[column][row]` in lines, `stride` of them from one column to the next; anything in the
/// lanes of rows that there are not.
#[inline(always)]
pub(super) fn pack_lanes<S: Simd>(s: S, rows: Rows<'_>, stride: usize, factor: f32, to: &mut [Line]) {
    let factor = s.splat(factor);
    for first in (0..rows.cols()).step_by(LANES) {
        let square = transposed(s, rows, first);
        for (line, column) in to[first * stride..].iter_mut().step_by(stride).zip(square) {
            (column * factor).store(&mut line.0);
        }
    }
}

/// Columns `first..first + 16` of up to sixteen rows, each column a vector; zeros where there is no column, and the last
/// row once more where there is no row.
///
/// A vector for each of sixteen rows, however many there are: a loop of as many keeps the square in memory.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // unrolled, as the iterators of a variable number are not
fn transposed<S: Simd>(s: S, rows: Rows<'_>, first: usize) -> [S::V; LANES] {
    let mut square = [s.splat(0.0); LANES];
    let Some(last) = rows.count().checked_sub(1) else { return square };
    if rows.cols() - first >= LANES {
        for row in 0..LANES {
            square[row] = s.load(rows.row(row.min(last))[first..].first_chunk().expect("a whole vector"));
        }
    } else {
        for row in 0..LANES {
            square[row] = s.load_part(&rows.row(row.min(last))[first..]);
        }
    }
    s.transpose(&mut square);
    square
}

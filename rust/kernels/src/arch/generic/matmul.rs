//! Matrix product: register tiles over a packed right-hand side.
//!
//! Tiles are 13 x 32 (AVX-512: 26 sums, two right-hand vectors, the left-hand element as a memory operand) and 6 x 16
//! (AVX2: 12 sums, two right-hand vectors, one broadcast; NEON: 24 sums, four and one). Fraction of the multiply-add
//! units' peak on one thread of an AMD EPYC (family 25, model 17; 118 GFLOP/s), median of 31, with the right-hand side in
//! cache, and with more of them in turn than a cache holds, from `examples/roof.rs`:
//!
//! | product, AVX-512 | cached | streamed |
//! |---|---|---|
//! | 1 row, k and n of 384 to 1536 | 58 to 77 GB/s | 19 to 25 GB/s of 31 to 36 |
//! | 7 rows | 0.84 to 0.94 | 0.70 to 0.87 |
//! | 10 and 16 rows | 0.89 to 0.95 | 0.87 to 0.93 |
//! | 80 and 160 rows | 0.85 to 0.95 | 0.85 to 0.95 |
//!
//! Prefetching the right-hand side 64 rows ahead inside the tile: at 10 streamed rows 18.5 GB/s of weights, none 15, 32
//! rows ahead 17.5, 256 rows 18.5; into the first-level cache instead of the second 10 to 20% less than without. AVX2 has
//! no spare slots and loses 8%, so it does not. Prefetching the next panel in one burst before each tile costs 7% on
//! cached and up to 30% on streamed products.

use super::activation::apply;
use super::pack::{left_lines, pack_left};
use super::{Simd, Start, Vector};
use crate::arch::floats_mut;
use crate::packed::{LANES, Line};
use crate::task::{Matmul, Scratch, lines};
use crate::{Activation, RowsMut};

/// Where a tile goes.
pub(in crate::arch) enum Place<'a, 'b> {
    /// Row by row, from the first line on.
    Lines(&'a mut [Line]),
    /// To the result itself, from a row and a column on: whole vectors of it, after the bias and the residual.
    ///
    /// Without the way through lines in memory, six layers of [80, 384] x [384, 1152] run at 0.87 of the peak, not 0.77.
    /// The residual's lines are asked for before the sums begin: [80, 384] x [384, 384] at 0.86, not 0.84.
    Result(&'a Matmul<'a>, [usize; 2], &'a mut RowsMut<'b>),
}

/// The right-hand side of a tile, rows of vectors.
pub(in crate::arch) trait Right<S: Simd> {
    /// How many rows there are; they may go on behind the tile's panel.
    fn rows<const VECTORS: usize>(&self) -> usize;
    /// Asks for what a tile comes to soon after a row.
    fn prefetch<const VECTORS: usize>(&self, s: S, row: usize);
    /// A row.
    fn row<const VECTORS: usize>(&mut self, s: S, row: usize) -> [S::V; VECTORS];
}

#[allow(clippy::needless_range_loop)] // the standard library's iterators become calls, as below
impl<S: Simd> Right<S> for &[Line] {
    #[inline(always)]
    fn rows<const VECTORS: usize>(&self) -> usize {
        self.as_chunks::<VECTORS>().0.len()
    }

    #[inline(always)]
    fn prefetch<const VECTORS: usize>(&self, s: S, row: usize) {
        let (rows, _) = self.as_chunks::<VECTORS>();
        if S::PREFETCH_AHEAD > 0 && row + S::PREFETCH_AHEAD < rows.len() {
            for j in 0..VECTORS {
                s.prefetch(&rows[row + S::PREFETCH_AHEAD][j]);
            }
        }
    }

    #[inline(always)]
    fn row<const VECTORS: usize>(&mut self, s: S, row: usize) -> [S::V; VECTORS] {
        let lines = &self.as_chunks::<VECTORS>().0[row];
        let mut vectors = [s.splat(0.0); VECTORS];
        for j in 0..VECTORS {
            vectors[j] = s.load(&lines[j].0);
        }
        vectors
    }
}

/// Sums `a[k][row] * b[k][col]` over `k` for a tile that stays in registers, and puts it into its place.
///
/// `k` ascends, one fused multiply-add each, whatever the tile's size: an element's bits do not depend on the rows
/// and columns that happen to be computed with it.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // the standard library's iterators become calls, as below
pub(in crate::arch) fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
    s: S,
    a: &[f32],
    mut b: impl Right<S>,
    to: Place<'_, '_>,
    start: Start,
) {
    let (a, _) = a.as_chunks::<ROWS>();
    let mut sums = [[s.splat(0.0); VECTORS]; ROWS];
    if start == Start::Sums
        && let Place::Lines(from) = &to
    {
        let (from, _) = from.as_chunks::<VECTORS>();
        for i in 0..ROWS {
            for j in 0..VECTORS {
                sums[i][j] = s.load(&from[i][j].0);
            }
        }
    }
    if let Place::Result(Matmul { residual: Some(residual), .. }, [first_row, first_col], _) = &to {
        for i in 0..ROWS {
            let row = &residual.row(first_row + i)[*first_col..];
            for j in 0..VECTORS {
                s.prefetch_first(&row[j * LANES]);
            }
        }
    }
    // By index: the standard library's zip becomes a call, around which no vector stays in a register.
    // Four steps between two looks at the counter gain nothing: 0.82 of the peak, not 0.84, and 0.76 with prefetches in between.
    for k in 0..a.len().min(b.rows::<VECTORS>()) {
        b.prefetch::<VECTORS>(s, k);
        let right: [S::V; VECTORS] = b.row(s, k);
        for i in 0..ROWS {
            let left = s.splat(a[k][i]);
            for j in 0..VECTORS {
                sums[i][j] = left.mul_add(right[j], sums[i][j]);
            }
        }
    }
    match to {
        Place::Lines(to) => {
            let to = to.as_chunks_mut::<VECTORS>().0.first_chunk_mut::<ROWS>().expect("room for the tile");
            for i in 0..ROWS {
                for j in 0..VECTORS {
                    sums[i][j].store(&mut to[i][j].0);
                }
            }
        }
        Place::Result(task, [first_row, first_col], out) => {
            if let Some(bias) = task.bias {
                let (bias, _) = bias[first_col..].as_chunks::<LANES>();
                let bias = bias.first_chunk::<VECTORS>().expect("whole vectors of bias");
                for j in 0..VECTORS {
                    let bias = s.load(&bias[j]);
                    for i in 0..ROWS {
                        sums[i][j] = sums[i][j] + bias;
                    }
                }
            }
            if let Some(residual) = task.residual {
                for i in 0..ROWS {
                    let (row, _) = residual.row(first_row + i)[first_col..].as_chunks::<LANES>();
                    let row = row.first_chunk::<VECTORS>().expect("whole vectors of the residual");
                    for j in 0..VECTORS {
                        sums[i][j] = sums[i][j] + s.load(&row[j]);
                    }
                }
            }
            for i in 0..ROWS {
                let (row, _) = out.row(first_row + i)[first_col..].as_chunks_mut::<LANES>();
                let row = row.first_chunk_mut::<VECTORS>().expect("whole vectors of the result");
                for j in 0..VECTORS {
                    sums[i][j].store(&mut row[j]);
                }
            }
        }
    }
}

/// The tile height that cuts `rows` into the fewest tiles, of nearly equal height.
#[inline(always)]
pub(in crate::arch) fn balanced(rows: usize, most: usize) -> usize {
    rows.div_ceil(rows.div_ceil(most).max(1))
}

#[inline(always)]
pub(in crate::arch) fn matmul<S: Simd>(s: S, task: &Matmul<'_>, scratch: &mut Scratch, mut out: RowsMut<'_>) {
    let (rows, k) = (out.count(), task.b.k());
    if rows == 0 || out.cols() == 0 {
        return;
    }
    let height = balanced(rows, S::TILE_ROWS);
    let left = floats_mut(lines(&mut scratch.left, left_lines(rows, k)));
    for first in (0..rows).step_by(height).filter(|_| !task.left_is_packed) {
        pack_left(s, task.a.range(first, height.min(rows - first)), &mut left[first * k..]);
    }
    let sums = lines(&mut scratch.tile, S::TILE_ROWS * S::TILE_VECTORS);
    let is_plain = task.activation == Activation::Identity && task.factor.is_none();
    let width = S::TILE_VECTORS * LANES;
    for panel in 0..task.b.count() {
        let column = panel * width;
        for first in (0..rows).step_by(height) {
            let count = height.min(rows - first);
            let (a, b) = (&left[first * k..(first + count) * k], task.b.onward(panel));
            if is_plain && column + width <= out.cols() {
                s.tile(count, S::TILE_VECTORS, a, b, Place::Result(task, [first, column], &mut out), Start::Zero);
            } else {
                s.tile(count, S::TILE_VECTORS, a, b, Place::Lines(&mut *sums), Start::Zero);
                finish(s, task, [first, count], column, sums, &mut out);
            }
        }
    }
}

/// The epilogue: bias, activation and residual on a tile that has just been written, while it is in the first-level cache.
///
/// One loop for each activation: decided at every vector, [80, 384] x [384, 1536] with GELU runs at 0.77 of the peak, not
/// 0.85; and whole vectors apart from the last ones of a row, which is worth 0.04.
#[inline(always)]
pub(in crate::arch) fn finish<S: Simd>(
    s: S,
    task: &Matmul<'_>,
    place: [usize; 2],
    first_col: usize,
    sums: &[Line],
    out: &mut RowsMut<'_>,
) {
    macro_rules! cases {
        ($($name:ident)*) => {
            match task.activation {
                $(Activation::$name => finish_with(s, task, Activation::$name, place, first_col, sums, out),)*
            }
        };
    }
    cases!(Identity Relu Gelu GeluTanh Sigmoid Silu Tanh CoarseGelu CoarseGeluTanh);
}

#[inline(always)]
#[allow(clippy::manual_map)] // a closure may become a call for each row
fn finish_with<S: Simd>(
    s: S,
    task: &Matmul<'_>,
    activation: Activation,
    [first_row, rows]: [usize; 2],
    first_col: usize,
    sums: &[Line],
    out: &mut RowsMut<'_>,
) {
    let cols = out.cols();
    if first_col + S::TILE_VECTORS * LANES <= cols {
        let bias = match task.bias {
            Some(bias) => Some(vectors_from(bias, first_col)),
            None => None,
        };
        for index in 0..rows {
            let row = first_row + index;
            let (dest, _) = out.row(row)[first_col..].as_chunks_mut::<LANES>();
            let factor = match task.factor {
                Some(factor) => Some(vectors_from(factor.row(row), first_col)),
                None => None,
            };
            let residual = match task.residual {
                Some(residual) => Some(vectors_from(residual.row(row), first_col)),
                None => None,
            };
            for vector in 0..S::TILE_VECTORS {
                let mut x = s.load(&sums[index * S::TILE_VECTORS + vector].0);
                if let Some(bias) = bias {
                    x = x + s.load(&bias[vector]);
                }
                x = apply(s, activation, x);
                if let Some(factor) = factor {
                    x = x * s.load(&factor[vector]);
                }
                if let Some(residual) = residual {
                    x = x + s.load(&residual[vector]);
                }
                x.store(&mut dest[vector]);
            }
        }
        return;
    }
    for index in 0..rows {
        let row = first_row + index;
        let dest = out.row(row);
        for vector in 0..S::TILE_VECTORS {
            let start = first_col + vector * LANES;
            if start >= cols {
                break;
            }
            let end = cols.min(start + LANES);
            let mut x = s.load(&sums[index * S::TILE_VECTORS + vector].0);
            if let Some(bias) = task.bias {
                x = x + s.load_part(&bias[start..end]);
            }
            x = apply(s, activation, x);
            if let Some(factor) = task.factor {
                x = x * s.load_part(&factor.row(row)[start..end]);
            }
            if let Some(residual) = task.residual {
                x = x + s.load_part(&residual.row(row)[start..end]);
            }
            x.store_part(&mut dest[start..end]);
        }
    }
}

/// The whole vectors of a row from a column on.
#[inline(always)]
fn vectors_from(row: &[f32], first: usize) -> &[[f32; LANES]] {
    row[first..].as_chunks::<LANES>().0
}

#[cfg(test)]
mod tests {
    use super::balanced;
    use crate::arch::floats_mut;
    use crate::packed::Line;

    #[test]
    fn tiles_are_nearly_equal_and_cover_all_rows() {
        for rows in 1..200 {
            for most in [6, 13] {
                let height = balanced(rows, most);
                assert!(height <= most, "{rows} by {most}");
                assert_eq!(rows.div_ceil(height), rows.div_ceil(most), "{rows} by {most}");
            }
        }
    }

    #[test]
    fn lines_read_as_floats_in_order() {
        let mut lines = [Line([1.0; 16]), Line([2.0; 16])];
        assert_eq!(floats_mut(&mut lines)[15..17], [1.0, 2.0]);
    }
}

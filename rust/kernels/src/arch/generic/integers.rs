//! Products in integers, over sixteen columns at a time; the instruction that sums is a type that implements [`Dots`].
//!
//! The left-hand groups are packed as float rows are, and tiles are cut alike. An element's sum is exact whatever the
//! instruction, so that only the epilogue, in floats, needs an order; it is that of the float kernel.

use super::matmul::{balanced, finish};
use super::pack::{left_lines, pack_left};
use super::{Simd, Vector};
use crate::arch::floats_mut;
use crate::integers::{GROUP, IntegerMatmul, RowScale};
use crate::packed::{LANES, Line};
use crate::task::{Matmul, Scratch, lines};
use crate::{Activation, Rows, RowsMut};

/// Evidence of the instructions that sum products of bytes, beside those that `S` has.
pub(in crate::arch) trait Dots<S: Simd>: Copy {
    /// Sixteen 32-bit integers.
    type Sums: Copy;
    /// Four weights for each of sixteen columns.
    type Weights: Copy;
    /// Four elements of one row, for every column.
    type Left: Copy;
    /// Rows of the largest tile.
    const ROWS: usize;
    /// Whether the left-hand bytes are signed where they meet [`Dots::dot`]: 128 less than they stand for.
    const IS_SIGNED: bool = false;

    /// `factors * by`, modulo 2^32.
    fn times(self, factors: &[i32; LANES], by: &i32) -> Self::Sums;
    /// `sums + others`, modulo 2^32.
    fn plus(self, sums: Self::Sums, others: Self::Sums) -> Self::Sums;
    fn weights(self, line: &Line) -> Self::Weights;
    fn left(self, group: &f32) -> Self::Left;
    /// `sums + left * weights`, the four products of each column summed without rounding or saturation.
    fn dot(self, sums: Self::Sums, left: Self::Left, weights: Self::Weights) -> Self::Sums;
    /// The nearest floats, ties to even.
    fn floats(self, s: S, sums: Self::Sums) -> S::V;
    /// Numbers from 0 to 2^31 as bytes in order, rounded to the nearest, ties to even, and 255 where that is over it.
    fn bytes(self, x: S::V, to: &mut [f32; LANES / GROUP]);
    /// The same of four vectors of numbers from -2^15 to 2^15, and 0 for what is below it and for NaN.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // as in `tile`
    fn bytes_of_four(self, s: S, x: [S::V; GROUP], to: &mut [f32; LANES]) {
        let (to, _) = to.as_chunks_mut();
        for index in 0..GROUP {
            self.bytes(x[index].max(s.splat(0.0)), &mut to[index]);
        }
    }
    /// Runs the register tile of `rows` rows: see [`tile`].
    fn tile(self, s: S, rows: usize, a: &[f32], b: &[Line], part: &Part<'_>, to: Place<'_, '_>);
}

/// A segment of the left-hand rows, and what is to be known of it where it meets a panel.
pub(in crate::arch) struct Part<'a> {
    /// How the tile's rows were quantised.
    rows: &'a [RowScale],
    /// Groups of the segment.
    groups: usize,
    /// Sums and zeros of the tile's columns, with their signs turned.
    sums: &'a [i32],
    zeros: Option<&'a [i32]>,
    /// Steps and biases of its columns, behind the last segment.
    last: Option<(&'a [f32], &'a [f32])>,
}

/// Where the floats of a tile go.
pub(in crate::arch) enum Place<'a, 'b> {
    /// Into lines, row by row.
    First(&'a mut [Line]),
    /// Into lines that hold those of the segments before, which they are added to.
    Next(&'a mut [Line]),
    /// Added to the segments before, if there are, and to the residual, if there is one, to the result itself, from a row
    /// and a column on.
    Result(Option<&'a [Line]>, Option<Rows<'a>>, [usize; 2], &'a mut RowsMut<'b>),
}

/// Sums `(a[group][row] - zero[row]) . b[group][col]` over the groups of a segment for a tile that stays in registers, and
/// puts what the sums stand for into its place. `b` may go on behind the segment: that is only prefetched.
///
/// Nothing goes through memory between the sums and the result of a segment, and no branch stands between two vectors:
/// they would be indexed by a variable then, and be cleared, kept and read in memory.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // the standard library's iterators become calls, as below
pub(in crate::arch) fn tile<S: Simd, D: Dots<S>, const ROWS: usize, const VECTORS: usize>(
    s: S,
    d: D,
    a: &[f32],
    b: &[Line],
    part: &Part<'_>,
    to: Place<'_, '_>,
) {
    let (a, b) = (&a.as_chunks::<ROWS>().0[..part.groups], b.as_chunks::<VECTORS>().0);
    let (b, ahead) = (&b[..part.groups], b.get(S::PREFETCH_AHEAD..).unwrap_or_default());
    let own = part.rows.first_chunk::<ROWS>().expect("scales of the tile's rows");
    let mut sums = [[d.times(&[0; LANES], &0); VECTORS]; ROWS];
    let less = if D::IS_SIGNED { 128 } else { 0 };
    // The zeros of rows and columns before the products: an addition less for each.
    for j in 0..VECTORS {
        let of_columns = sixteen(&part.sums[j * LANES..]);
        for i in 0..ROWS {
            sums[i][j] = d.times(of_columns, &own[i].zero.wrapping_sub(less));
        }
    }
    if let Some(zeros) = part.zeros {
        for j in 0..VECTORS {
            let zeros = sixteen(&zeros[j * LANES..]);
            for i in 0..ROWS {
                sums[i][j] = d.plus(sums[i][j], d.times(zeros, &own[i].excess));
            }
        }
    }
    // By index: the standard library's zip becomes a call, around which no vector stays in a register.
    for group in 0..part.groups {
        if S::PREFETCH_AHEAD > 0 && group < ahead.len() {
            for j in 0..VECTORS {
                s.prefetch(&ahead[group][j]);
            }
        }
        let mut right = [d.weights(&b[group][0]); VECTORS];
        for j in 1..VECTORS {
            right[j] = d.weights(&b[group][j]);
        }
        for i in 0..ROWS {
            let left = d.left(&a[group][i]);
            for j in 0..VECTORS {
                sums[i][j] = d.dot(sums[i][j], left, right[j]);
            }
        }
    }
    let mut x = [[s.splat(0.0); VECTORS]; ROWS];
    let before = match &to {
        Place::First(_) => None,
        Place::Next(lines) => Some(&**lines),
        Place::Result(lines, ..) => *lines,
    };
    if let Some(before) = before {
        let before = before.as_chunks::<VECTORS>().0.first_chunk::<ROWS>().expect("room for the tile");
        for i in 0..ROWS {
            let scale = s.splat(own[i].scale);
            for j in 0..VECTORS {
                x[i][j] = d.floats(s, sums[i][j]).mul_add(scale, s.load(&before[i][j].0));
            }
        }
    } else {
        for i in 0..ROWS {
            let scale = s.splat(own[i].scale);
            for j in 0..VECTORS {
                x[i][j] = d.floats(s, sums[i][j]) * scale;
            }
        }
    }
    if let Some((scales, biases)) = part.last {
        for j in 0..VECTORS {
            let (scale, bias) = (s.load(sixteen(&scales[j * LANES..])), s.load(sixteen(&biases[j * LANES..])));
            for i in 0..ROWS {
                x[i][j] = x[i][j].mul_add(scale, bias);
            }
        }
    }
    match to {
        Place::First(lines) | Place::Next(lines) => {
            let lines = lines.as_chunks_mut::<VECTORS>().0.first_chunk_mut::<ROWS>().expect("room for the tile");
            for i in 0..ROWS {
                for j in 0..VECTORS {
                    x[i][j].store(&mut lines[i][j].0);
                }
            }
        }
        Place::Result(_, residual, [first_row, first_col], out) => {
            if let Some(residual) = residual {
                for i in 0..ROWS {
                    let (row, _) = residual.row(first_row + i)[first_col..].as_chunks::<LANES>();
                    let row = row.first_chunk::<VECTORS>().expect("whole vectors of the residual");
                    for j in 0..VECTORS {
                        x[i][j] = x[i][j] + s.load(&row[j]);
                    }
                }
            }
            for i in 0..ROWS {
                let (row, _) = out.row(first_row + i)[first_col..].as_chunks_mut::<LANES>();
                let row = row.first_chunk_mut::<VECTORS>().expect("whole vectors of the result");
                for j in 0..VECTORS {
                    x[i][j].store(&mut row[j]);
                }
            }
        }
    }
}

#[inline(always)]
pub(in crate::arch) fn matmul<S: Simd, D: Dots<S>>(
    s: S,
    d: D,
    task: &IntegerMatmul<'_>,
    scratch: &mut Scratch,
    mut out: RowsMut<'_>,
) {
    let (rows, groups) = (out.count(), task.after.a.cols());
    if rows == 0 || out.cols() == 0 {
        return;
    }
    let height = balanced(rows, D::ROWS);
    let left = floats_mut(lines(&mut scratch.left, left_lines(rows, groups)));
    for first in (0..rows).step_by(height) {
        pack_left(s, task.after.a.range(first, height.min(rows - first)), &mut left[first * groups..]);
    }
    if D::IS_SIGNED {
        // Here once, and not in every tile.
        left[..rows * groups].iter_mut().for_each(|group| *group = f32::from_bits(group.to_bits() ^ 0x8080_8080));
    }
    let vectors = S::TILE_VECTORS;
    let width = vectors * LANES;
    let (floats, biases) = lines(&mut scratch.tile, (D::ROWS + 1) * vectors).split_at_mut(D::ROWS * vectors);
    let biases = floats_mut(biases);
    let segments = task.b.segments();
    // The tile adds the bias.
    let after = Matmul { bias: None, ..task.after };
    let is_plain = after.activation == Activation::Identity && after.factor.is_none();
    for panel in 0..task.b.groups.count() {
        let first_col = panel * width;
        let is_whole = first_col + width <= out.cols();
        biases.fill(0.0);
        if let Some(bias) = task.after.bias {
            let own = &bias[first_col..bias.len().min(first_col + width)];
            biases[..own.len()].copy_from_slice(own);
        }
        let panels = task.b.groups.onward(panel);
        for first in (0..rows).step_by(height) {
            let count = height.min(rows - first);
            if segments == 0 {
                floats.chunks_exact_mut(vectors).for_each(|row| floats_mut(row).copy_from_slice(biases));
            }
            for segment in 0..segments {
                let range = task.b.groups_of(segment);
                let own = &left[first * groups + range.start * count..first * groups + range.end * count];
                let is_last = segment + 1 == segments;
                let part = Part {
                    rows: &task.rows[segment * rows + first..][..count],
                    groups: range.len(),
                    sums: task.b.sums(segment, first_col),
                    zeros: task.b.zeros(first_col),
                    last: is_last.then(|| (task.b.scales(first_col), &*biases)),
                };
                let place = if is_last && is_plain && is_whole {
                    Place::Result((segment > 0).then_some(&*floats), after.residual, [first, first_col], &mut out)
                } else if segment == 0 {
                    Place::First(floats)
                } else {
                    Place::Next(floats)
                };
                d.tile(s, count, own, &panels[range.start * vectors..], &part, place);
            }
            if segments == 0 || !is_plain || !is_whole {
                finish(s, &after, [first, count], first_col, floats, &mut out);
            }
        }
    }
}

#[inline(always)]
fn sixteen<T>(from: &[T]) -> &[T; LANES] {
    from.first_chunk().expect("numbers of columns up to the end of a panel")
}

/// Calls the register tile compiled for a number of rows known only at run time.
macro_rules! rows_of_tile {
    ($s:ident, $d:ident, $rows:ident, $vectors:literal, $a:ident, $b:ident, $part:ident, $to:ident; $($n:literal)*) => {
        match $rows {
            $($n => tile::<_, _, $n, $vectors>($s, $d, $a, $b, $part, $to),)*
            _ => unreachable!("a tile of {} rows", $rows),
        }
    };
}

/// Sixteen integers in plain loops, for CPUs whose vector instructions have no kernel of their own here.
#[derive(Clone, Copy)]
pub(in crate::arch) struct Plain;

impl<S: Simd> Dots<S> for Plain {
    type Sums = [i32; LANES];
    type Weights = [f32; LANES];
    type Left = [u8; GROUP];
    const ROWS: usize = 4;

    #[inline(always)]
    fn times(self, factors: &[i32; LANES], by: &i32) -> [i32; LANES] {
        factors.map(|factor| factor.wrapping_mul(*by))
    }

    #[inline(always)]
    fn plus(self, mut sums: [i32; LANES], others: [i32; LANES]) -> [i32; LANES] {
        sums.iter_mut().zip(others).for_each(|(sum, other)| *sum = sum.wrapping_add(other));
        sums
    }

    #[inline(always)]
    fn weights(self, line: &Line) -> [f32; LANES] {
        line.0
    }

    #[inline(always)]
    fn left(self, group: &f32) -> [u8; GROUP] {
        group.to_bits().to_ne_bytes()
    }

    #[inline(always)]
    fn dot(self, mut sums: [i32; LANES], left: [u8; GROUP], weights: [f32; LANES]) -> [i32; LANES] {
        for (sum, group) in sums.iter_mut().zip(weights) {
            for (a, b) in left.into_iter().zip(group.to_bits().to_ne_bytes()) {
                *sum = sum.wrapping_add(i32::from(a) * i32::from(b as i8));
            }
        }
        sums
    }

    #[inline(always)]
    fn floats(self, s: S, sums: [i32; LANES]) -> S::V {
        s.load(&sums.map(|sum| sum as f32))
    }

    #[inline(always)]
    fn bytes(self, x: S::V, to: &mut [f32; LANES / GROUP]) {
        let mut floats = [0.0; LANES];
        x.store(&mut floats);
        for (to, four) in to.iter_mut().zip(floats.as_chunks::<GROUP>().0) {
            *to = f32::from_bits(u32::from_ne_bytes(four.map(|x| x.round_ties_even() as u8)));
        }
    }

    #[inline(always)]
    fn tile(self, s: S, rows: usize, a: &[f32], b: &[Line], part: &Part<'_>, to: Place<'_, '_>) {
        if S::TILE_VECTORS == 1 {
            rows_of_tile!(s, self, rows, 1, a, b, part, to; 1 2 3 4);
        } else {
            rows_of_tile!(s, self, rows, 2, a, b, part, to; 1 2 3 4);
        }
    }
}

/// Makes the kernels of one instruction, each compiled for the features it is made of.
macro_rules! integer_kernels {
    ($name:literal, $features:literal, $simd:expr, $dots:expr) => {{
        fn matmul(task: &IntegerMatmul<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
            #[target_feature(enable = $features)]
            fn inner(task: &IntegerMatmul<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
                integers::matmul($simd, $dots, task, scratch, out);
            }
            // SAFETY: reached only through kernels that are handed out after detecting the features.
            unsafe { inner(task, scratch, out) }
        }
        fn quantise(task: &Quantise<'_>, rows: &mut [RowScale], groups: &mut [f32]) {
            #[target_feature(enable = $features)]
            fn inner(task: &Quantise<'_>, rows: &mut [RowScale], groups: &mut [f32]) {
                quantise::quantise($simd, $dots, task, rows, groups);
            }
            // SAFETY: as above.
            unsafe { inner(task, rows, groups) }
        }
        IntegerKernels::new($name, matmul, quantise)
    }};
}

pub(in crate::arch) use integer_kernels;
pub(in crate::arch) use rows_of_tile;

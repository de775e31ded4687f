//! Products in integers, over sixteen columns at a time; the instruction that sums is a type that implements [`Dots`].
//!
//! The left-hand groups are packed as float rows are, and tiles are cut alike. An element's sum is exact whatever the
//! instruction, so that only the epilogue, in floats, needs an order; it is that of the float kernel.

use super::matmul::{balanced, finish, load_part};
use super::pack::{floats_mut, left_lines, pack_left};
use super::{Simd, Vector};
use crate::integers::{GROUP, IntegerMatmul, Quantise, Range, RowScale};
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
    // The zeros of rows and columns before the products: an addition less for each.
    for j in 0..VECTORS {
        let of_columns = sixteen(&part.sums[j * LANES..]);
        for i in 0..ROWS {
            sums[i][j] = d.times(of_columns, &own[i].zero);
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

/// Sixteen rows at a time: what is one number for a segment of a row is a lane of a vector then.
///
/// One row after another, with a chain of scalar instructions for its range and its sum, this took 10 to 14% of
/// all-MiniLM-L6-v2 in integers.
#[inline(always)]
pub(in crate::arch) fn quantise<S: Simd, D: Dots<S>>(
    s: S,
    d: D,
    task: &Quantise<'_>,
    rows: &mut [RowScale],
    groups: &mut [f32],
) {
    let Quantise { x, segment, range, with_excess } = *task;
    let (cols, width, segments) = (x.cols(), x.cols().div_ceil(GROUP), x.cols().div_ceil(segment));
    // By index: the standard library's iterators become calls, around which no vector stays in a register.
    for first in (0..x.count()).step_by(LANES) {
        let own = x.range(first, LANES.min(x.count() - first));
        for number in 0..segments {
            let columns = [number * segment, cols.min((number + 1) * segment)];
            let steps = match range {
                Range::Own => ranges(s, own, columns),
                Range::Fixed { scale, zero } => fixed(s, own, columns, scale, zero),
            };
            let to = &mut rows[number * x.count() + first..][..own.count()];
            for (row, to) in to.iter_mut().enumerate() {
                let at = (first + row) * width + columns[0] / GROUP;
                let groups = &mut groups[at..at + (columns[1] - columns[0]).div_ceil(GROUP)];
                one_segment(s, d, &own.row(row)[columns[0]..columns[1]], &steps, row, groups);
                let zero = steps.zero[row] as i32;
                // A branch for each segment, as most weights need no such sum.
                let sum = if with_excess { sum_of(groups) - zero * (columns[1] - columns[0]) as i32 } else { 0 };
                *to = RowScale { scale: steps.scale[row], zero, excess: sum };
            }
        }
    }
}

/// The sum of all bytes.
#[inline(always)]
fn sum_of(groups: &[f32]) -> i32 {
    groups.iter().flat_map(|group| group.to_bits().to_ne_bytes()).map(i32::from).sum()
}

/// How the segments of sixteen rows become integers: `round(x * factor + zero)`, or `round(x / scale) + zero` where that is
/// asked for; a scale of NaN, and nothing but zeros, where a row has no such numbers.
struct StepsOfRows {
    scale: [f32; LANES],
    factor: [f32; LANES],
    zero: [f32; LANES],
    divide: bool,
}

/// Joins the lanes of each vector; lane `i` of the result is that of vector `i`. Whatever order gives the same.
#[inline(always)]
fn joined<S: Simd>(s: S, vectors: &mut [S::V; LANES], join: impl Fn(S::V, S::V) -> S::V) -> S::V {
    s.transpose(vectors);
    let mut all = vectors[0];
    for vector in &vectors[1..] {
        all = join(all, *vector);
    }
    all
}

/// Writes the groups of a segment of row `row`.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // as in `tile`
fn one_segment<S: Simd, D: Dots<S>>(s: S, d: D, x: &[f32], steps: &StepsOfRows, row: usize, groups: &mut [f32]) {
    let (whole, rest) = x.as_chunks::<LANES>();
    let (own, last) = groups.as_chunks_mut::<{ LANES / GROUP }>();
    let (scale, factor, zero) = (s.splat(steps.scale[row]), s.splat(steps.factor[row]), s.splat(steps.zero[row]));
    let most = s.splat(255.0);
    // Zero is the integer of a NaN: `max` in this order gives its other argument. What is above 255 by its own range is so
    // by a rounding, which the bytes take back.
    let integers = |x: S::V| {
        if steps.divide {
            ((x / scale).round() + zero).max(s.splat(0.0)).min(most)
        } else {
            x.mul_add(factor, zero).max(s.splat(0.0))
        }
    };
    for index in 0..whole.len() {
        d.bytes(integers(s.load(&whole[index])), &mut own[index]);
    }
    if !rest.is_empty() {
        let mut padded = [0.0; LANES];
        integers(load_part(s, rest)).store(&mut padded);
        padded[rest.len()..].fill(0.0);
        let mut four = [0.0; LANES / GROUP];
        d.bytes(s.load(&padded), &mut four);
        // More than twelve elements fill all four groups.
        match own.get_mut(whole.len()) {
            Some(own) => *own = four,
            None => last.copy_from_slice(&four[..last.len()]),
        }
    }
}

/// Steps by the rows' own ranges, as [`crate::arch::scalar::integers::steps`] has them.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // as in `tile`
fn ranges<S: Simd>(s: S, rows: Rows<'_>, [start, end]: [usize; 2]) -> StepsOfRows {
    let zero = s.splat(0.0);
    let (mut least, mut most, mut rest) = ([zero; LANES], [zero; LANES], [zero; LANES]);
    for row in 0..rows.count() {
        let (whole, part) = rows.row(row)[start..end].as_chunks::<LANES>();
        // NaN and infinity times zero are NaN, and stay.
        let x = if part.is_empty() { zero } else { load_part(s, part) };
        let (mut low, mut high, mut none) = (x.min(zero), x.max(zero), x * zero);
        for index in 0..whole.len() {
            let x = s.load(&whole[index]);
            low = x.min(low);
            high = x.max(high);
            none = x.mul_add(zero, none);
        }
        (least[row], most[row], rest[row]) = (low, high, none);
    }
    let least = joined(s, &mut least, |a, b| a.min(b));
    let most = joined(s, &mut most, |a, b| a.max(b));
    let rest = joined(s, &mut rest, |a, b| a + b);
    let all = s.splat(255.0);
    let scale = most / all - least / all;
    // Below, the factor would not be a number: such a segment is zero.
    let smallest = s.splat(f32::MIN_POSITIVE);
    let factor = scale.where_less(smallest, zero, s.splat(1.0) / scale);
    let shift = ((zero - least) * factor).round().max(zero).min(all);
    let scale = scale.where_less(smallest, zero, scale);
    let mut steps = StepsOfRows { scale: [0.0; LANES], factor: [0.0; LANES], zero: [0.0; LANES], divide: false };
    rest.where_nan(s.splat(f32::NAN), scale).store(&mut steps.scale);
    rest.where_nan(zero, factor).store(&mut steps.factor);
    rest.where_nan(zero, shift).store(&mut steps.zero);
    steps
}

/// The given scale and zero, and a scale of NaN for rows that have a NaN.
#[inline(always)]
fn fixed<S: Simd>(s: S, rows: Rows<'_>, [start, end]: [usize; 2], scale: f32, zero: u8) -> StepsOfRows {
    let mut steps =
        StepsOfRows { scale: [scale; LANES], factor: [0.0; LANES], zero: [f32::from(zero); LANES], divide: true };
    let mut rests = [s.splat(0.0); LANES];
    for (row, rest) in rests.iter_mut().enumerate().take(rows.count()) {
        for part in rows.row(row)[start..end].chunks(LANES) {
            *rest = load_part(s, part).where_nan(s.splat(f32::NAN), *rest);
        }
    }
    let rest = joined(s, &mut rests, |a, b| a + b);
    rest.where_nan(s.splat(f32::NAN), s.splat(scale)).store(&mut steps.scale);
    rest.where_nan(s.splat(0.0), s.splat(f32::from(zero))).store(&mut steps.zero);
    steps
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
                integers::quantise($simd, $dots, task, rows, groups);
            }
            // SAFETY: as above.
            unsafe { inner(task, rows, groups) }
        }
        IntegerKernels::new($name, matmul, quantise)
    }};
}

pub(in crate::arch) use integer_kernels;
#[cfg(target_arch = "x86_64")]
pub(in crate::arch) use rows_of_tile;

//! Products in integers, over sixteen columns at a time; the instruction that sums is a type that implements [`Dots`].
//!
//! The left-hand groups are packed as float rows are, and tiles are cut alike. An element's sum is exact whatever the
//! instruction, so that only the epilogue, in floats, needs an order; it is that of the float kernel.

use super::matmul::{balanced, finish, load_part};
use super::pack::{floats_mut, left_lines, pack_left};
use super::reduction::total;
use super::{Simd, Vector};
use crate::arch::scalar::integers::steps;
use crate::integers::{GROUP, IntegerMatmul, Range, RowScale};
use crate::packed::{LANES, Line};
use crate::task::{Scratch, lines};
use crate::{Rows, RowsMut};

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

    fn zeros(self) -> Self::Sums;
    fn weights(self, line: &Line) -> Self::Weights;
    fn left(self, group: &f32) -> Self::Left;
    /// `sums + left * weights`, the four products of each column summed without rounding or saturation.
    fn dot(self, sums: Self::Sums, left: Self::Left, weights: Self::Weights) -> Self::Sums;
    /// `sums - factors * by`, modulo 2^32.
    fn less(self, sums: Self::Sums, factors: &[i32; LANES], by: i32) -> Self::Sums;
    /// The nearest floats, ties to even.
    fn floats(self, s: S, sums: Self::Sums) -> S::V;
    /// Whole numbers from 0 to 255 as bytes, in order.
    fn bytes(self, x: S::V, to: &mut [f32; LANES / GROUP]);
    /// Puts the bits of sums into a line, and takes them out again.
    fn put(self, sums: Self::Sums, to: &mut Line);
    fn take(self, from: &Line) -> Self::Sums;
    /// Runs the register tile of `rows` rows: see [`tile`].
    fn tile(self, s: S, rows: usize, a: &[f32], b: &[Line], to: &mut [Line]);
}

/// Sums `a[group][row] . b[group][col]` over the groups of a segment for a tile that stays in registers, and puts the bits
/// of the sums into `to`, row by row.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // the standard library's iterators become calls, as below
pub(in crate::arch) fn tile<S: Simd, D: Dots<S>, const ROWS: usize, const VECTORS: usize>(
    s: S,
    d: D,
    a: &[f32],
    b: &[Line],
    to: &mut [Line],
) {
    let (a, _) = a.as_chunks::<ROWS>();
    let (b, _) = b.as_chunks::<VECTORS>();
    let groups = a.len().min(b.len());
    let mut sums = [[d.zeros(); VECTORS]; ROWS];
    // By index: the standard library's zip becomes a call, around which no vector stays in a register.
    for group in 0..groups {
        if S::PREFETCH_AHEAD > 0 && group + S::PREFETCH_AHEAD < b.len() {
            for j in 0..VECTORS {
                s.prefetch(&b[group + S::PREFETCH_AHEAD][j]);
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
    // Nothing but this: with branches between the sums they would be indexed by a variable, and be cleared, kept and read
    // in memory.
    let to = to.as_chunks_mut::<VECTORS>().0.first_chunk_mut::<ROWS>().expect("room for the tile");
    for i in 0..ROWS {
        for j in 0..VECTORS {
            d.put(sums[i][j], &mut to[i][j]);
        }
    }
}

/// What becomes of the sums of a tile over a segment.
struct After<'a> {
    /// How its first row was quantised, and those of the others `stride` further each.
    rows: &'a [RowScale],
    stride: usize,
    /// Sums and zeros of its columns.
    sums: &'a [i32],
    zeros: Option<&'a [i32]>,
    /// Whether they are the first of their elements; else they are added to what is there.
    is_first: bool,
    /// Steps of its columns, behind the last segment.
    scales: Option<&'a [f32]>,
}

impl After<'_> {
    /// Adds the floats that the sums of `rows` rows stand for to those of the segments before.
    #[inline(always)]
    fn add<S: Simd, D: Dots<S>>(&self, s: S, d: D, rows: usize, sums: &[Line], to: &mut [Line]) {
        let vectors = S::TILE_VECTORS;
        for i in 0..rows {
            let RowScale { scale, zero, excess } = self.rows[i * self.stride];
            for j in 0..vectors {
                let (at, columns) = (i * vectors + j, j * LANES);
                let mut sum = d.less(d.take(&sums[at]), sixteen(&self.sums[columns..]), zero);
                if let Some(zeros) = self.zeros {
                    sum = d.less(sum, sixteen(&zeros[columns..]), excess);
                }
                let before = if self.is_first { s.splat(0.0) } else { s.load(&to[at].0) };
                let mut x = d.floats(s, sum).mul_add(s.splat(scale), before);
                if let Some(scales) = self.scales {
                    x = x * s.load(sixteen(&scales[columns..]));
                }
                x.store(&mut to[at].0);
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
    let (floats, sums) = lines(&mut scratch.tile, 2 * D::ROWS * vectors).split_at_mut(D::ROWS * vectors);
    let segments = task.b.segments();
    for panel in 0..task.b.groups.count() {
        let first_col = panel * vectors * LANES;
        for first in (0..rows).step_by(height) {
            let count = height.min(rows - first);
            if segments == 0 {
                floats.fill(Line::default());
            }
            for segment in 0..segments {
                let range = task.b.groups_of(segment);
                let own = &left[first * groups + range.start * count..first * groups + range.end * count];
                let after = After {
                    rows: &task.rows[first * segments + segment..],
                    stride: segments,
                    sums: task.b.sums(segment, first_col),
                    zeros: task.b.zeros(first_col),
                    is_first: segment == 0,
                    scales: (segment + 1 == segments).then(|| task.b.scales(first_col)),
                };
                d.tile(s, count, own, &task.b.groups.onward(panel)[range.start * vectors..], sums);
                after.add(s, d, count, sums, floats);
            }
            finish(s, &task.after, [first, count], first_col, floats, &mut out);
        }
    }
}

#[inline(always)]
fn sixteen<T>(from: &[T]) -> &[T; LANES] {
    from.first_chunk().expect("numbers of columns up to the end of a panel")
}

#[inline(always)]
pub(in crate::arch) fn quantise<S: Simd, D: Dots<S>>(
    s: S,
    d: D,
    x: Rows<'_>,
    segment: usize,
    range: Range,
    rows: &mut [RowScale],
    groups: &mut [f32],
) {
    let (cols, width, segments) = (x.cols(), x.cols().div_ceil(GROUP), x.cols().div_ceil(segment));
    // By index: the standard library's iterators become calls, around which no vector stays in a register.
    for row in 0..x.count() {
        for number in 0..segments {
            let part = &x.row(row)[number * segment..cols.min((number + 1) * segment)];
            let first = row * width + number * (segment / GROUP);
            let own = &mut groups[first..first + part.len().div_ceil(GROUP)];
            rows[row * segments + number] = one_segment(s, d, part, range, own);
        }
    }
}

/// Writes the groups of a segment.
#[inline(always)]
fn one_segment<S: Simd, D: Dots<S>>(s: S, d: D, x: &[f32], range: Range, groups: &mut [f32]) -> RowScale {
    let (scale, factor, zero) = match range {
        Range::Own => range_of(s, x),
        Range::Fixed { scale, zero } => fixed(s, x, scale, zero),
    };
    if scale.is_nan() {
        groups.fill(0.0);
        return RowScale { scale, zero: 0, excess: 0 };
    }
    // Sums of bytes are exact as long as they are below 2^24, in any order.
    let mut sums = s.splat(0.0);
    let (whole, rest) = x.as_chunks::<LANES>();
    let (own, last) = groups.as_chunks_mut::<{ LANES / GROUP }>();
    let is_fixed = matches!(range, Range::Fixed { .. });
    let (by, shift) = (s.splat(if is_fixed { scale } else { factor }), s.splat(zero));
    for index in 0..whole.len() {
        let x = integers(s, s.load(&whole[index]), is_fixed, by, shift);
        sums = sums + x;
        d.bytes(x, &mut own[index]);
    }
    if !rest.is_empty() {
        let mut padded = [0.0; LANES];
        integers(s, load_part(s, rest), is_fixed, by, shift).store(&mut padded);
        padded[rest.len()..].fill(0.0);
        let x = s.load(&padded);
        sums = sums + x;
        let mut four = [0.0; LANES / GROUP];
        d.bytes(x, &mut four);
        // More than twelve elements fill all four groups.
        match own.get_mut(whole.len()) {
            Some(own) => *own = four,
            None => last.copy_from_slice(&four[..last.len()]),
        }
    }
    let zero = zero as i32;
    RowScale { scale, zero, excess: total(sums) as i32 - zero * x.len() as i32 }
}

/// The integers of sixteen elements: divided by `by` where the range is fixed, and multiplied by it where it is a row's own.
#[inline(always)]
fn integers<S: Simd>(s: S, x: S::V, is_fixed: bool, by: S::V, shift: S::V) -> S::V {
    let x = if is_fixed { (x / by).round() + shift } else { x.mul_add(by, shift).round() };
    x.max(s.splat(0.0)).min(s.splat(255.0))
}

/// Scale, factor and zero of a segment by its own range; a scale of NaN where it has a NaN or an infinity.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // as in `tile`
fn range_of<S: Simd>(s: S, row: &[f32]) -> (f32, f32, f32) {
    let zero = s.splat(0.0);
    let (whole, end) = row.as_chunks::<LANES>();
    let x = load_part(s, end);
    // NaN and infinity times zero are NaN, and stay.
    let (mut least, mut most, mut rest) = (x.min(zero), x.max(zero), x.mul_add(zero, zero));
    for index in 0..whole.len() {
        let x = s.load(&whole[index]);
        least = x.min(least);
        most = x.max(most);
        rest = x.mul_add(zero, rest);
    }
    if total(rest).is_nan() {
        return (f32::NAN, 0.0, 0.0);
    }
    let (mut lows, mut highs) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    least.store(&mut lows);
    most.store(&mut highs);
    for distance in [8, 4, 2, 1] {
        for lane in 0..distance {
            lows[lane] = if lows[lane + distance] < lows[lane] { lows[lane + distance] } else { lows[lane] };
            highs[lane] = if highs[lane + distance] > highs[lane] { highs[lane + distance] } else { highs[lane] };
        }
    }
    steps(lows[0], highs[0])
}

/// The given scale and zero, and a scale of NaN for a segment that has a NaN.
#[inline(always)]
fn fixed<S: Simd>(s: S, row: &[f32], scale: f32, zero: u8) -> (f32, f32, f32) {
    let mut rest = s.splat(0.0);
    for part in row.chunks(LANES) {
        rest = load_part(s, part).where_nan(s.splat(f32::NAN), rest);
    }
    if total(rest).is_nan() { (f32::NAN, 0.0, 0.0) } else { (scale, 0.0, f32::from(zero)) }
}

/// Calls the register tile compiled for a number of rows known only at run time.
macro_rules! rows_of_tile {
    ($s:ident, $d:ident, $rows:ident, $vectors:literal, $a:ident, $b:ident, $to:ident; $($n:literal)*) => {
        match $rows {
            $($n => tile::<_, _, $n, $vectors>($s, $d, $a, $b, $to),)*
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
    fn zeros(self) -> [i32; LANES] {
        [0; LANES]
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
    fn less(self, mut sums: [i32; LANES], factors: &[i32; LANES], by: i32) -> [i32; LANES] {
        for (sum, factor) in sums.iter_mut().zip(factors) {
            *sum = sum.wrapping_sub(factor.wrapping_mul(by));
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
            *to = f32::from_bits(u32::from_ne_bytes(four.map(|x| x as u8)));
        }
    }

    #[inline(always)]
    fn put(self, sums: [i32; LANES], to: &mut Line) {
        to.0 = sums.map(|sum| f32::from_bits(sum as u32));
    }

    #[inline(always)]
    fn take(self, from: &Line) -> [i32; LANES] {
        from.0.map(|bits| bits.to_bits() as i32)
    }

    #[inline(always)]
    fn tile(self, s: S, rows: usize, a: &[f32], b: &[Line], to: &mut [Line]) {
        if S::TILE_VECTORS == 1 {
            rows_of_tile!(s, self, rows, 1, a, b, to; 1 2 3 4);
        } else {
            rows_of_tile!(s, self, rows, 2, a, b, to; 1 2 3 4);
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
        fn quantise(x: Rows<'_>, segment: usize, range: Range, rows: &mut [RowScale], groups: &mut [f32]) {
            #[target_feature(enable = $features)]
            fn inner(x: Rows<'_>, segment: usize, range: Range, rows: &mut [RowScale], groups: &mut [f32]) {
                integers::quantise($simd, $dots, x, segment, range, rows, groups);
            }
            // SAFETY: as above.
            unsafe { inner(x, segment, range, rows, groups) }
        }
        IntegerKernels::new($name, matmul, quantise)
    }};
}

pub(in crate::arch) use integer_kernels;
#[cfg(target_arch = "x86_64")]
pub(in crate::arch) use rows_of_tile;

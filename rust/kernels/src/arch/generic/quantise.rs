//! Rows of floats as bytes, sixteen rows at a time.

use super::integers::Dots;
use super::{Simd, Vector};
use crate::Rows;
use crate::integers::{GROUP, Quantise, Range, RowScale};
use crate::packed::LANES;

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

/// Those of one row, each in all lanes.
struct Step<V> {
    scale: V,
    factor: V,
    zero: V,
    divide: bool,
}

impl<V: Vector> Step<V> {
    /// The integers of sixteen elements, before they are rounded where the range is the row's own; what is below 0 is so by a
    /// rounding there, and what is above 255, which the bytes take back.
    ///
    /// Zero is the integer of a NaN: `max` in this order gives its other argument, and the bytes do the same.
    ///
    /// Not a closure: one with two callers is a function of its own, without the instruction set, which calls each of its
    /// instructions. With AVX2 quantising took sixteen times as long.
    #[inline(always)]
    fn integers<S: Simd<V = V>>(&self, s: S, x: V) -> V {
        if self.divide {
            ((x / self.scale).round() + self.zero).max(s.splat(0.0)).min(s.splat(255.0))
        } else {
            x.mul_add(self.factor, self.zero)
        }
    }
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
    let step = Step {
        scale: s.splat(steps.scale[row]),
        factor: s.splat(steps.factor[row]),
        zero: s.splat(steps.zero[row]),
        divide: steps.divide,
    };
    let (fours, _) = whole.as_chunks::<GROUP>();
    let (lines, _) = groups.as_chunks_mut::<LANES>();
    for index in 0..fours.len().min(lines.len()) {
        let mut x = [s.splat(0.0); GROUP];
        for number in 0..GROUP {
            x[number] = step.integers(s, s.load(&fours[index][number]));
        }
        d.bytes_of_four(s, x, &mut lines[index]);
    }
    let (own, last) = groups.as_chunks_mut::<{ LANES / GROUP }>();
    for index in fours.len() * GROUP..whole.len() {
        d.bytes(step.integers(s, s.load(&whole[index])).max(s.splat(0.0)), &mut own[index]);
    }
    if !rest.is_empty() {
        let mut padded = [0.0; LANES];
        step.integers(s, s.load_part(rest)).max(s.splat(0.0)).store(&mut padded);
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

/// Vectors of a row that are looked at side by side: one after another, each waits for the one before, and quantising rows of
/// 1536 elements was 0.119 of their product by 384 columns in place of 0.110 (AVX-512 VNNI, AMD EPYC 26/2).
const CHAINS: usize = 4;

/// Steps by the rows' own ranges, as [`crate::arch::scalar::integers::steps`] has them.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // as in `tile`
fn ranges<S: Simd>(s: S, rows: Rows<'_>, [start, end]: [usize; 2]) -> StepsOfRows {
    let zero = s.splat(0.0);
    let (mut least, mut most, mut rest) = ([zero; LANES], [zero; LANES], [zero; LANES]);
    for row in 0..rows.count() {
        let (whole, part) = rows.row(row)[start..end].as_chunks::<LANES>();
        // NaN and infinity times zero are NaN, and stay.
        let x = if part.is_empty() { zero } else { s.load_part(part) };
        let (mut low, mut high, mut none) = ([x.min(zero); CHAINS], [x.max(zero); CHAINS], [x * zero; CHAINS]);
        let (chunks, last) = whole.as_chunks::<CHAINS>();
        for index in 0..chunks.len() {
            for chain in 0..CHAINS {
                let x = s.load(&chunks[index][chain]);
                low[chain] = x.min(low[chain]);
                high[chain] = x.max(high[chain]);
                none[chain] = x.mul_add(zero, none[chain]);
            }
        }
        for index in 0..last.len() {
            let x = s.load(&last[index]);
            low[0] = x.min(low[0]);
            high[0] = x.max(high[0]);
            none[0] = x.mul_add(zero, none[0]);
        }
        for chain in 1..CHAINS {
            low[0] = low[chain].min(low[0]);
            high[0] = high[chain].max(high[0]);
            none[0] = none[0] + none[chain];
        }
        (least[row], most[row], rest[row]) = (low[0], high[0], none[0]);
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
            *rest = s.load_part(part).where_nan(s.splat(f32::NAN), *rest);
        }
    }
    let rest = joined(s, &mut rests, |a, b| a + b);
    rest.where_nan(s.splat(f32::NAN), s.splat(scale)).store(&mut steps.scale);
    rest.where_nan(s.splat(0.0), s.splat(f32::from(zero))).store(&mut steps.zero);
    steps
}

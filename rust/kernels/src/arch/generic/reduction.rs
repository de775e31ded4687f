//! Reductions: a slice is reduced in sixteen lanes, and these in one fixed order; columns in the order of their rows.

use super::{Simd, Vector};
use crate::packed::LANES;
use crate::task::{MeanPool, Reduction, WeightedSum};
use crate::{Rows, RowsMut};

/// The sum of all lanes, in pairs that are eight, four, two and one apart.
#[inline(always)]
pub(super) fn total<V: Vector>(x: V) -> f32 {
    let mut lanes = [0.0; LANES];
    x.store(&mut lanes);
    for distance in [8, 4, 2, 1] {
        for lane in 0..distance {
            lanes[lane] += lanes[lane + distance];
        }
    }
    lanes[0]
}

/// The largest of all lanes; NaN if one is NaN.
#[inline(always)]
pub(super) fn largest<V: Vector>(x: V) -> f32 {
    let mut lanes = [0.0; LANES];
    x.store(&mut lanes);
    lanes.into_iter().fold(f32::NEG_INFINITY, |most, x| if x > most || x.is_nan() { x } else { most })
}

/// What a lane starts from: reducing it with a number gives that number.
#[inline(always)]
fn neutral(reduction: Reduction) -> f32 {
    match reduction {
        Reduction::Sum | Reduction::SumOfSquares | Reduction::SumOfMagnitudes => 0.0,
        Reduction::Product => 1.0,
        Reduction::Max => f32::NEG_INFINITY,
        Reduction::Min => f32::INFINITY,
    }
}

#[inline(always)]
fn combine<S: Simd>(_: S, reduction: Reduction, so_far: S::V, x: S::V) -> S::V {
    match reduction {
        Reduction::Sum => so_far + x,
        Reduction::SumOfSquares => x.mul_add(x, so_far),
        Reduction::SumOfMagnitudes => so_far + x.abs(),
        Reduction::Product => so_far * x,
        Reduction::Max => so_far.where_nan(so_far, so_far.max(x)),
        Reduction::Min => so_far.where_nan(so_far, so_far.min(x)),
    }
}

/// Combines two results.
#[inline(always)]
fn join(reduction: Reduction, a: f32, b: f32) -> f32 {
    match reduction {
        Reduction::Sum | Reduction::SumOfSquares | Reduction::SumOfMagnitudes => a + b,
        Reduction::Product => a * b,
        Reduction::Max if a > b || a.is_nan() => a,
        Reduction::Min if a < b || a.is_nan() => a,
        Reduction::Max | Reduction::Min => b,
    }
}

#[inline(always)]
pub(in crate::arch) fn reduce<S: Simd>(s: S, reduction: Reduction, data: &[f32]) -> f32 {
    let neutral = neutral(reduction);
    let (whole, rest) = data.as_chunks::<LANES>();
    let mut lanes = s.splat(neutral);
    for chunk in whole {
        lanes = combine(s, reduction, lanes, s.load(chunk));
    }
    if !rest.is_empty() {
        let mut last = [neutral; LANES];
        last[..rest.len()].copy_from_slice(rest);
        lanes = combine(s, reduction, lanes, s.load(&last));
    }
    let mut result = [0.0; LANES];
    lanes.store(&mut result);
    for distance in [8, 4, 2, 1] {
        for lane in 0..distance {
            result[lane] = join(reduction, result[lane], result[lane + distance]);
        }
    }
    result[0]
}

#[inline(always)]
pub(in crate::arch) fn reduce_columns<S: Simd>(s: S, reduction: Reduction, x: Rows<'_>, out: &mut [f32]) {
    out.fill(neutral(reduction));
    for index in 0..x.count() {
        for (to, part) in out.chunks_mut(LANES).zip(x.row(index).chunks(LANES)) {
            combine(s, reduction, s.load_part(to), s.load_part(part)).store_part(to);
        }
    }
}

/// Vectors of results that are summed at a time: as many sums as hide a multiply-add's latency.
const TOGETHER: usize = 4;

#[inline(always)]
pub(in crate::arch) fn weighted_sum<S: Simd>(s: S, task: &WeightedSum<'_>, out: &mut [f32]) {
    let mut at = 0;
    while at < out.len() {
        if out.len() - at >= TOGETHER * LANES {
            weighted::<S, TOGETHER>(s, task, at, out);
            at += TOGETHER * LANES;
        } else {
            weighted::<S, 1>(s, task, at, out);
            at += LANES;
        }
    }
}

#[inline(always)]
fn weighted<S: Simd, const VECTORS: usize>(s: S, task: &WeightedSum<'_>, at: usize, out: &mut [f32]) {
    let mut sums = [s.splat(task.bias); VECTORS];
    for (start, weight) in task.starts.iter().zip(task.weights) {
        let weight = s.splat(*weight);
        let from = &task.x[start + at..];
        for (vector, sum) in sums.iter_mut().enumerate() {
            *sum = s.load_part(&from[vector * LANES..]).mul_add(weight, *sum);
        }
    }
    for (vector, sum) in sums.iter().enumerate() {
        let first = at + vector * LANES;
        let end = out.len().min(first + LANES);
        sum.store_part(&mut out[first..end]);
    }
}

#[inline(always)]
pub(in crate::arch) fn mean_pool<S: Simd>(s: S, task: &MeanPool<'_>, out: &mut [f32]) {
    out.fill(0.0);
    let mut weights = 0.0_f32;
    for index in 0..task.x.count() {
        let weight = task.weights.map_or(1.0, |weights| weights[index]);
        // Not only quicker: what lies in padding is multiplied by nothing, be it infinite.
        if weight == 0.0 {
            continue;
        }
        weights += weight;
        let weight = s.splat(weight);
        for (to, part) in out.chunks_mut(LANES).zip(task.x.row(index).chunks(LANES)) {
            s.load_part(part).mul_add(weight, s.load_part(to)).store_part(to);
        }
    }
    let divisor = s.splat(weights.max(task.least));
    for to in out.chunks_mut(LANES) {
        (s.load_part(to) / divisor).store_part(to);
    }
}

#[inline(always)]
pub(in crate::arch) fn normalize_rows<S: Simd>(s: S, least: f32, mut rows: RowsMut<'_>) {
    for index in 0..rows.count() {
        let row = rows.row(index);
        let size = reduce(s, Reduction::SumOfSquares, row).sqrt();
        // NaN is not below anything, and stays.
        let divisor = s.splat(if size < least { least } else { size });
        for part in row.chunks_mut(LANES) {
            (s.load_part(part) / divisor).store_part(part);
        }
    }
}

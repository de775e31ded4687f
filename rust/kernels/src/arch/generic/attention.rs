//! Attention of one head, sixteen or more queries side by side.
//!
//! Keys run down and queries across: the scores of a tile of queries are `k @ q^T`, so that the softmax runs along
//! vectors (no sum across lanes), a mask shared by the queries is one number per key, and `v^T @ scores` reads the
//! scores as they lie. Sums over keys ascend, one at a time: a masked key adds an exact zero, and a row has the same
//! bits with and without padding behind it. What is held is one tile of queries by all the keys.

use super::functions::exp_of_negative;
use super::matmul::balanced;
use super::pack::{floats, floats_mut, pack_left};
use super::{Simd, Vector};
use crate::packed::{LANES, Line};
use crate::task::{Attention, Mask, Scratch, lines};
use crate::{Rows, RowsMut};

/// Vectors of queries that a tile may have side by side.
const MOST_VECTORS: usize = 4;

#[inline(always)]
pub(in crate::arch) fn attention<S: Simd>(s: S, task: &Attention<'_>, scratch: &mut Scratch, mut out: RowsMut<'_>) {
    let (queries, keys, depth, width) = (task.q.count(), task.k.count(), task.q.cols(), task.v.cols());
    if queries == 0 || width == 0 {
        return;
    }
    let left = floats_mut(lines(&mut scratch.left, (keys * depth).div_ceil(LANES)));
    let key_height = balanced(keys, S::TILE_ROWS);
    for first in (0..keys).step_by(key_height) {
        let count = key_height.min(keys - first);
        pack_left(task.k.range(first, count), &mut left[first * depth..(first + count) * depth]);
    }
    // v is its own left-hand side, transposed: cut into columns it has the layout of a packed left-hand side.
    let values = floats_mut(lines(&mut scratch.values, (keys * width).div_ceil(LANES)));
    let value_height = balanced(width, S::TILE_ROWS);
    for first in (0..width).step_by(value_height) {
        let count = value_height.min(width - first);
        let part = values[first * keys..(first + count) * keys].chunks_exact_mut(count);
        for (key, dest) in part.enumerate() {
            dest.copy_from_slice(&task.v.row(key)[first..first + count]);
        }
    }

    // A short sequence fills one vector: a second one would be computed for nothing.
    let vectors = if queries <= LANES { 1 } else { S::TILE_VECTORS };
    let scores = lines(&mut scratch.scores, keys * vectors);
    let right = lines(&mut scratch.right, depth * vectors);
    let tile = lines(&mut scratch.tile, width * vectors);
    for start in (0..queries).step_by(vectors * LANES) {
        let count = (vectors * LANES).min(queries - start);
        pack_queries(task.q.range(start, count), vectors, right);
        for first in (0..keys).step_by(key_height) {
            let rows = key_height.min(keys - first);
            let packed = &left[first * depth..(first + rows) * depth];
            s.tile(rows, vectors, packed, right, &mut scores[first * vectors..]);
        }
        let adjust = Adjustment {
            scale: task.scale,
            bias: spread(task.bias.map(|bias| bias.range(start, count)), vectors, &mut scratch.bias),
            mask: spread(task.mask.range(start, count).rows(), vectors, &mut scratch.mask),
            fill: if let Mask::Keep { fill, .. } = task.mask { Some(fill) } else { None },
        };
        let mut sums = [Line::default(); MOST_VECTORS];
        for (vector, sum) in sums[..vectors].iter_mut().enumerate() {
            soften(s, adjust, vector, vectors, scores).store(&mut sum.0);
            if task.undefined_is_zero && sum.0.iter().any(|sum| sum.is_nan()) {
                clear_undefined(s, sum, vector, vectors, scores);
            }
        }
        for first in (0..width).step_by(value_height) {
            let rows = value_height.min(width - first);
            let packed = &values[first * keys..(first + rows) * keys];
            s.tile(rows, vectors, packed, scores, &mut tile[first * vectors..]);
        }
        for (vector, sum) in sums[..vectors].iter().enumerate() {
            for line in tile[vector..width * vectors].iter_mut().step_by(vectors) {
                (s.load(&line.0) / s.load(&sum.0)).store(&mut line.0);
            }
        }
        let results = floats(tile);
        for query in 0..count {
            let dest = out.row(start + query);
            for (x, result) in dest.iter_mut().zip(results[query..].iter().step_by(vectors * LANES)) {
                *x = *result;
            }
        }
    }
}

/// Queries side by side: `[depth][query]`, zeros in the lanes that have none.
#[inline(always)]
fn pack_queries(q: Rows<'_>, vectors: usize, to: &mut [Line]) {
    if q.count() < vectors * LANES {
        to.fill(Line::default());
    }
    let to = floats_mut(to);
    // `skip`, not an index: rows of no elements leave nothing to index.
    for query in 0..q.count() {
        for (dest, x) in to.iter_mut().skip(query).step_by(vectors * LANES).zip(q.row(query)) {
            *dest = *x;
        }
    }
}

/// Numbers for the scores of a tile, as [`soften`] reads them: one per key, or one per key and lane.
#[derive(Clone, Copy)]
enum Spread<'a> {
    None,
    PerKey(&'a [f32]),
    PerScore(&'a [Line]),
}

impl Spread<'_> {
    #[inline(always)]
    fn at<S: Simd>(self, s: S, key: usize, vector: usize, vectors: usize) -> Option<S::V> {
        match self {
            Spread::None => None,
            Spread::PerKey(values) => Some(s.splat(values[key])),
            Spread::PerScore(lines) => Some(s.load(&lines[key * vectors + vector].0)),
        }
    }
}

#[inline(always)]
fn spread<'a>(rows: Option<Rows<'a>>, vectors: usize, store: &'a mut Vec<Line>) -> Spread<'a> {
    match rows {
        None => Spread::None,
        Some(rows) if rows.is_repeated() => Spread::PerKey(rows.row(0)),
        Some(rows) => {
            let spread = lines(store, rows.cols() * vectors);
            pack_queries(rows, vectors, spread);
            Spread::PerScore(spread)
        }
    }
}

/// What is done to the scores of a tile before the softmax.
#[derive(Clone, Copy)]
struct Adjustment<'a> {
    scale: f32,
    bias: Spread<'a>,
    mask: Spread<'a>,
    /// Replaces the score where the mask is zero, instead of the mask being added.
    fill: Option<f32>,
}

/// Turns one vector of queries' scores into `exp(score - largest)`, and returns the sums of these.
#[inline(always)]
fn soften<S: Simd>(s: S, adjust: Adjustment<'_>, vector: usize, vectors: usize, scores: &mut [Line]) -> S::V {
    let scale = s.splat(adjust.scale);
    let fill = s.splat(adjust.fill.unwrap_or_default());
    let mut largest = s.splat(f32::NEG_INFINITY);
    for (key, line) in scores[vector..].iter_mut().step_by(vectors).enumerate() {
        let mut score = s.load(&line.0) * scale;
        if let Some(bias) = adjust.bias.at(s, key, vector, vectors) {
            score = score + bias;
        }
        if let Some(mask) = adjust.mask.at(s, key, vector, vectors) {
            score = if adjust.fill.is_some() { mask.where_non_zero(score, fill) } else { score + mask };
        }
        largest = score.max(largest);
        score.store(&mut line.0);
    }
    let mut sum = s.splat(0.0);
    for line in scores[vector..].iter_mut().step_by(vectors) {
        let weight = exp_of_negative(s, s.load(&line.0) - largest);
        sum = sum + weight;
        weight.store(&mut line.0);
    }
    sum
}

/// Gives the queries whose weights are NaN weights of zero, and a sum that leaves them so.
#[inline(always)]
fn clear_undefined<S: Simd>(s: S, sum: &mut Line, vector: usize, vectors: usize, scores: &mut [Line]) {
    // A sum that is not NaN is finite: it has the largest key's 1 in it and at most a 1 for each key. NaN is not less.
    let (sums, bound) = (s.load(&sum.0), s.splat(f32::INFINITY));
    for line in scores[vector..].iter_mut().step_by(vectors) {
        sums.where_less(bound, s.load(&line.0), s.splat(0.0)).store(&mut line.0);
    }
    sums.where_less(bound, sums, s.splat(1.0)).store(&mut sum.0);
}

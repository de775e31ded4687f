//! Attention of one head, sixteen or more queries side by side.
//!
//! Keys run down and queries across: the scores of a tile of queries are `k @ q^T`, so that the softmax runs along
//! vectors (no sum across lanes), a mask shared by the queries is one number per key, and `v^T @ scores` reads the
//! scores as they lie. Sums over keys ascend, one at a time: a masked key adds an exact zero, and a row has the same
//! bits with and without padding before or behind it.
//!
//! What is held is one tile of queries by one block of keys. Where the keys are more than a block, their scores are
//! computed twice, for the largest one and then for the weights; every number goes through the same operations in the
//! same order, so the size of a block changes no bit.

use super::functions::exp_of_negative;
use super::matmul::{Place, balanced, store_part};
use super::pack::{floats_mut, left_lines, pack_lanes, pack_left};
use super::{Simd, Start, Vector};
use crate::packed::{LANES, Line};
use crate::task::{Attention, Mask, Scratch, lines};
use crate::{Rows, RowsMut};

/// Vectors of queries that a tile may have side by side.
const MOST_VECTORS: usize = 4;

/// Keys of a block, 4096 in tiles of any height: the scores of 32 queries are half of a second-level cache of 1 MiB.
///
/// [512, 64] queries with 4096 keys take 5.8 ms with their scores held and 8.2 ms computed twice (AVX-512, EPYC 25/17).
const MOST_KEYS: usize = 4096 + LANES;

#[inline(always)]
pub(in crate::arch) fn attention<S: Simd>(s: S, task: &Attention<'_>, scratch: &mut Scratch, mut out: RowsMut<'_>) {
    let (queries, keys, depth, width) = (task.q.count(), task.k.count(), task.q.cols(), task.v.cols());
    if queries == 0 || width == 0 {
        return;
    }
    let key_height = balanced(keys, S::TILE_ROWS);
    let left = floats_mut(lines(&mut scratch.left, left_lines(keys, depth)));
    for first in (0..keys).step_by(key_height) {
        pack_left(s, task.k.range(first, key_height.min(keys - first)), &mut left[first * depth..]);
    }
    let value_height = balanced(width, S::TILE_ROWS);
    let values = floats_mut(lines(&mut scratch.values, (keys * width).div_ceil(LANES)));
    pack_values(task.v, value_height, values);

    let block = MOST_KEYS / key_height * key_height;
    for start in (0..queries).step_by(S::TILE_VECTORS * LANES) {
        let count = (S::TILE_VECTORS * LANES).min(queries - start);
        // A short sequence, or the end of one, fills one vector: a second one would be computed for nothing.
        let vectors = if count <= LANES { 1 } else { S::TILE_VECTORS };
        let scores = lines(&mut scratch.scores, keys.min(block) * vectors);
        let right = lines(&mut scratch.right, depth * vectors);
        let tile = lines(&mut scratch.tile, width * vectors);
        // Whole tiles of keys, as they are packed.
        let seen = match task.mask {
            Mask::Causal { offset } => keys.min((offset + start + count).next_multiple_of(key_height)),
            _ => keys,
        };
        pack_tile(s, task.q.range(start, count), vectors, task.scale, right);

        let mut largest = [s.splat(f32::NEG_INFINITY); MOST_VECTORS];
        let mut sums = [s.splat(0.0); MOST_VECTORS];
        let again = seen > block;
        for weighing in if again { &[false, true][..] } else { &[true] } {
            for from in (0..seen).step_by(block) {
                let count_here = block.min(seen - from);
                let scores = &mut scores[..count_here * vectors];
                let bias = task.bias.map(|bias| bias.range(start, count).columns(from, count_here));
                let mask = task.mask.rows().map(|mask| mask.range(start, count).columns(from, count_here));
                let adjust = Adjustment {
                    bias: spread(s, bias, vectors, &mut scratch.bias),
                    mask: spread(s, mask, vectors, &mut scratch.mask),
                    fill: if let Mask::Keep { fill, .. } = task.mask { Some(fill) } else { None },
                    causal: if let Mask::Causal { offset } = task.mask { Some([offset + start, from]) } else { None },
                };
                for first in (0..count_here).step_by(key_height) {
                    let rows = key_height.min(count_here - first);
                    let part = &mut scores[first * vectors..(first + rows) * vectors];
                    let packed = &left[(from + first) * depth..];
                    s.tile(rows, vectors, packed, &*right, Place::Lines(&mut *part), Start::Zero);
                    // While the tile is in the first-level cache.
                    for (vector, largest) in largest.iter_mut().enumerate().take(vectors) {
                        let most = adjust_scores(s, adjust, [vector, vectors], first, part, *largest);
                        if !*weighing || !again {
                            *largest = most;
                        }
                    }
                }
                if *weighing {
                    for vector in 0..vectors {
                        sums[vector] = weigh(s, vector, vectors, scores, largest[vector], sums[vector]);
                    }
                }
                if *weighing {
                    let sums = if from == 0 { Start::Zero } else { Start::Sums };
                    for first in (0..width).step_by(value_height) {
                        let rows = value_height.min(width - first);
                        let packed = &values[first * keys + from * rows..][..count_here * rows];
                        s.tile(rows, vectors, packed, &*scores, Place::Lines(&mut tile[first * vectors..]), sums);
                    }
                }
            }
        }
        for vector in 0..vectors {
            let rest = count.saturating_sub(vector * LANES).min(LANES);
            let (row, sum) = (start + vector * LANES, sums[vector]);
            unpack(s, task.undefined_is_zero, &tile[vector..], vectors, sum, [row, rest], &mut out);
        }
    }
}

/// v is its own left-hand side, transposed: cut into columns it has the layout of a packed left-hand side.
#[inline(always)]
fn pack_values(v: Rows<'_>, height: usize, to: &mut [f32]) {
    let (keys, width) = (v.count(), v.cols());
    for first in (0..width).step_by(height) {
        let count = height.min(width - first);
        let part = &mut to[first * keys..(first + count) * keys];
        // A copy of a number known to the compiler is two or three moves, and a call otherwise.
        macro_rules! copies {
            ($($n:literal)*) => {
                match count {
                    $($n => for (key, dest) in part.as_chunks_mut::<$n>().0.iter_mut().enumerate() {
                        *dest = *v.row(key)[first..].first_chunk().expect("as many columns");
                    })*
                    _ => for (key, dest) in part.chunks_exact_mut(count).enumerate() {
                        dest.copy_from_slice(&v.row(key)[first..first + count]);
                    },
                }
            };
        }
        copies!(1 2 3 4 5 6 7 8 9 10 11 12 13);
    }
}

/// Rows side by side, times a factor: `[column][row]`, anything in the lanes that have none.
#[inline(always)]
fn pack_tile<S: Simd>(s: S, rows: Rows<'_>, vectors: usize, factor: f32, to: &mut [Line]) {
    for vector in 0..vectors.min(to.len()) {
        let first = rows.count().min(vector * LANES);
        pack_lanes(s, rows.range(first, LANES.min(rows.count() - first)), vectors, factor, &mut to[vector..]);
    }
}

/// Numbers for the scores of a tile, as [`adjust_scores`] reads them: one per key, or one per key and lane.
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
fn spread<'a, S: Simd>(s: S, rows: Option<Rows<'a>>, vectors: usize, store: &'a mut Vec<Line>) -> Spread<'a> {
    match rows {
        None => Spread::None,
        Some(rows) if rows.is_repeated() => Spread::PerKey(rows.row(0)),
        Some(rows) => {
            let spread = lines(store, rows.cols() * vectors);
            pack_tile(s, rows, vectors, 1.0, spread);
            Spread::PerScore(spread)
        }
    }
}

/// What is done to the scores of a tile before the softmax.
#[derive(Clone, Copy)]
struct Adjustment<'a> {
    bias: Spread<'a>,
    mask: Spread<'a>,
    /// Replaces the score where the mask is zero, instead of the mask being added.
    fill: Option<f32>,
    /// The last key that the tile's first query sees, and the block's first key.
    causal: Option<[usize; 2]>,
}

/// Finishes one vector of queries' scores of some keys, from `first` of the block on, and returns the largest of them
/// and of `largest`.
#[inline(always)]
fn adjust_scores<S: Simd>(
    s: S,
    adjust: Adjustment<'_>,
    [vector, vectors]: [usize; 2],
    first: usize,
    scores: &mut [Line],
    mut largest: S::V,
) -> S::V {
    if let Adjustment { bias: Spread::None, mask: Spread::None, causal: None, .. } = adjust {
        for line in scores[vector..].iter().step_by(vectors) {
            largest = s.load(&line.0).max(largest);
        }
        return largest;
    }
    let fill = s.splat(adjust.fill.unwrap_or_default());
    let last_seen = adjust.causal.map(|[last, _]| {
        // Exact: nobody attends to 2^24 keys.
        std::array::from_fn::<f32, LANES, _>(|lane| (last + vector * LANES + lane) as f32)
    });
    for (index, line) in scores[vector..].iter_mut().step_by(vectors).enumerate() {
        let key = first + index;
        let mut score = s.load(&line.0);
        if let Some(bias) = adjust.bias.at(s, key, vector, vectors) {
            score = score + bias;
        }
        if let Some(mask) = adjust.mask.at(s, key, vector, vectors) {
            score = if adjust.fill.is_some() { mask.where_non_zero(score, fill) } else { score + mask };
        }
        if let (Some([_, from]), Some(last_seen)) = (adjust.causal, &last_seen) {
            let key = s.splat((from + key) as f32);
            score = s.load(last_seen).where_less(key, s.splat(f32::NEG_INFINITY), score);
        }
        largest = score.max(largest);
        score.store(&mut line.0);
    }
    largest
}

/// Turns one vector of queries' scores into `exp(score - largest)`, and adds these to `sum`.
#[inline(always)]
fn weigh<S: Simd>(s: S, vector: usize, vectors: usize, scores: &mut [Line], largest: S::V, mut sum: S::V) -> S::V {
    for line in scores[vector..].iter_mut().step_by(vectors) {
        let weight = exp_of_negative(s, s.load(&line.0) - largest);
        sum = sum + weight;
        weight.store(&mut line.0);
    }
    sum
}

/// Divides one vector of queries' results by their sums, and writes them to `count` rows from `first` on.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // as said below
fn unpack<S: Simd>(
    s: S,
    undefined_is_zero: bool,
    tile: &[Line],
    vectors: usize,
    sum: S::V,
    [first, count]: [usize; 2],
    out: &mut RowsMut<'_>,
) {
    let inverse = s.splat(1.0) / sum;
    let cols = out.cols();
    for col in (0..cols).step_by(LANES) {
        let mut square = [s.splat(0.0); LANES];
        // Sixteen steps that may end early are unrolled, and the square stays in registers.
        for step in 0..LANES {
            if step == cols - col {
                break;
            }
            square[step] = s.load(&tile[(col + step) * vectors].0) * inverse;
            if undefined_is_zero {
                square[step] = sum.where_nan(s.splat(0.0), square[step]);
            }
        }
        s.transpose(&mut square);
        for row in 0..LANES {
            if row == count {
                break;
            }
            let dest = &mut out.row(first + row)[col..];
            let end = dest.len().min(LANES);
            store_part(square[row], &mut dest[..end]);
        }
    }
}

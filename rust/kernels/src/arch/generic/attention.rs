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

use super::matmul::balanced;
use super::pack::{left_lines, pack_lanes};
use super::products::{Floats, Products, Rounded};
use super::{Simd, Start, Vector};
use crate::arch::floats_mut;
use crate::packed::{LANES, Line};
use crate::task::{Attention, Mask, Scratch, lines};
use crate::{Rows, RowsMut};

/// Vectors of queries that a tile may have side by side.
const MOST_VECTORS: usize = 4;

/// Keys of a block, 4096 in tiles of any height: the scores of 32 queries are half of a second-level cache of 1 MiB.
///
/// [512, 64] queries with 4096 keys take 5.8 ms with their scores held and 8.2 ms computed twice (AVX-512, EPYC 25/17).
const MOST_KEYS: usize = 4096 + LANES;

/// In float32.
#[inline(always)]
pub(in crate::arch) fn attention<S: Simd>(s: S, task: &Attention<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
    attend(s, Floats, task, scratch, out);
}

/// With operands rounded to bfloat16.
#[inline(always)]
pub(in crate::arch) fn attention_of_bfloat16<S: Simd>(
    s: S,
    task: &Attention<'_>,
    scratch: &mut Scratch,
    out: RowsMut<'_>,
) {
    attend(s, Rounded, task, scratch, out);
}

#[inline(always)]
pub(in crate::arch) fn attend<S: Simd, P: Products<S>>(
    s: S,
    products: P,
    task: &Attention<'_>,
    scratch: &mut Scratch,
    mut out: RowsMut<'_>,
) {
    let (queries, keys, depth, width) = (task.q.count(), task.k.count(), task.q.cols(), task.v.cols());
    if queries == 0 || width == 0 {
        return;
    }
    let (deep, long) = (depth.div_ceil(P::GROUP), keys.div_ceil(P::GROUP));
    let key_height = balanced(keys, S::TILE_ROWS);
    let left = floats_mut(lines(&mut scratch.left, left_lines(keys, deep)));
    for first in (0..keys).step_by(key_height) {
        products.pack_left(s, task.k.range(first, key_height.min(keys - first)), &mut left[first * deep..]);
    }
    let value_height = balanced(width, S::TILE_ROWS);
    let values = floats_mut(lines(&mut scratch.values, left_lines(width, long)));
    for first in (0..width).step_by(value_height) {
        let count = value_height.min(width - first);
        products.pack_columns(s, task.v, first, count, &mut values[first * long..]);
    }

    // Whole tiles of keys, and whole groups.
    let block = MOST_KEYS / (key_height * P::GROUP) * (key_height * P::GROUP);
    for start in (0..queries).step_by(S::TILE_VECTORS * LANES) {
        let count = (S::TILE_VECTORS * LANES).min(queries - start);
        // A short sequence, or the end of one, fills one vector: a second one would be computed for nothing.
        let vectors = if count <= LANES { 1 } else { S::TILE_VECTORS };
        let scores = lines(&mut scratch.scores, keys.min(block) * vectors);
        let right = lines(&mut scratch.right, deep * vectors);
        let tile = lines(&mut scratch.tile, width * vectors);
        // Whole tiles of keys, as they are packed.
        let seen = match task.mask {
            Mask::Causal { offset } => keys.min((offset + start + count).next_multiple_of(key_height)),
            _ => keys,
        };
        for vector in 0..vectors.min(right.len()) {
            let rows = lanes_of(task.q.range(start, count), vector);
            products.pack_lanes(s, rows, vectors, task.scale, &mut right[vector..]);
        }

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
                    let packed = &left[(from + first) * deep..];
                    products.tile(s, [rows, vectors], packed, right, part, Start::Zero);
                    // While the tile is in the first-level cache.
                    for (vector, largest) in largest.iter_mut().enumerate().take(vectors) {
                        let most = adjust_scores(s, adjust, [vector, vectors], first, part, *largest);
                        if !*weighing || !again {
                            *largest = most;
                        }
                    }
                }
                if *weighing {
                    // All vectors at once: one after another they were a fifth of attention with 256 keys
                    // (AVX-512 BF16, AMD EPYC 26/2).
                    if S::TILE_VECTORS == 1 || vectors == 1 {
                        products.weigh::<1>(s, scores.as_chunks_mut().0, &largest, &mut sums);
                    } else {
                        products.weigh::<2>(s, scores.as_chunks_mut().0, &largest, &mut sums);
                    }
                    let sums = if from == 0 { Start::Zero } else { Start::Sums };
                    let groups = count_here.div_ceil(P::GROUP);
                    for first in (0..width).step_by(value_height) {
                        let rows = value_height.min(width - first);
                        let packed = &values[first * long + from / P::GROUP * rows..][..groups * rows];
                        let to = &mut tile[first * vectors..];
                        products.tile(s, [rows, vectors], packed, &scores[..groups * vectors], to, sums);
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

/// Those rows that a vector of lanes stands for.
#[inline(always)]
pub(in crate::arch) fn lanes_of(rows: Rows<'_>, vector: usize) -> Rows<'_> {
    let first = rows.count().min(vector * LANES);
    rows.range(first, LANES.min(rows.count() - first))
}

/// Numbers for the scores of a tile, as [`adjust_scores`] reads them: one per key, or one per key and lane.
#[derive(Clone, Copy)]
pub(in crate::arch) enum Spread<'a> {
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
pub(in crate::arch) fn spread<'a, S: Simd>(
    s: S,
    rows: Option<Rows<'a>>,
    vectors: usize,
    store: &'a mut Vec<Line>,
) -> Spread<'a> {
    match rows {
        None => Spread::None,
        Some(rows) if rows.is_repeated() => Spread::PerKey(rows.row(0)),
        Some(rows) => {
            let spread = lines(store, rows.cols() * vectors);
            for vector in 0..vectors.min(spread.len()) {
                pack_lanes(s, lanes_of(rows, vector), vectors, 1.0, &mut spread[vector..]);
            }
            Spread::PerScore(spread)
        }
    }
}

/// What is done to the scores of a tile before the softmax.
#[derive(Clone, Copy)]
pub(in crate::arch) struct Adjustment<'a> {
    pub(in crate::arch) bias: Spread<'a>,
    pub(in crate::arch) mask: Spread<'a>,
    /// Replaces the score where the mask is zero, instead of the mask being added.
    pub(in crate::arch) fill: Option<f32>,
    /// The last key that the tile's first query sees, and the block's first key.
    pub(in crate::arch) causal: Option<[usize; 2]>,
}

/// Finishes one vector of queries' scores of some keys, from `first` of the block on, and returns the largest of them
/// and of `largest`.
#[inline(always)]
pub(in crate::arch) fn adjust_scores<S: Simd>(
    s: S,
    adjust: Adjustment<'_>,
    [vector, vectors]: [usize; 2],
    first: usize,
    scores: &mut [Line],
    mut largest: S::V,
) -> S::V {
    if let Adjustment { bias: Spread::None, mask: Spread::None, causal: None, .. } = adjust {
        return largest_of(s, scores.get(vector..).unwrap_or_default(), vectors, largest);
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

/// The largest of each lane's scores and of `largest`.
///
/// Four at a time: each waits for the one before, which was 16% of attention with 256 keys by tiles of AMX.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // unrolled, so that vectors stay in registers
fn largest_of<S: Simd>(s: S, scores: &[Line], vectors: usize, largest: S::V) -> S::V {
    let mut most = [largest; 4];
    let chunks = scores.chunks_exact(most.len() * vectors);
    let rest = chunks.remainder();
    for chunk in chunks {
        for index in 0..4 {
            most[index] = s.load(&chunk[index * vectors].0).max(most[index]);
        }
    }
    for line in rest.iter().step_by(vectors) {
        most[0] = s.load(&line.0).max(most[0]);
    }
    most[0].max(most[1]).max(most[2].max(most[3]))
}

/// Divides one vector of queries' results by their sums, and writes them to `count` rows from `first` on.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // as said below
pub(in crate::arch) fn unpack<S: Simd>(
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
            square[row].store_part(&mut dest[..end]);
        }
    }
}

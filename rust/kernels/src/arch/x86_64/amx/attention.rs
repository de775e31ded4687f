//! Attention by tiles, with operands rounded to bfloat16: see [`Attention::bfloat16`].
//!
//! As in the [attention](crate::arch::generic::attention) of other sets keys run down and queries across. What differs is the
//! order of the sums: pairs of keys, and 32 keys at a time from the first one on. So a key that is masked before others would
//! leave a trace, by where it puts them: attention with a mask over keys is left to the other kernel.

use super::super::bfloat16::Pairs;
use super::tiles::{ROWS, Shape, Tiles};
use crate::arch::floats;
use crate::arch::generic::attention::{Adjustment, Spread, adjust_scores, lanes_of, spread, unpack};
use crate::arch::generic::{Simd, Vector};
use crate::arch::x86_64::avx512::{Avx512, V};
use crate::packed::{LANES, Line};
use crate::task::{Attention, Mask, Scratch, lines};
use crate::{Rows, RowsMut};

/// Vectors of queries side by side.
const VECTORS: usize = 2;
/// Pairs in a row of a tile, and what they are pairs of.
const PAIRS: usize = LANES;
const DEPTH: usize = 2 * PAIRS;
/// Keys whose scores are held; more are for the other kernel.
const MOST_KEYS: usize = 4096;
/// Fewer are done sooner by the other one: all-MiniLM-L6-v2 takes 1.07 times as long by tiles with texts of 10 tokens, 0.96 times
/// with 20 and 0.8 times with 60 (one thread of an Intel Xeon with AMX).
const FEWEST_KEYS: usize = 24;

/// Whether this kernel is for a task: decided by nothing that changes with the texts that it is computed with.
pub(super) fn is_for(task: &Attention<'_>) -> bool {
    task.mask.rows().is_none() && (FEWEST_KEYS..=MOST_KEYS).contains(&task.k.count()) && task.q.cols() > 0
}

#[inline(always)]
#[allow(clippy::needless_range_loop)] // unrolled, so that squares stay in registers
pub(super) fn attention(
    s: Avx512,
    pairs: Pairs,
    tiles: Tiles,
    task: &Attention<'_>,
    scratch: &mut Scratch,
    mut out: RowsMut<'_>,
) {
    let (queries, keys, depth, width) = (task.q.count(), task.k.count(), task.q.cols(), task.v.cols());
    if queries == 0 || width == 0 {
        return;
    }
    let (deep, long) = (depth.div_ceil(DEPTH), keys.div_ceil(DEPTH));
    let (key_tiles, value_tiles) = (keys.div_ceil(ROWS), width.div_ceil(ROWS));
    // `[tile of keys][block of the depth]` and `[tile of the width][block of keys]`, sixteen lines each.
    let left = lines(&mut scratch.left, key_tiles * deep * ROWS);
    for (tile, to) in left.chunks_exact_mut(deep * ROWS).enumerate() {
        let own = task.k.range(tile * ROWS, ROWS.min(keys - tile * ROWS));
        for (block, to) in to.chunks_exact_mut(ROWS).enumerate() {
            for row in 0..ROWS {
                pairs.in_order(s, part_of(own, row, block * DEPTH), s.splat(1.0)).store(&mut to[row].0);
            }
        }
    }
    let values = lines(&mut scratch.values, value_tiles * long * ROWS);
    for (tile, to) in values.chunks_exact_mut(long * ROWS).enumerate() {
        for (block, to) in to.chunks_exact_mut(ROWS).enumerate() {
            let mut square = [s.splat(0.0); LANES];
            for pair in 0..PAIRS {
                let key = block * DEPTH + 2 * pair;
                let first = columns_of(task.v, key, tile * ROWS);
                square[pair] = pairs.group_of(s, first, columns_of(task.v, key + 1, tile * ROWS));
            }
            s.transpose(&mut square);
            for row in 0..ROWS {
                square[row].store(&mut to[row].0);
            }
        }
    }
    let shape = tiles.of_rows(ROWS);
    for start in (0..queries).step_by(VECTORS * LANES) {
        let count = (VECTORS * LANES).min(queries - start);
        // What lies beside them is multiplied as well, whatever it is, and looked at by nobody.
        let vectors = count.div_ceil(LANES);
        let scores = lines(&mut scratch.scores, (2 * long).max(key_tiles.next_multiple_of(2)) * ROWS * VECTORS);
        let right = lines(&mut scratch.right, deep * VECTORS * ROWS);
        let tile = lines(&mut scratch.tile, value_tiles.next_multiple_of(2) * ROWS * VECTORS);
        let seen = match task.mask {
            Mask::Causal { offset } => keys.min(offset + start + count),
            _ => keys,
        };
        // `[block of the depth][vector][pair]`.
        for block in 0..deep {
            for vector in 0..vectors {
                let rows = lanes_of(task.q.range(start, count), vector);
                let mut square = [s.splat(0.0); LANES];
                for row in 0..LANES {
                    square[row] = pairs.in_order(s, part_of(rows, row, block * DEPTH), s.splat(task.scale));
                }
                s.transpose(&mut square);
                for pair in 0..PAIRS {
                    square[pair].store(&mut right[(block * VECTORS + vector) * ROWS + pair].0);
                }
            }
        }
        for first in (0..seen.div_ceil(ROWS)).step_by(2) {
            shape.clear();
            for block in 0..deep {
                let a = [tile_of(left, [first, block], deep), tile_of(left, [first + 1, block], deep)];
                let (b, _) = right[block * VECTORS * ROWS..].as_chunks::<ROWS>();
                add(&shape, a, [&b[0], &b[1]], 1);
            }
            shape.end(&mut scores[first * ROWS * VECTORS..][..2 * ROWS * VECTORS], VECTORS);
        }
        let adjust = Adjustment {
            bias: spread(s, task.bias.map(|bias| bias.range(start, count)), VECTORS, &mut scratch.bias),
            mask: Spread::None,
            fill: None,
            causal: if let Mask::Causal { offset } = task.mask { Some([offset + start, 0]) } else { None },
        };
        let mut sums = [s.splat(0.0); VECTORS];
        for vector in 0..vectors {
            let largest = s.splat(f32::NEG_INFINITY);
            let own = &mut scores[..seen * VECTORS];
            let largest = adjust_scores(s, adjust, [vector, VECTORS], 0, own, largest);
            sums[vector] = weigh(s, pairs, vector, seen, scores, largest);
        }
        for first in (0..value_tiles).step_by(2) {
            shape.clear();
            for block in 0..seen.div_ceil(DEPTH) {
                let a = [tile_of(values, [first, block], long), tile_of(values, [first + 1, block], long)];
                let b = &scores[block * PAIRS * VECTORS..];
                add(&shape, a, [b, &b[1..]], VECTORS);
            }
            shape.end(&mut tile[first * ROWS * VECTORS..][..2 * ROWS * VECTORS], VECTORS);
        }
        for vector in 0..vectors {
            let rest = (count - vector * LANES).min(LANES);
            let (row, sum) = (start + vector * LANES, sums[vector]);
            unpack(s, task.undefined_is_zero, &tile[vector..], VECTORS, sum, [row, rest], &mut out);
        }
    }
}

/// A tile of `[tile][block]`, if there is one.
#[inline(always)]
fn tile_of(lines: &[Line], [tile, block]: [usize; 2], blocks: usize) -> Option<&[Line; ROWS]> {
    lines.get((tile * blocks + block) * ROWS..)?.first_chunk()
}

/// Adds the products of one or two left-hand tiles by two right-hand ones, whose rows are `stride` lines apart.
#[inline(always)]
fn add(tiles: &Shape, a: [Option<&[Line; ROWS]>; 2], b: [&[Line]; 2], stride: usize) {
    tiles.load_right::<6>(b[0], stride);
    tiles.load_right::<7>(b[1], stride);
    if let Some(a) = a[0] {
        tiles.load_left::<4>(floats(a), LANES);
        tiles.add_pairs::<0, 4, 6>();
        tiles.add_pairs::<1, 4, 7>();
    }
    if let Some(a) = a[1] {
        tiles.load_left::<5>(floats(a), LANES);
        tiles.add_pairs::<2, 5, 6>();
        tiles.add_pairs::<3, 5, 7>();
    }
}

/// Up to 32 elements of a row; none where there is no such row.
#[inline(always)]
fn part_of(rows: Rows<'_>, row: usize, first: usize) -> &[f32] {
    if row < rows.count() { &rows.row(row)[first..rows.cols().min(first + DEPTH)] } else { &[] }
}

/// Up to sixteen columns of a row; none where there is no such row.
#[inline(always)]
fn columns_of(rows: Rows<'_>, row: usize, first: usize) -> &[f32] {
    if row < rows.count() { &rows.row(row)[first..rows.cols().min(first + LANES)] } else { &[] }
}

/// Turns one vector of queries' scores into pairs of `exp(score - largest)`, zeros up to a whole block, and gives their sum.
#[inline(always)]
fn weigh(s: Avx512, pairs: Pairs, vector: usize, count: usize, scores: &mut [Line], largest: V) -> V {
    let mut sum = s.splat(0.0);
    for pair in 0..count / 2 {
        let at = 2 * pair * VECTORS + vector;
        let first = pairs.exp_of_negative(s, s.load(&scores[at].0) - largest);
        let second = pairs.exp_of_negative(s, s.load(&scores[at + VECTORS].0) - largest);
        sum = sum + first + second;
        // Never behind what is read next.
        pairs.group(first, second).store(&mut scores[pair * VECTORS + vector].0);
    }
    if !count.is_multiple_of(2) {
        let last = pairs.exp_of_negative(s, s.load(&scores[(count - 1) * VECTORS + vector].0) - largest);
        sum = sum + last;
        pairs.group(last, s.splat(0.0)).store(&mut scores[count / 2 * VECTORS + vector].0);
    }
    for pair in count.div_ceil(2)..count.div_ceil(DEPTH) * PAIRS {
        s.splat(0.0).store(&mut scores[pair * VECTORS + vector].0);
    }
    sum
}

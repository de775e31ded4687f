//! Products of floats by tiles: each float is three bfloat16, and six of their nine products are summed.
//!
//! A float32 has 24 binary digits and a bfloat16 eight: the nearest bfloat16, the nearest one of what is left, and the rest are
//! the number exactly. What is left out of a product, the second part of one side by the third of the other and less, has either
//! sign and is 2^-22 of it at most and 2^-25 as a rule, as a float's own rounding. The tiles multiply pairs of bfloat16 exactly
//! and sum in float32, small products first in each block of the inner dimension, so that a sum has an error like that of fused
//! multiply-adds, or less.
//!
//! Numbers that are no sum of three bfloat16, NaN, infinity and what rounds to it, make every sum they are part of NaN or
//! infinite. Those sums are done again by multiply-adds, whose answer stands. Parts below 1.2e-38, of numbers below 7.7e-34,
//! count as zero.

use std::arch::x86_64::{_CMP_UNORD_Q, _mm512_cmp_ps_mask};

use super::split::{DEPTH, LEFT, Part, RIGHT, Splitter, TILE, VECTORS, split_left};
use super::tiles::{ROWS, Shape, Tiles};
use crate::RowsMut;
use crate::arch::floats;
use crate::arch::generic::matmul::{Place, balanced, finish};
use crate::arch::generic::{Simd, Start, Vector};
use crate::arch::x86_64::avx512::Avx512;
use crate::packed::{LANES, Line};
use crate::task::{Matmul, Scratch, lines};

/// Blocks of the inner dimension that are summed before others are begun: with 160 rows, their parts and twice those of a panel
/// take 500 KB of a second-level cache of 2 MiB.
const CHUNK: usize = 12;
/// The same for all pairs of tiles of rows together where they go by blocks: their parts take 900 KB then.
const LONG_CHUNK: usize = 150;
/// Panels whose sums are held where there are several such chunks: for each such group the left-hand rows are split again.
pub(super) const GROUP: usize = 16;

/// Adds the products of a block for one tile of rows or two, and splits rows for later meanwhile.
#[inline(always)]
fn add<'a, const TWO: bool, const SHARE: usize>(
    s: Avx512,
    tiles: &Shape,
    a: [&[Line]; 2],
    b: &[Line],
    splitter: &mut Splitter<'a, impl Fn(usize) -> &'a [Line], impl Iterator<Item = Part>>,
    to: &mut [Line],
) {
    // Few rows after each of the six products: the scheduler holds 97 instructions, and the tiles' wait behind those of the
    // vectors.
    let mut share = (SHARE > 0).then(|| splitter.share::<SHARE>(to));
    macro_rules! left {
        ($part:literal) => {
            tiles.load_left::<4>(floats(&a[0][$part * TILE..][..TILE]), LANES);
            if TWO {
                tiles.load_left::<5>(floats(&a[1][$part * TILE..][..TILE]), LANES);
            }
        };
    }
    macro_rules! right {
        ($part:literal) => {
            tiles.load_right::<6>(&b[$part * VECTORS * TILE..][..TILE], 1);
            tiles.load_right::<7>(&b[($part * VECTORS + 1) * TILE..][..TILE], 1);
        };
    }
    macro_rules! add {
        ($product:literal) => {
            tiles.add_pairs::<0, 4, 6>();
            tiles.add_pairs::<1, 4, 7>();
            if TWO {
                tiles.add_pairs::<2, 5, 6>();
                tiles.add_pairs::<3, 5, 7>();
            }
            if let Some(share) = &mut share {
                share.split(s, $product * SHARE / 6..($product + 1) * SHARE / 6);
            }
        };
    }
    // The small products first, and one side changed at a time.
    left!(0);
    right!(2);
    add!(0);
    right!(1);
    add!(1);
    left!(1);
    add!(2);
    right!(0);
    add!(3);
    left!(2);
    add!(4);
    left!(0);
    add!(5);
    if SHARE > 0 {
        splitter.done(SHARE);
    }
}

/// Does sums again that are no numbers, by multiply-adds: those of a row by a panel.
#[cold]
#[inline(never)]
#[target_feature(enable = "avx512f")]
pub(super) fn again(row: &[f32], b: &[Line], sums: &mut [Line; VECTORS]) {
    let mut exact = [Line::default(); VECTORS];
    Avx512(()).tile(1, VECTORS, row, b, Place::Lines(&mut exact), Start::Zero);
    for (sum, exact) in sums.iter_mut().zip(exact) {
        for (sum, exact) in sum.0.iter_mut().zip(exact.0) {
            if !sum.is_finite() {
                *sum = exact;
            }
        }
    }
}

/// The order of the parts, of at most so many blocks: all chunks of some panels, and then of others.
fn parts(panels: usize, blocks: usize, most: usize) -> impl Iterator<Item = Part> {
    let each = most.max(1);
    let group = if blocks > each { GROUP } else { panels.max(1) };
    (0..panels).step_by(group).flat_map(move |start| {
        (0..blocks.max(1)).step_by(each).flat_map(move |first| {
            (start..panels.min(start + group)).map(move |panel| Part { panel, first, blocks: each.min(blocks - first) })
        })
    })
}

/// [`Matmul`] with the right-hand side that `panel_of` gives: `k` rows of each panel, and anything behind them.
#[inline(always)]
pub(super) fn matmul<'a>(
    s: Avx512,
    tiles: Tiles,
    task: &Matmul<'_>,
    panel_of: impl Fn(usize) -> &'a [Line] + Copy,
    scratch: &mut Scratch,
    out: RowsMut<'_>,
) {
    let rows = out.count();
    if rows == 0 || out.cols() == 0 {
        return;
    }
    let height = balanced(rows, ROWS);
    // As many rows of the next part at each block of all pairs as are needed for it to be split in time.
    match rows.div_ceil(2 * height) {
        // By blocks 33 rows take 0.82 of the time, 64 rows 0.75, 80 rows 0.91, and 128 rows would take 1.05.
        1 => multiply::<16, true>(s, tiles, height, task, panel_of, scratch, out),
        2 | 3 => multiply::<8, true>(s, tiles, height, task, panel_of, scratch, out),
        4..8 => multiply::<4, false>(s, tiles, height, task, panel_of, scratch, out),
        _ => multiply::<2, false>(s, tiles, height, task, panel_of, scratch, out),
    }
}

/// By blocks, all pairs are multiplied by one block of a panel after the other, which stays in the first-level cache; else each
/// pair by all blocks of a part, so that sums stay in the tiles.
#[inline(always)]
fn multiply<'a, const SHARE: usize, const BY_BLOCKS: bool>(
    s: Avx512,
    tiles: Tiles,
    height: usize,
    task: &Matmul<'_>,
    panel_of: impl Fn(usize) -> &'a [Line] + Copy,
    scratch: &mut Scratch,
    mut out: RowsMut<'_>,
) {
    let (rows, k) = (out.count(), task.a.cols());
    let blocks = k.div_ceil(DEPTH);
    let (pairs, panels) = (rows.div_ceil(2 * height), out.cols().div_ceil(VECTORS * LANES));
    let most = balanced(blocks, if BY_BLOCKS { LONG_CHUNK / pairs } else { CHUNK });
    let is_whole = most == blocks;
    let left = lines(&mut scratch.left, 2 * pairs * most * LEFT);
    // What the tiles read, and what is split meanwhile: a block each where a block is read once, and a part each otherwise.
    let held = if BY_BLOCKS { RIGHT } else { most * RIGHT };
    let (mut now, mut next) = lines(&mut scratch.right, 2 * held).split_at_mut(held);
    let sums = lines(&mut scratch.tile, if is_whole { pairs } else { GROUP * pairs } * 2 * TILE * VECTORS);
    let shape = tiles.of_rows(height);
    let mut splitter = Splitter::new(panel_of, parts(panels, blocks, most), k, BY_BLOCKS);
    if BY_BLOCKS {
        splitter.split::<ROWS>(s, now);
    } else {
        splitter.split_rest(s, now);
    }
    let mut is_split = task.left_is_packed && is_whole;
    let (mut group, mut chunk) = (0, usize::MAX);
    for Part { panel, first, blocks: own } in parts(panels, blocks, most) {
        if chunk != first || panel >= group + GROUP && !is_whole {
            (chunk, group) = (first, panel);
            if !is_split {
                for (start, to) in (0..rows).step_by(height).zip(left.chunks_exact_mut(most * LEFT)) {
                    let a = task.a.range(start, height.min(rows - start));
                    split_left(s, a.columns(first * DEPTH, k.min((first + own) * DEPTH) - first * DEPTH), to);
                }
            }
            is_split = is_whole;
        }
        let rounds = if BY_BLOCKS { own } else { 1 };
        for round in 0..rounds {
            let range = if BY_BLOCKS { round..round + 1 } else { 0..own };
            for (pair, a) in left.chunks_exact(2 * most * LEFT).enumerate() {
                let start = 2 * pair * height;
                let count = (2 * height).min(rows - start);
                let place = match (is_whole, BY_BLOCKS) {
                    (true, true) => pair,
                    (true, false) => 0,
                    (false, _) => (panel - group) * pairs + pair,
                };
                let sums = &mut sums[place * 2 * TILE * VECTORS..][..2 * TILE * VECTORS];
                // One pair's sums stay in the tiles between two rounds.
                if first + round == 0 {
                    shape.clear();
                } else if pairs > 1 || round == 0 {
                    shape.begin(sums, VECTORS);
                }
                for block in range.clone() {
                    let b = &now[if BY_BLOCKS { 0 } else { block * RIGHT }..][..RIGHT];
                    let a = [&a[block * LEFT..][..LEFT], &a[(most + block) * LEFT..][..LEFT]];
                    // The next block only, for which there is room.
                    let is_splitting = splitter.has_rows() && (!BY_BLOCKS || pair * SHARE < ROWS);
                    match (count > height, is_splitting) {
                        (true, true) => add::<true, SHARE>(s, &shape, a, b, &mut splitter, next),
                        (true, false) => add::<true, 0>(s, &shape, a, b, &mut splitter, next),
                        (false, true) => add::<false, SHARE>(s, &shape, a, b, &mut splitter, next),
                        (false, false) => add::<false, 0>(s, &shape, a, b, &mut splitter, next),
                    }
                }
                if pairs > 1 || round + 1 == rounds {
                    shape.end(sums, VECTORS);
                }
                if first + own == blocks && round + 1 == rounds {
                    for (tile, sums) in sums.chunks_exact_mut(TILE * VECTORS).enumerate() {
                        let start = start + tile * height;
                        if start < rows {
                            let sums = &mut sums[..height.min(rows - start) * VECTORS];
                            let again = |row: &[f32], sums: &mut [Line; VECTORS]| {
                                // SAFETY: AVX-512 F is there, of which `s` is evidence.
                                unsafe { again(row, &panel_of(panel)[..k * VECTORS], sums) }
                            };
                            // SAFETY: as above.
                            unsafe { finish_rows(task, [start, panel], again, sums, &mut out) };
                        }
                    }
                }
            }
            if BY_BLOCKS {
                std::mem::swap(&mut now, &mut next);
            }
        }
        if !BY_BLOCKS {
            splitter.split_rest(s, next);
            std::mem::swap(&mut now, &mut next);
        }
    }
}

/// What follows the sums of some rows by a panel, after those that are no numbers were done `again`.
#[inline(never)]
#[target_feature(enable = "avx512f")]
pub(super) fn finish_rows(
    task: &Matmul<'_>,
    [first, panel]: [usize; 2],
    again: impl Fn(&[f32], &mut [Line; VECTORS]),
    sums: &mut [Line],
    out: &mut RowsMut<'_>,
) {
    let s = Avx512(());
    let mut none = s.splat(0.0);
    for sum in &*sums {
        none = s.load(&sum.0).mul_add(s.splat(0.0), none);
    }
    if _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(none.0, none.0) != 0 {
        for (row, sums) in sums.as_chunks_mut::<VECTORS>().0.iter_mut().enumerate() {
            again(task.a.row(first + row), sums);
        }
    }
    finish(s, task, [first, sums.len() / VECTORS], panel * VECTORS * LANES, sums, out);
}

//! Products of floats by the tiles' bytes: each side as whole numbers, nine products of whose digits are summed exactly.
//!
//! Left-hand rows become whole numbers of four digits, each row in steps of its own: [`crate::digits`] says what the right-hand
//! sides are and how near. The products of digits that lie above the fourth place are summed apart by their place, in 32 bits
//! without rounding, and put together in float32. A tile multiplies bytes twice as fast as bfloat16, and weights are three
//! bytes that nobody has to take apart. Products of 10 rows take 0.66 of the time that they take as sums of bfloat16 (see
//! `floats`), those of 64 rows 0.70 and of 256 rows 0.91 (one thread of an Intel Xeon); texts of all-MiniLM-L6-v2 0.72 with 10
//! tokens, 0.80 with 64, 0.90 with 256.
//!
//! Rows whose numbers are too far apart for that, and those with NaN and infinity, are multiplied by multiply-adds.

use std::arch::x86_64::{_mm512_castps_si512, _mm512_cvtepi32_ps, _mm512_reduce_add_ps, _mm512_reduce_max_ps};

use super::floats::finish_rows;
use super::numbers::{FOUR, by_place, digits, read, round, store};
use super::split::prefetch;
use super::tiles::{ROWS, Shape, Tiles};
use crate::arch::floats;
use crate::arch::generic::matmul::balanced;
use crate::arch::generic::{Simd, Vector};
use crate::arch::x86_64::avx512::{Avx512, V};
use crate::digits::{BLOCK, DEPTH, PARTS, exponent_of, is_near, power_of_two, strip_lines};
use crate::packed::{LANES, Line};
use crate::task::{Matmul, Scratch, lines};
use crate::{Rows, RowsMut};

const VECTORS: usize = Avx512::TILE_VECTORS;
/// Vectors in a block of a row.
const VECTORS_OF_BLOCK: usize = DEPTH / LANES;
/// Digits of a left-hand number.
const LEFT_PARTS: usize = PARTS + 1;
/// Lines of the digits of a block of left-hand rows.
const LEFT_BLOCK: usize = LEFT_PARTS * ROWS;
/// Places whose products are summed.
const PLACES: usize = 4;
/// The binary place of the first digit of a left-hand number: its largest is below two to this.
const LEFT_BITS: i32 = 30;
/// The farthest that the largest number of a row may be from the mean magnitude. MiniLM's have 1400 times it.
const SPREAD: f32 = 4096.0;
/// Lines of left-hand digits that are multiplied by all strips before others are: 768 KB of a second-level cache of 2 MiB.
const TOGETHER: usize = 768 * 1024 / size_of::<Line>();
/// Lines that are asked for at once, between two instructions of tiles.
const EACH: usize = 3;
/// Lines ahead of one tile of rows that are asked for.
const AHEAD: usize = 256;

/// Whole numbers of 32 bits as floats.
#[inline(always)]
fn load_integers(s: Avx512, from: &Line) -> V {
    // SAFETY: `s` is evidence of the instruction set.
    V(unsafe { _mm512_cvtepi32_ps(_mm512_castps_si512(s.load(&from.0).0)) })
}

/// Sixty-four numbers of a row, or fewer and zeros, times what their rows of weights are.
#[inline(always)]
fn scaled(s: Avx512, x: &[f32; DEPTH], factors: &[Line; VECTORS_OF_BLOCK]) -> [V; VECTORS_OF_BLOCK] {
    let (x, _) = x.as_chunks::<LANES>();
    let mut own = [s.splat(0.0); VECTORS_OF_BLOCK];
    for at in 0..VECTORS_OF_BLOCK {
        own[at] = s.load(&x[at]) * s.load(&factors[at].0);
    }
    own
}

/// Writes the digits of rows as tiles read them, and the steps that they are numbers of: NaN for rows that have none.
#[inline(always)]
fn write_left(s: Avx512, a: Rows<'_>, factors: &[Line], to: &mut [Line], steps: &mut Line) {
    let (blocks, _) = to.as_chunks_mut::<LEFT_BLOCK>();
    let (factors, _) = factors.as_chunks::<VECTORS_OF_BLOCK>();
    for (index, step) in steps.0.iter_mut().take(a.count()).enumerate() {
        let (whole, rest) = a.row(index).as_chunks::<DEPTH>();
        let mut last = [0.0; DEPTH];
        last[..rest.len()].copy_from_slice(rest);
        // Four of each, as one waits for the one before it.
        let (mut most, mut sum) = ([s.splat(0.0); VECTORS_OF_BLOCK], [s.splat(0.0); VECTORS_OF_BLOCK]);
        for (block, factors) in factors.iter().enumerate() {
            let own = scaled(s, whole.get(block).unwrap_or(&last), factors);
            for at in 0..VECTORS_OF_BLOCK {
                (most[at], sum[at]) = (own[at].abs().max(most[at]), sum[at] + own[at].abs());
            }
        }
        let most = most[0].max(most[1]).max(most[2].max(most[3]));
        let sum = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        // SAFETY: `s` is evidence of the instruction set.
        let (most, sum) = unsafe { (_mm512_reduce_max_ps(most.0), _mm512_reduce_add_ps(sum.0)) };
        let exponent = if most > 0.0 { exponent_of(most) + 1 } else { 0 };
        let has_steps = is_near(most, sum, a.cols(), SPREAD);
        *step = if has_steps { power_of_two(exponent - LEFT_BITS) } else { f32::NAN };
        let up = s.splat(if has_steps { power_of_two(LEFT_BITS - exponent) } else { 0.0 });
        for (block, factors) in factors.iter().enumerate() {
            let own = scaled(s, whole.get(block).unwrap_or(&last), factors);
            let mut quarters = [round(own[0]); VECTORS_OF_BLOCK];
            for at in 0..VECTORS_OF_BLOCK {
                quarters[at] = digits(s, round(own[at] * up), FOUR);
            }
            let [fourth, third, second, first] = by_place(s, quarters);
            let to = &mut blocks[block];
            store(first, &mut to[index]);
            store(second, &mut to[ROWS + index]);
            store(third, &mut to[2 * ROWS + index]);
            store(fourth, &mut to[3 * ROWS + index]);
        }
    }
}

/// Asks for what lies `ahead` of a group of lines, if there is one of this number.
#[inline(always)]
fn ask(s: Avx512, groups: &[[Line; EACH]], number: usize, ahead: usize) {
    if let Some(group) = groups.get(number) {
        for line in group {
            prefetch(s, line, ahead);
        }
    }
}

/// Adds the products of a block of left-hand rows by one of a strip, each to the sums of its place.
///
/// Meanwhile it asks for what lies `ahead` of some `lines`, a few at a time: where memory is what products wait for, forty-eight of them at once keep the
/// next instructions out, and a text of 10 tokens takes 1.14 times as long.
#[inline(always)]
fn add(s: Avx512, tiles: &Shape, a: &[Line; LEFT_BLOCK], b: &[Line; BLOCK], lines: &[Line], ahead: usize) {
    let left = |part: usize| floats(&a[part * ROWS..][..ROWS]);
    let right = |part: usize| &b[part * ROWS..][..ROWS];
    let (groups, _) = lines.as_chunks::<EACH>();
    // In an order that reads each digit of either side once. A sum does not keep the next product to it waiting.
    tiles.load_left::<4>(left(2), LANES);
    ask(s, groups, 0, ahead);
    tiles.load_right::<6>(right(0), 1);
    ask(s, groups, 1, ahead);
    tiles.load_right::<7>(right(1), 1);
    ask(s, groups, 2, ahead);
    tiles.add_digits::<2, 4, 6>();
    ask(s, groups, 3, ahead);
    tiles.load_left::<5>(left(3), LANES);
    ask(s, groups, 4, ahead);
    tiles.add_digits::<3, 4, 7>();
    ask(s, groups, 5, ahead);
    tiles.load_left::<4>(left(0), LANES);
    ask(s, groups, 6, ahead);
    tiles.add_digits::<0, 4, 6>();
    ask(s, groups, 7, ahead);
    tiles.add_digits::<1, 4, 7>();
    ask(s, groups, 8, ahead);
    tiles.add_digits::<3, 5, 6>();
    ask(s, groups, 9, ahead);
    tiles.load_left::<5>(left(1), LANES);
    ask(s, groups, 10, ahead);
    tiles.add_digits::<2, 5, 7>();
    ask(s, groups, 11, ahead);
    tiles.add_digits::<1, 5, 6>();
    ask(s, groups, 12, ahead);
    tiles.load_right::<6>(right(2), 1);
    ask(s, groups, 13, ahead);
    tiles.add_digits::<2, 4, 6>();
    ask(s, groups, 14, ahead);
    tiles.add_digits::<3, 5, 6>();
    ask(s, groups, 15, ahead);
}

/// [`Matmul`] with a right-hand side in digits.
#[inline(always)]
pub(super) fn matmul(s: Avx512, tiles: Tiles, task: &Matmul<'_>, scratch: &mut Scratch, mut out: RowsMut<'_>) {
    let (rows, k) = (out.count(), task.a.cols());
    if rows == 0 || out.cols() == 0 {
        return;
    }
    let factors = task.b.factors();
    let blocks = k.div_ceil(DEPTH);
    let height = balanced(rows, ROWS);
    let count = rows.div_ceil(height);
    let size = blocks * LEFT_BLOCK;
    let (left, steps) = lines(&mut scratch.left, count * (size + 1)).split_at_mut(count * size);
    if !task.left_is_packed {
        // The first right-hand side is on its way meanwhile.
        task.b.panel(0).iter().take(AHEAD).for_each(|line| prefetch(s, line, 0));
        for (tile, (to, steps)) in left.chunks_exact_mut(size).zip(&mut *steps).enumerate() {
            let start = tile * height;
            write_left(s, task.a.range(start, height.min(rows - start)), factors, to, steps);
        }
    }
    let (held, sums) = lines(&mut scratch.tile, PLACES * ROWS + count * ROWS * VECTORS).split_at_mut(PLACES * ROWS);
    let (strip, shape) = (strip_lines(k), tiles.of_rows(height));
    // As many tiles of rows as stay in the second-level cache, by all strips.
    let together = balanced(count, (TOGETHER / size).max(1));
    let mut waiting: Option<Block> = None;
    for group in (0..count).step_by(together) {
        let group = group..count.min(group + together);
        // Of the next strip, as much as is read here, by all tiles together.
        let share = BLOCK.div_ceil(group.len());
        let distance = if group.len() == 1 { AHEAD } else { strip };
        for number in 0..task.b.count() * VECTORS {
            let (panel, j) = (number / VECTORS, number % VECTORS);
            let (right, _) = task.b.panel(panel)[j * strip..][..strip].as_chunks::<BLOCK>();
            for tile in group.clone() {
                let (left, _) = left[tile * size..][..size].as_chunks::<LEFT_BLOCK>();
                shape.clear();
                for (a, b) in left.iter().zip(right) {
                    let own = (tile - group.start) * share;
                    add(s, &shape, a, b, &b[own.min(BLOCK)..BLOCK.min(own + share)], distance);
                }
                // Of the block before, while the products of this one are under way.
                if let Some(before) = waiting.take() {
                    before.settle(s, task, held, steps, &mut sums[before.tile * ROWS * VECTORS..], &mut out);
                }
                shape.end_places(held);
                waiting = Some(Block { panel, j, tile, height });
            }
        }
    }
    if let Some(before) = waiting {
        before.settle(s, task, held, steps, &mut sums[before.tile * ROWS * VECTORS..], &mut out);
    }
}

/// A tile of rows by a strip.
#[derive(Clone, Copy)]
struct Block {
    panel: usize,
    j: usize,
    tile: usize,
    height: usize,
}

impl Block {
    /// What its sums of digits come to, and what follows where it is the last strip of a panel.
    #[inline(always)]
    fn settle(
        self,
        s: Avx512,
        task: &Matmul<'_>,
        places: &[Line],
        steps: &[Line],
        sums: &mut [Line],
        out: &mut RowsMut<'_>,
    ) {
        let Self { panel, j, tile, height } = self;
        let (own, start) = (task.b.panel(panel), tile * height);
        let k = task.a.cols();
        let sums = &mut sums[..height.min(out.count() - start) * VECTORS];
        put_together(s, places, s.load(&own[VECTORS * strip_lines(k) + j].0), &steps[tile], j, sums);
        if j + 1 == VECTORS {
            let again = |row: &[f32], sums: &mut [Line; VECTORS]| {
                // SAFETY: AVX-512 F is there, of which `s` is evidence.
                unsafe { again(row, own, &floats(task.b.factors())[..k], sums) }
            };
            // SAFETY: as above.
            unsafe { finish_rows(task, [start, panel], again, sums, out) };
        }
    }
}

/// The sums of digits by their places as floats, of all rows by one strip.
#[inline(always)]
fn put_together(s: Avx512, places: &[Line], scales: V, steps: &Line, j: usize, to: &mut [Line]) {
    let down = s.splat(1.0 / 256.0);
    for (row, to) in to.as_chunks_mut::<VECTORS>().0.iter_mut().enumerate() {
        let mut x = load_integers(s, &places[3 * ROWS + row]);
        for place in [2, 1, 0] {
            x = x.mul_add(down, load_integers(s, &places[place * ROWS + row]));
        }
        (x * scales * s.splat(steps.0[row])).store(&mut to[j].0);
    }
}

/// Does sums again that are no numbers, by multiply-adds.
#[cold]
#[inline(never)]
#[target_feature(enable = "avx512f")]
fn again(row: &[f32], panel: &[Line], factors: &[f32], sums: &mut [Line; VECTORS]) {
    super::floats::again(row, &read(panel, factors), sums);
}

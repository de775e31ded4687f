//! Products of bytes by tiles: left-hand rows and panels lie in memory as the tiles read them.
//!
//! The sums are exact, and what follows them is computed in the order of [`tile`](crate::arch::generic::integers::tile): the
//! bits are those of every other kernel.

use super::split::prefetch;
use super::sums::{COARSE_GELU, GELU, PLAIN, Panel, SUMS, VECTORS};
use super::tiles::{ROWS, Shape, Tiles};
use crate::arch::generic::Vector;
use crate::arch::generic::integers::Dots;
use crate::arch::generic::matmul::{balanced, finish};
use crate::arch::x86_64::avx512::Avx512;
use crate::arch::x86_64::integers::Vnni;
use crate::arch::{floats, floats_mut};
use crate::integers::IntegerMatmul;
use crate::packed::{LANES, Line};
use crate::task::{Matmul, Scratch, lines};
use crate::{Activation, RowsMut};

/// Groups in a row of a tile.
const DEPTH: usize = LANES;
/// The longest segment whose sums, and those of its weights times a zero, are whole numbers that floats hold: 512 products of
/// 255 and -128 are less than 2^24.
const EXACT: usize = 512 / 4;
/// Lines that are asked for at once, between two instructions of tiles, and how far ahead, where one tile is all rows.
const EACH: usize = 8;
const AHEAD: usize = 256;

/// Left-hand rows whose segments have no whole number of tiles: what is left of each, with zeros behind it.
struct Rests<'a> {
    /// `[segment][tile of rows][row]`.
    lines: &'a [Line],
    tiles: usize,
}

impl Rests<'_> {
    #[inline(always)]
    fn of(&self, segment: usize, tile: usize) -> &[f32] {
        floats(&self.lines[(segment * self.tiles + tile) * ROWS..][..ROWS])
    }
}

#[inline(always)]
pub(super) fn matmul(
    s: Avx512,
    d: Vnni,
    tiles: Tiles,
    task: &IntegerMatmul<'_>,
    scratch: &mut Scratch,
    mut out: RowsMut<'_>,
) {
    let rows = out.count();
    if rows == 0 || out.cols() == 0 {
        return;
    }
    let (segments, a) = (task.b.segments(), task.after.a);
    let height = balanced(rows, ROWS);
    // The last tile begins early enough to be whole: some rows are computed twice then.
    let count = rows.div_ceil(height);
    let start = |tile: usize| (tile * height).min(rows - height);
    let rests = lines(&mut scratch.left, segments * count * ROWS);
    for segment in 0..segments {
        let groups = task.b.groups_of(segment);
        let rest = groups.len() % DEPTH;
        for tile in (0..count).filter(|_| rest > 0) {
            let to = &mut rests[(segment * count + tile) * ROWS..][..height];
            for (row, to) in to.iter_mut().enumerate() {
                to.0 = [0.0; LANES];
                to.0[..rest].copy_from_slice(&a.row(start(tile) + row)[groups.end - rest..groups.end]);
            }
        }
    }
    // For each segment two lines of columns' sums, and then the tiles' sums.
    let (columns, store) =
        lines(&mut scratch.tile, segments * VECTORS + segments.max(1) * SUMS).split_at_mut(segments * VECTORS);
    // As the rows' scales lie: the zeros as floats, and the scales.
    let steps = floats_mut(lines(&mut scratch.mask, (2 * segments * rows).div_ceil(LANES)));
    let (zeros, scales) = steps.split_at_mut(segments * rows);
    for (own, (zero, scale)) in task.rows.iter().zip(zeros.iter_mut().zip(scales.iter_mut())) {
        (*zero, *scale) = (own.zero as f32, own.scale);
    }
    let mut product = Product {
        task,
        rests: Rests { lines: rests, tiles: count },
        // The rows of a right-hand tile behind the last panel's end.
        ends: lines(&mut scratch.right, ROWS * VECTORS),
        columns,
        biases: floats_mut(lines(&mut scratch.bias, VECTORS)),
        steps: [&*zeros, &scales[..segments * rows]],
        is_exact: (0..segments).all(|segment| task.b.groups_of(segment).len() <= EXACT) && task.b.zeros(0).is_none(),
        height,
        count,
    };
    if count == 1 {
        product.of_one_tile(s, d, tiles, store, &mut out);
    } else {
        product.of_pairs(s, d, tiles, store, &mut out);
    }
}

/// A product, and what all its panels have in common.
struct Product<'a> {
    task: &'a IntegerMatmul<'a>,
    rests: Rests<'a>,
    ends: &'a mut [Line],
    /// Of a panel: the sums of the weights of each segment with their signs turned, as floats; and the biases.
    columns: &'a mut [Line],
    biases: &'a mut [f32],
    /// Zeros and scales of all rows, `[segments, m]`.
    steps: [&'a [f32]; 2],
    is_exact: bool,
    /// Rows of a tile, and how many tiles of rows there are.
    height: usize,
    count: usize,
}

impl Product<'_> {
    /// The first row of a tile.
    #[inline(always)]
    fn start(&self, tile: usize) -> usize {
        (tile * self.height).min(self.task.after.a.count() - self.height)
    }

    /// A block of left-hand rows, with their stride.
    #[inline(always)]
    fn left(&self, tile: usize, at: usize) -> (&[f32], usize) {
        let a = &self.task.after.a;
        (a.from(self.start(tile), at), a.stride())
    }

    /// One tile of rows by all panels. What bounds it is reading them: between any two instructions of tiles it asks for some
    /// lines, as for [digits](super::digits).
    #[inline(always)]
    fn of_one_tile(&mut self, s: Avx512, d: Vnni, tiles: Tiles, store: &mut [Line], out: &mut RowsMut<'_>) {
        let task = self.task;
        let shape = tiles.of_rows(self.height);
        for panel in 0..task.b.groups.count() {
            let b = task.b.groups.onward(panel);
            for segment in 0..task.b.segments() {
                let groups = task.b.groups_of(segment);
                let whole = groups.len() / DEPTH;
                shape.clear_first();
                for block in 0..whole {
                    let at = groups.start + block * DEPTH;
                    add_one(s, &shape, self.left(0, at), &b[at * VECTORS..], AHEAD);
                }
                if groups.len() > whole * DEPTH {
                    let right = whole_block(&b[(groups.start + whole * DEPTH) * VECTORS..], self.ends);
                    add_one(s, &shape, (self.rests.of(segment, 0), LANES), right, AHEAD);
                }
                shape.end_first(&mut store[segment * SUMS..][..SUMS], VECTORS);
            }
            self.prepare(s, d, panel);
            self.finish(s, d, panel, 0, store, out);
        }
    }

    /// Tiles of rows, two at a time, by all panels.
    #[inline(always)]
    fn of_pairs(&mut self, s: Avx512, d: Vnni, tiles: Tiles, store: &mut [Line], out: &mut RowsMut<'_>) {
        let (task, count) = (self.task, self.count);
        let shape = tiles.of_rows(self.height);
        let ahead = task.b.groups.k() * VECTORS;
        for panel in 0..task.b.groups.count() {
            self.prepare(s, d, panel);
            let b = task.b.groups.onward(panel);
            for pair in (0..count).step_by(2) {
                let has_two = pair + 1 < count;
                for segment in 0..task.b.segments() {
                    let groups = task.b.groups_of(segment);
                    shape.clear();
                    let whole = groups.len() / DEPTH;
                    let (a, right) = (&task.after.a, &b[groups.start * VECTORS..][..whole * DEPTH * VECTORS]);
                    let left = [pair, (pair + 1).min(count - 1)].map(|tile| a.from(self.start(tile), groups.start));
                    // Of a block of the next panel, all pairs of tiles together ask for its 32 lines, or more; few are unrolled.
                    // SAFETY: AVX-512 F is there, of which `s` is evidence.
                    unsafe {
                        match count {
                            _ if !has_two => add_blocks::<false, 0>(&shape, left, a.stride(), right, 0),
                            2..8 => add_blocks::<true, 16>(&shape, left, a.stride(), right, ahead + pair % 4 * 8),
                            8..16 => add_blocks::<true, 8>(&shape, left, a.stride(), right, ahead + pair % 8 * 4),
                            _ => add_blocks::<true, 4>(&shape, left, a.stride(), right, ahead + pair % 16 * 2),
                        }
                    }
                    if groups.len() > whole * DEPTH {
                        let right = whole_block(&b[(groups.start + whole * DEPTH) * VECTORS..], self.ends);
                        let left = |tile| (self.rests.of(segment, tile), LANES);
                        add(&shape, left(pair), has_two.then(|| left(pair + 1)), right);
                    }
                    shape.end(&mut store[segment * SUMS..][..SUMS], VECTORS);
                }
                for tile in pair..count.min(pair + 2) {
                    self.finish(s, d, panel, tile, &mut store[(tile - pair) * ROWS * VECTORS..], out);
                }
            }
        }
    }

    /// Sets the columns' sums and biases to those of a panel.
    #[inline(always)]
    fn prepare(&mut self, s: Avx512, d: Vnni, panel: usize) {
        let (task, first_col) = (self.task, panel * VECTORS * LANES);
        self.biases.fill(0.0);
        if let Some(bias) = task.after.bias {
            let own = &bias[first_col..bias.len().min(first_col + VECTORS * LANES)];
            self.biases[..own.len()].copy_from_slice(own);
        }
        for (segment, columns) in self.columns.chunks_exact_mut(VECTORS).enumerate() {
            for (j, to) in columns.iter_mut().enumerate() {
                let sums = task.b.sums(segment, first_col + j * LANES).first_chunk().expect("sums of a panel");
                d.floats(s, d.integers(sums)).store(&mut to.0);
            }
        }
    }

    /// What follows the sums of a tile of rows by a panel.
    #[inline(always)]
    fn finish(&self, s: Avx512, d: Vnni, panel: usize, tile: usize, sums: &mut [Line], out: &mut RowsMut<'_>) {
        let Self { task, steps, height, is_exact, .. } = *self;
        let (first, first_col) = (self.start(tile), panel * VECTORS * LANES);
        let panel = Panel { task, first_col, columns: self.columns, biases: self.biases, steps, rows: [first, height] };
        let goes_straight = task.after.factor.is_none() && first_col + VECTORS * LANES <= out.cols();
        match task.after.activation {
            Activation::Identity if goes_straight => return panel.floats::<PLAIN>(s, d, sums, is_exact, Some(out)),
            Activation::Gelu if goes_straight => return panel.floats::<GELU>(s, d, sums, is_exact, Some(out)),
            Activation::CoarseGelu if goes_straight => {
                return panel.floats::<COARSE_GELU>(s, d, sums, is_exact, Some(out));
            }
            _ => panel.floats::<PLAIN>(s, d, sums, is_exact, None),
        }
        finish(s, &Matmul { bias: None, ..task.after }, [first, height], first_col, sums, out);
    }
}

/// Adds the products of whole blocks of left-hand rows, of one tile or of two, by the lines of a panel; meanwhile it asks for so
/// many lines that lie `ahead` of each block.
#[inline(never)]
#[target_feature(enable = "avx512f")]
fn add_blocks<const TWO: bool, const EACH: usize>(
    tiles: &Shape,
    left: [&[f32]; 2],
    stride: usize,
    right: &[Line],
    ahead: usize,
) {
    let s = Avx512(());
    for (number, right) in right.as_chunks::<{ ROWS * VECTORS }>().0.iter().enumerate() {
        tiles.load_left::<4>(&left[0][number * DEPTH..], stride);
        tiles.load_right::<6>(right, VECTORS);
        tiles.add_groups::<0, 4, 6>();
        tiles.load_right::<7>(&right[1..], VECTORS);
        tiles.add_groups::<1, 4, 7>();
        for line in 0..EACH {
            prefetch(s, &right[0], ahead + line);
        }
        if TWO {
            tiles.load_left::<5>(&left[1][number * DEPTH..], stride);
            tiles.add_groups::<2, 5, 6>();
            tiles.add_groups::<3, 5, 7>();
        }
    }
}

/// The lines of a block; of `ends` where the last panel ends before the block does.
#[inline(always)]
fn whole_block<'a>(lines: &'a [Line], ends: &'a mut [Line]) -> &'a [Line] {
    if lines.len() >= ROWS * VECTORS {
        return lines;
    }
    ends[..lines.len()].copy_from_slice(lines);
    ends
}

/// Adds the products of a block of left-hand rows, given with their stride, by a panel; meanwhile it asks for the lines that lie
/// `ahead` of those.
#[inline(always)]
fn add_one(s: Avx512, tiles: &Shape, a: (&[f32], usize), b: &[Line], ahead: usize) {
    let (groups, _) = b[..ROWS * VECTORS].as_chunks::<EACH>();
    let ask = |number: usize| groups[number].iter().for_each(|line| prefetch(s, line, ahead));
    tiles.load_left::<4>(a.0, a.1);
    ask(0);
    tiles.load_right::<6>(b, VECTORS);
    ask(1);
    tiles.add_groups::<0, 4, 6>();
    ask(2);
    tiles.load_right::<7>(&b[1..], VECTORS);
    ask(3);
    tiles.add_groups::<1, 4, 7>();
}

/// Adds the products of a block of left-hand rows, or of two, given with their stride, by a panel.
#[inline(always)]
fn add(tiles: &Shape, a0: (&[f32], usize), a1: Option<(&[f32], usize)>, b: &[Line]) {
    tiles.load_left::<4>(a0.0, a0.1);
    tiles.load_right::<6>(b, VECTORS);
    tiles.load_right::<7>(&b[1..], VECTORS);
    tiles.add_groups::<0, 4, 6>();
    tiles.add_groups::<1, 4, 7>();
    if let Some(a1) = a1 {
        tiles.load_left::<5>(a1.0, a1.1);
        tiles.add_groups::<2, 5, 6>();
        tiles.add_groups::<3, 5, 7>();
    }
}

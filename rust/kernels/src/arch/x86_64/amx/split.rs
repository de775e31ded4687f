//! Floats as sums of three bfloat16, in the order in which tiles read them.
//!
//! A float32 has 24 binary digits and a bfloat16 eight: the nearest bfloat16, the nearest one of what is left, and the rest are
//! the number exactly. NaN, infinity and what rounds to it have a part that is NaN.

use std::arch::x86_64::{
    __m512i, _MM_HINT_T1, _mm_prefetch, _mm512_add_epi32, _mm512_and_si512, _mm512_castps_si512, _mm512_castsi512_ps,
    _mm512_set1_epi32, _mm512_srli_epi32, _mm512_ternarylogic_epi32,
};
use std::ops::Range;

use super::tiles::ROWS;
use crate::Rows;
use crate::arch::generic::{Simd, Vector};
use crate::arch::x86_64::avx512::{Avx512, V};
use crate::packed::{LANES, Line};

/// Lines ahead of those that are split, to be brought into the second-level cache.
const AHEAD: usize = 256;
/// Elements of the inner dimension in a tile: sixteen pairs, whose elements are sixteen apart.
pub(super) const DEPTH: usize = 32;
/// The bfloat16 of a float.
pub(super) const PARTS: usize = 3;
/// Lines of a tile, and of the tiles of one block: of the left-hand side for a tile of rows, of the right-hand side for a panel.
pub(super) const TILE: usize = ROWS;
pub(super) const LEFT: usize = PARTS * TILE;
pub(super) const VECTORS: usize = Avx512::TILE_VECTORS;
pub(super) const RIGHT: usize = PARTS * VECTORS * TILE;

/// The nearest float of eight digits, ties away from zero, as bits that have more below them.
#[inline(always)]
fn rounded(x: V) -> __m512i {
    // SAFETY: a V is evidence of the instruction set.
    unsafe { _mm512_add_epi32(_mm512_castps_si512(x.0), _mm512_set1_epi32(0x8000)) }
}

/// The upper half of each lane.
#[inline(always)]
fn upper(_: Avx512, bits: __m512i) -> __m512i {
    // SAFETY: the first argument is evidence of the instruction set.
    unsafe { _mm512_and_si512(bits, _mm512_set1_epi32(!0xFFFF)) }
}

/// The upper half of `low` below that of `high`; what is below either is left out.
///
/// By an instruction that the compiler leaves as it is: of a shift and two more it makes a permutation of three.
#[inline(always)]
fn pair(_: Avx512, low: __m512i, high: __m512i) -> V {
    /// The first, or the second where the third has ones.
    const FIRST_OR_BOTH_OTHERS: i32 = 0xF8;
    // SAFETY: as above.
    V(unsafe {
        let low = _mm512_srli_epi32::<16>(low);
        _mm512_castsi512_ps(_mm512_ternarylogic_epi32::<FIRST_OR_BOTH_OTHERS>(low, high, _mm512_set1_epi32(!0xFFFF)))
    })
}

/// The parts of pairs, lane by lane, the largest first: those of `low` in the low halves.
///
/// The first part is the nearest, so that what is left has either sign, and so have the products that are left out; the
/// second one is cut off, which takes two instructions of nineteen less.
#[inline(always)]
fn split(s: Avx512, low: V, high: V) -> [V; PARTS] {
    let (first, second) = (rounded(low), upper(s, rounded(high)));
    let largest = pair(s, first, second);
    // SAFETY: `s` is evidence of the instruction set.
    let (low, high) = unsafe { (low - V(_mm512_castsi512_ps(upper(s, first))), high - V(_mm512_castsi512_ps(second))) };
    // SAFETY: as above.
    let (first, second) = unsafe { (_mm512_castps_si512(low.0), upper(s, _mm512_castps_si512(high.0))) };
    let middle = pair(s, first, second);
    // SAFETY: as above.
    let (low, high) = unsafe { (low - V(_mm512_castsi512_ps(upper(s, first))), high - V(_mm512_castsi512_ps(second))) };
    // What is left has eight digits and nothing below the upper halves, unless it is denormal.
    // SAFETY: as above.
    let (first, second) = unsafe { (_mm512_castps_si512(low.0), _mm512_castps_si512(high.0)) };
    [largest, middle, pair(s, first, second)]
}

/// Splits the rows of a tile, block by block of the inner dimension: `[block][part][row]`.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // the standard library's zip becomes a call
pub(super) fn split_left(s: Avx512, rows: Rows<'_>, to: &mut [Line]) {
    let (to, _) = to.as_chunks_mut::<LEFT>();
    for row in 0..rows.count() {
        let (whole, rest) = rows.row(row).as_chunks::<DEPTH>();
        for block in 0..whole.len() {
            let (x, _) = whole[block].as_chunks::<LANES>();
            put_left(split(s, s.load(&x[0]), s.load(&x[1])), row, &mut to[block]);
        }
        if !rest.is_empty() {
            let (low, high) = rest.split_at(rest.len().min(LANES));
            put_left(split(s, s.load_part(low), s.load_part(high)), row, &mut to[whole.len()]);
        }
    }
}

#[inline(always)]
fn put_left(parts: [V; PARTS], row: usize, to: &mut [Line; LEFT]) {
    for part in 0..PARTS {
        parts[part].store(&mut to[part * TILE + row % TILE].0);
    }
}

/// What is split and multiplied together: some blocks of a panel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) panel: usize,
    pub(super) first: usize,
    pub(super) blocks: usize,
}

/// Splits parts of panels, some rows at a time, while the tiles multiply by what was split before: the one takes the vector
/// units, the other none of them.
pub(super) struct Splitter<'a, P, I> {
    panel_of: P,
    parts: I,
    k: usize,
    /// Whether there is room for one block only, and not for a part.
    is_by_blocks: bool,
    /// The part that is being split, how many of its blocks are done, and how many pairs of rows of the next one.
    part: Option<Part>,
    block: usize,
    row: usize,
    /// The lines of the panel; those of the block and all behind them.
    panel: &'a [Line],
    lines: &'a [Line],
    /// The block where the panel ends within it, with zeros behind that.
    padded: [Line; DEPTH * VECTORS],
    is_padded: bool,
}

impl<'a, P: Fn(usize) -> &'a [Line], I: Iterator<Item = Part>> Splitter<'a, P, I> {
    #[inline(always)]
    pub(super) fn new(panel_of: P, parts: I, k: usize, is_by_blocks: bool) -> Self {
        let mut splitter = Self {
            panel_of,
            parts,
            k,
            is_by_blocks,
            part: None,
            block: 0,
            row: 0,
            panel: &[],
            lines: &[],
            padded: [Line::default(); DEPTH * VECTORS],
            is_padded: false,
        };
        splitter.next_part();
        splitter
    }

    /// Whether there are rows to split before [`Splitter::next_part`].
    #[inline(always)]
    pub(super) fn has_rows(&self) -> bool {
        self.part.is_some_and(|part| self.block < part.blocks)
    }

    /// The next `COUNT` pairs of rows of a block, and where they go: `[block][part][vector][row]`, or `[part][vector][row]`
    /// where there is room for one block.
    #[inline(always)]
    pub(super) fn share<'s, const COUNT: usize>(&'s self, to: &'s mut [Line]) -> Share<'s, COUNT> {
        let place = if self.is_by_blocks { 0 } else { self.block };
        let lines: &[Line] = if self.is_padded { &self.padded } else { self.lines };
        Share {
            from: &lines[self.row * VECTORS..][..(ROWS + COUNT) * VECTORS],
            to: &mut to[place * RIGHT + self.row..][..RIGHT - ROWS + COUNT],
        }
    }

    /// Splits such a share.
    #[inline(always)]
    pub(super) fn split<const COUNT: usize>(&mut self, s: Avx512, to: &mut [Line]) {
        self.share::<COUNT>(to).split(s, 0..COUNT);
        self.done(COUNT);
    }

    /// Goes on behind a share.
    #[inline(always)]
    pub(super) fn done(&mut self, count: usize) {
        self.row += count;
        if self.row == ROWS {
            (self.row, self.block) = (0, self.block + 1);
            if self.has_rows() {
                self.next_block();
            } else if self.is_by_blocks {
                self.next_part();
            }
        }
    }

    /// Splits what is left of a part, and goes on to the next one.
    #[inline(always)]
    pub(super) fn split_rest(&mut self, s: Avx512, to: &mut [Line]) {
        while self.has_rows() {
            self.split::<1>(s, to);
        }
        self.next_part();
    }

    #[inline(always)]
    fn next_part(&mut self) {
        self.block = 0;
        let before = self.part.map(|part| part.panel);
        self.part = self.parts.next();
        if let Some(part) = self.part {
            if before != Some(part.panel) {
                self.panel = (self.panel_of)(part.panel);
            }
            self.next_block();
        }
    }

    #[inline(always)]
    fn next_block(&mut self) {
        let first = (self.part.map_or(0, |part| part.first) + self.block) * DEPTH;
        self.lines = &self.panel[first * VECTORS..];
        self.is_padded = first + DEPTH > self.k;
        if self.is_padded {
            let rest = &self.lines[..(self.k - first) * VECTORS];
            self.padded = [Line::default(); DEPTH * VECTORS];
            self.padded[..rest.len()].copy_from_slice(rest);
        }
    }
}

/// Brings the line that lies so many ahead of one into the second-level cache, whatever it belongs to.
#[inline(always)]
pub(super) fn prefetch(_: Avx512, line: &Line, ahead: usize) {
    let ahead = std::ptr::from_ref(line).wrapping_add(ahead);
    // SAFETY: the first argument is evidence of more than SSE; a prefetch reads nothing that the program can see, and an address
    // that is not there is ignored.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(ahead.cast()) }
}

/// Pairs of rows of a block that are to be split.
///
/// All its lines lie at distances that the compiler knows: with bounds to check and addresses to compute for each row, what is
/// in flight reaches less far, and products of 10 rows took 1.1 times as long (all-MiniLM-L6-v2, one thread of an Intel Xeon).
pub(super) struct Share<'s, const COUNT: usize> {
    from: &'s [Line],
    to: &'s mut [Line],
}

impl<const COUNT: usize> Share<'_, COUNT> {
    /// Splits some of them.
    #[inline(always)]
    pub(super) fn split(&mut self, s: Avx512, rows: Range<usize>) {
        let (from, to) = (&self.from[..(ROWS + COUNT) * VECTORS], &mut self.to[..RIGHT - ROWS + COUNT]);
        for row in rows {
            for vector in 0..VECTORS {
                let [low, high] = [row * VECTORS + vector, (row + ROWS) * VECTORS + vector];
                prefetch(s, &from[low], AHEAD);
                prefetch(s, &from[high], AHEAD);
                let parts = split(s, s.load(&from[low].0), s.load(&from[high].0));
                for part in 0..PARTS {
                    parts[part].store(&mut to[(part * VECTORS + vector) * TILE + row].0);
                }
            }
        }
    }
}

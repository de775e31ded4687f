//! Products with matrices in few bits: some rows of a panel become floats, and the float tiles go on with them.

use super::matmul::{Place, balanced, finish};
use super::pack::{floats_mut, left_lines, pack_left};
use super::{Simd, Start, Vector};
use crate::RowsMut;
use crate::packed::{LANES, Line};
use crate::stored::{Form, StoredMatmul, StoredPanels, element};
use crate::task::{Scratch, lines};

/// Rows of a panel that become floats at a time: they stay in the first-level cache, 16 KiB with two vectors a row.
const DEPTH: usize = 128;

/// Lines ahead of those that are widened, to be brought into the second-level cache.
const AHEAD: usize = 128;

/// Evidence of the instructions that widen sixteen elements.
pub(in crate::arch) trait Widen<S: Simd>: Copy {
    fn halves(self, s: S, from: &[f32; 8]) -> S::V;
    fn bytes(self, s: S, from: &[f32; 4]) -> S::V;
    fn nibbles(self, s: S, from: &[f32; 2]) -> S::V;
}

/// By plain loops.
#[derive(Clone, Copy)]
pub(in crate::arch) struct Plainly;

impl<S: Simd> Widen<S> for Plainly {
    #[inline(always)]
    fn halves(self, s: S, from: &[f32; 8]) -> S::V {
        s.load(&std::array::from_fn(|lane| element(Form::Float16, from, lane)))
    }

    #[inline(always)]
    fn bytes(self, s: S, from: &[f32; 4]) -> S::V {
        s.load(&std::array::from_fn(|lane| element(Form::Bytes, from, lane)))
    }

    #[inline(always)]
    fn nibbles(self, s: S, from: &[f32; 2]) -> S::V {
        s.load(&std::array::from_fn(|lane| element(Form::Nibbles, from, lane)))
    }
}

#[inline(always)]
pub(in crate::arch) fn matmul<S: Simd, W: Widen<S>>(
    s: S,
    w: W,
    task: &StoredMatmul<'_>,
    scratch: &mut Scratch,
    mut out: RowsMut<'_>,
) {
    let (rows, k) = (out.count(), task.b.k());
    if rows == 0 || out.cols() == 0 {
        return;
    }
    let height = balanced(rows, S::TILE_ROWS);
    let left = floats_mut(lines(&mut scratch.left, left_lines(rows, k)));
    for first in (0..rows).step_by(height) {
        pack_left(s, task.after.a.range(first, height.min(rows - first)), &mut left[first * k..]);
    }
    let floats = lines(&mut scratch.right, DEPTH * S::TILE_VECTORS);
    let sums = lines(&mut scratch.tile, rows * S::TILE_VECTORS);
    for panel in 0..task.b.count() {
        // At least once: without rows the sums are zeros.
        for row in (0..k.max(1)).step_by(DEPTH) {
            let depth = DEPTH.min(k - row);
            widen(s, w, task.b, panel, row, &mut floats[..depth * S::TILE_VECTORS]);
            let start = if row == 0 { Start::Zero } else { Start::Sums };
            for first in (0..rows).step_by(height) {
                let count = height.min(rows - first);
                let a = &left[first * k + row * count..first * k + (row + depth) * count];
                let to = &mut sums[first * S::TILE_VECTORS..];
                s.tile(count, S::TILE_VECTORS, a, &floats[..depth * S::TILE_VECTORS], Place::Lines(to), start);
            }
        }
        for first in (0..rows).step_by(height) {
            let count = height.min(rows - first);
            let from = &sums[first * S::TILE_VECTORS..];
            finish(s, &task.after, [first, count], panel * S::TILE_VECTORS * LANES, from, &mut out);
        }
    }
}

/// Makes the kernel of one instruction set, compiled for the features it is made of.
macro_rules! stored_kernel {
    ($features:literal, $simd:expr, $widen:expr) => {{
        fn matmul(task: &StoredMatmul<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
            #[target_feature(enable = $features)]
            fn inner(task: &StoredMatmul<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
                stored::matmul($simd, $widen, task, scratch, out);
            }
            // SAFETY: reached only through a table of these features, which was handed out after detecting them.
            unsafe { inner(task, scratch, out) }
        }
        matmul
    }};
}

pub(in crate::arch) use stored_kernel;

/// Writes some rows of a panel, from `first` on, as floats.
#[inline(always)]
fn widen<S: Simd, W: Widen<S>>(s: S, w: W, b: StoredPanels<'_>, panel: usize, first: usize, to: &mut [Line]) {
    let (words, lines) = (b.words(panel, first), b.lines(panel, first));
    // By index: the standard library's iterators become calls, around which no vector stays in a register.
    match b.form() {
        Form::Float16 => {
            let words = &words.as_chunks().0[..to.len()];
            for index in 0..to.len() {
                ahead(s, lines, index * 8);
                w.halves(s, &words[index]).store(&mut to[index].0);
            }
        }
        Form::Bytes => {
            let words = &words.as_chunks().0[..to.len()];
            for row in 0..to.len() / S::TILE_VECTORS {
                let [scales, zeros] = b.steps(panel, first + row);
                let (scales, zeros) = (scales.as_chunks().0, zeros.as_chunks().0);
                for vector in 0..S::TILE_VECTORS {
                    let index = row * S::TILE_VECTORS + vector;
                    ahead(s, lines, index * 4);
                    let x = w.bytes(s, &words[index]) - s.load(&zeros[vector]);
                    (x * s.load(&scales[vector])).store(&mut to[index].0);
                }
            }
        }
        Form::Nibbles => {
            let words = &words.as_chunks().0[..to.len()];
            for row in 0..to.len() / S::TILE_VECTORS {
                let [scales, zeros] = b.steps(panel, first + row);
                let (scales, zeros) = (scales.as_chunks().0, zeros.as_chunks().0);
                for vector in 0..S::TILE_VECTORS {
                    let index = row * S::TILE_VECTORS + vector;
                    ahead(s, lines, index * 2);
                    let x = w.nibbles(s, &words[index]) - s.load(&zeros[vector]);
                    (x * s.load(&scales[vector])).store(&mut to[index].0);
                }
            }
        }
    }
}

/// Brings what comes later into the second-level cache, once for each line.
#[inline(always)]
fn ahead<S: Simd>(s: S, lines: &[Line], word: usize) {
    let line = word / LANES + AHEAD;
    if word.is_multiple_of(LANES) && line < lines.len() {
        s.prefetch(&lines[line]);
    }
}

//! Products with matrices in few bits: the register tile widens the row of the panel that it comes to.
//!
//! A vector that is widened is multiplied with all rows of the tile. Where there are more rows than one tile has, the first
//! tile leaves the floats for the others. Either way they are the floats, in the order, of the float kernel.
//!
//! Widening takes slots of the multiply-add units: two vectors of float16 2 cycles of an AMD EPYC (25/17), beside 2 for
//! each row of the tile, so that it pays where reading is what counts, and costs a tenth at ten rows and more. Integer
//! arithmetic on bits that lie as floats need them would take 1.1, with the exponents moved, and so not for all numbers.

use super::matmul::{Place, Right, balanced, finish};
use super::pack::{left_lines, pack_left};
use super::{Simd, Start, Vector};
use crate::arch::floats_mut;
use crate::packed::{LANES, Line};
use crate::stored::{Form, StoredMatmul, StoredPanels, element};
use crate::task::{Scratch, lines};
use crate::{Activation, RowsMut};

/// Lines ahead of those that are widened, to be brought into the second-level cache.
const AHEAD: usize = 128;

/// Evidence of the instructions that widen sixteen elements in `WORDS` words.
pub(in crate::arch) trait Widen<S: Simd, const WORDS: usize>: Copy {
    fn floats(self, s: S, from: &[f32; WORDS]) -> S::V;
}

const HALVES: usize = Form::Float16.words();
const BYTES: usize = Form::Bytes.words();
const NIBBLES: usize = Form::Nibbles.words();

/// All three.
pub(in crate::arch) trait WidenAll<S: Simd>:
    Widen<S, HALVES> + Widen<S, BYTES> + Widen<S, NIBBLES>
{
}

impl<S: Simd, W: Widen<S, HALVES> + Widen<S, BYTES> + Widen<S, NIBBLES>> WidenAll<S> for W {}

/// By plain loops.
#[derive(Clone, Copy)]
pub(in crate::arch) struct Plainly;

impl<S: Simd, const WORDS: usize> Widen<S, WORDS> for Plainly {
    #[inline(always)]
    fn floats(self, s: S, from: &[f32; WORDS]) -> S::V {
        let form = match WORDS {
            HALVES => Form::Float16,
            BYTES => Form::Bytes,
            _ => Form::Nibbles,
        };
        s.load(&std::array::from_fn(|lane| element(form, from, lane)))
    }
}

/// Rows of a panel, sixteen elements in `WORDS` words.
struct Kept<'a, W, const WORDS: usize> {
    w: W,
    vectors: &'a [[f32; WORDS]],
    /// From that of the first vector on: what is behind the panel is prefetched as well.
    lines: &'a [Line],
    /// Scales and zeros, where there are any: the same for all of the rows.
    steps: Option<[&'a [Line]; 2]>,
    /// Where the floats stay for other tiles of the panel, if there are any.
    floats: Option<&'a mut [Line]>,
}

impl<'a, W, const WORDS: usize> Kept<'a, W, WORDS> {
    #[inline(always)]
    fn new<S: Simd>(
        w: W,
        b: StoredPanels<'a>,
        panel: usize,
        [first, count]: [usize; 2],
        floats: Option<&'a mut [Line]>,
    ) -> Self {
        let vectors = &b.words(panel, first).as_chunks().0[..count * S::TILE_VECTORS];
        let has_steps = WORDS != HALVES && count > 0;
        let steps = has_steps.then(|| b.steps(panel, first));
        let floats = floats.map(|floats| &mut floats[first * S::TILE_VECTORS..][..count * S::TILE_VECTORS]);
        Self { w, vectors, lines: b.lines(panel, first), steps, floats }
    }
}

impl<S: Simd, W: Widen<S, WORDS>, const WORDS: usize> Right<S> for Kept<'_, W, WORDS> {
    #[inline(always)]
    fn rows<const VECTORS: usize>(&self) -> usize {
        self.vectors.as_chunks::<VECTORS>().0.len()
    }

    #[inline(always)]
    fn prefetch<const VECTORS: usize>(&self, s: S, row: usize) {
        // Once for each line.
        let word = row * VECTORS * WORDS;
        let line = word / LANES + AHEAD;
        if word.is_multiple_of(LANES) && line < self.lines.len() {
            s.prefetch(&self.lines[line]);
        }
    }

    #[inline(always)]
    fn row<const VECTORS: usize>(&mut self, s: S, row: usize) -> [S::V; VECTORS] {
        let kept = &self.vectors.as_chunks::<VECTORS>().0[row];
        let mut vectors = [s.splat(0.0); VECTORS];
        for j in 0..VECTORS {
            vectors[j] = self.w.floats(s, &kept[j]);
            if let Some([scales, zeros]) = self.steps {
                vectors[j] = (vectors[j] - s.load(&zeros[j].0)) * s.load(&scales[j].0);
            }
        }
        if let Some(floats) = &mut self.floats {
            let floats = &mut floats.as_chunks_mut::<VECTORS>().0[row];
            for j in 0..VECTORS {
                vectors[j].store(&mut floats[j].0);
            }
        }
        vectors
    }
}

#[inline(always)]
pub(in crate::arch) fn matmul<S: Simd, W: WidenAll<S>>(
    s: S,
    w: W,
    task: &StoredMatmul<'_>,
    scratch: &mut Scratch,
    mut out: RowsMut<'_>,
) {
    let StoredMatmul { after, b } = task;
    let (rows, k) = (out.count(), b.k());
    if rows == 0 || out.cols() == 0 {
        return;
    }
    let height = balanced(rows, S::TILE_ROWS);
    let left = floats_mut(lines(&mut scratch.left, left_lines(rows, k)));
    for first in (0..rows).step_by(height).filter(|_| !after.left_is_packed) {
        pack_left(s, after.a.range(first, height.min(rows - first)), &mut left[first * k..]);
    }
    let sums = lines(&mut scratch.tile, S::TILE_ROWS * S::TILE_VECTORS);
    let is_alone = height == rows;
    let floats = lines(&mut scratch.right, if is_alone { 0 } else { k * S::TILE_VECTORS });
    let is_plain = after.activation == Activation::Identity && after.factor.is_none();
    let width = S::TILE_VECTORS * LANES;
    for panel in 0..b.count() {
        let column = panel * width;
        let goes_straight = is_plain && column + width <= out.cols();
        for first in (0..rows).step_by(height) {
            let count = height.min(rows - first);
            let a = &left[first * k..(first + count) * k];
            if first == 0 {
                let keep = (!is_alone).then_some(&mut *floats);
                if b.form() == Form::Float16 && goes_straight {
                    let b = Kept::<W, HALVES>::new::<S>(w, *b, panel, [0, k], keep);
                    s.tile(count, S::TILE_VECTORS, a, b, Place::Result(after, [first, column], &mut out), Start::Zero);
                    continue;
                }
                by_blocks(s, w, *b, panel, count, a, keep, sums);
            } else if goes_straight {
                let place = Place::Result(after, [first, column], &mut out);
                s.tile(count, S::TILE_VECTORS, a, &*floats, place, Start::Zero);
                continue;
            } else {
                s.tile(count, S::TILE_VECTORS, a, &*floats, Place::Lines(&mut *sums), Start::Zero);
            }
            finish(s, after, [first, count], column, sums, &mut out);
        }
    }
}

/// The sums of a tile over all rows of a panel, which are widened block by block.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // a tile's operands and what is kept of them
fn by_blocks<S: Simd, W: WidenAll<S>>(
    s: S,
    w: W,
    b: StoredPanels<'_>,
    panel: usize,
    count: usize,
    a: &[f32],
    mut keep: Option<&mut [Line]>,
    sums: &mut [Line],
) {
    let block = b.block();
    // At least once: without rows the sums are zeros.
    for first in (0..b.k().max(1)).step_by(block) {
        let depth = block.min(b.k() - first);
        let a = &a[first * count..(first + depth) * count];
        let start = if first == 0 { Start::Zero } else { Start::Sums };
        let keep = keep.as_deref_mut();
        macro_rules! tile {
            ($words:ident) => {{
                let b = Kept::<W, $words>::new::<S>(w, b, panel, [first, depth], keep);
                s.tile(count, S::TILE_VECTORS, a, b, Place::Lines(&mut *sums), start);
            }};
        }
        match b.form() {
            Form::Float16 => tile!(HALVES),
            Form::Bytes => tile!(BYTES),
            Form::Nibbles => tile!(NIBBLES),
        }
    }
}

/// Writes the floats of a panel: its rows one after the other, two vectors each where tiles have two.
#[inline(always)]
pub(in crate::arch) fn widen_panel<S: Simd, W: WidenAll<S>, const VECTORS: usize>(
    s: S,
    w: W,
    b: StoredPanels<'_>,
    panel: usize,
    to: &mut [Line],
) {
    const { assert!(VECTORS == S::TILE_VECTORS) };
    let block = b.block();
    for first in (0..b.k()).step_by(block) {
        let depth = block.min(b.k() - first);
        macro_rules! widen {
            ($words:ident) => {{
                let mut from = Kept::<W, $words>::new::<S>(w, b, panel, [first, depth], Some(&mut *to));
                for row in 0..depth {
                    Right::<S>::prefetch::<VECTORS>(&from, s, row);
                    let _: [S::V; VECTORS] = from.row(s, row);
                }
            }};
        }
        match b.form() {
            Form::Float16 => widen!(HALVES),
            Form::Bytes => widen!(BYTES),
            Form::Nibbles => widen!(NIBBLES),
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

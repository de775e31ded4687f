//! Attention by AVX-512 BF16, whose multiply-add sums pairs of bfloat16.
//!
//! `vdpbf16ps` multiplies the high halves first and then the low ones, and rounds after each: with the first of two neighbours
//! in the high half the sum ascends, bit for bit as by fused multiply-adds of floats (3.2 million random sums on AMD EPYC
//! 25/17, all equal). It does twice as many multiply-adds a cycle there.

use std::arch::x86_64::{
    __m512bh, __m512i, _mm512_castsi512_ps, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_loadu_si512,
    _mm512_permutexvar_epi16, _mm512_reduce_ps, _mm512_rol_epi32, _mm512_set1_epi32,
};
use std::mem::transmute;
use std::ptr::from_ref;

use super::avx512::{Avx512, V};
use crate::arch::generic::attention::attend;
use crate::arch::generic::functions::coarse_power;
use crate::arch::generic::products::Products;
use crate::arch::generic::{Simd, Start, Vector};
use crate::packed::{LANES, Line};
use crate::task::{Attention, Scratch};
use crate::{Rows, RowsMut};

/// The kernel, `None` on a CPU without the instructions.
pub(super) fn attention() -> Option<fn(&Attention<'_>, &mut Scratch, RowsMut<'_>)> {
    fn entry(task: &Attention<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512bf16")]
        fn inner(task: &Attention<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
            attend(Avx512(()), Pairs(()), task, scratch, out);
        }
        // SAFETY: handed out below, after detecting the features.
        unsafe { inner(task, scratch, out) }
    }
    let is_there = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bf16");
    is_there.then_some(entry)
}

/// Evidence of AVX-512 F, BW, DQ and BF16.
#[derive(Clone, Copy)]
pub(super) struct Pairs(pub(super) ());

/// Words of two vectors of sixteen, lane by lane: the first one's become the low halves.
const BY_LANES: [i16; 32] = {
    let mut order = [0; 32];
    let mut lane = 0;
    while lane < 16 {
        order[2 * lane] = lane as i16;
        order[2 * lane + 1] = 16 + lane as i16;
        lane += 1;
    }
    order
};

impl Pairs {
    /// Up to 32 numbers times a factor as pairs, in order, and zeros behind them.
    #[inline(always)]
    pub(super) fn in_order(self, s: Avx512, x: &[f32], factor: V) -> V {
        let (low, high) = x.split_at(x.len().min(LANES));
        let (low, high) = (s.load_part(low) * factor, s.load_part(high) * factor);
        // SAFETY: `self` is evidence of the instruction sets, and both types are 64 bytes.
        V(unsafe { _mm512_castsi512_ps(transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high.0, low.0))) })
    }

    /// Lane by lane, the bfloat16 of up to sixteen numbers of each as a group.
    #[inline(always)]
    pub(super) fn group_of(self, s: Avx512, first: &[f32], second: &[f32]) -> V {
        self.group(s.load_part(first), s.load_part(second))
    }

    /// [`coarse_exp_of_negative`](crate::arch::generic::functions::coarse_exp_of_negative) without asking what is too small: both
    /// instructions know what is minus infinity. Results below 1.2e-38 are denormal in place of 0; their bfloat16 is 0, and so is
    /// their share of a sum with a 1 in it.
    #[inline(always)]
    pub(super) fn exp_of_negative(self, s: Avx512, x: V) -> V {
        const TO_NEAREST: i32 = 0;
        let t = x * s.splat(std::f32::consts::LOG2_E);
        // SAFETY: `self` is evidence of the instruction sets.
        let rest = V(unsafe { _mm512_reduce_ps::<TO_NEAREST>(t.0) });
        coarse_power(s, rest).scale_by_power_of_two(t - rest)
    }

    /// Lane by lane, the bfloat16 of `first` and `second` as a group.
    #[inline(always)]
    pub(super) fn group(self, first: V, second: V) -> V {
        // SAFETY: `self` is evidence of the instruction sets, and the order is one vector; both types are 64 bytes.
        unsafe {
            let order = _mm512_loadu_si512(from_ref(&BY_LANES).cast());
            let words = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(first.0, second.0));
            V(_mm512_castsi512_ps(_mm512_permutexvar_epi16(order, words)))
        }
    }

    /// Sixteen groups of 32 neighbours.
    #[inline(always)]
    fn neighbours(self, low: V, high: V) -> V {
        // SAFETY: as above.
        unsafe {
            let words = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high.0, low.0));
            V(_mm512_castsi512_ps(_mm512_rol_epi32::<16>(words)))
        }
    }

    /// Groups `first..first + 16` of up to sixteen rows times a factor, each group a vector; as `transposed` of floats does.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // unrolled, as the iterators of a variable number are not
    fn transposed(self, s: Avx512, rows: Rows<'_>, first: usize, factor: V) -> [V; LANES] {
        let mut square = [s.splat(0.0); LANES];
        let Some(last) = rows.count().checked_sub(1) else { return square };
        let first = 2 * first;
        if rows.cols() - first >= 2 * LANES {
            for row in 0..LANES {
                let row_of = &rows.row(row.min(last))[first..];
                let low = s.load(row_of.first_chunk().expect("a whole vector"));
                let high = s.load(row_of[LANES..].first_chunk().expect("a whole vector"));
                square[row] = self.neighbours(low * factor, high * factor);
            }
        } else {
            for row in 0..LANES {
                let row_of = &rows.row(row.min(last))[first..];
                let (low, high) = row_of.split_at(row_of.len().min(LANES));
                square[row] = self.neighbours(s.load_part(low) * factor, s.load_part(high) * factor);
            }
        }
        s.transpose(&mut square);
        square
    }
}

impl Products<Avx512> for Pairs {
    const GROUP: usize = 2;

    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // as above
    fn pack_left(self, s: Avx512, rows: Rows<'_>, to: &mut [f32]) {
        let (count, groups) = (rows.count(), rows.cols().div_ceil(2));
        for first in (0..groups).step_by(LANES) {
            let square = self.transposed(s, rows, first, s.splat(1.0));
            for step in 0..LANES {
                if step == groups - first {
                    break;
                }
                // Ascending, so that each vector's surplus lanes are overwritten by the next one.
                square[step].store(to[(first + step) * count..].first_chunk_mut().expect("room behind the last row"));
            }
        }
    }

    #[inline(always)]
    fn pack_lanes(self, s: Avx512, rows: Rows<'_>, stride: usize, factor: f32, to: &mut [Line]) {
        for first in (0..rows.cols().div_ceil(2)).step_by(LANES) {
            let square = self.transposed(s, rows, first, s.splat(factor));
            for (line, column) in to[first * stride..].iter_mut().step_by(stride).zip(square) {
                column.store(&mut line.0);
            }
        }
    }

    #[inline(always)]
    fn pack_columns(self, s: Avx512, rows: Rows<'_>, first: usize, count: usize, to: &mut [f32]) {
        for group in 0..rows.count().div_ceil(2) {
            let part = |row: usize| {
                let row = &rows.row(row)[first..];
                &row[..row.len().min(LANES)]
            };
            let low = s.load_part(part(2 * group));
            let high = if 2 * group + 1 < rows.count() { s.load_part(part(2 * group + 1)) } else { s.splat(0.0) };
            let dest = to[group * count..].first_chunk_mut().expect("room behind the last group");
            self.group(low, high).store(dest);
        }
    }

    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // as above
    fn weigh<const VECTORS: usize>(self, s: Avx512, scores: &mut [[Line; VECTORS]], largest: &[V], sums: &mut [V]) {
        let count = scores.len();
        let mut weights = [[s.splat(0.0); VECTORS]; 2];
        for group in 0..count.div_ceil(2) {
            for key in 0..2 {
                for j in 0..VECTORS {
                    weights[key][j] = s.splat(0.0);
                    if 2 * group + key < count {
                        weights[key][j] = self.exp_of_negative(s, s.load(&scores[2 * group + key][j].0) - largest[j]);
                        sums[j] = sums[j] + weights[key][j];
                    }
                }
            }
            for j in 0..VECTORS {
                // Never behind what is read next.
                self.group(weights[0][j], weights[1][j]).store(&mut scores[group][j].0);
            }
        }
    }

    #[inline(always)]
    fn tile(self, s: Avx512, [rows, vectors]: [usize; 2], a: &[f32], b: &[Line], to: &mut [Line], start: Start) {
        macro_rules! of_rows {
            ($vectors:literal: $($n:literal)*) => {
                match rows {
                    $($n => tile::<$n, $vectors>(self, s, a, b, to, start),)*
                    _ => unreachable!("a tile of {rows} rows"),
                }
            };
        }
        if vectors == 1 {
            of_rows!(1: 1 2 3 4 5 6 7 8 9 10 11 12 13);
        } else {
            of_rows!(2: 1 2 3 4 5 6 7 8 9 10 11 12 13);
        }
    }
}

/// Sums `a[group][row] * b[group][col]` over groups, for a tile that stays in registers.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // the standard library's iterators become calls
fn tile<const ROWS: usize, const VECTORS: usize>(
    _: Pairs,
    s: Avx512,
    a: &[f32],
    b: &[Line],
    to: &mut [Line],
    start: Start,
) {
    let ((a, _), (b, _)) = (a.as_chunks::<ROWS>(), b.as_chunks::<VECTORS>());
    let to = to.as_chunks_mut::<VECTORS>().0.first_chunk_mut::<ROWS>().expect("room for the tile");
    let mut sums = [[s.splat(0.0); VECTORS]; ROWS];
    if start == Start::Sums {
        for i in 0..ROWS {
            for j in 0..VECTORS {
                sums[i][j] = s.load(&to[i][j].0);
            }
        }
    }
    for k in 0..a.len().min(b.len()) {
        for i in 0..ROWS {
            for j in 0..VECTORS {
                // SAFETY: the first argument is evidence of the instruction sets, a line is one vector, and both types are 64 bytes.
                unsafe {
                    let left = transmute::<__m512i, __m512bh>(_mm512_set1_epi32(a[k][i].to_bits() as i32));
                    let right = transmute::<__m512i, __m512bh>(_mm512_loadu_si512(from_ref(&b[k][j]).cast()));
                    sums[i][j] = V(_mm512_dpbf16_ps(sums[i][j].0, left, right));
                }
            }
        }
    }
    for i in 0..ROWS {
        for j in 0..VECTORS {
            sums[i][j].store(&mut to[i][j].0);
        }
    }
}

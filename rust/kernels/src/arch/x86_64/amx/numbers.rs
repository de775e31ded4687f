//! Numbers as digits: how they are taken apart, and right-hand sides as [`crate::digits`] describes them.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_castsi512_ps, _mm512_cvtps_epi32, _mm512_reduce_max_ps, _mm512_set1_epi32,
    _mm512_slli_epi32, _mm512_srli_epi32, _mm512_ternarylogic_epi32, _mm512_xor_si512,
};

use super::tiles::ROWS;
use crate::arch::generic::{Simd, Vector};
use crate::arch::x86_64::avx512::{Avx512, V};
use crate::digits::{
    BLOCK, CREST, DEPTH, FEW, FEWEST_BITS, MOST, SMALL, exponent_of, is_near, power_of_two, strip_lines,
};
use crate::packed::{LANES, Line};

const VECTORS: usize = Avx512::TILE_VECTORS;

/// Signed digits, the lowest in the lowest byte, where a carry out of each but the highest is taken along.
#[inline(always)]
pub(super) fn digits(_: Avx512, numbers: __m512i, carries: i32) -> __m512i {
    // SAFETY: the first argument is evidence of the instruction set.
    unsafe {
        let carries = _mm512_set1_epi32(carries);
        _mm512_xor_si512(_mm512_add_epi32(numbers, carries), carries)
    }
}

/// What turns bytes into signed digits: see [`digits`].
pub(super) const FOUR: i32 = 0x0080_8080;
const THREE: i32 = 0x0000_8080;

/// The bytes of four vectors by their place, the lowest first: in each lane one of each vector.
#[inline(always)]
pub(super) fn by_place(_: Avx512, from: [__m512i; 4]) -> [__m512i; 4] {
    /// The first where the second has ones, the third elsewhere.
    const FIRST_OR_THIRD: i32 = 0xE2;
    // SAFETY: the first argument is evidence of the instruction set.
    unsafe {
        let (odd, high) = (_mm512_set1_epi32(!0x00FF_00FF), _mm512_set1_epi32(!0xFFFF));
        // Bytes 0 and 2 of two vectors, and bytes 1 and 3.
        let even = |low, up| _mm512_ternarylogic_epi32::<FIRST_OR_THIRD>(_mm512_slli_epi32::<8>(up), odd, low);
        let odds = |low, up| _mm512_ternarylogic_epi32::<FIRST_OR_THIRD>(up, odd, _mm512_srli_epi32::<8>(low));
        let (e0, e1) = (even(from[0], from[1]), even(from[2], from[3]));
        let (o0, o1) = (odds(from[0], from[1]), odds(from[2], from[3]));
        let lower = |low, up| _mm512_ternarylogic_epi32::<FIRST_OR_THIRD>(_mm512_slli_epi32::<16>(up), high, low);
        let upper = |low, up| _mm512_ternarylogic_epi32::<FIRST_OR_THIRD>(up, high, _mm512_srli_epi32::<16>(low));
        [lower(e0, e1), lower(o0, o1), upper(e0, e1), upper(o0, o1)]
    }
}

/// The nearest whole numbers.
#[inline(always)]
pub(super) fn round(x: V) -> __m512i {
    // SAFETY: a V is evidence of the instruction set.
    unsafe { _mm512_cvtps_epi32(x.0) }
}

#[inline(always)]
pub(super) fn store(bits: __m512i, to: &mut Line) {
    // SAFETY: as every function here, called by those that have the instruction set.
    V(unsafe { _mm512_castsi512_ps(bits) }).store(&mut to.0);
}

/// Raises magnitudes to those of as many numbers.
#[inline(always)]
pub(super) fn raise(s: Avx512, x: &[f32], most: &mut [f32]) {
    let ((x, x_rest), (most, rest)) = (x.as_chunks::<LANES>(), most.as_chunks_mut::<LANES>());
    for (x, most) in x.iter().zip(most) {
        s.load(x).abs().max(s.load(most)).store(most);
    }
    for (x, most) in x_rest.iter().zip(rest) {
        *most = most.max(x.abs());
    }
}

/// The largest magnitude of numbers that are not NaN.
#[inline(always)]
pub(super) fn largest(s: Avx512, x: &[f32]) -> f32 {
    let (whole, rest) = x.as_chunks::<LANES>();
    let mut most = s.load_part(rest).abs().max(s.splat(0.0));
    for x in whole {
        most = s.load(x).abs().max(most);
    }
    // SAFETY: `s` is evidence of the instruction set.
    unsafe { _mm512_reduce_max_ps(most.0) }
}

/// Writes a panel in digits: its rows times `inverse`. `false` where a column is not near enough to its digits.
#[inline(always)]
pub(super) fn write(s: Avx512, panel: &[Line], inverse: &[f32], to: &mut [Line]) -> bool {
    let (rows, _) = panel.as_chunks::<VECTORS>();
    let strip = strip_lines(rows.len());
    // Nothing depends on rows of zeros.
    let used = inverse.iter().filter(|inverse| **inverse > 0.0).count();
    for j in 0..VECTORS {
        let (mut most, mut sum) = (s.splat(0.0), s.splat(0.0));
        for (row, inverse) in rows.iter().zip(inverse) {
            let own = (s.load(&row[j].0) * s.splat(*inverse)).abs();
            (most, sum) = (own.max(most), sum + own);
        }
        let (mut mosts, mut sums) = ([0.0; LANES], [0.0; LANES]);
        most.store(&mut mosts);
        sum.store(&mut sums);
        let (mut steps, mut scales) = ([0.0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            if !is_near(mosts[lane], sums[lane], used, CREST) {
                return false;
            }
            let mut bits = if mosts[lane] > 0.0 { FEWEST_BITS - exponent_of(mosts[lane]) } else { 0 };
            if mosts[lane] * power_of_two(bits) > MOST {
                bits -= 1;
            }
            // Of the product of two first digits, five digits above the lowest places.
            (steps[lane], scales[lane]) = (power_of_two(bits), power_of_two(5 * 8 - bits));
        }
        let steps = s.load(&steps);
        let mut small = s.splat(0.0);
        let (own, _) = to[j * strip..][..strip].as_chunks_mut::<BLOCK>();
        for (block, own) in own.iter_mut().enumerate() {
            for at in 0..ROWS {
                let mut quarters = [round(s.splat(0.0)); 4];
                for (quarter, numbers) in quarters.iter_mut().enumerate() {
                    let row = block * DEPTH + quarter * ROWS + at;
                    if row < rows.len() {
                        let number = s.load(&rows[row][j].0) * s.splat(inverse[row]) * steps;
                        let counted = if inverse[row] > 0.0 { 1.0 } else { 0.0 };
                        small = small + number.abs().where_less(s.splat(SMALL), s.splat(counted), s.splat(0.0));
                        *numbers = digits(s, round(number), THREE);
                    }
                }
                let [third, second, first, _] = by_place(s, quarters);
                for (part, bits) in [first, second, third].into_iter().enumerate() {
                    store(bits, &mut own[part * ROWS + at]);
                }
            }
        }
        let mut smalls = [0.0; LANES];
        small.store(&mut smalls);
        // Not where there is nothing but zeros.
        if smalls.iter().zip(&mosts).any(|(count, most)| *most > 0.0 && count * FEW > used as f32) {
            return false;
        }
        to[VECTORS * strip + j].0 = scales;
    }
    true
}

/// A panel as floats again.
#[cold]
pub(super) fn read(panel: &[Line], factors: &[f32]) -> Vec<Line> {
    let k = factors.len();
    let strip = strip_lines(k);
    let mut rows = vec![Line::default(); k * VECTORS];
    for (row, to) in rows.chunks_exact_mut(VECTORS).enumerate() {
        let (block, quarter, at) = (row / DEPTH, row % DEPTH / ROWS, row % ROWS);
        for (j, to) in to.iter_mut().enumerate() {
            let scales = &panel[VECTORS * strip + j].0;
            for (lane, to) in to.0.iter_mut().enumerate() {
                let digit = |part: usize| {
                    let line = &panel[j * strip + block * BLOCK + part * ROWS + at];
                    i32::from(line.0[lane].to_bits().to_le_bytes()[quarter] as i8)
                };
                let number = (digit(0) * 256 + digit(1)) * 256 + digit(2);
                *to = number as f32 * scales[lane] * power_of_two(-5 * 8) * factors[row];
            }
        }
    }
    rows
}

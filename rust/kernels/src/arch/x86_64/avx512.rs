//! AVX-512 F: sixteen lanes are one register, and there are thirty-two of them.

use std::arch::x86_64::{
    __m512, __mmask16, _CMP_LT_OQ, _CMP_NEQ_UQ, _CMP_UNORD_Q, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT,
    _MM_FROUND_TO_NEG_INF, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm512_abs_ps, _mm512_add_epi32, _mm512_add_ps,
    _mm512_and_si512, _mm512_castpd_ps, _mm512_castps_pd, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask,
    _mm512_cvtepi32_ps, _mm512_div_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_blend_ps, _mm512_mask_storeu_ps,
    _mm512_maskz_loadu_ps, _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps, _mm512_or_si512, _mm512_roundscale_ps,
    _mm512_scalef_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_shuffle_f32x4, _mm512_srai_epi32, _mm512_srli_epi32,
    _mm512_storeu_ps, _mm512_sub_epi32, _mm512_sub_ps, _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd,
    _mm512_unpacklo_ps,
};

use super::bfloat16;
use crate::RowsMut;
use crate::arch::generic::matmul::{Place, Right, tile};
use crate::arch::generic::table::{operator, table, tile_of_rows, window_tile_of_rows};
use crate::arch::generic::{SQRT_HALF_BITS, Simd, Start, Vector, windows};
use crate::dispatch::{Isa, Kernels};
use crate::packed::{LANES, Line};
use crate::windows::WindowProduct;

/// The table, `None` on a CPU without AVX-512 F.
pub fn kernels() -> Option<Kernels> {
    let attention_of_bfloat16 = bfloat16::attention().unwrap_or(TABLE.attention_of_bfloat16);
    is_x86_feature_detected!("avx512f").then_some(Kernels { attention_of_bfloat16, ..TABLE })
}

table!(Avx512, Isa::Avx512, "avx512f");

/// Evidence of AVX-512 F: made only inside the table's entries.
#[derive(Clone, Copy)]
pub(super) struct Avx512(pub(super) ());

#[derive(Clone, Copy)]
pub(super) struct V(pub(super) __m512);

/// The mask of as many lanes, of sixteen at most.
#[inline(always)]
fn first_lanes(count: usize) -> __mmask16 {
    if count < LANES { (1 << count) - 1 } else { __mmask16::MAX }
}

impl Simd for Avx512 {
    type V = V;
    const TILE_VECTORS: usize = 2;
    const TILE_ROWS: usize = 13;
    const PREFETCH_AHEAD: usize = 64;

    #[inline(always)]
    fn splat(self, x: f32) -> V {
        // SAFETY: `self` is evidence of the instruction set.
        V(unsafe { _mm512_set1_ps(x) })
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> V {
        // SAFETY: `self` is evidence of the instruction set, and the array is one vector, at any alignment.
        V(unsafe { _mm512_loadu_ps(from.as_ptr()) })
    }

    #[inline(always)]
    fn load_part(self, from: &[f32]) -> V {
        // SAFETY: `self` is evidence of the instruction set, and lanes that the mask leaves out are not read.
        V(unsafe { _mm512_maskz_loadu_ps(first_lanes(from.len()), from.as_ptr()) })
    }

    #[inline(always)]
    fn prefetch(self, line: &Line) {
        // SAFETY: a prefetch reads nothing that the program can see; SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(line).cast()) }
    }

    #[inline(always)]
    fn prefetch_first(self, number: &f32) {
        // SAFETY: a prefetch reads nothing that the program can see; SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(number).cast()) }
    }

    #[inline(always)]
    fn tile(self, rows: usize, vectors: usize, a: &[f32], b: impl Right<Self>, to: Place<'_, '_>, start: Start) {
        if vectors == 1 {
            tile_of_rows!(self, rows, 1, a, b, to, start; 1 2 3 4 5 6 7 8 9 10 11 12 13);
        } else {
            tile_of_rows!(self, rows, 2, a, b, to, start; 1 2 3 4 5 6 7 8 9 10 11 12 13);
        }
    }

    #[inline(always)]
    fn window_tile(
        self,
        [rows, vectors]: [usize; 2],
        task: &WindowProduct<'_>,
        filters: &[Line],
        place: [usize; 2],
        out: &mut RowsMut<'_>,
    ) {
        if vectors == 1 {
            window_tile_of_rows!(self, rows, 1, task, filters, place, out; 1 2 3 4 5 6 7 8 9 10 11 12 13);
        } else {
            window_tile_of_rows!(self, rows, 2, task, filters, place, out; 1 2 3 4 5 6 7 8 9 10 11 12 13);
        }
    }

    #[inline(always)]
    fn transpose(self, square: &mut [V; LANES]) {
        // Pairs of rows, pairs of pairs, and then quarters of vectors, twice.
        let mut pairs = [square[0].0; LANES];
        for i in 0..8 {
            let (a, b) = (square[2 * i].0, square[2 * i + 1].0);
            // SAFETY: `self` is evidence of the instruction set.
            (pairs[2 * i], pairs[2 * i + 1]) = unsafe { (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)) };
        }
        // After this, quads[4i + c] holds, of rows 4i to 4i+3, columns c, 4+c, 8+c and 12+c.
        let mut quads = pairs;
        for i in 0..4 {
            for half in 0..2 {
                // SAFETY: `self` is evidence of the instruction set.
                unsafe {
                    let (a, b) = (_mm512_castps_pd(pairs[4 * i + half]), _mm512_castps_pd(pairs[4 * i + half + 2]));
                    quads[4 * i + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                    quads[4 * i + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
                }
            }
        }
        for column in 0..4 {
            let [a, b, c, d] = [quads[column], quads[4 + column], quads[8 + column], quads[12 + column]];
            // SAFETY: `self` is evidence of the instruction set.
            unsafe {
                let (low, high) = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xDD>(a, b));
                let (low2, high2) = (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xDD>(c, d));
                square[column] = V(_mm512_shuffle_f32x4::<0x88>(low, low2));
                square[column + 4] = V(_mm512_shuffle_f32x4::<0x88>(high, high2));
                square[column + 8] = V(_mm512_shuffle_f32x4::<0xDD>(low, low2));
                square[column + 12] = V(_mm512_shuffle_f32x4::<0xDD>(high, high2));
            }
        }
    }
}

operator!(V, Add, add, |x, y| {
    // SAFETY: a V is evidence of the instruction set.
    unsafe { _mm512_add_ps(x, y) }
});
operator!(V, Sub, sub, |x, y| {
    // SAFETY: a V is evidence of the instruction set.
    unsafe { _mm512_sub_ps(x, y) }
});
operator!(V, Mul, mul, |x, y| {
    // SAFETY: a V is evidence of the instruction set.
    unsafe { _mm512_mul_ps(x, y) }
});
operator!(V, Div, div, |x, y| {
    // SAFETY: a V is evidence of the instruction set.
    unsafe { _mm512_div_ps(x, y) }
});

impl Vector for V {
    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        // SAFETY: a V is evidence of the instruction set, and the array is one vector, at any alignment.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn store_part(self, to: &mut [f32]) {
        // SAFETY: a V is evidence of the instruction set, and lanes that the mask leaves out are not written.
        unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), first_lanes(to.len()), self.0) }
    }

    #[inline(always)]
    fn mul_add(self, factor: V, addend: V) -> V {
        // SAFETY: a V is evidence of the instruction set.
        V(unsafe { _mm512_fmadd_ps(self.0, factor.0, addend.0) })
    }

    #[inline(always)]
    fn max(self, other: V) -> V {
        // SAFETY: a V is evidence of the instruction set.
        V(unsafe { _mm512_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn min(self, other: V) -> V {
        // SAFETY: a V is evidence of the instruction set.
        V(unsafe { _mm512_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn abs(self) -> V {
        // SAFETY: a V is evidence of the instruction set.
        V(unsafe { _mm512_abs_ps(self.0) })
    }

    #[inline(always)]
    fn copy_sign(self, sign: V) -> V {
        // SAFETY: a V is evidence of the instruction set.
        V(unsafe {
            let top = _mm512_set1_epi32(i32::MIN);
            let sign = _mm512_and_si512(_mm512_castps_si512(sign.0), top);
            _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(_mm512_abs_ps(self.0)), sign))
        })
    }

    #[inline(always)]
    fn round(self) -> V {
        // SAFETY: a V is evidence of the instruction set.
        V(unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0) })
    }

    #[inline(always)]
    fn floor(self) -> V {
        // SAFETY: a V is evidence of the instruction set.
        V(unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(self.0) })
    }

    #[inline(always)]
    fn scale_by_any_power_of_two(self, n: V) -> V {
        self.scale_by_power_of_two(n)
    }

    #[inline(always)]
    fn exponent_and_fraction(self) -> (V, V) {
        // SAFETY: a V is evidence of the instruction set.
        unsafe {
            let first = _mm512_set1_epi32(SQRT_HALF_BITS);
            let above = _mm512_sub_epi32(_mm512_castps_si512(self.0), first);
            let exponent = _mm512_cvtepi32_ps(_mm512_srai_epi32::<23>(above));
            let fraction = _mm512_add_epi32(_mm512_and_si512(above, _mm512_set1_epi32(0x7F_FFFF)), first);
            (V(exponent), V(_mm512_castsi512_ps(fraction)))
        }
    }

    #[inline(always)]
    fn where_nan(self, yes: V, no: V) -> V {
        // SAFETY: a V is evidence of the instruction set.
        V(unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0), no.0, yes.0) })
    }

    #[inline(always)]
    fn scale_by_power_of_two(self, n: V) -> V {
        // SAFETY: a V is evidence of the instruction set.
        V(unsafe { _mm512_scalef_ps(self.0, n.0) })
    }

    #[inline(always)]
    fn where_less(self, bound: V, yes: V, no: V) -> V {
        // SAFETY: a V is evidence of the instruction set.
        V(unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, bound.0), no.0, yes.0) })
    }

    #[inline(always)]
    fn where_non_zero(self, yes: V, no: V) -> V {
        // SAFETY: a V is evidence of the instruction set.
        V(unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(self.0, _mm512_set1_ps(0.0)), no.0, yes.0) })
    }

    #[inline(always)]
    fn round_to_eight_digits(self) -> V {
        // SAFETY: a V is evidence of the instruction set.
        unsafe {
            let bits = _mm512_castps_si512(self.0);
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let above = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd);
            V(_mm512_castsi512_ps(_mm512_and_si512(above, _mm512_set1_epi32(!0xFFFF))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{TABLE, kernels};
    use crate::task::{Attention, Mask, Scratch};
    use crate::{Rows, RowsMut};

    #[test]
    fn attention_of_bfloat16_has_the_bits_of_the_instruction_without_it() {
        let Some(chosen) = kernels() else { return };
        let numbers: Vec<f32> =
            (0..80 * 64).map(|i| ((i * i) as f32 * 0.37).sin() * (i as f32 * 0.11).exp2().fract()).collect();
        for (length, depth) in [(1, 1), (2, 3), (17, 32), (33, 31), (70, 64)] {
            let rows = |from: usize| Rows::new(&numbers[from..], length, depth, depth).expect("in bounds");
            let task = Attention {
                q: rows(0),
                k: rows(70),
                v: rows(13),
                scale: 2.5,
                bias: None,
                mask: Mask::None,
                undefined_is_zero: false,
                bfloat16: true,
            };
            let [found, expected] = [chosen, TABLE].map(|table| {
                let mut out = vec![0.0_f32; length * depth];
                let view = RowsMut::new(&mut out, length, depth, depth).expect("in bounds");
                table.attention(&task, &mut Scratch::default(), view);
                out.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            });
            assert_eq!(found, expected, "{length} x {depth}");
        }
    }
}

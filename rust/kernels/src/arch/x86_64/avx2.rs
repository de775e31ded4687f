//! AVX2 with FMA: sixteen lanes are two registers, and there are sixteen of them.

use std::arch::x86_64::{
    __m256, _CMP_LT_OQ, _CMP_NEQ_UQ, _CMP_UNORD_Q, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT, _MM_FROUND_TO_NEG_INF,
    _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm256_add_epi32, _mm256_add_ps, _mm256_and_ps, _mm256_and_si256,
    _mm256_andnot_ps, _mm256_blendv_ps, _mm256_castpd_ps, _mm256_castps_pd, _mm256_castps_si256, _mm256_castsi256_ps,
    _mm256_cmp_ps, _mm256_cvtepi32_ps, _mm256_cvtps_epi32, _mm256_div_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps, _mm256_or_ps, _mm256_permute2f128_ps, _mm256_round_ps,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_slli_epi32, _mm256_srai_epi32, _mm256_srli_epi32,
    _mm256_storeu_ps, _mm256_sub_epi32, _mm256_sub_ps, _mm256_unpackhi_pd, _mm256_unpackhi_ps, _mm256_unpacklo_pd,
    _mm256_unpacklo_ps,
};

use crate::RowsMut;
use crate::arch::generic::matmul::{Place, Right, tile};
use crate::arch::generic::table::{operator, table, tile_of_rows, window_tile_of_rows};
use crate::arch::generic::{SQRT_HALF_BITS, Simd, Start, Vector, windows};
use crate::dispatch::{Isa, Kernels};
use crate::packed::{LANES, Line};
use crate::windows::WindowProduct;

/// The table, `None` on a CPU without AVX2 and FMA.
pub fn kernels() -> Option<Kernels> {
    (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(TABLE)
}

table!(Avx2, Isa::Avx2, "avx2,fma");

/// Evidence of AVX2 and FMA: made only inside the table's entries.
#[derive(Clone, Copy)]
pub(super) struct Avx2(pub(super) ());

/// Lanes 0 to 7, and 8 to 15.
#[derive(Clone, Copy)]
pub(super) struct V(pub(super) [__m256; 2]);

impl Simd for Avx2 {
    type V = V;
    const TILE_VECTORS: usize = 1;
    const TILE_ROWS: usize = 6;
    const PREFETCH_AHEAD: usize = 0;

    #[inline(always)]
    fn splat(self, x: f32) -> V {
        // SAFETY: `self` is evidence of the instruction set.
        let half = unsafe { _mm256_set1_ps(x) };
        V([half, half])
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> V {
        // SAFETY: `self` is evidence of the instruction set, and the array is two vectors, at any alignment.
        unsafe { V([_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from[8..].as_ptr())]) }
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
        assert_eq!(vectors, 1, "vectors of a tile");
        tile_of_rows!(self, rows, 1, a, b, to, start; 1 2 3 4 5 6);
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
        assert_eq!(vectors, 1, "vectors of a tile");
        window_tile_of_rows!(self, rows, 1, task, filters, place, out; 1 2 3 4 5 6);
    }

    #[inline(always)]
    fn transpose(self, square: &mut [V; LANES]) {
        // Quarters of eight by eight; the two off the diagonal change places.
        for (rows, half) in [(0, 0), (8, 1)] {
            let quarter = transpose_eight(self, quarter(square, rows, half));
            for i in 0..8 {
                square[rows + i].0[half] = quarter[i];
            }
        }
        let right = transpose_eight(self, quarter(square, 0, 1));
        let left = transpose_eight(self, quarter(square, 8, 0));
        for i in 0..8 {
            square[8 + i].0[0] = right[i];
            square[i].0[1] = left[i];
        }
    }
}

/// Halves of eight rows from one on. Not by `std::array::from_fn`, which may become a call for each of them.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // unrolled, so that vectors stay in registers
fn quarter(square: &[V; LANES], first: usize, half: usize) -> [__m256; 8] {
    let mut rows = [square[first].0[half]; 8];
    for i in 1..8 {
        rows[i] = square[first + i].0[half];
    }
    rows
}

#[inline(always)]
fn transpose_eight(_: Avx2, rows: [__m256; 8]) -> [__m256; 8] {
    let mut pairs = rows;
    for i in 0..4 {
        let (a, b) = (rows[2 * i], rows[2 * i + 1]);
        // SAFETY: the first argument is evidence of the instruction set.
        (pairs[2 * i], pairs[2 * i + 1]) = unsafe { (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)) };
    }
    // After this, quads[4i + c] holds, of rows 4i to 4i+3, columns c and 4+c.
    let mut quads = pairs;
    for i in 0..2 {
        for half in 0..2 {
            // SAFETY: the first argument is evidence of the instruction set.
            unsafe {
                let (a, b) = (_mm256_castps_pd(pairs[4 * i + half]), _mm256_castps_pd(pairs[4 * i + half + 2]));
                quads[4 * i + 2 * half] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, b));
                quads[4 * i + 2 * half + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, b));
            }
        }
    }
    let mut columns = quads;
    for column in 0..4 {
        let (a, b) = (quads[column], quads[4 + column]);
        // SAFETY: the first argument is evidence of the instruction set.
        unsafe {
            columns[column] = _mm256_permute2f128_ps::<0x20>(a, b);
            columns[4 + column] = _mm256_permute2f128_ps::<0x31>(a, b);
        }
    }
    columns
}

/// Applies an intrinsic to both halves.
macro_rules! halves {
    ($intrinsic:ident $(::<{ $constant:expr }>)?, $($vector:expr),+) => {
        // SAFETY: a V is evidence of the instruction set.
        unsafe { [$intrinsic $(::<{ $constant }>)? ($($vector[0]),+), $intrinsic $(::<{ $constant }>)? ($($vector[1]),+)] }
    };
}

operator!(V, Add, add, |x, y| halves!(_mm256_add_ps, x, y));
operator!(V, Sub, sub, |x, y| halves!(_mm256_sub_ps, x, y));
operator!(V, Mul, mul, |x, y| halves!(_mm256_mul_ps, x, y));
operator!(V, Div, div, |x, y| halves!(_mm256_div_ps, x, y));

#[inline(always)]
fn half_of(x: V) -> V {
    // SAFETY: a V is evidence of the instruction set.
    let half = unsafe { _mm256_set1_ps(0.5) };
    x * V([half, half])
}

#[inline(always)]
fn sign_bits(_: V) -> [__m256; 2] {
    // SAFETY: the argument is evidence of the instruction set.
    let half = unsafe { _mm256_set1_ps(-0.0) };
    [half, half]
}

impl Vector for V {
    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        // SAFETY: a V is evidence of the instruction set, and the array is two vectors, at any alignment.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), self.0[0]);
            _mm256_storeu_ps(to[8..].as_mut_ptr(), self.0[1]);
        }
    }

    #[inline(always)]
    fn mul_add(self, factor: V, addend: V) -> V {
        V(halves!(_mm256_fmadd_ps, self.0, factor.0, addend.0))
    }

    #[inline(always)]
    fn max(self, other: V) -> V {
        V(halves!(_mm256_max_ps, self.0, other.0))
    }

    #[inline(always)]
    fn min(self, other: V) -> V {
        V(halves!(_mm256_min_ps, self.0, other.0))
    }

    #[inline(always)]
    fn abs(self) -> V {
        let signs = sign_bits(self);
        V(halves!(_mm256_andnot_ps, signs, self.0))
    }

    #[inline(always)]
    fn copy_sign(self, sign: V) -> V {
        let signs = sign_bits(self);
        let sign = halves!(_mm256_and_ps, signs, sign.0);
        V(halves!(_mm256_or_ps, self.abs().0, sign))
    }

    #[inline(always)]
    fn round(self) -> V {
        V(halves!(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>, self.0))
    }

    #[inline(always)]
    fn floor(self) -> V {
        V(halves!(_mm256_round_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>, self.0))
    }

    #[inline(always)]
    fn scale_by_any_power_of_two(self, n: V) -> V {
        // The first product is exact: neither half of such an exponent leaves the range of normal numbers.
        let low = V(halves!(_mm256_round_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>, half_of(n).0));
        self.scale_by_power_of_two(low).scale_by_power_of_two(n - low)
    }

    #[inline(always)]
    fn exponent_and_fraction(self) -> (V, V) {
        // SAFETY: a V is evidence of the instruction set.
        let (first, digits) = unsafe { (_mm256_set1_epi32(SQRT_HALF_BITS), _mm256_set1_epi32(0x7F_FFFF)) };
        let above = halves!(_mm256_castps_si256, self.0);
        let above = halves!(_mm256_sub_epi32, above, [first, first]);
        let exponent = halves!(_mm256_srai_epi32::<{ 23 }>, above);
        let fraction = halves!(_mm256_and_si256, above, [digits, digits]);
        let fraction = halves!(_mm256_add_epi32, fraction, [first, first]);
        (V(halves!(_mm256_cvtepi32_ps, exponent)), V(halves!(_mm256_castsi256_ps, fraction)))
    }

    #[inline(always)]
    fn round_to_eight_digits(self) -> V {
        // SAFETY: a V is evidence of the instruction set.
        let (one, half, digits) =
            unsafe { (_mm256_set1_epi32(1), _mm256_set1_epi32(0x7FFF), _mm256_set1_epi32(!0xFFFF)) };
        let bits = halves!(_mm256_castps_si256, self.0);
        let odd = halves!(_mm256_srli_epi32::<{ 16 }>, bits);
        let odd = halves!(_mm256_and_si256, odd, [one, one]);
        let above = halves!(_mm256_add_epi32, bits, [half, half]);
        let above = halves!(_mm256_add_epi32, above, odd);
        let rounded = halves!(_mm256_and_si256, above, [digits, digits]);
        V(halves!(_mm256_castsi256_ps, rounded))
    }

    #[inline(always)]
    fn where_nan(self, yes: V, no: V) -> V {
        let nan = halves!(_mm256_cmp_ps::<{ _CMP_UNORD_Q }>, self.0, self.0);
        V(halves!(_mm256_blendv_ps, no.0, yes.0, nan))
    }

    #[inline(always)]
    fn scale_by_power_of_two(self, n: V) -> V {
        // 2^n is the float whose exponent field is n + 127.
        let exponents = halves!(_mm256_cvtps_epi32, n.0);
        // SAFETY: a V is evidence of the instruction set.
        let bias = unsafe { _mm256_set1_epi32(127) };
        let fields = halves!(_mm256_add_epi32, exponents, [bias, bias]);
        let fields = halves!(_mm256_slli_epi32::<{ 23 }>, fields);
        let powers = halves!(_mm256_castsi256_ps, fields);
        V(halves!(_mm256_mul_ps, self.0, powers))
    }

    #[inline(always)]
    fn where_less(self, bound: V, yes: V, no: V) -> V {
        let less = halves!(_mm256_cmp_ps::<{ _CMP_LT_OQ }>, self.0, bound.0);
        V(halves!(_mm256_blendv_ps, no.0, yes.0, less))
    }

    #[inline(always)]
    fn where_non_zero(self, yes: V, no: V) -> V {
        // SAFETY: a V is evidence of the instruction set.
        let zero = unsafe { _mm256_setzero_ps() };
        let differs = halves!(_mm256_cmp_ps::<{ _CMP_NEQ_UQ }>, self.0, [zero, zero]);
        V(halves!(_mm256_blendv_ps, no.0, yes.0, differs))
    }
}

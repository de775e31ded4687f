//! Matrices in few bits, widened sixteen elements at a time.

use std::arch::x86_64::{
    __m128i, _MM_FROUND_CUR_DIRECTION, _mm_and_si128, _mm_loadl_epi64, _mm_loadu_si128, _mm_set1_epi8, _mm_srli_epi16,
    _mm_unpackhi_epi64, _mm_unpacklo_epi64, _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps, _mm256_cvtph_ps,
    _mm256_loadu_si256, _mm512_cvt_roundph_ps, _mm512_cvtepi8_epi32, _mm512_cvtepi32_ps,
};

use super::avx2::{self, Avx2};
use super::avx512::{self, Avx512};
use crate::RowsMut;
use crate::arch::generic::stored::{self, Plainly, Widen, stored_kernel};
use crate::stored::StoredMatmul;
use crate::task::Scratch;

/// Goes with the table of AVX2, whose holder has that and FMA.
pub(crate) fn avx2() -> fn(&StoredMatmul<'_>, &mut Scratch, RowsMut<'_>) {
    if is_x86_feature_detected!("f16c") {
        stored_kernel!("avx2,fma,f16c", Avx2(()), Vectors256(()))
    } else {
        stored_kernel!("avx2,fma", Avx2(()), Plainly)
    }
}

/// Goes with the table of AVX-512, whose holder has that.
pub(crate) fn avx512() -> fn(&StoredMatmul<'_>, &mut Scratch, RowsMut<'_>) {
    stored_kernel!("avx512f", Avx512(()), Vectors512(()))
}

/// Evidence of AVX-512 F.
#[derive(Clone, Copy)]
pub(super) struct Vectors512(pub(super) ());

/// Evidence of AVX2 and F16C.
#[derive(Clone, Copy)]
struct Vectors256(());

/// Sixteen halves of bytes as bytes, in order.
#[inline(always)]
fn spread(from: &[f32; 2]) -> __m128i {
    // SAFETY: SSE2 is part of x86-64, and two floats are the eight bytes that are read.
    unsafe {
        let bytes = _mm_loadl_epi64(from.as_ptr().cast());
        let four = _mm_set1_epi8(0xF);
        let (low, high) = (_mm_and_si128(bytes, four), _mm_and_si128(_mm_srli_epi16::<4>(bytes), four));
        _mm_unpacklo_epi64(low, high)
    }
}

impl Widen<Avx512, 8> for Vectors512 {
    #[inline(always)]
    fn floats(self, _: Avx512, from: &[f32; 8]) -> avx512::V {
        // The form of the intrinsic that may read memory: [10, k] x [k, 32] in cache takes 5.9 ns a row of the panel, and 6.1 by
        // the other, which is that of a register and no exceptions (AMD EPYC 25/17).
        // SAFETY: `self` is evidence of the instruction set, and eight floats are the 32 bytes that are read.
        avx512::V(unsafe {
            _mm512_cvt_roundph_ps::<_MM_FROUND_CUR_DIRECTION>(_mm256_loadu_si256(from.as_ptr().cast()))
        })
    }
}

impl Widen<Avx512, 4> for Vectors512 {
    #[inline(always)]
    fn floats(self, _: Avx512, from: &[f32; 4]) -> avx512::V {
        // SAFETY: `self` is evidence of the instruction set, and four floats are the 16 bytes that are read.
        avx512::V(unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.as_ptr().cast()))) })
    }
}

impl Widen<Avx512, 2> for Vectors512 {
    #[inline(always)]
    fn floats(self, _: Avx512, from: &[f32; 2]) -> avx512::V {
        // SAFETY: `self` is evidence of the instruction set.
        avx512::V(unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(spread(from))) })
    }
}

impl Vectors256 {
    #[inline(always)]
    fn sixteen(self, bytes: __m128i) -> avx2::V {
        // SAFETY: `self` is evidence of the instruction set.
        avx2::V(unsafe {
            let high = _mm_unpackhi_epi64(bytes, bytes);
            [_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(high))]
        })
    }
}

impl Widen<Avx2, 8> for Vectors256 {
    #[inline(always)]
    fn floats(self, _: Avx2, from: &[f32; 8]) -> avx2::V {
        let (low, high) = from.split_at(4);
        // SAFETY: `self` is evidence of the instruction set, and four floats are the 16 bytes that are read each time.
        avx2::V(unsafe {
            [
                _mm256_cvtph_ps(_mm_loadu_si128(low.as_ptr().cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(high.as_ptr().cast())),
            ]
        })
    }
}

impl Widen<Avx2, 4> for Vectors256 {
    #[inline(always)]
    fn floats(self, _: Avx2, from: &[f32; 4]) -> avx2::V {
        // SAFETY: SSE2 is part of x86-64, and four floats are the 16 bytes that are read.
        self.sixteen(unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
    }
}

impl Widen<Avx2, 2> for Vectors256 {
    #[inline(always)]
    fn floats(self, _: Avx2, from: &[f32; 2]) -> avx2::V {
        self.sixteen(spread(from))
    }
}

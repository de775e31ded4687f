//! Products in integers: VNNI in 512 and in 256 bits, and multiply-adds of 16-bit words where that is missing.
//!
//! `vpmaddubsw`, the multiply-add of bytes before VNNI, saturates at 32767: two products of 255 * 127 are over that. So
//! the bytes of a group are widened to words, the even and the odd ones apart, which is exact for all of them.

use std::arch::x86_64::{
    __m256i, __m512i, _mm_packus_epi16, _mm_storeu_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi256_si128,
    _mm256_cvtepi32_ps, _mm256_cvtps_epi32, _mm256_dpbusd_avx_epi32, _mm256_dpbusd_epi32, _mm256_extracti128_si256,
    _mm256_loadu_si256, _mm256_madd_epi16, _mm256_mullo_epi32, _mm256_packus_epi32, _mm256_permute4x64_epi64,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_slli_epi16, _mm256_srai_epi16, _mm256_srli_epi16, _mm512_add_epi32,
    _mm512_and_si512, _mm512_cvtepi32_ps, _mm512_cvtps_epi32, _mm512_cvtusepi32_epi8, _mm512_dpbusd_epi32,
    _mm512_loadu_si512, _mm512_madd_epi16, _mm512_mullo_epi32, _mm512_packus_epi16, _mm512_packus_epi32,
    _mm512_permutexvar_epi32, _mm512_set1_epi16, _mm512_set1_epi32, _mm512_slli_epi16, _mm512_srai_epi16,
    _mm512_srli_epi16, _mm512_storeu_si512,
};
use std::ptr::from_ref;

use super::avx2::{self, Avx2};
use super::avx512::{self, Avx512};
use crate::RowsMut;
use crate::arch::generic::integers::{self, Dots, Part, Place, Plain, integer_kernels, rows_of_tile, tile};
use crate::arch::generic::quantise;
use crate::integers::{GROUP, IntegerKernels, IntegerMatmul, Quantise, RowScale};
use crate::packed::{LANES, Line};
use crate::task::Scratch;

pub(crate) fn avx2() -> Option<IntegerKernels> {
    let is_there = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    is_there.then_some(integer_kernels!("avx2", "avx2,fma", Avx2(()), Words256(())))
}

/// For CPUs with VNNI and without AVX-512.
pub(crate) fn avx_vnni() -> Option<IntegerKernels> {
    use std::is_x86_feature_detected as has;
    let is_there = has!("avx2") && has!("fma") && has!("avxvnni");
    is_there.then_some(integer_kernels!("avxvnni", "avx2,fma,avxvnni", Avx2(()), Vnni256(())))
}

/// The same with AVX-512's encoding of that instruction. No CPU is served by it: it is there for the tests, as CPUs that have
/// AVX-512 mostly lack the other encoding.
pub(crate) fn avx512_vnni_of_256_bits() -> Option<IntegerKernels> {
    use std::is_x86_feature_detected as has;
    let is_there = has!("avx2") && has!("fma") && has!("avx512vl") && has!("avx512vnni");
    is_there.then_some(integer_kernels!(
        "avx512vnni of 256 bits",
        "avx2,fma,avx512f,avx512vl,avx512vnni",
        Avx2(()),
        Vnni256Of512(())
    ))
}

/// For AVX-512 F alone, which has no words.
pub(crate) fn avx512() -> Option<IntegerKernels> {
    is_x86_feature_detected!("avx512f").then_some(integer_kernels!("avx512", "avx512f", Avx512(()), Plain))
}

pub(crate) fn avx512_words() -> Option<IntegerKernels> {
    let is_there = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
    is_there.then_some(integer_kernels!("avx512bw", "avx512f,avx512bw", Avx512(()), Words512(())))
}

pub(crate) fn avx512_vnni() -> Option<IntegerKernels> {
    use std::is_x86_feature_detected as has;
    let is_there = has!("avx512f") && has!("avx512bw") && has!("avx512vnni");
    is_there.then_some(integer_kernels!("avx512vnni", "avx512f,avx512bw,avx512vnni", Avx512(()), Vnni(())))
}

/// Evidence of AVX-512 F, BW and VNNI.
#[derive(Clone, Copy)]
pub(super) struct Vnni(pub(super) ());

impl Vnni {
    /// Sixteen integers.
    #[inline(always)]
    pub(super) fn integers(self, from: &[i32; LANES]) -> __m512i {
        // SAFETY: `self` is evidence of the instruction set, and the array is one vector, at any alignment.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    /// Sums as a tile has left them.
    #[inline(always)]
    pub(super) fn sums(self, from: &Line) -> __m512i {
        // SAFETY: `self` is evidence of the instruction set, and a line is one vector.
        unsafe { _mm512_loadu_si512(from_ref(from).cast()) }
    }
}

/// Evidence of AVX-512 F and BW.
#[derive(Clone, Copy)]
struct Words512(());

/// Evidence of AVX2 and FMA.
#[derive(Clone, Copy)]
struct Words256(());

/// Evidence of AVX2, FMA and AVX-VNNI.
#[derive(Clone, Copy)]
struct Vnni256(());

/// Evidence of AVX2, FMA, and AVX-512's VNNI and VL.
#[derive(Clone, Copy)]
struct Vnni256Of512(());

/// What needs no more than AVX-512 F.
macro_rules! shared_512 {
    () => {
        type Sums = __m512i;

        #[inline(always)]
        fn times(self, factors: &[i32; LANES], by: &i32) -> __m512i {
            // SAFETY: `self` is evidence of the instruction set, and the array is one vector, at any alignment.
            unsafe { _mm512_mullo_epi32(_mm512_loadu_si512(factors.as_ptr().cast()), _mm512_set1_epi32(*by)) }
        }

        #[inline(always)]
        fn plus(self, sums: __m512i, others: __m512i) -> __m512i {
            // SAFETY: `self` is evidence of the instruction set.
            unsafe { _mm512_add_epi32(sums, others) }
        }

        #[inline(always)]
        fn floats(self, _: Avx512, sums: __m512i) -> avx512::V {
            // SAFETY: `self` is evidence of the instruction set.
            avx512::V(unsafe { _mm512_cvtepi32_ps(sums) })
        }

        #[inline(always)]
        fn bytes(self, x: avx512::V, to: &mut [f32; LANES / GROUP]) {
            // SAFETY: `self` is evidence of the instruction set, and four floats are sixteen bytes, at any alignment.
            unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(x.0))) }
        }
    };
}

/// Double words of four vectors of bytes that were packed within quarters, in the vectors' order.
const IN_ORDER: [i32; LANES] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];

/// What needs AVX-512 BW as well.
macro_rules! packed_512 {
    () => {
        #[inline(always)]
        fn bytes_of_four(self, _: Avx512, [a, b, c, d]: [avx512::V; GROUP], to: &mut [f32; LANES]) {
            // SAFETY: `self` is evidence of the instruction sets; both arrays are one vector, at any alignment.
            unsafe {
                // Saturated at 65535, which the second step takes for -1; nothing is over 2^15 here.
                let low = _mm512_packus_epi32(_mm512_cvtps_epi32(a.0), _mm512_cvtps_epi32(b.0));
                let high = _mm512_packus_epi32(_mm512_cvtps_epi32(c.0), _mm512_cvtps_epi32(d.0));
                let order = _mm512_loadu_si512(IN_ORDER.as_ptr().cast());
                let bytes = _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high));
                _mm512_storeu_si512(to.as_mut_ptr().cast(), bytes);
            }
        }
    };
}

impl Dots<Avx512> for Vnni {
    shared_512!();
    packed_512!();
    type Weights = __m512i;
    type Left = __m512i;
    // As the float tile: 26 sums, two vectors of weights, one of the left-hand side.
    const ROWS: usize = 13;

    #[inline(always)]
    fn weights(self, line: &Line) -> __m512i {
        // SAFETY: `self` is evidence of the instruction set, and a line is one vector.
        unsafe { _mm512_loadu_si512(from_ref(line).cast()) }
    }

    #[inline(always)]
    fn left(self, group: &f32) -> __m512i {
        // SAFETY: `self` is evidence of the instruction set.
        unsafe { _mm512_set1_epi32(group.to_bits() as i32) }
    }

    #[inline(always)]
    fn dot(self, sums: __m512i, left: __m512i, weights: __m512i) -> __m512i {
        // SAFETY: `self` is evidence of the instruction set.
        unsafe { _mm512_dpbusd_epi32(sums, left, weights) }
    }

    #[inline(always)]
    fn tile(self, s: Avx512, rows: usize, a: &[f32], b: &[Line], part: &Part<'_>, to: Place<'_, '_>) {
        rows_of_tile!(s, self, rows, 2, a, b, part, to; 1 2 3 4 5 6 7 8 9 10 11 12 13);
    }
}

impl Dots<Avx512> for Words512 {
    shared_512!();
    packed_512!();
    /// The even and the odd bytes of each column, as words.
    type Weights = [__m512i; 2];
    type Left = [__m512i; 2];
    // 24 sums, four vectors of weights, two of the left-hand side, and a product.
    const ROWS: usize = 12;

    #[inline(always)]
    fn weights(self, line: &Line) -> [__m512i; 2] {
        // SAFETY: `self` is evidence of the instruction set, and a line is one vector.
        unsafe {
            let bytes = _mm512_loadu_si512(from_ref(line).cast());
            [_mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(bytes)), _mm512_srai_epi16::<8>(bytes)]
        }
    }

    #[inline(always)]
    fn left(self, group: &f32) -> [__m512i; 2] {
        // SAFETY: `self` is evidence of the instruction set.
        unsafe {
            let bytes = _mm512_set1_epi32(group.to_bits() as i32);
            [_mm512_and_si512(bytes, _mm512_set1_epi16(0xFF)), _mm512_srli_epi16::<8>(bytes)]
        }
    }

    #[inline(always)]
    fn dot(self, sums: __m512i, left: [__m512i; 2], weights: [__m512i; 2]) -> __m512i {
        // SAFETY: `self` is evidence of the instruction set.
        unsafe {
            let sums = _mm512_add_epi32(sums, _mm512_madd_epi16(left[0], weights[0]));
            _mm512_add_epi32(sums, _mm512_madd_epi16(left[1], weights[1]))
        }
    }

    #[inline(always)]
    fn tile(self, s: Avx512, rows: usize, a: &[f32], b: &[Line], part: &Part<'_>, to: Place<'_, '_>) {
        rows_of_tile!(s, self, rows, 2, a, b, part, to; 1 2 3 4 5 6 7 8 9 10 11 12);
    }
}

/// What needs no more than AVX2.
macro_rules! shared_256 {
    () => {
        /// Columns 0 to 7, and 8 to 15.
        type Sums = [__m256i; 2];

        #[inline(always)]
        fn times(self, factors: &[i32; LANES], by: &i32) -> [__m256i; 2] {
            let (low, high) = factors.split_at(8);
            // SAFETY: `self` is evidence of the instruction set, and eight integers are one vector, at any alignment.
            unsafe {
                let by = _mm256_set1_epi32(*by);
                let low = _mm256_mullo_epi32(_mm256_loadu_si256(low.as_ptr().cast()), by);
                [low, _mm256_mullo_epi32(_mm256_loadu_si256(high.as_ptr().cast()), by)]
            }
        }

        #[inline(always)]
        fn plus(self, sums: [__m256i; 2], others: [__m256i; 2]) -> [__m256i; 2] {
            // SAFETY: `self` is evidence of the instruction set.
            unsafe { [_mm256_add_epi32(sums[0], others[0]), _mm256_add_epi32(sums[1], others[1])] }
        }

        #[inline(always)]
        fn floats(self, _: Avx2, sums: [__m256i; 2]) -> avx2::V {
            // SAFETY: `self` is evidence of the instruction set.
            avx2::V(unsafe { [_mm256_cvtepi32_ps(sums[0]), _mm256_cvtepi32_ps(sums[1])] })
        }

        #[inline(always)]
        fn bytes(self, x: avx2::V, to: &mut [f32; LANES / GROUP]) {
            // SAFETY: `self` is evidence of the instruction set, and four floats are sixteen bytes, at any alignment.
            unsafe {
                let (low, high) = (_mm256_cvtps_epi32(x.0[0]), _mm256_cvtps_epi32(x.0[1]));
                // Packing works within halves of 128 bits; the permutation puts the four quarters in order again.
                let words = _mm256_permute4x64_epi64::<0xD8>(_mm256_packus_epi32(low, high));
                let bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
                _mm_storeu_si128(to.as_mut_ptr().cast(), bytes);
            }
        }
    };
}

impl Dots<Avx2> for Words256 {
    shared_256!();
    /// The even and the odd bytes of each half of the columns.
    type Weights = [[__m256i; 2]; 2];
    type Left = [__m256i; 2];
    // 8 sums, four vectors of weights, two of the left-hand side, and a product.
    const ROWS: usize = 4;

    #[inline(always)]
    fn weights(self, line: &Line) -> [[__m256i; 2]; 2] {
        let (low, high) = line.0.split_at(8);
        // SAFETY: `self` is evidence of the instruction set, and half a line is one vector.
        unsafe {
            let low = _mm256_loadu_si256(low.as_ptr().cast());
            let high = _mm256_loadu_si256(high.as_ptr().cast());
            [
                [_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(low)), _mm256_srai_epi16::<8>(low)],
                [_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(high)), _mm256_srai_epi16::<8>(high)],
            ]
        }
    }

    #[inline(always)]
    fn left(self, group: &f32) -> [__m256i; 2] {
        // SAFETY: `self` is evidence of the instruction set.
        unsafe {
            let bytes = _mm256_set1_epi32(group.to_bits() as i32);
            [_mm256_and_si256(bytes, _mm256_set1_epi16(0xFF)), _mm256_srli_epi16::<8>(bytes)]
        }
    }

    #[inline(always)]
    fn dot(self, mut sums: [__m256i; 2], left: [__m256i; 2], weights: [[__m256i; 2]; 2]) -> [__m256i; 2] {
        for half in 0..2 {
            for part in 0..2 {
                // SAFETY: `self` is evidence of the instruction set.
                let products = unsafe { _mm256_madd_epi16(left[part], weights[half][part]) };
                // SAFETY: as above.
                sums[half] = unsafe { _mm256_add_epi32(sums[half], products) };
            }
        }
        sums
    }

    #[inline(always)]
    fn tile(self, s: Avx2, rows: usize, a: &[f32], b: &[Line], part: &Part<'_>, to: Place<'_, '_>) {
        rows_of_tile!(s, self, rows, 1, a, b, part, to; 1 2 3 4);
    }
}

macro_rules! vnni_256 {
    ($evidence:ident, $dot:ident) => {
        impl Dots<Avx2> for $evidence {
            shared_256!();
            type Weights = [__m256i; 2];
            type Left = __m256i;
            // 12 sums, two vectors of weights, one of the left-hand side.
            const ROWS: usize = 6;

            #[inline(always)]
            fn weights(self, line: &Line) -> [__m256i; 2] {
                let (low, high) = line.0.split_at(8);
                // SAFETY: `self` is evidence of the instruction set, and half a line is one vector.
                unsafe { [_mm256_loadu_si256(low.as_ptr().cast()), _mm256_loadu_si256(high.as_ptr().cast())] }
            }

            #[inline(always)]
            fn left(self, group: &f32) -> __m256i {
                // SAFETY: `self` is evidence of the instruction set.
                unsafe { _mm256_set1_epi32(group.to_bits() as i32) }
            }

            #[inline(always)]
            fn dot(self, sums: [__m256i; 2], left: __m256i, weights: [__m256i; 2]) -> [__m256i; 2] {
                // SAFETY: `self` is evidence of the instruction set.
                unsafe { [$dot(sums[0], left, weights[0]), $dot(sums[1], left, weights[1])] }
            }

            #[inline(always)]
            fn tile(self, s: Avx2, rows: usize, a: &[f32], b: &[Line], part: &Part<'_>, to: Place<'_, '_>) {
                rows_of_tile!(s, self, rows, 1, a, b, part, to; 1 2 3 4 5 6);
            }
        }
    };
}

vnni_256!(Vnni256, _mm256_dpbusd_avx_epi32);
vnni_256!(Vnni256Of512, _mm256_dpbusd_epi32);

//! Products in integers: the dot product of bytes, which ARMv8.2 has as an extension and nearly every CPU made since, and
//! plain loops where it is missing, which the compiler makes vectors of.

use std::arch::aarch64::{
    int8x16_t, int32x4_t, uint16x8_t, vaddq_s32, vcombine_u8, vcombine_u16, vcvtnq_u32_f32, vcvtq_f32_s32, vdupq_n_s32,
    vld1q_s8, vld1q_s32, vmulq_s32, vqmovn_u16, vqmovn_u32, vreinterpretq_s8_s32, vst1q_u8,
};
use std::arch::asm;

use super::neon::{self, Neon};
use crate::RowsMut;
use crate::arch::generic::integers::{self, Dots, Part, Place, Plain, integer_kernels, rows_of_tile, tile};
use crate::arch::generic::quantise;
use crate::integers::{GROUP, IntegerKernels, IntegerMatmul, Quantise, RowScale};
use crate::packed::{LANES, Line};
use crate::task::Scratch;

pub(crate) fn neon() -> Option<IntegerKernels> {
    std::arch::is_aarch64_feature_detected!("neon").then_some(integer_kernels!("neon", "neon", Neon(()), Plain))
}

pub(crate) fn dot_product() -> Option<IntegerKernels> {
    use std::arch::is_aarch64_feature_detected as has;
    (has!("neon") && has!("dotprod")).then_some(integer_kernels!("dotprod", "neon,dotprod", Neon(()), DotProduct(())))
}

/// Evidence of NEON and of its dot product.
#[derive(Clone, Copy)]
struct DotProduct(());

impl Dots<Neon> for DotProduct {
    /// Columns 0 to 3, and so on.
    type Sums = [int32x4_t; 4];
    type Weights = [int8x16_t; 4];
    type Left = int8x16_t;
    // As the float tile: 24 sums, four registers of weights, one of the left-hand side.
    const ROWS: usize = 6;
    // The instruction for unsigned bytes times signed ones is another extension, which fewer CPUs have.
    const IS_SIGNED: bool = true;

    #[inline(always)]
    fn times(self, factors: &[i32; LANES], by: &i32) -> [int32x4_t; 4] {
        let (parts, _) = factors.as_chunks::<4>();
        // SAFETY: `self` is evidence of the instruction set, and each part is one vector, at any alignment.
        std::array::from_fn(|part| unsafe { vmulq_s32(vld1q_s32(parts[part].as_ptr()), vdupq_n_s32(*by)) })
    }

    #[inline(always)]
    fn plus(self, sums: [int32x4_t; 4], others: [int32x4_t; 4]) -> [int32x4_t; 4] {
        // SAFETY: `self` is evidence of the instruction set.
        std::array::from_fn(|part| unsafe { vaddq_s32(sums[part], others[part]) })
    }

    #[inline(always)]
    fn weights(self, line: &Line) -> [int8x16_t; 4] {
        let (parts, _) = line.0.as_chunks::<4>();
        // SAFETY: `self` is evidence of the instruction set, and each part is one vector, at any alignment.
        std::array::from_fn(|part| unsafe { vld1q_s8(parts[part].as_ptr().cast()) })
    }

    #[inline(always)]
    fn left(self, group: &f32) -> int8x16_t {
        // SAFETY: `self` is evidence of the instruction set.
        unsafe { vreinterpretq_s8_s32(vdupq_n_s32(group.to_bits() as i32)) }
    }

    #[inline(always)]
    fn dot(self, mut sums: [int32x4_t; 4], left: int8x16_t, weights: [int8x16_t; 4]) -> [int32x4_t; 4] {
        for part in 0..4 {
            // The intrinsic is not stable.
            // SAFETY: `self` is evidence of the instruction, which reads and writes these registers and nothing else.
            unsafe {
                asm!(
                    ".arch_extension dotprod",
                    "sdot {sums:v}.4s, {weights:v}.16b, {left:v}.16b",
                    sums = inlateout(vreg) sums[part],
                    weights = in(vreg) weights[part],
                    left = in(vreg) left,
                    options(pure, nomem, nostack, preserves_flags),
                );
            }
        }
        sums
    }

    #[inline(always)]
    fn floats(self, _: Neon, sums: [int32x4_t; 4]) -> neon::V {
        // SAFETY: `self` is evidence of the instruction set.
        neon::V(std::array::from_fn(|part| unsafe { vcvtq_f32_s32(sums[part]) }))
    }

    #[inline(always)]
    fn bytes(self, x: neon::V, to: &mut [f32; LANES / GROUP]) {
        // SAFETY: `self` is evidence of the instruction set, and four floats are sixteen bytes, at any alignment.
        unsafe {
            let words: [uint16x8_t; 2] = [[x.0[0], x.0[1]], [x.0[2], x.0[3]]]
                .map(|[low, high]| vcombine_u16(vqmovn_u32(vcvtnq_u32_f32(low)), vqmovn_u32(vcvtnq_u32_f32(high))));
            vst1q_u8(to.as_mut_ptr().cast(), vcombine_u8(vqmovn_u16(words[0]), vqmovn_u16(words[1])));
        }
    }

    #[inline(always)]
    fn tile(self, s: Neon, rows: usize, a: &[f32], b: &[Line], part: &Part<'_>, to: Place<'_, '_>) {
        rows_of_tile!(s, self, rows, 1, a, b, part, to; 1 2 3 4 5 6);
    }
}

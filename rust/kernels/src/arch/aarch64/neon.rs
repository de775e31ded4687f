//! NEON: sixteen lanes are four registers, and there are thirty-two of them.

use std::arch::aarch64::{
    float32x4_t, vabsq_f32, vaddq_f32, vaddq_s32, vaddq_u32, vandq_s32, vandq_u32, vbslq_f32, vceqq_f32, vceqzq_f32,
    vcgtq_f32, vcltq_f32, vcvtnq_s32_f32, vcvtq_f32_s32, vdivq_f32, vdupq_n_f32, vdupq_n_s32, vdupq_n_u32, vfmaq_f32,
    vld1q_f32, vmulq_f32, vreinterpretq_f32_f64, vreinterpretq_f32_s32, vreinterpretq_f32_u32, vreinterpretq_f64_f32,
    vreinterpretq_s32_f32, vreinterpretq_u32_f32, vrndmq_f32, vrndnq_f32, vshlq_n_s32, vshrq_n_s32, vshrq_n_u32,
    vst1q_f32, vsubq_f32, vsubq_s32, vtrn1q_f32, vtrn1q_f64, vtrn2q_f32, vtrn2q_f64,
};

use crate::RowsMut;
use crate::arch::generic::matmul::{Place, Right, tile};
use crate::arch::generic::table::{operator, table, tile_of_rows, window_tile_of_rows};
use crate::arch::generic::{SQRT_HALF_BITS, Simd, Start, Vector, windows};
use crate::dispatch::{Isa, Kernels};
use crate::packed::{LANES, Line};
use crate::windows::WindowProduct;

/// The table, `None` on a CPU without NEON.
pub fn kernels() -> Option<Kernels> {
    std::arch::is_aarch64_feature_detected!("neon").then_some(TABLE)
}

table!(Neon, Isa::Neon, "neon");

/// Evidence of NEON: made only inside the table's entries.
#[derive(Clone, Copy)]
pub(super) struct Neon(pub(super) ());

/// Four lanes each, ascending.
#[derive(Clone, Copy)]
pub(super) struct V(pub(super) [float32x4_t; 4]);

/// Applies an intrinsic to each quarter.
macro_rules! quarters {
    ($intrinsic:ident $(::<$constant:literal>)?, $($vector:expr),+) => {
        // SAFETY: a V is evidence of the instruction set.
        unsafe {
            [
                $intrinsic $(::<$constant>)? ($($vector[0]),+),
                $intrinsic $(::<$constant>)? ($($vector[1]),+),
                $intrinsic $(::<$constant>)? ($($vector[2]),+),
                $intrinsic $(::<$constant>)? ($($vector[3]),+),
            ]
        }
    };
}

impl Simd for Neon {
    type V = V;
    // 6 x 16: 24 sums, four registers of the right-hand side and one element of the left.
    const TILE_VECTORS: usize = 1;
    const TILE_ROWS: usize = 6;
    const PREFETCH_AHEAD: usize = 0;

    #[inline(always)]
    fn splat(self, x: f32) -> V {
        // SAFETY: `self` is evidence of the instruction set.
        V([unsafe { vdupq_n_f32(x) }; 4])
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> V {
        let (parts, _) = from.as_chunks::<4>();
        // SAFETY: `self` is evidence of the instruction set, and each part is one vector, at any alignment.
        V(std::array::from_fn(|part| unsafe { vld1q_f32(parts[part].as_ptr()) }))
    }

    #[inline(always)]
    fn prefetch(self, _: &Line) {}

    #[inline(always)]
    fn prefetch_first(self, _: &f32) {}

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
        // Squares of four by four, each of which changes places with the one across the diagonal.
        let mut from = *square;
        for block in from.chunks_exact_mut(4) {
            for part in 0..4 {
                let columns = transpose_four(self, std::array::from_fn(|row| block[row].0[part]));
                for (row, column) in block.iter_mut().zip(columns) {
                    row.0[part] = column;
                }
            }
        }
        for (row, to) in square.iter_mut().enumerate() {
            *to = V(std::array::from_fn(|part| from[4 * part + row % 4].0[row / 4]));
        }
    }
}

#[inline(always)]
fn transpose_four(_: Neon, [a, b, c, d]: [float32x4_t; 4]) -> [float32x4_t; 4] {
    // SAFETY: the first argument is evidence of the instruction set.
    unsafe {
        let (even, odd) = (vreinterpretq_f64_f32(vtrn1q_f32(a, b)), vreinterpretq_f64_f32(vtrn2q_f32(a, b)));
        let (even2, odd2) = (vreinterpretq_f64_f32(vtrn1q_f32(c, d)), vreinterpretq_f64_f32(vtrn2q_f32(c, d)));
        [
            vreinterpretq_f32_f64(vtrn1q_f64(even, even2)),
            vreinterpretq_f32_f64(vtrn1q_f64(odd, odd2)),
            vreinterpretq_f32_f64(vtrn2q_f64(even, even2)),
            vreinterpretq_f32_f64(vtrn2q_f64(odd, odd2)),
        ]
    }
}

operator!(V, Add, add, |x, y| quarters!(vaddq_f32, x, y));
operator!(V, Sub, sub, |x, y| quarters!(vsubq_f32, x, y));
operator!(V, Mul, mul, |x, y| quarters!(vmulq_f32, x, y));
operator!(V, Div, div, |x, y| quarters!(vdivq_f32, x, y));

impl Vector for V {
    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        let (parts, _) = to.as_chunks_mut::<4>();
        for (part, quarter) in parts.iter_mut().zip(self.0) {
            // SAFETY: a V is evidence of the instruction set, and each part is one vector, at any alignment.
            unsafe { vst1q_f32(part.as_mut_ptr(), quarter) }
        }
    }

    #[inline(always)]
    fn mul_add(self, factor: V, addend: V) -> V {
        V(quarters!(vfmaq_f32, addend.0, self.0, factor.0))
    }

    #[inline(always)]
    fn max(self, other: V) -> V {
        // Not vmaxq_f32, which is NaN where only `self` is.
        let more = quarters!(vcgtq_f32, self.0, other.0);
        V(quarters!(vbslq_f32, more, self.0, other.0))
    }

    #[inline(always)]
    fn min(self, other: V) -> V {
        let less = quarters!(vcltq_f32, self.0, other.0);
        V(quarters!(vbslq_f32, less, self.0, other.0))
    }

    #[inline(always)]
    fn abs(self) -> V {
        V(quarters!(vabsq_f32, self.0))
    }

    #[inline(always)]
    fn copy_sign(self, sign: V) -> V {
        // SAFETY: a V is evidence of the instruction set.
        let top = [unsafe { vdupq_n_u32(0x8000_0000) }; 4];
        V(quarters!(vbslq_f32, top, sign.0, self.0))
    }

    #[inline(always)]
    fn round(self) -> V {
        V(quarters!(vrndnq_f32, self.0))
    }

    #[inline(always)]
    fn floor(self) -> V {
        V(quarters!(vrndmq_f32, self.0))
    }

    #[inline(always)]
    fn scale_by_power_of_two(self, n: V) -> V {
        // 2^n is the float whose exponent field is n + 127.
        let exponents = quarters!(vcvtnq_s32_f32, n.0);
        // SAFETY: a V is evidence of the instruction set.
        let bias = [unsafe { vdupq_n_s32(127) }; 4];
        let fields = quarters!(vaddq_s32, exponents, bias);
        let fields = quarters!(vshlq_n_s32::<23>, fields);
        let powers = quarters!(vreinterpretq_f32_s32, fields);
        V(quarters!(vmulq_f32, self.0, powers))
    }

    #[inline(always)]
    fn scale_by_any_power_of_two(self, n: V) -> V {
        // The first product is exact: neither half of such an exponent leaves the range of normal numbers.
        // SAFETY: a V is evidence of the instruction set.
        let half = [unsafe { vdupq_n_f32(0.5) }; 4];
        let low = (n * V(half)).floor();
        self.scale_by_power_of_two(low).scale_by_power_of_two(n - low)
    }

    #[inline(always)]
    fn exponent_and_fraction(self) -> (V, V) {
        // SAFETY: a V is evidence of the instruction set.
        let (first, digits) = unsafe { ([vdupq_n_s32(SQRT_HALF_BITS); 4], [vdupq_n_s32(0x7F_FFFF); 4]) };
        let above = quarters!(vreinterpretq_s32_f32, self.0);
        let above = quarters!(vsubq_s32, above, first);
        let exponent = quarters!(vshrq_n_s32::<23>, above);
        let fraction = quarters!(vandq_s32, above, digits);
        let fraction = quarters!(vaddq_s32, fraction, first);
        (V(quarters!(vcvtq_f32_s32, exponent)), V(quarters!(vreinterpretq_f32_s32, fraction)))
    }

    #[inline(always)]
    fn where_less(self, bound: V, yes: V, no: V) -> V {
        let less = quarters!(vcltq_f32, self.0, bound.0);
        V(quarters!(vbslq_f32, less, yes.0, no.0))
    }

    #[inline(always)]
    fn where_non_zero(self, yes: V, no: V) -> V {
        let zero = quarters!(vceqzq_f32, self.0);
        V(quarters!(vbslq_f32, zero, no.0, yes.0))
    }

    #[inline(always)]
    fn round_to_eight_digits(self) -> V {
        // SAFETY: a V is evidence of the instruction set.
        let (one, half, digits) = unsafe { ([vdupq_n_u32(1); 4], [vdupq_n_u32(0x7FFF); 4], [vdupq_n_u32(!0xFFFF); 4]) };
        let bits = quarters!(vreinterpretq_u32_f32, self.0);
        let odd = quarters!(vshrq_n_u32::<16>, bits);
        let odd = quarters!(vandq_u32, odd, one);
        let above = quarters!(vaddq_u32, bits, half);
        let above = quarters!(vaddq_u32, above, odd);
        let rounded = quarters!(vandq_u32, above, digits);
        V(quarters!(vreinterpretq_f32_u32, rounded))
    }

    #[inline(always)]
    fn where_nan(self, yes: V, no: V) -> V {
        let number = quarters!(vceqq_f32, self.0, self.0);
        V(quarters!(vbslq_f32, number, no.0, yes.0))
    }
}

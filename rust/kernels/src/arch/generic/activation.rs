//! What can follow a matrix product.

use super::functions::{polynomial, sigmoid, tanh, times_sigmoid};
use super::{Simd, Vector};
use crate::Activation;
use crate::packed::LANES;

/// `(Phi(x) - 1/2) / x` in `2 (x / GELU_BOUND)^2 - 1`, Phi the distribution function of the normal distribution, for
/// `|x| <= GELU_BOUND`, highest power first; 1.9e-8 of Phi.
const GELU: [f32; 15] = [
    0.000_284_587_94,
    -0.000_765_322_8,
    0.000_729_243_2,
    -0.001_093_784_8,
    0.003_138_166_2,
    -0.005_851_906_3,
    0.008_826_382,
    -0.013_184_253,
    0.018_926_328,
    -0.025_298_607,
    0.032_079_46,
    -0.039_588_9,
    0.049_264_167,
    -0.066_518_51,
    0.133_392_56,
];
/// From here on Phi is within half an ULP of 0 or 1.
const GELU_BOUND: f32 = 5.3;

/// `x/2 * (1 + erf(x/sqrt(2)))`, within 2 ULP of `x`.
///
/// One polynomial, no exponential and no division: in the epilogue of [104, 384] x [384, 1536] this costs 1% of the
/// product; exp times a rational function, more accurate in the tail below zero, cost 5% (AVX-512, AMD EPYC 25/17).
#[inline(always)]
fn gelu<S: Simd>(s: S, x: S::V) -> S::V {
    let centred = (x * x).mul_add(s.splat(2.0 / (GELU_BOUND * GELU_BOUND)), s.splat(-1.0));
    let phi = polynomial(s, GELU, centred).mul_add(x, s.splat(0.5));
    // `max` in this order gives NaN for NaN.
    x.abs().where_less(s.splat(GELU_BOUND), phi * x, s.splat(0.0).max(x))
}

/// `(Phi(x) - 1/2) / x` in `x^2` for `|x| <= 4`, highest power first. The error of `x * Phi(x)` is level, 1.9e-4 and 2.2e-4
/// with Phi's other form by tanh, and at 4 the sum is 1/8 to the last bit: from there on Phi is 1 and 0.
const COARSE_GELU: [f32; 7] =
    [2.258_801_9e-8, -1.588_816_5e-6, 4.776_365_3e-5, -0.000_812_184_9, 0.008_763_676, -0.064_554_37, 0.397_870_3];
const COARSE_GELU_TANH: [f32; 7] =
    [2.346_886_4e-8, -1.640_724_2e-6, 4.893_454e-5, -0.000_824_474_73, 0.008_818_711, -0.064_596_7, 0.397_713_42];
const COARSE_GELU_BOUND: f32 = 4.0;

/// A GELU by few instructions, 11 and not 22, for results that are rounded to 8 bits next.
#[inline(always)]
fn coarse_gelu<S: Simd>(s: S, coefficients: [f32; 7], x: S::V) -> S::V {
    // NaN stays NaN, and minus infinity becomes zero.
    let x = s.splat(-COARSE_GELU_BOUND).max(x);
    let near = s.splat(COARSE_GELU_BOUND).min(x);
    polynomial(s, coefficients, near * near).mul_add(near, s.splat(0.5)) * x
}

/// `x * sigmoid(2u)`, which is `x/2 * (1 + tanh(u))`, for `u = sqrt(2/pi) * (x + 0.044715 * x^3)`.
#[inline(always)]
fn gelu_tanh<S: Simd>(s: S, x: S::V) -> S::V {
    // At -14 the result is -0; the bound keeps infinity times zero out of it, and NaN in.
    let x = s.splat(-14.0).max(x);
    let cubic = (x * x).mul_add(s.splat(0.044_715), s.splat(1.0));
    times_sigmoid(s, x, x * cubic * s.splat(1.595_769))
}

#[inline(always)]
pub(in crate::arch) fn apply<S: Simd>(s: S, activation: Activation, x: S::V) -> S::V {
    match activation {
        Activation::Identity => x,
        Activation::Relu => s.splat(0.0).max(x),
        Activation::Gelu => gelu(s, x),
        Activation::GeluTanh => gelu_tanh(s, x),
        Activation::Sigmoid => sigmoid(s, x),
        Activation::Silu => {
            // At -120 the result is -0; the bound keeps infinity times zero out of it, and NaN in.
            let x = s.splat(-120.0).max(x);
            times_sigmoid(s, x, x)
        }
        Activation::Tanh => tanh(s, x),
        Activation::CoarseGelu => coarse_gelu(s, COARSE_GELU, x),
        Activation::CoarseGeluTanh => coarse_gelu(s, COARSE_GELU_TANH, x),
    }
}

#[inline(always)]
pub(in crate::arch) fn activate<S: Simd>(s: S, activation: Activation, data: &mut [f32]) {
    let (chunks, rest) = data.as_chunks_mut::<LANES>();
    for chunk in chunks {
        apply(s, activation, s.load(chunk)).store(chunk);
    }
    let mut last = [0.0; LANES];
    last[..rest.len()].copy_from_slice(rest);
    apply(s, activation, s.load(&last)).store(&mut last);
    rest.copy_from_slice(&last[..rest.len()]);
}

//! exp, erf's complement, GELU and tanh by polynomials fitted for these kernels.
//!
//! The fits are near-minimax (reweighted least squares on 400 Chebyshev nodes, in 40 digits); each constant's error
//! is that of the polynomial before rounding to float32.

use super::{Simd, Vector};
use crate::Activation;
use crate::packed::LANES;

/// `exp(r)` for `|r| <= ln(2)/2`, highest power first; relative error 1.9e-9.
const EXP: [f32; 7] = [0.001_383_684_3, 0.008_374_818, 0.041_668_225, 0.166_664_2, 0.499_999_9, 1.0, 1.0];
/// ln(2) in two parts, the first with few enough bits for a product with any exponent to be exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// Below this exp would be denormal; it becomes exactly zero, so that a masked key leaves no trace in any sum.
const EXP_LOWEST: f32 = -87.3;

/// `erfc(z) * exp(z*z) / t` for `t = 1 / (1 + ERFC_SLOPE * z)`, `0 <= z <= 9.5`; absolute error 3.8e-8.
const ERFC: [f32; 8] =
    [-0.142_936_32, 0.504_086_26, -0.418_418_56, 0.464_557_32, 0.019_535_217, 0.207_656_28, 0.180_448_44, 0.185_071_33];
const ERFC_SLOPE: f32 = 0.327_591_1;

/// `(tanh(x) / x - 1) / x^2` in `x^2`, for `|x| <= 0.63`; error 4.6e-8, a sixth of that in tanh.
const TANH: [f32; 5] = [-0.006_062_235, 0.020_975_016, -0.053_846_695, 0.133_327_47, -0.333_333_28];
const TANH_SMALL: f32 = 0.625;

#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, coefficients: [f32; N], x: S::V) -> S::V {
    let mut sum = s.splat(coefficients[0]);
    for coefficient in &coefficients[1..] {
        sum = sum.mul_add(x, s.splat(*coefficient));
    }
    sum
}

/// `exp(x)` for `x <= 0`, within 1.2e-7 of it relatively; 0 below -87.3, NaN for NaN.
#[inline(always)]
pub(super) fn exp_of_negative<S: Simd>(s: S, x: S::V) -> S::V {
    let n = (x * s.splat(std::f32::consts::LOG2_E)).round();
    let r = n.mul_add(s.splat(-LN_2_HIGH), x);
    let r = n.mul_add(s.splat(-LN_2_LOW), r);
    let power = polynomial(s, EXP, r).scale_by_power_of_two(n);
    x.where_less(s.splat(EXP_LOWEST), s.splat(0.0), power)
}

/// `x/2 * (1 + erf(x/sqrt(2)))`.
///
/// By `max(x, 0) - |x| * erfc(|x|/sqrt(2)) / 2`, which has no cancellation for negative `x`, unlike the text-book form.
#[inline(always)]
fn gelu<S: Simd>(s: S, x: S::V) -> S::V {
    // Past 14 the second term is zero; the bound keeps infinity times zero out of it.
    let size = x.abs().min(s.splat(14.0));
    let z = size * s.splat(std::f32::consts::FRAC_1_SQRT_2);
    let t = s.splat(1.0) / z.mul_add(s.splat(ERFC_SLOPE), s.splat(1.0));
    let decay = exp_of_negative(s, size * size * s.splat(-0.5));
    let half_erfc = polynomial(s, ERFC, t) * t * decay * s.splat(0.5);
    // `max` in this order gives NaN for NaN.
    s.splat(0.0).max(x) - size * half_erfc
}

#[inline(always)]
fn tanh<S: Simd>(s: S, x: S::V) -> S::V {
    let size = x.abs();
    let square = x * x;
    let small = (polynomial(s, TANH, square) * square).mul_add(x, x);
    let e = exp_of_negative(s, size * s.splat(-2.0));
    let large = ((s.splat(1.0) - e) / (s.splat(1.0) + e)).copy_sign(x);
    size.where_less(s.splat(TANH_SMALL), small, large)
}

#[inline(always)]
pub(super) fn apply<S: Simd>(s: S, activation: Activation, x: S::V) -> S::V {
    match activation {
        Activation::Identity => x,
        Activation::Relu => s.splat(0.0).max(x),
        Activation::Gelu => gelu(s, x),
        Activation::Tanh => tanh(s, x),
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

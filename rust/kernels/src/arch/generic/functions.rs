//! exp, log, sin, cos, erf and tanh by polynomials fitted for these kernels.
//!
//! The fits are near-minimax (least squares on 160 to 400 Chebyshev nodes, reweighted until the error is level, in 40
//! digits); each constant's error is that of the polynomial before rounding to float32. What is left of it in the
//! results is measured over every float32 by `tests/accuracy.rs`.

use super::{Simd, Vector};
use crate::Function;
use crate::packed::LANES;

/// `exp(r)` for `|r| <= ln(2)/2`, highest power first; relative error 1.9e-9.
const EXP: [f32; 7] = [0.001_383_684_3, 0.008_374_818, 0.041_668_225, 0.166_664_2, 0.499_999_9, 1.0, 1.0];
/// `2^r` for `|r| <= 1/2`, highest power first, and 1 for 0; relative error 1.1e-4.
const COARSE_EXP2: [f32; 4] = [0.055_008_93, 0.242_210_95, 0.693_282_9, 1.0];
/// ln(2) in two parts, the first with few enough bits for a product with any exponent to be exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// Below this exp would be denormal; [`exp_of_negative`] makes it exactly zero, so that a masked key leaves no trace in any sum.
const EXP_LOWEST: f32 = -87.3;

/// `erfc(z) * exp(z*z) / t` for `t = 1 / (1 + ERFC_SLOPE * z)`, `0 <= z <= 9.5`; absolute error 3.8e-8.
const ERFC: [f32; 8] =
    [-0.142_936_32, 0.504_086_26, -0.418_418_56, 0.464_557_32, 0.019_535_217, 0.207_656_28, 0.180_448_44, 0.185_071_33];
const ERFC_SLOPE: f32 = 0.327_591_1;
/// `erf(x) / x - 1` in `x^2`, for `|x| <= 0.9`; 2.9e-10 of erf.
const ERF: [f32; 7] =
    [8.513e-5, -0.000_817_561_4, 0.005_203_856_6, -0.026_860_507, 0.112_837_15, -0.376_126_35, 0.128_379_17];
const ERF_SMALL: f32 = 0.9;

/// `(tanh(x) / x - 1) / x^2` in `x^2`, for `|x| <= 0.63`; error 4.6e-8, a sixth of that in tanh.
const TANH: [f32; 5] = [-0.006_062_235, 0.020_975_016, -0.053_846_695, 0.133_327_47, -0.333_333_28];
const TANH_SMALL: f32 = 0.625;

/// `(log(1+f) - f + f^2/2) / f^3` for `1+f` between `sqrt(1/2)` and `sqrt(2)`; 5.8e-9 of the logarithm.
const LOG: [f32; 8] =
    [-0.076_341_08, 0.127_614_2, -0.131_602_56, 0.142_017_84, -0.166_233_52, 0.200_012_25, -0.250_008_23, 0.333_333_3];

/// `(sin(r)/r - 1) / r^2` and `(cos(r) - 1 + r^2/2) / r^4` in `r^2`, for `|r| <= pi/4`; 3.6e-9 and 9.6e-11 of the results.
const SIN: [f32; 3] = [-0.000_195_169_72, 0.008_332_176, -0.166_666_55];
const COS: [f32; 3] = [2.443_808e-5, -0.001_388_736_4, 0.041_666_646];
/// pi/2 in three parts; with fused multiply-adds the first subtraction is exact.
const HALF_PI: [f32; 3] = [1.570_796_4, -4.371_139e-8, -1.715_124_5e-15];
/// Beyond this the three parts of pi/2 are too few, and the standard library's double precision takes over.
const TURNS_LIMIT: f32 = 8192.0;

#[inline(always)]
pub(super) fn polynomial<S: Simd, const N: usize>(s: S, coefficients: [f32; N], x: S::V) -> S::V {
    let mut sum = s.splat(coefficients[0]);
    for coefficient in &coefficients[1..] {
        sum = sum.mul_add(x, s.splat(*coefficient));
    }
    sum
}

/// `p` and `n` with `exp(x) = p * 2^n`.
#[inline(always)]
fn exp_parts<S: Simd>(s: S, x: S::V) -> (S::V, S::V) {
    let n = (x * s.splat(std::f32::consts::LOG2_E)).round();
    let r = n.mul_add(s.splat(-LN_2_HIGH), x);
    let r = n.mul_add(s.splat(-LN_2_LOW), r);
    (polynomial(s, EXP, r), n)
}

/// `exp(x)` for `x <= 0`, within 1.2e-7 of it relatively; 0 below -87.3, NaN for NaN.
#[inline(always)]
pub(super) fn exp_of_negative<S: Simd>(s: S, x: S::V) -> S::V {
    let (power, n) = exp_parts(s, x);
    x.where_less(s.splat(EXP_LOWEST), s.splat(0.0), power.scale_by_power_of_two(n))
}

/// `exp(x)` for `x <= 0`, within 1.2e-4 of it relatively, for a result that is rounded to bfloat16, which is 4e-3 at most; 0 below
/// -87.3, NaN for NaN.
#[inline(always)]
pub(in crate::arch) fn coarse_exp_of_negative<S: Simd>(s: S, x: S::V) -> S::V {
    let t = x * s.splat(std::f32::consts::LOG2_E);
    let n = t.round();
    let power = coarse_power(s, t - n).scale_by_power_of_two(n);
    x.where_less(s.splat(EXP_LOWEST), s.splat(0.0), power)
}

/// `2^r` for `|r| <= 1/2`, as [`coarse_exp_of_negative`] has it.
#[inline(always)]
pub(in crate::arch) fn coarse_power<S: Simd>(s: S, r: S::V) -> S::V {
    polynomial(s, COARSE_EXP2, r)
}

/// Bounds past which exp is 0 or infinity, kept in reach of [`Vector::scale_by_any_power_of_two`]; NaN stays NaN.
#[inline(always)]
fn within_exp<S: Simd>(s: S, x: S::V) -> S::V {
    s.splat(90.0).min(s.splat(-110.0).max(x))
}

#[inline(always)]
fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    let (power, n) = exp_parts(s, within_exp(s, x));
    power.scale_by_any_power_of_two(n)
}

/// `(above + below) / (1 + e)` for `e` from 0 to 1 and a `below` too small to be part of `above`, rounded nearly once.
#[inline(always)]
fn over_one_plus<S: Simd>(s: S, above: S::V, below: S::V, e: S::V) -> S::V {
    let one = s.splat(1.0);
    let whole = one + e;
    let lost = e - (whole - one);
    let inverse = one / whole;
    let quotient = above * inverse;
    let minus = s.splat(0.0) - quotient;
    let rest = minus.mul_add(lost, minus.mul_add(whole, above) + below);
    rest.mul_add(inverse, quotient)
}

/// `1 / (1 + exp(-x))`, as `exp(x) / (1 + exp(x))` below zero: denormal results are right as well.
#[inline(always)]
pub(super) fn sigmoid<S: Simd>(s: S, x: S::V) -> S::V {
    times_sigmoid(s, s.splat(1.0), x)
}

/// `x * sigmoid(gate)`.
///
/// The power of two is multiplied last: a denormal exp has few digits, and would pass its error on enlarged by `x`.
#[inline(always)]
pub(super) fn times_sigmoid<S: Simd>(s: S, x: S::V, gate: S::V) -> S::V {
    let (zero, one) = (s.splat(0.0), s.splat(1.0));
    let (power, n) = exp_parts(s, within_exp(s, gate.abs() * s.splat(-1.0)));
    let e = power.scale_by_any_power_of_two(n);
    let power = gate.where_less(zero, power, one);
    let product = x * power;
    let lost = x.mul_add(power, zero - product);
    let quotient = over_one_plus(s, product, lost, e);
    let result = quotient.scale_by_any_power_of_two(gate.where_less(zero, n, zero));
    // Infinity has lost nothing, but its difference to itself is NaN.
    x.where_less(s.splat(f32::INFINITY), result, x)
}

#[inline(always)]
pub(super) fn tanh<S: Simd>(s: S, x: S::V) -> S::V {
    let size = x.abs();
    let square = x * x;
    let small = (polynomial(s, TANH, square) * square).mul_add(x, x);
    let e = exp_of_negative(s, size * s.splat(-2.0));
    let large = (s.splat(1.0) - e) / (s.splat(1.0) + e);
    // Of the small ones as well, for that of minus zero.
    size.where_less(s.splat(TANH_SMALL), small, large).copy_sign(x)
}

#[inline(always)]
fn erf<S: Simd>(s: S, x: S::V) -> S::V {
    let square = x * x;
    let small = polynomial(s, ERF, square).mul_add(x, x);
    // erfc(4) is a quarter of an ULP of 1; the bound keeps infinities out, and NaN in.
    let size = s.splat(4.0).min(x.abs());
    let t = s.splat(1.0) / size.mul_add(s.splat(ERFC_SLOPE), s.splat(1.0));
    let decay = exp_of_negative(s, size * size * s.splat(-1.0));
    let large = (s.splat(1.0) - polynomial(s, ERFC, t) * t * decay).copy_sign(x);
    x.abs().where_less(s.splat(ERF_SMALL), small, large)
}

/// `log(x) - log(1)` for positive normal `x`.
#[inline(always)]
fn log_of_normal<S: Simd>(s: S, x: S::V, shift: S::V) -> S::V {
    let (exponent, fraction) = x.exponent_and_fraction();
    let exponent = exponent + shift;
    let f = fraction - s.splat(1.0);
    let square = f * f;
    let rest = polynomial(s, LOG, f) * f * square;
    let rest = exponent.mul_add(s.splat(LN_2_LOW), rest);
    let rest = square.mul_add(s.splat(-0.5), rest);
    exponent.mul_add(s.splat(LN_2_HIGH), f + rest)
}

#[inline(always)]
fn log<S: Simd>(s: S, x: S::V) -> S::V {
    // Denormals are made normal first: 2^24 times as large.
    let lowest = s.splat(f32::MIN_POSITIVE);
    let scaled = x.where_less(lowest, x * s.splat(16_777_216.0), x);
    let shift = x.where_less(lowest, s.splat(-24.0), s.splat(0.0));
    let result = log_of_normal(s, scaled, shift);
    let result = x.where_non_zero(result, s.splat(f32::NEG_INFINITY));
    let result = x.where_less(s.splat(0.0), s.splat(f32::NAN), result);
    x.where_less(s.splat(f32::INFINITY), result, x)
}

#[inline(always)]
fn softplus<S: Simd>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    let e = exp(s, x.abs() * s.splat(-1.0));
    let whole = one + e;
    // log(1+e) with what the sum lost put back; below 2^-24 all of e is lost, and is the logarithm.
    let tail = (e - (whole - one)) / whole + log_of_normal(s, whole, s.splat(0.0));
    // In this order NaN stays NaN.
    s.splat(0.0).max(x) + tail
}

/// Sine, and cosine as the sine a quarter turn on, for `|x|` up to [`TURNS_LIMIT`].
#[inline(always)]
fn sine<S: Simd>(s: S, x: S::V, quarters: f32) -> S::V {
    let n = (x * s.splat(std::f32::consts::FRAC_2_PI)).round();
    let mut r = x;
    for part in HALF_PI {
        r = n.mul_add(s.splat(-part), r);
    }
    let square = r * r;
    let sin = (polynomial(s, SIN, square) * square).mul_add(r, r);
    let cos = (polynomial(s, COS, square) * square - s.splat(0.5)).mul_add(square, s.splat(1.0));
    // Which quarter of the turn: 0 and 2 take the sine, 2 and 3 the other sign.
    let n = n + s.splat(quarters);
    let quarter = n - (n * s.splat(0.25)).floor() * s.splat(4.0);
    let half = quarter - (quarter * s.splat(0.5)).floor() * s.splat(2.0);
    let size = half.where_non_zero(cos, sin);
    quarter.where_less(s.splat(2.0), size, s.splat(0.0) - size)
}

#[inline(always)]
fn apply<S: Simd>(s: S, function: Function, x: S::V) -> S::V {
    match function {
        Function::Exp => exp(s, x),
        Function::Log => log(s, x),
        // Minus zero stays what it is.
        Function::Sin => x.where_non_zero(sine(s, x, 0.0), x),
        Function::Cos => sine(s, x, 1.0),
        Function::Erf => erf(s, x),
        Function::Softplus => softplus(s, x),
        Function::Floor => x.floor(),
        // What is rounded up to zero keeps its sign.
        Function::Ceil => (s.splat(0.0) - (s.splat(0.0) - x).floor()).copy_sign(x),
        Function::RoundEven => x.round(),
    }
}

#[inline(always)]
fn apply_to_chunk<S: Simd>(s: S, function: Function, chunk: &mut [f32; LANES]) {
    let circular = matches!(function, Function::Sin | Function::Cos);
    // Not `any(abs > limit)`, which NaN would pass; it comes out of either way as NaN.
    if circular && chunk.iter().any(|x| x.abs() > TURNS_LIMIT) {
        for x in chunk {
            let (sin, cos) = f64::from(*x).sin_cos();
            *x = if function == Function::Sin { sin } else { cos } as f32;
        }
    } else {
        apply(s, function, s.load(chunk)).store(chunk);
    }
}

#[inline(always)]
pub(in crate::arch) fn evaluate<S: Simd>(s: S, function: Function, data: &mut [f32]) {
    let (chunks, rest) = data.as_chunks_mut::<LANES>();
    for chunk in chunks {
        apply_to_chunk(s, function, chunk);
    }
    let mut last = [0.0; LANES];
    last[..rest.len()].copy_from_slice(rest);
    apply_to_chunk(s, function, &mut last);
    rest.copy_from_slice(&last[..rest.len()]);
}

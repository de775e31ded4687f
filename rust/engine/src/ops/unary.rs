//! Element by element: functions of one operand. What is not exact in float32 is computed in float64 and rounded once.

use super::map::map;
use super::numbers::{narrow, narrow_once, widen};
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};
use crate::{Activation, Function, Kernels};

/// Elements that one thread takes at a time through a vector kernel: what stays in the first cache.
const PIECE: usize = 1 << 12;

/// Numbers of the options, `[alpha, beta]` or the bounds.
type Numbers = [f64; 2];
type Compute = fn(&Tensor<'_>, &mut TensorMut<'_>, &Context<'_>, Numbers) -> Result<(), RunError>;

/// A function of every element.
struct Unary {
    name: &'static str,
    numbers: Numbers,
    compute: Compute,
}

impl Op for Unary {
    fn label(&self) -> String {
        self.name.into()
    }

    fn in_place(&self) -> &[usize] {
        &[0]
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        (self.compute)(&operands[0], &mut results[0], cx, self.numbers)
    }
}

fn unary(
    request: &Request<'_>,
    name: &'static str,
    numbers: Numbers,
    compute: Option<Compute>,
) -> Result<Box<dyn Op>, BuildError> {
    let dtype = request.operand(0)?.dtype;
    if request.result()?.dtype != dtype {
        return Err(BuildError::Value(format!("{name}: the result has another type")));
    }
    let compute = compute.ok_or_else(|| request.unsupported(dtype))?;
    Ok(Box::new(Unary { name, numbers, compute }))
}

/// The options `alpha` and `beta`, rounded to the operand's type; absent ones are 0.
fn alpha_beta(request: &Request<'_>) -> Result<Numbers, BuildError> {
    let dtype = request.operand(0)?.dtype;
    let number = |name| -> Result<f64, BuildError> {
        let value = request.attributes.optional_number(name)?.unwrap_or(0.0);
        Ok(match dtype {
            DataType::Float32 => f64::from(value as f32),
            DataType::Float16 => f64::from(widen(narrow_once(value))),
            _ => value,
        })
    };
    Ok([number("alpha")?, number("beta")?])
}

/// Formulas in float64, of one element and the numbers, rounded once to float32 or float16.
macro_rules! formulas {
    ($($make:ident $name:literal: $formula:expr;)*) => {
        $(fn $make(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
            let formula: fn(f64, Numbers) -> f64 = $formula;
            let _ = formula;
            let compute: Option<Compute> = match request.operand(0)?.dtype {
                DataType::Float32 => Some(|x, out, cx, numbers| {
                    map::<f32>(x, out, cx, |x| $formula(f64::from(x), numbers) as f32)
                }),
                DataType::Float16 => Some(|x, out, cx, numbers| {
                    map::<u16>(x, out, cx, |x| narrow_once($formula(f64::from(widen(x)), numbers)))
                }),
                _ => None,
            };
            unary(request, $name, alpha_beta(request)?, compute)
        })*
        pub(super) const FORMULAS: &[Kind] = &[$(Kind { name: $name, types: Types::FLOATS, make: $make }),*];
    };
}

formulas! {
    elu "elu": |x: f64, [alpha, _]: Numbers| x.max_nan(0.0) + alpha * x.min_nan(0.0).exp_m1();
    hard_sigmoid "hardSigmoid": |x: f64, [alpha, beta]: Numbers| (alpha * x + beta).min_nan(1.0).max_nan(0.0);
    hard_swish "hardSwish": |x: f64, _: Numbers| x * (x + 3.0).min_nan(6.0).max_nan(0.0) / 6.0;
    leaky_relu "leakyRelu": |x: f64, [alpha, _]: Numbers| if x >= 0.0 { x } else { alpha * x };
    linear "linear": |x: f64, [alpha, beta]: Numbers| alpha * x + beta;
    softsign "softsign": |x: f64, _: Numbers| x / (1.0 + x.abs());
    tan "tan": |x: f64, _: Numbers| x.tan();
}

/// Limits that NaN passes through.
trait Limits {
    fn max_nan(self, other: Self) -> Self;
    fn min_nan(self, other: Self) -> Self;
}

impl Limits for f64 {
    fn max_nan(self, other: Self) -> Self {
        if self < other { other } else { self }
    }

    fn min_nan(self, other: Self) -> Self {
        if self > other { other } else { self }
    }
}

/// Functions of floats and integers.
macro_rules! exact {
    ($($make:ident $name:literal: $float:expr, $signed:expr, $unsigned:expr;)*) => {
        $(fn $make(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
            let compute: Option<Compute> = match request.operand(0)?.dtype {
                DataType::Float32 => Some(|x, out, cx, _| map::<f32>(x, out, cx, $float)),
                DataType::Float16 => Some(|x, out, cx, _| map::<u16>(x, out, cx, |x| narrow($float(widen(x))))),
                DataType::Int32 => Some(|x, out, cx, _| map::<i32>(x, out, cx, $signed)),
                DataType::Int64 => Some(|x, out, cx, _| map::<i64>(x, out, cx, $signed)),
                DataType::Int8 => Some(|x, out, cx, _| map::<i8>(x, out, cx, $signed)),
                DataType::Uint32 => Some(|x, out, cx, _| map::<u32>(x, out, cx, $unsigned)),
                DataType::Uint64 => Some(|x, out, cx, _| map::<u64>(x, out, cx, $unsigned)),
                DataType::Uint8 => Some(|x, out, cx, _| map::<u8>(x, out, cx, $unsigned)),
                DataType::Int4 | DataType::Uint4 => None,
            };
            unary(request, $name, [0.0; 2], compute)
        })*
        pub(super) const EXACT: &[Kind] = &[$(Kind { name: $name, types: Types::ALL, make: $make }),*];
    };
}

exact! {
    abs "abs": f32::abs, Signed::abs, |x| x;
    neg "neg": |x: f32| -x, Signed::neg, |x| x;
    relu "relu": |x: f32| if x < 0.0 { 0.0 } else { x }, |x| x.max(0), |x| x;
    sign "sign": |x: f32| if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x }, Signed::sign, |x| x;
}

/// Functions that float32 holds exactly, or that IEEE 754 rounds right.
macro_rules! rounded {
    ($($make:ident $name:literal: $float:expr;)*) => {
        $(fn $make(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
            let compute: Option<Compute> = match request.operand(0)?.dtype {
                DataType::Float32 => Some(|x, out, cx, _| map::<f32>(x, out, cx, $float)),
                DataType::Float16 => Some(|x, out, cx, _| map::<u16>(x, out, cx, |x| narrow($float(widen(x))))),
                _ => None,
            };
            unary(request, $name, [0.0; 2], compute)
        })*
        pub(super) const ROUNDED: &[Kind] = &[$(Kind { name: $name, types: Types::FLOATS, make: $make }),*];
    };
}

rounded! {
    reciprocal "reciprocal": |x: f32| 1.0 / x;
    sqrt "sqrt": f32::sqrt;
}

/// Functions of signed integers; the lowest one stays as it is.
trait Signed: Copy {
    fn abs(self) -> Self;
    fn neg(self) -> Self;
    fn sign(self) -> Self;
}

macro_rules! signed {
    ($($type:ty)*) => {
        $(impl Signed for $type {
            fn abs(self) -> Self {
                self.wrapping_abs()
            }

            fn neg(self) -> Self {
                self.wrapping_neg()
            }

            fn sign(self) -> Self {
                self.signum()
            }
        })*
    };
}

signed! { i8 i32 i64 }

/// Functions with a vector kernel for float32, within 2 units of the last place; the formulas are for float16.
macro_rules! vector {
    ($($make:ident $name:literal: $kernel:expr, $formula:expr;)*) => {
        $(fn $make(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
            let compute: Option<Compute> = match request.operand(0)?.dtype {
                DataType::Float32 => Some(|x, out, cx, _| through(x, out, cx, $kernel)),
                DataType::Float16 => Some(|x, out, cx, _| {
                    map::<u16>(x, out, cx, |x| narrow_once($formula(f64::from(widen(x)))))
                }),
                _ => None,
            };
            unary(request, $name, [0.0; 2], compute)
        })*
        pub(super) const VECTOR: &[Kind] = &[$(Kind { name: $name, types: Types::FLOATS, make: $make }),*];
    };
}

vector! {
    ceil "ceil": |kernels, x| kernels.evaluate(Function::Ceil, x), f64::ceil;
    cos "cos": |kernels, x| kernels.evaluate(Function::Cos, x), f64::cos;
    erf "erf": |kernels, x| kernels.evaluate(Function::Erf, x), libm::erf;
    exp "exp": |kernels, x| kernels.evaluate(Function::Exp, x), f64::exp;
    floor "floor": |kernels, x| kernels.evaluate(Function::Floor, x), f64::floor;
    gelu "gelu": gelu32, gelu64;
    log "log": |kernels, x| kernels.evaluate(Function::Log, x), f64::ln;
    round_even "roundEven": |kernels, x| kernels.evaluate(Function::RoundEven, x), f64::round_ties_even;
    sigmoid "sigmoid": |kernels, x| kernels.activate(Activation::Sigmoid, x), |x: f64| 1.0 / (1.0 + (-x).exp());
    silu "silu": |kernels, x| kernels.activate(Activation::Silu, x), |x: f64| x / (1.0 + (-x).exp());
    sin "sin": |kernels, x| kernels.evaluate(Function::Sin, x), f64::sin;
    softplus "softplus": |kernels, x| kernels.evaluate(Function::Softplus, x), softplus64;
    tanh "tanh": |kernels, x| kernels.activate(Activation::Tanh, x), f64::tanh;
}

fn gelu64(x: f64) -> f64 {
    0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// Behind a product GELU is as near as the argument's last place; by itself it is as near as the result's.
///
/// Below -1 the two differ by more than the operator may be off; there the definition is taken.
fn gelu32(kernels: &Kernels, piece: &mut [f32]) {
    let mut below: Vec<(usize, f32)> = Vec::new();
    below.extend(piece.iter().enumerate().filter(|(_, x)| **x < -1.0).map(|(index, x)| (index, *x)));
    kernels.activate(Activation::Gelu, piece);
    for (index, x) in below {
        piece[index] = gelu64(f64::from(x)) as f32;
    }
}

fn softplus64(x: f64) -> f64 {
    x.max_nan(0.0) + (-x.abs()).exp().ln_1p()
}

/// Puts all elements through a vector kernel, a piece at a time.
fn through(
    x: &Tensor<'_>,
    result: &mut TensorMut<'_>,
    cx: &Context<'_>,
    kernel: impl Fn(&Kernels, &mut [f32]) + Sync,
) -> Result<(), RunError> {
    let kernels = cx.engine.kernels();
    let out = result.elements::<f32>();
    if cx.in_place.is_some() {
        cx.for_each(out.chunks_mut(PIECE).collect(), |piece| kernel(kernels, piece));
        return Ok(());
    }
    let x = x.elements::<f32>();
    if x.len() != out.len() {
        return Err(RunError::Operand(format!("{} results of {} elements", out.len(), x.len())));
    }
    let pieces = out.chunks_mut(PIECE).zip(x.chunks(PIECE)).collect();
    cx.for_each(pieces, |(out, x): (&mut [f32], &[f32])| {
        out.copy_from_slice(x);
        kernel(kernels, out);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::ops::numbers::{narrow, narrow_once, widen};
    use crate::ops::testing::{Given, run};
    use crate::plan::DataType::{Float16, Float32, Int8};

    #[test]
    fn functions_are_near_their_formulas() {
        let x: Vec<f32> = (-40..=40).map(|i| i as f32 * 0.37).chain([0.0, -0.0, f32::INFINITY, f32::NAN]).collect();
        type Formula = fn(f64) -> f64;
        let cases: [(&str, Formula); 8] = [
            ("exp", f64::exp),
            ("sin", f64::sin),
            ("sigmoid", |x| 1.0 / (1.0 + (-x).exp())),
            ("sqrt", f64::sqrt),
            ("softsign", |x| x / (1.0 + x.abs())),
            ("roundEven", f64::round_ties_even),
            ("reciprocal", |x| 1.0 / x),
            ("log", f64::ln),
        ];
        for (kind, formula) in cases {
            for threads in [1, 2] {
                let found = run(kind, &[Given::new(Float32, &[x.len()], &x)], &[], &[(Float32, &[x.len()])], threads);
                let found = found.unwrap();
                for (x, found) in x.iter().zip(found[0].elements::<f32>()) {
                    let want = formula(f64::from(*x)) as f32;
                    let is_near = (want.to_bits() as i32).abs_diff(found.to_bits() as i32) <= 2;
                    assert!(is_near || want.is_nan() && found.is_nan(), "{kind}({x}): {found}, not {want}");
                }
            }
            let half: Vec<u16> = x.iter().map(|x| narrow(*x)).collect();
            let found = run(kind, &[Given::new(Float16, &[x.len()], &half)], &[], &[(Float16, &[x.len()])], 1).unwrap();
            for (x, found) in half.iter().zip(found[0].elements::<u16>()) {
                let want = narrow_once(formula(f64::from(widen(*x))));
                assert!(want == *found || widen(want).is_nan() && widen(*found).is_nan(), "{kind}({x})");
            }
        }
    }

    #[test]
    fn integers_keep_the_lowest_one() {
        let x = [-128_i8, -1, 0, 5];
        for (kind, want) in [("abs", [-128_i8, 1, 0, 5]), ("neg", [-128, 1, 0, -5]), ("sign", [-1, -1, 0, 1])] {
            let found = run(kind, &[Given::new(Int8, &[4], &x)], &[], &[(Int8, &[4])], 1).unwrap();
            assert_eq!(found[0].elements::<i8>(), want, "{kind}");
        }
    }
}

//! Element by element: arithmetic of two operands. Integers are exact and wrap.

use super::map::zip;
use super::numbers::{narrow, widen};
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "add", types: Types::ALL, make: add },
    Kind { name: "div", types: Types::ALL, make: div },
    Kind { name: "max", types: Types::ALL, make: max },
    Kind { name: "min", types: Types::ALL, make: min },
    Kind { name: "mul", types: Types::ALL, make: mul },
    Kind { name: "pow", types: Types::ALL, make: pow },
    Kind { name: "prelu", types: Types::ALL, make: prelu },
    Kind { name: "sub", types: Types::ALL, make: sub },
];

/// A function of two operands, of one type and one formula.
struct Binary {
    name: &'static str,
    compute: Compute,
}

type Compute = fn([&Tensor<'_>; 2], &mut TensorMut<'_>, &Context<'_>) -> Result<(), RunError>;

impl Op for Binary {
    fn label(&self) -> String {
        self.name.into()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        (self.compute)([&operands[0], &operands[1]], &mut results[0], cx)
    }

    fn in_place(&self) -> &[usize] {
        &[0, 1]
    }
}

fn binary(request: &Request<'_>, name: &'static str, compute: Option<Compute>) -> Result<Box<dyn Op>, BuildError> {
    let (a, b) = (request.operand(0)?.dtype, request.operand(1)?.dtype);
    if a != b || request.result()?.dtype != a {
        return Err(BuildError::Value(format!("{name}: operands of {a} and {b}; must agree, and with the result")));
    }
    Ok(Box::new(Binary { name, compute: compute.ok_or_else(|| request.unsupported(a))? }))
}

/// One compute function for each type: `$float` of two f32, `$integer` a function of any integer type.
macro_rules! arithmetic {
    ($($name:ident: $float:expr, $integer:expr;)*) => {
        $(fn $name(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
            let compute: Option<Compute> = match request.operand(0)?.dtype {
                DataType::Float32 => Some(|operands, result, cx| zip::<f32>(operands, result, cx, $float)),
                DataType::Float16 => Some(|operands, result, cx| {
                    zip::<u16>(operands, result, cx, |a, b| narrow($float(widen(a), widen(b))))
                }),
                DataType::Int32 => Some(|operands, result, cx| zip::<i32>(operands, result, cx, $integer)),
                DataType::Uint32 => Some(|operands, result, cx| zip::<u32>(operands, result, cx, $integer)),
                DataType::Int64 => Some(|operands, result, cx| zip::<i64>(operands, result, cx, $integer)),
                DataType::Uint64 => Some(|operands, result, cx| zip::<u64>(operands, result, cx, $integer)),
                DataType::Int8 => Some(|operands, result, cx| zip::<i8>(operands, result, cx, $integer)),
                DataType::Uint8 => Some(|operands, result, cx| zip::<u8>(operands, result, cx, $integer)),
                DataType::Int4 | DataType::Uint4 => None,
            };
            binary(request, stringify!($name), compute)
        })*
    };
}

arithmetic! {
    add: |a: f32, b: f32| a + b, Integer::add;
    div: |a: f32, b: f32| a / b, Integer::div;
    max: larger, Ord::max;
    min: smaller, Ord::min;
    mul: |a: f32, b: f32| a * b, Integer::mul;
    pow: |a: f32, b: f32| f64::from(a).powf(f64::from(b)) as f32, Integer::pow;
    prelu: |x: f32, slope: f32| if x < 0.0 { x * slope } else { x }, Integer::prelu;
    sub: |a: f32, b: f32| a - b, Integer::sub;
}

/// The larger one; NaN if either is NaN, and the first one where they are equal.
fn larger(a: f32, b: f32) -> f32 {
    if a.is_nan() || a >= b { a } else { b }
}

/// The smaller one; NaN if either is NaN, and the first one where they are equal.
fn smaller(a: f32, b: f32) -> f32 {
    if a.is_nan() || a <= b { a } else { b }
}

/// Arithmetic that wraps.
trait Integer: Copy {
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// Rounded toward zero; 0 where `other` is 0.
    fn div(self, other: Self) -> Self;
    /// A negative power is 1 / self^|exponent| rounded toward zero: 1 or -1 for those bases, else 0.
    fn pow(self, exponent: Self) -> Self;
    fn prelu(self, slope: Self) -> Self;
}

macro_rules! integers {
    ($($type:ident $unsigned:ident)*) => {
        $(impl Integer for $type {
            fn add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            fn sub(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }

            fn mul(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }

            fn div(self, other: Self) -> Self {
                if other == 0 { 0 } else { self.wrapping_div(other) }
            }

            #[allow(unused_comparisons)] // an unsigned exponent is never negative
            fn pow(self, exponent: Self) -> Self {
                if exponent < 0 {
                    let sign = if exponent % 2 == 0 { 1 } else { self };
                    return if self == 1 { 1 } else if self == (0 as $type).wrapping_sub(1) { sign } else { 0 };
                }
                let (mut power, mut base, mut rest) = (1 as $type, self, exponent as $unsigned);
                while rest > 0 {
                    if rest & 1 == 1 {
                        power = power.wrapping_mul(base);
                    }
                    base = base.wrapping_mul(base);
                    rest >>= 1;
                }
                power
            }

            #[allow(unused_comparisons)] // an unsigned number is never negative
            fn prelu(self, slope: Self) -> Self {
                if self < 0 { self.wrapping_mul(slope) } else { self }
            }
        })*
    };
}

integers! { i32 u32  u32 u32  i64 u64  u64 u64  i8 u8  u8 u8 }

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Given, run};
    use crate::plan::DataType;

    #[test]
    fn operands_are_stretched_and_computed_element_by_element() {
        for (a, b, out) in [
            (&[2, 3, 5][..], &[2, 3, 5][..], &[2, 3, 5][..]),
            (&[2, 3, 5], &[5], &[2, 3, 5]),
            (&[3, 1], &[2, 1, 7], &[2, 3, 7]),
            (&[], &[4], &[4]),
            (&[300, 300], &[300, 1], &[300, 300]),
            (&[0, 3], &[3], &[0, 3]),
        ] {
            let count = |shape: &[usize]| shape.iter().product::<usize>();
            let x: Vec<f32> = (0..count(a)).map(|i| i as f32 * 0.5 - 3.0).collect();
            let y: Vec<f32> = (0..count(b)).map(|i| 7.0 - i as f32).collect();
            let at = |shape: &[usize], element: usize| {
                let (mut rest, mut offset, mut stride) = (element, 0, 1);
                for (depth, size) in out.iter().rev().enumerate() {
                    let own = shape.len().checked_sub(depth + 1).map_or(1, |axis| shape[axis]);
                    offset += if own == 1 { 0 } else { rest % size * stride };
                    stride *= own;
                    rest /= size;
                }
                offset
            };
            let want: Vec<f32> = (0..count(out)).map(|i| x[at(a, i)] - y[at(b, i)]).collect();
            let given = [Given::new(DataType::Float32, a, &x), Given::new(DataType::Float32, b, &y)];
            for threads in [1, 3] {
                let found = run("sub", &given, &[], &[(DataType::Float32, out)], threads).unwrap();
                assert_eq!(found[0].elements::<f32>(), want, "{a:?} - {b:?}");
            }
        }
    }

    #[test]
    fn integers_wrap() {
        let given = [Given::new(DataType::Int8, &[2], &[100_i8, -7]), Given::new(DataType::Int8, &[2], &[100_i8, 3])];
        for (kind, want) in [("add", [-56_i8, -4]), ("mul", [16, -21]), ("sub", [0, -10])] {
            let found = run(kind, &given, &[], &[(DataType::Int8, &[2])], 1).unwrap();
            assert_eq!(found[0].elements::<i8>(), want, "{kind}");
        }
    }

    #[test]
    fn integers_divide_toward_zero_and_powers_wrap() {
        type Row = [i8; 6];
        let cases: [(&str, Row, Row, Row); 3] = [
            ("div", [7, -7, 5, -128, 0, -9], [2, 2, 0, -1, 3, -4], [3, -3, 0, -128, 0, 2]),
            ("pow", [3, -2, -1, -1, 2, 1], [4, 3, -3, -2, -1, -9], [81, -8, -1, 1, 0, 1]),
            ("prelu", [3, -2, -100, 0, 1, -1], [4, 3, 2, 5, 7, -9], [3, -6, 56, 0, 1, 9]),
        ];
        for (kind, a, b, want) in cases {
            let given = [Given::new(DataType::Int8, &[6], &a), Given::new(DataType::Int8, &[6], &b)];
            let found = run(kind, &given, &[], &[(DataType::Int8, &[6])], 1).unwrap();
            assert_eq!(found[0].elements::<i8>(), want, "{kind}");
        }
    }

    #[test]
    fn nan_wins_a_comparison() {
        let (a, b) = ([f32::NAN, 1.0, 2.0, -0.5], [1.0, f32::NAN, 3.0, -1.5]);
        for (kind, want) in [("max", [f32::NAN, f32::NAN, 3.0, -0.5]), ("min", [f32::NAN, f32::NAN, 2.0, -1.5])] {
            let given = [Given::new(DataType::Float32, &[4], &a), Given::new(DataType::Float32, &[4], &b)];
            let found = run(kind, &given, &[], &[(DataType::Float32, &[4])], 1).unwrap();
            let same = found[0].elements::<f32>().iter().zip(want).all(|(x, y)| *x == y || x.is_nan() && y.is_nan());
            assert!(same, "{kind} {:?}", found[0].elements::<f32>());
        }
    }

    #[test]
    fn operands_of_two_types_are_refused() {
        let given = [Given::new(DataType::Int8, &[1], &[1_i8]), Given::new(DataType::Uint8, &[1], &[1_u8])];
        assert!(run("add", &given, &[], &[(DataType::Int8, &[1])], 1).is_err());
    }
}

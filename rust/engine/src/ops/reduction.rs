//! Reductions over axes. Floats are reduced in float64 and rounded once; integers are exact and wrap.
//!
//! Adjacent numbers go to sixteen lanes in turn, which are joined in pairs; columns are reduced in the order of their
//! rows. Neither order depends on how the work is shared out.

use super::fold::made;
use super::numbers::{narrow, narrow_once, widen};
use super::{Kind, Op, Request, Types};
use crate::plan::{BuildError, DataType};

const WIDE: Types = Types::of(&[
    DataType::Float32,
    DataType::Float16,
    DataType::Int32,
    DataType::Uint32,
    DataType::Int64,
    DataType::Uint64,
]);

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "reduceL1", types: WIDE, make: l1 },
    Kind { name: "reduceL2", types: Types::FLOATS, make: l2 },
    Kind { name: "reduceLogSum", types: Types::FLOATS, make: log_sum },
    Kind { name: "reduceLogSumExp", types: Types::FLOATS, make: log_sum_exp },
    Kind { name: "reduceMax", types: Types::ALL, make: max },
    Kind { name: "reduceMean", types: Types::FLOATS, make: mean },
    Kind { name: "reduceMin", types: Types::ALL, make: min },
    Kind { name: "reduceProduct", types: WIDE, make: product },
    Kind { name: "reduceSum", types: WIDE, make: sum },
    Kind { name: "reduceSumSquare", types: WIDE, make: sum_square },
];

/// A reduction of floats to one float64, and what becomes of that; the macro arguments are plain functions.
macro_rules! floats {
    ($request:expr, $start:expr, $step:expr, $join:expr, $finish:expr) => {
        match $request.operand(0)?.dtype {
            DataType::Float32 => Some(made(
                $request,
                ($start, false),
                |so_far: f64, x: f32| $step(so_far, f64::from(x)),
                $join,
                |total: f64, count| $finish(total, count) as f32,
            )),
            DataType::Float16 => Some(made(
                $request,
                ($start, false),
                |so_far: f64, x: u16| $step(so_far, f64::from(widen(x))),
                $join,
                |total: f64, count| narrow_once($finish(total, count)),
            )),
            _ => None,
        }
    };
}

/// A reduction of integers in their own type.
macro_rules! integers {
    ($request:expr, $start:expr, $needs_one:expr, $step:expr, $join:expr; $($dtype:ident $type:ident),*) => {
        match $request.operand(0)?.dtype {
            $(DataType::$dtype => made(
                $request,
                ($start($type::MIN, $type::MAX), $needs_one),
                |a: $type, b: $type| $step(a, b),
                |a: $type, b: $type| $join(a, b),
                |total, _| total,
            ),)*
            other => Err($request.unsupported(other)),
        }
    };
}

macro_rules! wide {
    ($name:ident: $start:literal, $float:expr, $float_join:expr, $step:expr, $join:expr) => {
        fn $name(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
            if let Some(made) = floats!(request, f64::from($start), $float, $float_join, |total, _| total) {
                return made;
            }
            integers!(request, |_, _| $start, false, $step, $join; Int32 i32, Uint32 u32, Int64 i64, Uint64 u64)
        }
    };
}

wide!(sum: 0, |a: f64, b: f64| a + b, |a, b| a + b, Wrapping::add, Wrapping::add);
wide!(product: 1, |a: f64, b: f64| a * b, |a, b| a * b, Wrapping::mul, Wrapping::mul);
wide!(l1: 0, |a: f64, b: f64| a + b.abs(), |a, b| a + b, |a, b| Wrapping::add(a, Wrapping::abs(b)), Wrapping::add);
wide!(sum_square: 0, square, |a, b| a + b, |a, b| Wrapping::add(a, Wrapping::mul(b, b)), Wrapping::add);

fn square(sum: f64, x: f64) -> f64 {
    sum + x * x
}

/// Integers as rings.
trait Wrapping: Copy {
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn abs(self) -> Self;
}

macro_rules! wrapping {
    ($($type:ident $x:ident $abs:expr;)*) => {
        $(impl Wrapping for $type {
            fn add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            fn mul(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }

            fn abs(self) -> Self {
                let $x = self;
                $abs
            }
        })*
    };
}

wrapping! {
    i32 x x.wrapping_abs();
    i64 x x.wrapping_abs();
    u32 x x;
    u64 x x;
}

fn l2(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let made = floats!(request, 0.0, square, |a, b| a + b, |total: f64, _| total.sqrt());
    made.unwrap_or_else(|| Err(request.unsupported("integers")))
}

fn log_sum(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let made = floats!(request, 0.0, |a: f64, b: f64| a + b, |a, b| a + b, |total: f64, _| total.ln());
    made.unwrap_or_else(|| Err(request.unsupported("integers")))
}

fn mean(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let made =
        floats!(request, 0.0, |a: f64, b: f64| a + b, |a, b| a + b, |total: f64, count: usize| total / count as f64);
    made.unwrap_or_else(|| Err(request.unsupported("integers")))
}

fn larger(a: f32, b: f32) -> f32 {
    if a.is_nan() || b <= a { a } else { b }
}

fn smaller(a: f32, b: f32) -> f32 {
    if a.is_nan() || b >= a { a } else { b }
}

macro_rules! extreme {
    ($name:ident: $float:ident, $infinity:expr, $start:expr, $integer:expr) => {
        fn $name(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
            match request.operand(0)?.dtype {
                DataType::Float32 => made(request, ($infinity, true), $float, $float, |x: f32, _| x),
                DataType::Float16 => made(
                    request,
                    ($infinity, true),
                    |so_far, x: u16| $float(so_far, widen(x)),
                    $float,
                    |x, _| narrow(x),
                ),
                _ => integers!(
                    request, $start, true, $integer, $integer;
                    Int32 i32, Uint32 u32, Int64 i64, Uint64 u64, Int8 i8, Uint8 u8
                ),
            }
        }
    };
}

extreme!(max: larger, f32::NEG_INFINITY, |low, _| low, Ord::max);
extreme!(min: smaller, f32::INFINITY, |_, high| high, Ord::min);

/// The logarithm of a sum of exponentials, kept as the largest exponent so far and the sum relative to it.
fn log_sum_exp(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    type Sum = (f64, f64);
    fn join((top, sum): Sum, (other_top, other_sum): Sum) -> Sum {
        if sum == 0.0 {
            return (other_top, other_sum);
        }
        if other_sum == 0.0 {
            return (top, sum);
        }
        let most = if other_top > top || other_top.is_nan() { other_top } else { top };
        // An infinite maximum would leave inf - inf; what is at it counts as it is.
        let part = |top: f64, sum: f64| if top == most { sum } else { sum * (top - most).exp() };
        (most, part(top, sum) + part(other_top, other_sum))
    }
    fn finish((top, sum): Sum, _: usize) -> f64 {
        if sum == 0.0 { f64::NEG_INFINITY } else { sum.ln() + top }
    }
    let start = ((f64::NEG_INFINITY, 0.0), true);
    match request.operand(0)?.dtype {
        DataType::Float32 => made(
            request,
            start,
            |so_far, x: f32| join(so_far, (f64::from(x), 1.0)),
            join,
            |total, count| finish(total, count) as f32,
        ),
        DataType::Float16 => made(
            request,
            start,
            |so_far, x: u16| join(so_far, (f64::from(widen(x)), 1.0)),
            join,
            |total, count| narrow_once(finish(total, count)),
        ),
        other => Err(request.unsupported(other)),
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::Attribute;
    use crate::ops::testing::{Given, run};
    use crate::plan::DataType::{Float32, Int32};

    #[test]
    fn every_choice_of_axes_reduces_what_plain_indexing_finds() {
        let shape = [3, 5, 1, 70];
        let x: Vec<i32> = (0..1050).map(|i| i * 7919 % 1009 - 500).collect();
        for chosen in 0..16_u32 {
            let axes: Vec<usize> = (0..4).filter(|axis| chosen >> axis & 1 == 1).collect();
            let out: Vec<usize> = (0..4).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect();
            let mut want = vec![i32::MIN; out.iter().product()];
            for (element, x) in x.iter().enumerate() {
                let (mut rest, mut at, mut stride) = (element, 0, 1);
                for axis in (0..4).rev() {
                    if !axes.contains(&axis) {
                        at += rest % shape[axis] * stride;
                        stride *= shape[axis];
                    }
                    rest /= shape[axis];
                }
                want[at] = want[at].max(*x);
            }
            let given = [Given::new(Int32, &shape, &x)];
            let attributes = [("axes", Attribute::Ints(axes.iter().map(|axis| *axis as i64).collect()))];
            let found = run("reduceMax", &given, &attributes, &[(Int32, &out)], 2).unwrap();
            assert_eq!(found[0].elements::<i32>(), want, "{axes:?}");
        }
    }

    #[test]
    fn nothing_to_reduce_is_the_start_or_refused() {
        let given = [Given::new::<f32>(Float32, &[2, 0], &[])];
        let attributes = [("axes", Attribute::Ints(vec![1]))];
        let found = run("reduceProduct", &given, &attributes, &[(Float32, &[2])], 1).unwrap();
        assert_eq!(found[0].elements::<f32>(), [1.0, 1.0]);
        assert!(run("reduceMax", &given, &attributes, &[(Float32, &[2])], 1).is_err());
    }
}

//! Element by element: arithmetic of two operands. Integers are exact and wrap.

use super::broadcast::Broadcast;
use super::numbers::{Element, narrow, widen};
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "add", types: Types::ALL, make: add },
    Kind { name: "mul", types: Types::ALL, make: mul },
    Kind { name: "sub", types: Types::ALL, make: sub },
];

/// Elements that one thread computes in a few microseconds.
const ELEMENTS_PER_PIECE: usize = 1 << 16;

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

/// One compute function for each type: `$float` of two f32, `$integer` a method of the integer types.
macro_rules! arithmetic {
    ($($name:ident: $float:expr, $integer:ident;)*) => {
        $(fn $name(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
            let compute: Option<Compute> = match request.operand(0)?.dtype {
                DataType::Float32 => Some(|operands, result, cx| zip::<f32>(operands, result, cx, $float)),
                DataType::Float16 => Some(|operands, result, cx| {
                    zip::<u16>(operands, result, cx, |a, b| narrow($float(widen(a), widen(b))))
                }),
                DataType::Int32 => Some(|operands, result, cx| zip(operands, result, cx, i32::$integer)),
                DataType::Uint32 => Some(|operands, result, cx| zip(operands, result, cx, u32::$integer)),
                DataType::Int64 => Some(|operands, result, cx| zip(operands, result, cx, i64::$integer)),
                DataType::Uint64 => Some(|operands, result, cx| zip(operands, result, cx, u64::$integer)),
                DataType::Int8 => Some(|operands, result, cx| zip(operands, result, cx, i8::$integer)),
                DataType::Uint8 => Some(|operands, result, cx| zip(operands, result, cx, u8::$integer)),
                DataType::Int4 | DataType::Uint4 => None,
            };
            binary(request, stringify!($name), compute)
        })*
    };
}

arithmetic! {
    add: |a: f32, b: f32| a + b, wrapping_add;
    mul: |a: f32, b: f32| a * b, wrapping_mul;
    sub: |a: f32, b: f32| a - b, wrapping_sub;
}

/// `f` of each pair of elements; the operand that is computed in place is read from the result.
fn zip<T: Element>(
    [a, b]: [&Tensor<'_>; 2],
    result: &mut TensorMut<'_>,
    cx: &Context<'_>,
    f: impl Fn(T, T) -> T + Copy + Sync,
) -> Result<(), RunError> {
    let walk = Broadcast::new(result.shape, [a.shape, b.shape])?;
    let in_place = cx.in_place;
    let (a, b) = (a.elements::<T>(), b.elements::<T>());
    let (run, steps) = (walk.run(), walk.steps());
    let out = result.elements::<T>();
    if out.is_empty() {
        return Ok(());
    }
    // Whole runs a piece, or parts of a run where there is only one.
    let size = if walk.runs() == 1 { ELEMENTS_PER_PIECE } else { run * (ELEMENTS_PER_PIECE / run).max(1) };
    let pieces: Vec<(usize, &mut [T])> = out.chunks_mut(size).enumerate().collect();
    cx.for_each(pieces, |(number, piece)| {
        let first = number * size;
        for (index, out) in piece.chunks_mut(run).enumerate() {
            let element = first + index * run;
            let [mut start_a, mut start_b] = walk.start(element / run);
            start_a += element % run * steps[0];
            start_b += element % run * steps[1];
            match in_place {
                Some(0) => one(out, &b[start_b..], steps[1], f),
                Some(_) => one(out, &a[start_a..], steps[0], |out, a| f(a, out)),
                None => two(out, [&a[start_a..], &b[start_b..]], steps, f),
            }
        }
    });
    Ok(())
}

#[inline(always)]
fn one<T: Element>(out: &mut [T], other: &[T], step: usize, f: impl Fn(T, T) -> T) {
    if step == 0 {
        let other = other[0];
        out.iter_mut().for_each(|out| *out = f(*out, other));
    } else {
        out.iter_mut().zip(other).for_each(|(out, other)| *out = f(*out, *other));
    }
}

#[inline(always)]
fn two<T: Element>(out: &mut [T], [a, b]: [&[T]; 2], steps: [usize; 2], f: impl Fn(T, T) -> T) {
    match steps {
        [0, 0] => out.fill(f(a[0], b[0])),
        [0, _] => out.iter_mut().zip(b).for_each(|(out, b)| *out = f(a[0], *b)),
        [_, 0] => out.iter_mut().zip(a).for_each(|(out, a)| *out = f(*a, b[0])),
        _ => out.iter_mut().zip(a).zip(b).for_each(|((out, a), b)| *out = f(*a, *b)),
    }
}

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
    fn operands_of_two_types_are_refused() {
        let given = [Given::new(DataType::Int8, &[1], &[1_i8]), Given::new(DataType::Uint8, &[1], &[1_u8])];
        assert!(run("add", &given, &[], &[(DataType::Int8, &[1])], 1).is_err());
    }
}

//! Comparisons, logic and choice: truths are 0 and 1 of uint8, and any value but 0 is true.

use super::broadcast::Broadcast;
use super::map::{convert, rows, zip_to};
use super::numbers::{Element, widen};
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};

const UINT8: Types = Types::of(&[DataType::Uint8]);

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "equal", types: Types::ALL, make: equal },
    Kind { name: "greater", types: Types::ALL, make: greater },
    Kind { name: "greaterOrEqual", types: Types::ALL, make: greater_or_equal },
    Kind { name: "isInfinite", types: Types::FLOATS, make: is_infinite },
    Kind { name: "isNaN", types: Types::FLOATS, make: is_nan },
    Kind { name: "lesser", types: Types::ALL, make: lesser },
    Kind { name: "lesserOrEqual", types: Types::ALL, make: lesser_or_equal },
    Kind { name: "logicalAnd", types: UINT8, make: logical_and },
    Kind { name: "logicalNot", types: UINT8, make: logical_not },
    Kind { name: "logicalOr", types: UINT8, make: logical_or },
    Kind { name: "logicalXor", types: UINT8, make: logical_xor },
    Kind { name: "notEqual", types: Types::ALL, make: not_equal },
    Kind { name: "where", types: UINT8, make: where_ },
];

/// What is asked of each element, or of each pair.
struct Question {
    name: &'static str,
    compute: Compute,
}

type Compute = fn(&[Tensor<'_>], &mut TensorMut<'_>, &Context<'_>) -> Result<(), RunError>;

impl Op for Question {
    fn label(&self) -> String {
        self.name.into()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        (self.compute)(operands, &mut results[0], cx)
    }
}

fn question(
    request: &Request<'_>,
    name: &'static str,
    arity: usize,
    compute: Option<Compute>,
) -> Result<Box<dyn Op>, BuildError> {
    let dtype = request.operand(0)?.dtype;
    for position in 1..arity {
        let other = request.operand(position)?.dtype;
        if other != dtype {
            return Err(BuildError::Value(format!("{name}: operands of {dtype} and {other}; must agree")));
        }
    }
    if request.result()?.dtype != DataType::Uint8 {
        return Err(BuildError::Value(format!("{name}: the result must be uint8")));
    }
    Ok(Box::new(Question { name, compute: compute.ok_or_else(|| request.unsupported(dtype))? }))
}

macro_rules! comparisons {
    ($($make:ident $name:literal $compare:tt;)*) => {
        $(fn $make(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
            macro_rules! of {
                ($type:ty) => {
                    Some(|operands, out, cx| {
                        zip_to::<$type, u8>([&operands[0], &operands[1]], out, cx, |a, b| u8::from(a $compare b))
                    })
                };
            }
            let compute: Option<Compute> = match request.operand(0)?.dtype {
                DataType::Float32 => of!(f32),
                DataType::Float16 => Some(|operands, out, cx| {
                    let compare = |a, b| u8::from(widen(a) $compare widen(b));
                    zip_to::<u16, u8>([&operands[0], &operands[1]], out, cx, compare)
                }),
                DataType::Int32 => of!(i32),
                DataType::Uint32 => of!(u32),
                DataType::Int64 => of!(i64),
                DataType::Uint64 => of!(u64),
                DataType::Int8 => of!(i8),
                DataType::Uint8 => of!(u8),
                DataType::Int4 | DataType::Uint4 => None,
            };
            question(request, $name, 2, compute)
        })*
    };
}

comparisons! {
    equal "equal" ==;
    greater "greater" >;
    greater_or_equal "greaterOrEqual" >=;
    lesser "lesser" <;
    lesser_or_equal "lesserOrEqual" <=;
    not_equal "notEqual" !=;
}

macro_rules! logic {
    ($($make:ident $name:literal: $formula:expr;)*) => {
        $(fn $make(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
            let formula: fn(bool, bool) -> bool = $formula;
            let _ = formula;
            let compute: Compute = |operands, out, cx| {
                let formula = |a: u8, b: u8| u8::from($formula(a != 0, b != 0));
                zip_to::<u8, u8>([&operands[0], &operands[1]], out, cx, formula)
            };
            question(request, $name, 2, Some(compute))
        })*
    };
}

logic! {
    logical_and "logicalAnd": |a: bool, b: bool| a && b;
    logical_or "logicalOr": |a: bool, b: bool| a || b;
    logical_xor "logicalXor": |a: bool, b: bool| a != b;
}

fn logical_not(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let compute: Compute = |operands, out, cx| convert::<u8, u8>(&operands[0], out, cx, |a| u8::from(a == 0));
    question(request, "logicalNot", 1, Some(compute))
}

fn is_nan(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let compute: Compute = match request.operand(0)?.dtype {
        DataType::Float32 => |operands, out, cx| convert::<f32, u8>(&operands[0], out, cx, |a| u8::from(a.is_nan())),
        _ => |operands, out, cx| convert::<u16, u8>(&operands[0], out, cx, |a| u8::from(a & 0x7fff > 0x7c00)),
    };
    question(request, "isNaN", 1, Some(compute))
}

fn is_infinite(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let compute: Compute = match request.operand(0)?.dtype {
        DataType::Float32 => {
            |operands, out, cx| convert::<f32, u8>(&operands[0], out, cx, |a| u8::from(a.is_infinite()))
        }
        _ => |operands, out, cx| convert::<u16, u8>(&operands[0], out, cx, |a| u8::from(a & 0x7fff == 0x7c00)),
    };
    question(request, "isInfinite", 1, Some(compute))
}

/// `trueValue` where the condition is not 0, else `falseValue`; only bytes move.
struct Where {
    compute: Compute,
}

fn where_(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let (dtype, other) = (request.operand(1)?.dtype, request.operand(2)?.dtype);
    if dtype != other || request.result()?.dtype != dtype {
        return Err(BuildError::Value(format!(
            "where: a choice of {dtype} and {other}; must agree, and with the result"
        )));
    }
    let compute: Compute = match dtype {
        DataType::Float32 => choose::<f32>,
        DataType::Float16 => choose::<u16>,
        DataType::Int32 => choose::<i32>,
        DataType::Uint32 => choose::<u32>,
        DataType::Int64 => choose::<i64>,
        DataType::Uint64 => choose::<u64>,
        DataType::Int8 | DataType::Int4 => choose::<i8>,
        DataType::Uint8 | DataType::Uint4 => choose::<u8>,
    };
    Ok(Box::new(Where { compute }))
}

impl Op for Where {
    fn label(&self) -> String {
        "where".into()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        (self.compute)(operands, &mut results[0], cx)
    }
}

fn choose<T: Element>(operands: &[Tensor<'_>], result: &mut TensorMut<'_>, cx: &Context<'_>) -> Result<(), RunError> {
    let [condition, yes, no] = [&operands[0], &operands[1], &operands[2]];
    let walk = Broadcast::new(result.shape, [condition.shape, yes.shape, no.shape])?;
    let (condition, yes, no) = (condition.elements::<u8>(), yes.elements::<T>(), no.elements::<T>());
    rows(&walk, result.elements::<T>(), cx, |out, starts, steps| {
        let (condition, yes, no) = (&condition[starts[0]..], &yes[starts[1]..], &no[starts[2]..]);
        if steps == [1, 1, 1] {
            for (((out, condition), yes), no) in out.iter_mut().zip(condition).zip(yes).zip(no) {
                *out = if *condition != 0 { *yes } else { *no };
            }
        } else {
            for (index, out) in out.iter_mut().enumerate() {
                let taken =
                    if condition[index * steps[0]] != 0 { &yes[index * steps[1]] } else { &no[index * steps[2]] };
                *out = *taken;
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{Given, run};
    use crate::plan::DataType::{Float32, Int64, Uint8};

    #[test]
    fn nan_compares_as_ieee_754_says() {
        let (a, b) = ([1.0_f32, 2.0, f32::NAN, 3.0], [2.0_f32, 2.0, f32::NAN, -1.0]);
        for (kind, want) in [
            ("equal", [0_u8, 1, 0, 0]),
            ("notEqual", [1, 0, 1, 1]),
            ("greater", [0, 0, 0, 1]),
            ("greaterOrEqual", [0, 1, 0, 1]),
            ("lesser", [1, 0, 0, 0]),
            ("lesserOrEqual", [1, 1, 0, 0]),
        ] {
            let given = [Given::new(Float32, &[4], &a), Given::new(Float32, &[4], &b)];
            let found = run(kind, &given, &[], &[(Uint8, &[4])], 1).unwrap();
            assert_eq!(found[0].elements::<u8>(), want, "{kind}");
        }
    }

    #[test]
    fn any_value_but_0_is_true() {
        let (a, b) = ([0_u8, 0, 7, 255], [0_u8, 3, 0, 9]);
        for (kind, want) in [("logicalAnd", [0_u8, 0, 0, 1]), ("logicalOr", [0, 1, 1, 1]), ("logicalXor", [0, 1, 1, 0])]
        {
            let given = [Given::new(Uint8, &[4], &a), Given::new(Uint8, &[4], &b)];
            let found = run(kind, &given, &[], &[(Uint8, &[4])], 1).unwrap();
            assert_eq!(found[0].elements::<u8>(), want, "{kind}");
        }
        let found = run("logicalNot", &[Given::new(Uint8, &[4], &a)], &[], &[(Uint8, &[4])], 1).unwrap();
        assert_eq!(found[0].elements::<u8>(), [1, 1, 0, 0]);
    }

    #[test]
    fn all_three_operands_of_a_choice_are_stretched() {
        let (condition, yes, no) = ([1_u8, 0, 2], [10_i64, 20], [-1_i64]);
        let given =
            [Given::new(Uint8, &[3], &condition), Given::new(Int64, &[2, 1], &yes), Given::new(Int64, &[], &no)];
        let found = run("where", &given, &[], &[(Int64, &[2, 3])], 1).unwrap();
        assert_eq!(found[0].elements::<i64>(), [10, -1, 10, 20, -1, 20]);
    }
}

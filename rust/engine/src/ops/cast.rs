//! From one type to another: to floats the nearest, to integers toward zero within their range (NaN is 0), between
//! integers the low bits.

use super::map::convert;
use super::numbers::{narrow_once, widen};
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};

pub(super) const KINDS: &[Kind] = &[Kind { name: "cast", types: Types::ALL_AND_4_BIT, make: cast }];

type Compute = fn(&Tensor<'_>, &mut TensorMut<'_>, &Context<'_>) -> Result<(), RunError>;

struct Cast {
    compute: Compute,
}

impl Op for Cast {
    fn label(&self) -> String {
        "cast".into()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        (self.compute)(&operands[0], &mut results[0], cx)
    }
}

/// A cast of each of some types, whose elements a function turns into numbers, to each type.
macro_rules! casts {
    ($from:expr, $to:expr; $($dtype:pat => $type:ty, $number:expr;)*) => {
        match $from {
            $($dtype => {
                let compute: Option<Compute> = match $to {
                    DataType::Float32 => Some(|x, out, cx| convert::<$type, f32>(x, out, cx, |x| $number(x) as f32)),
                    DataType::Float16 => {
                        Some(|x, out, cx| convert::<$type, u16>(x, out, cx, |x| narrow_once($number(x) as f64)))
                    }
                    DataType::Int32 => Some(|x, out, cx| convert::<$type, i32>(x, out, cx, |x| $number(x) as i32)),
                    DataType::Uint32 => Some(|x, out, cx| convert::<$type, u32>(x, out, cx, |x| $number(x) as u32)),
                    DataType::Int64 => Some(|x, out, cx| convert::<$type, i64>(x, out, cx, |x| $number(x) as i64)),
                    DataType::Uint64 => Some(|x, out, cx| convert::<$type, u64>(x, out, cx, |x| $number(x) as u64)),
                    DataType::Int8 => Some(|x, out, cx| convert::<$type, i8>(x, out, cx, |x| $number(x) as i8)),
                    DataType::Uint8 => Some(|x, out, cx| convert::<$type, u8>(x, out, cx, |x| $number(x) as u8)),
                    DataType::Int4 | DataType::Uint4 => None,
                };
                compute
            })*
        }
    };
}

/// Rust's `as` is what is wanted: it rounds to the nearest float, saturates floats, and cuts integers.
fn cast(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let (from, to) = (request.operand(0)?.dtype, request.result()?.dtype);
    let compute = casts! { from, to;
        DataType::Float32 => f32, |x: f32| x;
        DataType::Float16 => u16, widen;
        DataType::Int32 => i32, |x: i32| x;
        DataType::Uint32 => u32, |x: u32| x;
        DataType::Int64 => i64, |x: i64| x;
        DataType::Uint64 => u64, |x: u64| x;
        DataType::Int8 | DataType::Int4 => i8, |x: i8| x;
        DataType::Uint8 | DataType::Uint4 => u8, |x: u8| x;
    };
    let compute = compute.ok_or_else(|| request.unsupported(format!("{from} as {to}")))?;
    Ok(Box::new(Cast { compute }))
}

#[cfg(test)]
mod tests {
    use crate::ops::numbers::narrow;
    use crate::ops::testing::{Given, run};
    use crate::plan::DataType::{Float16, Float32, Int8, Int64, Uint8, Uint64};

    #[test]
    fn floats_saturate_and_integers_are_cut() {
        let x = [1.9_f32, -1.9, 300.0, -300.0, f32::NAN, f32::NEG_INFINITY];
        let found = run("cast", &[Given::new(Float32, &[6], &x)], &[], &[(Int8, &[6])], 1).unwrap();
        assert_eq!(found[0].elements::<i8>(), [1, -1, 127, -128, 0, -128]);
        let x = [-1_i64, 256 + 7, i64::MIN];
        let found = run("cast", &[Given::new(Int64, &[3], &x)], &[], &[(Uint8, &[3])], 1).unwrap();
        assert_eq!(found[0].elements::<u8>(), [255, 7, 0]);
        let found = run("cast", &[Given::new(Int64, &[3], &x)], &[], &[(Uint64, &[3])], 1).unwrap();
        assert_eq!(found[0].elements::<u64>(), [u64::MAX, 263, 1 << 63]);
        let found = run("cast", &[Given::new(Int64, &[3], &x)], &[], &[(Float16, &[3])], 1).unwrap();
        assert_eq!(found[0].elements::<u16>(), [0xbc00, narrow(263.0), 0xfc00]);
    }
}

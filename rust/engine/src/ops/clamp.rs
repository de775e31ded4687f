//! Limits of every element.

use super::map::map;
use super::numbers::{narrow, narrow_once, widen};
use super::{Context, Kind, Number, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};

pub(super) const KINDS: &[Kind] = &[Kind { name: "clamp", types: Types::ALL, make: clamp }];

/// Limits, in the operand's own type.
struct Clamp<T> {
    low: Option<T>,
    high: Option<T>,
}

fn clamp(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    fn bounds<T>(request: &Request<'_>, cast: impl Fn(Number) -> T) -> Result<Clamp<T>, BuildError> {
        let bound = |name| -> Result<Option<T>, BuildError> {
            let number = request.attributes.optional_exact_number(name)?;
            // A bound of NaN does not limit.
            Ok(number.filter(|number| !matches!(number, Number::Float(x) if x.is_nan())).map(&cast))
        };
        Ok(Clamp { low: bound("minValue")?, high: bound("maxValue")? })
    }
    let dtype = request.operand(0)?.dtype;
    if request.result()?.dtype != dtype {
        return Err(BuildError::Value("clamp: the result has another type".into()));
    }
    macro_rules! integers {
        ($($dtype:ident $type:ty),*) => {
            match dtype {
                DataType::Float32 => Box::new(bounds(request, |x| x.float() as f32)?),
                DataType::Float16 => Box::new(HalfClamp(bounds(request, |x| widen(narrow_once(x.float())))?)),
                $(DataType::$dtype => Box::new(bounds(request, |x| match x {
                    // Saturates; halves go to the even neighbour.
                    Number::Float(x) => x.round_ties_even() as $type,
                    Number::Int(x) => <$type>::try_from(x).unwrap_or(if x < 0 { <$type>::MIN } else { <$type>::MAX }),
                })?),)*
                DataType::Int4 | DataType::Uint4 => return Err(request.unsupported(dtype)),
            }
        };
    }
    Ok(integers!(Int32 i32, Uint32 u32, Int64 i64, Uint64 u64, Int8 i8, Uint8 u8))
}

impl<T: Copy + PartialOrd> Clamp<T> {
    fn of(&self, x: T) -> T {
        let x = self.low.map_or(x, |low| if x < low { low } else { x });
        self.high.map_or(x, |high| if x > high { high } else { x })
    }
}

macro_rules! clamp_op {
    ($($type:ty),*) => {
        $(impl Op for Clamp<$type> {
            fn label(&self) -> String {
                "clamp".into()
            }

            fn in_place(&self) -> &[usize] {
                &[0]
            }

            fn run(&self, x: &[Tensor<'_>], out: &mut [TensorMut<'_>], cx: &mut Context<'_>) -> Result<(), RunError> {
                map::<$type>(&x[0], &mut out[0], cx, |x| self.of(x))
            }
        })*
    };
}

clamp_op!(f32, i32, u32, i64, u64, i8, u8);

/// Limits of float16.
struct HalfClamp(Clamp<f32>);

impl Op for HalfClamp {
    fn label(&self) -> String {
        "clamp".into()
    }

    fn in_place(&self) -> &[usize] {
        &[0]
    }

    fn run(&self, x: &[Tensor<'_>], out: &mut [TensorMut<'_>], cx: &mut Context<'_>) -> Result<(), RunError> {
        map::<u16>(&x[0], &mut out[0], cx, |x| narrow(self.0.of(widen(x))))
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::Attribute;
    use crate::ops::testing::{Given, run};
    use crate::plan::DataType::{Float32, Int64, Uint64};

    #[test]
    fn bounds_are_cast_to_the_type_of_what_they_limit() {
        let bounds = |low, high| [("minValue", low), ("maxValue", high)];
        let x = [i64::MIN, -3, 4, i64::MAX];
        let attributes = bounds(Attribute::Int(-(1 << 53) - 1), Attribute::Float(2.5));
        let found = run("clamp", &[Given::new(Int64, &[4], &x)], &attributes, &[(Int64, &[4])], 1).unwrap();
        assert_eq!(found[0].elements::<i64>(), [-(1 << 53) - 1, -3, 2, 2]);
        let attributes = bounds(Attribute::Int(-5), Attribute::Float(f64::INFINITY));
        let found = run("clamp", &[Given::new(Uint64, &[2], &[7_u64, 0])], &attributes, &[(Uint64, &[2])], 1).unwrap();
        assert_eq!(found[0].elements::<u64>(), [7, 0]);
        let attributes = bounds(Attribute::Int(9), Attribute::Unsigned((1 << 63) + 1));
        let found =
            run("clamp", &[Given::new(Uint64, &[2], &[7, u64::MAX])], &attributes, &[(Uint64, &[2])], 1).unwrap();
        assert_eq!(found[0].elements::<u64>(), [9, (1 << 63) + 1]);
        let attributes = bounds(Attribute::Float(f64::NAN), Attribute::Int(6));
        let x = [f32::NEG_INFINITY, 7.0, f32::NAN];
        let found = run("clamp", &[Given::new(Float32, &[3], &x)], &attributes, &[(Float32, &[3])], 1).unwrap();
        let found = found[0].elements::<f32>();
        assert!(found[0] == f32::NEG_INFINITY && found[1] == 6.0 && found[2].is_nan(), "{found:?}");
    }
}

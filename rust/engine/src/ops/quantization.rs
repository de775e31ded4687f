//! Between floats and quantised integers: one scale and one zero point for each block of elements.

use super::float::Float;
use super::numbers::Element;
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};

const QUANTIZED: Types =
    Types::of(&[DataType::Int8, DataType::Uint8, DataType::Int32, DataType::Uint32, DataType::Int4, DataType::Uint4]);

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "dequantizeLinear", types: QUANTIZED, make: dequantize },
    Kind { name: "quantizeLinear", types: Types::FLOATS, make: quantize },
];

/// Elements that are worth a thread of their own.
const PIECE: usize = 1 << 14;

/// Operands: x, scale, zero point. `compute` does one call for its types.
struct Linear {
    label: String,
    compute: Compute,
}

type Compute = fn(&[Tensor<'_>], &mut TensorMut<'_>, &Context<'_>) -> Result<(), RunError>;

impl Op for Linear {
    fn label(&self) -> String {
        self.label.clone()
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

/// One function of each quantised type and one of the float types.
macro_rules! by_types {
    ($integer:expr, $float:expr, $name:ident) => {{
        macro_rules! of {
            ($type:ty) => {
                if $float == DataType::Float32 { $name::<$type, f32> } else { $name::<$type, u16> }
            };
        }
        let compute: Option<Compute> = match $integer {
            DataType::Int8 | DataType::Int4 => Some(of!(i8)),
            DataType::Uint8 | DataType::Uint4 => Some(of!(u8)),
            DataType::Int32 => Some(of!(i32)),
            DataType::Uint32 => Some(of!(u32)),
            _ => None,
        };
        compute
    }};
}

fn dequantize(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let [x, scale, zero] = [request.operand(0)?, request.operand(1)?, request.operand(2)?].map(|kind| kind.dtype);
    if zero != x || request.result()?.dtype != scale || !scale.is_float() {
        return Err(BuildError::Value(format!("dequantizeLinear: {x} by {scale} and {zero}")));
    }
    let compute = by_types!(x, scale, to_floats).ok_or_else(|| request.unsupported(x))?;
    Ok(Box::new(Linear { label: request.kind.into(), compute }))
}

fn quantize(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let [x, scale, zero] = [request.operand(0)?, request.operand(1)?, request.operand(2)?].map(|kind| kind.dtype);
    if scale != x || request.result()?.dtype != zero {
        return Err(BuildError::Value(format!("quantizeLinear: {x} by {scale} and {zero}")));
    }
    let compute = by_types!(zero, x, to_integers).ok_or_else(|| request.unsupported(zero))?;
    Ok(Box::new(Linear { label: request.kind.into(), compute }))
}

/// A quantised type of integers.
trait Quantized: Element {
    fn wide(self) -> f64;
    /// The nearest element that a data type holds; 0 for NaN.
    fn limited(x: f64, dtype: DataType) -> Self;
}

macro_rules! quantized {
    ($($type:ident: $low:literal, $high:literal;)*) => {
        $(impl Quantized for $type {
            fn wide(self) -> f64 {
                f64::from(self)
            }

            fn limited(x: f64, dtype: DataType) -> Self {
                // `as` saturates, and turns NaN into 0.
                if matches!(dtype, DataType::Int4 | DataType::Uint4) { x.clamp($low, $high) as Self } else { x as Self }
            }
        })*
    };
}

quantized! {
    i8: -8.0, 7.0;
    u8: 0.0, 15.0;
    i32: -8.0, 7.0;
    u32: 0.0, 15.0;
}

fn to_floats<Q: Quantized, F: Float>(
    operands: &[Tensor<'_>],
    result: &mut TensorMut<'_>,
    cx: &Context<'_>,
) -> Result<(), RunError> {
    let (scale, zero) = (operands[1].elements::<F>(), operands[2].elements::<Q>());
    // 33 bits of difference and 24 of scale are a little more than a float64 holds: that only matters for 32 bits.
    by_blocks(operands, result, cx, |x: Q, block| F::narrow((x.wide() - zero[block].wide()) * scale[block].wide()))
}

fn to_integers<Q: Quantized, F: Float>(
    operands: &[Tensor<'_>],
    result: &mut TensorMut<'_>,
    cx: &Context<'_>,
) -> Result<(), RunError> {
    let (scale, zero) = (operands[1].elements::<F>(), operands[2].elements::<Q>());
    let dtype = result.dtype;
    // The quotient is rounded to float32 first, as the specification has it.
    by_blocks(operands, result, cx, |x: F, block| {
        let quotient = f64::from(x.single() / scale[block].single());
        Q::limited(quotient.round_ties_even() + zero[block].wide(), dtype)
    })
}

/// `f` of each element and of where its scale is.
fn by_blocks<T: Element, U: Element>(
    operands: &[Tensor<'_>],
    result: &mut TensorMut<'_>,
    cx: &Context<'_>,
    f: impl Fn(T, usize) -> U + Sync,
) -> Result<(), RunError> {
    let (x, scale) = (&operands[0], &operands[1]);
    let (shape, blocks) = (x.shape, scale.shape);
    let fits =
        shape.len() == blocks.len() && shape.iter().zip(blocks).all(|(size, blocks)| size.is_multiple_of(*blocks));
    if !fits || operands[2].shape != blocks || result.shape != shape {
        return Err(RunError::Operand(format!("scales of {blocks:?} for {shape:?}")));
    }
    let (x, out) = (x.elements::<T>(), result.elements::<U>());
    if out.is_empty() {
        return Ok(());
    }
    // Inner axes with one scale are one run; so is the whole of a tensor with one scale.
    let (mut run, mut axes) = (1, shape.len());
    while axes > 0 && blocks[axes - 1] == 1 {
        run *= shape[axes - 1];
        axes -= 1;
    }
    let start = |mut index: usize| {
        let (mut at, mut stride) = (0, 1);
        for axis in (0..axes).rev() {
            at += index % shape[axis] / (shape[axis] / blocks[axis]) * stride;
            index /= shape[axis];
            stride *= blocks[axis];
        }
        at
    };
    if axes == 0 {
        let pieces = out.chunks_mut(PIECE).zip(x.chunks(PIECE)).collect();
        cx.for_each(pieces, |(out, x): (&mut [U], &[T])| out.iter_mut().zip(x).for_each(|(out, x)| *out = f(*x, 0)));
        return Ok(());
    }
    // Rows of the last axis that has blocks.
    let (width, block) = (shape[axes - 1], shape[axes - 1] / blocks[axes - 1]);
    let row = width * run;
    let rows = (PIECE / row).max(1);
    let pieces = out.chunks_mut(rows * row).zip(x.chunks(rows * row)).enumerate().collect();
    cx.for_each(pieces, |(number, (out, x)): (usize, (&mut [U], &[T]))| {
        for (index, (out, x)) in out.chunks_exact_mut(row).zip(x.chunks_exact(row)).enumerate() {
            let first = start((number * rows + index) * width);
            let parts = out.chunks_exact_mut(block * run).zip(x.chunks_exact(block * run)).enumerate();
            parts.for_each(|(part, (out, x))| {
                out.iter_mut().zip(x).for_each(|(out, x)| *out = f(*x, first + part));
            });
        }
    });
    Ok(())
}

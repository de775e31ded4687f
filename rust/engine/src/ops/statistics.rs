//! Normalisation by given statistics, or by those of any axes; in float64, rounded once.

use super::float::Float;
use super::numbers::{narrow_once, widen};
use super::scan::around;
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "batchNormalization", types: Types::FLOATS, make: batch },
    Kind { name: "instanceNormalization", types: Types::FLOATS, make: instance },
    Kind { name: "layerNormalization", types: Types::FLOATS, make: layer },
];

/// Numbers that are worth a thread of their own.
const PIECE: usize = 1 << 13;

/// The option `epsilon`, rounded to the operand's type.
fn epsilon(request: &Request<'_>) -> Result<f64, BuildError> {
    let dtype = request.operand(0)?.dtype;
    let all_agree = request.operands.iter().flatten().chain(request.results).all(|value| value.dtype == dtype);
    if !all_agree {
        return Err(BuildError::Value(format!("{}: operands of several types", request.kind)));
    }
    let epsilon = *request.attributes.float("epsilon")?;
    Ok(if dtype == DataType::Float32 { f64::from(epsilon as f32) } else { f64::from(widen(narrow_once(epsilon))) })
}

/// An optional operand in float64; it must have `count` elements.
fn vector<T: Float>(operands: &[Tensor<'_>], position: usize, count: usize) -> Result<Option<Vec<f64>>, RunError> {
    let Some(operand) = operands.get(position).filter(|operand| operand.is_present()) else {
        return Ok(None);
    };
    let values: Vec<f64> = operand.elements::<T>().iter().map(|x| x.wide()).collect();
    if values.len() != count {
        return Err(RunError::Operand(format!("operand {position} has {} elements, not {count}", values.len())));
    }
    Ok(Some(values))
}

/// `(x - mean) / sqrt(variance + epsilon) * scale + bias`, one of each per index of an axis.
struct Batch {
    axis: usize,
    epsilon: f64,
}

fn batch(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let axis = request.attributes.axis("axis", request.operand(0)?.rank())?;
    Ok(Box::new(Batch { axis, epsilon: epsilon(request)? }))
}

impl Op for Batch {
    fn label(&self) -> String {
        "batchNormalization".into()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        match operands[0].dtype {
            DataType::Float32 => self.compute::<f32>(operands, &mut results[0], cx),
            _ => self.compute::<u16>(operands, &mut results[0], cx),
        }
    }
}

impl Batch {
    fn compute<T: Float>(
        &self,
        operands: &[Tensor<'_>],
        result: &mut TensorMut<'_>,
        cx: &Context<'_>,
    ) -> Result<(), RunError> {
        let (x, out) = (operands[0].elements::<T>(), result.elements::<T>());
        let [_, channels, inner] = around(operands[0].shape, self.axis);
        let missing = || RunError::Operand("statistics are absent".into());
        let mean = vector::<T>(operands, 1, channels)?.ok_or_else(missing)?;
        let deviation: Vec<f64> = vector::<T>(operands, 2, channels)?
            .ok_or_else(missing)?
            .iter()
            .map(|variance| (variance + self.epsilon).sqrt())
            .collect();
        let (scale, bias) = (vector::<T>(operands, 3, channels)?, vector::<T>(operands, 4, channels)?);
        // One multiplication in float64 instead of a division and another one: the result is rounded to far fewer bits.
        let factor = deviation.iter().enumerate();
        let factor: Vec<f64> =
            factor.map(|(channel, deviation)| scale.as_ref().map_or(1.0, |scale| scale[channel]) / deviation).collect();
        if x.len() != out.len() {
            return Err(RunError::Operand(format!("{} results of {} elements", out.len(), x.len())));
        }
        if out.is_empty() {
            return Ok(());
        }
        let normalize = |x: T, channel: usize| {
            let share = (x.wide() - mean[channel]) * factor[channel];
            T::narrow(bias.as_ref().map_or(share, |bias| share + bias[channel]))
        };
        // Whole planes of one channel, or whole rows of all channels.
        let unit = if inner == 1 { channels } else { inner };
        let planes = (PIECE / unit).max(1);
        let pieces = out.chunks_mut(planes * unit).zip(x.chunks(planes * unit)).enumerate().collect();
        cx.for_each(pieces, |(number, (out, x)): (usize, (&mut [T], &[T]))| {
            for (index, (out, x)) in out.chunks_exact_mut(unit).zip(x.chunks_exact(unit)).enumerate() {
                let channel = (number * planes + index) % channels;
                for (place, (out, x)) in out.iter_mut().zip(x).enumerate() {
                    *out = normalize(*x, if inner == 1 { place } else { channel });
                }
            }
        });
        Ok(())
    }
}

/// `(x - mean) / sqrt(variance + epsilon) * scale + bias`, mean and variance being those of some axes.
struct Own {
    label: String,
    /// What is normalised together, ascending.
    axes: Vec<usize>,
    /// Axes that scale and bias have, in their order.
    along: Vec<usize>,
    epsilon: f64,
}

fn instance(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let (axes, channel) = match request.attributes.text("layout")? {
        "nchw" => (vec![2, 3], 1),
        "nhwc" => (vec![1, 2], 3),
        other => return Err(request.unsupported(other)),
    };
    if request.operand(0)?.rank() != 4 {
        return Err(BuildError::Value("instanceNormalization: not an image".into()));
    }
    Ok(Box::new(Own { label: request.kind.into(), axes, along: vec![channel], epsilon: epsilon(request)? }))
}

fn layer(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let along = super::fold::axes(request)?;
    let mut axes = along.clone();
    axes.sort_unstable();
    Ok(Box::new(Own { label: request.kind.into(), axes, along, epsilon: epsilon(request)? }))
}

impl Op for Own {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        match operands[0].dtype {
            DataType::Float32 => self.compute::<f32>(operands, &mut results[0], cx),
            _ => self.compute::<u16>(operands, &mut results[0], cx),
        }
    }
}

impl Own {
    fn compute<T: Float>(
        &self,
        operands: &[Tensor<'_>],
        result: &mut TensorMut<'_>,
        cx: &Context<'_>,
    ) -> Result<(), RunError> {
        let shape = operands[0].shape;
        let (x, out) = (operands[0].elements::<T>(), result.elements::<T>());
        if x.len() != out.len() {
            return Err(RunError::Operand(format!("{} results of {} elements", out.len(), x.len())));
        }
        let count: usize = self.along.iter().map(|axis| shape[*axis]).product();
        let (scale, bias) = (vector::<T>(operands, 1, count)?, vector::<T>(operands, 2, count)?);
        if out.is_empty() {
            return Ok(());
        }
        // Where scale and bias of an element are: their axes may be in another order.
        let own: Vec<usize> = (0..shape.len())
            .map(|axis| {
                let place = self.along.iter().position(|own| *own == axis);
                place.map_or(0, |place| self.along[place + 1..].iter().map(|axis| shape[*axis]).product())
            })
            .collect();
        // What lies outside of the axes before the first reduced one is independent, and a piece of work.
        let first = self.axes.first().copied().unwrap_or(shape.len());
        let kept: Vec<usize> = (first..shape.len()).filter(|axis| !self.axes.contains(axis)).collect();
        let (outside, inside) = (places(shape, &kept, &own), places(shape, &self.axes, &own));
        let leading: Vec<usize> = (0..first).collect();
        let starts = places(&shape[..first], &leading, &own[..first]);
        let block: usize = shape[first..].iter().product();
        let blocks = (PIECE / block).max(1);
        let pieces = out.chunks_mut(blocks * block).zip(x.chunks(blocks * block)).enumerate().collect();
        cx.for_each(pieces, |(number, (out, x)): (usize, (&mut [T], &[T]))| {
            for (index, (out, x)) in out.chunks_exact_mut(block).zip(x.chunks_exact(block)).enumerate() {
                let (_, start) = starts[number * blocks + index];
                for (at, place) in &outside {
                    let total: f64 = inside.iter().map(|(step, _)| x[at + step].wide()).sum();
                    let mean = total / inside.len() as f64;
                    let squares: f64 = inside.iter().map(|(step, _)| (x[at + step].wide() - mean).powi(2)).sum();
                    let deviation = (squares / inside.len() as f64 + self.epsilon).sqrt();
                    for (step, own) in &inside {
                        let own = start + place + own;
                        let share = (x[at + step].wide() - mean) / deviation;
                        let share = scale.as_ref().map_or(share, |scale| share * scale[own]);
                        out[at + step] = T::narrow(bias.as_ref().map_or(share, |bias| share + bias[own]));
                    }
                }
            }
        });
        Ok(())
    }
}

/// All positions along some axes: the distance in the operand, and in what `own` are the strides of.
fn places(shape: &[usize], axes: &[usize], own: &[usize]) -> Vec<(usize, usize)> {
    let mut places = vec![(0, 0)];
    for axis in axes {
        let stride: usize = shape[axis + 1..].iter().product();
        places = (places.iter())
            .flat_map(|(at, place)| (0..shape[*axis]).map(move |step| (at + step * stride, place + step * own[*axis])))
            .collect();
    }
    places
}

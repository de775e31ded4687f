//! Two axes at other sizes: the nearest element, or between the two neighbours along each axis, in float64.

use super::float::Float;
use super::lookup::look_up;
use super::numbers::Element;
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};

const TYPES: Types = Types::of(&[DataType::Float32, DataType::Float16, DataType::Int8, DataType::Uint8]);

pub(super) const KINDS: &[Kind] = &[Kind { name: "resample2d", types: TYPES, make: resample }];

struct Resample {
    axes: [usize; 2],
    is_linear: bool,
}

fn resample(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let (x, out) = (request.operand(0)?, request.result()?);
    let axes = request.attributes.axes("axes", x.rank())?;
    let &[first, second] = &axes[..] else {
        return Err(BuildError::Attribute(format!("resample2d: axes {axes:?}; must be two")));
    };
    if out.dtype != x.dtype || out.rank() != x.rank() {
        return Err(BuildError::Value(format!("resample2d: {x:?} as {out:?}")));
    }
    let is_linear = match request.attributes.text("mode")? {
        "linear" => true,
        "nearest-neighbor" => false,
        other => return Err(request.unsupported(other)),
    };
    Ok(Box::new(Resample { axes: [first, second], is_linear }))
}

/// Where each of `goal` elements lies among `size`.
fn places(size: usize, goal: usize) -> impl Iterator<Item = f64> {
    let scale = goal as f64 / size as f64;
    (0..goal).map(move |place| ((place as f64 + 0.5) / scale - 0.5).clamp(0.0, size as f64 - 1.0))
}

impl Op for Resample {
    fn label(&self) -> String {
        "resample2d".into()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (x, out) = (&operands[0], &mut results[0]);
        let is_own = |axis: usize| self.axes.contains(&axis) || x.shape[axis] == out.shape[axis];
        if !(0..x.shape.len()).all(is_own) {
            return Err(RunError::Operand(format!("{:?} as {:?}", x.shape, out.shape)));
        }
        if out.data.is_empty() {
            return Ok(());
        }
        if x.data.is_empty() {
            return Err(RunError::NoElements("resamples an axis of no elements".into()));
        }
        if !self.is_linear {
            let list = |axis: usize| -> Vec<usize> {
                let (size, goal) = (x.shape[axis], out.shape[axis]);
                match self.axes.contains(&axis) {
                    // A place halfway between two elements takes the lower one.
                    true => places(size, goal).map(|place| (place - 0.5).ceil() as usize).collect(),
                    false => (0..goal).collect(),
                }
            };
            let lists: Vec<_> = (0..x.shape.len()).map(list).collect();
            return look_up((x.data, x.shape), &lists, &vec![0; x.dtype.size()], out.data, cx);
        }
        match x.dtype {
            DataType::Float32 => self.between::<f32>(x, out, cx, Float::wide, Float::narrow),
            DataType::Float16 => self.between::<u16>(x, out, cx, Float::wide, Float::narrow),
            DataType::Int8 => self.between::<i8>(x, out, cx, f64::from, |x| x.round_ties_even() as i8),
            _ => self.between::<u8>(x, out, cx, f64::from, |x| x.round_ties_even() as u8),
        }
        Ok(())
    }
}

/// The neighbours of one place along an axis, as distances in the operand, and the share of the higher one.
struct Neighbours {
    low: usize,
    high: usize,
    share: f64,
}

impl Resample {
    fn between<T: Element>(
        &self,
        x: &Tensor<'_>,
        out: &mut TensorMut<'_>,
        cx: &Context<'_>,
        load: impl Fn(T) -> f64 + Sync,
        store: impl Fn(f64) -> T + Sync,
    ) {
        let (from, shape, goals) = (x.elements::<T>(), x.shape, out.shape);
        let rank = shape.len();
        let neighbours = |axis: usize| -> Vec<Neighbours> {
            let stride: usize = shape[axis + 1..].iter().product();
            let last = shape[axis] - 1;
            let found = places(shape[axis], goals[axis]).map(|place| {
                let low = place.floor() as usize;
                Neighbours { low: low * stride, high: (low + 1).min(last) * stride, share: place - low as f64 }
            });
            found.collect()
        };
        let tables = self.axes.map(neighbours);
        let row = goals[rank - 1];
        cx.for_each(out.elements::<T>().chunks_mut(row).enumerate().collect(), |(number, out): (usize, &mut [T])| {
            // The coordinates of the row's first element.
            let (mut rest, mut at) = (number, vec![0; rank]);
            for axis in (0..rank - 1).rev() {
                at[axis] = rest % goals[axis];
                rest /= goals[axis];
            }
            for (place, out) in out.iter_mut().enumerate() {
                at[rank - 1] = place;
                let others = (0..rank).filter(|axis| !self.axes.contains(axis));
                let base: usize = others.map(|axis| at[axis] * shape[axis + 1..].iter().product::<usize>()).sum();
                let [first, second] = [0, 1].map(|index| &tables[index][at[self.axes[index]]]);
                let along = |offset: usize| {
                    let (low, high) = (load(from[base + first.low + offset]), load(from[base + first.high + offset]));
                    low * (1.0 - first.share) + high * first.share
                };
                *out = store(along(second.low) * (1.0 - second.share) + along(second.high) * second.share);
            }
        });
    }
}

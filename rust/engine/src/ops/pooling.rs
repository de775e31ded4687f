//! Windows that become one number each: their mean, Euclidean length or largest element.

use super::float::Float;
use super::numbers::Element;
use super::windows::{Field, Options, Planes, image_axes};
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, DimId, RunError};

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "averagePool2d", types: Types::FLOATS, make: |request| pool(request, Measure::Mean) },
    Kind { name: "l2Pool2d", types: Types::FLOATS, make: |request| pool(request, Measure::Length) },
    Kind { name: "maxPool2d", types: Types::ALL, make: |request| pool(request, Measure::Largest) },
];

/// Lanes that a window of adjacent numbers is summed in.
const LANES: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Measure {
    /// Of what lies inside the image.
    Mean,
    Length,
    Largest,
}

struct Pool {
    label: String,
    options: Options,
    window: Vec<DimId>,
    image: [usize; 4],
    measure: Measure,
}

fn pool(request: &Request<'_>, measure: Measure) -> Result<Box<dyn Op>, BuildError> {
    let window = request.attributes.dims("windowDimensions")?.to_vec();
    let image = image_axes(request, "layout")?;
    if window.len() != 2 || request.result()?.dtype != request.operand(0)?.dtype {
        return Err(BuildError::Value(format!("{}: a window of {} axes, or another type", request.kind, window.len())));
    }
    Ok(Box::new(Pool { label: request.kind.into(), options: Options::new(request)?, window, image, measure }))
}

impl Op for Pool {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (x, out) = (&operands[0], &mut results[0]);
        match (self.measure, x.dtype) {
            (Measure::Largest, DataType::Float32) => self.largest(x, out, cx, f32::NEG_INFINITY, larger),
            (Measure::Largest, DataType::Float16) => self.largest_half(x, out, cx),
            (Measure::Largest, DataType::Int32) => self.largest(x, out, cx, i32::MIN, Ord::max),
            (Measure::Largest, DataType::Uint32) => self.largest(x, out, cx, u32::MIN, Ord::max),
            (Measure::Largest, DataType::Int64) => self.largest(x, out, cx, i64::MIN, Ord::max),
            (Measure::Largest, DataType::Uint64) => self.largest(x, out, cx, u64::MIN, Ord::max),
            (Measure::Largest, DataType::Int8 | DataType::Int4) => self.largest(x, out, cx, i8::MIN, Ord::max),
            (Measure::Largest, DataType::Uint8 | DataType::Uint4) => self.largest(x, out, cx, u8::MIN, Ord::max),
            (_, DataType::Float32) => self.sums::<f32>(x, out, cx),
            _ => self.sums::<u16>(x, out, cx),
        }
    }
}

fn larger(a: f32, b: f32) -> f32 {
    if b > a || b.is_nan() { b } else { a }
}

/// Elements of a window, most of which are then padding: a gigabyte of places.
const MOST_TAPS: usize = 1 << 27;

/// One call: where elements are, and the windows.
struct Call {
    x: Planes,
    out: Planes,
    field: Field,
    window: [usize; 2],
    taps: Vec<usize>,
}

impl Pool {
    fn call(&self, x: &Tensor<'_>, out: &TensorMut<'_>, cx: &Context<'_>) -> Result<Call, RunError> {
        let (x, out) = (Planes::new(x.shape, self.image)?, Planes::new(out.shape, self.image)?);
        let window = cx.sizes(&self.window)?;
        let window = [window[0], window[1]];
        let ([images, channels, height, width], [out_images, out_channels, rows, columns]) = (x.sizes, out.sizes);
        if images != out_images || channels != out_channels {
            return Err(RunError::Operand(format!("{:?} as {:?}", x.sizes, out.sizes)));
        }
        let field = Field::new(self.options.geometry(cx)?, [height, width], window, [rows, columns]);
        let field = field.direct().filter(|_| x.is_plain()).unwrap_or(field);
        let count = window[0].saturating_mul(window[1]);
        if count > MOST_TAPS {
            return Err(RunError::NoMemory { needed: count.saturating_mul(size_of::<usize>()) });
        }
        Ok(Call { x, out, field, window, taps: field.taps(window) })
    }

    fn largest<T: Element + Default>(
        &self,
        x: &Tensor<'_>,
        out: &mut TensorMut<'_>,
        cx: &Context<'_>,
        lowest: T,
        larger: impl Fn(T, T) -> T + Copy + Sync,
    ) -> Result<(), RunError> {
        let call = self.call(x, out, cx)?;
        call.each_plane(
            x.elements::<T>(),
            lowest,
            |x| x,
            out.elements::<T>(),
            |out| out,
            cx,
            |plane, out| {
                largest(&call, plane, lowest, larger, out);
            },
        );
        Ok(())
    }

    fn largest_half(&self, x: &Tensor<'_>, out: &mut TensorMut<'_>, cx: &Context<'_>) -> Result<(), RunError> {
        let (call, lowest) = (self.call(x, out, cx)?, f32::NEG_INFINITY);
        let (x, out) = (x.elements::<u16>(), out.elements::<u16>());
        call.each_plane(x, lowest, Float::single, out, Float::from_single, cx, |plane, out| {
            largest(&call, plane, lowest, larger, out);
        });
        Ok(())
    }

    fn sums<T: Float>(&self, x: &Tensor<'_>, out: &mut TensorMut<'_>, cx: &Context<'_>) -> Result<(), RunError> {
        let call = self.call(x, out, cx)?;
        let is_mean = self.measure == Measure::Mean;
        let [.., columns] = call.out.sizes;
        let count = |axis, place| call.field.inside(axis, place, call.window[axis]).len();
        let counts: Vec<usize> = (0..columns).map(|column| count(1, column)).collect();
        let (x, out) = (x.elements::<T>(), out.elements::<T>());
        call.each_plane(x, 0.0, Float::single, out, T::narrow, cx, |plane: &[f32], out: &mut [f64]| {
            if is_mean {
                sum(&call, plane, f64::from, out);
            } else {
                sum(&call, plane, |x| f64::from(x) * f64::from(x), out);
            }
            for (y, out) in out.chunks_exact_mut(columns).enumerate() {
                let rows = count(0, y);
                for (out, count) in out.iter_mut().zip(&counts) {
                    *out = if is_mean { *out / (rows * count) as f64 } else { out.sqrt() };
                }
            }
        });
        Ok(())
    }
}

impl Call {
    /// Brings each plane into its field, lets `work` make a plain plane of results, and stores that.
    #[allow(clippy::too_many_arguments)] // a pair of conversions around one function
    fn each_plane<T: Element, U: Copy + Send + Sync, V: Copy + Default>(
        &self,
        x: &[T],
        border: U,
        load: impl Fn(T) -> U + Sync,
        out: &mut [T],
        store: impl Fn(V) -> T + Sync,
        cx: &Context<'_>,
        work: impl Fn(&[U], &mut [V]) + Sync,
    ) {
        let [_, channels, rows, columns] = self.out.sizes;
        if out.is_empty() {
            return;
        }
        let one = |plane: usize, made: &mut [V]| {
            let mut field = vec![border; self.field.area()];
            let from = self.x.plane(x, plane / channels, plane % channels);
            self.field.write((from, self.x.step()), border, &load, &mut field);
            work(&field, made);
        };
        if self.out.is_plain() {
            cx.for_each(out.chunks_mut(rows * columns).enumerate().collect(), |(plane, out): (usize, &mut [T])| {
                let mut made = vec![V::default(); out.len()];
                one(plane, &mut made);
                out.iter_mut().zip(made).for_each(|(out, made)| *out = store(made));
            });
            return;
        }
        cx.for_each(
            out.chunks_mut(rows * columns * channels).enumerate().collect(),
            |(image, out): (usize, &mut [T])| {
                let mut made = vec![V::default(); rows * columns];
                for channel in 0..channels {
                    one(image * channels + channel, &mut made);
                    out[channel..].iter_mut().step_by(channels).zip(&made).for_each(|(out, made)| *out = store(*made));
                }
            },
        );
    }
}

fn largest<T: Copy>(call: &Call, plane: &[T], lowest: T, larger: impl Fn(T, T) -> T + Copy + Sync, out: &mut [T]) {
    let [.., columns] = call.out.sizes;
    for (y, out) in out.chunks_exact_mut(columns).enumerate() {
        let line = call.field.line(y);
        out.fill(lowest);
        for tap in &call.taps {
            out.iter_mut().zip(&plane[line + tap..]).for_each(|(out, x)| *out = larger(*out, *x));
        }
    }
}

fn sum(call: &Call, plane: &[f32], measure: impl Fn(f32) -> f64, out: &mut [f64]) {
    let [.., columns] = call.out.sizes;
    for (y, out) in out.chunks_exact_mut(columns).enumerate() {
        let line = call.field.line(y);
        if let [out] = out {
            *out = window_sum(call, &plane[line..], &measure);
            continue;
        }
        out.fill(0.0);
        for tap in &call.taps {
            out.iter_mut().zip(&plane[line + tap..]).for_each(|(out, x)| *out += measure(*x));
        }
    }
}

/// The sum of one window, in lanes: a window over a whole image has no neighbour to share vectors with.
fn window_sum(call: &Call, x: &[f32], measure: impl Fn(f32) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    for (place, tap) in call.taps.iter().enumerate() {
        lanes[place % LANES] += measure(x[*tap]);
    }
    lanes.iter().sum()
}

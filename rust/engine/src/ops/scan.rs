//! Along one axis: where the extreme is, and running sums.

use super::fold::spread;
use super::numbers::{Element, narrow_once, widen};
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "argMax", types: Types::ALL, make: arg_max },
    Kind { name: "argMin", types: Types::ALL, make: arg_min },
    Kind {
        name: "cumulativeSum",
        types: Types::of(&[
            DataType::Float32,
            DataType::Float16,
            DataType::Int32,
            DataType::Uint32,
            DataType::Int64,
            DataType::Uint64,
        ]),
        make: cumulative_sum,
    },
];

/// A shape around one axis: `[outer, size, inner]`.
pub(super) fn around(shape: &[usize], axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

/// Where the first element is that no other one precedes.
struct Extreme<T, P> {
    label: String,
    axis: usize,
    is_wide: bool,
    /// Whether an element is preferred to an earlier one.
    precedes: P,
    element: std::marker::PhantomData<fn(T)>,
}

fn extreme<T: Element + 'static>(
    request: &Request<'_>,
    precedes: impl Fn(T, T) -> bool + Send + Sync + 'static,
) -> Result<Box<dyn Op>, BuildError> {
    let axis = request.attributes.axis("axis", request.operand(0)?.rank())?;
    let is_wide = match request.result()?.dtype {
        DataType::Int32 => false,
        DataType::Int64 => true,
        other => return Err(request.unsupported(format!("indices of {other}"))),
    };
    Ok(Box::new(Extreme { label: request.kind.into(), axis, is_wide, precedes, element: std::marker::PhantomData }))
}

macro_rules! extremes {
    ($($name:ident: $float:expr, $sign:tt;)*) => {
        $(fn $name(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
            match request.operand(0)?.dtype {
                DataType::Float32 => extreme::<f32>(request, $float),
                DataType::Float16 => extreme::<u16>(request, |x, best| $float(widen(x), widen(best))),
                DataType::Int32 => extreme::<i32>(request, |x, best| x $sign best),
                DataType::Uint32 => extreme::<u32>(request, |x, best| x $sign best),
                DataType::Int64 => extreme::<i64>(request, |x, best| x $sign best),
                DataType::Uint64 => extreme::<u64>(request, |x, best| x $sign best),
                DataType::Int8 => extreme::<i8>(request, |x, best| x $sign best),
                DataType::Uint8 => extreme::<u8>(request, |x, best| x $sign best),
                other => Err(request.unsupported(other)),
            }
        })*
    };
}

// A NaN precedes all others, and the first one stays.
extremes! {
    arg_max: |x: f32, best: f32| x > best || x.is_nan() && !best.is_nan(), >;
    arg_min: |x: f32, best: f32| x < best || x.is_nan() && !best.is_nan(), <;
}

impl<T: Element, P: Fn(T, T) -> bool + Send + Sync> Op for Extreme<T, P> {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (x, out) = (operands[0].elements::<T>(), &mut results[0]);
        let [outer, size, inner] = around(operands[0].shape, self.axis);
        if out.count() != outer * inner || size == 0 && out.count() > 0 {
            return Err(RunError::Operand(format!("axis {} of {:?} as {:?}", self.axis, operands[0].shape, out.shape)));
        }
        let find = |element: usize| {
            let first = element / inner * size * inner + element % inner;
            let mut best = (x[first], 0);
            for place in 1..size {
                let candidate = x[first + place * inner];
                if (self.precedes)(candidate, best.0) {
                    best = (candidate, place);
                }
            }
            best.1
        };
        if self.is_wide {
            spread(out.elements::<i64>(), size, cx, |first, out| {
                out.iter_mut().enumerate().for_each(|(index, out)| *out = find(first + index) as i64);
            });
        } else {
            spread(out.elements::<i32>(), size, cx, |first, out| {
                out.iter_mut().enumerate().for_each(|(index, out)| *out = find(first + index) as i32);
            });
        }
        Ok(())
    }
}

/// The sum of the elements up to each one.
struct Running<T, A, S, F> {
    axis: usize,
    exclusive: bool,
    reversed: bool,
    start: A,
    step: S,
    finish: F,
    element: std::marker::PhantomData<fn(T)>,
}

fn running<T: Element + 'static, A: Copy + Send + Sync + 'static>(
    request: &Request<'_>,
    start: A,
    step: impl Fn(A, T) -> A + Send + Sync + 'static,
    finish: impl Fn(A) -> T + Send + Sync + 'static,
) -> Result<Box<dyn Op>, BuildError> {
    let axis = request.attributes.axis("axis", request.operand(0)?.rank())?;
    if request.result()?.dtype != request.operand(0)?.dtype {
        return Err(BuildError::Value("cumulativeSum: the result has another type".into()));
    }
    let [exclusive, reversed] = ["exclusive", "reversed"].map(|name| request.attributes.bool(name).copied());
    let element = std::marker::PhantomData;
    Ok(Box::new(Running { axis, exclusive: exclusive?, reversed: reversed?, start, step, finish, element }))
}

fn cumulative_sum(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    match request.operand(0)?.dtype {
        DataType::Float32 => running(request, 0.0, |sum, x: f32| sum + f64::from(x), |sum| sum as f32),
        DataType::Float16 => running(request, 0.0, |sum, x: u16| sum + f64::from(widen(x)), narrow_once),
        DataType::Int32 => running(request, 0, i32::wrapping_add, |sum| sum),
        DataType::Uint32 => running(request, 0, u32::wrapping_add, |sum| sum),
        DataType::Int64 => running(request, 0, i64::wrapping_add, |sum| sum),
        DataType::Uint64 => running(request, 0, u64::wrapping_add, |sum| sum),
        other => Err(request.unsupported(other)),
    }
}

impl<T, A, S, F> Op for Running<T, A, S, F>
where
    T: Element,
    A: Copy + Send + Sync,
    S: Fn(A, T) -> A + Send + Sync,
    F: Fn(A) -> T + Send + Sync,
{
    fn label(&self) -> String {
        "cumulativeSum".into()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (x, out) = (operands[0].elements::<T>(), results[0].elements::<T>());
        let [_, size, inner] = around(operands[0].shape, self.axis);
        if x.len() != out.len() {
            return Err(RunError::Operand(format!("{} results of {} elements", out.len(), x.len())));
        }
        if out.is_empty() {
            return Ok(());
        }
        let block = size * inner;
        let pieces = out.chunks_exact_mut(block).zip(x.chunks_exact(block)).collect();
        cx.for_each(pieces, |(out, x): (&mut [T], &[T])| {
            let mut sums = vec![self.start; inner];
            for step in 0..size {
                let first = if self.reversed { size - 1 - step } else { step } * inner;
                for ((out, x), sum) in out[first..][..inner].iter_mut().zip(&x[first..]).zip(&mut sums) {
                    let next = (self.step)(*sum, *x);
                    *out = (self.finish)(if self.exclusive { *sum } else { next });
                    *sum = next;
                }
            }
        });
        Ok(())
    }
}

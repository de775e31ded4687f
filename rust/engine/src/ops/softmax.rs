//! Softmax along any axis.

use super::numbers::{narrow, widen};
use super::scan::around;
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::Rows;
use crate::plan::{BuildError, DataType, RunError};
use kernels::RowsMut;

pub(super) const KINDS: &[Kind] = &[Kind { name: "softmax", types: Types::FLOATS, make: softmax }];

/// Numbers that are worth a thread of their own.
const PIECE: usize = 1 << 12;

struct Softmax {
    axis: usize,
}

fn softmax(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let x = request.operand(0)?;
    if request.result()?.dtype != x.dtype {
        return Err(BuildError::Value("softmax: the result has another type".into()));
    }
    Ok(Box::new(Softmax { axis: request.attributes.axis("axis", x.rank())? }))
}

impl Op for Softmax {
    fn label(&self) -> String {
        "softmax".into()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (x, out) = (&operands[0], &mut results[0]);
        if x.shape != out.shape {
            return Err(RunError::Operand(format!("{:?} as {:?}", x.shape, out.shape)));
        }
        if out.data.is_empty() {
            return Ok(());
        }
        let [_, size, inner] = around(x.shape, self.axis);
        if x.dtype == DataType::Float16 {
            let (x, out) = (x.elements::<u16>(), out.elements::<u16>());
            columns([size, inner], cx, x, out, widen, narrow);
        } else if inner == 1 {
            let rows = (PIECE / size).max(1) * size;
            let (x, out) = (x.elements::<f32>(), out.elements::<f32>());
            cx.for_each(x.chunks(rows).zip(out.chunks_mut(rows)).collect(), |(x, out): (&[f32], &mut [f32])| {
                softmax_rows(cx, x, size, out);
            });
        } else {
            columns([size, inner], cx, x.elements::<f32>(), out.elements::<f32>(), |x| x, |x| x);
        }
        Ok(())
    }
}

fn softmax_rows(cx: &Context<'_>, x: &[f32], size: usize, out: &mut [f32]) {
    let count = out.len() / size;
    if let Some(out) = RowsMut::new(out, count, size, size) {
        cx.engine.kernels().softmax(Rows::contiguous(x, size), out);
    }
}

/// Brings each column of `[outer, size, inner]` together, and back.
fn columns<T: Copy + Send + Sync>(
    [size, inner]: [usize; 2],
    cx: &Context<'_>,
    x: &[T],
    out: &mut [T],
    load: impl Fn(T) -> f32 + Sync,
    store: impl Fn(f32) -> T + Sync,
) {
    let block = size * inner;
    cx.for_each(x.chunks_exact(block).zip(out.chunks_exact_mut(block)).collect(), |(x, out): (&[T], &mut [T])| {
        let mut from = vec![0.0; block];
        let mut to = vec![0.0; block];
        for (place, row) in x.chunks_exact(inner).enumerate() {
            for (col, x) in row.iter().enumerate() {
                from[col * size + place] = load(*x);
            }
        }
        softmax_rows(cx, &from, size, &mut to);
        for (place, row) in out.chunks_exact_mut(inner).enumerate() {
            for (col, out) in row.iter_mut().enumerate() {
                *out = store(to[col * size + place]);
            }
        }
    });
}

//! `alpha * a @ b + beta * c`, and products of float16: in float32, rounded at the end.

use super::broadcast::Broadcast;
use super::float::Float;
use super::map::rows;
use super::numbers::{narrow_once, widen};
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::Batch;
use crate::plan::{BuildError, DataType, RunError};

pub(super) const KINDS: &[Kind] = &[Kind { name: "gemm", types: Types::FLOATS, make: gemm }];

struct Gemm {
    alpha: f32,
    beta: f32,
    a_is_transposed: bool,
    b_is_transposed: bool,
}

fn gemm(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let (a, b) = (request.operand(0)?, request.operand(1)?);
    let all = [Some(b), request.optional(2), Some(request.result()?)];
    if a.rank() != 2 || b.rank() != 2 || all.into_iter().flatten().any(|kind| kind.dtype != a.dtype) {
        return Err(BuildError::Value(format!("gemm: {a:?} and {b:?}")));
    }
    // As numbers of the operands' type.
    let factor = |name: &str| -> Result<f32, BuildError> {
        let value = request.attributes.optional_number(name)?.unwrap_or(1.0);
        Ok(if a.dtype == DataType::Float32 { value as f32 } else { widen(narrow_once(value)) })
    };
    let flag = |name: &str| request.attributes.optional_bool(name).map(|value| value.copied().unwrap_or_default());
    Ok(Box::new(Gemm {
        alpha: factor("alpha")?,
        beta: factor("beta")?,
        a_is_transposed: flag("aTranspose")?,
        b_is_transposed: flag("bTranspose")?,
    }))
}

impl Op for Gemm {
    fn label(&self) -> String {
        "gemm".into()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (a, b, out) = (&operands[0], &operands[1], &mut results[0]);
        let (&[a_rows, a_cols], &[b_rows, b_cols], &[out_rows, out_cols]) = (a.shape, b.shape, out.shape) else {
            return Err(RunError::Operand(format!("{:?} and {:?} are no matrices", a.shape, b.shape)));
        };
        let (m, k) = if self.a_is_transposed { (a_cols, a_rows) } else { (a_rows, a_cols) };
        let (b_k, n) = if self.b_is_transposed { (b_cols, b_rows) } else { (b_rows, b_cols) };
        if k != b_k || [m, n] != [out_rows, out_cols] {
            return Err(RunError::Operand(format!("{:?} and {:?} as {:?}", a.shape, b.shape, out.shape)));
        }
        let c = operands.get(2).filter(|c| c.is_present());
        let walk = Broadcast::new(out.shape, [c.map_or(&[], |c| c.shape)])?;
        if a.dtype == DataType::Float32 {
            let (a, b) = (a.elements(), b.elements());
            self.compute([a, b], c.map(|c| (&walk, c.elements())), [m, k, n], out.elements(), cx);
        } else {
            let (a, b) = (widened(a), widened(b));
            let c = c.map(widened);
            let mut sums = vec![0.0; m * n];
            self.compute([&a, &b], c.as_ref().map(|c| (&walk, &c[..])), [m, k, n], &mut sums, cx);
            round(&sums, out);
        }
        Ok(())
    }
}

impl Gemm {
    fn compute(
        &self,
        [a, b]: [&[f32]; 2],
        c: Option<(&Broadcast<1>, &[f32])>,
        [m, k, n]: [usize; 3],
        out: &mut [f32],
        cx: &Context<'_>,
    ) {
        let turned: Vec<f32>;
        let a = if self.a_is_transposed {
            turned = (0..m).flat_map(|row| a.iter().skip(row).step_by(m.max(1)).copied()).collect();
            &turned
        } else {
            a
        };
        let b_strides = if self.b_is_transposed { [1, k] } else { [n, 1] };
        cx.engine.matmul(Batch { a, b, shape: [m, k, n], b_strides, starts: &[[0, 0]] }, out);
        if self.alpha != 1.0 {
            out.iter_mut().for_each(|out| *out *= self.alpha);
        }
        if let Some((walk, c)) = c {
            rows(walk, out, cx, |out, [start], [step]| {
                if step == 0 {
                    out.iter_mut().for_each(|out| *out += self.beta * c[start]);
                } else {
                    out.iter_mut().zip(&c[start..]).for_each(|(out, c)| *out += self.beta * c);
                }
            });
        }
    }
}

/// The numbers of a float16 operand.
pub(super) fn widened(x: &Tensor<'_>) -> Vec<f32> {
    x.elements::<u16>().iter().map(|x| x.single()).collect()
}

/// Sums as a float16 result.
pub(super) fn round(sums: &[f32], out: &mut TensorMut<'_>) {
    out.elements::<u16>().iter_mut().zip(sums).for_each(|(out, sum)| *out = u16::from_single(*sum));
}

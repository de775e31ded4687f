//! Products of two computed matrices.

use super::gemm::{round, widened};
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};
use crate::{Batch, broadcast, starts};

pub(super) const KINDS: &[Kind] = &[Kind { name: "matmul", types: Types::FLOATS, make: matmul }];

/// `a @ b`, the leading dimensions stretched to one another.
struct Matmul;

fn matmul(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let (a, b, out) = (request.operand(0)?, request.operand(1)?, request.result()?);
    if a.rank() < 2 || b.rank() < 2 || [b.dtype, out.dtype] != [a.dtype; 2] {
        return Err(BuildError::Value(format!("matmul: {a:?} and {b:?}")));
    }
    Ok(Box::new(Matmul))
}

impl Op for Matmul {
    fn label(&self) -> String {
        "matmul".into()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (a, b, out) = (&operands[0], &operands[1], &mut results[0]);
        let mismatch = || RunError::Operand(format!("shape {:?} cannot follow {:?}", b.shape, a.shape));
        let ([a_outer @ .., m, k], [b_outer @ .., b_k, n]) = (a.shape, b.shape) else {
            return Err(mismatch());
        };
        let outer = broadcast(a_outer, b_outer).filter(|_| k == b_k).ok_or_else(mismatch)?;
        if out.count() != outer.iter().product::<usize>() * m * n {
            return Err(RunError::Operand(format!("a result of shape {:?}", out.shape)));
        }
        let starts = starts(&outer, [(a_outer, &strides(a.shape)), (b_outer, &strides(b.shape))]);
        let batch = |a, b| Batch { a, b, shape: [*m, *k, *n], b_strides: [*n, 1], starts: &starts };
        if a.dtype == DataType::Float32 {
            cx.engine.matmul(batch(a.elements(), b.elements()), out.elements());
        } else {
            let (a, b, mut sums) = (widened(a), widened(b), vec![0.0; out.count()]);
            cx.engine.matmul(batch(&a, &b), &mut sums);
            round(&sums, out);
        }
        Ok(())
    }
}

/// How far apart the elements along each axis are in C order.
fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect()
}

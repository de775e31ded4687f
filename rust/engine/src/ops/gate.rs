//! Gates: a function of some columns of a row times others of the same row, as gated layers with one matrix have it.

use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::Activation;
use crate::plan::{BuildError, DataType, RunError};
use crate::rows::FLOPS_PER_ELEMENT;

pub(super) const KINDS: &[Kind] = &[Kind { name: "gate", types: Types::of(&[DataType::Float32]), make: gate }];

/// `activation(x[..., first..first + width]) * x[..., factor..factor + width]`, written as `[..., width]`.
struct Gate {
    activation: Activation,
    first: usize,
    factor: usize,
    label: String,
}

fn gate(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let (x, out) = (request.operand(0)?, request.result()?);
    if out.dtype != x.dtype || x.rank() == 0 || out.rank() != x.rank() {
        return Err(BuildError::Value(format!("gate: {x:?} as {out:?}")));
    }
    let column = |name: &str| {
        let first = *request.attributes.int(name)?;
        usize::try_from(first).map_err(|_| BuildError::Attribute(format!("attribute '{name}' is {first}")))
    };
    let name = request.attributes.text("activation")?;
    let activation = Activation::from_name(name).ok_or_else(|| request.unsupported(name))?;
    Ok(Box::new(Gate {
        activation,
        first: column("first")?,
        factor: column("factor")?,
        label: format!("{name}+factor"),
    }))
}

impl Op for Gate {
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
        let (Some((&cols, rows)), Some((&width, own))) = (x.shape.split_last(), out.shape.split_last()) else {
            return Err(RunError::Operand("numbers that are no rows".into()));
        };
        let fits = |first: usize| first.checked_add(width).is_some_and(|end| end <= cols);
        if rows != own || !fits(self.first) || !fits(self.factor) {
            return Err(RunError::Operand(format!("{:?} as {:?}", x.shape, out.shape)));
        }
        let (x, out) = (x.elements::<f32>(), out.elements::<f32>());
        if out.is_empty() {
            return Ok(());
        }
        let count = out.len() / width;
        let height = count.div_ceil(cx.pieces(out.len() * FLOPS_PER_ELEMENT));
        let pieces = x.chunks(height * cols).zip(out.chunks_mut(height * width)).collect();
        cx.for_each(pieces, |(x, out): (&[f32], &mut [f32])| {
            for (x, out) in x.chunks_exact(cols).zip(out.chunks_exact_mut(width)) {
                out.copy_from_slice(&x[self.first..][..width]);
                cx.engine.kernels.activate(self.activation, out);
                out.iter_mut().zip(&x[self.factor..]).for_each(|(out, factor)| *out *= factor);
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::Attribute;
    use crate::ops::testing::{Given, run};
    use crate::plan::DataType::Float32;

    fn gate(x: &Given, [first, factor]: [i64; 2], out: &[usize]) -> Option<Vec<f32>> {
        let attributes = [
            ("activation", Attribute::Text("relu".into())),
            ("first", Attribute::Int(first)),
            ("factor", Attribute::Int(factor)),
        ];
        let given = std::slice::from_ref(x);
        Some(run("gate", given, &attributes, &[(Float32, out)], 2).ok()?[0].elements::<f32>().to_vec())
    }

    #[test]
    fn columns_are_multiplied_with_others() {
        for (rows, cols, width) in [(1, 2, 1), (3, 40, 17), (700, 64, 32), (0, 8, 4), (5, 9, 0)] {
            let x: Vec<f32> = (0..rows * cols).map(|i| (i as f32 * 0.7).sin()).collect();
            let given = Given::new(Float32, &[1, rows, cols], &x);
            for [first, factor] in [[0, cols - width], [cols - width, 0]] {
                let want: Vec<f32> = (0..rows * width)
                    .map(|at| (at / width * cols, at % width))
                    .map(|(row, col)| x[row + first + col].max(0.0) * x[row + factor + col])
                    .collect();
                let found = gate(&given, [first as i64, factor as i64], &[1, rows, width]).unwrap();
                assert_eq!(found, want, "{rows} {cols} {width}");
            }
        }
    }

    #[test]
    fn columns_that_are_not_there_are_refused() {
        let x = Given::new(Float32, &[2, 6], &[0.0; 12]);
        assert!(gate(&x, [0, 3], &[2, 3]).is_some());
        for (columns, out) in [([0, 4], &[2, 3][..]), ([4, 0], &[2, 3]), ([-1, 0], &[2, 3]), ([0, i64::MAX], &[2, 3])] {
            assert!(gate(&x, columns, out).is_none(), "{columns:?}");
        }
        assert!(gate(&x, [0, 3], &[3, 3]).is_none());
        assert!(gate(&x, [0, 3], &[2, 1, 3]).is_none());
    }
}

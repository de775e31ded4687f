//! Normalisation of rows.

use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};
use crate::{LayerNorm, RmsNorm, Rows};

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "layerNorm", types: FLOAT32, make: layer_norm },
    Kind { name: "rmsNorm", types: FLOAT32, make: rms_norm },
    Kind { name: "unitNorm", types: FLOAT32, make: unit_norm },
];

const FLOAT32: Types = Types::of(&[DataType::Float32]);

/// `(x - mean) / sqrt(variance + epsilon) * scale + bias` over the last axes.
///
/// Operands: x, scale, bias; attributes: `axes`, how many of the last axes are one row, and `epsilon`.
struct LastAxes {
    axes: usize,
    epsilon: f32,
}

fn layer_norm(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let x = request.operand(0)?;
    let axes = usize::try_from(*request.attributes.int("axes")?).ok().filter(|axes| (1..=x.rank()).contains(axes));
    let axes = axes.ok_or_else(|| BuildError::Attribute(format!("layerNorm: axes of {x:?}")))?;
    let all = [request.optional(1), request.optional(2)];
    if all.into_iter().flatten().chain(request.results).any(|kind| kind.dtype != x.dtype) {
        return Err(BuildError::Value("layerNorm: operands of several types".into()));
    }
    Ok(Box::new(LastAxes { axes, epsilon: *request.attributes.float("epsilon")? as f32 }))
}

impl Op for LastAxes {
    fn label(&self) -> String {
        "layerNormalization".into()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let x = &operands[0];
        let (outer, row) = x.shape.split_at(x.shape.len() - self.axes);
        let (count, cols) = (outer.iter().product(), row.iter().product());
        let vector = |position: usize| {
            let operand = operands.get(position).filter(|operand| operand.is_present());
            match operand.map(Tensor::elements::<f32>) {
                Some(values) if values.len() != cols => Err(RunError::Operand(format!(
                    "operand {position} has {} elements; must have {cols}",
                    values.len()
                ))),
                values => Ok(values),
            }
        };
        let (scale, bias) = (vector(1)?, vector(2)?);
        let out = results[0].elements::<f32>();
        let rows = Rows::new(x.elements(), count, cols, cols).filter(|_| out.len() == count * cols);
        let rows = rows.ok_or_else(|| RunError::Operand(format!("{} results for {:?}", out.len(), x.shape)))?;
        if count > 0 && cols > 0 {
            cx.engine.layer_norm(LayerNorm { x: rows, scale, bias, epsilon: self.epsilon }, out);
        }
        Ok(())
    }
}

/// `x / sqrt(mean(x^2) + epsilon) * scale` over the last axis.
struct RootMeanSquare {
    epsilon: f32,
}

fn rms_norm(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let (x, scale) = (request.operand(0)?, request.operand(1)?);
    if x.rank() == 0 || [scale.dtype, request.result()?.dtype] != [x.dtype; 2] {
        return Err(BuildError::Value(format!("rmsNorm: {x:?} and {scale:?}")));
    }
    Ok(Box::new(RootMeanSquare { epsilon: *request.attributes.float("epsilon")? as f32 }))
}

impl Op for RootMeanSquare {
    fn label(&self) -> String {
        "rmsNormalization".into()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (x, scale) = (&operands[0], operands[1].elements::<f32>());
        let cols = x.shape.last().copied().unwrap_or_default();
        let count = x.shape.iter().rev().skip(1).product();
        let out = results[0].elements::<f32>();
        let rows = Rows::new(x.elements(), count, cols, cols);
        let rows = rows.filter(|_| out.len() == count * cols && scale.len() == cols);
        let refuse =
            || RunError::Operand(format!("{} results and {} factors of {:?}", out.len(), scale.len(), x.shape));
        let rows = rows.ok_or_else(refuse)?;
        if count > 0 && cols > 0 {
            cx.engine.rms_norm(RmsNorm { x: rows, scale, epsilon: self.epsilon }, out);
        }
        Ok(())
    }
}

/// `x / max(sqrt(sum(x^2)), epsilon)` over the last axis, in float64 and rounded once.
struct UnitLength {
    epsilon: f64,
}

fn unit_norm(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let x = request.operand(0)?;
    if x.rank() == 0 || request.result()?.dtype != x.dtype {
        return Err(BuildError::Value(format!("unitNorm: {x:?}")));
    }
    Ok(Box::new(UnitLength { epsilon: *request.attributes.float("epsilon")? }))
}

impl Op for UnitLength {
    fn label(&self) -> String {
        "unit length".into()
    }

    fn run(&self, operands: &[Tensor<'_>], results: &mut [TensorMut<'_>], _: &mut Context<'_>) -> Result<(), RunError> {
        let (x, out) = (operands[0].elements::<f32>(), results[0].elements::<f32>());
        if x.len() != out.len() {
            return Err(RunError::Operand(format!("{} results of {:?}", out.len(), operands[0].shape)));
        }
        let cols = operands[0].shape.last().copied().unwrap_or_default();
        for (x, out) in x.chunks_exact(cols.max(1)).zip(out.chunks_exact_mut(cols.max(1))) {
            // Sixteen sums, so that none waits for the one before it.
            let mut sums = [0.0_f64; 16];
            for x in x.chunks(sums.len()) {
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum += f64::from(*x) * f64::from(*x);
                }
            }
            let norm = sums.iter().sum::<f64>().sqrt();
            // Not `max`, for which NaN is smaller than any number.
            let norm = if norm < self.epsilon { self.epsilon } else { norm };
            for (out, x) in out.iter_mut().zip(x) {
                *out = (f64::from(*x) / norm) as f32;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::Attribute;
    use crate::ops::testing::{Given, run};
    use crate::plan::DataType::Float32;

    #[test]
    fn rows_are_normalised_scaled_and_shifted() {
        let (count, cols) = (7, 33);
        let x: Vec<f32> = (0..count * cols).map(|i| (i as f32 * 0.37).sin() * 3.0 + 5.0).collect();
        let scale: Vec<f32> = (0..cols).map(|i| i as f32 * 0.1).collect();
        let bias: Vec<f32> = (0..cols).map(|i| 1.0 - i as f32).collect();
        let mut want = Vec::new();
        for row in x.chunks_exact(cols) {
            let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / cols as f64;
            let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / cols as f64;
            want.extend(row.iter().enumerate().map(|(i, x)| {
                (f64::from(*x) - mean) / (variance + 1e-3).sqrt() * f64::from(scale[i]) + f64::from(bias[i])
            }));
        }
        let given = [
            Given::new(Float32, &[count, 3, 11], &x),
            Given::new(Float32, &[3, 11], &scale),
            Given::new(Float32, &[3, 11], &bias),
        ];
        let attributes = [("axes", Attribute::Int(2)), ("epsilon", Attribute::Float(1e-3))];
        let found = run("layerNorm", &given, &attributes, &[(Float32, &[count, 3, 11])], 2).unwrap();
        for (got, want) in found[0].elements::<f32>().iter().zip(want) {
            assert!((f64::from(*got) - want).abs() < 1e-5, "{got}, not {want}");
        }
    }

    #[test]
    fn rows_are_divided_by_their_root_mean_square() {
        let (count, cols) = (6, 19);
        let x: Vec<f32> = (0..count * cols).map(|i| (i as f32 * 0.37).sin() * 3.0).collect();
        let scale: Vec<f32> = (0..cols).map(|i| i as f32 * 0.1 - 1.0).collect();
        let given = [Given::new(Float32, &[2, 3, cols], &x), Given::new(Float32, &[cols], &scale)];
        let found = run("rmsNorm", &given, &[("epsilon", Attribute::Float(1e-3))], &[(Float32, &[2, 3, cols])], 2);
        let found = found.unwrap();
        for (row, (got, x)) in found[0].elements::<f32>().chunks(cols).zip(x.chunks(cols)).enumerate() {
            let mean = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / cols as f64;
            for (col, got) in got.iter().enumerate() {
                let want = f64::from(x[col]) / (mean + 1e-3).sqrt() * f64::from(scale[col]);
                assert!((f64::from(*got) - want).abs() < 1e-5, "row {row}: {got}, not {want}");
            }
        }
    }

    #[test]
    fn rows_get_length_one_but_for_those_that_have_none() {
        let cols = 37;
        let mut x: Vec<f32> = (0..5 * cols).map(|i| (i as f32 * 0.37).sin() * 3e18).collect();
        x[cols..2 * cols].fill(0.0);
        x[2 * cols] = f32::NAN;
        x[3 * cols..4 * cols].fill(1e-15);
        let given = [Given::new(Float32, &[5, cols], &x)];
        let found = run("unitNorm", &given, &[("epsilon", Attribute::Float(1e-12))], &[(Float32, &[5, cols])], 1);
        let found = found.unwrap();
        for (row, (got, x)) in found[0].elements::<f32>().chunks(cols).zip(x.chunks(cols)).enumerate() {
            let norm = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            for (got, x) in got.iter().zip(x) {
                let want = f64::from(*x) / if norm < 1e-12 { 1e-12 } else { norm };
                let is_near = (f64::from(*got) - want).abs() <= want.abs() * 6e-8;
                assert!(is_near || row == 2, "row {row}: {got}, not {want}");
                assert_eq!(got.is_nan(), row == 2);
            }
        }
    }
}

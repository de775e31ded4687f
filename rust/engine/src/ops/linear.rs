//! Linear layers with constant weights, packed when the plan is built, and what follows the product.

use std::sync::Arc;

use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::packing::{Columns, Packing};
use crate::plan::{BuildError, DataType, RunError};
use crate::{Activation, Layer, Rows};

pub(super) const KINDS: &[Kind] = &[Kind { name: "linearLayer", types: Types::of(&[DataType::Float32]), make: linear }];

/// Where the operands begin that are weights beside the first ones.
const FIRST_OF_MORE: usize = 5;

/// `activation(x @ weights + bias) * factor + residual`.
///
/// Operands: x, weights (constant, `[k, n]`, or `[n, k]` with the attribute `transposed`), bias `[n]`, residual, factor,
/// and more weights, whose columns follow.
struct Linear {
    weights: Arc<Packing>,
    taken: Vec<usize>,
    activation: Activation,
    label: String,
}

fn linear(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let x = request.operand(0)?;
    let refuse = |what: &str| Err(BuildError::Value(format!("linearLayer: {what}")));
    let transposed = request.attributes.optional_bool("transposed")?.copied().unwrap_or_default();
    let taken: Vec<usize> = [1].into_iter().chain(FIRST_OF_MORE..request.operands.len()).collect();
    let mut columns = Vec::with_capacity(taken.len());
    let mut shape = [0, 0];
    for &position in &taken {
        let weights = request.operand(position)?;
        let owner = weights.constant.as_ref().ok_or_else(|| request.unsupported("weights that are computed"))?;
        let Some(&[rows, cols]) = weights.fixed_shape().as_deref() else {
            return refuse("weights that are not a matrix");
        };
        let ([k, n], strides) = if transposed { ([cols, rows], [1, cols]) } else { ([rows, cols], [cols, 1]) };
        if x.sizes.last().copied().flatten() != Some(k) {
            return refuse("rows of another size than the weights'");
        }
        if weights.dtype != x.dtype {
            return refuse("operands of several types");
        }
        columns.push(Columns { owner: Arc::clone(owner), n, strides });
        shape = [k, shape[1] + n];
    }
    if request.optional(2).is_some_and(|bias| bias.fixed_shape().as_deref() != Some(&[shape[1]])) {
        return refuse("a bias of another size than the weights'");
    }
    let all = [request.optional(2), request.optional(3), request.optional(4)];
    if all.into_iter().flatten().chain(request.results).any(|kind| kind.dtype != x.dtype) {
        return refuse("operands of several types");
    }
    let name = request.attributes.text("activation")?;
    let activation = Activation::from_name(name).ok_or_else(|| request.unsupported(name))?;
    let mut label = "linear".to_owned();
    for (part, is_there) in [
        ("bias", request.optional(2).is_some()),
        (name, activation != Activation::Identity),
        ("factor", request.optional(4).is_some()),
        ("residual", request.optional(3).is_some()),
    ] {
        if is_there {
            label = format!("{label}+{part}");
        }
    }
    Ok(Box::new(Linear { weights: request.engine.pack_later(shape[0], columns), taken, activation, label }))
}

impl Op for Linear {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn taken(&self) -> &[usize] {
        &self.taken
    }

    fn has_taken(&self) -> bool {
        self.weights.is_done()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let [k, n] = self.weights.shape();
        let count: usize = operands[0].shape.iter().rev().skip(1).product();
        let rows = |data, cols| {
            let rows = Rows::new(data, count, cols, cols).filter(|_| data.len() == count * cols);
            rows.ok_or_else(|| RunError::Operand(format!("{} elements; must be {count} x {cols}", data.len())))
        };
        let x = rows(operands[0].elements(), k)?;
        let out = results[0].elements::<f32>();
        if out.len() != count * n {
            return Err(RunError::Operand(format!("a result of {} elements; must be {count} x {n}", out.len())));
        }
        let bias = operands.get(2).filter(|bias| bias.is_present()).map(Tensor::elements);
        let joined = |position: usize| {
            let operand = operands.get(position).filter(|operand| operand.is_present());
            operand.map(|operand| rows(operand.elements(), n)).transpose()
        };
        let (residual, factor) = (joined(3)?, joined(4)?);
        let layer = Layer { weights: self.weights.matrix(), bias, activation: self.activation, factor, residual };
        cx.engine.linear(x, layer, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::Attribute;
    use crate::ops::testing::{Given, run_optional};
    use crate::plan::DataType::Float32;

    #[test]
    fn a_layer_is_the_product_and_what_follows() {
        let (m, k, n) = (5, 7, 37);
        let numbers = |count: usize, step: f32| (0..count).map(|i| (i as f32 * step).sin()).collect::<Vec<_>>();
        let (x, w, b, r) = (numbers(m * k, 0.7), numbers(k * n, 0.3), numbers(n, 1.1), numbers(m * n, 0.9));
        for transposed in [false, true] {
            for with_bias in [false, true] {
                for with_residual in [false, true] {
                    let weight = |i: usize, j: usize| if transposed { w[j * k + i] } else { w[i * n + j] };
                    let want = (0..m * n).map(|at| {
                        let (row, col) = (at / n, at % n);
                        let sum: f64 = (0..k).map(|i| f64::from(x[row * k + i]) * f64::from(weight(i, col))).sum();
                        let sum = sum + if with_bias { f64::from(b[col]) } else { 0.0 };
                        sum.max(0.0) + if with_residual { f64::from(r[at]) } else { 0.0 }
                    });
                    let shape = if transposed { [n, k] } else { [k, n] };
                    let given = [
                        Given::new(Float32, &[m, k], &x),
                        Given::new(Float32, &shape, &w).constant(),
                        Given::new(Float32, &[n], &b),
                        Given::new(Float32, &[m, n], &r),
                    ];
                    let given = [
                        Some(&given[0]),
                        Some(&given[1]),
                        with_bias.then_some(&given[2]),
                        with_residual.then_some(&given[3]),
                    ];
                    let attributes =
                        [("activation", Attribute::Text("relu".into())), ("transposed", Attribute::Bool(transposed))];
                    let found = run_optional("linearLayer", &given, &attributes, &[(Float32, &[m, n])], 2).unwrap();
                    for (got, want) in found[0].elements::<f32>().iter().zip(want) {
                        assert!((f64::from(*got) - want).abs() < 1e-5, "{got}, not {want}");
                    }
                }
            }
        }
    }

    #[test]
    fn weights_side_by_side_are_one_wide_matrix() {
        let (m, k, widths) = (3, 5, [7, 40, 1]);
        let n: usize = widths.iter().sum();
        let numbers = |count: usize, step: f32| (0..count).map(|i| (i as f32 * step).sin()).collect::<Vec<_>>();
        let (x, w) = (numbers(m * k, 0.7), numbers(k * n, 0.3));
        for transposed in [false, true] {
            let shape = |n: usize| if transposed { [n, k] } else { [k, n] };
            let part = |start: usize, n_part: usize| -> Vec<f32> {
                let [rows, cols] = shape(n_part);
                let element = |i: usize, j: usize| w[i * n + start + j];
                let at = |row: usize, col: usize| if transposed { element(col, row) } else { element(row, col) };
                (0..rows * cols).map(|index| at(index / cols, index % cols)).collect()
            };
            let given = [
                Given::new(Float32, &[m, k], &x),
                Given::new(Float32, &shape(n), &part(0, n)).constant(),
                Given::new(Float32, &shape(7), &part(0, 7)).constant(),
                Given::new(Float32, &shape(40), &part(7, 40)).constant(),
                Given::new(Float32, &shape(1), &part(47, 1)).constant(),
            ];
            let attributes =
                [("activation", Attribute::Text("identity".into())), ("transposed", Attribute::Bool(transposed))];
            let run = |operands: &[Option<&Given>]| {
                let results = run_optional("linearLayer", operands, &attributes, &[(Float32, &[m, n])], 2).unwrap();
                results[0].elements::<f32>().to_vec()
            };
            let (x, pieces) = (Some(&given[0]), [Some(&given[2]), Some(&given[3]), Some(&given[4])]);
            let whole = run(&[x, Some(&given[1])]);
            assert_eq!(run(&[x, pieces[0], None, None, None, pieces[1], pieces[2]]), whole, "transposed {transposed}");
        }
    }
}

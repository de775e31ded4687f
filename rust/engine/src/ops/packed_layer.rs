//! What linear layers have in common whose constant weights are integers or float16 and are packed as they are when the
//! plan is built: `integer_layer` computes in integers, `stored_layer` in floats.

use super::{Request, Tensor, TensorMut};
use crate::plan::{BuildError, DataType, Owner, RunError};
use crate::{Activation, Rows};

const WEIGHTS: usize = 1;
const SCALE: usize = 2;
const ZERO: usize = 3;
/// Operands whose numbers are packed.
pub(super) const PACKED: [usize; 3] = [WEIGHTS, SCALE, ZERO];
const BIAS: usize = 4;
const RESIDUAL: usize = 5;
const FACTOR: usize = 6;

/// A layer: `activation(x @ weights + bias) * factor + residual`.
///
/// Operands: x, weights (constant, `[k, n]`, or `[n, k]` with the attribute `transposed`), scale and zero point (constant,
/// `[blocks, n]`, none for float16, the zero point of the weights' type), bias `[n]`, residual, factor.
pub(super) struct Layer<'a> {
    pub(super) shape: [usize; 2],
    pub(super) strides: [usize; 2],
    pub(super) weights: &'a Owner,
    pub(super) dtype: DataType,
    pub(super) scales: Option<Vec<f32>>,
    pub(super) zeros: Option<Vec<i32>>,
    pub(super) blocks: usize,
    pub(super) activation: Activation,
    pub(super) parts: String,
}

pub(super) fn layer<'a>(request: &'a Request<'_>) -> Result<Layer<'a>, BuildError> {
    let (x, weights) = (request.operand(0)?, request.operand(WEIGHTS)?);
    let refuse = |what: &str| BuildError::Value(format!("{}: {what}", request.kind));
    let owner = weights.constant.as_ref().ok_or_else(|| request.unsupported("weights that are computed"))?;
    let Some(&[rows, cols]) = weights.fixed_shape().as_deref() else {
        return Err(refuse("weights that are not a matrix"));
    };
    let transposed = request.attributes.optional_bool("transposed")?.copied().unwrap_or_default();
    let (shape, strides) = if transposed { ([cols, rows], [1, cols]) } else { ([rows, cols], [cols, 1]) };
    if x.sizes.last().copied().flatten() != Some(shape[0]) {
        return Err(refuse("rows of another size than the weights'"));
    }
    if request.optional(BIAS).is_some_and(|bias| bias.fixed_shape().as_deref() != Some(&[shape[1]])) {
        return Err(refuse("a bias of another size than the weights'"));
    }
    let floats = [BIAS, RESIDUAL, FACTOR, SCALE].into_iter().filter_map(|position| request.optional(position));
    if floats.chain(request.results).any(|kind| kind.dtype != x.dtype) {
        return Err(refuse("operands of several types"));
    }
    let table = |position: usize| -> Result<Option<(&Owner, usize)>, BuildError> {
        let Some(given) = request.optional(position) else { return Ok(None) };
        let owner = given.constant.as_ref().ok_or_else(|| refuse("scales or zero points that are computed"))?;
        match given.fixed_shape().as_deref() {
            Some(&[blocks, n]) if n == shape[1] && blocks > 0 && shape[0].is_multiple_of(blocks) => {
                Ok(Some((owner, blocks)))
            }
            _ => Err(refuse("scales or zero points that are not blocks of the weights")),
        }
    };
    let (scale, zero) = (table(SCALE)?, table(ZERO)?);
    if scale.is_none() != (weights.dtype == DataType::Float16) {
        return Err(refuse("scales of float16, or integers without scales"));
    }
    if let Some((_, blocks)) = zero
        && (scale.map(|(_, blocks)| blocks) != Some(blocks)
            || request.optional(ZERO).map(|zero| zero.dtype) != Some(weights.dtype))
    {
        return Err(refuse("zero points that are unlike the scales or the weights"));
    }
    let name = request.attributes.text("activation")?;
    let activation = Activation::from_name(name).ok_or_else(|| request.unsupported(name))?;
    let mut parts = String::new();
    for (part, is_there) in [
        ("bias", request.optional(BIAS).is_some()),
        (name, activation != Activation::Identity),
        ("factor", request.optional(FACTOR).is_some()),
        ("residual", request.optional(RESIDUAL).is_some()),
    ] {
        if is_there {
            parts = format!("{parts}+{part}");
        }
    }
    Ok(Layer {
        shape,
        strides,
        weights: owner,
        dtype: weights.dtype,
        scales: scale.map(|(owner, _)| bytemuck::cast_slice((**owner).as_ref()).to_vec()),
        zeros: zero.map(|(owner, _)| integers(weights.dtype, (**owner).as_ref())),
        blocks: scale.map_or(1, |(_, blocks)| blocks),
        activation,
        parts,
    })
}

/// The values of integers of up to 8 bits.
fn integers(dtype: DataType, bytes: &[u8]) -> Vec<i32> {
    let is_signed = matches!(dtype, DataType::Int8 | DataType::Int4);
    bytes.iter().map(|byte| if is_signed { i32::from(*byte as i8) } else { i32::from(*byte) }).collect()
}

/// The operands of a run.
pub(super) struct Given<'a> {
    pub(super) x: Rows<'a>,
    pub(super) bias: Option<&'a [f32]>,
    pub(super) residual: Option<Rows<'a>>,
    pub(super) factor: Option<Rows<'a>>,
    pub(super) out: &'a mut [f32],
}

pub(super) fn given<'a>(
    operands: &'a [Tensor<'a>],
    results: &'a mut [TensorMut<'_>],
    [k, n]: [usize; 2],
) -> Result<Given<'a>, RunError> {
    let count: usize = operands[0].shape.iter().rev().skip(1).product();
    let rows = |data: &'a [f32], cols: usize| {
        let rows = Rows::new(data, count, cols, cols).filter(|_| data.len() == count * cols);
        rows.ok_or_else(|| RunError::Operand(format!("{} elements; must be {count} x {cols}", data.len())))
    };
    let present = |position: usize| operands.get(position).filter(|operand| operand.is_present());
    let joined = |position: usize| present(position).map(|operand| rows(operand.elements(), n)).transpose();
    let out = results[0].elements::<f32>();
    if out.len() != count * n {
        return Err(RunError::Operand(format!("a result of {} elements; must be {count} x {n}", out.len())));
    }
    Ok(Given {
        x: rows(operands[0].elements(), k)?,
        bias: present(BIAS).map(Tensor::elements),
        residual: joined(RESIDUAL)?,
        factor: joined(FACTOR)?,
        out,
    })
}

#[cfg(test)]
mod tests {
    use crate::ops::Attribute;
    use crate::ops::testing::{Given, run_optional};
    use crate::plan::DataType::{self, Float32, Int4, Int8, Uint4, Uint8};

    fn numbers(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * step).sin()).collect()
    }

    /// A layer with relu and a residual: `(kind, fixed range)` on integers of a type, and the same in 64-bit floats.
    fn check(kind: &str, dtype: DataType, transposed: bool, blocks: usize, fixed: bool) {
        let (m, k, n) = (5, 12, 37);
        let (least, most) = match dtype {
            Int4 => (-8, 7),
            Uint4 => (0, 15),
            Int8 => (-128, 127),
            _ => (0, 255),
        };
        let integers = |count: usize, step: usize| -> Vec<i32> {
            (0..count).map(|i| least + (i * step % (most - least + 1) as usize) as i32).collect()
        };
        let (w, zeros) = (integers(k * n, 31), integers(blocks * n, 7));
        let (x, b, r) = (numbers(m * k, 0.7), numbers(n, 1.1), numbers(m * n, 0.9));
        let scales: Vec<f32> = numbers(blocks * n, 0.3).iter().map(|x| (x + 2.0) / 300.0).collect();
        let bytes = |of: &[i32]| of.iter().map(|x| *x as u8).collect::<Vec<u8>>();
        let make = |shape: &[usize], of: &[i32]| match dtype {
            Int4 | Int8 => Given::new(dtype, shape, bytemuck::cast_slice::<u8, i8>(&bytes(of))).constant(),
            _ => Given::new(dtype, shape, &bytes(of)).constant(),
        };
        let given = [
            Given::new(Float32, &[m, k], &x),
            make(&if transposed { [n, k] } else { [k, n] }, &w),
            Given::new(Float32, &[blocks, n], &scales).constant(),
            make(&[blocks, n], &zeros),
            Given::new(Float32, &[n], &b),
            Given::new(Float32, &[m, n], &r),
        ];
        let mut attributes =
            vec![("activation", Attribute::Text("relu".into())), ("transposed", Attribute::Bool(transposed))];
        if fixed {
            attributes.extend([("scale", Attribute::Float(0.01)), ("zero", Attribute::Int(100))]);
        }
        let found =
            run_optional(kind, &given.iter().map(Some).collect::<Vec<_>>(), &attributes, &[(Float32, &[m, n])], 2);
        for (at, got) in found.unwrap()[0].elements::<f32>().iter().enumerate() {
            let (row, col) = (at / n, at % n);
            let own = &x[row * k..(row + 1) * k];
            // A step of the row, and its integer for zero.
            let low = own.iter().fold(0.0_f64, |low, x| low.min(f64::from(*x)));
            let step = if fixed { 0.01 } else { (own.iter().fold(0.0_f64, |h, x| h.max(f64::from(*x))) - low) / 255.0 };
            let zero = if fixed { 100.0 } else { (-low / step).round() };
            let term = |i: usize| {
                let at = i / (k / blocks) * n + col;
                let weight = w[if transposed { col * k + i } else { i * n + col }] - zeros[at];
                let x = f64::from(own[i]);
                let x = if kind == "storedLayer" {
                    x
                } else {
                    (((x / step).round() + zero).clamp(0.0, 255.0) - zero) * step
                };
                x * f64::from(weight) * f64::from(scales[at])
            };
            let want = ((0..k).map(term).sum::<f64>() + f64::from(b[col])).max(0.0) + f64::from(r[at]);
            assert!((f64::from(*got) - want).abs() < 2e-5, "{kind} {dtype}: {got}, not {want}");
        }
    }

    #[test]
    fn a_layer_is_the_product_and_what_follows() {
        for dtype in [Int8, Uint8, Int4, Uint4] {
            for transposed in [false, true] {
                check("integerLayer", dtype, transposed, 1, false);
                check("integerLayer", dtype, transposed, 1, true);
                check("storedLayer", dtype, transposed, 1, false);
                check("storedLayer", dtype, transposed, 3, false);
            }
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let x = Given::new(Float32, &[2, 4], &[0.0_f32; 8]);
        let weights = Given::new(Int8, &[4, 3], &[1_i8; 12]).constant();
        let scale = |blocks: usize, n: usize| Given::new(Float32, &[blocks, n], &vec![1.0_f32; blocks * n]).constant();
        let activation = ("activation", Attribute::Text("identity".into()));
        for kind in ["integerLayer", "storedLayer"] {
            let ok = scale(1, 3);
            for bad in [scale(3, 3), scale(1, 4), Given::new(Float32, &[1, 3], &[1.0_f32; 3])] {
                for (given, is_ok) in [(&ok, true), (&bad, false)] {
                    let operands = [Some(&x), Some(&weights), Some(given), None];
                    let attributes = std::slice::from_ref(&activation);
                    let found = run_optional(kind, &operands, attributes, &[(Float32, &[2, 3])], 1);
                    assert_eq!(found.is_ok(), is_ok, "{kind}");
                }
            }
            let operands = [Some(&x), Some(&weights), None, None];
            assert!(
                run_optional(kind, &operands, std::slice::from_ref(&activation), &[(Float32, &[2, 3])], 1).is_err()
            );
        }
        // Several scales for a column are floats' business.
        let several = scale(2, 3);
        let operands = [Some(&x), Some(&weights), Some(&several), None];
        assert!(run_optional("integerLayer", &operands, &[activation], &[(Float32, &[2, 3])], 1).is_err());
    }
}

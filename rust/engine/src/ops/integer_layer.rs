//! Linear layers in integers: their weights are constant integers, and rows are quantised when they are multiplied.

use kernels::integers::{GROUP, MOST_INNER};

use super::packed_layer::{Given, Layer, PACKED, given, layer};
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};
use crate::{Activation, Engine, IntegerLayer, PackedIntegers, Range};

pub(super) const KINDS: &[Kind] =
    &[Kind { name: "integerLayer", types: Types::of(&[DataType::Float32]), make: integer_layer }];

/// Positions of the operands that say how rows are quantised.
const STEP: usize = 7;
const POINT: usize = 8;

/// Elements of a row that share a step, where rows are quantised by their own range: a row is cut into two parts where
/// they have 128 elements or more, and into more where they had over 512; see [`kernels::integers`].
///
/// all-MiniLM-L6-v2, 512 paragraphs, mean cosine to float32 by the steps of its rows of 384 and of 1536 elements: 0.99958 by
/// 128 and 128, 0.99956 by 128 and 512, 0.99951 by 192 and 512, 0.99949 by 192 and 768, 0.99936 by 384 and 128, 0.99930 by a
/// step a row. So long rows need no short steps, and texts are encoded 1.04 to 1.07 times as fast by 192 and 512 as by 128 and
/// 512, not faster by 768 (an Intel Xeon with AMX, two threads, texts of 10 to 256 tokens).
fn segment(k: usize) -> usize {
    let parts = k.div_ceil(512).max((k / 128).clamp(1, 2));
    k.div_ceil(parts).next_multiple_of(16).max(16)
}

/// Computes in integers. Segments of rows are quantised each by its own range, or all rows by one: by the attributes
/// `scale` and `zero`, or by operands that are known at a run.
///
/// Operands: those of [`layer`]; then the size of a step (float32) and the integer that stands for 0 (uint8), one element
/// each, or neither.
struct Integers {
    weights: PackedIntegers,
    /// None where it comes as operands.
    range: Option<Range>,
    activation: Activation,
    label: String,
}

fn integer_layer(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let Layer { shape, strides, weights, dtype, scales, zeros, blocks, activation, parts } = layer(request)?;
    let scales = scales.ok_or_else(|| request.unsupported("weights of float16"))?;
    if blocks != 1 {
        return Err(request.unsupported("several scales for a column"));
    }
    if shape[0] > MOST_INNER {
        return Err(request.unsupported(format!("sums of {} products", shape[0])));
    }
    let bytes: &[u8] = (**weights).as_ref();
    let range = range_of(request)?;
    // Unsigned ones are moved by 128 together with their zero points, which changes no difference.
    let is_signed = matches!(dtype, DataType::Int8 | DataType::Int4);
    let moved: Vec<u8>;
    let (data, zeros): (&[i8], Option<Vec<i32>>) = if is_signed {
        (bytemuck::cast_slice(bytes), zeros)
    } else {
        moved = bytes.iter().map(|byte| byte ^ 0x80).collect();
        let zeros = zeros.unwrap_or_else(|| vec![0; shape[1]]);
        (bytemuck::cast_slice(&moved), Some(zeros.into_iter().map(|zero| zero - 128).collect()))
    };
    let is_own = range == Some(Range::Own);
    let activation = if is_own { activation.coarse() } else { activation };
    let segment = if is_own { segment(shape[0]) } else { shape[0].next_multiple_of(GROUP).max(GROUP) };
    let weights = request.engine.pack_integers(data, shape, strides, &scales, zeros.as_deref(), segment);
    let kind = match range {
        Some(Range::Own) => "integer linear",
        Some(Range::Fixed { .. }) => "integer linear (fixed ranges)",
        None => "integer linear (ranges at run time)",
    };
    Ok(Box::new(Integers { weights, range, activation, label: format!("{kind}{parts}") }))
}

/// How rows become integers; None where operands say so at a run.
fn range_of(request: &Request<'_>) -> Result<Option<Range>, BuildError> {
    let stated = (request.attributes.optional_number("scale")?, request.attributes.optional_int("zero")?);
    match (stated, [STEP, POINT].map(|position| request.optional(position).map(|kind| kind.dtype))) {
        ((None, None), [None, None]) => Ok(Some(Range::Own)),
        ((None, None), [Some(DataType::Float32), Some(DataType::Uint8)]) => Ok(None),
        ((Some(scale), Some(zero)), [None, None]) if scale > 0.0 && u8::try_from(*zero).is_ok() => {
            Ok(Some(Range::Fixed { scale: scale as f32, zero: *zero as u8 }))
        }
        (stated, [None, None]) => Err(BuildError::Attribute(format!("integerLayer: a range of {stated:?}"))),
        _ => Err(BuildError::Value("integerLayer: a step and a zero point must be float32 and uint8".into())),
    }
}

/// The only element of an operand.
fn only<T: super::Element>(operand: &Tensor<'_>) -> Result<T, RunError> {
    match operand.elements::<T>() {
        [one] => Ok(*one),
        several => Err(RunError::Operand(format!("{} elements; must be one", several.len()))),
    }
}

impl Op for Integers {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn taken(&self) -> &[usize] {
        &PACKED
    }

    fn scratch(&self, operands: &[&[usize]], _results: &[&[usize]]) -> usize {
        let rows = operands[0].iter().rev().skip(1).product();
        Engine::groups(rows, self.weights.k()) * size_of::<f32>()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let range = match self.range {
            Some(range) => range,
            None => Range::Fixed { scale: only(&operands[STEP])?, zero: only(&operands[POINT])? },
        };
        let Self { weights, activation, .. } = self;
        let Given { x, bias, residual, factor, out } = given(operands, results, [weights.k(), weights.n()])?;
        let groups: &mut [f32] = if cx.scratch.is_empty() { &mut [] } else { bytemuck::cast_slice_mut(cx.scratch) };
        let groups = &mut groups[..Engine::groups(x.count(), weights.k())];
        let layer = IntegerLayer { weights, range, bias, activation: *activation, factor, residual };
        cx.engine.integer_linear(x, layer, groups, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::Attribute;
    use crate::ops::testing::{Given, run_optional};
    use crate::plan::DataType::{Float32, Int8, Uint8};

    fn numbers(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * step).sin()).collect()
    }

    #[test]
    fn a_layer_sums_integers_by_the_range_of_its_operands() {
        let (m, k, n) = (5, 13, 37);
        let weights: Vec<i8> = (0..k * n).map(|i| (i * 31 % 256) as u8 as i8).collect();
        let zeros: Vec<i8> = (0..n).map(|i| (i * 7) as u8 as i8).collect();
        let (x, bias, scales) = (numbers(m * k, 0.7), numbers(n, 1.1), numbers(n, 0.3));
        for (step, zero) in [(0.01_f32, 100_u8), (1.0, 0), (0.004, 255)] {
            let given = [
                Given::new(Float32, &[m, k], &x),
                Given::new(Int8, &[k, n], &weights).constant(),
                Given::new(Float32, &[1, n], &scales).constant(),
                Given::new(Int8, &[1, n], &zeros).constant(),
                Given::new(Float32, &[n], &bias),
                Given::new(Float32, &[], &[step]),
                Given::new(Uint8, &[1, 1], &[zero]),
            ];
            let [x_, w, s, z, b, step_, zero_] = &given;
            let operands = [Some(x_), Some(w), Some(s), Some(z), Some(b), None, None, Some(step_), Some(zero_)];
            let attributes = [("activation", Attribute::Text("identity".into()))];
            let found = run_optional("integerLayer", &operands, &attributes, &[(Float32, &[m, n])], 2).unwrap();
            for (at, got) in found[0].elements::<f32>().iter().enumerate() {
                let (row, col) = (at / n, at % n);
                let term = |i: usize| {
                    let x = ((x[row * k + i] / step).round_ties_even() as i32 + i32::from(zero)).clamp(0, 255);
                    (x - i32::from(zero)) * (i32::from(weights[i * n + col]) - i32::from(zeros[col]))
                };
                let sum: i32 = (0..k).map(term).sum();
                let want = sum as f32 * step * scales[col] + bias[col];
                assert!((got - want).abs() <= want.abs() * 3e-7 + 1e-7, "{got}, not {want}");
            }
        }
    }

    #[test]
    fn rows_with_ranges_of_their_own_take_a_coarse_gelu_and_given_ranges_the_exact_one() {
        let (m, k, n) = (5, 16, 40);
        let weights: Vec<i8> = (0..k * n).map(|i| (i * 31 % 256) as u8 as i8).collect();
        let (x, scales) = (numbers(m * k, 0.7), vec![0.01; n]);
        let given = [
            Given::new(Float32, &[m, k], &x),
            Given::new(Int8, &[k, n], &weights).constant(),
            Given::new(Float32, &[1, n], &scales).constant(),
        ];
        let [x_, w, s] = &given;
        let operands = [Some(x_), Some(w), Some(s), None, None, None, None];
        let run = |activation: &str, range: &[(&str, Attribute)]| {
            let mut attributes = vec![("activation", Attribute::Text(activation.into()))];
            attributes.extend_from_slice(range);
            run_optional("integerLayer", &operands, &attributes, &[(Float32, &[m, n])], 1).unwrap()
        };
        let fixed = [("scale", Attribute::Float(1.0 / 127.0)), ("zero", Attribute::Int(127))];
        for (range, is_exact) in [(&fixed[..], true), (&[], false)] {
            let (sums, found) = (run("identity", range), run("gelu", range));
            let mut worst = 0.0_f32;
            for (sum, got) in sums[0].elements::<f32>().iter().zip(found[0].elements::<f32>()) {
                let want = f64::from(*sum) * 0.5 * (1.0 + libm::erf(f64::from(*sum) * std::f64::consts::FRAC_1_SQRT_2));
                worst = worst.max((got - want as f32).abs());
            }
            let fits = if is_exact { worst < 1e-6 } else { (1e-6..2e-4).contains(&worst) };
            assert!(fits, "off by {worst}");
        }
    }

    #[test]
    fn ranges_of_other_types_or_of_several_elements_are_refused() {
        let x = Given::new(Float32, &[2, 4], &[0.0_f32; 8]);
        let weights = Given::new(Int8, &[4, 3], &[1_i8; 12]).constant();
        let scale = Given::new(Float32, &[1, 3], &[1.0_f32; 3]).constant();
        let (step, zero) = (Given::new(Float32, &[], &[1.0_f32]), Given::new(Uint8, &[], &[0_u8]));
        let (steps, signed) = (Given::new(Float32, &[2], &[1.0_f32; 2]), Given::new(Int8, &[], &[0_i8]));
        let attributes = [("activation", Attribute::Text("identity".into()))];
        for (step, zero, is_ok) in [(&step, &zero, true), (&steps, &zero, false), (&step, &signed, false)] {
            let operands = [Some(&x), Some(&weights), Some(&scale), None, None, None, None, Some(step), Some(zero)];
            let found = run_optional("integerLayer", &operands, &attributes, &[(Float32, &[2, 3])], 1);
            assert_eq!(found.is_ok(), is_ok);
        }
    }
}

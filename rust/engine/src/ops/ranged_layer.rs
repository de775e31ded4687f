//! Linear layers in integers by a range that is only known at a run, and that range: what a graph states that quantises
//! its data by the smallest and the largest element of a whole tensor.

use kernels::Reduction;

use super::packed_layer::{Given, Layer, given, layer};
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};
use crate::{Activation, Engine, IntegerLayer, PackedIntegers, Range};

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "dynamicRange", types: Types::of(&[DataType::Float32]), make: dynamic_range },
    Kind { name: "rangedLayer", types: Types::of(&[DataType::Float32]), make: ranged_layer },
];

const WEIGHTS: usize = 1;
const SCALE: usize = 2;
const ZERO: usize = 3;
const STEP: usize = 7;
const POINT: usize = 8;

/// Elements that are worth a thread of their own.
const PIECE: usize = 1 << 15;

/// An integer layer whose rows are quantised by operands.
///
/// Operands: those of `integerLayer`, its weights int8; then the size of a step (float32) and the integer that stands for 0
/// (uint8), one element each.
struct Ranged {
    weights: PackedIntegers,
    activation: Activation,
    label: String,
}

fn ranged_layer(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let Layer { shape, strides, weights, dtype, scales, zeros, blocks, activation, parts } = layer(request)?;
    if dtype != DataType::Int8 || blocks != 1 {
        return Err(request.unsupported(format!("{dtype} in {blocks} blocks")));
    }
    if shape[0] > kernels::integers::MOST_INNER {
        return Err(request.unsupported(format!("sums of {} products", shape[0])));
    }
    if [STEP, POINT].map(|position| request.operand(position).map(|kind| kind.dtype))
        != [Ok(DataType::Float32), Ok(DataType::Uint8)]
    {
        return Err(BuildError::Value("rangedLayer: a step and a zero point must be float32 and uint8".into()));
    }
    let scales = scales.ok_or_else(|| request.unsupported("weights without scales"))?;
    let bytes: &[u8] = (**weights).as_ref();
    let segment = shape[0].next_multiple_of(kernels::integers::GROUP).max(kernels::integers::GROUP);
    let data = bytemuck::cast_slice(bytes);
    let weights = request.engine.pack_integers(data, shape, strides, &scales, zeros.as_deref(), segment);
    Ok(Box::new(Ranged { weights, activation, label: format!("integer linear (ranges at run time){parts}") }))
}

/// The only element of an operand.
fn only<T: super::Element>(operand: &Tensor<'_>) -> Result<T, RunError> {
    match operand.elements::<T>() {
        [one] => Ok(*one),
        several => Err(RunError::Operand(format!("{} elements; must be one", several.len()))),
    }
}

impl Op for Ranged {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn taken(&self) -> &[usize] {
        &[WEIGHTS, SCALE, ZERO]
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
        let range = Range::Fixed { scale: only(&operands[STEP])?, zero: only(&operands[POINT])? };
        let Self { weights, activation, .. } = self;
        let Given { x, bias, residual, factor, out } = given(operands, results, [weights.k(), weights.n()])?;
        let groups: &mut [f32] = if cx.scratch.is_empty() { &mut [] } else { bytemuck::cast_slice_mut(cx.scratch) };
        let groups = &mut groups[..Engine::groups(x.count(), weights.k())];
        let layer = IntegerLayer { weights, range, bias, activation: *activation, factor, residual };
        cx.engine.integer_linear(x, layer, groups, out);
        Ok(())
    }
}

/// The step and the zero point that cover all elements of a tensor, and 0, with the 256 integers of a byte.
///
/// Results: the size of a step, 1 where all elements are 0 (float32), and the integer that stands for 0 (uint8).
struct DynamicRange;

fn dynamic_range(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    match request.results {
        [step, point] if step.dtype == DataType::Float32 && point.dtype == DataType::Uint8 => {
            Ok(Box::new(DynamicRange))
        }
        _ => Err(BuildError::Value("dynamicRange: the results must be float32 and uint8".into())),
    }
}

impl Op for DynamicRange {
    fn label(&self) -> String {
        "range of a tensor".into()
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let x = operands[0].elements::<f32>();
        let kernels = cx.engine.kernels();
        let mut ends = vec![[0.0_f32; 2]; x.len().div_ceil(PIECE)];
        cx.for_each(x.chunks(PIECE).zip(&mut ends).collect(), |(x, ends): (&[f32], &mut [f32; 2])| {
            *ends = [Reduction::Min, Reduction::Max].map(|reduction| kernels.reduce(reduction, x));
        });
        // A NaN stays one, which `min` and `max` of floats would lose.
        let keep = |so_far: f32, x: f32, better: bool| if x.is_nan() || better { x } else { so_far };
        let low = ends.iter().fold(0.0, |low, [x, _]| keep(low, *x, *x < low));
        let high = ends.iter().fold(0.0, |high, [_, x]| keep(high, *x, *x > high));
        let spread: f32 = (high - low) / 255.0;
        let step = if spread == 0.0 { 1.0 } else { spread };
        // `as` makes 0 of NaN.
        let point = (-(low / step)).round_ties_even().clamp(0.0, 255.0) as u8;
        let [steps, points] = results else {
            return Err(RunError::Operand(format!("{} results; must be two", results.len())));
        };
        match (steps.elements::<f32>(), points.elements::<u8>()) {
            ([to], [zero]) => (*to, *zero) = (step, point),
            (steps, _) => return Err(RunError::Operand(format!("{} steps; must be one", steps.len()))),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::Attribute;
    use crate::ops::testing::{Given, run, run_optional};
    use crate::plan::DataType::{Float32, Int8, Uint8};

    fn numbers(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * step).sin()).collect()
    }

    fn range_of(x: &[f32]) -> (f32, u8) {
        let given = [Given::new(Float32, &[x.len()], x)];
        let found = run("dynamicRange", &given, &[], &[(Float32, &[]), (Uint8, &[])], 3).unwrap();
        (found[0].elements::<f32>()[0], found[1].elements::<u8>()[0])
    }

    #[test]
    fn a_range_covers_zero_and_all_elements() {
        for count in [1, 7, 1000, 100_000] {
            for (shift, step) in [(0.0_f32, 0.7_f32), (5.0, 0.3), (-5.0, 1.3)] {
                let x: Vec<f32> = numbers(count, step).iter().map(|x| x * 3.0 + shift).collect();
                let low = x.iter().fold(0.0_f32, |a, b| a.min(*b));
                let high = x.iter().fold(0.0_f32, |a, b| a.max(*b));
                let found = range_of(&x);
                let spread = (high - low) / 255.0;
                let step = if spread == 0.0 { 1.0 } else { spread };
                assert_eq!(found, (step, (-low / step).round_ties_even() as u8), "{count} {shift}");
            }
        }
        assert_eq!(range_of(&[0.0, -0.0]), (1.0, 0));
    }

    #[test]
    fn a_range_with_a_nan_is_none() {
        for place in [0, 40_000] {
            let mut x = numbers(70_000, 0.1);
            x[place] = f32::NAN;
            let (step, zero) = range_of(&x);
            assert!(step.is_nan() && zero == 0);
        }
    }

    #[test]
    fn a_layer_sums_integers_by_the_range_that_it_is_given() {
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
            let found = run_optional("rangedLayer", &operands, &attributes, &[(Float32, &[m, n])], 2).unwrap();
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
    fn ranges_of_other_types_or_of_several_elements_are_refused() {
        let x = Given::new(Float32, &[2, 4], &[0.0_f32; 8]);
        let weights = Given::new(Int8, &[4, 3], &[1_i8; 12]).constant();
        let scale = Given::new(Float32, &[1, 3], &[1.0_f32; 3]).constant();
        let (step, zero) = (Given::new(Float32, &[], &[1.0_f32]), Given::new(Uint8, &[], &[0_u8]));
        let (steps, signed) = (Given::new(Float32, &[2], &[1.0_f32; 2]), Given::new(Int8, &[], &[0_i8]));
        let attributes = [("activation", Attribute::Text("identity".into()))];
        for (step, zero, is_ok) in [(&step, &zero, true), (&steps, &zero, false), (&step, &signed, false)] {
            let operands = [Some(&x), Some(&weights), Some(&scale), None, None, None, None, Some(step), Some(zero)];
            let found = run_optional("rangedLayer", &operands, &attributes, &[(Float32, &[2, 3])], 1);
            assert_eq!(found.is_ok(), is_ok);
        }
    }
}

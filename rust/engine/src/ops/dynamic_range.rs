//! The range of all elements of a tensor: how a graph quantises its data that states this at a run.

use kernels::Reduction;

use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};

pub(super) const KINDS: &[Kind] =
    &[Kind { name: "dynamicRange", types: Types::of(&[DataType::Float32]), make: dynamic_range }];

/// Elements that are worth a thread of their own.
const PIECE: usize = 1 << 15;

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
    use crate::ops::testing::{Given, run};
    use crate::plan::DataType::{Float32, Uint8};

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
}

//! Functions of one number that follow one another: applied to a row while it is in a cache, instead of one pass over
//! memory for each.

use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};
use crate::{Activation, Kernels};
use kernels::Pointwise;

pub(super) const KINDS: &[Kind] = &[Kind { name: "chain", types: Types::of(&[DataType::Float32]), make: chain }];

/// Elements that pass through the whole chain at a time: what stays in the first cache.
const PIECE: usize = 1 << 12;

/// Functions, the first one first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Chain(Vec<Pointwise>);

impl Chain {
    /// The chain of the attribute `name`, words, and of `name` with "Numbers" behind it, two numbers for each word.
    ///
    /// # Errors
    ///
    /// A word is unknown, or the numbers are not twice as many.
    pub(super) fn new(request: &Request<'_>, name: &str) -> Result<Self, BuildError> {
        let words = request.attributes.optional_texts(name)?.unwrap_or_default();
        let numbers = request.attributes.optional_floats(&format!("{name}Numbers"))?.unwrap_or_default();
        let (pairs, rest) = numbers.as_chunks::<2>();
        if !rest.is_empty() || pairs.len() != words.len() {
            return Err(BuildError::Attribute(format!("{}: {} numbers for {words:?}", request.kind, numbers.len())));
        }
        let steps = words.iter().zip(pairs).map(|(word, numbers)| {
            let [a, b] = numbers.map(|number| number as f32);
            match word.as_str() {
                "add" => Ok(Pointwise::Add(a)),
                "multiply" => Ok(Pointwise::Multiply(a)),
                "clamp" => Ok(Pointwise::Clamp(a, b)),
                "hardSigmoid" => Ok(Pointwise::HardSigmoid(a, b)),
                "hardSwish" => Ok(Pointwise::HardSwish),
                "leakyRelu" => Ok(Pointwise::LeakyRelu(a)),
                other => {
                    Activation::from_name(other).map(Pointwise::Activate).ok_or_else(|| request.unsupported(other))
                }
            }
        });
        steps.collect::<Result<_, _>>().map(Self)
    }

    /// The function that a product's own kernel can apply, if the chain begins with one, and what follows it.
    pub(super) fn split(&self) -> (Activation, Self) {
        match self.0.split_first() {
            Some((Pointwise::Activate(activation), rest)) => (*activation, Self(rest.to_vec())),
            _ => (Activation::Identity, self.clone()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Applies all functions to each element.
    pub(super) fn apply(&self, kernels: &Kernels, row: &mut [f32]) {
        kernels.pointwise(&self.0, row);
    }
}

struct Alone {
    chain: Chain,
}

fn chain(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    if request.result()?.dtype != request.operand(0)?.dtype {
        return Err(BuildError::Value("chain: the result has another type".into()));
    }
    Ok(Box::new(Alone { chain: Chain::new(request, "steps")? }))
}

impl Op for Alone {
    fn label(&self) -> String {
        format!("chain of {}", self.chain.0.len())
    }

    fn in_place(&self) -> &[usize] {
        &[0]
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let (x, out) = (operands[0].elements::<f32>(), results[0].elements::<f32>());
        if cx.in_place.is_none() {
            if x.len() != out.len() {
                return Err(RunError::Operand(format!("{} results of {} elements", out.len(), x.len())));
            }
            cx.for_each(out.chunks_mut(PIECE).zip(x.chunks(PIECE)).collect(), |(out, x): (&mut [f32], &[f32])| {
                out.copy_from_slice(x);
                self.chain.apply(cx.engine.kernels(), out);
            });
        } else {
            cx.for_each(out.chunks_mut(PIECE).collect(), |out: &mut [f32]| self.chain.apply(cx.engine.kernels(), out));
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
    fn functions_are_applied_one_after_the_other() {
        let x: Vec<f32> = (0..5000).map(|i| i as f32 / 500.0 - 5.0).collect();
        let words = ["multiply", "add", "hardSwish", "clamp", "leakyRelu", "hardSigmoid", "relu"].map(String::from);
        let numbers = vec![2.0, 0.0, -1.0, 0.0, 0.0, 0.0, -0.3, 4.0, 0.5, 0.0, 0.2, 0.5, 0.0, 0.0];
        let attributes = [("steps", Attribute::Texts(words.to_vec())), ("stepsNumbers", Attribute::Floats(numbers))];
        let found = run("chain", &[Given::new(Float32, &[5000], &x)], &attributes, &[(Float32, &[5000])], 2).unwrap();
        for (got, x) in found[0].elements::<f32>().iter().zip(x) {
            let x = f64::from(x) * 2.0 - 1.0;
            let x = (x * (x + 3.0).clamp(0.0, 6.0) / 6.0).clamp(-0.3, 4.0);
            let x = (if x < 0.0 { x * 0.5 } else { x }) * 0.2 + 0.5;
            let want = x.clamp(0.0, 1.0);
            assert!((f64::from(*got) - want).abs() < 1e-6, "{got}, not {want}");
        }
    }
}

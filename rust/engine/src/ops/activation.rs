//! Activations that follow no product.

use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::Activation;
use crate::plan::{BuildError, DataType, RunError};

const FLOAT32: Types = Types::of(&[DataType::Float32]);

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "gelu", types: FLOAT32, make: activation },
    Kind { name: "relu", types: FLOAT32, make: activation },
    Kind { name: "tanh", types: FLOAT32, make: activation },
];

/// A function of every element.
struct Function {
    name: &'static str,
    activation: Activation,
}

fn activation(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    if request.operand(0)?.dtype != request.result()?.dtype {
        return Err(BuildError::Value(format!("{}: the result has another type", request.kind)));
    }
    let found = Activation::NAMES.iter().find(|(name, _)| *name == request.kind);
    let (name, activation) = *found.ok_or_else(|| request.unsupported("no such function"))?;
    Ok(Box::new(Function { name, activation }))
}

impl Op for Function {
    fn label(&self) -> String {
        self.name.into()
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
        let out = results[0].elements::<f32>();
        if cx.in_place.is_none() {
            let x = operands[0].elements::<f32>();
            if x.len() != out.len() {
                return Err(RunError::Operand(format!("{} results of {:?}", out.len(), operands[0].shape)));
            }
            cx.engine.activate(self.activation, x, out);
        } else {
            cx.engine.activate_in_place(self.activation, out);
        }
        Ok(())
    }
}

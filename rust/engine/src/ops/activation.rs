//! Activations that follow no product.

use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};
use crate::{Activation, Isa, Kernels};

const FLOAT32: Types = Types::of(&[DataType::Float32]);

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "gelu", types: FLOAT32, make: activation },
    Kind { name: "relu", types: FLOAT32, make: activation },
    Kind { name: "tanh", types: FLOAT32, make: activation },
];

/// Operations an element costs, roughly.
const OPERATIONS: usize = 16;

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
            out.copy_from_slice(x);
        }
        let size = out.len().div_ceil(cx.pieces(out.len() * OPERATIONS)).max(1);
        let kernels = *cx.engine.kernels();
        cx.for_each(out.chunks_mut(size).collect(), |piece: &mut [f32]| {
            if self.activation == Activation::Gelu {
                piece.chunks_mut(BLOCK).for_each(|block| gelu(&kernels, block));
            } else {
                kernels.activate(self.activation, piece);
            }
        });
        Ok(())
    }
}

/// Elements whose exact values are computed together.
const BLOCK: usize = 256;

/// Behind a product GELU is as near as the argument's last place; by itself it is as near as the result's.
///
/// Below -1 the two differ by more than the operator may be off; there the definition is taken.
fn gelu(kernels: &Kernels, block: &mut [f32]) {
    let mut left = [0.0; BLOCK];
    let mut count = 0;
    for x in block.iter().filter(|x| **x < -1.0) {
        left[count] = *x;
        count += 1;
    }
    let mut is_left = [false; BLOCK];
    for (is_left, x) in is_left.iter_mut().zip(block.iter()) {
        *is_left = *x < -1.0;
    }
    kernels.activate(Activation::Gelu, block);
    if count > 0
        && let Some(exact) = Kernels::for_isa(Isa::Scalar)
    {
        exact.activate(Activation::Gelu, &mut left[..count]);
        let places = block.iter_mut().zip(is_left).filter(|(_, is_left)| *is_left);
        places.zip(left).for_each(|((place, _), x)| *place = x);
    }
}

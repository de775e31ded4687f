//! Linear layers whose constant weights stay in few bits and are multiplied as floats.

use super::packed_layer::{Given, Layer, PACKED, given, layer};
use super::{Context, Kind, Op, Request, Tensor, TensorMut, Types};
use crate::plan::{BuildError, DataType, RunError};
use crate::{Activation, Steps, StoredLayer, StoredMatrix, Weights};

pub(super) const KINDS: &[Kind] =
    &[Kind { name: "storedLayer", types: Types::of(&[DataType::Float32]), make: stored_layer }];

/// Computes in floats; operands: those of [`layer`].
struct Stored {
    weights: StoredMatrix,
    activation: Activation,
    label: String,
}

fn stored_layer(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let Layer { shape, strides, weights, dtype, scales, zeros, blocks, activation, parts } = layer(request)?;
    let bytes: &[u8] = (**weights).as_ref();
    let kept = match dtype {
        DataType::Float16 => Weights::Float16(bytemuck::cast_slice(bytes)),
        DataType::Int8 => Weights::Int8(bytemuck::cast_slice(bytes)),
        DataType::Uint8 => Weights::Uint8(bytes),
        DataType::Int4 => Weights::Int4(bytemuck::cast_slice(bytes)),
        DataType::Uint4 => Weights::Uint4(bytes),
        other => return Err(request.unsupported(format!("weights of {other}"))),
    };
    // The integers are at most 255, which floats hold.
    let zeros: Option<Vec<f32>> = zeros.map(|zeros| zeros.into_iter().map(|zero| zero as f32).collect());
    let block = (shape[0] / blocks).max(1);
    let steps = scales.as_ref().map(|scales| Steps { scales, zeros: zeros.as_deref(), block });
    let weights = request.engine.pack_stored(kept, shape, strides, steps);
    Ok(Box::new(Stored { weights, activation, label: format!("{dtype} linear{parts}") }))
}

impl Op for Stored {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn taken(&self) -> &[usize] {
        &PACKED
    }

    fn run(
        &self,
        operands: &[Tensor<'_>],
        results: &mut [TensorMut<'_>],
        cx: &mut Context<'_>,
    ) -> Result<(), RunError> {
        let Given { x, bias, residual, factor, out } = given(operands, results, [self.weights.k(), self.weights.n()])?;
        let layer = StoredLayer { weights: &self.weights, bias, activation: self.activation, factor, residual };
        cx.engine.stored_linear(x, layer, out);
        Ok(())
    }
}

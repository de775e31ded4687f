"""The LSTM that ONNX Runtime's quantiser writes, with its weights in 8 bits and its states in float32.

The kernel of DynamicQuantizeLSTM rounds the data of all rows together to 8 bits, and the hidden state anew at every
step; its documentation says neither. WebNN's lstm has no such rounding, so a user has to ask for one without.
"""

from __future__ import annotations

from typing import Final

from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.node import OnnxNode
from webnn_translator.ops.layout import reshape_to, transposed
from webnn_translator.ops.quantize import dequantised
from webnn_translator.ops.recurrent import run_recurrent
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []

_ATTRIBUTES: Final = (
    *("activations", "activation_alpha", "activation_beta"),
    *("clip", "direction", "hidden_size", "input_forget"),
)


@onnx_op("DynamicQuantizeLSTM", domain="com.microsoft", attributes=_ATTRIBUTES)
def dynamic_quantize_lstm(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """An LSTM of the dequantised weights, where data that is not rounded was asked for."""
    if ctx.float_states is None:
        raise Refused(
            "ONNX Runtime rounds its data and its hidden state to 8 bits at every step, which WebNN's lstm does not; "
            "--lstm-states float32 converts it with the same weights and no such rounding"
        )
    ctx.float_states.append(node.name)
    weight = _weights(ctx, node.input(1), node.input(8), node.optional(9))
    recurrent_weight = _weights(ctx, node.input(2), node.input(10), node.optional(11))
    return run_recurrent(ctx, node, "LSTM", weight, recurrent_weight)


def _weights(ctx: Context, tensor: Tensor, scale: Tensor, zero: Tensor | None) -> Tensor:
    """[directions, gates * hidden, inputs], as LSTM has them, of [directions, inputs, gates * hidden] in 8 bits."""
    if tensor.rank != 3:
        raise Refused(f"the weights are {tensor}; rank 3 is needed")
    directions = ctx.size(tensor.shape[0], "the number of directions")
    inputs = ctx.size(tensor.shape[1], "the size of a step")
    # One number for each direction, or for each of its columns.
    parts = [part if part is None else reshape_to(ctx, part, _spread(ctx, part, directions)) for part in (scale, zero)]
    whole = dequantised(ctx, tensor, parts[0] or scale, parts[1], axis=1, block=inputs)
    return transposed(ctx, whole, (0, 2, 1))


def _spread(ctx: Context, part: Tensor, directions: int) -> tuple[int, int, int]:
    sizes = [ctx.size(dim, "a scale or zero point") for dim in part.shape]
    if len(sizes) not in (1, 2) or sizes[0] != directions:
        raise Refused(f"a scale or zero point is {part}; one for each of {directions} directions is needed")
    return directions, 1, sizes[1] if len(sizes) == 2 else 1

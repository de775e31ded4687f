"""From emitted nodes to a serialised ONNX model, and what the session must be given beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from webnn_runtime.backends.onnxruntime import proto
from webnn_runtime.backends.onnxruntime.types import ELEM_TYPES, INT64
from webnn_runtime.format.dims import Dim
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, TensorType
from webnn_runtime.format.records import dataclass

__all__ = ["INLINE_BYTES", "Call", "Needed", "OnnxModel", "serialize"]

# Larger constants stay where they are (a memory map) and are handed to the session as arrays.
INLINE_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class Needed:
    """Elements without which an operator has no result, where ONNX gives an infinity, or fails in words of its own.

    Attributes:
        label: names the WebNN node.
        op: its operator.
        elements: how many there are to choose from.
        results: how many are chosen; where there are none, nothing is needed.
        reason: what is wrong without elements, and what would be right.
    """

    label: str
    op: str
    elements: Dim
    results: Dim
    reason: str


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A serialised model and what its session needs.

    Attributes:
        data: ModelProto.
        inputs: WebNN input name -> ONNX name, in declared order.
        dims: ONNX name of a further input -> dimension name whose value it is (int64 [1]).
        outputs: ONNX names in the order of the graph's outputs.
        weights: initializers that the session is given as arrays.
        tables: those of them that are only gathered from.
        needed: what operators may find to be missing.
        nodes: number of ONNX nodes.
        multiplies_half: whether matrices of float16 are multiplied.
    """

    data: bytes
    inputs: Mapping[str, str]
    dims: Mapping[str, str]
    outputs: tuple[str, ...]
    weights: Mapping[str, Array]
    tables: frozenset[str]
    needed: tuple[Needed, ...]
    nodes: int
    multiplies_half: bool


@dataclass(frozen=True, slots=True)
class Call:
    """One ONNX node; `label` names the WebNN node it comes from."""

    op_type: str
    label: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, proto.Attribute]


def serialize(
    name: str,
    calls: Sequence[Call],
    *,
    arrays: Mapping[str, tuple[Array, int]],
    inputs: Mapping[str, tuple[str, TensorType]],
    dims: Mapping[str, str],
    outputs: Mapping[str, TensorType],
    described: Mapping[str, TensorType],
    needed: Sequence[Needed],
) -> OnnxModel:
    """The model of the calls that the outputs depend on.

    Args:
        name: of the ONNX graph.
        calls: nodes in order.
        arrays: constants and their ONNX types, by name.
        inputs: WebNN input name -> ONNX name and type.
        dims: ONNX name of a further input -> dimension name.
        outputs: ONNX name -> type.
        described: types of values in between.
        needed: what operators may find to be missing.
    """
    kept, live = _needed(calls, outputs)
    used = {key: item for key, item in arrays.items() if key in live}
    # onnxruntime infers shapes from the sizes of parts, however many there are.
    sizes = {key for call in kept if call.op_type == "Split" for key in call.inputs[1:]}
    weights = {
        key: array
        for key, (array, elem_type) in used.items()
        if array.nbytes > INLINE_BYTES and not _is_packed(elem_type) and key not in sizes
    }
    body = proto.graph(
        name,
        nodes=(
            proto.node(call.op_type, f"{call.label}/{index}", call.inputs, call.outputs, call.attributes)
            for index, call in enumerate(kept)
        ),
        initializers=(
            proto.external_tensor(key, elem_type, array.shape)
            if key in weights
            else proto.tensor(key, elem_type, array.shape, _raw(array, elem_type))
            for key, (array, elem_type) in used.items()
        ),
        inputs=[
            *(_info(onnx_name, kind) for onnx_name, kind in inputs.values()),
            *(proto.value_info(onnx_name, INT64, (1,)) for onnx_name in dims),
        ],
        outputs=(_info(key, kind) for key, kind in outputs.items()),
        values=(_info(key, kind) for key, kind in described.items() if key in live),
    )
    return OnnxModel(
        proto.model(body),
        {key: onnx_name for key, (onnx_name, _) in inputs.items()},
        dict(dims),
        tuple(outputs),
        weights,
        frozenset(key for key in weights if _is_table(key, kept)),
        tuple(needed),
        len(kept),
        any(call.op_type == "MatMul" and _is_half(described.get(call.outputs[0])) for call in kept),
    )


def _needed(calls: Sequence[Call], outputs: Mapping[str, TensorType]) -> tuple[list[Call], set[str]]:
    live = set(outputs)
    kept: list[Call] = []
    for call in reversed(calls):
        if not live.isdisjoint(call.outputs):
            kept.append(call)
            live.update(call.inputs)
    kept.reverse()
    return kept, live


def _is_half(kind: TensorType | None) -> bool:
    return kind is not None and kind.dtype is DataType.FLOAT16


def _info(name: str, kind: TensorType) -> bytes:
    return proto.value_info(name, ELEM_TYPES[kind.dtype], kind.shape)


def _is_table(name: str, calls: Sequence[Call]) -> bool:
    return all(call.op_type == "Gather" and call.inputs[0] == name for call in calls if name in call.inputs)


def _is_packed(elem_type: int) -> bool:
    # onnxruntime takes supplied arrays by their own shape, which two values to the byte would belie.
    return elem_type in (ELEM_TYPES[DataType.INT4], ELEM_TYPES[DataType.UINT4])


def _raw(array: Array, elem_type: int) -> bytes:
    if not _is_packed(elem_type):
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    flat = array.reshape(-1).view(np.uint8) & 0x0F
    if flat.size % 2:
        flat = np.append(flat, np.uint8(0))
    return (flat[0::2] | flat[1::2] << 4).tobytes()

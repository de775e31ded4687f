"""A second opinion on every shape: onnx's own inference, and what the file states, against what was derived here.

onnx's inference is C++ that a hostile model can crash or keep busy. It runs in a process of its own with limits, on
the model without its weights; where it fails or finds nothing, there is no second opinion.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import onnx
from google.protobuf.message import DecodeError

from webnn_runtime.format.dims import Dim, SymbolicDim
from webnn_translator._errors import InvalidModel, TranslateError
from webnn_translator.elements import Elem

__all__ = ["cross_check"]

Kind: TypeAlias = "tuple[Elem, tuple[Dim, ...]]"
# Inference needs the values of shapes and axes, not of weights.
_SMALL: Final = 1 << 10
_SECONDS: Final = 30
_MEMORY: Final = 4 << 30
_CHILD: Final = f"""
import sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, ({_MEMORY}, {_MEMORY}))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except ImportError:
    pass
import onnx, onnx.shape_inference
model = onnx.ModelProto.FromString(sys.stdin.buffer.read())
found = onnx.shape_inference.infer_shapes(model, data_prop=True)
sys.stdout.buffer.write(found.SerializeToString())
"""


def cross_check(model: onnx.ModelProto, values: Mapping[str, Kind], *, is_run: bool = False) -> list[str]:
    """Compare types and shapes that were derived with those of onnx and of the file.

    Args:
        model: the source; large values may be outside.
        values: ONNX value name -> type and shape as derived, dimensions bound.
        is_run: whether the source is going to be run beside the result, which compares shapes.

    Returns:
        What a user should know: statements of the file that are out of date.

    Raises:
        TranslateError: onnx derives another shape than was derived here: one of the two is wrong.
        InvalidModel: the file states another shape, and neither does onnx side with what was derived, nor will a run.
    """
    inferred = {value.name: value.type.tensor_type for value in _infer(_light(model, values))}
    stale: list[str] = []
    for name, kind in values.items():
        known = inferred.get(name)
        if known is not None and (found := _contradiction(known, kind)):
            raise TranslateError(f"value '{name}' is {_shown(kind)} here, but onnx infers {found}; please report this")
    for value in (*model.graph.value_info, *model.graph.output):
        if value.name not in values:
            continue
        stated = _contradiction(value.type.tensor_type, values[value.name], from_file=True)
        if not stated:
            continue
        known = inferred.get(value.name)
        is_open = known is None or not known.HasField("shape") or known.elem_type != int(values[value.name][0])
        if is_open and not is_run:
            raise InvalidModel(f"value '{value.name}' is {_shown(values[value.name])}, but the file states {stated}")
        stale.append(f"the file states {stated} for '{value.name}', which is {_shown(values[value.name])}: out of date")
    return stale


def _infer(model: onnx.ModelProto) -> Iterable[Any]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        ran = subprocess.run(
            [sys.executable, "-c", _CHILD],
            input=model.SerializeToString(),
            capture_output=True,
            timeout=_SECONDS,
            check=True,
            env=environment,
        )
        graph = onnx.ModelProto.FromString(ran.stdout).graph
    except (OSError, subprocess.SubprocessError, DecodeError, ValueError):
        return ()
    return (*graph.value_info, *graph.output)


def _light(model: onnx.ModelProto, values: Mapping[str, Kind]) -> onnx.ModelProto:
    """The model without weights and without statements about shapes, its inputs as they are derived."""
    light = onnx.ModelProto()
    light.CopyFrom(model)
    graph = light.graph
    del graph.value_info[:]
    for value in graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")
    for value in graph.input:
        if value.name in values:
            value.CopyFrom(_declared(value.name, values[value.name]))
    kept = []
    for tensor in graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.ByteSize() > _SMALL:
            if all(value.name != tensor.name for value in graph.input):
                graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        else:
            kept.append(tensor)
    small = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
    del graph.initializer[:]
    graph.initializer.extend(small)
    return light


def _declared(name: str, kind: Kind) -> onnx.ValueInfoProto:
    elem, shape = kind
    return onnx.helper.make_tensor_value_info(
        name, int(elem), [str(dim) if isinstance(dim, SymbolicDim) else dim for dim in shape]
    )


def _contradiction(stated: Any, kind: Kind, *, from_file: bool = False) -> str:
    """How a stated type differs for certain; empty where it agrees or leaves it open.

    With `from_file`, 0 and -1 say nothing: exporters write them for "unknown".
    """
    elem, shape = kind
    words = f"{_name(stated.elem_type)}[{', '.join(_dim(dim) for dim in stated.shape.dim)}]"
    if stated.elem_type and stated.elem_type != int(elem):
        return words
    if not stated.HasField("shape"):
        return ""
    if len(stated.shape.dim) != len(shape):
        return words
    for dim, own in zip(stated.shape.dim, shape, strict=True):
        if not dim.HasField("dim_value") or (from_file and dim.dim_value <= 0) or isinstance(own, SymbolicDim):
            continue
        if dim.dim_value != own:
            return words
    return ""


def _name(elem: int) -> str:
    try:
        return Elem(elem).text
    except ValueError:
        return f"type {elem}"


def _dim(dim: Any) -> str:
    return str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?"


def _shown(kind: Kind) -> str:
    return f"{kind[0].text}[{', '.join(map(str, kind[1]))}]"

"""Small ONNX models built in code, and the comparison of their translation with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from webnn_runtime.backends import get_backend
from webnn_translator.translate import Translation, translate
from webnn_translator.verify.reference import AVOIDED

Arrays = Mapping[str, np.ndarray]


def _model(
    nodes: Sequence[Any],
    inputs: Mapping[str, tuple[Any, Sequence[Any]]],
    outputs: Sequence[str] = ("y",),
    *,
    opset: int = 17,
    constants: Arrays | None = None,
    domains: Sequence[tuple[str, int]] = (),
    functions: Sequence[Any] = (),
) -> onnx.ModelProto:
    """A model; `inputs` is name -> (NumPy type, dimensions); output types are left to the readers."""
    types = {name: helper.np_dtype_to_tensor_dtype(np.dtype(dtype)) for name, (dtype, _) in inputs.items()}
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, types[name], list(shape)) for name, (_, shape) in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(*entry) for entry in domains)]
    model = helper.make_model(graph, opset_imports=imports, functions=list(functions))
    model.ir_version = min(model.ir_version, 10)
    return model


def _typed(model: onnx.ModelProto) -> onnx.ModelProto:
    """ONNX Runtime wants to know the types of outputs."""
    known = onnx.shape_inference.infer_shapes(model)
    for value in known.graph.output:
        if not value.type.HasField("tensor_type"):
            value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, None))
    return known


@pytest.fixture
def build() -> Callable[..., onnx.ModelProto]:
    """`build(nodes, inputs, outputs, opset=..., constants=...)`."""
    return _model


@pytest.fixture
def agree(optional: Callable[[str], Any]) -> Callable[..., Translation]:
    """Translate a model, run both on the same arrays, and demand equal types, shapes and values."""
    runtime = optional("onnxruntime")

    def check(model: onnx.ModelProto, *feeds: Arrays, tolerance: float = 1e-5, **options: Any) -> Translation:
        translation = translate(model, **options)
        ours = get_backend("numpy").compile(translation.graph)
        quiet = runtime.SessionOptions()
        quiet.log_severity_level = 4
        if AVOIDED:
            # From here on it would go through the same code by another name.
            quiet.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        session = runtime.InferenceSession(
            _typed(model).SerializeToString(), quiet, ["CPUExecutionProvider"], disabled_optimizers=AVOIDED
        )
        names = [value.name for value in model.graph.output]
        for feed in feeds:
            carried = {
                translation.input_names[name]: array.astype(np.uint8) if array.dtype == np.bool_ else array
                for name, array in feed.items()
                if name in translation.input_names
            }
            found = ours.run(carried)
            for name, wanted in zip(names, session.run(names, dict(feed)), strict=True):
                result = found[translation.output_names[name]]
                expected = wanted.astype(np.uint8) if wanted.dtype == np.bool_ else wanted
                assert result.dtype == expected.dtype
                assert result.shape == expected.shape
                np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)
        return translation

    return check

"""A small network for images after ONNX Runtime's optimiser and quantiser: converted, it keeps its numbers."""

from __future__ import annotations

import logging

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from webnn_runtime.backends import get_backend
from webnn_translator._errors import TranslateError
from webnn_translator.translate import translate

N = helper.make_node
# The file, and an operator that shows that it is what its name says.
FILES = {
    "extended": "FusedConv",
    "QDQ": "QuantizeLinear",
    "QOperator": "QLinearConv",
    "dynamic": "ConvInteger",
}


def source() -> onnx.ModelProto:
    """Convolutions with activations, a sum, pools and a matrix product."""
    random = np.random.default_rng(4)
    shapes = {"w1": (8, 3, 3, 3), "w2": (8, 8, 3, 3), "w3": (8, 1, 3, 3), "w4": (10, 8)}
    weights = {name: (random.standard_normal(shape) * 0.3).astype(np.float32) for name, shape in shapes.items()}
    weights |= {name: random.standard_normal(size).astype(np.float32) for name, size in (("b1", 8), ("b4", 10))}
    pads = {"pads": [1, 1, 1, 1]}
    nodes = [
        N("Conv", ["x", "w1", "b1"], ["c1"], strides=[2, 2], **pads),
        N("Relu", ["c1"], ["r1"]),
        N("Conv", ["r1", "w2", "b1"], ["c2"], **pads),
        N("Add", ["c2", "r1"], ["s2"]),
        N("Relu", ["s2"], ["r2"]),
        N("MaxPool", ["r2"], ["p2"], kernel_shape=[2, 2], strides=[2, 2]),
        N("Conv", ["p2", "w3"], ["c3"], group=8, **pads),
        N("LeakyRelu", ["c3"], ["r3"], alpha=0.1),
        N("GlobalAveragePool", ["r3"], ["p3"]),
        N("Flatten", ["p3"], ["f3"]),
        N("Gemm", ["f3", "w4", "b4"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "images",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory, optional):
    """All files."""
    runtime = optional("onnxruntime")
    quantization = optional("onnxruntime.quantization")
    made = tmp_path_factory.mktemp("images")
    onnx.save(source(), made / "source.onnx")
    levels = runtime.GraphOptimizationLevel
    for name, level in (("extended", levels.ORT_ENABLE_EXTENDED), ("layout", levels.ORT_ENABLE_ALL)):
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = level
        options.optimized_model_filepath = str(made / f"{name}.onnx")
        runtime.InferenceSession(str(made / "source.onnx"), options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(5)
    images = [{"x": random.standard_normal((1, 3, 16, 16)).astype(np.float32)} for _ in range(3)]

    class Images(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.rest = list(images)

        def get_next(self) -> object:
            return self.rest.pop() if self.rest else None

    logging.disable(logging.WARNING)
    # Products of unsigned and signed bytes saturate on some processors, those of unsigned ones never do.
    types = {"weight_type": quantization.QuantType.QUInt8, "activation_type": quantization.QuantType.QUInt8}
    for name in ("QDQ", "QOperator"):
        form = getattr(quantization.QuantFormat, name)
        target = made / f"{name}.onnx"
        quantization.quantize_static(
            made / "source.onnx", target, Images(), quant_format=form, per_channel=True, **types
        )
    quantization.quantize_dynamic(made / "source.onnx", made / "dynamic.onnx")
    logging.disable(logging.NOTSET)
    return made


def check(name, folder, backend, runtime) -> None:
    """Run both."""
    model = onnx.load(folder / f"{name}.onnx")
    assert FILES[name] in {node.op_type for node in model.graph.node}
    images = np.random.default_rng(6).standard_normal((2, 3, 16, 16)).astype(np.float32)
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = runtime.InferenceSession(str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"])
    found = backend.compile(translate(model).graph).run({"x": images})["y"]
    np.testing.assert_allclose(found, session.run(None, {"x": images})[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["extended", "QOperator", "dynamic"])
def test_files_of_the_optimiser_and_the_quantiser_keep_their_numbers(name, folder, backend, optional) -> None:
    check(name, folder, backend, optional("onnxruntime"))


def test_a_file_with_quantised_edges_keeps_its_numbers(folder, optional) -> None:
    # On the definitions: ONNX Runtime's integer kernels decide some ties in another way, by a whole step.
    check("QDQ", folder, get_backend("numpy"), optional("onnxruntime"))


def test_a_layout_for_one_processor_is_refused(folder) -> None:
    with pytest.raises(TranslateError, match=r"com\.microsoft\.nchwc.*level extended at most"):
        translate(onnx.load(folder / "layout.onnx"))

"""A small encoder through ONNX Runtime's own quantisers: its weights stay packed on the way, and the numbers are equal.

Whether they are is the conversion's own check, against ONNX Runtime on the quantised file.
"""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from webnn_runtime import load
from webnn_translator.bundling import ConvertOptions, convert_model

WORDS, HIDDEN, INNER, LONGEST, HEADS = 96, 64, 128, 32, 4
N = helper.make_node


def constants() -> dict[str, np.ndarray]:
    """Six matrices of products, two tables, biases, gains and sizes."""
    rng = np.random.default_rng(3)

    def normal(*shape: int, scale: float = 0.2) -> np.ndarray:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    made = {"words": normal(WORDS, HIDDEN, scale=1), "places": normal(LONGEST, HIDDEN, scale=0.3)}
    for name in "qkvo":
        made |= {f"w_{name}": normal(HIDDEN, HIDDEN), f"b_{name}": normal(HIDDEN)}
    made |= {"w_up": normal(HIDDEN, INNER), "b_up": normal(INNER)}
    made |= {"w_down": normal(INNER, HIDDEN), "b_down": normal(HIDDEN)}
    for index in range(3):
        made |= {f"gain_{index}": 1 + normal(HIDDEN), f"offset_{index}": normal(HIDDEN)}
    sizes = {"heads": [0, 0, HEADS, HIDDEN // HEADS], "flat": [0, 0, HIDDEN], "first": [0], "step": [1], "one_axis": 1}
    made |= {name: np.asarray(value, np.int64) for name, value in sizes.items()}
    numbers = {"scale": (HIDDEN // HEADS) ** -0.5, "half": 0.5, "one": 1.0, "root": 2**0.5}
    return made | {name: np.asarray(value, np.float32) for name, value in numbers.items()}


def encoder() -> onnx.ModelProto:
    """One layer of an encoder of texts, as exporters write it."""

    def linear(x: str, name: str) -> list[onnx.NodeProto]:
        return [N("MatMul", [x, f"w_{name}"], [f"m_{name}"]), N("Add", [f"m_{name}", f"b_{name}"], [f"a_{name}"])]

    def normalised(x: str, index: int, y: str) -> onnx.NodeProto:
        return N("LayerNormalization", [x, f"gain_{index}", f"offset_{index}"], [y], axis=-1)

    def head(name: str, *order: int) -> list[onnx.NodeProto]:
        return [
            *linear("x", name),
            N("Reshape", [f"a_{name}", "heads"], [f"r_{name}"]),
            N("Transpose", [f"r_{name}"], [f"t_{name}"], perm=list(order)),
        ]

    nodes = [
        N("Gather", ["words", "input_ids"], ["word"]),
        N("Shape", ["input_ids"], ["sizes"]),
        N("Gather", ["sizes", "one_axis"], ["length"]),
        N("Unsqueeze", ["length", "first"], ["lengths"]),
        N("Slice", ["places", "first", "lengths", "first", "step"], ["place"]),
        N("Add", ["word", "place"], ["x_0"]),
        normalised("x_0", 0, "x"),
        *head("q", 0, 2, 1, 3),
        *head("k", 0, 2, 3, 1),
        *head("v", 0, 2, 1, 3),
        N("MatMul", ["t_q", "t_k"], ["scores"]),
        N("Mul", ["scores", "scale"], ["scaled"]),
        N("Softmax", ["scaled"], ["weights"], axis=-1),
        N("MatMul", ["weights", "t_v"], ["mixed"]),
        N("Transpose", ["mixed"], ["back"], perm=[0, 2, 1, 3]),
        N("Reshape", ["back", "flat"], ["context"]),
        *linear("context", "o"),
        N("Add", ["a_o", "x"], ["x_1"]),
        normalised("x_1", 1, "y"),
        *linear("y", "up"),
        N("Div", ["a_up", "root"], ["divided"]),
        N("Erf", ["divided"], ["erf"]),
        N("Add", ["erf", "one"], ["erf_1"]),
        N("Mul", ["a_up", "erf_1"], ["doubled"]),
        N("Mul", ["doubled", "half"], ["activated"]),
        *linear("activated", "down"),
        N("Add", ["a_down", "y"], ["x_2"]),
        normalised("x_2", 2, "vectors"),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", "length", HIDDEN])],
        [numpy_helper.from_array(array, name) for name, array in constants().items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class Texts:
    """Inputs that ONNX Runtime takes ranges from."""

    def __init__(self) -> None:
        rng = np.random.default_rng(4)
        self._left = [{"input_ids": rng.integers(0, WORDS, (2, 12))} for _ in range(4)]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self._left.pop() if self._left else None


def quantised(source: Path, target: Path, way: str) -> None:
    """The file `source` in another form, by the tool that people use for it."""
    if way == "float16":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), target)
        return
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    name, _, detail = way.partition(" ")
    if name == "blocks":
        from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

        form = QuantFormat.QDQ if detail == "QDQ" else QuantFormat.QOperator
        config = DefaultWeightOnlyQuantConfig(32, is_symmetric=detail == "symmetric", bits=4, quant_format=form)
        made = MatMulNBitsQuantizer(onnx.load(source), algo_config=config)
        made.process()
        onnx.save(made.model.model, target)
    elif name == "dynamic":
        kind = QuantType.QInt8 if detail == "channels" else QuantType.QUInt8
        quantize_dynamic(source, target, per_channel=detail == "channels", weight_type=kind)
    else:
        form = QuantFormat[name]
        kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
        quantize_static(source, target, Texts(), quant_format=form, per_channel=detail == "channels", **kinds)


# What the eight constants of 1,024 values or more become: six matrices and two tables. Dynamic quantisation and 4 bits
# leave the places, which are sliced, and 4 bits the words as well.
PACKED = {
    "dynamic channels": {"int8": 6, "uint8": 1, "float32": 1},
    "dynamic tensor": {"uint8": 7, "float32": 1},
    "QDQ channels": {"int8": 6, "uint8": 1, "float32": 1},
    "QDQ tensor": {"int8": 6, "uint8": 1, "float32": 1},
    "QOperator channels": {"int8": 6, "uint8": 1, "float32": 1},
    "QOperator tensor": {"int8": 6, "uint8": 1, "float32": 1},
    "blocks symmetric": {"uint4": 6, "float32": 2},
    "blocks zeros": {"uint4": 6, "float32": 2},
    "blocks QDQ": {"uint4": 6, "float32": 2},
    "float16": {"float16": 8},
}


# Products whose integers are summed as integers; queries, keys and values are one where they share their ranges.
RUN_TIME, FIXED = "linear(integers, ranges at run time)", "linear(integers, fixed ranges)"
SUMS = {
    "dynamic channels": (RUN_TIME, 4),
    "dynamic tensor": (RUN_TIME, 4),
    "QDQ channels": (FIXED, 6),
    "QDQ tensor": (FIXED, 6),
    "QOperator channels": (FIXED, 6),
    "QOperator tensor": (FIXED, 6),
}


@pytest.mark.parametrize("way", PACKED)
def test_weights_that_are_packed_stay_so(way, tmp_path, optional) -> None:
    optional("webnn_kernels")
    onnx.save(encoder(), tmp_path / "float.onnx")
    before = logging.root.level
    # It warns that it was not told to prepare the graph first, which changes nothing here.
    logging.disable(logging.WARNING)
    try:
        quantised(tmp_path / "float.onnx", tmp_path / "model.onnx", way)
    finally:
        logging.disable(logging.NOTSET)
        logging.root.setLevel(before)
    done = convert_model(str(tmp_path / "model.onnx"), tmp_path / "made", ConvertOptions())
    assert done.certificate is not None
    assert done.certificate.passed
    assert {verdict.backend for verdict in done.certificate.verdicts} >= {"numpy", "onnxruntime", "rust"}
    running = load(done.folder, "rust", strict=True)
    large = [c for c in running.graph.constants.values() if c.type.size >= 1024]
    assert Counter(constant.type.dtype.value for constant in large) == PACKED[way]
    found = running.describe()
    assert found["all_native"], found["on_reference"]
    # Eight bits of 6 x 64 x 64 and half of that, or less, where the whole was 4 x 43,008.
    assert (done.folder / "model.weights").stat().st_size < (90_000 if way == "float16" else 60_000)
    if way in SUMS:
        label, count = SUMS[way]
        assert sum(count for name, count in found["fused"].items() if name.startswith(label)) == count
    if way.startswith("blocks"):
        assert sum(count for name, count in found["fused"].items() if name.startswith("linear(uint4 weights)")) == 4

"""What the fuzzer damages: sound ONNX models and sound bundles, as bytes, all made here or by onnx itself."""

from __future__ import annotations

import json
import runpy
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.bundle import load_bundle
from webnn_runtime.format.bundle_writing import save_bundle
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import WebnnError
from webnn_runtime.format.graph import Graph
from webnn_runtime.format.json_graph import print_json_graph
from webnn_runtime.format.names import safe_graph
from webnn_translator.translate import translate

TESTS: Final = Path(__file__).resolve().parent.parent
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


@dataclass(frozen=True)
class Sound:
    """A model or a bundle that is accepted as it is: file name -> content."""

    name: str
    files: Mapping[str, bytes]


def _value(name: str, shape: list[Any], kind: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def _model(nodes: Any, inputs: Any, outputs: Any, constants: Mapping[str, Any] | None = None, **more: Any) -> Any:
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    domains = [helper.make_opsetid(*entry) for entry in more.pop("domains", ())]
    imports = [helper.make_opsetid("", more.pop("opset", 21)), *domains]
    return helper.make_model(graph, opset_imports=imports, ir_version=10, **more)


def _encoder() -> Any:
    """An embedding, attention over heads with a shape ladder, a mask, layer normalisation and gelu; two free sizes."""
    rng = np.random.default_rng(5)
    node = helper.make_node
    nodes = [
        node("Gather", ["table", "ids"], ["x"]),
        node("Shape", ["ids"], ["s"]),
        node("Gather", ["s", "zero"], ["b"]),
        node("Gather", ["s", "one"], ["l"]),
        node("Unsqueeze", ["b", "axis0"], ["b1"]),
        node("Unsqueeze", ["l", "axis0"], ["l1"]),
        node("Concat", ["b1", "l1", "heads", "size"], ["split"], axis=0),
        node("MatMul", ["x", "w"], ["p"]),
        node("Reshape", ["p", "split"], ["h"]),
        node("Transpose", ["h"], ["q"], perm=[0, 2, 1, 3]),
        node("Transpose", ["h"], ["k"], perm=[0, 2, 3, 1]),
        node("MatMul", ["q", "k"], ["scores"]),
        node("Cast", ["mask"], ["mf"], to=FLOAT),
        node("Unsqueeze", ["mf", "axes12"], ["m4"]),
        node("Sub", ["unit", "m4"], ["inverse"]),
        node("Mul", ["inverse", "low"], ["bias"]),
        node("Add", ["scores", "bias"], ["masked"]),
        node("Softmax", ["masked"], ["probabilities"], axis=-1),
        node("MatMul", ["probabilities", "q"], ["mixed"]),
        node("Transpose", ["mixed"], ["back"], perm=[0, 2, 1, 3]),
        node("Concat", ["b1", "l1", "hidden"], ["merge"], axis=0),
        node("Reshape", ["back", "merge"], ["merged"]),
        node("LayerNormalization", ["merged", "scale", "shift"], ["normed"], axis=-1),
        node("Gelu", ["normed"], ["y"]),
    ]
    constants = {
        "table": rng.standard_normal((7, 4)).astype(np.float32),
        "w": rng.standard_normal((4, 4)).astype(np.float32),
        "scale": np.ones(4, np.float32),
        "shift": np.zeros(4, np.float32),
        "unit": np.float32(1),
        "low": np.float32(-1e4),
        "zero": np.int64(0),
        "one": np.int64(1),
        "axis0": np.int64([0]),
        "axes12": np.int64([1, 2]),
        "heads": np.int64([2]),
        "size": np.int64([2]),
        "hidden": np.int64([4]),
    }
    inputs = [_value("ids", ["batch", "length"], INT64), _value("mask", ["batch", "length"], INT64)]
    return _model(nodes, inputs, [_value("y", ["batch", "length", 4])], constants)


def _branches() -> Any:
    """An If whose condition only the run knows, one that is decided, and a Loop with a known count."""
    node = helper.make_node
    yes = helper.make_graph([node("Relu", ["x"], ["a"])], "yes", [], [_value("a", [2, 3])])
    no = helper.make_graph([node("Neg", ["x"], ["c"])], "no", [], [_value("c", [2, 3])])
    body = helper.make_graph(
        [node("Add", ["state", "x"], ["next"]), node("Identity", ["go"], ["again"])],
        "body",
        [_value("i", [], INT64), _value("go", [], BOOL), _value("state", [2, 3])],
        [_value("again", [], BOOL), _value("next", [2, 3])],
    )
    nodes = [
        node("If", ["flag"], ["u"], then_branch=yes, else_branch=no),
        node("If", ["true"], ["v"], then_branch=yes, else_branch=no),
        node("Loop", ["count", "true", "u"], ["w"], body=body),
        node("Add", ["v", "w"], ["y"]),
    ]
    inputs = [_value("x", [2, 3]), _value("flag", [], BOOL)]
    return _model(nodes, inputs, [_value("y", [2, 3])], {"true": np.bool_(True), "count": np.int64(3)})


def _functions() -> Any:
    """Functions of the model's own, one calling the other."""
    node, opset = helper.make_node, [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    inner = helper.make_function("own", "Twice", ["a"], ["b"], [node("Add", ["a", "a"], ["b"])], opset)
    outer = helper.make_function(
        "own",
        "Thrice",
        ["a"],
        ["c"],
        [node("Twice", ["a"], ["b"], domain="own"), node("Add", ["a", "b"], ["c"])],
        opset,
    )
    nodes = [node("Thrice", ["x"], ["y"], domain="own")]
    made = _model(nodes, [_value("x", ["n", 2])], [_value("y", ["n", 2])], domains=[("own", 1)], opset=17)
    made.functions.extend([inner, outer])
    return made


def _vision() -> Any:
    """Convolution, normalisation, pooling, resizing and a classifier, as exporters write them."""
    rng = np.random.default_rng(6)
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "k", "kb"], ["c"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("BatchNormalization", ["c", "s", "b", "m", "v"], ["n"], epsilon=1e-5),
        node("Relu", ["n"], ["r"]),
        node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Resize", ["p", "", "scales"], ["u"], mode="linear"),
        node("GlobalAveragePool", ["u"], ["g"]),
        node("Flatten", ["g"], ["f"]),
        node("Gemm", ["f", "w", "wb"], ["y"], transB=1),
    ]
    small = {name: rng.random(2).astype(np.float32) for name in ("kb", "s", "b", "m", "v")}
    constants = {
        **small,
        "k": rng.standard_normal((2, 1, 3, 3)).astype(np.float32),
        "scales": np.float32([1, 1, 2, 2]),
        "w": rng.standard_normal((3, 2)).astype(np.float32),
        "wb": np.zeros(3, np.float32),
    }
    return _model(nodes, [_value("x", ["n", 1, 6, 6])], [_value("y", ["n", 3])], constants, opset=17)


def _recurrent() -> Any:
    rng = np.random.default_rng(7)
    constants = {
        "w": rng.standard_normal((1, 8, 3)).astype(np.float32),
        "r": rng.standard_normal((1, 8, 2)).astype(np.float32),
        "b": rng.standard_normal((1, 16)).astype(np.float32),
    }
    nodes = [helper.make_node("LSTM", ["x", "w", "r", "b"], ["y", "h", "c"], hidden_size=2)]
    return _model(
        nodes, [_value("x", [4, 1, 3])], [_value("y", [4, 1, 1, 2]), _value("h", [1, 1, 2])], constants, opset=14
    )


def _quantised() -> Any:
    node = helper.make_node
    nodes = [
        node("DequantizeLinear", ["q", "s", "z"], ["w"], axis=1),
        node("MatMul", ["x", "w"], ["p"]),
        node("DynamicQuantizeLinear", ["p"], ["pq", "ps", "pz"]),
        node("MatMulInteger", ["pq", "q8", "pz"], ["i"]),
        node("Cast", ["i"], ["f"], to=FLOAT),
        node("Mul", ["f", "ps"], ["m"]),
        node("BiasGelu", ["m", "bias"], ["y"], domain="com.microsoft"),
    ]
    constants = {
        "q": np.int8([[1, -2], [3, 4]]),
        "s": np.float32([0.5, 0.25]),
        "z": np.int8([0, 1]),
        "q8": np.int8([[1, 2], [3, -4]]),
        "bias": np.float32([1, 2]),
    }
    return _model(
        nodes, [_value("x", ["n", 2])], [_value("y", ["n", 2])], constants, domains=[("com.microsoft", 1)], opset=17
    )


def _external() -> dict[str, bytes]:
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[2, 3], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": "model.data", "offset": "8", "length": "24"}.items():
        tensor.external_data.add(key=key, value=value)
    made = _model([helper.make_node("Add", ["x", "w"], ["y"])], [_value("x", [2, 3])], [_value("y", [2, 3])])
    made.graph.initializer.append(tensor)
    return {"model.onnx": made.SerializeToString(), "model.data": b"\0" * 8 + np.ones(6, np.float32).tobytes()}


OWN_MODELS: Final = {
    "encoder": _encoder,
    "branches": _branches,
    "functions": _functions,
    "vision": _vision,
    "recurrent": _recurrent,
    "quantised": _quantised,
}


@cache
def own_models() -> tuple[Sound, ...]:
    """Models with the structures that real ones have: shape ladders, branches, functions, external data."""
    made = [Sound(name, {"model.onnx": build().SerializeToString()}) for name, build in OWN_MODELS.items()]
    return (*made, Sound("external", _external()))


@cache
def node_models() -> tuple[Sound, ...]:
    """The models of onnx's own node tests: every operator in every version."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = sorted(load_model_tests(kind="node"), key=lambda case: case.name)
    models = ((case.name, case.model.SerializeToString()) for case in cases)
    return tuple(Sound(name, {"model.onnx": data}) for name, data in models if len(data) < 20_000)


def _case_graphs() -> Iterator[tuple[str, Graph]]:
    """One graph for each operator and combination of types in the operator cases."""
    seen: set[object] = set()
    for path in sorted((TESTS / "ops" / "cases").glob("*.py")):
        for op, name, operands, options, *_ in runpy.run_path(str(path))["CASES"]:
            arrays = [None if array is None else np.asarray(array) for array in operands]
            key = (op, tuple(options), len(arrays), arrays[0].dtype if arrays and arrays[0] is not None else None)
            if key in seen or sum(array.size for array in arrays if array is not None) > 200:
                continue
            seen.add(key)
            builder = GraphBuilder(f"{op}")
            values = [
                None
                if array is None
                else builder.constant(array, DataType.from_numpy(array.dtype), name=f"constant{place}")
                if place % 2
                else builder.input(f"operand{place}", DataType.from_numpy(array.dtype), array.shape)
                for place, array in enumerate(arrays)
            ]
            results = builder.op_many(op, *values, **options)
            yield f"{op}: {name}", builder.build({f"result{at}": value for at, value in enumerate(results)})


def _files_of(graph: Graph, name: str) -> dict[str, bytes]:
    canaries = {"certificate": {"verdict": "passed", "tolerance": 1e-4}, "canaries": []}
    with tempfile.TemporaryDirectory() as place:
        folder = save_bundle(graph, Path(place) / "b", manifest_extra={"source": {"file": f"{name}.onnx"}, **canaries})
        load_bundle(folder, verify=True)
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def as_json(files: Mapping[str, bytes], graph: Graph) -> dict[str, bytes]:
    """The same bundle with its graph as JSON."""
    return {"model.json" if name == "model.webnn" else name: data for name, data in files.items()} | {
        "model.json": print_json_graph(graph)
    }


def as_safetensors(files: Mapping[str, bytes], graph: Graph) -> dict[str, bytes]:
    """The same bundle with its values in a safetensors file, and no manifest."""
    names = {DataType.FLOAT32: "F32", DataType.FLOAT16: "F16", DataType.INT64: "I64", DataType.INT32: "I32"}
    names |= {DataType.INT8: "I8", DataType.UINT8: "U8", DataType.UINT32: "U32", DataType.UINT64: "U64"}
    header: dict[str, Any] = {}
    body = b""
    for constant in graph.constants.values():
        if constant.key is not None and constant.type.dtype in names:
            data = constant.values.tobytes()
            header[constant.key] = {
                "dtype": names[constant.type.dtype],
                "shape": list(constant.values.shape),
                "data_offsets": [len(body), len(body) + len(data)],
            }
            body += data
    text = json.dumps(header).encode()
    return {"model.webnn": files["model.webnn"], "model.safetensors": len(text).to_bytes(8, "little") + text + body}


@cache
def bundles() -> tuple[Sound, ...]:
    """A bundle for every operator, and for each of our own models, as text, JSON and safetensors in turn."""
    found: list[tuple[str, Graph]] = list(_case_graphs())
    for name, build in OWN_MODELS.items():
        try:
            found.append((name, translate(build()).graph))
        except WebnnError:
            # A model may hold what is refused today; it is damaged as a model all the same.
            continue
    made = []
    for place, (name, graph) in enumerate(found):
        safe = safe_graph(graph)[0]
        files = _files_of(safe, "model")
        if place % 4 == 2:
            files = as_json(files, safe)
        elif place % 4 == 3:
            files = as_safetensors(files, safe)
        made.append(Sound(name, files))
    return tuple(made)

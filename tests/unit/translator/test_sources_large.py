"""Large values stay in their files: memory holds one tensor at a time, wherever the weights are."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from webnn_runtime.format.bundle import load_bundle
from webnn_translator.bundling import convert_model
from webnn_translator.external import ExternalFiles
from webnn_translator.initializers import read_tensor
from webnn_translator.sources import read_onnx
from webnn_translator.sources.skeleton import skeleton

TABLES = 8
ROWS = 1 << 14


def tables(columns: int) -> Any:
    """The sum of one row of each of some tables, whose values are still to be added."""
    nodes = [helper.make_node("Gather", [f"t{k}", "ids"], [f"g{k}"]) for k in range(TABLES)]
    nodes.append(helper.make_node("Sum", [f"g{k}" for k in range(TABLES)], ["y"]))
    weights = [TensorProto(name=f"t{k}", data_type=TensorProto.FLOAT, dims=[ROWS, columns]) for k in range(TABLES)]
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", columns])
    graph = helper.make_graph(nodes, "tables", [ids], [out], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def sparse(folder: Path, columns: int) -> tuple[Path, int]:
    """The model with external values, a file of zeros that takes no room on the disk but for one value."""
    model = tables(columns)
    length = ROWS * columns * 4
    for position, tensor in enumerate(model.graph.initializer):
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": "data.bin", "offset": position * length, "length": length}.items():
            tensor.external_data.add(key=key, value=str(value))
    with (folder / "data.bin").open("wb") as stream:
        os.truncate(stream.fileno(), TABLES * length)
        stream.seek(3 * length)
        stream.write(np.float32(1.5).tobytes())
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path, length


def inside(folder: Path, columns: int) -> tuple[Path, int]:
    """The same with the values in the ONNX file."""
    model = tables(columns)
    for tensor in model.graph.initializer:
        tensor.raw_data = bytes(ROWS * columns * 4)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path, ROWS * columns * 4


PEAK = """
import sys
from pathlib import Path
from webnn_translator.bundling import ConvertOptions, convert_model
import onnx.inliner, webnn_runtime.reference, webnn_translator.registry
webnn_translator.registry.operators()

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024

Path("/proc/self/clear_refs").write_text("5")
before = peak()
convert_model(sys.argv[1], Path(sys.argv[2]), ConvertOptions(is_verified=False))
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of a process is read from Linux")
@pytest.mark.parametrize("make", [sparse, inside])
def test_memory_holds_one_tensor_at_a_time(make: Any, tmp_path: Path) -> None:
    path, largest = make(tmp_path, 384)
    assert TABLES * largest > 200e6 * 0.95
    ran = subprocess.run(
        [sys.executable, "-c", PEAK, str(path), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ran.returncode == 0, ran.stderr
    # The constant: what Python takes to translate any model at all.
    assert int(ran.stdout) < 1.3 * largest + 24e6


def test_external_values_reach_the_bundle(tmp_path: Path) -> None:
    path, _ = sparse(tmp_path, 8)
    done = convert_model(str(path), tmp_path / "out")
    constants = load_bundle(done.folder).graph.constants
    assert constants["t3"].values[0, 0] == 1.5
    assert not constants["t2"].values.any()
    assert done.certificate is not None
    assert done.certificate.passed


def test_files_beside_the_model_are_part_of_what_it_was_made_from(tmp_path: Path) -> None:
    path, _ = sparse(tmp_path, 4)
    recorded = convert_model(str(path), tmp_path / "out").source
    assert recorded["externalData"] == {"data.bin": hashlib.sha256((tmp_path / "data.bin").read_bytes()).hexdigest()}
    path, _ = inside(tmp_path, 4)
    assert "externalData" not in convert_model(str(path), tmp_path / "whole").source


def test_a_model_without_its_large_values_is_otherwise_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    large, small = rng.standard_normal((100, 64)).astype(np.float32), np.ones(3, np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "large"], ["y"]), helper.make_node("Constant", [], ["c"], value_float=1.0)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 100])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 64])],
        [numpy_helper.from_array(large, "large"), numpy_helper.from_array(small, "small")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    assert len(skeleton(path)) < 1000
    found = read_onnx(path)
    np.testing.assert_array_equal(read_tensor(found.graph.initializer[0], ExternalFiles(path))[1], large)
    found.graph.initializer[0].CopyFrom(model.graph.initializer[0])
    assert found == model


@given(data=st.data())
def test_whatever_is_not_plain_is_left_to_protobuf(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    tensor = numpy_helper.from_array(np.zeros(5000, np.float32), "w")
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [], [tensor])
    whole = bytearray(helper.make_model(graph).SerializeToString())
    # The ends are where the structure is; the middle is values.
    for _ in range(data.draw(st.integers(1, 4))):
        near = data.draw(st.integers(0, 120))
        whole[near if data.draw(st.booleans()) else -1 - near] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(whole)
    damaged, light = onnx.ModelProto(), onnx.ModelProto()
    try:
        damaged.ParseFromString(bytes(whole))
    except DecodeError as exc:
        with pytest.raises(type(exc)):
            light.ParseFromString(skeleton(path))
        return
    light.ParseFromString(skeleton(path))
    for one in light.graph.initializer:
        if one.data_location == TensorProto.EXTERNAL and any(entry.value == path.name for entry in one.external_data):
            numbers = {entry.key: entry.value for entry in one.external_data}
            start, length = int(numbers["offset"]), int(numbers["length"])
            del one.external_data[:]
            one.ClearField("data_location")
            one.raw_data = bytes(whole[start : start + length])
    assert light.SerializeToString(deterministic=True) == damaged.SerializeToString(deterministic=True)

"""Reading ONNX files that lie: each gives one error of our tree, and nothing outside the folder is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from webnn_runtime.format.errors import FormatError
from webnn_translator.external import ExternalFiles
from webnn_translator.initializers import read_tensor
from webnn_translator.sources import read_onnx

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)


def model_of(*tensors: Any) -> Any:
    nodes = [helper.make_node("Identity", [tensor.name], [f"out_{tensor.name}"]) for tensor in tensors]
    outputs = [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None) for node in nodes]
    graph = helper.make_graph(nodes, "g", [], outputs, list(tensors))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def external(location: str, **entries: object) -> Any:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 3], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def saved(folder: Path, model: Any) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def weight_of(path: Path) -> Any:
    return read_tensor(read_onnx(path).graph.initializer[0], ExternalFiles(path))[1]


def test_external_data_beside_the_model_is_read(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"\0" * 8 + WEIGHT.tobytes() + b"rest")
    np.testing.assert_array_equal(
        weight_of(saved(tmp_path, model_of(external("data.bin", offset=8, length=24)))), WEIGHT
    )


@pytest.mark.parametrize("shared", [True, False])
def test_external_data_of_a_hub_snapshot_may_be_a_link_into_its_blobs(shared: bool, tmp_path: Path) -> None:
    """Files of the Hub's Xet lie once for all repositories: the blob of each is a link to them."""
    repository = tmp_path / "models--owner--name"
    snapshot = repository / "snapshots" / "abc" / "onnx"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    blob = repository / "blobs" / "1234"
    if shared:
        store = tmp_path / "blobs" / "ab"
        store.mkdir(parents=True)
        (store / "abcd").write_bytes(WEIGHT.tobytes())
        blob.symlink_to("../../blobs/ab/abcd")
    else:
        blob.write_bytes(WEIGHT.tobytes())
    (snapshot / "model.onnx_data").symlink_to("../../../blobs/1234")
    np.testing.assert_array_equal(weight_of(saved(snapshot, model_of(external("model.onnx_data")))), WEIGHT)


def test_external_data_of_a_hub_snapshot_is_nowhere_else_in_the_cache(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--owner--name" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (tmp_path / "token").write_bytes(WEIGHT.tobytes())
    (snapshot / "model.onnx_data").symlink_to("../../../token")
    with pytest.raises(FormatError, match="a link out of the model's folder"):
        read_onnx(saved(snapshot, model_of(external("model.onnx_data"))))


@pytest.mark.parametrize(
    ("location", "entries", "complaint"),
    [
        ("../secret", {}, "beside the model"),
        ("inner/../../secret", {}, "beside the model"),
        ("/etc/hostname", {}, "beside the model"),
        ("C:\\secret", {}, "beside the model"),
        ("..\\secret", {}, "beside the model"),
        ("", {}, "beside the model"),
        ("link", {}, "a link out of the model's folder"),
        ("absent", {}, "there is no file 'absent'"),
        ("pipe", {}, "there is no file 'pipe'"),
        (".", {}, "there is no file '.'"),
        ("zero", {}, "a link out of the model's folder"),
        ("loop", {}, "cannot be a file|no file 'loop'"),
        ("x" * 5000, {}, "cannot be a file"),
        ("data\0", {}, "beside the model"),
        ("second", {}, "a hard link"),
        ("data/", {"length": 24.0}, "not a number"),
        ("data", {"offset": "1" * 5000}, "not a number"),
        ("data", {"offset": " 0"}, "not a number"),
        ("short", {}, "cut off"),
        ("a" * 300, {}, "cannot be a file beside the model"),
        ("data", {"offset": -8}, "cut off"),
        ("data", {"offset": 2**63}, "cut off"),
        ("data", {"offset": "eight"}, "not a number"),
        ("data", {"length": 23}, "23 are there, its type and shape need 24"),
        ("data", {"length": 2**62}, "its type and shape need 24"),
    ],
)
def test_external_data_is_refused(tmp_path: Path, location: str, entries: dict[str, object], complaint: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(WEIGHT.tobytes())
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "short").write_bytes(WEIGHT.tobytes()[:-1])
    (folder / "data").write_bytes(WEIGHT.tobytes())
    (folder / "first").write_bytes(WEIGHT.tobytes())
    (folder / "second").hardlink_to(folder / "first")
    (folder / "zero").symlink_to("/dev/zero")
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe")
    with pytest.raises(FormatError, match="w") as caught:
        read_onnx(saved(folder, model_of(external(location, **entries))))
    assert any(part in str(caught.value) for part in complaint.split("|"))
    assert str(folder / "model.onnx") in str(caught.value)


def test_a_location_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, model_of(external("data")))
    path.write_bytes(path.read_bytes().replace(b"\x04data", b"\x04\xff\xfe\xfd\xfc"))
    with pytest.raises(FormatError, match="not valid UTF-8"):
        read_onnx(path)


def cut_raw(tensor: Any) -> None:
    tensor.raw_data = tensor.raw_data[:-1]


def stretch_dims(tensor: Any) -> None:
    tensor.dims[0] = 2**62


def negative_dim(tensor: Any) -> None:
    tensor.dims[0] = -1


def unknown_type(tensor: Any) -> None:
    tensor.data_type = 99


def no_values(tensor: Any) -> None:
    tensor.ClearField("raw_data")


def segmented(tensor: Any) -> None:
    tensor.segment.begin = 0


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (cut_raw, "23 are there, its type and shape need 24"),
        (stretch_dims, "its type and shape need"),
        (negative_dim, "impossible shape [-1, 3]"),
        (unknown_type, "unknown data type 99"),
        (no_values, "0 are there, its type and shape need 6"),
        (segmented, "segments"),
    ],
)
def test_a_tensor_that_is_not_what_it_states_is_refused(
    tmp_path: Path, damage: Callable[[Any], None], complaint: str
) -> None:
    tensor = numpy_helper.from_array(WEIGHT, "w")
    damage(tensor)
    with pytest.raises(FormatError) as caught:
        read_onnx(saved(tmp_path, model_of(tensor)))
    assert complaint in str(caught.value)


def test_tensors_in_attributes_and_in_inner_graphs_are_checked_too(tmp_path: Path) -> None:
    tensor = numpy_helper.from_array(WEIGHT, "deep")
    cut_raw(tensor)
    inner = helper.make_graph([helper.make_node("Constant", [], ["c"], value=tensor)], "inner", [], [])
    model = model_of(numpy_helper.from_array(WEIGHT, "w"))
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner))
    with pytest.raises(FormatError, match="'deep'"):
        read_onnx(saved(tmp_path, model))


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (TensorProto.FLOAT, [1.0, 2.0]),
        (TensorProto.INT64, [1, 2]),
        (TensorProto.INT8, [-1, 2]),
        (TensorProto.FLOAT16, [1.0, 2.0]),
        (TensorProto.DOUBLE, [1.0, 2.0]),
        (TensorProto.UINT32, [1, 2]),
        (TensorProto.BOOL, [1, 0]),
        (TensorProto.INT4, [1, -2]),
        (TensorProto.COMPLEX64, [1 + 2j, 3j]),
        (TensorProto.STRING, ["a", "b"]),
    ],
    ids=lambda value: str(value),
)
@pytest.mark.parametrize("length", [2, 0])
def test_typed_values_are_counted_by_their_type(tmp_path: Path, dtype: int, values: list[Any], length: int) -> None:
    model = model_of(helper.make_tensor("w", dtype, [length], values[:length]))
    assert read_onnx(saved(tmp_path, model)).graph.initializer[0].name == "w"


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"PK\x03\x04 a zip", b'{"json": 1}', b"\x08\x08"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="not an ONNX model"):
        read_onnx(path)


@given(content=st.binary(max_size=300))
def test_any_bytes_are_a_model_or_a_format_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(content)
    with pytest.raises(FormatError):
        read_onnx(path)


@given(data=st.data())
def test_a_damaged_model_is_a_model_or_a_format_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = bytearray(model_of(numpy_helper.from_array(WEIGHT, "w")).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        model = read_onnx(path)
    except FormatError:
        return
    assert isinstance(model, onnx.ModelProto)


def test_a_model_larger_than_protobuf_allows_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as stream:
        os.truncate(stream.fileno(), 2**31)
    with pytest.raises(FormatError, match="external data"):
        read_onnx(path)


def test_many_small_files_do_not_stay_open(tmp_path: Path) -> None:
    """Exporters of large models give each tensor a file; a process may have 1,024 of them open."""
    resource = pytest.importorskip("resource")
    model = model_of(external("data.0"))
    for place in range(1, 300):
        model.graph.initializer.append(external(f"data.{place}"))
        model.graph.initializer[place].name = f"w{place}"
    for place in range(300):
        (tmp_path / f"data.{place}").write_bytes((WEIGHT + place).tobytes())
    path = saved(tmp_path, model)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    try:
        files = ExternalFiles(path)
        held = [read_tensor(tensor, files)[1] for tensor in read_onnx(path).graph.initializer]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    for place, values in enumerate(held):
        np.testing.assert_array_equal(values, WEIGHT + np.float32(place))

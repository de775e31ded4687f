"""Bundles from strangers: whatever the bytes, loading gives a bundle or one of our errors."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.bundle import Bundle, load_bundle
from webnn_runtime.format.bundle_writing import save_bundle
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import FormatError, GraphError, ManifestError, WeightsError
from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.manifest import Extension, Manifest, read_manifest
from webnn_runtime.format.safetensors import open_safetensors
from webnn_runtime.format.weights import open_weights, write_weights

FILES: Final = ("model.webnn", "model.weights", "manifest.json")


def sound_files() -> dict[str, bytes]:
    builder = GraphBuilder("g", dims=[DynamicDim("n", 9)])
    x = builder.input("x", DataType.FLOAT32, (symbol("n"), 3))
    scale = builder.constant(np.ones((1, 3), np.float32), name="s")
    point = builder.constant(np.array([[1, -2, 3]], np.int8), DataType.INT4, name="q")
    wide = builder.op("dequantizeLinear", point, scale, builder.constant(np.zeros((1, 3), np.int8), DataType.INT4))
    with tempfile.TemporaryDirectory() as place:
        folder = save_bundle(builder.build({"y": builder.op("add", x, wide)}), Path(place) / "b")
        return {name: (folder / name).read_bytes() for name in FILES}


SOUND: Final = sound_files()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundle")


def load_files(folder: Path, files: dict[str, bytes]) -> Bundle | None:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    try:
        return load_bundle(folder, verify=True)
    except (FormatError, GraphError):
        return None


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 16)))
        data = data[:start] + draw(st.one_of(st.binary(max_size=8), st.just(data[start:end] * 2))) + data[end:]
    return data


def test_the_sound_files_load(folder: Path) -> None:
    assert load_files(folder, SOUND) is not None


@given(st.sampled_from(FILES), st.data())
def test_a_damaged_file_never_passes_verification_unseen(folder: Path, name: str, data: st.DataObject) -> None:
    changed = data.draw(damaged(SOUND[name]))
    found = load_files(folder, {**SOUND, name: changed})
    # The manifest is what vouches for the other two; only they have a hash.
    assert found is None or name == "manifest.json" or changed == SOUND[name]


@given(st.sampled_from(FILES), st.binary(max_size=200))
def test_a_file_of_any_bytes_is_a_bundle_or_an_error(folder: Path, name: str, data: bytes) -> None:
    load_files(folder, {**SOUND, name: data})


JSON: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["s", "float32", 8, 12, 2**63, -1, "0" * 64]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


MANIFEST: Final = json.loads(SOUND["manifest.json"])


@given(st.sampled_from(list(places(MANIFEST))), JSON)
def test_a_manifest_with_any_value_anywhere_is_a_bundle_or_an_error(
    folder: Path, path: tuple[Any, ...], new: object
) -> None:
    load_files(folder, {**SOUND, "manifest.json": json.dumps(replaced(MANIFEST, path, new)).encode()})


@given(st.integers(0, 2**64), st.integers(0, 2**64), st.lists(st.integers(0, 2**64), max_size=4))
def test_a_tensor_is_inside_the_file_or_an_error(folder: Path, offset: int, length: int, shape: list[int]) -> None:
    entry = {"dataType": "uint8", "shape": shape, "byteOffset": offset, "byteLength": length}
    whole = {"format": "wg-weights-manifest", "version": 1, "endianness": "little", "tensors": {"a": entry}}
    (folder / "w").write_bytes(SOUND["model.weights"])
    try:
        opened = open_weights(folder / "w", read_manifest(json.dumps(whole).encode()))
    except (ManifestError, WeightsError):
        return
    assert opened.read("a", TensorType(DataType.UINT8, tuple(shape))).nbytes == length


@given(st.binary(max_size=64), st.binary(max_size=64), st.one_of(st.none(), st.integers(0, 2**64 - 1)))
def test_any_bytes_are_safetensors_or_an_error(folder: Path, header: bytes, data: bytes, length: int | None) -> None:
    size = len(header) + 1 if length is None else length
    (folder / "t").write_bytes(size.to_bytes(8, "little") + b"{" + header + data)
    try:
        open_safetensors(folder / "t")
    except WeightsError:
        return


@st.composite
def tensors(draw: st.DrawFn) -> list[tuple[str, TensorType, Any]]:
    keys = draw(st.lists(st.text(min_size=1, max_size=5), max_size=5, unique=True))
    found = []
    for key in keys:
        dtype = draw(st.sampled_from(DataType))
        shape = tuple(draw(st.lists(st.integers(1, 4), max_size=3)))
        count = int(np.prod(shape, dtype=int))
        if dtype.is_float:
            array = np.array(draw(st.lists(st.floats(width=16), min_size=count, max_size=count)), dtype.numpy)
        else:
            values = draw(st.lists(st.integers(*dtype.bounds), min_size=count, max_size=count))
            array = np.array(values, dtype.numpy)
        found.append((key, TensorType(dtype, shape), array.reshape(shape)))
    return found


@given(tensors(), st.booleans())
def test_all_values_of_all_types_come_back(
    tmp_path_factory: pytest.TempPathFactory, given_tensors: list[tuple[str, TensorType, Any]], pack: bool
) -> None:
    path = tmp_path_factory.mktemp("w") / "w"
    written = write_weights(path, given_tensors, pack_int4=pack)
    extension = Extension(weights_sha256=written.sha256, tensor_sha256=written.tensor_sha256)
    opened = open_weights(path, read_manifest(Manifest(written.tensors, extension).to_bytes()))
    opened.verify()
    for key, kind, array in given_tensors:
        assert opened.read(key, kind).tobytes() == array.tobytes()

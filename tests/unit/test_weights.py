"""Weights files: exact bytes, no copies, no tolerance for files that do not fit their manifest."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import WeightsError
from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.manifest import Manifest, TensorEntry
from webnn_runtime.format.safetensors import open_safetensors
from webnn_runtime.format.weights import open_weights, write_weights

# Three tensors in the byte order other tools of the family write, 4-bit values one per byte.
KNOWN = "57475754 01000000 01020f 0000803f 00000040 00004040 00008040 0700000000000000 ffffffffffffffff"
TENSORS = [
    ("x.y", TensorType(DataType.INT64, (2,)), np.array([7, -1])),
    ("a", TensorType(DataType.UINT4, (3,)), np.array([1, 2, 15], np.uint8)),
    ("b", TensorType(DataType.FLOAT32, (4,)), np.array([1, 2, 3, 4], np.float32)),
]


def test_the_one_byte_form_is_what_other_tools_write(tmp_path: Path) -> None:
    path = tmp_path / "w"
    written = write_weights(path, TENSORS, pack_int4=False)
    assert path.read_bytes() == bytes.fromhex(KNOWN)
    assert [(key, entry.offset) for key, entry in written.tensors.items()] == [("a", 8), ("b", 11), ("x.y", 27)]
    assert written.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("pack", [True, False])
def test_values_come_back(tmp_path: Path, pack: bool) -> None:
    written = write_weights(tmp_path / "w", TENSORS, pack_int4=pack)
    opened = open_weights(tmp_path / "w", Manifest(written.tensors))
    for key, kind, array in TENSORS:
        found = opened.read(key, kind)
        assert found.dtype == kind.dtype.numpy
        assert found.tolist() == array.tolist()
        assert found.flags.aligned
        assert not found.flags.writeable


@pytest.mark.parametrize(
    ("values", "dtype", "packed"),
    [
        ([-8, 7, -1], DataType.INT4, "780f"),
        ([1], DataType.INT4, "01"),
        ([1, 2], DataType.UINT4, "21"),
        ([15, 0, 3], DataType.UINT4, "0f03"),
    ],
)
def test_4_bit_values_are_packed_low_nibble_first(
    tmp_path: Path, values: list[int], dtype: DataType, packed: str
) -> None:
    kind = TensorType(dtype, (len(values),))
    written = write_weights(tmp_path / "w", [("q", kind, np.array(values, dtype.numpy))])
    assert (tmp_path / "w").read_bytes()[8:].hex() == packed
    assert open_weights(tmp_path / "w", Manifest(written.tensors)).read("q", kind).tolist() == values


def test_aligned_tensors_are_views_and_others_are_copied(tmp_path: Path) -> None:
    kinds = [
        ("a", TensorType(DataType.FLOAT32, (4,)), np.ones(4, np.float32)),
        ("b", TensorType(DataType.INT8, (1,)), np.ones(1, np.int8)),
        ("c", TensorType(DataType.FLOAT32, (4,)), np.ones(4, np.float32)),
    ]
    opened = open_weights(tmp_path / "w", Manifest(write_weights(tmp_path / "w", kinds).tensors))
    whole = np.frombuffer(opened.data, np.uint8)
    assert np.shares_memory(opened.read("a", kinds[0][1]), whole)
    assert not np.shares_memory(opened.read("c", kinds[2][1]), whole)


def test_arrays_of_any_layout_are_written_in_c_order(tmp_path: Path) -> None:
    array = np.arange(6, dtype=">f4").reshape(2, 3).T
    kind = TensorType(DataType.FLOAT32, (3, 2))
    write_weights(tmp_path / "w", [("a", kind, array.astype(np.float32, order="F"))])
    assert (tmp_path / "w").read_bytes()[8:] == struct.pack("<6f", 0, 3, 1, 4, 2, 5)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([TENSORS[0], TENSORS[0]], "key 'x.y' occurs twice"),
        ([("a", TensorType(DataType.INT4, (1,)), np.array([8], np.int8))], "outside -8 to 7"),
        ([("a", TensorType(DataType.INT8, (2,)), np.array([8], np.int8))], "but the tensor is i8[2]"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path: Path, tensors: Any, message: str) -> None:
    with pytest.raises(WeightsError) as caught:
        write_weights(tmp_path / "w", tensors)
    assert message in str(caught.value)


def entry(offset: int) -> Manifest:
    return Manifest({"a": TensorEntry(DataType.FLOAT32, (2,), offset, 8)})


DATA = struct.pack("<2f", 1, 2)
HEADER = b"WGWT\x01\0\0\0"


@pytest.mark.parametrize(("offset", "data"), [(8, HEADER + DATA), (0, DATA)])
def test_files_with_and_without_header_are_read(tmp_path: Path, offset: int, data: bytes) -> None:
    (tmp_path / "w").write_bytes(data)
    found = open_weights(tmp_path / "w", entry(offset)).read("a", TensorType(DataType.FLOAT32, (2,)))
    assert found.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("offset", "data", "message"),
    [
        (8, HEADER + DATA[:-1], "truncated: it has 15 bytes, the manifest describes 16"),
        (8, HEADER + DATA + b"\0", "too long: it has 17 bytes"),
        (8, b"", "does not begin with 'WGWT'"),
        (8, b"WGWT", "version is not 1"),
        (8, b"XXXX\x01\0\0\0" + DATA, "does not begin with 'WGWT'"),
        (8, b"WGWT\x02\0\0\0" + DATA, "version is not 1"),
        (0, DATA[:-1], "truncated"),
        (0, b"", "truncated"),
        (0, HEADER + DATA, "has a header, but the manifest's offsets start at 0"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, offset: int, data: bytes, message: str) -> None:
    (tmp_path / "w").write_bytes(data)
    with pytest.raises(WeightsError) as caught:
        open_weights(tmp_path / "w", entry(offset))
    assert message in str(caught.value)
    assert str(tmp_path / "w") in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (TensorType(DataType.INT32, (2,)), "is f32[2], but the graph declares i32[2]"),
        (TensorType(DataType.FLOAT32, (1, 2)), "declares f32[1, 2]"),
    ],
)
def test_a_tensor_of_another_type_is_refused(tmp_path: Path, kind: TensorType, message: str) -> None:
    (tmp_path / "w").write_bytes(HEADER + DATA)
    with pytest.raises(WeightsError) as caught:
        open_weights(tmp_path / "w", entry(8)).read("a", kind)
    assert message in str(caught.value)


def test_a_4_bit_value_out_of_range_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(HEADER + b"\x01\x10")
    opened = open_weights(tmp_path / "w", Manifest({"a": TensorEntry(DataType.UINT4, (2,), 8, 2)}))
    with pytest.raises(WeightsError, match="outside 0 to 15"):
        opened.read("a", TensorType(DataType.UINT4, (2,)))


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "w"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    with pytest.raises(WeightsError):
        open_weights(path, entry(8))


def safetensors(header: Any, data: bytes = b"") -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def test_safetensors_are_read(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    header = {
        "__metadata__": {"x": "y"},
        "w": {"dtype": "BF16", "shape": [2], "data_offsets": [8, 12]},
        "a.b": F32,
    }
    path.write_bytes(safetensors(header, DATA + struct.pack("<2H", 0x3F80, 0xC000)))
    opened = open_safetensors(path)
    assert set(opened.keys()) == {"w", "a.b"}
    assert opened.read("a.b", TensorType(DataType.FLOAT32, (2,))).tolist() == [1, 2]
    assert opened.read("w", TensorType(DataType.FLOAT32, (2,))).tolist() == [1, -2]
    for kind in (TensorType(DataType.FLOAT16, (2,)), TensorType(DataType.FLOAT32, (1, 2))):
        with pytest.raises(WeightsError, match=r"'w' is BF16\[2\], but the graph declares"):
            opened.read("w", kind)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"1234567", "has 7 bytes"),
        (struct.pack("<Q", 2**63) + b"{}", "claims 9223372036854775808 bytes"),
        (safetensors(b" {}"), "does not begin with '{'"),
        (safetensors(b"{"), "not JSON"),
        (safetensors(b'{"a": 1, "a": 2}'), "key 'a' occurs twice"),
        (safetensors({"a": 1}), "unknown dtype"),
        (safetensors({"a": {**F32, "dtype": "F128"}}), "unknown dtype"),
        (safetensors({"a": {**F32, "shape": [-2]}}, DATA), "all integers"),
        (safetensors({"a": {**F32, "data_offsets": [0]}}, DATA), "two data_offsets"),
        (safetensors({"a": {**F32, "data_offsets": [0, 4]}}, DATA), "takes 4 bytes; F32[2] needs 8"),
        (safetensors({"a": {**F32, "data_offsets": [4, 12]}}, DATA), "starts at 4; 0 is the next free byte"),
        (safetensors({"a": F32, "b": F32}, DATA), "starts at 0; 8 is the next free byte"),
        (safetensors({"a": F32}, DATA + b"\0"), "the file at"),
        (safetensors({"a": F32}, DATA[:-1]), "the file at"),
    ],
)
def test_unsound_safetensors_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(data)
    with pytest.raises(WeightsError) as caught:
        open_safetensors(path)
    assert message in str(caught.value)

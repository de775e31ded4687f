"""manifest.json: what is checked before a single byte of weights is used."""

from __future__ import annotations

import json
from typing import Any

import pytest

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import FormatError, ManifestError
from webnn_runtime.format.manifest import EXTENSION_KEY, Extension, Manifest, TensorEntry, read_manifest

A = {"dataType": "float32", "shape": [2, 2], "byteOffset": 8, "byteLength": 16, "layout": "row-major"}
B = {"dataType": "int64", "shape": [1], "byteOffset": 24, "byteLength": 8}


def manifest(tensors: Any = None, **changes: Any) -> bytes:
    whole = {
        "format": "wg-weights-manifest",
        "version": 1,
        "endianness": "little",
        "tensors": {"a": A, "b": B} if tensors is None else tensors,
        **changes,
    }
    return json.dumps({key: value for key, value in whole.items() if value is not ...}).encode()


def test_a_manifest_of_another_writer_is_read() -> None:
    found = read_manifest(manifest({"b": B, "a": {**A, "layout": None}}, comment="ignored"))
    assert list(found.tensors) == ["a", "b"]
    assert found.tensors["a"] == TensorEntry(DataType.FLOAT32, (2, 2), 8, 16)
    assert (found.start, found.end) == (8, 32)
    assert found.extension == Extension()


def test_offsets_may_start_at_zero_where_no_header_is() -> None:
    found = read_manifest(manifest({"a": {**A, "byteOffset": 0}}))
    assert (found.start, found.end) == (0, 16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "'format' is 'other'; it must be 'wg-weights-manifest'"),
        ({"version": 2}, "'version' is 2; it must be 1"),
        ({"version": True}, "'version' is True"),
        ({"endianness": "big"}, "'endianness' is 'big'; it must be 'little'"),
        ({"endianness": ...}, "'endianness' is None"),
        ({"tensors": ...}, "'tensors' is None; an object is needed"),
        ({"tensors": []}, "'tensors' is []"),
        ({"tensors": {"a": 3}}, "tensor 'a' is 3"),
        ({"tensors": {"": A}}, "key has 0 characters"),
        ({"tensors": {"a": {**A, "dataType": "bool"}}}, "dataType 'bool'; one of float32"),
        ({"tensors": {"a": {**A, "dataType": "Float32"}}}, "dataType 'Float32'"),
        ({"tensors": {"a": {**A, "dataType": ["float32"]}}}, "dataType ['float32']"),
        ({"tensors": {"a": {**A, "shape": 4}}}, "shape 4; a list"),
        ({"tensors": {"a": {**A, "shape": [1] * 65}}}, "at most 64"),
        ({"tensors": {"a": {**A, "shape": [-2, -2]}}}, "a dimension is -2"),
        ({"tensors": {"a": {**A, "shape": [2.0, 2]}}}, "a dimension is 2.0"),
        ({"tensors": {"a": {**A, "shape": [True, 4]}}}, "a dimension is True"),
        ({"tensors": {"a": {**A, "shape": [2**63, 2**63]}}}, "a dimension is 9223372036854775808"),
        ({"tensors": {"a": {**A, "shape": [2**32 - 1] * 64}}}, "byteLength is 16, but"),
        ({"tensors": {"a": {**A, "byteLength": 15}}}, "byteLength is 15, but f32[2, 2] takes 16 bytes"),
        ({"tensors": {"a": {**A, "byteLength": -16}}}, "byteLength is -16"),
        ({"tensors": {"a": {**A, "byteOffset": 2**63}}}, "byteOffset is 9223372036854775808"),
        ({"tensors": {"a": {**A, "byteOffset": "8"}}}, "byteOffset is '8'"),
        ({"tensors": {"a": {**A, "byteOffset": 16}}}, "the first and starts at 16; it must start at 8"),
        ({"tensors": {"a": A, "b": {**B, "byteOffset": 20}}}, "'b' starts at 20 and overlaps 'a', which ends at 24"),
        ({"tensors": {"a": A, "b": {**B, "byteOffset": 32}}}, "'b' starts at 32 and leaves a hole after 'a'"),
        ({"tensors": {"a": A, "b": A}}, "overlaps 'a'"),
        ({"tensors": {"a": {**A, "layout": "column-major"}}}, "only 'row-major'"),
        ({"tensors": {"a": {**A, "dataType": "int4", "byteLength": 3}}}, "takes 2 or 4 bytes"),
        ({EXTENSION_KEY: []}, "'x-webnn-runtime' is []"),
        ({EXTENSION_KEY: {"inputs": "x"}}, "'inputs' is 'x'"),
        ({EXTENSION_KEY: {"inputs": ["x", "x"]}}, "'inputs' holds a name twice"),
        ({EXTENSION_KEY: {"names": {"x": 1}}}, "'names' holds 1"),
        ({EXTENSION_KEY: {"sha256": {"graph": "00"}}}, "is not a SHA-256"),
        ({EXTENSION_KEY: {"sha256": {"tensors": {"z": "0" * 64}}}}, "names 'z'"),
        ({EXTENSION_KEY: {"sha256": {"files": {"a.json": "00"}}}}, "is not a SHA-256"),
        ({EXTENSION_KEY: {"sha256": {"files": {"../a.json": "0" * 64}}}}, "'../a.json', which is no place inside"),
        ({EXTENSION_KEY: {"sha256": {"files": {"/etc/passwd": "0" * 64}}}}, "'/etc/passwd', which is no place inside"),
        ({EXTENSION_KEY: {"int4": {"a": "byte"}}}, "its entry says otherwise"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_manifest(manifest(**changes), path="m.json")
    assert str(caught.value).startswith("m.json: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "m.json:1:1: not JSON"),
        (b'{"a": 1, "b": {"k": 1, "k": 2}}', "key 'k' occurs twice"),
        (manifest().replace(b'"b"', b'"a"'), "key 'a' occurs twice"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": {"x\\uDC80y": 1}}', "half of a character"),
        (b'{"a": ["\\ud800", "\\ud83d\\ude00"]}', "half of a character"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not acceptable as JSON: an integer of thousands of digits"),
        (b'{"a": 1e999}', "1e999 is too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not acceptable as JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b'"\xff"', "byte 1 is not UTF-8"),
        (b"\xef\xbb\xbf{}", "m.json"),
        (b"[]", "the manifest is []"),
    ],
)
def test_what_is_no_sound_json_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_manifest(data, path="m.json")
    assert message in str(caught.value)


def test_a_manifest_that_is_too_large_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webnn_runtime.format.manifest.MAX_MANIFEST", 10)
    with pytest.raises(ManifestError, match="at most 10 are read"):
        read_manifest(manifest())


def test_our_key_is_written_sorted_and_read_back() -> None:
    entry = TensorEntry(DataType.UINT4, (3,), 8, 2)
    extension = Extension(
        tool="t 1",
        inputs=("z", "a"),
        outputs=("y",),
        names={"a": "a.0"},
        unbounded=("batch",),
        graph_sha256="0" * 64,
        weights_sha256="1" * 64,
        tensor_sha256={"q": "2" * 64},
        more={"source": {"b": [1, 2.5], "a": None}, "certificate": {}},
    )
    data = Manifest({"q": entry}, extension).to_bytes()
    found = read_manifest(data)
    assert found.extension == extension
    assert found.to_bytes() == data
    ours = json.loads(data)[EXTENSION_KEY]
    assert list(ours) == sorted(ours)
    assert ours["int4"] == {"q": "packed-low-nibble-first"}
    assert list(ours["source"]) == ["a", "b"]


@pytest.mark.parametrize(
    "more", [{"tool": "mine"}, {"x": float("nan")}, {"x": float("inf")}, {"x": object()}, {"x": "\ud800"}]
)
def test_what_a_manifest_cannot_hold_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        Manifest({}, Extension(more=more)).to_bytes()

"""The constants of a module: fetched, checked and not copied; those of 4 bits packed or widened."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final
from urllib.parse import unquote

import numpy as np
import pytest

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import WeightsError
from webnn_runtime.format.graph import Constant, Graph, Node, TensorType
from webnn_runtime.format.manifest import TensorEntry
from webnn_translator.emit import ModuleSource, emit_module

Play = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
LIMIT: Final = {"dataTypes": ["float32"], "rankRange": {"min": 0, "max": 5}}


def base(data: bytes) -> str:
    return base64.b64encode(data).decode()


def weighted() -> tuple[ModuleSource, bytes]:
    """Two constants in a file, the second one unaligned."""
    data = b"WGWT\x01\x00\x00\x00" + b"\x01\x02\x03" + struct.pack("<2f", 0.5, 1.5)
    entries = {
        "bytes": TensorEntry(DataType.UINT8, (3,), 8, 3),
        "floats": TensorEntry(DataType.FLOAT32, (2,), 11, 8),
    }
    builder = GraphBuilder()
    x = builder.input("x", DataType.FLOAT32, (2,))
    condition = builder.input("c", DataType.UINT8, (3,))
    outputs = {
        "y": builder.op("add", x, builder.constant(np.float32([0.5, 1.5]), name="floats")),
        "z": builder.op("logicalAnd", condition, builder.constant(np.uint8([1, 2, 3]), name="bytes")),
    }
    return ModuleSource(
        builder.build(outputs), {}, entries, "model.weights", len(data), hashlib.sha256(data).hexdigest()
    ), data


WEIGHTED_TYPES: Final = [[{"dataType": "float32", "shape": [2]}], [{"dataType": "uint8", "shape": [3]}]]


def test_weights_are_fetched_checked_and_not_copied(play: Play) -> None:
    source, data = weighted()
    text = emit_module(source)
    loaded, built, shared = play(
        [
            {"text": text, "types": WEIGHTED_TYPES, "load": True, "served": base(data)},
            {"text": text, "types": WEIGHTED_TYPES, "weights": base(data)},
            {"text": text, "types": WEIGHTED_TYPES, "load": True, "weights": base(data), "given": "shared"},
        ]
    )
    assert loaded["record"]["fetched"] == "model.weights"
    assert {item["data"] for item in loaded["record"]["constants"]} == {base(data[8:11]), base(data[11:])}
    assert built["record"]["constants"] == loaded["record"]["constants"] == shared["record"]["constants"]
    assert built["record"]["views"] == 2


@pytest.mark.parametrize(
    "file", ["model.weights", "a b.weights", "50% #1?.weights", "mod\u00e8le.weights", "back\\slash.weights"]
)
def test_the_address_of_the_weights_is_written_out_for_bundlers(play: Play, file: str) -> None:
    source, data = weighted()
    text = emit_module(replace(source, weights_file=file))
    assert re.search(r'new URL\("\./[^"]+", import\.meta\.url\)', text)
    (answer,) = play([{"text": text, "types": WEIGHTED_TYPES, "load": True, "served": base(data)}])
    assert "error" not in answer
    assert unquote(answer["record"]["fetched"]) == file


@pytest.mark.parametrize(
    ("served", "complaint"),
    [
        (lambda _: {"status": 404}, "the server answers 404"),
        (lambda data: {"served": base(data[:-1])}, "model.weights: 18 bytes; 19 are needed"),
        (lambda data: {"served": base(data + b"!")}, "model.weights: more than 19 bytes"),
        (lambda data: {"served": base(data[:-1] + b"!")}, "model.weights: SHA-256 "),
        (lambda _: {"environment": "offline"}, "model.weights: cannot be fetched (Failed to fetch); serve it beside"),
        (lambda _: {"environment": "broken off"}, "model.weights: cannot be fetched (network error); serve it beside"),
        # As long as the right ones: those of another model of the same shapes.
        (lambda data: {"weights": base(data[:-1] + b"!"), "given": "buffer"}, "the weights given: SHA-256 "),
        (lambda data: {"weights": base(data[:-1]), "given": "buffer"}, "the weights given: 18 bytes; 19 are needed"),
        (
            lambda data: {"weights": base(data), "given": "blob"},
            "TypeError: the weights are [object Blob]; give an address",
        ),
        (lambda _: {"environment": "no hashes"}, "UnsupportedError: this page is not in a secure context"),
    ],
)
def test_other_weights_are_refused(play: Play, served: Callable[[bytes], dict[str, Any]], complaint: str) -> None:
    source, data = weighted()
    (answer,) = play([{"text": emit_module(source), "types": WEIGHTED_TYPES, "load": True, **served(data)}])
    assert complaint in answer["error"]


def test_a_constant_without_bytes_in_the_file_is_refused() -> None:
    source, _ = weighted()
    with pytest.raises(WeightsError, match="constant 'floats' has no bytes"):
        emit_module(ModuleSource(source.graph, {}, {}, "model.safetensors", 5))


def four_bits(dtype: DataType, *, packed: bool) -> tuple[ModuleSource, bytes, bytes]:
    """Five values of 4 bits; the file, and one byte a value."""
    values = np.array([-8, -1, 0, 7, 3] if dtype is DataType.INT4 else [0, 15, 8, 7, 3], dtype.numpy)
    pairs = bytes([0xF8, 0x70, 0x03] if dtype is DataType.INT4 else [0xF0, 0x78, 0x03])
    data = b"WGWT\x01\x00\x00\x00" + (pairs if packed else values.tobytes())
    kind = TensorType(dtype, (5,))
    zero = Constant(TensorType(dtype, (1,)), np.zeros(1, dtype.numpy))
    graph = Graph.create(
        "g",
        dims={},
        inputs={"s": TensorType(DataType.FLOAT32, (1,))},
        constants={"q": Constant(kind, values, "q"), "z": zero},
        nodes=(Node("dequantizeLinear", ("q", "s", "z"), {}, ("y",)),),
        outputs={"y": "y"},
    )
    tensors = {"q": TensorEntry(dtype, (5,), 8, len(data) - 8)}
    return ModuleSource(graph, {}, tensors, "w", len(data), hashlib.sha256(data).hexdigest()), data, values.tobytes()


@pytest.mark.parametrize("dtype", [DataType.INT4, DataType.UINT4])
@pytest.mark.parametrize("packed", [True, False])
def test_four_bit_constants_are_packed_or_widened_as_the_browser_wants(
    play: Play, dtype: DataType, packed: bool
) -> None:
    source, data, wide = four_bits(dtype, packed=packed)
    item = {"text": emit_module(source), "weights": base(data), "types": [[{"dataType": "float32", "shape": [5]}]]}
    wider = {"int4": "int8", "uint4": "uint8"}[dtype.value]

    def limits(small: str) -> dict[str, Any]:
        whole = {**LIMIT, "dataTypes": ["float32", wider, small]}
        operands = {"input": whole, "zeroPoint": whole, "scale": LIMIT, "output": LIMIT}
        return {"input": LIMIT, "output": LIMIT, "constant": whole, "dequantizeLinear": operands}

    knows, lacks = play([{**item, "limits": limits(dtype.value)}, {**item, "limits": limits(wider)}])
    pairs = bytes([0xF8, 0x70, 0x03] if dtype is DataType.INT4 else [0xF0, 0x78, 0x03])
    assert [(c["dataType"], c["data"]) for c in knows["record"]["constants"]] == [
        (dtype.value, base(pairs)),
        (dtype.value, base(b"\x00")),
    ]
    assert [(c["dataType"], c["data"]) for c in lacks["record"]["constants"]] == [
        (wider, base(wide)),
        (wider, base(b"\x00")),
    ]


def test_four_bit_results_are_never_widened(play: Play) -> None:
    # A wider result would not be limited to the range of the type.
    graph = Graph.create(
        "g",
        dims={},
        inputs={"x": TensorType(DataType.FLOAT32, (1,))},
        constants={
            "s": Constant(TensorType(DataType.FLOAT32, (1,)), np.float32([1])),
            "z": Constant(TensorType(DataType.INT4, (1,)), np.int8([0])),
        },
        nodes=(
            Node("quantizeLinear", ("x", "s", "z"), {}, ("q",)),
            Node("dequantizeLinear", ("q", "s", "z"), {}, ("y",)),
        ),
        outputs={"y": "y"},
    )
    whole = {**LIMIT, "dataTypes": ["float32", "int8"]}
    rows = {"input": whole, "zeroPoint": whole, "scale": whole, "output": whole}
    limits = {"input": LIMIT, "output": LIMIT, "constant": whole, "dequantizeLinear": rows, "quantizeLinear": rows}
    (answer,) = play([{"text": emit_module(ModuleSource(graph)), "limits": limits}])
    assert "zeroPoint' (in 'q') is int4; the context takes float32, int8" in answer["error"]


@pytest.mark.parametrize(
    ("dtype", "kind", "values", "pairs"),
    [
        (DataType.INT4, "Int8Array", [-8, -1, 0, 7, 3], b"\xf8\x70\x03"),
        (DataType.UINT4, "Uint8Array", [0, 15, 8, 7, 3], b"\xf0\x78\x03"),
    ],
)
def test_four_bit_inputs_and_results_are_one_value_a_byte(
    play: Play, dtype: DataType, kind: str, values: list[int], pairs: bytes
) -> None:
    builder = GraphBuilder()
    x = builder.input("x", dtype, (5,))
    scale = builder.input("s", DataType.FLOAT32, (5,))
    zero = builder.constant(np.zeros(5, dtype.numpy), dtype)
    wide = builder.op("dequantizeLinear", x, scale, zero)
    graph = builder.build({"y": builder.op("quantizeLinear", wide, scale, zero)})
    made = [[{"dataType": name, "shape": [5]}] for name in ("float32", dtype.value)]
    item = {"text": emit_module(ModuleSource(graph)), "types": made, "answers": {"y": base(pairs)}}
    bytewise = kind.removesuffix("Array").lower()
    feeds = [["numbers", values], [bytewise, values], ["numbers", [*values[:4], 16]], [bytewise, [*values[:4], 16]]]
    plain, typed, *outside = play([{**item, "feeds": {"x": x, "s": ["numbers", [1] * 5]}} for x in feeds])
    for answer in (plain, typed):
        assert answer["record"]["written"]["x"] == base(pairs)
        array = np.array(values, dtype.numpy).tobytes()
        assert answer["results"] == [["y", dtype.value, [5], kind, base(array)]]
    for answer in outside:
        assert answer["error"] == f"RangeError: input 'x': 16 is no {dtype.value}"

"""The canonical text: one graph, one spelling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import FormatError
from webnn_runtime.format.graph import Constant, TensorType
from webnn_runtime.format.printer import float_text, print_graph
from webnn_runtime.format.text import parse_graph

SMALL = 'webnn_graph "g" v1 { inputs { a: f32[2]; } nodes { y = abs(a); } outputs { y; } }'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (1e-5, "0.00001"),
        (1e-7, "1e-7"),
        (1.5e-7, "1.5e-7"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e16"),
        (1e21, "1e21"),
        (-123456.789, "-123456.789"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e308"),
    ],
)
def test_floats_have_their_shortest_form(value: float, text: str) -> None:
    assert float_text(value) == text
    assert float(text) == value


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_what_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(FormatError, match="cannot be written as a number"):
        float_text(value)


@pytest.mark.parametrize(
    ("value", "dtype", "text"),
    [
        (0.1, DataType.FLOAT32, "@scalar(0.1)"),
        (-1e30, DataType.FLOAT32, "@scalar(-1e30)"),
        (7, DataType.INT64, "@scalar(7)"),
        (1 << 24, DataType.INT64, "@scalar(16777216)"),
        # Readers that expand scalars through float32 would change these.
        ((1 << 24) + 1, DataType.INT64, "@bytes([1, 0, 0, 1, 0, 0, 0, 0])"),
        (float("-inf"), DataType.FLOAT32, "@bytes([0, 0, 128, 255])"),
        (-1, DataType.INT4, "@bytes([255])"),
    ],
)
def test_scalars_are_numbers_only_where_every_reader_gets_them_right(value: float, dtype: DataType, text: str) -> None:
    kind = TensorType(dtype, ())
    graph = parse_graph(SMALL)
    constant = Constant(kind, np.array(value, dtype.numpy))
    assert f"s: {dtype.text}[] {text};" in print_graph(replace(graph, constants={"s": constant}))


def test_declarations_are_sorted_and_options_alphabetical() -> None:
    graph = parse_graph(
        'webnn_graph "g" v1 { inputs { b: f32[2, 3]; B: f32[3]; a: f32[3]; } '
        "nodes { z = layerNormalization(b, bias=B, epsilon=1e-5, axes=[1]); a_2 = add(z, a); } "
        "outputs { z; a_2; } }"
    )
    assert print_graph(graph) == (
        'webnn_graph "g" v1 {\n'
        "  inputs {\n    B: f32[3];\n    a: f32[3];\n    b: f32[2, 3];\n  }\n\n"
        "  nodes {\n"
        "    z = layerNormalization(b, axes=[1], bias=B, epsilon=0.00001);\n"
        "    a_2 = add(z, a);\n"
        "  }\n\n"
        "  outputs { a_2, z; }\n"
        "}\n"
    )


@pytest.mark.parametrize("name", ["a.b", "/x", "é", "1a", "a b", "true_mask", "nullable"])
def test_a_name_no_reader_knows_is_refused(name: str) -> None:
    builder = GraphBuilder()
    graph = builder.build({"y": builder.op("abs", builder.input(name, DataType.FLOAT32, (2,)))})
    with pytest.raises(FormatError, match="safe_graph does"):
        print_graph(graph)


def test_an_output_under_another_name_is_refused() -> None:
    built = parse_graph(SMALL)
    with pytest.raises(FormatError, match="output 'z' is value 'y'"):
        print_graph(replace(built, outputs={"z": "y"}))


@pytest.mark.parametrize("name", ['a "quoted" \\ name', "two\nlines\tand a tab", "\\n", "日本", "#"])
def test_strings_come_back_as_they_were(name: str) -> None:
    builder = GraphBuilder(name)
    graph = builder.build({"y": builder.op("abs", builder.input("x", DataType.FLOAT32, (2,)))})
    assert parse_graph(print_graph(graph)) == graph

"""Text and JSON forms: what is written is read back, and anything else is a value or one of our errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webnn_runtime.format.builder import GraphBuilder, Value
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.document import attach
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import FormatError, GraphError
from webnn_runtime.format.graph import Graph, is_identifier
from webnn_runtime.format.json_graph import parse_json_graph, print_json_graph
from webnn_runtime.format.names import identifiers, safe_graph, same_when_sanitised
from webnn_runtime.format.printer import float_text, print_graph
from webnn_runtime.format.text import parse_graph

UNARY = ("abs", "neg", "erf", "sqrt", "identity", "softmax", "transpose", "reshape", "slice", "split", "norm", "cast")

# Of any characters, but never like the names that the builder makes up.
ANY_NAME = st.text(min_size=1, max_size=6).map(lambda name: name if len(name) < 3 else f"{name}!")


@st.composite
def graphs(draw: st.DrawFn, names: st.SearchStrategy[str] | None = None) -> Graph:
    """Valid graphs with named dimensions, inline and weight constants, gaps in operands and many options."""
    dims = [DynamicDim("n", draw(st.integers(2, 2**31 - 1))), DynamicDim("m", 7, draw(st.integers(0, 1)))]
    builder = GraphBuilder(draw(st.text(max_size=8)), dims=dims)
    fresh = (
        draw(st.lists(names, min_size=12, max_size=12, unique=True))
        if names is not None
        else [f"v{i}" for i in range(12)]
    )
    shapes = [(symbol("n"), 4), (symbol("n"), symbol("m") * 2 + 1, 4), (3, 4)]
    values: list[Value] = [builder.input(fresh.pop(), DataType.FLOAT32, shape) for shape in draw(chosen(shapes))]
    for _ in range(draw(st.integers(1, 5))):
        values.extend(call(draw, builder, draw(st.sampled_from(values)), fresh))
    outputs = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3, unique_by=id))
    return builder.build({f"out{index}": value for index, value in enumerate(outputs)})


def chosen(items: list[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(items), min_size=1, max_size=3)


def call(draw: st.DrawFn, builder: GraphBuilder, x: Value, fresh: list[str]) -> tuple[Value, ...]:
    op = draw(st.sampled_from((*UNARY, "add", "concat")))
    last = x.rank - 1
    if op == "softmax":
        return (builder.op(op, x, axis=draw(st.integers(0, last))),)
    if op == "transpose":
        return (builder.op(op, x, permutation=draw(st.permutations(range(x.rank)))),)
    if op == "reshape":
        return (builder.op(op, x, newShape=[*x.shape, 1][: draw(st.integers(x.rank, x.rank + 1))]),)
    if op == "slice":
        return (builder.op(op, x, starts=[0] * x.rank, sizes=list(x.shape)),)
    if op == "split":
        return builder.op_many(op, x, splits=[1], axis=last) if x.shape[last] == 1 else (x,)
    if op == "cast":
        return (builder.op("cast", builder.op("cast", x, to=DataType.FLOAT16), to=DataType.FLOAT32),)
    if op in ("norm", "add") and x.shape[last] == 4:
        numbers = draw(st.lists(st.floats(width=32), min_size=4, max_size=4))
        constant = builder.constant(np.array(numbers, np.float32), name=fresh.pop() if fresh else None)
        if op == "add":
            return (builder.op("add", x, constant),)
        epsilon = draw(st.floats(0, 1))
        return (builder.op("layerNormalization", x, None, constant, axes=[last], epsilon=epsilon),)
    if op == "concat":
        return (builder.op("concat", x, x, axis=last),)
    if op in ("norm", "add"):
        return (builder.op("mul", x, builder.constant(draw(st.floats(width=32)), DataType.FLOAT32)),)
    return (builder.op(op, x),)


def values_of(graph: Graph) -> dict[str, Any]:
    return {name: constant.values for name, constant in graph.constants.items() if constant.key is not None}


def without_unused_dims(graph: Graph) -> dict[str, DynamicDim]:
    used = {name for kind in graph.inputs.values() for name in kind.names}
    return {name: dim for name, dim in graph.dims.items() if name in used}


@given(graphs())
def test_what_is_printed_is_read_back(graph: Graph) -> None:
    text = print_graph(graph)
    found = attach(parse_graph(text), values_of(graph))
    assert (found.inputs, found.nodes, found.outputs) == (graph.inputs, graph.nodes, graph.outputs)
    assert found.constants == graph.constants
    assert found.dims == without_unused_dims(graph)
    assert found.types == graph.types
    assert print_graph(found) == text


@given(graphs(ANY_NAME), st.booleans())
def test_the_json_form_keeps_all_names(graph: Graph, inline: bool) -> None:
    data = print_json_graph(graph, inline=inline)
    found = attach(parse_json_graph(data), {} if inline else values_of(graph))
    assert (found.inputs, found.nodes, found.outputs) == (graph.inputs, graph.nodes, graph.outputs)
    for name, constant in graph.constants.items():
        assert found.constants[name].values.tobytes() == constant.values.tobytes()
    assert print_json_graph(found, inline=inline) == data


@given(graphs(ANY_NAME))
def test_a_safe_graph_can_be_printed_and_its_names_restored(graph: Graph) -> None:
    safe, originals = safe_graph(graph)
    print_graph(safe)
    assert [originals.get(name, name) for name in safe.inputs] == list(graph.inputs)
    assert [originals.get(name, name) for name in safe.outputs] == list(graph.outputs)
    assert list(safe.inputs.values()) == list(graph.inputs.values())
    assert safe_graph(safe) == (safe, {})


@given(st.lists(st.text(max_size=5), max_size=30), st.lists(st.sampled_from(["a", "a_2", "_"]), max_size=3))
def test_identifiers_never_collide(names: list[str], taken: list[str]) -> None:
    found = identifiers(names, taken)
    assert found.keys() == set(names)
    assert all(is_identifier(name) for name in found.values())
    assert len({same_when_sanitised(name) for name in found.values()}) == len(found)
    assert not set(taken) & set(found.values())


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_read_back_exactly(value: float) -> None:
    text = float_text(value)
    assert math.copysign(1, float(text)) == math.copysign(1, value)
    assert float(text) == value
    assert "." in text or "e" in text


SAMPLE = print_graph(
    parse_graph(
        'webnn_graph "g" v2 { inputs { a: f32[dyn("n", 9), 4]; } consts { w: f32[4]; s: f32[] @scalar(2.5); '
        "b: u8[2] @bytes([1, 2]); } nodes { p = add(a, w); q = layerNormalization(p, bias=w, axes=[1]); "
        'r = reshape(q, newShape=[{name: "2*n"}, 2]); [t, u] = split(r, splits=[1, 1], axis=1); } outputs { t; u; } }'
    )
)
WORDS = st.sampled_from(
    [
        *'"{}[]();:,=#\n\\\0é-a',
        *("dyn", "@bytes", "@scalar", "1e9", "null", "true", "reshape", "newShape", "n//0", "2147483648"),
        *("9" * 30, "[" * 40, "n" + "*n" * 40),
    ]
)


@st.composite
def mutated(draw: st.DrawFn, sample: str) -> str:
    """A sound file with a few pieces cut out, doubled or put in."""
    text = sample
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + draw(st.one_of(WORDS, st.just(""), st.just(text[start:end] * 2))) + text[end:]
    return text


def value_or_error(read: Any, data: Any) -> None:
    try:
        found = read(data)
    except (FormatError, GraphError):
        return
    assert isinstance(found, Graph)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_graph_or_an_error(data: bytes) -> None:
    value_or_error(parse_graph, data)
    value_or_error(parse_graph, b'webnn_graph "g" v2 {' + data)
    value_or_error(parse_json_graph, data)
    value_or_error(parse_json_graph, b'{"format": "webnn-graph-json", ' + data)


@given(mutated(SAMPLE))
def test_a_damaged_text_is_a_graph_or_an_error(text: str) -> None:
    value_or_error(parse_graph, text)


JSON_SAMPLE = print_json_graph(parse_graph(SAMPLE)).decode()


@given(mutated(JSON_SAMPLE))
def test_a_damaged_json_graph_is_a_graph_or_an_error(text: str) -> None:
    value_or_error(parse_json_graph, text.encode())


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["a", "n"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "maxSize", "x"]), inner),
    max_leaves=8,
)


@given(st.sampled_from(["format", "version", "name", "inputs", "consts", "nodes", "outputs"]), JSON_VALUES)
def test_a_json_graph_with_any_value_anywhere_is_a_graph_or_an_error(key: str, value: object) -> None:
    import json

    whole = json.loads(JSON_SAMPLE)
    value_or_error(parse_json_graph, json.dumps({**whole, key: value}).encode())
    for place in ("inputs", "consts"):
        for name in whole[place]:
            changed = {**whole, place: {**whole[place], name: {**whole[place][name], "shape": value, "init": value}}}
            value_or_error(parse_json_graph, json.dumps(changed).encode())
    for field in ("id", "op", "inputs", "options", "outputs"):
        changed = {**whole, "nodes": [{**whole["nodes"][0], field: value}, *whole["nodes"][1:]]}
        value_or_error(parse_json_graph, json.dumps(changed).encode())


@pytest.mark.parametrize("open_", ["[", '{"a":'])
def test_deeply_nested_json_is_an_error_not_a_crash(open_: str) -> None:
    with pytest.raises(FormatError, match="nested too deeply"):
        parse_json_graph(open_.encode() * 200_000)

"""Graphs as the other writers of the family spell them: read as what they mean, or refused by name."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from webnn_runtime.format.dims import symbol
from webnn_runtime.format.errors import FormatError, GraphError, OptionError, ParseError, UnknownOp
from webnn_runtime.format.json_graph import parse_json_graph, print_json_graph
from webnn_runtime.format.printer import print_graph
from webnn_runtime.format.text import parse_graph

# A converter of ONNX files: v2 without named dimensions, negative axes, result shapes as an option,
# operands of normalisations by position, Rust spellings of types.
CONVERTER = """webnn_graph "main_graph" v2 {
  inputs {
    attention_mask: i64[1, 4];
    input_ids: i64[1, 4];
  }

  consts {
    one: f32[] @scalar(1.0);
    range: i64[2] @bytes([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    table: f32[6, 3] @weights("table");
    w: f32[3] @weights("w");
  }

  nodes {
    words = gather(table, input_ids, axis=0, shape=[1, 4, 3]);
    norm = layerNormalization(words, w, w, axes=[-1], epsilon=1e-12);
    probabilities = softmax(norm, axis=-1);
    mask = cast(attention_mask, to="Float32");
    wide = reshape(mask, newShape=[1, 4, 1]);
    masked = mul(probabilities, wide);
    summed = reduceSum(masked, axes=[-2], keepDimensions=true);
    [a, b] = split(summed, axis=2, splits=[1, 2]);
    upper = triangular(masked, k=1, upper=true);
  }

  outputs { a; b; upper; }
}
"""

# An exporter of torch programs: tabs, blocks on one line, a list of results always, operands in
# brackets and by name, bare words as values.
EXPORTER = """webnn_graph "model" v1 {
\tinputs { x: f32[1, 2, 4, 4]; }
\tconsts {
\t\tweight_1: f32[2] @weights("bn.weight");
\t\tconst_scalar_1: f32[] @scalar(2);
\t}
\tnodes {
\t\t[operand_1] = batchNormalization(x, weight_1, weight_1, epsilon=1e-05, axis=1, scale=weight_1, bias=weight_1);
\t\t[operand_2] = clamp(operand_1, minValue=0.0);
\t\t[operand_3] = concat([operand_2, x], axis=1);
\t\t[operand_4] = cast(operand_3, type=f16);
\t}
\toutputs { operand_4; }
}
"""

# The successor of the first: named dimensions, objects in options.
SUCCESSOR = """webnn_graph "g" v2 {
  inputs {
    x: f32[dyn("batch", 64), dyn("sequence_length", 512), 8];
  }

  nodes {
    y = reshape(x, newShape=[{name: "batch", maxSize: 64}, {"name":"sequence_length","maxSize":512}, 2, 4]);
    z = slice(y, sizes=[1, 1, 2, 2], starts=[0, 0, 0, 0], strides=[1, 1, 1, 1]);
  }

  outputs { y; z; }
}
"""


def test_a_converters_graph_is_read_as_what_it_means() -> None:
    graph = parse_graph(CONVERTER)
    by_name = {node.name: node for node in graph.nodes}
    assert by_name["norm"].inputs == ("words", "w", "w")
    assert by_name["norm"].options["axes"] == (2,)
    assert by_name["probabilities"].options["axis"] == 2
    assert by_name["summed"].options["axes"] == (1,)
    assert by_name["upper"].options["diagonal"] == 1
    assert str(graph.types["b"]) == "f32[1, 1, 2]"


def test_an_exporters_graph_is_read_as_what_it_means() -> None:
    graph = parse_graph(EXPORTER)
    by_name = {node.name: node for node in graph.nodes}
    assert by_name["operand_1"].inputs == ("x", "weight_1", "weight_1", "weight_1", "weight_1")
    assert by_name["operand_3"].inputs == ("operand_2", "x")
    assert str(graph.types["operand_4"]) == "f16[1, 4, 4, 4]"
    assert graph.constants["weight_1"].key == "bn.weight"


def test_named_dimensions_of_the_successor_are_read() -> None:
    graph = parse_graph(SUCCESSOR)
    assert graph.types["y"].shape == (symbol("batch"), symbol("sequence_length"), 2, 4)
    assert graph.dims["batch"].max_size == 64


@pytest.mark.parametrize("text", [CONVERTER, EXPORTER, SUCCESSOR])
def test_what_was_read_is_written_in_our_spelling(text: str) -> None:
    ours = print_graph(parse_graph(text))
    assert parse_graph(ours) == parse_graph(text)
    assert not any(spelling in ours for spelling in (", shape=[1, 4, 3]", "=-", "[-", "k=", "type=", "Float32", "\t"))


@pytest.mark.parametrize(
    ("statement", "leaf"),
    [
        ("y = squeeze(x, axes=[0]);", UnknownOp),
        ("y = unsqueeze(x, axes=[0]);", UnknownOp),
        ("y = shape(x);", UnknownOp),
        ('y = constant(data="AAAA", dataType="Float32", shape=[1]);', UnknownOp),
        ("y = Relu(x);", UnknownOp),
        ("y = scaledDotProductAttention(x, x, x);", UnknownOp),
        ("y = relu(x, alpha=1.0);", OptionError),
        ("y = reshape(x, axes=[0]);", OptionError),
        ("y = x;", ParseError),
        ("// unsupported: aten.foo", ParseError),
    ],
)
def test_what_is_not_webnn_is_refused(statement: str, leaf: type[Exception]) -> None:
    with pytest.raises(leaf):
        parse_graph(f'webnn_graph "g" v1 {{ inputs {{ x: f32[1, 2]; }} nodes {{ {statement} }} outputs {{ y; }} }}')


def json_graph(**changes: Any) -> bytes:
    whole = {
        "format": "webnn-graph-json",
        "version": 1,
        "inputs": {"x": {"dataType": "float32", "shape": [2]}},
        "consts": {
            "c": {"dataType": "uint8", "shape": [2], "init": {"kind": "inlineBytes", "bytes": [255, 0]}},
            "w": {"dataType": "float32", "shape": [2], "init": {"kind": "weights", "ref": "layer.w"}},
        },
        "nodes": [{"id": "op_0", "op": "add", "inputs": ["x", "w"], "outputs": ["sum"]}],
        "outputs": {"result": "sum"},
        "extra": "ignored",
        **changes,
    }
    return json.dumps(whole).encode()


def test_a_json_graph_may_rename_outputs_and_use_any_name() -> None:
    graph = parse_json_graph(json_graph())
    assert dict(graph.outputs) == {"result": "sum"}
    assert graph.nodes[0].outputs == ("sum",)
    assert graph.constants["w"].key == "layer.w"
    assert graph.constants["c"].values.tolist() == [255, 0]
    assert parse_json_graph(print_json_graph(graph)) == graph


def test_bytes_may_be_base64() -> None:
    init = {"kind": "inlineBytes", "bytes": base64.b64encode(b"\x05\x06").decode()}
    graph = parse_json_graph(
        json_graph(
            consts={"c": {"dataType": "uint8", "shape": [2], "init": init}},
            nodes=[{"id": "sum", "op": "add", "inputs": ["x", "x"], "options": None, "outputs": None}],
        )
    )
    assert graph.constants["c"].values.tolist() == [5, 6]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "x"}, "'format': it must be 'webnn-graph-json'"),
        ({"version": 3}, "'version': 1 and 2 are known"),
        ({"version": True}, "'version'"),
        ({"inputs": None}, "'inputs': an object is needed"),
        ({"inputs": {"x": {"dataType": "bool", "shape": []}}}, "'x': dataType must be one of"),
        ({"inputs": {"x": {"dataType": "float32", "shape": [2.5]}}}, "'x': a size that is an integer is needed"),
        ({"inputs": {"x": {"dataType": "float32", "shape": [{"name": "n", "maxSize": 2}]}}}, "version 1 graph"),
        ({"consts": {"c": {"dataType": "float32", "shape": [], "init": {"kind": "magic"}}}}, "init must be of kind"),
        ({"nodes": [{"id": "a", "op": "abs", "inputs": [1]}]}, "'nodes[0]': a string is needed"),
        ({"nodes": [{"id": "a", "op": "abs", "inputs": ["x"], "outputs": []}]}, "at least one result"),
        ({"nodes": [{"op": "abs", "inputs": ["x"]}]}, "'nodes[0]': a string is needed"),
        ({"outputs": []}, "'outputs': an object is needed"),
        ({"outputs": {}}, "no outputs"),
        ({"outputs": {"y": "nothing"}}, "which nothing defines"),
    ],
)
def test_what_is_wrong_in_json_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises((FormatError, GraphError)) as caught:
        parse_json_graph(json_graph(**changes), path="m.json")
    assert str(caught.value).startswith("m.json: ")
    assert message in str(caught.value)


def test_a_graph_saved_by_pywebnn_is_read() -> None:
    """Its labels, its empty lists and words for "not given", and its numbers for operands among the options."""
    plain = {"dataType": "float32", "shape": [1, 2, 4, 4]}
    row = {"dataType": "float32", "shape": [4], "init": {"kind": "inlineBytes", "bytes": [0, 0, 128, 63] * 4}}
    pool = {
        "label": "p", "layout": "nchw", "strides": [1, 1], "dilations": [1, 1], "padding": [], "outputSizes": None,
        "outputShapeRounding": "", "windowDimensions": [2, 2],
    }  # fmt: skip
    norm = {"axes": [3], "bias": 2, "epsilon": 0.5, "label": "", "scale": 1}
    nodes = [
        {"id": "op_0", "op": "layerNormalization", "inputs": ["x"], "options": norm, "outputs": ["operand_3"]},
        {
            "id": "op_1",
            "op": "transpose",
            "inputs": ["operand_3"],
            "options": {"permutation": []},
            "outputs": ["operand_4"],
        },
        {"id": "op_2", "op": "reduceSum", "inputs": ["x"], "options": {"axes": []}, "outputs": ["kept"]},
        {"id": "op_3", "op": "maxPool2d", "inputs": ["x"], "options": pool, "outputs": ["y"]},
    ]
    outputs = {name: name for name in ("operand_4", "kept", "y")}
    consts = {"operand_1": row, "operand_2": row}
    graph = parse_json_graph(json_graph(inputs={"x": plain}, consts=consts, nodes=nodes, outputs=outputs))
    norm_node, transpose, kept, pooled = graph.nodes
    assert norm_node.inputs == ("x", "operand_1", "operand_2")
    assert transpose.options["permutation"] == (3, 2, 1, 0)
    assert kept.options["axes"] == ()
    assert (pooled.label, pooled.options["outputShapeRounding"], pooled.options["padding"]) == (
        "p",
        "floor",
        (0, 0, 0, 0),
    )


@pytest.mark.parametrize(
    ("op", "options", "message"),
    [
        ("softmax", {"label": ""}, "needs option 'axis'"),
        ("layerNormalization", {"scale": 7}, "'operand_7', which nothing before it defines"),
        ("layerNormalization", {"scale": True}, "must be the name of a value"),
        ("relu", {"label": 3}, "no option 'label'"),
    ],
)
def test_what_a_saved_graph_does_not_say_is_not_guessed(op: str, options: dict[str, Any], message: str) -> None:
    nodes = [{"id": "op_0", "op": op, "inputs": ["x"], "options": options, "outputs": ["y"]}]
    with pytest.raises(GraphError, match=message):
        parse_json_graph(json_graph(nodes=nodes, outputs={"y": "y"}))

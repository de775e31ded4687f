"""The text graph: what is accepted, what it means, and where errors point."""

from __future__ import annotations

import re

import numpy as np
import pytest

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, SymbolicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import (
    FormatError,
    GraphError,
    OperandError,
    OptionError,
    ParseError,
    ShapeError,
    UnknownOp,
)
from webnn_runtime.format.graph import Graph
from webnn_runtime.format.printer import print_graph
from webnn_runtime.format.text import parse_graph


def graph(body: str, header: str = 'webnn_graph "g" v1') -> str:
    return f"{header} {{ {body} }}"


def with_nodes(nodes: str, outputs: str = "y") -> Graph:
    return parse_graph(
        graph(
            f"inputs {{ a: f32[2, 3]; b: f32[2, 3]; }} consts {{ w: f32[3]; v: f32[3]; }} nodes {{ {nodes} }} "
            f"outputs {{ {outputs}; }}"
        )
    )


CALL = "nodes { y = add(a, a); } outputs { y; }"
ADD = "inputs { a: f32[2]; } nodes { y = add(a, a); } outputs { y; }"


def test_a_whole_graph_is_read() -> None:
    found = parse_graph(
        """webnn_graph "demo" v1 {
  inputs {
    x: f32[1, 8];
  }

  consts {
    bias: f32[2] @bytes([0, 0, 128, 63, 0, 0, 0, 64]);
    half: f16[] @scalar(0.5);
    w: f32[8, 2] @weights("w.orig");
  }

  nodes {
    p = matmul(x, w);  # a comment
    q = add(p, bias);
    y = softmax(q, axis=1);
  }

  outputs { y; }
}
"""
    )
    assert found.name == "demo"
    assert str(found.inputs["x"]) == "f32[1, 8]"
    assert found.constants["w"].key == "w.orig"
    assert found.constants["w"].array is None
    assert found.constants["bias"].values.tolist() == [1.0, 2.0]
    assert found.constants["half"].values == np.float16(0.5)
    assert [node.op for node in found.nodes] == ["matmul", "add", "softmax"]
    assert found.nodes[2].options["axis"] == 1
    assert dict(found.outputs) == {"y": "y"}


@pytest.mark.parametrize(
    "text",
    [
        'webnn_graph"g"v1{inputs{a:f32[2];}nodes{y=add(a,a);}outputs{y;}}',
        'webnn_graph "g" v 1 {\n\tinputs\t{\ta: f32[2];\t}\r\n nodes {\r\n\ty = add(a, a);\r\n} outputs { y }\r\n}\r\n',
        f'# first\nwebnn_graph "g" v1 @quantized {{ {ADD} }} # last',
        graph("outputs { y; } nodes { y = add(a, a); } inputs { a: f32[2]; }"),
        graph("inputs { } consts { } nodes { y = add(a, a); } inputs { a: f32[2]; } outputs { y }"),
        graph('inputs { a: f32[2]; } nodes { [y] = add("a", a); } outputs { y; }'),
        graph(ADD, 'webnn_graph "g" v2'),
    ],
)
def test_all_spellings_of_one_graph_are_equal(text: str) -> None:
    assert parse_graph(text) == parse_graph(graph(ADD))


def test_keywords_are_only_keywords_where_they_stand() -> None:
    found = parse_graph(
        graph("inputs { inputs: f32[2]; dyn: f32[2]; } nodes { v1 = add(inputs, dyn); } outputs { v1; }")
    )
    assert list(found.inputs) == ["inputs", "dyn"]


@pytest.mark.parametrize("outputs", ["y, z", "y; z", "y z", "y; z;"])
def test_outputs_take_every_separator_of_the_family(outputs: str) -> None:
    found = parse_graph(
        graph(f"inputs {{ a: f32[2]; }} nodes {{ y = add(a, a); z = add(a, y); }} outputs {{ {outputs} }}")
    )
    assert list(found.outputs) == ["y", "z"]


def test_names_with_dots_and_slashes_are_read() -> None:
    found = parse_graph(graph("inputs { /x/a.b: f32[2]; $c: f32[2]; } nodes { y = add(/x/a.b, $c); } outputs { y; }"))
    assert list(found.inputs) == ["/x/a.b", "$c"]


def test_a_constant_without_annotation_is_the_weight_of_its_own_name() -> None:
    assert with_nodes("y = add(a, w);").constants["w"].key == "w"


def test_operands_in_brackets_are_operands() -> None:
    assert with_nodes("y = concat([a, b], axis=0);") == with_nodes("y = concat(a, b, axis=0);")


@pytest.mark.parametrize("named", ["scale=w, bias=v", 'bias="v", scale="w"', "bias=v, scale=w"])
def test_operands_by_name_take_their_slots(named: str) -> None:
    found = with_nodes(f"y = layerNormalization(a, {named}, axes=[1], epsilon=0.5);")
    assert found.nodes[0].inputs == ("a", "w", "v")


def test_an_operand_behind_a_gap_leaves_the_gap() -> None:
    found = with_nodes("y = layerNormalization(a, bias=v, scale=null, axes=[1]);")
    assert found.nodes[0].inputs == ("a", None, "v")


@pytest.mark.parametrize("value", ['"float16"', "f16", "float16", '"Float16"'])
def test_identifiers_and_strings_are_one_as_option_values(value: str) -> None:
    assert with_nodes(f"y = cast(a, to={value});").types["y"].dtype is DataType.FLOAT16


def test_a_shape_annotation_is_checked_not_dropped() -> None:
    gather = "y = gather(a, i, axis=0, shape={}); "
    body = "inputs {{ a: f32[2, 3]; i: i64[4]; }} nodes {{ {} }} outputs {{ y; }}"
    parse_graph(graph(body.format(gather.format("[4, 3]"))))
    with pytest.raises(ShapeError, match=r"annotated shape=\[4, 4\], but it is f32\[4, 3\]"):
        parse_graph(graph(body.format(gather.format("[4, 4]"))))


V2 = 'webnn_graph "g" v2'


def test_named_dimensions_declare_their_range() -> None:
    found = parse_graph(
        graph(
            'inputs { a: f32[dyn("batch", 64), dyn("past", 9, 0)]; b: f32[dyn("batch", 64), dyn("past + 1", 10)]; } '
            "nodes { y = add(a, a); z = add(b, b); } outputs { y; z; }",
            V2,
        )
    )
    assert dict(found.dims) == {"batch": DynamicDim("batch", 64), "past": DynamicDim("past", 9, 0)}
    assert found.inputs["b"].shape == (symbol("batch"), symbol("past") + 1)


def test_an_expression_may_declare_its_names() -> None:
    found = parse_graph(
        graph('inputs { a: f32[dyn("2*n + 1", 7, dyn("n", 3, 0))]; } nodes { y = add(a, a); } outputs { y; }', V2)
    )
    assert found.dims["n"] == DynamicDim("n", 3, 0)


def test_a_dimension_in_an_option_is_an_object() -> None:
    found = parse_graph(
        graph(
            'inputs { a: f32[dyn("batch", 64), 12]; } '
            'nodes { y = reshape(a, newShape=[{name: "batch*3", "maxSize": 192}, 4]); } outputs { y; }',
            V2,
        )
    )
    shape = found.types["y"].shape
    assert isinstance(shape[0], SymbolicDim)
    assert shape == (symbol("batch") * 3, 4)


@pytest.mark.parametrize(
    ("declaration", "values"),
    [
        ("s: i64[] @scalar(9007199254740993)", 9007199254740993),
        ("s: u64[] @scalar(18446744073709551615)", 18446744073709551615),
        ("s: i32[] @scalar(-5)", -5),
        ("s: i32[] @scalar(5.0)", 5),
        ("s: f32[] @scalar(-0.0)", -0.0),
        ("s: f32[] @scalar(-3.4028235e+38)", float(np.finfo(np.float32).min)),
        ("s: f32[3] @scalar(1)", [1.0, 1.0, 1.0]),
        ("s: i4[3] @bytes([255, 7, 248])", [-1, 7, -8]),
        ("s: u8[2] @bytes( [ 0 ,\n255 ] )", [0, 255]),
        ("s: u8[2] @bytes # [9]\n (# (\n [ # 1, 2 ])\n 0 # ,\n, 255 # ;\n ] # ]\n )", [0, 255]),
        ("s: u8[2] @bytes([0, #\n255#\n])", [0, 255]),
    ],
)
def test_inline_constants_are_exact(declaration: str, values: object) -> None:
    found = parse_graph(graph(f"inputs {{ a: f32[2]; }} consts {{ {declaration}; }} {CALL}"))
    assert found.constants["s"].values.tolist() == values


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("", 1, 1, "found the end of the file; a graph starts with"),
        ("\ufeffwebnn_graph", 1, 1, "byte order mark"),
        ("{}", 1, 1, "a graph starts with"),
        ("webnn_graph g v1 {}", 1, 13, "name in quotes"),
        ('webnn_graph "g" v3 {}', 1, 17, "version v3 is not known"),
        ('webnn_graph "g', 1, 13, "never ends"),
        ('webnn_graph "g" v1 {\n  inputs {\n    x: f64[2];', 3, 8, "a data type is needed"),
        ('webnn_graph "g" v1 {\n  inputs { x: f32; } }', 2, 18, "'[' is needed"),
        ('webnn_graph "g" v1 {\n  inputs { x: f32[1,]; } }', 2, 21, "found ']'; a dimension is needed"),
        ('webnn_graph "g" v1 { inputs { x: f32[-1]; } }', 1, 38, "-1 is not a dimension"),
        ('webnn_graph "g" v1 { inputs { x: f32[n]; } }', 1, 38, 'a named dimension is dyn("n", maximum)'),
        ('webnn_graph "g" v1 { inputs { x: f32[dyn("n", 2)]; } }', 1, 38, "v1 graph has no dyn"),
        ('webnn_graph "g" v1 { inputs { x: f32[2] } }', 1, 41, "found '}' after the type of 'x'; ';' is needed"),
        ('webnn_graph "g" v1 { inputs { x: f32[2]; x: f32[2]; } }', 1, 42, "already declared, at line 1, column 31"),
        ('webnn_graph "g" v1 { consts { c: f32[] @ weights("c"); } }', 1, 40, "character '@'"),
        ('webnn_graph "g" v1 { consts { c: f32[] @oops("c"); } }', 1, 40, "an annotation is @weights"),
        ('webnn_graph "g" v1 { consts { c: f32[] @scalar(1e400); } }', 1, 48, "too large"),
        ('webnn_graph "g" v1 { consts { c: u8[1] @bytes([300]); } }', 1, 40, "integers from 0 to 255"),
        ('webnn_graph "g" v1 { consts { c: u8[1] @bytes([1,]); } }', 1, 40, "integers from 0 to 255"),
        ('webnn_graph "g" v1 { consts { c: u8[1] @bytes([1 # and\n2]); } }', 1, 40, "integers from 0 to 255"),
        ('webnn_graph "g" v1 { consts { c: u8[1] @bytes([1 # ]);', 1, 40, "integers from 0 to 255"),
        ('webnn_graph "g" v1 { consts { c: i8[1] @bytes([-1]); } }', 1, 40, "integers from 0 to 255"),
        ('webnn_graph "g" v1 { consts { c: u8[2] @bytes([1]); } }', 1, 31, "holds 1 bytes; 2 are needed"),
        ('webnn_graph "g" v1 { consts { c: f32[2] @scalar(1) @weights("c"); } }', 1, 52, "two annotations"),
        ('webnn_graph "g" v1 { consts { c: i8[] @scalar(200); } }', 1, 31, "out of range; -128 to 127"),
        ('webnn_graph "g" v1 { consts { c: i8[] @scalar(0.5); } }', 1, 31, "not an integer"),
        ('webnn_graph "g" v1 { consts { c: f16[] @scalar(70000); } }', 1, 31, "too large"),
        ('webnn_graph "g" v1 { consts { c: f32[] @scalar(3.5e38); } }', 1, 31, "too large"),
        ('webnn_graph "g" v1 { consts { c: f32[99999, 99999] @scalar(1); } }', 1, 31, "fills at most"),
        ('webnn_graph "g" v2 { consts { c: f32[dyn("n", 2)]; } }', 1, 31, "must be static"),
        ('webnn_graph "g" v1 { nodes { y = x; } }', 1, 35, "found ';' after 'x'; '(' is needed"),
        ('webnn_graph "g" v1 { nodes { y = 3; } }', 1, 34, "found '3'; an operator call is needed"),
        ('webnn_graph "g" v1 { nodes { y = add(a, 1.5); } }', 1, 41, "in consts, as in c: f32[] @scalar(1.5)"),
        ('webnn_graph "g" v1 { nodes { y = gemm(a, b, null, c); } }', 1, 45, "by name, as in bias=b"),
        ('webnn_graph "g" v1 { nodes { y = add(a, true); } }', 1, 41, "literal by position"),
        ('webnn_graph "g" v1 { nodes { y = reshape(a, [2]); } }', 1, 45, "as in reshape(x, newShape=...)"),
        ('webnn_graph "g" v1 { nodes { y = add(a, b,); } }', 1, 43, "found ')'; a value is needed"),
        ('webnn_graph "g" v1 { nodes { y = softmax(a, axis=1, axis=1); } }', 1, 53, "'axis' twice"),
        ('webnn_graph "g" v1 { nodes { y = softmax(a, axis=.5); } }', 1, 50, "character '.'"),
        ('webnn_graph "g" v1 { // note\n', 1, 22, "write '#'"),
        ('webnn_graph "g" v1 { outputs { y, ; } }', 1, 35, "after ','"),
        ('webnn_graph "g" v1 { outputs { y; y; } }', 1, 35, "listed twice"),
        ('webnn_graph "g" v1 { things { } }', 1, 22, "a block"),
        ('webnn_graph "g" v1 { outputs { y; }', 1, 36, "found the end of the file"),
        ('webnn_graph "g" v1 { outputs { y; } } }', 1, 39, "after the closing '}'"),
        (graph("inputs { x: f32[é]; }"), 1, 38, "character 'é'"),
        (
            'webnn_graph "g" v2 { inputs { x: f32[dyn("n", 2)]; z: f32[dyn("n", 3)]; } }',
            1,
            52,
            "range 1..3 here and 1..2 before",
        ),
        ('webnn_graph "g" v2 { inputs { x: f32[dyn("n + 1", 2)]; } }', 1, 31, "dimension 'n' of 'n + 1' has no range"),
        ('webnn_graph "g" v2 { inputs { x: f32[dyn("n", 2, 5)]; } }', 1, 31, "minimum 5 and maximum 2"),
        ('webnn_graph "g" v2 { inputs { x: f32[dyn("n//0", 2, dyn("n", 2))]; } }', 1, 31, "divides by zero"),
    ],
)
def test_an_error_points_at_the_token(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_graph(text, path="m.webnn")
    error = caught.value
    assert (error.path, error.line, error.column) == ("m.webnn", line, column)
    assert message in error.reason
    assert str(error).startswith(f"m.webnn:{line}:{column}: ")


@pytest.mark.parametrize(
    ("nodes", "leaf", "message"),
    [
        ("y = unsqueeze(a, axes=[0]);", UnknownOp, "no WebNN operator is called 'unsqueeze'"),
        ("y = shape(a);", UnknownOp, "'shape'"),
        ("y = softmx(a, axis=1);", UnknownOp, "did you mean 'softmax'?"),
        ("y = Relu(a);", UnknownOp, "did you mean 'relu'?"),
        ("y = Softmax(a);", UnknownOp, "did you mean 'softmax'?"),
        ("y = softmax(a, axsi=1);", OptionError, "did you mean 'axis'?"),
        ("y = softmax(a, axis=2);", OptionError, "2 is not an axis of f32[2, 3]"),
        ("y = add(a);", OperandError, "lacks operand 'b'"),
        ("y = add(a, b, w);", OperandError, "at most 2"),
        ("y = add(a, b, a=b);", OperandError, "'a' is given twice"),
        ("y = add(a, b=3);", OperandError, "must be the name of a value"),
        ("y = layerNormalization(a, scale=3);", OperandError, "'scale' must be the name of a value"),
        ("y = add(a, nothing);", OperandError, "'nothing', which nothing before it defines"),
        ("y = reshape(a, newShape=[{size: 3}]);", OptionError, "must be a dimension"),
        ('y = reshape(a, newShape=[{name: "n", maxSize: 3}, 2]);', ShapeError, "dimension 'n'"),
        ('y = reshape(a, newShape=[{name: "(", maxSize: 3}, 2]);', OptionError, "unexpected"),
    ],
)
def test_a_graph_error_names_place_and_node(nodes: str, leaf: type[GraphError], message: str) -> None:
    declared = "inputs { a: f32[2, 3]; b: f32[2, 3]; } consts { w: f32[3]; operand_3: f32[3]; }"
    text = f'webnn_graph "g" v1 {{\n  {declared}\nnodes {{ {nodes} }} outputs {{ y; }} }}'
    with pytest.raises(leaf) as caught:
        parse_graph(text, path="m.webnn")
    assert str(caught.value).startswith("m.webnn:3:9: node 'y': ")
    assert (caught.value.path, caught.value.line, caught.value.column) == ("m.webnn", 3, 9)
    assert message in str(caught.value)


@pytest.mark.parametrize("number", ["-inf", ".5", "1.", "+1"])
def test_a_number_of_another_notation_is_answered_with_ours(number: str) -> None:
    text = f'webnn_graph "g" v1 {{ inputs {{ x: f32[1]; }} nodes {{ y = elu(x, alpha={number}); }} outputs {{ y; }} }}'
    with pytest.raises(ParseError, match="numbers look like"):
        parse_graph(text)


@pytest.mark.parametrize(
    ("inputs", "outputs", "place"),
    [
        ("x: f32[1];\n  y: f32[0];", "x", "g.webnn:3:3: 'y'"),
        ("x: f32[2147483648];", "x", "g.webnn:2:3: 'x'"),
        ("x: f32[65536, 65536];", "x", "g.webnn:2:3: 'x'"),
        ("x: f32[1];", "x,\n   z", "g.webnn:6:4: output 'z'"),
    ],
)
def test_a_declaration_that_no_graph_can_have_is_pointed_at(inputs: str, outputs: str, place: str) -> None:
    text = f'webnn_graph "g" v1 {{ inputs {{\n  {inputs}\n}}\noutputs {{\n{outputs} }} }}'
    with pytest.raises(GraphError, match=f"^{re.escape(place)}"):
        parse_graph(text, path="g.webnn")


def test_deep_nesting_is_an_error_not_a_crash() -> None:
    with pytest.raises(ParseError, match="nested more than 32 deep"):
        parse_graph(graph(f"nodes {{ y = reshape(a, newShape={'[' * 100_000}"))


def test_endless_numbers_are_refused() -> None:
    with pytest.raises(ParseError, match="at most 400"):
        parse_graph(graph(f"consts {{ c: f32[] @scalar({'1' * 5000}); }}"))


def test_a_blank_run_costs_linear_time() -> None:
    with pytest.raises(ParseError, match="character '%'"):
        parse_graph(" # c\n" * 200_000 + "%")


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(FormatError, match="byte 1 is not UTF-8"):
        parse_graph(b"w\xff")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("extreme", ["max", "min", "tiny", "smallest_subnormal"])
def test_the_extreme_finite_scalars_survive(dtype, extreme):
    value = np.asarray(getattr(np.finfo(dtype), extreme))
    builder = GraphBuilder()
    built = builder.build({"y": builder.op("identity", builder.constant(value))})
    (constant,) = parse_graph(print_graph(built)).constants.values()
    assert constant.values.tobytes() == value.tobytes()

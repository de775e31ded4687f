"""The page that shows a graph: one file, its own policy, and names that are never markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from webnn_runtime.format.builder import GraphBuilder, Value
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Constant, Graph, Node, TensorType
from webnn_translator.emit import emit_page
from webnn_translator.emit.blocks import blocks_of

LAYOUT: Final = Path(__file__).with_name("layout_check.mjs")
HOSTILE: Final = [
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "&lt;b&gt;",
    '"><svg onload=alert(1)>',
    "__proto__",
]


class Page(HTMLParser):
    """Tags and attributes of a page, and what stands in its styles and scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.contents: list[tuple[str, str]] = []
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open.replace(tag, "")

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style"):
            self.contents.append((self._open, data))


def hostile() -> Graph:
    kind = TensorType(DataType.FLOAT32, (2,))
    return Graph.create(
        HOSTILE[0],
        dims={},
        inputs={f"i{name}": kind for name in HOSTILE},
        constants={f"c{name}": Constant(kind, np.float32([1, 2]), f"k{name}") for name in HOSTILE},
        nodes=tuple(Node("add", (f"i{name}", f"c{name}"), {}, (f"n{name}",), label=name) for name in HOSTILE),
        outputs={name: f"n{name}" for name in HOSTILE},
    )


def data_of(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Page(text).contents[1][1])
    return found


def test_equal_graphs_give_equal_pages() -> None:
    assert emit_page(hostile()) == emit_page(hostile())


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else() -> None:
    page = Page(emit_page(hostile()))
    (style,) = (text for tag, text in page.contents if tag == "style")
    _, script = (text for tag, text in page.contents if tag == "script")
    policy = next(value for name, value in page.attributes if name == "content" and "default-src" in str(value))

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest(style)}'; script-src 'sha256-{digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href", "style")]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", script + style)


def test_hostile_names_are_data_and_nothing_else() -> None:
    plain = GraphBuilder()
    text = emit_page(plain.build({"y": plain.op("abs", plain.input("x", DataType.FLOAT32, (1,)))}))
    assert Page(emit_page(hostile())).tags == Page(text).tags
    data = data_of(emit_page(hostile()))
    assert data["name"] == HOSTILE[0]
    assert [node[1] for node in data["nodes"]] == HOSTILE
    assert [name for name, _ in data["outputs"]] == HOSTILE


def test_characters_that_turn_text_around_are_shown_as_escapes() -> None:
    assert (
        data_of(emit_page(hostile(), {f"i{HOSTILE[2]}": "a\u202eb\x00c\n"}))["values"][2][0]
        == "a\\u202eb\\u0000c\\u000a"
    )


def test_what_a_box_tells_are_the_options_that_are_not_the_default() -> None:
    builder = GraphBuilder()
    x = builder.input("x", DataType.FLOAT32, (1, 4, 8, 8))
    filters = builder.constant(np.zeros((8, 2, 3, 3), np.float32), name="w")
    y = builder.op("conv2d", x, filters, groups=2, padding=[1, 1, 1, 1], strides=[1, 1])
    z = builder.op("slice", y, starts=[0, 0, 1, 0], sizes=[1, 1, 2, 2])
    conv, cut = data_of(emit_page(builder.build({"z": z})))["nodes"]
    assert {name for name, _, is_told in conv[4] if is_told} == {"groups", "padding"}
    assert {name for name, _, _ in conv[4]} > {"strides", "dilations"}
    assert cut[4] == [
        ["starts", "[0, 0, 1, 0]", True],
        ["sizes", "[1, 1, 2, 2]", True],
        ["strides", "[1, 1, 1, 1]", False],
    ]


def test_types_options_constants_and_documentation_are_there() -> None:
    builder = GraphBuilder()
    x = builder.input("x", DataType.FLOAT32, (2, 3))
    weights = builder.constant(np.zeros((3, 5), np.float32), name="w")
    half = builder.constant(np.float32(0.5))
    y = builder.op("softmax", builder.op("mul", builder.op("matmul", x, weights), half), axis=1)
    data = data_of(emit_page(builder.build({"y": y}), {"w": "layer.weight"}, source="model.onnx"))
    assert data["source"] == "model.onnx"
    assert [node[0] for node in data["nodes"]] == ["matmul", "mul", "softmax"]
    assert data["nodes"][2][4] == [["axis", "1", True]]
    assert data["values"][data["nodes"][2][3][0]][2] == "f32[2, 5]"
    assert data["values"][data["nodes"][0][2][1]] == ["layer.weight", "float32", "f32[3, 5]"]
    assert sorted(data["constants"].values(), key=lambda item: item["count"]) == [
        {"count": 1, "bytes": 4, "text": "0.5"},
        {"count": 15, "bytes": 60},
    ]
    assert data["ops"]["matmul"]["operands"] == ["a", "b"]
    assert data["ops"]["softmax"]["doc"].endswith(".")


def stack(layers: int, *, shared: bool = False) -> Graph:
    """Layers of six nodes; with `shared` the first one computes a mask in its midst that all use."""
    builder = GraphBuilder()
    h: Value = builder.input("x", DataType.FLOAT32, (4, 4))
    given = builder.input("mask", DataType.FLOAT32, (4, 4))
    mask: Value = given
    for layer in range(layers):
        a = builder.op("relu", h, name=f"model.layer.{layer}.relu")
        b = builder.op("tanh", a, name=f"model.layer.{layer}.tanh")
        if shared and layer == 0:
            mask = builder.op("abs", given, name="model.layer.0.mask")
        c = builder.op("matmul", a, b, name=f"model.layer.{layer}.product")
        d = builder.op("add", c, mask, name=f"model.layer.{layer}.masked")
        e = builder.op("softmax", d, axis=1, name=f"model.layer.{layer}.softmax")
        h = builder.op("add", e, h, name=f"model.layer.{layer}.sum")
    return builder.build({"y": builder.op("sigmoid", h, name="head")})


def found_in(graph: Graph) -> list[tuple[int, int, int, int, str]]:
    _, blocks = blocks_of(graph, {node.name: node.name for node in graph.nodes})
    return [(block.start, block.length, block.number, block.count, block.title) for block in blocks]


def test_layers_are_found_and_called_after_what_their_names_share() -> None:
    assert found_in(stack(4)) == [(6 * turn, 6, turn + 1, 4, f"model.layer.{turn}") for turn in range(4)]


def test_a_first_layer_with_a_node_for_all_is_still_the_first_layer() -> None:
    graph = stack(4, shared=True)
    nodes, _ = blocks_of(graph, {node.name: node.name for node in graph.nodes})
    assert nodes[0].name == "model.layer.0.mask"
    assert sorted(node.name for node in nodes) == sorted(node.name for node in graph.nodes)
    assert found_in(graph) == [(1 + 6 * turn, 6, turn + 1, 4, f"model.layer.{turn}") for turn in range(4)]
    known = set(graph.inputs) | set(graph.constants)
    for node in nodes:
        assert {name for name in node.inputs if name is not None} <= known
        known |= set(node.outputs)


def test_one_operator_again_and_again_is_no_block() -> None:
    builder = GraphBuilder()
    h: Value = builder.input("x", DataType.FLOAT32, (4,))
    for _ in range(40):
        h = builder.op("relu", h)
    assert found_in(builder.build({"y": h})) == []


@pytest.mark.timeout(20)
def test_a_long_graph_that_never_repeats_is_looked_through_in_seconds() -> None:
    builder = GraphBuilder()
    value = builder.input("x", DataType.FLOAT32, (1,))
    for choice in np.random.default_rng(0).integers(0, 4, 20_000):
        value = builder.op(("abs", "neg", "relu", "tanh")[choice], value)
    assert len(found_in(builder.build({"y": value}))) < 1000


def test_equal_parts_side_by_side_are_no_layers() -> None:
    builder = GraphBuilder()
    x = builder.input("x", DataType.FLOAT32, (4, 4))
    heads = []
    for _ in range(3):
        h: Value = x
        for op in ("relu", "tanh", "abs", "neg", "exp", "sqrt"):
            h = builder.op(op, h)
        heads.append(h)
    assert found_in(builder.build({"y": builder.op_many("concat", *heads, axis=0)[0]})) == []


@pytest.mark.parametrize("shape", ["chain", "wide", "random", "blocks"])
def test_boxes_never_touch_and_lines_go_down(node: str, shape: str) -> None:
    done = subprocess.run([node, str(LAYOUT), shape], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "fine\n"

"""What a module says and does around the graph: what is missing, dimensions, weights, inputs, hostile names."""

from __future__ import annotations

import base64
import json
import re
import struct
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, evaluate, parse_dim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Constant, Graph, Node, TensorType
from webnn_translator.emit import ModuleSource, emit_module, emit_types
from webnn_translator.emit.literals import dimension

ROOT: Final = Path(__file__).resolve().parents[3]
Play = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
HOSTILE: Final = [
    "</script><script>alert(1)</script>",
    "a */ b // c",
    "line\nbreak \u2028 \u2029 \r",
    '"; throw 1; "',
    "`${process.exit(1)}`",
    "\\",
    "__proto__",
    "constructor",
    "class",
    "await",
    "\u202eright to left",
    "日本語 🙂",
    "\x00\x7f",
    "<!--",
    "]]>",
]


def base(data: bytes) -> str:
    return base64.b64encode(data).decode()


def small() -> Graph:
    """y = x + x, for any length."""
    builder = GraphBuilder(dims=[DynamicDim("length", 64)])
    x = builder.input("x", DataType.FLOAT32, (symbol("length"),))
    return builder.build({"y": builder.op("add", x, x)})


SMALL_TYPES: Final = [[{"dataType": "float32", "shape": [3]}]]
GIVEN: Final[dict[str, Any]] = {"types": SMALL_TYPES, "dimensions": {"length": 3}}


def test_equal_graphs_give_equal_bytes_in_plain_ascii() -> None:
    text = emit_module(ModuleSource(small()))
    assert text == emit_module(ModuleSource(small()))
    assert text.isascii()
    assert text.endswith("}\n")


def test_the_page_names_all_that_a_module_exports(node: str, tmp_path: Path) -> None:
    module = tmp_path / "model.mjs"
    module.write_text(emit_module(ModuleSource(small())), encoding="utf-8")
    told = f"import * as all from {json.dumps(module.as_uri())}; console.log(JSON.stringify(Object.keys(all)))"
    command = [node, "--input-type=module", "--eval", told]
    exported = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    page = (ROOT / "docs" / "browser.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)", page, re.MULTILINE)) == sorted(exported)
    declared = re.findall(
        r"^export declare (?:class|const|function) (\w+)", emit_types(ModuleSource(small())), re.MULTILINE
    )
    assert sorted(declared) == sorted(exported)


def hostile_graph() -> Graph:
    kind = TensorType(DataType.FLOAT32, (2,))
    constants = {f"w{name}": Constant(kind, np.float32([1, 2])) for name in HOSTILE}
    nodes = [Node("add", (name, f"w{name}"), {}, (f"n{name}",), label=name) for name in HOSTILE]
    return Graph.create(
        HOSTILE[0],
        dims={},
        inputs=dict.fromkeys(HOSTILE, kind),
        constants=constants,
        nodes=tuple(nodes),
        outputs={name: f"n{name}" for name in HOSTILE},
    )


class Scripts(HTMLParser):
    """The tags that are closed in a page, and its text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.texts: list[str] = []
        self.tags: list[str] = []

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_names_of_any_kind_stay_names(play: Play) -> None:
    graph = hostile_graph()
    text = emit_module(ModuleSource(graph))
    page = Scripts()
    page.feed(f"<script type=module>{text}</script>")
    page.close()
    assert page.tags == ["script"]
    assert "".join(page.texts) == text
    (answer,) = play(
        [
            {
                "text": text,
                "types": [[{"dataType": "float32", "shape": [2]}]] * len(HOSTILE),
                "feeds": {name: ["numbers", [1, 2]] for name in HOSTILE},
                "answers": {name: base(struct.pack("<2f", 1, 2)) for name in HOSTILE},
            }
        ]
    )
    assert "error" not in answer
    record = answer["record"]
    assert [item["name"] for item in record["inputs"]] == HOSTILE
    assert [call["read"]["label"] for call in record["calls"]] == HOSTILE
    assert [name for name, _ in record["outputs"]] == HOSTILE
    assert [name for name, *_ in answer["results"]] == HOSTILE
    assert sorted(record["written"]) == sorted(HOSTILE)


def test_a_declaration_quotes_hostile_names() -> None:
    text = emit_types(ModuleSource(hostile_graph()))
    assert text.isascii()
    assert "</script" not in text
    assert '"\\u003c/script>\\u003cscript>alert(1)\\u003c/script>"' in text


LIMIT: Final = {"dataTypes": ["float32"], "rankRange": {"min": 0, "max": 5}}
LIMITS: Final = {"input": LIMIT, "output": LIMIT, "constant": LIMIT, "add": {"a": LIMIT, "b": LIMIT, "output": LIMIT}}
NARROW: Final = {**LIMIT, "rankRange": {"min": 2, "max": 4}}


@pytest.mark.parametrize(
    ("taken_away", "reason"),
    [
        ({"environment": "no webnn", "load": True}, "UnsupportedError: this browser has no WebNN"),
        ({"environment": "insecure", "load": True}, "UnsupportedError: this page is not in a secure context"),
        ({"environment": "no builder"}, "UnsupportedError: this browser has no MLGraphBuilder"),
        ({"without": ["add"]}, "UnsupportedError: this browser's MLGraphBuilder has no add()"),
        ({"without": ["dispatch"]}, "UnsupportedError: this browser's MLContext has no dispatch()"),
        ({"arity": {"add": 1}}, "UnsupportedError: add() of this browser is that of an older draft"),
        ({"limits": {**LIMITS, "add": None}}, "UnsupportedError: add operand 'a' (in 'y'): the context has no add"),
        (
            {"limits": {**LIMITS, "input": NARROW}},
            "UnsupportedError: input 'x' has rank 1; the context takes 2 to 4",
        ),
        (
            {"limits": {**LIMITS, "output": {**LIMIT, "dataTypes": ["float16"]}}},
            "UnsupportedError: output 'y' is float32; the context takes float16",
        ),
        ({"types": [[{"dataType": "float32", "shape": [4]}]]}, "Error: 'y' is float32 [4] in this browser"),
        ({"dimensions": {}}, "RangeError: dimension 'length' is undefined; give an integer from 1 to 64"),
        (
            {"dimensions": {"length": "3"}},
            "RangeError: dimension 'length' is the text \"3\"; give an integer from 1 to 64",
        ),
        ({"dimensions": {"length": 65}}, "RangeError: dimension 'length' is 65"),
        ({"dimensions": {"length": 2.5}}, "RangeError: dimension 'length' is 2.5"),
        (
            {"dimensions": {"length": 3, "batch": 1}},
            "RangeError: there is no dimension 'batch'; the dimensions are length",
        ),
        ({"weights": base(b"x")}, "RangeError: the weights given: 1 bytes; 0 are needed"),
        ({"feeds": {}}, "TypeError: input 'x' is missing; give Float32Array"),
        ({"feeds": {"z": ["float32", [1]]}}, "TypeError: there is no input 'z'; the inputs are x"),
        ({"feeds": {"x": ["int32", [1, 2, 3]]}}, "TypeError: input 'x' is Int32Array; give Float32Array"),
        ({"feeds": {"x": ["float32", [1, 2]]}}, "RangeError: input 'x' has 2 values; [3] needs 3"),
    ],
)
def test_what_is_wrong_is_said(play: Play, taken_away: dict[str, Any], reason: str) -> None:
    limits = taken_away.get("limits")
    if limits:
        taken_away = taken_away | {"limits": {name: value for name, value in limits.items() if value is not None}}
    (answer,) = play([{"text": emit_module(ModuleSource(small())), **GIVEN, **taken_away}])
    assert answer["error"].startswith(reason)


def test_a_context_within_the_limits_is_fine_and_runs(play: Play) -> None:
    values = np.float32([2, 4, 6])
    feeds = {"x": ["numbers", [1, 2, 3]]}
    item = {**GIVEN, "limits": LIMITS, "feeds": feeds, "answers": {"y": base(values.tobytes())}}
    (answer,) = play([{"text": emit_module(ModuleSource(small())), **item}])
    assert answer["unsupported"] == []
    assert answer["results"] == [["y", "float32", [3], "Float32Array", base(values.tobytes())]]
    assert answer["record"]["written"] == {"x": base(np.float32([1, 2, 3]).tobytes())}


def whole_numbers(dtype: DataType) -> Graph:
    builder = GraphBuilder()
    x = builder.input("x", dtype, (2,))
    return builder.build({"y": builder.op("max", x, builder.constant(np.array(3, dtype.numpy)))})


def test_int64_says_how_to_do_without(play: Play) -> None:
    text = emit_module(ModuleSource(whole_numbers(DataType.INT64)))
    (answer,) = play([{"text": text, "limits": {**LIMITS, "max": LIMITS["add"]}}])
    assert "`webnn-convert --int64 int32`" in answer["error"]
    assert "max operand 'a' (in 'y') is int64; the context takes float32" in answer["error"]


@pytest.mark.parametrize("dtype", [DataType.INT64, DataType.UINT64])
def test_64_bit_integers_are_exact(play: Play, dtype: DataType) -> None:
    low, high = dtype.bounds
    answer_bytes = np.array([low, high], dtype.numpy).tobytes()
    kinds = [[{"dataType": dtype.value, "shape": [2]}]]
    item = {"types": kinds, "feeds": {"x": ["numbers", [1, 2]]}, "answers": {"y": base(answer_bytes)}}
    (answer,) = play([{"text": emit_module(ModuleSource(whole_numbers(dtype))), **item}])
    assert answer["record"]["constants"][0]["data"] == base(np.array(3, dtype.numpy).tobytes())
    assert answer["record"]["written"] == {"x": base(np.array([1, 2], dtype.numpy).tobytes())}
    name = "BigInt64Array" if dtype is DataType.INT64 else "BigUint64Array"
    assert answer["results"] == [["y", dtype.value, [2], name, base(answer_bytes)]]


@pytest.mark.parametrize("values", [[1.5, 2], [300, 1], [-1, 0]])
def test_a_number_that_the_type_does_not_hold_is_refused(play: Play, values: list[float]) -> None:
    builder = GraphBuilder()
    x = builder.input("x", DataType.UINT8, (2,))
    text = emit_module(ModuleSource(builder.build({"y": builder.op("identity", x)})))
    kinds = [[{"dataType": "uint8", "shape": [2]}]]
    (answer,) = play([{"text": text, "types": kinds, "feeds": {"x": ["numbers", values]}}])
    assert answer["error"].startswith("RangeError: input 'x': ")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ([1, None], "TypeError: input 'x': value 1 is null; give numbers"),
        (["1", 2], "TypeError: input 'x': value 0 is string; give numbers"),
        ([True, 2], "TypeError: input 'x': value 0 is boolean; give numbers"),
        ([[1], [2]], "TypeError: input 'x': value 0 is an array; give all values in one, row after row"),
        ([1, 1e39], "RangeError: input 'x': 1e+39 is no float32"),
    ],
)
def test_what_would_become_nan_or_infinity_is_refused(play: Play, values: list[Any], complaint: str) -> None:
    text = emit_module(ModuleSource(small()))
    item = {**GIVEN, "types": [[{"dataType": "float32", "shape": [2]}]], "dimensions": {"length": 2}}
    (answer,) = play([{"text": text, **item, "feeds": {"x": ["numbers", values]}, "answers": {"y": base(bytes(8))}}])
    assert answer.get("error") == complaint


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ([1, 1.5], "RangeError: input 'x': 1.5 is no int64"),
        ([1, "2"], "TypeError: input 'x': value 1 is string; give numbers"),
        ([2**64, 1], "RangeError: input 'x': 18446744073709552000 is no int64"),
    ],
)
def test_what_is_no_64_bit_integer_is_told_with_the_input(play: Play, values: list[Any], complaint: str) -> None:
    text = emit_module(ModuleSource(whole_numbers(DataType.INT64)))
    kinds = [[{"dataType": "int64", "shape": [2]}]]
    (answer,) = play([{"text": text, "types": kinds, "feeds": {"x": ["numbers", values]}}])
    assert answer["error"] == complaint


def test_truth_values_are_integers(play: Play) -> None:
    text = emit_module(ModuleSource(whole_numbers(DataType.INT64)))
    kinds = [[{"dataType": "int64", "shape": [2]}]]
    item = {"types": kinds, "feeds": {"x": ["numbers", [True, False]]}, "answers": {"y": base(bytes(16))}}
    (answer,) = play([{"text": text, **item}])
    assert answer["record"]["written"] == {"x": base(np.int64([1, 0]).tobytes())}


def pool() -> Graph:
    builder = GraphBuilder()
    x = builder.input("x", DataType.FLOAT32, (1, 1, 4, 4))
    made = builder.op("maxPool2d", x, windowDimensions=(3, 3), strides=(2, 2), outputShapeRounding="ceil")
    return builder.build({"y": made})


def test_an_option_that_the_browser_does_not_read_is_an_error_and_an_older_spelling_is_not(play: Play) -> None:
    text = emit_module(ModuleSource(pool()))
    members = ["windowDimensions", "strides", "label"]
    kinds = [[{"dataType": "float32", "shape": [1, 1, 2, 2]}]]
    without, older = play(
        [
            {"text": text, "types": kinds, "knows": {"maxPool2d": members}},
            {"text": text, "types": kinds, "knows": {"maxPool2d": [*members, "roundingType"]}},
        ]
    )
    assert without["error"] == (
        "UnsupportedError: maxPool2d 'y': this browser does not know option outputShapeRounding"
    )
    assert older["record"]["calls"][0]["read"]["roundingType"] == "ceil"
    assert "error" not in older


EXPRESSIONS: Final = [
    "a",
    "a + 1",
    "2*a - b",
    "a*b + 3*b - 7",
    "(a + 2*b - 3)//2 + 1",
    "a//b*(b - 9)",
    "(a - 40)//7",
    "min(a, 5) + max(b, 2*a)",
    "max((a + b)//3, min(b, a*a))",
    "-a//4 + a*a*b",
]


def test_dimension_expressions_have_the_same_value_in_javascript(play: Play) -> None:
    pairs = [(a, b) for a in (1, 2, 17, 64) for b in (1, 3, 10)]
    dims = [parse_dim(text) for text in EXPRESSIONS]
    rows = "\n".join(f"  [{', '.join(dimension(dim) for dim in dims)}]," for _ in (0,))
    head = emit_module(ModuleSource(small()))
    probe = f"{head}\nexport const values = {pairs_text(pairs)}.flatMap((d) => [\n{rows}\n]);\n"
    (answer,) = play([{"text": probe, **GIVEN, "evaluate": "values"}])
    expected = [[evaluate(dim, {"a": a, "b": b}) for dim in dims] for a, b in pairs]
    assert answer["value"] == expected


def pairs_text(pairs: list[tuple[int, int]]) -> str:
    return f"[{', '.join(f'{{ a: {a}, b: {b} }}' for a, b in pairs)}]"


def test_a_condition_on_dimensions_is_decided_by_their_values(play: Play) -> None:
    builder = GraphBuilder(dims=[DynamicDim("n", 64)])
    x = builder.input("x", DataType.FLOAT32, (symbol("n"),))
    graph = builder.build({"y": builder.op_many("split", x, splits=2)[0]})
    text = emit_module(ModuleSource(graph))
    kinds = [[{"dataType": "float32", "shape": [2]}] * 2]
    even, odd = play([{"text": text, "types": kinds, "dimensions": {"n": n}} for n in (4, 5)])
    assert even["shapes"][1] == {"y": {"dataType": "float32", "shape": [2]}}
    assert "equal parts" in odd["error"]


def test_outputs_that_are_inputs_are_copied_and_unused_inputs_left_out(play: Play) -> None:
    kind = TensorType(DataType.FLOAT32, (1,))
    graph = Graph.create(
        "g",
        dims={},
        inputs={"x": kind, "unused": kind},
        constants={"c": Constant(kind, np.float32([1]))},
        nodes=(Node("abs", ("unused",), {}, ("dead",)),),
        outputs={"x": "x", "one": "c"},
    )
    kinds = [[{"dataType": "float32", "shape": [1]}]] * 2
    feeds = {"x": ["numbers", [1]], "unused": ["numbers", [1]]}
    item = {"types": kinds, "feeds": feeds, "answers": {"x": base(bytes(4)), "one": base(bytes(4))}}
    (answer,) = play([{"text": emit_module(ModuleSource(graph)), **item}])
    assert "error" not in answer
    assert [call["op"] for call in answer["record"]["calls"]] == ["identity", "identity"]
    assert [item["name"] for item in answer["record"]["inputs"]] == ["x"]
    assert list(answer["record"]["written"]) == ["x"]

"""Inputs without elements are folded away, and decoders that embed texts are translated with an empty cache."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import helper

from webnn_runtime import load
from webnn_runtime.format.errors import ManifestError
from webnn_translator._errors import DimensionError, InputError, TranslateError
from webnn_translator.bundling import ConvertOptions, convert_model
from webnn_translator.empty_cache import empty_cache
from webnn_translator.given_inputs import read_empty
from webnn_translator.translate import translate
from webnn_translator.verify import check_bundle

N = helper.make_node
F, I64 = np.float32, np.int64
PAST, FRESH = ("b", 2, "p", 4), ("b", 2, "s", 4)
CONSTANTS = {"zero": np.array([0]), "two": np.array(2.0, F), "picks": np.array([1, 0])}
# What exporters do with a cache before what is new is appended to it.
WAYS = {
    "nothing": [N("Identity", ["past"], ["e"])],
    "types": [N("Cast", ["past"], ["d"], to=10), N("Cast", ["d"], ["e"], to=1)],
    "axes": [N("Transpose", ["past"], ["d"], perm=[0, 2, 1, 3]), N("Transpose", ["d"], ["e"], perm=[0, 2, 1, 3])],
    "rank": [N("Unsqueeze", ["past", "zero"], ["d"]), N("Squeeze", ["d", "zero"], ["e"])],
    "arithmetic": [N("Mul", ["past", "two"], ["d"]), N("Neg", ["d"], ["f"]), N("Add", ["d", "f"], ["e"])],
    "parts": [N("Split", ["past"], ["d", "f"], axis=1), N("Concat", ["d", "f"], ["e"], axis=1)],
    "picks": [N("Gather", ["past", "picks"], ["e"], axis=1)],
    "expansion": [N("Shape", ["past"], ["d"]), N("Expand", ["past", "d"], ["e"])],
}


@pytest.fixture
def decoder(build):
    """A model whose outputs are made of the cache and what is new: `decoder(past, mask=..., vectors=...)`."""

    def make(**changes):
        past = changes.get("past", {"past_key_values.0.key": PAST, "past_key_values.0.value": PAST})
        vectors = changes.get("vectors", "last_hidden_state")
        inputs = {"input_ids": (I64, changes.get("ids", ("b", "s")))}
        inputs |= {"attention_mask": (I64, ("b", changes.get("mask", "total")))}
        inputs |= {name: (F, shape) for name, shape in past.items()}
        nodes = [
            N("Cast", ["input_ids"], ["ids"], to=1),
            N("Cast", ["attention_mask"], ["seen"], to=1),
            N("Mul", ["ids", "seen"], [vectors]),
            N("Unsqueeze", ["ids", "axes"], ["wide"]),
            N("Mul", ["wide", "ones"], ["fresh"]),
        ]
        nodes += [N("Concat", [name, "fresh"], [name.replace("past_key_values", "present")], axis=2) for name in past]
        outputs = [vectors, *(node.output[0] for node in nodes[5:])]
        constants = {"axes": np.array([1, 3]), "ones": np.ones((2, 1, 4), F)}
        return build(nodes, inputs, outputs, constants=constants)

    return make


def emptied(model, choice="auto", **more):
    return empty_cache(model, choice, **({"companions": (), "dims": {}, "ranged": ()} | more))


@pytest.mark.parametrize("way", WAYS)
def test_what_has_no_elements_is_folded_away(way, build) -> None:
    nodes = [*WAYS[way], N("Concat", ["e", "x"], ["c"], axis=2), N("Relu", ["c"], ["y"])]
    model = build(nodes, {"past": (F, PAST), "x": (F, FRESH)}, constants=CONSTANTS)
    found = translate(model, dims={"p": 0})
    assert [node.op for node in found.graph.nodes] == ["relu"]
    assert {name: str(kind) for name, kind in found.graph.inputs.items()} == {"x": "f32[b, 2, s, 4]"}
    assert [str(dim) for dim in found.empty_inputs["past"]] == ["b", "2", "0", "4"]
    assert "inputs without elements are left out, 1 of them: past" in found.notes


def test_no_rows_of_a_table_are_folded_away(build, agree) -> None:
    """A text that needs no padding: LED looks up the padding and appends it."""
    nodes = [
        N("ConstantOfShape", ["size"], ["i"], value=helper.make_tensor("v", 7, [1], [1])),
        N("Gather", ["t", "i"], ["e"]),
        N("Concat", ["x", "e"], ["y"], axis=1),
    ]
    constants = {"size": np.array([2, 0]), "t": np.ones((4, 3), F)}
    model = build(nodes, {"x": (F, (2, "n", 3))}, constants=constants)
    agree(model, {"x": np.arange(6, dtype=F).reshape(2, 1, 3)})


@pytest.mark.parametrize("reduction", ["none", "add"])
@pytest.mark.parametrize("op", ["ScatterND", "ScatterElements"])
def test_nothing_is_written_at_no_places(op, reduction, build, agree) -> None:
    # Video Swin numbers the windows of its mask by slices, which are empty along an axis that is not shifted.
    node = N(op, ["x", "at", "rows"], ["y"], reduction=reduction)
    at, rows = ((0, 1), (0, 4)) if op == "ScatterND" else ((0, 4), (0, 4))
    constants = {"at": np.zeros(at, I64), "rows": np.zeros(rows, F)}
    model = build([node], {"x": (F, ("n", 4))}, constants=constants, opset=18)
    agree(model, {"x": np.arange(12, dtype=F).reshape(3, 4)})


def test_a_result_without_elements_is_refused(build) -> None:
    model = build([N("Relu", ["x"], ["y"])], {"x": (F, ("n", 3))})
    with pytest.raises(TranslateError, match=r"an operand is \[0, 3\]; .*: where --dim says 0, give 1 or more"):
        translate(model, dims={"n": 0})
    with pytest.raises(DimensionError, match="maximum of dimension n is 0; 1 to"):
        translate(model, max_dims={"n": 0})
    with pytest.raises(DimensionError, match="minimum of dimension n is 3; 0 to its maximum, 2, are valid"):
        translate(model, min_dims={"n": 3}, max_dims={"n": 2})


def test_an_explicit_length_of_0_keeps_what_the_cache_becomes(decoder, optional, tmp_path) -> None:
    optional("onnxruntime")
    model = onnx.shape_inference.infer_shapes(decoder(mask="p + s"))
    onnx.save(model, tmp_path / "m.onnx")
    options = ConvertOptions(dims={"p": 0}, cache="keep")
    done = convert_model(str(tmp_path / "m.onnx"), tmp_path / "out", options)
    assert {name: str(kind) for name, kind in done.graph.inputs.items()} == dict.fromkeys(
        ("input_ids", "attention_mask"), "i64[b, s]"
    )
    assert len(done.graph.outputs) == 3
    assert done.certificate.passed
    assert check_bundle(tmp_path / "out", tmp_path / "m.onnx").certificate.passed
    ids = np.array([[3, 4]], I64)
    run = load(tmp_path / "out", backend="numpy").run({"input_ids": ids, "attention_mask": np.array([[1, 0]], I64)})
    assert run["last_hidden_state"].tolist() == [[3, 0]]


def test_a_cache_is_emptied_where_the_model_embeds(decoder) -> None:
    for model, more, why in (
        (decoder(), {}, "its output is last_hidden_state"),
        (decoder(vectors="logits"), {"companions": {"modules.json"}}, "modules.json lies beside the model"),
        (decoder(vectors="logits"), {"choice": "empty"}, "asked for"),
    ):
        found = emptied(model, **more)
        assert why in found.why
        assert found.dimension == "p"
        assert found.outputs == ("present.0.key", "present.0.value")
        assert len(model.graph.output) == 1
        assert str(translate(model, dims={"p": 0}).graph.inputs["attention_mask"]) == "i64[b, s]"


def test_a_cache_is_kept_where_nothing_says_that_the_model_embeds(decoder) -> None:
    for changes, more in (
        ({"vectors": "logits"}, {}),
        ({}, {"choice": "keep"}),
        ({}, {"dims": {"p": 7}}),
        ({}, {"ranged": {"p"}}),
        ({"past": {}}, {}),
        ({"past": {"past_key_values.0.key": ("b", 2, 3, 4)}}, {}),
    ):
        model = decoder(**changes)
        before = model.SerializeToString()
        assert emptied(model, **more) is None
        assert model.SerializeToString() == before


def test_lengths_without_names_are_one(decoder) -> None:
    shape = ("b", 2, None, 4)
    model = decoder(past={"past_key_values.0.key": shape, "past_key_values.0.value": shape}, ids=("b", None), mask=None)
    found = emptied(model)
    assert found.dimension == "past_key_values.0.key_dim_2"
    graph = translate(model, dims={found.dimension: 0}).graph
    assert str(graph.inputs["attention_mask"]) == str(graph.inputs["input_ids"])


@pytest.mark.parametrize(
    ("changes", "more", "message"),
    [
        ({"past": {}}, {}, r"no inputs past\* and input_ids"),
        ({"past": {"past_key_values.0.key": ("b", 2, 3, 4)}}, {}, "'past_key_values.0.key' has 0 lengths of its own"),
        ({"past": {"past_key_values.0.key": ("b", "h", "p", 4)}}, {}, "has 2 lengths of its own"),
        ({"past": {f"past_key_values.{k}.key": ("b", 2, k, 4) for k in "pq"}}, {}, "several lengths, p, q,"),
        ({}, {"dims": {"p": 7}}, "makes p = 0, and it is given another size"),
        ({}, {"ranged": {"p"}}, "makes p = 0, and it is given another size"),
    ],
)
def test_a_cache_that_cannot_be_empty_is_refused_when_asked_for(changes, more, message, decoder) -> None:
    with pytest.raises(InputError, match=message):
        emptied(decoder(**changes), "empty", **more)


def test_a_model_with_nothing_but_a_cache_is_refused(decoder) -> None:
    with pytest.raises(InputError, match="no outputs besides those of its cache"):
        emptied(decoder(vectors="present.tokens"), "empty")


@pytest.mark.parametrize("record", [{"x": 3}, {"x": ["b", None]}, {"x": ["+"]}])
def test_a_malformed_record_of_empty_inputs_is_refused(record) -> None:
    with pytest.raises(ManifestError, match="convert the model again"):
        read_empty(record)
    assert read_empty(json.loads('{"x": ["b", 0]}'))["x"][1] == 0

"""What becomes of each kind of weight: forms in the graph, scales that fit, and the same numbers on every backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_translator.quantize import QuantizeMisuse, QuantizeOptions, quantize_graph

if TYPE_CHECKING:
    from pathlib import Path

    from webnn_runtime.backends import Backend
    from webnn_runtime.format.graph import Graph

F32 = DataType.FLOAT32


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def encoder() -> Graph:
    """A table, positions that are cut out, a linear layer in each spelling, and a head that shares the table."""
    batch, length = symbol("batch"), symbol("length")
    builder = GraphBuilder("encoder", dims=[DynamicDim("batch", 64), DynamicDim("length", 32)])
    ids = builder.input("ids", DataType.INT64, (batch, length))
    table = builder.constant(normal(1, 96, 64), name="table")
    places = builder.constant(normal(2, 32, 64), name="places")
    cut = builder.op("slice", places, starts=[0, 0], sizes=[length, 64], strides=[1, 1], name="cut")
    x = builder.op("add", builder.op("gather", table, ids, axis=0, name="words"), cut)
    first = builder.constant(normal(3, 64, 64) / 8, name="first")
    bias = builder.constant(normal(4, 64), name="bias")
    x = builder.op("tanh", builder.op("add", builder.op("matmul", x, first, name="dense"), bias))
    rows = builder.op("reshape", x, newShape=[batch * length, 64])
    second = builder.constant(normal(5, 48, 64) / 8, name="second")
    rows = builder.op("gemm", rows, second, None, bTranspose=True, name="product")
    turned = builder.op("transpose", builder.constant(normal(6, 40, 48) / 8, name="third"), permutation=[1, 0])
    rows = builder.op("matmul", rows, turned, name="turned_product")
    head = builder.op("matmul", x, builder.op("transpose", table, permutation=[1, 0]), name="scores")
    return builder.build({"rows": rows, "scores": head})


def pictures() -> Graph:
    """Convolutions of both kinds and layouts, and an LSTM."""
    builder = GraphBuilder("pictures")
    x = builder.input("x", F32, (1, 8, 9, 9))
    x = builder.op("conv2d", x, builder.constant(normal(1, 24, 8, 3, 3) / 8, name="filter"), None, name="conv")
    x = builder.op("convTranspose2d", x, builder.constant(normal(2, 24, 10, 3, 3) / 8, name="up"), None, name="wide")
    y = builder.op("transpose", builder.op("reshape", x, newShape=[10, 1, 81]), permutation=[2, 1, 0])
    weight, recurrent = (
        builder.constant(normal(3, 1, 128, 10) / 8, name="w"),
        builder.constant(normal(4, 1, 128, 32) / 8, name="r"),
    )
    hidden = builder.op_many("lstm", y, weight, recurrent, steps=81, hiddenSize=32, names=("hidden", "cell"))
    return builder.build({"x": x, "hidden": hidden[0]})


GRAPHS = {"encoder": encoder, "pictures": pictures}
FEEDS = {
    "encoder": {"ids": np.array([[0, 5, 95, 7], [1, 2, 3, 4]], np.int64)},
    "pictures": {"x": normal(9, 1, 8, 9, 9)},
}
# Mean cosines of 8 and 16 bits on weights that are normally distributed, and far from what a wrong axis would give.
LEAST = {"int8": 0.9998, "uint8": 0.9998, "float16": 0.999999, "int4": 0.99}


@pytest.mark.parametrize("kind", LEAST)
@pytest.mark.parametrize("name", GRAPHS)
def test_a_quantised_graph_means_the_same_on_every_backend(
    name: str, kind: str, backend: Backend, tmp_path: Path
) -> None:
    graph = GRAPHS[name]()
    made = quantize_graph(graph, QuantizeOptions(kind), tmp_path)
    assert made.loss.mean >= LEAST[kind]
    wanted = backend.compile(graph).run(FEEDS[name])
    found = backend.compile(made.graph).run(FEEDS[name])
    for output, array in wanted.items():
        a, b = array.astype(np.float64).ravel(), found[output].astype(np.float64).ravel()
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) >= LEAST[kind] - 0.005 * (kind == "int4")
        assert not np.array_equal(a, b)


def scales(graph: Graph) -> dict[str, tuple[int, ...]]:
    return {
        name.removesuffix("_scale"): constant.type.static_shape
        for name, constant in graph.constants.items()
        if name.endswith("_scale")
    }


def test_scales_lie_along_what_the_product_does_not_sum_over(tmp_path: Path) -> None:
    made = quantize_graph(encoder(), QuantizeOptions("int8"), tmp_path).graph
    # The third is written turned, as its only reader wants it; the table is read in two ways and stays as it is.
    assert scales(made) == {
        "table": (96, 1),
        "places": (32, 1),
        "first": (1, 64),
        "second": (48, 1),
        "third": (1, 40),
    }
    assert made.constants["third"].type.static_shape == (48, 40)
    assert scales(quantize_graph(pictures(), QuantizeOptions("int8"), tmp_path).graph) == {
        "filter": (24, 1, 1, 1),
        "up": (1, 10, 1, 1),
        "w": (1, 128, 1),
        "r": (1, 128, 1),
    }


def test_tables_are_gathered_packed(tmp_path: Path) -> None:
    made = quantize_graph(encoder(), QuantizeOptions("int8"), tmp_path).graph
    nodes = {node.name: node for node in made.nodes}
    assert nodes["words"].op == nodes["cut"].op == "dequantizeLinear"
    packed, scale, zero = (nodes[str(value)] for value in nodes["words"].inputs)
    assert {packed.op, scale.op, zero.op} == {"gather"}
    assert (packed.inputs, made.types[packed.name].dtype) == (("table", "ids"), DataType.INT8)
    assert {nodes[str(value)].op for value in nodes["cut"].inputs} == {"slice"}
    halves = quantize_graph(encoder(), QuantizeOptions("float16"), tmp_path).graph
    (cast,) = [node for node in halves.nodes if node.name == "words"]
    assert cast.op == "cast"
    assert halves.types[str(cast.inputs[0])].dtype is DataType.FLOAT16


def test_blocks_lie_along_what_the_product_sums_over(tmp_path: Path) -> None:
    # 48 has no whole blocks of 32: that weight keeps 8 bits, and so do tables.
    made = quantize_graph(encoder(), QuantizeOptions("int4"), tmp_path)
    assert scales(made.graph)["first"] == (2, 64)
    assert scales(made.graph)["second"] == (48, 2)
    assert made.widths == {"table": "int8", "places": "int8", "first": "int4", "second": "int4", "third": "int8"}
    wide = quantize_graph(encoder(), QuantizeOptions("int4", block_size=128), tmp_path)
    assert set(wide.widths.values()) == {"int8"}


def test_one_scale_for_each_weight_costs_more(tmp_path: Path) -> None:
    whole = quantize_graph(encoder(), QuantizeOptions("int8", per_channel=False), tmp_path)
    assert scales(whole.graph)["first"] == (1, 1)
    # Rows of a table are gathered with their scales in any case.
    assert scales(whole.graph)["table"] == (96, 1)
    narrow = quantize_graph(encoder(), QuantizeOptions("int8", reduce_range=True), tmp_path)
    assert int(np.abs(narrow.graph.constants["first"].values).max()) == 63
    best = quantize_graph(encoder(), QuantizeOptions("int8"), tmp_path)
    assert best.loss.mean > whole.loss.mean > 0.999
    assert best.loss.mean > narrow.loss.mean > 0.999


def test_small_weights_biases_and_gains_stay(tmp_path: Path) -> None:
    made = quantize_graph(encoder(), QuantizeOptions("int8"), tmp_path)
    assert made.graph.constants["bias"].type.dtype is F32
    builder = GraphBuilder()
    x = builder.input("x", F32, (2, 16))
    small = builder.build({"y": builder.op("matmul", x, builder.constant(normal(1, 16, 16)))})
    with pytest.raises(QuantizeMisuse, match="no float32 weights of 1,024 values"):
        quantize_graph(small, QuantizeOptions("int8"), tmp_path)


@pytest.mark.parametrize(("rows", "says"), [(8, False), (64, True)])
def test_only_weights_that_are_packed_are_said_to_be(rows: int, says: bool, tmp_path: Path) -> None:
    # A table of some bytes, such as the places of a mask, is no weight.
    builder = GraphBuilder()
    places = builder.input("places", F32, (2, rows))
    table = builder.op("cast", builder.constant(np.ones((rows, 16), np.uint8)), data_type="float32")
    graph = builder.build({"y": builder.op("matmul", places, table)})
    with pytest.raises(QuantizeMisuse, match="no float32 weights of 1,024 values") as caught:
        quantize_graph(graph, QuantizeOptions("int8"), tmp_path)
    assert ("its weights are uint8 already" in str(caught.value)) is says


@pytest.mark.parametrize(("value", "kind"), [(np.inf, "int8"), (7e4, "float16"), (np.nan, "int4")])
def test_a_weight_that_cannot_be_rounded_stays(value: float, kind: str, tmp_path: Path) -> None:
    builder = GraphBuilder()
    x = builder.input("x", F32, (2, 64))
    weight = normal(1, 64, 64)
    weight[3, 5] = value
    odd = builder.op("matmul", x, builder.constant(weight, name="odd"))
    plain = builder.op("matmul", x, builder.constant(normal(2, 64, 64), name="plain"))
    notes: list[str] = []
    made = quantize_graph(builder.build({"y": plain, "z": odd}), QuantizeOptions(kind), tmp_path, note=notes.append)
    assert made.widths == {"plain": kind, "odd": "float32"}
    assert any("odd: stays float32" in note for note in notes)


def test_patterns_choose_by_node_or_weight(tmp_path: Path) -> None:
    def widths(**options: Any) -> dict[str, str]:
        return dict(quantize_graph(encoder(), QuantizeOptions("int8", **options), tmp_path).widths)

    assert set(widths(exclude=("dense", "pla*"))) == {"table", "second", "third"}
    assert set(widths(include=("product", "th*"))) == {"second", "third"}
    assert set(widths(include=("product", "th*"), exclude=("third",))) == {"second"}
    original = {"second": "encoder::second.weight"}
    for pattern in ("encoder::sec*", "/prod*"):
        options = QuantizeOptions("int8", include=(pattern,))
        assert set(quantize_graph(encoder(), options, tmp_path, names=original).widths) == {"second"}
    with pytest.raises(QuantizeMisuse, match="'nothing' matches no node or weight"):
        widths(exclude=("nothing",))
    with pytest.raises(QuantizeMisuse, match="leave nothing to quantise"):
        widths(include=("first",), exclude=("first",))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "int3"}, "one of int8, uint8, int4, float16, mixed"),
        ({"kind": "float16", "per_channel": True}, "halves have no scale"),
        ({"kind": "int4", "per_channel": False}, "a scale per block"),
        ({"kind": "int4", "reduce_range": True}, "--reduce-range is for int8 and uint8"),
        ({"kind": "int8", "block_size": 32}, "--block-size is for int4 and mixed"),
        ({"kind": "int4", "block_size": 64}, "one of 32, 128"),
        ({"kind": "int8", "target_cosine": 1.0}, "between 0 and 1"),
        ({"kind": "int4", "weight_only": True}, "rounds nothing but weights"),
        ({"kind": "int8", "weight_only": True}, "pass that as well, or leave this out"),
    ],
)
def test_wishes_that_contradict_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(QuantizeMisuse, match=message):
        QuantizeOptions(**options)

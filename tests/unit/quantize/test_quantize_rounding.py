"""Rounding by sample inputs, widths that reach a target, and fixed ranges of activations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from webnn_runtime.backends import get_backend
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import EmbedError, FormatError
from webnn_runtime.format.graph import Graph
from webnn_translator.quantize import QualityGateFailed, QuantizeMisuse, QuantizeOptions, quantize_graph
from webnn_translator.quantize.compensate import compensated
from webnn_translator.quantize.rounding import Grid, dequantized, pack_blocks, pack_channels

F32 = DataType.FLOAT32


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def layers(count: int = 4, width: int = 64, *, gain: float = 30) -> Graph:
    """tanh layers, with one input that is far larger than the others, as encoders of texts have it."""
    builder = GraphBuilder("layers", dims=[DynamicDim("batch", 64)])
    x = builder.input("x", F32, (symbol("batch"), width))
    gains = np.ones(width, np.float32)
    gains[7] = gain
    for index in range(count):
        weight = builder.constant(normal(index, width, width) / 8, name=f"w{index}")
        x = builder.op("tanh", builder.op("matmul", builder.op("mul", x, builder.constant(gains)), weight))
    return builder.build({"y": x})


def cubed() -> Graph:
    """A product of an input, and one of its cubes."""
    builder = GraphBuilder("cubed", dims=[DynamicDim("batch", 64)])
    x = builder.input("x", F32, (symbol("batch"), 64))
    cubes = builder.op("mul", builder.op("mul", x, x), x, name="cubes")
    parts = [
        builder.op("matmul", read, builder.constant(normal(seed, 64, 32), name=f"w{seed}"))
        for seed, read in ((1, x), (2, cubes))
    ]
    return builder.build({"y": builder.op("tanh", parts[0]), "z": parts[1]})


@pytest.mark.parametrize("kind", ["int8", "uint8", "int4"])
@pytest.mark.parametrize("axis", [0, 1])
def test_passing_errors_on_changes_products_less(kind: str, axis: int) -> None:
    # Inputs that are mixtures of few causes, as activations are.
    mixing = normal(1, 12, 64)
    seen, unseen = normal(2, 600, 12) @ mixing, normal(3, 600, 12) @ mixing
    seen, unseen = seen + normal(4, 600, 64) / 4, unseen + normal(5, 600, 64) / 4
    weight = normal(6, 64, 48) if axis == 0 else np.ascontiguousarray(normal(6, 64, 48).T)
    grid = Grid.of(kind)
    plain = pack_blocks(weight, axis, 32, grid) if kind == "int4" else pack_channels(weight, 1 - axis, grid)
    better = compensated(weight, axis, plain, grid, (seen.T @ seen).astype(np.float64), 0.1)
    assert grid.low <= better.values.min() <= better.values.max() <= grid.high
    assert np.array_equal(better.scale, plain.scale)

    def error(packed: Any) -> float:
        change = dequantized(packed) - weight
        return float(np.linalg.norm(unseen @ (change if axis == 0 else change.T)))

    # Measured 0.26 to 0.33 of the error of the nearest integers, on inputs that were not seen.
    assert error(better) < 0.5 * error(plain)


def biased(spelling: str, width: int = 64) -> Graph:
    """A layer whose inputs are far from 0 in every row, in each spelling of its bias; `shared` is read twice."""
    builder = GraphBuilder("biased", dims=[DynamicDim("batch", 512)])
    x = builder.input("x", F32, (symbol("batch"), width))
    x = builder.op("add", x, builder.constant(normal(8, width) * 20, name="offset"))
    weight, bias = builder.constant(normal(9, width, 32), name="w"), builder.constant(normal(10, 32), name="bias")
    if spelling == "gemm":
        return builder.build({"y": builder.op("gemm", x, weight, bias)})
    product = builder.op("matmul", x, weight)
    y = builder.op("add", bias, product) if spelling == "left" else builder.op("add", product, bias)
    if spelling == "shared":
        y = builder.op("mul", y, bias)
    return builder.build({"y": y})


@pytest.mark.parametrize("spelling", ["left", "right", "gemm", "shared"])
def test_the_bias_takes_back_what_all_rows_have_in_common(spelling: str, tmp_path: Path) -> None:
    graph = biased(spelling)
    path = tmp_path / "inputs.npz"
    np.savez(path, x=normal(11, 32, 8, 64))
    made = quantize_graph(graph, QuantizeOptions("int4", calibrate=path), tmp_path).graph
    is_moved = not np.array_equal(made.constants["bias"].values, graph.constants["bias"].values)
    # Of another reader of the constant it would be the wrong one.
    assert is_moved == (spelling != "shared")
    assert np.array_equal(made.constants["offset"].values, graph.constants["offset"].values)
    feed = {"x": normal(12, 400, 64)}
    error = np.subtract(*(get_backend("numpy").compile(each).run(feed)["y"] for each in (made, graph)))
    if spelling != "shared":
        # What is left is what differs from row to row, around a mean that 256 rows knew but for a sixteenth of it.
        assert np.abs(error.mean(axis=0)).max() < 0.2 * error.std(axis=0).max()


def test_cutting_the_range_of_four_bits_has_a_smaller_error_than_the_whole_range() -> None:
    weight = normal(1, 512, 16)
    packed = pack_blocks(weight, 0, 128, Grid.of("int4"))
    blocks = weight.reshape(4, 128, 16)
    low, high = np.minimum(blocks.min(1, keepdims=True), 0), np.maximum(blocks.max(1, keepdims=True), 0)
    step = (high - low) / 15
    whole = (np.clip(np.rint(blocks / step) + np.rint(-low / step), 0, 15) - np.rint(-low / step)) * step
    assert np.square(dequantized(packed) - weight).sum() < 0.95 * np.square(whole - blocks).sum()


@pytest.mark.parametrize(("kind", "wide"), [("int4", "int8"), ("int8", "float32")])
def test_a_target_is_reached_by_widening_what_costs_most(kind: str, wide: str, tmp_path: Path) -> None:
    plain = quantize_graph(layers(), QuantizeOptions(kind), tmp_path)
    # Half of what it costs, in whichever arithmetic that was measured.
    target = 1 - (1 - plain.loss.mean) / 2
    made = quantize_graph(layers(), QuantizeOptions(kind, target_cosine=target), tmp_path)
    assert made.loss.mean >= target
    # Something is wider, and not everything.
    assert {kind, wide} <= set(made.widths.values())
    assert made.record()["options"] == plain.record()["options"] | {"targetCosine": target}  # type: ignore[operator]


def test_mixed_weights_reach_a_target_of_their_own(tmp_path: Path) -> None:
    made = quantize_graph(layers(), QuantizeOptions("mixed"), tmp_path)
    assert made.loss.mean >= 0.99
    assert made.record()["options"] == {"blockSize": 32, "targetCosine": 0.99}


def test_a_target_that_leaves_nothing_is_a_failed_gate(tmp_path: Path) -> None:
    with pytest.raises(QualityGateFailed, match="out of reach"):
        quantize_graph(layers(1), QuantizeOptions("int4", target_cosine=1 - 1e-12), tmp_path)


def test_fixed_ranges_round_what_quantised_products_read(tmp_path: Path) -> None:
    path = tmp_path / "inputs.npz"
    np.savez(path, x=normal(20, 16, 5, 64))
    made = quantize_graph(layers(gain=2), QuantizeOptions("int8", calibrate=path), tmp_path)
    assert made.ranges == 4
    assert made.loss.mean > 0.99
    ops = [node.op for node in made.graph.nodes]
    assert ops.count("quantizeLinear") == 4
    nodes = {node.name: node for node in made.graph.nodes}
    for node in made.graph.nodes:
        if node.op == "matmul":
            back = nodes[str(node.inputs[0])]
            there = nodes[str(back.inputs[0])]
            assert (back.op, there.op, back.inputs[1:]) == ("dequantizeLinear", "quantizeLinear", there.inputs[1:])
    feed = {"x": normal(21, 3, 64)}
    wanted = get_backend("numpy").compile(made.graph).run(feed)["y"]
    for name in ("onnxruntime", "rust"):
        found = get_backend(name).compile(made.graph).run(feed)["y"]
        # A step of one of the roundings, here and there.
        assert np.abs(found - wanted).max() < 0.05


def test_weights_alone_may_be_rounded_by_inputs(tmp_path: Path) -> None:
    path = tmp_path / "inputs.npz"
    np.savez(path, x=normal(20, 16, 5, 64))
    graph = layers()
    built_in, ranged, plain = (
        quantize_graph(graph, options, tmp_path)
        for options in (
            QuantizeOptions("int8"),
            QuantizeOptions("int8", calibrate=path),
            QuantizeOptions("int8", calibrate=path, weight_only=True),
        )
    )
    assert (plain.ranges, ranged.ranges) == (0, 4)
    assert {node.op for node in plain.graph.nodes} == {node.op for node in built_in.graph.nodes}
    assert plain.record()["options"] == built_in.record()["options"]
    assert (built_in.record()["roundedBy"], plain.record()["roundedBy"]) == ("seeded", "file")
    # The integers are those of the file, with or without ranges.
    for name, constant in plain.graph.constants.items():
        assert np.array_equal(constant.values, ranged.graph.constants[name].values)
    weights = [made.graph.constants["w0"].values for made in (built_in, plain)]
    assert not np.array_equal(*weights)


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("a.txt", b"some text", QuantizeMisuse, "need a model that takes token ids"),
        ("a.txt", b" \n\n", EmbedError, "holds no texts"),
        ("a.txt", b"\xff\xfe", EmbedError, "not UTF-8"),
        ("a.ndjson", b'{"text": 3}', EmbedError, "ndjson:1: no text; expected a string"),
        ("a.jsonl", b"nothing", EmbedError, "jsonl:1: not JSON"),
        ("a.npz", b"no archive", FormatError, "not an .npz"),
    ],
)
def test_samples_that_cannot_be_used_are_refused(
    name: str, content: bytes, error: type[Exception], message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(error, match=message):
        quantize_graph(layers(1), QuantizeOptions("int8", calibrate=path), tmp_path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": np.ones((2, 3, 64), np.float32)}, "holds z; the inputs are x"),
        ({"x": np.ones((2, 63), np.float32)}, "has 63 where .* first axis of each array counts runs"),
        ({"x": np.ones((2, 3, 64), np.float64)}, "float64.* first axis of each array counts runs"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(FormatError, match=message):
        quantize_graph(layers(1), QuantizeOptions("int8", calibrate=tmp_path / "a.npz"), tmp_path)


def test_runs_may_be_the_rows_of_a_batch(tmp_path: Path) -> None:
    rows = normal(13, 40, 64)
    made = []
    for name, stored in (("rows", rows), ("runs", rows[:, None])):
        np.savez(tmp_path / f"{name}.npz", x=stored)
        options = QuantizeOptions("int4", calibrate=tmp_path / f"{name}.npz")
        made.append(quantize_graph(layers(1), options, tmp_path).graph.constants)
    assert made[0].keys() == made[1].keys()
    assert all(np.array_equal(constant.values, made[1][name].values) for name, constant in made[0].items())


def test_samples_that_are_missing_are_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--calibrate takes texts"):
        quantize_graph(layers(1), QuantizeOptions("int8", calibrate=tmp_path / "none.txt"), tmp_path)
    assert json.dumps(QuantizeOptions("int8", calibrate=tmp_path / "none.txt").record()).count(str(tmp_path)) == 0


def test_activations_that_are_not_finite_get_no_range_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "inputs.npz"
    options = QuantizeOptions("int8", calibrate=path)
    x = normal(20, 16, 5, 64)
    # Its cube leaves float32.
    x[3, 1, 7] = 1e13
    np.savez(path, x=x)
    said: list[str] = []
    made = quantize_graph(cubed(), options, tmp_path, note=said.append)
    assert made.ranges == 1
    assert [line for line in said if "no fixed range" in line] == [
        "cubes: gets no fixed range, it is not finite on all inputs of --calibrate"
    ]
    x[3, 1, 7] = np.nan
    np.savez(path, x=x)
    with pytest.raises(QuantizeMisuse, match=r"inputs\.npz: nothing that a product reads is finite .* leave out those"):
        quantize_graph(cubed(), options, tmp_path)

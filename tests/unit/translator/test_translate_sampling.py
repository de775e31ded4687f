"""Reading images between their pixels, with dynamic sizes, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from webnn_translator._errors import TranslateError
from webnn_translator.translate import translate


@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_grid_sample(build, agree, mode, padding, align) -> None:
    rng = np.random.default_rng(align)
    node = helper.make_node("GridSample", ["x", "g"], ["y"], mode=mode, padding_mode=padding, align_corners=align)
    inputs = {"x": (np.float32, ["n", "c", "h", "w"]), "g": (np.float32, ["n", "u", "v", 2])}
    feeds = []
    for sizes in ((3, 5), (1, 4)):
        x = rng.normal(size=(2, 3, *sizes)).astype(np.float32)
        # Multiples of 1/64 keep positions off the ties that rounding decides.
        grid = rng.integers(-150, 150, (2, 4, 6, 2)).astype(np.float32) / 64 + np.float32(0.003)
        feeds.append({"x": x, "g": grid})
    agree(build([node], inputs, opset=20), *feeds, tolerance=1e-4)


@pytest.mark.parametrize("opset", [10, 16])
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_roi_align(build, agree, mode, opset) -> None:
    rng = np.random.default_rng(opset)
    node = helper.make_node(
        "RoiAlign",
        ["x", "r", "b"],
        ["y"],
        mode=mode,
        output_height=3,
        output_width=2,
        sampling_ratio=2,
        spatial_scale=0.5,
    )
    inputs = {"x": (np.float32, ["n", 2, "h", "w"]), "r": (np.float32, ["k", 4]), "b": (np.int64, ["k"])}
    feed = {
        "x": rng.normal(size=(2, 2, 6, 7)).astype(np.float32),
        "r": rng.uniform(-4, 18, (5, 4)).astype(np.float32),
        "b": np.array([0, 1, 1, 0, 1]),
    }
    agree(build([node], inputs, opset=opset), feed, tolerance=1e-4)


@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("space", [("h", "w"), ("d", "h", "w")], ids=len)
def test_affine_grid_of_an_image_of_any_size(build, agree, space, align) -> None:
    rank = len(space)
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("AffineGrid", ["t", "s"], ["y"], align_corners=align),
    ]
    inputs = {"t": (np.float32, ["n", rank, rank + 1]), "x": (np.float32, ["n", 1, *space])}
    rng = np.random.default_rng(rank)
    feeds = [
        {"t": rng.normal(size=(n, rank, rank + 1)).astype(np.float32), "x": np.zeros((n, 1, *sizes), np.float32)}
        for n, sizes in ((1, (4, 5, 2)[:rank]), (3, (2, 3, 7)[:rank]))
    ]
    found = agree(build(nodes, inputs, opset=20), *feeds)
    # Between two corners that are one there is no middle.
    assert {dim.min_size for name, dim in found.graph.dims.items() if name in space} == {1 + align}


def test_affine_grid_between_corners_that_are_one_is_refused(build) -> None:
    node = helper.make_node("AffineGrid", ["t", "s"], ["y"], align_corners=1)
    model = build([node], {"t": (np.float32, ["n", 2, 3])}, opset=20, constants={"s": np.array([2, 1, 1, 5])})
    with pytest.raises(TranslateError, match="read in three ways"):
        translate(model, dims={"n": 2})

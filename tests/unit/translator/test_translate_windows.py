"""Windows of an image of any size, padded up to whole ones, as Swin and DaViT take them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

N = helper.make_node
F, I64 = np.float32, np.int64


def windows(size, subtracted):
    """x in whole windows of `size` by `size` and back, padded by what the sizes leave over."""
    nodes = [N("Shape", ["x"], ["shape"]), N("Split", ["shape"], ["b", "h", "w", "c"], num_outputs=4)]
    for axis in "hw":
        nodes.append(N("Mod", [axis, "size"], [f"over_{axis}"]))
        if subtracted:
            nodes.append(N("Sub", ["size", f"over_{axis}"], [f"left_{axis}"]))
        else:
            nodes.append(N("Neg", [axis], [f"left_{axis}"]))
        nodes.append(N("Mod", [f"left_{axis}", "size"], [f"pad_{axis}"]))
        nodes.append(N("Add", [axis, f"pad_{axis}"], [f"whole_{axis}"]))
        nodes.append(N("Div", [f"whole_{axis}", "size"], [f"many_{axis}"]))
    nodes += [
        N("Concat", ["none", "none", "none", "none", "none", "pad_h", "pad_w", "none"], ["pads"], axis=0),
        N("Pad", ["x", "pads"], ["padded"]),
        N("Concat", ["b", "many_h", "size", "many_w", "size", "c"], ["cut"], axis=0),
        N("Reshape", ["padded", "cut"], ["parts"]),
        N("Transpose", ["parts"], ["rows"], perm=[0, 1, 3, 2, 4, 5]),
        N("Mul", ["many_h", "many_w"], ["many"]),
        N("Mul", ["many", "b"], ["all"]),
        N("Mul", ["size", "size"], ["area"]),
        N("Concat", ["all", "area", "c"], ["flat"], axis=0),
        N("Reshape", ["rows", "flat"], ["y"]),
    ]
    return nodes, {"size": np.asarray([size], I64), "none": np.asarray([0], I64)}


@pytest.mark.parametrize("subtracted", [True, False])
@pytest.mark.parametrize("size", [2, 4, 7])
def test_an_image_of_any_size_is_cut_into_whole_windows(build, agree, size, subtracted) -> None:
    nodes, constants = windows(size, subtracted)
    model = build(nodes, {"x": (F, ("b", "h", "w", 3))}, constants=constants, opset=18)
    sizes = ((1, 1, 1, 3), (2, 5, 8, 3), (1, 14, 7, 3), (3, 28, 29, 3))
    values = np.random.default_rng(0)
    found = agree(model, *({"x": values.standard_normal(size).astype(F)} for size in sizes), tolerance=0)
    assert {dim.min_size for dim in found.dims} == {1}

"""Named sizes that no run can have leave the range: what an exporter's example fixed is said, not found out later."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from onnx import helper

from webnn_runtime.backends import get_backend
from webnn_runtime.format.dims import DynamicDim, evaluate, parse_dim
from webnn_runtime.format.errors import ShapeError
from webnn_runtime.format.graph import DimCheck
from webnn_translator._errors import TranslateError
from webnn_translator.bundling import ConvertOptions, convert_model
from webnn_translator.narrowing import left_by
from webnn_translator.translate import translate

N = helper.make_node
F, I64 = np.float32, np.int64


def ints(*values):
    return np.asarray(values, I64)


# Nodes, constants, the range that is left, and why.
CASES = {
    "a table as long as the example": (
        [N("MatMul", ["x", "table"], ["y"])],
        {"table": np.ones((12, 3), F)},
        (12, 12, "at least 12: matmul needs t == 12; at most 12: matmul needs t == 12"),
    ),
    "parts of given sizes": (
        [N("Split", ["x", "sizes"], ["y", "z"], axis=1)],
        {"sizes": ints(2, 3)},
        (5, 5, "at least 5: split needs 5 == t; at most 5: split needs 5 == t"),
    ),
    "what was cut to the example": (
        [N("Slice", ["x", "zero", "most", "one"], ["cut"]), N("Sub", ["x", "cut"], ["y"])],
        {"zero": ints(0), "most": ints(22), "one": ints(1)},
        (1, 22, "at most 22: sub needs t == min(22, t)"),
    ),
    "a number of windows": (
        [N("Pad", ["x", "pads"], ["z"]), N("Reshape", ["z", "target"], ["y"])],
        {"pads": ints(0, 1, 0, 2), "target": ints(0, 3, 4)},
        (9, 9, "at least 9: reshape needs t == 9; at most 9: reshape needs t == 9"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_range_has_the_sizes_that_onnx_runtime_runs(case, build, agree, optional) -> None:
    nodes, constants, (low, high, why) = CASES[case]
    model = build(nodes, {"x": (F, ("n", "t"))}, [*nodes[-1].output], constants=constants)
    feeds = {t: {"x": np.random.default_rng(t).standard_normal((2, t)).astype(F)} for t in range(1, 40)}
    found = agree(model, feeds[low], feeds[high])
    assert [(dim.min_size, dim.max_size, dim.why) for dim in found.dims if dim.name == "t"] == [(low, high, why)]
    runtime = optional("onnxruntime")
    quiet = runtime.SessionOptions()
    quiet.log_severity_level = 4
    # What optimising makes of a model is not asked: it may leave out what fails.
    quiet.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(model.SerializeToString(), quiet, ["CPUExecutionProvider"])
    assert [t for t, feed in feeds.items() if runs(session, feed)] == [*range(low, high + 1)]
    ours = get_backend("numpy").compile(found.graph)
    for t in {low - 1, high + 1} - {0}:
        with pytest.raises(ShapeError, match=rf"has t = {t}; the graph allows {low} to {high}"):
            ours.run(feeds[t])
    assert any(f"'t' has a name in the file and takes {high} only; {why}" in note for note in found.notes) == (
        low == high
    )


def runs(session, feed) -> bool:
    try:
        session.run(None, feed)
    except Exception:  # noqa: BLE001 - ONNX Runtime raises classes of its own
        return False
    return True


def test_the_check_runs_at_the_sizes_that_are_left(build, tmp_path) -> None:
    """Of 13 to 15, which are none of the sizes that the check tries by itself."""
    nodes = [N("Slice", ["x", "zero", "last", "axis", "three"], ["cut"]), N("MatMul", ["cut", "table"], ["y"])]
    constants = {"zero": ints(0), "last": ints(2**40), "axis": ints(1), "three": ints(3), "table": np.ones((5, 3), F)}
    model = build(nodes, {"x": (F, ("n", "t"))}, constants=constants)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    notes: list[str] = []
    done = convert_model(str(tmp_path / "m.onnx"), tmp_path / "out", ConvertOptions(), note=notes.append)
    assert done.certificate is not None
    assert {point["dims"]["t"] for point in done.certificate.record()["grid"]} == {13, 15}
    assert done.unbounded == ["n"]


def test_a_size_given_outside_of_what_is_left_is_said(build) -> None:
    constants = {"table": np.ones((12, 3), F)}
    model = build([N("MatMul", ["x", "table"], ["y"])], {"x": (F, ("n", "t"))}, constants=constants)
    found = translate(model, max_dims={"t": 512})
    assert any("'t' takes 12 to 12, not 12 to 512" in note for note in found.notes)


def test_a_model_that_runs_at_no_size_is_refused(build) -> None:
    nodes = [N("MatMul", ["x", "a"], ["p"]), N("MatMul", ["x", "b"], ["q"]), N("Add", ["p", "q"], ["y"])]
    constants = {"a": np.ones((12, 3), F), "b": np.ones((13, 3), F)}
    model = build(nodes, {"x": (F, ("n", "t"))}, constants=constants)
    with pytest.raises(TranslateError, match=r"runs at no size: matmul needs t == 13, and 't' is 12 to 12"):
        translate(model)


SIDES = ("t", "n", "12", "t//4", "4*(t//4)", "2*t - 9", "min(22, t)", "max(0, t - 3)", "n*t", "(t + 7)//8", "40 - t")


@pytest.mark.parametrize("relation", ["==", ">="])
def test_nothing_is_left_out_that_a_run_can_have(relation) -> None:
    """Every pair of sides, at every size of ranges that are small enough to try."""
    ranges = {"t": DynamicDim("t", 40, 1), "n": DynamicDim("n", 5, 2)}
    narrowed = 0
    for left, right in product(SIDES, repeat=2):
        check = DimCheck("node", parse_dim(left), relation, parse_dim(right), "op: what")
        sizes = [{"t": t, "n": n} for t in range(1, 41) for n in range(2, 6)]
        allowed = [one for one in sizes if holds(check, one)]
        try:
            found = {**ranges, **{one.name: one for one in left_by(check, ranges)}}
        except ValueError:
            assert not allowed
            continue
        narrowed += found != ranges
        for name, dim in found.items():
            assert {one[name] for one in allowed} <= {*range(dim.min_size, dim.max_size + 1)}
    assert narrowed > 30


def holds(check, sizes) -> bool:
    left, right = evaluate(check.left, sizes), evaluate(check.right, sizes)
    return left == right if check.relation == "==" else left >= right

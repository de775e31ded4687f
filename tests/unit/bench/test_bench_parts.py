"""What a benchmark is made of: messages, texts, answers that agree or do not, and the figures."""

from __future__ import annotations

import io
import statistics
from dataclasses import replace

import numpy as np
import pytest

from webnn_runtime.bench.cases import CASES, Case, choose_cases
from webnn_runtime.bench.channel import Channel
from webnn_runtime.bench.check import Agreement, require_agreement
from webnn_runtime.bench.engines.base import EMBEDDING, Spec
from webnn_runtime.bench.engines.registry import choose_rivals
from webnn_runtime.bench.errors import BenchError, WrongAnswer
from webnn_runtime.bench.results import CaseResult, Timing
from webnn_runtime.bench.texts import paragraph_lengths, short_lengths
from webnn_runtime.bench.workload import Work, Workload

SAME = Agreement(0.0, 1.0, 1.0, 1.0)


def test_messages_arrive_as_they_were_sent() -> None:
    pipe = io.BytesIO()
    arrays = [np.arange(6, dtype=np.int64).reshape(2, 3).T, np.float32(1.5), np.zeros((0, 4), np.uint8)]
    Channel(io.BytesIO(), pipe).send({"do": "load", "ä": [1, None]}, arrays)
    message, found = Channel(io.BytesIO(pipe.getvalue()), io.BytesIO()).receive()
    assert message == {"do": "load", "ä": [1, None]}
    for left, right in zip(found, arrays, strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("kept", [0, 5, 12, -1])
def test_a_message_that_ends_early_is_the_end(kept) -> None:
    pipe = io.BytesIO()
    Channel(io.BytesIO(), pipe).send({}, [np.ones(3)])
    with pytest.raises(EOFError):
        Channel(io.BytesIO(pipe.getvalue()[:kept]), io.BytesIO()).receive()


def test_paragraphs_have_the_lengths_of_real_ones() -> None:
    lengths = paragraph_lengths(512)
    assert lengths == paragraph_lengths(512)
    assert lengths != paragraph_lengths(512, seed=1)
    assert sorted(lengths) == sorted(paragraph_lengths(512, seed=1))
    assert (min(lengths), max(lengths)) == (10, 256)
    assert 52 < statistics.mean(lengths) < 64
    assert statistics.mean(short_lengths(256)) == pytest.approx(10, abs=0.1)


def test_cases_are_chosen_by_letter() -> None:
    assert [case.name for case in choose_cases(None)] == list("abcdefg") == list(CASES)
    assert [case.name for case in choose_cases(None, bound=511)] == list("abcdef")
    assert [case.name for case in choose_cases("c, a,c")] == ["c", "a"]
    assert [case.name for case in choose_cases(None, has_texts=True)] == ["b", "f"]
    for asked, has_texts in (("x", False), ("", False), ("a", True)):
        with pytest.raises(BenchError, match="--cases"):
            choose_cases(asked, has_texts=has_texts)
    with pytest.raises(BenchError, match="case 'g' has 512 tokens, and the model takes 511"):
        choose_cases("g", bound=511)


def test_answers_within_the_tolerance_of_the_largest_value_agree() -> None:
    expected = [np.float32([[30, 40], [0, 0]]), np.float32([[-50, 0]])]
    found = [each.copy() for each in expected]
    found[0][0, 0] += 0.004
    agreement = require_agreement("x", "a", found, expected, against="y")
    assert agreement.max_abs == pytest.approx(0.004, rel=1e-3)
    assert agreement.scale == 50
    assert 0.999999 < agreement.min_cosine < agreement.mean_cosine < 1
    found[0][0, 0] += 0.004
    with pytest.raises(WrongAnswer, match=r"the answer of x is not that of y: they differ by 0\.008 of 50"):
        require_agreement("x", "a", found, expected, against="y")


def test_rivals_in_eight_bits_are_for_bundles_in_eight_bits() -> None:
    spec = Spec("webnn", EMBEDDING, 1, "bundle", "auto", "model.onnx", None, "y", "y")
    plain, left_out = choose_rivals(None, spec)
    assert not any("int8" in name for name in (*plain, *left_out))
    both, reasons = choose_rivals(None, spec, is_quantised=True)
    assert {name for name in (*both, *reasons) if "int8" in name} == {
        "onnxruntime-int8",
        "onnxruntime-optimised-int8",
        "openvino-int8",
    }
    assert choose_rivals("onnxruntime-int8", spec)[0] == ["onnxruntime-int8"]
    with pytest.raises(BenchError, match="it needs the model as an ONNX file"):
        choose_rivals("onnxruntime-int8", replace(spec, onnx=None))


@pytest.mark.parametrize("wrong", [np.zeros((2, 3)), np.zeros((1, 2)), np.full((2, 2), np.nan), np.zeros((2, 2))])
def test_other_shapes_and_values_that_are_not_finite_do_not_agree(wrong) -> None:
    with pytest.raises(WrongAnswer):
        require_agreement("x", "a", [np.float32(wrong)], [np.float32([[1, 2], [3, 4]])], against="y")


def test_a_quantised_bundle_is_near_its_source_and_no_nearer() -> None:
    expected = [np.float32([[1.0, 0.0], [0.0, 1.0]])]
    near = [np.float32([[0.98, 0.2], [0.1, 0.99]])]
    assert require_agreement("x", "a", near, expected, against="y", is_quantised=True).min_cosine > 0.97
    with pytest.raises(WrongAnswer, match=r"cosine 0\.7"):
        require_agreement("x", "a", [np.float32([[1, 1], [0, 1]])], expected, against="y", is_quantised=True)


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    case = Case("z", "made up", 4, short_lengths, 2)
    workload = Workload(case, 100, "tokens", 4, Work([]), Work([]), (0, Work([])))
    timings = {
        "ours": Timing([[0.5, 0.5], [1.0, 1.0], [2.0, 2.0]], SAME),
        "slow": Timing([[3.0, 0.0], [3.0, 1.0], [4.0, 4.0]], SAME),
        "near": Timing([[1.0, 0.1], [2.0, 0.2], [4.0, 0.4]], SAME),
    }
    result = CaseResult(workload, "ours", timings)
    # Rounds of 3/1, 4/2 and 8/4.
    assert result.ratio("slow").record() == {"median": 2.0, "low": 2.0, "high": 3.0}
    assert result.ratio("near").median == pytest.approx(1.1)
    assert result.best_rival == "near"
    assert result.rate("ours") == 50
    record = result.record()
    assert record["contenders"]["ours"]["ratio"] is None
    assert record["contenders"]["ours"]["run_ms"]["p50"] == 1000
    assert record["ratio"] == record["contenders"]["near"]["ratio"]

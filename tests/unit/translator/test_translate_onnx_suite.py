"""The node tests that come with onnx: each is equal, or refused with a reason. None is wrong.

Many feed shapes, axes or other settings at run time, which real models have as constants. These count as refused;
those that are equal with as few small inputs as needed bound to their values are counted apart. docs/coverage.md is
made of the same run.
"""

from __future__ import annotations

from collections import Counter

import onnx
import pytest
from onnx_coverage import TARGET, claimed, measure, render

# So many were equal when this was written, as they are and with inputs bound; fewer means that something was lost.
AT_LEAST = 1404
# Float16 whose two last units decide, and zeros of which onnx's own transform leaves 1.9e-7.
NEARER = {"test_attention_4d_causal_fp16", "test_attention_4d_causal_fp16_expanded", "test_dft_inverse_opset19"}
AT_LEAST_BOUND = 264


@pytest.mark.timeout(300)
def test_no_node_test_of_onnx_is_wrong() -> None:
    found = measure()
    plain, bound = (Counter(one.what for one in outcomes.values()) for outcomes in (found.plain, found.bound))
    wrong = [name for outcomes in (found.plain, found.bound) for name, one in outcomes.items() if one.what == "wrong"]
    assert wrong == []
    assert [name for name, one in found.plain.items() if one.what.startswith("refused") and not one.reason] == []
    assert plain["equal"] >= AT_LEAST, plain
    assert {name for name, one in found.plain.items() if one.what == "nearer"} == NEARER
    assert {name for name, one in found.bound.items() if one.what == "nearer"} == {"test_dft_inverse"}
    assert bound["equal"] >= AT_LEAST_BOUND, bound


@pytest.mark.timeout(300)
def test_the_page_of_coverage_claims_nothing_that_is_not_so() -> None:
    page = TARGET.read_text(encoding="utf-8")
    assert f"that onnx {onnx.__version__} brings along" in page, "the page is of another onnx; install the pinned one"
    stated, counts = claimed(page), measure().counts()
    assert len(stated) > 150
    # More may be equal by now than the page says, until `make docs` writes it again; less may not. A case that was
    # equal when bound may be equal as it is.
    assert {op for op, (equal, _) in stated.items() if equal > counts[op][1]} == set()
    assert {op for op, (equal, bound) in stated.items() if equal + bound > counts[op][1] + counts[op][3]} == set()
    assert claimed(render(measure())).keys() == counts.keys()

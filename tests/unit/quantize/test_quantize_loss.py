"""What quantising costs, where a text gives one number and not a vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from webnn_translator.quantize.loss import Loss, measure
from webnn_translator.quantize.options import QualityGateFailed
from webnn_translator.quantize.samples import Samples


def lost(reference: Sequence[float], actual: Sequence[float]) -> Loss:
    runs = [[{"logits": np.float32([[score]])} for score in scores] for scores in (reference, actual)]
    return measure(runs[0], runs[1], Samples([{}] * len(reference), lambda found, _: dict(found), "texts"), "numpy")


def test_single_scores_are_compared_as_one_vector_and_not_by_their_signs() -> None:
    right, judged = np.array([-11.0, -10.0, -9.0, -8.0]), np.array([-8.0, -9.5, -10.0, -11.5])
    x, y = right - right.mean(), judged - right.mean()
    expected = x @ y / np.sqrt((x @ x) * (y @ y))
    assert expected < -0.9, "the order is turned round, and every sign is kept"
    found = lost(right, judged)
    assert found.mean == pytest.approx(expected)
    assert found.outputs["logits"].count == 1
    assert lost(right, right).mean == pytest.approx(1)
    assert lost(right, right + 3).mean < 0.5, "all scores are off by as much as they differ"


def test_scores_that_are_all_alike_have_only_a_sign() -> None:
    assert lost([2.0, 2.0], [1.0, 1.0]).mean == pytest.approx(1)


def test_a_score_that_is_no_number_is_a_failure_and_none_where_the_float_graph_has_none_either() -> None:
    with pytest.raises(QualityGateFailed, match="not finite"):
        lost([1.0, 2.0, 4.0], [1.0, np.nan, 4.0])
    assert lost([1.0, np.nan, 4.0], [1.0, np.nan, 4.0]).mean == pytest.approx(1)

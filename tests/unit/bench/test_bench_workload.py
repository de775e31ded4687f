"""The batches of a case are such as the bundle would run by itself."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from webnn_runtime import load
from webnn_runtime.bench.cases import CASES, Case
from webnn_runtime.bench.engines.base import GRAPH, Spec
from webnn_runtime.bench.engines.registry import OURS
from webnn_runtime.bench.workload import open_task

LENGTHS = [4, 7, 4, 5, 7, 4, 5, 16]
CASE = Case("x", "8 texts", len(LENGTHS), lambda count: LENGTHS[:count], 4)


@pytest.fixture
def open_padded(make_encoder, tmp_path):
    """The task of a classifier whose tokenizer pads on this side."""

    def open_padded(side: str, labels=("no", "yes")):
        folder = shutil.copytree(make_encoder(f"made-{side}", labels=labels), tmp_path / side)
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"padding_side": side}))
        model = load(folder, backend="numpy")
        return open_task(model, Spec(OURS, GRAPH, 1, str(folder), "numpy", None, None, "", ""))

    return open_padded


def masks(work) -> list[list[list[int]]]:
    return [batch.arrays["attention_mask"].tolist() for batch in work.batches]


def test_padding_behind_texts_mixes_lengths_as_they_arrive(open_padded) -> None:
    found = open_padded("right").texts(CASE)
    assert [[sum(row) for row in mask] for mask in masks(found.for_bundle)] == [LENGTHS[:4], LENGTHS[4:]]
    assert found.case.title == CASE.title


def test_padding_before_texts_mixes_none_for_anybody(open_padded) -> None:
    found = open_padded("left").texts(CASE)
    for work in (found.for_bundle, found.for_source):
        assert [[len(row) for row in mask] for mask in masks(work)] == [[7], [5], [4, 4], [16], [7], [5], [4]]
        assert all(np.all(mask) for mask in masks(work))
    assert found.case.title == "8 texts, texts of one length in a run"
    assert (found.amount, found.texts) == (sum(LENGTHS), len(LENGTHS))
    # The reference is given the rows of a batch that the others have.
    index, work = found.for_reference
    assert masks(work) == [masks(found.for_bundle)[index]] == [[[1] * 4] * 2]


def test_an_embedder_pads_behind_texts_whatever_the_tokenizer_says(open_padded) -> None:
    found = open_padded("left", labels=()).texts(CASES["a"])
    assert len(found.for_bundle.batches) == 8
    assert found.case.title == CASES["a"].title

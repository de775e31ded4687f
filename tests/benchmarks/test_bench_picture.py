"""The picture of a benchmark: both forms, the same bytes each time, every contender named."""

from __future__ import annotations

import pytest

from webnn_runtime.bench.plot import draw

pytestmark = pytest.mark.bench


def entry(**rates):
    contenders = {name.replace("_", "-"): {"per_second": rate} for name, rate in rates.items()}
    return {"title": "texts, batch 2", "unit": "tokens", "ratio": {"median": 1.5}, "contenders": contenders}


def test_bars_and_curves_are_drawn_in_both_forms(tmp_path, optional):
    optional("matplotlib")
    rates = {"webnn": 3.0, "sentence_transformers": 2.0}
    record = {
        "machine": {"cpu": "a CPU"},
        "threads": 1,
        "rounds": 9,
        "contenders": {"webnn": "", "sentence-transformers": ""},
        "cases": [entry(**rates), entry(**rates)],
        "scaling": [{"over": "batch", "size": size, **entry(**rates)} for size in (1, 2, 4)],
    }
    for name in ("a.svg", "b.svg", "a.png"):
        draw(record, tmp_path / name)
    picture = (tmp_path / "a.svg").read_bytes()
    assert picture == (tmp_path / "b.svg").read_bytes()
    assert b"<!-- sentence-transformers -->" in picture
    assert b"1.50" in picture
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")

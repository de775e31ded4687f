"""A few seconds of the fuzzer, always the same cases; `make fuzz` runs a hundred thousand new ones.

And the fuzzer itself: it sees an exception, a crash, a hang and a waste of memory, and the run goes on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fuzz_checks
import fuzz_minimise
import fuzz_run
import numpy as np
import pytest
from fuzz_cases import case_of, pool
from onnx import helper

from webnn_runtime.format.errors import WebnnError

SEED = 20_250_101
CASES = 500


def test_damaged_files_are_accepted_or_refused_with_one_of_our_errors(tmp_path: Path) -> None:
    result = fuzz_run.run_here(SEED, range(CASES), pool(small=True), tmp_path / "case")
    assert result.findings == {}
    outcomes = {what for _, what in result.outcomes}
    # Not everything is refused at the door, and nothing is accepted blindly.
    assert {"accepted", "FormatError", "UnsupportedOp", "ParseError", "ManifestError", "WeightsError"} <= outcomes


def test_a_case_is_the_same_whenever_it_is_made() -> None:
    families = pool(small=True)
    for number in range(30):
        assert case_of(SEED, number, families).files() == case_of(SEED, number, families).files()
    assert len({str(case_of(SEED, number, families).changes) for number in range(30)}) == 30


def fails_at(number: int, how: Callable[[], Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> fuzz_run.Result:
    """A run of 12 cases in two workers, where one case behaves as told."""
    families = pool(small=True)
    marked = case_of(SEED, number, families)

    def examine(place: Path, files: Any, thorough: int) -> str:
        return str(how()) if thorough == marked.thorough else "accepted"

    monkeypatch.setattr(fuzz_minimise, "examine", examine)
    monkeypatch.setattr(fuzz_run, "WALL_SECONDS", 1.0)
    monkeypatch.setattr(fuzz_minimise, "_WALL_SECONDS", 1.0)
    with fuzz_run.Run(SEED, 12, 2, families) as run:
        return run.go(lambda _: None)


def leak() -> None:
    raise LookupError("not one of ours")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize(
    ("how", "signature"),
    [
        (leak, "LookupError at test_fuzz.py:leak"),
        (lambda: os._exit(3), "crash 3"),
        (lambda: time.sleep(60), "hang"),
    ],
    ids=["exception", "crash", "hang"],
)
def test_a_finding_is_seen_and_the_run_goes_on(
    how: Callable[[], Any], signature: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = fails_at(5, how, tmp_path, monkeypatch)
    assert result.cases == 12
    assert [(found, number) for found, (number, _) in result.findings.items()] == [(signature, 5)]


def spin() -> None:
    while True:
        pass


@pytest.mark.parametrize(
    ("work", "complaint"),
    [(spin, "of processor time"), (lambda: np.ones(10 << 20), "MiB of memory")],
)
def test_time_and_memory_of_a_case_are_bounded(
    work: Callable[[], Any], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if work is spin:
        monkeypatch.setattr(fuzz_checks, "MAX_SECONDS", 0.2)
    monkeypatch.setattr(fuzz_checks, "MAX_BYTES", 40 << 20)
    with pytest.raises(fuzz_checks.Finding, match=complaint), fuzz_checks.limited():
        work()


def test_a_refusal_without_a_message_and_a_file_left_behind_are_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mute(folder: Path, thorough: int) -> None:
        raise WebnnError

    def litter(folder: Path, thorough: int) -> None:
        (folder / "half").touch()

    for examine, complaint in ((mute, "without a message"), (litter, "left half behind")):
        monkeypatch.setattr(fuzz_checks, "_examine_bundle", examine)
        with pytest.raises(fuzz_checks.Finding, match=complaint):
            fuzz_checks.examine(tmp_path / "case", {"model.webnn": b""}, 0)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_finding_is_made_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def examine(place: Path, files: Any, thorough: int) -> str:
        if b"Guilty" in files["model.onnx"]:
            leak()
        return "accepted"

    monkeypatch.setattr(fuzz_minimise, "examine", examine)
    nodes = [helper.make_node(op, ["x"], [f"y{place}"]) for place, op in enumerate(("Relu", "Guilty", "Neg"))]
    model = helper.make_model(helper.make_graph(nodes, "g", [], []))
    signature = "LookupError at test_fuzz.py:leak"
    small = fuzz_minimise.minimise(tmp_path, {"model.onnx": model.SerializeToString()}, 0, signature)["model.onnx"]
    assert b"Guilty" in small
    assert len(small) < 20

"""Emitted modules on the WebNN of a real browser, an independent peer: every operator case, and whole graphs."""

from __future__ import annotations

import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from browser_plan import array_of, module_of, plan_of
from browser_session import Answers, run_in_browser

from webnn_runtime.api.operators import positional_names
from webnn_runtime.conformance import mismatch, tolerance_of
from webnn_runtime.format.ops import OPS

pytestmark = pytest.mark.browser

HERE: Final = Path(__file__).parent
EXPECTED: Final = runpy.run_path(str(HERE / "expected_failures.py"))
CASES: Final[dict[str, Any]] = {
    case.id: case for case in runpy.run_path(str(HERE.parent / "ops" / "test_cases.py"))["CASES"]
}


METHODS: Final = {op: len(positional_names(spec)) for op, spec in OPS.items()}


@dataclass(frozen=True)
class Found:
    """What the browser did with the cases, by operator: ids that passed, and what went wrong with others."""

    passed: dict[str, list[str]]
    wrong: dict[str, dict[str, str]]
    beyond: dict[str, list[str]]


@pytest.fixture(scope="module")
def answers(browser: Path, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    plan, files = [], {}
    for place, (key, case) in enumerate(CASES.items()):
        text, feeds = module_of(case.graph(), case.feeds())
        files[f"/{place}.mjs"] = text.encode()
        plan.append(plan_of(key, f"/{place}.mjs", feeds))
    return run_in_browser(browser, plan, files, tmp_path_factory.mktemp("profiles"), silence=5)


@pytest.fixture(scope="module")
def found(answers: Answers) -> Found:
    result = Found({op: [] for op in OPS}, {op: {} for op in OPS}, {op: [] for op in OPS})
    for key, case in CASES.items():
        if "unsupported" in answers.graphs[key]:
            result.beyond[case.op].append(key)
            continue
        complaint = verdict(case, case.graph(), answers.graphs[key])
        if complaint is None:
            result.passed[case.op].append(key)
        else:
            result.wrong[case.op][key] = complaint
    return result


def verdict(case: Any, graph: Any, answer: Any) -> str | None:
    if "results" not in answer:
        return str(answer["refused"])
    expected = case.expected or case.defined()
    tolerance = case.tolerance or tolerance_of(graph)
    pairs = zip(graph.outputs, expected, strict=True)
    complaints = [mismatch(array_of(answer["results"][name]), array, tolerance) for name, array in pairs]
    return "; ".join(text for text in complaints if text) or None


@pytest.mark.timeout(200)
def test_the_browser_ran_every_case(answers: Answers) -> None:
    assert answers.graphs.keys() == CASES.keys()
    assert "Chrome" in answers.agent


@pytest.mark.parametrize("op", OPS)
def test_the_browser_agrees_but_for_what_is_stated(found: Found, op: str) -> None:
    stated = {*EXPECTED["EXPECTED_FAILURES"], *EXPECTED["DEPENDS_ON_CPU"]}
    assert {key: text for key, text in found.wrong[op].items() if key not in stated} == {}
    assert [key for key in found.passed[op] + found.beyond[op] if key in EXPECTED["EXPECTED_FAILURES"]] == []
    ran = found.passed[op] + [key for key in found.wrong[op] if key in EXPECTED["DEPENDS_ON_CPU"]]
    assert (not ran) == (op in EXPECTED["MISSING"]), "what the browser has none of is in MISSING, and only that"


@pytest.mark.parametrize("op", OPS)
def test_the_browser_wants_the_arguments_of_the_table(answers: Answers, op: str) -> None:
    # As Web IDL counts: the required ones.
    assert answers.methods[op] == METHODS[op]


def test_every_stated_difference_names_a_case() -> None:
    assert set(EXPECTED["EXPECTED_FAILURES"]) <= set(CASES)
    assert set(EXPECTED["DEPENDS_ON_CPU"]) <= set(CASES) - set(EXPECTED["EXPECTED_FAILURES"])
    assert set(EXPECTED["MISSING"]) <= set(OPS)

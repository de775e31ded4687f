"""`webnn conformance`: counts, exit codes, JSON and the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest


def relu(name: str, expected: list[float], operator: str = "relu") -> dict[str, Any]:
    def tensor(data: list[float]) -> dict[str, Any]:
        return {"data": data, "descriptor": {"shape": [2], "dataType": "float32"}}

    operators = [{"name": operator, "arguments": [{"input": "x"}], "outputs": "y"}]
    graph = {"inputs": {"x": tensor([-1, 2])}, "operators": operators, "expectedOutputs": {"y": tensor(expected)}}
    return {"name": name, "graph": graph}


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    folder = tmp_path / "cases"
    (folder / "deep" / "down").mkdir(parents=True)
    (folder / "relu.json").write_text(json.dumps({"tests": [relu("right", [0, 2])]}))
    (folder / "deep" / "down" / "abs.json").write_text(json.dumps({"tests": [relu("also right", [1, 2], "abs")]}))
    return folder


@pytest.fixture
def failing(cases: Path) -> Path:
    (cases / "wrong.json").write_text(json.dumps({"tests": [relu("<b>wrong", [0, 3]), relu("odd", [0, 2], "relux")]}))
    return cases


def test_every_case_is_run_and_counted(run: Callable[..., Any], cases: Path) -> None:
    ran = run("webnn", "conformance", cases)
    assert ran.code == 0
    assert ran.out.splitlines() == [
        "✓ abs   1 passed",
        "✓ relu  1 passed",
        "numpy: 2 cases: 2 passed, 0 failed, 0 unsupported",
    ]
    quiet = run("webnn", "conformance", cases, "--quiet")
    assert quiet.out.splitlines() == ["numpy: 2 cases: 2 passed, 0 failed, 0 unsupported"]
    assert quiet.err == ""


def test_a_failed_case_is_exit_code_8_with_its_message(run: Callable[..., Any], failing: Path) -> None:
    ran = run("webnn", "conformance", failing)
    assert ran.code == 8
    assert "failed: wrong:0 '<b>wrong': output 'y': 1 of 2 elements are off" in ran.out
    assert "failed: wrong:1 'odd': UnknownOp: no WebNN operator is called 'relux'" in ran.out
    assert "error: numpy: 2 of 4 cases failed" in ran.err
    answer = run("webnn", "conformance", failing, "--json").json
    assert (answer["ok"], answer["command"], answer["errors"][0]["code"]) == (False, "conformance", "quality-gate")
    data = answer["data"]
    assert data["total"] == {"passed": 2, "failed": 2, "unsupported": 0}
    assert data["operators"] == {
        "abs": {"passed": 1, "failed": 0, "unsupported": 0},
        "relu": {"passed": 1, "failed": 1, "unsupported": 0},
        "relux": {"passed": 0, "failed": 1, "unsupported": 0},
    }
    assert [found["case"] for found in data["failures"]] == ["wrong:0", "wrong:1"]


def test_the_backend_is_chosen_by_name(run: Callable[..., Any], cases: Path, optional: Callable[[str], Any]) -> None:
    optional("onnxruntime")
    assert (
        run("webnn", "conformance", cases, "--backend", "onnxruntime", "--json").json["data"]["backend"]
        == "onnxruntime"
    )
    assert run("webnn", "conformance", cases, "--json").json["data"]["backend"] == "numpy"


@pytest.mark.parametrize("name", ["auto", "nonsense"])
def test_a_backend_that_is_none_is_wrong_usage(run: Callable[..., Any], cases: Path, name: str) -> None:
    assert run("webnn", "conformance", cases, "--backend", name).code == 2


def test_a_malformed_file_is_exit_code_4_and_named(run: Callable[..., Any], cases: Path) -> None:
    (cases / "deep" / "bad.json").write_text('{"tests": [{"name": "n"}]}')
    ran = run("webnn", "conformance", cases, "--json")
    assert ran.code == 4
    assert ran.json["errors"][0]["message"].endswith(
        "bad.json: not a case file: tests[0]: 'graph' is missing or no object"
    )


def test_a_folder_without_cases_is_not_found(run: Callable[..., Any], tmp_path: Path) -> None:
    assert run("webnn", "conformance", tmp_path / "nowhere").code == 3
    (tmp_path / "empty").mkdir()
    assert run("webnn", "conformance", tmp_path / "empty").code == 3


class Page(HTMLParser):
    """Checks that tags close, and collects what a page would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [str(value) for key, value in attrs if key in {"src", "href"}]
        if tag == "script":
            self.loads.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone_and_shows_messages_as_text(run: Callable[..., Any], failing: Path) -> None:
    target = failing.parent / "page.html"
    target.write_text("old")
    assert run("webnn", "conformance", failing, "--html", target).code == 8
    text = target.read_text(encoding="utf-8")
    page = Page(text)
    assert (page.open, page.loads) == ([], [])
    assert "&lt;b&gt;wrong" in text
    assert "<b>wrong" not in text
    assert "no WebNN operator is called &#x27;relux&#x27;" in text
    assert sorted(path.name for path in target.parent.iterdir()) == ["cases", "page.html"]


def test_a_page_that_cannot_be_written_leaves_nothing(run: Callable[..., Any], cases: Path) -> None:
    folder = cases.parent / "taken"
    folder.mkdir()
    assert run("webnn", "conformance", cases, "--html", folder).code != 0
    assert sorted(path.name for path in cases.parent.iterdir()) == ["cases", "taken"]

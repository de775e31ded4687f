"""scripts/wpt_to_cases.mjs on a small imitation of a web-platform-tests checkout, and its cases through the command."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from webnn_runtime.backends import get_backend
from webnn_runtime.conformance import Case, ValidationCase, cases_of, run_suite

ROOT: Final = Path(__file__).resolve().parents[2]
SCRIPT: Final = ROOT / "scripts" / "wpt_to_cases.mjs"
IMITATION: Final = Path(__file__).with_name("imitation")


def convert(node: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([node, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def converted(node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wpt") / "cases"
    done = convert(node, IMITATION, target)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{target}: 64 cases; 13 tests were not converted, see not-converted.txt there\n"
    return target


def read_tests(converted: Path, name: str) -> list[dict[str, Any]]:
    return json.loads((converted / f"{name}.json").read_text(encoding="utf-8"))["tests"]


def test_every_converted_case_passes_on_the_definition(converted: Path) -> None:
    cases = cases_of(converted)
    summary = run_suite(cases, get_backend("numpy"))
    assert summary.findings == []
    assert summary.total.passed == len(cases) == 64
    assert Counter(map(type, cases)) == {Case: 9, ValidationCase: 55}


def test_numbers_come_over_exactly(converted: Path) -> None:
    tests = {test["name"]: test["graph"] for test in read_tests(converted, "conformance_tests/activation")}
    text = (converted / "conformance_tests" / "activation.json").read_text(encoding="utf-8")
    assert '"data":[-1,-0.0,0.1,"Infinity"]' in text
    assert tests["relu of NaN"]["inputs"]["x"]["data"] == ["NaN"]
    assert tests["relu of a typed array"]["inputs"]["x"]["data"] == [-5, 5]
    assert tests["relu of one number everywhere"]["inputs"]["x"]["data"] == 3
    assert tests["relu of float16 as a constant"]["inputs"]["x"]["constant"] is True
    clamp = tests["clamp of large int64"]
    assert clamp["inputs"]["x"]["data"] == ["9007199254740993n", "-5n"]
    assert clamp["operators"][0]["arguments"][1] == {"options": {"minValue": "-4n"}}


def test_the_files_own_tolerance_comes_along_where_it_can_be_computed(converted: Path) -> None:
    found = {test["name"]: test.get("tolerance") for test in read_tests(converted, "conformance_tests/activation")}
    assert found["sigmoid of float16"] == {"type": "ULP", "value": 10}
    # It depends on the shape of an intermediate result, which only a WebNN knows.
    assert found["a product of a product, then relu"] is None
    (split,) = read_tests(converted, "conformance_tests/split")
    assert split["tolerance"] == {"type": "ATOL", "value": 0.5}


def test_what_must_be_refused_has_no_output_and_the_rest_has_what_is_asserted(converted: Path) -> None:
    tests = read_tests(converted, "validation_tests/operators")
    assert tests[:3] == [
        {
            "kind": "validation",
            "name": "[softmax] along the last axis",
            "inputs": {"input": {"dataType": "float32", "shape": [2, 3]}},
            "operator": "softmax",
            "arguments": [{"input": "input"}, {"axis": 1}],
            "output": {"dataType": "float32", "shape": [2, 3]},
        },
        {
            "kind": "validation",
            "name": "[softmax] along an axis that is not there",
            "inputs": {"input": {"dataType": "float32", "shape": [2, 3]}},
            "operator": "softmax",
            "arguments": [{"input": "input"}, {"axis": 2}],
            "options": {"label": "here_123"},
        },
        {
            "kind": "validation",
            "name": "[softmax] of integers",
            "inputs": {"input": {"dataType": "int32", "shape": [2, 3]}},
            "operator": "softmax",
            "arguments": [{"input": "input"}, {"axis": 0}],
        },
    ]


def test_a_refusal_that_a_test_catches_itself_is_seen(converted: Path) -> None:
    pools = [
        test for test in read_tests(converted, "validation_tests/operators") if test["operator"] == "averagePool2d"
    ]
    accepted = [len(test["inputs"]["input"]["shape"]) for test in pools if "output" in test]
    refused = [len(test["inputs"]["input"]["shape"]) for test in pools if "output" not in test]
    assert (accepted, refused) == ([4], [0, 1, 2, 3, 5, 6, 7, 8])


def test_a_test_that_changes_its_own_data_is_converted_with_the_first_data(converted: Path) -> None:
    fits, not_ = (test for test in read_tests(converted, "validation_tests/operators") if test["operator"] == "gemm")
    assert (fits["output"], "output" in not_) == ({"shape": [2, 4]}, False)
    assert fits["options"] == {"c": "c", "alpha": 2.5, "beta": 0.5, "label": "gemm"}
    assert fits["inputs"]["constant"] == {"dataType": "float32", "shape": [3, 4], "constant": True}


def test_operands_of_other_builders_and_results_as_operands_are_kept(converted: Path) -> None:
    tests = read_tests(converted, "validation_tests/operators")
    other = [test for test in tests if test["name"] == "operands of another builder"]
    assert [test["inputs"]["x_2"]["builder"] for test in other] == ["other", "other"]
    last = [test for test in tests if test["name"] == "results as operands"][-1]
    split, transpose = last["before"]
    assert split["outputs"] == ["result1_0", "result1_1", "result1_2"]
    assert transpose["arguments"] == [{"input": "result1_2"}]
    assert last["arguments"] == [{"a": "result2"}, {"b": "result1_0"}]


def test_what_cannot_be_converted_is_named_with_a_reason(converted: Path) -> None:
    lines = (converted / "not-converted.txt").read_text(encoding="utf-8").splitlines()
    assert "conformance_tests/tensor.https.any.js: a graph is built: MLGraphBuilder.build" in lines
    life = [line.partition("life.https.any.js: ")[2] for line in lines if "life" in line]
    assert life == [
        "there is a WebNN: it asks nothing of a builder",
        "a destroyed context: MLContext.destroy",
        "an error of another class: a RangeError is expected",
        "a shape that is used: the shape of a result is used to compute something",
        "a dimension with a name: a dimension that is not a number",
        "an assertion that is not known: ReferenceError: assert_something_new is not defined",
    ]


def test_a_folder_that_exists_and_a_checkout_without_tests_are_refused(node: str, tmp_path: Path) -> None:
    taken = convert(node, IMITATION, tmp_path)
    assert (taken.returncode, taken.stderr) == (2, f"error: {tmp_path}: exists already; choose another folder\n")
    empty = convert(node, tmp_path, tmp_path / "out")
    assert empty.returncode == 3
    assert "there are no WebNN tests" in empty.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_does_not_even_load_is_named_and_the_others_are_converted(node: str, tmp_path: Path) -> None:
    folder = tmp_path / "wpt" / "webnn" / "validation_tests"
    folder.mkdir(parents=True)
    (folder / "bad.https.any.js").write_text("// META: script=../resources/absent.js\n")
    good = "promise_test(async () => { new MLGraphBuilder().input('x', {dataType: 'int8', shape: [1]}); }, 'good');\n"
    (folder / "good.https.any.js").write_text(good)
    assert convert(node, tmp_path / "wpt", tmp_path / "out").returncode == 0
    assert read_tests(tmp_path / "out", "validation_tests/good")[0]["operator"] == "input"
    assert "bad.https.any.js: the whole file: ENOENT" in (tmp_path / "out" / "not-converted.txt").read_text()


def test_the_limits_that_the_converter_reads_are_up_to_date() -> None:
    path = ROOT / "scripts" / "generate_operator_limits.py"
    spec = importlib.util.spec_from_file_location("generate_operator_limits", path)
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert generator.TARGET.read_text(encoding="utf-8") == generator.render(), "run `make docs`"

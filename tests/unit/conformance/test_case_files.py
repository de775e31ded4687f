"""Reading case files, their numbers, the published tolerances, and the comparison."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from webnn_runtime.backends import get_backend
from webnn_runtime.conformance import (
    BUDGETS,
    Case,
    Tolerance,
    Verdict,
    load_cases,
    mismatch,
    run_case,
    tolerance_of,
    ulp_distance,
)
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import FormatError
from webnn_runtime.format.ops import OPS


def tensor(data: object, dtype: str = "float32", shape: list[int] | None = None, **more: object) -> dict[str, Any]:
    length = [len(data)] if isinstance(data, list) else []
    return {"data": data, "descriptor": {"shape": length if shape is None else shape, "dataType": dtype}, **more}


def case(op: str, arguments: list[Any], inputs: dict[str, Any], output: dict[str, Any], **more: object) -> Case:
    graph = {
        "inputs": inputs,
        "operators": [{"name": op, "arguments": arguments, "outputs": "out"}],
        "expectedOutputs": {"out": output},
    }
    return Case("file", 0, "case", {"name": "case", "graph": graph, **more})


ADD = [{"a": "x"}, {"b": "y"}]
NUMPY = get_backend("numpy")


@pytest.mark.parametrize(
    ("data", "dtype", "expected"),
    [
        ([1, "NaN", "-Infinity", "Infinity"], "float32", np.float32([1, np.nan, -np.inf, np.inf])),
        (["9007199254740993n", "-5n"], "int64", np.int64([2**53 + 1, -5])),
        (["18446744073709551615n"], "uint64", np.uint64([2**64 - 1])),
        ([0.1, 65504, 70000], "float16", np.float16([0.1, 65504, np.inf])),
        ([-8, 7], "int4", np.int8([-8, 7])),
    ],
)
def test_numbers_that_json_lacks_are_read_exactly(data: list[Any], dtype: str, expected: np.ndarray) -> None:
    found = case("identity", [{"input": "x"}], {"x": tensor(data, dtype)}, tensor(data, dtype)).expected()["out"]
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f")


def test_a_single_number_fills_the_tensor_and_a_thousand_elements_are_compared() -> None:
    filled = case("identity", [{"input": "x"}], {"x": tensor(3, shape=[50, 50])}, tensor(3, shape=[50, 50]))
    assert filled.feeds(filled.graph())["x"].tolist() == [[3.0] * 50] * 50
    assert filled.compared("out", np.zeros((50, 50), np.float32)).shape == (1000,)
    assert run_case(filled, NUMPY).verdict is Verdict.PASSED


def test_marked_tensors_become_constants_and_all_do_on_request() -> None:
    marked = case("add", ADD, {"x": tensor([1]), "y": tensor([2], constant=True)}, tensor([3]))
    assert list(marked.graph().inputs) == ["x"]
    assert list(marked.graph().constants) == ["y"]
    assert list(marked.graph(all_constant=True).inputs) == []
    assert [run_case(marked, NUMPY, all_constant=form).verdict for form in (False, True)] == [Verdict.PASSED] * 2


def test_options_are_read_as_javascript_would() -> None:
    options = {"options": {"exclusive": 1, "reversed": 0}}
    made = case("cumulativeSum", [{"input": "x"}, {"axis": 0}, options], {"x": tensor([1, 2])}, tensor([0, 1]))
    assert dict(made.graph().nodes[0].options) == {"axis": 0, "exclusive": True, "reversed": False}
    bounds = {"options": {"maxValue": "9007199254740993n"}}
    made = case("clamp", [{"input": "x"}, bounds], {"x": tensor([5], "int64")}, tensor([5], "int64"))
    assert made.graph().nodes[0].options["maxValue"] == 2**53 + 1


def test_a_wrong_value_a_wrong_type_and_a_refused_graph_each_fail_with_a_reason() -> None:
    inputs = {"x": tensor([1, 2]), "y": tensor([1, 1])}
    value = run_case(case("add", ADD, inputs, tensor([2, 4])), NUMPY)
    assert value.verdict is Verdict.FAILED
    assert "1 of 2 elements are off, element 1 is 3.0, expected 4.0" in value.message
    dtype = run_case(case("add", ADD, inputs, tensor([2, 3], "float16")), NUMPY)
    assert dtype.message == "output 'out': type float32, expected float16"
    refused = run_case(case("add", ADD, {**inputs, "y": tensor([1, 1, 1])}, tensor([2, 3])), NUMPY)
    assert refused.message.startswith("ShapeError: ")
    unknown = run_case(case("addd", ADD, inputs, tensor([2, 3])), NUMPY)
    assert unknown.message.startswith("UnknownOp: ")


@pytest.mark.parametrize(
    ("own", "verdict"), [({"type": "ATOL", "value": 2}, Verdict.PASSED), ({"type": "ULP", "value": 2}, Verdict.FAILED)]
)
def test_a_tolerance_of_the_case_itself_wins(own: dict[str, Any], verdict: Verdict) -> None:
    made = case("add", ADD, {"x": tensor([1]), "y": tensor([1])}, tensor([3.5]), tolerance=own)
    assert run_case(made, NUMPY).verdict is verdict


def document(*, name: object = "n", **changed: Any) -> dict[str, Any]:
    graph = {
        "inputs": {"x": tensor([1, 2])},
        "operators": [{"name": "relu", "arguments": [{"input": "x"}], "outputs": "out"}],
        "expectedOutputs": {"out": tensor([1, 2])},
    }
    return {"name": name, "graph": graph | changed}


def validation(**changed: Any) -> dict[str, Any]:
    inputs = {"x": {"dataType": "float32", "shape": [2]}}
    found = {"kind": "validation", "name": "n", "inputs": inputs, "operator": "relu", "arguments": [{"input": "x"}]}
    return found | changed


def test_cases_are_found_at_any_depth_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name in ("b.json", "a/deep/c.json", "a/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps({"tests": [document(), validation()]}))
    (tmp_path / "folder.json").mkdir()
    assert [found.id for found in load_cases(tmp_path)] == ["a/deep/c:0", "a/deep/c:1", "b:0", "b:1"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"tests": 3}', "[" * 100_000, "\x00"])
def test_a_file_that_is_no_case_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(FormatError, match=r"bad\.json: not a case file"):
        list(load_cases(tmp_path))


@pytest.mark.parametrize(
    ("test", "complaint"),
    [
        (3, "a int where an object with 'name' should be"),
        ({}, "'name' is missing"),
        ({"name": "n"}, "'graph' is missing"),
        (document(name=3), "'name' is missing or no string"),
        ({**document(), "kind": "speed"}, "'kind' is 'speed'"),
        ({**document(), "tolerance": {"type": "ULPs", "value": 1}}, "'tolerance' is not"),
        ({**document(), "tolerance": {"type": "ULP", "value": "1"}}, "'tolerance' is not"),
        (document(inputs=[]), "'inputs' is missing or no object"),
        (document(inputs={"x": tensor([1], "float64")}), "'dataType' is 'float64'"),
        (document(inputs={"x": tensor([1], shape=[-1])}), "'shape' is"),
        (document(inputs={"x": tensor([1, 2], shape=[3])}), r"a tensor of shape \[3\] has 2 numbers"),
        (document(inputs={"x": tensor(None)}), "has no 'data'"),
        (document(operators=[]), "'operators' is empty"),
        (document(operators=[{"name": "relu"}]), "'arguments' is missing"),
        (document(operators=[{"name": "relu", "arguments": [3], "outputs": "y"}]), "argument 3 is not an object"),
        (document(operators=[{"name": "relu", "arguments": [], "outputs": []}]), "'outputs' of relu"),
        (document(expectedOutputs={}), "'expectedOutputs' is empty"),
        (validation(operator=None), "'operator' is missing"),
        (validation(inputs={"x": {}}), "'dataType' is missing"),
        (validation(options=3), "'options' is not an object"),
        (validation(output={"type": "float32"}), "'output' is not a descriptor"),
        (validation(before=[{}]), "'name' is missing"),
        (
            validation(operator="constant", arguments=[{"buffer": {"type": "A", "byteLength": -1}}]),
            "'byteLength' is -1",
        ),
    ],
)
def test_a_malformed_case_is_named_by_its_place(tmp_path: Path, test: object, complaint: str) -> None:
    (tmp_path / "bad.json").write_text(json.dumps({"tests": [document(), test]}))
    with pytest.raises(FormatError, match=rf"bad\.json: not a case file: tests\[1\]: .*{complaint}"):
        list(load_cases(tmp_path))


@pytest.mark.parametrize(
    "malformed",
    [
        case("relu", [{"input": "x"}], {"x": tensor(["one"])}, tensor([1])),
        case("relu", [{"input": "x"}], {"x": tensor([[1]], shape=[1])}, tensor(["1m"])),
        case("relu", [{"input": "x"}], {"x": tensor([300], "int8")}, tensor([1])),
        case("relu", [{"input": 5}], {"x": tensor([1])}, tensor([1])),
    ],
    ids=["a word", "a word among the expected", "out of range", "an operand that is no name"],
)
def test_values_that_do_not_fit_are_malformed_too(malformed: Case) -> None:
    with pytest.raises(FormatError, match=r"file\.json: not a case file: tests\[0\]"):
        run_case(malformed, NUMPY)


@pytest.mark.parametrize(
    ("actual", "expected", "distance"),
    [
        (np.float32([1]), np.nextafter(np.float32([1]), np.float32(2)), 1),
        (np.float32([0.0]), np.float32([-0.0]), 0),
        (np.float32([1e-45]), np.float32([-1e-45]), 2),
        (np.float16([1]), np.float16([1.002]), 2),
        (np.float32([np.nan]), np.float32([np.nan]), 0),
        (np.float32([np.nan]), np.float32([1]), np.inf),
        (np.float32([np.inf]), np.float32([3.4028235e38]), 1),
        (np.uint8([3]), np.uint8([250]), 247),
        (np.int64([2**62]), np.int64([2**62 - 1]), 1),
        (np.uint64([0]), np.uint64([2**63]), 2**63),
    ],
)
def test_distance_in_units_of_the_last_place(actual: np.ndarray, expected: np.ndarray, distance: float) -> None:
    assert ulp_distance(actual, expected).tolist() == [distance]


def test_an_absolute_tolerance_accepts_equal_infinities_and_refuses_nan() -> None:
    allowed = Tolerance(absolute=0.5)
    assert mismatch(np.float32([np.inf, 1.25]), np.float32([np.inf, 1]), allowed) is None
    assert mismatch(np.float32([np.nan]), np.float32([1]), allowed) is not None
    assert mismatch(np.float32([1.75]), np.float32([1]), allowed) is not None
    assert mismatch(np.float32([1]), np.float32([[1]]), allowed) == "shape [1], expected [1, 1]"


def test_every_operator_has_a_budget() -> None:
    assert set(BUDGETS) == set(OPS)


@pytest.mark.parametrize(
    ("op", "shapes", "dtype", "options", "expected"),
    [
        ("add", [[2], [2]], "float32", {}, Tolerance(1)),
        ("add", [[2], [2]], "int32", {}, Tolerance()),
        ("sigmoid", [[2]], "float32", {}, Tolerance(34)),
        ("sigmoid", [[2]], "float16", {}, Tolerance(10)),
        ("erf", [[2]], "float16", {}, Tolerance(absolute=1 / 512)),
        ("matmul", [[2, 7], [7, 3]], "float32", {}, Tolerance(14)),
        ("gemm", [[2, 7], [7, 3]], "float32", {}, Tolerance(14)),
        ("gemm", [[2, 7], [7, 3], [3]], "float32", {"alpha": 2.0, "beta": 3.0}, Tolerance(17)),
        ("gemm", [[7, 2], [7, 3], [3]], "float32", {"aTranspose": True, "beta": 0.0}, Tolerance(14)),
        ("softmax", [[2, 5]], "float32", {"axis": 1}, Tolerance(18)),
        ("conv2d", [[1, 4, 5, 5], [6, 2, 3, 2]], "float32", {"groups": 2}, Tolerance(24)),
        ("averagePool2d", [[1, 4, 5, 5]], "float32", {"windowDimensions": [2, 3]}, Tolerance(8)),
        ("averagePool2d", [[1, 4, 5, 6]], "float32", {"layout": "nhwc"}, Tolerance(22)),
        ("reduceMean", [[3, 5]], "float32", {"axes": [1]}, Tolerance(7)),
        ("reduceMean", [[3, 5]], "float32", {}, Tolerance(17)),
        ("reduceSumSquare", [[3, 5]], "float32", {"axes": []}, Tolerance(2)),
        ("cumulativeSum", [[3, 5]], "float32", {"axis": 1}, Tolerance(4)),
        ("resample2d", [[1, 1, 2, 2]], "float32", {"mode": "linear"}, Tolerance(84)),
        ("resample2d", [[1, 1, 2, 2]], "float32", {}, Tolerance()),
    ],
)
def test_published_tolerances(
    op: str, shapes: list[list[int]], dtype: str, options: dict[str, Any], expected: Tolerance
) -> None:
    builder = GraphBuilder()
    operands = [builder.input(f"x{place}", DataType(dtype), shape) for place, shape in enumerate(shapes)]
    assert tolerance_of(builder.build({"y": builder.op(op, *operands, **options)})) == expected


def test_the_tolerances_of_several_operators_add_up() -> None:
    builder = GraphBuilder()
    x = builder.input("x", DataType.FLOAT32, (2,))
    graph = builder.build({"y": builder.op("erf", builder.op("div", x, builder.op("add", x, x)))})
    assert tolerance_of(graph) == Tolerance(ulp=3, absolute=1 / 1024)


def test_the_example_of_the_documentation_passes(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "conformance.md").read_text(encoding="utf-8")
    example = page.split("```json\n")[1].split("```")[0]
    (tmp_path / "example.json").write_text(example, encoding="utf-8")
    found = list(load_cases(tmp_path))
    assert [run_case(each, NUMPY).verdict for each in found] == [Verdict.PASSED, Verdict.PASSED]

"""Cases that must be refused or give a descriptor, on the builder of the W3C surface."""

from __future__ import annotations

import re
from typing import Any

import pytest

from webnn_runtime.api import MLTypeError
from webnn_runtime.backends import get_backend
from webnn_runtime.conformance import ValidationCase, Verdict, run_case
from webnn_runtime.format.errors import FormatError

NUMPY = get_backend("numpy")


def tensor(*shape: int, dtype: str = "float32", **more: object) -> dict[str, object]:
    return {"dataType": dtype, "shape": list(shape), **more}


def run(operator: str, *arguments: dict[str, Any], inputs: dict[str, Any] | None = None, **more: Any) -> str | None:
    """None when the case passes, else its message."""
    document = {"operator": operator, "arguments": list(arguments), "inputs": inputs or {}, **more}
    outcome = run_case(ValidationCase("file", 0, "case", document), NUMPY)
    assert outcome.verdict in (Verdict.PASSED, Verdict.FAILED)
    return outcome.message if outcome.verdict is Verdict.FAILED else None


X = {"x": tensor(2, 3)}
AB = ({"a": "a"}, {"b": "b"})


@pytest.mark.parametrize(
    "case",
    [
        {"operator": "softmax", "arguments": [{"input": "x"}, {"axis": 1}], "output": tensor(2, 3)},
        {"operator": "softmax", "arguments": [{"input": "x"}, {"axis": 2}]},
        {"operator": "softmax", "arguments": [{"input": "x"}]},
        {"operator": "softmax", "arguments": [{"input": 3}, {"axis": 1}]},
        {"operator": "concat", "arguments": [{"inputs": ["x", "x"]}, {"axis": 0}], "output": tensor(4, 3)},
        {"operator": "concat", "arguments": [{"inputs": ["x", 1]}, {"axis": 0}]},
        {"operator": "split", "arguments": [{"input": "x"}, {"splits": 2}], "output": [tensor(1, 3), tensor(1, 3)]},
        {"operator": "clamp", "arguments": [{"input": "x"}], "options": {"maxValue": "NaN"}, "output": tensor(2, 3)},
        {"operator": "clamp", "arguments": [{"input": "x"}], "options": {"minValue": 2, "maxValue": 1}},
        {"operator": "input", "arguments": [{"name": "x"}, {"dataType": "float32"}, {"shape": [1]}]},
        {"operator": "input", "arguments": [{"name": "y"}, {"dataType": "int16"}, {"shape": [1]}]},
        {
            "operator": "input",
            "arguments": [{"name": "y"}, {"dataType": "int8"}, {"shape": [2]}],
            "output": {"dataType": "int8", "shape": [2]},
        },
        {"operator": "constant", "arguments": [{"dataType": "int4"}, {"value": "3n"}], "output": {"shape": []}},
        {
            "operator": "relu",
            "arguments": [{"input": "y"}],
            "before": [{"name": "transpose", "arguments": [{"input": "x"}], "outputs": "y"}],
            "output": tensor(3, 2),
        },
        {
            "operator": "relu",
            "arguments": [{"input": "second"}],
            "before": [
                {"name": "split", "arguments": [{"input": "x"}, {"splits": [1, 2]}, {"options": {"axis": 1}}],
                 "outputs": ["first", "second"]}
            ],
            "output": tensor(2, 2),
        },
    ],
    ids=lambda case: case["operator"],
)  # fmt: skip
def test_an_answer_as_expected_passes(case: dict[str, Any]) -> None:
    case = dict(case)
    assert run(case.pop("operator"), *case.pop("arguments"), inputs=X, **case) is None


@pytest.mark.parametrize(
    ("buffer", "dtype", "accepted"),
    [
        ({"type": "Float32Array", "byteLength": 8}, "float32", True),
        ({"type": "ArrayBuffer", "byteLength": 8}, "float32", True),
        ({"type": "Uint8Array", "byteLength": 8}, "float32", True),
        ({"type": "Int32Array", "byteLength": 8}, "float32", False),
        ({"type": "Float32Array", "byteLength": 4}, "float32", False),
        ({"type": "BigInt64Array", "byteLength": 16}, "int64", True),
    ],
)
def test_constants_come_from_buffers(buffer: dict[str, Any], dtype: str, accepted: bool) -> None:
    output = {"output": tensor(2, dtype=dtype)} if accepted else {}
    assert run("constant", {"dataType": dtype}, {"shape": [2]}, {"buffer": buffer}, **output) is None


@pytest.mark.parametrize(
    ("operator", "arguments", "more", "complaint"),
    [
        ("relu", [{"input": "x"}], {}, "accepted; it is to be refused"),
        ("relu", [{"input": "x"}], {"output": tensor(3, 2)}, r"shape \[2, 3\], expected \[3, 2\]"),
        ("relu", [{"input": "x"}], {"output": {"dataType": "int32"}}, "dataType float32, expected int32"),
        ("relu", [{"input": "x"}], {"output": [tensor(2, 3)]}, "1 results, expected 1"),
        ("softmax", [{"input": "x"}, {"axis": 2}], {"output": tensor(2, 3)}, "refused: "),
        ("relux", [{"input": "x"}], {}, "UnknownOp: "),
        ("relux", [{"input": "x"}], {"output": tensor(2, 3)}, "UnknownOp: "),
    ],
)
def test_another_answer_fails_and_says_why(operator: str, arguments: Any, more: dict[str, Any], complaint: str) -> None:
    message = run(operator, *arguments, inputs=X, **more)
    assert message is not None
    assert re.search(complaint, message)


def test_operands_that_cannot_be_made_fail_the_case_even_where_a_refusal_is_expected() -> None:
    message = run("relu", {"input": "x"}, inputs={"x": tensor(2, 0)})
    assert message is not None
    assert message.startswith("not even the operands can be made: ")


def test_an_operand_of_another_builder_is_refused() -> None:
    inputs = {"a": tensor(2), "b": tensor(2, builder="other")}
    assert run("add", *AB, inputs=inputs) is None
    assert run("add", *AB, inputs=inputs, options={"label": "mine"}) is None
    assert run("add", *AB, inputs={"a": tensor(2), "b": tensor(2, constant=True)}, output=tensor(2)) is None


def test_a_refusal_must_carry_the_label() -> None:
    inputs = {"x": tensor(1, dtype="uint8")}
    document = {"operator": "relu", "arguments": [{"input": "x"}], "inputs": inputs, "options": {"label": "mine"}}
    case = ValidationCase("file", 0, "case", document)

    def refuse(self: object, *arguments: object, **options: object) -> None:
        raise MLTypeError("relu: no")

    assert run_case(case, NUMPY).verdict is Verdict.PASSED
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("webnn_runtime.api.MLGraphBuilder.relu", refuse)
        assert run_case(case, NUMPY).message == "the message lacks [mine]: relu: no"


def test_a_name_of_no_tensor_is_a_malformed_case() -> None:
    with pytest.raises(FormatError, match="relu names the tensor 'y', which the case does not have"):
        run("relu", {"input": "y"}, inputs=X)

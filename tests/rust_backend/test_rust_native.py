"""What runs natively, operator by operator and type by type, and that it gives what the operator cases expect."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

import pytest

from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.conformance import mismatch, tolerance_of
from webnn_runtime.format.dtypes import ANY, FLOATS, WEBNN_TYPES, DataType
from webnn_runtime.format.errors import UnsupportedByBackend
from webnn_runtime.format.ops import OPS

pytestmark = pytest.mark.native

F32 = frozenset({DataType.FLOAT32})
# Types of the first operand for which the engine has a kernel. `reshape` is another name for a value.
NATIVE = {
    **dict.fromkeys(
        ["abs", "add", "clamp", "div", "max", "min", "mul", "neg", "pow", "prelu", "sign", "sub"], WEBNN_TYPES
    ),
    **dict.fromkeys(["equal", "greater", "greaterOrEqual", "lesser", "lesserOrEqual", "notEqual"], WEBNN_TYPES),
    **dict.fromkeys(["logicalAnd", "logicalNot", "logicalOr", "logicalXor", "where"], frozenset({DataType.UINT8})),
    **dict.fromkeys(["ceil", "cos", "erf", "exp", "floor", "isInfinite", "isNaN", "log", "reciprocal"], FLOATS),
    **dict.fromkeys(["roundEven", "sin", "sqrt", "tan"], FLOATS),
    **dict.fromkeys(["elu", "gelu", "hardSigmoid", "hardSwish", "leakyRelu", "linear", "sigmoid", "softplus"], FLOATS),
    **dict.fromkeys(["softsign", "tanh"], FLOATS),
    "cast": ANY,
    "gather": ANY,
    "identity": ANY,
    "matmul": F32,
    "relu": WEBNN_TYPES,
    "transpose": ANY,
}
# Kinds that are no operators: what patterns become.
PATTERNS = {"attention", "columns", "layerNorm", "linearLayer", "rmsNorm", "rotary", "silu", "truth"}


def _cases():
    """The operator cases of every backend, as tests/ops reads them."""
    path = Path(__file__).parent.parent / "ops" / "test_cases.py"
    spec = importlib.util.spec_from_file_location("operator_cases", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.CASES


EXPECTED_FAILURES = runpy.run_path(str(Path(__file__).parent.parent / "ops" / "expected_failures.py"))[
    "EXPECTED_FAILURES"
]


def _param(case):
    reason = EXPECTED_FAILURES.get(("rust", case.id))
    marks = [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True)]
    return pytest.param(case, id=case.id, marks=marks)


CASES = [
    _param(case)
    for case in _cases()
    if case.operands[0] is not None and DataType.from_numpy(case.operands[0].dtype) in NATIVE.get(case.op, ())
]


def test_the_list_of_native_operators_is_what_the_engine_has(optional):
    kernels = optional("webnn_kernels")
    found = {
        op: frozenset(dtype for dtype in DataType if kernels.supports(op, dtype.value))
        for op in OPS
        if op in kernels.kinds()
    }
    assert found == NATIVE
    assert set(kernels.kinds()) == NATIVE.keys() | PATTERNS


@pytest.mark.parametrize("case", CASES)
def test_a_case_runs_natively_and_is_right(rust, case):
    graph = case.graph()
    results = list(rust.compile(graph, CompileOptions(threads=1, strict=True)).run(case.feeds()).values())
    expected = case.expected or case.defined()
    tolerance = case.tolerance or tolerance_of(graph)
    assert [mismatch(*pair, tolerance) for pair in zip(results, expected, strict=True)] == [None] * len(results)


def test_what_has_no_kernel_is_refused_by_strict_and_named(rust):
    case = next(case for case in _cases() if case.op not in NATIVE and case.op != "reshape")
    with pytest.raises(UnsupportedByBackend, match=f"no native kernel for {case.op} "):
        rust.compile(case.graph(), CompileOptions(threads=1, strict=True))


def test_a_type_beyond_the_kernels_is_not_claimed(optional):
    kernels = optional("webnn_kernels")
    assert not kernels.supports("no such kind", "float32")
    assert NATIVE["add"] >= FLOATS
    with pytest.raises(ValueError, match="no data type 'float64'"):
        kernels.supports("add", "float64")

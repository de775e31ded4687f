"""What runs natively, operator by operator and type by type, and that it gives what the operator cases expect."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

import pytest

from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.conformance import mismatch, tolerance_of
from webnn_runtime.format.dtypes import ANY, DataType
from webnn_runtime.format.ops import OPS

pytestmark = pytest.mark.native

# Types of the first operand that the operator table has and the engine has no kernel for.
GAPS: dict[str, frozenset[DataType]] = {}
# Kinds that are no operators: what patterns become.
PATTERNS = {
    "attention",
    "blockedConv",
    "blockedPool",
    "blockedScale",
    "chain",
    "columns",
    "convLayer",
    "dynamicRange",
    "eachText",
    "embedding",
    "gate",
    "fromBlocks",
    "integerLayer",
    "layerNorm",
    "linearLayer",
    "rmsNorm",
    "rotary",
    "silu",
    "storedLayer",
    "toBlocks",
    "truth",
    "unitNorm",
}


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


def _is_native(case):
    return case.operands[0] is None or DataType.from_numpy(case.operands[0].dtype) not in GAPS.get(case.op, ())


CASES = [_param(case) for case in _cases() if _is_native(case)]


def test_the_gaps_are_what_the_engine_lacks(optional):
    kernels = optional("webnn_kernels")
    lacking = {}
    for op, spec in OPS.items():
        first = spec.operands[0]
        types = (first.allowed or ANY) | first.extra
        lacking[op] = frozenset(dtype for dtype in types if not kernels.supports(op, dtype.value))
    # Another name for a value, and no kernel.
    assert lacking.pop("reshape") == ANY & OPS["reshape"].operands[0].allowed
    assert {op: types for op, types in lacking.items() if types} == GAPS
    assert set(kernels.kinds()) - OPS.keys() == PATTERNS


@pytest.mark.parametrize("case", CASES)
def test_a_case_runs_natively_and_is_right(rust, case):
    graph = case.graph()
    results = list(rust.compile(graph, CompileOptions(threads=1, strict=True)).run(case.feeds()).values())
    expected = case.expected or case.defined()
    tolerance = case.tolerance or tolerance_of(graph)
    assert [mismatch(*pair, tolerance) for pair in zip(results, expected, strict=True)] == [None] * len(results)


def test_a_type_beyond_the_kernels_is_not_claimed(optional):
    kernels = optional("webnn_kernels")
    assert not kernels.supports("no such kind", "float32")
    with pytest.raises(ValueError, match="no data type 'float64'"):
        kernels.supports("add", "float64")

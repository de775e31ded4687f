"""`opSupportLimits()`: what a backend really takes, computed from the operator table and its stated gaps."""

from __future__ import annotations

from typing import Any, Final

from webnn_runtime.backends.base import Unsupported
from webnn_runtime.format.dims import MAX_RANK
from webnn_runtime.format.dtypes import WEBNN_TYPES, DataType
from webnn_runtime.format.ops import OPS, OpSpec, Ranks

__all__ = ["op_support_limits"]

_MAX_BYTES: Final = 2**31 - 1


def op_support_limits(unsupported: Unsupported) -> dict[str, Any]:
    """The specification's `MLOpSupportLimits` as plain dictionaries.

    Args:
        unsupported: the backend's stated gaps, by operator and type of the first operand.

    Returns:
        `preferredInputLayout`, `maxTensorByteLength`, limits of `input`, `constant` and `output`, then one entry
        per operator with one `{"dataTypes": [...], "rankRange": {"min", "max"}}` per operand and result. An
        operator that the backend lacks altogether is left out.
    """
    everything = _limits(WEBNN_TYPES, Ranks())
    limits: dict[str, Any] = {
        "preferredInputLayout": "nchw",
        "maxTensorByteLength": _MAX_BYTES,
        "input": everything,
        "constant": everything,
        "output": everything,
    }
    for name, spec in OPS.items():
        if (name, None) not in unsupported:
            limits[name] = _operator(spec, {dtype for dtype in DataType if (name, dtype) in unsupported})
    return limits


def _operator(spec: OpSpec, missing: set[DataType]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    types: dict[str, frozenset[DataType]] = {}
    for index, row in enumerate((*spec.operands, *spec.results)):
        allowed = types[row.same_as] if row.allowed is None and row.same_as else (row.allowed or frozenset())
        # A gap is keyed by the first operand's type; what shares that type shares the gap.
        types[row.name] = (allowed | row.extra) - missing if index == 0 else allowed | row.extra
        found[row.name] = _limits(types[row.name], row.ranks)
    return found


def _limits(types: frozenset[DataType] | set[DataType], ranks: Ranks) -> dict[str, Any]:
    return {
        "dataTypes": [dtype.value for dtype in DataType if dtype in types],
        "rankRange": {"min": ranks.low, "max": MAX_RANK if ranks.high is None else min(ranks.high, MAX_RANK)},
    }

"""Where lowering functions register."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from webnn_runtime.format.ops import OPS

__all__ = ["LOWERINGS", "Lowering", "lowering"]

Lowering: TypeAlias = Callable[..., "str | tuple[str, ...]"]
_L = TypeVar("_L", bound=Lowering)

LOWERINGS: dict[str, Lowering] = {}


def lowering(op: str) -> Callable[[_L], _L]:
    """Register how one WebNN operator becomes ONNX nodes.

    The function gets the `Emitter`, one `Tensor` per operand (None where an optional one is absent; a list
    for a variadic operand) and every option as a keyword in snake_case. It returns the ONNX name of the
    result, or a tuple of names.

    Raises:
        LookupError: the table has no such operator, or it is registered twice.
    """
    if op not in OPS:
        raise LookupError(f"no WebNN operator is called '{op}'")
    if op in LOWERINGS:
        raise LookupError(f"operator '{op}' has two lowerings")

    def register(function: _L) -> _L:
        LOWERINGS[op] = function
        return function

    return register

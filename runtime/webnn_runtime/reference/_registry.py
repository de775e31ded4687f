"""Where the kernels register, and how one node is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import TypeAlias, TypeVar

import numpy as np

from webnn_runtime.format.binding import concrete_options
from webnn_runtime.format.errors import ShapeError
from webnn_runtime.format.graph import Array, Node, TensorType
from webnn_runtime.format.ops import OPS
from webnn_runtime.format.ops.spec import keywords

__all__ = ["KERNELS", "evaluate", "kernel", "load_kernels"]

Kernel: TypeAlias = Callable[..., "Array | tuple[Array, ...]"]
_K = TypeVar("_K", bound=Kernel)

# Those of the families that are loaded; `load_kernels` gives all.
KERNELS: dict[str, Kernel] = {}


def kernel(op: str) -> Callable[[_K], _K]:
    """Register the definition of one operator.

    The function gets one array per operand (None where an optional one is absent; a list for a variadic
    operand) and every option as a keyword in snake_case, with all dimensions as integers.

    Raises:
        LookupError: the table has no such operator, or it is registered twice.
    """
    if op not in OPS:
        raise LookupError(f"no WebNN operator is called '{op}'")
    if op in KERNELS:
        raise LookupError(f"operator '{op}' has two reference kernels")

    def register(function: _K) -> _K:
        KERNELS[op] = function
        return function

    return register


def load_kernels(ops: Iterable[str] = OPS) -> Mapping[str, Kernel]:
    """The kernels of at least these operators."""
    for op in ops:
        if op not in KERNELS:
            import_module(f"webnn_runtime.reference.{OPS[op].family}")
    return KERNELS


def evaluate(
    node: Node,
    operands: Sequence[Array | None],
    bindings: Mapping[str, int],
    kinds: Sequence[TensorType] = (),
) -> tuple[Array, ...]:
    """Results of one node.

    Args:
        node: what to compute.
        operands: aligned with `node.inputs`.
        bindings: value of every named dimension.
        kinds: types of the results. Only 4-bit ones matter, whose range the arrays that hold them do not show.

    Raises:
        ShapeError: the node reads or reduces elements, and there are none.
    """
    kernel_of = load_kernels([node.op])[node.op]
    options = keywords(concrete_options(node.options, bindings))
    arguments: Sequence[object] = [list(operands)] if OPS[node.op].is_variadic else operands
    # Overflow to infinity, 0/0 and the like are defined results here, not accidents to warn of.
    try:
        with np.errstate(all="ignore"):
            results = kernel_of(*arguments, **options)
    except ShapeError as exc:
        raise ShapeError(f"{node.op}: {exc.reason}", node=node.label or node.name, op=node.op) from exc
    found = results if isinstance(results, tuple) else (results,)
    if any(kind.dtype.bits < 8 for kind in kinds):
        # All that makes such values limits them to a range, and a second limit within the first is the same.
        return tuple(
            np.clip(array, *kind.dtype.bounds) if kind.dtype.bits < 8 else array
            for array, kind in zip(found, kinds, strict=True)
        )
    return found

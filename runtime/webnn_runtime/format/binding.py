"""From the arrays of one call to the values of the named dimensions.

A run binds every name from the shapes it is given, then decides the conditions that building had to
leave open. Nothing is cast, padded or stretched here.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from webnn_runtime.format.dims import Dim, SymbolicDim, evaluate, substitute
from webnn_runtime.format.errors import OperandError, ShapeError
from webnn_runtime.format.graph import Array, DimCheck, Graph, OptionValue, TensorType

__all__ = ["bind_inputs", "bind_shapes", "check_inputs", "concrete_options", "concrete_shape", "plain_array"]


def bind_inputs(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, int]:
    """Check the arrays of a call against the graph's inputs; returns name -> value for all dimensions.

    Raises:
        OperandError: an input is missing, unknown, not an array, or of another type.
        ShapeError: a shape does not fit, a name is out of its range or bound twice differently, or a
            condition left open at build fails.
    """
    return bind_shapes(graph, dict(zip(graph.inputs, check_inputs(graph, inputs), strict=True)))


def check_inputs(graph: Graph, inputs: Mapping[str, Array]) -> tuple[tuple[int, ...], ...]:
    """Check names and types of the arrays of a call; returns their shapes in the order of the graph's inputs.

    Raises:
        OperandError: an input is missing, unknown, not an array, or of another type.
    """
    if not isinstance(inputs, Mapping):
        raise OperandError(
            f"inputs are a {type(inputs).__name__}; give a mapping of {', '.join(graph.inputs)} to arrays"
        )
    if inputs.keys() != graph.inputs.keys():
        given = ", ".join(map(str, inputs)) or "none"
        raise OperandError(f"inputs given: {given}; the graph needs exactly: {', '.join(graph.inputs) or 'none'}")
    shapes = []
    for name, kind in graph.inputs.items():
        array = inputs[name]
        if not isinstance(array, np.ndarray):
            raise OperandError(f"input '{name}' is a {type(array).__name__}; give a NumPy array of {kind.dtype.value}")
        if array.dtype != kind.dtype.numpy:
            raise OperandError(
                f"input '{name}' is {array.dtype}; the graph needs {kind.dtype.value} (convert it with astype)"
            )
        shapes.append(array.shape)
    return tuple(shapes)


def plain_array(what: str, array: Array) -> Array:
    """An array of a class of its own, as `numpy.matrix` or a mapped file, as one of NumPy's own over the same numbers.

    Raises:
        OperandError: values are masked out, and nothing says what is to stand in their place.
    """
    if type(array) is not np.ndarray and np.ma.is_masked(array):
        raise OperandError(f"{what} has masked values; say what stands in their place with filled()")
    return np.asarray(array)


def bind_shapes(graph: Graph, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Bind the named dimensions from input shapes; see `bind_inputs`."""
    bindings: dict[str, int] = {}
    for name, kind in graph.inputs.items():
        if len(shapes[name]) != kind.rank:
            raise ShapeError(f"input '{name}' has shape {list(shapes[name])}; the graph needs {kind}")
    # Plain names first: they bind the names that expressions use.
    pending = sorted(
        (
            (name, kind, dim, size)
            for name, kind in graph.inputs.items()
            for dim, size in zip(kind.shape, shapes[name], strict=True)
        ),
        key=lambda item: str(item[2]) not in graph.dims,
    )
    try:
        while pending:
            rest = [item for item in pending if not _bind(graph, bindings, *item)]
            if len(rest) == len(pending):
                name, kind, dim, _ = rest[0]
                raise ShapeError(
                    f"input '{name}': dimension '{dim}' of {kind} cannot be solved from the inputs' shapes"
                )
            pending = rest
        for name in graph.dims:
            if name not in bindings:
                # It stands beside a factor of 0 wherever it stands.
                raise ShapeError(
                    f"dimension '{name}' cannot be solved from the inputs' shapes with {_listed(bindings)}: "
                    f"any '{name}' fits them"
                )
        for check in graph.checks:
            _decide(check, bindings)
    except ZeroDivisionError as exc:
        raise ShapeError(f"shapes with {_listed(bindings)}: {exc}") from exc
    return bindings


def _listed(bindings: Mapping[str, int]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in bindings.items())


def concrete_shape(kind: TensorType, bindings: Mapping[str, int]) -> tuple[int, ...]:
    """The shape for given names.

    Raises:
        KeyError: a name has no binding.
    """
    return tuple(dim if isinstance(dim, int) else evaluate(dim, bindings) for dim in kind.shape)


def concrete_options(options: Mapping[str, OptionValue], bindings: Mapping[str, int]) -> dict[str, OptionValue]:
    """Options with every symbolic dimension replaced by its value."""
    return {name: _concrete(value, bindings) for name, value in options.items()}


def _concrete(value: OptionValue, bindings: Mapping[str, int]) -> OptionValue:
    if isinstance(value, SymbolicDim):
        return evaluate(value, bindings)
    if isinstance(value, tuple):
        return tuple(evaluate(item, bindings) if isinstance(item, SymbolicDim) else item for item in value)  # type: ignore[return-value]
    return value


def _bind(graph: Graph, bindings: dict[str, int], name: str, kind: TensorType, dim: Dim, size: int) -> bool:
    """Use one dimension of one input; False while it does not give the value of one name."""
    known = substitute(dim, bindings)
    if isinstance(known, int):
        if known != size:
            wanted = dim if isinstance(dim, int) else f"{dim} = {known}"
            raise ShapeError(f"input '{name}' has {size} where the graph needs {wanted} (it is {kind})")
        return True
    line = _line(known)
    if line is None:
        return False
    slope, symbol_name, offset = line
    value, rest = divmod(size - offset, slope)
    if rest:
        raise ShapeError(f"input '{name}' has {size} where the graph needs {dim}, which no '{symbol_name}' gives")
    limits = graph.dims[symbol_name]
    if not limits.min_size <= value <= limits.max_size:
        raise ShapeError(
            f"input '{name}' has {symbol_name} = {value}; the graph allows {limits.min_size} to {limits.max_size}"
        )
    bindings[symbol_name] = value
    return True


def _line(dim: SymbolicDim) -> tuple[int, str, int] | None:
    """(slope, name, offset) of a dimension that is linear in its only name, else None."""
    slope, name, offset = 0, "", 0
    for monomial, coefficient in dim.terms:
        if not monomial:
            offset = coefficient
        elif len(monomial) == 1 and isinstance(monomial[0][0], str) and monomial[0][1] == 1 and not name:
            slope, name = coefficient, monomial[0][0]
        else:
            return None
    return slope, name, offset


def _decide(check: DimCheck, bindings: Mapping[str, int]) -> None:
    left, right = evaluate(check.left, bindings), evaluate(check.right, bindings)
    if left == right if check.relation == "==" else left >= right:
        return
    raise ShapeError(
        f"{check.what}: needs {check.left} {check.relation} {check.right}, but here they are {left} and {right}",
        node=check.node,
    )

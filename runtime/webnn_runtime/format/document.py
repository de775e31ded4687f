"""What a graph file declares, before it is a graph: names, types, calls, and where they stand.

The text and the JSON reader both fill a `Document`; `build` turns one into a `Graph`. Operator knowledge
comes from the table alone: an argument called like an operand is that operand, all others are options.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np

from webnn_runtime.format.dims import MAX_DIM, Dim, DynamicDim, bounds, names_of, parse_dim
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import OperandError, OptionError, ParseError, ShapeError
from webnn_runtime.format.graph import Array, Constant, Graph, Node, TensorType, frozen_array
from webnn_runtime.format.ops.kinds import Axes, Choice, Dims
from webnn_runtime.format.ops.node import find_spec
from webnn_runtime.format.ops.spec import OpSpec, Option
from webnn_runtime.format.records import dataclass, field, replace

__all__ = [
    "Bytes",
    "Call",
    "ConstDecl",
    "Document",
    "DynDecl",
    "Scalar",
    "Shape",
    "WeightsRef",
    "attach",
    "build",
    "reorder",
]

# A scalar that fills a shape costs no memory here, but everyone who copies it pays: hostile files could
# ask for terabytes with forty bytes.
_MAX_FILL: Final = 1 << 16
# Writers of the family annotate results with their shape; it is a statement about the result, not an option.
_RESULT_SHAPE: Final = "shape"
# pywebnn writes the label of every node among its options.
_LABEL: Final = "label"


@dataclass(frozen=True, slots=True)
class DynDecl:
    """`dyn("batch", 64)`, or an expression of names with the ranges of those no other dimension declares.

    Attributes:
        expression: a name, or what `parse_dim` reads.
        max_size: largest value.
        min_size: smallest value; None when not stated.
        where: declarations of names that occur in the expression only.
    """

    expression: str
    max_size: int
    min_size: int | None = None
    where: tuple[DynDecl, ...] = ()


Shape: TypeAlias = "tuple[int | DynDecl, ...]"


@dataclass(frozen=True, slots=True)
class WeightsRef:
    """Values in the weights file, under a key."""

    key: str


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value for all elements."""

    value: int | float


@dataclass(frozen=True, slots=True)
class Bytes:
    """Values as little-endian bytes; int4 and uint4 take one byte each."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ConstDecl:
    """A declared constant."""

    dtype: DataType
    shape: Shape
    init: WeightsRef | Scalar | Bytes


@dataclass(frozen=True, slots=True)
class Call:
    """One operator call as written: options are JSON-like values, not yet read by their kinds."""

    op: str
    operands: tuple[str, ...]
    named: Mapping[str, object]
    outputs: tuple[str, ...]


@dataclass(slots=True)
class Document:
    """All declarations of one file.

    Attributes:
        error: makes a located error from a value name and a message.
    """

    error: Callable[[str, str], ParseError]
    name: str = "graph"
    version: int = 1
    inputs: dict[str, tuple[DataType, Shape]] = field(default_factory=dict)
    consts: dict[str, ConstDecl] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)


def build(document: Document) -> Graph:
    """The graph of a document; constants in the weights file have no values yet (see `attach`).

    Raises:
        ParseError: declarations that no graph can have.
        GraphError: calls that WebNN does not allow.
    """
    try:
        return _build(document)
    except (ValueError, ArithmeticError, RecursionError) as exc:
        # Arithmetic on dimensions refuses what is unreasonably large or divides by zero.
        raise ShapeError(f"dimensions cannot be computed: {str(exc) or type(exc).__name__}") from exc


def attach(graph: Graph, arrays: Mapping[str, Array], keys: Mapping[str, str] = MappingProxyType({})) -> Graph:
    """The graph with values, from value name to array, for constants that have none yet.

    Args:
        graph: what lacks values.
        arrays: the values.
        keys: what a weights file calls them, where that is not what the graph calls them.

    Raises:
        WeightsError: an array of another type or shape than declared.
    """
    constants = {
        name: Constant(constant.type, arrays[name], keys.get(name, constant.key)) if name in arrays else constant
        for name, constant in graph.constants.items()
    }
    return replace(graph, constants=MappingProxyType(constants))


def reorder(graph: Graph, inputs: Iterable[str], outputs: Iterable[str]) -> Graph:
    """The same graph with another order of its inputs and outputs; both must be permutations.

    Raises:
        KeyError: a name is not there.
    """
    return replace(
        graph,
        inputs=MappingProxyType({name: graph.inputs[name] for name in inputs}),
        outputs=MappingProxyType({name: graph.outputs[name] for name in outputs}),
    )


def _build(document: Document) -> Graph:
    dims = _ranges(document)
    inputs = {
        name: TensorType(dtype, tuple(_dimension(document, name, dim, dims) for dim in shape))
        for name, (dtype, shape) in document.inputs.items()
    }
    constants = {name: _constant(document, name, declared) for name, declared in document.consts.items()}
    promised: dict[str, object] = {}
    graph = Graph.create(
        document.name,
        dims=dims,
        inputs=inputs,
        constants=constants,
        nodes=tuple(_node(call, dims, promised) for call in document.calls),
        outputs=document.outputs,
    )
    for value, shape in promised.items():
        found = graph.types[value].shape
        if not isinstance(shape, list) or tuple(shape) != found:
            raise ShapeError(f"result is annotated shape={shape}, but it is {graph.types[value]}", node=value)
    return graph


# Dimensions


def _declarations(shapes: Iterable[tuple[str, Shape]]) -> Iterator[tuple[str, DynDecl]]:
    for name, shape in shapes:
        for dim in shape:
            if isinstance(dim, DynDecl):
                yield name, dim
                yield from ((name, inner) for inner in dim.where)


def _ranges(document: Document) -> dict[str, DynamicDim]:
    """Ranges of all names: every plain `dyn` declares its name, and all of them must agree."""
    dims: dict[str, DynamicDim] = {}
    for name, dim in _declarations((name, shape) for name, (_, shape) in document.inputs.items()):
        if not dim.expression.isidentifier() or not dim.expression.isascii():
            continue
        try:
            declared = DynamicDim(dim.expression, dim.max_size, 1 if dim.min_size is None else dim.min_size)
        except ValueError as exc:
            raise document.error(name, str(exc)) from exc
        known = dims.setdefault(declared.name, declared)
        if known != declared:
            raise document.error(
                name,
                f"dimension '{known.name}' has range {declared.min_size}..{declared.max_size} here and "
                f"{known.min_size}..{known.max_size} before; give it one range",
            )
    return dims


def _dimension(document: Document, name: str, dim: int | DynDecl, dims: Mapping[str, DynamicDim]) -> Dim:
    if isinstance(dim, int):
        return dim
    try:
        value = parse_dim(dim.expression)
    except ValueError as exc:
        raise document.error(name, str(exc)) from exc
    unknown = names_of(value) - dims.keys()
    if unknown:
        raise document.error(
            name,
            f"dimension '{min(unknown)}' of '{dim.expression}' has no range; "
            f'declare it in an input, or behind the expression: dyn("{dim.expression}", {dim.max_size}, '
            f'dyn("{min(unknown)}", maximum))',
        )
    low, _ = bounds(value, dims)
    if not 1 <= dim.max_size <= MAX_DIM or dim.max_size < low:
        raise document.error(name, f"dimension '{dim.expression}' is at least {low}, but its maximum is {dim.max_size}")
    return value


# Constants


def _constant(document: Document, name: str, declared: ConstDecl) -> Constant:
    shape = tuple(dim for dim in declared.shape if isinstance(dim, int))
    if len(shape) != len(declared.shape):
        raise document.error(name, f"constant '{name}' has a dyn dimension; constant shapes must be static")
    kind = TensorType(declared.dtype, shape)
    if isinstance(declared.init, WeightsRef):
        return Constant(kind, None, declared.init.key)
    try:
        if isinstance(declared.init, Scalar):
            return Constant(kind, _filled(kind, shape, declared.init.value))
        return Constant(kind, _from_bytes(kind, shape, declared.init.data))
    except ValueError as exc:
        raise document.error(name, f"constant '{name}' is {kind}, but {exc}") from exc


def _filled(kind: TensorType, shape: tuple[int, ...], value: int | float) -> Array:
    if math.prod(shape) > _MAX_FILL:
        raise ValueError(f"@scalar fills at most {_MAX_FILL} elements; use @weights")
    if kind.dtype.is_float:
        try:
            number = float(value)
        except OverflowError as exc:
            raise ValueError("its value is too large") from exc
        # The shortest decimal of the largest float32 lies a little above it and rounds back: the rounded value decides.
        with np.errstate(over="ignore"):
            single = np.array(number, kind.dtype.numpy)
        if not np.isfinite(single):
            raise ValueError(f"its value {value} is too large; use @bytes for infinities")
    else:
        low, high = kind.dtype.bounds
        # JSON has no integer type: 2.0 is 2, as long as a float holds the integer exactly.
        if isinstance(value, float) and not (value.is_integer() and abs(value) <= 2**53):
            raise ValueError(f"its value {value} is not an integer")
        if not low <= value <= high:
            raise ValueError(f"its value {value} is out of range; {low} to {high}")
        single = np.array(int(value), kind.dtype.numpy)
    return np.broadcast_to(single, shape)


def _from_bytes(kind: TensorType, shape: tuple[int, ...], data: bytes) -> Array:
    needed = math.prod(shape) * kind.dtype.numpy.itemsize
    if len(data) != needed:
        raise ValueError(f"@bytes holds {len(data)} bytes; {needed} are needed")
    array: Array = np.frombuffer(data, kind.dtype.numpy.newbyteorder("<")).reshape(shape)
    if kind.dtype.bits == 4 and array.size:
        low, high = kind.dtype.bounds
        if int(array.min()) < low or int(array.max()) > high:
            raise ValueError(f"@bytes holds a value outside {low} to {high}")
    return frozen_array(array.astype(kind.dtype.numpy, copy=False))


# Calls


def _node(call: Call, dims: Mapping[str, DynamicDim], promised: dict[str, object]) -> Node:
    name = call.outputs[0]
    spec = find_spec(call.op, node=name)
    operands: list[str | None] = list(call.operands)
    options: dict[str, Any] = {}
    label = ""
    for key, raw in call.named.items():
        if key == _LABEL and spec.option(key) is None and isinstance(raw, str):
            label = raw
        elif spec.operand(key) is not None:
            _place_operand(spec, name, operands, key, raw)
        elif key == _RESULT_SHAPE and spec.option(key) is None:
            promised[name] = _option_value(raw, dims, name, call.op)
        elif not _means_absent(spec.option(key), raw):
            options[key] = _option_value(raw, dims, name, call.op)
    return Node(call.op, tuple(operands), options, call.outputs, label)


def _means_absent(option: Option | None, raw: object) -> bool:
    """Whether `raw` is how pywebnn writes an option that was not given: an empty list or word that could mean nothing.

    An empty list of axes to reduce has a meaning of its own, and so has the shape of a scalar.
    """
    if option is None or option.is_required:
        return False
    kind = option.kind
    if raw == "":
        return isinstance(kind, Choice)
    is_per_axis = (isinstance(kind, Axes) and kind.every) or (isinstance(kind, Dims) and kind.per_axis)
    return raw == [] and (is_per_axis or getattr(kind, "length", None) is not None)


def _place_operand(spec: OpSpec, node: str, operands: list[str | None], key: str, raw: object) -> None:
    """Put `scale=w` into the slot of the operand `scale`."""
    slot = next(index for index, operand in enumerate(spec.operands) if operand.name == key)
    if spec.operands[slot].variadic and isinstance(raw, list) and not operands:
        given: list[object] = raw
    else:
        if slot < len(operands) and operands[slot] is not None:
            raise OperandError(f"{spec.name} operand '{key}' is given twice", node=node, op=spec.name)
        given = [raw]
    if raw is None:
        return
    names = [value for value in given if isinstance(value, str)]
    if len(names) != len(given):
        raise OperandError(
            f"{spec.name} operand '{key}' must be the name of a value; a number is declared among the constants",
            node=node,
            op=spec.name,
        )
    operands.extend([None] * (slot + len(names) - len(operands)))
    operands[slot : slot + len(names)] = names


def _option_value(raw: object, dims: Mapping[str, DynamicDim], node: str, op: str) -> object:
    """JSON-like value with `{name, maxSize}` objects replaced by the dimensions they describe."""
    if isinstance(raw, list):
        return [_option_value(item, dims, node, op) for item in raw]
    if not isinstance(raw, dict):
        return raw
    expression, maximum = raw.get("name"), raw.get("maxSize")
    if not isinstance(expression, str) or raw.keys() - {"name", "maxSize"}:
        raise OptionError(
            f'{op}: an object in an option must be a dimension, {{name: "expression", maxSize: n}}', node=node, op=op
        )
    try:
        value = parse_dim(expression)
    except ValueError as exc:
        raise OptionError(f"{op}: {exc}", node=node, op=op) from exc
    known = dims.get(expression)
    agreed = maximum is None or (
        isinstance(maximum, int)
        and not isinstance(maximum, bool)
        and 1 <= maximum <= MAX_DIM
        and (known is None or known.max_size == maximum)
    )
    if not agreed:
        wanted = known.max_size if known else f"an integer from 1 to {MAX_DIM}"
        raise OptionError(
            f"{op}: dimension '{expression}' has maxSize {maximum!r}; {wanted} is right", node=node, op=op
        )
    return value

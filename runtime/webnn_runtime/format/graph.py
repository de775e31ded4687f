"""The graph: named values in single assignment, and nothing about text, JSON, ONNX or backends.

A `Graph` is immutable and valid: `Graph.create` infers and checks every node against the operator
table, so whoever holds a graph may trust its types. Values are named by strings; a node's first output
is the node's name. Insertion order of `inputs`, `constants` and `outputs` is meaningful.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from webnn_runtime.format.dims import MAX_RANK, Dim, DynamicDim, SymbolicDim, bounds, names_of, product
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import GraphError, OperandError, ShapeError, WeightsError
from webnn_runtime.format.records import dataclass

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Array", "Constant", "DimCheck", "Graph", "Node", "OptionValue", "TensorType", "is_identifier"]

Array: TypeAlias = "npt.NDArray[Any]"
OptionValue: TypeAlias = (
    "bool | int | float | str | DataType | SymbolicDim | tuple[Dim, ...] | tuple[float, ...] | tuple[str, ...] | None"
)
_LITERALS: Final = ("true", "false", "null")


def is_identifier(name: str) -> bool:
    """Whether files may hold `name` as it is.

    Existing readers take a bare word that begins with true, false or null for a literal.
    """
    return name.isascii() and name.isidentifier() and not name.startswith(_LITERALS)


@dataclass(frozen=True, slots=True)
class TensorType:
    """Data type and shape of a value; prints as `f32[batch, 384]`."""

    dtype: DataType
    shape: tuple[Dim, ...]

    @property
    def rank(self) -> int:
        """Number of dimensions; 0 for a scalar."""
        return len(self.shape)

    @property
    def is_static(self) -> bool:
        """Whether every dimension is an integer."""
        return all(isinstance(dim, int) for dim in self.shape)

    @property
    def size(self) -> Dim:
        """Number of elements."""
        return product(self.shape)

    @property
    def static_shape(self) -> tuple[int, ...]:
        """The shape as integers.

        Raises:
            ShapeError: a dimension is symbolic.
        """
        if not self.is_static:
            raise ShapeError(f"shape of {self} depends on {', '.join(sorted(self.names))}; bind them first")
        return tuple(dim for dim in self.shape if isinstance(dim, int))

    @property
    def names(self) -> frozenset[str]:
        """Dimension names the shape depends on."""
        return frozenset().union(*(names_of(dim) for dim in self.shape))

    def with_shape(self, shape: tuple[Dim, ...]) -> TensorType:
        """Same data type, another shape."""
        return TensorType(self.dtype, shape)

    def __str__(self) -> str:
        return f"{self.dtype.text}[{', '.join(str(dim) for dim in self.shape)}]"

    def __repr__(self) -> str:
        return f"TensorType({self})"


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A constant operand.

    Attributes:
        type: static type.
        array: values, one element per value also for int4 and uint4; read-only, often a memory map.
            None while the weights of a parsed text have not been attached.
        key: name in the weights file; None when the graph file itself holds the values.
    """

    type: TensorType
    array: Array | None
    key: str | None = None

    def __post_init__(self) -> None:
        array = self.array
        if array is None:
            if self.key is None:
                raise WeightsError("a constant without a weights key must hold its values")
            return
        if array.dtype != self.type.dtype.numpy or array.shape != self.type.static_shape:
            raise WeightsError(
                f"constant{f' {self.key!r}' if self.key else ''} is declared {self.type} "
                f"but holds {array.dtype}{list(array.shape)}"
            )
        if array.flags.writeable:
            view = array.view()
            view.flags.writeable = False
            object.__setattr__(self, "array", view)

    @property
    def values(self) -> Array:
        """The array.

        Raises:
            WeightsError: no weights are attached.
        """
        if self.array is None:
            raise WeightsError(f"constant '{self.key}' has no values; load the graph together with its weights")
        return self.array

    def __eq__(self, other: object) -> bool:
        """Equal types, keys and bit-equal values."""
        if not isinstance(other, Constant):
            return NotImplemented
        if (self.type, self.key) != (other.type, other.key) or (self.array is None) != (other.array is None):
            return False
        return self.array is None or self.array.tobytes() == other.values.tobytes()

    def __hash__(self) -> int:
        return hash((self.type, self.key))

    def __reduce__(self) -> tuple[Callable[..., Constant], tuple[object, ...]]:
        # Through the constructor, so that what arrives is read-only again.
        return Constant, (self.type, self.array, self.key)


@dataclass(frozen=True, slots=True)
class Node:
    """One operator call.

    Attributes:
        op: WebNN operator name.
        inputs: value names in the order of the operator's operands; None where an optional one is absent.
        options: WebNN spelling -> value, complete (defaults filled in).
        outputs: names of the results; the first one names the node.
        label: for messages, as in `MLOperatorOptions.label`; not written to files.
    """

    op: str
    inputs: tuple[str | None, ...]
    options: Mapping[str, OptionValue]
    outputs: tuple[str, ...]
    label: str = ""

    @property
    def name(self) -> str:
        """Name of the node: its first output."""
        return self.outputs[0]

    def __eq__(self, other: object) -> bool:
        """Labels are commentary and do not count."""
        if not isinstance(other, Node):
            return NotImplemented
        return (self.op, self.inputs, dict(self.options), self.outputs) == (
            other.op,
            other.inputs,
            dict(other.options),
            other.outputs,
        )

    def __hash__(self) -> int:
        return hash((self.op, self.inputs, self.outputs))

    def __reduce__(self) -> tuple[Callable[..., Node], tuple[object, ...]]:
        return Node, (self.op, self.inputs, dict(self.options), self.outputs, self.label)


@dataclass(frozen=True, slots=True)
class DimCheck:
    """A condition on dimensions that only the run can decide.

    Attributes:
        node: node whose shape rule needs it.
        left: one side.
        relation: `==` or `>=`.
        right: the other side.
        what: what the two sides are, for the message.
    """

    node: str
    left: Dim
    relation: str
    right: Dim
    what: str


@dataclass(frozen=True, slots=True)
class Graph:
    """A valid WebNN graph; make one with `GraphBuilder`, `Graph.create` or a reader.

    Attributes:
        name: graph name in the header.
        dims: named dimensions and their ranges.
        inputs: declared inputs in order.
        constants: constants by value name.
        nodes: operator calls in topological order.
        outputs: output name -> value name, in order.
        types: type of every value, inferred.
        checks: conditions on dimensions left to the run.

    Example:
        >>> from webnn_runtime.format.text import parse_graph
        >>> graph = parse_graph('webnn_graph "g" v1 { inputs { x: f32[2]; } nodes { y = relu(x); } outputs { y; } }')
        >>> graph
        Graph('g', 1 nodes, x: f32[2] -> y: f32[2])
        >>> graph.types["y"].shape
        (2,)
    """

    name: str
    dims: Mapping[str, DynamicDim]
    inputs: Mapping[str, TensorType]
    constants: Mapping[str, Constant]
    nodes: tuple[Node, ...]
    outputs: Mapping[str, str]
    types: Mapping[str, TensorType]
    checks: tuple[DimCheck, ...]

    @classmethod
    def create(
        cls,
        name: str,
        *,
        dims: Mapping[str, DynamicDim],
        inputs: Mapping[str, TensorType],
        constants: Mapping[str, Constant],
        nodes: tuple[Node, ...],
        outputs: Mapping[str, str],
    ) -> Graph:
        """Check everything against the operator table and infer all types.

        Node options may be incomplete or as older files have them; the graph's are complete and WebNN's.

        Raises:
            GraphError: with the node that is wrong.
        """
        from webnn_runtime.format.ops.node import Known, infer_node  # the table depends on this module's types

        types: dict[str, TensorType] = {}
        for value, kind in inputs.items():
            _check_declaration(value, kind, dims)
            types[value] = kind
        for value, constant in constants.items():
            if value in types:
                raise GraphError(f"value '{value}' is declared twice", value=value)
            _check_declaration(value, constant.type, {})
            types[value] = constant.type
        complete: list[Node] = []
        checks: list[DimCheck] = []
        known: Known = {}
        for node in nodes:
            whole, results = infer_node(node, types, dims, checks, older=True, known=known)
            for value, kind in zip(whole.outputs, results, strict=True):
                if value in types:
                    raise GraphError(f"value '{value}' is assigned twice", node=node.name, op=node.op)
                types[value] = kind
            complete.append(whole)
        _check_bound(inputs, complete)
        if not outputs:
            raise GraphError("the graph has no outputs; name at least one")
        for output, value in outputs.items():
            if not output:
                raise OperandError(f"the output of '{value}' has an empty name")
            if value not in types:
                raise OperandError(f"output '{output}' refers to '{value}', which nothing defines", value=output)
        return cls(
            name,
            MappingProxyType(dict(dims)),
            MappingProxyType(dict(inputs)),
            MappingProxyType(dict(constants)),
            tuple(complete),
            MappingProxyType(dict(outputs)),
            MappingProxyType(types),
            tuple(checks),
        )

    def __repr__(self) -> str:
        # All of its fields are 750,000 characters for a small encoder; `print_graph` writes them to be read.
        sides = (
            ", ".join(f"{name}: {kind}" for name, kind in side.items()) for side in (self.inputs, self.output_types)
        )
        return f"Graph({self.name!r}, {len(self.nodes)} nodes, {' -> '.join(sides)})"

    def __copy__(self) -> Graph:
        return self  # nothing about it can change

    def __deepcopy__(self, memo: object) -> Graph:
        return self

    def __reduce__(self) -> tuple[Callable[..., Graph], tuple[object, ...]]:
        # Checked where it arrives, as from a file; the values of its constants travel with it.
        parts = (dict(part) for part in (self.dims, self.inputs, self.constants, self.outputs))
        return _received, (self.name, *parts, self.nodes)

    @property
    def is_static(self) -> bool:
        """Whether no value's shape depends on a name."""
        return all(kind.is_static for kind in self.types.values())

    @property
    def output_types(self) -> dict[str, TensorType]:
        """Output name -> type, in order."""
        return {output: self.types[value] for output, value in self.outputs.items()}

    def needed(self, values: Iterable[str]) -> set[str]:
        """Values that these depend on, these included, and all results of the nodes on the way."""
        found = set(values)
        for node in reversed(self.nodes):
            if not found.isdisjoint(node.outputs):
                found.update(node.outputs)
                found.update(value for value in node.inputs if value is not None)
        return found

    def consumers(self) -> dict[str, list[Node]]:
        """Value name -> nodes that read it (once per read), in order."""
        found: dict[str, list[Node]] = {value: [] for value in self.types}
        for node in self.nodes:
            for value in node.inputs:
                if value is not None:
                    found[value].append(node)
        return found


def _received(name: str, dims: Any, inputs: Any, constants: Any, outputs: Any, nodes: tuple[Node, ...]) -> Graph:
    return Graph.create(name, dims=dims, inputs=inputs, constants=constants, nodes=nodes, outputs=outputs)


def _check_bound(inputs: Mapping[str, TensorType], nodes: list[Node]) -> None:
    """Names in options need an input whose shape says their value; all other names come from inputs anyway."""
    bound = {name for kind in inputs.values() for name in kind.names}
    for node in nodes:
        for option, value in node.options.items():
            for item in value if isinstance(value, tuple) else (value,):
                lost = names_of(item) - bound if isinstance(item, SymbolicDim) else frozenset()
                if lost:
                    raise ShapeError(
                        f"{node.op} option '{option}' uses dimension '{min(lost)}', which no input's shape contains; "
                        "give an input that dimension",
                        node=node.name,
                        op=node.op,
                    )


def _check_declaration(value: str, kind: TensorType, dims: Mapping[str, DynamicDim]) -> None:
    if not value:
        raise OperandError("a value has an empty name")
    unknown = kind.names - dims.keys()
    if unknown:
        raise ShapeError(
            f"'{value}' is declared {kind}, but dimension '{min(unknown)}' is not known to the graph", value=value
        )
    if kind.rank > MAX_RANK:
        raise ShapeError(
            f"'{value}' is declared with {kind.rank} dimensions; at most {MAX_RANK} are valid", value=value
        )
    for dim in kind.shape:
        low, high = bounds(dim, dims)
        # A symbolic dimension may reach 0 (an empty cache): only its name's stated minimum decides.
        if (high < 1 and not isinstance(dim, SymbolicDim)) or low < 0:
            raise ShapeError(f"'{value}' is declared {kind}; every dimension must be at least 1", value=value)
        if isinstance(dim, int) and dim > 2**31 - 1:
            raise ShapeError(f"'{value}' is declared {kind}; a dimension is at most 2147483647", value=value)
    if kind.is_static and kind.size > 2**31 - 1:  # type: ignore[operator]  # static: an integer
        raise ShapeError(f"'{value}' is declared {kind}; it has more than 2147483647 elements", value=value)


def frozen_array(array: Array) -> Array:
    """A read-only view of `array` in C order and native byte order."""
    view: Array = np.ascontiguousarray(array).reshape(array.shape).view()
    view.flags.writeable = False
    return view

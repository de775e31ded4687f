"""Graph -> canonical text: one graph has one spelling, byte for byte.

Declarations are sorted as the family's other writers sort them; the declared order of inputs and
outputs lives in the manifest. Knows no operator: option kinds write themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

import numpy as np

from webnn_runtime.format.dims import MAX_DIM, Dim, DynamicDim, SymbolicDim, bounds, names_of
from webnn_runtime.format.errors import FormatError
from webnn_runtime.format.graph import Array, Constant, Graph, Node, TensorType, is_identifier
from webnn_runtime.format.ops.node import find_spec

__all__ = ["float_text", "hidden_names", "named_arguments", "positional_operands", "print_graph", "scalar_of"]

# Existing readers expand a scalar through float32: integers up to here survive that.
_EXACT_IN_FLOAT32: Final = 1 << 24


def print_graph(graph: Graph, *, is_quantized: bool = False, remarks: Sequence[str] = ()) -> str:
    """The canonical text of a graph.

    Args:
        graph: what to print.
        is_quantized: whether the header says so, for people and other tools; readers here learn nothing from it.
        remarks: what a reader should know first; each becomes a comment line.

    Raises:
        FormatError: a name the text cannot hold, or an output that is called otherwise than its value;
            `safe_graph` makes a graph without either.
    """
    _check_names(graph)
    hidden = hidden_names(graph)
    head = f"webnn_graph {quoted(graph.name)} {'v2' if _is_dynamic(graph) else 'v1'}"
    lines = [f"{head} @quantized {{" if is_quantized else f"{head} {{"]
    # Behind the header: others of the family know a text graph by the word that it begins with.
    lines += [f"  # {' '.join(remark.split())}" for remark in remarks]
    blocks = {
        "inputs": [
            f"{name}: {_type_text(kind, graph, hidden.get(name, []))};" for name, kind in _by_name(graph.inputs)
        ],
        "consts": [f"{name}: {const.type} {_annotation(const)};" for name, const in _by_name(graph.constants)],
        "nodes": [_statement(node, graph) for node in graph.nodes],
    }
    for block, items in blocks.items():
        if items:
            lines += [f"  {block} {{", *(f"    {item}" for item in items), "  }", ""]
    lines += [f"  outputs {{ {', '.join(sorted(graph.outputs))}; }}", "}", ""]
    return "\n".join(lines)


_Item = TypeVar("_Item")


def _by_name(items: Mapping[str, _Item]) -> list[tuple[str, _Item]]:
    return sorted(items.items(), key=lambda item: item[0])


def _is_dynamic(graph: Graph) -> bool:
    return not all(kind.is_static for kind in graph.inputs.values())


def _check_names(graph: Graph) -> None:
    for name in graph.types:
        if not is_identifier(name):
            raise FormatError(
                f"value name {name!r} cannot be written; rename it to letters, digits and _, not starting with "
                "a digit, true, false or null (safe_graph does)"
            )
    for output, value in graph.outputs.items():
        if output != value:
            raise FormatError(
                f"output '{output}' is value '{value}'; the text has no renames, so call the value like the output "
                "(safe_graph does)"
            )


# Dimensions


def hidden_names(graph: Graph) -> dict[str, list[DynamicDim]]:
    """Ranges that no plain dimension declares, by the input whose expression has to declare them."""
    declared = {
        name
        for kind in graph.inputs.values()
        for dim in kind.shape
        if isinstance(dim, SymbolicDim)
        for name in [str(dim)]
        if name in graph.dims
    }
    hidden: dict[str, list[DynamicDim]] = {}
    for value, kind in sorted(graph.inputs.items()):
        for name in sorted(kind.names - declared):
            hidden.setdefault(value, []).append(graph.dims[name])
            declared.add(name)
    return hidden


def upper_bound(dim: Dim, dims: Mapping[str, DynamicDim]) -> int:
    """What files state as the maximum of a dimension."""
    return max(1, min(bounds(dim, dims)[1], MAX_DIM))


def _type_text(kind: TensorType, graph: Graph, hidden: list[DynamicDim]) -> str:
    pending = list(hidden)
    shown = []
    for dim in kind.shape:
        own = [item for item in pending if isinstance(dim, SymbolicDim) and item.name in names_of(dim)]
        pending = [item for item in pending if item not in own]
        shown.append(str(dim) if isinstance(dim, int) else _dyn(dim, graph.dims, own))
    return f"{kind.dtype.text}[{', '.join(shown)}]"


def _dyn(dim: SymbolicDim, dims: Mapping[str, DynamicDim], own: list[DynamicDim]) -> str:
    known = dims.get(str(dim))
    if known is not None:
        return _range(known)
    return f"dyn({', '.join([quoted(str(dim)), str(upper_bound(dim, dims)), *(_range(item) for item in own)])})"


def _range(dim: DynamicDim) -> str:
    minimum = "" if dim.min_size == 1 else f", {dim.min_size}"
    return f"dyn({quoted(dim.name)}, {dim.max_size}{minimum})"


# Constants


def _annotation(constant: Constant) -> str:
    if constant.key is not None:
        return f"@weights({quoted(constant.key)})"
    scalar = scalar_of(constant)
    if scalar is not None:
        return f"@scalar({scalar})"
    return f"@bytes([{', '.join(map(str, inline_bytes(constant.values)))}])"


def scalar_of(constant: Constant) -> str | None:
    """The number of an inline scalar, if every existing reader gets the same value from it."""
    if constant.type.rank or constant.type.dtype.bits == 4:
        return None
    value = constant.values[()]
    if not constant.type.dtype.is_float:
        return str(int(value)) if abs(int(value)) <= _EXACT_IN_FLOAT32 else None
    if not math.isfinite(value):
        return None
    # Shortest for its own type, as long as reading it as a double and rounding gives the value back.
    short = float(str(value))
    return float_text(short if value.dtype.type(short) == value else float(value))


def inline_bytes(array: Array) -> bytes:
    """Little-endian bytes, one per value for int4 and uint4."""
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


# Calls


def positional_operands(node: Node) -> tuple[str, ...]:
    """Operands before the first absent one; later ones are written by name."""
    given = node.inputs
    gap = given.index(None) if None in given else len(given)
    return tuple(value for value in given[:gap] if value is not None)


def named_arguments(node: Node) -> list[tuple[str, object]]:
    """Operands behind a gap and options that have a value, as JSON-like values, in alphabetical order."""
    spec = find_spec(node.op, node=node.name)
    found: dict[str, object] = {}
    for slot in range(len(positional_operands(node)), len(node.inputs)):
        value = node.inputs[slot]
        if value is not None:
            found[spec.operands[slot].name] = Operand(value)
    for option in spec.options:
        setting = node.options[option.name]
        if setting is not None:
            found[option.name] = option.kind.write(setting)
    return sorted(found.items())


class Operand(str):
    """A value name among options; written as an identifier, not as a string."""

    __slots__ = ()


def _statement(node: Node, graph: Graph) -> str:
    left = node.outputs[0] if len(node.outputs) == 1 else f"[{', '.join(node.outputs)}]"
    named = [f"{name}={_value_text(value, graph)}" for name, value in named_arguments(node)]
    return f"{left} = {node.op}({', '.join([*positional_operands(node), *named])});"


def _value_text(value: object, graph: Graph) -> str:
    if isinstance(value, Operand):
        return value
    if isinstance(value, SymbolicDim):
        return f"{{name: {quoted(str(value))}, maxSize: {upper_bound(value, graph.dims)}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value_text(item, graph) for item in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, float):
        return float_text(value)
    raise FormatError(f"an option of type {type(value).__name__} cannot be written")


# Literals


def quoted(text: str) -> str:
    r"""A string literal: only `"` and `\` are escaped, line ends stand as they are."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def float_text(value: float) -> str:
    """Shortest digits that give the value back, always recognisable as a float: `1.0`, `1e-7`, `1e21`.

    Raises:
        FormatError: infinities and NaN, which the grammar has no numbers for.
    """
    if not math.isfinite(value):
        raise FormatError(f"{value} cannot be written as a number")
    if value == 0:
        return "-0.0" if math.copysign(1.0, value) < 0 else "0.0"
    sign, digits, exponent = _shortest(value)
    point = len(digits) + exponent
    # Where the notation changes: as the other serialisers of the family have it, so that bytes agree.
    if exponent >= 0 and point <= 16:
        return f"{sign}{digits}{'0' * exponent}.0"
    if 0 < point <= 16:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -5 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1}"


def _shortest(value: float) -> tuple[str, str, int]:
    """Sign, significant digits and the exponent of the last digit."""
    mantissa, _, power = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    exponent = int(power or 0) - len(fraction)
    digits = (whole + fraction).lstrip("0")
    stripped = digits.rstrip("0")
    return ("-" if value < 0 else ""), stripped, exponent + len(digits) - len(stripped)

"""One node against its row: operands, options, types, then the row's shape rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from webnn_runtime.format.dims import DynamicDim, SymbolicDim, names_of
from webnn_runtime.format.errors import OperandError, OptionError, ShapeError, UnknownOp
from webnn_runtime.format.graph import DimCheck, Node, OptionValue, TensorType
from webnn_runtime.format.ops import OPS
from webnn_runtime.format.ops.inference import Inference
from webnn_runtime.format.ops.kinds import Dims
from webnn_runtime.format.ops.limits import MAX_TENSORS
from webnn_runtime.format.ops.spec import Operand, OpSpec, keywords

__all__ = ["Known", "complete_options", "find_spec", "infer_node"]

Known: TypeAlias = "dict[tuple[object, ...], tuple[Mapping[str, OptionValue], tuple[TensorType, ...]]]"


def find_spec(op: str, *, node: str | None = None) -> OpSpec:
    """The row of an operator.

    Raises:
        UnknownOp: there is none; the message suggests the nearest name.
    """
    spec = OPS.get(op)
    if spec is None:
        raise UnknownOp(f"no WebNN operator is called '{op}'{_nearest(op, list(OPS))}", node=node, op=op)
    return spec


def infer_node(
    node: Node,
    types: Mapping[str, TensorType],
    dims: Mapping[str, DynamicDim],
    checks: list[DimCheck],
    *,
    older: bool = False,
    known: Known | None = None,
) -> tuple[Node, tuple[TensorType, ...]]:
    """The node with complete options, and the types of its outputs.

    With `older`, what files of older writers say is read for what it means: negative axes, options that
    repeat the result's shape, defaults that were others. `known` is what calls with the same `dims`, `checks` and
    `older` found before: models repeat their layers, and an equal call has an equal result.

    Raises:
        GraphError: the leaf that says what is wrong.
    """
    spec = find_spec(node.op, node=node.name)
    operands = _operand_types(spec, node, types)
    # By its text, since 1, 1.0 and true are equal and mean different things.
    key = (node.op, operands, len(node.outputs), repr(node.options))
    found = None if known is None else known.get(key)
    if found is None:
        found = _infer(spec, node, operands, dims, checks, older=older)
        if known is not None:
            known[key] = found
    options, results = found
    slots = len(spec.operands)
    inputs = node.inputs if spec.is_variadic else node.inputs + (None,) * (slots - len(node.inputs))
    return Node(node.op, inputs, options, node.outputs, node.label), results


def _infer(
    spec: OpSpec,
    node: Node,
    operands: tuple[TensorType | None, ...],
    dims: Mapping[str, DynamicDim],
    checks: list[DimCheck],
    *,
    older: bool,
) -> tuple[Mapping[str, OptionValue], tuple[TensorType, ...]]:
    """Complete options and types of the outputs: all of a node that its names do not change."""
    _check_operands(spec, node, operands)
    options = complete_options(spec, node.options, operands, dims, node=node.name, older=older)
    context = Inference(node.name, node.op, dims, checks)
    arguments: Sequence[object] = (operands,) if spec.is_variadic else operands
    result = spec.infer(context, *arguments, **keywords(options))
    results = result if isinstance(result, tuple) else (result,)
    if len(results) != len(node.outputs):
        raise OperandError(
            f"{node.op} has {len(results)} results, but {len(node.outputs)} are named", node=node.name, op=node.op
        )
    for kind in results:
        context.valid(kind.shape)
    for name in spec.restated & node.options.keys():
        _check_restated(context, name, node.options[name], results[0])
    return MappingProxyType(options), results


def complete_options(
    spec: OpSpec,
    given: Mapping[str, object],
    operands: Sequence[TensorType | None],
    dims: Mapping[str, DynamicDim],
    *,
    node: str | None = None,
    older: bool = False,
) -> dict[str, OptionValue]:
    """Options read, checked and completed with defaults, in canonical order and spelling.

    Raises:
        OptionError: unknown, given twice, missing, or of a wrong kind or value.
    """
    found: dict[str, object] = {}
    for name, raw in given.items():
        option = spec.option(name)
        if older and name in spec.restated:
            continue
        if option is None and name in spec.refused:
            raise OptionError(
                f"{spec.name} option '{name}' is not WebNN's; {spec.refused[name]}", node=node, op=spec.name
            )
        if option is None:
            known = [option.name for option in spec.options]
            hint = _nearest(name, known) or f"; its options: {', '.join(known) or 'none'}"
            raise OptionError(f"{spec.name} has no option '{name}'{hint}", node=node, op=spec.name)
        if option.name in found:
            raise OptionError(f"{spec.name} option '{option.name}' is given twice", node=node, op=spec.name)
        found[option.name] = raw
    complete: dict[str, OptionValue] = {}
    for option in spec.options:
        raw = found.get(option.name)
        if raw is None and option.is_required:
            raise OptionError(f"{spec.name} needs option '{option.name}'", node=node, op=spec.name)
        try:
            if raw is None:
                value = option.value_when_absent(operands, complete, older=older)
            else:
                value = option.kind.read(raw)
                if not older:
                    option.kind.refuse_older(value)
            value = option.kind.fit(value, operands) if value is not None else None
        except ValueError as exc:
            raise OptionError(f"{spec.name} option '{option.name}': {exc}", node=node, op=spec.name) from exc
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, SymbolicDim) and names_of(item) - dims.keys():
                unknown = min(names_of(item) - dims.keys())
                raise ShapeError(
                    f"{spec.name} option '{option.name}' uses dimension '{unknown}', which the graph does not know",
                    node=node,
                    op=spec.name,
                )
        complete[option.name] = value
    return complete


def _operand_types(spec: OpSpec, node: Node, types: Mapping[str, TensorType]) -> tuple[TensorType | None, ...]:
    if not spec.is_variadic and len(node.inputs) > len(spec.operands):
        raise OperandError(
            f"{node.op} has {len(node.inputs)} operands; it takes at most {len(spec.operands)}",
            node=node.name,
            op=node.op,
        )
    found: list[TensorType | None] = []
    for value in node.inputs:
        if value is not None and value not in types:
            raise OperandError(
                f"{node.op} reads '{value}', which nothing before it defines", node=node.name, op=node.op
            )
        found.append(types[value] if value is not None else None)
    if not spec.is_variadic:
        found.extend([None] * (len(spec.operands) - len(found)))
    return tuple(found)


def _check_operands(spec: OpSpec, node: Node, operands: Sequence[TensorType | None]) -> None:
    if spec.is_variadic:
        row = spec.operands[0]
        if not 1 <= len(operands) <= MAX_TENSORS:
            raise OperandError(
                f"{spec.name} has {len(operands)} operands; 1 to {MAX_TENSORS} are valid", node=node.name, op=spec.name
            )
        pairs = [(row, kind) for kind in operands]
    else:
        pairs = list(zip(spec.operands, operands, strict=True))
    by_name: dict[str, TensorType] = {}
    for operand, kind in pairs:
        if kind is None:
            if not operand.optional:
                raise OperandError(f"{spec.name} lacks operand '{operand.name}'", node=node.name, op=spec.name)
            continue
        _check_operand(spec, node, operand, kind, by_name.get(operand.same_as or ""))
        first = by_name.setdefault(operand.name, kind)
        if operand.variadic and kind.dtype != first.dtype:
            raise OperandError(
                f"{spec.name}: operands have types {first.dtype.value} and {kind.dtype.value}; they must agree",
                node=node.name,
                op=spec.name,
            )


def _check_operand(spec: OpSpec, node: Node, operand: Operand, kind: TensorType, same: TensorType | None) -> None:
    if same is not None and kind.dtype != same.dtype:
        raise OperandError(
            f"{spec.name} operand '{operand.name}' is {kind.dtype.value}, but '{operand.same_as}' is "
            f"{same.dtype.value}; they must agree",
            node=node.name,
            op=spec.name,
        )
    if operand.allowed is not None and kind.dtype not in operand.allowed | operand.extra:
        allowed = ", ".join(sorted(dtype.value for dtype in operand.allowed))
        raise OperandError(
            f"{spec.name} operand '{operand.name}' is {kind.dtype.value}; allowed: {allowed}",
            node=node.name,
            op=spec.name,
        )
    if kind.rank not in operand.ranks:
        raise OperandError(
            f"{spec.name} operand '{operand.name}' is {kind}; its rank must be {operand.ranks}",
            node=node.name,
            op=spec.name,
        )


def _check_restated(context: Inference, name: str, raw: object, kind: TensorType) -> None:
    try:
        shape = Dims().read(raw)
    except ValueError as exc:
        raise OptionError(f"{context.op} option '{name}': {exc}", node=context.node, op=context.op) from exc
    if isinstance(shape, tuple):
        context.same_shape(kind.shape, tuple(shape), f"the result's shape and option '{name}'")  # type: ignore[arg-type]  # Dims reads dimensions


def _nearest(name: str, known: Sequence[str]) -> str:
    import difflib

    # Of ONNX's `Relu`, `relu` is nearer than `elu`.
    spelled = {item.lower(): item for item in known}
    close = difflib.get_close_matches(name.lower(), spelled, n=1)
    return f"; did you mean '{spelled[close[0]]}'?" if close else ""

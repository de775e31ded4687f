"""int64 -> int32, for implementations that have no int64: every value is proved to fit, or the graph is refused.

Constants are looked at, computed values are proved by interval analysis over all sizes of the dimensions, and where
that does not do by trying all numbers. Of inputs nothing can be proved: ids and masks are small numbers, and that their
type changes is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import numpy as np

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Constant, Graph, Node, TensorType
from webnn_translator._errors import TranslateError
from webnn_translator.intervals import Interval, Known, interval_of_array, interval_of_type, intervals_of_node
from webnn_translator.passes.exhausted import Formulas
from webnn_translator.passes.truth import truths_for_products

__all__ = ["CARRIED_AS_INT32", "as_int32"]

CARRIED_AS_INT32: Final = "carried as int32: constants and computed values are proved to fit, values of inputs have to"
_WIDE, _NARROW = DataType.INT64, DataType.INT32
_SHOWN: Final = 5


def as_int32(graph: Graph) -> Graph:
    """The same graph with int32 in place of int64.

    Raises:
        TranslateError: values that are not proved to fit, by name.
    """
    lost = _lost(graph)
    if lost:
        graph = truths_for_products(graph, lost)
        lost = _lost(graph)
    if lost:
        raise TranslateError(_complaint(lost, graph))
    moved: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        options = {name: _NARROW.value if _is_wide(value) else value for name, value in node.options.items()}
        inputs = tuple(None if value is None else moved.get(value, value) for value in node.inputs)
        if node.op == "cast" and _retyped(graph.types[str(node.inputs[0])]) == _retyped(graph.types[node.name]):
            # A cast between the two integers is none any more.
            if node.name not in graph.outputs.values():
                moved[node.name] = str(inputs[0])
                continue
            node, options = replace(node, op="identity"), {}
        nodes.append(replace(node, inputs=inputs, options=options))
    return Graph.create(
        graph.name,
        dims=graph.dims,
        inputs={name: _retyped(kind) for name, kind in graph.inputs.items()},
        constants={name: _constant(constant) for name, constant in graph.constants.items()},
        nodes=tuple(nodes),
        outputs=graph.outputs,
    )


def _lost(graph: Graph) -> list[str]:
    known = _intervals(graph)
    return [name for name, kind in graph.types.items() if kind.dtype is _WIDE and not _fits(known[name], graph)]


def _intervals(graph: Graph) -> dict[str, Known]:
    known: dict[str, Known] = {
        name: Interval(*_NARROW.bounds) if kind.dtype is _WIDE else interval_of_type(kind.dtype)
        for name, kind in graph.inputs.items()
    }
    known |= {name: interval_of_array(one.values, one.type.dtype) for name, one in graph.constants.items()}
    formulas, proved = Formulas(graph), dict[str, Interval]()
    for node in graph.nodes:
        results = intervals_of_node(
            node.op,
            [None if value is None else known[value] for value in node.inputs],
            [None if value is None else graph.types[value] for value in node.inputs],
            node.options,
            [graph.types[name] for name in node.outputs],
            graph.dims,
        )
        known.update(zip(node.outputs, results, strict=True))
        if node.name not in proved and graph.types[node.name].dtype is _WIDE and not _fits(known[node.name], graph):
            proved |= formulas.proved(node.name, known)
        if node.name in proved:
            known[node.name] = proved[node.name]
    return known


def _fits(known: Known, graph: Graph) -> bool:
    return known is not None and known.within(*_NARROW.bounds, graph.dims)


def _is_wide(option: object) -> bool:
    return option is _WIDE or option == _WIDE.value


def _retyped(kind: TensorType) -> TensorType:
    return TensorType(_NARROW, kind.shape) if kind.dtype is _WIDE else kind


def _constant(constant: Constant) -> Constant:
    if constant.type.dtype is not _WIDE:
        return constant
    array: Any = constant.values.astype(np.int32)
    return Constant(_retyped(constant.type), array, constant.key)


def _complaint(lost: list[str], graph: Graph) -> str:
    shown = ", ".join(f"'{name}'" for name in lost[:_SHOWN]) + (" ..." if len(lost) > _SHOWN else "")
    made_of = [graph.needed([name]) for name in lost[:_SHOWN]]
    open_ended = [name for name in _names(graph, made_of) if graph.dims[name].is_unbounded]
    # What no input decides is a constant once its sizes are fixed.
    alone = _names(graph, (values for values in made_of if values.isdisjoint(graph.inputs)))
    flags = [f"--max-dim {name}=VALUE" for name in open_ended] + [f"--dim {name}=VALUE" for name in alone]
    what = f"; limiting or fixing sizes may help: {', '.join(flags)}" if flags else ""
    return f"{len(lost)} int64 values are not proved to fit int32: {shown}{what}; --int64 keep leaves them int64"


def _names(graph: Graph, values: Iterable[Iterable[str]]) -> list[str]:
    """Dimensions in the types of these values, in the order of the graph."""
    used = {name for group in values for value in group for name in graph.types[value].names}
    return [name for name in graph.dims if name in used]

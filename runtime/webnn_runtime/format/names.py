"""Names of any kind -> identifiers that every existing reader keeps apart.

Readers of the family turn `.`, `/` and `:` into `_`, take words that begin with true, false or null for
literals, and know no quoting. So files hold plain identifiers, and the manifest the original names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from webnn_runtime.format.graph import Graph, Node, is_identifier

__all__ = ["by_sanitised_form", "fresh_name", "identifiers", "safe_graph", "same_when_sanitised"]


def identifiers(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Name -> identifier, unique among themselves and apart from `taken`; an identifier stays as it is.

    Deterministic: depends on the order of the names alone.
    """
    wanted = list(dict.fromkeys(names))
    used = set(taken)
    chosen = {name: name for name in wanted if is_identifier(name) and name not in used}
    used |= chosen.keys()
    reached: dict[str, int] = {}
    for name in wanted:
        if name not in chosen:
            chosen[name] = fresh_name(_identifier(name), used, reached)
    return {name: chosen[name] for name in wanted}


def fresh_name(stem: str, taken: set[str], reached: dict[str, int] | None = None) -> str:
    """The stem, or the stem with the first number from 2 on that is free; it is taken from now on.

    `reached` keeps the last number of each stem, where many names share one.
    """
    name, number = stem, 1 if reached is None else reached.get(stem, 1)
    while name in taken:
        number += 1
        name = f"{stem}_{number}"
    taken.add(name)
    if reached is not None:
        reached[stem] = number
    return name


def by_sanitised_form(names: Iterable[str]) -> dict[str, list[str]]:
    """Names grouped by what other tools make of them: those of one group may have been meant by one another."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(same_when_sanitised(name), []).append(name)
    return groups


def same_when_sanitised(name: str) -> str:
    """What the family's readers make of a name: `:`, `.` and `/` become `_`."""
    return re.sub(r"[:./]", "_", name)


def safe_graph(graph: Graph) -> tuple[Graph, dict[str, str]]:
    """The graph as files can hold it, and identifier -> original name where they differ.

    Values get identifiers, weights keys equal value names, and each output is called like its value: the
    producing node is renamed, or an identity is added where the value is an input, a constant or another
    output. A graph that is safe already is returned as it is.
    """
    if _is_safe(graph):
        return graph, {}
    of_inputs = identifiers(graph.inputs)
    # An input that is an output under its own name keeps it; any other output needs a name of its own.
    kept = {name: of_inputs[name] for name, value in graph.outputs.items() if name == value and name in of_inputs}
    of_outputs = {**identifiers((n for n in graph.outputs if n not in kept), of_inputs.values()), **kept}
    renamed = dict(of_inputs)
    produced = {value for node in graph.nodes for value in node.outputs}
    identities: list[tuple[str, str]] = []
    for output, value in graph.outputs.items():
        if output in kept:
            continue
        if value in produced and value not in renamed:
            renamed[value] = of_outputs[output]
        else:
            identities.append((value, of_outputs[output]))
    rest = [value for value in graph.types if value not in renamed]
    renamed |= identifiers(rest, {*of_inputs.values(), *of_outputs.values()})
    safe = _renamed(graph, renamed, of_outputs, identities)
    originals = {new: old for old, new in renamed.items() if new != old}
    originals |= {new: old for old, new in of_outputs.items() if new != old}
    originals = {new: old for new, old in originals.items() if of_outputs.get(new) != new}
    return safe, originals


def _is_safe(graph: Graph) -> bool:
    return (
        all(is_identifier(name) for name in graph.types)
        and all(output == value for output, value in graph.outputs.items())
        and all(constant.key in (None, name) for name, constant in graph.constants.items())
    )


def _renamed(
    graph: Graph, values: Mapping[str, str], outputs: Mapping[str, str], identities: list[tuple[str, str]]
) -> Graph:
    nodes = [
        Node(
            node.op,
            tuple(values[value] if value is not None else None for value in node.inputs),
            node.options,
            tuple(values[value] for value in node.outputs),
            node.label,
        )
        for node in graph.nodes
    ]
    nodes += [Node("identity", (values[value],), MappingProxyType({}), (output,)) for value, output in identities]
    return Graph.create(
        graph.name,
        dims=graph.dims,
        inputs={values[name]: kind for name, kind in graph.inputs.items()},
        constants={
            values[name]: type(constant)(constant.type, constant.array, values[name] if constant.key else None)
            for name, constant in graph.constants.items()
        },
        nodes=tuple(nodes),
        outputs={outputs[name]: outputs[name] for name in graph.outputs},
    )


def _identifier(name: str) -> str:
    stem = re.sub(r"[^A-Za-z0-9_]", "_", name) or "value"
    return stem if is_identifier(stem) else f"_{stem}"

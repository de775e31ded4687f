"""Names: ONNX allows any text, WebNN graphs hold identifiers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from webnn_runtime.format.graph import Constant, Graph, Node, is_identifier

__all__ = ["Names", "identifier", "names_within", "rename"]


def identifier(text: str) -> str:
    """`/encoder/layer.0/Add_output_0` -> `encoder_layer_0_Add`; not yet unique."""
    text = re.sub(r"_output_0$", "", text)
    name = re.sub(r"_{3,}", "__", re.sub(r"[^A-Za-z0-9_]", "_", text)).strip("_") if text.strip("_") else "value"
    return name if is_identifier(name) else f"v_{name}"


def names_within(output: str) -> tuple[str, str, str]:
    """Names for what DynamicQuantizeMatMul makes on the way to `output`: data in 8 bits, its scale and zero point."""
    return f"{output}//quantized", f"{output}//scale", f"{output}//zero_point"


class Names:
    """Gives out identifiers, each once."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._next: dict[str, int] = {}

    def unique(self, text: str, *, exact: bool = False) -> str:
        """A new identifier; with `exact`, an identifier is kept as it is where that is possible."""
        stem = text if exact and is_identifier(text) else identifier(text)
        name, number = stem, self._next.get(stem, 1)
        while name in self._taken:
            number += 1
            name = f"{stem}_{number}"
        self._next[stem] = number
        self._taken.add(name)
        return name


def rename(graph: Graph, names: Mapping[str, str]) -> Graph:
    """The same graph with other value names; `names` maps every value."""
    return Graph.create(
        graph.name,
        dims=graph.dims,
        inputs={names[name]: kind for name, kind in graph.inputs.items()},
        constants={
            names[name]: Constant(constant.type, constant.array, None if constant.key is None else names[name])
            for name, constant in graph.constants.items()
        },
        nodes=tuple(
            Node(
                node.op,
                tuple(None if value is None else names[value] for value in node.inputs),
                node.options,
                tuple(names[value] for value in node.outputs),
                node.label,
            )
            for node in graph.nodes
        ),
        outputs={names[value]: names[value] for value in graph.outputs.values()},
    )

"""The TypeScript declaration of an emitted module."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from webnn_translator.emit.javascript import ModuleSource, used_dims
from webnn_translator.emit.literals import record, string

__all__ = ["TYPES_MARK", "emit_types"]

TYPES_MARK: Final = "// Types of a module that webnn-runtime wrote."

_STATIC: Final = Path(__file__).with_name("module.d.ts")


def emit_types(source: ModuleSource) -> str:
    """The text of a `.d.ts` beside the module: its own names, then what every module has."""
    graph = source.graph
    inputs = {name: [name, *([source.names[name]] if name in source.names else [])] for name in graph.inputs}
    results = [(name, f"Tensor<{string(kind.dtype.value)}>") for name, kind in graph.output_types.items()]
    lines = [
        TYPES_MARK,
        "",
        f"export type InputName = {_union(name for names in inputs.values() for name in names)};",
        f"export type OutputName = {_union(graph.outputs)};",
        f"export type Results = {record(results)};",
        f"export type DimensionName = {_union(used_dims(graph))};",
        "",
    ]
    return "\n".join([*lines, _STATIC.read_text(encoding="utf-8").strip(), ""])


def _union(names: Iterable[str]) -> str:
    return " | ".join(string(name) for name in names) or "never"

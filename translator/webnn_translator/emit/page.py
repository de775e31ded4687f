"""Graph -> one page to look at it: no network, no library, no weights.

The page draws what is in its JSON; all text of the model gets there as data, and the page's own policy allows
no script but the page's.
"""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Constant, Graph, Node, TensorType
from webnn_runtime.format.ops import OPS
from webnn_runtime.format.version import VERSION
from webnn_translator.emit.blocks import blocks_of
from webnn_translator.emit.javascript import is_default
from webnn_translator.emit.literals import json_text

__all__ = ["PAGE_MARK", "emit_page"]

PAGE_MARK: Final = "<!doctype html><!-- A WebNN graph as a page, written by webnn-runtime"
_VIEW: Final = Path(__file__).with_name("view")
_SCRIPTS: Final = ("layout.js", "canvas.js", "panel.js", "main.js")
_LONGEST: Final = 300
# Control and format characters, surrogates, separators of lines and paragraphs.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_FEW: Final = 8


def emit_page(graph: Graph, names: Mapping[str, str] | None = None, *, source: str = "") -> str:
    """The whole page; the same graph gives the same bytes.

    Args:
        graph: what is shown; values of constants are not needed.
        names: identifier -> original name.
        source: where the graph comes from, for the heading.
    """
    style = (_VIEW / "page.css").read_text(encoding="utf-8")
    script = '"use strict";\n' + "\n".join((_VIEW / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'; "
        "form-action 'none'"
    )
    body = (_VIEW / "page.html").read_text(encoding="utf-8")
    title = escape(_shown(graph.name))
    return (
        f'{PAGE_MARK} {VERSION} -->\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{style}</style></head>\n{body}"
        f'<script type="application/json" id="graph">{json_text(_data(graph, names or {}, source))}</script>\n'
        f"<script>{script}</script></body></html>\n"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _data(graph: Graph, names: Mapping[str, str], source: str) -> dict[str, Any]:
    labels = {node.name: node.label or names.get(node.name, node.name) for node in graph.nodes}
    nodes, blocks = blocks_of(graph, labels)
    places = {name: place for place, name in enumerate(graph.types)}
    used = sorted({node.op for node in graph.nodes})
    return {
        "name": _shown(graph.name),
        "source": _shown(source),
        "tool": f"webnn-runtime {VERSION}",
        "dims": [[name, dim.min_size, None if dim.is_unbounded else dim.max_size] for name, dim in graph.dims.items()],
        "values": [_value(name, kind, names) for name, kind in graph.types.items()],
        "inputs": [places[name] for name in graph.inputs],
        "outputs": [[_shown(name), places[value]] for name, value in graph.outputs.items()],
        "constants": {str(places[name]): _constant(item) for name, item in graph.constants.items()},
        "nodes": [_node(graph, node, labels[node.name], places) for node in nodes],
        "ops": {op: _row(op) for op in used},
        "blocks": [[b.start, b.length, b.number, b.count, _shown(b.title)] for b in blocks],
    }


def _value(name: str, kind: TensorType, names: Mapping[str, str]) -> list[str]:
    shape = ", ".join(str(dim) for dim in kind.shape)
    return [_shown(names.get(name, name)), kind.dtype.value, f"{kind.dtype.text}[{shape}]"]


def _constant(constant: Constant) -> dict[str, Any]:
    """Size, and the values themselves where they are few and in the graph file."""
    size = int(np.prod(constant.type.static_shape, dtype=np.int64))
    found: dict[str, Any] = {"count": size, "bytes": constant.type.dtype.byte_length(size)}
    if constant.array is not None and constant.key is None and size <= _FEW:
        found["text"] = ", ".join(_number(constant.type.dtype, item) for item in constant.values.reshape(-1))
    return found


def _number(dtype: DataType, value: np.generic) -> str:
    return str(value) if dtype.is_float else str(int(value))


def _node(graph: Graph, node: Node, label: str, places: Mapping[str, int]) -> list[Any]:
    spec = OPS[node.op]
    # In the order of a call; the last member is whether the name of the operator alone says less.
    options = [
        [option.name, _text(option.kind.write(node.options[option.name])), not is_default(graph, node, option)]
        for option in sorted(spec.options, key=lambda option: (not option.positional, option.positional))
        if node.options[option.name] is not None
    ]
    inputs = [places[value] if value is not None else None for value in node.inputs]
    return [node.op, _shown(label), inputs, [places[value] for value in node.outputs], options]


def _text(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_text(item) for item in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _row(op: str) -> dict[str, Any]:
    spec = OPS[op]
    return {
        "family": spec.family,
        "doc": spec.doc,
        "operands": [row.name for row in spec.operands],
        "results": [row.name for row in spec.results],
        "variadic": spec.is_variadic,
    }


def _shown(text: str) -> str:
    """A name without what would break or turn around the text beside it."""
    kept = "".join(f"\\u{ord(char):04x}" if unicodedata.category(char) in _UNSEEN else char for char in text)
    return kept if len(kept) <= _LONGEST else f"{kept[: _LONGEST - 1]}…"

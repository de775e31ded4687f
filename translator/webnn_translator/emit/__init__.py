"""Graphs for other readers than our own: a JavaScript module for browsers, a page for people.

Knows the graph and the operator table, and nothing about ONNX.
"""

from __future__ import annotations

from webnn_translator.emit.javascript import MARK, ModuleSource, emit_module
from webnn_translator.emit.page import PAGE_MARK, emit_page
from webnn_translator.emit.types import TYPES_MARK, emit_types

__all__ = ["MARK", "PAGE_MARK", "TYPES_MARK", "ModuleSource", "emit_module", "emit_page", "emit_types"]

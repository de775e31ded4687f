"""The constant that is added behind a product: it can take back what rounding the weights moves the product by.

Inputs of a layer that are far from 0 in every row, as some behind a layer normalisation are, turn errors of their
weights into one and the same error of every row. The bias takes that back exactly, so that weights need only be
rounded for what differs between rows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from webnn_runtime.format.dims import Dim
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, Constant, Graph, Node
from webnn_translator.quantize.sites import Site

__all__ = ["bias_of", "shifted"]


def bias_of(graph: Graph, site: Site) -> str | None:
    """The constant that is added to the only product or convolution with a weight, and to nothing else, if any."""
    if site.role not in ("linear", "conv") or len(site.nodes) != 1:
        return None
    consumers = graph.consumers()
    product = next(node for node in graph.nodes if node.name == site.nodes[0])
    if product.op == "conv2d":
        return _row(graph, product.inputs[2], site.shape[site.axis or 0], consumers)
    names = {site.weight} | {node.name for node in consumers[site.weight] if node.op == "transpose"}
    if product.op not in ("matmul", "gemm") or product.inputs[1] not in names or product.inputs[0] in names:
        return None
    if product.op == "gemm" and product.options["alpha"] != 1:
        return None
    has_own = product.op == "gemm" and any(value is not None for value in product.inputs[2:])
    added = _of_gemm(product) if has_own else _behind(graph, product, consumers)
    return _row(graph, added, graph.types[product.name].shape[-1], consumers)


def shifted(constant: Constant, shift: Array) -> Constant:
    """The constant with a value added to each of its elements."""
    values = constant.values + shift.reshape(constant.values.shape)
    return replace(constant, array=np.asarray(values, np.float32))


def _row(graph: Graph, added: str | None, width: Dim, consumers: dict[str, list[Node]]) -> str | None:
    """The constant, if it has a value for each column and one reader."""
    if added is None or added not in graph.constants or len(consumers[added]) != 1 or added in graph.outputs.values():
        return None
    kind = graph.constants[added].type
    is_row = kind.dtype is DataType.FLOAT32 and kind.rank >= 1 and kind.size == kind.shape[-1] == width
    return added if is_row else None


def _of_gemm(node: Node) -> str | None:
    return node.inputs[2] if node.options["beta"] == 1 else None


def _behind(graph: Graph, product: Node, consumers: dict[str, list[Node]]) -> str | None:
    """The other operand of the addition that alone reads a product."""
    readers = consumers[product.name]
    if len(readers) != 1 or readers[0].op != "add" or product.name in graph.outputs.values():
        return None
    left, right = readers[0].inputs
    return left if right == product.name else right

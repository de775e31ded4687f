"""Operators that a model writes out, put back as the one operator WebNN has for them."""

from __future__ import annotations

from webnn_runtime.format.dtypes import DataType, cast_number
from webnn_runtime.format.graph import Constant, Graph, Node, OptionValue, TensorType
from webnn_runtime.passes.gelu import find_gelu
from webnn_runtime.passes.layer_norm import LayerNormMatch, find_layer_norm
from webnn_runtime.passes.rewrite import Rewrite
from webnn_runtime.passes.uses import Uses

__all__ = ["recognise_gelu", "recognise_hard_swish", "recognise_layer_norm", "recognise_softmax"]


def recognise_gelu(graph: Graph) -> Rewrite:
    """Put `gelu` for `0.5 * x * (1 + erf(x / sqrt(2)))`."""
    rewrite = Rewrite()
    for match in find_gelu(graph):
        if match.nodes.isdisjoint(rewrite.nodes):
            made = Node("gelu", (match.source,), {}, (match.result,))
            rewrite.swallow(match.nodes, match.result, made)
            rewrite.changes.append(f"{match.result}: gelu for {len(match.nodes)} nodes")
    return rewrite


def recognise_layer_norm(graph: Graph) -> Rewrite:
    """Put `layerNormalization` for its formula written out over the last axis."""
    rewrite = Rewrite()
    for match in find_layer_norm(graph):
        if len(match.nodes) > 1 and match.nodes.isdisjoint(rewrite.nodes):
            scale, bias = (_row(graph, rewrite, match, value) for value in (match.scale, match.bias))
            axis = graph.types[match.result].rank - 1
            options: dict[str, OptionValue] = {"axes": (axis,), "epsilon": match.epsilon}
            made = Node("layerNormalization", (match.source, scale, bias), options, (match.result,))
            rewrite.swallow(match.nodes, match.result, made)
            rewrite.changes.append(f"{match.result}: layerNormalization for {len(match.nodes)} nodes")
    return rewrite


def recognise_softmax(graph: Graph) -> Rewrite:
    """Put `softmax` for `exp(x - max(x)) / sum(exp(x - max(x)))` along one axis.

    Without the maximum the formula overflows where softmax does not, so that one stays as it is.
    """
    rewrite, uses = Rewrite(), Uses(graph)
    for quotient in graph.nodes:
        powers = uses.maker(quotient.inputs[0], "exp") if quotient.op == "div" else None
        total = uses.maker(quotient.inputs[1], "reduceSum") if powers is not None else None
        shifted = uses.maker(powers.inputs[0], "sub") if powers is not None else None
        top = uses.maker(shifted.inputs[1], "reduceMax") if shifted is not None else None
        if powers is None or total is None or shifted is None or top is None:
            continue
        source, axes = shifted.inputs[0], total.options["axes"]
        is_whole = (
            source is not None
            and top.inputs[0] == source
            and total.inputs[0] == powers.name
            and isinstance(axes, tuple)
            and len(axes) == 1
            and top.options["axes"] == axes
            and top.options["keepDimensions"] is True
            and total.options["keepDimensions"] is True
        )
        nodes = frozenset({quotient.name, powers.name, total.name, shifted.name, top.name})
        private = all(uses.is_private(value, nodes) for value in nodes - {quotient.name})
        if source is None or not isinstance(axes, tuple) or not is_whole or not private:
            continue
        made = Node("softmax", (source,), {"axis": axes[0]}, (quotient.name,))
        rewrite.swallow(nodes, quotient.name, made)
        rewrite.changes.append(f"{quotient.name}: softmax for {len(nodes)} nodes")
    return rewrite


def recognise_hard_swish(graph: Graph) -> Rewrite:
    """Put `hardSwish` for `x * clamp(x + 3, 0, 6) / 6`, or for `x * hardSigmoid(x)` with 1/6 and 1/2."""
    rewrite, uses = Rewrite(), Uses(graph)
    for product in graph.nodes:
        if product.op != "mul" or product.name in rewrite.nodes:
            continue
        for source, gate in (product.inputs, product.inputs[::-1]):
            if source is None or graph.types[source] != graph.types[product.name]:
                continue
            nodes = _gate(uses, source, gate)
            result = product.name
            if nodes is None:
                continue
            if not any(uses.maker(name, "hardSigmoid") for name in nodes) and not _is_sixth(uses, gate):
                following = uses.only_reader(result)
                factor = uses.factor(following) if following is not None else None
                if following is None or factor is None or factor[1] != result or not _near(factor[0], 1 / 6):
                    continue
                result = following.name
            own = nodes | {product.name, result}
            if all(uses.is_private(value, own) for value in own - {result}) and own.isdisjoint(rewrite.nodes):
                rewrite.swallow(own, result, Node("hardSwish", (source,), {}, (result,)))
                rewrite.changes.append(f"{result}: hardSwish for {len(own)} nodes")
                break
    return rewrite


def _gate(uses: Uses, source: str, value: str | None) -> frozenset[str] | None:
    """The nodes of `hardSigmoid(source)`, of `clamp(source + 3, 0, 6)`, or of that divided by 6."""
    hard = uses.maker(value, "hardSigmoid")
    if hard is not None and hard.inputs[0] == source:
        kind = uses.graph.types[source].dtype.numpy
        alpha, beta = hard.options["alpha"], hard.options["beta"]
        if not isinstance(alpha, (int, float)) or not isinstance(beta, (int, float)):
            return None
        # A sixth as the operand's own type has it: 0.1666667, which some exporters write, is another number.
        return frozenset({hard.name}) if kind.type(alpha) == kind.type(1 / 6) and beta == 0.5 else None
    nodes: set[str] = set()
    divided = uses.maker(value)
    factor = uses.factor(divided) if divided is not None else None
    if divided is not None and factor is not None and _near(factor[0], 1 / 6):
        nodes.add(divided.name)
        value = factor[1]
    limited = uses.maker(value, "clamp")
    shifted = uses.maker(limited.inputs[0], "add") if limited is not None else None
    if limited is None or shifted is None:
        return None
    known = uses.number_and_other(shifted)
    bounds = (limited.options["minValue"], limited.options["maxValue"])
    if known != (3.0, source) or bounds != (0, 6):
        return None
    return frozenset(nodes | {limited.name, shifted.name})


def _is_sixth(uses: Uses, gate: str | None) -> bool:
    """Whether the gate is divided by 6 already."""
    node = uses.maker(gate)
    return node is not None and node.op in ("mul", "div")


def _near(value: float, expected: float) -> bool:
    """Equal as float32."""
    dtype = DataType.FLOAT32
    return bool(cast_number(value, dtype) == cast_number(expected, dtype))


def _row(graph: Graph, rewrite: Rewrite, match: LayerNormMatch, value: str | None) -> str | None:
    """A factor or summand of a normalisation as a vector, which is what the operator takes."""
    if value is None or graph.types[value].rank == 1:
        return value
    name, number = f"{value}_row", 0
    while name in graph.types:
        number += 1
        name = f"{value}_row_{number}"
    if name not in rewrite.constants:
        array = graph.constants[value].values.reshape(-1)
        rewrite.constants[name] = Constant(TensorType(graph.types[match.result].dtype, array.shape), array)
    return name

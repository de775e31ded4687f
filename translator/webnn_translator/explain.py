"""Why a model is refused, for people: every reason once, with its nodes and with what would help."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from webnn_translator._errors import DynamicShape, Refusal, UnsupportedOp
from webnn_translator.model import NEWEST_OPSET
from webnn_translator.registry import operators
from webnn_translator.translate import Translation, translate

if TYPE_CHECKING:
    import onnx

__all__ = ["Explanation", "Group", "explain"]

# What a user can do about operators that no lowering will ever take away.
_ADVICE: Final[Mapping[str, str]] = {
    "NonZero": "the shape of its result depends on data: keep all elements, and select with a mask and Where",
    "Unique": "the shape of its result depends on data: do this step outside of the model",
    "Compress": "the shape of its result depends on data: keep all elements, and select with a mask and Where",
    "NonMaxSuppression": "the shape of its result depends on data: export without it, and select boxes outside",
    "StringNormalizer": "WebNN has no strings: do this step outside of the model",
    "TfIdfVectorizer": "WebNN has no strings: do this step outside of the model",
    "RandomNormal": "WebNN draws no random numbers: make them an input of the model",
    "RandomNormalLike": "WebNN draws no random numbers: make them an input of the model",
    "RandomUniform": "WebNN draws no random numbers: make them an input of the model",
    "RandomUniformLike": "WebNN draws no random numbers: make them an input of the model",
    "Bernoulli": "WebNN draws no random numbers: make them an input of the model",
    "Multinomial": "WebNN draws no random numbers: take the probabilities as the output, and draw outside",
}
# A part of a reason -> what can be done about it; the first that fits is given.
_BY_REASON: Final = (
    (
        "takes them in one type",
        "ONNX Runtime refuses it too; convert the float32 model, with --quantize float16 if wanted",
    ),
    ("the model is not valid", "ONNX Runtime or onnx.checker.check_model may say more; export the model again"),
    ("--bind ", "bind it: the value becomes part of the bundle"),
    (
        "computed from data at run time",
        "make it a constant: --bind for an input, fixed sizes at export, or the exporter's folding",
    ),
    ("known at run time only", "export the branch that is needed, or make the condition a constant"),
    ("run time ends its rounds", "export with a fixed number of rounds"),
    ("WebNN has no inputs of type", "export with float32 or float16 inputs"),
    ("WebNN has no type for", "export in float32 or float16"),
    ("fit the operator", "onnx.checker.check_model may say more; export the model again"),
    ("unknown", "export without the tool that adds these operators, or before its optimisation runs"),
)


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes of one operator that are refused for one reason.

    Attributes:
        op_type: operator, with the domain where that is not ai.onnx.
        reason: what stands in the way.
        advice: what would help; empty where nothing is known to.
        nodes: names of the nodes, in order.
        dims: named dimensions whose values would be enough.
    """

    op_type: str
    reason: str
    advice: str
    nodes: tuple[str, ...]
    dims: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "op_type": self.op_type,
            "reason": self.reason,
            "advice": self.advice,
            "count": len(self.nodes),
            "nodes": list(self.nodes),
            "dims": list(self.dims),
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """What stands between a model and a WebNN graph.

    Attributes:
        translation: the graph; None when the model is refused.
        error: the refusal.
        groups: its reasons, those of most nodes first.
        unexamined: nodes that read the result of a refused one, so that nothing can be said of them.
        nodes: number of nodes of the model.
    """

    translation: Translation | None
    error: UnsupportedOp | DynamicShape | None
    groups: tuple[Group, ...]
    unexamined: tuple[str, ...]
    nodes: int

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "convertible": self.translation is not None,
            "nodes": self.nodes,
            "refused": sum(len(group.nodes) for group in self.groups),
            "groups": [group.record() for group in self.groups],
            "not_examined": list(self.unexamined),
            "missing_dims": sorted({dim for group in self.groups for dim in group.dims}),
        }


def explain(
    model: onnx.ModelProto,
    *,
    dims: Mapping[str, int] | None = None,
    max_dims: Mapping[str, int] | None = None,
    min_dims: Mapping[str, int] | None = None,
    file: Path | None = None,
    int64: str = "keep",
    lstm_states: str = "keep",
) -> Explanation:
    """Try to translate a model, and group what stands in the way; see `translate` for the options.

    Raises:
        TranslateError: a refusal of the whole model, not of nodes: its opset, its form, a wrong dimension.
    """
    count = len(model.graph.node)
    try:
        translation = translate(
            model, file=file, dims=dims, max_dims=max_dims, min_dims=min_dims, int64=int64, lstm_states=lstm_states
        )
    except (UnsupportedOp, DynamicShape) as exc:
        return Explanation(None, exc, _grouped(exc.refusals), exc.unexamined, count)
    return Explanation(translation, None, (), (), count)


def _grouped(refusals: Iterable[Refusal]) -> tuple[Group, ...]:
    found: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for refusal in refusals:
        found.setdefault((refusal.op_type, refusal.reason, refusal.dims), []).append(refusal.node)
    groups = [
        Group(op_type, reason, _advice(op_type, reason, dims), tuple(nodes), dims)
        for (op_type, reason, dims), nodes in found.items()
    ]
    return tuple(sorted(groups, key=lambda group: -len(group.nodes)))


def _advice(op_type: str, reason: str, dims: tuple[str, ...]) -> str:
    if dims:
        return f"pass {' '.join(f'--dim {dim}=VALUE' for dim in dims)}"
    if "has no such form" in reason:
        since = min(entry.since for entry in operators()["", op_type]) if ("", op_type) in operators() else NEWEST_OPSET
        return f"export with opset {since} or later, or use onnx.version_converter"
    if op_type in _ADVICE:
        return _ADVICE[op_type]
    return next((advice for part, advice in _BY_REASON if part in reason), "")

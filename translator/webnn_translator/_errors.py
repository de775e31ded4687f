"""Why an ONNX model cannot be translated.

TranslateError              .node .op_type .opset
├─ UnsupportedOp            nodes that WebNN cannot express: all of them, with counts and reasons
├─ UnsupportedOpset         an operator set outside the range that is translated
├─ DynamicShape             dimensions that have to be bound: all of them, with the flag
├─ DimensionError           a value for a dimension that the model does not have, or that does not fit it
└─ InvalidModel             not a model by ONNX's own rules
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from webnn_runtime.format.errors import WebnnError

__all__ = [
    "DimensionError",
    "DynamicShape",
    "InvalidModel",
    "Refusal",
    "Refused",
    "TranslateError",
    "UnsupportedOp",
    "UnsupportedOpset",
    "UnsupportedType",
]


class TranslateError(WebnnError):
    """An ONNX model that cannot be expressed.

    Attributes:
        node: ONNX node concerned, when it is one.
        op_type: its operator, with the domain where that is not ai.onnx.
        opset: version of the operator's domain in the model.
        reason: the message without its location.
    """

    def __init__(
        self,
        message: str,
        *,
        node: str | None = None,
        op_type: str | None = None,
        opset: int | None = None,
    ) -> None:
        self.node = node
        self.op_type = op_type
        self.opset = opset
        self.reason = message
        where = f"node '{node}'" if node else ""
        if op_type:
            where = f"{where} ({op_type})" if where else op_type
        super().__init__(f"{where}: {message}" if where else message)


class InvalidModel(TranslateError):
    """A file that is no valid ONNX model: missing values, cycles, wrong attributes, broken tensors."""


class UnsupportedType(TranslateError):
    """Elements of a type that ONNX has and that no type of WebNN can carry: text, complex numbers."""


class DimensionError(TranslateError):
    """A value for a dimension that the model does not have, or that does not fit it: the caller's mistake."""


class InputError(TranslateError):
    """A value for an input that the model does not have, or that cannot hold it: the caller's mistake."""


class UnsupportedOpset(TranslateError):
    """An operator set version outside the range whose semantics are implemented."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One node that cannot be translated.

    Attributes:
        node: name of the node, or of its first output.
        op_type: operator, with the domain where that is not ai.onnx.
        reason: what stands in the way, and what would help.
        dims: named dimensions whose values would help; empty when values alone do not.
    """

    node: str
    op_type: str
    reason: str
    dims: tuple[str, ...] = ()


class Refused(Exception):
    """Raised by a lowering rule; the translator collects it as a `Refusal` and goes on to find more.

    Attributes:
        reason: what stands in the way, and what would help.
        dims: named dimensions whose values would help.
    """

    def __init__(self, reason: str, dims: Iterable[str] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.dims = tuple(dims)


class UnsupportedOp(TranslateError):
    """Nodes that WebNN cannot express.

    Attributes:
        refusals: every such node of the model, in order.
        unexamined: names of nodes that read the result of a refused one: they may be refused as well.
    """

    def __init__(
        self, refusals: Iterable[Refusal], *, opset: int | None = None, unexamined: Iterable[str] = ()
    ) -> None:
        self.refusals = tuple(refusals)
        self.unexamined = tuple(unexamined)
        first = self.refusals[0]
        if len(self.refusals) == 1:
            super().__init__(first.reason, node=first.node, op_type=first.op_type, opset=opset)
            return
        kinds = "inputs and nodes" if any(one.op_type == "input" for one in self.refusals) else "nodes"
        super().__init__(f"{len(self.refusals)} {kinds} cannot be expressed in WebNN:\n{_listed(self.refusals)}")
        self.opset = opset

    @property
    def counts(self) -> dict[str, int]:
        """Operator -> number of refused nodes."""
        found: dict[str, int] = {}
        for refusal in self.refusals:
            found[refusal.op_type] = found.get(refusal.op_type, 0) + 1
        return found


class DynamicShape(TranslateError):
    """Named dimensions that must be bound to values before the model can be expressed.

    Attributes:
        missing: dimension name -> why its value is needed.
        refusals: the nodes that need them, in order.
        unexamined: names of nodes that read the result of one of these: they may need more.
    """

    def __init__(
        self,
        missing: Mapping[str, str],
        *,
        opset: int | None = None,
        refusals: Iterable[Refusal] = (),
        unexamined: Iterable[str] = (),
    ) -> None:
        self.missing = dict(missing)
        self.refusals = tuple(refusals)
        self.unexamined = tuple(unexamined)
        flags = " ".join(f"--dim {name}=VALUE" for name in self.missing)
        reasons = "\n".join(f"  {name}: {reason}" for name, reason in self.missing.items())
        super().__init__(f"dimensions without a value are needed; pass {flags}\n{reasons}", opset=opset)


def _listed(refusals: tuple[Refusal, ...]) -> str:
    """Nodes grouped by operator and reason, so that a hundred equal refusals are one line."""
    groups: dict[tuple[str, str], list[str]] = {}
    for refusal in refusals:
        groups.setdefault((refusal.op_type, refusal.reason), []).append(refusal.node)
    lines = []
    for (op_type, reason), nodes in groups.items():
        shown = ", ".join(f"'{node}'" for node in nodes[:3]) + (" ..." if len(nodes) > 3 else "")
        lines.append(f"  {len(nodes)} x {op_type}: {reason} ({'' if op_type == 'input' else 'node '}{shown})")
    return "\n".join(lines)

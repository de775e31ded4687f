"""Which function lowers which ONNX operator.

    @onnx_op("Softmax", since=13)
    def softmax(ctx: Context, node: OnnxNode) -> Tensor: ...

A function holds the semantics from its `since` version on; the newest one not above the model's own
operator set is used. Differences between versions live in separate functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

if TYPE_CHECKING:
    from webnn_translator.context import Context
    from webnn_translator.node import OnnxNode
    from webnn_translator.tensor import OnnxValue

__all__ = ["DOMAINS", "FAMILIES", "Lowering", "find", "onnx_op", "operators"]

Results: TypeAlias = "OnnxValue | Sequence[OnnxValue | None]"
Rule: TypeAlias = "Callable[[Context, OnnxNode], Results]"
_R = TypeVar("_R", bound="Rule")

# "" is the operator set of ONNX itself.
DOMAINS: Final = {"": "ai.onnx", "ai.onnx.ml": "ai.onnx.ml", "com.microsoft": "com.microsoft"}
FAMILIES: Final = (
    "elementwise",
    "bits",
    "trigonometry",
    "padding",
    "resize",
    "sampling",
    "affine_grid",
    "sorting",
    "running",
    "scatter",
    "einsum",
    "matrices",
    "signal",
    "columns",
    "grams",
    "remainder",
    "power",
    "activation",
    "comparison",
    "shape",
    "layout",
    "slicing",
    "indexing",
    "matmul",
    "normalization",
    "reduction",
    "quantize",
    "conv",
    "pool",
    "recurrent",
    "recurrent_quantized",
    "sequence",
    "embedding",
    "rotary",
    "attention_fused",
    "attention_grouped",
    "quantized_product",
    "quantized_elementwise",
    "quantized_blocks",
    "fusions",
    "tabular",
    "trees",
    "categories",
    "support_vectors",
)


@dataclass(frozen=True, slots=True)
class Lowering:
    """One entry: from version `since` on, `op_type` is lowered by `rule`.

    Attributes:
        op_type: ONNX operator.
        domain: operator domain; "" is ai.onnx.
        since: first version of the domain with these semantics.
        rule: the function.
        attributes: attribute names it reads, for domains whose schemas `onnx` does not hold; None where
            the schema of `onnx` says it.
    """

    op_type: str
    domain: str
    since: int
    rule: Rule
    attributes: frozenset[str] | None = None


_TABLE: dict[tuple[str, str], list[Lowering]] = {}


def onnx_op(
    *op_types: str, since: int = 1, domain: str = "", attributes: Sequence[str] | None = None
) -> Callable[[_R], _R]:
    """Register a function for operators from a version on.

    Raises:
        LookupError: the same version is registered twice, or a foreign domain lacks `attributes`.
    """

    def register(rule: _R) -> _R:
        for op_type in op_types:
            entries = _TABLE.setdefault((domain, op_type), [])
            if any(entry.since == since for entry in entries):
                raise LookupError(f"{op_type} is registered twice since version {since}")
            if domain and attributes is None:
                raise LookupError(f"{domain}.{op_type} must state its attributes")
            names = None if attributes is None else frozenset(attributes)
            entries.append(Lowering(op_type, domain, since, rule, names))
            entries.sort(key=lambda entry: entry.since)
        return rule

    return register


def find(domain: str, op_type: str, version: int) -> Lowering | None:
    """The newest entry not above `version`; None when there is none."""
    _load()
    fitting = [entry for entry in _TABLE.get((domain, op_type), ()) if entry.since <= version]
    return fitting[-1] if fitting else None


def operators() -> Mapping[tuple[str, str], tuple[Lowering, ...]]:
    """(domain, operator) -> its entries, sorted."""
    _load()
    return {key: tuple(_TABLE[key]) for key in sorted(_TABLE)}


@cache
def _load() -> None:
    for family in FAMILIES:
        import_module(f"webnn_translator.ops.{family}")

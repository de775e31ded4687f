"""A decoder that embeds texts has no use for its key-value cache: with an empty one it is an ordinary encoder.

Exporters give decoders inputs `past_key_values.N.key` and outputs `present.N.key`, also those that only make vectors.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from webnn_translator._errors import InputError

if TYPE_CHECKING:
    import onnx

__all__ = ["EmptyCache", "empty_cache"]

# Names that Optimum, ONNX Runtime's model builder and the older scripts of both give.
_PAST: Final = "past"
_PRESENT: Final = "present"
_IDS: Final = "input_ids"
_MASK: Final = "attention_mask"
_VECTORS: Final = ("last_hidden_state", "token_embeddings", "sentence_embedding")
_MODULES: Final = "modules.json"


@dataclass(frozen=True, slots=True)
class EmptyCache:
    """What was done to a model.

    Attributes:
        dimension: length of the cache, to be bound to 0.
        inputs: those that hold the cache.
        outputs: those that would hold it after the run, which are left out.
        why: what says that the model embeds texts.
    """

    dimension: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    why: str

    def record(self) -> dict[str, object]:
        """Its entry in the manifest."""
        return {"dimension": self.dimension, "why": self.why, "leftOut": list(self.outputs)}

    def __str__(self) -> str:
        outputs = f", and {len(self.outputs)} outputs {_PRESENT}* are left out" if self.outputs else ""
        return (
            f"the cache is empty ({self.why}): {self.dimension} = 0 in {len(self.inputs)} inputs {_PAST}*{outputs}; "
            "--cache keep keeps it"
        )


def empty_cache(
    model: onnx.ModelProto,
    choice: str,
    *,
    companions: Collection[str],
    dims: Mapping[str, int],
    ranged: Collection[str],
) -> EmptyCache | None:
    """Prepare a decoder to be translated with an empty cache; the model is changed.

    Args:
        model: the model.
        choice: "empty", "keep", or "auto": empty if the model embeds texts and nothing is said of the cache's length.
        companions: names of the files that travel with it.
        dims: dimensions that are given a value.
        ranged: dimensions that the caller has given a range.

    Returns:
        What is to be bound; None for a model that stays as it is.

    Raises:
        InputError: the cache is to be empty, and there is none, or none that can be.
    """
    graph = model.graph
    held = {tensor.name for tensor in graph.initializer}
    inputs = {value.name: value.type.tensor_type.shape.dim for value in graph.input if value.name not in held}
    why = "asked for" if choice == "empty" else _reason(companions, inputs, [value.name for value in graph.output])
    past = {name: dims for name, dims in inputs.items() if name.startswith(_PAST)}
    if choice == "keep" or not why or (choice == "auto" and not past):
        return None
    try:
        dimension, places = _lengths_of(past, inputs)
    except InputError:
        if choice == "empty":
            raise
        return None
    is_chosen = dims.get(dimension, 0) != 0 or dimension in ranged
    if is_chosen and choice == "empty":
        raise InputError(f"--cache empty makes {dimension} = 0, and it is given another size; leave one of them out")
    if is_chosen:
        return None
    for place in places:
        place.dim_param = dimension
    if _MASK in inputs and len(inputs[_MASK]) == len(inputs[_IDS]) == 2:
        # One column for every token, cached or new; some exporters give that length a name of its own.
        ids, mask = inputs[_IDS][1], inputs[_MASK][1]
        if not ids.dim_param and ids.dim_value <= 0:
            ids.dim_param = f"{_IDS}_dim_1"
        mask.CopyFrom(ids)
    outputs = [value.name for value in graph.output if value.name.startswith(_PRESENT)]
    kept = [value for value in graph.output if value.name not in outputs]
    if not kept:
        raise InputError("--cache empty: the model has no outputs besides those of its cache; leave it out")
    del graph.output[:]
    graph.output.extend(kept)
    return EmptyCache(dimension, tuple(past), tuple(outputs), why)


def _reason(companions: Collection[str], inputs: Collection[str], outputs: Iterable[str]) -> str:
    """What says that a model embeds texts; empty where nothing does."""
    if _IDS not in inputs:
        return ""
    if _MODULES in companions:
        return f"an embedder: {_MODULES} lies beside the model"
    vectors = [name for name in outputs if name in _VECTORS]
    # With logits it can generate, and its cache is what it does that with.
    return f"an embedder: its output is {vectors[0]}" if vectors and "logits" not in outputs else ""


def _lengths_of(past: Mapping[str, Any], inputs: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """The one dimension that only the cache has: its name, or one for it, and every place where it stands.

    Raises:
        InputError: there is none, or there are several.
    """
    if not past or _IDS not in inputs:
        raise InputError(f"--cache empty: the model has no inputs {_PAST}* and {_IDS}; leave it out")
    common = {dim.dim_param for dim in inputs[_IDS] if dim.dim_param}
    places: list[Any] = []
    names: dict[str, None] = {}
    unnamed = ""
    for name, dims in past.items():
        # The first axis is the batch's, by whatever name.
        own = [axis for axis, dim in enumerate(dims) if axis and dim.dim_value <= 0 and dim.dim_param not in common]
        if len(own) != 1:
            raise InputError(f"--cache empty: input '{name}' has {len(own)} lengths of its own, and one can be 0")
        dim = dims[own[0]]
        unnamed = unnamed or f"{name}_dim_{own[0]}"
        places.append(dim)
        names[dim.dim_param or unnamed] = None
    if len(names) > 1:
        raise InputError(f"--cache empty: the cache has several lengths, {', '.join(names)}, and one can be 0")
    return next(iter(names)), places

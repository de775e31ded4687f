"""What a manifest says was decided when a model was converted: what `webnn inspect` shows beside the shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["conversion_lines", "conversion_record"]

_KEYS: Final = (
    "boundDimensions",
    "boundInputs",
    "dimensionLimits",
    "emptyCache",
    "emptyInputs",
    "emptyOutputs",
    "floatStates",
    "outputLabels",
    "sourceTypes",
    "typeMappings",
)
# Of a bound input, or of the labels of an output: a thousand of them are a matter for the manifest.
_SHOWN: Final = 8


def conversion_record(more: Mapping[str, Any]) -> dict[str, Any]:
    """Those entries of a manifest that say what was decided, as they are."""
    return {key: more[key] for key in _KEYS if key in more}


def conversion_lines(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Title and text of a line for each decision; an entry of another form than ours gives none."""
    for name, one in _items(record, "boundDimensions"):
        if isinstance(one, Mapping):
            yield "bound", f"{name} = {one.get('size')}, from {one.get('from')}"
    for name, why in _items(record, "dimensionLimits"):
        yield "limit", f"{name}: {why}"
    for name, one in _items(record, "boundInputs"):
        if isinstance(one, Mapping) and isinstance(one.get("values"), list):
            yield "bound", f"{name} = {_some(one['values'])}"
    cache = record.get("emptyCache")
    if isinstance(cache, Mapping):
        left = cache.get("leftOut")
        outputs = f"; left out: {_some(left)}" if isinstance(left, list) and left else ""
        yield "cache", f"empty, {cache.get('dimension')} = 0: {cache.get('why')}{outputs}"
    for key, what in (("emptyInputs", "input"), ("emptyOutputs", "output")):
        names = record.get(key)
        if isinstance(names, (list, Mapping)) and names:
            yield "left out", f"{what}s without elements: {_some(list(names))}"
    rounded = record.get("floatStates")
    if isinstance(rounded, list) and rounded:
        yield "float32", f"data and states of quantised LSTMs, which are not rounded: {_some(rounded)}"
    for name, labels in _items(record, "outputLabels"):
        if isinstance(labels, list):
            yield "labels", f"of the columns of {name}: {_some(labels)}"
    for name, kind in _items(record, "sourceTypes"):
        yield "type", f"{name} is {kind} in the model"
    for kind, what in _items(record, "typeMappings"):
        yield "type", f"{kind}: {what}"


def _items(record: Mapping[str, Any], key: str) -> Iterator[tuple[Any, Any]]:
    found = record.get(key)
    yield from found.items() if isinstance(found, Mapping) else ()


def _some(values: list[Any]) -> str:
    more = f", and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(map(str, values[:_SHOWN])) + more

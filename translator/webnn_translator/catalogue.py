"""Which ONNX operators can be translated, as the registry has it: for `webnn-convert --list-ops`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import onnx

from webnn_translator.control import CONTROL
from webnn_translator.model import NEWEST_OPSET, OLDEST_OPSET
from webnn_translator.passes.inline import is_defined
from webnn_translator.registry import DOMAINS, operators

__all__ = ["Entry", "catalogue"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One operator.

    Attributes:
        domain: operator domain, "ai.onnx" for ONNX's own.
        op_type: operator.
        first: first version of the domain's operator set in which it is translated.
        last: last version.
        changes: versions from which its meaning is another one.
        note: what is translated, in the words of the newest rule.
    """

    domain: str
    op_type: str
    first: int
    last: int
    changes: tuple[int, ...]
    note: str

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "domain": self.domain,
            "operator": self.op_type,
            "first": self.first,
            "last": self.last,
            "changes": list(self.changes),
            "note": self.note,
        }


def catalogue() -> tuple[Entry, ...]:
    """Every operator that is translated, by domain and name."""
    found = {(domain, op_type): _registered(domain, op_type) for domain, op_type in operators()}
    for op_type, rule in CONTROL.items():
        found["", op_type] = Entry(DOMAINS[""], op_type, OLDEST_OPSET, NEWEST_OPSET, (), _first_line(rule))
    for schema in onnx.defs.get_all_schemas():
        if not schema.domain and (key := ("", schema.name)) not in found and is_defined(schema.name, NEWEST_OPSET):
            since = next(version for version in range(1, NEWEST_OPSET + 1) if is_defined(schema.name, version))
            note = "By ONNX's definition in terms of other operators, as far as those are translated."
            found[key] = Entry(DOMAINS[""], schema.name, max(since, OLDEST_OPSET), NEWEST_OPSET, (), note)
    return tuple(found[key] for key in sorted(found))


def _registered(domain: str, op_type: str) -> Entry:
    entries = operators()[domain, op_type]
    first, last = entries[0].since, entries[-1].since
    if not domain:
        introduced, last = _lifetimes().get(op_type, (1, NEWEST_OPSET))
        first = max(first, OLDEST_OPSET, introduced)
    elif domain == "ai.onnx.ml":
        last = onnx.defs.onnx_ml_opset_version()
    changes = tuple(entry.since for entry in entries[1:] if entry.since > first)
    return Entry(DOMAINS[domain], op_type, first, last, changes, _note(entries[0].rule, entries[-1].rule))


@cache
def _lifetimes() -> dict[str, tuple[int, int]]:
    """Operator of ai.onnx -> the first and the last version that have it."""
    found: dict[str, tuple[int, int]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain:
            continue
        first, last = found.get(schema.name, (NEWEST_OPSET, NEWEST_OPSET))
        ended = schema.since_version - 1 if schema.deprecated else last
        found[schema.name] = (min(first, schema.since_version), min(last, ended))
    return found


def _note(oldest: object, newest: object) -> str:
    """What the newest form does; where it says that it does the same, what that is comes first."""
    note, before = _first_line(newest), _first_line(oldest)
    return f"{before} {note}" if note.startswith("The same") and before != note else note


def _first_line(rule: object) -> str:
    return (rule.__doc__ or "").strip().partition("\n")[0]

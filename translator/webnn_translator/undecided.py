"""Why a value that has to be known is not, and what makes it known: a size, or an input that is a setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from webnn_translator._errors import Refused

if TYPE_CHECKING:
    from webnn_translator.context import Context
    from webnn_translator.tensor import Tensor

__all__ = ["undecided"]


def undecided(ctx: Context, parts: Mapping[str, Tensor], consequence: str) -> Refused:
    """The refusal of computed values, of all parts of a node at once.

    Args:
        ctx: the translation.
        parts: what each is in the node -> the value.
        consequence: why they have to be known.
    """
    values = [ctx.full(tensor) for tensor in parts.values()]
    sources = set().union(*(ctx.emit.sources(value) for value in values))
    names = sorted(set().union(*(ctx.emit.sizes(value) for value in values)))
    *others, last = parts
    what = f"{', '.join(others)} and {last}" if others else last
    are, depend, whose = ("are", "depend", "their") if others else ("is", "depends", "its")
    if not sources and names:
        return Refused(f"{what} {depend} on dimension {', '.join(names)}; {whose} value is needed", names)
    advice = ""
    if sources and sources <= ctx.settings.keys():
        flags = sorted(f"--bind {ctx.settings[source]}=VALUE" for source in sources)
        advice = f"; {' '.join(flags)} makes {'constants of them' if len(flags) > 1 else 'a constant of it'}"
    return Refused(f"{what} {are} computed from data at run time; {consequence}{advice}")

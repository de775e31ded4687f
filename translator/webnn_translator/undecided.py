"""Why a value that has to be known is not, and what makes it known: a size, or an input that is a setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webnn_translator._errors import Refused

if TYPE_CHECKING:
    from webnn_translator.context import Context
    from webnn_translator.tensor import Tensor

__all__ = ["undecided"]


def undecided(ctx: Context, tensor: Tensor, what: str, consequence: str) -> Refused:
    """The refusal of a computed value.

    Args:
        ctx: the translation.
        tensor: the value.
        what: its part in the node.
        consequence: why it has to be known.
    """
    value = ctx.full(tensor)
    sources = ctx.emit.sources(value)
    names = sorted(ctx.emit.sizes(value))
    if not sources and names:
        return Refused(f"{what} depends on dimension {', '.join(names)}; its value is needed", names)
    advice = ""
    if sources and sources <= ctx.settings.keys():
        flags = sorted(f"--bind {ctx.settings[source]}=VALUE" for source in sources)
        advice = f"; {' '.join(flags)} makes {'constants of them' if len(flags) > 1 else 'a constant of it'}"
    return Refused(f"{what} is computed from data at run time; {consequence}{advice}")

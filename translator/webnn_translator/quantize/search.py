"""Which weights stay wider, so that the vectors come close enough to the float ones.

What each weight costs alone is measured; costs of several add up, near enough. Weights are then widened one after the
other, the largest cost per byte first, and the shortest such list that reaches the target is looked for by halving.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from webnn_translator.quantize.loss import Loss
from webnn_translator.quantize.options import QualityGateFailed
from webnn_translator.quantize.sites import Site

__all__ = ["BITS", "widened"]

BITS: Final = {"int4": 4, "int8": 8, "uint8": 8, "float16": 16, "float32": 32}
# The part of the allowed loss that is aimed at: paragraphs of documentation cost all-MiniLM-L6-v2 a quarter more than
# the texts that are measured on.
_ASIDE: Final = 0.7

Widths = Mapping[Site, str]


def widened(
    widths: Widths,
    target: float,
    measured: Callable[[Widths, bool], Loss],
    note: Callable[[str], None],
) -> tuple[dict[Site, str], Loss]:
    """The widths with as few changes as reach the target, and their loss.

    Args:
        widths: what each weight would be.
        target: mean cosine to reach.
        measured: the loss of some widths; on a part of the samples where that is enough.
        note: told what is going on.

    Raises:
        QualityGateFailed: not even with every weight in float32 but the cheapest one.
    """
    aim = 1 - _ASIDE * (1 - target)
    loss = measured(widths, False)
    if loss.mean >= aim:
        return dict(widths), loss
    note(f"mean cosine {loss.mean:.6f}; looking for what costs most")
    steps = _steps(widths, measured)
    low, high = 0, len(steps)
    best: tuple[dict[Site, str], Loss] | None = None
    while low < high:
        middle = (low + high) // 2
        tried = {**widths, **dict(steps[: middle + 1])}
        loss = measured(tried, False)
        note(f"{middle + 1} of {len(steps)} steps wider: mean cosine {loss.mean:.6f}")
        if loss.mean >= aim:
            best, high = (tried, loss), middle
        else:
            low = middle + 1
    if best is None or set(best[0].values()) == {"float32"}:
        raise QualityGateFailed(
            f"a mean cosine of {target} to the float vectors is out of reach: nothing would be quantised; "
            "ask for less, or for more bits"
        )
    return best


def _steps(widths: Widths, measured: Callable[[Widths, bool], Loss]) -> list[tuple[Site, str]]:
    """Single weights made wider, in the order in which that pays: to 8 bits where they have 4, then to float32."""
    found: list[tuple[Site, str]] = []
    now = dict(widths)
    for narrow, wide in (("int4", "int8"), ("", "float32")):
        some = [site for site, width in now.items() if width == narrow or (not narrow and width != "float32")]
        costs = {}
        for site in some:
            alone = dict.fromkeys(now, "float32") | {site: now[site]}
            gained = 1 - measured(alone, True).mean
            costs[site] = gained / (site.size * (BITS[wide] - BITS[now[site]]))
        some.sort(key=lambda site: (-costs[site], site.weight))
        found += [(site, wide) for site in some]
        now |= dict.fromkeys(some, wide)
    return found

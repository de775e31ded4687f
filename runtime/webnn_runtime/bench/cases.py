"""The cases: how many texts, how long, in which batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from webnn_runtime.bench.errors import BenchError
from webnn_runtime.bench.texts import cut, paragraph_lengths, short_lengths
from webnn_runtime.embed.tokenizer import TextTokenizer, Tokens
from webnn_runtime.format.errors import ShapeError
from webnn_runtime.format.graph import Array, Graph
from webnn_runtime.passes.bind_dims import bind_dims

__all__ = ["CASES", "COLD", "Case", "cases_of_graph", "choose_cases", "make_texts", "scaling_cases"]

_SEED: Final = 1


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of work.

    Attributes:
        name: a letter, or what is varied.
        title: what it is, for people.
        count: number of texts.
        lengths: tokens of each text, for a number of texts.
        batch: texts in one run.
        is_sorted: whether texts are sorted by length, for every contender alike; otherwise they come as they arrive.
        takes_texts: whether the user's own texts can stand in for the made ones.
        needs: tokens that the graph has to take; a model's own maximum length may be smaller.
    """

    name: str
    title: str
    count: int
    lengths: Callable[[int], Sequence[int]]
    batch: int
    is_sorted: bool = False
    takes_texts: bool = False
    needs: int = 0


def _equal(length: int, count: int) -> list[int]:
    return [length] * count


CASES: Final = {
    case.name: case
    for case in (
        Case("a", "256 texts of about 10 tokens, batch 32", 256, short_lengths, 32),
        Case("b", "512 paragraphs, batch 32, sorted", 512, paragraph_lengths, 32, is_sorted=True, takes_texts=True),
        Case("c", "one text of about 10 tokens at a time", 128, short_lengths, 1),
        Case("d", "one text of 128 tokens at a time", 32, partial(_equal, 128), 1),
        Case("e", "64 texts of 256 tokens, batch 32", 64, partial(_equal, 256), 32),
        Case("f", "128 paragraphs as they arrive, batch 16", 128, partial(paragraph_lengths, seed=1), 16, False, True),
        Case("g", "32 texts of 512 tokens, batch 8", 32, partial(_equal, 512), 8, needs=512),
    )
}


def choose_cases(names: str | None, *, has_texts: bool = False, bound: int | None = None) -> list[Case]:
    """The cases of a list like "a,c"; without one all that can be run.

    Args:
        names: as the user gives them.
        has_texts: whether the user gives texts as well.
        bound: most tokens that the graph takes; None for any number.

    Raises:
        BenchError: no such case, one whose lengths the user's texts do not have, or one that is too long.
    """
    fitting = [name for name, case in CASES.items() if bound is None or case.needs <= bound]
    possible = [name for name in fitting if CASES[name].takes_texts or not has_texts]
    asked = possible if names is None else [name.strip() for name in names.split(",") if name.strip()]
    for name in asked:
        if name not in CASES:
            raise BenchError(f"--cases: there is no case '{name}'; expected some of {', '.join(CASES)}")
        if name not in fitting:
            raise BenchError(f"--cases: case '{name}' has {CASES[name].needs} tokens, and the model takes {bound}")
        if name not in possible:
            raise BenchError(
                f"--cases: case '{name}' is about texts of its own length; with --texts expected some of "
                f"{', '.join(possible)}"
            )
    if not asked:
        raise BenchError(f"--cases: names no case; expected some of {', '.join(CASES)}")
    return [CASES[name] for name in dict.fromkeys(asked)]


def make_texts(
    case: Case, tokenizer: TextTokenizer, limit: int | None, own: Sequence[Tokens] | None = None
) -> list[Tokens]:
    """The texts of a case, in the order in which they are run; lengths stay within the model's limit.

    Args:
        case: the case.
        tokenizer: the bundle's.
        limit: longest text in tokens; None for no limit.
        own: the user's texts, to use in place of made ones.
    """
    if own is not None:
        texts = list(own)
    else:
        # A text without a token of its own says nothing.
        least = tokenizer.special_count + 1
        most = math.inf if limit is None else max(least, limit)
        texts = cut(tokenizer, [int(min(max(length, least), most)) for length in case.lengths(case.count)])
    if case.is_sorted:
        texts.sort(key=len, reverse=True)
    return texts


def cases_of_graph(graph: Graph, sizes: Mapping[str, int]) -> Iterator[tuple[Case, dict[str, Array]]]:
    """Random inputs at the smallest and the largest size that a conversion checks, or at the one that is asked for.

    Args:
        graph: any graph.
        sizes: values of its named dimensions.

    Raises:
        BenchError: a size that the graph does not allow, or none of the other dimensions.
    """
    from webnn_translator.verify.grid import grid
    from webnn_translator.verify.inputs import InputPlan

    try:
        bound = bind_dims(graph, sizes) if sizes else graph
    except ShapeError as exc:
        raise BenchError(f"--dim: {exc}") from exc
    points = grid(bound, has_masks=False)
    if not points:
        raise BenchError(f"no size of {', '.join(bound.dims)} is known that the graph allows; pass --dim NAME=VALUE")
    plan = InputPlan.of(bound)
    for point in points[:1] if len(points) == 1 else (points[0], points[-1]):
        shown = ", ".join(f"{name}={value}" for name, value in {**sizes, **point.bindings}.items())
        case = Case(shown or "static shapes", "random inputs", 1, partial(_equal, 1), 1)
        yield case, plan.draw(point, _SEED)


def scaling_cases(limit: int | None) -> dict[str, list[tuple[int, Case]]]:
    """What `--scaling` varies, smallest first: the batch, at 32 tokens, and the length, of 8 texts."""
    lengths = [size for size in (8, 16, 32, 64, 128, 256, 512) if limit is None or size <= limit]
    short = 32 if limit is None else min(32, limit)
    return {
        "batch": [(size, _point("batch", size, size * 2, short, size)) for size in (1, 2, 4, 8, 16, 32, 64)],
        "length": [(size, _point("length", size, 16, size, 8)) for size in lengths],
    }


def _point(what: str, size: int, count: int, length: int, batch: int) -> Case:
    title = f"{count} texts of {length} tokens, batch {batch}"
    return Case(f"{what} {size}", title, count, partial(_equal, length), batch, needs=length)


COLD: Final = Case("start", "one text of 10 tokens", 1, partial(_equal, 10), 1)

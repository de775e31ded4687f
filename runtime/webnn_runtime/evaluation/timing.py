"""How much faster one thing is than another, measured so that a busy machine slows both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from webnn_runtime.format.errors import EmbedError

__all__ = ["Speed", "interleaved"]


@dataclass(frozen=True, slots=True)
class Speed:
    """Two contenders in turns.

    Attributes:
        texts: number of texts in a round.
        rounds: number of rounds.
        seconds: median time of a round for the candidate.
        reference_seconds: the same for the reference.
        ratio: median of the rounds' ratios, reference to candidate: above 1 the candidate is faster.
    """

    texts: int
    rounds: int
    seconds: float
    reference_seconds: float
    ratio: float

    def record(self) -> dict[str, float | int]:
        """As it stands in JSON."""
        return {
            "texts": self.texts,
            "rounds": self.rounds,
            "textsPerSecond": self.texts / self.seconds,
            "referenceTextsPerSecond": self.texts / self.reference_seconds,
            "ratio": self.ratio,
        }


def interleaved(
    candidate: Callable[[], object],
    reference: Callable[[], object],
    *,
    texts: int,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """Run both in turns, the first one changing each round; both should be warm.

    Raises:
        EmbedError: less than one round.
    """
    if rounds < 1:
        raise EmbedError(f"interleaved: {rounds} rounds; expected at least 1")
    taken: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(rounds):
        for is_candidate in (turn % 2 == 0, turn % 2 == 1):
            start = clock()
            (candidate if is_candidate else reference)()
            # A clock may stand still for something very short.
            taken[is_candidate].append(max(clock() - start, 1e-9))
    own, other = taken[True], taken[False]
    ratios = [theirs / mine for mine, theirs in zip(own, other, strict=True)]
    return Speed(texts, rounds, statistics.median(own), statistics.median(other), statistics.median(ratios))

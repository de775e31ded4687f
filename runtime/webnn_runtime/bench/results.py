"""What was measured, and what follows from it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from webnn_runtime.bench.check import Agreement
from webnn_runtime.bench.workload import Workload

__all__ = ["CaseResult", "Ratio", "Timing"]


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as long a rival takes: per round, over all rounds.

    Attributes:
        median: the figure.
        low: of the round that was worst for the bundle.
        high: of the one that was best for it.
    """

    median: float
    low: float
    high: float

    def record(self) -> dict[str, float]:
        """As JSON."""
        return {"median": self.median, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Timing:
    """One contender in one case.

    Attributes:
        rounds: seconds of each run of each round.
        agreement: how near its answer is to what it was held against.
    """

    rounds: Sequence[Sequence[float]]
    agreement: Agreement

    @property
    def totals(self) -> list[float]:
        """Seconds of each round."""
        return [sum(each) for each in self.rounds]

    def latency_ms(self, percent: float) -> float:
        """Milliseconds within which so many percent of all runs ended."""
        return float(np.percentile([seconds for each in self.rounds for seconds in each], percent)) * 1e3


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case.

    Attributes:
        workload: what was run.
        ours: name of the contender that the others are held against.
        timings: by contender, `ours` first.
    """

    workload: Workload
    ours: str
    timings: Mapping[str, Timing]

    def rate(self, name: str) -> float:
        """Tokens or runs in a second, of the median round."""
        return self.workload.amount / statistics.median(self.timings[name].totals)

    def ratio(self, rival: str) -> Ratio:
        """A rival's time over ours, round by round."""
        pairs = zip(self.timings[rival].totals, self.timings[self.ours].totals, strict=True)
        each = [theirs / ours for theirs, ours in pairs]
        return Ratio(statistics.median(each), min(each), max(each))

    @property
    def best_rival(self) -> str | None:
        """The rival that comes nearest, or is furthest ahead; None without any."""
        rivals = [name for name in self.timings if name != self.ours]
        return min(rivals, key=lambda name: self.ratio(name).median) if rivals else None

    def record(self) -> dict[str, Any]:
        """As JSON; times in seconds, all rounds."""
        case, best = self.workload.case, self.best_rival
        return {
            "name": case.name,
            "title": case.title,
            "unit": self.workload.unit,
            "amount": self.workload.amount,
            "texts": self.workload.texts,
            "batch": case.batch,
            "best_rival": best,
            "ratio": None if best is None else self.ratio(best).record(),
            "contenders": {
                name: {
                    "per_second": self.rate(name),
                    "round_seconds": timing.totals,
                    "run_ms": {f"p{percent}": timing.latency_ms(percent) for percent in (50, 95, 99)},
                    "ratio": None if name == self.ours else self.ratio(name).record(),
                    "agreement": timing.agreement.record(),
                }
                for name, timing in self.timings.items()
            },
        }

"""What quantising costs: the directions of a graph's vectors before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from webnn_runtime.backends.base import Executable
from webnn_runtime.evaluation import CosineStatistics, cosine_statistics
from webnn_runtime.format.graph import Array
from webnn_translator.quantize.options import QualityGateFailed
from webnn_translator.quantize.samples import Samples

__all__ = ["Loss", "Vectors", "measure", "name_of", "vectors_of"]

# Of each run and output: rows of what is compared.
Vectors = Sequence[Mapping[str, Array]]


@dataclass(frozen=True, slots=True)
class Loss:
    """Cosines of a quantised graph's vectors to those of the float one.

    Attributes:
        outputs: output -> statistics over all rows of all runs.
        samples: what was run: "texts", "seeded" or "file".
        runs: number of runs.
        backend: what ran the quantised graph, and how: `rust, int8`.
    """

    outputs: Mapping[str, CosineStatistics]
    samples: str
    runs: int
    backend: str

    @property
    def mean(self) -> float:
        """Mean cosine of the output that lost most."""
        return min(one.mean for one in self.outputs.values())

    @property
    def minimum(self) -> float:
        """The worst row of all outputs."""
        return min(one.minimum for one in self.outputs.values())

    def record(self) -> dict[str, object]:
        """As it stands in the manifest, without the last digits, in which processors differ."""
        return {
            "reference": "the same graph in float32",
            "backend": self.backend,
            "samples": self.samples,
            "runs": self.runs,
            "outputs": {
                name: {
                    "count": one.count,
                    "mean": round(one.mean, 6),
                    "p01": round(one.p01, 6),
                    "minimum": round(one.minimum, 6),
                }
                for name, one in self.outputs.items()
            },
        }

    def __str__(self) -> str:
        return "; ".join(f"{name}: {one}" for name, one in self.outputs.items())


def name_of(executable: Executable) -> str:
    """What runs a graph, and in which arithmetic: `rust, int8`."""
    found = executable.describe()
    return f"{found['backend']}, {found.get('compute', 'exact')}"


def vectors_of(executable: Executable, samples: Samples) -> Vectors:
    """What is compared, of every run."""
    return [samples.view(executable.run(feed), run) for run, feed in enumerate(samples.feeds)]


def measure(reference: Vectors, actual: Vectors, samples: Samples, backend: str) -> Loss:
    """Cosine statistics of two graphs on the same samples.

    Raises:
        QualityGateFailed: a value of the quantised graph is not finite where the float graph's is, or there is no
            float output to compare.
    """
    names = list(reference[0]) if reference else []
    found = {name: _compared(name, reference, actual) for name in names}
    usable = {name: statistics for name, statistics in found.items() if statistics is not None}
    if not usable:
        reason = "no float output" if not names else "no output that is finite on the samples"
        raise QualityGateFailed(
            f"the graph has {reason}, so what quantising costs cannot be said; "
            "convert it without --quantize, or with an output that is made of floats"
        )
    return Loss(usable, samples.kind, len(samples.feeds), backend)


def _compared(name: str, reference: Vectors, actual: Vectors) -> CosineStatistics | None:
    """Statistics of the rows that are finite in the float graph; None where there are none."""
    left, right = (_stacked([run[name] for run in runs]) for runs in (reference, actual))
    if left.shape[1] == 1:
        left, right = _around_their_mean(left, right)
    usable = np.isfinite(left).all(axis=1)
    if not usable.any():
        return None
    if not np.isfinite(right[usable]).all():
        raise QualityGateFailed(f"output '{name}' of the quantised graph holds values that are not finite")
    return cosine_statistics(left[usable], right[usable])


def _around_their_mean(left: Array, right: Array) -> tuple[Array, Array]:
    """Single numbers, as a reranker scores texts, as one vector of all of them, moved by the float graph's mean.

    The cosine of one number to another is that of their signs, which hardly ever change. The mean is taken away since
    scores that are all about -10 are alike by their cosine, whatever becomes of their order.
    """
    known = np.isfinite(left[:, 0])
    scores, others = (rows[known].astype(np.float64).reshape(1, -1) for rows in (left, right))
    if not scores.size or np.ptp(scores) == 0:
        return left, right
    mean = scores.mean()
    return scores - mean, others - mean


def _stacked(runs: Sequence[Array]) -> Array:
    """All rows; where their length depends on the run, shorter ones end in zeros, which leave a cosine as it is."""
    width = max(rows.shape[1] for rows in runs)
    return np.concatenate([np.pad(rows, ((0, 0), (0, width - rows.shape[1]))) for rows in runs])

"""What a model has to reach, and what it did not."""

from __future__ import annotations

from dataclasses import dataclass

from webnn_runtime.evaluation.classifiers import ClassifierQuality
from webnn_runtime.evaluation.embedders import EmbedderQuality
from webnn_runtime.format.errors import WebnnError

__all__ = ["Gate", "GateFailed", "GateMisuse"]


class GateFailed(WebnnError):
    """A model is worse than allowed."""


class GateMisuse(WebnnError):
    """A limit that nothing can meet, or on something that was not measured."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Limits; None leaves out one.

    Attributes:
        min_cosine: smallest cosine of any text's vector to the reference's.
        min_mean_cosine: smallest mean of these.
        max_loss: largest loss against the reference: of the correlation with people's scores; the part of texts
            that get another label; or, with one label, what the rank correlation of the scores is below 1.
    """

    min_cosine: float | None = None
    min_mean_cosine: float | None = None
    max_loss: float | None = None

    def __post_init__(self) -> None:
        # A loss may be asked to be negative: a gain.
        limits = {"min_cosine": (self.min_cosine, 1), "min_mean_cosine": (self.min_mean_cosine, 1)}
        for name, (limit, most) in {**limits, "max_loss": (self.max_loss, 2)}.items():
            # NaN as well: nothing is below it, so such a gate would let everything pass.
            if limit is not None and not -most <= limit <= most:
                raise GateMisuse(f"--{name.replace('_', '-')} {limit:g}: expected {-most} to {most}")

    @property
    def is_set(self) -> bool:
        """Whether there is any limit."""
        return any(limit is not None for limit in (self.min_cosine, self.min_mean_cosine, self.max_loss))

    def misses(self, found: EmbedderQuality | ClassifierQuality) -> list[str]:
        """What was not reached, in words.

        Raises:
            GateMisuse: a limit on something that was not measured.
        """
        if isinstance(found, ClassifierQuality):
            if self.min_cosine is not None or self.min_mean_cosine is not None:
                raise GateMisuse("--min-cosine is for embedders and this is a classifier; use --max-loss")
            if found.agreement is not None:
                return _above("part of texts with another label", 1.0 - found.agreement, self.max_loss)
            if self.max_loss is not None and found.rank_correlation is None:
                raise GateMisuse("--max-loss of one label is of the order of texts; pass --texts that it scores apart")
            return _above("loss of rank correlation", 1.0 - (found.rank_correlation or 0.0), self.max_loss)
        missed: list[str] = []
        if self.min_cosine is not None or self.min_mean_cosine is not None:
            if found.cosine is None:
                raise GateMisuse("--min-cosine needs something to compare with; pass --reference")
            missed += _below("smallest cosine", found.cosine.minimum, self.min_cosine)
            missed += _below("mean cosine", found.cosine.mean, self.min_mean_cosine)
        if self.max_loss is not None:
            if found.correlation is None or found.correlation.loss is None:
                raise GateMisuse("--max-loss is of a correlation; pass --pairs and --reference")
            missed += _above("loss of correlation", found.correlation.loss, self.max_loss)
        return missed


def _below(what: str, value: float, limit: float | None) -> list[str]:
    return [f"{what} {value:.12g}, at least {limit} is asked for"] if limit is not None and value < limit else []


def _above(what: str, value: float, limit: float | None) -> list[str]:
    return [f"{what} {value:.12g}, at most {limit} is allowed"] if limit is not None and value > limit else []

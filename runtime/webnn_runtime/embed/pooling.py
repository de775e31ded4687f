"""From one vector per token to one vector per text.

The definitions are those of sentence-transformers. Each text is pooled over its own tokens only, so
the result cannot depend on how far the batch was padded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from webnn_runtime.format.errors import EmbedError
from webnn_runtime.format.records import dataclass

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["POOLING_MODES", "Pooling", "parse_modes"]

Floats: TypeAlias = "npt.NDArray[np.float32]"
Doubles: TypeAlias = "npt.NDArray[np.float64]"


def _cls(tokens: Floats, _first: int) -> Floats:
    first: Floats = tokens[0]
    return first


def _max(tokens: Floats, _first: int) -> Floats:
    largest: Floats = tokens.max(axis=0)
    return largest


def _mean(tokens: Floats, _first: int) -> Doubles:
    return _sum(tokens) / max(len(tokens), _SMALLEST_COUNT)


def _mean_sqrt_len(tokens: Floats, _first: int) -> Doubles:
    return _sum(tokens) / math.sqrt(max(len(tokens), _SMALLEST_COUNT))


def _weighted_mean(tokens: Floats, first: int) -> Doubles:
    # Tokens count by their position in the text, 1 for the first. A prompt that is left out
    # takes its positions with it: the remaining tokens keep the weights they had.
    weights = np.arange(first + 1, first + len(tokens) + 1, dtype=np.float64)
    total = max(float(weights.sum()), _SMALLEST_COUNT)
    return _sum(tokens * weights[:, None]) / total


def _last_token(tokens: Floats, _first: int) -> Floats:
    last: Floats = tokens[-1]
    return last


def _sum(tokens: npt.NDArray[np.floating]) -> Doubles:
    # float64, rounded once at the end: 512 float32 additions in a row would lose up to three digits.
    total: Doubles = np.add.reduce(tokens, axis=0, dtype=np.float64)
    return total


# sentence-transformers clamps the token count here; it shows only for a text without tokens.
_SMALLEST_COUNT: Final = 1e-9
_POOLERS: Final[Mapping[str, Callable[[Floats, int], Floats | Doubles]]] = MappingProxyType(
    {
        "cls": _cls,
        "max": _max,
        "mean": _mean,
        "mean_sqrt_len_tokens": _mean_sqrt_len,
        "weightedmean": _weighted_mean,
        "lasttoken": _last_token,
    }
)
# In the order in which older configurations concatenate the modes they switch on.
POOLING_MODES: Final = tuple(_POOLERS)
# These have a value for no tokens at all: zero, by the clamp above.
_DEFINED_ON_NOTHING: Final = frozenset({"mean", "mean_sqrt_len_tokens", "weightedmean"})


@dataclass(frozen=True, slots=True)
class Pooling:
    """Pooling modes, concatenated in order.

    Attributes:
        modes: names out of `POOLING_MODES`.
        include_prompt: whether the prompt's tokens count.
        dimension: size of a token's vector, None when no configuration states it.
    """

    modes: tuple[str, ...]
    include_prompt: bool = True
    dimension: int | None = None

    @property
    def of_whole_texts(self) -> str | None:
        """The mode, where it is the only one and all tokens of a text count."""
        return self.modes[0] if len(self.modes) == 1 and self.include_prompt else None

    def __call__(self, tokens: Floats, spans: Sequence[tuple[int, int]], prompt_length: int = 0) -> Floats:
        """Pool `tokens` [batch, length, hidden], where text i owns `tokens[i, start:stop]`.

        Raises:
            EmbedError: a text has no tokens and a mode needs at least one.
        """
        texts = [vectors[start:stop] for (start, stop), vectors in zip(spans, tokens, strict=True)]
        return self.of_texts(texts, tokens.shape[2], prompt_length)

    def of_texts(self, texts: Sequence[Floats], features: int, prompt_length: int = 0) -> Floats:
        """Pool each text's own tokens, [tokens, features].

        Raises:
            EmbedError: a text has no tokens and a mode needs at least one.
        """
        skipped = 0 if self.include_prompt else prompt_length
        rows = np.empty((len(texts), len(self.modes) * features), dtype=np.float32)
        for row, vectors in zip(rows, texts, strict=True):
            own = vectors[skipped:]
            if not len(own) and not _DEFINED_ON_NOTHING.issuperset(self.modes):
                raise EmbedError(
                    f"pooling '{'+'.join(self.modes)}' needs at least one token, and a text has none"
                    f"{' besides its prompt' if skipped else ''}; leave such texts out"
                )
            for at, mode in enumerate(self.modes):
                row[at * features : (at + 1) * features] = _POOLERS[mode](own, skipped)
        return rows


def parse_modes(modes: str | Iterable[str], *, where: str, error: type[EmbedError] = EmbedError) -> tuple[str, ...]:
    """One mode, several, or several joined by `+`.

    Raises:
        EmbedError: there is no such mode, or none at all; of the class that says whose mistake it is.
    """
    given: object = modes.split("+") if isinstance(modes, str) else modes
    names = tuple(given) if isinstance(given, Iterable) else (given,)
    unknown = [name for name in names if name not in POOLING_MODES]
    if unknown or not names:
        raise error(
            f"{where}: {f'no pooling mode {unknown[0]!r}' if unknown else 'no pooling mode is named'}; "
            f"the modes are {', '.join(POOLING_MODES)}"
        )
    return names

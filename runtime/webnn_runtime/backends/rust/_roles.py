"""What the values of a graph of texts are made of: nothing of a text, its places, its tokens, or the text as a whole.

A graph of texts has inputs [batch, length]. Run over texts that lie one after another, without padding, its batch is 1
where it counts rows of tokens and the number of texts where it counts texts; its length is all tokens, or the longest
text's where a value only knows places.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

from webnn_runtime.backends.rust._ranges import ANYTHING, Range
from webnn_runtime.format.dims import Dim, SymbolicDim, names_of, substitute, symbol

__all__ = ["LONGEST", "TEXTS", "TOKENS", "Axes", "Form", "Made", "Role"]

TOKENS: Final = symbol("tokens")
TEXTS: Final = symbol("texts")
LONGEST: Final = symbol("longest")


class Made(Enum):
    """What a value is made of, the later ones of the earlier ones too."""

    FIXED = "fixed"
    PLACE = "place"
    TOKEN = "token"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Role:
    """One value.

    Attributes:
        made: what it is made of. A PLACE is the same for all texts, and its part for the first n places is what n
            places alone give, where the attention mask is 1.
        axes: dimensions along the length; of a TOKEN exactly one.
        kept: range of its elements where no index is at padding.
        whole: range of all its elements.
        padded: for each of the axes, range of its elements whose index along it is at padding.
    """

    made: Made
    axes: tuple[int, ...] = ()
    kept: Range = ANYTHING
    whole: Range = ANYTHING
    padded: Mapping[int, Range] = field(default_factory=lambda: MappingProxyType({}))

    def at(self, axis: int) -> Range:
        """Range of the elements at padding along an axis, which need not be along the length."""
        return self.padded.get(axis, self.whole)


@dataclass(frozen=True, slots=True)
class Axes:
    """Which dimensions of a shape are the batch's and the length's.

    Attributes:
        has_batch: whether the first dimension counts texts.
        axes: dimensions along the length.
        is_flat: whether the first dimension is both.
    """

    has_batch: bool
    axes: tuple[int, ...]
    is_flat: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """The two names of a graph of texts.

    Attributes:
        batch: counts texts.
        length: counts places.
    """

    batch: str
    length: str

    def axes(self, shape: tuple[Dim, ...]) -> Axes | None:
        """Where the two are in a shape; None where one of them is in it otherwise."""
        batch, length = symbol(self.batch), symbol(self.length)
        found: list[int] = []
        has_batch = is_flat = False
        for axis, dim in enumerate(shape):
            if dim == length:
                found.append(axis)
            elif axis == 0 and dim == batch:
                has_batch = True
            elif axis == 0 and dim == batch * length:
                has_batch = is_flat = True
                found.append(axis)
            elif not names_of(dim).isdisjoint((self.batch, self.length)):
                return None
        if is_flat and len(found) > 1:
            return None
        return Axes(has_batch, tuple(found), is_flat)

    def packed(self, dim: Dim, made: Made) -> Dim:
        """A dimension as it is in a run over texts."""
        if not isinstance(dim, SymbolicDim):
            return dim
        return substitute(
            dim, {self.batch: TEXTS if made is Made.TEXT else 1, self.length: _LENGTHS.get(made, LONGEST)}
        )


_LENGTHS: Final = {Made.TOKEN: TOKENS}

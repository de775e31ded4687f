"""What the values of a graph of texts are made of: nothing of a text, its places, its tokens, or the text as a whole.

A graph of texts has inputs [batch, length]. Run over texts that lie one after another, without padding, its batch is 1
where it counts rows of tokens and the number of texts where it counts texts; its length is all tokens, or the longest
text's where a value only knows places.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from webnn_runtime.backends.rust._ranges import ANYTHING, Range, range_of_constant
from webnn_runtime.format.dims import Dim, SymbolicDim, names_of, substitute, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array
from webnn_runtime.format.records import dataclass, field

__all__ = ["COUNTING", "LONGEST", "TEXTS", "TOKENS", "Axes", "ConstantRole", "Form", "Made", "Role", "Says"]

TOKENS: Final = symbol("tokens")
TEXTS: Final = symbol("texts")
LONGEST: Final = symbol("longest")


class Made(Enum):
    """What a value is made of, the later ones of the earlier ones too."""

    FIXED = "fixed"
    PLACE = "place"
    TOKEN = "token"
    TEXT = "text"


# Types that count tokens exactly.
COUNTING: Final = (DataType.INT32, DataType.INT64, DataType.UINT32, DataType.UINT64, DataType.FLOAT32)


class Says(Enum):
    """What the elements of a value are, where a mask can be made of them.

    `place < length` is one, and so is `|place + -other place| < 9`.
    """

    PLACE = "the number of the place"
    NEGATED = "the number of the place, negated"
    LENGTH = "the number of tokens of the text"


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
        says: what its elements are, if that is known.
        same: where it has two axes, range of those of `kept` whose indices along both are equal, if that is known.
    """

    made: Made
    axes: tuple[int, ...] = ()
    kept: Range = ANYTHING
    whole: Range = ANYTHING
    padded: Mapping[int, Range] = field(default_factory=lambda: MappingProxyType({}))
    says: Says | None = None
    same: Range | None = None

    @property
    def each(self) -> Range:
        """A range with at least one element for every place, where no index is at padding."""
        return self.kept if self.same is None else self.same

    def at(self, axis: int) -> Range:
        """Range of the elements at padding along an axis, which need not be along the length."""
        return self.padded.get(axis, self.whole)


class ConstantRole(Role):
    """A constant, whose elements are looked through when their range is asked for: that of most weights never is."""

    __slots__ = ("_array", "_range")

    _array: Array
    _range: Range | None

    def __init__(self, array: Array) -> None:
        super().__init__(Made.FIXED)
        object.__setattr__(self, "_array", array)
        object.__setattr__(self, "_range", None)

    @property
    def whole(self) -> Range:
        if self._range is None:
            object.__setattr__(self, "_range", range_of_constant(self._array))
        assert self._range is not None
        return self._range

    @property
    def kept(self) -> Range:
        return self.whole

    def diagonal(self, axes: tuple[int, ...]) -> Range | None:
        """Range of the elements whose indices along two axes are equal."""
        return range_of_constant(self._array.diagonal(0, *axes)) if len(axes) == 2 else None


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


class Form:
    """The two names of a graph of texts: what counts texts, and what counts places.

    Answers are kept: a model asks for the same few shapes at every one of its steps, and loading should take no time.
    """

    def __init__(self, batch: str, length: str) -> None:
        self._batch = symbol(batch)
        self._length = symbol(length)
        self._both: Final = self._batch * self._length
        self._names: Final = (batch, length)
        self._axes: dict[tuple[Dim, ...], Axes | None] = {}
        self._packed: dict[tuple[SymbolicDim, Made], Dim] = {}

    def axes(self, shape: tuple[Dim, ...]) -> Axes | None:
        """Where the two are in a shape; None where one of them is in it otherwise."""
        if shape not in self._axes:
            self._axes[shape] = self._find(shape)
        return self._axes[shape]

    def packed(self, dim: Dim, made: Made) -> Dim:
        """A dimension as it is in a run over texts."""
        if not isinstance(dim, SymbolicDim):
            return dim
        if (dim, made) not in self._packed:
            texts: Dim = TEXTS if made is Made.TEXT else 1
            length = TOKENS if made is Made.TOKEN else LONGEST
            self._packed[dim, made] = substitute(dim, dict(zip(self._names, (texts, length), strict=True)))
        return self._packed[dim, made]

    def _find(self, shape: tuple[Dim, ...]) -> Axes | None:
        found: list[int] = []
        has_batch = is_flat = False
        for axis, dim in enumerate(shape):
            if dim == self._length:
                found.append(axis)
            elif axis == 0 and dim == self._batch:
                has_batch = True
            elif axis == 0 and dim == self._both:
                has_batch = is_flat = True
                found.append(axis)
            elif not names_of(dim).isdisjoint(self._names):
                return None
        if is_flat and len(found) > 1:
            return None
        return Axes(has_batch, tuple(found), is_flat)

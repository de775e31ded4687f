"""Kinds of operator options: each reads, checks and writes itself, so the parser knows no operator.

`read` takes what a file or a caller gives (JSON-like values, `SymbolicDim`, `DataType`) and returns the
one Python form a graph holds; it raises `ValueError` with a message that starts with what was found.
`fit` sees the operand types. `write` returns JSON-like values and `SymbolicDim`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, SupportsFloat, SupportsIndex

from webnn_runtime.format.dims import MAX_DIM, Dim, SymbolicDim
from webnn_runtime.format.dtypes import WEBNN_TYPES, DataType, nearest_float
from webnn_runtime.format.graph import OptionValue, TensorType
from webnn_runtime.format.records import dataclass

__all__ = [
    "Axes",
    "Axis",
    "Bool",
    "Choice",
    "Choices",
    "DType",
    "Dims",
    "Integer",
    "Kind",
    "Number",
    "Numbers",
    "Real",
    "Size",
    "Splits",
]

_SPECIAL = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}


class Kind:
    """Base of all option kinds."""

    __slots__ = ()

    def read(self, raw: object) -> OptionValue:
        """The graph's form of `raw`.

        Raises:
            ValueError: `raw` is not of this kind.
        """
        raise NotImplementedError

    def refuse_older(self, value: OptionValue) -> None:
        """Refuse what only older files may say, for values that `fit` would translate.

        Raises:
            ValueError: WebNN itself has no such value.
        """

    def fit(self, value: OptionValue, types: Sequence[TensorType | None]) -> OptionValue:  # noqa: ARG002  # for kinds that care
        """The value for these operands (`types[0]` is the first one).

        Raises:
            ValueError: the value does not fit them.
        """
        return value

    def write(self, value: OptionValue) -> Any:
        """What a file holds for `value`: JSON-like values and `SymbolicDim`."""
        return list(value) if isinstance(value, tuple) else value

    @property
    def doc(self) -> str:
        """How documentation names the kind."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Bool(Kind):
    """true or false; 0 and 1 of older files are read as such."""

    def read(self, raw: object) -> OptionValue:
        if isinstance(raw, bool) or (isinstance(raw, SupportsIndex) and raw.__index__() in (0, 1)):
            return bool(raw)
        raise ValueError(f"{raw!r} is not true or false")

    @property
    def doc(self) -> str:
        return "true | false"


@dataclass(frozen=True, slots=True)
class Integer(Kind):
    """An integer of at least `minimum` and at most `maximum`."""

    minimum: int | None = None
    maximum: int | None = None

    def read(self, raw: object) -> OptionValue:
        value = _integer(raw)
        if self.minimum is not None and value < self.minimum:
            raise ValueError(f"{value} is too small; at least {self.minimum}")
        if self.maximum is not None and value > self.maximum:
            raise ValueError(f"{value} is too large; at most {self.maximum}")
        return value

    @property
    def doc(self) -> str:
        if self.minimum is None or self.maximum is None:
            return "integer" if self.minimum is None else f"integer, at least {self.minimum}"
        return f"integer, {self.minimum} to {self.maximum}"


@dataclass(frozen=True, slots=True)
class Number(Kind):
    """An integer kept exactly, or a float; infinities and NaN as strings in files."""

    def read(self, raw: object) -> OptionValue:
        return _number(raw)

    def fit(self, value: OptionValue, types: Sequence[TensorType | None]) -> OptionValue:
        # One spelling per value: 0 and 0.0 mean the same to a float operand, NaN and 0 to an integer one.
        if not types or types[0] is None:
            return value
        if isinstance(value, int):
            return nearest_float(value) if types[0].dtype.is_float else value
        return 0 if isinstance(value, float) and math.isnan(value) and not types[0].dtype.is_float else value

    def write(self, value: OptionValue) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
        return value

    @property
    def doc(self) -> str:
        return "number of the operand's type"


@dataclass(frozen=True, slots=True)
class Real(Kind):
    """A finite number, kept as a float, of an operator that computes in floats.

    Attributes:
        minimum: smallest value, when there is one.
    """

    minimum: float | None = None

    def read(self, raw: object) -> OptionValue:
        value = nearest_float(_number(raw))
        if not math.isfinite(value):
            raise ValueError(f"{raw!r} is not finite")
        if self.minimum is not None and value < self.minimum:
            raise ValueError(f"{raw!r} is too small; at least {self.minimum}")
        return value

    @property
    def doc(self) -> str:
        return "number"


@dataclass(frozen=True, slots=True)
class Numbers(Kind):
    """A list of finite numbers, each above `above` where that is given."""

    length: int | None = None
    above: float | None = None

    def read(self, raw: object) -> OptionValue:
        values = tuple(nearest_float(_number(item)) for item in _items(raw, self.length))
        if not all(math.isfinite(value) for value in values):
            raise ValueError(f"{raw!r} holds a number that is not finite")
        if self.above is not None and not all(value > self.above for value in values):
            raise ValueError(f"{raw!r} holds a number that is too small; more than {self.above:g}")
        return values

    @property
    def doc(self) -> str:
        limit = "" if self.above is None else f" above {self.above:g}"
        return f"list of {self.length} numbers{limit}" if self.length else f"list of numbers{limit}"


@dataclass(frozen=True, slots=True)
class Axis(Kind):
    """One dimension of the first operand, counted from 0.

    WebNN has no negative axes. Existing files have ONNX's, counted from the end: they are read, and held
    and written as what they mean.
    """

    def read(self, raw: object) -> OptionValue:
        return _integer(raw)

    def refuse_older(self, value: OptionValue) -> None:
        if isinstance(value, int) and value < 0:
            raise ValueError(f"{value} is negative; count from 0")

    def fit(self, value: OptionValue, types: Sequence[TensorType | None]) -> OptionValue:
        return _axis(value, types)

    @property
    def doc(self) -> str:
        return "axis"


@dataclass(frozen=True, slots=True)
class Axes(Kind):
    """Distinct dimensions of the first operand, in the order given.

    Attributes:
        length: number of axes, when it is fixed.
        every: whether all dimensions must be named (a permutation).
    """

    length: int | None = None
    every: bool = False

    def read(self, raw: object) -> OptionValue:
        return tuple(_integer(item) for item in _items(raw, self.length))

    def refuse_older(self, value: OptionValue) -> None:
        if isinstance(value, tuple) and any(isinstance(axis, int) and axis < 0 for axis in value):
            raise ValueError(f"{list(value)} holds a negative axis; count from 0")

    def fit(self, value: OptionValue, types: Sequence[TensorType | None]) -> OptionValue:
        if not isinstance(value, tuple):
            return value
        axes = tuple(_axis(axis, types) for axis in value)
        if len(set(axes)) != len(axes):
            raise ValueError(f"{list(value)} names an axis twice")
        first = types[0] if types else None
        if self.every and first is not None and len(axes) != first.rank:
            raise ValueError(f"{list(value)} has {len(axes)} axes; {first} needs all {first.rank}")
        return axes

    @property
    def doc(self) -> str:
        if self.every:
            return "permutation of the axes"
        return "list of axes" if self.length is None else f"list of {self.length} axes"


@dataclass(frozen=True, slots=True)
class Dims(Kind):
    """A list of dimensions (shape, starts, sizes, padding, ...), each an integer or symbolic.

    Attributes:
        minimum: smallest integer allowed.
        length: number of items, when it is fixed.
        per_axis: whether there is one item per dimension of the first operand.
    """

    minimum: int = 1
    length: int | None = None
    per_axis: bool = False

    def read(self, raw: object) -> OptionValue:
        return tuple(_dim(item, self.minimum) for item in _items(raw, self.length))

    def fit(self, value: OptionValue, types: Sequence[TensorType | None]) -> OptionValue:
        first = types[0] if types else None
        if self.per_axis and first is not None and isinstance(value, tuple) and len(value) != first.rank:
            raise ValueError(f"{len(value)} values for {first}; give one for each of its {first.rank} dimensions")
        return value

    @property
    def doc(self) -> str:
        per = ", one per dimension of the first operand" if self.per_axis else ""
        count = "" if self.length is None else f"{self.length} "
        return f"list of {count}dimensions of at least {self.minimum}{per}"


@dataclass(frozen=True, slots=True)
class Size(Kind):
    """One dimension, a positive integer or symbolic."""

    def read(self, raw: object) -> OptionValue:
        return _dim(raw, 1)

    @property
    def doc(self) -> str:
        return "dimension"


@dataclass(frozen=True, slots=True)
class Splits(Kind):
    """Either the number of equal parts, or the size of each part."""

    def read(self, raw: object) -> OptionValue:
        if isinstance(raw, (list, tuple)):
            return Dims().read(raw)
        return Integer(1).read(raw)

    @property
    def doc(self) -> str:
        return "number of equal parts, or list of sizes"


@dataclass(frozen=True, slots=True)
class Choice(Kind):
    """One of a few words."""

    words: tuple[str, ...]

    def read(self, raw: object) -> OptionValue:
        if not isinstance(raw, str) or raw not in self.words:
            raise ValueError(f"{raw!r} is not one of {', '.join(self.words)}")
        return raw

    @property
    def doc(self) -> str:
        return " | ".join(self.words)


@dataclass(frozen=True, slots=True)
class Choices(Kind):
    """A list of words out of a few, of fixed length."""

    words: tuple[str, ...]
    length: int

    def read(self, raw: object) -> OptionValue:
        return tuple(str(Choice(self.words).read(item)) for item in _items(raw, self.length))

    @property
    def doc(self) -> str:
        return f"list of {self.length}: {' | '.join(self.words)}"


@dataclass(frozen=True, slots=True)
class DType(Kind):
    """A data type, in any of its spellings; one of `allowed`."""

    allowed: frozenset[DataType] = WEBNN_TYPES

    def read(self, raw: object) -> OptionValue:
        for dtype in DataType:
            if dtype in self.allowed and (
                raw is dtype or (isinstance(raw, str) and (raw.lower() == dtype.value or raw == dtype.text))
            ):
                return dtype
        words = ", ".join(dtype.value for dtype in DataType if dtype in self.allowed)
        raise ValueError(f"{raw.value if isinstance(raw, DataType) else repr(raw)} is not one of {words}")

    def write(self, value: OptionValue) -> Any:
        return value.value if isinstance(value, DataType) else value

    @property
    def doc(self) -> str:
        return " | ".join(dtype.value for dtype in DataType if dtype in self.allowed)


def _dim(raw: object, minimum: int) -> Dim:
    if isinstance(raw, SymbolicDim):
        return raw
    value = _integer(raw)
    if not minimum <= value <= MAX_DIM:
        raise ValueError(f"{value} is out of range; {minimum} to {MAX_DIM}")
    return value


def _integer(raw: object) -> int:
    # First the case of every file: the protocol below costs ten times as much.
    if type(raw) is int:
        return raw
    # bool is an int in Python, and numpy integers are not; JSON has no integer type, so 2.0 is refused here.
    if isinstance(raw, bool) or not isinstance(raw, SupportsIndex):
        raise ValueError(f"{raw!r} is not an integer")
    return int(raw.__index__())


def _number(raw: object) -> int | float:
    if isinstance(raw, str) and raw in _SPECIAL:
        return _SPECIAL[raw]
    if not isinstance(raw, bool) and isinstance(raw, SupportsIndex):
        return int(raw.__index__())
    if not isinstance(raw, bool) and isinstance(raw, SupportsFloat):
        return float(raw)
    raise ValueError(f"{raw!r} is not a number")


def _items(raw: object, length: int | None) -> Sequence[object]:
    if not isinstance(raw, (list, tuple)):
        raise ValueError(f"{raw!r} is not a list")
    if length is not None and len(raw) != length:
        raise ValueError(f"{list(raw)} has {len(raw)} items; {length} are needed")
    return raw


def _axis(value: object, types: Sequence[TensorType | None]) -> int:
    axis = _integer(value)
    first = types[0] if types else None
    if first is None:
        return axis
    if not -first.rank <= axis < first.rank:
        raise ValueError(f"{axis} is not an axis of {first}; it has rank {first.rank}")
    return axis % first.rank

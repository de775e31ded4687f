"""The shape of one row of the operator table.

A row says everything about an operator that any other part needs: operands with allowed and required
types and ranks, options with kinds and defaults, the shape and type rule, one line of documentation.
Nothing here computes numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import OptionValue, TensorType
from webnn_runtime.format.ops.kinds import Kind
from webnn_runtime.format.records import dataclass, field

__all__ = ["REQUIRED", "InferRule", "OpSpec", "Operand", "Operands", "Option", "Options", "Ranks", "snake_case"]


class _Required:
    """Marks an option without a default; distinct from None, which can be one."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = _Required()

# (inference context, one type or None per operand; a tuple of types for a variadic one, **options)
InferRule: TypeAlias = Callable[..., "TensorType | tuple[TensorType, ...]"]
Operands: TypeAlias = "Sequence[TensorType | None]"
Options: TypeAlias = "Mapping[str, OptionValue]"


@dataclass(frozen=True, slots=True)
class Ranks:
    """Inclusive range of ranks; `high` None means unlimited."""

    low: int = 0
    high: int | None = None

    def __contains__(self, rank: int) -> bool:
        return self.low <= rank and (self.high is None or rank <= self.high)

    def __str__(self) -> str:
        if self.high is None:
            return f"{self.low} or more"
        return str(self.low) if self.low == self.high else f"{self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Operand:
    """An operand or a result of an operator, with its limits.

    Attributes:
        name: as in `opSupportLimits()`.
        allowed: types the specification allows; None when `same_as` decides.
        required: types every implementation must support.
        ranks: ranks the specification allows.
        required_ranks: ranks every implementation must support.
        same_as: name of the operand whose type this one must share.
        optional: whether it may be absent (operand-valued options such as bias).
        variadic: whether it stands for one or more operands (concat).
        extra: types beyond the specification that files need (int4 and uint4 in quantised constants).
    """

    name: str
    allowed: frozenset[DataType] | None
    required: frozenset[DataType]
    ranks: Ranks = Ranks()
    required_ranks: Ranks = Ranks(0, 5)
    same_as: str | None = None
    optional: bool = False
    variadic: bool = False
    extra: frozenset[DataType] = frozenset()


@dataclass(frozen=True, slots=True)
class Option:
    """An option of an operator.

    Attributes:
        name: WebNN spelling, as files hold it.
        kind: how it is read, checked and written.
        default: value when absent; REQUIRED when it must be given. None means "absent is a value of its
            own" (a clamp without a bound); such options are left out of files.
        default_for: computes the default from the operand types and from the options before this one in
            canonical order, where it depends on them.
        default_text: says in words what `default_for` computes.
        older_default: what files of older writers mean when they leave the option out, where that differs.
        aliases: other spellings that readers accept.
        positional: 0 for a member of the options dictionary; n for the n-th argument after the operands
            of the WebNN method (softmax axis, slice starts and sizes, ...).
    """

    name: str
    kind: Kind
    default: OptionValue | _Required = REQUIRED
    default_for: Callable[[Operands, Options], OptionValue] | None = None
    default_text: str = ""
    older_default: Callable[[Operands, Options], OptionValue] | None = None
    aliases: tuple[str, ...] = ()
    positional: int = 0

    def __post_init__(self) -> None:
        if (self.default_for is None) != (self.default_text == ""):
            raise ValueError(f"option {self.name}: a computed default needs a text, and only such a one")

    @property
    def is_required(self) -> bool:
        """Whether the option must be given."""
        return self.default is REQUIRED and self.default_for is None

    def value_when_absent(self, types: Operands, options: Options, *, older: bool) -> OptionValue:
        """The default for operands of these types, after the options that precede it.

        With `older`, what a file of an older writer means.

        Raises:
            ValueError: the option is required.
        """
        compute = (self.older_default if older else None) or self.default_for
        if compute is not None:
            return compute(types, options)
        if isinstance(self.default, _Required):
            raise ValueError("must be given")
        return self.default


@dataclass(frozen=True, slots=True)
class OpSpec:
    """One WebNN operator.

    Attributes:
        name: WebNN spelling.
        operands: in the order of the wire format; optional ones after required ones.
        options: in canonical (alphabetical) order.
        results: one entry per result; a variadic entry for `split`.
        infer: shape and type rule.
        doc: one line saying what it computes.
        family: name of the file that holds the operator in every layer.
        refused: option names seen in existing files whose meaning is another one -> what is right.
        restated: options of existing files that repeat the result's shape: compared with it, not kept.
    """

    name: str
    operands: tuple[Operand, ...]
    options: tuple[Option, ...]
    results: tuple[Operand, ...]
    infer: InferRule
    doc: str
    family: str
    refused: Mapping[str, str] = field(default_factory=dict)
    restated: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        names = [operand.name for operand in self.operands] + [option.name for option in self.options]
        names += [alias for option in self.options for alias in option.aliases]
        names += [*self.refused, *self.restated]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name}: an operand or option name occurs twice")
        if list(self.options) != sorted(self.options, key=lambda option: option.name):
            raise ValueError(f"{self.name}: options are not in alphabetical order")

    def option(self, name: str) -> Option | None:
        """The option called `name` in the canonical spelling or an accepted other one."""
        for option in self.options:
            if name == option.name or name in option.aliases:
                return option
        return None

    def operand(self, name: str) -> Operand | None:
        """The operand called `name`."""
        return next((operand for operand in self.operands if operand.name == name), None)

    @property
    def is_variadic(self) -> bool:
        """Whether the single operand entry stands for any number of operands."""
        return len(self.operands) == 1 and self.operands[0].variadic


def snake_case(name: str) -> str:
    """Python spelling of a WebNN name: `keepDimensions` -> `keep_dimensions`, `isNaN` -> `is_nan`.

    A run of capitals is one word; a digit belongs to the word before it (`reduceL2` -> `reduce_l2`).
    """
    words: list[str] = []
    name = name.replace("NaN", "Nan")  # one word, not two
    for index, char in enumerate(name):
        starts_word = (
            char.isupper()
            and index
            and (not name[index - 1].isupper() or (index + 1 < len(name) and name[index + 1].islower()))
        )
        if starts_word:
            words.append("_")
        words.append(char.lower())
    return "".join(words)


def keywords(options: dict[str, OptionValue]) -> dict[str, Any]:
    """Options as Python keyword arguments for a shape rule or a kernel."""
    return {snake_case(name): value for name, value in options.items()}

"""Our dataclasses against the standard library's: the same classes, declared by both."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from abc import ABC, abstractmethod
from typing import Any

import pytest

from webnn_runtime.format import records
from webnn_runtime.format.dims import symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import TensorType


def declare(maker: Any) -> dict[str, type]:
    """One set of classes, made by `records` or by `dataclasses`."""
    dataclass, field = maker.dataclass, maker.field

    @dataclass(frozen=True, slots=True)
    class Point:
        """Two numbers."""

        x: int
        y: float = 0.5

        @property
        def total(self) -> float:
            return self.x + self.y

    @dataclass(frozen=True, slots=True)
    class Point3(Point):
        z: int = 3
        y: float = 7.0

    @dataclass(frozen=True, slots=True)
    class Tagged:
        name: str
        tags: dict[str, int] = field(default_factory=dict)
        hidden: int = field(default=1, repr=False, compare=False)
        made: int = field(init=False, repr=False, compare=False)

        def __post_init__(self) -> None:
            if not self.name:
                raise ValueError("a name is needed")
            object.__setattr__(self, "made", len(self.name))

    @dataclass(frozen=True, slots=True, eq=False)
    class Identity:
        x: int

    @dataclass(slots=True)
    class Loose:
        items: list[int] = field(default_factory=list)

    @dataclass(frozen=True, slots=True)
    class Empty:
        pass

    @dataclass(frozen=True, slots=True)
    class OwnMethods:
        x: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, OwnMethods)

        def __hash__(self) -> int:
            return 5

        def __repr__(self) -> str:
            return "own"

    class Base(ABC):
        __slots__ = ()

        @abstractmethod
        def read(self) -> int: ...

    @dataclass(frozen=True, slots=True)
    class Derived(Base):
        x: int

        def read(self) -> int:
            return self.x

    known = (Point, Point3, Tagged, Identity, Loose, Empty, OwnMethods, Derived)
    return {each.__name__: each for each in known}


OURS = declare(records)
THEIRS = declare(dataclasses)

CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("Point", (1,), {}),
    ("Point", (1, 2.0), {}),
    ("Point", (), {"y": 3.0, "x": 2}),
    ("Point", (), {}),
    ("Point", (1, 2, 3), {}),
    ("Point", (1,), {"x": 1}),
    ("Point", (1,), {"z": 1}),
    ("Point3", (1,), {}),
    ("Point3", (1, 2.0, 4), {}),
    ("Tagged", ("a",), {}),
    ("Tagged", ("a", {"b": 1}), {"hidden": 9}),
    ("Tagged", ("",), {}),
    ("Identity", (1,), {}),
    ("Loose", ([1],), {}),
    ("Empty", (), {}),
    ("OwnMethods", (1,), {}),
    ("Derived", (4,), {}),
]


def outcome(make: Any) -> Any:
    try:
        return make()
    except (TypeError, ValueError, AttributeError) as exc:
        return type(exc), str(exc)


@pytest.mark.parametrize(("name", "given", "named"), CALLS, ids=repr)
def test_an_instance_is_what_the_standard_decorator_makes(
    name: str, given: tuple[Any, ...], named: dict[str, Any]
) -> None:
    ours, theirs = (outcome(lambda each=each: each[name](*given, **named)) for each in (OURS, THEIRS))
    if isinstance(theirs, tuple):
        assert ours == theirs
        return
    fields = [each.name for each in dataclasses.fields(theirs)]
    assert [each.name for each in dataclasses.fields(ours)] == fields
    assert [getattr(ours, each) for each in fields] == [getattr(theirs, each) for each in fields]
    if name != "Identity":
        assert repr(ours) == repr(theirs)
    assert ours.__match_args__ == theirs.__match_args__
    assert outcome(lambda: dataclasses.asdict(ours)) == outcome(lambda: dataclasses.asdict(theirs))
    # None where instances cannot be hashed, as in the other.
    assert (type(ours).__hash__ is None) == (type(theirs).__hash__ is None)
    assert [str(each) for each in inspect.signature(OURS[name]).parameters] == [
        str(each) for each in inspect.signature(THEIRS[name]).parameters
    ]


def test_equal_means_equal_fields_of_one_class() -> None:
    point = OURS["Point"]
    assert point(1) == point(1, 0.5)
    assert point(1) != point(2)
    assert point(1) != OURS["Point3"](1, 0.5)
    assert hash(point(1)) == hash(point(1, 0.5))
    assert point(1) != (1, 0.5)
    assert OURS["Empty"]() == OURS["Empty"]()
    assert OURS["Identity"](1) != OURS["Identity"](1)
    assert OURS["Tagged"]("a", hidden=1) == OURS["Tagged"]("a", hidden=2)
    # As in tuples, what is the same object is equal.
    assert OURS["Derived"](nan := float("nan")) == OURS["Derived"](nan)


@pytest.mark.parametrize("attribute", ["x", "unknown"])
def test_a_frozen_instance_refuses_changes(attribute: str) -> None:
    point = OURS["Point"](1)
    with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot assign to field '{attribute}'"):
        setattr(point, attribute, 2)
    with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot delete field '{attribute}'"):
        delattr(point, attribute)


def test_an_instance_that_is_not_frozen_takes_its_own_fields_only() -> None:
    loose, other = OURS["Loose"](), OURS["Loose"]()
    loose.items = [2]
    assert (loose.items, other.items) == ([2], [])
    with pytest.raises(AttributeError):
        loose.unknown = 1


def test_replace_makes_and_checks_another_one() -> None:
    tagged = OURS["Tagged"]("a", {"b": 1}, 7)
    for replace in (records.replace, dataclasses.replace):
        other = replace(tagged, name="long")
        assert (other.name, other.tags, other.hidden, other.made) == ("long", {"b": 1}, 7, 4)
        with pytest.raises(ValueError, match="a name is needed"):
            replace(tagged, name="")
        with pytest.raises(TypeError):
            replace(tagged, unknown=1)


def test_an_instance_can_be_copied_and_sent() -> None:
    kind = TensorType(DataType.FLOAT32, (symbol("batch") * 2, 384))
    for other in (pickle.loads(pickle.dumps(kind)), copy.copy(kind), copy.deepcopy(kind)):
        assert other == kind
        assert hash(other) == hash(kind)


def test_the_class_keeps_its_names() -> None:
    assert TensorType.__qualname__ == "TensorType"
    assert TensorType.__module__ == "webnn_runtime.format.graph"
    assert TensorType.__init__.__qualname__ == "TensorType.__init__"
    assert OURS["Point"].__doc__ == "Two numbers."
    assert dataclasses.is_dataclass(TensorType)
    match TensorType(DataType.INT8, (3,)):
        case TensorType(dtype, (size,)):
            assert (dtype, size) == (DataType.INT8, 3)

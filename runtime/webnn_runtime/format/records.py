"""Dataclasses that cost little to define, for everything between a fresh process and its first answer.

The standard decorator compiles six methods of each class from source and makes each class with slots twice: 0.5 ms,
more than the rest of a module of ours. Here nothing is compiled for one class alone, which leaves 0.02 ms. Type
checkers see the standard decorator; `dataclasses.fields`, `replace` and `asdict` know these classes too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

__all__ = ["dataclass", "field", "replace"]

if TYPE_CHECKING:
    from dataclasses import dataclass, field, replace
else:
    from functools import cache
    from operator import attrgetter
    from types import FunctionType

    _MISSING: Final = object()

    class _Field:
        """What is known of a field before there are instances; as in `dataclasses.field`."""

        __slots__ = ("compare", "default", "default_factory", "init", "repr")

        def __init__(self, default, default_factory, init, repr, compare):
            self.default = default
            self.default_factory = default_factory
            self.init = init
            self.repr = repr
            self.compare = compare

    def field(*, default=_MISSING, default_factory=_MISSING, init=True, repr=True, compare=True):
        """As `dataclasses.field`."""
        return _Field(default, default_factory, init, repr, compare)

    def replace(record, /, **changes):
        """As `dataclasses.replace`."""
        for name, known in record.__record_fields__.items():
            if known.init:
                changes.setdefault(name, getattr(record, name))
        return record.__class__(**changes)

    def dataclass(*, frozen=False, slots=False, eq=True):
        """As `dataclasses.dataclass`, of which the forms with slots are there."""
        if not slots:
            raise TypeError("dataclass: there are only classes with slots=True")

        def decorate(cls):
            fields = {}
            for base in reversed(cls.__mro__[1:]):
                fields |= base.__dict__.get("__record_fields__", {})
            body = dict(cls.__dict__)
            own = tuple(name for name in cls.__annotations__ if name not in fields)
            for name in cls.__annotations__:
                given = body.pop(name, _MISSING)
                fields[name] = given if isinstance(given, _Field) else _Field(given, _MISSING, True, True, True)
            body.pop("__weakref__", None)
            body.pop("__dict__", None)
            body |= {
                "__slots__": own,
                "__record_fields__": fields,
                "__dataclass_fields__": _StandardFields(),
                "__match_args__": tuple(name for name, known in fields.items() if known.init),
                "__getstate__": _get_state,
                "__setstate__": _set_state,
            }
            body.setdefault("__repr__", _repr)
            if eq:
                equal, hash_of = _comparisons([name for name, known in fields.items() if known.compare])
                has_own_hash = body.get("__hash__") is not None
                body.setdefault("__eq__", equal)
                if not has_own_hash:
                    body["__hash__"] = hash_of if frozen else None
            if frozen:
                body |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
            made = type(cls)(cls.__name__, cls.__bases__, body)
            made.__qualname__ = cls.__qualname__
            made.__init__ = _initialiser(made, fields)
            return made

        return decorate

    def _initialiser(cls, fields):
        """`__init__`: code shared with all classes of as many fields, under this one's names.

        Slots are set by their descriptors, frozen or not, which is faster than by name.
        """
        given = {name: each for name, each in fields.items() if each.init}
        values, defaults = {}, []
        for number, (name, each) in enumerate(given.items()):
            has_factory = each.default_factory is not _MISSING
            setter = getattr(cls, name).__set__
            values[f"set{number}"] = _or_made(setter, each.default_factory) if has_factory else setter
            if has_factory or each.default is not _MISSING:
                defaults.append(each.default)
        code = _shared_code(len(given), hasattr(cls, "__post_init__"))
        made = FunctionType(code.replace(co_varnames=("self", *given)), values, "__init__", tuple(defaults))
        made.__qualname__ = f"{cls.__qualname__}.__init__"
        made.__module__ = cls.__module__
        return made

    @cache
    def _shared_code(count, has_post_init):
        """`__init__` with numbers for names."""
        lines = [f" set{number}(self, value{number})" for number in range(count)]
        if has_post_init:
            lines.append(" self.__post_init__()")
        parameters = ", ".join(["self", *(f"value{number}" for number in range(count))])
        known = {}
        exec(f"def __init__({parameters}):\n" + ("\n".join(lines) or " pass"), known)
        return known["__init__"].__code__

    def _or_made(setter, make):
        """Sets what is made where nothing is given."""
        return lambda record, value: setter(record, make() if value is _MISSING else value)

    def _comparisons(names):
        """`__eq__` and `__hash__` over these fields."""
        if len(names) > 1:
            key = attrgetter(*names)
        else:

            def key(record):
                return tuple(getattr(record, name) for name in names)

        def __eq__(self, other):
            if other is self:
                return True
            return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

        def __hash__(self):
            return hash(key(self))

        return __eq__, __hash__

    def _repr(self):
        shown = (f"{name}={getattr(self, name)!r}" for name, each in self.__record_fields__.items() if each.repr)
        return f"{self.__class__.__qualname__}({', '.join(shown)})"

    def _get_state(self):
        return [getattr(self, name) for name in self.__record_fields__]

    def _set_state(self, state):
        for name, value in zip(self.__record_fields__, state, strict=True):
            object.__setattr__(self, name, value)

    def _refuse_to_set(_record, name, _value):
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def _refuse_to_delete(_record, name):
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    class _StandardFields:
        """`__dataclass_fields__`, made when somebody asks: it is what `dataclasses` knows its classes by."""

        def __get__(self, record, cls):
            import dataclasses

            def standard(each):
                given = {"default": each.default, "default_factory": each.default_factory}
                given = {what: value for what, value in given.items() if value is not _MISSING}
                return dataclasses.field(init=each.init, repr=each.repr, compare=each.compare, **given)

            fields = [(name, Any, standard(each)) for name, each in cls.__record_fields__.items()]
            return dataclasses.make_dataclass(cls.__name__, fields).__dataclass_fields__

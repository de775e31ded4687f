"""What embedders and classifiers have in common as objects: they are not copied, and know their attributes.

An attribute that is set under a mistyped name would change nothing, without a sign of it.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from webnn_runtime.hub import ModelFolder

__all__ = ["Opened", "may_be_set"]


class Opened:
    """A model that was opened; classes that users derive from ours may have attributes of their own."""

    if TYPE_CHECKING:

        @property
        def _source(self) -> ModelFolder: ...

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(
            f"{name}: holds threads and mapped files, which cannot be copied or pickled; one of them serves many "
            f"threads, and another process opens its own: {name}({self._source.source!r})"
        )

    # Type checkers would take any name for an attribute if they saw these.
    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            if name[0] != "_" and not may_be_set(type(self), name):
                from webnn_runtime.embed.foreign import refuse_attribute

                raise refuse_attribute(type(self), name, is_set=True)
            object.__setattr__(self, name, value)

        def __getattr__(self, name: str) -> Any:
            # Only what is not there comes here, or a property that failed, whose own error is to be seen.
            if name[0] == "_" or hasattr(type(self), name):
                return object.__getattribute__(self, name)
            from webnn_runtime.embed.foreign import refuse_attribute

            raise refuse_attribute(type(self), name, is_set=False)


def may_be_set(owner: type, name: str) -> bool:
    """Whether objects of a class take this attribute from outside."""
    found = getattr(owner, name, None)
    if found is None:
        return not owner.__module__.startswith("webnn_runtime.")
    if isinstance(found, property):
        return found.fset is not None
    # A method may be replaced, as tests do.
    return not isinstance(found, cached_property)

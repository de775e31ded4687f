"""The operator methods of a builder: one per row of the operator table, in both spellings.

Every method takes the operands the specification makes positional, then its positional arguments
(softmax axis, reshape newShape, ...), then options as keywords or as one dictionary:

    builder.softmax(x, 1)
    builder.layerNormalization(x, {"axes": [2], "epsilon": 1e-12, "label": "ln"})
    builder.layer_normalization(x, axes=[2], epsilon=1e-12, label="ln")

Options may also follow by position in the order of pywebnn, see `pywebnn`. `operators.pyi` beside this file is
generated from the same rows (`make docs`) and tells editors the signatures.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from webnn_runtime.api.errors import MLTypeError
from webnn_runtime.api.pywebnn import ORDERS
from webnn_runtime.format.ops import OPS, OpSpec, snake_case

__all__ = ["Operators", "gather_arguments", "positional_names"]


class Operators:
    """Base of `MLGraphBuilder`: turns a method call into operands and options, and hands them on."""

    def add_node(self, spec: OpSpec, given: dict[str, object]) -> Any:
        """Add one node; `given` has operands, options and label under their WebNN names."""
        raise NotImplementedError


def positional_names(spec: OpSpec) -> list[str]:
    """Parameters in the order of the specification's method: operands, then positional arguments."""
    names = [row.name for row in spec.operands if not row.optional]
    positional = [option for option in spec.options if option.positional]
    return names + [option.name for option in sorted(positional, key=lambda option: option.positional)]


def gather_arguments(spec: OpSpec, arguments: tuple[object, ...], keywords: dict[str, object]) -> dict[str, object]:
    """One dictionary of operands and options in WebNN spelling from all the ways to pass them."""
    order = positional_names(spec)
    options: Mapping[str, object] = {}
    if len(arguments) == len(order) + 1 and isinstance(arguments[-1], Mapping):
        *rest, options = arguments
        arguments = tuple(rest)
    elif len(arguments) > len(order):
        names = ORDERS.get(spec.name, ())
        if len(arguments) > len(names):
            raise MLTypeError(f"{spec.name} takes {', '.join(order)} and options; {len(arguments)} arguments are given")
        keywords = {**dict(zip(names[len(order) :], arguments[len(order) :], strict=False)), **keywords}
        arguments = arguments[: len(order)]
    given: dict[str, object] = dict(zip(order, arguments, strict=False))
    spellings = {snake_case(name): name for name in _all_names(spec)}
    for key, value in [*options.items(), *keywords.items()]:
        name = spellings.get(key, key)
        if name in given:
            raise MLTypeError(f"{spec.name}: '{key}' is given twice")
        given[name] = value
    missing = [name for name in order if name not in given]
    if missing:
        raise MLTypeError(f"{spec.name} lacks {', '.join(missing)}")
    return given


def _all_names(spec: OpSpec) -> list[str]:
    return [row.name for row in spec.operands] + [option.name for option in spec.options]


def _method(spec: OpSpec, name: str) -> Callable[..., Any]:
    def method(self: Operators, *arguments: object, **keywords: object) -> Any:
        return self.add_node(spec, gather_arguments(spec, arguments, keywords))

    method.__name__ = name
    method.__qualname__ = f"MLGraphBuilder.{name}"
    method.__doc__ = (
        f"{spec.doc}\n\nRaises:\n    MLTypeError: an operand or option that `{spec.name}` does not allow.\n"
    )
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)]
    order = positional_names(spec)
    parameters += [inspect.Parameter(key, inspect.Parameter.POSITIONAL_OR_KEYWORD) for key in order]
    rest = [key for key in _all_names(spec) if key not in order]
    parameters += [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None) for key in (*rest, "label")]
    method.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # functions take it
    return method


for _spec in OPS.values():
    for _name in {_spec.name, snake_case(_spec.name)}:
        # `where`, `max`, `abs`, ... are fine as attributes; nothing here is a Python keyword.
        setattr(Operators, _name, _method(_spec, _name))
del _spec, _name
# pywebnn's name of it.
Operators.where_ = Operators.where  # type: ignore[attr-defined]  # made above

"""Dimensions: integers, named dimensions, and integer expressions of those.

A `Dim` is an `int` or a `SymbolicDim`. A symbolic dimension is a polynomial with integer coefficients
over *atoms*: names, floor quotients, and minima or maxima of two dimensions. It is kept in one canonical
form, so `==` means "equal for all values of the names" wherever a polynomial identity can show it. An
expression without names is always an `int`, never a constant polynomial.

Names are plain identifiers here; the range of a name is a fact of the graph (`Graph.dims`), so that a
maximum learned late changes no expression.
"""

from __future__ import annotations

from webnn_runtime.format.dims._expression import (
    MAX_DIM,
    MAX_RANK,
    Dim,
    SymbolicDim,
    ceil_div,
    names_of,
    product,
    rebuild,
    symbol,
)
from webnn_runtime.format.dims._ranges import (
    DynamicDim,
    bounds,
    dim_max,
    dim_min,
    evaluate,
    is_at_least,
    is_equal,
    simplest_sides,
    substitute,
)
from webnn_runtime.format.dims._text import parse_dim

__all__ = [
    "MAX_DIM",
    "MAX_RANK",
    "Dim",
    "DynamicDim",
    "SymbolicDim",
    "bounds",
    "ceil_div",
    "dim_max",
    "dim_min",
    "evaluate",
    "is_at_least",
    "is_equal",
    "names_of",
    "parse_dim",
    "product",
    "rebuild",
    "simplest_sides",
    "substitute",
    "symbol",
]

"""Sizes that are one by the meaning of an operator, and that its definition by others does not compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from webnn_translator.context import Context
from webnn_translator.ops.layout import held_to
from webnn_translator.tensor import Tensor

__all__ = ["FITTED"]


def _attention(ctx: Context, inputs: Sequence[Tensor | None]) -> list[Tensor | None]:
    """The batch is that of the queries, and there are as many values as keys.

    The definition gives keys and values of three dimensions those sizes by a Reshape, which leaves what else there is
    to the width of a head.
    """
    query, key, value, *others = inputs
    if query is None or key is None or value is None or not query.rank == key.rank == value.rank == 3:
        return [*inputs]
    key = held_to(ctx, key, (query.shape[0], *key.shape[1:]))
    value = held_to(ctx, value, (*key.shape[:2], value.shape[2]))
    return [query, key, value, *others]


FITTED: Final[dict[str, Callable[[Context, Sequence[Tensor | None]], list[Tensor | None]]]] = {"Attention": _attention}

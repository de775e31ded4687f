"""The arrays that weights are packed from, for as long as the engine's threads read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from webnn_runtime.format.graph import Array
from webnn_runtime.format.weights import let_go

if TYPE_CHECKING:
    from webnn_kernels import Plan

__all__ = ["Originals"]


class Originals:
    """Kept until they are packed, which may go on while the caller reads a tokenizer or runs for the first time."""

    def __init__(self, arrays: Iterable[Array], plans: Iterable[Plan]) -> None:
        self._arrays = tuple(arrays)
        self._plans = tuple(plans)
        self.let_go()

    def let_go(self) -> None:
        """Give them up, and the pages of their file, if all are packed."""
        if self._arrays and all(plan.has_taken() for plan in self._plans):
            let_go(*self._arrays)
            self._arrays = ()

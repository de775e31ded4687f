"""What can go wrong in a benchmark."""

from __future__ import annotations

from webnn_runtime.format.errors import WebnnError

__all__ = ["BenchError", "WrongAnswer"]


class BenchError(WebnnError):
    """A benchmark that cannot be run as asked; the message says what is missing."""


class WrongAnswer(WebnnError):
    """Contenders disagree about the answer, so how fast they are means nothing."""

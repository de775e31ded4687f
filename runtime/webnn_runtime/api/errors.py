"""The exceptions the specification names, as Python classes of our tree.

`MLTypeError` is a real `TypeError`; the others are DOMException names. All derive from `WebnnError`.
"""

from __future__ import annotations

import re
from typing import Final

from webnn_runtime.format.errors import WebnnError

__all__ = [
    "InvalidStateError",
    "MLTypeError",
    "NotSupportedError",
    "OperationError",
    "UnknownError",
    "with_label",
]


class MLTypeError(WebnnError, TypeError):
    """An argument that the specification does not allow."""


class InvalidStateError(WebnnError):
    """A context, builder, graph or tensor that is lost, spent or destroyed."""


class NotSupportedError(WebnnError):
    """A kind of context that cannot be had here."""


class OperationError(WebnnError):
    """The backend failed while it built or ran a graph."""


class UnknownError(WebnnError):
    """A resource could not be allocated."""


# Control and bidirectional characters could make a message show something it does not say.
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def with_label(message: str, label: str) -> str:
    """`[label] message`, with unprintable characters of the label replaced; the message alone without one."""
    return f"[{_UNPRINTABLE.sub('?', label)}] {message}" if label else message

"""What stops a native run, as errors of this package."""

from __future__ import annotations

from typing import Final

from webnn_runtime.format.errors import ExecutionError, ShapeError, WebnnError

__all__ = ["NAME", "NATIVE", "refused"]

NAME: Final = "rust"
# What the engine raises.
NATIVE: Final = (ValueError, RuntimeError, MemoryError, IndexError)


def refused(error: Exception) -> WebnnError:
    """One of `NATIVE` as inputs of a size that an operator has no answer for (an `IndexError`), or as anything else."""
    if isinstance(error, IndexError):
        return ShapeError(f"{error}; give it at least one")
    return ExecutionError(str(error), backend=NAME)

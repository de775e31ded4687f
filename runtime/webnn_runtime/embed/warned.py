"""Warnings that point to the line of a user's program, however many calls of ours are in between."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn_caller"]


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warn at the nearest line that is not ours."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("webnn_runtime."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)

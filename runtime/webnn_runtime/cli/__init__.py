"""The command `webnn`: look at a bundle, check it, run it. Knows everything, and nothing knows it."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point; importing and listing the commands takes a moment, in which one may press Ctrl-C too."""
    try:
        from webnn_runtime.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)

"""The command `webnn-convert`. Knows everything, and nothing knows it."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point; what the command needs takes half a second to import, in which one may press Ctrl-C too."""
    try:
        from webnn_translator.cli.convert import main as convert

        convert()
    except KeyboardInterrupt:
        sys.exit(130)

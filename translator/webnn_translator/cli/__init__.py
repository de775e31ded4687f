"""The command `webnn-convert`. Knows everything, and nothing knows it."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point; importing what the command needs takes half a second, in which one may press Ctrl-C too."""
    try:
        from webnn_translator.cli.convert import main as convert
    except KeyboardInterrupt:
        sys.exit(130)
    convert()

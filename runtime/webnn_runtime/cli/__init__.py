"""The command `webnn`: look at a bundle, check it, run it. Knows everything, and nothing knows it."""

from webnn_runtime.cli.app import main

__all__ = ["main"]

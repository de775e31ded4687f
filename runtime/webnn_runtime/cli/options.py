"""Options that several commands share, so that they are called and explained alike."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

__all__ = ["AsJson", "BackendName", "BundlePath", "Quiet", "Threads"]

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Print the answer and nothing else.")]
BackendName: TypeAlias = Annotated[str, typer.Option("--backend", help="auto, rust, onnxruntime or numpy.")]
BundlePath: TypeAlias = Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, or its .webnn file.")]
Threads: TypeAlias = Annotated[
    int | None, typer.Option("--threads", min=1, help="Threads to use; by default what the process may use.")
]

"""Options that several commands share, so that they are called and explained alike."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from webnn_runtime.cli.exits import Misuse

__all__ = [
    "AsJson",
    "BackendName",
    "BundlePath",
    "DimSizes",
    "MaxDimSizes",
    "MinDimSizes",
    "Quiet",
    "Threads",
    "sizes_of",
]

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Print the answer and nothing else.")]
BackendName: TypeAlias = Annotated[str, typer.Option("--backend", help="auto, rust, onnxruntime or numpy.")]
BundlePath: TypeAlias = Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, or its .webnn file.")]
Threads: TypeAlias = Annotated[
    int | None, typer.Option("--threads", min=1, help="Threads to use; by default what the process may use.")
]
DimSizes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--dim", "--override-dim", metavar="NAME=VALUE", help="Bind a named dimension; repeatable."),
]
MaxDimSizes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--max-dim", metavar="NAME=VALUE", help="Largest value of a named dimension; repeatable."),
]
MinDimSizes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--min-dim",
        metavar="NAME=VALUE",
        help="Smallest value of a named dimension, by default 1: 0 for a cache that may be empty; repeatable.",
    ),
]


def sizes_of(flag: str, given: list[str] | None) -> dict[str, int]:
    """What `--dim NAME=VALUE` and its like say.

    Raises:
        Misuse: one that is not of this form, or a name that is given twice.
    """
    sizes: dict[str, int] = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        if not name or not equals or not value.isascii() or not value.isdigit():
            raise Misuse(f"{flag} {text}: write it as {flag} NAME=VALUE, for example {flag} sequence_length=128")
        if sizes.setdefault(name, int(value)) != int(value):
            raise Misuse(f"{flag} {name} is given twice, as {sizes[name]} and {value}; pass it once")
    return sizes

"""`webnn pack`: packed weights in a file beside a bundle, for processes that share them."""

from __future__ import annotations

from typing import Annotated

import typer

from webnn_runtime.cli.bundles import find_bundle
from webnn_runtime.cli.exits import Misuse
from webnn_runtime.cli.options import AsJson, Quiet
from webnn_runtime.cli.report import reporting

__all__ = ["pack"]


def pack(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, or its .webnn file.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a bundle's weights as the rust backend packs them, for this CPU's instruction set.

    Processes that load the bundle then share them, and start without packing. Do it where the bundle is used: a copy
    needs its own file, unless it keeps the times of files. Without one that fits, each process packs for itself.
    """
    with reporting("pack", as_json=as_json, quiet=quiet) as report:
        from webnn_runtime.backends.rust.packed_writing import write_packed
        from webnn_runtime.format.bundle import load_bundle
        from webnn_runtime.model import stated_arithmetic

        found = find_bundle(bundle)
        if found.repository is not None:
            raise Misuse(f"{bundle}: lies in the Hub's cache, where nothing is written; pack a copy of {found.folder}")
        loaded = load_bundle(found.path)
        with report.progress("packing") as progress:
            written = write_packed(loaded, stated_arithmetic(loaded.manifest), progress)
        report.data.update(
            file=written.path,
            isa=written.isa,
            bytes=written.size,
            inFile=written.in_file,
            inMemory=written.in_memory,
        )
        report.detail(f"weights of {written.in_file} linear layers for {written.isa}, {written.size / 1e6:.1f} MB")
        if written.in_memory:
            report.note(f"{written.in_memory} more are computed from other weights, and packed by each process")
        report.result(f"{written.path}: written")

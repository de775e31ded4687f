"""`webnn quantize`: a bundle in float32 becomes a smaller one, and what that costs is measured."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from webnn_runtime.cli.bundles import FoundBundle, find_bundle
from webnn_runtime.cli.options import AsJson, Quiet
from webnn_runtime.cli.quantize_options import (
    KIND_HELP,
    BlockSize,
    Calibrate,
    Exclude,
    Include,
    PerChannel,
    ReduceRange,
    TargetCosine,
    Tokenizer,
    WeightOnly,
    quantize_options,
)
from webnn_runtime.cli.report import reporting
from webnn_runtime.format.companions import GRAPH_FILE
from webnn_runtime.format.staging import refuse_target

__all__ = ["quantize"]


def quantize(
    bundle: Annotated[
        str, typer.Argument(metavar="BUNDLE", help="A float32 bundle's folder, its .webnn file, or a Hub id.")
    ],
    kind: Annotated[str, typer.Option("--quantize", "--kind", metavar="KIND", help=KIND_HELP)] = "int8",
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            "--output",
            metavar="FOLDER",
            help="Folder to write; by default BUNDLE-KIND.",
            show_default=False,
        ),
    ] = None,
    per_channel: PerChannel = None,
    reduce_range: ReduceRange = False,
    block_size: BlockSize = None,
    calibrate: Calibrate = None,
    weight_only: WeightOnly = False,
    exclude: Exclude = None,
    include: Include = None,
    target_cosine: TargetCosine = None,
    tokenizer: Tokenizer = None,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Write without comparing the backends on it.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing folder.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Quantise a bundle: fewer bits for its weights, compared with what it was."""
    with reporting("quantize", as_json=as_json, quiet=quiet) as report:
        options = quantize_options(
            kind,
            per_channel=per_channel,
            reduce_range=reduce_range,
            block_size=block_size,
            calibrate=calibrate,
            weight_only=weight_only,
            exclude=exclude,
            include=include,
            target_cosine=target_cosine,
            tokenizer=tokenizer,
        )
        found = find_bundle(bundle)
        target = out if out is not None else _beside(found, kind)
        if target.exists() and not force:
            raise FileExistsError(f"{target}: exists already; pass --force to replace it, or -o for another folder")
        refuse_target(target, sign=GRAPH_FILE, force=force)
        from webnn_translator.quantize import quantize_bundle

        assert options is not None
        with report.progress("quantising") as progress:
            done = quantize_bundle(
                Path(found.path),
                target,
                options,
                force=force,
                is_verified=not no_verify,
                note=report.note,
                progress=progress,
            )
        report.data.update(folder=str(done.folder), quantization=done.record(), certificate=done.certificate)
        if done.certificate is None:
            report.warn("not verified: the backends were not compared on this bundle")
        report.detail(f"{done.quantized}; {done.weights_bytes / 1e6:.1f} MB of weights")
        report.detail(f"{done.quantized.loss}, {done.quantized.loss.runs} {done.quantized.loss.samples}")
        report.result(str(done.folder))


def _beside(found: FoundBundle, kind: str) -> Path:
    """Where it goes by default: beside the bundle, also where that is a link; of what lies in the Hub's cache, here."""
    folder = found.folder if found.repository is None else Path(Path(found.repository).name)
    if folder.name in {"", ".."}:
        folder = Path(os.path.abspath(folder))
    return folder.with_name(f"{folder.name}-{kind}")

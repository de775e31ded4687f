"""The switches of quantising, called and explained alike in `webnn-convert` and `webnn quantize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from webnn_runtime.cli.exits import Misuse
from webnn_runtime.cli.texts import given_file
from webnn_translator.quantize.options import BLOCK_SIZES, KINDS, QuantizeOptions

__all__ = [
    "KIND_HELP",
    "PANEL",
    "BlockSize",
    "Calibrate",
    "Exclude",
    "Include",
    "PerChannel",
    "ReduceRange",
    "TargetCosine",
    "Tokenizer",
    "WeightOnly",
    "quantize_options",
]

PANEL: Final = "Quantising"

PerChannel: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--per-channel/--no-per-channel",
        "--per_channel/--no-per_channel",
        help="int8, uint8: a scale for each output channel (default), or one for each weight.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
ReduceRange: TypeAlias = Annotated[
    bool,
    typer.Option("--reduce-range", "--reduce_range", help="int8, uint8: weights in 7 bits.", rich_help_panel=PANEL),
]
BlockSize: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--block-size",
        metavar="|".join(map(str, BLOCK_SIZES)),
        help=f"int4, mixed: weights that share a scale; by default {BLOCK_SIZES[0]}.",
        rich_help_panel=PANEL,
    ),
]
Calibrate: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--calibrate",
        metavar="FILE",
        help="Texts (.txt, one a line, or .jsonl) or inputs (.npz) that weights are rounded by; int8 and uint8 take "
        "fixed ranges of activations from them as well.",
        rich_help_panel=PANEL,
    ),
]
WeightOnly: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--weight-only",
        "--weight_only",
        help="int8, uint8: --calibrate rounds weights, and activations stay as they are.",
        rich_help_panel=PANEL,
    ),
]
Exclude: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude", metavar="PATTERN", help="Nodes or weights that stay float32; repeatable.", rich_help_panel=PANEL
    ),
]
Include: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--include", metavar="PATTERN", help="The only ones to quantise; repeatable.", rich_help_panel=PANEL),
]
TargetCosine: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--target-cosine",
        metavar="X",
        help="Mean cosine to the float32 vectors to reach, such as 0.999: what costs most stays wider until it is.",
        rich_help_panel=PANEL,
    ),
]
Tokenizer: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--tokenizer",
        "--tokenizer-id",
        metavar="FOLDER",
        help="Where tokenizer.json and the modules are, if not beside the model; they go into the bundle.",
    ),
]
KIND_HELP = "Fewer bits for weights: " + ", ".join(KINDS) + "."


def quantize_options(
    kind: str | None,
    *,
    per_channel: bool | None,
    reduce_range: bool,
    block_size: int | None,
    calibrate: Path | None,
    weight_only: bool,
    exclude: list[str] | None,
    include: list[str] | None,
    target_cosine: float | None,
    tokenizer: Path | None,
) -> QuantizeOptions | None:
    """What the switches say; None where nothing is to be quantised.

    Raises:
        Misuse: a switch without --quantize.
        QuantizeMisuse: switches that contradict each other.
    """
    if kind is None:
        given = {
            "--per-channel": per_channel is not None,
            "--reduce-range": reduce_range,
            "--block-size": block_size is not None,
            "--calibrate": calibrate is not None,
            "--weight-only": weight_only,
            "--exclude": bool(exclude),
            "--include": bool(include),
            "--target-cosine": target_cosine is not None,
        }
        lost = [flag for flag, is_given in given.items() if is_given]
        if lost:
            raise Misuse(f"{lost[0]} says how to quantise; pass --quantize {'|'.join(KINDS)} as well")
        return None
    return QuantizeOptions(
        kind,
        per_channel=per_channel,
        reduce_range=reduce_range,
        block_size=block_size,
        calibrate=None if calibrate is None else given_file(calibrate),
        exclude=tuple(exclude or ()),
        include=tuple(include or ()),
        target_cosine=target_cosine,
        tokenizer=tokenizer,
        weight_only=weight_only,
    )

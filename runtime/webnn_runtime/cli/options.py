"""Options that several commands share, so that they are called and explained alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from webnn_runtime.cli.exits import Misuse

__all__ = [
    "AsJson",
    "BackendName",
    "BatchSize",
    "BoundInputs",
    "BundlePath",
    "CachePolicy",
    "Compute",
    "DimSizes",
    "DimsFile",
    "Int64Policy",
    "LstmStates",
    "MaxDimSizes",
    "MaxSeqLength",
    "MinDimSizes",
    "ModelPath",
    "NoNormalize",
    "PoolingModes",
    "Prompt",
    "PromptName",
    "Quiet",
    "Texts",
    "Threads",
    "TokenizerId",
    "cache_policy",
    "check_compute",
    "check_prompt",
    "int64_policy",
    "lstm_states_policy",
    "shown_examples",
    "sizes_of",
    "values_of",
]

# A heading of a long help.
_PANEL: Final = "Dimensions, inputs and types"
# Longer sizes have zeros in front, or more digits than Python makes a number of.
_MOST_DIGITS: Final = 20

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Print the answer and nothing else.")]
BackendName: TypeAlias = Annotated[
    str, typer.Option("--backend", metavar="NAME", help="auto, rust, onnxruntime or numpy.")
]
BundlePath: TypeAlias = Annotated[
    str, typer.Argument(metavar="BUNDLE", help="A bundle's folder, its .webnn file, or a Hub id.")
]
ModelPath: TypeAlias = Annotated[
    str, typer.Argument(metavar="MODEL", help="A bundle's folder, its .webnn file, or a Hub id 'owner/name'.")
]
Texts: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="TEXT", help="Texts; without any, or with -, one a line from stdin.")
]
Compute: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--compute",
        metavar="exact|int8",
        help="Arithmetic of quantised weights; by default what the manifest says.",
        show_default=False,
    ),
]
Threads: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--threads", min=1, max=1024, metavar="N", help="Threads to use; by default what the process may use."
    ),
]
TokenizerId: TypeAlias = Annotated[
    str | None,
    typer.Option("--tokenizer-id", metavar="FOLDER", help="Folder or Hub id of the tokenizer, when a bundle has none."),
]
BatchSize: TypeAlias = Annotated[int, typer.Option("--batch-size", min=1, metavar="N", help="Most texts in one run.")]
PoolingModes: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--pooling",
        metavar="MODE",
        help="mean, cls, lasttoken ... in place of what the model's files say, if anything.",
    ),
]
MaxSeqLength: TypeAlias = Annotated[
    int | None,
    typer.Option("--max-seq-length", min=1, metavar="N", help="Longest text in tokens; by default the model's own."),
]
Prompt: TypeAlias = Annotated[
    str | None, typer.Option("--prompt", metavar="TEXT", help="Text to put before each one; '' for none.")
]
PromptName: TypeAlias = Annotated[
    str | None, typer.Option("--prompt-name", metavar="NAME", help="One of the model's prompts.")
]
NoNormalize: TypeAlias = Annotated[bool, typer.Option("--no-normalize", help="Leave the vectors' length as it is.")]
DimSizes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--dim",
        "--override-dim",
        metavar="NAME=VALUE",
        help="Bind a named dimension; repeatable.",
        rich_help_panel=_PANEL,
    ),
]
DimsFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--dims-file",
        "--override-dims-file",
        metavar="FILE",
        help='JSON file with values for named dimensions, {"batch": 1}; NAME.dims.json beside NAME.onnx is read too.',
        rich_help_panel=_PANEL,
    ),
]
BoundInputs: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--bind",
        metavar="INPUT=VALUE",
        help="Make a constant of an input, as in sr=16000 or size=224,224; repeatable.",
        rich_help_panel=_PANEL,
    ),
]
CachePolicy: TypeAlias = Annotated[
    str,
    typer.Option(
        "--cache",
        metavar="auto|empty|keep",
        help="Of a decoder: 'empty' makes an encoder of it, without the inputs and outputs for its cache; 'auto' does "
        "so where its files say that it embeds texts.",
        rich_help_panel=_PANEL,
    ),
]
Int64Policy: TypeAlias = Annotated[
    str,
    typer.Option(
        "--int64",
        metavar="keep|int32",
        help="'int32' carries int64 by int32, where all values are proved to fit.",
        rich_help_panel=_PANEL,
    ),
]
LstmStates: TypeAlias = Annotated[
    str,
    typer.Option(
        "--lstm-states",
        metavar="keep|float32",
        help="'float32' converts quantised LSTMs (DynamicQuantizeLSTM) without the rounding of their data and states.",
        rich_help_panel=_PANEL,
    ),
]
MaxDimSizes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--max-dim",
        metavar="NAME=VALUE",
        help="Largest value of a named dimension; repeatable.",
        rich_help_panel=_PANEL,
    ),
]
MinDimSizes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--min-dim",
        metavar="NAME=VALUE",
        help="Smallest value of a named dimension, by default 1; 0 for a cache that may be empty; repeatable.",
        rich_help_panel=_PANEL,
    ),
]


def shown_examples(*lines: str, title: str = "Examples") -> str:
    """The end of a command's help: lines that can be pasted, which the paragraph's mark keeps from being wrapped."""
    return "\n".join(("\b", f"{title}:", *(f"  {line}" for line in lines)))


def cache_policy(given: str) -> str:
    """What `--cache` says.

    Raises:
        Misuse: another word.
    """
    return _one_of("--cache", given, ("auto", "empty", "keep"))


def check_prompt(prompt: str | None, prompt_name: str | None) -> None:
    """Refuse two answers to what goes before a text.

    Raises:
        Misuse: both are given.
    """
    if prompt is not None and prompt_name is not None:
        raise Misuse("--prompt and --prompt-name both say what goes before a text; pass one of them")


def int64_policy(given: str) -> str:
    """What `--int64` says.

    Raises:
        Misuse: another word.
    """
    return _one_of("--int64", given, ("keep", "int32"))


def lstm_states_policy(given: str) -> str:
    """What `--lstm-states` says.

    Raises:
        Misuse: another word.
    """
    return _one_of("--lstm-states", given, ("keep", "float32"))


def _one_of(flag: str, given: str, words: Sequence[str]) -> str:
    if given not in words:
        raise Misuse(f"{flag} {given}: {', '.join(words[:-1])} or {words[-1]}")
    return given


def check_compute(flag: str, value: str | None) -> None:
    """Refuse a word that no backend knows.

    Raises:
        Misuse: neither exact nor int8.
    """
    if value not in (None, "exact", "int8"):
        raise Misuse(f"{flag} {value}: exact or int8")


def sizes_of(flag: str, given: list[str] | None) -> dict[str, int]:
    """What `--dim NAME=VALUE` and its like say.

    Raises:
        Misuse: one that is not of this form, or a name that is given twice.
    """
    sizes: dict[str, int] = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        if not name or not equals or not value.isascii() or not value.isdigit() or len(value) > _MOST_DIGITS:
            raise Misuse(f"{flag} {text[:80]}: write it as {flag} NAME=VALUE, for example {flag} sequence_length=128")
        if sizes.setdefault(name, int(value)) != int(value):
            raise Misuse(f"{flag} {name} is given twice, as {sizes[name]} and {value}; pass it once")
    return sizes


def values_of(flag: str, given: list[str] | None) -> dict[str, tuple[float, ...]]:
    """What `--bind INPUT=VALUE[,VALUE...]` says; true and false are 1 and 0.

    Raises:
        Misuse: one that is not of this form, or an input that is given twice.
    """
    found: dict[str, tuple[float, ...]] = {}
    for text in given or []:
        name, _, listed = text.rpartition("=")
        try:
            values = tuple(float({"true": "1", "false": "0"}.get(one.lower(), one)) for one in listed.split(","))
        except ValueError:
            name, values = "", ()
        if not name:
            raise Misuse(f"{flag} {text}: write it as {flag} INPUT=VALUE, for example {flag} sr=16000")
        if name in found:
            raise Misuse(f"{flag} {name} is given twice; pass it once")
        found[name] = values
    return found

"""The command `webnn-convert`: an ONNX model, a Hugging Face folder or an id becomes a checked WebNN bundle."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from shlex import quote
from typing import Annotated, Final, NoReturn

import typer

from webnn_runtime.cli.exits import ExitCode, Misuse
from webnn_runtime.cli.help import HelpfulCommand
from webnn_runtime.cli.options import (
    BoundInputs,
    CachePolicy,
    DimsFile,
    DimSizes,
    Int64Policy,
    LstmStates,
    MaxDimSizes,
    MinDimSizes,
    cache_policy,
    int64_policy,
    lstm_states_policy,
    shown_examples,
    sizes_of,
    values_of,
)
from webnn_runtime.cli.quantize_options import (
    KIND_HELP,
    PANEL,
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
from webnn_runtime.cli.report import Report, print_version, reporting, run_app
from webnn_translator.bundling import Conversion, ConvertOptions, convert_model, target_folder
from webnn_translator.quantize import KINDS
from webnn_translator.sources import DEFAULT_OPSET, TASKS
from webnn_translator.verify import DEFAULT_TOLERANCE, HALF_TOLERANCE

__all__ = ["main"]

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)

# Switches of other converters that ours has no answer to yet, or never will; each refusal says what to do.
_QUANTIZE: Final = f"the type of the weights is chosen with --quantize {'|'.join(KINDS)}"
_REFUSED: Final = {
    "--dtype": _QUANTIZE,
    "--modes": _QUANTIZE,
    "--quantize": _QUANTIZE,
    "--inline-weights": "weights are always in model.weights; leave it out",
    "--weights": "the weights are model.weights in the bundle; choose its folder with -o",
    "--manifest": "the manifest is manifest.json in the bundle; choose its folder with -o",
    "--trust_remote_code": "code from a model's repository is never run; leave it out",
}
# Headings of the help.
_CHECK: Final = "The numeric check"
_EXPORT: Final = "Models of the Hub, and of torch"
_OLD: Final = "As other converters have them"


def _version(value: bool) -> None:
    if value:
        print_version("webnn-convert")


@app.command(
    cls=HelpfulCommand,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=shown_examples(
        "webnn-convert model.onnx",
        "webnn-convert model.onnx --dim batch_size=1 --max-dim sequence_length=512",
        "webnn-convert sentence-transformers/all-MiniLM-L6-v2 --quantize int8 -o minilm-int8",
    ),
)
def convert(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="An .onnx file, a model folder, or a Hub id 'owner/name'.")
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            "--output",
            metavar="FOLDER",
            help="Folder to write; by default NAME-webnn here.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing folder.")] = False,
    tokenizer: Tokenizer = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name of the graph; by default the model's.")
    ] = None,
    dim: DimSizes = None,
    dims_file: DimsFile = None,
    max_dim: MaxDimSizes = None,
    min_dim: MinDimSizes = None,
    bind: BoundInputs = None,
    cache: CachePolicy = "auto",
    int64: Int64Policy = "keep",
    lstm_states: LstmStates = "keep",
    quantize: Annotated[
        str | None, typer.Option("--quantize", metavar="KIND", help=KIND_HELP, rich_help_panel=PANEL)
    ] = None,
    per_channel: PerChannel = None,
    reduce_range: ReduceRange = False,
    block_size: BlockSize = None,
    calibrate: Calibrate = None,
    weight_only: WeightOnly = False,
    exclude: Exclude = None,
    include: Include = None,
    target_cosine: TargetCosine = None,
    no_verify: Annotated[
        bool,
        typer.Option(
            "--no-verify", "--skip_validation", help="Write without the numeric check.", rich_help_panel=_CHECK
        ),
    ] = False,
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance",
            metavar="X",
            help=f"Largest difference, as a part of the output's largest value; by default {DEFAULT_TOLERANCE:g}, and "
            f"{HALF_TOLERANCE:g} where the graph computes in float16.",
            rich_help_panel=_CHECK,
        ),
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option("--revision", metavar="NAME", help="Branch, tag or commit on the Hub.", rich_help_panel=_EXPORT),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            metavar="TASK",
            help=f"What to export from a torch model: {', '.join(TASKS)}.",
            rich_help_panel=_EXPORT,
        ),
    ] = None,
    opset: Annotated[
        int | None,
        typer.Option(
            "--opset",
            metavar="N",
            help=f"ONNX opset to export with; by default {DEFAULT_OPSET}.",
            rich_help_panel=_EXPORT,
        ),
    ] = None,
    model_id: Annotated[
        str | None,
        typer.Option(
            "--model_id",
            "--model",
            "--input",
            metavar="MODEL",
            help="The model, in place of the argument.",
            rich_help_panel=_OLD,
        ),
    ] = None,
    output_parent_dir: Annotated[
        Path | None,
        typer.Option(
            "--output_parent_dir", metavar="FOLDER", help="Folder to write NAME-webnn into.", rich_help_panel=_OLD
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option("--device", metavar="NAME", help="'cpu': where a torch model is exported.", rich_help_panel=_OLD),
    ] = "cpu",
    optimize: Annotated[
        bool, typer.Option("--optimize", help="Nothing: clean-ups always run.", rich_help_panel=_OLD)
    ] = False,
    explain_passes: Annotated[
        bool, typer.Option("--explain-passes", help="Tell what each clean-up of the graph did, change by change.")
    ] = False,
    list_ops: Annotated[
        bool, typer.Option("--list-ops", help="List the ONNX operators that are translated, and exit.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the folder and nothing else.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Convert a model to a WebNN bundle, and check it against ONNX Runtime."""
    del version
    with reporting("webnn-convert", as_json=as_json, quiet=quiet) as report:
        if list_ops:
            _list_operators(report)
            return
        if bool(model) == (model_id is not None):
            _misuse("pass one model: an .onnx file, a folder or a Hub id; --model_id is the same as the argument")
        if out is not None and output_parent_dir is not None:
            _misuse("-o and --output_parent_dir both say where to write; pass one of them")
        if name == "":
            _misuse("--name '': a graph's name is not empty; leave --name out for the model's")
        if device != "cpu":
            _misuse(f"--device {device}: exporting runs on the CPU, and a bundle runs anywhere; leave --device out")
        if tolerance is not None and not 0 < tolerance < 1:
            _misuse(f"--tolerance {tolerance:g}: expected a number between 0 and 1, such as {DEFAULT_TOLERANCE}")
        named = model_id if model_id is not None else model
        options = ConvertOptions(
            dims=sizes_of("--dim", dim),
            dims_file=dims_file,
            max_dims=sizes_of("--max-dim", max_dim),
            min_dims=sizes_of("--min-dim", min_dim),
            inputs=values_of("--bind", bind),
            cache=cache_policy(cache),
            int64=int64_policy(int64),
            lstm_states=lstm_states_policy(lstm_states),
            name=name,
            is_verified=not no_verify,
            tolerance=tolerance,
            is_replacing=force,
            revision=revision,
            task=task,
            opset=opset,
            quantize=quantize_options(
                quantize,
                per_channel=per_channel,
                reduce_range=reduce_range,
                block_size=block_size,
                calibrate=calibrate,
                weight_only=weight_only,
                exclude=exclude,
                include=include,
                target_cosine=target_cosine,
                tokenizer=tokenizer,
            ),
            tokenizer=tokenizer,
        )
        if optimize:
            report.note("--optimize: clean-ups always run")
        report.advice[ExitCode.NOT_EXPRESSIBLE] = f"webnn explain {quote(str(named))} says what would help"
        with report.progress("converting") as progress:
            target = out if out is not None else target_folder(named, output_parent_dir)
            done = convert_model(named, target, options, note=report.note, progress=progress)
        if explain_passes:
            _explain(report, done)
        _tell(report, done)


def main() -> None:
    """Entry point."""
    for argument, following in pairwise([*sys.argv[1:], "-"]):
        flag = argument.partition("=")[0]
        # In other converters the bare word means 8 bits.
        is_bare = argument == "--quantize" and following.startswith("-")
        if flag in _REFUSED and (flag != "--quantize" or is_bare):
            _refuse(flag)
    sys.exit(run_app(app, "webnn-convert"))


def _refuse(flag: str) -> NoReturn:
    report = Report("webnn-convert", as_json="--json" in sys.argv)
    report.fail(Misuse(f"{flag}: {_REFUSED[flag]}"), ExitCode.USAGE)
    sys.exit(ExitCode.USAGE)


def _misuse(message: str) -> NoReturn:
    raise Misuse(message)


def _list_operators(report: Report) -> None:
    from webnn_translator.catalogue import catalogue

    entries = catalogue()
    report.data["operators"] = [entry.record() for entry in entries]
    report.note(
        f"{len(entries)} operators: domain, name, opsets (with those that change its meaning), what is translated"
    )
    for entry in entries:
        changes = f" ({', '.join(map(str, entry.changes))})" if entry.changes else ""
        opsets = f"{entry.first}-{entry.last}{changes}"
        report.result(f"{entry.domain:<13} {entry.op_type:<34} {opsets:<18} {entry.note}")


def _explain(report: Report, done: Conversion) -> None:
    for one in done.passes:
        report.note(f"{one.name} ({one.doc.rstrip('.')}): {len(one.changes)} changes, {one.nodes} nodes fewer")
        for change in one.changes:
            report.note(f"  {change}")


def _tell(report: Report, done: Conversion) -> None:
    report.data.update(done.record())
    certificate = done.certificate
    if certificate is None:
        report.warn("not verified: the numbers of this bundle were not checked")
    else:
        for verdict in certificate.verdicts:
            report.detail(f"{verdict}, before it was quantised" if done.quantized is not None else str(verdict))
        if certificate.between is not None:
            report.detail(str(certificate.between))
    if done.quantized is not None:
        quantized = done.quantized.quantized
        report.detail(f"{quantized}; {done.quantized.weights_bytes / 1e6:.1f} MB of weights")
        report.detail(f"{quantized.loss}, {quantized.loss.runs} {quantized.loss.samples}")
    if done.no_texts is not None:
        report.warn(
            f"{done.no_texts}; this bundle computes and takes no texts: mend that beside the model, convert again"
        )
    for name in done.unbounded:
        report.note(f"dimension '{name}' has no maximum; --max-dim {name}=VALUE sets one")
    report.result(str(done.folder))

"""The commands of `webnn`, one module each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from webnn_runtime.cli.bench import bench
from webnn_runtime.cli.calibrate import calibrate
from webnn_runtime.cli.classify import classify
from webnn_runtime.cli.compare import compare
from webnn_runtime.cli.conformance import conformance
from webnn_runtime.cli.embed import embed
from webnn_runtime.cli.emit import emit_html, emit_js
from webnn_runtime.cli.evaluate import evaluate
from webnn_runtime.cli.exits import ExitCode, Misuse
from webnn_runtime.cli.explain import explain
from webnn_runtime.cli.help import HelpfulCommand, HelpfulGroup
from webnn_runtime.cli.inspect import inspect
from webnn_runtime.cli.options import shown_examples
from webnn_runtime.cli.pack import pack
from webnn_runtime.cli.quantize import quantize
from webnn_runtime.cli.report import print_version, reporting, run_app
from webnn_runtime.cli.verify import verify

__all__ = ["app", "main"]

app = typer.Typer(
    cls=HelpfulGroup,
    help="Look at an ONNX file or a WebNN bundle, check it, run it. To make one: webnn-convert. "
    "The --help of each command ends in examples.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=shown_examples(
        "webnn-convert model.onnx",
        "webnn inspect model-webnn",
        'webnn embed model-webnn "a text"',
        title="To begin with",
    ),
)


def _add(name: str, command: Callable[..., None], summary: str, *examples: str) -> None:
    app.command(name, cls=HelpfulCommand, short_help=summary, epilog=shown_examples(*examples))(command)


_add(
    "inspect",
    inspect,
    "Show what is in a model or a bundle.",
    "webnn inspect model.onnx",
    "webnn inspect model-webnn --json",
)
_add(
    "explain",
    explain,
    "Tell whether and why a model does not convert.",
    "webnn explain model.onnx",
    "webnn explain model.onnx --max-dim sequence_length=512",
)
_add(
    "verify",
    verify,
    "Check a bundle's files and numbers.",
    "webnn verify model-webnn",
    "webnn verify model-webnn --source model.onnx",
)
_add(
    "embed",
    embed,
    "Embed texts: one vector a line.",
    'webnn embed model-webnn "a first text" "a second one"',
    "webnn embed model-webnn -o vectors.npy < texts.txt",
    'webnn embed model-webnn --prompt "query: " "how do I keep bread fresh?"',
    "webnn embed model-webnn --precision ubinary --json < texts.txt",
)
_add(
    "classify",
    classify,
    "Classify texts: one label a line.",
    'webnn classify model-webnn "A lovely film"',
    "webnn classify model-webnn --all < texts.txt",
)
_add("calibrate", calibrate, "Learn bounds for vectors of 8 bits.", "webnn calibrate model-webnn texts.txt")
_add(
    "quantize",
    quantize,
    "Store the weights of a bundle in fewer bits.",
    "webnn quantize model-webnn",
    "webnn quantize model-webnn --quantize int4 --calibrate texts.txt",
)
_add(
    "eval",
    evaluate,
    "Measure a model against a reference.",
    "webnn eval model-webnn-int8 --reference model-webnn",
    "webnn eval model-webnn-int8 --reference model-webnn --min-mean-cosine 0.999",
)
_add("compare", compare, "Compare two bundles.", "webnn compare model-webnn model-webnn-int8")
_add(
    "bench",
    bench,
    "Time a bundle against other engines.",
    "webnn bench model-webnn --onnx model.onnx",
    "webnn bench model-webnn --cases a,c --rounds 3 --threads 1",
)
_add("pack", pack, "Write packed weights that processes share.", "webnn pack model-webnn")
_add("emit-js", emit_js, "Write a JavaScript module for browsers.", "webnn emit-js model-webnn --types")
_add("emit-html", emit_html, "Write a page that shows the graph.", "webnn emit-html model-webnn -o graph.html")
_add(
    "conformance",
    conformance,
    "Run a folder of operator cases.",
    "webnn conformance cases --backend rust --html rust.html",
)


def _version(value: bool) -> None:
    if value:
        print_version("webnn")


@app.callback(invoke_without_command=True)
def _common(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --version: print one JSON object.")] = False,
) -> None:
    del version
    if as_json:
        with reporting("webnn", as_json=True, quiet=False):
            raise Misuse("--json goes behind a command, or beside --version; see webnn --help")
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(ExitCode.USAGE)


def main() -> None:
    """Entry point."""
    sys.exit(run_app(app, "webnn"))

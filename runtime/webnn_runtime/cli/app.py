"""The commands of `webnn`, one module each."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from webnn_runtime import __version__
from webnn_runtime.cli.bench import bench
from webnn_runtime.cli.calibrate import calibrate
from webnn_runtime.cli.classify import classify
from webnn_runtime.cli.compare import compare
from webnn_runtime.cli.conformance import conformance
from webnn_runtime.cli.embed import embed
from webnn_runtime.cli.emit import emit_html, emit_js
from webnn_runtime.cli.evaluate import evaluate
from webnn_runtime.cli.exits import ExitCode
from webnn_runtime.cli.explain import explain
from webnn_runtime.cli.inspect import inspect
from webnn_runtime.cli.pack import pack
from webnn_runtime.cli.quantize import quantize
from webnn_runtime.cli.report import run_app
from webnn_runtime.cli.verify import verify

__all__ = ["app", "main"]

app = typer.Typer(
    help="Look at an ONNX file or a WebNN bundle, check it, run it. To make one: webnn-convert.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("verify", short_help="Check a bundle's files and numbers.")(verify)
app.command("inspect", short_help="Show what is in a model or a bundle.")(inspect)
app.command("explain", short_help="Tell whether and why a model does not convert.")(explain)
app.command("embed", short_help="Embed texts: one vector a line.")(embed)
app.command("calibrate", short_help="Learn bounds for vectors of 8 bits.")(calibrate)
app.command("classify", short_help="Classify texts: one label a line.")(classify)
app.command("bench", short_help="Time a bundle against other engines.")(bench)
app.command("eval", short_help="Measure a model against a reference.")(evaluate)
app.command("compare", short_help="Compare two bundles.")(compare)
app.command("conformance", short_help="Run a folder of operator cases.")(conformance)
app.command("quantize", short_help="Store the weights of a bundle in fewer bits.")(quantize)
app.command("pack", short_help="Write packed weights that processes share.")(pack)
app.command("emit-js", short_help="Write a JavaScript module for browsers.")(emit_js)
app.command("emit-html", short_help="Write a page that shows the graph.")(emit_html)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"webnn {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _common(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(ExitCode.USAGE)


def main() -> None:
    """Entry point."""
    sys.exit(run_app(app, "webnn"))

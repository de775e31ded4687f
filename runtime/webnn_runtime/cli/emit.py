"""`webnn emit-js` and `webnn emit-html`: a bundle as a module for browsers, and as a page to look at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from webnn_runtime.cli.bundles import find_bundle
from webnn_runtime.cli.exits import Misuse
from webnn_runtime.cli.options import AsJson, BundlePath, Quiet, sizes_of
from webnn_runtime.cli.report import reporting
from webnn_runtime.cli.written import check_place, write_text

if TYPE_CHECKING:
    from webnn_translator.emit import ModuleSource

__all__ = ["emit_html", "emit_js"]

Dims = Annotated[
    list[str] | None,
    typer.Option("--dim", metavar="NAME=VALUE", help="Bind a named dimension; repeatable. Others stay arguments."),
]


def emit_js(
    bundle: BundlePath,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", "--output", metavar="FILE", help="The module; model.mjs in the bundle's folder by default."
        ),
    ] = None,
    dim: Dims = None,
    types: Annotated[bool, typer.Option("--types", help="Also write the TypeScript declaration beside it.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a JavaScript module that builds and runs the graph with a browser's WebNN."""
    from webnn_translator.emit import MARK, TYPES_MARK, emit_module, emit_types

    with reporting("emit-js", as_json=as_json, quiet=quiet) as report:
        found = find_bundle(bundle)
        target = found.beside("model.mjs") if out is None else out
        check_place(target, mark=MARK)
        declaration = _declaration(target) if types else None
        if declaration is not None:
            check_place(declaration, mark=TYPES_MARK)
        source = _source(found.path, sizes_of("--dim", dim))
        write_text(target, emit_module(source))
        report.data["module"] = str(target)
        if declaration is not None:
            write_text(declaration, emit_types(source))
            report.data["types"] = str(declaration)
        report.data.update(
            dimensions=sorted({name for kind in source.graph.inputs.values() for name in kind.names}),
            weights=source.weights_file,
        )
        report.result(f"{target}: written")
        if declaration is not None:
            report.result(f"{declaration}: written")
        if source.weights_file is not None and target.resolve().parent != found.folder.resolve():
            report.note(f"the module looks for {source.weights_file} beside itself; load() takes another place")


def emit_html(
    bundle: BundlePath,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", "--output", metavar="FILE", help="The page; model.html in the bundle's folder by default."
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a page that shows the graph: one file, without weights, that needs no network."""
    from webnn_translator.emit import PAGE_MARK, emit_page

    with reporting("emit-html", as_json=as_json, quiet=quiet) as report:
        from webnn_runtime.format.bundle import load_bundle

        found = find_bundle(bundle)
        target = found.beside("model.html") if out is None else out
        check_place(target, mark=PAGE_MARK)
        loaded = load_bundle(found.path)
        made_from = loaded.manifest.extension.more.get("source")
        made_from = made_from if isinstance(made_from, Mapping) else {}
        source = str(made_from.get("repository") or made_from.get("file") or "")
        write_text(target, emit_page(loaded.graph, loaded.names, source=source))
        report.data.update(page=str(target), operators=len(loaded.graph.nodes))
        report.result(f"{target}: written")


def _declaration(module: Path) -> Path:
    """Where TypeScript looks for the types of a module."""
    suffix = {".mjs": ".d.mts", ".js": ".d.ts"}.get(module.suffix)
    if suffix is None:
        raise Misuse(f"{module}: TypeScript finds the types of .mjs and .js files only; choose such a name")
    return module.with_suffix(suffix)


def _source(path: str, sizes: Mapping[str, int]) -> ModuleSource:
    from webnn_runtime.format.bundle import load_bundle
    from webnn_runtime.format.errors import ShapeError
    from webnn_runtime.passes.bind_dims import bind_dims
    from webnn_translator.emit import ModuleSource

    bundle = load_bundle(path)
    try:
        graph = bind_dims(bundle.graph, sizes) if sizes else bundle.graph
    except ShapeError as exc:
        raise Misuse(f"--dim: {exc}") from exc
    return ModuleSource.of(bundle, graph)

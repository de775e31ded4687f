"""`webnn conformance`: run a folder of case files on a backend, and say who passed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from webnn_runtime.cli.exits import Misuse
from webnn_runtime.cli.options import AsJson, Quiet
from webnn_runtime.cli.report import Report, reporting
from webnn_runtime.cli.written import check_place

if TYPE_CHECKING:
    from webnn_runtime.conformance import Summary

__all__ = ["conformance"]


def conformance(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Case files, at any depth.")],
    backend: Annotated[
        str,
        typer.Option("--backend", metavar="NAME", help="numpy (the definition, and the default), onnxruntime or rust."),
    ] = "numpy",
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a page of the results.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run every case of a folder and report per operator; exit code 8 if one failed."""
    with reporting("conformance", as_json=as_json, quiet=quiet) as report:
        from webnn_runtime.backends import get_backend
        from webnn_runtime.conformance import CasesFailed, cases_of, run_suite

        if backend == "auto":
            raise Misuse("--backend auto: the answer would not say whose it is; name one of the backends")
        if html is not None:
            check_place(html)
        chosen = get_backend(backend)
        cases = cases_of(folder)
        with report.progress(f"conformance of {backend}") as progress:
            summary = run_suite(cases, chosen, progress=progress)
        report.data.update(folder=str(folder), **summary.record())
        _show(report, summary)
        if html is not None:
            from webnn_runtime.cli.conformance_page import write_page

            write_page(html, summary, folder)
            report.data["html"] = str(html)
            report.note(f"{html}: written")
        if summary.total.failed:
            failed, all_cases = summary.total.failed, summary.total.cases
            raise CasesFailed(f"{backend}: {failed} of {all_cases} cases failed; the report has the message of each")


def _show(report: Report, summary: Summary) -> None:
    from webnn_runtime.conformance import Verdict

    width = max(map(len, summary.operators))
    for name, tally in summary.operators.items():
        mark = "✗" if tally.failed else "✓" if tally.passed else "–"
        gap = f", {tally.unsupported} unsupported" if tally.unsupported else ""
        failed = f", {tally.failed} failed" if tally.failed else ""
        report.detail(f"{mark} {name:<{width}}  {tally.passed} passed{failed}{gap}")
    for verdict, style in ((Verdict.UNSUPPORTED, "yellow"), (Verdict.FAILED, "red")):
        for finding in summary.of(verdict):
            report.detail(f"{verdict.value}: {finding}", style=style)
    report.result(f"{summary.backend}: {summary.total.cases} cases: {summary.total}")

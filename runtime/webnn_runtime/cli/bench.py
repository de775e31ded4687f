"""`webnn bench`: how fast a bundle is, against others on the same texts, threads and moments."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from webnn_runtime.cli.bundles import find_bundle
from webnn_runtime.cli.exits import Misuse
from webnn_runtime.cli.options import (
    AsJson,
    BackendName,
    BundlePath,
    DimSizes,
    MaxSeqLength,
    PoolingModes,
    Quiet,
    Threads,
    sizes_of,
)
from webnn_runtime.cli.report import Report, reporting
from webnn_runtime.cli.written import check_place

__all__ = ["bench"]


def bench(
    bundle: BundlePath,
    onnx: Annotated[
        str | None, typer.Option("--onnx", metavar="FILE", help="The source as ONNX: for onnxruntime and openvino.")
    ] = None,
    model_folder: Annotated[
        str | None,
        typer.Option("--model-folder", metavar="FOLDER", help="The source: for transformers, sentence-transformers."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="NAMES", help="Some of the rivals, by commas, or none; by default all."),
    ] = None,
    cases: Annotated[
        str | None,
        typer.Option("--cases", metavar="NAMES", help="Some of the cases a to g, by commas; by default all."),
    ] = None,
    texts: Annotated[
        Path | None, typer.Option("--texts", metavar="FILE", help="Your own texts, one a line, for cases b and f.")
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            "--calibrate", metavar="FILE", help="Texts, one a line, that openvino-int8 takes its ranges from."
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task", metavar="TASK", help="embedding, classification or graph; by default what the files say."
        ),
    ] = None,
    dim: DimSizes = None,
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, metavar="N", help="Interleaved rounds; all of them count.")
    ] = 9,
    pause: Annotated[
        float, typer.Option("--pause", min=0.0, max=3600.0, metavar="SECONDS", help="Seconds between contenders.")
    ] = 0.25,
    cold: Annotated[
        int, typer.Option("--cold", min=0, metavar="N", help="Fresh processes for start-up time and memory.")
    ] = 3,
    scaling: Annotated[
        str | None,
        typer.Option("--scaling", metavar="NAMES", help="Also vary some of batch, length and threads, by commas."),
    ] = None,
    start: Annotated[
        int, typer.Option("--start", min=0, metavar="N", help="Take an embedder's start apart, in N fresh processes.")
    ] = 0,
    explain: Annotated[bool, typer.Option("--explain", help="Also show what was fused, and what was not.")] = False,
    plot: Annotated[
        list[Path] | None, typer.Option("--plot", metavar="FILE", help="Draw the result, as .png or .svg; repeatable.")
    ] = None,
    backend: BackendName = "auto",
    threads: Threads = None,
    pooling: PoolingModes = None,
    max_seq_length: MaxSeqLength = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check that all contenders give the same answer, then time them in interleaved rounds."""
    with reporting("bench", as_json=as_json, quiet=quiet) as report:
        from webnn_runtime.bench.plot import draw, require_drawable
        from webnn_runtime.bench.run import SCALES, Request, run_benchmark
        from webnn_runtime.cli import bench_page

        if task not in (None, "embedding", "classification", "graph"):
            raise Misuse(f"--task {task}: expected embedding, classification or graph")
        chosen = [] if scaling is None else [name.strip() for name in scaling.split(",")]
        if unknown := [name for name in chosen if name not in SCALES]:
            raise Misuse(f"--scaling {unknown[0]}: expected some of {', '.join(SCALES)}")
        for path in plot or ():
            check_place(path)
            require_drawable(path)
        request = Request(
            find_bundle(bundle).path,
            backend=backend,
            threads=threads,
            task=task,
            onnx=onnx,
            folder=model_folder,
            against=against,
            cases=cases,
            texts=texts,
            calibrate=calibrate,
            sizes=sizes_of("--dim", dim),
            rounds=rounds,
            pause=pause,
            cold=cold,
            scaling=chosen,
            starts=start,
            pooling=pooling,
            max_seq_length=max_seq_length,
        )
        with report.progress("benchmark") as progress:
            record = run_benchmark(request, progress)
        record["bundle"] = bundle
        record["command"] = " ".join(["webnn", *sys.argv[1:]])
        report.data.update(record)
        _show(report, record, bench_page, explain=explain)
        for path in plot or ():
            draw(record, path)
            report.note(f"{path}: drawn")


def _show(report: Report, record: dict[str, Any], page: Any, *, explain: bool) -> None:
    for line in page.header(record):
        report.detail(line)
    for name, reason in record["left_out"].items():
        report.detail(f"{name}: left out; {reason}")
    for table in page.tables(record):
        report.detail("")
        report.table(table)
    if explain:
        report.detail("")
        report.detail(json.dumps(record["explain"], indent=2, ensure_ascii=False))
    for line in page.verdicts(record):
        report.result(line)

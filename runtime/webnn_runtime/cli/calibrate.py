"""`webnn calibrate`: learn once what int8 vectors of a model are counted between."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from webnn_runtime.cli.exits import Misuse
from webnn_runtime.cli.options import (
    AsJson,
    BackendName,
    Compute,
    MaxSeqLength,
    ModelPath,
    NoNormalize,
    PoolingModes,
    Prompt,
    PromptName,
    Quiet,
    Threads,
    TokenizerId,
    check_compute,
    check_prompt,
)
from webnn_runtime.cli.report import reporting
from webnn_runtime.cli.texts import MANY_TEXTS, given_file
from webnn_runtime.cli.written import check_place
from webnn_runtime.hub.files import RANGES_FILE

__all__ = ["calibrate"]


def calibrate(
    model: ModelPath,
    texts: Annotated[
        Path,
        typer.Argument(
            metavar="TEXTS", help="Typical texts: one a line, or .jsonl with strings or 'text'; - for stdin."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            "--output",
            metavar="FILE",
            help="File to write; by default embedding_ranges.json beside the model.",
        ),
    ] = None,
    truncate_dim: Annotated[
        list[int] | None,
        typer.Option("--truncate-dim", min=1, metavar="N", help="Keep only the first so many features; repeatable."),
    ] = None,
    no_normalize: NoNormalize = False,
    pooling: PoolingModes = None,
    max_seq_length: MaxSeqLength = None,
    prompt: Prompt = None,
    prompt_name: PromptName = None,
    backend: BackendName = "auto",
    threads: Threads = None,
    compute: Compute = None,
    tokenizer_id: TokenizerId = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Learn the lowest and highest value of each feature, for `embed --precision int8` and `uint8`."""
    with reporting("calibrate", as_json=as_json, quiet=quiet) as report:
        check_compute("--compute", compute)
        check_prompt(prompt, prompt_name)
        if out is not None:
            check_place(out)
        from webnn_runtime.embed import WebNNEmbedder
        from webnn_runtime.evaluation.texts import read_texts

        given = read_texts(given_file(texts))
        embedder = WebNNEmbedder(
            model,
            backend=backend,
            threads=threads,
            compute=compute,
            tokenizer_id=tokenizer_id,
            pooling=pooling,
            max_seq_length=max_seq_length,
        )
        path = out
        if path is None:
            if embedder.backend_info()["revision"] is not None:
                raise Misuse(f"{model}: lies in the Hub's cache, where nothing is written; pass -o FILE")
            beside = Path(model).expanduser()
            path = (beside if beside.is_dir() else beside.parent) / RANGES_FILE
            check_place(path)
        sizes: list[int | None] = list(truncate_dim) if truncate_dim else [None]
        is_long = report.is_watched and len(given) > MANY_TEXTS
        learnt = [
            embedder.calibrate(
                given,
                truncate_dim=size,
                normalize=not no_normalize,
                prompt=prompt,
                prompt_name=prompt_name,
                show_progress=is_long,
            )
            for size in sizes
        ]
        embedder.save_ranges(path)
        report.data.update(
            file=str(path),
            texts=len(given),
            ranges=[
                {"dimension": each.dimension, "normalized": each.is_unit, "sha256": each.sha256} for each in learnt
            ],
        )
        for each in learnt:
            report.note(f"{each.dimension} features from {each.count} texts, SHA-256 {each.sha256[:12]}")
        report.result(str(path))

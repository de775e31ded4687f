"""`webnn embed`: texts in, vectors out."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from webnn_runtime.cli.exits import Misuse
from webnn_runtime.cli.options import (
    AsJson,
    BackendName,
    BatchSize,
    Compute,
    ModelPath,
    NoNormalize,
    PromptName,
    Quiet,
    Texts,
    Threads,
    TokenizerId,
    check_compute,
)
from webnn_runtime.cli.report import Report, reporting
from webnn_runtime.cli.texts import MANY_TEXTS, given_texts
from webnn_runtime.cli.written import check_place, write_bytes

__all__ = ["embed"]


def embed(
    model: ModelPath,
    texts: Texts = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", "--output", metavar="FILE", help="Write the vectors to this .npy file instead of stdout."
        ),
    ] = None,
    backend: BackendName = "auto",
    threads: Threads = None,
    compute: Compute = None,
    tokenizer_id: TokenizerId = None,
    batch_size: BatchSize = 32,
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="TEXT", help="Text to put before each one; '' for none.")
    ] = None,
    prompt_name: PromptName = None,
    no_normalize: NoNormalize = False,
    truncate_dim: Annotated[
        int | None, typer.Option("--truncate-dim", min=1, metavar="N", help="Keep only the first so many features.")
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", metavar="KIND", help="float32, float16, int8, uint8, binary or ubinary.")
    ] = "float32",
    ranges: Annotated[
        Path | None,
        typer.Option(
            "--ranges",
            metavar="FILE",
            help="What `webnn calibrate -o` wrote, for int8 and uint8; else beside the model.",
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Embed texts: one JSON array of numbers a line, in the order of the texts."""
    with reporting("embed", as_json=as_json, quiet=quiet) as report:
        check_compute("--compute", compute)
        from webnn_runtime.embed.precision import BYTES, PRECISIONS

        if precision not in PRECISIONS:
            raise Misuse(f"--precision {precision}: one of {', '.join(PRECISIONS)}")
        if ranges is not None and precision not in BYTES:
            raise Misuse(f"--ranges is for int8 and uint8, not for {precision}; leave it out")
        if ranges is not None and not ranges.is_file():
            raise FileNotFoundError(f"{ranges}: there is no such file; pass what `webnn calibrate -o` wrote")
        if prompt is not None and prompt_name is not None:
            raise Misuse("--prompt and --prompt-name both say what goes before a text; pass one of them")
        if out is not None:
            # As `np.save` has it: the file's name ends in what it is.
            out = out if out.suffix == ".npy" or out.is_dir() else out.with_name(f"{out.name}.npy")
            check_place(out)
        given = given_texts(texts)
        from webnn_runtime.embed import WebNNEmbedder

        embedder = WebNNEmbedder(model, backend=backend, threads=threads, compute=compute, tokenizer_id=tokenizer_id)
        if ranges is not None:
            embedder.load_ranges(ranges)
        info = embedder.backend_info()
        size = embedder.get_sentence_embedding_dimension()
        size = size if truncate_dim is None else min(truncate_dim, size)
        report.note(f"{info['model']}: {size} dimensions, backend {info['backend']}, texts: {len(given)}")
        vectors = embedder.encode(
            given,
            batch_size=batch_size,
            normalize=not no_normalize,
            prompt=prompt,
            prompt_name=prompt_name,
            show_progress=report.is_watched and len(given) > MANY_TEXTS,
            truncate_dim=truncate_dim,
            precision=precision,
        )
        report.data["precision"] = precision
        _give(report, vectors, out, as_json=as_json)


def _give(report: Report, vectors: np.ndarray, out: Path | None, *, as_json: bool) -> None:
    count, dimension = vectors.shape
    report.data.update(count=count, dimension=dimension)
    if out is not None:
        content = io.BytesIO()
        np.save(content, vectors, allow_pickle=False)
        write_bytes(out, content.getvalue())
        report.data["file"] = str(out)
        report.result(str(out))
        return
    # Nine digits are what a float32 needs to come back as the same bits.
    is_float = vectors.dtype.kind == "f"
    # One at a time: as Python's numbers the vectors of a million texts are 12 GB.
    rows = ([float(f"{value:.9g}") for value in row] if is_float else row.tolist() for row in vectors)
    if as_json:
        report.data["vectors"] = list(rows)
    else:
        for row in rows:
            report.result(json.dumps(row))

"""`webnn embed`: texts in, vectors out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from webnn_runtime.cli.exits import Misuse
from webnn_runtime.cli.options import (
    AsJson,
    BackendName,
    BatchSize,
    Compute,
    MaxSeqLength,
    ModelPath,
    NoNormalize,
    PoolingModes,
    Prompt,
    PromptName,
    Quiet,
    Texts,
    Threads,
    TokenizerId,
    check_compute,
    check_prompt,
)
from webnn_runtime.cli.report import Report, reporting
from webnn_runtime.cli.texts import Portion, given_texts, placed, portions_of, warn_of_cuts
from webnn_runtime.cli.written import check_place, write_rows

if TYPE_CHECKING:
    import numpy.typing as npt

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
    pooling: PoolingModes = None,
    max_seq_length: MaxSeqLength = None,
    batch_size: BatchSize = 32,
    prompt: Prompt = None,
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
        check_prompt(prompt, prompt_name)
        if out is not None:
            # As `np.save` has it: the file's name ends in what it is.
            is_named = out.suffix == ".npy" or (out.exists() and not out.is_file())
            out = out if is_named else out.with_name(f"{out.name}.npy")
            check_place(out)
        given = given_texts(report, texts)
        from webnn_runtime.embed import WebNNEmbedder

        embedder = WebNNEmbedder(
            model,
            backend=backend,
            threads=threads,
            compute=compute,
            tokenizer_id=tokenizer_id,
            pooling=pooling,
            max_seq_length=max_seq_length,
            on_truncation="ignore",
        )
        if ranges is not None:
            embedder.load_ranges(ranges)
        info = embedder.backend_info()
        size = embedder.get_sentence_embedding_dimension()
        size = size if truncate_dim is None else min(truncate_dim, size)
        report.note(f"{info['model']}: {size} dimensions, backend {info['backend']}")

        def vectors_of(portion: Portion) -> npt.NDArray[Any]:
            with placed(portion):
                return embedder.encode(
                    portion.texts,
                    batch_size=batch_size,
                    normalize=not no_normalize,
                    show_progress=False,
                    prompt=prompt,
                    prompt_name=prompt_name,
                    truncate_dim=truncate_dim,
                    precision=precision,
                )

        is_streamed = out is None and not as_json
        found = map(vectors_of, portions_of(report, given, "Embedding", is_streamed=is_streamed))
        if out is not None:
            count, dimension = write_rows(out, found)
        else:
            count, dimension = _give(report, found, as_json=as_json)
        report.data.update(precision=precision, count=count, dimension=dimension)
        warn_of_cuts(report, embedder.truncated_count, count, info, "max_seq_length")
        if out is not None:
            report.data["file"] = str(out)
            report.result(str(out))


def _give(report: Report, found: Iterable[npt.NDArray[Any]], *, as_json: bool) -> tuple[int, int]:
    """Print the vectors as they come, or keep them for the JSON object; how many there are, and their size."""
    count, dimension, kept = 0, 0, list[list[float]]()
    for vectors in found:
        count, dimension = count + len(vectors), vectors.shape[1]
        # Nine digits are what a float32 needs to come back as the same bits.
        is_float = vectors.dtype.kind == "f"
        # One at a time: as Python's numbers the vectors of a million texts are 12 GB.
        rows = ([float(f"{value:.9g}") for value in row] if is_float else row.tolist() for row in vectors)
        if as_json:
            kept.extend(rows)
        else:
            for row in rows:
                report.result(json.dumps(row))
    if as_json:
        report.data["vectors"] = kept
    return count, dimension

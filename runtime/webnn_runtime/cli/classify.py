"""`webnn classify`: texts in, labels and scores out."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from webnn_runtime.cli.exits import Misuse
from webnn_runtime.cli.options import (
    AsJson,
    BackendName,
    BatchSize,
    Compute,
    ModelPath,
    Quiet,
    Texts,
    Threads,
    TokenizerId,
    check_compute,
)
from webnn_runtime.cli.report import reporting
from webnn_runtime.cli.texts import given_texts, placed, portions_of, warn_of_cuts

__all__ = ["classify"]


def classify(
    model: ModelPath,
    texts: Texts = None,
    top_k: Annotated[
        int | None,
        typer.Option("--top-k", min=1, metavar="N", help="So many labels of each text, best first; by default 1."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All labels of each text, best first.")] = False,
    pairs: Annotated[bool, typer.Option("--pairs", help="Each text is two, with a tab between them.")] = False,
    backend: BackendName = "auto",
    threads: Threads = None,
    compute: Compute = None,
    tokenizer_id: TokenizerId = None,
    batch_size: BatchSize = 32,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Classify texts: one JSON object with label and score a line, or a list of them, in the order of the texts."""
    with reporting("classify", as_json=as_json, quiet=quiet) as report:
        check_compute("--compute", compute)
        if every and top_k is not None:
            raise Misuse("--all and --top-k both say how many labels to print; pass one of them")
        given = given_texts(report, texts)
        from webnn_runtime.classify import WebNNClassifier

        classifier = WebNNClassifier(
            model,
            backend=backend,
            threads=threads,
            compute=compute,
            tokenizer_id=tokenizer_id,
            on_truncation="ignore",
        )
        info = classifier.backend_info()
        report.note(
            f"{info['model']}: {len(classifier.labels)} labels, {info['function_to_apply']}, backend {info['backend']}"
        )
        count, kept = 0, []
        for portion in portions_of(report, given, "Classifying", is_streamed=not as_json):
            with placed(portion):
                inputs: list[Any] = portion.texts
                if pairs:
                    inputs = [_pair(place, text) for place, text in enumerate(portion.texts, portion.first)]
                found = classifier(
                    inputs,
                    top_k=None if every else top_k or 1,
                    batch_size=batch_size,
                )
            count += len(found)
            for entries in found:
                result = entries if every or top_k is not None else entries[0]
                report.result(json.dumps(result, ensure_ascii=False))
                if as_json:
                    kept.append(result)
        report.data.update(count=count, labels=list(classifier.labels), results=kept)
        warn_of_cuts(report, classifier.truncated_count, count, info, "max_length")


def _pair(index: int, text: str) -> tuple[str, str]:
    first, tab, second = text.partition("\t")
    if not tab or "\t" in second:
        raise Misuse(f"text {index} is not two texts with one tab between them, as --pairs has it")
    return first, second

"""What smaller vectors cost: the nearest paragraphs that searching them still finds. The table of docs/embedding.md.

    python scripts/measure_precisions.py all-MiniLM-L6-v2-webnn --update-docs

What is searched are paragraphs of Python's own documentation; the first sentence of every tenth is a query.
Bounds of int8 are learnt from our own texts, not from these.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
from measure_quantizing import paragraphs
from pages import put

from webnn_runtime import WebNNEmbedder
from webnn_runtime.embed import quantize_embeddings, semantic_search
from webnn_runtime.evaluation import builtin_texts

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "embedding.md"
NEAREST: Final = 10
# Four times as many candidates as results; sentence-transformers takes twice as many by default.
MULTIPLIER: Final = 4


def found(*arguments: Any, **options: Any) -> list[set[int]]:
    """Documents that a search finds for each query."""
    rows = semantic_search(*arguments, top_k=NEAREST, **options)
    return [{entry["corpus_id"] for entry in row} for row in rows]


def measured(embedder: WebNNEmbedder) -> list[str]:
    """The table's lines."""
    documents = paragraphs()
    asked = [re.split(r"(?<=[.:])\s", text)[0] for text in documents[::10]]
    options: dict[str, Any] = {"prompt": ""}
    embedder.on_truncation = "ignore"
    ranges = embedder.calibrate(builtin_texts(), **options)
    exact, queries = embedder.encode(documents, **options), embedder.encode(asked, **options)
    stored = {name: quantize_embeddings(exact, name, ranges) for name in ("float16", "int8", "ubinary")}
    right = found(queries, exact)

    def row(name: str, size: int, got: list[set[int]]) -> str:
        shared = sum(len(one & two) for one, two in zip(right, got, strict=True))
        return f"| {name} | {size:,} | {shared / (NEAREST * len(right)):.3f} |"

    bits = {"corpus_precision": "ubinary", "rescore_multiplier": MULTIPLIER}
    width = exact.shape[1]
    lines = [
        f"`scripts/measure_precisions.py`: {len(documents):,} paragraphs, {len(asked)} queries, "
        f"all-MiniLM-L6-v2, the part of the {NEAREST} nearest that is found:",
        "",
        "| stored | bytes a vector | found |",
        "|---|---|---|",
        row("`float32`", 4 * width, right),
        row("`float16`", 2 * width, found(queries, stored["float16"], corpus_precision="float16")),
        row("`int8`", width, found(queries, stored["int8"], corpus_precision="int8", ranges=ranges)),
        row("bits", width // 8, found(queries, stored["ubinary"], corpus_precision="ubinary", rescore=False)),
        row("bits, rescored by the query", width // 8, found(queries, stored["ubinary"], **bits)),
        row(
            "bits, rescored with `int8`",
            width // 8 + width,
            found(
                queries,
                stored["ubinary"],
                rescore_corpus=stored["int8"],
                rescore_precision="int8",
                ranges=ranges,
                **bits,
            ),
        ),
    ]
    for size in (width // 2, width // 4):
        short, few = (np.ascontiguousarray(each[:, :size]) for each in (exact, queries))
        short, few = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (short, few))
        got = found(few, short.astype(np.float32))
        lines.append(row(f"the first {size} features, `float32`; the model was not trained for that", 4 * size, got))
    return lines


def main() -> None:
    """Print the table, and write it into the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", help="a converted all-MiniLM-L6-v2")
    parser.add_argument("--update-docs", action="store_true", help="write the table into docs/embedding.md")
    chosen = parser.parse_args()
    lines = measured(WebNNEmbedder(chosen.bundle))
    print("\n".join(lines))
    if chosen.update_docs:
        put(PAGE, "precisions", lines)


if __name__ == "__main__":
    main()

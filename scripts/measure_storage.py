"""What keeping weights in fewer bits does to the time of a run: the table of docs/backends.md.

    python scripts/measure_storage.py all-MiniLM-L6-v2-webnn FLOAT16 INT8 [--update-docs]

FLOAT16 and INT8 are what `webnn quantize` makes of the first bundle. All run on the rust backend, in turn in one
process; a figure is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from pages import put

from webnn_runtime import load
from webnn_runtime.bench.machine import describe_machine

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "backends.md"
# Texts and tokens of each.
CASES: Final = ((1, 4), (1, 10), (1, 16), (1, 30), (1, 128), (32, 10))
ROUNDS: Final = 9
# Tokens that one model computes in a round, about.
TOKENS: Final = 300


def median_seconds(model: Any, given: Mapping[str, Any], count: int) -> float:
    """Of `count` runs."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        model.run(given)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measured(bundles: list[Path], threads: int) -> list[tuple[float, list[float]]]:
    """For each case the first bundle's time in seconds, and how many times as fast the others are."""
    models = [load(bundle, backend="rust", threads=threads) for bundle in bundles]
    generator = np.random.default_rng(0)
    found = []
    for shape in CASES:
        given = {
            "input_ids": generator.integers(1000, 30000, shape),
            "attention_mask": np.ones(shape, np.int64),
            "token_type_ids": np.zeros(shape, np.int64),
        }
        exact, *others = (next(iter(model.run(given).values())) for model in models)
        for bundle, other in zip(bundles[1:], others, strict=True):
            cosine = float((exact * other).sum() / np.sqrt((exact**2).sum() * (other**2).sum()))
            assert cosine > 0.99, f"{bundle} is something else: its cosine is {cosine:.3f}"
        count = max(1, TOKENS // (shape[0] * shape[1]))
        rounds = [[median_seconds(model, given, count) for model in models] for _ in range(ROUNDS)]
        ratios = zip(*([first / each for each in rest] for first, *rest in rounds), strict=True)
        found.append((statistics.median(first for first, *_ in rounds), [statistics.median(each) for each in ratios]))
    return found


def table(bundles: list[Path], names: list[str]) -> list[str]:
    """The lines of the table."""
    machine = describe_machine(2)
    heads = [f"{head}, {threads}" for threads in ("1 thread", "2 threads") for head in ("float32, ms", *names)]
    lines = [
        f"`scripts/measure_storage.py` on {machine['cpu']} ({machine['instruction_set']}), "
        f"median of {ROUNDS} interleaved rounds:",
        "",
        f"| texts x tokens | {' | '.join(heads)} |",
        "|---|" + "---|" * len(heads),
    ]
    by_threads = [measured(bundles, threads) for threads in (1, 2)]
    for (texts, tokens), *found in zip(CASES, *by_threads, strict=True):
        cells = [
            cell for time, ratios in found for cell in (f"{time * 1e3:.2f}", *(f"{ratio:.2f}x" for ratio in ratios))
        ]
        lines.append(f"| {texts} x {tokens} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Print the table, and write it into the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("float32", type=Path, help="a converted all-MiniLM-L6-v2")
    parser.add_argument("float16", type=Path, help="what `webnn quantize --quantize float16` makes of it")
    parser.add_argument("int8", type=Path, help="the same with int8")
    parser.add_argument("--update-docs", action="store_true", help="write the table into docs/backends.md")
    chosen = parser.parse_args()
    lines = table([chosen.float32, chosen.float16, chosen.int8], ["float16", "int8"])
    print("\n".join(lines))
    if chosen.update_docs:
        put(PAGE, "storage", lines)


if __name__ == "__main__":
    main()

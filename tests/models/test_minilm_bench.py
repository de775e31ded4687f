"""`webnn bench` on the real all-MiniLM-L6-v2: contenders give the same vectors, and a start is taken apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.timeout(600)]


def test_bench_holds_it_against_onnxruntime_and_its_optimised_graph(minilm_bundle, minilm_exports) -> None:
    onnx = minilm_exports("ts-eager") / "onnx" / "model.onnx"
    command = [sys.executable, "-m", "webnn_runtime.cli", "bench", str(minilm_bundle), "--onnx", str(onnx)]
    rivals = ["--against", "onnxruntime,onnxruntime-optimised"]
    options = [
        "--cases",
        "c",
        "--rounds",
        "1",
        "--pause",
        "0",
        "--cold",
        "0",
        "--start",
        "1",
        "--threads",
        "1",
        "--json",
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([*command, *rivals, *options], check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)["data"]
    assert data["task"] == "embedding"
    (case,) = data["cases"]
    assert list(case["contenders"]) == ["webnn", "onnxruntime", "onnxruntime-optimised"]
    for each in case["contenders"].values():
        assert each["agreement"]["max_abs"] < 5e-6
        assert each["agreement"]["min_cosine"] > 0.999999
    parts = data["start"]["parts_ms"]
    assert parts["import"] > 0
    assert parts["bundle"] > 0
    assert data["start"]["beyond_ms"] < data["start"]["total_ms"]

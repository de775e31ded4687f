"""`webnn bench` on graphs that do not take texts: figures, refusals, and that a wrong answer is an error."""

from __future__ import annotations

import json

import onnx
import pytest
from onnx import numpy_helper


@pytest.fixture
def quick():
    """Options for a run without waiting; the figures are not looked at."""
    return ("--rounds", 2, "--pause", 0, "--cold", 1, "--threads", 1, "--json")


def test_a_graph_is_held_against_onnxruntime_and_timed(run, bundle, dense, quick) -> None:
    data = run("webnn", "bench", bundle, "--onnx", dense, "--against", "onnxruntime", *quick).json["data"]
    assert data["task"] == "graph"
    assert list(data["contenders"]) == ["webnn", "onnxruntime"]
    assert data["left_out"] == {}
    small, large = data["cases"]
    assert (small["name"], small["unit"], small["amount"]) == ("batch=1", "runs", 1)
    assert large["name"] == "batch=9"
    for each in small["contenders"].values():
        assert len(each["round_seconds"]) == 2
        assert min(each["round_seconds"]) > 0
        assert each["per_second"] == pytest.approx(2 / sum(each["round_seconds"]))
        assert each["run_ms"]["p50"] <= each["run_ms"]["p95"] <= each["run_ms"]["p99"]
        assert each["agreement"]["max_abs"] < 1e-5
    ours, theirs = (small["contenders"][name]["round_seconds"] for name in ("webnn", "onnxruntime"))
    assert small["ratio"]["low"] == pytest.approx(min(b / a for a, b in zip(ours, theirs, strict=True)))
    assert small["best_rival"] == "onnxruntime"
    assert data["cold_start"]["webnn"]["seconds"][0] > 0
    assert data["machine"]["threads"] == 1
    assert data["machine"]["versions"]["onnxruntime"]
    assert data["command"].startswith("webnn bench")


def test_tables_name_the_machine_and_every_contender(run, bundle) -> None:
    done = run("webnn", "bench", bundle, "--dim", "batch=3", "--rounds", 1, "--pause", 0, "--cold", 0, "--explain")
    assert done.code == 0, done.err
    for expected in ("CPU", " for everybody", "numpy ", "batch=3  random inputs", "onnxruntime: the bundle"):
        assert expected in done.out
    assert "sentence-transformers: left out; it is no contender for inputs that are not texts" in done.out
    assert '"backend"' in done.out
    (verdict,) = [line for line in done.out.splitlines() if line.startswith("batch=3: ")]
    assert "times onnxruntime" in verdict


def test_a_source_with_other_weights_is_an_error_and_nothing_is_timed(run, bundle, dense, quick) -> None:
    model = onnx.load(dense)
    weights = model.graph.initializer[0]
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * 1.01, "w"))
    dense.write_bytes(model.SerializeToString())
    done = run("webnn", "bench", bundle, "--onnx", dense, "--against", "onnxruntime", *quick)
    assert done.code == 7
    assert "the answer of onnxruntime is not that of webnn: they differ by" in done.json["errors"][0]["message"]
    assert done.json["data"] == {}


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--against", "tensorflow"], 2, "there is no such contender"),
        (["--against", "transformers"], 2, "no contender for inputs that are not texts"),
        (["--onnx", "missing.onnx"], 3, "there is no such file"),
        (["--model-folder", "missing"], 3, "has no config.json"),
        (["--cases", "a"], 2, "are about texts"),
        (["--task", "summary"], 2, "expected embedding, classification or graph"),
        (["--task", "embedding"], 2, "--task graph times the graph"),
        (["--pause", "inf"], 2, "3600"),
        (["--start", "1"], 2, "--start is about embedders"),
        (["--scaling", "colour"], 2, "expected some of batch, length, threads"),
        (["--dim", "height=3"], 2, "--dim: the graph has no dimension 'height'; its dimensions: batch"),
        (["--dim", "batch=0"], 2, "--dim: batch = 0; the graph allows 1 to "),
        (["--against", ""], 2, "--against: names no contender; expected some of onnxruntime,"),
        (["--calibrate", "texts.txt"], 2, "--calibrate is for openvino-int8, which is none of the contenders"),
        (["--plot", "picture.pdf"], 2, "ends in .png or .svg"),
        (["--plot", "nowhere/picture.png"], 2, "the folder 'nowhere' is not there"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_runs(options, code, message, run, bundle) -> None:
    done = run("webnn", "bench", bundle, *options, "--json")
    assert done.code == code, done.err
    assert message in json.loads(done.out)["errors"][0]["message"]


def test_a_classifier_that_pads_before_texts_is_timed_on_texts_of_one_length(run, make_encoder) -> None:
    folder = make_encoder("left", labels=("no", "yes"))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"padding_side": "left"}))
    quick = ("--rounds", 1, "--pause", 0, "--cold", 0, "--threads", 1, "--json")
    done = run("webnn", "bench", folder, "--cases", "a", "--against", "onnxruntime", *quick)
    assert done.code == 0, done.err
    (case,) = done.json["data"]["cases"]
    assert case["title"] == "256 texts of about 10 tokens, batch 32, texts of one length in a run"
    assert case["texts"] == 256
    assert all(each["agreement"]["max_abs"] < 1e-5 for each in case["contenders"].values())


def test_an_embedder_that_does_not_say_how_is_told(run, encoder) -> None:
    (encoder / "modules.json").unlink()
    quick = ("--cases", "a,d", "--rounds", 1, "--pause", 0, "--cold", 0, "--threads", 1, "--json")
    assert "--pooling" in run("webnn", "bench", encoder, *quick).err
    told = ("--pooling", "max+cls", "--max-seq-length", 8, "--start", 1, "--against", "onnxruntime")
    done = run("webnn", "bench", encoder, *quick, *told)
    assert done.code == 0, done.err
    data = done.json["data"]
    assert data["task"] == "embedding"
    short, long = data["cases"]
    assert (short["texts"], long["texts"], long["amount"]) == (256, 32, 32 * 8)
    assert data["start"]["total_ms"] > 0
    for arguments, message in (
        (("--pooling", "meen"), "no pooling mode"),
        (("--pooling", "mean", "--max-seq-length", 1000), "at most 16"),
        (("--pooling", "mean", "--against", "sentence-transformers"), "it pools as the files of its folder say"),
    ):
        done = run("webnn", "bench", encoder, *quick, *arguments)
        assert (done.code, message in done.err) == (2, True), done.err


def test_what_is_about_texts_is_refused_for_others(run, bundle, make_encoder) -> None:
    done = run("webnn", "bench", bundle, "--max-seq-length", 8)
    assert (done.code, "--max-seq-length is about texts" in done.err) == (2, True)
    classifier = make_encoder("classifier", labels=("no", "yes"))
    done = run("webnn", "bench", classifier, "--pooling", "mean")
    assert (done.code, "--pooling is about vectors of texts" in done.err) == (2, True)

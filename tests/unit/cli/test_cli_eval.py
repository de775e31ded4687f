"""`webnn eval` and `webnn compare` on small bundles: numbers against the embedder's own, gates, the certificate."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from webnn_runtime.classify import WebNNClassifier
from webnn_runtime.embed import WebNNEmbedder
from webnn_runtime.evaluation import cosine_statistics, neighbour_overlap, spearman

WORDS = ["a", "b", "c", "d", "e", "f", "sun", "rain", "cat", "dog"]
TEXTS = [f"{one} {two}" for one in WORDS for two in WORDS[:5]]


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    return path


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.tsv"
    scores = np.random.default_rng(4).integers(0, 6, 25)
    lines = [f"{TEXTS[i]}\t{TEXTS[-1 - i]}\t{score}" for i, score in enumerate(scores)]
    path.write_text("\n".join(["sentence1\tsentence2\tscore", *lines]), encoding="utf-8")
    return path


@pytest.fixture
def quantised(make_encoder):
    return make_encoder("quantised", steps=20, quantization={"kind": "int8", "compute": "exact", "options": {}})


def test_a_quantised_bundle_is_measured_against_the_float_one(run, quantised, encoder, texts, pairs) -> None:
    ran = run(
        *("webnn", "eval", quantised, "--reference", encoder, "--texts", texts, "--pairs", pairs),
        *("--rounds", "1", "--backend", "numpy", "--json"),
    )
    assert ran.code == 0, ran.err
    data = ran.json["data"]
    right, judged = (WebNNEmbedder(path, backend="numpy") for path in (encoder, quantised))
    a, b = right.encode(TEXTS), judged.encode(TEXTS)
    assert data["cosine"] == cosine_statistics(a, b).record()
    assert 0.9 < data["cosine"]["minimum"] < 0.99999
    assert data["overlapAt10"] == neighbour_overlap(a, b)
    scores = [float(line.split("\t")[2]) for line in pairs.read_text().splitlines()[1:]]
    similar = [float(b[i] @ b[-1 - i]) for i in range(25)]
    assert data["pairs"]["spearman"] == pytest.approx(spearman(similar, scores), abs=1e-12)
    assert data["pairs"]["loss"] == data["pairs"]["referenceSpearman"] - data["pairs"]["spearman"]
    assert (data["quantization"], data["reference"]["quantization"]) == ("int8", None)
    assert data["weightsBytes"] == (quantised / "model.weights").stat().st_size
    assert data["fileBytes"] == sum(
        (quantised / name).stat().st_size for name in ("model.webnn", "model.weights", "manifest.json")
    )
    assert data["speed"]["rounds"] == 1
    assert data["gate"] is None


def test_people_see_a_table_and_the_worst_text(run, quantised, encoder, texts) -> None:
    ran = run("webnn", "eval", quantised, "--reference", encoder, "--texts", texts, "--rounds", "1")
    assert ran.code == 0
    for part in ("weights", "texts a second", "cosine mean 0.9", "farthest text: ", "overlap of the 10 nearest: "):
        assert part in ran.out
    quiet = run("webnn", "eval", quantised, "--reference", encoder, "--rounds", "0", "--quiet").out
    assert "255 texts" in quiet
    assert "weights" not in quiet


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (["--min-cosine", "0.5", "--min-mean-cosine", "0.9", "--max-loss", "0.9"], 0),
        (["--min-cosine", "0.99999"], 8),
        (["--min-mean-cosine", "0.99999"], 8),
        (["--max-loss", "-1"], 8),
    ],
)
def test_a_limit_that_is_missed_is_exit_code_8_and_records_nothing(
    limits, code, run, quantised, encoder, texts, pairs
) -> None:
    before = (quantised / "manifest.json").read_bytes()
    ran = run(
        *("webnn", "eval", quantised, "--reference", encoder, "--texts", texts, "--pairs", pairs, "--rounds", "0"),
        *("--record", "--json", *limits),
    )
    assert (ran.code, ran.json["data"]["gate"]["passed"]) == (code, code == 0)
    assert ((quantised / "manifest.json").read_bytes() == before) == (code == 8)
    if code == 8:
        assert ran.json["errors"][0]["code"] == "quality-gate"
        assert ran.json["data"]["cosine"]["count"] == len(TEXTS)


def test_a_limit_on_what_is_not_measured_is_refused_before_anything_is(run, quantised, encoder, texts) -> None:
    ran = run("webnn", "eval", quantised, "--reference", encoder, "--texts", texts, "--max-loss", "0.1", "--json")
    assert ran.code == 2
    assert "--max-loss is of a correlation; pass --pairs" in ran.json["errors"][0]["message"]
    assert "cosine" not in ran.json["data"]


def test_the_certificate_records_it_reproducibly(run, quantised, encoder, texts) -> None:
    arguments = ("webnn", "eval", quantised, "--reference", encoder, "--texts", texts, "--rounds", "1", "--record")
    assert run(*arguments, "--quiet").code == 0
    first = (quantised / "manifest.json").read_bytes()
    extension = json.loads(first)["x-webnn-runtime"]
    entry = extension["certificate"]["evaluation"]
    reference = json.loads((encoder / "manifest.json").read_text())["x-webnn-runtime"]["sha256"]
    assert entry["reference"] == {"graphSha256": reference["graph"], "weightsSha256": reference["weights"]}
    assert entry["cosine"]["count"] == len(TEXTS)
    assert "speed" not in entry
    assert str(encoder) not in first.decode()
    assert extension["quantization"]["kind"] == "int8"
    assert run(*arguments, "--quiet").code == 0
    assert (quantised / "manifest.json").read_bytes() == first
    assert run("webnn", "verify", quantised, "--quiet").code == 0
    assert run("webnn", "inspect", quantised, "--quiet").code == 0


def test_a_manifest_of_another_tool_is_left_alone(run, quantised, encoder, texts) -> None:
    path = quantised / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["x-webnn-runtime"]
    path.write_text(json.dumps(manifest))
    before = path.read_bytes()
    ran = run(
        *("webnn", "eval", quantised, "--reference", encoder, "--texts", texts, "--rounds", "0", "--record"),
    )
    assert (ran.code, path.read_bytes()) == (4, before)
    assert "written by another tool" in ran.err


def test_classifiers_are_compared_by_their_labels(run, make_encoder, texts) -> None:
    labels = ("bad", "good", "fair")
    right, judged = make_encoder("right", labels=labels), make_encoder("judged", labels=labels, noise=0.3)
    arguments = ("webnn", "eval", judged, "--reference", right, "--texts", texts, "--rounds", "0")
    data = run(*arguments, "--json", "--record").json["data"]
    a, b = (WebNNClassifier(path).scores(TEXTS) for path in (right, judged))
    same = float((a.argmax(axis=1) == b.argmax(axis=1)).mean())
    assert 0 < same < 1
    assert (data["agreement"], data["maxDifference"]) == (same, float(np.abs(b.astype(float) - a.astype(float)).max()))
    assert sum(count for of in data["changed"].values() for count in of.values()) == round((1 - same) * len(TEXTS))
    assert run(*arguments, "--max-loss", "0").code == 8
    assert run(*arguments, "--max-loss", "1").code == 0
    assert run(*arguments, "--min-cosine", "0.9").code == 2
    recorded = json.loads((judged / "manifest.json").read_text())["x-webnn-runtime"]["certificate"]["evaluation"]
    assert recorded["agreement"] == round(same, 6)


def test_scorers_of_one_label_are_compared_by_their_order(run, make_encoder, texts, optional) -> None:
    right, judged = make_encoder("right", labels=("fit",)), make_encoder("judged", labels=("fit",), noise=0.3)
    arguments = ("webnn", "eval", judged, "--reference", right, "--texts", texts, "--rounds", "0")
    data = run(*arguments, "--json").json["data"]
    a, b = (WebNNClassifier(path).scores(TEXTS)[:, 0] for path in (right, judged))
    expected = optional("scipy.stats").spearmanr(a, b).statistic
    assert data["agreement"] is None
    assert data["rankCorrelation"] == pytest.approx(expected, abs=1e-9)
    assert expected < 0.9999
    assert run(*arguments, "--max-loss", "0.00001").code == 8
    assert run(*arguments, "--max-loss", "2").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "nothing to judge by; pass --reference"),
        (["--min-cosine", "0.9", "--pairs", "pairs.tsv"], 2, "pass --reference"),
        (["--reference", "./absent"], 3, "there is no such file or folder"),
        (["--reference", "encoder", "--texts", "absent.txt"], 3, "there is no such file"),
        (["--reference", "encoder", "--pairs", "texts.txt"], 4, "not clear which hold the sentences"),
        (["--reference", "encoder", "--max-loss", "0.1", "--rounds", "0"], 2, "pass --pairs and --reference"),
        (["--reference", "classifier"], 2, "is a classifier; compare two of a kind"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    arguments, code, message, run, quantised, encoder, make_encoder, texts, pairs
) -> None:
    make_encoder("classifier", labels=("yes", "no"))
    ran = run("webnn", "eval", quantised, *arguments)
    assert (ran.code, message in ran.err) == (code, True), ran.err


def test_two_bundles_are_compared_in_what_they_hold_and_compute(run, quantised, encoder) -> None:
    ran = run("webnn", "compare", encoder, quantised, "--json")
    assert ran.code == 0, ran.err
    data = ran.json["data"]
    assert data["operatorDifferences"] == {"dequantizeLinear": [0, 1]}
    assert data["first"]["types"]["float32"] - data["second"]["types"]["float32"] == 4 * 36 - 4 * 6
    assert data["second"]["types"]["int8"] == 36 + 6
    assert data["second"]["quantization"] == "int8"
    output = data["outputs"]["last_hidden_state"]
    assert 0 < output["maxAbs"] < 0.2
    assert output["maxRelative"] == output["maxAbs"] / output["largest"]
    assert 0.9 < output["minCosine"] <= output["meanCosine"] < 1
    assert data["runs"] > 2
    assert data["vectors"]["count"] == 64
    text = run("webnn", "compare", encoder, quantised).out
    assert "dequantizeLinear: 0 and 1" in text
    assert "vectors: cosine mean 0.9" in text


def test_equal_bundles_are_said_to_be_equal(run, encoder, tmp_path) -> None:
    shutil.copytree(encoder, tmp_path / "copy")
    ran = run("webnn", "compare", encoder, "copy", "--quiet")
    assert "last_hidden_state: equal" in ran.out
    assert run("webnn", "compare", encoder, "absent").code == 3


def test_any_two_graphs_are_compared(run, bundle, dense, encoder) -> None:
    assert run("webnn-convert", dense, "-o", "fixed", "--dim", "batch=3", "--quiet").code == 0
    data = run("webnn", "compare", bundle, "fixed", "--json").json["data"]
    assert (data["outputs"]["y"]["maxAbs"], data["runs"]) == (0, 1)
    assert data["vectors"] is None
    data = run("webnn", "compare", bundle, encoder, "--json").json["data"]
    assert (data["outputs"], data["reason"]) == (None, "the inputs are x and input_ids, attention_mask")


def test_a_model_that_is_no_bundle_yet_is_converted_to_compare_with(run, bundle, dense, monkeypatch) -> None:
    from webnn_runtime.cli.references import opened_reference

    notes: list[str] = []
    with opened_reference(str(dense), notes.append) as folder:
        data = run("webnn", "compare", bundle, folder, "--json").json["data"]
        assert data["outputs"]["y"]["maxAbs"] == 0
    assert "holds no WebNN graph; converting it" in notes[0]
    with opened_reference(str(bundle), notes.append) as folder:
        assert folder == str(bundle)


def test_a_lone_onnx_file_is_read_with_the_tokenizer_of_the_bundle(run, make_encoder, tmp_path, texts) -> None:
    table = np.random.default_rng(0).standard_normal((20, 6)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])],
        "lone",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "length", 6])],
        [numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "lone.onnx"
    path.write_bytes(model.SerializeToString())
    bundle = make_encoder("bundle")
    assert run("webnn-convert", path, "-o", "lone", "--quiet").code == 0
    for name in ("model.webnn", "model.weights", "manifest.json"):
        shutil.copy(tmp_path / "lone" / name, bundle / name)
    data = run(
        *("webnn", "eval", bundle, "--reference", path, "--texts", texts, "--rounds", "0", "--json", "--quiet"),
    ).json["data"]
    assert data["cosine"]["minimum"] == pytest.approx(1, abs=1e-12)
    assert data["reference"]["model"] == str(path)


def test_both_sides_may_be_told_how_to_compute(run, quantised, encoder, texts) -> None:
    arguments = ("webnn", "eval", quantised, "--reference", quantised, "--texts", texts, "--rounds", "0")
    exact = ("--backend", "onnxruntime", "--compute", "exact", "--reference-compute", "exact")
    data = run(*arguments, *exact, "--json").json["data"]
    assert (data["compute"], data["reference"]["compute"]) == ("exact", "exact")
    assert data["cosine"]["minimum"] == pytest.approx(1, abs=1e-12)
    for flag in ("--compute", "--reference-compute"):
        ran = run(*arguments, flag, "int4")
        assert (ran.code, f"{flag} int4: exact or int8" in ran.err) == (2, True)


def test_a_bundle_without_a_tokenizer_can_be_compared(run, encoder) -> None:
    (encoder / "tokenizer.json").unlink()
    ran = run("webnn", "eval", encoder, "--reference", encoder)
    assert ran.code != 0
    assert "has no tokenizer.json" in ran.err
    assert "or use webnn compare, which needs no texts" in ran.err


@pytest.mark.filterwarnings("default::webnn_runtime.embed.TruncationWarning")
def test_bundles_that_do_not_say_how_are_told(run, quantised, encoder, texts) -> None:
    for folder in (quantised, encoder):
        (folder / "modules.json").unlink()
    options = {"pooling": "max+cls", "max_seq_length": 4, "on_truncation": "ignore"}
    right, judged = (WebNNEmbedder(path, **options) for path in (encoder, quantised))
    arguments = ("webnn", "eval", quantised, "--reference", encoder, "--texts", texts, "--rounds", "0", "--json")
    assert "--pooling" in run(*arguments).err
    ran = run(*arguments, "--pooling", "max+cls", "--max-seq-length", "4", "--prompt", "sun ", "--record")
    # Two special tokens leave the prompt and one word, which all texts with that word share.
    prompted = [f"sun {text}" for text in TEXTS]
    found = cosine_statistics(right.encode(prompted), judged.encode(prompted))
    assert ran.json["data"]["cosine"] == found.record()
    assert f"{len(TEXTS)} texts" in ran.json["warnings"][0]
    # What was measured is what the certificate says, and nothing is said of what was left to the files.
    certificate = json.loads((quantised / "manifest.json").read_text())["x-webnn-runtime"]["certificate"]
    settings = {"prompt": "sun ", "pooling": "max+cls", "maxSeqLength": 4}
    assert (certificate["evaluation"]["settings"], ran.json["data"]["settings"]) == (settings, settings)
    assert run(*arguments, "--prompt", "a", "--prompt-name", "b").code == 2


@pytest.mark.filterwarnings("default::webnn_runtime.embed.TruncationWarning")
def test_what_is_about_vectors_is_refused_for_classifiers(run, make_encoder, texts) -> None:
    labels = ("bad", "good", "fair")
    right, judged = make_encoder("right", labels=labels), make_encoder("judged", labels=labels, noise=0.3)
    arguments = ("webnn", "eval", judged, "--reference", right, "--texts", texts, "--rounds", "0", "--json")
    for told in (("--pooling", "mean"), ("--prompt", "sun "), ("--prompt-name", "query")):
        ran = run(*arguments, *told)
        assert (ran.code, ran.out.count(f"{told[0]} is about vectors of texts")) == (2, 1)
    a, b = (WebNNClassifier(path, max_length=3, on_truncation="ignore").scores(TEXTS) for path in (right, judged))
    data = run(*arguments, "--max-seq-length", "3").json["data"]
    assert data["maxDifference"] == float(np.abs(b.astype(float) - a.astype(float)).max())

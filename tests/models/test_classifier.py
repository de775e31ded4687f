"""A small BERT that classifies, converted from its folder: the labels and scores of transformers' pipeline."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from webnn_runtime import WebNNClassifier
from webnn_runtime.classify.labels import read_labels
from webnn_runtime.embed import TruncationWarning
from webnn_runtime.format.errors import EmbedError

pytestmark = [pytest.mark.torch, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
VOCABULARY = "the a cat dog sat on mat house is very good bad film and not but it was long short of to rain sun"
TEXTS = ["the cat sat on the mat", "a very bad film", "it was not good but it was short", "rain", "", "dog " * 20]
PAIRS = [
    ("the cat sat", "a dog is on the mat"),
    ("rain " * 30, "sun " * 25),
    ("good", "bad " * 40),
    ("sun " * 40, "it"),
]
PROBLEMS = ["single_label_classification", "multi_label_classification", "regression", None]
# In a process of its own: torch stays out of the tests' memory and of their warning filters.
MAKE = """
import json, sys, torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast, pipeline

folder, words, texts, pairs, problems = sys.argv[1], *map(json.loads, sys.argv[2:])
with open(folder + "/vocab.txt", "w") as file:
    file.write("\\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
tokenizer = BertTokenizerFast(folder + "/vocab.txt", model_max_length=32)
torch.manual_seed(3)
model = BertForSequenceClassification(BertConfig(
    vocab_size=len(words) + 5, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
    max_position_embeddings=40, initializer_range=0.4, id2label={0: "plain", 1: "good & great", 2: "schlecht"},
    label2id={"plain": 0, "good & great": 1, "schlecht": 2})).eval()
model.save_pretrained(folder)
tokenizer.save_pretrained(folder)
classify = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
found = {}
for problem in problems:
    model.config.problem_type = problem
    found[str(problem)] = {
        "one": classify(texts[0]), "list": classify(texts, truncation=True),
        "two": classify(texts, truncation=True, top_k=2), "all": classify(texts[1], top_k=None),
        "pair": classify({"text": pairs[0][0], "text_pair": pairs[0][1]}),
        "pairs": classify([{"text": a, "text_pair": b} for a, b in pairs], truncation=True, top_k=None),
        "none": classify(texts[0], top_k=None, function_to_apply="none"),
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory, optional):
    """A model's folder, and what transformers says of the texts."""
    optional("torch")
    optional("transformers")
    folder = tmp_path_factory.mktemp("classifier") / "tiny-bert"
    folder.mkdir()
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        MAKE,
        str(folder),
        *map(json.dumps, (VOCABULARY.split(), TEXTS, PAIRS, PROBLEMS)),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return folder, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def bundle(made, webnn_convert):
    """The folder, converted."""
    target = made[0].parent / "tiny-bert-webnn"
    done = webnn_convert(str(made[0]), "-o", str(target), "--quiet")
    assert done.returncode == 0, done.stderr
    return target


def same(found, wanted) -> None:
    """Equal labels and shapes, and scores as near as float32 makes them."""
    if isinstance(wanted, list):
        assert isinstance(found, list)
        assert len(found) == len(wanted)
        for left, right in zip(found, wanted, strict=True):
            same(left, right)
    else:
        assert found["label"] == wanted["label"]
        assert found["score"] == pytest.approx(wanted["score"], abs=1e-5, rel=1e-5)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_labels_and_scores_are_those_of_transformers(problem, made, bundle, backend, tmp_path) -> None:
    wanted = made[1][str(problem)]
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"problem_type": problem}))
    classify = WebNNClassifier(folder, backend=backend.name, on_truncation="ignore")
    same(classify(TEXTS[0]), wanted["one"])
    same(classify(TEXTS), wanted["list"])
    same(classify(iter(TEXTS), top_k=2, batch_size=2), wanted["two"])
    same(classify(TEXTS[1], top_k=None), wanted["all"])
    same(classify({"text": PAIRS[0][0], "text_pair": PAIRS[0][1]}), wanted["pair"])
    same(classify(PAIRS, top_k=None), wanted["pairs"])
    same(classify(TEXTS[0], top_k=None, function_to_apply="none"), wanted["none"])


def test_scores_are_an_array_in_the_order_of_the_labels(made, bundle) -> None:
    classify = WebNNClassifier(bundle, on_truncation="ignore")
    found = classify.scores([*TEXTS, *PAIRS])
    assert (found.dtype, found.shape) == (np.float32, (len(TEXTS) + len(PAIRS), 3))
    assert classify.labels == ("plain", "good & great", "schlecht")
    best = [classify.labels[index] for index in found[: len(TEXTS)].argmax(1)]
    assert best == [entry["label"] for entry in made[1]["None"]["list"]]
    assert classify.scores([]).shape == (0, 3)
    assert classify([]) == []


def test_the_page_runs(bundle, tmp_path) -> None:
    page = (ROOT / "docs" / "classification.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (name,) = re.findall(r'WebNNClassifier\("(.*?)"\)', block)
    shutil.copytree(bundle, tmp_path / name)
    code = block + "print(len(classify('rain', top_k=None)))"
    environment = {"PYTHONPATH": str(ROOT / "runtime"), "PATH": "", "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr


def test_padding_before_a_text_moves_none(made, bundle, backend, tmp_path) -> None:
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"padding_side": "left"}))
    classify = WebNNClassifier(folder, backend=backend.name, on_truncation="ignore")
    # The pipeline of transformers runs one text at a time.
    same(classify(TEXTS, top_k=2), made[1]["None"]["two"])


def test_a_copy_is_refused_with_what_to_do(bundle) -> None:
    with pytest.raises(TypeError, match=r"another process opens its own: WebNNClassifier\("):
        pickle.dumps(WebNNClassifier(bundle, backend="numpy"))


def test_truncation_is_told_and_counted(bundle) -> None:
    classify = WebNNClassifier(bundle)
    assert classify.max_length == 32
    with pytest.warns(TruncationWarning, match=r"2 of 3 texts are longer than 32 tokens \(model_max_length"):
        classify(["rain", "rain " * 31, PAIRS[1]])
    assert classify.truncated_count == 2
    with pytest.raises(EmbedError, match="on_truncation='warn'"):
        WebNNClassifier(bundle, on_truncation="error")("rain " * 31)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WebNNClassifier(bundle, max_length=40)("rain " * 31)
    with pytest.raises(EmbedError, match="at most 40"):
        WebNNClassifier(bundle, max_length=41)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"inputs": ["rain", 3]}, TypeError, "text 1 is 3"),
        ({"inputs": [("a", "b", "c")]}, TypeError, "expected a string, or a pair"),
        ({"inputs": {"txt": "rain"}}, TypeError, "text 0"),
        ({"inputs": "rain", "top_k": 0}, EmbedError, "top_k=0"),
        ({"inputs": "rain", "batch_size": 0}, EmbedError, "batch_size=0"),
        ({"inputs": "rain", "function_to_apply": "relu"}, EmbedError, "softmax, sigmoid, none"),
    ],
)
def test_what_cannot_be_honoured_is_refused(arguments, error, message, bundle) -> None:
    given = dict(arguments)
    with pytest.raises(error, match=message):
        WebNNClassifier(bundle)(given.pop("inputs"), **given)


def test_a_given_tokenizer_is_never_swapped_for_that_of_the_model(bundle, tmp_path) -> None:
    # The bundle has a tokenizer of its own, which is not the one asked for.
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(EmbedError, match=rf"{tmp_path.name}: has no tokenizer.json; pass a tokenizer_id= that has one"):
        WebNNClassifier(bundle, tokenizer_id=str(tmp_path))


def test_command_prints_a_label_a_line(made, bundle, webnn) -> None:
    wanted = made[1]["None"]
    done = webnn("classify", str(bundle), *TEXTS[:2])
    assert done.returncode == 0, done.stderr
    same([json.loads(line) for line in done.stdout.splitlines()], wanted["list"][:2])
    done = webnn("classify", str(bundle), "--all", "--pairs", "--json", "\t".join(PAIRS[0]))
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)["data"]
    assert data["labels"] == ["plain", "good & great", "schlecht"]
    same(data["results"], wanted["pairs"][:1])
    assert webnn("classify", str(bundle), "--pairs", "no tab").returncode == 2


@pytest.mark.parametrize(
    ("config", "count", "names", "activation"),
    [
        ({}, 2, ("LABEL_0", "LABEL_1"), "softmax"),
        ({"id2label": {"0": "yes"}}, 1, ("yes",), "sigmoid"),
        ({"id2label": {"0": "stars"}, "problem_type": "regression"}, 1, ("stars",), "none"),
        ({"id2label": {"0": "x"}, "problem_type": "single_label_classification"}, 1, ("x",), "sigmoid"),
        ({"id2label": {"1": "b", "0": "a"}, "problem_type": "multi_label_classification"}, 2, ("a", "b"), "sigmoid"),
    ],
)
def test_labels_are_read_as_transformers_reads_them(config, count, names, activation, tmp_path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = read_labels([tmp_path], count)
    assert (found.names, found.activation) == (names, activation)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"id2label": {"0": "a"}}, "names 1 labels, and the graph has 2"),
        ({"id2label": {"0": "a", "2": "b"}}, "names 2 labels"),
        ({"problem_type": "ranking"}, "'ranking'"),
        (None, "no config.json"),
    ],
)
def test_labels_that_do_not_fit_are_refused(config, message, tmp_path) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(EmbedError, match=message):
        read_labels([tmp_path], 2)


# Four processes, one of which loads torch.
@pytest.mark.timeout(600)
def test_bench_holds_it_against_transformers_and_onnxruntime(made, bundle) -> None:
    command = [sys.executable, "-m", "webnn_runtime.cli", "bench", str(bundle), "--model-folder", str(made[0])]
    options = [
        "--against",
        "transformers,onnxruntime",
        "--cases",
        "a,c",
        "--rounds",
        "2",
        "--pause",
        "0",
        "--cold",
        "0",
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([*command, *options, "--json"], check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)["data"]
    assert data["task"] == "classification"
    assert list(data["contenders"]) == ["webnn", "transformers", "onnxruntime"]
    for case in data["cases"]:
        assert case["unit"] == "tokens"
        for each in case["contenders"].values():
            assert each["agreement"]["max_abs"] < 1e-5
            assert len(each["round_seconds"]) == 2

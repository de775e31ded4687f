"""Cross-encoders as sentence-transformers saves them: the scores that its `predict` gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from webnn_runtime import WebNNClassifier
from webnn_runtime.classify.labels import read_labels
from webnn_runtime.format.errors import EmbedError

PAIRS = [("the cat sat", "a dog is on the mat"), ("rain", "sun"), ("a good film", "a very bad film"), ("it", "it was")]
# In a process of its own: torch stays out of the tests' memory and of their warning filters.
MAKE = """
import json, sys, torch
from sentence_transformers import CrossEncoder
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

folder, pairs = sys.argv[1], json.loads(sys.argv[2])
words = "the a cat dog sat on mat is very good bad film it was rain sun".split()
with open(folder + "/vocab.txt", "w") as file:
    file.write("\\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
BertTokenizerFast(folder + "/vocab.txt", model_max_length=32).save_pretrained(folder)
torch.manual_seed(3)
BertForSequenceClassification(BertConfig(
    vocab_size=len(words) + 5, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=48,
    max_position_embeddings=40, initializer_range=0.4, num_labels=1)).save_pretrained(folder)
found = {}
for name in ("Identity", "Sigmoid"):
    CrossEncoder(folder, activation_fn=getattr(torch.nn, name)()).save_pretrained(f"{folder}/{name}")
    found[name] = CrossEncoder(f"{folder}/{name}").predict([tuple(pair) for pair in pairs]).tolist()
print(json.dumps(found))
"""


@pytest.mark.torch
@pytest.mark.timeout(180)
def test_scores_are_those_of_predict(optional, tmp_path, webnn_convert) -> None:
    optional("torch")
    optional("sentence_transformers")
    command = [sys.executable, "-W", "ignore", "-c", MAKE, str(tmp_path), json.dumps(PAIRS)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    expected = json.loads(done.stdout.splitlines()[-1])
    assert min(expected["Identity"]) < 0  # which no sigmoid gives
    for name, scores in expected.items():
        bundle = tmp_path / f"{name}-webnn"
        ran = webnn_convert(str(tmp_path / name), "-o", str(bundle), "--quiet")
        assert ran.returncode == 0, ran.stderr
        found = WebNNClassifier(bundle).scores(PAIRS)
        np.testing.assert_allclose(found[:, 0], scores, rtol=1e-4, atol=1e-5)


IDENTITY, SIGMOID = "torch.nn.modules.linear.Identity", "torch.nn.modules.activation.Sigmoid"


@pytest.mark.parametrize(
    ("config", "saved", "count", "activation"),
    [
        ({}, {"activation_fn": IDENTITY}, 1, "none"),
        ({"sentence_transformers": {"activation_fn": IDENTITY}}, {}, 1, "none"),
        ({"sbert_ce_default_activation_function": IDENTITY}, None, 1, "none"),
        ({"sentence_transformers": {"activation_fn": IDENTITY}}, {"activation_fn": SIGMOID}, 1, "sigmoid"),
        ({"problem_type": "regression"}, {"activation_fn": SIGMOID}, 1, "sigmoid"),
        ({}, {"activation_fn": None}, 1, "sigmoid"),
        # What is written for several labels where nobody has chosen is no choice.
        ({}, {"activation_fn": IDENTITY}, 3, "softmax"),
        ({}, {"activation_fn": SIGMOID}, 3, "sigmoid"),
        ({"problem_type": "single_label_classification"}, {"activation_fn": SIGMOID}, 3, "softmax"),
    ],
)
def test_the_function_that_files_state_makes_the_scores(config, saved, count, activation, tmp_path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    if saved is not None:
        (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(saved))
    assert read_labels([tmp_path], count).activation == activation


@pytest.mark.parametrize("name", ["torch.nn.modules.activation.Tanh", "mine.Identity", "Identity"])
def test_another_function_is_refused(name, tmp_path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps({"activation_fn": name}))
    with pytest.raises(EmbedError, match=f"'activation_fn' is '{name}'; the supported ones are Identity, Sigmoid"):
        read_labels([tmp_path], 1)

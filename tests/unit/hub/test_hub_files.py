"""Which files are fetched: by name, before anything is downloaded."""

from __future__ import annotations

import pytest

from webnn_runtime.format.errors import HubError
from webnn_runtime.hub import select_bundle, select_everything, select_tokenizer

OTHER = ["pytorch_model.bin", "model.onnx", "onnx/model.onnx", "modeling.py", "README.md", "tokenizer.json"]


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["model.webnn", "model.weights", "manifest.json"], ["manifest.json", "model.weights", "model.webnn"]),
        (
            ["model.webnn", "model.weights", "model.manifest.json"],
            ["model.manifest.json", "model.weights", "model.webnn"],
        ),
        (["mini.webnn", "mini.weights", "mini.manifest.json"], ["mini.manifest.json", "mini.weights", "mini.webnn"]),
        (["mini.webnn", "other.weights", "manifest.json"], ["manifest.json", "mini.webnn", "other.weights"]),
        (["model.webnn", "model.safetensors"], ["model.safetensors", "model.webnn"]),
        (["mini.webnn", "mini.safetensors", "x.safetensors"], ["mini.safetensors", "mini.webnn"]),
        (["model.webnn", "model.weights", "model.safetensors"], ["model.weights", "model.webnn"]),
        (["model.webnn", "draft.webnn", "draft.weights", "model.weights"], ["model.weights", "model.webnn"]),
        (["only.webnn"], ["only.webnn"]),
        (["model.webnn", "embedding_ranges.json"], ["embedding_ranges.json", "model.webnn"]),
        (["x.webnn", "y.weights", "z.manifest.json"], ["x.webnn", "y.weights", "z.manifest.json"]),
    ],
)
def test_the_bundle_is_found_under_every_naming(files, chosen) -> None:
    assert select_bundle([*OTHER, *files]) == sorted([*chosen, "tokenizer.json"])


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (OTHER, r"no WebNN graph \(\*\.webnn\) among its files; convert the model first: webnn-convert"),
        (["sub/model.webnn"], "no WebNN graph"),
        (["b.webnn", "a.webnn"], "several WebNN graphs and none is called 'model.webnn': a.webnn, b.webnn"),
    ],
)
def test_a_repository_without_one_clear_graph_is_refused(files, complaint) -> None:
    with pytest.raises(HubError, match=complaint):
        select_bundle(files)


PIPELINE = [
    "config.json",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "sentence_xlm-roberta_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "1_Pooling/config.json",
    "2_Dense/config.json",
    "2_Dense/model.safetensors",
    "0_Transformer/tokenizer.json",
    "0_Transformer/sentence_bert_config.json",
]
NOT_NEEDED = ["2_Dense/pytorch_model.bin", "1_Pooling/x.py", "onnx/config.json", "vocab.txt", "0_T/1_P/config.json"]
# Weights of the first module are in the graph.
NOT_NEEDED += ["0_Transformer/model.safetensors", "0_StaticEmbedding/model.safetensors"]


def test_tokenizer_and_pipeline_come_along() -> None:
    assert select_bundle(["model.webnn", *PIPELINE, *NOT_NEEDED]) == sorted(["model.webnn", *PIPELINE])


def test_a_tokenizer_needs_no_weights_and_no_graph() -> None:
    names = [*PIPELINE, *NOT_NEEDED, "model.safetensors"]
    assert select_tokenizer(names) == sorted(set(PIPELINE) - {"2_Dense/model.safetensors"})


@pytest.mark.parametrize(
    "name", ["../model.webnn", "/model.webnn", "a//b", "a/./b", "C:x.webnn", "a\\b.webnn", "a\x00.webnn", ""]
)
def test_a_name_that_leaves_its_folder_is_never_fetched(name) -> None:
    assert name not in select_everything([name, "ok.json"])
    with pytest.raises(HubError, match="no WebNN graph"):
        select_bundle([name])

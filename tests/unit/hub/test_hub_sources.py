"""A model id as the source of a conversion: only what is needed is fetched, and where it came from is recorded."""

from __future__ import annotations

from typing import Any

import pytest

from webnn_runtime.format.errors import HubError
from webnn_translator.sources import open_source

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_an_onnx_file_is_fetched_with_its_companions_and_nothing_else(hub: Any, tiny_model: bytes) -> None:
    names = ["onnx/model.onnx_data", "tokenizer.json", "modules.json", "1_Pooling/config.json", "config.json"]
    # Equal contents would be fetched once.
    needed = {"onnx/model.onnx": tiny_model, **{name: f'"{name}"'.encode() for name in names}}
    rest = dict.fromkeys(["onnx/model_quantized.onnx", "model.safetensors", "pytorch_model.bin", "README.md"], b"large")
    hub.repositories["me/encoder"] = {**needed, **rest}
    with open_source("me/encoder", revision="main") as source:
        assert sorted(hub.downloads) == sorted(needed)
        assert source.name == "encoder"
        record = source.record()
        assert (record["repository"], record["revision"], record["file"]) == ("me/encoder", COMMIT, "onnx/model.onnx")
        assert sorted(source.companions) == ["1_Pooling/config.json", "config.json", "modules.json", "tokenizer.json"]


def test_a_repository_without_anything_to_convert_says_so_before_it_is_fetched(hub: Any) -> None:
    hub.repositories["me/pickled"] = {"pytorch_model.bin": b"large", "config.json": b"{}"}
    with pytest.raises(HubError, match="nothing to convert"), open_source("me/pickled"):
        pass
    assert hub.downloads == []


def test_a_bundle_is_not_converted_again(hub: Any) -> None:
    hub.repositories["me/ready"] = {"model.webnn": b"", "model.weights": b"", "config.json": b"{}"}
    with pytest.raises(HubError, match="me/ready: it holds a WebNN bundle already"), open_source("me/ready"):
        pass

"""A model id as the source of a conversion: only what is needed is fetched, and where it came from is recorded."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnx
import pytest

from webnn_runtime.format.errors import HubError, WebnnError
from webnn_translator.external import ExternalFiles
from webnn_translator.sources import open_source

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def kept_in(location: str, content: bytes) -> bytes:
    """The model with its weights in another file."""
    model = onnx.load_from_string(content)
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], location)
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    stored: bytes = model.SerializeToString()
    return stored


def test_an_onnx_file_is_fetched_with_its_companions_and_nothing_else(hub: Any, tiny_model: bytes) -> None:
    names = ["tokenizer.json", "modules.json", "1_Pooling/config.json", "config.json"]
    # Equal contents would be fetched once.
    needed = {"onnx/model.onnx": tiny_model, **{name: f'"{name}"'.encode() for name in names}}
    others = ["onnx/model_quantized.onnx", "onnx/model_fp16.onnx_data", "model.safetensors", "pytorch_model.bin"]
    rest = dict.fromkeys([*others, "README.md"], b"large")
    hub.repositories["me/encoder"] = {**needed, **rest}
    with open_source("me/encoder", revision="main") as source:
        assert sorted(hub.downloads) == sorted(needed)
        assert source.name == "encoder"
        record = source.record()
        assert (record["repository"], record["revision"], record["file"]) == ("me/encoder", COMMIT, "onnx/model.onnx")
        assert sorted(source.companions) == ["1_Pooling/config.json", "config.json", "modules.json", "tokenizer.json"]


@pytest.mark.parametrize("place", ["onnx/model.onnx", "model.onnx"])
@pytest.mark.parametrize(
    "location", ["model.onnx_data", "model.onnx_data_1", "Constant_7_attr__value", "weights/0.bin"]
)
def test_files_with_values_are_fetched_whatever_their_names(location, place, hub: Any, tiny_model: bytes) -> None:
    folder = place.removesuffix("model.onnx")
    files = {place: kept_in(location, tiny_model), f"{folder}{location}": np.float32([3, 5, 7]).tobytes()}
    hub.repositories["me/large"] = {**files, f"{folder}model_fp16.onnx_data": b"large"}
    for offline in (False, True):
        with open_source("me/large", local_files_only=offline) as source:
            assert sorted(hub.downloads) == sorted(files)
            values = ExternalFiles(source.file).read(source.model.graph.initializer[0], 12)
            np.testing.assert_array_equal(values.view(np.float32), [3, 5, 7])
            assert list(source.external) == [location]


@pytest.mark.parametrize(
    ("location", "complaint"),
    [
        (
            "data",
            "me/large@main: there is no onnx/data, where onnx/model.onnx keeps values; the repository is incomplete",
        ),
        ("../../secret", "it must name a file beside the model"),
    ],
)
def test_files_with_values_that_are_not_there_are_named(location, complaint, hub: Any, tiny_model: bytes) -> None:
    hub.repositories["me/large"] = {"onnx/model.onnx": kept_in(location, tiny_model)}
    with pytest.raises(WebnnError, match=complaint.replace("main", COMMIT)), open_source("me/large"):
        pass


@pytest.mark.parametrize(
    ("present", "fetched"),
    [
        ({"model.safetensors": 1, "onnx/model.onnx": 0}, {"model.safetensors", "onnx/model.onnx"}),
        ({"0_StaticEmbedding/model.safetensors": 1}, {"0_StaticEmbedding/model.safetensors"}),
        ({"model.safetensors": 1, "2_Dense/model.safetensors": 0}, {"model.safetensors", "2_Dense/model.safetensors"}),
    ],
)
def test_a_static_embedding_is_fetched_with_its_weights(present, fetched, hub: Any, tiny_model: bytes) -> None:
    place = next(name for name, is_table in present.items() if is_table).rpartition("/")[0]
    header = b'{"embedding.weight":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}'
    weights = len(header).to_bytes(8, "little") + header + bytes(8)
    listing = f'[{{"path": "{place}", "type": "sentence_transformers.models.StaticEmbedding"}}]'.encode()
    files = {
        name: weights if is_table else tiny_model + bytes(at) for at, (name, is_table) in enumerate(present.items())
    }
    hub.repositories["me/static"] = {**files, "modules.json": listing, "README.md": b"text"}
    with open_source("me/static") as source:
        assert sorted(hub.downloads) == sorted({*fetched, "modules.json"})
        assert source.exported is not None
        assert source.repository == "me/static"


def test_what_a_module_in_a_folder_of_its_own_is_exported_from_is_fetched(hub: Any, monkeypatch) -> None:
    # Without torch the export says so, after everything was fetched.
    monkeypatch.setitem(sys.modules, "torch", None)
    needed = ["model.safetensors", "config.json", "vocab.json", "merges.txt", "tokenizer_config.json"]
    files = {f"0_CLIPModel/{name}": f'{{"model_type": "clip", "x": "{name}"}}'.encode() for name in needed}
    listing = b'[{"path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}]'
    hub.repositories["me/clip"] = {**files, "modules.json": listing, "0_CLIPModel/pytorch_model.bin": b"large"}
    with pytest.raises(HubError, match="exporting needs torch"), open_source("me/clip"):
        pass
    assert sorted(hub.downloads) == sorted([*files, "modules.json"])


def test_a_vocabulary_is_fetched_where_no_tokenizer_is(hub: Any, tiny_model: bytes) -> None:
    words = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nsun\n"
    config = b'{"model_type": "bert"}'
    hub.repositories["me/old"] = {"model.onnx": tiny_model, "vocab.txt": words, "config.json": config}
    with open_source("me/old") as source:
        assert sorted(source.companions) == ["config.json", "tokenizer.json"]
    hub.repositories["me/new"] = {**hub.repositories["me/old"], "tokenizer.json": b"{}"}
    with open_source("me/new") as source:
        assert source.notes == ()
    assert hub.downloads.count("vocab.txt") == 1


def test_a_repository_without_anything_to_convert_says_so_before_it_is_fetched(hub: Any) -> None:
    hub.repositories["me/pickled"] = {"pytorch_model.bin": b"large", "config.json": b"{}"}
    with pytest.raises(HubError, match="nothing to convert"), open_source("me/pickled"):
        pass
    assert hub.downloads == []


def test_onnx_files_of_other_names_are_listed_and_none_is_chosen(hub: Any) -> None:
    hub.repositories["me/variants"] = {f"onnx/model_{kind}.onnx": b"" for kind in ("O3", "O4", "fp16", "int8")}
    listed = "it has onnx/model_O3.onnx, onnx/model_O4.onnx, onnx/model_fp16.onnx and 1 more: download it, and pass"
    with pytest.raises(HubError, match=listed), open_source("me/variants"):
        pass
    assert hub.downloads == []


def test_a_bundle_is_not_converted_again(hub: Any) -> None:
    hub.repositories["me/ready"] = {"model.webnn": b"", "model.weights": b"", "config.json": b"{}"}
    with pytest.raises(HubError, match="me/ready: it holds a WebNN bundle already"), open_source("me/ready"):
        pass

"""A static embedding as the source of a conversion: what is read, what is refused, and that no torch is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from webnn_runtime.format.errors import EmbedError, HubError, WeightsError
from webnn_translator.sources import open_source

KINDS = {"float32": "F32", "float16": "F16", "float64": "F64", "int8": "I8", "int32": "I32", "int64": "I64"}
TABLE = np.arange(12, dtype=np.float32).reshape(4, 3) - 5
IDS = np.array([[1, 3, 0], [2, 2, 1], [0, 0, 0]])
MASK = np.array([[1, 1, 0], [1, 1, 1], [0, 0, 0]])
MODULES = [{"path": "", "type": "sentence_transformers.models.StaticEmbedding"}]
NORMALIZE = {"path": "1_Normalize", "type": "sentence_transformers.models.Normalize"}


def put_tensors(path: Path, **tensors: np.ndarray) -> None:
    header, body = {}, b""
    for name, array in tensors.items():
        data = array.tobytes()
        header[name.replace("__", ".")] = {
            "dtype": KINDS[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def put(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def vectors(folder: Path) -> np.ndarray:
    """What the source's ONNX file computes, by ONNX Runtime."""
    with open_source(str(folder)) as source:
        session = onnxruntime.InferenceSession(source.file)
        return session.run(["sentence_embedding"], {"input_ids": IDS, "attention_mask": MASK})[0]


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.int8])
@pytest.mark.parametrize("place", ["", "0_StaticEmbedding"])
def test_the_mean_of_rows(tmp_path: Path, kind: type, place: str) -> None:
    put(tmp_path / "modules.json", [MODULES[0] | {"path": place}])
    put_tensors(tmp_path / place / "model.safetensors", embedding__weight=TABLE.astype(kind))
    expected = [(TABLE[1] + TABLE[3]) / 2, (2 * TABLE[2] + TABLE[1]) / 3, np.zeros(3)]
    np.testing.assert_allclose(vectors(tmp_path), expected, rtol=1e-6)


def test_rows_and_weights_of_tokens(tmp_path: Path) -> None:
    put(tmp_path / "config.json", {"model_type": "model2vec", "normalize": True})
    weights = np.array([1.0, 0.5, 2.0, 3.0])
    rows = np.array([0, 0, 1, 1], dtype=np.int32)
    put_tensors(tmp_path / "model.safetensors", embeddings=TABLE[:2], mapping=rows, weights=weights)
    own = TABLE[rows] * weights[:, None]
    expected = np.stack([(own[1] + own[3]) / 2, (2 * own[2] + own[1]) / 3])
    found = vectors(tmp_path)
    np.testing.assert_allclose(found[:2], expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-6)
    assert not found[2].any()


def test_it_is_made_of_its_weights_and_not_of_an_onnx_file_beside_them(tmp_path: Path, tiny_model: bytes) -> None:
    put(tmp_path / "modules.json", [*MODULES, NORMALIZE])
    put_tensors(tmp_path / "model.safetensors", embedding__weight=TABLE)
    put_tensors(tmp_path / "2_Dense" / "model.safetensors", x=TABLE)
    put(tmp_path / "tokenizer.json", {})
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(tiny_model)
    with open_source(str(tmp_path)) as source:
        record = source.record()
        assert sorted(source.companions) == ["modules.json", "tokenizer.json"]
        assert source.file_name == "model.onnx"
    made = record["exported"]
    assert isinstance(made, dict)
    assert (made["exporter"], made["weights"]) == ("webnn-convert (static embedding)", "model.safetensors")
    assert len(made["weightsSha256"]) == 64
    # By its own name the file is taken for what it is.
    with open_source(str(tmp_path / "onnx" / "model.onnx")) as source:
        assert source.exported is None


def test_the_same_folder_gives_the_same_file(tmp_path: Path) -> None:
    """A bundle is verified against its folder later, by the hash of what is made of it."""
    put(tmp_path / "modules.json", [*MODULES, NORMALIZE])
    put_tensors(tmp_path / "model.safetensors", embedding__weight=TABLE)
    records = []
    for _ in range(2):
        with open_source(str(tmp_path)) as source:
            records.append(source.record())
    assert records[0] == records[1]
    assert list(records[0]["externalData"]) == ["model.onnx.data"]


@pytest.mark.parametrize(
    ("tensors", "complaint"),
    [
        ({"table": TABLE}, r"holds table; expected embedding.weight or embeddings, and of model2vec also 'mapping'"),
        ({"embeddings": TABLE, "scale": TABLE[0]}, "expected embedding.weight or embeddings, .*, and not 'scale'"),
        ({"embeddings": TABLE[0]}, r"'embeddings' is F32\[3\]; expected a table \[tokens, features\]"),
        ({"embeddings": TABLE.astype(np.float64)}, r"'embeddings' is F64\[4, 3\]; expected a table .* of float32"),
        ({"embeddings": np.full((4, 3), np.inf, np.float32)}, "'embeddings' holds values that are not finite"),
        ({"embeddings": TABLE, "weights": np.ones(3)}, "'weights' has 3 numbers for 4 tokens"),
        ({"embeddings": TABLE, "weights": np.full(4, np.nan)}, "'weights' holds values that are not finite"),
        ({"embeddings": TABLE, "weights": TABLE}, r"'weights' is F32\[4, 3\]; expected a number for each token"),
        ({"embeddings": TABLE, "mapping": np.array([0, 4])}, "'mapping' names rows that the table of 4 has not"),
        ({"embeddings": TABLE, "mapping": np.array([0, -1])}, "'mapping' names rows that the table of 4 has not"),
        ({"embeddings": TABLE, "mapping": np.ones(4)}, r"'mapping' is F64\[4\]; expected .* one of int8, int32, int64"),
    ],
)
def test_weights_that_are_no_static_embedding_are_refused(tensors, complaint: str, tmp_path: Path) -> None:
    put(tmp_path / "config.json", {"model_type": "model2vec"})
    put_tensors(tmp_path / "model.safetensors", **tensors)
    with pytest.raises(HubError, match=complaint), open_source(str(tmp_path)):
        pass


@pytest.mark.parametrize(
    ("modules", "normalize", "complaint"),
    [
        ([*MODULES, NORMALIZE], False, "'normalize' is false, and the modules after StaticEmbedding .* are Normalize:"),
        (
            MODULES,
            True,
            "'normalize' is true, and the modules after StaticEmbedding in modules.json are none: model2vec",
        ),
        ([*MODULES, *MODULES], False, "a second module 'StaticEmbedding'"),
        ([*MODULES, NORMALIZE | {"type": "my.Code"}], False, "module 'my.Code' is not supported"),
    ],
)
def test_files_that_contradict_one_another_are_refused(modules, normalize, complaint: str, tmp_path: Path) -> None:
    put(tmp_path / "modules.json", modules)
    put(tmp_path / "config.json", {"model_type": "model2vec", "normalize": normalize})
    put_tensors(tmp_path / "model.safetensors", embeddings=TABLE)
    with pytest.raises(EmbedError, match=complaint), open_source(str(tmp_path)):
        pass


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "modules.json", MODULES)
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(WeightsError, match=r"model\.safetensors"), open_source(str(tmp_path)):
        pass


@pytest.mark.parametrize(("option", "flag"), [({"task": "fill-mask"}, "--task"), ({"opset": 18}, "--opset")])
def test_export_options_are_refused(tmp_path: Path, option: dict[str, Any], flag: str) -> None:
    put(tmp_path / "modules.json", MODULES)
    put_tensors(tmp_path / "model.safetensors", embedding__weight=TABLE)
    with pytest.raises(HubError, match=f"a static embedding, {flag} only"), open_source(str(tmp_path), **option):
        pass


def test_weights_in_a_pickle_alone_are_refused_with_a_way_out(tmp_path: Path) -> None:
    put(tmp_path / "modules.json", MODULES)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(HubError, match=r"save the model again with sentence-transformers"), open_source(str(tmp_path)):
        pass


def test_a_bundle_of_one_is_not_converted_again(tmp_path: Path) -> None:
    put(tmp_path / "modules.json", MODULES)
    (tmp_path / "model.webnn").write_bytes(b"")
    with pytest.raises(HubError, match="holds a WebNN bundle already"), open_source(str(tmp_path)):
        pass

"""A CLIP that sentence-transformers embeds texts by becomes a bundle of its text half, with the same vectors."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tokenizers import pre_tokenizers

from webnn_runtime import WebNNEmbedder
from webnn_runtime.format.errors import HubError
from webnn_translator.bundling import ConvertOptions, convert_model
from webnn_translator.sources import open_source

pytestmark = pytest.mark.torch

TEXTS = ["the cat", "", "The  CAT's 12 é!", "x", "the cat sat on the mat with a tail that is very long", "the the the"]
LEGACY_MODULES = [{"path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}]


@pytest.fixture(scope="module", params=["own", "legacy"])
def saved(request, libraries: SimpleNamespace, tmp_path_factory) -> Path:
    """A tiny CLIP with random weights, whose end of text is found by its own number or, as in the first CLIPs, by 2."""
    root: Path = tmp_path_factory.mktemp("clip")
    made = root / "made"
    made.mkdir()
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "th", "the</w>", "ca", "cat</w>"]
    words += ["<|startoftext|>", "<|endoftext|>"]
    (made / "vocab.json").write_text(json.dumps({word: at for at, word in enumerate(words)}))
    (made / "merges.txt").write_text("#version: 0.2\nt h\nth e</w>\nc a\nca t</w>\n")
    end = len(words) - 1
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    numbers = {"eos_token_id": end if request.param == "own" else 2, "bos_token_id": end - 1, "pad_token_id": end}
    library = libraries.transformers
    config = library.CLIPConfig(
        text_config=small | numbers | {"vocab_size": end + 1, "max_position_embeddings": 20, "projection_dim": 24},
        vision_config=small | {"image_size": 32, "patch_size": 16, "projection_dim": 24},
        projection_dim=24,
    )
    libraries.torch.manual_seed(0)
    model = library.CLIPModel(config).eval()
    for weight in model.parameters():
        if weight.dim() > 1:
            libraries.torch.nn.init.normal_(weight, std=0.2)
    model.save_pretrained(made)
    tokenizer = library.CLIPTokenizerFast.from_pretrained(made, model_max_length=20)
    images = library.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    library.CLIPProcessor(images, tokenizer).save_pretrained(made)
    module = libraries.st.CLIPModel(str(made))
    libraries.SentenceTransformer(modules=[module], device="cpu").save_pretrained(
        str(root / "saved"), create_model_card=False
    )
    return root / "saved"


def check(folder: Path, theirs: Any, backend: str) -> None:
    ours = WebNNEmbedder(folder, backend=backend, on_truncation="ignore")
    expected = theirs.encode(TEXTS)
    largest = np.abs(expected).max()
    assert ours.max_seq_length == theirs.max_seq_length == 20
    np.testing.assert_allclose(ours.encode(TEXTS, normalize=False), expected, rtol=0, atol=1e-6 * largest)
    np.testing.assert_allclose(ours.encode(TEXTS), theirs.encode(TEXTS, normalize_embeddings=True), rtol=0, atol=1e-6)


def test_texts_have_the_vectors_of_sentence_transformers(saved: Path, libraries, backend, tmp_path: Path) -> None:
    theirs = libraries.SentenceTransformer(str(saved), device="cpu", local_files_only=True)
    done = convert_model(str(saved), tmp_path / "bundle")
    assert done.certificate is not None
    assert done.certificate.inputs == "tokens"
    assert list(done.graph.outputs) == ["sentence_embedding"]
    # Nothing of what sees images is in it.
    assert not any("vision" in name for name in done.graph.constants)
    check(tmp_path / "bundle", theirs, backend.name)


def test_the_module_in_a_folder_of_its_own(saved: Path, libraries, tmp_path: Path) -> None:
    theirs = libraries.SentenceTransformer(str(saved), device="cpu", local_files_only=True)
    for path in saved.iterdir():
        if path.name not in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
            (tmp_path / "old" / "0_CLIPModel").mkdir(parents=True, exist_ok=True)
            (tmp_path / "old" / "0_CLIPModel" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "old" / "modules.json").write_text(json.dumps(LEGACY_MODULES))
    done = convert_model(str(tmp_path / "old"), tmp_path / "bundle", ConvertOptions(is_verified=False))
    assert "0_CLIPModel/tokenizer.json" in done.files
    assert not [name for name in done.files if name.endswith(".safetensors")]
    check(tmp_path / "bundle", theirs, "auto")


def test_a_tokenizer_in_other_files_is_the_one_of_transformers(saved: Path, libraries, tmp_path: Path) -> None:
    """As the CLIPs of sentence-transformers were published: a vocabulary and merges, and no tokenizer.json."""
    folder = tmp_path / "old" / "0_CLIPModel"
    folder.mkdir(parents=True)
    made = saved.parent / "made"
    for path in (saved / "model.safetensors", saved / "config.json", made / "vocab.json", made / "merges.txt"):
        (folder / path.name).write_bytes(path.read_bytes())
    settings = {"model_max_length": 20, "tokenizer_class": "CLIPTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "old" / "modules.json").write_text(json.dumps(LEGACY_MODULES))
    done = convert_model(str(tmp_path / "old"), tmp_path / "bundle", ConvertOptions(is_verified=False))
    assert "0_CLIPModel/tokenizer.json" in done.files
    theirs = libraries.SentenceTransformer(str(saved), device="cpu", local_files_only=True)
    check(tmp_path / "bundle", theirs, "auto")


def test_a_module_after_it_is_refused(saved: Path, tmp_path: Path) -> None:
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    modules = json.loads((saved / "modules.json").read_text())
    modules.append({"path": "1_Normalize", "type": "sentence_transformers.models.Normalize"})
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(HubError, match="'Normalize' after a CLIP is not supported; pass"), open_source(str(tmp_path)):
        pass


def test_another_task_and_another_architecture_are_refused(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="task 'fill-mask' is none of a CLIP"), open_source(str(saved), task="fill-mask"):
        pass
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "config.json").write_text('{"model_type": "siglip"}')
    with pytest.raises(HubError, match="'model_type' is 'siglip', and only of 'clip'"), open_source(str(tmp_path)):
        pass

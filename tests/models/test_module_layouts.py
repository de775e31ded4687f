"""Folders as sentence-transformers lays them out, converted whole: its own vectors are the judge."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from webnn_runtime import WebNNEmbedder
from webnn_runtime.format.errors import EmbedError
from webnn_translator.bundling import convert_model

pytestmark = pytest.mark.torch

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "cat", "sat", "##s", "rain", "é", "e", "!", "12"]
TEXTS = ["the cat sat", "", "The CATS! é 12", "rain " * 40]
OF_THE_TRANSFORMER = ("config.json", "model.safetensors", "sentence_bert_config.json", "tokenizer")


@pytest.fixture
def save(libraries: SimpleNamespace, tmp_path: Path) -> Callable[..., Path]:
    """Save a tiny BERT with random weights by sentence-transformers; arguments go to its tokenizer."""

    def save(**settings: Any) -> Path:
        raw = Tokenizer(models.WordPiece({word: at for at, word in enumerate(SPECIAL + WORDS)}, unk_token="[UNK]"))
        raw.normalizer = normalizers.BertNormalizer(lowercase=True)
        raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        raw.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        library, made = libraries.transformers, tmp_path / "made"
        names = {f"{name[1:-1].lower()}_token": name for name in SPECIAL}
        tokenizer = library.PreTrainedTokenizerFast(tokenizer_object=raw, model_max_length=16, **names, **settings)
        tokenizer.save_pretrained(made)
        config = library.BertConfig(
            vocab_size=len(SPECIAL + WORDS),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=32,
            max_position_embeddings=16,
            initializer_range=0.5,
        )
        libraries.torch.manual_seed(0)
        library.BertModel(config).eval().save_pretrained(made)
        modules = [libraries.st.Transformer(str(made)), libraries.st.Pooling(16, "max"), libraries.st.Normalize()]
        saved = tmp_path / "saved"
        libraries.SentenceTransformer(modules=modules, device="cpu").save_pretrained(
            str(saved), create_model_card=False
        )
        return saved

    return save


def test_a_transformer_in_a_folder_of_its_own_is_exported_from_there(save, libraries, tmp_path) -> None:
    folder = save()
    inner = folder / "0_Transformer"
    inner.mkdir()
    for file in sorted(folder.iterdir()):
        if file.name.startswith(OF_THE_TRANSFORMER):
            shutil.move(file, inner / file.name)
    listing = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    listing[0]["path"] = inner.name
    (folder / "modules.json").write_text(json.dumps(listing), encoding="utf-8")
    expected = libraries.SentenceTransformer(str(folder), device="cpu", local_files_only=True).encode(TEXTS)
    convert_model(str(folder), tmp_path / "bundle")
    found = WebNNEmbedder(tmp_path / "bundle", on_truncation="ignore").encode(TEXTS)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_model_whose_texts_go_into_a_chat_template_is_refused(save, libraries, tmp_path) -> None:
    plain, template = save(), "{% for m in messages %}the {{ m['content'] }} rain{% endfor %}"
    texts = [TEXTS[0], TEXTS[2]]
    without = libraries.SentenceTransformer(str(plain), device="cpu", local_files_only=True).encode(texts)
    shutil.rmtree(plain)
    folder = save(chat_template=template)
    model = libraries.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    # The template is used for plain texts, which is what makes it matter here.
    assert np.abs(model.encode(texts) - without).max() > 0.01
    convert_model(str(folder), tmp_path / "bundle")
    with pytest.raises(EmbedError, match="every text is put into the chat template"):
        WebNNEmbedder(tmp_path / "bundle")

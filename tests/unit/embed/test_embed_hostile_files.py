"""Whatever a settings file holds, reading it gives settings or one error of ours."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from webnn_runtime.embed.modules import excludes_prompt, read_modules, transformer_folder
from webnn_runtime.embed.settings import read_prompts, read_transformer
from webnn_runtime.embed.tokenizer import TextTokenizer
from webnn_runtime.format.errors import WebnnError

OPTIONAL = [
    "added_tokens.json",
    "config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
]
KEYS = [
    "activation_function",
    "bias",
    "content",
    "default_prompt_name",
    "dimension",
    "do_lower_case",
    "in_features",
    "include_prompt",
    "max_position_embeddings",
    "max_seq_length",
    "method",
    "modality_config",
    "model_max_length",
    "model_type",
    "out_features",
    "pad_token",
    "pad_token_id",
    "padding_side",
    "path",
    "pooling_mode",
    "pooling_mode_mean_tokens",
    "prompts",
    "text",
    "text_config",
    "tokenizer_args",
    "type",
    "word_embedding_dimension",
]
WORDS = [
    "mean",
    "left",
    "roberta",
    "1_Pooling",
    "torch.nn.Tanh",
    *(f"sentence_transformers.models.{n}" for n in ("Pooling", "Dense", "Transformer")),
]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(WORDS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)
FILES = [
    "modules.json",
    "1_Pooling/config.json",
    "2_Dense/config.json",
    "3_LayerNorm/config.json",
    "config.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
]


def read_everything(folder) -> None:
    for read in (
        lambda: read_modules(folder),
        lambda: transformer_folder(folder),
        lambda: excludes_prompt(folder),
        lambda: read_transformer([folder]),
        lambda: read_prompts([folder]),
        lambda: TextTokenizer.load(folder),
    ):
        with contextlib.suppress(WebnnError):
            read()


@pytest.fixture
def whole(kit, folder):
    dense = {"in_features": 6, "out_features": 2, "activation_function": "torch.nn.modules.activation.Tanh"}
    kit.save_modules(folder, Pooling=kit.MEAN, Dense=dense, LayerNorm={"dimension": 2})
    for name in ("2_Dense", "3_LayerNorm"):
        (folder / name / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    return folder


@pytest.mark.parametrize("name", FILES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES)
def test_any_json_is_settings_or_an_error_of_ours(name, value, whole) -> None:
    (whole / name).write_text(json.dumps(value))
    read_everything(whole)


@pytest.mark.parametrize("name", [*FILES, "tokenizer.json", "2_Dense/model.safetensors"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=80)
    | st.sampled_from([b"9" * 5000, b"[" * 50_000, b'{"max_seq_length": NaN}', b"\xef\xbb\xbf{}"])
)
def test_any_bytes_are_settings_or_an_error_of_ours(name, data, whole) -> None:
    (whole / name).write_bytes(data)
    read_everything(whole)


@pytest.mark.parametrize("name", ["tokenizer.json", "1_Pooling/config.json", *OPTIONAL])
def test_a_byte_order_mark_is_refused_with_what_to_do(name, make, folder) -> None:
    """The libraries of these files refuse it as well, and say "expected value at line 1"."""
    file = folder / name
    file.write_bytes(b"\xef\xbb\xbf" + (file.read_bytes() if file.is_file() else b"{}"))
    if name == "added_tokens.json":
        (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    with pytest.raises(WebnnError, match=f"{name}: begins with a byte order mark, .*; save it as UTF-8 without one"):
        make()


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_link_to_nothing_is_not_a_file_that_is_absent(name, make, folder) -> None:
    """A copied cache may hold links without their files, and without these settings texts have other vectors."""
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    make().encode("a")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(folder / "nowhere")
    with pytest.raises(WebnnError, match=f"{name}: a link to a file that is not there; copy or download"):
        make().encode("a")

"""Maximum length, prompts and lower case: which file wins, and what is refused."""

from __future__ import annotations

import pytest

from webnn_runtime.embed.settings import (
    LengthLimit,
    Prompts,
    read_prompts,
    read_transformer,
    read_truncate_dim,
    require_embedder,
)
from webnn_runtime.format.errors import EmbedError

# (sentence_bert_config, tokenizer_config, config) -> (limit, origin)
PRECEDENCE = [
    ((256, 512, 512), 256, "max_seq_length in sentence_bert_config.json"),
    ((None, 128, 512), 128, "model_max_length in tokenizer_config.json"),
    ((None, int(1e30), 512), 512, "max_position_embeddings in config.json"),
    ((None, 1e30, 512), 512, "max_position_embeddings in config.json"),
    ((None, None, 512), 512, "max_position_embeddings in config.json"),
    ((None, None, None), None, "no file"),
    ((1024, 512, 512), 512, "max_position_embeddings in config.json"),
    ((None, 1024, 512), 512, "max_position_embeddings in config.json"),
    ((512, None, -1), 512, "max_seq_length in sentence_bert_config.json"),
]


@pytest.mark.parametrize(("stated", "tokens", "origin"), PRECEDENCE)
def test_the_maximum_length_comes_from_the_most_specific_file(stated, tokens, origin, kit, tmp_path) -> None:
    module, tokenizer, config = stated
    kit.save_json(tmp_path / "sentence_bert_config.json", {"max_seq_length": module})
    kit.save_json(tmp_path / "tokenizer_config.json", {"model_max_length": tokenizer})
    kit.save_json(tmp_path / "config.json", {"max_position_embeddings": config})
    assert read_transformer([tmp_path]).limit == LengthLimit(tokens, origin)


def test_the_older_name_of_the_tokenizer_s_maximum_is_read(kit, tmp_path) -> None:
    kit.save_json(tmp_path / "tokenizer_config.json", {"max_len": 77})
    assert read_transformer([tmp_path]).limit == LengthLimit(77, "max_len in tokenizer_config.json")
    kit.save_json(tmp_path / "tokenizer_config.json", {"max_len": 77, "model_max_length": 99})
    assert read_transformer([tmp_path]).limit.tokens == 99


@pytest.mark.parametrize(("stated", "complaint"), [(0, "'truncate_dim' is 0"), ("8", "is a string")])
def test_a_wrong_number_of_features_is_refused(stated, complaint, kit, tmp_path) -> None:
    kit.save_json(tmp_path / "config_sentence_transformers.json", {"truncate_dim": stated})
    with pytest.raises(EmbedError, match=complaint):
        read_truncate_dim([tmp_path])


def test_positions_that_start_after_the_padding_id_shorten_the_table(kit, tmp_path) -> None:
    config = {"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}
    kit.save_json(tmp_path / "config.json", config)
    assert read_transformer([tmp_path]).table.tokens == 512


def test_the_older_names_of_the_settings_file_are_read(kit, tmp_path) -> None:
    kit.save_json(tmp_path / "sentence_roberta_config.json", {"max_seq_length": 75, "do_lower_case": True})
    settings = read_transformer([tmp_path])
    assert (settings.limit.tokens, settings.do_lower_case) == (75, True)


def test_settings_that_change_nothing_here_are_accepted(kit, tmp_path) -> None:
    kit.save_json(
        tmp_path / "sentence_bert_config.json",
        {
            "max_seq_length": 8,
            "model_args": {"attn_implementation": "sdpa"},
            "tokenizer_args": {"trust_remote_code": True},
            "transformer_task": "feature-extraction",
            "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
            "module_output_name": "token_embeddings",
            "query_length": None,
        },
    )
    assert read_transformer([tmp_path]).limit.tokens == 8


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("transformer_task", "text-generation"),
        ("query_expansion", {"strategy": "fixed", "length": 32}),
        ("tokenizer_args", {"padding_side": "left"}),
        ("processing_kwargs", {"text": {"max_length": 5}}),
        ("modality_config", {"message": {"method": "forward"}}),
        # Both: sentence-transformers puts plain texts into the chat template then.
        ("modality_config", {"text": {"method": "forward"}, "message": {"method": "forward", "format": "flat"}}),
        ("something_new", 1),
    ],
)
def test_a_setting_that_would_change_the_vector_is_refused_by_name(setting, value, kit, tmp_path) -> None:
    kit.save_json(tmp_path / "sentence_bert_config.json", {setting: value})
    with pytest.raises(EmbedError, match=setting):
        read_transformer([tmp_path])


def test_features_of_a_text_need_a_graph_that_gives_one_vector_per_text(kit, tmp_path) -> None:
    clip = {"text": {"method": "get_text_features", "method_output_name": "pooler_output"}}
    settings = {"modality_config": clip, "module_output_name": "sentence_embedding", "max_seq_length": 9}
    kit.save_json(tmp_path / "sentence_bert_config.json", settings)
    assert read_transformer([tmp_path], is_pooled=True).limit.tokens == 9
    with pytest.raises(EmbedError, match=r"'get_text_features', .* and the graph gives one per token; convert"):
        read_transformer([tmp_path])
    kit.save_json(tmp_path / "sentence_bert_config.json", {"module_output_name": "sentence_embedding"})
    with pytest.raises(EmbedError, match="'module_output_name' = 'sentence_embedding' is not supported"):
        read_transformer([tmp_path])


@pytest.mark.parametrize("value", ["256", True, 0, -5, 2.5, [], {}])
def test_a_length_that_is_not_a_positive_integer_is_refused(value, kit, tmp_path) -> None:
    kit.save_json(tmp_path / "sentence_bert_config.json", {"max_seq_length": value})
    with pytest.raises(EmbedError, match="'max_seq_length' is"):
        read_transformer([tmp_path])


def test_prompts_are_chosen_by_name_by_default_and_by_text() -> None:
    prompts = Prompts({"query": "query: ", "doc": ""}, "query")
    assert prompts.choose(None, None) == "query: "
    assert prompts.choose(None, "doc") == ""
    assert prompts.choose("", None) == ""
    assert prompts.choose("x ", "query") == "x "


def test_an_unknown_prompt_name_lists_the_known_ones() -> None:
    with pytest.raises(EmbedError, match="prompt_name='passage': the model has no such prompt; it has 'query', 'doc'"):
        Prompts({"query": "query: ", "doc": ""}).choose(None, "passage")
    with pytest.raises(EmbedError, match=r"prompt_name=\['query'\]: the model has no such prompt"):
        Prompts({"query": "query: "}).choose(None, ["query"])


def test_prompts_are_read_from_the_configuration(kit, tmp_path) -> None:
    saved = {"prompts": {"query": "q: ", "document": None}, "default_prompt_name": "query"}
    kit.save_json(tmp_path / "config_sentence_transformers.json", saved)
    assert read_prompts([tmp_path]) == Prompts({"query": "q: ", "document": ""}, "query")


def test_a_default_prompt_that_does_not_exist_is_refused(kit, tmp_path) -> None:
    saved = {"prompts": {"query": "q: "}, "default_prompt_name": "doc"}
    kit.save_json(tmp_path / "config_sentence_transformers.json", saved)
    with pytest.raises(EmbedError, match="default prompt 'doc' is not among the prompts; they are 'query'"):
        read_prompts([tmp_path])


@pytest.mark.parametrize("role", ["query", "document"])
def test_a_role_may_be_the_default_without_a_prompt_as_in_sentence_transformers(role, kit, tmp_path) -> None:
    kit.save_json(tmp_path / "config_sentence_transformers.json", {"default_prompt_name": role})
    assert read_prompts([tmp_path]).choose(None, None) == ""


@pytest.mark.parametrize("name", ["SparseEncoder", "CrossEncoder", "MultiVectorEncoder"])
def test_modules_that_another_class_saved_are_refused(name, kit, tmp_path) -> None:
    kit.save_json(tmp_path / "config_sentence_transformers.json", {"model_type": name})
    with pytest.raises(EmbedError, match=f"'model_type' is '{name}', whose modules make no sentence embeddings"):
        require_embedder([tmp_path])
    kit.save_json(tmp_path / "config_sentence_transformers.json", {"model_type": "SentenceTransformer"})
    require_embedder([tmp_path])


def test_an_embedder_of_another_class_does_not_open(make, kit, folder) -> None:
    kit.save_json(folder / "config_sentence_transformers.json", {"model_type": "SparseEncoder"})
    with pytest.raises(EmbedError, match="'model_type' is 'SparseEncoder'"):
        make()


def test_a_settings_file_that_is_too_large_is_not_read(tmp_path) -> None:
    (tmp_path / "tokenizer_config.json").write_bytes(b" " * ((16 << 20) + 1))
    with pytest.raises(EmbedError, match="at most 16777216 are read"):
        read_transformer([tmp_path])


def test_a_settings_file_that_is_not_text_is_refused(tmp_path) -> None:
    (tmp_path / "config.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(EmbedError, match="not UTF-8 text at byte 7"):
        read_transformer([tmp_path])


def test_a_cross_encoder_is_read_as_a_classifier_and_not_as_an_embedder(kit, tmp_path) -> None:
    settings = {
        "transformer_task": "sequence-classification",
        "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
        "module_output_name": "scores",
        "max_seq_length": 7,
    }
    kit.save_json(tmp_path / "sentence_bert_config.json", settings)
    assert read_transformer([tmp_path], task="sequence-classification").limit.tokens == 7
    with pytest.raises(EmbedError, match="'sequence-classification' for WebNNClassifier and webnn"):
        read_transformer([tmp_path])

"""What is read of an embedder or a classifier, or set: a name that is not there is an error with what to do."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from webnn_runtime import WebNNClassifier, WebNNEmbedder
from webnn_runtime.embed.foreign import ATTRIBUTES


@pytest.fixture
def classifier(make_encoder) -> WebNNClassifier:
    return WebNNClassifier(make_encoder("labelled", labels=("no", "yes")), backend="numpy")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("max_seq_lenght", r"no attribute 'max_seq_lenght'; did you mean max_seq_length\?"),
        ("max_length", r"did you mean max_seq_length\?"),
        ("on_trunction", r"did you mean on_truncation\?"),
        ("truncate_dims", r"did you mean truncate_dim\?"),
        ("prompt", r"did you mean prompts\?"),
        ("normalize", r"there are max_seq_length, on_truncation$"),
        ("tokenizer", "tokenize"),
        ("device", "device_type="),
        ("truncate_dim", r"'truncate_dim' cannot be set later; pass it to WebNNEmbedder\(truncate_dim=...\)"),
        ("prompts", r"WebNNEmbedder\(prompts=...\)"),
        ("default_prompt_name", r"WebNNEmbedder\(default_prompt_name=...\)"),
        ("similarity_fn_name", r"WebNNEmbedder\(similarity_fn_name=...\)"),
        ("identity", "'identity' cannot be set later$"),
        ("truncated_count", "'truncated_count' cannot be set later$"),
    ],
)
def test_an_attribute_that_changes_nothing_is_refused(name, advice, make) -> None:
    embedder = make()
    before = embedder.encode(["a b c"])
    with pytest.raises(AttributeError, match=f"^WebNNEmbedder: .*{advice}"):
        setattr(embedder, name, 5)
    assert name not in vars(embedder)
    np.testing.assert_array_equal(embedder.encode(["a b c"]), before)


def test_a_classifier_refuses_alike(classifier) -> None:
    with pytest.raises(AttributeError, match=r"cannot be set later; pass it to WebNNClassifier\(max_length=...\)"):
        classifier.max_length = 5
    with pytest.raises(AttributeError, match=r"^WebNNClassifier: .* did you mean max_length\?"):
        classifier.max_lenght = 5
    with pytest.raises(AttributeError, match=r"there are on_truncation$"):
        classifier.threads = 5
    with pytest.raises(AttributeError, match=r"no attribute 'predict'; scores\(pairs\)"):
        classifier.predict([("a", "b")])
    with pytest.raises(AttributeError, match=r"it is the attribute max_length$"):
        classifier.get_max_seq_length()


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("embed", r"encode_document\(texts\) gives all vectors"),
        ("embed_query", r"encode_query\(texts\)"),
        ("predict", r"WebNNClassifier\(model\)\.scores\(pairs\)"),
        ("rerank", r"WebNNClassifier\(model\)\.scores\(pairs\)"),
    ],
)
def test_methods_of_other_libraries_are_answered_with_ours(name, advice, make) -> None:
    with pytest.raises(AttributeError, match=f"there is no attribute '{name}'; {advice}"):
        getattr(make(), name)


def test_what_may_be_set_is_set(make) -> None:
    embedder = make()
    embedder.max_seq_length = 4
    embedder.on_truncation = "ignore"
    assert (embedder.max_seq_length, embedder.on_truncation) == (4, "ignore")
    assert len(embedder.tokenize("a b c d")[0]) == 4


def test_a_method_may_be_replaced_as_tests_do(make, monkeypatch) -> None:
    embedder = make()
    monkeypatch.setattr(embedder, "encode", lambda texts: texts)
    assert embedder.encode("a") == "a"


def test_a_class_of_the_users_has_attributes_of_its_own(encoder) -> None:
    class Counting(WebNNEmbedder):
        limit = 3

        def __init__(self, folder) -> None:
            super().__init__(folder, backend="numpy")
            self.calls = 0

    counting = Counting(encoder)
    counting.calls += 1
    counting.limit = 4
    assert (counting.calls, counting.limit, counting.encode("a").shape) == (1, 4, (6,))
    with pytest.raises(AttributeError, match="'identity' cannot be set later"):
        counting.identity = "x"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("encod", r"did you mean encode\?"),
        ("to", "device_type="),
        ("get_max_seq_length", "max_seq_length"),
        ("start_multi_process_pool", "one process uses all threads"),
        ("qqq", "there are backend_info, calibrate, compute_similarity"),
    ],
)
def test_what_is_not_there_is_answered_with_what_to_do(name, advice, make) -> None:
    embedder = make()
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; .*{advice}"):
        getattr(embedder, name)
    assert not hasattr(embedder, name)
    with pytest.raises(AttributeError, match="has no attribute '__len__'"):
        embedder.__len__()


def test_the_error_of_a_property_is_its_own(make, monkeypatch) -> None:
    def fail(_: object) -> str:
        raise AttributeError("what went wrong inside")

    monkeypatch.setattr(WebNNEmbedder, "default_prompt_name", property(fail))
    with pytest.raises(AttributeError, match="what went wrong inside"):
        make().default_prompt_name  # noqa: B018


@pytest.mark.torch
def test_every_method_of_sentence_transformers_is_there_or_answered(optional) -> None:
    theirs = optional("sentence_transformers").SentenceTransformer
    torch = optional("torch")
    # What serves loading, training and writing models, or is torch's own.
    inner = {name for name in dir(torch.nn.Sequential) if name not in ATTRIBUTES}
    inner |= {
        "active_adapter", "active_adapters", "add_adapter", "check_peft_compatible_model", "has_peft_compatible_model",
        "model_card_data_class", "clear_placement_cache", "delete_adapter",
        "disable_adapters", "enable_adapters", "forward", "get_adapter_state_dict", "get_backend",
        "get_model_kwargs", "get_sentence_features", "gradient_checkpointing_enable", "is_singular_input", "load",
        "load_adapter", "merge", "modalities", "old_fit", "preprocess", "processor", "set_adapter",
        "smart_batching_collate", "supports", "transformers_model",
    }  # fmt: skip
    public = {
        name
        for name in dir(theirs)
        if name[0] != "_"
        and (callable(value := inspect.getattr_static(theirs, name)) or isinstance(value, property | staticmethod))
    }
    assert public - inner - set(dir(WebNNEmbedder)) <= ATTRIBUTES.keys()

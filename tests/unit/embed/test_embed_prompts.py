"""Prompts: which one goes before a text, and what is said where none does."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime.embed import PromptWarning
from webnn_runtime.format.errors import EmbedError


@pytest.fixture
def prompted(kit, folder):
    kit.save_json(
        folder / "config_sentence_transformers.json",
        {"prompts": {"query": "query : ", "passage": "passage : ", "empty": ""}, "default_prompt_name": None},
    )


def test_a_prompt_goes_before_every_text(make, prompted) -> None:
    embedder = make()
    expected = embedder.encode(["query : a", "query : b"], prompt="")
    assert embedder.encode(["a", "b"], prompt_name="query").tobytes() == expected.tobytes()
    assert embedder.encode(["a", "b"], prompt="query : ").tobytes() == expected.tobytes()
    assert embedder.encode_query(["a", "b"]).tobytes() == expected.tobytes()


def test_documents_use_the_prompt_for_passages_when_there_is_no_other(make, prompted) -> None:
    embedder = make()
    with pytest.warns(PromptWarning, match="no prompt 'document', and 'passage' is used for it") as told:
        found = embedder.encode_document("a")
    assert told[0].filename == __file__
    assert found.tobytes() == embedder.encode("passage : a", prompt="").tobytes()


def test_who_names_a_prompt_for_documents_is_told_nothing(make, prompted, recwarn) -> None:
    embedder = make()
    assert (
        embedder.encode_document("a", prompt_name="passage").tobytes()
        == embedder.encode("a", prompt="passage : ").tobytes()
    )
    embedder.encode_document("a", prompt="")
    embedder.encode_query("a")
    assert len(recwarn) == 0


def test_a_given_prompt_wins_over_a_name(make, prompted, caplog) -> None:
    embedder = make()
    assert (
        embedder.encode("a", prompt="b ", prompt_name="query").tobytes() == embedder.encode("b a", prompt="").tobytes()
    )
    assert "prompt is used" in caplog.text


def test_an_unknown_prompt_name_lists_those_that_exist(make, prompted) -> None:
    with pytest.raises(EmbedError, match="it has 'query', 'passage', 'empty'"):
        make().encode("a", prompt_name="doc")


def test_a_model_with_prompts_and_no_default_warns_once_when_none_is_used(make, prompted, recwarn) -> None:
    embedder = make()
    with pytest.warns(
        PromptWarning, match=r"was trained with prompts \(query, passage, empty\) and none is used"
    ) as told:
        embedder.encode("a")
    assert told[0].filename == __file__
    recwarn.clear()
    embedder.encode("b")
    assert len(recwarn) == 0


def test_the_default_prompt_is_used_but_not_for_a_role_without_a_prompt(make, kit, folder) -> None:
    saved = {"prompts": {"query": "query : "}, "default_prompt_name": "query"}
    kit.save_json(folder / "config_sentence_transformers.json", saved)
    embedder = make()
    assert embedder.encode("a").tobytes() == embedder.encode("query : a", prompt="").tobytes()
    assert embedder.encode_document("a").tobytes() == embedder.encode("a", prompt="").tobytes()


def test_a_prompt_can_be_left_out_of_pooling(make, kit, folder) -> None:
    kit.save_modules(folder, Pooling=kit.MEAN | {"include_prompt": False})
    model = kit.FakeEncoder()
    got = make(model).encode("a b", prompt="query : ", normalize=False)
    tokens = model.run(model.calls[0])["last_hidden_state"][0]
    np.testing.assert_allclose(got, tokens[3:].mean(axis=0), rtol=1e-6)

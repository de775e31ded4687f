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


def test_of_a_prompt_that_leaves_no_room_the_last_token_is_pooled(make, kit, folder) -> None:
    kit.save_modules(folder, Pooling=kit.MEAN | {"include_prompt": False})
    model = kit.FakeEncoder()
    got = make(model, max_seq_length=4, on_truncation="ignore").encode("a b", prompt="c d e f ", normalize=False)
    assert model.calls[0]["input_ids"].shape == (1, 4)
    # The special token behind the text; a mean of nothing would be zeros.
    np.testing.assert_array_equal(got, model.run(model.calls[0])["last_hidden_state"][0, 3])


def test_a_model_without_prompts_has_the_two_roles_without_text(make) -> None:
    embedder = make()
    for role in ("query", "document"):
        assert embedder.encode("a", prompt_name=role).tobytes() == embedder.encode("a").tobytes()
    with pytest.raises(EmbedError, match="prompt_name='passage': the model has no such prompt; it has none"):
        embedder.encode("a", prompt_name="passage")


def test_a_role_beside_the_only_other_one_is_without_text(make) -> None:
    embedder = make(prompts={"query": "query : "})
    assert embedder.encode("a", prompt_name="document").tobytes() == embedder.encode("a", prompt="").tobytes()


def test_a_role_that_may_be_meant_by_another_name_is_refused(make, prompted) -> None:
    with pytest.raises(EmbedError, match="prompt_name='document': the model has no such prompt; it has 'query', 'pas"):
        make().encode("a", prompt_name="document")


def test_who_embeds_by_role_where_prompts_have_other_names_is_told_once(make, recwarn) -> None:
    embedder = make(prompts={"search.query": "query : ", "search.passage": "b "})
    with pytest.warns(PromptWarning, match=r"\(search.query, search.passage\), and 'query' is none of them") as told:
        found = embedder.encode_query("a")
    assert told[0].filename == __file__
    recwarn.clear()
    assert found.tobytes() == embedder.encode_document("a").tobytes() == embedder.encode("a", prompt="").tobytes()
    assert len(recwarn) == 0
    with pytest.raises(EmbedError, match="prompt_name='query'"):
        embedder.encode("a", prompt_name="query")


def test_given_prompts_go_before_those_of_the_files(make, prompted, recwarn) -> None:
    own, given = make(), make(prompts={"passage": "c ", "more": "d "}, default_prompt_name="more")
    assert dict(given.prompts) == {"query": "query : ", "passage": "c ", "empty": "", "more": "d "}
    assert given.default_prompt_name == "more"
    expected = own.encode(["d a", "c a", "query : a", "a"], prompt="")
    for name, vector in zip((None, "passage", "query", "empty"), expected, strict=True):
        assert given.encode("a", prompt_name=name).tobytes() == vector.tobytes()
    assert given.encode("a", prompt="").tobytes() == expected[3].tobytes()
    assert len(recwarn) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompts": "query: "}, "prompts='query: ': expected a dict"),
        ({"prompts": {"query": None}}, "expected a dict from a prompt's name to its text"),
        ({"prompts": {1: "a"}}, "expected a dict"),
        ({"default_prompt_name": "doc"}, "default_prompt_name='doc': the model has no such prompt; it has 'query', 'p"),
        ({"prompts": {"doc": "a"}, "default_prompt_name": "dok"}, "'empty', 'doc'"),
        ({"default_prompt_name": ["query"]}, "the model has no such prompt"),
    ],
)
def test_given_prompts_that_are_none_are_refused(arguments, message, make, prompted) -> None:
    with pytest.raises(EmbedError, match=message):
        make(**arguments)

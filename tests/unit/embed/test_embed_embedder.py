"""WebNNEmbedder: the conventions of sentence-transformers, and nothing done silently."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from webnn_runtime.embed import TruncationWarning
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import EmbedError, HubError
from webnn_runtime.format.graph import TensorType

TEXTS = ["a", "b c d", "", "a b c d e f", "zzz", "b c d", "sun rain"]


def test_a_string_gives_a_vector_and_a_list_a_matrix_of_float32(make) -> None:
    embedder = make()
    one, many = embedder.encode("a"), embedder.encode(["a"])
    assert (one.shape, many.shape) == ((6,), (1, 6))
    assert one.dtype == many.dtype == np.float32
    assert one.tobytes() == many.tobytes()


@pytest.mark.parametrize("texts", [TEXTS, tuple(TEXTS), iter(TEXTS), np.array(TEXTS), dict.fromkeys(TEXTS)])
def test_any_iterable_of_strings_is_taken_and_its_order_kept(texts, make) -> None:
    texts = list(texts)
    embedder = make()
    together = embedder.encode(iter(texts), batch_size=3)
    alone = np.stack([embedder.encode(text) for text in texts])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_equal_texts_have_equal_vectors(make) -> None:
    got = make().encode(TEXTS)
    assert got[1].tobytes() == got[5].tobytes()


def test_no_texts_give_an_empty_matrix_of_the_right_width(make) -> None:
    got = make().encode([])
    assert (got.shape, got.dtype) == ((0, 6), np.float32)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 100])
def test_the_batch_size_limits_the_rows_of_a_run(batch_size, make, kit) -> None:
    model = kit.FakeEncoder()
    make(model).encode(TEXTS, batch_size=batch_size)
    rows = [len(call["input_ids"]) for call in model.calls]
    assert max(rows) <= batch_size
    assert sum(rows) == len(TEXTS)


def test_the_graph_limits_the_rows_of_a_run(make, kit) -> None:
    model = kit.FakeEncoder()
    make(model).encode(["a"] * 100, batch_size=100)
    assert [len(call["input_ids"]) for call in model.calls] == [64, 36]


@pytest.mark.parametrize(
    ("texts", "index", "kind"), [([1], 0, "int"), (["a", None], 1, "NoneType"), ([b"a"], 0, "bytes")]
)
def test_what_is_not_a_string_is_refused_with_its_index(texts, index, kind, make) -> None:
    with pytest.raises(TypeError, match=f"text {index} is {kind}; expected str"):
        make().encode(texts)


def test_normalize_scales_to_length_one_by_default(make) -> None:
    embedder = make()
    unit, plain = embedder.encode(TEXTS), embedder.encode(TEXTS, normalize=False)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-6)
    assert not np.allclose(np.linalg.norm(plain, axis=1), 1)
    np.testing.assert_allclose(unit, plain / np.linalg.norm(plain, axis=1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("normalize", [True, False])
def test_a_normalize_module_acts_once_whatever_is_asked(normalize, make, kit, folder) -> None:
    kit.save_modules(folder, Pooling=kit.MEAN, Normalize={})
    # Many texts: scaling twice changes the last bit of a few numbers only.
    texts = [f"{first} {second}" for first in kit.WORDS for second in kit.WORDS]
    got = make().encode(texts, normalize=normalize)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, rtol=1e-6)
    kit.save_modules(folder, Pooling=kit.MEAN)
    assert got.tobytes() == make().encode(texts, normalize=True).tobytes()


def test_the_names_of_sentence_transformers_are_understood(make) -> None:
    embedder = make()
    plain = embedder.encode(TEXTS, normalize=False)
    theirs = embedder.encode(
        TEXTS, normalize_embeddings=False, show_progress_bar=False, convert_to_numpy=True, convert_to_tensor=False
    )
    assert theirs.tobytes() == plain.tobytes()


@pytest.mark.parametrize(
    "option",
    [
        {"convert_to_tensor": True},
        {"convert_to_numpy": False},
        {"precision": "int4"},
        {"batch_size": 0},
        {"truncate_dim": 0},
        {"truncate_dim": 7},
        {"truncate_dim": True},
        {"batch_size": True},
        {"normalize": "no"},
        {"normalize": None},
        {"normalize_embeddings": "false"},
        {"show_progress_bar": "no"},
        {"convert_to_numpy": "no"},
    ],
)
def test_an_option_that_cannot_be_honoured_is_refused(option, make) -> None:
    with pytest.raises(EmbedError, match=r"encode: "):
        make().encode(TEXTS, **option)


def test_an_unknown_option_is_an_error(make) -> None:
    with pytest.raises(TypeError, match="normalise"):
        make().encode(TEXTS, normalise=True)


def test_a_shortened_vector_is_scaled_again(make, kit, folder) -> None:
    kit.save_modules(folder, Pooling=kit.MEAN, Normalize={})
    embedder = make()
    short = embedder.encode(TEXTS, truncate_dim=4)
    assert short.shape == (len(TEXTS), 4)
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1, rtol=1e-6)
    assert embedder.encode(TEXTS, truncate_dim=4, normalize=False).tobytes() == embedder.encode(TEXTS)[:, :4].tobytes()


def test_truncation_is_reported_and_counted(make) -> None:
    embedder = make(max_seq_length=4)
    with pytest.warns(
        TruncationWarning, match=r"2 of 3 texts are longer than 4 tokens \(max_seq_length\); text 2 has 7"
    ):
        embedder.encode(["a b c", "a", "a b c d e"])
    assert embedder.truncated_count == 2


@pytest.mark.parametrize("call", ["encode", "encode_query", "encode_document", "calibrate"])
def test_a_warning_points_to_the_line_of_the_caller(call, make) -> None:
    embedder = make(max_seq_length=4)
    with pytest.warns(TruncationWarning) as told:
        getattr(embedder, call)(["a b c", "c b d a"])
    assert told[0].filename == __file__


def test_truncation_can_be_an_error_before_anything_runs(make, kit) -> None:
    model = kit.FakeEncoder()
    embedder = make(model, max_seq_length=4, on_truncation="error")
    with pytest.raises(EmbedError, match="text 1 has 5; shorten them"):
        embedder.encode(["a", "a b c"])
    assert (model.calls, embedder.truncated_count) == ([], 0)


def test_truncation_can_be_ignored_and_is_still_counted(make) -> None:
    embedder = make(max_seq_length=4, on_truncation="ignore")
    assert embedder.encode("a b c").tobytes() == embedder.encode("a b").tobytes()
    assert embedder.truncated_count == 1


def test_an_unknown_reaction_to_truncation_is_refused(make) -> None:
    with pytest.raises(EmbedError, match="on_truncation='raise': expected one of warn, error, ignore"):
        make(on_truncation="raise")
    embedder = make(max_seq_length=4)
    with pytest.raises(EmbedError, match="on_truncation='raise': expected one of warn, error, ignore"):
        embedder.on_truncation = "raise"
    with pytest.warns(TruncationWarning):
        embedder.encode("a b c")
    embedder.on_truncation = "error"
    with pytest.raises(EmbedError, match="shorten them"):
        embedder.encode("a b c")


def test_a_text_of_exactly_the_limit_is_whole(make) -> None:
    embedder = make(max_seq_length=5)
    embedder.encode("a b c")
    assert embedder.truncated_count == 0


def test_the_models_own_limit_is_used_and_may_be_changed_within_bounds(make, kit, folder) -> None:
    kit.save_json(folder / "sentence_bert_config.json", {"max_seq_length": 8})
    kit.save_json(folder / "config.json", {"max_position_embeddings": 20})
    embedder = make()
    assert embedder.max_seq_length == 8
    embedder.max_seq_length = 20
    assert embedder.tokenize(["a " * 30]) == [[2, *[4] * 18, 3]]
    for wrong in (2, 21):
        with pytest.raises(
            EmbedError, match=r"expected at least 3 and at most 20 \(max_position_embeddings in config.json"
        ):
            embedder.max_seq_length = wrong


def test_a_limit_beyond_what_the_graph_takes_is_lowered_to_it(make, kit, folder) -> None:
    kit.save_json(folder / "sentence_bert_config.json", {"max_seq_length": 256})
    info = make().backend_info()
    assert (info["max_seq_length"], info["max_seq_length_origin"]) == (32, "the graph's input_ids")


def test_the_argument_is_refused_beyond_what_the_graph_takes(make) -> None:
    with pytest.raises(
        EmbedError, match=r"max_seq_length=33: expected at least 3 and at most 32 \(the graph's input_ids\)"
    ):
        make(max_seq_length=33)


def test_a_stated_limit_below_the_special_tokens_is_refused_unless_another_is_given(make, kit, folder) -> None:
    kit.save_json(folder / "sentence_bert_config.json", {"max_seq_length": 1})
    complaint = (
        r"at most 1 tokens \(max_seq_length in sentence_bert_config\.json\), and the tokenizer adds 2 special ones"
    )
    with pytest.raises(EmbedError, match=complaint):
        make()
    assert len(make(max_seq_length=8).tokenize("a")[0]) == 3


def test_a_static_bundle_is_fed_in_its_shape(make, kit) -> None:
    fixed = {name: TensorType(DataType.INT64, (2, 8)) for name in ("input_ids", "attention_mask", "token_type_ids")}
    model = kit.FakeEncoder(fixed, {"last_hidden_state": TensorType(DataType.FLOAT32, (2, 8, 6))})
    got = make(model, on_truncation="ignore").encode(TEXTS[:3] + TEXTS[4:])
    assert {call["input_ids"].shape for call in model.calls} == {(2, 8)}
    np.testing.assert_allclose(got, make().encode(TEXTS[:3] + TEXTS[4:]), rtol=1e-5, atol=1e-6)


def test_a_graph_without_a_mask_gets_texts_of_one_length_at_a_time(make, kit) -> None:
    model = kit.FakeEncoder({"input_ids": TensorType(DataType.INT32, kit.TEXT_SHAPE)})
    got = make(model).encode(TEXTS)
    assert all((call["input_ids"] != 0).all() for call in model.calls)
    assert got.tobytes() == np.stack([make(model).encode(text) for text in TEXTS]).tobytes()


def test_a_graph_that_gives_sentence_vectors_needs_no_pooling(make, kit, folder) -> None:
    (folder / "modules.json").unlink()
    model = kit.FakeEncoder(outputs={"sentence_embedding": TensorType(DataType.FLOAT32, (kit.TEXT_SHAPE[0], 6))})
    np.testing.assert_allclose(make(model).encode(TEXTS), make(pooling="mean").encode(TEXTS), rtol=1e-5, atol=1e-6)
    with pytest.raises(EmbedError, match="it is not clear which one holds the token vectors"):
        make(model, pooling="mean")


def test_sentence_vectors_that_lack_the_last_modules_are_refused(make, kit, folder) -> None:
    outputs = {"sentence_embedding": TensorType(DataType.FLOAT32, (kit.TEXT_SHAPE[0], 6))}
    kit.save_modules(folder, Pooling=kit.MEAN, Dense={"in_features": 6, "out_features": 4}, Normalize={})
    with pytest.raises(
        EmbedError, match="has vectors of 6 features, and the last of the modules makes 4: the graph ends"
    ):
        make(kit.FakeEncoder(outputs=outputs))
    # Asked for by name it is what is wanted, and so is a graph that was cut to the size the model is used with.
    assert make(kit.FakeEncoder(outputs=outputs), output_name="sentence_embedding").encode(TEXTS).shape[1] == 6
    kit.save_modules(folder, Pooling=kit.MEAN, Dense={"in_features": 6, "out_features": 8}, Normalize={})
    kit.save_json(folder / "config_sentence_transformers.json", {"truncate_dim": 6})
    assert make(kit.FakeEncoder(outputs=outputs)).encode(TEXTS).shape[1] == 6
    # What a module does that only the graph knows is not known.
    kit.save_modules(folder, Pooling=kit.MEAN, WeightedThing={"out_features": 4})
    (folder / "config_sentence_transformers.json").unlink()
    assert make(kit.FakeEncoder(outputs=outputs)).encode(TEXTS).shape[1] == 6


def test_pooling_is_never_guessed(make, folder) -> None:
    (folder / "modules.json").unlink()
    with pytest.raises(EmbedError, match=r"has no modules\.json.*pass pooling= .*, one of cls, max, mean"):
        make()


def test_pooling_by_argument_is_logged(make, caplog) -> None:
    make(pooling="cls")
    assert "pooling is cls by argument, and mean in the model's files" in caplog.text


def test_pooling_as_the_files_state_it_is_nothing_to_tell(make, caplog) -> None:
    make(pooling="mean")
    assert not caplog.records


@pytest.mark.parametrize("pooling", ["cls+max", ["cls", "max"]])
def test_pooling_modes_can_be_joined(pooling, make) -> None:
    embedder = make(pooling=pooling)
    assert embedder.get_sentence_embedding_dimension() == 12
    assert embedder.encode(TEXTS).shape == (len(TEXTS), 12)


def test_a_folder_without_a_tokenizer_asks_for_one_by_name(make, kit, folder, tmp_path_factory) -> None:
    elsewhere = tmp_path_factory.mktemp("tokenizer")
    kit.save_tokenizer(elsewhere, model_max_length=5)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(EmbedError, match=r"has no tokenizer\.json; pass tokenizer_id="):
        make()
    assert make(tokenizer_id=elsewhere).max_seq_length == 5


def test_a_tokenizer_id_without_a_tokenizer_is_refused(make, tmp_path_factory) -> None:
    with pytest.raises(EmbedError, match="pass a tokenizer_id= that has one"):
        make(tokenizer_id=tmp_path_factory.mktemp("nothing"))


def test_a_vector_that_is_not_finite_names_its_text(make, kit) -> None:
    model = kit.FakeEncoder()
    model.table[kit.WORDS.index("sun")] = np.nan
    with pytest.raises(EmbedError, match="text 6: its vector holds values that are not finite"):
        make(model).encode(TEXTS, batch_size=2)


def test_results_of_another_shape_are_refused(make, kit) -> None:
    model = kit.FakeEncoder()
    model.table = model.table[:, :4]
    with pytest.raises(EmbedError, match=r"has shape \[1, 3, 4\]; expected \[1, 3, 6\]"):
        make(model).encode("a")


@pytest.mark.parametrize(("level", "shown"), [(logging.DEBUG, True), (logging.WARNING, False)])
def test_a_progress_bar_follows_the_log_level(level, shown, make, caplog, capsys) -> None:
    caplog.set_level(level, "webnn_runtime")
    make().encode(TEXTS)
    seen = capsys.readouterr()
    assert ("Embedding" in seen.err) == shown
    assert seen.out == ""


def test_threads_share_an_embedder(make) -> None:
    embedder = make(on_truncation="ignore", max_seq_length=4)
    expected = embedder.encode(TEXTS).tobytes()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: embedder.encode(TEXTS).tobytes(), range(40)))
    assert set(found) == {expected}
    assert embedder.truncated_count == 41 * 3


def test_information_says_what_runs_and_what_was_understood(make, kit, folder) -> None:
    kit.save_modules(folder, Pooling=kit.MEAN, Normalize={})
    info = make().backend_info()
    assert info == {
        "backend": "fake",
        "device": "cpu",
        "model": str(folder),
        "revision": None,
        "output": "last_hidden_state",
        "pooling": "mean",
        "modules": ["Normalize"],
        "dimension": 6,
        "max_seq_length": 16,
        "max_seq_length_origin": "model_max_length in tokenizer_config.json",
    }


def test_errors_name_the_model(make, folder) -> None:
    (folder / "1_Pooling" / "config.json").write_text("{}")
    with pytest.raises(EmbedError, match=f"^{folder}/1_Pooling/config.json: states no pooling mode"):
        make()


def test_a_model_that_does_not_exist_is_an_error_of_the_hub(make, tmp_path) -> None:
    with pytest.raises(HubError, match="no such folder"):
        make(model_id=tmp_path / "nothing")


def test_modules_that_are_in_the_graph_need_not_be_known(kit, make, tmp_path) -> None:
    """The way out for modules that are not supported: a graph that ends with the vectors of texts."""
    kit.save_tokenizer(tmp_path / "whole")
    kit.save_modules(tmp_path / "whole", WeightedLayerPooling={}, Pooling=kit.MEAN)
    outputs = {"sentence_embedding": TensorType(DataType.FLOAT32, (kit.TEXT_SHAPE[0], kit.HIDDEN))}
    assert make(kit.FakeEncoder(outputs=outputs), model_id=tmp_path / "whole").encode("a").shape == (kit.HIDDEN,)
    with pytest.raises(EmbedError, match=r"WeightedLayerPooling' is not supported.*onnx/model\.onnx"):
        make(model_id=tmp_path / "whole")

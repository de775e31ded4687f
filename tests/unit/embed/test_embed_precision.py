"""Vectors in fewer bits: the bytes of sentence-transformers, and bounds that belong to a model."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from webnn_runtime.embed import Ranges, compute_similarity, dequantize_embeddings, quantize_embeddings
from webnn_runtime.format.errors import EmbedError


def vectors(rows: int, features: int, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).standard_normal((rows, features)).astype(np.float32)
    found[:, 0] = 0.25  # a feature that never changes
    found[0, 1:3] = 0.0
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.mark.torch
@pytest.mark.parametrize("precision", ["float32", "int8", "uint8", "binary", "ubinary"])
@pytest.mark.parametrize("features", [1, 7, 8, 13, 384])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bytes_are_those_of_sentence_transformers(precision, features, dtype, optional) -> None:
    theirs = optional("sentence_transformers").quantize_embeddings
    learnt, given = vectors(150, features), vectors(40, features, 1).astype(dtype)
    ranges = np.stack([learnt.min(axis=0), learnt.max(axis=0)])
    expected = theirs(given, precision, ranges=ranges)
    for bounds in (ranges, Ranges.of(learnt, is_unit=True)):
        got = quantize_embeddings(given, precision, bounds)
        assert (got.dtype, got.shape, got.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())
    one = quantize_embeddings(given[3], precision, ranges)
    assert one.tobytes() == theirs(given[3], precision, ranges=ranges).tobytes() == got[3].tobytes()
    none = quantize_embeddings(given[:0], precision, ranges)
    assert (none.dtype, none.shape) == ((e := theirs(given[:0], precision, ranges=ranges)).dtype, e.shape)


def test_bytes_and_bits_worked_out_by_hand() -> None:
    bounds = [[0.0, -1.0, 0.5], [2.55, 1.0, 0.5]]
    given = [[0.1, 0.0, 0.5], [9.0, -9.0, 0.6]]
    # Steps of 0.01, 2/255 and, where nothing changes, 1: floor(0.1 / 0.01), floor(127.5), 0; outside: the bound.
    assert quantize_embeddings(given, "uint8", bounds).tolist() == [[10, 127, 0], [255, 0, 0]]
    assert quantize_embeddings(given, "int8", bounds).tolist() == [[-118, -1, -128], [127, -128, -128]]
    assert quantize_embeddings(given, "ubinary").tolist() == [[0b10100000], [0b10100000]]
    assert quantize_embeddings(given, "binary").tolist() == [[0b00100000], [0b00100000]]
    assert quantize_embeddings([1.0, 2.0], "float16").dtype == np.float16


@pytest.mark.parametrize("precision", ["int8", "uint8"])
def test_bytes_come_back_within_one_step(precision) -> None:
    given = vectors(200, 24)
    ranges = Ranges.of(given, is_unit=True)
    back = dequantize_embeddings(quantize_embeddings(given, precision, ranges), precision, ranges)
    step = (ranges.high - ranges.low) / 255
    assert (np.abs(back - given) <= step + 1e-6).all()


def test_bounds_that_are_all_but_equal_are_no_overflow() -> None:
    bounds = np.array([[0, -1], [1e-39, 1]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = quantize_embeddings(np.array([[0.5, 0], [-0.5, 0]], np.float32), "uint8", bounds)
    assert found.tolist() == [[255, 127], [0, 127]]


@pytest.mark.parametrize("precision", ["binary", "ubinary"])
def test_bits_come_back_as_zero_and_one(precision) -> None:
    given = vectors(20, 13)
    back = dequantize_embeddings(quantize_embeddings(given, precision), precision, dimension=13)
    np.testing.assert_array_equal(back, given > 0)


@pytest.mark.parametrize(
    ("given", "precision", "ranges", "message"),
    [
        ([1.0], "int4", None, "precision='int4': expected one of float32, float16, int8"),
        ([1.0], "int8", None, r"needs the bounds of each feature; learn them .* calibrate\(texts\)"),
        ([1.0], "uint8", [[0.0, 1.0]], r"ranges of shape \[1, 2\]; expected \[2, 1\]"),
        ([1.0], "int8", [[1.0], [0.0]], "a lower bound is above its upper one"),
        ([1.0], "int8", [[0.0], [np.nan]], "or not finite"),
        ([1], "binary", None, "embeddings are int64; expected floats"),
        ([np.nan], "ubinary", None, "not finite"),
        ([[[1.0]]], "binary", None, "of 3 dimensions"),
        ([7e4], "float16", None, "beyond what float16 holds, 65504"),
        ([1e300], "float32", None, "beyond what float32 holds, 3.4"),
    ],
)
def test_what_cannot_be_quantised_is_refused(given, precision, ranges, message) -> None:
    with pytest.raises(EmbedError, match=message):
        quantize_embeddings(given, precision, ranges)


@pytest.mark.parametrize("dimension", [-3, 0, 8, 17, 9.0])
def test_bits_come_back_as_many_as_their_bytes_can_hold(dimension) -> None:
    bits = quantize_embeddings(vectors(2, 13), "binary")
    with pytest.raises(EmbedError, match="2 bytes hold 9 to 16 features"):
        dequantize_embeddings(bits, "binary", dimension=dimension)


def test_bytes_are_not_taken_for_numbers() -> None:
    bits = quantize_embeddings(vectors(3, 16), "ubinary")
    with pytest.raises(EmbedError, match="argument 'a' holds uint8, steps or bits and not numbers"):
        compute_similarity(bits, bits)
    with pytest.raises(EmbedError, match="embeddings are uint8, which 'binary' is not; expected int8"):
        dequantize_embeddings(bits, "binary")


@pytest.fixture
def known(make, monkeypatch):
    """Make an embedder whose model has an identity, which a stand-in for a graph has not."""

    def known(identity="model a", **arguments):
        embedder = make(**arguments)
        embedder.__dict__["identity"] = identity
        return embedder

    return known


TEXTS = ["a b", "b c d", "c", "d e f", "sun", "rain a", "query : b"]


@pytest.mark.parametrize("precision", ["int8", "uint8"])
def test_bytes_without_bounds_are_an_error_that_says_what_to_do(precision, make, kit) -> None:
    model = kit.FakeEncoder()
    with pytest.raises(EmbedError, match=r"no bounds are known for vectors of 6 .* `webnn calibrate MODEL texts.txt`"):
        make(model).encode(TEXTS, precision=precision)
    assert model.calls == []


@pytest.mark.parametrize("options", [{}, {"normalize": False}, {"truncate_dim": 4}])
@pytest.mark.parametrize("precision", ["float16", "int8", "uint8", "binary", "ubinary"])
def test_encode_quantises_what_it_gives_in_float32(precision, options, make) -> None:
    embedder = make()
    ranges = embedder.calibrate(TEXTS, **options)
    plain = embedder.encode(TEXTS, **options)
    expected = quantize_embeddings(plain, precision, ranges)
    got = embedder.encode(TEXTS, precision=precision, **options)
    assert (got.dtype, got.tobytes()) == (expected.dtype, expected.tobytes())
    assert embedder.encode(TEXTS[1], precision=precision, **options).tobytes() == got[1].tobytes()
    assert embedder.encode([], precision=precision, **options).shape == (0, got.shape[1])
    if precision in ("int8", "uint8"):
        assert embedder.encode(TEXTS, precision=precision, ranges=ranges.array, **options).tobytes() == got.tobytes()


def test_bounds_of_few_texts_are_remarked_on(make, caplog) -> None:
    make().calibrate(TEXTS)
    assert "bounds of 7 texts" in caplog.text
    with pytest.raises(EmbedError, match=r"expected rows of at least 2 texts"):
        make().calibrate(["a"])


def test_bounds_hold_for_one_length_of_vectors(make) -> None:
    embedder = make()
    whole = embedder.calibrate(TEXTS)
    with pytest.raises(
        EmbedError, match=r"for vectors of 4 .* only for vectors of 6 .*`, with the same --truncate-dim"
    ):
        embedder.encode(TEXTS, precision="int8", truncate_dim=4)
    with pytest.raises(EmbedError, match=r"no bounds are known for .* not scaled to length 1, only for .* of length 1"):
        embedder.encode(TEXTS, precision="int8", normalize=False)
    with pytest.raises(EmbedError, match=r"ranges= are for vectors of 6 features .* and these are vectors of 4"):
        embedder.encode(TEXTS, precision="int8", truncate_dim=4, ranges=whole)


@pytest.mark.parametrize("precision", ["float32", "float16", "ubinary"])
def test_bounds_are_refused_where_nothing_is_counted_between_them(precision, make) -> None:
    embedder = make()
    ranges = embedder.calibrate(TEXTS)
    with pytest.raises(EmbedError, match=f"ranges= are for int8 and uint8, not for {precision}; leave them out"):
        embedder.encode(TEXTS, precision=precision, ranges=ranges)


def test_bounds_have_to_be_numbers(make) -> None:
    with pytest.raises(EmbedError, match=r"ranges are no numbers .* expected \[2, 6\]"):
        make().encode(TEXTS, precision="int8", ranges="bounds.json")


def test_bounds_of_one_text_over_and_over_are_none(known) -> None:
    with pytest.raises(EmbedError, match="the 3 vectors are one and the same; expected those of different texts"):
        known().calibrate(["a b"] * 3)


def test_bounds_lie_beside_the_model_wherever_the_process_goes(make, folder, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(folder.parent)
    embedder = make(model_id=folder.name)
    embedder.__dict__["identity"] = "model a"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    embedder.calibrate(TEXTS)
    assert embedder.save_ranges() == folder / "embedding_ranges.json"


def test_bounds_lie_beside_the_model_and_are_found_again(known, folder) -> None:
    first = known()
    whole, short = first.calibrate(TEXTS), first.calibrate(TEXTS, truncate_dim=3)
    expected = first.encode(TEXTS, precision="int8")
    assert first.save_ranges() == folder / "embedding_ranges.json"
    again = known()
    assert again.encode(TEXTS, precision="int8").tobytes() == expected.tobytes()
    assert again._ranges.find(3, True, None).array.tobytes() == short.array.tobytes()
    assert again._ranges.find(6, True, None).sha256 == whole.sha256
    # More of them join those that are there.
    third = known()
    third.calibrate(TEXTS, truncate_dim=2)
    third.save_ranges()
    stored = json.loads((folder / "embedding_ranges.json").read_text())
    assert [entry["dimension"] for entry in stored["ranges"]] == [2, 3, 6]
    assert [path.name for path in folder.glob("*.part")] == []


def test_bounds_of_another_model_are_refused_and_replaced(known, folder) -> None:
    first = known()
    first.calibrate(TEXTS)
    first.save_ranges()
    other = known("model b")
    with pytest.raises(EmbedError, match=r"learnt for the model model a and this one is model b"):
        other.encode(TEXTS, precision="int8")
    other.calibrate(TEXTS)
    other.save_ranges()
    known("model b").encode(TEXTS, precision="int8")


def test_bounds_may_lie_anywhere(known, tmp_path_factory) -> None:
    path = tmp_path_factory.mktemp("elsewhere") / "bounds.json"
    first = known()
    first.calibrate(TEXTS)
    assert first.save_ranges(path) == path
    second = known()
    second.load_ranges(path)
    assert second.encode(TEXTS, precision="uint8").tobytes() == first.encode(TEXTS, precision="uint8").tobytes()
    with pytest.raises(EmbedError, match="cannot be written"):
        first.save_ranges(path / "below" / "a file")
    with pytest.raises(EmbedError, match="no bounds are known yet"):
        known().save_ranges(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.update(schemaVersion=9), "schemaVersion 9; expected 1"),
        (lambda file: file["ranges"][0]["low"].__setitem__(0, -5), "do not have their SHA-256"),
        (lambda file: file["ranges"][0]["low"].__setitem__(0, "x"), "'low' holds something that is no number"),
        (lambda file: file["ranges"][0]["low"].__setitem__(0, 1e300), "not finite"),
        (lambda file: file["ranges"][0].update(low=[]), "expected one each"),
        (lambda file: file["ranges"].__setitem__(0, 1), "is no object"),
        (lambda file: file.update(ranges={}), "'ranges' is an object; expected a list"),
    ],
)
def test_a_damaged_file_is_refused(change, message, known, folder) -> None:
    embedder = known()
    embedder.calibrate(TEXTS)
    path = embedder.save_ranges()
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(EmbedError, match=message):
        known().encode(TEXTS, precision="int8")

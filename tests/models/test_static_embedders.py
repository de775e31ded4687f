"""Static embeddings become bundles with the vectors of sentence-transformers and of model2vec, on every backend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from webnn_runtime import WebNNEmbedder
from webnn_translator.bundling import convert_model

pytestmark = pytest.mark.torch

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PIECES = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS), "hello", "world", "the", "cat", "sun", "##ny"]
SIZE = 16
LONG = "the sunny cat says hello to a world of quick brown foxes and lazy dogs "
TEXTS = [
    "Hello, world",
    "the cat € sat",
    "",
    "€ €",
    LONG * 8,
    "".join(np.random.default_rng(1).choice([*LETTERS, " "], 1500)),
    # More characters than 512 tokens have by the median, and hardly any tokens.
    f"the {'€' * 1600} cat",
    "the [CLS] cat [SEP]",
    "  a \t\n ",
    LONG,
    "\u4e2d the",
]


def pieces() -> Tokenizer:
    """A tokenizer like BERT's, with special tokens that a static embedding leaves out."""
    tokenizer = Tokenizer(models.WordPiece({word: at for at, word in enumerate(PIECES)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def unigram() -> Tokenizer:
    """A tokenizer like XLM-R's, which names its unknown token by number."""
    scored = [("<s>", 0.0), ("<unk>", 0.0), *((piece, -1.0 - at / 50) for at, piece in enumerate(["▁the", *LETTERS]))]
    tokenizer = Tokenizer(models.Unigram([*scored, ("▁", -2.0)], unk_id=1))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def table(tokenizer: Tokenizer, seed: int = 0, rows: int | None = None) -> np.ndarray:
    count = tokenizer.get_vocab_size() if rows is None else rows
    return np.random.default_rng(seed).standard_normal((count, SIZE)).astype(np.float32)


def check(ours: WebNNEmbedder, expected: np.ndarray) -> None:
    """Equal up to float32's rounding: sums of thousands of numbers, here and there, in other orders."""
    expected = expected.astype(np.float32)
    found = ours.encode(TEXTS, normalize=False, prompt="")
    tolerance = 1e-6 * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
    lengths = np.linalg.norm(expected, axis=1)
    cosines = (found * expected).sum(axis=1) / np.where(lengths > 0, np.linalg.norm(found, axis=1) * lengths, 1)
    np.testing.assert_allclose(cosines, lengths > 0, atol=1e-6)
    alone = [ours.encode(text, normalize=False, prompt="") for text in TEXTS]
    np.testing.assert_allclose(alone, found, rtol=0, atol=tolerance)


# name -> what follows the embedding, built from sentence-transformers' own modules
FOLLOWING: dict[str, Callable[[Any], list[Any]]] = {
    "nothing": lambda _: [],
    "normalized": lambda lib: [lib.st.Normalize()],
    "dense": lambda lib: [lib.st.Dense(SIZE, 8), lib.st.LayerNorm(8), lib.st.Normalize()],
    "residual": lambda lib: [
        lib.st.Dense(SIZE, SIZE, use_residual=True, activation_function=lib.torch.nn.GELU()),
        lib.st.Dense(SIZE, 8, bias=False, use_residual=True, activation_function=lib.torch.nn.SiLU()),
        lib.st.Dropout(0.5),
        lib.st.Dense(8, 8, activation_function=lib.torch.nn.ReLU()),
        lib.st.Dense(8, 8, activation_function=lib.torch.nn.Sigmoid()),
        lib.st.Dense(8, 5, activation_function=lib.torch.nn.Identity()),
    ],
}


@pytest.mark.parametrize("side", [None, "right", "left"])
@pytest.mark.parametrize("following", FOLLOWING)
def test_a_static_embedding_of_sentence_transformers(following, side, libraries, backend, tmp_path: Path) -> None:
    libraries.torch.manual_seed(0)
    tokenizer = pieces()
    if side is not None:
        tokenizer.enable_truncation(20, direction=side)
    modules = [
        libraries.st.StaticEmbedding(tokenizer, embedding_weights=table(tokenizer)),
        *FOLLOWING[following](libraries),
    ]
    libraries.SentenceTransformer(modules=modules, device="cpu", prompts={"query": "the "}).save_pretrained(
        str(tmp_path / "saved"), create_model_card=False
    )
    theirs = libraries.SentenceTransformer(str(tmp_path / "saved"), device="cpu", local_files_only=True)
    done = convert_model(str(tmp_path / "saved"), tmp_path / "bundle")
    assert done.certificate is not None
    assert done.certificate.inputs == "tokens"
    assert not [name for name in done.files if name.endswith(".safetensors")]
    ours = WebNNEmbedder(tmp_path / "bundle", backend=backend.name, on_truncation="ignore")
    short = [text for text in TEXTS if len(text) < 1000]
    expected = theirs.encode(short, prompt="")
    np.testing.assert_allclose(ours.encode(short, normalize=False, prompt=""), expected, atol=1e-6, rtol=1e-6)
    # In float64 also the long ones: in float32 torch's own sum of 1,500 rows is off by more.
    theirs = theirs.double()
    check(ours, theirs.encode(TEXTS, prompt=""))
    np.testing.assert_allclose(
        ours.encode_query(TEXTS, normalize=False), theirs.encode_query(TEXTS), atol=1e-6, rtol=1e-6
    )
    assert ours.max_seq_length == (None if side is None else 20)


def test_modules_in_folders_of_their_own(libraries, tmp_path: Path) -> None:
    """As static-retrieval-mrl-en-v1 was saved: nothing of the embedding lies in the model's own folder."""
    saved = tmp_path / "saved"
    tokenizer = pieces()
    module = libraries.st.StaticEmbedding(tokenizer, embedding_weights=table(tokenizer))
    libraries.SentenceTransformer(modules=[module], device="cpu", truncate_dim=10).save_pretrained(str(saved))
    (saved / "0_StaticEmbedding").mkdir()
    for name in ("model.safetensors", "tokenizer.json"):
        (saved / name).rename(saved / "0_StaticEmbedding" / name)
    (saved / "modules.json").write_text(
        '[{"idx": 0, "name": "0", "path": "0_StaticEmbedding", "type": "sentence_transformers.models.StaticEmbedding"}]'
    )
    theirs = libraries.SentenceTransformer(str(saved), device="cpu", local_files_only=True)
    done = convert_model(str(saved), tmp_path / "bundle")
    assert done.certificate is not None
    assert done.certificate.inputs == "tokens"
    assert "0_StaticEmbedding/tokenizer.json" in done.files
    ours = WebNNEmbedder(tmp_path / "bundle", on_truncation="ignore")
    assert ours.get_sentence_embedding_dimension() == 10
    check(ours, theirs.double().encode(TEXTS))


# name -> tokenizer, and what differs from a table of float32 with a row for each token
MODEL2VEC: dict[str, tuple[Callable[[], Tokenizer], dict[str, Any]]] = {
    "plain": (pieces, {}),
    "normalized": (pieces, {"normalize": True}),
    "unigram": (unigram, {"normalize": True}),
    "short": (pieces, {"max_length": 5}),
    "without a limit": (pieces, {"max_length": None}),
    "weights": (pieces, {"weights": np.float32}),
    "weights of float64": (pieces, {"weights": np.float64, "normalize": True}),
    "mapping": (pieces, {"mapping": np.int32, "weights": np.float32, "normalize": True}),
    "mapping of int64": (pieces, {"mapping": np.int64}),
    "int8": (pieces, {"kind": np.int8, "normalize": True}),
    # What `StaticModel(vectors, tokenizer)` saves has no model_type.
    "by hand": (pieces, {"config": None}),
    "by hand, normalized": (pieces, {"config": None, "normalize": True}),
}


@pytest.mark.parametrize("variant", MODEL2VEC)
def test_a_model_of_model2vec(variant, optional, backend, tmp_path: Path) -> None:
    make, settings = MODEL2VEC[variant]
    tokenizer, rng = make(), np.random.default_rng(3)
    count = tokenizer.get_vocab_size()
    rest = {key: settings[key] for key in ("normalize", "max_length") if key in settings}
    vectors = table(tokenizer, rows=9 if "mapping" in settings else None)
    if "kind" in settings:
        vectors = (vectors * 30).astype(settings["kind"])
    if "weights" in settings:
        rest["weights"] = rng.random(count).astype(settings["weights"])
    if "mapping" in settings:
        rest["token_mapping"] = rng.integers(0, 9, count).astype(settings["mapping"])
    library = optional("model2vec").StaticModel
    config = settings.get("config", {"model_type": "model2vec"})
    library(vectors, tokenizer, config=config, **rest).save_pretrained(tmp_path / "saved")
    theirs = library.from_pretrained(tmp_path / "saved")
    convert_model(str(tmp_path / "saved"), tmp_path / "bundle")
    ours = WebNNEmbedder(tmp_path / "bundle", backend=backend.name, on_truncation="ignore")
    assert ours.max_seq_length == theirs.max_length
    assert ours.backend_info()["library"] == "model2vec"
    if theirs.embedding.dtype == np.float32:
        # As above: its sum of hundreds of equal rows in float32 is further off than ours.
        theirs.embedding = theirs.embedding.astype(np.float64)
    check(ours, theirs.encode(TEXTS))
    ours.max_seq_length = 7
    check(ours, theirs.encode(TEXTS, max_length=7))


def test_float16_is_computed_in_float32(optional, tmp_path: Path) -> None:
    """model2vec rounds each result to float16 there; ours is what it rounds."""
    tokenizer = pieces()
    library = optional("model2vec").StaticModel
    vectors = table(tokenizer).astype(np.float16)
    library(vectors, tokenizer, config={"model_type": "model2vec"}).save_pretrained(tmp_path / "saved")
    convert_model(str(tmp_path / "saved"), tmp_path / "bundle")
    found = WebNNEmbedder(tmp_path / "bundle", on_truncation="ignore").encode(TEXTS, normalize=False)
    theirs = library.from_pretrained(tmp_path / "saved").encode(TEXTS)
    assert theirs.dtype == np.float16
    np.testing.assert_array_equal(found.astype(np.float16), theirs)
    wide = library(vectors.astype(np.float32), tokenizer).encode(TEXTS)
    np.testing.assert_allclose(found, wide, atol=2e-6)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("is_folded", [False, True])
def test_what_model2vec_saved_has_the_vectors_of_both_libraries(
    normalize, is_folded, libraries, optional, tmp_path: Path
) -> None:
    tokenizer, saved = pieces(), tmp_path / "saved"
    count = tokenizer.get_vocab_size()
    rng = np.random.default_rng(5)
    more = {"weights": rng.random(count), "token_mapping": rng.integers(0, count, count)} if is_folded else {}
    library = optional("model2vec").StaticModel
    library(
        table(tokenizer), tokenizer, config={"model_type": "model2vec"}, normalize=normalize, **more
    ).save_pretrained(saved)
    convert_model(str(saved), tmp_path / "bundle")
    theirs = libraries.SentenceTransformer(str(saved), device="cpu", local_files_only=True).double().encode(TEXTS)
    other = library.from_pretrained(saved).encode(TEXTS)
    # Unknown tokens and long texts are where they part.
    assert np.abs(theirs - other).max() > 0.01
    for name, expected in (("sentence-transformers", theirs), ("model2vec", other)):
        check(WebNNEmbedder(tmp_path / "bundle", library=name, on_truncation="ignore"), expected)

"""The embedder equals sentence-transformers on whole models: random weights, every kind of pipeline."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import TensorType

pytestmark = pytest.mark.torch

HIDDEN = 16
TEXTS = [
    "a b c",
    "",
    "sun",
    "d e f a b c d e f a b c d e f a b c d e f a b c",
    "query : what is not known",
    "a b c",
    "  rain \t sun ",
    "\x00 \u4e2d",
]
MODES = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
# name -> what follows the transformer, built from sentence-transformers' own modules
PIPELINES = {
    **{mode: lambda lib, mode=mode: [lib.st.Pooling(HIDDEN, mode)] for mode in MODES},
    "concatenation": lambda lib: [lib.st.Pooling(HIDDEN, ("max", "cls", "mean"))],
    "normalized": lambda lib: [lib.st.Pooling(HIDDEN, "mean"), lib.st.Normalize()],
    "dense tanh": lambda lib: [lib.st.Pooling(HIDDEN, "mean"), lib.st.Dense(HIDDEN, 7)],
    "two dense": lambda lib: [
        lib.st.Pooling(HIDDEN, "mean"),
        lib.st.Dense(HIDDEN, 24, bias=False, activation_function=lib.torch.nn.Identity()),
        lib.st.Dense(24, 5, activation_function=lib.torch.nn.GELU()),
        lib.st.Normalize(),
    ],
    "residual": lambda lib: [lib.st.Pooling(HIDDEN, "cls"), lib.st.Dense(HIDDEN, HIDDEN, use_residual=True)],
    "layer norm": lambda lib: [lib.st.Pooling(HIDDEN, "weightedmean"), lib.st.LayerNorm(HIDDEN), lib.st.Normalize()],
    "without prompt": lambda lib: [lib.st.Pooling(HIDDEN, ("mean", "lasttoken"), include_prompt=False)],
}
PROMPTS = {"query": "query : ", "document": ""}


@pytest.fixture(scope="module")
def libraries(optional) -> SimpleNamespace:
    return SimpleNamespace(
        torch=optional("torch"),
        transformers=optional("transformers"),
        st=optional("sentence_transformers.sentence_transformer.modules"),
        SentenceTransformer=optional("sentence_transformers").SentenceTransformer,
        quantize=optional("sentence_transformers").quantize_embeddings,
    )


@pytest.fixture(scope="module")
def bert(libraries, tmp_path_factory) -> str:
    """A tiny BERT with random weights that makes much of position, mask and segment."""
    libraries.torch.manual_seed(0)
    config = libraries.transformers.BertConfig(
        vocab_size=40,
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=24,
        initializer_range=0.5,
    )
    path = tmp_path_factory.mktemp("bert")
    libraries.transformers.BertModel(config).eval().save_pretrained(path)
    return str(path)


class TorchEncoder:
    """The transformer itself, run by torch behind the interface of a loaded graph."""

    def __init__(self, torch, model, names=("input_ids", "attention_mask", "token_type_ids")) -> None:
        shape = (symbol("batch"), symbol("length"))
        self.torch, self.model = torch, model.eval()
        self.inputs = {name: TensorType(DataType.INT64, shape) for name in names}
        self.outputs = {
            "last_hidden_state": TensorType(DataType.FLOAT32, (*shape, HIDDEN)),
            "pooler_output": TensorType(DataType.FLOAT32, (shape[0], HIDDEN)),
        }
        self.graph = SimpleNamespace(
            dims={"batch": DynamicDim("batch", 16), "length": DynamicDim("length", 24)}, nodes=()
        )

    def run(self, inputs):
        with self.torch.no_grad():
            found = self.model(**{name: self.torch.from_numpy(array) for name, array in inputs.items()})
        return {name: found[name].numpy() for name in self.outputs}

    def texts(self, outputs=None, pooling=None, *, normalize=False):
        del outputs, pooling, normalize

    def describe(self):
        return {"backend": "torch"}


@pytest.fixture
def pair(libraries, bert, make, kit, tmp_path):
    """The same saved model in sentence-transformers and in the embedder."""

    def build(pipeline, *, limit=None, truncate_dim=None, similarity=None, **tokenizer):
        kit.save_tokenizer(tmp_path / "tok", **tokenizer)
        for name in ("config.json", "model.safetensors"):
            shutil.copy(f"{bert}/{name}", tmp_path / "tok")
        libraries.torch.manual_seed(1)
        transformer = libraries.st.Transformer(
            str(tmp_path / "tok"), **({} if limit is None else {"max_seq_length": limit})
        )
        modules = [transformer, *PIPELINES[pipeline](libraries)]
        theirs = libraries.SentenceTransformer(
            modules=modules,
            prompts=dict(PROMPTS),
            device="cpu",
            truncate_dim=truncate_dim,
            similarity_fn_name=similarity,
        )
        saved = tmp_path / "saved"
        theirs.save_pretrained(str(saved), create_model_card=False)
        theirs = libraries.SentenceTransformer(str(saved), device="cpu", local_files_only=True)
        model = TorchEncoder(libraries.torch, theirs[0].model)
        return theirs, make(model, model_id=saved, on_truncation="ignore")

    return build


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_saved_model_gives_the_vectors_of_sentence_transformers(pipeline, side, pair) -> None:
    theirs, ours = pair(pipeline, padding_side=side)
    for options in ({"prompt": ""}, {"prompt_name": "query"}):
        # One text at a time: with absolute positions, padding on the left moves the text there.
        expected = np.stack([theirs.encode(text, **options) for text in TEXTS])
        found = np.stack([ours.encode(text, normalize=False, **options) for text in TEXTS])
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        rows = 3 if side == "right" else 1
        expected = theirs.encode(TEXTS, normalize_embeddings=True, batch_size=rows, **options)
        np.testing.assert_allclose(ours.encode(TEXTS, batch_size=3, **options), expected, rtol=1e-5, atol=1e-5)
    assert ours.get_sentence_embedding_dimension() == expected.shape[1]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(("limit", "stated"), [(None, 16), (None, int(1e30)), (10, 16), (3, 16)])
def test_texts_are_cut_where_sentence_transformers_cuts_them(limit, stated, side, pair) -> None:
    theirs, ours = pair("mean", limit=limit, model_max_length=stated, truncation_side=side)
    assert ours.max_seq_length == theirs.max_seq_length
    tokens = [theirs.tokenize([text])["input_ids"][0].tolist() for text in TEXTS]
    assert ours.tokenize(TEXTS) == tokens
    np.testing.assert_allclose(
        ours.encode(TEXTS, normalize=False, prompt=""), theirs.encode(TEXTS, prompt=""), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("limit", [4, 5, 7])
def test_a_prompt_that_leaves_no_room_is_left_out_as_far_as_it_goes(limit, side, pair) -> None:
    theirs, ours = pair("without prompt", limit=limit, truncation_side=side)
    for prompt in ("a b ", "a b c d ", "a b c d e f a b c "):
        expected = theirs.encode(TEXTS, prompt=prompt)
        found = ours.encode(TEXTS, normalize=False, prompt=prompt)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_roles_choose_the_prompts_of_sentence_transformers(pair) -> None:
    theirs, ours = pair("mean")
    np.testing.assert_allclose(
        ours.encode_query(TEXTS), theirs.encode_query(TEXTS, normalize_embeddings=True), atol=1e-5
    )
    np.testing.assert_allclose(
        ours.encode_document(TEXTS), theirs.encode_document(TEXTS, normalize_embeddings=True), atol=1e-5
    )


def test_what_a_caller_gives_goes_before_the_files_as_in_sentence_transformers(pair, libraries, make, tmp_path) -> None:
    _, ours = pair("mean", truncate_dim=5, similarity="dot")
    given = {
        "prompts": {"document": "c ", "more": "a : "},
        "default_prompt_name": "more",
        "truncate_dim": 11,
        "similarity_fn_name": "manhattan",
    }
    theirs = libraries.SentenceTransformer(str(tmp_path / "saved"), device="cpu", local_files_only=True, **given)
    found = make(ours._pipeline.model, model_id=tmp_path / "saved", on_truncation="ignore", **given)
    assert dict(found.prompts) == theirs.prompts
    for name in ("default_prompt_name", "truncate_dim", "similarity_fn_name", "max_seq_length"):
        assert getattr(found, name) == getattr(theirs, name)
    assert found.get_embedding_dimension() == theirs.get_embedding_dimension() == 11
    for call in ("encode", "encode_query", "encode_document"):
        expected = getattr(theirs, call)(TEXTS, normalize_embeddings=True)
        np.testing.assert_allclose(getattr(found, call)(TEXTS), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        found.similarity_pairwise(expected, expected[::-1].copy()),
        theirs.similarity_pairwise(expected, expected[::-1].copy()).numpy(),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("prompts", [{}, {"query": "query : "}, {"s2p_query": "query : "}])
@pytest.mark.parametrize("role", ["query", "document"])
@pytest.mark.filterwarnings("ignore::webnn_runtime.embed.PromptWarning")
def test_roles_without_a_prompt_are_those_of_sentence_transformers(
    role, prompts, pair, libraries, make, tmp_path
) -> None:
    _, ours = pair("mean")
    folder = tmp_path / "saved"
    (folder / "config_sentence_transformers.json").unlink()
    theirs = libraries.SentenceTransformer(str(folder), device="cpu", local_files_only=True, prompts=prompts)
    found = make(ours._pipeline.model, model_id=folder, on_truncation="ignore", prompts=prompts)
    expected = getattr(theirs, f"encode_{role}")(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(getattr(found, f"encode_{role}")(TEXTS), expected, rtol=1e-5, atol=1e-5)
    if "s2p_query" not in prompts:
        np.testing.assert_allclose(found.encode(TEXTS, prompt_name=role), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("function", ["cosine", "dot", "euclidean", "manhattan"])
def test_similarity_is_that_of_sentence_transformers(function, pair) -> None:
    theirs, ours = pair("mean", similarity=function)
    vectors = theirs.encode(TEXTS, prompt="")
    np.testing.assert_allclose(
        ours.similarity(vectors, vectors[:3]), theirs.similarity(vectors, vectors[:3]).numpy(), rtol=1e-5, atol=1e-5
    )


def test_the_cosine_is_that_of_sentence_transformers(pair) -> None:
    theirs, ours = pair("normalized")
    vectors = theirs.encode(TEXTS, prompt="")
    np.testing.assert_allclose(
        ours.compute_similarity(vectors, vectors), theirs.similarity(vectors, vectors).numpy(), atol=1e-6
    )


@pytest.mark.parametrize(("stated", "size"), [(5, 5), (HIDDEN + 4, HIDDEN)])
def test_vectors_have_as_many_features_as_the_model_was_saved_with(stated, size, pair) -> None:
    theirs, ours = pair("mean", truncate_dim=stated)
    expected = theirs.encode(TEXTS, prompt="", normalize_embeddings=True)
    assert expected.shape[1] == ours.get_sentence_embedding_dimension() == size
    np.testing.assert_allclose(ours.encode(TEXTS, prompt=""), expected, rtol=1e-5, atol=1e-5)
    assert ours.encode(TEXTS, prompt="", truncate_dim=HIDDEN).shape[1] == HIDDEN


@pytest.mark.parametrize("truncate_dim", [None, 11])
def test_shortened_vectors_and_bits_are_those_of_sentence_transformers(truncate_dim, pair, libraries) -> None:
    theirs, ours = pair("normalized")
    options = {"prompt": "", "truncate_dim": truncate_dim}
    expected = theirs.encode(TEXTS, normalize_embeddings=True, **options)
    np.testing.assert_allclose(ours.encode(TEXTS, **options), expected, rtol=1e-5, atol=1e-6)
    # So far from 0 that rounding decides no sign; it may decide a step of bytes, and no more than one.
    assert np.abs(expected).min() > 1e-5
    for precision in ("binary", "ubinary"):
        bits = theirs.encode(TEXTS, normalize_embeddings=True, precision=precision, **options)
        got = ours.encode(TEXTS, precision=precision, **options)
        assert (got.dtype, got.tolist()) == (bits.dtype, bits.tolist())
    ranges = ours.calibrate(TEXTS * 13, **options).array
    for precision in ("int8", "uint8"):
        steps = libraries.quantize(expected, precision, ranges=ranges)
        got = ours.encode(TEXTS, precision=precision, **options)
        assert got.dtype == steps.dtype
        assert np.abs(got.astype(int) - steps).max() <= 1

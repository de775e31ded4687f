"""`WebNNEmbedder`: sentence embeddings from a WebNN bundle, called like a sentence-transformers model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from webnn_runtime.embed.arguments import by_precision, check_batch_size, check_flags, named_after, strings_of
from webnn_runtime.embed.attributes import Opened
from webnn_runtime.embed.calibration import Calibrated
from webnn_runtime.embed.feed import EncoderModel
from webnn_runtime.embed.pipeline import Pipeline
from webnn_runtime.embed.progress import progress
from webnn_runtime.embed.prompts import Prompter, PromptWarning, with_given
from webnn_runtime.embed.settings import DOCUMENT_PROMPTS, QUERY_PROMPTS, LengthLimit
from webnn_runtime.embed.stages import Normalize
from webnn_runtime.embed.tokenizer import Tokens
from webnn_runtime.embed.truncation import OnTruncation, TruncationChoice, TruncationWarning, count_truncated
from webnn_runtime.format.counts import is_count
from webnn_runtime.format.errors import EmbedMisuse
from webnn_runtime.format.locks import Lock
from webnn_runtime.hub import ModelFolder, resolve, select_tokenizer

if TYPE_CHECKING:
    import numpy.typing as npt

    from webnn_runtime.embed.ranges import Ranges

__all__ = ["PromptWarning", "TruncationWarning", "WebNNEmbedder"]

Floats: TypeAlias = "npt.NDArray[np.float32]"
Vectors: TypeAlias = "npt.NDArray[Any]"
# Who passes a model or texts by another library's name of them is told so, and not that they are missing.
_NO_MODEL: Final[Any] = None
_NO_TEXTS: Final[Any] = None


class WebNNEmbedder(Opened, Calibrated):
    """Embeds texts.

    Thread-safe: one embedder may serve many threads.

    Args:
        model_id: a folder with a bundle, a `.webnn` file in one, or a Hub id `owner/name` or `owner/name@revision`.
        device_type: "cpu", or "gpu" or "npu" where the backend has one.
        backend: "auto", "rust", "onnxruntime" or "numpy".
        threads: number of threads; None lets the backend choose.
        max_memory: bytes that the values of one run may take, apart from weights; None for no limit.
        tokenizer_id: folder or Hub id of the tokenizer, when the bundle has none.
        pooling: pooling modes to use in place of those the model's files state; needed without such files.
        output_name: graph output to use, when its name does not say what it is.
        max_seq_length: longest text in tokens, in place of the model's own limit.
        on_truncation: what to do about longer texts: "warn", "error" or "ignore".
        prompts: texts to put before texts, by name, beside those of the model's files and in place of equal names.
        default_prompt_name: name of the prompt that a call gets which names none.
        truncate_dim: how many features of a vector are kept, unless a call says another number.
        similarity_fn_name: what `similarity` computes: "cosine", "dot", "euclidean" or "manhattan".
        compute: "exact" or "int8" arithmetic of quantised weights; None takes the manifest's word, see `load`.
        library: whose rules make a static embedding's tokens, "model2vec" or "sentence-transformers"; None for its own.
        revision: branch, tag or commit on the Hub.
        token: Hub access token.
        cache_dir: Hub cache.
        local_files_only: never use the network.
        foreign: sentence-transformers' other arguments, which are refused unless they ask for nothing.

    Raises:
        HubError: the model cannot be found or fetched.
        EmbedError: its files do not say how to embed.
        FormatError: the bundle is malformed.
        BackendError: the backend or the device is not there.

    Example:
        >>> from webnn_runtime import WebNNEmbedder
        >>> embedder = WebNNEmbedder("model-webnn")
        >>> vectors = embedder.encode(["a cat", "a dog"])
        >>> vectors.shape
        (2, 6)
        >>> embedder.similarity(vectors, vectors).shape
        (2, 2)
    """

    on_truncation = TruncationChoice()

    def __init__(
        self,
        model_id: str | os.PathLike[str] = _NO_MODEL,
        device_type: str = "cpu",
        backend: str = "auto",
        threads: int | None = None,
        *,
        max_memory: int | None = None,
        tokenizer_id: str | os.PathLike[str] | None = None,
        pooling: str | Iterable[str] | None = None,
        output_name: str | None = None,
        max_seq_length: int | None = None,
        on_truncation: OnTruncation = "warn",
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        truncate_dim: int | None = None,
        similarity_fn_name: str | None = None,
        compute: str | None = None,
        library: str | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        **foreign: Any,
    ) -> None:
        if foreign:
            from webnn_runtime.embed.foreign import refuse_foreign

            refuse_foreign("WebNNEmbedder", foreign, WebNNEmbedder)
        if similarity_fn_name is not None:
            from webnn_runtime.embed.similarity import check_function

            check_function("similarity_fn_name", similarity_fn_name)
        self.on_truncation = on_truncation
        access: dict[str, Any] = {"token": token, "cache_dir": cache_dir, "local_files_only": local_files_only}
        found = resolve(model_id, revision=revision, **access)
        tokenizer = None if tokenizer_id is None else resolve(tokenizer_id, select=select_tokenizer, **access)
        model = _open_model(
            found, backend=backend, threads=threads, device=device_type, max_memory=max_memory, compute=compute
        )
        self._device_type: Final = device_type
        self._source: Final = found
        # What is read and written later belongs to this folder, wherever the process has gone by then.
        self._folder: Final = os.path.abspath(found.folder)
        self._lock: Final = Lock()
        self._truncated_count = 0
        with named_after(found.source):
            pipeline = Pipeline.open(
                model,
                found.folder,
                tokenizer_folder=None if tokenizer is None else tokenizer.folder,
                pooling=pooling,
                output_name=output_name,
                library=library,
            )
        self._pipeline: Final = pipeline.given(with_given(pipeline.prompts, prompts, default_prompt_name), truncate_dim)
        self._similarity: Final = similarity_fn_name
        self._prompter: Final = Prompter(self._pipeline.prompts, found.source)
        if max_seq_length is None:
            self._limit: LengthLimit = self._pipeline.limit
        else:
            self.max_seq_length = max_seq_length

    @by_precision
    def encode(
        self,
        texts: str | Iterable[str] = _NO_TEXTS,
        batch_size: int = 32,
        normalize: bool = True,
        show_progress: bool | None = None,
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        truncate_dim: int | None = None,
        normalize_embeddings: bool | None = None,
        show_progress_bar: bool | None = None,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        precision: str | None = "float32",
        ranges: Ranges | npt.ArrayLike | None = None,
        **foreign: Any,
    ) -> Vectors:
        """Embed one text or many.

        Args:
            texts: a string, or any iterable of strings.
            batch_size: most texts in one run, where texts have to be padded; long texts run in smaller batches. Where
                the backend runs texts without padding, a run is as many texts as have 4,096 tokens.
            normalize: scale vectors to length 1. A model that ends with a Normalize module gives such vectors
                either way, and they are scaled once. With False the result is what sentence-transformers'
                `encode` gives by default.
            show_progress: whether to draw a progress bar on stderr; None does so at log level INFO or DEBUG.
            prompt: text to put before each text; wins over `prompt_name`.
            prompt_name: name of one of the model's prompts.
            truncate_dim: keep only the first so many features, for models trained for that; None keeps as many as
                the model's files say, mostly all.
            normalize_embeddings: sentence-transformers' name of `normalize`.
            show_progress_bar: sentence-transformers' name of `show_progress`.
            convert_to_numpy: True is the only choice.
            convert_to_tensor: False is the only choice.
            precision: "float32", "float16", "int8", "uint8", "binary" or "ubinary"; see
                `webnn_runtime.embed.quantize_embeddings`. Vectors are shortened and scaled first. None is "float32".
            ranges: bounds of each feature for int8 and uint8; None takes those of `calibrate`, `load_ranges` or the
                file beside the model, and never those of the texts at hand: one text would differ between calls.
            foreign: sentence-transformers' other arguments, which are refused unless they ask for nothing.

        Returns:
            float32 [dimension] for a string, [texts, dimension] in their order otherwise; no texts give [0, dimension].
            Of another type with another `precision`, and an eighth as wide for bits.

        Raises:
            EmbedError: an argument cannot be honoured, a text is too long under `on_truncation="error"`, a
                vector is not finite, or int8 is asked for and no bounds are known.
            TypeError: something among the texts is not a string.
        """
        if foreign:
            from webnn_runtime.embed.foreign import refuse_foreign

            refuse_foreign("encode", foreign, self.encode, self._device_type)
        if convert_to_numpy is not True or convert_to_tensor is not False:
            raise EmbedMisuse(
                "encode: results are NumPy arrays, which torch.from_numpy takes; leave convert_to_numpy and "
                "convert_to_tensor out"
            )
        precision = "float32" if precision is None else precision
        if precision != "float32" or ranges is not None:
            from webnn_runtime.embed.precision import BYTES, check_precision, quantize_embeddings

            check_precision(precision, has_ranges=ranges is not None)
        check_batch_size(batch_size)
        if truncate_dim is None:
            truncate_dim = self._pipeline.truncate_dim
        elif not is_count(truncate_dim, 1, self._pipeline.dimension):
            raise EmbedMisuse(f"encode: truncate_dim={truncate_dim!r}; expected 1 to {self._pipeline.dimension}")
        normalize = normalize if normalize_embeddings is None else normalize_embeddings
        show_progress = show_progress if show_progress_bar is None else show_progress_bar
        check_flags("encode", normalize=normalize, show_progress=show_progress is not None and show_progress)
        if precision != "float32" and precision in BYTES:
            # Before anything runs: what is missing may take a while to learn.
            is_unit = self._gives_unit(normalize, truncate_dim)
            dimension = truncate_dim or self._pipeline.dimension
            ranges = self._ranges.choose(ranges, dimension, is_unit, lambda: self.identity)
        given = strings_of(texts)
        chosen = self._prompter.choose(prompt, prompt_name)
        limit = self._limit
        tokens = self._tokenize([chosen + text for text in given] if chosen else given, limit)
        skipped = self._pipeline.prompt_length(chosen, limit.tokens)
        with progress(len(given), show_progress) as advance:
            vectors = self._pipeline.embed(tokens, batch_size=batch_size, prompt_length=skipped, on_progress=advance)
        if truncate_dim is not None:
            vectors = np.ascontiguousarray(vectors[:, :truncate_dim])
        if normalize and not self._gives_unit(False, truncate_dim):
            vectors = Normalize()(vectors)
        results = vectors if precision == "float32" else quantize_embeddings(vectors, precision, ranges)
        return results[0] if isinstance(texts, str) else results

    @by_precision
    def encode_query(
        self,
        texts: str | Iterable[str] = _NO_TEXTS,
        batch_size: int = 32,
        normalize: bool = True,
        show_progress: bool | None = None,
        **options: Any,
    ) -> Vectors:
        """Embed queries: `encode` with the model's prompt for queries, or no prompt when it has none."""
        chosen = self._prompter.with_role(QUERY_PROMPTS, options)
        return self.encode(texts, batch_size, normalize, show_progress, **chosen)

    @by_precision
    def encode_document(
        self,
        texts: str | Iterable[str] = _NO_TEXTS,
        batch_size: int = 32,
        normalize: bool = True,
        show_progress: bool | None = None,
        **options: Any,
    ) -> Vectors:
        """Embed documents: `encode` with the model's prompt for documents, passages or corpora, or no prompt."""
        chosen = self._prompter.with_role(DOCUMENT_PROMPTS, options)
        return self.encode(texts, batch_size, normalize, show_progress, **chosen)

    def compute_similarity(self, a: npt.ArrayLike, b: npt.ArrayLike) -> float | Floats:
        """Cosine similarity; see `webnn_runtime.embed.compute_similarity`."""
        from webnn_runtime.embed.similarity import compute_similarity

        return compute_similarity(a, b)

    def similarity(self, a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
        """[rows of a, rows of b] by the function that the model was made for; as in sentence-transformers."""
        from webnn_runtime.embed.similarity import similarity

        return similarity(a, b, self.similarity_fn_name)

    def similarity_pairwise(self, a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
        """[rows]: the same of each row of `a` and the row of `b` in its place."""
        from webnn_runtime.embed.similarity import similarity_pairwise

        return similarity_pairwise(a, b, self.similarity_fn_name)

    def tokenize(self, texts: str | Iterable[str]) -> list[list[int]]:
        """Token ids of each text, or of the only one, as the graph gets them: cut silently, and without padding."""
        return [each.ids.tolist() for each in self._pipeline.tokenizer.encode(strings_of(texts), self.max_seq_length)]

    def get_sentence_embedding_dimension(self) -> int:
        """Size of a vector."""
        return self._pipeline.truncate_dim or self._pipeline.dimension

    get_embedding_dimension = get_sentence_embedding_dimension  # as newer releases of sentence-transformers call it

    @property
    def max_seq_length(self) -> int | None:
        """Longest text in tokens, special tokens included; None when nothing limits it.

        May be set to anything the graph and the model's position table take.
        """
        return self._limit.tokens

    @max_seq_length.setter
    def max_seq_length(self, tokens: int) -> None:
        self._limit = self._pipeline.limited_to(tokens)
        self.__dict__.pop("identity", None)

    @property
    def truncated_count(self) -> int:
        """Texts that were cut since the embedder was made."""
        return self._truncated_count

    @property
    def prompts(self) -> Mapping[str, str]:
        """The model's prompts by name."""
        return self._pipeline.prompts.texts

    @property
    def default_prompt_name(self) -> str | None:
        """Name of the prompt that is used where a call names none; None for no prompt."""
        return self._pipeline.prompts.default

    @property
    def truncate_dim(self) -> int | None:
        """How many features of a vector are kept where a call does not say; None for all."""
        return self._pipeline.truncate_dim

    @cached_property
    def similarity_fn_name(self) -> str:
        """What `similarity` computes: "cosine", "dot", "euclidean" or "manhattan"."""
        from webnn_runtime.embed.settings import read_similarity

        return read_similarity([self._folder]) if self._similarity is None else self._similarity

    @cached_property
    def identity(self) -> str:
        """SHA-256 of everything that decides a text's vector before prompt and normalisation are chosen.

        Equal identities mean comparable vectors; store it, and the prompt, beside every vector.
        """
        from webnn_runtime.embed.identity import identify

        return identify(self._pipeline, self.max_seq_length)

    def backend_info(self) -> dict[str, object]:
        """What runs where, and what the model's files were understood to say."""
        return {
            **self._pipeline.model.describe(),
            "model": self._source.source,
            "revision": self._source.revision,
            **self._pipeline.describe(),
            "max_seq_length": self._limit.tokens,
            "max_seq_length_origin": self._limit.origin,
        }

    def __repr__(self) -> str:
        return (
            f"WebNNEmbedder({self._source.source!r}, dimension={self.get_sentence_embedding_dimension()}, "
            f"max_seq_length={self.max_seq_length})"
        )

    def _tokenize(self, texts: Sequence[str], limit: LengthLimit) -> list[Tokens]:
        tokens = self._pipeline.tokenizer.encode(texts, limit.tokens)
        cut = count_truncated(tokens, limit, self.on_truncation)
        if cut:
            with self._lock:
                self._truncated_count += cut
        return tokens


def _open_model(found: ModelFolder, **options: Any) -> EncoderModel:
    from webnn_runtime.model import load

    return load(found.graph or found.folder, **options)

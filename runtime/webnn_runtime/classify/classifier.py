"""`WebNNClassifier`: text classification from a WebNN bundle, called like transformers' pipeline."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypedDict, overload

import numpy as np
import numpy.typing as npt

from webnn_runtime.classify.inputs import TextInput, listed, pair_of
from webnn_runtime.classify.labels import ACTIVATIONS, Labels, read_labels
from webnn_runtime.embed.arguments import check_flags, named_after
from webnn_runtime.embed.attributes import Opened
from webnn_runtime.embed.batches import plan
from webnn_runtime.embed.configuration import StrPath
from webnn_runtime.embed.counted import is_only_counted
from webnn_runtime.embed.feed import LOGITS, EncoderModel, Feed
from webnn_runtime.embed.progress import progress
from webnn_runtime.embed.settings import read_prompts, read_transformer
from webnn_runtime.embed.tokenizer import TextTokenizer, Tokens, find_tokenizer
from webnn_runtime.embed.truncation import OnTruncation, TruncationChoice, count_truncated, require_room
from webnn_runtime.embed.vocabulary import table_rows
from webnn_runtime.format.counts import is_count
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import EmbedError, EmbedMisuse
from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.locks import Lock
from webnn_runtime.hub import resolve, select_tokenizer

__all__ = ["LabelScore", "WebNNClassifier", "choose_logits"]

Floats: TypeAlias = "npt.NDArray[np.float32]"
# What sentence-transformers calls it where it saves a cross-encoder.
_TASK: Final = "sequence-classification"
_UNSET: Final = object()
# Who passes a model by another library's name of it is told so, and not that it is missing.
_NO_MODEL: Final[Any] = None


class LabelScore(TypedDict):
    """A label and its score, as transformers' pipeline has them."""

    label: str
    score: float


class WebNNClassifier(Opened):
    """Classifies texts, or pairs of texts.

    Thread-safe: one classifier may serve many threads.

    Args:
        model_id: a folder with a bundle, a `.webnn` file in one, or a Hub id `owner/name`.
        device_type: "cpu", or "gpu" or "npu" where the backend has one.
        backend: "auto", "rust", "onnxruntime" or "numpy".
        threads: number of threads; None lets the backend choose.
        max_memory: bytes that the values of one run may take, apart from weights; None for no limit.
        tokenizer_id: folder or Hub id of the tokenizer and of `config.json`, when the bundle has none.
        output_name: graph output that holds the logits, when it is not called `logits`.
        max_length: longest text in tokens, in place of the model's own limit.
        on_truncation: what to do about longer texts: "warn", "error" or "ignore".
        compute: "exact" or "int8" arithmetic of quantised weights; None takes the manifest's word, see `load`.
        revision: branch, tag or commit on the Hub.
        token: Hub access token.
        cache_dir: Hub cache.
        local_files_only: never use the network.
        foreign: arguments of pipelines and cross-encoders, which are refused unless they ask for nothing.

    Raises:
        HubError: the model cannot be found or fetched.
        EmbedError: its files do not say how to classify.
        FormatError: the bundle is malformed.
        BackendError: the backend or the device is not there.

    Example:
        >>> from webnn_runtime import WebNNClassifier
        >>> classify = WebNNClassifier("classifier-webnn")
        >>> classify("a cat")
        [{'label': ..., 'score': ...}]
        >>> classify.scores(["a cat", "a dog"]).shape
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
        output_name: str | None = None,
        max_length: int | None = None,
        on_truncation: OnTruncation = "warn",
        compute: str | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        **foreign: Any,
    ) -> None:
        if foreign:
            from webnn_runtime.embed.foreign import refuse_foreign

            refuse_foreign("WebNNClassifier", foreign, WebNNClassifier)
        from webnn_runtime.model import load

        self.on_truncation = on_truncation
        access: dict[str, Any] = {"token": token, "cache_dir": cache_dir, "local_files_only": local_files_only}
        found = resolve(model_id, revision=revision, **access)
        given = None if tokenizer_id is None else resolve(tokenizer_id, select=select_tokenizer, **access).path
        folders = [found.path] if given is None else [given, found.path]
        self._device_type: Final = device_type
        self._source: Final = found
        self._lock: Final = Lock()
        self._truncated_count = 0
        self._model: Final[EncoderModel] = load(
            found.file or found.path,
            backend=backend,
            threads=threads,
            device=device_type,
            max_memory=max_memory,
            compute=compute,
        )
        with named_after(found.source):
            settings = read_transformer(folders, task=_TASK)
            _refuse_default_prompt(folders)
            self._tokenizer: Final = TextTokenizer.load(
                find_tokenizer(given, folders), do_lower_case=settings.do_lower_case
            )
            graph = self._model.graph
            self._feed: Final = Feed.of(
                self._model.inputs,
                graph.dims,
                model_type=settings.model_type,
                rows=table_rows(graph, self._model.inputs),
                pads_right=is_only_counted(graph),
            )
            self._output: Final = choose_logits(self._model.outputs, output_name)
            self._labels: Final[Labels] = read_labels(folders, self._count())
            special = self._tokenizer.special_count
            if max_length is None:
                limit = require_room(settings.limit.bounded_by(self._feed.limit), special)
            else:
                limit = self._feed.limit.bounded_by(settings.table).instead(max_length, special, "max_length")
            self._limit: Final = limit

    # A text and a pair are iterable themselves; the first signature that fits is meant.
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self,
        inputs: TextInput,
        *,
        top_k: int | None,
        function_to_apply: str | None = None,
        batch_size: int = 32,
        show_progress: bool = False,
    ) -> list[LabelScore]: ...
    @overload
    def __call__(
        self,
        inputs: Iterable[TextInput],
        *,
        top_k: int | None,
        function_to_apply: str | None = None,
        batch_size: int = 32,
        show_progress: bool = False,
    ) -> list[list[LabelScore]]: ...
    @overload
    def __call__(
        self,
        inputs: str,
        *,
        function_to_apply: str | None = None,
        batch_size: int = 32,
        show_progress: bool = False,
    ) -> list[LabelScore]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self,
        inputs: tuple[str, str] | Mapping[str, str],
        *,
        function_to_apply: str | None = None,
        batch_size: int = 32,
        show_progress: bool = False,
    ) -> LabelScore: ...
    @overload
    def __call__(
        self,
        inputs: Iterable[TextInput],
        *,
        function_to_apply: str | None = None,
        batch_size: int = 32,
        show_progress: bool = False,
    ) -> list[LabelScore]: ...
    def __call__(
        self,
        inputs: TextInput | Iterable[TextInput],
        *,
        top_k: Any = _UNSET,
        function_to_apply: str | None = None,
        batch_size: int = 32,
        show_progress: bool = False,
        **foreign: Any,
    ) -> Any:
        """Labels and their scores, in the shapes of transformers' text-classification pipeline.

        Args:
            inputs: a text, a pair as `{"text": ..., "text_pair": ...}` or a tuple, or a list of these.
            top_k: how many labels, best first; None for all. Not given: the best one, not in a list of its own.
            function_to_apply: "softmax", "sigmoid" or "none", in place of what the model's files say.
            batch_size: most texts in one run; long texts run in smaller batches.
            show_progress: whether to draw a progress bar on stderr.
            foreign: arguments of pipelines and cross-encoders, which are refused unless they ask for nothing.

        Returns:
            `{"label": str, "score": float}` for each input, or with `top_k` a list of them. A single text without
            `top_k` gives a list of one, a single pair the entry itself.

        Raises:
            EmbedError: an argument cannot be honoured, or a text is too long under `on_truncation="error"`.
            TypeError: something among the inputs is neither a text nor a pair.
        """
        if foreign:
            from webnn_runtime.embed.foreign import refuse_foreign

            refuse_foreign("classifier", foreign, self.__call__, self._device_type)
        is_ranked = top_k is not _UNSET
        if is_ranked and top_k is not None and not is_count(top_k, 1):
            raise EmbedMisuse(f"top_k={top_k!r}: expected a number from 1 on, or None for all labels")
        is_single = isinstance(inputs, (str, Mapping, tuple))
        given: list[Any] = [inputs] if is_single else listed("classifier", inputs)
        scores = self._score(given, function_to_apply, batch_size, show_progress)
        if not is_ranked:
            best = [self._entry(row, int(row.argmax())) for row in scores]
            return best[0] if is_single and not isinstance(inputs, str) else best
        ranked = [
            [self._entry(row, index) for index in np.argsort(-row, kind="stable")[:top_k].tolist()] for row in scores
        ]
        return ranked[0] if is_single else ranked

    def scores(
        self,
        inputs: Iterable[TextInput],
        *,
        function_to_apply: str | None = None,
        batch_size: int = 32,
        show_progress: bool = False,
        **foreign: Any,
    ) -> Floats:
        """Scores of all labels, float32 [inputs, labels]; see `__call__`.

        Raises:
            TypeError: a text or a pair that is not in a list, whose characters or halves would be taken for texts.
        """
        if foreign:
            from webnn_runtime.embed.foreign import refuse_foreign

            refuse_foreign("scores", foreign, self.scores, self._device_type)
        if isinstance(inputs, (str, Mapping, tuple)):
            raise TypeError(f"scores: inputs are one {type(inputs).__name__}; put it into a list, as in scores([text])")
        return self._score(listed("scores", inputs), function_to_apply, batch_size, show_progress)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in the order of `scores`."""
        return self._labels.names

    @property
    def max_length(self) -> int | None:
        """Longest text in tokens, special tokens included; None when nothing limits it."""
        return self._limit.tokens

    @property
    def truncated_count(self) -> int:
        """Texts that were cut since the classifier was made."""
        return self._truncated_count

    def backend_info(self) -> dict[str, object]:
        """What runs where, and what the model's files were understood to say."""
        return {
            **self._model.describe(),
            "model": self._source.source,
            "revision": self._source.revision,
            "output": self._output,
            "labels": list(self._labels.names),
            "problem_type": self._labels.problem or None,
            "function_to_apply": self._labels.activation,
            "max_length": self._limit.tokens,
            "max_length_origin": self._limit.origin,
        }

    def __repr__(self) -> str:
        return f"WebNNClassifier({self._source.source!r}, labels={list(self._labels.names)!r})"

    def _entry(self, row: Floats, index: int) -> LabelScore:
        return {"label": self._labels.names[index], "score": float(row[index])}

    def _score(self, inputs: Sequence[Any], activation: str | None, batch_size: int, show_progress: bool) -> Floats:
        if not is_count(batch_size, 1):
            raise EmbedMisuse(f"batch_size={batch_size!r}: expected a whole number, at least 1")
        if activation is not None and activation not in ACTIVATIONS:
            raise EmbedMisuse(f"function_to_apply={activation!r}: expected one of {', '.join(ACTIVATIONS)}")
        check_flags("classifier", show_progress=show_progress)
        texts = self._tokenize(inputs)
        logits = np.empty((len(texts), len(self._labels.names)), np.float32)
        lengths = [max(len(text), self._feed.length[0]) for text in texts]
        rows = min(batch_size, self._feed.batch[1])
        is_uniform = not self._feed.mixes_lengths(self._tokenizer.padding)
        with progress(len(texts), show_progress, "Classifying") as advance:
            for indices in plan(lengths, rows=rows, is_uniform=is_uniform):
                batch = self._feed.build([texts[index] for index in indices], self._tokenizer.padding)
                found = self._model.run(batch.feeds)[self._output]
                logits[indices] = found[: len(indices)].astype(np.float32, copy=False)
                if advance is not None:
                    advance(len(indices))
        broken = np.flatnonzero(~np.isfinite(logits).all(axis=1))
        if broken.size:
            raise EmbedError(f"text {broken[0]}: its logits are not finite; float16 graphs overflow on some texts")
        return self._labels.scores(logits, activation)

    def _tokenize(self, inputs: Sequence[Any]) -> list[Tokens]:
        pairs = [pair_of(index, each) for index, each in enumerate(inputs)]
        found: list[Tokens | None] = [None] * len(pairs)
        singles = [index for index, (_, second) in enumerate(pairs) if second is None]
        doubles = [(index, (first, second)) for index, (first, second) in enumerate(pairs) if second is not None]
        encoded = self._tokenizer.encode([pairs[index][0] for index in singles], self._limit.tokens)
        joined = self._tokenizer.encode_pairs([pair for _, pair in doubles], self._limit.tokens)
        for index, tokens in zip([*singles, *(index for index, _ in doubles)], [*encoded, *joined], strict=True):
            found[index] = tokens
        texts = [tokens for tokens in found if tokens is not None]
        cut = count_truncated(texts, self._limit, self.on_truncation)
        with self._lock:
            self._truncated_count += cut
        return texts

    def _count(self) -> int:
        kind = self._model.outputs[self._output]
        count = kind.shape[-1]
        if kind.rank != 2 or not isinstance(count, int):
            raise EmbedError(f"output '{self._output}' is {kind}; a classifier has one row of logits per text")
        return count


def choose_logits(outputs: Mapping[str, TensorType], name: str | None) -> str:
    """The output that holds the logits: the one called `name`, or `logits`, or the only float one of rank 2.

    Raises:
        EmbedError: there is none, or it is not clear which.
    """
    floats = [
        key for key, kind in outputs.items() if kind.dtype in (DataType.FLOAT32, DataType.FLOAT16) and kind.rank == 2
    ]
    listed = ", ".join(f"'{key}' {kind}" for key, kind in outputs.items())
    if name is not None:
        if name not in floats:
            raise EmbedError(f"output_name='{name}': the graph's outputs are {listed}; expected a float one of rank 2")
        return name
    if LOGITS in floats:
        return LOGITS
    if not floats:
        raise EmbedError(
            f"the graph's outputs are {listed}, and none can hold logits, [texts, labels]: this is no classifier; for "
            "vectors of texts take WebNNEmbedder, or webnn embed"
        )
    if len(floats) != 1:
        raise EmbedError(
            f"the graph's outputs are {listed}, and it is not clear which one holds the logits; "
            "expected 'logits' of rank 2; name it by output_name="
        )
    return floats[0]


def _refuse_default_prompt(folders: Sequence[StrPath]) -> None:
    prompts = read_prompts(folders)
    if text := prompts.choose(None, None):
        raise EmbedError(
            f"config_sentence_transformers.json: the default prompt {prompts.default!r} goes before texts in "
            f"sentence-transformers, and none does here; put {text!r} before them and take default_prompt_name out"
        )

"""From token ids to the inputs a graph declares, and from its outputs to the right one.

A graph is fed exactly what it declares, by name, in the declared integer type: exports of one model
differ in what they leave out, and what a graph does not declare is not sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from webnn_runtime.embed.settings import LengthLimit, position_offset
from webnn_runtime.embed.tokenizer import Padding, Tokens
from webnn_runtime.format.dims import MAX_DIM, Dim, DynamicDim, bounds
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import EmbedError
from webnn_runtime.format.graph import Graph, TensorType
from webnn_runtime.format.records import dataclass, field

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["LOGITS", "TEXT_INPUTS", "Batch", "EncoderModel", "Feed", "Output", "TextRunner", "choose_output"]

_IDS: Final = "input_ids"
_MASK: Final = "attention_mask"
_TYPES: Final = "token_type_ids"
_POSITIONS: Final = "position_ids"
# All inputs that texts are turned into, and what exporters call the scores of a classifier.
TEXT_INPUTS: Final = (_IDS, _MASK, _TYPES, _POSITIONS)
LOGITS: Final = "logits"
# What exporters call the cache of a decoder: past_key_values.0.key, past_0.
_PAST: Final = "past"
_INDEX_TYPES: Final = (DataType.INT32, DataType.INT64, DataType.UINT32, DataType.UINT64)
_FLOATS: Final = (DataType.FLOAT32, DataType.FLOAT16)
# What exporters call the token vectors; the first is sentence-transformers' own name.
_TOKEN_OUTPUTS: Final = ("token_embeddings", "last_hidden_state")
_SENTENCE_OUTPUT: Final = "sentence_embedding"


class EncoderModel(Protocol):
    """The part of `webnn_runtime.Model` that embedding needs."""

    @property
    def graph(self) -> Graph:
        """The graph; its `dims` hold the ranges of named dimensions."""

    @property
    def inputs(self) -> Mapping[str, TensorType]:
        """Declared inputs."""

    @property
    def outputs(self) -> Mapping[str, TensorType]:
        """Declared outputs."""

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> Mapping[str, npt.NDArray[Any]]:
        """Compute every output."""

    def texts(
        self, outputs: Iterable[str] | None = None, pooling: str | None = None, *, normalize: bool = False
    ) -> TextRunner | None:
        """What runs texts without padding, and pools them, where that is proven to change nothing."""

    def describe(self) -> Mapping[str, object]:
        """What runs it, and where."""


class TextRunner(Protocol):
    """The part of `webnn_runtime.backends.base.TextRunner` that embedding needs."""

    @property
    def inputs(self) -> Mapping[str, DataType]:
        """Inputs that hold a number for each token, and their types."""

    def run(self, inputs: Mapping[str, npt.NDArray[Any]], lengths: Sequence[int]) -> Mapping[str, npt.NDArray[Any]]:
        """Compute texts that lie one after another, each as if it were alone."""


@dataclass(frozen=True, slots=True)
class Output:
    """The output that embeddings come from.

    Attributes:
        name: its name.
        is_pooled: whether it has one vector per text, and not one per token.
        features: size of its vectors.
    """

    name: str
    is_pooled: bool
    features: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts that run together.

    Attributes:
        feeds: input name -> array.
        spans: for each text, where its tokens lie in its row.
        length: tokens per row, padding included.
    """

    feeds: dict[str, npt.NDArray[Any]]
    spans: list[tuple[int, int]]
    length: int


@dataclass(frozen=True, slots=True)
class Feed:
    """A graph's text inputs.

    Attributes:
        types: declared inputs.
        batch: smallest and largest number of rows.
        length: smallest and largest number of tokens in a row.
        position_offset: first position of a text, None where it follows the padding id.
        rows: how many ids the graph knows, by input; see `table_rows`.
        pads_right: whether padding goes behind the texts, whatever side the tokenizer states.
        allows_empty: whether a row may be all masked, as in a mean of nothing that is 0.
    """

    types: Mapping[str, TensorType]
    batch: tuple[int, int]
    length: tuple[int, int]
    position_offset: int | None = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    pads_right: bool = False
    allows_empty: bool = False

    @classmethod
    def of(
        cls,
        inputs: Mapping[str, TensorType],
        dims: Mapping[str, DynamicDim],
        *,
        model_type: str = "",
        rows: Mapping[str, int] | None = None,
        pads_right: bool = False,
        allows_empty: bool = False,
    ) -> Feed:
        """Check that a graph takes texts as token ids.

        Raises:
            EmbedError: an input is unknown or missing, or has a type or rank that token ids do not have.
        """
        unknown = [name for name in inputs if name not in TEXT_INPUTS]
        if past := next((name for name in unknown if name.startswith(_PAST)), None):
            raise EmbedError(
                f"input '{past}' is the cache of a decoder, which embedding leaves empty; convert its model again "
                "with webnn-convert --cache empty"
            )
        if unknown or _IDS not in inputs:
            wrong = f"input '{unknown[0]}' is not known" if unknown else f"there is no input '{_IDS}'"
            raise EmbedError(
                f"{wrong}: the graph takes {', '.join(inputs) or 'nothing'}; an encoder of texts takes "
                f"{_IDS} and any of {', '.join(TEXT_INPUTS[1:])}"
            )
        for name, kind in inputs.items():
            if kind.rank != 2 or (name != _MASK and kind.dtype not in _INDEX_TYPES):
                raise EmbedError(f"input '{name}' is {kind}; expected int32 or int64 of shape [batch, length]")
            if kind.shape != inputs[_IDS].shape:
                raise EmbedError(f"input '{name}' is {kind} and '{_IDS}' is {inputs[_IDS]}; their shapes must be equal")
        batch, length = inputs[_IDS].shape
        offset = position_offset(model_type)
        return cls(inputs, _range(batch, dims), _range(length, dims), offset, rows or {}, pads_right, allows_empty)

    @property
    def limit(self) -> LengthLimit:
        """The longest row the graph takes."""
        return LengthLimit(None if self.length[1] >= MAX_DIM else self.length[1], "the graph's input_ids")

    @property
    def can_pad(self) -> bool:
        """Whether padding can be told from text."""
        return _MASK in self.types

    def pads_alone(self, inputs: Iterable[str]) -> bool:
        """Whether the mask is all that a run over these inputs does without.

        A proof knows no names: of a product with the types of the tokens, it takes those for a mask, and to be 1.
        """
        return self.types.keys() - set(inputs) <= {_MASK}

    def mixes_lengths(self, padding: Padding) -> bool:
        """Whether texts of several lengths may run together without changing one another.

        Padding before a text does, where a graph numbers the places of a row by itself; nothing says which ones do.
        """
        return self.can_pad and (self.pads_right or padding.side == "right")

    def build(self, texts: Sequence[Tokens], padding: Padding) -> Batch:
        """Arrays for `texts`, which fit the graph's ranges.

        Rows that a fixed batch needs on top repeat the last text: attention in a row that is all
        masked divides zero by zero.

        Raises:
            EmbedError: padding is needed and cannot be done, or the graph does not know a token's id.
        """
        longest = max(len(text) for text in texts)
        length = max(longest, self.length[0])
        if any(len(text) < length for text in texts):
            self._require_padding(padding)
        rows = [*texts, *[texts[-1]] * (self.batch[0] - len(texts))]
        is_right = self.pads_right or padding.side == "right"
        spans = [(0, len(text)) if is_right else (length - len(text), length) for text in rows]
        blank = 0 if padding.id is None else padding.id
        ids = np.full((len(rows), length), blank, dtype=np.int64)
        types = np.full((len(rows), length), padding.type, dtype=np.int64)
        mask = np.zeros((len(rows), length), dtype=np.int64)
        for row, (text, (start, stop)) in enumerate(zip(rows, spans, strict=True)):
            ids[row, start:stop] = text.ids
            types[row, start:stop] = text.types
            # A text without tokens attends to one padding token, as attention cannot be all masked.
            mask[row, start:stop] = 1
            if start == stop and not self.allows_empty:
                mask[row, min(start, length - 1)] = 1
        offset = blank + 1 if self.position_offset is None else self.position_offset
        positions = np.where(mask == 1, np.cumsum(mask, axis=1) - 1 + offset, blank if offset else 0)
        arrays = {_IDS: ids, _MASK: mask, _TYPES: types, _POSITIONS: positions}
        feeds = {name: arrays[name].astype(kind.dtype.numpy) for name, kind in self.types.items()}
        self._require_known(arrays, mask)
        return Batch(feeds, spans[: len(texts)], length)

    def build_texts(
        self, texts: Sequence[Tokens], padding: Padding, types: Mapping[str, DataType]
    ) -> tuple[dict[str, npt.NDArray[Any]], list[int]]:
        """Arrays [tokens] for `texts`, one after another, and how many tokens each has there.

        A text without tokens has one of padding, as in `build`.

        Raises:
            EmbedError: the graph does not know a token's id.
        """
        blank = 0 if padding.id is None else padding.id
        offset = blank + 1 if self.position_offset is None else self.position_offset
        lengths = [len(text.ids) or 1 for text in texts]
        feeds = {}
        # What the graph does not ask for is not made: for a single text every array costs as much as a step of the
        # engine.
        for name, kind in types.items():
            parts: list[npt.ArrayLike]
            if name == _IDS:
                parts = [text.ids if len(text.ids) else [blank] for text in texts]
            elif name == _TYPES:
                parts = [text.types if len(text.types) else [padding.type] for text in texts]
            elif name == _MASK:
                parts = [np.ones(length) for length in lengths]
            else:
                parts = [np.arange(offset, offset + length) for length in lengths]
            feeds[name] = np.asarray(parts[0] if len(parts) == 1 else np.concatenate(parts), dtype=kind.numpy)
        self._require_known(feeds)
        return feeds, lengths

    def _require_known(self, arrays: Mapping[str, npt.NDArray[Any]], mask: npt.NDArray[Any] | None = None) -> None:
        for name, rows in self.rows.items():
            array = arrays.get(name)
            if array is None or array.max() < rows:
                continue
            # Padding is masked out: whatever vector it gets changes nothing.
            largest = int(array.max() if mask is None else (array * mask).max())
            if largest >= rows:
                raise EmbedError(
                    f"input '{name}': a text has the number {largest}, and the graph knows 0 to {rows - 1}; "
                    "the tokenizer belongs to another model, or has tokens that were added to it alone"
                )

    def _require_padding(self, padding: Padding) -> None:
        if not self.can_pad:
            raise EmbedError(
                f"the graph has a fixed length of {self.length[0]} tokens and no input '{_MASK}', so shorter texts "
                "cannot be padded; export it with its attention mask"
            )
        if padding.id is None:
            raise EmbedError(
                "texts of different length need a padding token, and the tokenizer has none; "
                "state 'pad_token' in tokenizer_config.json"
            )


def choose_output(outputs: Mapping[str, TensorType], *, name: str | None, want_tokens: bool) -> Output:
    """The output that holds the embeddings, by name and rank.

    `sentence_embedding` of rank 2 holds what all of a model's modules made of a text; `want_tokens`
    passes it over. Otherwise it is the token vectors, of rank 3.

    Raises:
        EmbedError: no output, or more than one, could be meant.
    """
    kinds = {key: kind for key, kind in outputs.items() if kind.dtype in _FLOATS}
    if name is not None:
        if name not in kinds or kinds[name].rank not in (2, 3):
            raise EmbedError(f"output_name='{name}': {_listing(outputs)}; expected a float output of rank 2 or 3")
        return _output(name, kinds[name])
    sentence = kinds.get(_SENTENCE_OUTPUT)
    if sentence is not None and sentence.rank == 2 and not want_tokens:
        return _output(_SENTENCE_OUTPUT, sentence)
    tokens = [key for key, kind in kinds.items() if kind.rank == 3]
    for key in _TOKEN_OUTPUTS:
        if key in tokens:
            return _output(key, kinds[key])
    if len(tokens) != 1:
        if not tokens and LOGITS in kinds:
            raise EmbedError(f"{_listing(outputs)}: a classifier; take WebNNClassifier, or webnn classify")
        raise EmbedError(
            f"{_listing(outputs)}, and it is not clear which one holds the token vectors: expected one of "
            f"{', '.join(_TOKEN_OUTPUTS)} (rank 3) or {_SENTENCE_OUTPUT} (rank 2); name it by output_name="
        )
    return _output(tokens[0], kinds[tokens[0]])


def _output(name: str, kind: TensorType) -> Output:
    features = kind.shape[-1]
    if not isinstance(features, int):
        raise EmbedError(f"output '{name}' is {kind}; the size of its vectors must be a number")
    return Output(name, kind.rank == 2, features)


def _range(dim: Dim, dims: Mapping[str, DynamicDim]) -> tuple[int, int]:
    low, high = bounds(dim, dims)
    return max(low, 1), high


def _listing(outputs: Mapping[str, TensorType]) -> str:
    each: Iterable[str] = (f"'{name}' {kind}" for name, kind in outputs.items())
    return f"the graph's outputs are {', '.join(each)}"

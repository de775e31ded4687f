"""What is run: the batches of a case as arrays, for the bundle and for engines that read its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from webnn_runtime.bench.cases import Case, cases_of_graph, make_texts
from webnn_runtime.bench.engines.base import CLASSIFICATION, EMBEDDING, GRAPH, Spec
from webnn_runtime.bench.errors import BenchError
from webnn_runtime.classify.classifier import choose_logits
from webnn_runtime.embed.batches import plan
from webnn_runtime.embed.counted import is_only_counted
from webnn_runtime.embed.feed import LOGITS, TEXT_INPUTS, Feed
from webnn_runtime.embed.pipeline import Pipeline
from webnn_runtime.embed.settings import read_transformer
from webnn_runtime.embed.tokenizer import TextTokenizer, Tokens
from webnn_runtime.format.dims import MAX_DIM
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import EmbedError
from webnn_runtime.format.graph import TensorType
from webnn_runtime.model import Model

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Batch", "Task", "Work", "Workload", "open_task"]

# What the slow reference is asked to do; the rest of a case is held against those who passed.
_REFERENCE_TOKENS: Final = 400


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One run.

    Attributes:
        arrays: inputs by name.
        spans: for each text, where its tokens lie in its row; empty when there are no texts.
    """

    arrays: Mapping[str, npt.NDArray[Any]]
    spans: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Work:
    """The batches that one contender runs in a round."""

    batches: list[Batch]


@dataclass(frozen=True, slots=True)
class Workload:
    """A case, ready to be run.

    Attributes:
        case: the case.
        amount: what is done in a round: tokens without padding, or runs.
        unit: "tokens" or "runs".
        texts: number of texts; 0 where there are none.
        for_bundle: for whoever runs the bundle's graph.
        for_source: for whoever runs its source.
        for_reference: the first rows of one batch, for the slow reference, and which batch that is.
    """

    case: Case
    amount: int
    unit: str
    texts: int
    for_bundle: Work
    for_source: Work
    for_reference: tuple[int, Work]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What a bundle is for: all about it that is not an engine, the same for every contender.

    Attributes:
        kind: "embedding", "classification" or "graph".
        spec: of the bundle, for `threads` threads; rivals get theirs by changing the name.
        model: the bundle, for its types and names only.
        tokenizer: text to token ids; None for a graph that does not take texts.
        limit: the model's own longest text in tokens, None for none.
        bound: the longest one that its graph takes.
        feed: how the bundle takes texts.
    """

    kind: str
    spec: Spec
    model: Model
    tokenizer: TextTokenizer | None = None
    limit: int | None = None
    bound: int | None = None
    feed: Feed | None = None

    def texts(self, case: Case, own: Sequence[Tokens] | None = None) -> Workload:
        """The texts of a case in its batches, of one length each where the bundle mixes none; the title says so.

        Args:
            case: the case.
            own: the user's texts, in place of made ones.
        """
        assert self.tokenizer is not None
        assert self.feed is not None
        texts = make_texts(case, self.tokenizer, self.bound if case.needs else self.limit, own)
        rows = min(case.batch, self.feed.batch[1])
        groups = [texts[start : start + rows] for start in range(0, len(texts), rows)]
        if not self.feed.mixes_lengths(self.tokenizer.padding):
            groups = [
                [group[index] for index in run]
                for group in groups
                for run in plan([len(text) for text in group], rows=rows, is_uniform=True)
            ]
            case = replace(case, title=f"{case.title}, texts of one length in a run")
        # The smallest batch of those with the most rows: its padding, if it has any, is checked too.
        index = min(range(len(groups)), key=lambda i: (-len(groups[i]), sum(map(len, groups[i]))))
        few = groups[index][: max(1, _REFERENCE_TOKENS // max(1, *map(len, groups[index])))]
        return Workload(
            case,
            sum(map(len, texts)),
            "tokens",
            len(texts),
            Work([self._batch(group, self.feed) for group in groups]),
            Work([self._batch(group, self._wide()) for group in groups]),
            (index, Work([self._batch(few, self.feed)])),
        )

    def source_inputs(self, texts: Sequence[Tokens]) -> list[Mapping[str, npt.NDArray[Any]]]:
        """One text at a time, for whoever runs the source."""
        return [self._batch([text], self._wide()).arrays for text in texts]

    def _batch(self, texts: Sequence[Tokens], feed: Feed) -> Batch:
        assert self.tokenizer is not None
        built = feed.build(texts, self.tokenizer.padding)
        return Batch(built.feeds, built.spans)

    def _wide(self) -> Feed:
        """Every input that an export of the model may have, as int64, whatever the bundle declares."""
        assert self.feed is not None
        shape = self.feed.types[TEXT_INPUTS[0]].shape
        every = {name: TensorType(DataType.INT64, shape) for name in TEXT_INPUTS}
        return replace(self.feed, types=every, batch=(1, MAX_DIM), length=(1, MAX_DIM))

    def graphs(self, sizes: Mapping[str, int]) -> list[Workload]:
        """Random inputs at a small and a larger size, or at the size that `sizes` fixes."""
        found = []
        for case, arrays in cases_of_graph(self.model.graph, sizes):
            names = self.model.bundle.names
            batch = Work([Batch(arrays, [])])
            source = Work([Batch({names.get(name, name): array for name, array in arrays.items()}, [])])
            found.append(Workload(case, 1, "runs", 0, batch, source, (0, batch)))
        return found


def open_task(model: Model, spec: Spec, wanted: str | None = None, *, longest: int | None = None) -> Task:
    """What a loaded bundle is for.

    A classifier where an output `logits` has one row per text, an embedder where the files say how to embed, and a
    graph with inputs of any kind otherwise.

    Args:
        model: the bundle.
        spec: its folder, backend, threads and pooling; the rest is filled in.
        wanted: the kind, in place of what the files say.
        longest: longest text in tokens, in place of the model's own limit.

    Raises:
        BenchError: the bundle is not what is wanted, or is told what it has no use for.
        EmbedError: its files do not say how it is used.
    """
    folder = Path(spec.bundle)
    logits = model.outputs.get(LOGITS)
    kind = wanted or (CLASSIFICATION if logits is not None and logits.rank == 2 else EMBEDDING)
    if wanted is None and not ((folder / "tokenizer.json").is_file() and TEXT_INPUTS[0] in model.inputs):
        kind = GRAPH
    if spec.pooling is not None and kind != EMBEDDING:
        raise BenchError(f"--pooling is about vectors of texts, and {folder} is timed as {kind}; leave it out")
    if longest is not None and kind == GRAPH:
        raise BenchError(f"--max-seq-length is about texts, and {folder} is timed as graph; leave it out")
    if kind == GRAPH:
        name = next(iter(model.outputs))
        return Task(GRAPH, replace(spec, kind=GRAPH, output=name, original_output=_original(model, name)), model)
    try:
        return (_classifier if kind == CLASSIFICATION else _embedder)(model, folder, spec, longest)
    except EmbedError as exc:
        raise BenchError(f"{exc}; --task graph times the graph with random inputs") from exc


def _embedder(model: Model, folder: Path, spec: Spec, longest: int | None) -> Task:
    pipeline = Pipeline.open(model, folder, pooling=spec.pooling)
    output = pipeline.output
    known = replace(
        spec,
        kind=EMBEDDING,
        output=output.name,
        original_output=_original(model, output.name),
        is_pooled=output.is_pooled,
    )
    limit = pipeline.limit if longest is None else pipeline.limited_to(longest)
    return Task(EMBEDDING, known, model, pipeline.tokenizer, limit.tokens, pipeline.bound.tokens, pipeline.feed)


def _classifier(model: Model, folder: Path, spec: Spec, longest: int | None) -> Task:
    settings = read_transformer([folder], task="sequence-classification")
    counting = is_only_counted(model.graph)
    feed = Feed.of(model.inputs, model.graph.dims, model_type=settings.model_type, pads_right=counting)
    output = choose_logits(model.outputs, None)
    known = replace(
        spec,
        kind=CLASSIFICATION,
        output=output,
        original_output=_original(model, output),
        labels=int(str(model.outputs[output].shape[-1])),
    )
    tokenizer = TextTokenizer.load(folder, do_lower_case=settings.do_lower_case)
    limit, bound = (each.bounded_by(feed.limit) for each in (settings.limit, settings.table))
    if longest is not None:
        limit = bound.instead(longest, tokenizer.special_count, "max_seq_length")
    return Task(CLASSIFICATION, known, model, tokenizer, limit.tokens, bound.tokens, feed)


def _original(model: Model, name: str) -> str:
    return model.bundle.names.get(name, name)

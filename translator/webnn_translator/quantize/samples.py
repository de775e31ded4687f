"""Inputs that a graph is measured on, and what of its outputs counts.

Sentence vectors where the files beside a graph say how to make them, else every output row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from webnn_runtime.backends import available_backends, get_backend
from webnn_runtime.backends.base import CompileOptions, Executable
from webnn_runtime.embed.feed import Feed
from webnn_runtime.embed.pipeline import Pipeline
from webnn_runtime.embed.static import tokenizer_of
from webnn_runtime.embed.tokenizer import other_tokenizer
from webnn_runtime.evaluation.texts import read_texts
from webnn_runtime.format.binding import bind_inputs
from webnn_runtime.format.errors import BackendUnavailable, EmbedError, FormatError, UnsupportedByBackend, WebnnError
from webnn_runtime.format.graph import Array, Graph
from webnn_translator.quantize.options import QuantizeMisuse
from webnn_translator.quantize.texts import FITTING, MEASURING
from webnn_translator.verify.grid import grid
from webnn_translator.verify.inputs import InputPlan
from webnn_translator.verify.texts import Encoder

__all__ = [
    "Samples",
    "compiled",
    "fitting_samples",
    "measuring_samples",
    "read_samples",
    "require_texts",
    "require_tokenizer",
    "text_samples",
]

# Longer texts say no more about activations, and take the square of their length.
_LONGEST: Final = 256
_MOST_TEXTS: Final = 1000
_SEEDED: Final = 12
_SEED: Final = 7_000
_MAX_FILE: Final = 64 << 20

View = Callable[[Mapping[str, Array], int], dict[str, Array]]


@dataclass(frozen=True, slots=True)
class Samples:
    """Inputs of a graph.

    Attributes:
        feeds: input name -> array, one entry for each run.
        view: outputs of run i -> name and rows [n, features] of what is compared.
        kind: "texts", "seeded" values or a "file", for the certificate.
    """

    feeds: Sequence[Mapping[str, Array]]
    view: View
    kind: str


def compiled(graph: Graph, compute: str = "exact") -> Executable:
    """The graph on the quickest backend that computes it as it is written, or in integers where one can and may."""
    if compute == "int8" and "rust" in available_backends():
        try:
            return get_backend("rust").compile(graph, CompileOptions(compute=compute))
        except UnsupportedByBackend:
            pass
    for name in ("onnxruntime", "rust", "numpy"):
        if name in available_backends():
            try:
                return get_backend(name).compile(graph)
            except UnsupportedByBackend:
                continue
    raise BackendUnavailable("no backend is installed to run the graph on; pip install webnn-runtime", backend="numpy")


def text_samples(graph: Graph, folder: Path, texts: Sequence[str]) -> Samples | None:
    """Texts as a graph's token ids; None where it takes none, or has no tokenizer beside it."""
    try:
        feed, tokenizer = Feed.of(graph.inputs, graph.dims), tokenizer_of(folder)
    except EmbedError:
        return None
    if tokenizer is None:
        return None
    try:
        pipeline: Pipeline | None = Pipeline.open(Encoder(graph), folder)
    except EmbedError:
        # No modules, or no token vectors: the outputs are compared as they are.
        pipeline = None
    limits = (feed.limit.tokens, _LONGEST, None if pipeline is None else pipeline.limit.tokens)
    tokens = tokenizer.encode(texts, min(size for size in limits if size is not None))
    if not feed.can_pad:
        tokens = [one for one in tokens if len(one) >= feed.length[0]]
    # A tokenizer of another model would index past the table.
    if not tokens or max(int(one.ids.max(initial=0)) for one in tokens) >= _vocabulary(graph):
        return None
    batches = [feed.build([one], tokenizer.padding) for one in tokens]
    spans = [batch.spans[0] for batch in batches]
    view = _token_rows(graph, spans) if pipeline is None else _sentence_vectors(pipeline, spans)
    return Samples([batch.feeds for batch in batches], view, "texts")


def require_tokenizer(folder: Path) -> None:
    """Make sure that a tokenizer that was asked for is there.

    Raises:
        FileNotFoundError: there is none.
    """
    if not folder.exists():
        raise FileNotFoundError(
            f"--tokenizer {folder}: there is no such folder, and no id of the Hub is taken here; "
            "pass the folder of the model"
        )
    if not (folder / "tokenizer.json").is_file():
        way = f"{way}, or " if (way := other_tokenizer(folder)) else ""
        raise FileNotFoundError(f"--tokenizer {folder}: has no tokenizer.json; {way}pass the folder of the model")


def require_texts(graph: Graph, folder: Path) -> None:
    """Make sure that a tokenizer that was asked for can be used.

    Raises:
        FileNotFoundError: there is none.
        QuantizeMisuse: the graph cannot read what it makes.
    """
    require_tokenizer(folder)
    if text_samples(graph, folder, MEASURING[:1]) is None:
        raise QuantizeMisuse(
            f"--tokenizer {folder}: the graph takes no token ids, or fewer than this tokenizer has; "
            "leave it out, or pass the one of this model"
        )


def measuring_samples(graph: Graph, folder: Path) -> Samples:
    """The built-in inputs that a loss is measured on."""
    return text_samples(graph, folder, MEASURING) or seeded_samples(graph)


def fitting_samples(graph: Graph, folder: Path, path: Path | None) -> Samples:
    """The inputs that weights are rounded by: those of a file, else built-in ones that are not measured on."""
    if path is not None:
        return read_samples(graph, folder, path)
    return text_samples(graph, folder, FITTING) or seeded_samples(graph, first=_SEEDED)


def seeded_samples(graph: Graph, *, first: int = 0) -> Samples:
    """Seeded values at sizes that the graph allows; of another `first` they are others."""
    plan = InputPlan.of(graph)
    points = [point for point in grid(graph, has_masks=False) if point.size <= _LONGEST] or grid(graph, has_masks=False)
    if not points:
        raise QuantizeMisuse(
            "no sizes were found that the graph allows, so its loss cannot be measured; bind some with --dim"
        )
    feeds = [plan.draw(points[run % len(points)], _SEED + 100 * (first + run)) for run in range(_SEEDED)]
    return Samples(feeds, _all_rows, "seeded")


def read_samples(graph: Graph, folder: Path, path: Path) -> Samples:
    """The inputs in a file: texts one a line, JSON lines with a text each, or arrays named after the inputs.

    Raises:
        FileNotFoundError: there is no such file.
        EmbedError: it holds no texts.
        FormatError: it holds arrays that do not fit.
        QuantizeMisuse: texts for a graph without a tokenizer.
    """
    # A pipe is as good as a file, as in --calibrate <(head -500 texts.txt).
    if path.is_dir() or not path.exists():
        raise FileNotFoundError(
            f"{path}: there is no such file; --calibrate takes texts (.txt, .jsonl) or arrays (.npz)"
        )
    if path.suffix == ".npz":
        return Samples(_read_arrays(graph, path), _all_rows, "file")
    found = text_samples(graph, folder, read_texts(path)[:_MOST_TEXTS])
    if found is None:
        raise QuantizeMisuse(
            f"--calibrate {path}: texts need a model that takes token ids, and a tokenizer.json beside it or in the "
            "folder of --tokenizer; for others pass an .npz whose arrays are named after the inputs, with runs along "
            "their first axis"
        )
    return Samples(found.feeds, found.view, "file")


def _read_arrays(graph: Graph, path: Path) -> list[dict[str, Array]]:
    if path.stat().st_size > 16 * _MAX_FILE:
        raise FormatError(f"the file has more than {_MAX_FILE >> 16} MiB; a few hundred inputs suffice", path=str(path))
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (ValueError, OSError, EOFError, KeyError) as exc:
        raise FormatError("not an .npz of plain arrays", path=str(path)) from exc
    if set(arrays) != set(graph.inputs):
        raise FormatError(
            f"holds {', '.join(sorted(arrays))[:200]}; the inputs are {', '.join(graph.inputs)}", path=str(path)
        )
    counts = {len(array) if array.ndim else 0 for array in arrays.values()}
    if len(counts) != 1 or 0 in counts:
        raise FormatError("all arrays need the same number of runs along their first axis", path=str(path))
    # Without an axis of their own, runs are the rows of a batch, as pictures are stored.
    ranks = {name: kind.rank for name, kind in graph.inputs.items()}
    runs = {name: array[:, None] if array.ndim == ranks[name] else array for name, array in arrays.items()}
    feeds = [{name: np.ascontiguousarray(array[run]) for name, array in runs.items()} for run in range(counts.pop())]
    for feed in feeds:
        try:
            bind_inputs(graph, feed)
        except WebnnError as exc:
            raise FormatError(
                f"{exc}; the first axis of each array counts runs, in front of the input's own or as its batch",
                path=str(path),
            ) from exc
    return feeds[:_MOST_TEXTS]


def _all_rows(found: Mapping[str, Array], run: int) -> dict[str, Array]:
    del run
    return {name: _rows(array) for name, array in found.items() if np.issubdtype(array.dtype, np.floating)}


def _token_rows(graph: Graph, spans: Sequence[tuple[int, int]]) -> View:
    """Every output row by row; of token vectors only those of the text."""
    tokens = {name for name, kind in graph.output_types.items() if kind.rank == 3}

    def view(found: Mapping[str, Array], run: int) -> dict[str, Array]:
        part = slice(*spans[run])
        cut = {name: array[:1, part] if name in tokens else array[:1] for name, array in found.items() if array.ndim}
        return _all_rows(cut, run)

    return view


def _sentence_vectors(pipeline: Pipeline, spans: Sequence[tuple[int, int]]) -> View:
    """What the model's modules make of a text."""
    name, modules = pipeline.output.name, pipeline.modules

    def view(found: Mapping[str, Array], run: int) -> dict[str, Array]:
        rows = found[name][:1].astype(np.float32, copy=False)
        if modules is not None:
            rows = modules.pooling(rows, [spans[run]], 0)
            for stage in modules.stages:
                rows = stage(rows)
        return {name: rows}

    return view


def _rows(array: Array) -> Array:
    """Vectors along the last axis; a picture is one vector, and so are numbers that stand alone."""
    if array.ndim < 2 or array.shape[-1] == 1:
        return array.reshape(1, -1)
    return array.reshape(array.shape[0], -1) if array.ndim >= 4 else array.reshape(-1, array.shape[-1])


def _vocabulary(graph: Graph) -> int:
    return InputPlan.of(graph).limits.get("input_ids", 2**31 - 1)

"""`webnn compare`: two bundles side by side, in what they hold and in what they compute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
import typer
from rich.table import Table
from rich.text import Text

from webnn_runtime.cli.bundles import find_bundle
from webnn_runtime.cli.options import AsJson, BackendName, Quiet, Threads
from webnn_runtime.cli.report import Report, reporting

if TYPE_CHECKING:
    from webnn_runtime.evaluation import CosineStatistics
    from webnn_runtime.format.graph import Array
    from webnn_runtime.model import Model
    from webnn_translator.verify.compare import Difference

__all__ = ["compare"]

# Beyond these a run says no more about two graphs and takes minutes.
_MOST_ELEMENTS: Final = 512
_MOST_RUNS: Final = 8
_SEED: Final = 90_000
# Differences are shown and not judged: half the largest value would be anything but alike.
_ANY: Final = 1e30
_SHOWN_OPERATORS: Final = 12
# Every fourth of our own texts; `webnn eval` takes all of them, or the user's.
_EVERY: Final = 4


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A bundle's folder, its .webnn file, or a Hub id.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    backend: BackendName = "auto",
    threads: Threads = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compare two bundles: operators, types and sizes, and each output on the same inputs."""
    with reporting("compare", as_json=as_json, quiet=quiet) as report:
        from webnn_runtime.evaluation import BundleDifference, contents_of
        from webnn_runtime.model import load

        places = [find_bundle(named).path for named in (first, second)]
        one, two = (load(place, backend, threads=threads) for place in places)
        difference = BundleDifference(contents_of(one.bundle), contents_of(two.bundle))
        report.data.update(a=first, b=second, **difference.record())
        report.data["backends"] = [str(model.describe().get("backend")) for model in (one, two)]
        _show_contents(report, difference.first.record(), difference.second.record())
        for name, (left, right) in list(difference.operators.items())[:_SHOWN_OPERATORS]:
            report.detail(f"  {name}: {left} and {right}")
        reason = _incomparable(one, two)
        report.data.update(outputs=None, runs=0, reason=reason)
        if reason:
            report.result(f"not run on the same inputs: {reason}")
            return
        with report.progress("comparing") as progress:
            found, runs = _differences(one, two, progress)
        report.data.update(outputs={name: _record(each) for name, each in found.items()}, runs=runs)
        for name, each in found.items():
            report.result(f"{name}: {_text(each)}, {runs} runs")
        report.data["vectors"] = None
        if all((model.bundle.folder / "modules.json").is_file() for model in (one, two)):
            statistics = _vectors(places, backend, threads)
            report.data["vectors"] = statistics.record()
            report.result(f"vectors: {statistics}, {statistics.count} texts")


def _vectors(places: Sequence[str], backend: str, threads: int | None) -> CosineStatistics:
    from webnn_runtime.embed import WebNNEmbedder
    from webnn_runtime.evaluation import builtin_texts, cosine_statistics

    texts = builtin_texts()[::_EVERY]
    left, right = (
        WebNNEmbedder(path, backend=backend, threads=threads, on_truncation="ignore").encode(texts, prompt="")
        for path in places
    )
    return cosine_statistics(left, right)


def _incomparable(one: Model, two: Model) -> str:
    """Why two graphs cannot be given the same inputs, or have no output in common; empty where they can."""
    left, right = _by_original(one, one.inputs), _by_original(two, two.inputs)
    if set(left) != set(right):
        return f"the inputs are {', '.join(left)} and {', '.join(right)}"
    for name in left:
        a, b = left[name], right[name]
        if a.rank != b.rank or a.dtype.is_float != b.dtype.is_float:
            return f"input '{name}' is {a} and {b}"
    if not set(_by_original(one, one.outputs)) & set(_by_original(two, two.outputs)):
        return f"no output in common among {', '.join(one.outputs)} and {', '.join(two.outputs)}"
    return ""


def _by_original(model: Model, types: Mapping[str, Any]) -> dict[str, Any]:
    """By the names of the source model, which two conversions of it share."""
    return {model.bundle.names.get(name, name): kind for name, kind in types.items()}


def _differences(one: Model, two: Model, progress: Any) -> tuple[dict[str, Difference], int]:
    from webnn_translator.verify.compare import compare as compare_arrays
    from webnn_translator.verify.compare import worst

    kinds = _by_original(two, two.inputs)
    found: dict[str, list[Difference]] = {}
    feeds = list(_feeds(one, two))
    for run, feed in enumerate(feeds):
        progress(run, len(feeds), f"run {run + 1}")
        expected = _by_original(one, one.run(feed))
        actual = _by_original(two, two.run({name: _as(array, kinds[name]) for name, array in feed.items()}))
        for name in (name for name in expected if name in actual):
            found.setdefault(name, []).append(_difference(compare_arrays, expected[name], actual[name]))
    return {name: worst(each) for name, each in found.items()}, len(feeds)


def _difference(compare_arrays: Any, expected: Array, actual: Array) -> Difference:
    # int64 carried by int32 and float16 beside float32 are to be compared by their values.
    wide = np.float64 if expected.dtype.kind == "f" or actual.dtype.kind == "f" else np.int64
    difference: Difference = compare_arrays(expected.astype(wide), actual.astype(wide), _ANY)
    return difference


def _feeds(one: Model, two: Model) -> Iterator[dict[str, Array]]:
    """Inputs that both graphs take: real token ids where the first has a tokenizer, seeded values otherwise."""
    from webnn_runtime.format.binding import bind_inputs
    from webnn_runtime.format.errors import GraphError
    from webnn_translator.verify.bundle import tokenizer_beside
    from webnn_translator.verify.grid import grid
    from webnn_translator.verify.inputs import InputPlan

    kinds = _by_original(two, two.inputs)
    names = {original: name for name, original in two.bundle.names.items() if name in two.inputs}
    made = 0
    # Of two graphs the one with the fewer free dimensions says which sizes both take.
    narrow = one if len(one.graph.dims) <= len(two.graph.dims) else two
    plan = InputPlan.of(narrow.graph, tokenizer_beside(one.bundle.folder, None))
    for index, point in enumerate(grid(narrow.graph, has_masks=bool(plan.masks))):
        if made == _MOST_RUNS or (made and point.size > _MOST_ELEMENTS):
            return
        drawn = _by_original(narrow, plan.draw(point, _SEED + 100 * index))
        own = _by_original(one, one.inputs)
        feed = {name: _as(array, own[name]) for name, array in drawn.items()}
        try:
            bind_inputs(two.graph, {names.get(name, name): _as(array, kinds[name]) for name, array in feed.items()})
        except GraphError:
            continue
        made += 1
        yield feed


def _as(array: Array, kind: Any) -> Array:
    """The same values in the type that a graph takes; ids and masks fit into any integer type."""
    return array.astype(kind.dtype.numpy, copy=False)


def _record(difference: Difference) -> dict[str, Any]:
    if difference.reason:
        return {"reason": difference.reason}
    scale = difference.largest
    return {
        "maxAbs": difference.max_abs,
        "maxRelative": difference.max_abs / scale if scale else None,
        "largest": scale,
        "meanCosine": difference.mean_cosine,
        "minCosine": difference.min_cosine,
    }


def _text(difference: Difference) -> str:
    if difference.reason:
        return difference.reason
    if not difference.max_abs:
        return "equal"
    part = f" ({difference.max_abs / difference.largest:.2%})" if difference.largest else ""
    return (
        f"largest difference {difference.max_abs:.3g} of {difference.largest:.3g}{part}, "
        f"cosine mean {difference.mean_cosine:.6f}, minimum {difference.min_cosine:.6f}"
    )


def _show_contents(report: Report, first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    table.add_column("")
    for title in ("A", "B"):
        table.add_column(title, justify="right", overflow="fold")
    rows = [
        (title, f"{first[key]:,}", f"{second[key]:,}")
        for title, key in (("nodes", "nodes"), ("constants", "constants"), ("weights, bytes", "weightsBytes"))
    ]
    types = dict.fromkeys([*first["types"], *second["types"]])
    rows += [(f"  {name}", f"{first['types'].get(name, 0):,}", f"{second['types'].get(name, 0):,}") for name in types]
    rows.append(("quantised", str(first["quantization"] or "no"), str(second["quantization"] or "no")))
    rows.append(("written by", first["tool"] or "unknown", second["tool"] or "unknown"))
    for title in ("inputs", "outputs"):
        for name in dict.fromkeys([*first[title], *second[title]]):
            left, right = (side[title].get(name, "none") for side in (first, second))
            if left != right:
                rows.append((f"{title[:-1]} {name}", left, right))
    for row in rows:
        # Shapes are in brackets, which rich would take for its own.
        table.add_row(*map(Text, row))
    report.table(table)

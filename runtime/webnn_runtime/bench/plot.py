"""A benchmark as a picture: rates of all contenders by case, and what was scaled."""

from __future__ import annotations

import importlib.util
import textwrap
from pathlib import Path
from typing import Any, Final

from webnn_runtime.bench.errors import BenchError

__all__ = ["draw", "require_drawable"]

_FORMS: Final = (".png", ".svg")
# Told apart in print and by the colour-blind; the bundle has the first.
_COLOURS: Final = ("#0b6e4f", "#d1495b", "#edae49", "#30638e", "#8d99ae", "#5f0f40")


def require_drawable(path: Path) -> None:
    """Return if `draw` can write this file; asked before minutes of work.

    Raises:
        BenchError: another form, or matplotlib is not installed.
    """
    if path.suffix not in _FORMS:
        raise BenchError(f"--plot {path}: expected a name that ends in {' or '.join(_FORMS)}")
    if not path.absolute().parent.is_dir():
        raise BenchError(f"--plot {path}: there is no such folder; make it first")
    if importlib.util.find_spec("matplotlib") is None:
        raise BenchError("--plot: matplotlib is not installed; pip install 'webnn-runtime[bench]'")


def draw(record: dict[str, Any], path: Path) -> None:
    """Draw a record of `run_benchmark` into a .png or .svg file."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    scales = list(dict.fromkeys(entry["over"] for entry in record["scaling"]))
    # A fixed salt makes names inside an SVG the same in every run.
    with mpl.rc_context({"svg.hashsalt": "webnn", "font.family": "DejaVu Sans", "axes.axisbelow": True}):
        figure = Figure(figsize=(10, 4.2 + 3.2 * len(scales)), layout="constrained")
        figures = figure.subplots(1 + len(scales), 1, squeeze=False)[:, 0]
        _bars(figures[0], record)
        for axes, over in zip(figures[1:], scales, strict=True):
            _lines(axes, record, over)
        machine = record["machine"]
        threads = f"{record['threads']} thread{'s' if record['threads'] > 1 else ''}"
        figure.suptitle(
            f"{machine['cpu']}, {threads}, median of {record['rounds']} rounds; above the bars: times the best other",
            fontsize=10,
        )
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def _bars(axes: Any, record: dict[str, Any]) -> None:
    names, cases = list(record["contenders"]), record["cases"]
    width = 0.8 / len(names)
    for place, name in enumerate(names):
        rates = [case["contenders"][name]["per_second"] for case in cases]
        left = [index - 0.4 + (place + 0.5) * width for index in range(len(cases))]
        axes.bar(left, rates, width, label=name, color=_COLOURS[place % len(_COLOURS)])
    for index, case in enumerate(cases):
        if case["ratio"] is not None:
            top = max(each["per_second"] for each in case["contenders"].values())
            axes.annotate(
                f"{case['ratio']['median']:.2f}×",
                (index, top),
                (0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
    # The row of labels has room for about 120 letters.
    wrapped = [textwrap.fill(case["title"], max(12, 120 // len(cases))) for case in cases]
    axes.set_xticks(range(len(cases)), wrapped, fontsize=8)
    axes.set_ylabel(f"{cases[0]['unit']} in a second")
    _finish(axes)


def _lines(axes: Any, record: dict[str, Any], over: str) -> None:
    entries = [entry for entry in record["scaling"] if entry["over"] == over]
    sizes = [entry["size"] for entry in entries]
    for place, name in enumerate(record["contenders"]):
        rates = [entry["contenders"][name]["per_second"] for entry in entries]
        axes.plot(sizes, rates, marker="o", markersize=4, label=name, color=_COLOURS[place % len(_COLOURS)])
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_xlabel({"batch": "texts of 32 tokens in a batch", "length": "tokens in each of 8 texts"}.get(over, over))
    axes.set_ylabel("tokens in a second")
    axes.set_ylim(bottom=0)
    _finish(axes)


def _finish(axes: Any) -> None:
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    # Above the picture, where no bar can be.
    axes.legend(
        fontsize=8,
        frameon=False,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.06),
        ncols=len(axes.get_legend_handles_labels()[0]),
    )

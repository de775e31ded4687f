"""What must hold for every file, however damaged: it is accepted or it is refused with one of our errors.

`examine` goes the ways users go: an ONNX file is read, translated, written, read back and run; a bundle is read,
printed and read back, and run. What it raises is a finding: an exception outside of our tree, more time or more
memory than a small file can ask for, files where there should be none, a text that does not come back.
"""

from __future__ import annotations

import math
import resource
import shutil
import signal
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np

from webnn_runtime.backends import CompileOptions, available_backends, get_backend
from webnn_runtime.format.bundle import load_bundle
from webnn_runtime.format.dims import evaluate, names_of
from webnn_runtime.format.errors import FormatError, WebnnError
from webnn_runtime.format.graph import Graph
from webnn_runtime.format.names import safe_graph
from webnn_runtime.format.printer import print_graph
from webnn_runtime.format.text import parse_graph
from webnn_translator._errors import TranslateError
from webnn_translator.bundling import ConvertOptions, convert_model
from webnn_translator.sources.onnx_file import read_onnx
from webnn_translator.translate import translate
from webnn_translator.verify import VerificationFailed, recheck_bundle
from webnn_translator.verify.grid import grid
from webnn_translator.verify.inputs import InputPlan

MAX_SECONDS: Final = 10.0
# No case is larger than some 100 kB; what one needs beyond this is asked for by a number in a file.
MAX_BYTES: Final = 400 << 20
# Values of one run in all: what is larger is compiled, not run.
MAX_ELEMENTS: Final = 20_000
ONE_THREAD: Final = CompileOptions(threads=1)


class Finding(Exception):
    """A promise that does not hold."""


class TooSlow(BaseException):
    """Raised by the clock wherever the work stands; no `except Exception` swallows it."""


def _too_slow(*_: object) -> NoReturn:
    raise TooSlow


@contextmanager
def limited() -> Iterator[None]:
    """Processor time and memory of one case. The clock counts processor time: other people's work is no hang."""
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    signal.signal(signal.SIGPROF, _too_slow)
    signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
    try:
        yield
    except TooSlow as exc:
        raise Finding(f"took more than {MAX_SECONDS:.0f} s of processor time") from exc
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    peak = _status("VmHWM") - before
    if peak > MAX_BYTES:
        raise Finding(f"took {peak >> 20} MiB of memory")


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) << 10
    raise LookupError(key)


def bound_memory() -> None:
    """Make this process refuse what would take the machine down with it."""
    room = _status("VmSize") + 4 * MAX_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (room, room))


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """The folder with exactly these files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def examine(folder: Path, files: Mapping[str, bytes], thorough: int) -> str:
    """Try one case.

    Args:
        folder: a place of its own; its content is replaced.
        files: the case.
        thorough: a number that picks the ways that are too slow to go every time.

    Returns:
        "accepted", or the class of the refusal.

    Raises:
        Finding: see above.
        Exception: whatever else was raised: a finding, too.
    """
    write_files(folder, files)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with limited():
                is_model = "model.onnx" in files
                (_examine_model if is_model else _examine_bundle)(folder, thorough)
        except (WebnnError, FileNotFoundError) as exc:
            if not str(exc):
                raise Finding(f"{type(exc).__name__} without a message") from exc
            return type(exc).__name__
        finally:
            left = {path.name for path in folder.iterdir()} - files.keys()
    if left:
        raise Finding(f"left {', '.join(sorted(left))} behind")
    return "accepted"


def _examine_model(folder: Path, thorough: int) -> None:
    path = folder / "model.onnx"
    if thorough % 16 == 0:
        options = ConvertOptions(is_verified=thorough % 32 == 0)
        try:
            convert_model(str(path), folder / "out", options)
        except VerificationFailed as exc:
            if "nothing could be checked" in str(exc):
                raise
            if _is_out_of_hand(path, exc):
                raise
            # The check did its work and no bundle was written, but the graph should never have been made.
            raise Finding(f"translated wrongly: {exc}") from exc
        except (WebnnError, FileNotFoundError):
            if sorted(folder.glob("*out*")):
                raise Finding("a conversion that failed left files behind") from None
            raise
        load_bundle(folder / "out", verify=True)
        shutil.rmtree(folder / "out")
        return
    model = read_onnx(path)
    dims = {"batch": 2} if thorough % 5 == 1 else {}
    try:
        translation = translate(model, file=path, name="fuzzed", dims=dims)
    except TranslateError as exc:
        if not dims:
            raise
        del exc
        translation = translate(model, file=path, name="fuzzed")
    _come_back(translation.graph)
    _run(translation.graph, thorough)


def _is_out_of_hand(path: Path, failed: VerificationFailed) -> bool:
    """Whether float32 itself cannot do better.

    Damage makes numbers whose products leave float32, and what sums of them come to depends on their order; beyond 1e37
    lie those that masks are made of. And it makes differences of equal numbers, of which nothing but rounding is left.
    """
    graph = translate(read_onnx(path), file=path).graph
    made = {node.name: node.name for node in graph.nodes if graph.types[node.name].dtype.is_float}
    watched = Graph.create(
        graph.name,
        dims=graph.dims,
        inputs=graph.inputs,
        constants=graph.constants,
        nodes=graph.nodes,
        outputs={**graph.outputs, **made},
    )
    plan = InputPlan.of(graph)
    points = grid(graph, has_masks=bool(plan.masks))[:2]
    run = get_backend("numpy").compile(watched).run
    arrays = [array for point in points for array in run(plan.draw(point, 1)).values()]
    arrays += [constant.values for constant in graph.constants.values()]
    sizes = [np.abs(array.astype(np.float64)) for array in arrays if array.dtype.kind == "f"]
    if failed.certificate is not None:
        largest = max((float(size[np.isfinite(size) & (size < 1e15)].max(initial=0)) for size in sizes), default=0.0)
        if all(verdict.worst.max_abs <= 1e-6 * largest for verdict in failed.certificate.verdicts):
            return True
    return any(((size > 1e15) & (size < 1e37)).any() or np.isnan(size).any() for size in sizes)


def _examine_bundle(folder: Path, thorough: int) -> None:
    if thorough % 16 == 0:
        recheck_bundle(folder)
    bundle = load_bundle(folder, verify=thorough % 4 == 1)
    _come_back(bundle.graph)
    _run(bundle.graph, thorough)


def _come_back(graph: Graph) -> None:
    """What is printed is read back, and prints the same again."""
    text = print_graph(safe_graph(graph)[0])
    try:
        again = print_graph(parse_graph(text.encode()))
    except WebnnError as exc:
        raise Finding(f"the printed graph is refused: {exc}") from exc
    if again != text:
        raise Finding("the printed graph comes back as another one")


def _sizes(graph: Graph, thorough: int) -> dict[str, int]:
    return {
        name: min(dim.max_size, dim.min_size + thorough % 3 + (dim.min_size == 0)) for name, dim in graph.dims.items()
    }


def _run(graph: Graph, thorough: int) -> None:
    """Compile, and run where the sizes are small, on the definition and now and then on the other backends."""
    sizes = _sizes(graph, thorough)
    named = {name for kind in graph.types.values() for dim in kind.shape for name in names_of(dim)}
    if named - sizes.keys():
        raise Finding(f"dimensions {sorted(named - sizes.keys())} have no range")
    try:
        total = sum(
            math.prod(dim if isinstance(dim, int) else evaluate(dim, sizes) for dim in kind.shape)
            for kind in graph.types.values()
        )
    except ZeroDivisionError:
        return
    backends = ["numpy"]
    if thorough % 8 == 3:
        backends += [name for name in ("onnxruntime", "rust") if name in available_backends()]
    for name in backends:
        executable = get_backend(name).compile(graph, ONE_THREAD)
        if total > MAX_ELEMENTS:
            continue
        rng = np.random.default_rng(thorough)
        feeds: dict[str, Any] = {}
        for key, kind in graph.inputs.items():
            shape = tuple(dim if isinstance(dim, int) else evaluate(dim, sizes) for dim in kind.shape)
            high = 8 if kind.dtype.bits == 4 or not kind.dtype.is_float else 3
            feeds[key] = rng.integers(0, high, shape).astype(kind.dtype.numpy)
        results = executable.run(feeds)
        for key, wanted in graph.output_types.items():
            if results[key].dtype != wanted.dtype.numpy or results[key].ndim != wanted.rank:
                raise Finding(f"{name}: output '{key}' is {results[key].dtype}{results[key].shape}, declared {wanted}")


__all__ = ["Finding", "FormatError", "bound_memory", "examine"]

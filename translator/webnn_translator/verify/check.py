"""Runs a graph that was read back from its files against the source model, at every point of the grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Final, TypeAlias

import numpy as np

from webnn_runtime import __version__
from webnn_runtime.backends import available_backends, get_backend
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import BackendUnavailable
from webnn_runtime.format.graph import Array, Graph
from webnn_translator.verify.canaries import MAX_INPUT_VALUES, write_canary
from webnn_translator.verify.certificate import Between, Certificate, Verdict, VerificationFailed
from webnn_translator.verify.compare import (
    DEFAULT_TOLERANCE,
    HALF_TOLERANCE,
    Difference,
    Ties,
    compare,
    worst,
)
from webnn_translator.verify.cuts import Choice, Cut, cut_graph, roundings
from webnn_translator.verify.grid import Point, grid, unchecked_maxima
from webnn_translator.verify.inputs import InputPlan
from webnn_translator.verify.reference import SourceFailed

__all__ = ["CHECKED_BACKENDS", "Checked", "Progress", "Reference", "check_graph", "usual_tolerance"]

# The definition is slow: it sees the small points, up to this many tokens in all.
_NUMPY_BUDGET: Final = 1000
_CANARIES: Final = 2
_SEED: Final = 20260
# Probabilities are rounded as parts of 1 and not of themselves: ONNX Runtime's own sigmoid is off by 1.5e-7 where it
# should give 1e-6. So they are compared on a scale of at least 0.01, which is 1e-6 at the usual tolerance.
_PROBABILITIES: Final = frozenset({"sigmoid", "softmax"})
_PROBABILITY_SCALE: Final = 0.01
# Operators that round nothing.
_MOVES: Final = frozenset({"gather", "reshape", "transpose", "slice", "concat", "split", "expand", "identity", "where"})
CHECKED_BACKENDS: Final = {"numpy": "numpy", "onnxruntime": "onnxruntime", "rust": "webnn-kernels"}

_Runs: TypeAlias = "list[tuple[Point, Difference]]"
Progress: TypeAlias = Callable[[int, int, str], None]
# What is right: outputs for inputs, both by the graph's names.
Reference: TypeAlias = Callable[[Mapping[str, Array]], dict[str, Array]]


@dataclass(frozen=True, slots=True)
class Checked:
    """A certificate, and the canaries that go with it."""

    certificate: Certificate
    canaries: Sequence[Mapping[str, object]]


class _Findings:
    """By what the runs of all backends differ, at outputs and at cuts."""

    def __init__(self, graph: Graph, cuts: Sequence[Cut | Choice], tolerance: float) -> None:
        makers = {value: node.op for node in graph.nodes for value in node.outputs}
        cut_values = {cut.value for cut in cuts}
        self._graph = graph
        self._cuts = cuts
        self._tolerance = tolerance
        # What is cut is judged there, and not once more as an output.
        self._scales = {
            output: _PROBABILITY_SCALE if makers.get(value) in _PROBABILITIES else 0.0
            for output, value in graph.outputs.items()
            if value not in cut_values
        }
        self._outputs: dict[tuple[str, str], _Runs] = {}
        self._stepped: dict[tuple[str, str], _Runs] = {}
        self._ties, self._chosen = Ties(), Ties()

    def add(self, point: Point, backend: str, expected: Mapping[str, Array], actual: Mapping[str, Array]) -> bool:
        """Add one run; whether all of it agrees."""
        is_right = True
        for output, scale in self._scales.items():
            difference = compare(expected[output], actual[output], self._tolerance, scale=scale)
            self._outputs.setdefault((output, backend), []).append((point, difference))
            is_right &= difference.passed
        for cut in self._cuts:
            difference, here = cut.judge(expected, actual, self._tolerance)
            self._stepped.setdefault((cut.source, backend), []).append((point, difference))
            is_right &= difference.passed
            if isinstance(cut, Choice):
                self._chosen += here
            else:
                self._ties += here
        return is_right

    def verdicts(self) -> list[Verdict]:
        """One for each output on each backend."""
        return [_verdict(*item) for item in sorted(self._outputs.items(), key=_table_order(self._graph))]

    def between(self) -> Between:
        """What was found at the cuts."""
        choices = sum(isinstance(cut, Choice) for cut in self._cuts)
        stepped = [_verdict(*item) for item in self._stepped.items()]
        return Between(self._ties, stepped, choices=choices, chosen=self._chosen)


def check_graph(
    graph: Graph,
    reference: Reference,
    *,
    reference_name: str,
    tokenizer: object = None,
    tolerance: float | None = None,
    backends: Sequence[str] | None = None,
    progress: Progress | None = None,
    cuts: Sequence[Cut | Choice] = (),
) -> Checked:
    """Compare every backend that is installed with the reference.

    Args:
        graph: as read back from the bundle.
        reference: the source model.
        reference_name: its name and version, for the certificate.
        tokenizer: an `embed.TextTokenizer` for real token ids, where the bundle has one.
        tolerance: largest allowed difference, as a part of the output's largest value; by default `usual_tolerance`.
        backends: names; by default all of numpy, onnxruntime and rust that are installed.
        progress: called before each run with runs done, runs in all, and what comes next.
        cuts: roundings and choices at which the graph is cut; the reference then gives their values as well.

    Raises:
        VerificationFailed: there are no sizes to check it at. Differences are in the certificate.
    """
    usual = usual_tolerance(graph)
    tolerance = usual if tolerance is None else tolerance
    plan = InputPlan.of(graph, tokenizer)
    points = grid(graph, has_masks=bool(plan.masks))
    if not points:
        sizes = " ".join(f"--dim {name}=VALUE" for name in graph.dims)
        raise VerificationFailed(
            f"no sizes were found that the graph allows, so nothing could be checked; bind some with {sizes}, "
            "or write it unchecked with --no-verify"
        )
    names = [name for name in CHECKED_BACKENDS if name in available_backends()] if backends is None else list(backends)
    if not names:
        raise BackendUnavailable("no backend is installed to check with; pip install webnn-runtime", backend="numpy")
    executed = cut_graph(graph, cuts) if cuts else graph
    executables = {name: get_backend(name).compile(executed) for name in names}
    runs = {name: _share(name, points) for name in names}
    total = sum(map(len, runs.values())) + len(points)
    findings = _Findings(graph, cuts, tolerance)
    canaries: list[Mapping[str, object]] = []
    done = 0
    ran: list[Point] = []
    for index, point in enumerate(points):
        plain, inputs, expected = _answered(reference, plan, plan.draw(point, _SEED + 100 * index))
        ran.append(replace(point, integers=plain))
        fed = {cut.fed: expected[cut.value].astype(cut.kind.dtype.numpy) for cut in cuts}
        is_right = True
        done += 1
        for name in names:
            if point not in runs[name]:
                continue
            if progress is not None:
                progress(done, total, f"{name}, {point}")
            is_right &= findings.add(point, name, expected, executables[name].run({**inputs, **fed}))
            done += 1
        if is_right and len(canaries) < _CANARIES and _is_small(inputs) and _is_telling(point, points):
            canaries.append(write_canary(inputs, expected))
    certificate = Certificate(
        roundings=len(roundings(graph)),
        reference=reference_name,
        versions={"webnn-runtime": __version__} | {name: _version(CHECKED_BACKENDS.get(name, name)) for name in names},
        tolerance=tolerance,
        usual_tolerance=usual,
        inputs=plan.kind,
        grid=ran,
        unchecked_maxima=unchecked_maxima(graph, points),
        verdicts=findings.verdicts(),
        between=findings.between() if cuts else None,
    )
    return Checked(certificate, canaries)


def _answered(
    reference: Reference, plan: InputPlan, inputs: Mapping[str, Array]
) -> tuple[int | None, Mapping[str, Array], dict[str, Array]]:
    """What all unknown integers are, where the source takes no others; the inputs, and what it makes of them.

    Raises:
        SourceFailed: it takes none of them.
    """
    try:
        return None, inputs, reference(inputs)
    except SourceFailed:
        for number, plainer in plan.plainer(inputs):
            with suppress(SourceFailed):
                return number, plainer, reference(plainer)
        raise


def usual_tolerance(graph: Graph) -> float:
    """By the type that the graph computes in; weights that are only stored in float16 do not count."""
    half = any(graph.types[node.name].dtype is DataType.FLOAT16 and node.op not in _MOVES for node in graph.nodes)
    return HALF_TOLERANCE if half else DEFAULT_TOLERANCE


def _share(name: str, points: Sequence[Point]) -> list[Point]:
    """The points one backend runs: all, but the slow definition only the smallest ones."""
    if name != "numpy":
        return list(points)
    kept: list[Point] = []
    spent = 0
    for point in points:
        spent += point.size
        if kept and spent > _NUMPY_BUDGET:
            break
        kept.append(point)
    return kept


def _verdict(key: tuple[str, str], differences: _Runs) -> Verdict:
    # A failed point counts as the worst even where another, with larger values, differs by more.
    where = max(differences, key=lambda item: (not item[1].passed, item[1].max_abs))[0]
    return Verdict(key[0], key[1], worst([one for _, one in differences]), where, len(differences))


def _table_order(graph: Graph) -> Callable[[tuple[tuple[str, str], object]], tuple[int, int]]:
    outputs, backends = list(graph.outputs), list(CHECKED_BACKENDS)
    return lambda item: (
        outputs.index(item[0][0]),
        backends.index(item[0][1]) if item[0][1] in backends else len(backends),
    )


def _is_small(inputs: Mapping[str, Array]) -> bool:
    return sum(int(np.size(array)) for array in inputs.values()) <= MAX_INPUT_VALUES


def _is_telling(point: Point, points: Sequence[Point]) -> bool:
    # A single token says little about attention; a graph without names has but one size.
    return point.size > 1 or all(other.size == 1 for other in points)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"

"""Checks a bundle as it lies on disk: against its source, or against the canaries it carries."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from webnn_runtime.backends import available_backends, get_backend
from webnn_runtime.embed.static import tokenizer_of
from webnn_runtime.embed.tokenizer import TextTokenizer
from webnn_runtime.format.binding import bind_inputs
from webnn_runtime.format.bundle import Bundle, load_bundle
from webnn_runtime.format.errors import EmbedError, ManifestError
from webnn_runtime.format.graph import Array
from webnn_translator.given_inputs import read_empty, read_given
from webnn_translator.verify.canaries import compare_canary, read_canary_inputs
from webnn_translator.verify.check import CHECKED_BACKENDS, Checked, Progress, Reference, check_graph
from webnn_translator.verify.compare import DEFAULT_TOLERANCE, Difference, tick, worst
from webnn_translator.verify.cuts import Choice, Cut, find_choices, find_cuts
from webnn_translator.verify.reference import OnnxReference, value_names
from webnn_translator.verify.texts import beside

__all__ = [
    "CanaryResult",
    "Recheck",
    "by_our_names",
    "check_bundle",
    "open_reference",
    "recheck_bundle",
    "recorded_source",
    "tokenizer_beside",
]


def check_bundle(
    folder: Path,
    source: Path,
    *,
    tolerance: float | None = None,
    note: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Checked:
    """Open the bundle in `folder` and compare it with the ONNX file `source`.

    Raises:
        FormatError: the bundle or the source is malformed.
        BackendError: a backend cannot run the graph, or ONNX Runtime not the source.
    """
    bundle = load_bundle(folder, verify=True)
    reference = open_reference(bundle, source)
    if reference.is_widened and note is not None:
        note("checking against the source with float32 for bfloat16, as the graph computes")
    check = partial(
        check_graph,
        bundle.graph,
        reference_name=reference.name,
        tokenizer=tokenizer_beside(bundle.folder, note),
        tolerance=tolerance,
        progress=progress,
    )
    run, apart = by_our_names(bundle, reference), dict[str, float]()
    if bundle.manifest.extension.more.get("floatStates"):
        run = _beside(run, by_our_names(bundle, open_reference(bundle, source, is_meant=False)), apart)
    checked = check(run)
    if not checked.certificate.passed:
        names, rankings = value_names(source)
        rounded = find_cuts(bundle.graph, names) if checked.certificate.roundings else None
        cuts = [*(rounded or ()), *find_choices(bundle.graph, names, rankings)]
        if cuts:
            if note is not None:
                what = "rounding of data" if rounded else "choice of the best"
                note(f"outputs differ; checking from each {what} to the next")
            watching = open_reference(bundle, source, sorted({name for cut in cuts for name in cut.watched.values()}))
            checked = _between(check, bundle, watching, cuts, checked)
    stated = bundle.manifest.extension.more.get("typeMappings")
    mappings = {str(name): str(what) for name, what in stated.items()} if isinstance(stated, Mapping) else {}
    certificate = replace(
        checked.certificate, mappings=mappings, empty_inputs=list(reference.empty), rounded_states=apart
    )
    if apart and note is not None:
        note(
            "compared with LSTMs whose states are not rounded; ONNX Runtime's kernel, which rounds them, gives results "
            f"that differ by up to {max(apart.values()):.2g} of the largest value"
        )
    return replace(checked, certificate=certificate)


def open_reference(
    bundle: Bundle, source: Path, watched: Collection[str] = (), *, is_meant: bool = True
) -> OnnxReference:
    """The ONNX file `source`, which is fed as the manifest says what the graph has no inputs for.

    Raises:
        FormatError: the manifest or the file is malformed.
        SourceFailed: ONNX Runtime's CPU does not have what the file computes.
    """
    stated = bundle.manifest.extension.more
    bound, empty = read_given(stated.get("boundInputs")), read_empty(stated.get("emptyInputs"))
    return OnnxReference(source, watched, bound, empty, is_meant=is_meant)


def _beside(run: Reference, kernels: Reference, apart: dict[str, float]) -> Reference:
    """The reference, which notes how far the kernels' own results lie from it, as a part of the largest value."""

    def both(inputs: Mapping[str, Array]) -> dict[str, Array]:
        expected = run(inputs)
        for name, other in kernels(inputs).items():
            found = np.abs(expected[name].astype(np.float64) - other).max(initial=0)
            part = float(found / (np.abs(expected[name].astype(np.float64)).max(initial=0) or 1))
            apart[name] = max(apart.get(name, 0.0), part)
        return expected

    return both


def _between(
    check: Callable[..., Checked],
    bundle: Bundle,
    reference: OnnxReference,
    cuts: Sequence[Cut | Choice],
    whole: Checked,
) -> Checked:
    """The check from one rounding or choice to the next, if it passes; else the one of the whole, which failed."""
    checked = check(by_our_names(bundle, reference, cuts), cuts=cuts)
    between = checked.certificate.between
    if not checked.certificate.passed or between is None:
        return whole
    between = replace(between, whole=whole.certificate.verdicts)
    # Of the whole graph, as they will be run.
    return Checked(replace(checked.certificate, between=between), whole.canaries)


@dataclass(frozen=True, slots=True)
class CanaryResult:
    """One output on one backend, over all canaries."""

    output: str
    backend: str
    worst: Difference

    def __str__(self) -> str:
        return f"{tick(self.worst)} {self.output} on {self.backend}: {self.worst}"


@dataclass(frozen=True, slots=True)
class Recheck:
    """What can be said about a bundle without its source.

    Attributes:
        certificate: of the check at conversion; None when the bundle was made without one.
        results: canaries on every backend.
        tolerance: they were held against.
    """

    certificate: Mapping[str, Any] | None
    results: Sequence[CanaryResult]
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether every canary gave what it gave at conversion."""
        return all(result.worst.passed for result in self.results)


def recheck_bundle(folder: Path) -> Recheck:
    """Compare all hashes, and run the canaries on every backend.

    Raises:
        FormatError: a file differs from its hash, or the manifest is malformed.
    """
    bundle = load_bundle(folder, verify=True)
    more = bundle.manifest.extension.more
    certificate, canaries = more.get("certificate"), more.get("canaries", [])
    if not isinstance(certificate, Mapping | None) or not isinstance(canaries, list):
        raise ManifestError("the certificate or the canaries are malformed; convert the model again", path=str(folder))
    tolerance = (certificate or {}).get("tolerance", DEFAULT_TOLERANCE)
    if not isinstance(tolerance, float) or not 0 < tolerance < 1:
        raise ManifestError("the certificate's tolerance is not between 0 and 1", path=str(folder))
    backends = [name for name in CHECKED_BACKENDS if name in available_backends()] if canaries else []
    results = [result for name in backends for result in _run_canaries(bundle, canaries, name, tolerance)]
    return Recheck(certificate, results, tolerance)


def _run_canaries(bundle: Bundle, canaries: Sequence[Any], backend: str, tolerance: float) -> list[CanaryResult]:
    executable = get_backend(backend).compile(bundle.graph)
    found: dict[str, list[Difference]] = {}
    for canary in canaries:
        outputs = executable.run(read_canary_inputs(canary))
        for output, difference in compare_canary(canary, outputs, tolerance).items():
            found.setdefault(output, []).append(difference)
    return [CanaryResult(output, backend, worst(differences)) for output, differences in found.items()]


def by_our_names(
    bundle: Bundle, reference: OnnxReference, cuts: Sequence[Cut | Choice] = ()
) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
    """The reference as a function of the graph's names, which are the model's where those are identifiers."""
    original = {name: bundle.names.get(name, name) for name in (*bundle.graph.inputs, *bundle.graph.outputs)}
    for cut in cuts:
        original |= cut.watched
    labels = _labels(bundle.manifest.extension.more.get("outputLabels", {}))
    wanted = {
        name: original[name] for name in original if name not in bundle.graph.inputs or name in bundle.graph.outputs
    }

    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        fed = {original[name]: array for name, array in inputs.items()}
        bindings = bind_inputs(bundle.graph, inputs)
        results = reference.run(fed, list(dict.fromkeys(wanted.values())), bindings)
        return {
            name: _columns(results[source], labels[name], name) if name in labels else results[source]
            for name, source in wanted.items()
        }

    return run


def _labels(stated: object) -> dict[str, list[Any]]:
    """Output -> labels of its columns, of the manifest's entry.

    Raises:
        ManifestError: it is malformed.
    """
    entries = stated.items() if isinstance(stated, Mapping) else [("", None)]
    for _, found in entries:
        if not isinstance(found, list) or any(type(label) not in (int, str) for label in found):
            raise ManifestError("outputLabels is malformed; convert the model again")
    return dict(entries)


def _columns(rows: Any, labels: Sequence[Any], name: str) -> Array:
    """The dictionaries that a model gives for an output, as the columns that the bundle has for their labels."""
    if any(row.keys() != set(labels) for row in rows):
        raise ManifestError(f"outputLabels of '{name}' are not those of the source; convert the model again")
    return np.array([[row[label] for label in labels] for row in rows], np.float32)


def tokenizer_beside(folder: Path, note: Callable[[str], None] | None) -> TextTokenizer | None:
    """The tokenizer in a bundle's folder, if there is one that can be read."""
    try:
        return tokenizer_of(folder)
    except EmbedError as exc:
        # The numbers can be checked without it, and the certificate says "seeded".
        if note is not None:
            note(f"{beside(folder, exc)}; checking with seeded ids instead of real text")
        return None


def recorded_source(folder: Path) -> Mapping[str, Any] | None:
    """What the manifest says about where the bundle came from; None when it does not."""
    source = load_bundle(folder).manifest.extension.more.get("source")
    return source if isinstance(source, Mapping) else None

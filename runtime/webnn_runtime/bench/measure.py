"""Runs contenders against one another: answers first, then interleaved rounds, all of them kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from webnn_runtime.bench.check import Agreement, require_agreement
from webnn_runtime.bench.contender import Contender
from webnn_runtime.bench.engines.base import Spec
from webnn_runtime.bench.results import CaseResult, Timing
from webnn_runtime.bench.workload import Workload

__all__ = ["Plan", "cold_starts", "in_integers", "measure"]

Progress = Callable[[int, int, str], None]
Answers = list[npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to measure.

    Attributes:
        rounds: how often every contender runs a case.
        pause: seconds between contenders, so that a thread pool that still spins disturbs nobody else.
        is_quantised: whether the bundle computes another model than its source, near it.
    """

    rounds: int
    pause: float
    is_quantised: bool = False


def measure(
    contenders: Sequence[Contender],
    reference: Contender,
    workloads: Sequence[Workload],
    plan: Plan,
    progress: Progress,
    source: Contender | None = None,
) -> Iterator[CaseResult]:
    """Time every case; the first contender is the one that the others are held against.

    `reference` is the bundle on the backend that defines every operator. Where there is a `source`, which is not timed,
    all answers are held against its own instead: what contenders in 8 bits lose is told from that.

    Raises:
        WrongAnswer: a contender's answer differs from the others'.
        BenchError: a contender failed.
    """
    total, done = len(workloads) * (plan.rounds + 1) * len(contenders), 0
    for workload in workloads:
        name = workload.case.name
        agreements: dict[str, Agreement] = {}
        right: Answers = []
        if source is not None:
            source.load(workload.for_source)
            right = source.answer()
        for contender in contenders:
            done += 1
            progress(done, total, f"{name}, answer of {contender.name}")
            contender.load(workload.for_bundle if runs_bundle(contender.spec) else workload.for_source)
            answers = contender.answer()
            if contender is contenders[0]:
                agreements[contender.name] = _against_reference(reference, contender, workload, answers, plan)
                if source is None:
                    right = answers
                    continue
            # A source in float32 has to be met by what runs it in float32.
            is_bundles = source is None or runs_bundle(contender.spec)
            agreements[contender.name] = require_agreement(
                contender.name,
                name,
                answers,
                right,
                against=contenders[0].name if source is None else "the source in float32",
                is_quantised=in_integers(contender.spec) or (is_bundles and plan.is_quantised),
            )
        rounds: dict[str, list[list[float]]] = {contender.name: [] for contender in contenders}
        for index in range(plan.rounds):
            # Nobody always follows the same one.
            first = index % len(contenders)
            for contender in [*contenders[first:], *contenders[:first]]:
                done += 1
                progress(done, total, f"{name}, round {index + 1}, {contender.name}")
                time.sleep(plan.pause)
                rounds[contender.name].append(contender.time())
        timings = {each.name: Timing(rounds[each.name], agreements[each.name]) for each in contenders}
        yield CaseResult(workload, contenders[0].name, timings)


def runs_bundle(spec: Spec) -> bool:
    """Whether a contender runs the bundle's graph, and not its source."""
    from webnn_runtime.bench.engines.registry import RIVALS

    return spec.name not in RIVALS or (spec.name == "onnxruntime" and spec.onnx is None)


def in_integers(spec: Spec) -> bool:
    """Whether a rival runs the source in 8 bits."""
    from webnn_runtime.bench.engines.registry import RIVALS

    return spec.name in RIVALS and RIVALS[spec.name].quantiser is not None


def cold_starts(specs: Sequence[Spec], workload: Workload, count: int, progress: Progress) -> dict[str, Any]:
    """Fresh processes, interleaved: seconds until the first answer is there, and the memory they have then.

    Python's own start and the import of the library count; a tokenizer does not.
    """
    found: dict[str, Any] = {spec.name: {"seconds": [], "memory": {}} for spec in specs}
    for index in range(count):
        for place, spec in enumerate(specs):
            progress(index * len(specs) + place + 1, count * len(specs), f"cold start of {spec.name}")
            with Contender(spec) as contender:
                contender.load(workload.for_bundle if runs_bundle(spec) else workload.for_source)
                contender.answer()
                found[spec.name]["seconds"].append(contender.age)
                found[spec.name]["memory"] = contender.state()["memory"]
    return found


def _against_reference(
    reference: Contender, contender: Contender, workload: Workload, answers: Answers, plan: Plan
) -> Agreement:
    """Our own answer, on a part of the case that the slow reference can do in a moment."""
    index, work = workload.for_reference
    reference.load(work)
    (expected,) = reference.answer()
    part = answers[index][: len(expected)] if expected.ndim else answers[index]
    return require_agreement(
        contender.name,
        workload.case.name,
        [part],
        [expected],
        against="the numpy reference",
        # Integer sums over data that is quantised at run time are not the graph as it is written.
        is_quantised=plan.is_quantised,
    )

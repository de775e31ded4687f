"""What a check found, as it stands in the manifest and as it is read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from webnn_runtime.format.errors import WebnnError
from webnn_translator.verify.compare import DEFAULT_TOLERANCE, Difference, Ties, tick
from webnn_translator.verify.grid import Point

__all__ = ["Between", "Certificate", "Verdict", "VerificationFailed"]

SCHEMA_VERSION: Final = 1


# Two runs of one model differ so as well: ONNX Runtime's own, on another processor or with other fusions.
_ROUNDINGS: Final = (
    " (the model quantises data at run time, in {} places: a value between two steps falls to either side by the last "
    "bit of what was added up before it, and what follows moves by whole steps; weights that are quantised and data "
    "that is not have no such jumps, or --tolerance accepts them)"
)


class VerificationFailed(WebnnError):
    """The numbers of a bundle are not those of its source.

    Attributes:
        certificate: what was found, when it was the whole check.
    """

    def __init__(self, message: str, certificate: Certificate | None = None) -> None:
        self.certificate = certificate
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One output on one backend, over all points it was run at.

    Attributes:
        output: name of the output.
        backend: name of the backend.
        worst: the largest difference.
        at: the point where that was.
        points: number of points.
    """

    output: str
    backend: str
    worst: Difference
    at: Point
    points: int

    def __str__(self) -> str:
        return f"{tick(self.worst)} {self.output} on {self.backend}: {self.worst}, {self.points} sizes"


@dataclass(frozen=True, slots=True)
class Between:
    """What was checked from one rounding or choice to the next, each of which starts from what the reference has there.

    Attributes:
        ties: values that were rounded to either of two steps.
        steps: one verdict for each rounding or choice and backend.
        whole: what the outputs differ by when the graph runs in one piece; not judged.
        choices: how many of the steps choose places by scores; the others round.
        chosen: places that were chosen.
    """

    ties: Ties
    steps: Sequence[Verdict]
    whole: Sequence[Verdict] = ()
    choices: int = 0
    chosen: Ties = field(default_factory=Ties)

    @property
    def roundings(self) -> int:
        """How many of the steps round."""
        return len({verdict.output for verdict in self.steps}) - self.choices

    def __str__(self) -> str:
        furthest = max((verdict.worst.max_abs / (verdict.worst.largest or 1) for verdict in self.whole), default=0.0)
        places, found = [], []
        if self.roundings:
            places.append(f"{self.roundings} roundings of data, each fed with the reference's steps")
            found.append(f"{self.ties.ties} of {self.ties.values} values lie on a tie and fell to the other side")
        if self.choices:
            many = "choices" if self.choices > 1 else "choice"
            places.append(f"{self.choices} {many} by scores, fed with the reference's places")
            found.append(f"{self.chosen.ties} of {self.chosen.values} places hold another of equal score")
        return (
            f"✓ checked between {', and '.join(places)}: {'; '.join(found)}; run in one piece, those make the "
            f"outputs differ by up to {furthest:.2g} of the largest value"
        )

    def record(self) -> dict[str, object]:
        """Its part of the certificate."""
        found: dict[str, object] = {}
        if self.roundings:
            found["betweenRoundings"] = {
                "roundings": self.roundings,
                "values": self.ties.values,
                "ties": self.ties.ties,
                "farthestFromMiddle": _rounded(self.ties.farthest),
                "whole": _by_output(self.whole),
            }
        if self.choices:
            found["betweenChoices"] = {
                "choices": self.choices,
                "places": self.chosen.values,
                "ties": self.chosen.ties,
                "farthestScores": _rounded(self.chosen.farthest),
                "whole": _by_output(self.whole),
            }
        return found


@dataclass(frozen=True, slots=True)
class Certificate:
    """The result of one whole check.

    Attributes:
        reference: name and version of what was compared with.
        versions: packages whose numbers these are: backend or tool -> version.
        tolerance: largest allowed difference, as a part of the output's largest value.
        inputs: "tokens" of real text, or "seeded" values.
        grid: points that were run.
        unchecked_maxima: named dimensions that were not run at their maximum.
        verdicts: one for each output and backend.
        mappings: ONNX type that WebNN lacks -> what it means that another one carries it.
        empty_inputs: inputs of the source that were fed without elements, which the graph lacks.
        roundings: nodes that round data at run time to whole steps, as quantising does.
        between: what was checked between those, and between choices; None where the outputs agree without that.
        usual_tolerance: the default for the type that the graph computes in.
        rounded_states: output -> the largest difference from ONNX Runtime's kernels, which round the states of LSTMs
            that the graph does not round, as a part of the output's largest value.
    """

    reference: str
    versions: Mapping[str, str]
    tolerance: float
    inputs: str
    grid: Sequence[Point]
    unchecked_maxima: Sequence[str]
    verdicts: Sequence[Verdict]
    mappings: Mapping[str, str] = field(default_factory=dict)
    empty_inputs: Sequence[str] = ()
    roundings: int = 0
    between: Between | None = None
    usual_tolerance: float = DEFAULT_TOLERANCE
    rounded_states: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every output agrees on every backend, and between roundings and choices every step as well."""
        return all(verdict.worst.passed for verdict in self._judged)

    @property
    def _judged(self) -> Sequence[Verdict]:
        return self.verdicts if self.between is None else [*self.verdicts, *self.between.steps]

    def complaint(self) -> str:
        """What failed, one line for each output and backend."""
        failed = [verdict for verdict in self._judged if not verdict.worst.passed]
        lines = "; ".join(
            f"output '{one.output}' on {one.backend} at {one.at}: "
            + (one.worst.reason or f"largest difference {one.worst.max_abs:.3g} of {one.worst.largest:.3g}")
            for one in failed
        )
        allowed = f"{self.tolerance:g} of the largest value is allowed against {self.reference}"
        return f"{lines}; {allowed}{_ROUNDINGS.format(self.roundings) if self.roundings else ''}"

    def record(self) -> dict[str, object]:
        """The `certificate` entry of a manifest: no times, no paths, so that equal checks give equal bytes."""
        return {
            "schemaVersion": SCHEMA_VERSION,
            "reference": self.reference,
            "versions": dict(self.versions),
            "tolerance": self.tolerance,
            "toleranceLoosened": self.tolerance > self.usual_tolerance,
            **({"computesIn": "float16"} if self.usual_tolerance > DEFAULT_TOLERANCE else {}),
            "inputs": self.inputs,
            "grid": [point.record() for point in self.grid],
            **({"roundings": self.roundings} if self.roundings else {}),
            **(self.between.record() if self.between is not None else {}),
            **({"typeMappings": dict(self.mappings)} if self.mappings else {}),
            **({"emptyInputs": list(self.empty_inputs)} if self.empty_inputs else {}),
            **(
                {"roundedStates": {one: _rounded(d) for one, d in found.items()}}
                if (found := self.rounded_states)
                else {}
            ),
            "notCheckedAtMaximum": list(self.unchecked_maxima),
            "outputs": _by_output(self.verdicts),
            "verdict": "passed" if self.passed else "failed",
        }


def _by_output(verdicts: Sequence[Verdict]) -> dict[str, dict[str, object]]:
    outputs: dict[str, dict[str, object]] = {}
    for verdict in verdicts:
        outputs.setdefault(verdict.output, {})[verdict.backend] = _line(verdict)
    return outputs


def _line(verdict: Verdict) -> dict[str, object]:
    worst = verdict.worst
    line: dict[str, object] = {
        "maxAbs": _rounded(worst.max_abs),
        "largest": _rounded(worst.largest),
        "meanCosine": worst.mean_cosine,
        "minCosine": worst.min_cosine,
        "at": verdict.at.record(),
        "points": verdict.points,
        "passed": worst.passed,
    }
    if worst.reason:
        line["reason"] = worst.reason
    return line


def _rounded(value: float) -> float | None:
    # JSON has no infinity; a difference that is none is explained by `reason`.
    return float(f"{value:.6g}") if value != float("inf") else None

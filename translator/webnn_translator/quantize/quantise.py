"""A float graph becomes a quantised one, and what that costs is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from webnn_runtime.format.graph import Graph
from webnn_translator.quantize.loss import Loss, Vectors, measure, name_of, vectors_of
from webnn_translator.quantize.options import QuantizeMisuse, QuantizeOptions
from webnn_translator.quantize.ranges import activation_ranges, products_of
from webnn_translator.quantize.rewrite import Range, rewrite
from webnn_translator.quantize.samples import Samples, compiled, fitting_samples, measuring_samples, require_texts
from webnn_translator.quantize.search import widened
from webnn_translator.quantize.sites import Site, chosen_sites
from webnn_translator.quantize.weights import Made, first_width, packed_weights

__all__ = ["Quantized", "quantize_graph"]

# Samples that tell weights that cost much from those that cost little.
_FEW: Final = 8


@dataclass(frozen=True, slots=True)
class Quantized:
    """A quantised graph.

    Attributes:
        graph: with packed weights.
        options: how it was to be.
        widths: weight -> what it became: int4, int8, uint8, float16 or float32.
        loss: what it cost.
        ranges: number of activations that have a fixed range.
        fitted: what weights were rounded by: "texts", "seeded" values or a "file"; empty for halves.
    """

    graph: Graph
    options: QuantizeOptions
    widths: Mapping[str, str]
    loss: Loss
    ranges: int = 0
    fitted: str = ""

    def record(self) -> dict[str, object]:
        """The `quantization` entry of the manifest."""
        return {
            "kind": self.options.kind,
            "compute": self.options.compute,
            "options": self.options.record(),
            "weights": dict(sorted(Counter(self.widths.values()).items())),
            **({"fixedRanges": self.ranges} if self.ranges else {}),
            **({"roundedBy": self.fitted} if self.fitted else {}),
        }

    def __str__(self) -> str:
        counts = ", ".join(f"{count} weights {width}" for width, count in sorted(Counter(self.widths.values()).items()))
        ranges = f"; {self.ranges} activations in fixed ranges" if self.ranges else ""
        return f"quantised ({self.options.kind}): {counts}{ranges}"


def quantize_graph(
    graph: Graph,
    options: QuantizeOptions,
    folder: Path,
    *,
    names: Mapping[str, str] | None = None,
    note: Callable[[str], None] | None = None,
) -> Quantized:
    """Quantise the weights of a graph.

    Args:
        graph: in float32, with its values.
        options: how.
        folder: where the tokenizer and the modules of the model are, if it has any.
        names: identifier -> original name, for patterns that are written as the source model has it.
        note: told what is going on.

    Raises:
        QuantizeMisuse: there is nothing to quantise, or a pattern matches nothing.
        QualityGateFailed: the result is not finite, or further off than allowed.
    """
    tell = note or _ignore
    if options.tokenizer is not None:
        folder = options.tokenizer
        require_texts(graph, folder)
    first = {site: first_width(site, options) for site in chosen_sites(graph, options, names)}
    if options.kind in ("int4", "mixed") and "int4" not in first.values():
        tell(
            "no weight gets 4 bits, all have 8: none is a matrix of a product whose inputs fill blocks of "
            f"{options.block}; --quantize int8 gives the same, and lets backends multiply in integers"
        )
    work = _prepared(graph, options, folder, first, tell)
    widths = {site: width if (site, width) in work.made else "float32" for site, width in first.items()}
    for site in first:
        if widths[site] == "float32":
            tell(f"{site.weight}: stays float32, its values do not fit {first[site]}")
    if set(widths.values()) == {"float32"}:
        raise QuantizeMisuse(f"--quantize {options.kind}: no weight holds values that it can hold; convert without it")
    if options.target is None:
        loss = work.measured(widths, False)
    else:
        widths, loss = widened(widths, options.target, work.measured, tell)
    made, ranges = work.rewritten(widths)
    return Quantized(
        made, options, {site.weight: width for site, width in widths.items()}, loss, len(ranges), work.fitted
    )


@dataclass(frozen=True, slots=True)
class _Work:
    """What does not depend on how wide each weight is in the end.

    Attributes:
        graph: in floats.
        made: each weight in each of its widths.
        ranges: value -> range, where activations get fixed ones.
        samples: what is measured on.
        reference: vectors of the float graph for them.
        fitted: what weights were rounded by.
        compute: arithmetic in which the graph will be run where a backend has it.
    """

    graph: Graph
    made: Made
    ranges: Mapping[str, Range]
    samples: Samples
    reference: Vectors
    fitted: str
    compute: str

    def rewritten(self, widths: Mapping[Site, str]) -> tuple[Graph, dict[str, Range]]:
        """The graph with these widths, and the ranges that it has."""
        packed = {site: self.made[site, width] for site, width in widths.items() if width != "float32"}
        read = products_of(self.graph, packed)
        ranges = {value: self.ranges[value] for value in read if value in self.ranges}
        return rewrite(self.graph, packed, ranges), ranges

    def measured(self, widths: Mapping[Site, str], is_rough: bool) -> Loss:
        """What these widths cost, on all samples or on a few."""
        some = self.samples
        if is_rough:
            some = Samples(some.feeds[:_FEW], some.view, some.kind)
        # As it will be run: products of 8-bit weights quantise what they read as well, where a backend can.
        running = compiled(self.rewritten(widths)[0], "exact" if self.ranges else self.compute)
        return measure(self.reference[: len(some.feeds)], vectors_of(running, some), some, name_of(running))


def _prepared(
    graph: Graph, options: QuantizeOptions, folder: Path, first: Mapping[Site, str], tell: Callable[[str], None]
) -> _Work:
    samples = measuring_samples(graph, folder)
    reference = vectors_of(compiled(graph), samples)
    # Where a target has to be reached, weights of 4 bits may end up with 8.
    wanted = {
        site: (width, "int8") if width == "int4" and options.target is not None else (width,)
        for site, width in first.items()
    }
    fitting: Samples | None = None
    if options.kind != "float16":
        fitting = fitting_samples(graph, folder, options.calibrate)
        tell(f"rounding {len(first)} weights by {len(fitting.feeds)} sample inputs ({fitting.kind})")
    made = packed_weights(graph, wanted, options, fitting)
    ranges: dict[str, Range] = {}
    if options.has_fixed_ranges:
        read = products_of(graph, first)
        ranges = activation_ranges(graph, read, fitting.feeds if fitting is not None else ())
        for value in read:
            if value not in ranges:
                tell(f"{value}: gets no fixed range, it is not finite on all inputs of --calibrate")
        if read and not ranges:
            raise QuantizeMisuse(
                f"--calibrate {options.calibrate}: nothing that a product reads is finite on all of these inputs, so "
                "no range can be taken from them; leave out those that hold NaN or infinity"
            )
    return _Work(graph, made, ranges, samples, reference, fitting.kind if fitting is not None else "", options.compute)


def _ignore(message: str) -> None:
    del message

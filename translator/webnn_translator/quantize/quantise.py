"""A float graph becomes a quantised one, and what that costs is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from webnn_runtime.format.graph import Array, Graph
from webnn_translator.quantize.loss import Loss, measure, vectors_of
from webnn_translator.quantize.options import QualityGateFailed, QuantizeMisuse, QuantizeOptions
from webnn_translator.quantize.rewrite import rewrite
from webnn_translator.quantize.rounding import Packed
from webnn_translator.quantize.samples import Samples, compiled, seeded_samples, text_samples
from webnn_translator.quantize.sites import Site, chosen_sites
from webnn_translator.quantize.texts import MEASURING
from webnn_translator.quantize.weights import first_width, pack

__all__ = ["Quantized", "measuring_samples", "quantize_graph"]


@dataclass(frozen=True, slots=True)
class Quantized:
    """A quantised graph.

    Attributes:
        graph: with packed weights.
        options: how it was to be.
        widths: weight -> what it became: int4, int8, uint8, float16 or float32.
        loss: what it cost.
        ranges: number of activations that have a fixed range.
    """

    graph: Graph
    options: QuantizeOptions
    widths: Mapping[str, str]
    loss: Loss
    ranges: int = 0

    def record(self) -> dict[str, object]:
        """The `quantization` entry of the manifest."""
        return {
            "kind": self.options.kind,
            "compute": self.options.compute,
            "options": self.options.record(),
            "weights": dict(sorted(Counter(self.widths.values()).items())),
        }

    def __str__(self) -> str:
        counts = ", ".join(f"{count} weights {width}" for width, count in sorted(Counter(self.widths.values()).items()))
        ranges = f"; {self.ranges} activations in fixed ranges" if self.ranges else ""
        return f"quantised ({self.options.kind}): {counts}{ranges}"


def measuring_samples(graph: Graph, folder: Path) -> Samples:
    """The built-in inputs that a loss is measured on."""
    return text_samples(graph, folder, MEASURING) or seeded_samples(graph)


def quantize_graph(
    graph: Graph,
    options: QuantizeOptions,
    folder: Path,
    *,
    note: Callable[[str], None] | None = None,
) -> Quantized:
    """Quantise the weights of a graph.

    Args:
        graph: in float32, with its values.
        options: how.
        folder: where the tokenizer and the modules of the model are, if it has any.
        note: told what is going on.

    Raises:
        QuantizeMisuse: there is nothing to quantise, or a pattern matches nothing.
        QualityGateFailed: the result is not finite, or further off than allowed.
    """
    tell = note or _ignore
    sites = chosen_sites(graph, options)
    packed: dict[Site, Packed | Array] = {}
    widths: dict[str, str] = {}
    for site in sites:
        width = first_width(site, options)
        made = pack(graph, site, width, options)
        widths[site.weight] = width if made is not None else "float32"
        if made is None:
            tell(f"{site.weight}: stays float32, its values do not fit {width}")
        else:
            packed[site] = made
    if not packed:
        raise QuantizeMisuse(f"--quantize {options.kind}: no weight holds values that it can hold; convert without it")
    samples = measuring_samples(graph, folder)
    reference = vectors_of(compiled(graph), samples)
    result = rewrite(graph, packed)
    running = compiled(result)
    loss = measure(reference, vectors_of(running, samples), samples, f"{running.describe()['backend']}, exact")
    if options.target_cosine is not None and loss.mean < options.target_cosine:
        raise QualityGateFailed(
            f"the mean cosine to the float vectors is {loss.mean:.6f}; --target-cosine asks for "
            f"{options.target_cosine}, which fewer weights (--exclude) or more bits may reach; nothing was written"
        )
    return Quantized(result, options, widths, loss)


def _ignore(message: str) -> None:
    del message

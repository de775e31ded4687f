"""What may be asked of quantising, and which wishes contradict each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from webnn_runtime.format.errors import WebnnError

__all__ = ["BLOCK_SIZES", "KINDS", "QualityGateFailed", "QuantizeMisuse", "QuantizeOptions"]

KINDS: Final = {
    "int8": "8 bits with a scale per output channel, tables per row; a quarter of the size",
    "uint8": "the same with a zero point, for weights that are not symmetric about 0",
    "int4": "4 bits with a scale per block of a column, rounded with sample inputs; tables in 8 bits",
    "float16": "half precision, computed in float32; half of the size",
    "mixed": "for each weight the fewest bits, 4 to 32, with which the target cosine is reached",
}
BLOCK_SIZES: Final = (32, 128)
_MIXED_TARGET: Final = 0.99
_INTEGER_KINDS: Final = ("int8", "uint8")
_BLOCK_KINDS: Final = ("int4", "mixed")


class QuantizeMisuse(WebnnError):
    """Switches that contradict each other, or name what is not there."""


class QualityGateFailed(WebnnError):
    """The quantised graph loses more than was allowed."""


@dataclass(frozen=True, slots=True)
class QuantizeOptions:
    """How weights, and with sample inputs activations, are to be quantised.

    Attributes:
        kind: one of `KINDS`.
        per_channel: whether each output channel has its own scale; None where nobody said, which means yes.
        reduce_range: whether 8-bit weights keep to 7 bits, for processors that add two products in 16 bits.
        block_size: weights of a column that share a scale in 4 bits; None for 32.
        calibrate: file with texts, or inputs as .npz, that weights are rounded by; 8 bits take fixed ranges of
            activations from it as well.
        weight_only: whether 8 bits leave activations as they are in spite of `calibrate`.
        exclude: patterns of nodes or weights that stay as they are.
        include: patterns of the only ones that are quantised.
        tokenizer: folder whose tokenizer and modules read texts, where none lie beside the model.
        target_cosine: smallest mean cosine to the float vectors; what costs most stays wider until it holds.
    """

    kind: str
    per_channel: bool | None = None
    reduce_range: bool = False
    block_size: int | None = None
    calibrate: Path | None = None
    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    target_cosine: float | None = None
    tokenizer: Path | None = None
    weight_only: bool = False

    def __post_init__(self) -> None:
        kind = self.kind
        if kind not in KINDS:
            raise QuantizeMisuse(f"--quantize {kind}: one of {', '.join(KINDS)}")
        if self.per_channel is not None and kind not in _INTEGER_KINDS:
            reason = "halves have no scale" if kind == "float16" else "4-bit weights have a scale per block"
            raise QuantizeMisuse(
                f"--quantize {kind}: {reason}, so --per-channel and --no-per-channel mean nothing; leave them out"
            )
        if self.reduce_range and kind not in _INTEGER_KINDS:
            raise QuantizeMisuse(f"--quantize {kind}: --reduce-range is for int8 and uint8; leave it out")
        if self.block_size is not None:
            if kind not in _BLOCK_KINDS:
                raise QuantizeMisuse(f"--quantize {kind}: --block-size is for int4 and mixed; leave it out")
            if self.block_size not in BLOCK_SIZES:
                raise QuantizeMisuse(f"--block-size {self.block_size}: one of {', '.join(map(str, BLOCK_SIZES))}")
        if self.calibrate is not None and kind == "float16":
            raise QuantizeMisuse("--quantize float16: nothing is rounded to a range, so --calibrate means nothing")
        if self.weight_only and kind not in _INTEGER_KINDS:
            raise QuantizeMisuse(f"--quantize {kind}: rounds nothing but weights, so --weight-only means nothing")
        if self.weight_only and self.calibrate is None:
            raise QuantizeMisuse(
                "--weight-only: keeps --calibrate from rounding activations; pass that as well, or leave this out"
            )
        if self.target_cosine is not None and not 0 < self.target_cosine < 1:
            raise QuantizeMisuse(f"--target-cosine {self.target_cosine}: a number between 0 and 1, such as 0.999")
        if self.tokenizer is not None and self.calibrate is not None and self.calibrate.suffix == ".npz":
            raise QuantizeMisuse("--tokenizer: the inputs of an .npz need none; leave it out, or pass texts")

    @property
    def compute(self) -> str:
        """Whether a backend may multiply in integers: "int8" where the weights have 8 bits, else "exact"."""
        return "int8" if self.kind in _INTEGER_KINDS else "exact"

    @property
    def has_fixed_ranges(self) -> bool:
        """Whether activations are quantised in the graph, to ranges that sample inputs gave."""
        return self.calibrate is not None and self.kind in _INTEGER_KINDS and not self.weight_only

    @property
    def target(self) -> float | None:
        """The mean cosine to reach: what was asked for, and for mixed weights 0.99 where nobody asked."""
        return _MIXED_TARGET if self.target_cosine is None and self.kind == "mixed" else self.target_cosine

    @property
    def block(self) -> int:
        """Weights of a column that share a scale in 4 bits."""
        return self.block_size or BLOCK_SIZES[0]

    def record(self) -> dict[str, object]:
        """The `options` of the manifest: what has a meaning for this kind, without paths."""
        found: dict[str, object] = {}
        if self.kind in _INTEGER_KINDS:
            found |= {"perChannel": self.per_channel is not False, "reduceRange": self.reduce_range}
            found["activations"] = "fixed ranges" if self.has_fixed_ranges else "float32"
        if self.kind in _BLOCK_KINDS:
            found["blockSize"] = self.block
        if self.exclude:
            found["exclude"] = list(self.exclude)
        if self.include:
            found["include"] = list(self.include)
        if self.target is not None:
            found["targetCosine"] = self.target
        return found

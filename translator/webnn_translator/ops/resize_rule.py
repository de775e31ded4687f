"""What a Resize says of one axis, read once and followed for known and for free sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from webnn_runtime.format.dims import Dim

__all__ = ["MOST_PARTS", "RATIO", "Axis", "Rule"]

# Stands for a scale that is the ratio of two sizes which the run decides.
RATIO: Final = 0.0
# A free size may be scaled by halves, quarters, ... up to such parts: float32 has them, and multiplies by them exactly.
MOST_PARTS: Final = 64


@dataclass(frozen=True, slots=True)
class Rule:
    """How positions of the result become positions of the data, and what is made of the elements there.

    Attributes:
        mode: nearest, linear or cubic.
        coordinates: ONNX's coordinate_transformation_mode.
        rounding: ONNX's nearest_mode; "simple" rounds down, but up when shrinking (before version 11).
        cubic: coefficient a of the cubic.
        antialias: widen the neighbourhood when shrinking.
        exclude_outside: elements beyond the data weigh nothing, instead of being the outermost.
        extrapolation: value where tf_crop_and_resize looks beyond the data.
        crops: axis -> begin and end of what is looked at, as parts of the axis.
    """

    mode: str
    coordinates: str
    rounding: str
    cubic: float = -0.75
    antialias: bool = False
    exclude_outside: bool = False
    extrapolation: float = 0.0
    crops: dict[int, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis that changes: its size, the new size, and the scale, which need not be their ratio."""

    size: Dim
    wanted: Dim
    scale: float

    @property
    def whole_factor(self) -> int:
        """The scale where it multiplies the size exactly, else 0."""
        factor = int(self.scale)
        return factor if factor and factor == self.scale and self.wanted == self.size * factor else 0

    @property
    def is_free(self) -> bool:
        """Whether the run decides one of the sizes."""
        return not (isinstance(self.size, int) and isinstance(self.wanted, int))

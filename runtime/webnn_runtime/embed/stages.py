"""What sentence-transformers may put after pooling: Dense, LayerNorm, Normalize.

Each works on [batch, features] and treats every row by itself, in float64 with one rounding, so that
a text's vector does not depend on its neighbours in the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import numpy as np

from webnn_runtime.format.records import dataclass

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["ACTIVATIONS", "Dense", "LayerNorm", "Normalize", "Stage"]

Floats: TypeAlias = "npt.NDArray[np.float32]"
Doubles: TypeAlias = "npt.NDArray[np.float64]"

# The smallest norm that torch.nn.functional.normalize divides by: a zero vector stays zero.
_SMALLEST_NORM: Final = 1e-12
# torch.nn.LayerNorm's default, which sentence-transformers does not let a configuration change.
_LAYER_NORM_EPSILON: Final = 1e-5


class Stage(Protocol):
    """One step from vectors to vectors."""

    @property
    def in_features(self) -> int | None:
        """Size it expects, None for any."""

    @property
    def out_features(self) -> int | None:
        """Size it gives, None for the size it got."""

    def parameters(self) -> tuple[Floats | str, ...]:
        """What distinguishes it from others of its kind."""

    def __call__(self, vectors: Floats) -> Floats:
        """Apply the step to [batch, in_features]."""


def _linear(x: Doubles, weight: Floats) -> Doubles:
    # One product per row: a matrix product may sum in another order when the batch has another size.
    wide = weight.astype(np.float64)
    rows = np.empty((len(x), len(wide)))
    for row, vector in zip(rows, x, strict=True):
        np.matmul(wide, vector, out=row)
    return rows


def _gelu(x: Doubles) -> Doubles:
    # math.erf, since NumPy has none; the vectors after pooling are small.
    erf = np.vectorize(math.erf, otypes=[np.float64])
    result: Doubles = 0.5 * x * (1.0 + erf(x / math.sqrt(2.0))) if x.size else x
    return result


def _sigmoid(x: Doubles) -> Doubles:
    # Both branches of exp see a non-positive argument, so neither overflows.
    small = np.exp(-np.abs(x))
    result: Doubles = np.where(x >= 0, 1.0, small) / (1.0 + small)
    return result


def _relu(x: Doubles) -> Doubles:
    result: Doubles = np.maximum(x, 0.0)
    return result


def _tanh(x: Doubles) -> Doubles:
    result: Doubles = np.tanh(x)
    return result


def _identity(x: Doubles) -> Doubles:
    return x


def _silu(x: Doubles) -> Doubles:
    return x * _sigmoid(x)


# By the class name at the end of torch's dotted path; each with torch's default arguments, since
# the configuration stores no others.
ACTIVATIONS: Final[Mapping[str, Callable[[Doubles], Doubles]]] = MappingProxyType(
    {"Identity": _identity, "Tanh": _tanh, "ReLU": _relu, "Sigmoid": _sigmoid, "GELU": _gelu, "SiLU": _silu}
)


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """A linear layer with an activation: activation(x @ weight.T + bias).

    Attributes:
        weight: [out, in], as torch stores it.
        bias: [out], or None.
        activation: a name out of `ACTIVATIONS`.
        residual: None for no residual connection, "identity" to add the input, or a weight [out, in].
    """

    weight: Floats
    bias: Floats | None
    activation: str
    residual: Floats | str | None = None

    @property
    def in_features(self) -> int:
        return int(self.weight.shape[1])

    @property
    def out_features(self) -> int:
        return int(self.weight.shape[0])

    def parameters(self) -> tuple[Floats | str, ...]:
        optional = [value for value in (self.bias, self.residual) if value is not None]
        return (self.weight, self.activation, *optional)

    def __call__(self, vectors: Floats) -> Floats:
        x = vectors.astype(np.float64)
        y = _linear(x, self.weight)
        if self.bias is not None:
            y += self.bias
        y = ACTIVATIONS[self.activation](y)
        if isinstance(self.residual, np.ndarray):
            y = y + _linear(x, self.residual)
        elif self.residual is not None:
            y = y + x
        return y.astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class LayerNorm:
    """Layer normalisation over the features.

    Attributes:
        weight: [features].
        bias: [features].
    """

    weight: Floats
    bias: Floats

    @property
    def in_features(self) -> int:
        return int(self.weight.shape[0])

    @property
    def out_features(self) -> None:
        return None

    def parameters(self) -> tuple[Floats | str, ...]:
        return (self.weight, self.bias)

    def __call__(self, vectors: Floats) -> Floats:
        x = vectors.astype(np.float64)
        centred = x - x.mean(axis=1, keepdims=True)
        variance = (centred**2).mean(axis=1, keepdims=True)
        y: Doubles = centred / np.sqrt(variance + _LAYER_NORM_EPSILON) * self.weight + self.bias
        return y.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Normalize:
    """Scale every row to length 1; a row of zeros stays zeros."""

    @property
    def in_features(self) -> None:
        return None

    @property
    def out_features(self) -> None:
        return None

    def parameters(self) -> tuple[Floats | str, ...]:
        return ()

    def __call__(self, vectors: Floats) -> Floats:
        x = vectors.astype(np.float64)
        norms = np.sqrt(np.add.reduce(x * x, axis=1, keepdims=True))
        x /= np.maximum(norms, _SMALLEST_NORM)
        return x.astype(np.float32)

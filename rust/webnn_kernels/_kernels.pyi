from typing import Final, final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Engine", "PackedMatrix", "__version__", "available_isas", "build_profile", "isa"]

__version__: Final[str]
isa: Final[str]
build_profile: Final[str]

def available_isas() -> list[str]: ...

@final
class PackedMatrix:
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def isa(self) -> str: ...

@final
class Engine:
    def __new__(cls, threads: int | None = None, isa: str | None = None) -> Engine: ...
    @property
    def threads(self) -> int: ...
    @property
    def isa(self) -> str: ...
    def pack(self, matrix: NDArray[np.float32]) -> PackedMatrix: ...
    def linear(
        self,
        x: NDArray[np.float32],
        weights: PackedMatrix,
        bias: NDArray[np.float32] | None = None,
        activation: str = "identity",
        residual: NDArray[np.float32] | None = None,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]: ...
    def layer_norm(
        self,
        x: NDArray[np.float32],
        scale: NDArray[np.float32] | None = None,
        bias: NDArray[np.float32] | None = None,
        epsilon: float = 1e-05,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]: ...
    def activate(
        self, x: NDArray[np.float32], activation: str, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]: ...
    def matmul(
        self, a: NDArray[np.float32], b: NDArray[np.float32], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]: ...
    def attention(
        self,
        q: NDArray[np.float32],
        k: NDArray[np.float32],
        v: NDArray[np.float32],
        scale: float,
        mask: NDArray[np.float32] | None = None,
        fill: float | None = None,
        undefined_is_zero: bool = False,
        bias: NDArray[np.float32] | None = None,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]: ...

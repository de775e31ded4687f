from collections.abc import Mapping, Sequence
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Engine",
    "PackedFile",
    "PackedMatrix",
    "Plan",
    "PlanBuilder",
    "__version__",
    "available_isas",
    "build_profile",
    "isa",
    "kinds",
    "packed_revision",
    "panel_width",
    "plan_revision",
    "supports",
]

__version__: Final[str]
plan_revision: Final[int]
packed_revision: Final[int]
isa: Final[str]
build_profile: Final[str]

def available_isas() -> list[str]: ...
def panel_width(isa: str) -> int: ...
def kinds() -> list[str]: ...
def supports(kind: str, dtype: str) -> bool: ...

@final
class PackedMatrix:
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def isa(self) -> str: ...

@final
class PackedFile:
    def __new__(
        cls,
        weights: NDArray[np.uint8],
        file: NDArray[np.uint8] | None = None,
        matrices: Sequence[tuple[tuple[int, Sequence[tuple[int, int, int, int]]], int, int]] = ...,
    ) -> PackedFile: ...
    @property
    def counts(self) -> tuple[int, int]: ...
    def matrices(self) -> list[tuple[int, list[tuple[int, int, int, int]]]]: ...
    def packed(self, number: int) -> bytes: ...

@final
class Engine:
    def __new__(
        cls, threads: int | None = None, isa: str | None = None, packed_file: PackedFile | None = None
    ) -> Engine: ...
    @property
    def threads(self) -> int: ...
    @property
    def isa(self) -> str: ...
    @property
    def integers(self) -> str: ...
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

@final
class PlanBuilder:
    def __new__(cls, engine: Engine, names: Sequence[str]) -> PlanBuilder: ...
    def dimension(self, tokens: Sequence[int | str]) -> int: ...
    def input(self, dtype: str, shape: Sequence[int]) -> int: ...
    def constant(self, dtype: str, shape: Sequence[int], data: NDArray[np.uint8]) -> int: ...
    def alias(self, of: int, shape: Sequence[int]) -> int: ...
    def step(
        self,
        kind: str,
        operands: Sequence[int | None],
        attributes: Mapping[str, tuple[str, object]],
        results: Sequence[tuple[str, Sequence[int]]],
        node: str = "",
    ) -> list[int]: ...
    def again(
        self,
        plan: Plan,
        step: int,
        operands: Sequence[int | None],
        results: Sequence[tuple[str, Sequence[int]]],
    ) -> list[int]: ...
    def texts(self, names: Sequence[str], inputs: Sequence[str], per_token: Sequence[bool]) -> None: ...
    def batch(self, name: str, inputs: Sequence[bool], rows: int) -> None: ...
    def build(self, outputs: Sequence[int], budget: int | None = None) -> Plan: ...

@final
class Plan:
    @property
    def labels(self) -> list[str]: ...
    def taken(self, step: int) -> list[int]: ...
    def has_taken(self) -> bool: ...
    def arena_bytes(self, names: Sequence[int]) -> int: ...
    def run(
        self, names: Sequence[int], inputs: Sequence[NDArray[np.uint8]], outputs: Sequence[NDArray[np.uint8]]
    ) -> None: ...
    def run_texts(
        self,
        names: Sequence[int],
        lengths: Sequence[int],
        inputs: Sequence[NDArray[np.uint8]],
        outputs: Sequence[NDArray[np.uint8]],
    ) -> None: ...

"""Matrix products."""

from __future__ import annotations

from webnn_runtime.backends.onnxruntime.emitter import Emitter, Tensor, as_attribute
from webnn_runtime.backends.onnxruntime.lowering._registry import lowering

__all__: list[str] = []


@lowering("matmul")
def _matmul(g: Emitter, a: Tensor, b: Tensor) -> str:
    return g.node("MatMul", a, b)


@lowering("gemm")
def _gemm(
    g: Emitter,
    a: Tensor,
    b: Tensor,
    c: Tensor | None,
    *,
    alpha: float,
    beta: float,
    a_transpose: bool,
    b_transpose: bool,
) -> str:
    return g.node(
        "Gemm",
        a,
        b,
        c,
        alpha=as_attribute(alpha, a.dtype),
        beta=as_attribute(beta, a.dtype),
        transA=a_transpose,
        transB=b_transpose,
    )

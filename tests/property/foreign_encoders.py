"""Random encoders whose attention other programs have written: ONNX itself, and ONNX Runtime's optimiser."""

from __future__ import annotations

import math

import numpy as np
from encoder_layers import DEPTH, HEADS, I64, LONGEST, LOWEST, WIDTH, B, Encoder, L

from webnn_runtime.format.builder import Value

__all__ = ["ForeignEncoder"]


class ForeignEncoder(Encoder):
    """As `Encoder`, its attention as ONNX defines it, and as ONNX Runtime's optimiser leaves it behind."""

    def attention(self, x: Value) -> Value:
        cut = [self.op("reshape", self.linear(x, WIDTH), new_shape=(B, L, HEADS, DEPTH)) for _ in range(3)]
        if self.any(0, 1):
            cut[:2] = [self.turned(part) if self.any(0, 1, 1) else part for part in cut[:2]]
        q, v = (self.op("transpose", part, permutation=(0, 2, 1, 3)) for part in (cut[0], cut[2]))
        k = self.op("transpose", cut[1], permutation=(0, 2, 3, 1))
        factor = self.number(self.any(0.5, 0.25))
        scores = self.op("matmul", self.op("mul", q, factor), self.op("mul", k, factor))
        scores = self.joined("add", scores, self.number(0.0)) if self.any(0, 0, 1) else scores
        mask = self.added()
        if mask is not None:
            scores = self.joined("add", scores, mask)
        weights = self.op("softmax", scores, axis=3)
        if self.random.random() < 0.7:
            given = mask if mask is not None else self.op("expand", self.number(0.0), new_shape=(L, L))
            if mask is not None and self.any(0, 1):
                given = self.op("expand", mask, new_shape=(B, 1, L, L))
            top = self.op("reduceMax", given, axes=(given.type.rank - 1,), keep_dimensions=True)
            is_empty = self.joined("equal", top, self.number(-math.inf))
            weights = self.op("where", is_empty, self.number(0.0), weights)
        mixed = self.op("transpose", self.op("matmul", weights, v), permutation=(0, 2, 1, 3))
        return self.op("reshape", mixed, new_shape=(B, L, WIDTH))

    def turned(self, x: Value) -> Value:
        """Rotary positions before the heads are set apart."""
        half = DEPTH // 2
        row = self.op("slice", self.weights(LONGEST, half), starts=(0, 0), sizes=(L, half))
        angles = self.op("reshape", self.op("concat", row, row, axis=1), new_shape=(1, L, 1, DEPTH))
        low, high = (
            self.op("slice", x, starts=(0, 0, 0, start), sizes=(B, L, HEADS, half), strides=(1, 1, 1, 1))
            for start in (0, half)
        )
        swapped = self.op("concat", self.op("neg", high), low, axis=3)
        straight = self.joined("mul", x, self.op("cos", angles))
        return self.joined("add", straight, self.joined("mul", swapped, self.op("sin", angles)))

    def added(self) -> Value | None:
        """What is added to the scores."""
        lowest = self.number(self.any(-math.inf, -math.inf, -10000.0, LOWEST))
        form = self.any("none", "choice", "choice", "lengths", "causal", "causal and choice")
        if form == "none":
            return None
        if form == "lengths":
            count = self.op("reduceSum", self.mask, axes=(1,), keep_dimensions=True)
            if self.any(0, 1):
                row = self.op("slice", self.builder.constant(np.arange(LONGEST)), starts=(0,), sizes=(L,))
            else:
                ones = self.op("expand", self.number(1, I64), new_shape=(L,))
                row = self.op("cumulativeSum", ones, axis=0, exclusive=True)
            row = self.op("reshape", row, new_shape=(1, L))
            seen = self.op("lesser", row, count) if self.any(0, 1) else self.op("greater", count, row)
            mask = self.op("where", seen, self.number(0.0), lowest)
            return self.op("reshape", mask, new_shape=(B, 1, 1, L))
        kept = self.op("notEqual", self.op("reshape", self.mask, new_shape=(B, 1, 1, L)), self.number(0, I64))
        choice = self.op("where", kept, self.number(0.0), lowest)
        if form == "choice":
            return choice
        later = self.op("where", self.causal(), self.number(0.0), self.number(-math.inf))
        return later if form == "causal" else self.joined("add", choice, later)

"""Random encoders whose products are sums of 8-bit integers, as models state them that were quantised before."""

from __future__ import annotations

import numpy as np
from encoder_layers import F32, U8, Encoder

from webnn_runtime.format.builder import Value
from webnn_runtime.format.dtypes import DataType

__all__ = ["QuantisedEncoder"]


class QuantisedEncoder(Encoder):
    """As `Encoder`, its layers as models state them whose products are sums of 8-bit integers."""

    def linear(self, x: Value, columns: int, bias: bool | None = None) -> Value:
        rows = int(str(x.type.shape[-1]))
        if self.random.random() < 0.2:
            return super().linear(x, columns, bias)
        q, scale, zero = self.quantised(x)
        left = self.op("cast", q, to=F32)
        if zero is not None:
            left = self.op("sub", left, self.op("cast", zero, to=F32))
        total = None
        cut = self.any(rows, rows, rows // 2)
        right = self.integers(rows, columns)
        for start in range(0, rows, cut):
            part, own = left, right
            if cut < rows:
                begin = (*(0 for _ in x.type.shape[1:]), start)
                part = self.op("slice", left, starts=begin, sizes=(*x.type.shape[:-1], cut), strides=(1,) * x.type.rank)
                own = self.op("slice", right, starts=(start, 0), sizes=(cut, columns), strides=(1, 1))
            whole = self.op("cast", self.op("matmul", part, own), to=DataType.INT32)
            total = whole if total is None else self.joined("add", total, whole)
        assert total is not None
        made = self.op("cast", total, to=F32)
        if self.any(0, 1, 1, 1):
            shape = self.any((), (1,), (columns,), (1, columns))
            steps = self.builder.constant(self.numbers.uniform(0.002, 0.01, shape).astype(np.float32))
            made = self.joined("mul", made, self.any(lambda: steps, lambda: self.joined("mul", steps, scale))())
        has_bias = self.random.random() < 0.8 if bias is None else bias
        return self.joined("add", made, self.weights(columns)) if has_bias else made

    def integers(self, rows: int, columns: int) -> Value:
        """Weights less their zero points, as floats."""
        dtype, is_turned = self.any(np.int8, np.uint8), self.any(0, 0, 1)
        low = -127 if dtype is np.int8 else 0
        shape = (columns, rows) if is_turned else (rows, columns)
        made = self.builder.constant(self.numbers.integers(low, low + 255, shape).astype(dtype))
        if is_turned and self.any(0, 1):
            made, is_turned = self.op("transpose", made, permutation=(1, 0)), False
        made = self.op("cast", made, to=F32)
        if self.any(0, 1):
            per_column = (columns, 1) if is_turned else (1, columns)
            zeros = self.numbers.integers(low, low + 255, self.any((), per_column)).astype(dtype)
            made = self.op("sub", made, self.op("cast", self.builder.constant(zeros), to=F32))
        return self.op("transpose", made, permutation=(1, 0)) if is_turned else made

    def quantised(self, x: Value) -> tuple[Value, Value, Value | None]:
        """8-bit integers, their scale and their zero point, by the range of the data or by numbers."""
        ones = (1,) * x.type.rank
        if self.random.random() < 0.3:
            kind = self.any(U8, DataType.INT8)
            scale, zero = self.number(self.any(0.02, 0.1)), self.number(self.any(0, 3, 100), kind)
            parts = [self.op("expand", part, new_shape=ones) for part in (scale, zero)]
            is_zero = self.random.random() < 0.2
            return self.op("quantizeLinear", x, *parts), scale, None if is_zero else zero
        axes = tuple(range(x.type.rank))
        nothing = self.number(0.0)
        high = self.joined("max", self.op("reduceMax", x, axes=axes, keep_dimensions=False), nothing)
        low = self.joined("min", self.op("reduceMin", x, axes=axes, keep_dimensions=False), nothing)
        spread = self.op("div", self.op("sub", high, low), self.number(255.0))
        scale = self.op("where", self.op("equal", spread, nothing), self.number(1.0), spread)
        point = self.op("roundEven", self.op("neg", self.op("div", low, scale)))
        zero = self.op("cast", self.op("clamp", point, min_value=0.0, max_value=255.0), to=U8)
        parts = [self.op("reshape", part, new_shape=ones) for part in (scale, zero)]
        return self.op("quantizeLinear", x, *parts), scale, zero

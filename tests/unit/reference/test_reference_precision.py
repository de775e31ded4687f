"""The promises behind every kernel: one rounding, exact integers, bounded memory, no warnings."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from webnn_runtime.format.ops import OPS
from webnn_runtime.reference import KERNELS, kernel
from webnn_runtime.reference._erf import erf64, erfc64
from webnn_runtime.reference._precision import by_blocks, by_rows, cast_number, saturate, through_float64

RANDOM = np.random.default_rng(3)


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (0.1, "float32", np.float32(0.1)),
        (1e39, "float32", np.inf),
        (-70000, "float16", -np.inf),
        (-0.0, "float16", -0.0),
        (2.5, "int32", 2),
        (3.5, "int32", 4),
        (-300, "int8", -128),
        (math.inf, "int64", 2**63 - 1),
        (-math.inf, "uint8", 0),
        (math.nan, "uint32", 0),
        (2**53 + 1, "int64", 2**53 + 1),
        (2**64, "uint64", 2**64 - 1),
    ],
)
def test_an_option_number_is_cast_to_the_operand_type(value: float, dtype: str, expected: float) -> None:
    result = cast_number(value, np.dtype(dtype))
    assert result.dtype == dtype
    assert result == expected
    assert np.signbit(result) == np.signbit(expected)


def test_casting_nan_to_a_float_keeps_it() -> None:
    assert np.isnan(cast_number(math.nan, np.dtype(np.float16)))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "uint64"])
def test_saturation_reaches_exactly_the_bounds(dtype: str) -> None:
    limits = np.iinfo(dtype)
    values = np.array([-np.inf, np.inf, np.nan, -1e30, 1e30, float(limits.max), float(limits.min), 5.0])
    expected = [limits.min, limits.max, 0, limits.min, limits.max, limits.max, limits.min, 5]
    assert saturate(values, np.dtype(dtype)).tolist() == expected


def test_erf_is_within_two_units_of_the_last_place() -> None:
    points = np.concatenate([np.linspace(-7, 7, 20001), RANDOM.normal(size=2000) * 1e-3, [1e-300, 5.9999999]])
    exact = np.array([math.erf(point) for point in points])
    assert np.all(np.abs(erf64(points) - exact) <= 2 * np.spacing(np.abs(exact)))


def test_erfc_keeps_its_digits_far_out() -> None:
    points = np.linspace(-3, 26, 20001)
    exact = np.array([math.erfc(point) for point in points])
    assert np.max(np.abs(erfc64(points) - exact) / exact) < 1e-13


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, -0.0])
def test_erf_of_special_values(value: float) -> None:
    result = erf64(np.array([value]))[0]
    assert np.isnan(result) if math.isnan(value) else result == math.erf(value)
    assert math.isnan(value) or np.signbit(result) == np.signbit(value)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_blocks_and_rows_and_buffers_agree_with_one_whole_computation(dtype: type) -> None:
    x = RANDOM.normal(size=(3, 70_000)).astype(dtype)[:, ::2]
    whole = np.exp(x.astype(np.float64)).astype(dtype)
    assert np.array_equal(by_blocks(np.exp, x), whole)
    assert np.array_equal(by_rows(np.exp, x, 0), whole)
    assert np.array_equal(by_rows(np.exp, x, 1), whole)
    assert np.array_equal(through_float64(np.exp, x), whole)


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 2)])
def test_an_empty_array_stays_empty(shape: tuple[int, ...]) -> None:
    x = np.zeros(shape, np.float32)
    assert by_blocks(np.exp, x).shape == shape
    assert by_rows(np.exp, x, len(shape) - 1).shape == shape


def peak_bytes(op: str, *operands: np.ndarray, **options: object) -> int:
    tracemalloc.start()
    KERNELS[op](*operands, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_large_operands_are_never_copied_to_float64_as_a_whole() -> None:
    # 8 MB of result and a few blocks of 512 KiB; a float64 copy would be 16 MB more.
    assert peak_bytes("softmax", np.zeros((1000, 2000), np.float32), axis=1) < 14e6
    assert peak_bytes("gelu", np.zeros((1000, 2000), np.float32)) < 14e6
    # 34 MB of result and two blocks of 32 MiB; float64 copies would be 134 MB.
    a, b = np.zeros((8, 4096, 256), np.float32), np.zeros((256, 256), np.float32)
    assert peak_bytes("matmul", a, b) < 34e6 + 2 * 2**25 + 4e6


@pytest.mark.parametrize("axes", [(1,), None])
def test_sums_of_float16_round_once(axes: tuple[int, ...] | None) -> None:
    x = RANDOM.normal(size=(40, 3000)).astype(np.float16)
    exact = np.sum(x.astype(np.float64), axis=axes)
    assert np.array_equal(KERNELS["reduceSum"](x, axes=axes, keep_dimensions=False), exact.astype(np.float16))


def test_a_kernel_for_an_operator_that_does_not_exist_is_refused() -> None:
    with pytest.raises(LookupError, match="no WebNN operator is called 'softMax'"):
        kernel("softMax")


def test_a_second_kernel_for_an_operator_is_refused() -> None:
    with pytest.raises(LookupError, match="operator 'softmax' has two reference kernels"):
        kernel("softmax")


def test_every_operator_is_defined_and_nothing_else() -> None:
    assert set(KERNELS) == set(OPS)

"""Types that WebNN lacks: carried by one that holds their values, said, and proved or refused where they differ."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import TensorProto, helper, numpy_helper

from webnn_runtime.backends import get_backend
from webnn_runtime.format.bundle import load_bundle
from webnn_translator._errors import UnsupportedOp
from webnn_translator.bundling import convert_model
from webnn_translator.elements import Elem
from webnn_translator.initializers import read_tensor
from webnn_translator.minifloats import decode_minifloats, round_to_bfloat16
from webnn_translator.translate import translate
from webnn_translator.verify import recheck_bundle

N = helper.make_node
F, D, I16, U16 = np.float32, np.float64, np.int16, np.uint16


def run(translation, **feed):
    found = get_backend("numpy").compile(translation.graph).run(feed)
    return next(iter(found.values()))


def original(model, **feed):
    return onnx.reference.ReferenceEvaluator(model).run(None, feed)[0]


@pytest.mark.parametrize("elem", [elem for elem in Elem if elem.is_minifloat], ids=lambda elem: elem.text)
def test_every_code_of_a_small_float_is_decoded_as_ml_dtypes_does(elem: Elem) -> None:
    codes = np.arange(1 << elem.bits, dtype=np.uint8)
    wanted = codes.view(helper.tensor_dtype_to_np_dtype(int(elem))).astype(F)
    np.testing.assert_array_equal(decode_minifloats(codes, elem), wanted)
    assert np.array_equal(np.signbit(decode_minifloats(codes, elem)[wanted == 0]), np.signbit(wanted[wanted == 0]))


def test_rounding_to_bfloat16_is_that_of_ml_dtypes() -> None:
    bits = np.random.default_rng(7).integers(0, 2**32, 20000, dtype=np.uint64).astype(np.uint32)
    bits = np.concatenate([bits, bits & 0xFFFF8000, [0x7F800000, 0xFF800000, 0x7FC00001, 0x7F7FFFFF, 1, 0x80000000]])
    values = bits.astype(np.uint32).view(F)
    dtype = helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(round_to_bfloat16(values), values.astype(dtype).astype(F))


@pytest.mark.parametrize("elem", [elem for elem in Elem if elem.bits <= 16], ids=lambda elem: elem.text)
@pytest.mark.parametrize("raw", [True, False])
def test_tensors_of_every_narrow_type_are_read_as_onnx_reads_them(elem: Elem, raw: bool) -> None:
    values = [0.0, 1.0, 1.0] if elem.is_float or elem.integer_range[1] < 2 else [0, 1, 1, elem.integer_range[0], 1]
    tensor = helper.make_tensor("w", int(elem), [len(values)], values)
    if raw:
        tensor = numpy_helper.from_array(numpy_helper.to_array(tensor), "w")
        assert tensor.HasField("raw_data")
    found, array = read_tensor(tensor, None)
    assert found is elem
    np.testing.assert_array_equal(array.astype(F), numpy_helper.to_array(tensor).astype(F))


def test_double_is_computed_as_float32_and_said(build) -> None:
    model = build([N("MatMul", ["x", "w"], ["y"])], {"x": (D, (2, 3))}, constants={"w": np.full((3, 4), 0.1)})
    found = translate(model)
    assert str(found.graph.inputs["x"]) == "f32[2, 3]"
    assert found.source_types == {"x": Elem.DOUBLE, "y": Elem.DOUBLE}
    assert "precision of float32" in found.mappings["double"]
    x = np.random.default_rng(0).standard_normal((2, 3))
    np.testing.assert_allclose(run(found, x=x.astype(F)), original(model, x=x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("value", "reason"), [(1e39, "cannot hold"), (-1e300, "cannot hold"), (1e-60, "is 0 in")])
def test_a_double_that_float32_cannot_hold_is_refused(value, reason, build) -> None:
    model = build([N("Add", ["x", "c"], ["y"])], {"x": (D, (2,))}, constants={"c": np.asarray([value, value])})
    with pytest.raises(UnsupportedOp, match=reason):
        translate(model)


def test_infinities_of_double_are_those_of_float32(build) -> None:
    model = build([N("Max", ["x", "c"], ["y"])], {"x": (D, (2,))}, constants={"c": np.asarray([-np.inf, 1.0])})
    np.testing.assert_array_equal(run(translate(model), x=np.asarray([3, 0], F)), np.asarray([3, 1], F))


@pytest.mark.parametrize(("op", "dtype"), [("Add", I16), ("Add", U16), ("Sub", I16), ("Sub", U16), ("Mul", I16)])
def test_results_of_16_bits_wrap_around_as_they_do_in_onnx(op, dtype, build) -> None:
    model = build([N(op, ["a", "b"], ["y"])], {"a": (dtype, (64,)), "b": (dtype, (64,))})
    limits, rng = np.iinfo(dtype), np.random.default_rng(3)
    a, b = (rng.integers(limits.min, limits.max, 64, endpoint=True).astype(dtype) for _ in range(2))
    a[:2], b[:2] = (limits.min, limits.max), (limits.min, limits.max)
    with np.errstate(over="ignore"):
        wanted = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply}[op](a, b)
    found = translate(model)
    np.testing.assert_array_equal(run(found, a=a.astype(np.int32), b=b.astype(np.int32)), wanted.astype(np.int32))


def test_a_16_bit_product_that_leaves_its_carrier_is_refused(build) -> None:
    model = build([N("Mul", ["a", "a"], ["y"])], {"a": (U16, (4,))})
    with pytest.raises(UnsupportedOp, match="may leave the range of int32"):
        translate(model)


def test_moving_and_choosing_16_bit_values_needs_no_wrapping(build) -> None:
    nodes = [
        N("Transpose", ["a"], ["t"]),
        N("Max", ["t", "c"], ["m"]),
        N("Concat", ["m", "t"], ["y"], axis=0),
    ]
    model = build(nodes, {"a": (I16, (2, 3))}, constants={"c": np.asarray(5, I16)})
    assert [node.op for node in translate(model).graph.nodes] == ["transpose", "max", "concat"]


@pytest.mark.parametrize("target", [TensorProto.INT16, TensorProto.UINT16, TensorProto.INT4, TensorProto.UINT2])
@pytest.mark.parametrize("source", [np.int32, np.int64, np.uint8, np.float32])
def test_a_cast_to_fewer_bits_keeps_the_low_ones(source, target, build) -> None:
    model = build([N("Cast", ["x"], ["y"], to=target)], {"x": (source, (6,))}, opset=25)
    values = np.asarray([0, 1, 15, 40, 200, 3] if source is np.uint8 else [0, -1, 70000, -32769, 65535, 2**30], source)
    elem = Elem(target)
    low, high = elem.integer_range
    wanted = (values.astype(np.int64) - low) % (high - low + 1) + low
    np.testing.assert_array_equal(run(translate(model), x=values), wanted)


def test_small_floats_may_be_stored_and_fed_but_not_computed(build) -> None:
    stored = helper.make_tensor("w", TensorProto.FLOAT8E4M3FN, [3], [0.5, 448.0, -1.75])
    nodes = [N("DequantizeLinear", ["w", "s"], ["d"]), N("Mul", ["x", "d"], ["y"])]
    model = build(nodes, {"x": (F, (3,))}, constants={"s": np.asarray(2, F)}, opset=19)
    model.graph.initializer.append(stored)
    np.testing.assert_array_equal(run(translate(model), x=np.ones(3, F)), [1, 896, -3.5])
    cast = build([N("Cast", ["x"], ["y"], to=TensorProto.FLOAT8E5M2)], {"x": (F, (3,))}, opset=19)
    with pytest.raises(UnsupportedOp, match="rounded to float8e5m2"):
        translate(cast)


def test_blocks_of_small_floats_have_scales_of_their_own(build) -> None:
    stored = helper.make_tensor("w", TensorProto.FLOAT4E2M1, [2, 4], [0.5, -6.0, 3.0, 1.0, 2.0, 4.0, -1.5, 0.0])
    scales = np.asarray([[2, 3], [0.5, 10]], F)
    nodes = [N("DequantizeLinear", ["w", "s"], ["d"], axis=1, block_size=2), N("Mul", ["x", "d"], ["y"])]
    model = build(nodes, {"x": (F, (2, 4))}, constants={"s": scales}, opset=23)
    model.graph.initializer.append(stored)
    wanted = numpy_helper.to_array(stored).astype(F) * np.repeat(scales, 2, axis=1)
    np.testing.assert_array_equal(run(translate(model), x=np.ones((2, 4), F)), wanted)


def test_an_input_of_bfloat16_is_fed_as_float32(build) -> None:
    model = build([N("Add", ["x", "x"], ["y"])], {"x": (F, (3,))})
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.BFLOAT16
    found = translate(model)
    assert str(found.graph.inputs["x"]) == "f32[3]"
    assert "not rounded to bfloat16" in found.mappings["bfloat16"]


def test_a_double_model_is_checked_against_its_double_source(build, tmp_path) -> None:
    weights = np.random.default_rng(1).standard_normal((4, 3))
    nodes = [N("MatMul", ["x", "w"], ["m"]), N("Tanh", ["m"], ["y"])]
    model = build(nodes, {"x": (D, ("batch", 4))}, constants={"w": weights})
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.DOUBLE, None))
    onnx.save(model, tmp_path / "double.onnx")
    told: list[str] = []
    done = convert_model(str(tmp_path / "double.onnx"), tmp_path / "out", note=told.append)
    assert any("double: computed as float32" in line for line in told)
    more = json.loads((done.folder / "manifest.json").read_text())["x-webnn-runtime"]
    assert more["sourceTypes"] == {"x": "double", "y": "double"}
    assert more["certificate"]["typeMappings"] == more["typeMappings"]
    assert more["certificate"]["verdict"] == "passed"
    assert load_bundle(done.folder).graph.constants["w"].values.dtype == F
    assert recheck_bundle(done.folder).passed

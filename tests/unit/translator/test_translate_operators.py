"""Operators in their ONNX versions, each compared with ONNX Runtime on the source."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from onnx import helper

from webnn_translator._errors import TranslateError
from webnn_translator.translate import translate

N = helper.make_node
F, I64, BOOL = np.float32, np.int64, np.bool_
RNG = np.random.default_rng(7)
X = RNG.standard_normal((2, 3, 4)).astype(F)
SHAPE = {"x": (F, (2, 3, 4))}


def ints(*values):
    return np.asarray(values, I64)


UNARY = """Abs Ceil Cos Elu Erf Exp Floor HardSigmoid LeakyRelu Neg Relu Round Selu Sigmoid Sign Sin Softplus
Softsign Tan Tanh"""


@pytest.mark.parametrize("op", UNARY.split())
def test_functions_of_one_tensor(op, build, agree) -> None:
    agree(build([N(op, ["x"], ["y"])], SHAPE), {"x": X})


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Pow", "Greater", "Less", "Equal", "GreaterOrEqual"])
@pytest.mark.parametrize("shape", [(2, 3, 4), (4,), (3, 1), (), (1, 1, 1, 4)])
def test_binary_operators_broadcast(op, shape, build, agree) -> None:
    b = np.asarray(np.abs(RNG.standard_normal(shape)) + 0.5, F)
    model = build([N(op, ["x", "b"], ["y"])], {"x": (F, (2, 3, 4)), "b": (F, shape)})
    agree(model, {"x": np.abs(X) + F(0.1), "b": b})


@pytest.mark.parametrize("op", ["Max", "Min", "Sum", "Mean"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_any_number_of_operands(op, count, build, agree) -> None:
    names = ["x", "b", "c"][:count]
    arrays = {"x": X, "b": X[:, :1] * 2, "c": X[0] - 1}
    model = build([N(op, names, ["y"])], {name: (F, arrays[name].shape) for name in names})
    agree(model, {name: arrays[name] for name in names})


def test_integer_division_truncates(build, agree) -> None:
    a, b = ints(7, -7, 7, -7), ints(2, 2, -2, -2)
    agree(build([N("Div", ["a", "b"], ["y"])], {"a": (I64, (4,)), "b": (I64, (4,))}), {"a": a, "b": b})


@pytest.mark.parametrize("fmod", [0, 1])
def test_integer_remainder_has_the_right_sign(fmod, build, agree) -> None:
    a, b = ints(7, -7, 7, -7, 6), ints(3, 3, -3, -3, 3)
    model = build([N("Mod", ["a", "b"], ["y"], fmod=fmod)], {"a": (I64, (5,)), "b": (I64, (5,))})
    agree(model, {"a": a, "b": b})


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax_flattens_before_opset_13(op, axis, opset, build, agree) -> None:
    if opset < 13 and axis == -3:
        axis = 0
    agree(build([N(op, ["x"], ["y"], axis=axis)], SHAPE, opset=opset), {"x": X})


def test_softmax_defaults_to_axis_1_before_opset_13(build, agree) -> None:
    agree(build([N("Softmax", ["x"], ["y"])], SHAPE, opset=11), {"x": X})


REDUCE = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"]


@pytest.mark.parametrize("op", REDUCE)
@pytest.mark.parametrize(("axes", "keep"), [((1,), 1), ((0, 2), 0), ((-1,), 0), (None, 1), (None, 0)])
def test_reductions_with_axes_as_attribute_and_as_input(op, axes, keep, build, agree) -> None:
    attributes = {"keepdims": keep} | ({} if axes is None else {"axes": axes})
    x = np.abs(X) + F(0.1)
    agree(build([N(f"Reduce{op}", ["x"], ["y"], **attributes)], SHAPE, opset=12), {"x": x})
    inputs = ["x"] if axes is None else ["x", "axes"]
    constants = {} if axes is None else {"axes": ints(*axes)}
    agree(build([N(f"Reduce{op}", inputs, ["y"], keepdims=keep)], SHAPE, opset=18, constants=constants), {"x": x})


def test_reduction_over_no_axes_can_mean_none(build, agree) -> None:
    node = N("ReduceSum", ["x"], ["y"], noop_with_empty_axes=1)
    agree(build([node], SHAPE), {"x": X})


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize(("axis", "keep", "last"), [(0, 1, 0), (-1, 0, 0), (1, 1, 1)])
def test_index_of_extreme(op, axis, keep, last, build, agree) -> None:
    x = np.asarray([[1, 3, 3], [0, 0, 2]], F)
    node = N(op, ["x"], ["y"], axis=axis, keepdims=keep, select_last_index=last)
    agree(build([node], {"x": (F, (2, 3))}), {"x": x})


@pytest.mark.parametrize(
    ("a", "b"), [((2, 3, 4), (4, 5)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (4,)), ((2, 1, 3, 4), (5, 4, 2))]
)
def test_matmul_of_any_ranks(a, b, build, agree) -> None:
    left, right = (RNG.standard_normal(shape).astype(F) for shape in (a, b))
    agree(build([N("MatMul", ["a", "b"], ["y"])], {"a": (F, a), "b": (F, b)}), {"a": left, "b": right})


@pytest.mark.parametrize("alpha", [0.0, 1.0, 0.5])
@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
@pytest.mark.parametrize(("flip_a", "flip_b"), list(itertools.product([0, 1], [0, 1])))
def test_gemm_keeps_factors_of_zero(alpha, beta, flip_a, flip_b, build, agree) -> None:
    a = RNG.standard_normal((4, 3) if flip_a else (3, 4)).astype(F)
    b = RNG.standard_normal((5, 4) if flip_b else (4, 5)).astype(F)
    c = RNG.standard_normal((5,)).astype(F)
    node = N("Gemm", ["a", "b", "c"], ["y"], alpha=alpha, beta=beta, transA=flip_a, transB=flip_b)
    model = build([node], {"a": (F, a.shape), "c": (F, c.shape)}, constants={"b": b})
    agree(model, {"a": a, "c": c})


EQUATIONS = [
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("bhid,bhjd->bhij", (1, 2, 3, 4), (1, 2, 5, 4)),
    ("ij,kj->ki", (2, 3), (4, 3)),
    ("bi,bj->bij", (2, 3), (2, 4)),
    ("ij,j->", (2, 3), (3,)),
]


@pytest.mark.parametrize(("equation", "a", "b"), EQUATIONS)
def test_einsum_of_two(equation, a, b, build, agree) -> None:
    left, right = (RNG.standard_normal(shape).astype(F) for shape in (a, b))
    node = N("Einsum", ["a", "b"], ["y"], equation=equation)
    agree(build([node], {"a": (F, a), "b": (F, b)}), {"a": left, "b": right})


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2])
def test_layer_normalization_reaches_from_the_axis_to_the_last(axis, build, agree) -> None:
    shape = X.shape[axis:]
    constants = {"s": RNG.standard_normal(shape).astype(F), "b": RNG.standard_normal(shape).astype(F)}
    node = N("LayerNormalization", ["x", "s", "b"], ["y"], axis=axis, epsilon=1e-3)
    agree(build([node], SHAPE, constants=constants), {"x": X}, tolerance=1e-4)


def test_normalizations_of_images(build, agree) -> None:
    x = RNG.standard_normal((2, 4, 3, 5)).astype(F)
    part = {name: np.abs(RNG.standard_normal(4)).astype(F) + F(0.1) for name in "sbmv"}
    inputs = {"x": (F, x.shape)}
    agree(build([N("BatchNormalization", ["x", *"sbmv"], ["y"])], inputs, constants=part), {"x": x}, tolerance=1e-4)
    part = {name: part[name] for name in "sb"}
    agree(build([N("InstanceNormalization", ["x", *"sb"], ["y"])], inputs, constants=part), {"x": x}, tolerance=1e-4)
    node = N("GroupNormalization", ["x", *"sb"], ["y"], num_groups=2)
    agree(build([node], inputs, opset=21, constants=part), {"x": x}, tolerance=1e-4)


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("p", [1, 2])
def test_lp_normalization(axis, p, build, agree) -> None:
    agree(build([N("LpNormalization", ["x"], ["y"], axis=axis, p=p)], SHAPE), {"x": X})


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_in_both_forms(approximate, build, agree) -> None:
    agree(build([N("Gelu", ["x"], ["y"], approximate=approximate)], SHAPE, opset=20), {"x": X})


def test_clip_with_bounds_as_attributes_inputs_and_integers(build, agree) -> None:
    agree(build([N("Clip", ["x"], ["y"], min=-0.5, max=0.0)], SHAPE, opset=9), {"x": X})
    constants = {"hi": np.asarray(0, F)}
    agree(build([N("Clip", ["x", "", "hi"], ["y"])], SHAPE, opset=13, constants=constants), {"x": X})
    big = np.asarray([2**60 + 1, -5, 7], I64)
    constants = {"lo": np.asarray(-2, I64), "hi": np.asarray(2**60, I64)}
    agree(build([N("Clip", ["x", "lo", "hi"], ["y"])], {"x": (I64, (3,))}, constants=constants), {"x": big})


@pytest.mark.parametrize("opset", [9, 13])
@pytest.mark.parametrize("bounds", ["", "min", "max"])
def test_clip_bounds_that_are_not_given_are_the_largest_finite_numbers(opset, bounds, build, agree) -> None:
    x = np.asarray([np.inf, -np.inf, 3e38, -2, 0.5, np.nan], F)
    if opset == 9:
        node, constants = N("Clip", ["x"], ["y"], **{bounds: -1.0} if bounds else {}), {}
    else:
        names = {"": ["x"], "min": ["x", "b"], "max": ["x", "", "b"]}[bounds]
        node, constants = N("Clip", names, ["y"]), {"b": np.asarray(-1, F)} if bounds else {}
    agree(build([node], {"x": (F, ("n",))}, opset=opset, constants=constants), {"x": x})


def test_clip_between_bounds_of_which_one_comes_at_run(build, agree) -> None:
    model = build([N("Clip", ["x", "lo"], ["y"])], {"x": (F, ("n",)), "lo": (F, ())})
    agree(model, {"x": np.asarray([np.inf, -np.inf, 2], F), "lo": np.asarray(-1, F)})


@pytest.mark.parametrize("alpha", [2.0, 0.5, -1.0])
def test_celu_of_either_sign(alpha, build, agree) -> None:
    agree(build([N("Celu", ["x"], ["y"], alpha=alpha)], SHAPE), {"x": X})


@pytest.mark.parametrize("to", [np.float16, np.int32, np.int64, np.uint8, np.bool_, np.float32])
def test_cast_truncates_and_tests_for_zero(to, build, agree) -> None:
    x = np.asarray([[-0.0, 0.4, 1.9], [2.5, 100.7, 3.0]], F)
    node = N("Cast", ["x"], ["y"], to=helper.np_dtype_to_tensor_dtype(np.dtype(to)))
    agree(build([node], {"x": (F, (2, 3))}), {"x": x})


def test_logic_and_selection(build, agree) -> None:
    a, b = np.asarray([1, 1, 0, 0], BOOL), np.asarray([1, 0, 1, 0], BOOL)
    inputs = {"a": (BOOL, (4,)), "b": (BOOL, (4,))}
    nodes = [
        N("And", ["a", "b"], ["c"]),
        N("Or", ["a", "b"], ["d"]),
        N("Xor", ["a", "b"], ["e"]),
        N("Not", ["a"], ["f"]),
    ]
    agree(build(nodes, inputs, ["c", "d", "e", "f"]), {"a": a, "b": b})
    node = N("Where", ["a", "x", "z"], ["y"])
    inputs = {"a": (BOOL, (4,)), "x": (F, (3, 1)), "z": (F, (1, 4))}
    agree(build([node], inputs), {"a": a, "x": X[0, :, :1], "z": X[0, :1]})


def test_not_a_number_and_infinity(build, agree) -> None:
    x = np.asarray([np.nan, np.inf, -np.inf, 1], F)
    nodes = [N("IsNaN", ["x"], ["n"]), N("IsInf", ["x"], ["i"])]
    nodes += [N("IsInf", ["x"], ["p"], detect_negative=0), N("IsInf", ["x"], ["m"], detect_positive=0)]
    agree(build(nodes, {"x": (F, (4,))}, ["n", "i", "p", "m"]), {"x": x})


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_quantize_and_dequantize(axis, build, agree) -> None:
    x = RNG.standard_normal((3, 4)).astype(F)
    size = {None: (), 0: (3,), 1: (4,)}[axis]
    scale = (np.abs(RNG.standard_normal(size)) * 0.02 + 0.01).astype(F)
    attributes = {} if axis is None else {"axis": axis}
    constants = {"s": scale, "z": np.full(size, 3, np.int8)}
    nodes = [
        N("QuantizeLinear", ["x", "s", "z"], ["q"], **attributes),
        N("DequantizeLinear", ["q", "s", "z"], ["y"], **attributes),
    ]
    agree(build(nodes, {"x": (F, (3, 4))}, ["q", "y"], constants=constants), {"x": x})


def test_blocked_dequantize(build, agree) -> None:
    q = RNG.integers(-128, 128, (8, 3)).astype(np.int8)
    constants = {"s": (RNG.random((2, 3)) + 0.1).astype(F), "q": q, "z": np.zeros((2, 3), np.int8)}
    nodes = [N("DequantizeLinear", ["q", "s", "z"], ["w"], axis=0, block_size=4), N("MatMul", ["x", "w"], ["y"])]
    agree(build(nodes, {"x": (F, (2, 8))}, opset=21, constants=constants), {"x": X.reshape(3, 8)[:2]})


@pytest.mark.parametrize("x", [X.reshape(6, 4), np.zeros((6, 4), F), np.abs(X.reshape(6, 4)), -np.abs(X.reshape(6, 4))])
def test_dynamic_quantization(x, build, agree) -> None:
    agree(build([N("DynamicQuantizeLinear", ["x"], ["q", "s", "z"])], {"x": (F, (6, 4))}, ["q", "s", "z"]), {"x": x})


@pytest.mark.parametrize("inner", [4, 300, 1000])
def test_integer_matmul_is_exact_for_long_rows(inner, build, agree) -> None:
    a = RNG.integers(200, 256, (3, inner)).astype(np.uint8)
    b = RNG.integers(0, 128, (inner, 5)).astype(np.int8)
    constants = {"b": b, "za": np.asarray(3, np.uint8), "zb": np.asarray(-100, np.int8)}
    model = build(
        [N("MatMulInteger", ["a", "b", "za", "zb"], ["y"])], {"a": (np.uint8, (3, inner))}, constants=constants
    )
    agree(model, {"a": a})


def test_matmul_between_quantised_tensors(build, agree) -> None:
    a, b = RNG.integers(0, 256, (3, 40)).astype(np.uint8), RNG.integers(-127, 128, (40, 5)).astype(np.int8)
    constants = {
        "sa": np.asarray(0.02, F),
        "za": np.asarray(120, np.uint8),
        "b": b,
        "sb": np.asarray(0.01, F),
        "zb": np.asarray(0, np.int8),
        "sy": np.asarray(0.05, F),
        "zy": np.asarray(110, np.uint8),
    }
    node = N("QLinearMatMul", ["a", "sa", "za", "b", "sb", "zb", "sy", "zy"], ["y"])
    agree(build([node], {"a": (np.uint8, (3, 40))}, constants=constants), {"a": a})


def test_four_bit_matmul(build, agree) -> None:
    packed = RNG.integers(0, 256, (6, 2, 16)).astype(np.uint8)
    constants = {
        "w": packed,
        "s": (RNG.random((6, 2)) + 0.1).astype(F),
        "z": RNG.integers(0, 256, (6, 1)).astype(np.uint8),
    }
    node = N("MatMulNBits", ["x", "w", "s", "z"], ["y"], domain="com.microsoft", K=64, N=6, bits=4, block_size=32)
    x = RNG.standard_normal((3, 64)).astype(F)
    for used in (["x", "w", "s"], ["x", "w", "s", "z"]):
        node.ClearField("input")
        node.input.extend(used)
        given = {name: constants[name] for name in used[1:]}
        model = build([node], {"x": (F, (3, 64))}, constants=given, domains=[("com.microsoft", 1)])
        agree(model, {"x": x}, tolerance=1e-3)


def test_fused_operators_of_onnx_runtime(build, agree) -> None:
    x = RNG.standard_normal((2, 3, 8)).astype(F)
    constants = {name: RNG.standard_normal(8).astype(F) for name in ("g", "b", "i")}
    inputs = {"x": (F, x.shape), "k": (F, x.shape)}
    ms = {"domain": "com.microsoft"}
    cases = [
        N("SkipLayerNormalization", ["x", "k", "g", "b", "i"], ["y", "", "", "s"], epsilon=1e-5, **ms),
        N("SkipSimplifiedLayerNormalization", ["x", "k", "g"], ["y", "", "", "s"], epsilon=1e-5, **ms),
        N("BiasGelu", ["x", "b"], ["y"], **ms),
        N("FastGelu", ["x", "b"], ["y"], **ms),
        N("QuickGelu", ["x"], ["y"], alpha=1.702, **ms),
        N("FusedMatMul", ["x", "k"], ["y"], transB=1, alpha=0.25, **ms),
    ]
    for node in cases:
        used = [name for name in node.input if name in constants]
        outputs = [name for name in node.output if name]
        given = {name: inputs[name] for name in inputs if name in node.input}
        model = build(
            [node], given, outputs, constants={name: constants[name] for name in used}, domains=[("com.microsoft", 1)]
        )
        feed = {"x": x, "k": x[::-1].copy()}
        agree(model, {name: feed[name] for name in given}, tolerance=1e-3 if node.op_type == "FastGelu" else 1e-5)


@pytest.mark.parametrize("op", ["Max", "Min", "Sum", "Mean"])
def test_tensors_of_one_shape_before_opset_8(op, build, agree) -> None:
    inputs = dict.fromkeys("abc", (F, ("n", 3)))
    feed = {name: np.random.default_rng(ord(name)).standard_normal((2, 3)).astype(F) for name in "abc"}
    agree(build([N(op, ["a", "b", "c"], ["y"])], inputs, opset=7), feed)
    with pytest.raises(TranslateError, match="of one shape before opset 8"):
        translate(build([N(op, ["a", "b"], ["y"])], {**inputs, "b": (F, (3,))}, opset=7))

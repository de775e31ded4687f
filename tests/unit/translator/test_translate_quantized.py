"""Quantised operators against ONNX Runtime: integers have to be equal."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from webnn_runtime.backends import get_backend
from webnn_translator._errors import TranslateError
from webnn_translator.translate import translate

N = helper.make_node
F, U8, I8, I32 = np.float32, np.uint8, np.int8, np.int32
RNG = np.random.default_rng(11)
MS = {"domain": "com.microsoft"}
DOMAINS = [("com.microsoft", 1)]
TYPES = {"uint8": (U8, U8), "uint8, int8": (U8, I8), "int8": (I8, I8)}


def numbers(dtype, *shape) -> np.ndarray:
    """All values of an integer type."""
    return RNG.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, shape).astype(dtype)


def normal(*shape) -> np.ndarray:
    return RNG.standard_normal(shape).astype(F)


def run(build, agree, op, feed, constants, names, *, free=None, outputs=("y",), opset=17, kind=None, **options):
    """One node; `feed` are its inputs at run, `free` their dimensions."""
    inputs = {name: (array.dtype, (free or {}).get(name, array.shape)) for name, array in feed.items()}
    model = build(
        [N(op, names, list(outputs), **options)], inputs, outputs, constants=constants, domains=DOMAINS, opset=opset
    )
    if kind is not None:
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info(outputs[0], kind, None))
    return agree(model, feed, tolerance=1e-5)


KINDS = {np.dtype(U8): TensorProto.UINT8, np.dtype(I8): TensorProto.INT8}


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("inner", [7, 700])
def test_product_of_integers_to_float(types, columns, inner, build, agree) -> None:
    left, right = TYPES[types]
    count = 5 if columns else 1
    constants = {
        "b": numbers(right, inner, 5),
        "as": np.asarray(0.02, F),
        "bs": RNG.uniform(0.01, 0.05, count).astype(F),
        "az": numbers(left),
        "bz": numbers(right, count) if left is U8 else np.zeros(count, right),
        "c": normal(5),
    }
    if not columns:
        constants |= {"bs": constants["bs"][0], "bz": constants["bz"][0]}
    names = ["a", "b", "as", "bs", "az", "bz", "c"]
    free = {"a": ("n", "t", inner)}
    feed = {"a": numbers(left, 2, 3, inner)}
    run(build, agree, "MatMulIntegerToFloat", feed, constants, names, free=free, **MS)


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("right", [U8, I8])
@pytest.mark.parametrize("biased", [False, True])
def test_product_of_a_dynamically_quantised_matrix(right, columns, biased, build, agree) -> None:
    count = (5,) if columns else ()
    constants = {
        "b": numbers(right, 7, 5),
        "bs": np.asarray(RNG.uniform(0.01, 0.05, count), F),
        "bz": np.asarray(numbers(right, *count), right),
        "c": normal(5),
    }
    names = ["a", "b", "bs", "bz", *(["c"] if biased else [])]
    feed = {"a": normal(2, 3, 7)}
    run(build, agree, "DynamicQuantizeMatMul", feed, constants, names, free={"a": ("n", "t", 7)}, **MS)


@pytest.mark.parametrize("scales", ["one", "columns"])
@pytest.mark.parametrize("types", TYPES)
def test_quantised_gemm(types, scales, build, agree) -> None:
    left, right = TYPES[types]
    count = (5,) if scales == "columns" else ()
    constants = {
        "as": np.asarray(0.02, F),
        "az": np.asarray(numbers(left)),
        "b": numbers(right, 5, 7),
        "bs": np.asarray(RNG.uniform(0.01, 0.05, count), F),
        "bz": np.asarray(np.zeros(count) if left is I8 else numbers(right, *count), right),
        "c": RNG.integers(-5000, 5000, 5).astype(I32),
        "ys": np.asarray(0.1, F),
        "yz": np.asarray(3, left),
    }
    feed = {"a": numbers(left, 3, 7)}
    names = ["a", "as", "az", "b", "bs", "bz", "c"]
    options = {"free": {"a": ("n", 7)}, "transB": 1, "alpha": 0.5, **MS}
    run(build, agree, "QGemm", feed, constants, names, **options)
    run(build, agree, "QGemm", feed, constants, [*names, "ys", "yz"], kind=KINDS[np.dtype(left)], **options)
    # As ONNX Runtime's quantiser leaves it where a bias is shared with a node that it does not quantise.
    with pytest.raises(TranslateError, match=r"the bias is .*; int32 .*; the model is not valid"):
        run(build, agree, "QGemm", feed, constants | {"c": numbers(U8, 5)}, names, **options)


@pytest.mark.parametrize("most", [200, 4000])
def test_product_whose_inner_dimension_is_named(most, build, agree) -> None:
    feed = {"a": numbers(U8, 2, 3, 150), "b": numbers(U8, 2, 150, 4)}
    if most > 1000:
        # Sums far beyond what float32 holds exactly.
        feed = {"a": np.full((2, 3, 3001), 253, U8), "b": np.full((2, 3001, 4), 251, U8)}
    inputs = {"a": (U8, ("n", 3, "k")), "b": (U8, ("n", "k", 4))}
    model = build([N("MatMulInteger", ["a", "b"], ["y"])], inputs)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.INT32, None))
    agree(model, feed, max_dims={"k": most})


def test_product_without_a_bound_asks_for_one(build) -> None:
    inputs = {"a": (U8, ("n", "k")), "b": (U8, ("k", 4))}
    with pytest.raises(TranslateError, match="--max-dim"):
        translate(build([N("MatMulInteger", ["a", "b"], ["y"])], inputs))


CONVOLUTIONS = {
    "plain": ((2, 4, 6, 5), (3, 4, 3, 3), {}),
    "padded": ((1, 4, 6, 5), (3, 4, 3, 3), {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
    "groups": ((1, 6, 5, 5), (4, 3, 3, 3), {"group": 2, "dilations": [1, 2], "pads": [1, 2, 1, 2]}),
    "depthwise": ((1, 4, 5, 5), (4, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
    "same": ((1, 4, 5, 6), (3, 4, 3, 2), {"auto_pad": "SAME_LOWER"}),
    "one axis": ((2, 4, 9), (3, 4, 3), {"pads": [1, 1]}),
    "many channels": ((1, 300, 3, 3), (2, 300, 3, 3), {"pads": [1, 1, 1, 1]}),
    "many channels in groups": ((1, 600, 3, 3), (2, 300, 3, 3), {"group": 2}),
}


@pytest.mark.parametrize("is_constant", [False, True])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_of_integers(name, is_constant, build, agree) -> None:
    shape, filters, options = CONVOLUTIONS[name]
    feed = {"x": numbers(U8, *shape), "w": numbers(U8, *filters)}
    constants = {"xz": np.asarray(130, U8), "wz": np.asarray(120, U8)}
    if is_constant:
        constants["w"] = feed.pop("w")
    free = {"x": ("n", *shape[1:])}
    kind = TensorProto.INT32
    run(build, agree, "ConvInteger", feed, constants, ["x", "w", "xz", "wz"], free=free, kind=kind, **options)


@pytest.mark.parametrize(("settings", "least"), [({}, 3), ({"pads": [1, 1, 0, 0]}, 2), ({"auto_pad": "SAME_UPPER"}, 1)])
def test_a_convolution_of_integers_has_a_whole_window(settings, least, build, agree) -> None:
    settings = {**settings, "strides": [2, 1]}
    constants = {"w": numbers(U8, 2, 3, 3, 3), "xz": np.asarray(130, U8), "wz": np.asarray(120, U8)}
    node = N("ConvInteger", ["x", "w", "xz", "wz"], ["y"], **settings)
    model = build([node], {"x": (U8, ("n", 3, "h", "w_"))}, constants=constants)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.INT32, None))
    sizes = ((1, least, least), (2, least + 1, 7), (1, 8, least + 2))
    found = agree(model, *({"x": numbers(U8, rows, 3, high, wide)} for rows, high, wide in sizes))
    assert [found.graph.dims[name].min_size for name in ("h", "w_")] == [least, least]


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_quantised_convolution(name, channels, types, build, agree) -> None:
    (shape, filters, options), (left, right) = CONVOLUTIONS[name], TYPES[types]
    count = filters[0] if channels else 1
    constants = {
        "xs": np.asarray(0.02, F),
        "xz": np.asarray(numbers(left)),
        "w": numbers(right, *filters),
        "ws": RNG.uniform(0.01, 0.05, count).astype(F),
        "wz": np.zeros(count, right) if right is I8 else np.full(count, 128, U8),
        "ys": np.asarray(2.0 if "many" in name else 0.5, F),
        "yz": np.asarray(9, left),
        "b": RNG.integers(-5000, 5000, filters[0]).astype(I32),
    }
    names = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"]
    feed, free = {"x": numbers(left, *shape)}, {"x": ("n", *shape[1:])}
    run(build, agree, "QLinearConv", feed, constants, names, free=free, kind=KINDS[np.dtype(left)], **options)


def parameters(dtype, *prefixes, scale=0.03) -> dict[str, np.ndarray]:
    """A scale and a zero point for each prefix."""
    found: dict[str, np.ndarray] = {}
    for index, prefix in enumerate(prefixes):
        found[f"{prefix}s"] = np.asarray(scale * (1 + 0.37 * index), F)
        found[f"{prefix}z"] = np.asarray(np.iinfo(dtype).min + 120 + 7 * index, dtype)
    return found


def centred(feed, constants, name) -> np.ndarray:
    """The numbers that quantised ones stand for, in float64."""
    given = feed.get(name, constants.get(name))
    return (given.astype(np.float64) - constants[f"{name}z"]) * np.float64(constants[f"{name}s"])


def check_rounding(found, exact, constants) -> None:
    """Each integer is the nearest one to the exact result, or one of two that are as near but for float32."""
    wanted = exact / np.float64(constants["ys"]) + constants["yz"]
    limits = np.iinfo(found.dtype)
    assert np.abs(found - np.clip(wanted, limits.min, limits.max)).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("dtype", [U8, I8])
@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
def test_quantised_sums_and_products(op, dtype, build, optional) -> None:
    # ONNX Runtime multiplies by ratios of scales, and so decides some near ties in another way.
    feed = {"a": numbers(dtype, 3, 40), "b": numbers(dtype, 40)}
    constants = parameters(dtype, "a", "b", "y", scale=0.03 if op == "QLinearAdd" else 0.07)
    names = ["a", "as", "az", "b", "bs", "bz", "ys", "yz"]
    inputs = {"a": (dtype, ("n", 40)), "b": (dtype, (40,))}
    model = build([N(op, names, ["y"], **MS)], inputs, constants=constants, domains=DOMAINS)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", KINDS[np.dtype(dtype)], None))
    theirs = optional("onnxruntime").InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    left, right = (centred(feed, constants, name) for name in "ab")
    exact = left + right if op == "QLinearAdd" else left * right
    check_rounding(get_backend("numpy").compile(translate(model).graph).run(feed)["y"], exact, constants)
    check_rounding(theirs.run(None, feed)[0], exact, constants)


@pytest.mark.parametrize("keeps", [0, 1])
def test_quantised_mean(keeps, build) -> None:
    # ONNX Runtime has a schema of it and no kernel.
    feed, constants = {"x": numbers(U8, 2, 4, 5, 6)}, parameters(U8, "x", "y", scale=0.013)
    node = N("QLinearReduceMean", ["x", "xs", "xz", "ys", "yz"], ["y"], axes=[1, 2], keepdims=keeps, **MS)
    graph = translate(build([node], {"x": (U8, ("n", 4, 5, 6))}, constants=constants, domains=DOMAINS)).graph
    exact = centred(feed, constants, "x").mean((1, 2), keepdims=keeps == 1)
    check_rounding(get_backend("numpy").compile(graph).run(feed)["y"], exact, constants)


ONE = {
    "QLinearSigmoid": {},
    "QLinearLeakyRelu": {"alpha": 0.3},
    "QLinearGlobalAveragePool": {},
    "QLinearAveragePool": {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "strides": [2, 1]},
}


@pytest.mark.parametrize("dtype", [U8, I8])
@pytest.mark.parametrize("op", ONE)
def test_quantised_functions_of_one_tensor(op, dtype, build, agree) -> None:
    feed = {"x": numbers(dtype, 2, 4, 5, 6)}
    constants = parameters(dtype, "x", "y", scale=0.013)
    names = ["x", "xs", "xz", "ys", "yz"]
    kind = KINDS[np.dtype(dtype)]
    run(build, agree, op, feed, constants, names, free={"x": ("n", 4, 5, 6)}, kind=kind, **ONE[op], **MS)


@pytest.mark.parametrize("include", [0, 1])
def test_quantised_pool_with_channels_last(include, build, agree) -> None:
    feed = {"x": numbers(U8, 1, 5, 6, 4)}
    options = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "channels_last": 1, "count_include_pad": include}
    names = ["x", "xs", "xz", "ys", "yz"]
    constants = parameters(U8, "x", "y")
    run(build, agree, "QLinearAveragePool", feed, constants, names, kind=TensorProto.UINT8, **options, **MS)


@pytest.mark.parametrize(("opset", "axis"), [(13, -1), (13, 1), (12, 1), (12, 2)])
@pytest.mark.parametrize("dtype", [U8, I8])
def test_quantised_softmax(dtype, opset, axis, build, agree) -> None:
    feed = {"x": numbers(dtype, 2, 3, 5)}
    low = np.iinfo(dtype).min
    constants = parameters(dtype, "x") | {"ys": np.asarray(1 / 256, F), "yz": np.asarray(low, dtype)}
    names = ["x", "xs", "xz", "ys", "yz"]
    node = N("QLinearSoftmax", names, ["y"], axis=axis, opset=opset, **MS)
    model = build([node], {"x": (dtype, (2, 3, 5))}, constants=constants, domains=DOMAINS, opset=opset)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", KINDS[np.dtype(dtype)], None))
    agree(model, feed)


@pytest.mark.parametrize("dtype", [U8, I8])
def test_quantised_concat(dtype, build, agree) -> None:
    feed = {"a": numbers(dtype, 2, 3), "b": numbers(dtype, 2, 4)}
    constants = parameters(dtype, "y", "a") | {"bs": np.asarray(0.03, F), "bz": parameters(dtype, "y")["yz"]}
    names = ["ys", "yz", "a", "as", "az", "b", "bs", "bz"]
    free = {"a": ("n", 3), "b": ("n", 4)}
    run(build, agree, "QLinearConcat", feed, constants, names, free=free, kind=KINDS[np.dtype(dtype)], axis=1, **MS)


def test_quantised_where(build, agree) -> None:
    feed = {"c": RNG.integers(0, 2, (3, 1)).astype(bool), "x": numbers(U8, 3, 4), "y": numbers(U8, 4)}
    constants = parameters(U8, "x", "y", "z")
    names = ["c", "x", "xs", "xz", "y", "ys", "yz", "zs", "zz"]
    run(build, agree, "QLinearWhere", feed, constants, names, outputs=("out",), kind=TensorProto.UINT8, **MS)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("causal", [0, 1])
def test_quantised_attention(causal, columns, masked, build, agree) -> None:
    count = (24,) if columns else ()
    constants = {
        "w": numbers(I8, 8, 24),
        "b": normal(24),
        "xs": np.asarray(0.02, F),
        "ws": np.asarray(RNG.uniform(0.005, 0.02, count), F),
        "xz": np.asarray(130, U8),
        "wz": np.zeros(count, I8),
    }
    feed = {"x": numbers(U8, 2, 5, 8)} | ({"m": np.asarray([5, 2], I32)} if masked else {})
    names = ["x", "w", "b", "xs", "ws", "m" if masked else "", "xz", "wz"]
    free = {"x": ("n", "t", 8), "m": ("n",)}
    run(build, agree, "QAttention", feed, constants, names, free=free, num_heads=2, unidirectional=causal, **MS)


@pytest.mark.parametrize("segments", [False, True])
def test_quantised_embeddings(segments, build, agree) -> None:
    tables = {"word": (20, 8), "place": (6, 8), "kind": (2, 8), "g": (8,), "b": (8,)}
    constants: dict[str, np.ndarray] = {}
    for name, shape in tables.items():
        constants |= {name: numbers(U8, *shape), f"{name}s": np.asarray(0.02, F), f"{name}z": np.asarray(120, U8)}
    feed = {"i": RNG.integers(0, 20, (2, 5)).astype(I32), "m": np.asarray([[1] * 5, [1, 1, 0, 0, 0]], I32)}
    if segments:
        feed["s"] = RNG.integers(0, 2, (2, 5)).astype(I32)
    kind = "kind" if segments else ""
    names = ["i", "s" if segments else "", "word", "place", kind, "g", "b", "m"]
    names += [f"{name}{part}" if name else "" for part in "sz" for name in ("word", "place", kind, "g", "b")]
    node = N("QEmbedLayerNormalization", names, ["y", "index"], epsilon=1e-5, **MS)
    inputs = {name: (array.dtype, ("n", "t")) for name, array in feed.items()}
    counted = N("Cast", ["index"], ["z"], to=1)
    model = build([node, counted], inputs, ["y", "z"], constants=constants, domains=DOMAINS)
    agree(model, feed, tolerance=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
@pytest.mark.parametrize("axis", [None, 1])
def test_quantisation_of_the_domain_of_onnx_runtime(axis, dtype, build, agree) -> None:
    count = () if axis is None else (4,)
    constants = {
        "s": np.asarray(RNG.uniform(0.001, 0.01, count), F),
        "z": np.asarray(RNG.integers(5, 100, count), dtype),
    }
    options = MS if axis is None else {"axis": axis, **MS}
    nodes = [
        N("QuantizeLinear", ["x", "s", "z"], ["q"], **options),
        N("DequantizeLinear", ["q", "s", "z"], ["y"], **options),
    ]
    agree(build(nodes, {"x": (F, ("n", 4, 5))}, constants=constants, domains=DOMAINS), {"x": normal(3, 4, 5) * 9})


@pytest.mark.parametrize("op", ["QuantizeLinear", "DequantizeLinear"])
@pytest.mark.parametrize("scale", [np.inf, np.nan])
def test_a_scale_that_is_no_number_is_refused(op, scale, build) -> None:
    """A calibration that saw a mask of -inf writes one; every processor makes another byte of inf / inf."""
    inputs = {"x": (F if op == "QuantizeLinear" else U8, ("n", 3))}
    model = build([N(op, ["x", "s", "z"], ["y"])], inputs, constants={"s": np.array(scale, F), "z": np.array(3, U8)})
    with pytest.raises(TranslateError, match="export the model with a finite mask"):
        translate(model)

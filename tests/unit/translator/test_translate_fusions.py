"""What ONNX Runtime's optimiser makes of neighbouring operators, against ONNX Runtime."""

from __future__ import annotations

import math

import numpy as np
import pytest
from onnx import TensorProto, helper

from webnn_runtime.backends import get_backend
from webnn_translator._errors import TranslateError
from webnn_translator.translate import translate

N = helper.make_node
F, U8 = np.float32, np.uint8
RNG = np.random.default_rng(21)
MS = {"domain": "com.microsoft"}
DOMAINS = [("com.microsoft", 1)]


def normal(*shape) -> np.ndarray:
    return RNG.standard_normal(shape).astype(F)


def run(build, agree, op, feed, names, *, constants=None, free=None, **options):
    inputs = {name: (array.dtype, (free or {}).get(name, array.shape)) for name, array in feed.items()}
    model = build([N(op, names, ["y"], **options, **MS)], inputs, constants=constants or {}, domains=DOMAINS)
    return agree(model, feed, tolerance=1e-4)


PLAIN = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (1, 1, 0, 0)]
BATCHED = [(0, 0, 1, 1), (1, 1, 1, 1), (0, 1, 1, 0)]


@pytest.mark.parametrize(
    ("rank", "flags"), [*((2, flags) for flags in PLAIN), *((4, flags) for flags in PLAIN + BATCHED)]
)
def test_product_of_moved_axes(rank, flags, build, agree) -> None:
    # Batches [2, 3] (or none), 4 rows, 5 inner, 6 columns; each operand is stored as its flags say.
    stored = {}
    for name, rows, columns, flip, batch in (("a", 4, 5, flags[0], flags[2]), ("b", 5, 6, flags[1], flags[3])):
        shape = [columns, rows] if flip else [rows, columns]
        if rank == 4:
            shape = [shape[0], 2, 3, shape[1]] if batch else [2, 3, *shape]
        stored[name] = normal(*shape)
    options = dict(zip(("transA", "transB", "transBatchA", "transBatchB"), flags, strict=True))
    run(build, agree, "FusedMatMul", stored, ["a", "b"], alpha=0.5, **options)


ACTIVATIONS = [
    ("Relu", {}),
    ("Tanh", {}),
    ("Sigmoid", {}),
    ("LeakyRelu", {"activation_alpha": 0.3}),
    ("HardSigmoid", {"activation_alpha": 0.3, "activation_beta": 0.4}),
]


@pytest.mark.parametrize(("name", "parameters"), ACTIVATIONS)
def test_gemm_with_an_activation(name, parameters, build, agree) -> None:
    feed = {"a": normal(3, 4), "b": normal(5, 4), "c": normal(5)}
    options = {"transB": 1, "beta": 0.5, "alpha": 2.0, "activation": name, **parameters}
    run(build, agree, "FusedGemm", feed, ["a", "b", "c"], free={"a": ("n", 4)}, **options)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("Relu", []), ("LeakyRelu", [0.2]), ("Clip", [-0.5, 0.5]), ("HardSigmoid", [0.3, 0.4]), ("Tanh", []), ("", [])],
)
@pytest.mark.parametrize("extra", [False, True])
def test_convolution_with_an_activation_and_a_sum(extra, name, parameters, build, agree) -> None:
    feed = {"x": normal(2, 3, 5, 6)} | ({"z": normal(2, 4, 5, 6)} if extra else {})
    constants = {"w": normal(4, 3, 3, 3), "b": normal(4)}
    options = {"pads": [1, 1, 1, 1]} | ({"activation": name} if name else {})
    if parameters:
        options["activation_params"] = parameters
    free = {"x": ("n", 3, 5, 6), "z": ("n", 4, 5, 6)}
    names = ["x", "w", "b", *(["z"] if extra else [])]
    run(build, agree, "FusedConv", feed, names, constants=constants, free=free, **options)


def test_convolution_with_channels_last(build) -> None:
    # ONNX Runtime has it for some processors only: the plain convolution of the same numbers is what to compare with.
    x, z = normal(2, 5, 6, 3), normal(2, 5, 6, 4)
    constants = {"w": normal(4, 3, 3, 3), "b": normal(4)}
    results = []
    for op, moved in (("FusedConv", (0, 3, 1, 2)), ("NhwcFusedConv", (0, 1, 2, 3))):
        feed = {"x": x.transpose(moved).copy(), "z": z.transpose(moved).copy()}
        inputs = {name: (F, array.shape) for name, array in feed.items()}
        node = N(op, ["x", "w", "b", "z"], ["y"], pads=[1, 1, 1, 1], activation="Relu", **MS)
        graph = translate(build([node], inputs, constants=constants, domains=DOMAINS)).graph
        results.append(get_backend("numpy").compile(graph).run(feed)["y"])
    np.testing.assert_allclose(results[0].transpose(0, 2, 3, 1), results[1], rtol=1e-6)


@pytest.mark.parametrize("channels", [3, 2])
def test_convolution_with_weights_of_channels_last(channels, build, optional) -> None:
    """As ONNX Runtime's optimiser writes it; only its GPUs run that, so the convolution before it is the reference."""
    fusion = optional("onnxruntime.transformers.fusion_nhwc_conv")
    files = optional("onnxruntime.transformers.onnx_model")
    x = normal(2, channels, 5, 6)
    inputs, constants = {"x": (F, x.shape)}, {"w": normal(4, channels, 3, 3), "b": normal(4)}
    model = build([N("Conv", ["x", "w", "b"], ["y"], pads=[1, 1, 1, 1])], inputs, constants=constants)
    session = optional("onnxruntime").InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = session.run(["y"], {"x": x})[0]
    wrapped = files.OnnxModel(model)
    fusion.FusionNhwcConv(wrapped, update_weight=True).apply()
    assert "NhwcConv" in {node.op_type for node in wrapped.model.graph.node}
    wrapped.model.opset_import.append(helper.make_opsetid(*DOMAINS[0]))
    found = get_backend("numpy").compile(translate(wrapped.model).graph).run({"x": x})["y"]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_largest_of_windows_with_channels_last(build, agree) -> None:
    feed = {"x": RNG.integers(0, 256, (1, 6, 7, 3)).astype(U8)}
    node = N("NhwcMaxPool", ["x"], ["y"], kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[2, 1], **MS)
    model = build([node], {"x": (U8, ("n", 6, 7, 3))}, domains=DOMAINS)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.UINT8, None))
    agree(model, feed)


@pytest.mark.parametrize("shape", [(2, 3, 8), (1, 3, 8), (3, 8)])
@pytest.mark.parametrize("op", ["SkipLayerNormalization", "SkipSimplifiedLayerNormalization"])
def test_normalised_sums(op, shape, build, agree) -> None:
    feed = {"x": normal(2, 3, 8), "s": normal(*shape)}
    constants = {"g": normal(8), "b": normal(8), "c": normal(8)}
    names = ["x", "s", "g", "b", "c"] if op == "SkipLayerNormalization" else ["x", "s", "g", "c"]
    inputs = {"x": (F, ("n", 3, 8)), "s": (F, shape if shape[0] != 2 else ("n", 3, 8))}
    node = N(op, names, ["y", "", "", "sum"], epsilon=1e-3, **MS)
    model = build([node], inputs, ["y", "sum"], constants=constants, domains=DOMAINS)
    agree(model, feed, tolerance=1e-4)


@pytest.mark.parametrize("op", ["FastGelu", "QuickGelu", "Gelu", "BiasGelu"])
def test_gelus(op, build, agree) -> None:
    names = ["x", "b"] if op in ("FastGelu", "BiasGelu") else ["x"]
    feed = {"x": normal(3, 8) * 3}
    run(build, agree, op, feed, names, constants={"b": normal(8)} if len(names) > 1 else {}, free={"x": ("n", 8)})


def gelu(x) -> np.ndarray:
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def group_norm(x, gamma, beta, groups, epsilon) -> np.ndarray:
    """Channels on the last axis, in float64."""
    apart = x.astype(np.float64).reshape(x.shape[0], -1, groups, x.shape[-1] // groups)
    centred = apart - apart.mean((1, 3), keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean((1, 3), keepdims=True) + epsilon)
    return scaled.reshape(x.shape) * gamma + beta


@pytest.mark.parametrize("is_last", [0, 1])
@pytest.mark.parametrize("activation", [0, 1])
@pytest.mark.parametrize("skip", [(2, 3, 4, 6), (2, 1, 1, 6), (2, 6)])
def test_group_norms_of_diffusion_models(skip, activation, is_last, build) -> None:
    # ONNX Runtime has these on GPUs only: their documented formulas are what to compare with.
    x, s, constants = normal(2, 3, 4, 6), normal(*skip), {"g": normal(6), "b": normal(6), "c": normal(6)}
    total = x + s.reshape(2, 1, 1, 6) if len(skip) == 2 else x + s
    wanted = group_norm(total + constants["c"], constants["g"], constants["b"], 3, 1e-3)
    if activation:
        wanted = wanted / (1 + np.exp(-wanted))
    feed = {"x": x, "s": s}
    if not is_last:
        feed = {name: array.transpose(0, 3, 1, 2).copy() if array.ndim == 4 else array for name, array in feed.items()}
    inputs = {name: (F, array.shape) for name, array in feed.items()}
    options = {"groups": 3, "epsilon": 1e-3, "activation": activation, "channels_last": is_last, **MS}
    node = N("SkipGroupNorm", ["x", "g", "b", "s", "c"], ["y"], **options)
    graph = translate(build([node], inputs, constants=constants, domains=DOMAINS)).graph
    found = get_backend("numpy").compile(graph).run(feed)["y"]
    np.testing.assert_allclose(found if is_last else found.transpose(0, 2, 3, 1), wanted, rtol=1e-4, atol=1e-5)


def test_biases_of_diffusion_models(build) -> None:
    feed = {"x": normal(2, 3, 8), "s": normal(2, 3, 8)}
    bias = normal(8)
    nodes = [N("BiasAdd", ["x", "b", "s"], ["y"], **MS), N("BiasSplitGelu", ["x", "b"], ["z"], **MS)]
    inputs = dict.fromkeys(feed, (F, ("n", 3, 8)))
    graph = translate(build(nodes, inputs, ["y", "z"], constants={"b": bias}, domains=DOMAINS)).graph
    found = get_backend("numpy").compile(graph).run(feed)
    np.testing.assert_allclose(found["y"], feed["x"] + bias + feed["s"], rtol=1e-6)
    total = (feed["x"] + bias).astype(np.float64)
    np.testing.assert_allclose(found["z"], total[..., :4] * gelu(total[..., 4:]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("metric", [None, "euclidean", "sqeuclidean"])
def test_distances_of_rows(metric, build, agree) -> None:
    feed = {"a": normal(4, 5), "b": normal(3, 5)}
    options = {} if metric is None else {"metric": metric}
    run(build, agree, "CDist", feed, ["a", "b"], free={"a": ("n", 5), "b": ("m", "k")}, **options)


@pytest.mark.parametrize(
    ("op", "names", "options"),
    [
        ("Trilu", ["x"], {"upper": 0}),
        ("Trilu", ["x", "k"], {}),
        ("GridSample", ["x", "grid"], {}),
        ("GridSample", ["x", "grid"], {"mode": "nearest", "padding_mode": "reflection", "align_corners": 1}),
        ("GatherND", ["x", "places"], {}),
    ],
)
def test_operators_that_onnx_took_over_later(op, names, options, build, agree) -> None:
    constants = {"k": np.asarray(-1, np.int64), "places": np.asarray([[1, 0], [0, 2]], np.int64)}
    feed = {"x": normal(2, 3, 4, 5), "grid": RNG.uniform(-1.2, 1.2, (2, 6, 3, 2)).astype(F)}
    feed, held = ({name: held for name, held in arrays.items() if name in names} for arrays in (feed, constants))
    run(build, agree, op, feed, names, constants=held, free={"x": ("n", 3, "h", "w")}, **options)


@pytest.mark.parametrize(
    ("op", "why"),
    [
        ("BeamSearch", "step by step"),
        ("BifurcationDetector", "step by step"),
        ("CropAndResize", "before the model"),
        ("Inverse", "no solver"),
        ("MoE", "experts"),
        ("PagedAttention", "padded batches"),
        ("RelativePositionBias", "as it was before"),
    ],
)
def test_operators_without_a_counterpart_say_why(op, why, build) -> None:
    with pytest.raises(TranslateError, match=why):
        translate(build([N(op, ["x"], ["y"], **MS)], {"x": (F, (2, 2))}, domains=DOMAINS))

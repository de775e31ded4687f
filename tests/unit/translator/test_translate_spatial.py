"""Convolutions, pools, resizing and padding with attributes drawn at random, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from webnn_translator._errors import TranslateError
from webnn_translator.translate import translate

# Each seed is one model; a larger range is a longer search for differences.
SEEDS = range(8)


def some(rng, low, high, count):
    return [int(number) for number in rng.integers(low, high, count, endpoint=True)]


def data(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def refusal(model):
    try:
        translate(model)
    except TranslateError as exc:
        return str(exc)
    return None


@pytest.mark.parametrize("spatial", [1, 2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_convolutions(build, agree, seed, spatial) -> None:
    rng = np.random.default_rng([seed, spatial])
    groups = int(rng.integers(1, 3))
    kernel, sizes = some(rng, 1, 3, spatial), some(rng, 5, 7, spatial)
    strides, dilations = some(rng, 1, 3, spatial), some(rng, 1, 2, spatial)
    settings = {"strides": strides, "dilations": dilations, "group": groups}
    if rng.random() < 0.7:
        settings["pads"] = some(rng, 0, 2, 2 * spatial)
    else:
        settings["auto_pad"] = "SAME_UPPER" if rng.random() < 0.5 else "SAME_LOWER"
        settings["dilations"] = [1] * spatial
    x = data(rng, 2, 2 * groups, *sizes)
    conv = build(
        [helper.make_node("Conv", ["x", "w", "b"], ["y"], **settings)],
        {"x": (np.float32, ["n", *x.shape[1:]])},
        constants={"w": data(rng, 3 * groups, 2, *kernel), "b": data(rng, 3 * groups)},
    )
    agree(conv, {"x": x})
    more = [int(rng.integers(0, stride)) for stride in strides]
    if "auto_pad" in settings:
        more = [0] * spatial
        settings.pop("auto_pad")
        settings["output_shape"] = [
            (size - 1) * stride + side - int(rng.integers(0, 2))
            for size, stride, side in zip(sizes, strides, kernel, strict=True)
        ]
    turned = build(
        [helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], **settings, output_padding=more)],
        {"x": (np.float32, ["n", *x.shape[1:]])},
        constants={"w": data(rng, 2 * groups, 3, *kernel), "b": data(rng, 3 * groups)},
    )
    agree(turned, {"x": x})


@pytest.mark.parametrize("spatial", [1, 2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_pools(build, agree, seed, spatial) -> None:
    rng = np.random.default_rng([seed, spatial, 1])
    kernel, sizes, strides = some(rng, 2, 3, spatial), some(rng, 5, 8, spatial), some(rng, 1, 3, spatial)
    settings = {"kernel_shape": kernel, "strides": strides, "ceil_mode": int(rng.integers(0, 2))}
    settings["pads"] = some(rng, 0, 1, 2 * spatial)
    x = data(rng, 2, 3, *sizes)
    inputs = {"x": (np.float32, ["n", *x.shape[1:]])}
    dilations = some(rng, 1, 2, spatial)
    order = int(rng.integers(0, 2)) if spatial == 2 else 0
    maximum = helper.make_node("MaxPool", ["x"], ["y", "i"], **settings, dilations=dilations, storage_order=order)
    agree(build([maximum], inputs, ["y", "i"]), {"x": x})
    agree(build([helper.make_node("AveragePool", ["x"], ["y"], **settings, count_include_pad=0)], inputs), {"x": x})
    settings["ceil_mode"] = 0
    agree(build([helper.make_node("AveragePool", ["x"], ["y"], **settings, count_include_pad=1)], inputs), {"x": x})
    norm = helper.make_node("LpPool", ["x"], ["y"], p=int(rng.integers(1, 4)), **{**settings, "ceil_mode": 0})
    agree(build([norm], inputs, opset=18), {"x": x}, tolerance=1e-4)


MODES = [("nearest", False), ("linear", False), ("cubic", False), ("linear", True), ("cubic", True)]
COORDINATES = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric"]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("mode", "antialias"), MODES)
def test_resize(build, agree, seed, mode, antialias) -> None:
    rng = np.random.default_rng([seed, len(mode), antialias])
    sizes = some(rng, 2, 7, 2)
    x = data(rng, 2, 3, *sizes)
    settings = {"mode": mode, "coordinate_transformation_mode": COORDINATES[seed % 5], "antialias": int(antialias)}
    if mode == "nearest":
        roundings = ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]
        settings["nearest_mode"] = roundings[int(rng.integers(0, 4))]
    if mode == "cubic":
        settings |= {"cubic_coeff_a": -0.5, "exclude_outside": int(rng.integers(0, 2))}
    if seed % 2:
        constants = {"scales": np.array([1, 1, *rng.choice([0.5, 2.0, 3.0, 1.5, 0.7], 2)], np.float32)}
        names = ["x", "", "scales"]
    else:
        constants = {"sizes": np.array([2, 3, *some(rng, 1, 9, 2)], np.int64)}
        names = ["x", "", "", "sizes"]
    # ONNX Runtime does not know a symbolic batch from the batch of the sizes.
    inputs = {"x": (np.float32, list(x.shape))}
    model = build([helper.make_node("Resize", names, ["y"], **settings)], inputs, opset=19, constants=constants)
    reason = refusal(model)
    if reason is None:
        agree(model, {"x": x}, tolerance=1e-4)
    else:
        assert "certain" in reason or "two ways" in reason


def test_a_dynamic_image_is_resized_by_whole_factors(build, agree) -> None:
    rng = np.random.default_rng(4)
    inputs = {"x": (np.float32, ["n", 2, "h", "w"])}
    scales = {"scales": np.array([1, 1, 2, 3], np.float32)}
    for mode in ("nearest", "linear"):
        node = helper.make_node("Resize", ["x", "", "scales"], ["y"], mode=mode)
        model = build([node], inputs, constants=scales)
        agree(model, {"x": data(rng, 1, 2, 3, 4)}, {"x": data(rng, 2, 2, 5, 2)})


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_pad(build, agree, mode, dtype) -> None:
    x = np.arange(24).reshape(2, 3, 4).astype(dtype)
    constants = {"pads": np.array([2, 1, 1, 3]), "axes": np.array([1, -1])}
    inputs = {"x": (dtype, ["n", 3, 4]), "v": (dtype, [])}
    names = ["x", "pads", "v" if mode == "constant" else "", "axes"]
    model = build([helper.make_node("Pad", names, ["y"], mode=mode)], inputs, opset=19, constants=constants)
    feed = {"x": x, "v": np.array(7, dtype)}
    agree(model, feed if mode == "constant" else {"x": x, "v": feed["v"]})


@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "pytorch_half_pixel"])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_scales_that_were_computed_from_whole_sizes_are_exact(build, agree, coordinates, mode) -> None:
    """3 / 7 and 11 / 5 are no float32, and 7 * float32(3 / 7) is not 3 but for the last digit."""
    x = data(np.random.default_rng(2), 1, 2, 7, 5)
    scales = {"s": np.array([1, 1, 3 / 7, 11 / 5], np.float32)}
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode=mode, coordinate_transformation_mode=coordinates)
    agree(build([node], {"x": (np.float32, x.shape)}, constants=scales), {"x": x}, tolerance=1e-4)


def test_automatic_padding_of_a_transposed_convolution(build, agree) -> None:
    x, w = data(np.random.default_rng(6), 1, 2, 4, 5), data(np.random.default_rng(7), 2, 3, 3, 2)
    for mode in ("SAME_UPPER", "SAME_LOWER"):
        node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], auto_pad=mode, strides=[2, 2])
        agree(build([node], {"x": (np.float32, x.shape)}, constants={"w": w}), {"x": x})
        wide = helper.make_node("ConvTranspose", ["x", "w"], ["y"], auto_pad=mode, strides=[2, 3])
        assert "two ways" in refusal(build([wide], {"x": (np.float32, x.shape)}, constants={"w": w}))


@pytest.mark.parametrize("coordinates", ["half_pixel", "pytorch_half_pixel"])
def test_an_image_is_resized_to_the_size_of_another_one(build, agree, coordinates) -> None:
    """As the way up of a U-Net does it: the ratio is known when it runs, and WebNN takes it from the sizes."""
    nodes = [
        helper.make_node("MaxPool", ["x"], ["small"], kernel_shape=[1, 1], strides=[2, 2]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node(
            "Resize", ["small", "", "", "shape"], ["y"], mode="linear", coordinate_transformation_mode=coordinates
        ),
    ]
    rng = np.random.default_rng(9)
    model = build(nodes, {"x": (np.float32, [1, 2, "h", "w"])})
    translation = agree(model, *({"x": data(rng, 1, 2, *sizes)} for sizes in ((4, 6), (5, 7), (9, 2))), tolerance=1e-4)
    # A result of one pixel would be another one, so there is none.
    least = 2 if coordinates == "pytorch_half_pixel" else 1
    assert {dim.min_size for dim in translation.graph.dims.values()} == {least}
    fixed = helper.make_node("Resize", ["x", "", "", "s"], ["y"], mode="linear")
    model = build([fixed], {"x": (np.float32, [1, 2, "h", "w"])}, constants={"s": np.array([1, 2, 5, 3])})
    agree(model, *({"x": data(rng, 1, 2, *sizes)} for sizes in ((4, 6), (5, 3), (1, 9))), tolerance=1e-4)


FREE = [
    {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    {"mode": "linear", "coordinate_transformation_mode": "asymmetric"},
    {"mode": "cubic", "coordinate_transformation_mode": "half_pixel", "cubic_coeff_a": -0.5},
    {"mode": "cubic", "coordinate_transformation_mode": "pytorch_half_pixel", "exclude_outside": 1},
    {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"},
    {"coordinate_transformation_mode": "tf_half_pixel_for_nn", "nearest_mode": "floor"},
    {"coordinate_transformation_mode": "align_corners", "nearest_mode": "round_prefer_floor"},
]


@pytest.mark.parametrize("settings", FREE, ids=lambda one: "-".join(map(str, one.values())))
def test_weights_that_depend_on_free_sizes_are_computed_in_the_graph(build, agree, settings) -> None:
    """A table stretched over the image, as vision transformers do with positions; and a fixed size after it."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Resize", ["table", "", "", "shape"], ["stretched"], **settings),
        helper.make_node("Add", ["x", "stretched"], ["sum"]),
        helper.make_node("Resize", ["sum", "", "", "fixed"], ["y"], **settings),
    ]
    rng = np.random.default_rng(5)
    constants = {"table": data(rng, 1, 2, 3, 4), "fixed": np.array([1, 2, 5, 3])}
    model = build(nodes, {"x": (np.float32, [1, 2, "h", "w"])}, constants=constants, opset=13)
    translation = agree(model, *({"x": data(rng, 1, 2, *sizes)} for sizes in ((4, 6), (7, 3), (2, 11))), tolerance=1e-4)
    assert len(translation.graph.dims) == 2


@pytest.mark.parametrize("scale", [0.5, 1.5, 0.375])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_a_free_size_is_scaled_by_halves_and_eighths(build, agree, mode, scale) -> None:
    node = helper.make_node(
        "Resize", ["x", "", "s"], ["y"], mode=mode, coordinate_transformation_mode="pytorch_half_pixel"
    )
    scales = {"s": np.array([1, 1, scale, scale], np.float32)}
    model = build([node], {"x": (np.float32, [1, 2, "h", "w"])}, constants=scales)
    rng = np.random.default_rng(7)
    agree(model, *({"x": data(rng, 1, 2, *sizes)} for sizes in ((9, 6), (7, 16), (8, 11))), tolerance=1e-4)


@pytest.mark.parametrize("scale", [0.6, 1 / 3, 1.2])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_a_free_size_is_scaled_by_tenths_and_thirds(build, agree, mode, scale) -> None:
    """None of these is a float32: that the floor is that of the fraction was tried for every size allowed."""
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode=mode)
    scales = {"s": np.array([1, 1, scale, scale], np.float32)}
    model = build([node], {"x": (np.float32, [1, 2, "h", "w"])}, constants=scales)
    rng = np.random.default_rng(7)
    sizes = ((9, 6), (5, 15), (10, 11), (3, 30))
    translation = agree(model, *({"x": data(rng, 1, 2, *size)} for size in sizes), tolerance=1e-4)
    assert {dim.max_size for dim in translation.graph.dims.values()} == {1 << 18}


@pytest.mark.parametrize("is_free", [False, True])
@pytest.mark.parametrize("rounding", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
@pytest.mark.parametrize("coordinates", ["asymmetric", "half_pixel", "pytorch_half_pixel"])
def test_the_nearest_is_the_one_of_float32(build, agree, coordinates, rounding, is_free) -> None:
    """9 / 0.6 is 14.999999 there, and so is it in ONNX Runtime; of known sizes as of free ones."""
    settings = {"coordinate_transformation_mode": coordinates, "nearest_mode": rounding}
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="nearest", **settings)
    for scale in (0.6, 1 / 3, 0.15):
        scales = {"s": np.array([1, 1, scale, scale], np.float32)}
        for high, wide in ((20, 30), (100, 60), (64, 33), (240, 180)):
            shape = [1, 2, "h", "w"] if is_free else [1, 2, high, wide]
            feed = {"x": np.arange(2 * high * wide, dtype=np.float32).reshape(1, 2, high, wide)}
            agree(build([node], {"x": (np.float32, shape)}, constants=scales), feed)


@pytest.mark.parametrize(
    ("settings", "scale", "reason"),
    [
        ({"mode": "linear"}, 1.3, "rounds to another whole size at 10;"),
        ({"mode": "nearest"}, 1.3, "rounds to another whole size at 10;"),
    ],
)
def test_a_size_that_rounding_decides_is_asked_for(build, settings, scale, reason) -> None:
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], **settings)
    scales = {"s": np.array([1, 1, scale, 1], np.float32)}
    found = str(refusal(build([node], {"x": (np.float32, [1, 2, "h", "w"])}, constants=scales)))
    assert reason in found
    assert "pass --dim h=VALUE" in found


def test_a_known_size_that_rounding_decides_is_named(build) -> None:
    """Onnx's own inference makes 12 of 10 times 1.3, ONNX Runtime 13."""
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear")
    model = build([node], {"x": (np.float32, [1, 2, 10, 4])}, constants={"s": np.array([1, 1, 1.3, 1], np.float32)})
    found = str(refusal(model))
    assert "10 times 1.2999999523162842 is 12 or 13" in found
    assert "interpolate(x, size=...)" in found


def test_what_no_free_size_can_be_resized_with_asks_for_the_size(build) -> None:
    inputs = {"x": (np.float32, [1, 2, "h", "w"])}
    for constants, settings in (
        ({"sizes": np.array([1, 2, 5, 3])}, {"mode": "linear", "antialias": 1}),
        (
            {"sizes": np.array([1, 2, 5, 3])},
            {"coordinate_transformation_mode": "tf_half_pixel_for_nn", "nearest_mode": "ceil"},
        ),
        ({"scales": np.array([1, 1, 1.3, 1], np.float32)}, {}),
        ({"scales": np.array([1, 1, 0.5, 1], np.float32)}, {"coordinate_transformation_mode": "align_corners"}),
    ):
        names = ["x", "", "scales" if "scales" in constants else "", "sizes" if "sizes" in constants else ""]
        node = helper.make_node("Resize", names, ["y"], **settings)
        assert "pass --dim h=VALUE" in str(refusal(build([node], inputs, constants=constants, opset=18)))


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool", "LpPool"])
def test_a_pool_of_a_free_size_rounds_up(build, agree, kind) -> None:
    """The last window hangs over the end: by no element, or by one or two, and over the padding too."""
    inputs = {"x": (np.float32, [1, 2, "h", "w"])}
    rng = np.random.default_rng(8)
    feeds = [{"x": data(rng, 1, 2, *sizes)} for sizes in ((3, 4), (5, 5), (6, 7), (8, 6))]
    both = {"AveragePool": [0, 1]}.get(kind, [None])
    for counted in both:
        settings = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 0], "ceil_mode": 1}
        settings |= {} if counted is None else {"count_include_pad": counted}
        agree(build([helper.make_node(kind, ["x"], ["y"], **settings)], inputs, opset=19), *feeds, tolerance=1e-4)


def test_a_window_that_may_begin_behind_the_data_asks_for_the_size(build) -> None:
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[3, 1], ceil_mode=1)
    assert "pass --dim h=VALUE" in str(refusal(build([node], {"x": (np.float32, [1, 2, "h", "w"])})))


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("stride", [2, 3])
def test_automatic_padding_follows_a_free_size(build, agree, mode, stride) -> None:
    """As TensorFlow pads: the last window ends with the data, or behind it by what is then padding."""
    inputs = {"x": (np.float32, [1, 2, "h", "w"])}
    rng = np.random.default_rng(9)
    feeds = [{"x": data(rng, 1, 2, *sizes)} for sizes in ((4, 6), (5, 7), (6, 5), (7, 9))]
    settings = {"auto_pad": mode, "strides": [stride, stride]}
    for kernel in ([3, 4], [1, 2]):
        conv = helper.make_node("Conv", ["x", "w"], ["y"], **settings)
        agree(build([conv], inputs, constants={"w": data(rng, 3, 2, *kernel)}), *feeds, tolerance=1e-4)
    settings |= {"kernel_shape": [3, 4], "ceil_mode": 0}
    agree(build([helper.make_node("MaxPool", ["x"], ["y"], **settings)], inputs), *feeds)
    for counted in (0, 1):
        node = helper.make_node("AveragePool", ["x"], ["y"], **settings, count_include_pad=counted)
        agree(build([node], inputs), *feeds)


@pytest.mark.parametrize(("sizes", "strides"), [(("h", 9), [2, 2]), ((5, "w"), [2, 2]), (("h", "w"), [2, 1])])
def test_padding_counts_also_where_only_one_axis_has_it_from_a_free_size(build, agree, sizes, strides) -> None:
    settings = {"auto_pad": "SAME_UPPER", "strides": strides, "kernel_shape": [2, 3], "count_include_pad": 1}
    model = build([helper.make_node("AveragePool", ["x"], ["y"], **settings)], {"x": (np.float32, [1, 2, *sizes])})
    agree(model, {"x": data(np.random.default_rng(10), 1, 2, 5, 9)})


def test_what_was_padded_twice_keeps_one_size(build, agree) -> None:
    """Both branches of a residual block halve an image: their sizes are one, not two that are compared at run."""
    settings = {"auto_pad": "SAME_UPPER", "strides": [2, 2]}
    nodes = [
        helper.make_node("Conv", ["x", "wide"], ["a"], **settings),
        helper.make_node("Conv", ["x", "narrow"], ["b"], **settings),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    rng = np.random.default_rng(10)
    constants = {"wide": data(rng, 3, 2, 3, 3), "narrow": data(rng, 3, 2, 1, 1)}
    model = build(nodes, {"x": (np.float32, [1, 2, "h", "w"])}, constants=constants)
    translation = agree(model, *({"x": data(rng, 1, 2, *sizes)} for sizes in ((4, 7), (5, 6))), tolerance=1e-4)
    assert "expand" not in {node.op for node in translation.graph.nodes}


def test_a_free_size_is_split_into_a_number_of_parts(build, agree) -> None:
    node = helper.make_node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2)
    model = build([node], {"x": (np.float32, ["n", "h"])}, ["a", "b"], opset=18)
    rng = np.random.default_rng(11)
    translation = agree(model, *({"x": data(rng, 2, size)} for size in (2, 5, 8)))
    assert translation.graph.dims["h"].min_size == 2


@pytest.mark.parametrize(
    ("op", "settings", "least"),
    [
        ("MaxPool", {"kernel_shape": [3, 5], "strides": [2, 2]}, {"h": 3, "w": 5}),
        ("AveragePool", {"kernel_shape": [3, 5], "pads": [1, 1, 1, 1]}, {"h": 1, "w": 3}),
        # Rounded up, the last window may hang over by less than a step.
        ("MaxPool", {"kernel_shape": [3, 5], "strides": [2, 3], "ceil_mode": 1}, {"h": 2, "w": 3}),
        ("Conv", {"kernel_shape": [3, 5], "dilations": [2, 1]}, {"h": 5, "w": 5}),
    ],
)
def test_sizes_without_a_whole_window_are_left_out_of_the_range(build, agree, op, settings, least) -> None:
    rng = np.random.default_rng(10)
    weights = {"k": data(rng, 2, 2, 3, 5)} if op == "Conv" else {}
    node = helper.make_node(op, ["x", *weights], ["y"], **settings)
    model = build([node], {"x": (np.float32, [1, 2, "h", "w"])}, constants=weights)
    sizes = (least["h"], least["w"])
    found = agree(model, {"x": data(rng, 1, 2, *sizes)}, {"x": data(rng, 1, 2, sizes[0] + 4, sizes[1] + 3)})
    assert {name: dim.min_size for name, dim in found.graph.dims.items()} == least
    assert found.graph.checks == ()


def test_windows_of_windows_need_what_all_of_them_reach_over(build, agree) -> None:
    nodes = [
        helper.make_node("MaxPool", [source], [made], kernel_shape=[3], strides=[2])
        for source, made in (("x", "x1"), ("x1", "x2"), ("x2", "y"))
    ]
    # 2 * (2 * 3 + 1) + 1
    deep = agree(build(nodes, {"x": (np.float32, [1, 2, "n"])}), {"x": data(np.random.default_rng(11), 1, 2, 15)})
    assert deep.dims[0].min_size == 15
    assert deep.dims[0].why == "at least 15: a window reaches over 3 of (n + 1)//4 - 1"

"""Transforms, columns, runs of tokens and normalisations over neighbours, against ONNX Runtime and NumPy."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from webnn_runtime.backends import get_backend
from webnn_translator.bundling import convert_model
from webnn_translator.translate import translate


def data(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("length", [None, 5, 9])
@pytest.mark.parametrize("one_sided", [0, 1])
def test_transforms(build, agree, one_sided, length, parts) -> None:
    if one_sided and parts == 2:
        one_sided = 0  # half of the spectrum of a complex signal says nothing
    x = data(0, 2, 7, 3, parts)
    constants = {} if length is None else {"n": np.array(length)}
    node = helper.make_node("DFT", ["x", "n" if constants else ""], ["y"], axis=1, onesided=one_sided)
    agree(build([node], {"x": (np.float32, ["b", 7, 3, parts])}, constants=constants), {"x": x}, tolerance=1e-4)


@pytest.mark.parametrize("length", [None, 6, 7, 13])
def test_the_inverse_of_half_a_spectrum(build, length) -> None:
    x = data(1, 2, 5, 2)
    constants = {"axis": np.array(1)} | ({} if length is None else {"n": np.array(length)})
    node = helper.make_node("DFT", ["x", "n" if length else "", "axis"], ["y"], inverse=1, onesided=1)
    model = build([node], {"x": (np.float32, ["b", 5, 2])}, opset=20, constants=constants)
    found = get_backend("numpy").compile(translate(model).graph).run({"x": x})["y"]
    np.testing.assert_allclose(found[..., 0], np.fft.irfft(x[..., 0] + 1j * x[..., 1], length, 1), atol=1e-5)


@pytest.mark.parametrize("points", [None, "s"])
@pytest.mark.parametrize("size", [5, "n"])
def test_complex_signals_are_transformed_back(build, agree, size, points) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["all"], start=1, end=2),
        helper.make_node("Squeeze", ["all"], ["s"]),
        helper.make_node("DFT", ["x", points or "", "axis"], ["y"], inverse=1),
    ]
    model = build(nodes, {"x": (np.float32, ["b", size, 2])}, opset=20, constants={"axis": np.array(1)})
    sizes = (5,) if size == 5 else (1, 4, 5, 12)
    agree(model, *({"x": data(0, 2, count, 2)} for count in sizes))


@pytest.mark.parametrize("size", [1, 2, 5, 8, 9])
def test_the_inverse_of_a_spectrum_of_a_free_size(build, size) -> None:
    """As torch writes irfft(rfft(x), n=len(x)), of which ONNX Runtime's kernel takes the second half only."""
    nodes = [
        helper.make_node("Shape", ["x"], ["all"], start=1, end=2),
        helper.make_node("Squeeze", ["all"], ["s"]),
        helper.make_node("DFT", ["x", "", "axis"], ["f"], onesided=1),
        helper.make_node("DFT", ["f", "s", "axis"], ["y"], inverse=1, onesided=1),
    ]
    model = build(nodes, {"x": (np.float32, ["b", "n", 1])}, opset=20, constants={"axis": np.array(1)})
    x = data(0, 2, size, 1)
    found = get_backend("numpy").compile(translate(model).graph).run({"x": x})["y"]
    np.testing.assert_allclose(found, x, atol=1e-5)


def test_a_filter_of_frequencies_of_a_free_size_is_checked(build, optional, tmp_path) -> None:
    """torch states the size of half a spectrum for what it is turned back into, and ONNX Runtime believes it."""
    optional("onnxruntime")
    nodes = [
        helper.make_node("Shape", ["x"], ["all"], start=1, end=2),
        helper.make_node("Squeeze", ["all"], ["s"]),
        helper.make_node("DFT", ["x", "s", "axis"], ["f"], onesided=1),
        *(helper.make_node("Slice", ["f", f"at{k}", f"at{k + 1}", "at2"], [f"f{k}"]) for k in (0, 1)),
        *(helper.make_node("Mul", [f"f{k}", f"f{k}"], [f"g{k}"]) for k in (0, 1)),
        helper.make_node("Concat", ["g0", "g1"], ["g"], axis=2),
        helper.make_node("DFT", ["g", "s", "axis"], ["h"], inverse=1, onesided=1),
        helper.make_node("Neg", ["h"], ["y"]),
    ]
    constants = {"axis": np.array(1), **{f"at{k}": np.array([k]) for k in range(3)}}
    model = build(nodes, {"x": (np.float32, ["b", "n", 1])}, opset=20, constants=constants)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", 1, None))
    halves = [helper.make_tensor_value_info(name, 1, ["b", "half", 1]) for name in ("f0", "f1", "g0", "g1", "h")]
    model.graph.value_info.extend(halves)
    onnx.save(model, tmp_path / "m.onnx")
    done = convert_model(str(tmp_path / "m.onnx"), tmp_path / "out")
    assert done.certificate is not None
    assert done.certificate.passed


def test_the_natural_length_of_half_a_spectrum_of_a_free_size(build) -> None:
    node = helper.make_node("DFT", ["x", "", "axis"], ["y"], inverse=1, onesided=1)
    model = build([node], {"x": (np.float32, ["b", "n", 2])}, opset=20, constants={"axis": np.array(1)})
    translation = translate(model)
    assert translation.graph.dims["n"].min_size == 2
    for size in (2, 3, 6):
        x = data(0, 2, size, 2)
        found = get_backend("numpy").compile(translation.graph).run({"x": x})["y"]
        np.testing.assert_allclose(found[..., 0], np.fft.irfft(x[..., 0] + 1j * x[..., 1], axis=1), atol=1e-5)


@pytest.mark.parametrize("one_sided", [0, 1])
def test_short_time_transforms(build, agree, one_sided) -> None:
    node = helper.make_node("STFT", ["x", "step", "w"], ["y"], onesided=one_sided)
    constants = {"step": np.array(3), "w": data(2, 8)}
    agree(
        build([node], {"x": (np.float32, ["b", 30, 1])}, constants=constants), {"x": data(3, 2, 30, 1)}, tolerance=1e-4
    )


@pytest.mark.parametrize(("parts", "one_sided"), [(1, 1), (2, 0)])
def test_short_time_transforms_of_signals_of_any_length(build, agree, parts, one_sided) -> None:
    node = helper.make_node("STFT", ["x", "step", "w"], ["y"], onesided=one_sided)
    constants = {"step": np.array(3), "w": data(2, 8)}
    model = build([node], {"x": (np.float32, ["b", "samples", parts])}, constants=constants)
    feeds = [{"x": data(length, 2, length, parts)} for length in (8, 10, 23)]
    translation = agree(model, *feeds, tolerance=1e-4)
    assert translation.graph.dims["samples"].min_size == 8


@pytest.mark.parametrize("length", [None, 6])
@pytest.mark.parametrize(("parts", "one_sided"), [(1, 1), (1, 0), (2, 0)])
def test_transforms_over_a_free_size(build, agree, one_sided, parts, length) -> None:
    constants = {} if length is None else {"n": np.array(length)}
    node = helper.make_node("DFT", ["x", "n" if constants else ""], ["y"], axis=1, onesided=one_sided)
    model = build([node], {"x": (np.float32, ["b", "s", 3, parts])}, constants=constants)
    translation = agree(model, *({"x": data(size, 2, size, 3, parts)} for size in (1, 4, 7, 12)), tolerance=1e-4)
    assert translation.graph.dims["s"].is_unbounded is (length is not None)


def test_the_mel_filters_are_those_of_onnx_runtime(build, agree) -> None:
    constants = {"bins": np.array(20), "n": np.array(256), "rate": np.array(16000)}
    constants |= {"low": np.array(20, np.float32), "high": np.array(7800, np.float32)}
    nodes = [helper.make_node("MelWeightMatrix", list(constants), ["m"]), helper.make_node("MatMul", ["x", "m"], ["y"])]
    agree(build(nodes, {"x": (np.float32, ["n", 129])}, constants=constants), {"x": data(4, 2, 129)}, tolerance=1e-4)


def test_columns_go_back_to_an_image(build, agree) -> None:
    settings = {"strides": [2, 1], "dilations": [1, 2], "pads": [1, 0, 0, 1]}
    constants = {"image": np.array([7, 6]), "block": np.array([3, 2])}
    model = build(
        [helper.make_node("Col2Im", ["x", "image", "block"], ["y"], **settings)],
        {"x": (np.float32, ["n", 12, 15])},
        opset=18,
        constants=constants,
    )
    agree(model, {"x": data(5, 2, 12, 15)})


@pytest.mark.parametrize("mode", ["TF", "IDF", "TFIDF"])
def test_runs_of_tokens_are_counted(build, agree, mode) -> None:
    settings = {
        "mode": mode,
        "min_gram_length": 1,
        "max_gram_length": 3,
        "max_skip_count": 2,
        "ngram_counts": [0, 2, 6],
        "ngram_indexes": [1, 4, 0, 2, 3],
        "pool_int64s": [2, 3, 1, 2, 2, 2, 3, 1, 2],
        "weights": [0.5, 2.0, 3.0, 0.25, 7.0],
    }
    x = np.random.default_rng(6).integers(0, 4, (3, 12))
    node = helper.make_node("TfIdfVectorizer", ["x"], ["y"], **settings)
    agree(build([node], {"x": (np.int64, [3, 12])}), {"x": x})


def test_normalisation_over_channels_and_in_training(build, agree) -> None:
    x = data(7, 2, 5, 3, 4)
    for size in (3, 1):
        node = helper.make_node("LRN", ["x"], ["y"], size=size, alpha=0.3, beta=0.6, bias=1.5)
        agree(build([node], {"x": (np.float32, ["n", 5, "h", "w"])}), {"x": x})
    constants = {"s": data(8, 5), "b": data(9, 5), "m": data(10, 5), "v": np.abs(data(11, 5))}
    names = ["x", *constants]
    node = helper.make_node("BatchNormalization", names, ["y", "m2", "v2"], training_mode=1, momentum=0.7)
    model = build([node], {"x": (np.float32, ["n", 5, 3, 4])}, ["y", "m2", "v2"], opset=15, constants=constants)
    found = get_backend("numpy").compile(translate(model).graph).run({"x": x})
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
    wide = [array.reshape(1, 5, 1, 1) for array in (mean, variance, constants["s"], constants["b"])]
    wanted = (x - wide[0]) / np.sqrt(wide[1] + 1e-5) * wide[2] + wide[3]
    np.testing.assert_allclose(found["y"], wanted, atol=1e-5)
    np.testing.assert_allclose(found["m2"], constants["m"] * 0.7 + mean * 0.3, atol=1e-6)
    np.testing.assert_allclose(found["v2"], constants["v"] * 0.7 + variance * 0.3, atol=1e-6)


@pytest.mark.parametrize("time", [0, 1])
def test_rows_are_reversed_as_far_as_each_says(build, agree, time) -> None:
    node = helper.make_node("ReverseSequence", ["x", "n"], ["y"], time_axis=time, batch_axis=1 - time)
    x = data(12, 4, 4, 2)
    agree(
        build([node], {"x": (np.float32, ["a", "b", 2]), "n": (np.int64, ["a"])}), {"x": x, "n": np.array([1, 4, 2, 3])}
    )

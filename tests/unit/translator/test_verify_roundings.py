"""Models that compute with less than float32: what the check compares with, and what it says where it fails."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from webnn_runtime.backends import get_backend
from webnn_translator.translate import translate
from webnn_translator.verify import Certificate, Difference, OnnxReference, Verdict
from webnn_translator.verify.cuts import cut_graph, find_cuts, roundings
from webnn_translator.verify.grid import Point
from webnn_translator.verify.reference import value_names

N = helper.make_node
F, U8 = np.float32, np.uint8
MS = {"domain": "com.microsoft"}
DOMAINS = [("com.microsoft", 1)]


def few_bits(build, level) -> onnx.ModelProto:
    """One MatMulNBits with a permission to compute with less precision."""
    random = np.random.default_rng(2)
    constants = {
        "w": random.integers(0, 256, (6, 2, 16)).astype(U8),
        "s": random.uniform(0.01, 0.1, (6, 2)).astype(F),
    }
    options = {"K": 64, "N": 6, "bits": 4, "block_size": 32, "accuracy_level": level, **MS}
    node = N("MatMulNBits", ["a", "w", "s"], ["y"], **options)
    model = build([node], {"a": (F, ("n", 64))}, constants=constants, domains=DOMAINS)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    return model


def test_the_reference_has_the_precision_that_a_model_states(build, optional, tmp_path) -> None:
    optional("onnxruntime")
    feed, results = {"a": np.random.default_rng(11).standard_normal((3, 64)).astype(F)}, []
    for level in (0, 4):
        onnx.save(few_bits(build, level), tmp_path / f"{level}.onnx")
        results.append(OnnxReference(tmp_path / f"{level}.onnx").run(feed, ["y"], {})["y"])
    np.testing.assert_array_equal(*results)


def test_a_failed_check_says_where_rounding_makes_steps(build) -> None:
    graph = translate(few_bits(build, 0)).graph
    assert roundings(graph) == []
    constants = {"b": np.arange(35, dtype=U8).reshape(7, 5), "s": np.asarray(0.02, F)}
    node = N("DynamicQuantizeMatMul", ["a", "b", "s"], ["y"], **MS)
    graph = translate(build([node], {"a": (F, ("n", 7))}, constants=constants, domains=DOMAINS)).graph
    # The values and their zero point.
    assert len(roundings(graph)) == 2
    failed = Verdict("y", "numpy", Difference(0.2, 1.0, 1.0, 1.0, passed=False), Point({"n": 2}), 1)
    given = {"reference": "onnxruntime", "versions": {}, "tolerance": 1e-4, "inputs": "seeded", "grid": []}
    certificate = Certificate(**given, unchecked_maxima=[], verdicts=[failed], roundings=2)
    assert "quantises data at run time, in 2 places" in certificate.complaint()
    assert certificate.record()["roundings"] == 2
    assert "roundings" not in Certificate(**given, unchecked_maxima=[], verdicts=[failed]).record()


def test_a_fused_product_is_checked_from_what_it_rounds_to(build, optional, tmp_path) -> None:
    optional("onnxruntime")
    random = np.random.default_rng(3)
    constants = {"b": random.integers(0, 256, (7, 5)).astype(U8), "s": F(0.02), "z": U8(120), "add": np.ones(5, F)}
    nodes = [
        N("DynamicQuantizeMatMul", ["a", "b", "s"], ["/x"], **MS),
        # Of the same data: it is rounded once.
        N("DynamicQuantizeMatMul", ["a", "b", "s", "z", "add"], ["/y_output_0"], **MS),
        N("DynamicQuantizeMatMul", ["/y_output_0", "c", "s"], ["y"], **MS),
    ]
    constants["c"] = random.integers(0, 256, (5, 3)).astype(U8)
    model = build(nodes, {"a": (F, ("n", 7))}, ["/x", "y"], constants=constants, domains=DOMAINS)
    onnx.save(model, tmp_path / "model.onnx")
    graph = translate(model).graph
    names, _ = value_names(tmp_path / "model.onnx")
    cuts = find_cuts(graph, names)
    assert cuts is not None
    assert len(cuts) == len(roundings(graph)) == 4
    watched = [cut.source for cut in cuts]
    feed = {"a": random.standard_normal((3, 7)).astype(F)}
    found = OnnxReference(tmp_path / "model.onnx", watched).run(feed, ["/x", "y", *watched], {})
    ours = get_backend("numpy").compile(cut_graph(graph, cuts))
    made = ours.run(feed | {cut.fed: found[cut.source] for cut in cuts})
    for cut in cuts:
        np.testing.assert_array_equal(made[cut.value], found[cut.source])
    # Written out it is what the fused kernel computes.
    fused = OnnxReference(tmp_path / "model.onnx", is_meant=False).run(feed, ["/x", "y"], {})
    for name, array in fused.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5)

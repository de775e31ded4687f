"""Sparse initializers and constants: the same numbers with their zeros written out."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper, numpy_helper

from webnn_translator._errors import InvalidModel
from webnn_translator.bundling import convert_model
from webnn_translator.translate import translate

N = helper.make_node
F, I64 = np.float32, np.int64
FLAT = [1, 5, 9, 22]
PAIRS = [[0, 1], [1, 1], [2, 1], [5, 2]]


def sparse(places, values=(1, -2, 3, 0.5), shape=(6, 4), name="w"):
    held = numpy_helper.from_array(np.asarray(values, F), name)
    return helper.make_sparse_tensor(held, numpy_helper.from_array(np.asarray(places), "places"), shape)


def product(build, *tensors):
    model = build([N("MatMul", ["x", "w"], ["y"])], {"x": (F, ("n", 6))})
    model.graph.sparse_initializer.extend(tensors)
    return model


FEED = {"x": np.random.default_rng(0).standard_normal((3, 6)).astype(F)}


@pytest.mark.parametrize("places", [FLAT, PAIRS])
def test_an_initializer_has_its_zeros(places, build, agree) -> None:
    agree(product(build, sparse(places)), FEED)


def test_a_constant_has_its_zeros(build, agree) -> None:
    nodes = [N("Constant", [], ["w"], sparse_value=sparse(FLAT)), N("MatMul", ["x", "w"], ["y"])]
    agree(build(nodes, {"x": (F, ("n", 6))}), FEED)


def test_a_file_with_one_is_checked_as_others_are(build, optional, tmp_path) -> None:
    optional("onnxruntime")
    model = product(build, sparse(FLAT))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", 1, None))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    done = convert_model(str(tmp_path / "m.onnx"), tmp_path / "out")
    assert done.certificate is not None
    assert done.certificate.passed


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ([sparse([1, 5, 9, 24])], "outside of its shape"),
        ([sparse([-1, 5, 9, 22])], "outside of its shape"),
        ([sparse([[0, 4], [1, 1], [2, 1], [5, 2]])], "outside of its shape"),
        ([sparse([5, 1, 9, 22])], "ascending"),
        ([sparse([1, 1, 9, 22])], "ascending"),
        ([sparse([1, 5])], "4 values need as many places"),
        ([sparse([1.0, 5, 9, 22])], "places, not"),
        ([sparse(FLAT, shape=(1 << 40, 4))], "elements are supported"),
        ([sparse(FLAT, shape=(-6, 4))], "elements are supported"),
        ([sparse(FLAT), sparse(FLAT)], "'w' occurs twice"),
    ],
)
def test_one_that_makes_no_sense_is_refused(tensors, words, build) -> None:
    with pytest.raises(InvalidModel, match=words):
        translate(product(build, *tensors))

"""The node tests that come with onnx: each is equal, or refused with a reason. None is wrong."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from webnn_runtime.backends import get_backend
from webnn_runtime.format.errors import WebnnError
from webnn_translator._errors import TranslateError
from webnn_translator.elements import Elem
from webnn_translator.translate import translate

# So many were equal when this was written; fewer means that something was lost.
AT_LEAST = 1150


def array_of(value):
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def carried(array, name, kind, translation):
    """Values as the graph holds them: of another type only where the translation says so, and then of that one."""
    source = translation.source_types.get(name)
    if source is None:
        return array
    assert translation.mappings[source.text]
    assert source is from_onnx(array.dtype)
    return array.astype(kind.dtype.numpy)


def from_onnx(dtype) -> Elem:
    return Elem(onnx.helper.np_dtype_to_tensor_dtype(dtype))


def outcome(case) -> str:
    """equal, wrong, or why there is no answer."""
    try:
        translation = translate(case.model)
        run = get_backend("numpy").compile(translation.graph).run
    except TranslateError:
        return "refused"
    for inputs, outputs in case.data_sets:
        feed = {
            (name := translation.input_names[declared.name]): carried(
                array_of(value), name, translation.graph.inputs[name], translation
            ).copy()
            for declared, value in zip(case.model.graph.input, inputs, strict=False)
            if declared.name in translation.input_names
        }
        try:
            found = run(feed)
        except WebnnError:
            return "refused at run"
        for declared, value in zip(case.model.graph.output, outputs, strict=False):
            name = translation.output_names[declared.name]
            original, result = array_of(value), found[name]
            wanted = carried(original, name, translation.graph.output_types[name], translation)
            if wanted.dtype != result.dtype or wanted.shape != result.shape:
                return "wrong"
            loose = wanted.dtype == np.float16
            # Two units in the last place of bfloat16, as onnx's own runner allows.
            least = 2**-6 if original.dtype.name == "bfloat16" else 1e-2 if loose else 1e-3
            bounds = {"rtol": max(case.rtol, least), "atol": max(case.atol, 1e-2 if loose else 1e-7)}
            if wanted.dtype.kind == "f" and not np.allclose(result, wanted, equal_nan=True, **bounds):
                return "wrong"
            if wanted.dtype.kind != "f" and not np.array_equal(result, wanted):
                return "wrong"
    return "equal"


@pytest.mark.timeout(300)
def test_no_node_test_of_onnx_is_wrong() -> None:
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        # Generating the cases overflows on purpose.
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind="node")
        outcomes = {case.name: outcome(case) for case in cases}
    counts = Counter(outcomes.values())
    assert [name for name, found in outcomes.items() if found == "wrong"] == []
    assert counts["equal"] >= AT_LEAST, counts

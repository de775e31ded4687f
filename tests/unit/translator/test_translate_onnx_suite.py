"""The node tests that come with onnx: each is equal, or refused with a reason. None is wrong.

Many feed shapes, axes or other settings at run time, which real models have as constants. These count as refused;
those that are equal with as few small inputs as needed bound to their values are counted apart.
"""

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

# So many were equal when this was written, as they are and with inputs bound; fewer means that something was lost.
AT_LEAST = 1290
AT_LEAST_BOUND = 250


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


def settings(case) -> list[tuple[str, np.ndarray]]:
    """The inputs of rank 0 and 1, which may be settings, from the last to the first: data comes first in ONNX."""
    found = []
    for declared, value in zip(case.model.graph.input, case.data_sets[0][0], strict=False):
        if declared.type.HasField("tensor_type") and len(declared.type.tensor_type.shape.dim) <= 1:
            found.append((declared.name, array_of(value)))
    return found[::-1]


def outcome_bound(case) -> str:
    """The outcome with the fewest settings bound that lets the model convert."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    for name, array in settings(case):
        if array.dtype.kind not in "biuf":
            continue
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
        found = outcome(case, model)
        if found != "refused":
            return found
    return "refused"


def outcome(case, model=None) -> str:
    """equal, wrong, or why there is no answer."""
    try:
        translation = translate(model or case.model)
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
        bound = {case.name: outcome_bound(case) for case in cases if outcomes[case.name] == "refused"}
    counts, counts_bound = Counter(outcomes.values()), Counter(bound.values())
    assert [name for name, found in (*outcomes.items(), *bound.items()) if found == "wrong"] == []
    assert counts["equal"] >= AT_LEAST, counts
    assert counts_bound["equal"] >= AT_LEAST_BOUND, counts_bound

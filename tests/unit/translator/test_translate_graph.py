"""The graph itself: names, weights, and what is left out of it."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from webnn_translator.translate import translate

N = helper.make_node
F, I64 = np.float32, np.int64
INPUT = {"x": (F, (2, 3))}


def ops(translation):
    return [node.op for node in translation.graph.nodes]


def test_names_are_kept_as_far_as_identifiers_allow(build) -> None:
    nodes = [
        N("Add", ["x", "layer.0/bias"], ["/layer.0/Add_output_0"]),
        N("Relu", ["/layer.0/Add_output_0"], ["logits"]),
    ]
    graph = translate(build(nodes, INPUT, ["logits"], constants={"layer.0/bias": np.ones(3, F)})).graph
    assert list(graph.inputs) == ["x"]
    assert list(graph.constants) == ["layer_0_bias"]
    assert [node.name for node in graph.nodes] == ["layer_0_Add", "logits"]
    assert graph.constants["layer_0_bias"].key == "layer_0_bias"


def test_names_that_become_equal_stay_apart(build) -> None:
    nodes = [N("Add", ["x", "a.b"], ["t"]), N("Add", ["t", "a_b"], ["u"]), N("Add", ["u", "a/b"], ["a b"])]
    constants = {name: np.full(3, value, F) for value, name in enumerate(["a.b", "a_b", "a/b"])}
    found = translate(build(nodes, INPUT, ["a b"], constants=constants))
    assert sorted(float(constant.values[0]) for constant in found.graph.constants.values()) == [0, 1, 2]
    assert found.output_names == {"a b": "a_b"}


def test_names_that_readers_take_for_literals_are_changed(build) -> None:
    found = translate(build([N("Relu", ["true_x"], ["null"])], {"true_x": (F, (2,))}, ["null"]))
    assert found.input_names == {"true_x": "v_true_x"}
    assert found.output_names == {"null": "v_null"}


def test_translation_is_deterministic(build) -> None:
    nodes = [N("Gelu", ["x"], ["g"], approximate="tanh"), N("Softmax", ["g"], ["y"])]
    first, second = (translate(build(nodes, INPUT, opset=20)).graph for _ in range(2))
    assert first == second


def test_outputs_may_be_inputs_constants_and_each_other(build, agree) -> None:
    nodes = [
        N("Identity", ["x"], ["same"]),
        N("Relu", ["x"], ["a"]),
        N("Identity", ["a"], ["b"]),
        N("Identity", ["c"], ["k"]),
    ]
    model = build(nodes, INPUT, ["same", "a", "b", "k"], constants={"c": np.arange(3, dtype=F)})
    agree(model, {"x": np.asarray([[-1, 2, 3], [4, -5, 6]], F)})


def test_scalar_inputs_are_kept(build, agree) -> None:
    found = agree(
        build([N("Add", ["x", "s"], ["y"])], INPUT | {"s": (F, ())}), {"x": np.ones((2, 3), F), "s": np.asarray(2, F)}
    )
    assert list(found.graph.inputs) == ["x", "s"]


def test_an_input_without_influence_is_left_out_and_said(build) -> None:
    found = translate(build([N("Relu", ["x"], ["y"])], INPUT | {"z": (F, (1,))}))
    assert list(found.input_names) == ["x"]
    assert found.notes == ("input 'z' has no influence on the outputs and is left out",)


def test_bool_travels_as_uint8_and_is_listed(build) -> None:
    found = translate(build([N("Not", ["x"], ["y"])], {"x": (np.bool_, (2,))}))
    assert str(found.graph.inputs["x"]) == "u8[2]"
    assert {name: elem.text for name, elem in found.source_types.items()} == {"x": "bool", "y": "bool"}
    assert found.mappings == {"bool": "carried as uint8, holding 0 or 1"}


def test_constants_are_folded_but_not_blown_up(build) -> None:
    nodes = [
        N("Transpose", ["w"], ["t"]),
        N("MatMul", ["x", "t"], ["y"]),
        N("Expand", ["w", "big"], ["z"]),
    ]
    constants = {"w": np.ones((4, 3), F), "big": np.asarray([10000, 4, 3], I64)}
    found = translate(build(nodes, INPUT, ["y", "z"], constants=constants))
    assert ops(found) == ["matmul", "expand"]
    assert max(constant.values.size for constant in found.graph.constants.values()) == 12


def test_equal_computations_are_made_once(build) -> None:
    nodes = [N("Exp", ["x"], ["a"]), N("Exp", ["x"], ["b"]), N("Add", ["a", "b"], ["y"])]
    assert ops(translate(build(nodes, INPUT))) == ["exp", "add"]


def test_steps_that_change_nothing_are_left_out(build, agree) -> None:
    nodes = [
        N("Cast", ["x"], ["a"], to=TensorProto.FLOAT),
        N("Transpose", ["a"], ["b"], perm=[1, 0]),
        N("Transpose", ["b"], ["c"], perm=[1, 0]),
        N("Reshape", ["c", "flat"], ["d"]),
        N("Reshape", ["d", "back"], ["e"]),
        N("Dropout", ["e"], ["f"]),
        N("Neg", ["f"], ["y"]),
    ]
    constants = {"flat": np.asarray([-1], I64), "back": np.asarray([2, 3], I64)}
    found = agree(build(nodes, INPUT, opset=13, constants=constants), {"x": np.ones((2, 3), F)})
    assert ops(found) == ["neg"]


def test_quantised_weights_stay_quantised(build, agree) -> None:
    rng = np.random.default_rng(0)
    q = rng.integers(-127, 128, (32, 48)).astype(np.int8)
    scale = (rng.random((1, 48)) + 0.1).astype(F)
    nodes = [N("Cast", ["q"], ["f"], to=TensorProto.FLOAT), N("Mul", ["f", "s"], ["w"]), N("MatMul", ["x", "w"], ["y"])]
    model = build(nodes, {"x": (F, ("n", 32))}, constants={"q": q, "s": scale})
    found = agree(model, {"x": rng.standard_normal((3, 32)).astype(F)}, tolerance=1e-3)
    assert ops(found) == ["dequantizeLinear", "matmul"]
    assert found.graph.constants["q"].values.dtype == np.int8


def test_rows_of_a_quantised_table_are_gathered_before_they_are_dequantised(build, agree) -> None:
    rng = np.random.default_rng(0)
    q = rng.integers(-127, 128, (100, 16)).astype(np.int8)
    for scale in (
        (rng.random((100, 1)) + 0.1).astype(F),
        np.asarray([[0.5]], F),
        (rng.random((1, 16)) + 0.1).astype(F),
    ):
        nodes = [
            N("Cast", ["q"], ["f"], to=TensorProto.FLOAT),
            N("Mul", ["f", "s"], ["w"]),
            N("Gather", ["w", "i"], ["y"]),
        ]
        model = build(nodes, {"i": (I64, ("b", "n"))}, constants={"q": q, "s": scale})
        found = agree(model, {"i": np.asarray([[3, 99, 0]], I64)}, {"i": np.asarray([[-1], [5]], I64)})
        assert ops(found)[0] == "gather"
        assert ops(found)[-1] == "dequantizeLinear"


def test_functions_of_the_model_are_expanded(build, agree) -> None:
    body = [N("Add", ["a", "a"], ["t"]), N("Relu", ["t"], ["b"])]
    function = helper.make_function("local", "Twice", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    model = build([N("Twice", ["x"], ["y"], domain="local")], INPUT, domains=[("local", 1)], functions=[function])
    agree(model, {"x": np.asarray([[-1, 2, 3], [4, -5, 6]], F)})


def test_a_mask_is_stretched_only_where_something_needs_it(build, agree) -> None:
    nodes = [
        N("Shape", ["s"], ["shape"]),
        N("Cast", ["m"], ["c"], to=TensorProto.BOOL),
        N("Expand", ["c", "shape"], ["e"]),
        N("Where", ["e", "zero", "low"], ["bias"]),
        N("Add", ["s", "bias"], ["y"]),
    ]
    constants = {"zero": np.asarray(0, F), "low": np.asarray(-1e30, F)}
    inputs = {"s": (F, ("b", "h", "n", "n")), "m": (I64, ("b", 1, 1, "n"))}
    rng = np.random.default_rng(0)
    feed = {"s": rng.standard_normal((2, 3, 4, 4)).astype(F), "m": rng.integers(0, 2, (2, 1, 1, 4))}
    found = agree(build(nodes, inputs, constants=constants), feed)
    assert ops(found) == ["notEqual", "where", "add"]


def test_weights_that_are_used_twice_are_one_constant(build, agree) -> None:
    # A language model whose output layer is its embedding table.
    rng = np.random.default_rng(0)
    q, scale = rng.integers(-127, 128, (100, 16)).astype(np.int8), (rng.random((100, 1)) + 0.1).astype(F)
    nodes = [
        N("DequantizeLinear", ["q", "s"], ["w"], axis=0),
        N("Gather", ["w", "i"], ["h"]),
        N("Transpose", ["w"], ["t"]),
        N("MatMul", ["h", "t"], ["y"]),
        N("Gather", ["w", "j"], ["z"]),
    ]
    inputs = {"i": (I64, (1, "n")), "j": (I64, (2,))}
    model = build(nodes, inputs, ["y", "z"], constants={"q": q, "s": scale[:, 0]})
    found = agree(model, {"i": np.asarray([[3, 99, 0]], I64), "j": np.asarray([1, 2], I64)}, tolerance=1e-3)
    held = [constant.values.size for constant in found.graph.constants.values()]
    # The rows that both gathers read, and the transpose.
    assert held.count(1600) == 2

"""The W3C-shaped context: tensors, dispatch, the timeline, destruction."""

from __future__ import annotations

import asyncio
import threading
from array import array
from types import SimpleNamespace

import numpy as np
import pytest

from webnn_runtime.api import (
    ML,
    AsyncMLContext,
    InvalidStateError,
    MLContext,
    MLGraph,
    MLGraphBuilder,
    MLTensor,
    MLTypeError,
    NotSupportedError,
)
from webnn_runtime.api.limits import op_support_limits
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.bundle_writing import save_bundle
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.ops import OPS

ONES = np.ones((2, 3), np.float32)


@pytest.fixture
def context() -> MLContext:
    return ML().create_context(backend="numpy")


def doubled(context: MLContext) -> MLGraph:
    builder = MLGraphBuilder(context)
    x = builder.input("x", [2, 3], "float32")
    return builder.build({"y": builder.add(x, x)})


def test_options_that_do_not_exist_are_refused():
    for options in ({"power_preference": "fast"}, {"device_type": "tpu"}):
        with pytest.raises(MLTypeError, match="is not one of"):
            ML().create_context(**options)
    with pytest.raises(NotSupportedError, match="no such backend"):
        ML().create_context(backend="abacus")


def test_options_of_a_dictionary_and_keywords_are_both_heard():
    made = ML().create_context({"powerPreference": "low-power"}, backend="numpy")
    assert (made.backend, made.power_preference) == ("numpy", "low-power")
    assert ML().create_context({"backend": "numpy"}, backend="onnxruntime").backend == "numpy"
    with pytest.raises(MLTypeError, match="no option 'powerpreference'; there are power_preference, accelerated"):
        ML().create_context({"powerpreference": "low-power"})
    for value in ("no", 0, None):
        with pytest.raises(MLTypeError, match=f"accelerated is {value!r}; expected True or False"):
            ML().create_context(accelerated=value)


@pytest.mark.parametrize("threads", [0, -1, 1025, 1.5, "2"])
def test_an_impossible_number_of_threads_is_refused_at_once(threads):
    with pytest.raises(MLTypeError, match="must be 1 to 1024"):
        ML().create_context(threads=threads)


@pytest.mark.parametrize("give", ["compute", "write_tensor", "constant"])
def test_masked_values_are_no_values(context, give):
    masked = np.ma.masked_less(np.ones((2, 3), np.float32) * [[-1], [1]], 0).astype(np.float32)
    calls = {
        "compute": lambda: context.compute(doubled(context), {"x": masked}),
        "write_tensor": lambda: context.write_tensor(context.create_tensor([2, 3], "float32", writable=True), masked),
        "constant": lambda: MLGraphBuilder(context).constant(masked),
    }
    with pytest.raises(MLTypeError, match=r"masked values; .* filled"):
        calls[give]()


def test_a_tensor_starts_with_zeros_and_keeps_its_type(context):
    tensor = context.create_tensor([2], "int64", readable=True, writable=True)
    assert context.read_tensor(tensor).tolist() == [0, 0]
    context.write_tensor(tensor, np.array([2**62, -1]))
    result = context.read_tensor(tensor)
    assert (result.dtype, result.tolist()) == (np.int64, [2**62, -1])


def test_dispatch_runs_from_tensors_to_tensors(context):
    graph = doubled(context)
    source = context.create_tensor([2, 3], "float32", writable=True)
    target = context.create_tensor([2, 3], "float32", readable=True)
    context.write_tensor(source, ONES.tobytes())
    context.dispatch(graph, {"x": source}, {"y": target})
    own = np.empty((2, 3), np.float32)
    assert context.read_tensor(target, own) is not None
    assert own.tolist() == (ONES * 2).tolist()


@pytest.mark.parametrize("value", ["no", "", 1, 0, None])
@pytest.mark.parametrize("name", ["readable", "writable"])
def test_permission_is_yes_or_no(name, value, context):
    refused = f"create_tensor: {name} is {value!r}; expected True or False"
    with pytest.raises(MLTypeError, match=refused):
        context.create_tensor([1], "float32", **{name: value})
    with pytest.raises(MLTypeError, match=refused):
        context.create_tensor({"shape": [1], "dataType": "float32", name: value})
    tensor = context.create_tensor([1], "float32", **{name: np.True_})
    assert getattr(tensor, name) is True


def test_reading_and_writing_need_permission(context):
    tensor = context.create_tensor([1], "float32")
    with pytest.raises(MLTypeError, match="readable=True"):
        context.read_tensor(tensor)
    with pytest.raises(MLTypeError, match="writable=True"):
        context.write_tensor(tensor, np.float32([1]))


@pytest.mark.parametrize(
    "data", [np.ones(2, np.float64), np.ones(3, np.float32), b"123", [1.0, 2.0], np.ones(2, np.int32)]
)
def test_a_buffer_that_does_not_fit_is_refused(context, data):
    tensor = context.create_tensor([2], "float32", writable=True)
    with pytest.raises(MLTypeError):
        context.write_tensor(tensor, data)


def test_dispatch_refuses_what_does_not_belong(context):
    graph = doubled(context)
    x, y = (context.create_tensor([2, 3], "float32") for _ in range(2))
    other = ML().create_context(backend="numpy").create_tensor([2, 3], "float32")
    small = context.create_tensor([3, 2], "float32")
    constant = context.create_constant_tensor([2, 3], "float32", ONES)
    destroyed = context.create_tensor([2, 3], "float32")
    destroyed.destroy()
    for inputs, outputs in (
        ({"x": x}, {"y": x}),
        ({"x": other}, {"y": y}),
        ({"x": small}, {"y": y}),
        ({"x": constant}, {"y": y}),
        ({"x": destroyed}, {"y": y}),
        ({}, {"y": y}),
        ({"x": x, "z": small}, {"y": y}),
        ({"x": x}, {"z": y}),
    ):
        with pytest.raises(MLTypeError, match="dispatch"):
            context.dispatch(graph, inputs, outputs)


def test_a_constant_tensor_becomes_a_constant_and_may_be_destroyed_after_build(context):
    tensor = context.create_constant_tensor([2, 3], "float32", ONES)
    builder = MLGraphBuilder(context)
    graph = builder.build({"y": builder.neg(builder.constant(tensor))})
    tensor.destroy()
    assert context.compute(graph, {})["y"].tolist() == (-ONES).tolist()


def test_a_constant_tensor_destroyed_before_build_is_refused(context):
    tensor = context.create_constant_tensor([2, 3], "float32", ONES)
    builder = MLGraphBuilder(context)
    value = builder.neg(builder.constant(tensor))
    tensor.destroy()
    with pytest.raises(MLTypeError, match="destroyed"):
        builder.build({"y": value})


def test_compute_checks_names_types_and_shapes(context):
    graph = doubled(context)
    for inputs in ({}, {"x": ONES, "z": ONES}, {"x": ONES.astype(np.float64)}, {"x": ONES.T}):
        with pytest.raises(MLTypeError):
            context.compute(graph, inputs)


def test_destroy_is_idempotent_and_final(context):
    graph = doubled(context)
    tensor = context.create_tensor([2, 3], "float32", readable=True)
    context.destroy()
    context.destroy()
    assert "destroyed" in context.lost.result(0).message
    for call in (
        lambda: context.compute(graph, {"x": ONES}),
        lambda: context.read_tensor(tensor),
        lambda: context.create_tensor([1], "float32"),
        lambda: MLGraphBuilder(context),
    ):
        with pytest.raises(InvalidStateError):
            call()


def test_a_destroyed_graph_does_not_run(context):
    graph = doubled(context)
    graph.destroy()
    graph.destroy()
    with pytest.raises(InvalidStateError, match="build it again"):
        context.compute(graph, {"x": ONES})


def test_asynchronous_work_keeps_its_order(context):
    graph = doubled(context)
    source = context.create_tensor([2, 3], "float32", writable=True)
    target = context.create_tensor([2, 3], "float32", readable=True)

    async def work() -> np.ndarray:
        tasks = [
            asyncio.ensure_future(context.write_tensor_async(source, ONES)),
            asyncio.ensure_future(context.dispatch_async(graph, {"x": source}, {"y": target})),
            asyncio.ensure_future(context.read_tensor_async(target)),
        ]
        return (await asyncio.gather(*tasks))[-1]

    assert asyncio.run(work()).tolist() == (ONES * 2).tolist()


def test_destroying_with_work_queued_neither_hangs_nor_crashes(context, monkeypatch):
    graph = doubled(context)
    run, gate = MLGraph.run, threading.Event()

    def run_behind_gate(self, inputs):
        gate.wait(20)
        return run(self, inputs)

    monkeypatch.setattr(MLGraph, "run", run_behind_gate)

    async def work() -> list[object]:
        tasks = [asyncio.ensure_future(context.compute_async(graph, {"x": ONES})) for _ in range(50)]
        await asyncio.sleep(0.01)
        context.destroy()
        gate.set()
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)

    results = asyncio.run(work())
    assert all(isinstance(result, InvalidStateError) for result in results)


def test_eight_threads_share_a_graph(context):
    graph = doubled(context)
    failures: list[int] = []

    def work(seed: int) -> None:
        values = np.full((2, 3), seed, np.float32)
        results = [context.compute(graph, {"x": values})["y"] for _ in range(50)]
        failures.extend(seed for result in results if result.tolist() != (values * 2).tolist())

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("backend", ["numpy", "onnxruntime", "rust"])
def test_support_limits_cover_what_the_specification_requires(backend, optional):
    optional({"onnxruntime": "onnxruntime", "rust": "webnn_kernels", "numpy": "numpy"}[backend])
    limits = ML().create_context(backend=backend).op_support_limits()
    assert limits["preferredInputLayout"] in ("nchw", "nhwc")
    for name, spec in OPS.items():
        for row in (*spec.operands, *spec.results):
            found = limits[name][row.name]
            assert {dtype.value for dtype in row.required} <= set(found["dataTypes"]), (name, row.name)
            assert found["rankRange"]["min"] <= row.required_ranks.low
            assert found["rankRange"]["max"] >= (row.required_ranks.high or 0)


def test_a_stated_gap_narrows_the_limits():
    limits = op_support_limits({("add", DataType.INT8): "no kernel", ("lstm", None): "no kernel"})
    assert "lstm" not in limits
    for row in ("a", "b", "output"):
        assert "int8" not in limits["add"][row]["dataTypes"]
        assert "int8" in limits["sub"][row]["dataTypes"]


def test_the_asynchronous_context_of_pywebnn(context):
    graph = doubled(context)
    wrapped = AsyncMLContext(context)
    source, target = (wrapped.create_tensor([2, 3], "float32") for _ in range(2))

    async def work() -> np.ndarray:
        await wrapped.write_tensor_async(source, ONES)
        await wrapped.dispatch(graph, {"x": source}, {"y": target})
        return await wrapped.read_tensor_async(target)

    assert asyncio.run(work()).tolist() == (ONES * 2).tolist()
    assert wrapped.compute(graph, {"x": ONES})["y"].tolist() == wrapped.read_tensor(target).tolist()


def test_a_context_says_what_it_was_asked_for(context):
    info = context.backend_info()
    assert (info["backend"], info["device"]) == ("numpy", "cpu")
    assert "numpy" in info["available"]
    assert context.create_host_tensor([1], "int8").readable


def holding(context: MLContext, values: np.ndarray) -> MLTensor:
    tensor = context.create_host_tensor(values.shape, "float32")
    context.write_tensor(tensor, values)
    return tensor


SIX = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize(
    ("buffer", "values"),
    [
        (np.zeros((2, 3), np.float32).T, lambda gap: gap.reshape(-1)),
        (np.zeros(12, np.float32)[::2], lambda gap: gap),
        (np.zeros(48, np.uint8)[::2], lambda gap: np.ascontiguousarray(gap).view(np.float32)),
        (memoryview(bytearray(48))[::2], lambda gap: np.frombuffer(gap.tobytes(), np.float32)),
        (array("f", [0] * 6), np.array),
        (bytearray(24), lambda raw: np.frombuffer(raw, np.float32)),
    ],
    ids=["transposed", "steps", "bytes-with-steps", "view-with-steps", "array.array", "bytearray"],
)
def test_a_tensor_is_read_into_the_buffer_that_is_given_and_not_into_a_copy(context, buffer, values):
    context.read_tensor(holding(context, SIX), buffer)
    np.testing.assert_array_equal(values(buffer), SIX.reshape(-1))


@pytest.mark.parametrize("buffer", [memoryview(SIX.repeat(2))[::2], array("f", SIX.reshape(-1)), memoryview(SIX)])
def test_a_tensor_is_written_from_whatever_is_a_buffer(context, buffer):
    tensor = context.create_host_tensor([2, 3], "float32")
    context.write_tensor(tensor, buffer)
    np.testing.assert_array_equal(context.read_tensor(tensor), SIX)


def test_numbers_of_another_type_are_not_taken_for_bytes(context):
    tensor = context.create_host_tensor([2, 3], "float32")
    for buffer in (memoryview(np.arange(6, dtype=np.int32)), array("i", range(6))):
        with pytest.raises(MLTypeError, match="is int32"):
            context.write_tensor(tensor, buffer)


def test_four_bits_hold_what_four_bits_hold(context):
    tensor = context.create_host_tensor([2], "int4")
    context.write_tensor(tensor, np.int8([-8, 7]))
    with pytest.raises(MLTypeError, match="outside -8 to 7"):
        context.write_tensor(tensor, np.int8([0, 8]))
    assert context.read_tensor(tensor).tolist() == [-8, 7]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.zeros((4, 2, 3), np.float32), r"shape \[4, 2, 3\]"),
        (np.zeros((3, 2), np.float32), r"shape \[3, 2\]"),
        (np.zeros((2, 3)), "not float64"),
        (np.frombuffer(bytes(24), np.float32).reshape(2, 3), "read-only"),
        ([0.0], "not list"),
    ],
)
def test_a_result_is_copied_only_into_an_array_of_its_own_shape_and_type(context, target, message):
    with pytest.raises(MLTypeError, match=message):
        context.compute(doubled(context), {"x": ONES}, {"y": target})


@pytest.mark.parametrize(("into", "refused"), [([2, 3], None), ([4, 3], "shape is"), ([3], "shape is")])
def test_a_result_of_a_free_size_fills_a_tensor_of_its_own_shape_only(context, tmp_path, into, refused):
    builder = GraphBuilder("free", dims=[DynamicDim("rows", 8)])
    x = builder.input("x", DataType.FLOAT32, (symbol("rows"), 3))
    graph = MLGraph.load(context, save_bundle(builder.build({"y": builder.op("relu", x)}), tmp_path / "free"))
    x, y = holding(context, ONES[:1] if refused else ONES), context.create_host_tensor(into, "float32")
    if refused is None:
        context.dispatch(graph, {"x": x}, {"y": y})
        np.testing.assert_array_equal(context.read_tensor(y), ONES)
        return
    with pytest.raises(MLTypeError, match=refused):
        context.dispatch(graph, {"x": x}, {"y": y})
    with pytest.raises(MLTypeError, match="rows"):
        context.dispatch(graph, {"x": context.create_tensor([9, 3], "float32")}, {"y": y})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda it: it.context.compute(None, {}), "NoneType is no MLGraph"),
        (lambda it: it.context.dispatch(None, {}, {}), "NoneType is no MLGraph"),
        (lambda it: it.context.dispatch(it.graph, {"x": ONES}, {"y": it.x}), "call compute with arrays"),
        (lambda it: it.context.dispatch(it.graph, [it.x], {"y": it.x}), "inputs are a list"),
        (lambda it: it.context.dispatch(it.graph, {"x": it.x}, None), "outputs are a NoneType"),
        (lambda it: it.context.dispatch(it.graph, {1: it.x}, {"y": it.x}), "dispatch"),
        (lambda it: it.context.read_tensor(ONES), "ndarray is no MLTensor"),
        (lambda it: it.context.write_tensor(None, ONES), "NoneType is no MLTensor"),
        (lambda it: it.context.compute(it.graph, {"x": ONES}, [ONES]), "outputs are a list"),
    ],
)
def test_what_is_no_graph_and_no_tensor_is_a_type_error(context, call, message):
    with pytest.raises(MLTypeError, match=message):
        call(SimpleNamespace(context=context, graph=doubled(context), x=holding(context, ONES)))

"""Binding names from shapes: whatever the inputs' expressions, their values come back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webnn_runtime.format.binding import bind_shapes
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, evaluate, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import ShapeError

NAMES = ("a", "b", "c")
names = st.sampled_from(NAMES).map(symbol)
expressions = (
    st.builds(lambda name, factor, more: name * factor + more, names, st.integers(1, 5), st.integers(0, 9))
    | st.builds(lambda left, right: left + 2 * right, names, names)
    | st.builds(lambda left, right: left * right, names, names)
    | st.builds(lambda name, divisor: (name + divisor - 1) // divisor, names, st.integers(1, 5))
    | st.integers(1, 9)
)


@st.composite
def calls(draw):
    """A graph whose names can all be bound, and the sizes of one call."""
    values = {name: draw(st.integers(1, 50)) for name in NAMES}
    dims = draw(st.permutations([*map(symbol, NAMES), *draw(st.lists(expressions, max_size=6))]))
    builder = GraphBuilder(dims=[DynamicDim(name, 50) for name in NAMES])
    outputs, cut = {}, draw(st.integers(1, len(dims)))
    for place, shape in enumerate((dims[:cut], dims[cut:])):
        x = builder.input(f"x{place}", DataType.FLOAT32, shape)
        outputs[f"y{place}"] = builder.op("identity", x)
    graph = builder.build(outputs)
    return (
        graph,
        values,
        {name: tuple(evaluate(dim, values) for dim in kind.shape) for name, kind in graph.inputs.items()},
    )


@given(calls())
def test_the_values_behind_the_shapes_are_found(call):
    graph, values, shapes = call
    assert bind_shapes(graph, shapes) == values


@given(calls(), st.data())
def test_one_size_that_does_not_fit_is_never_accepted_for_these_values(call, data):
    graph, values, shapes = call
    name = data.draw(st.sampled_from([name for name, shape in shapes.items() if shape]))
    place = data.draw(st.integers(0, len(shapes[name]) - 1))
    wrong = list(shapes[name])
    wrong[place] += data.draw(st.sampled_from((-1, 1, 51)))
    try:
        found = bind_shapes(graph, {**shapes, name: tuple(wrong)})
    except ShapeError as exc:
        assert name in str(exc) or "needs" in str(exc)  # noqa: PT017  # both outcomes are right
        return
    # Only where the size was the name itself, and nothing else depends on it, can other values fit.
    assert found != values
    assert tuple(evaluate(dim, found) for dim in graph.inputs[name].shape) == tuple(wrong)


@pytest.mark.parametrize("size", [0, -1, 2**31])
def test_no_size_outside_the_range_is_bound(size):
    builder = GraphBuilder(dims=[DynamicDim("a")])
    graph = builder.build({"y": builder.op("identity", builder.input("x", DataType.FLOAT32, [symbol("a")]))})
    with pytest.raises(ShapeError, match=f"a = {size}; the graph allows 1 to 2147483647"):
        bind_shapes(graph, {"x": (size,)})

"""Calls on named dimensions: one executable gives what the definitions give at several sizes, 0 among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest
from call_sites import PROFILES, Call, Slot, Values, plain
from hypothesis import given, note, settings
from hypothesis import strategies as st
from known_differences import KNOWN
from random_calls import calls
from random_graphs import Allowed, Made, allowances, beyond

from webnn_runtime.backends import Backend, CompileOptions, get_backend
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import Dim, DynamicDim, evaluate, symbol
from webnn_runtime.format.errors import GraphError, UnsupportedByBackend, WebnnError
from webnn_runtime.format.graph import Array, Graph, TensorType
from webnn_runtime.format.ops import OPS
from webnn_runtime.passes.bind_dims import bind_dims

EXAMPLES = settings.default.max_examples if settings.default else 40
for_each_operator = settings(max_examples=max(4, EXAMPLES // 10))
LIBRARIES = {"onnxruntime": "onnxruntime", "rust": "webnn_kernels"}
OPTIONS: Final = {"onnxruntime": CompileOptions(threads=1), "rust": CompileOptions(threads=1, strict=True)}
LARGEST: Final = 64


@pytest.fixture(scope="module", params=LIBRARIES)
def peer(request: pytest.FixtureRequest, optional: Callable[[str], Any]) -> Backend:
    """Each backend but the definition itself."""
    optional(LIBRARIES[request.param])
    return get_backend(request.param)


class Naming:
    """Names for sizes: equal ones have the same name, or none."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.least = draw(st.integers(0, 1))
        self.sizes: dict[str, int] = {}
        self._named: dict[int, bool] = {}

    def dim(self, size: int) -> Dim:
        if size not in self._named:
            self._named[size] = self.draw(st.booleans())
        if not self._named[size]:
            return size
        self.sizes[f"n{size}"] = size
        return symbol(f"n{size}")


def build(call: Call, naming: Naming | None, numbers: np.random.Generator) -> Graph:
    """The call with its dimensions named; indices, and whatever else has values of its own, are constants."""
    builder = GraphBuilder()
    operands = []
    for place, slot in enumerate((call.first, *call.others)):
        if slot is None:
            operands.append(None)
        elif naming is None or is_fixed(slot):
            make = slot.values or plain("signed")
            operands.append(builder.constant(make(numbers, slot.type), slot.type.dtype, name=f"x{place}"))
        else:
            shape = [naming.dim(size) for size in slot.type.static_shape]
            for name in naming.sizes:
                builder.add_dim(DynamicDim(name, LARGEST, naming.least))
            operands.append(builder.input(f"x{place}", slot.type.dtype, shape))
    options = dict(call.options)
    if naming is not None:
        for key in ("newShape", "outputSizes", "sizes", "splits"):
            # A size of the operands may be meant by its name here.
            if isinstance(options.get(key), list) and naming.draw(st.booleans()):
                options[key] = [symbol(f"n{size}") if f"n{size}" in naming.sizes else size for size in options[key]]
    results = builder.op_many(call.op, *operands, **options)
    return builder.build({f"y{place}": value for place, value in enumerate(results)})


def is_fixed(slot: Slot) -> bool:
    return slot.values is not None and not slot.type.dtype.is_float


@st.composite
def named_calls(draw: st.DrawFn, op: str) -> tuple[Graph, list[dict[str, int]], dict[str, Values], np.random.Generator]:
    """A graph of one operator, sizes for its names, and what makes values for its inputs."""
    call, naming = draw(calls(op)), Naming(draw)
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    try:
        graph = build(call, naming, numbers)
    except GraphError:
        # What has to be an integer is one then.
        graph = build(call, None, numbers)
    choices = {
        name: st.sampled_from([naming.least, 1, 2, 3, naming.sizes[name], naming.sizes[name] + 1])
        for name in graph.dims
    }
    own = {name: naming.sizes[name] for name in graph.dims}
    usual = plain(draw(st.sampled_from(PROFILES)))
    makers = {f"x{place}": (slot and slot.values) or usual for place, slot in enumerate((call.first, *call.others))}
    return graph, [own, *(draw(st.fixed_dictionaries(choices)) for _ in range(3)), own], makers, numbers


def feeds_at(
    graph: Graph, sizes: dict[str, int], makers: dict[str, Values], numbers: np.random.Generator
) -> dict[str, Array]:
    return {
        name: makers[name](numbers, TensorType(kind.dtype, tuple(evaluate(dim, sizes) for dim in kind.shape)))
        for name, kind in graph.inputs.items()
    }


@pytest.mark.parametrize("op", OPS)
@for_each_operator
@given(data=st.data())
def test_an_operator_agrees_with_its_definition_at_every_size(peer: Backend, op: str, data: st.DataObject) -> None:
    graph, runs, makers, numbers = data.draw(named_calls(op))
    try:
        model = peer.compile(graph, OPTIONS[peer.name])
    except UnsupportedByBackend as exc:
        assert "bind the names" in str(exc) or any(reason in exc.reason for reason in peer.unsupported.values())  # noqa: PT017  # both outcomes are right
        return
    definition = get_backend("numpy").compile(graph)
    wider = {op: known.absolute for (name, op), known in KNOWN.items() if name == peer.name}
    for sizes in runs:
        feeds = feeds_at(graph, sizes, makers, numbers)
        note(f"{sizes}: {feeds}")
        try:
            wanted = definition.run(feeds)
        except WebnnError:
            with pytest.raises(WebnnError):
                model.run(feeds)
            continue
        found = model.run(feeds)
        if 0 in sizes.values() or not all(array.size for array in wanted.values()):
            # A graph whose sizes are all known has none of 0; what is left are sums of nothing and the like.
            allowed = {
                value: Allowed(wanted[name], np.zeros(wanted[name].shape)) for name, value in graph.outputs.items()
            }
        else:
            allowed = allowances(Made(bind_dims(graph, sizes), feeds), wider)
        wrong = {name: beyond(found[name], allowed[value]) for name, value in graph.outputs.items()}
        assert wrong == dict.fromkeys(wanted)

"""Random valid graphs on the backends against the definition, and invalid ones against the rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from known_differences import KNOWN
from random_calls import RECIPES
from random_graphs import Made, allowances, beyond, graphs, one_operator

from webnn_runtime.backends import Backend, CompileOptions, get_backend
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.document import attach
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import UnsupportedByBackend
from webnn_runtime.format.json_graph import parse_json_graph, print_json_graph
from webnn_runtime.format.ops import OPS
from webnn_runtime.format.printer import print_graph
from webnn_runtime.format.text import parse_graph

EXAMPLES = settings.default.max_examples if settings.default else 40
# The profile says how many graphs; an operator by itself gets a part of that, as there are 95 of them.
for_each_operator = settings(max_examples=max(4, EXAMPLES // 10))
chains = settings(max_examples=4 * EXAMPLES)
# Starting a second thread takes longer than any of these graphs.
ONE_THREAD = CompileOptions(threads=1)
# The rust backend has kernels for everything: nothing may fall back to the definition that it is compared with.
NATIVE = CompileOptions(threads=1, strict=True)


LIBRARIES = {"onnxruntime": "onnxruntime", "rust": "webnn_kernels"}


@pytest.fixture(scope="module", params=LIBRARIES)
def peer(request: pytest.FixtureRequest, optional: Callable[[str], Any]) -> Backend:
    """Each backend but the definition itself."""
    optional(LIBRARIES[request.param])
    return get_backend(request.param)


def check(made: Made, backend: Backend) -> None:
    note(str(made))
    try:
        results = backend.compile(made.graph, NATIVE if backend.name == "rust" else ONE_THREAD).run(made.feeds)
    except UnsupportedByBackend as exc:
        gap = exc.reason
    else:
        gap = None
    if gap is not None:
        assert any(reason in gap for reason in backend.unsupported.values()), gap
        return
    wider = {op: known.absolute for (name, op), known in KNOWN.items() if name == backend.name}
    allowed = allowances(made, wider)
    wrong = {name: beyond(results[name], allowed[value]) for name, value in made.graph.outputs.items()}
    assert wrong == dict.fromkeys(wrong)


def test_every_operator_has_a_recipe() -> None:
    assert set(RECIPES) == set(OPS)


@pytest.mark.parametrize("op", OPS)
@for_each_operator
@given(data=st.data())
def test_an_operator_agrees_with_its_definition(peer: Backend, op: str, data: st.DataObject) -> None:
    check(data.draw(one_operator(op)), peer)


@pytest.mark.parametrize(("name", "op"), KNOWN)
def test_a_known_difference_is_still_there(name: str, op: str, optional: Callable[[str], Any]) -> None:
    optional(LIBRARIES[name])
    known = KNOWN[name, op]
    builder = GraphBuilder()
    feeds = {f"x{place}": array for place, array in enumerate(known.operands)}
    operands = [builder.input(key, DataType.from_numpy(array.dtype), array.shape) for key, array in feeds.items()]
    made = Made(builder.build({"y": builder.op(op, *operands, **known.options)}), feeds)
    result = get_backend(name).compile(made.graph, ONE_THREAD).run(feeds)["y"]
    assert beyond(result, allowances(made, {})["y"]) is not None
    assert beyond(result, allowances(made, {op: known.absolute})["y"]) is None


@chains
@given(made=graphs())
def test_a_chain_of_operators_agrees_with_its_definition(peer: Backend, made: Made) -> None:
    check(made, peer)


@given(made=graphs())
def test_a_random_graph_is_read_back_from_its_text(made: Made) -> None:
    text = print_graph(made.graph)
    weights = {name: constant.values for name, constant in made.graph.constants.items() if constant.key is not None}
    found = attach(parse_graph(text), weights)
    assert (found.inputs, found.nodes, found.outputs) == (made.graph.inputs, made.graph.nodes, made.graph.outputs)
    assert (found.constants, found.types) == (made.graph.constants, made.graph.types)
    assert print_graph(found) == text


@given(made=graphs(), inline=st.booleans())
def test_a_random_graph_is_read_back_from_json(made: Made, inline: bool) -> None:
    data = print_json_graph(made.graph, inline=inline)
    weights = {name: constant.values for name, constant in made.graph.constants.items() if constant.key is not None}
    found = attach(parse_json_graph(data), {} if inline else weights)
    assert (found.inputs, found.nodes, found.outputs) == (made.graph.inputs, made.graph.nodes, made.graph.outputs)
    for name, constant in made.graph.constants.items():
        assert found.constants[name].values.tobytes() == constant.values.tobytes()
    assert print_json_graph(found, inline=inline) == data

"""What a notebook or a debugger shows of an object is a line, not the whole model."""

from __future__ import annotations

import pytest

import webnn_runtime
from webnn_runtime.format.bundle import load_bundle
from webnn_runtime.format.bundle_writing import save_bundle
from webnn_runtime.format.text import parse_graph

TEXT = """webnn_graph "small" v1 {
  inputs { x: f32[2, 3]; }
  consts { one: f32[2, 3] @scalar(1.0); }
  nodes { y = add(x, one); }
  outputs { y; }
}
"""


def test_a_graph_is_shown_by_its_sides(tmp_path) -> None:
    graph = parse_graph(TEXT)
    shown = "Graph('small', 1 nodes, x: f32[2, 3] -> y: f32[2, 3])"
    assert repr(graph) == shown
    folder = save_bundle(graph, tmp_path / "small")
    bundle = load_bundle(folder)
    assert repr(bundle) == f"Bundle({str(folder / 'model.webnn')!r}, {shown})"
    assert repr(bundle.manifest).startswith("Manifest(0 tensors, tool='webnn-runtime ")


def test_a_name_that_is_not_there_is_known_to_the_error() -> None:
    # Python adds "Did you mean: 'WebNNEmbedder'?" where it knows name and module.
    with pytest.raises(AttributeError, match="has no attribute 'WebNNEmbeder'") as raised:
        webnn_runtime.WebNNEmbeder  # noqa: B018
    assert (raised.value.name, raised.value.obj) == ("WebNNEmbeder", webnn_runtime)


def test_types_and_builders_are_shown_as_people_write_them() -> None:
    graph = parse_graph(TEXT)
    assert repr(dict(graph.inputs)) == "{'x': TensorType(f32[2, 3])}"
    context = webnn_runtime.ML().create_context(backend="numpy")
    builder = webnn_runtime.MLGraphBuilder(context)
    assert repr(builder) == "MLGraphBuilder(MLContext(backend='numpy', device='cpu'), open)"
    builder.build({"y": builder.relu(builder.input("x", [2], "float32"))})
    assert repr(builder).endswith(", spent)")

"""Names of any kind become identifiers that no reader confuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from webnn_runtime.format.graph import Graph
from webnn_runtime.format.names import by_sanitised_form, identifiers, safe_graph
from webnn_runtime.format.printer import print_graph
from webnn_runtime.format.text import parse_graph


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a", "b_1", "_", "Z9"], ["a", "b_1", "_", "Z9"]),
        (["a.b", "a/b", "a:b"], ["a_b", "a_b_2", "a_b_3"]),
        # A name that is an identifier already keeps itself, wherever it stands.
        (["a.b", "a_b"], ["a_b_2", "a_b"]),
        (["a.b", "a/b", "a_b_2"], ["a_b", "a_b_3", "a_b_2"]),
        (["1", "-", "", "é", "日本"], ["_1", "_", "value", "__2", "__"]),
        (["true", "false_x", "nullable", "True"], ["_true", "_false_x", "_nullable", "True"]),
        (["$x", "a b", "a\nb"], ["_x", "a_b", "a_b_2"]),
    ],
)
def test_identifiers_are_close_to_the_names_and_distinct(names: list[str], found: list[str]) -> None:
    assert list(identifiers(names).values()) == found


def test_names_in_use_are_avoided() -> None:
    assert identifiers(["a", "a.b"], {"a", "a_b"}) == {"a": "a_2", "a.b": "a_b_2"}


def test_names_are_grouped_by_what_other_tools_make_of_them() -> None:
    assert by_sanitised_form(["a.b", "d", "a/b", "a_b"]) == {"a_b": ["a.b", "a/b", "a_b"], "d": ["d"]}


def graph(outputs: dict[str, str]) -> Graph:
    text = (
        'webnn_graph "g" v1 { inputs { a: f32[2]; b.c: f32[2]; } consts { w: f32[2]; } '
        "nodes { p = add(a, b.c); q = add(p, w); } outputs { q; } }"
    )
    return replace(parse_graph(text), outputs=outputs)


@pytest.mark.parametrize(
    ("outputs", "printed", "originals"),
    [
        ({"q": "q"}, ["p = add(a, b_c);", "q = add(p, w);"], {"b_c": "b.c"}),
        ({"y": "q"}, ["p = add(a, b_c);", "y = add(p, w);"], {"b_c": "b.c"}),
        # Outputs that swap the names of two values.
        ({"q": "p", "p": "q"}, ["q = add(a, b_c);", "p = add(q, w);"], {"b_c": "b.c"}),
        # The output takes the name of a value that is none.
        ({"p": "q"}, ["p_2 = add(a, b_c);", "p = add(p_2, w);"], {"b_c": "b.c", "p_2": "p"}),
        # One value under two names.
        ({"y": "q", "z": "q"}, ["y = add(p, w);", "z = identity(y);"], {"b_c": "b.c"}),
        # Inputs and constants as outputs.
        ({"a": "a", "q": "q"}, ["q = add(p, w);"], {"b_c": "b.c"}),
        ({"y": "a", "v": "w"}, ["y = identity(a);", "v = identity(w);"], {"b_c": "b.c"}),
        # The name of an input for another value.
        ({"a": "q"}, ["a_2 = add(p, w);"], {"b_c": "b.c", "a_2": "a"}),
        ({"y.1": "q", "y_1": "p"}, ["y_1 = add(a, b_c);", "y_1_2 = add(y_1, w);"], {"b_c": "b.c", "y_1_2": "y.1"}),
    ],
)
def test_each_output_is_called_like_its_value(
    outputs: dict[str, str], printed: list[str], originals: dict[str, str]
) -> None:
    before = graph(outputs)
    safe, names = safe_graph(before)
    text = print_graph(safe)
    assert all(line in text for line in printed)
    assert names == originals
    assert [names.get(name, name) for name in safe.outputs] == list(outputs)
    assert [names.get(name, name) for name in safe.inputs] == ["a", "b.c"]


def test_a_safe_graph_stays_the_same_object() -> None:
    safe, _ = safe_graph(graph({"q": "q"}))
    assert safe_graph(safe)[0] is safe


def test_weights_keys_become_value_names() -> None:
    text = (
        'webnn_graph "g" v1 { inputs { a: f32[2]; } consts { w: f32[2] @weights("layer.0"); } '
        "nodes { y = add(a, w); } outputs { y; } }"
    )
    safe, names = safe_graph(parse_graph(text))
    assert safe.constants["w"].key == "w"
    assert names == {}

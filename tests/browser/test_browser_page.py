"""Pages of `webnn emit-html` in a real browser: they come up, keep to their policy, and answer."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Final

import pytest
from browser_devtools import Tab, open_page

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph
from webnn_translator.emit import emit_page

pytestmark = pytest.mark.browser

OWN: Final = runpy.run_path(str(Path(__file__).parents[1] / "unit" / "emit" / "test_page.py"))


def opened(browser: Path, graph: Graph, folder: Path) -> Path:
    page = folder / "page.html"
    page.write_text(emit_page(graph), encoding="utf-8")
    return page


def test_a_box_tells_the_options_without_which_its_name_says_little(browser: Path, tmp_path: Path) -> None:
    builder = GraphBuilder()
    x = builder.input("x", DataType.FLOAT32, (1, 1, 8, 8))
    pooled = builder.op("maxPool2d", x, window_dimensions=[3, 3], strides=[2, 2])
    cut = builder.op("slice", pooled, starts=[0, 0, 1, 0], sizes=[1, 1, 2, 2])
    page = opened(browser, builder.build({"y": cut}), tmp_path)
    with open_page(browser, page.as_uri(), tmp_path / "profile") as tab:
        pool, piece = tab.evaluate("graph.nodes.map(more)")
    assert "windowDimensions [3, 3]" in pool
    assert "strides [2, 2]" in pool
    assert piece == "starts [0, 0, 1, 0] · sizes [1, 1, 2, 2]", "no strides, which are 1"


def count_of(tab: Tab, what: str) -> int:
    return int(tab.evaluate(f"canvas.scene.{what}.length"))


def test_a_page_of_hostile_names_shows_them_and_runs_nothing_of_them(browser: Path, tmp_path: Path) -> None:
    page = opened(browser, OWN["hostile"](), tmp_path)
    with open_page(browser, page.as_uri(), tmp_path / "profile") as tab:
        assert tab.evaluate("document.title") == OWN["HOSTILE"][0]
        assert tab.evaluate("byId('title').textContent") == OWN["HOSTILE"][0]
        tab.evaluate("select({ node: 3 })")
        assert OWN["HOSTILE"][3] in tab.evaluate("byId('detail').textContent")
        assert tab.evaluate("document.querySelectorAll('img, body svg[onload], script').length") == 2
        assert tab.complaints == []
        # The policy itself: a script that gets in nevertheless does not run.
        tab.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), { text: 'window.ran = 1' }))"
        )
        assert tab.evaluate("window.ran") is None
        tab.evaluate("fetch('https://localhost/').catch(() => {})")
        assert len(tab.complaints) >= 2


def test_blocks_fold_search_finds_and_keys_walk(browser: Path, tmp_path: Path) -> None:
    page = opened(browser, OWN["stack"](8, shared=True), tmp_path)
    with open_page(browser, page.as_uri(), tmp_path / "profile") as tab:
        # Two inputs, the mask, one layer of six nodes, seven folded ones, the head, the output.
        assert count_of(tab, "boxes") == 2 + 1 + 6 + 7 + 1 + 1
        tab.evaluate("foldAll()")
        assert count_of(tab, "boxes") == 2 + 50 + 1
        assert count_of(tab, "frames") == 8
        tab.evaluate("foldAll()")
        assert count_of(tab, "boxes") == 2 + 1 + 8 + 1 + 1
        tab.evaluate("byId('query').value = 'layer.5.product'; byId('query').dispatchEvent(new Event('input'))")
        assert tab.evaluate("found.length") == 1
        tab.evaluate("document.querySelector('#matches button').click()")
        assert tab.evaluate("graph.nodes[selected.node][1]") == "model.layer.5.product"
        assert count_of(tab, "frames") == 1, "its block is unfolded"
        tab.evaluate("canvas.element.focus()")
        for key, label in (("ArrowDown", "model.layer.5.masked"), ("ArrowUp", "model.layer.5.product")):
            tab.call("Input.dispatchKeyEvent", type="keyDown", key=key)
            assert tab.evaluate("graph.nodes[selected.node][1]") == label
        tab.call("Input.dispatchKeyEvent", type="keyDown", key="Escape")
        assert tab.evaluate("selected") is None
        tab.evaluate("byId('operators').tBodies[0].rows[0].click()")
        assert tab.evaluate("found.length") == tab.evaluate(
            "Number(byId('operators').tBodies[0].rows[0].cells[1].textContent)"
        )
        assert tab.complaints == []

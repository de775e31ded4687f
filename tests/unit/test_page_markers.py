"""What the scripts measured goes between two markers of a page, and nowhere else."""

from __future__ import annotations

import pytest
from pages import put


def test_lines_replace_what_is_between_the_markers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a -->\nold\n<!-- /a -->\n<!-- b -->\nkept\n<!-- /b -->\n", encoding="utf-8")
    put(page, "a", iter(["| x |", r"\1"]))
    put(page, "a", ["| x |", r"\1"])
    wanted = "before\n<!-- a -->\n| x |\n\\1\n\n<!-- /a -->\n<!-- b -->\nkept\n<!-- /b -->\n"
    assert page.read_text(encoding="utf-8") == wanted


@pytest.mark.parametrize("text", ["", "<!-- a -->\n", "<!-- a -->\n<!-- /a -->\n" * 2])
def test_a_page_without_just_one_pair_stays_as_it_is(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match=r"page\.md has \d pairs of <!-- a -->"):
        put(page, "a", ["x"])
    assert page.read_text(encoding="utf-8") == text

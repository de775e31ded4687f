"""Generated pages are what their generators write."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
SCRIPTS: Final = ROOT / "scripts"
PAGES: Final = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("*.md"))]
FENCED: Final = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_operators_is_up_to_date() -> None:
    generator = script("generate_docs")
    written = generator.TARGET.read_text(encoding="utf-8")
    assert written == generator.render(), "run `make docs`"


def anchors(page: Path) -> set[str]:
    """What a browser of the repository calls the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_links_between_pages_lead_somewhere() -> None:
    links = [
        (page, link)
        for page in PAGES
        for link in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", page.read_text(encoding="utf-8")))
        if not link.startswith("http")
    ]
    assert len(links) > 30
    lost = []
    for page, link in links:
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(f"{page.name}: {link}")
    assert lost == []

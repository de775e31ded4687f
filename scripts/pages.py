"""The pages into which the other scripts put what they measured."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path


def put(path: Path, mark: str, lines: Iterable[str]) -> None:
    """Put lines and an empty one between the markers `<!-- mark -->` and `<!-- /mark -->` of a page."""
    text, count = re.subn(
        rf"(?s)(<!-- {mark} -->\n).*?(<!-- /{mark} -->)",
        lambda match: match[1] + "\n".join(lines) + "\n\n" + match[2],
        path.read_text(encoding="utf-8"),
    )
    if count != 1:
        sys.exit(
            f"{path} has {count} pairs of <!-- {mark} --> ... <!-- /{mark} --> to put the figures between; must be one"
        )
    path.write_text(text, encoding="utf-8")

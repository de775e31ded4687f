"""The tokenizer of a model that has `vocab.txt` and no `tokenizer.json`, which everything after this looks for."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from webnn_runtime.embed.modules import transformer_folder
from webnn_runtime.embed.wordpiece import VOCABULARY, make_tokenizer
from webnn_runtime.format.errors import EmbedError
from webnn_translator.sources.model import Source

__all__ = ["vocabularies", "with_tokenizer"]

_TOKENIZER: Final = "tokenizer.json"


def vocabularies(names: Collection[str]) -> list[str]:
    """Of a repository's files, those that a tokenizer may be made of."""
    if any(name.rpartition("/")[2] == _TOKENIZER for name in names):
        return []
    return [name for name in names if name.rpartition("/")[2] == VOCABULARY and name.count("/") < 2]


@contextmanager
def with_tokenizer(source: Source, folder: Path) -> Iterator[Source]:
    """The source with a tokenizer among its companions, where one can be made of the files in `folder`."""
    try:
        place = Path(transformer_folder(folder))
    except EmbedError:
        # Whoever embeds will say what is wrong with the listing of the modules.
        place = folder
    present = any(name.rpartition("/")[2] == _TOKENIZER for name in source.companions)
    if present or not (place / VOCABULARY).is_file():
        yield source
        return
    try:
        text = make_tokenizer(place)
    except EmbedError as exc:
        yield replace(source, notes=(*source.notes, f"{exc}; without it the bundle embeds no texts"))
        return
    with TemporaryDirectory(prefix="webnn-tokenizer-") as working:
        made = Path(working) / _TOKENIZER
        made.write_text(text, encoding="utf-8", newline="\n")
        name = (place.relative_to(folder) / _TOKENIZER).as_posix()
        note = f"{VOCABULARY}: made {name} of it, as BertTokenizer does"
        yield replace(source, companions={**source.companions, name: made}, notes=(*source.notes, note))

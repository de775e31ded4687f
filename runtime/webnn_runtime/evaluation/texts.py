"""What is measured on: files of texts, files of scored pairs of sentences, and texts of our own."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from webnn_runtime.embed.configuration import read_text
from webnn_runtime.format.errors import EmbedError

__all__ = ["ScoredPairs", "builtin_texts", "digest_of", "listed_texts", "read_pairs", "read_texts"]

# A million sentences have about 100 MB.
_MAX_BYTES: Final = 1 << 30
_TEXT_KEYS: Final = ("text", "sentence", "content")
# Column names of files of scored pairs, in lower case: those of GLUE, SemEval, sentence-transformers and the Hub.
_FIRST: Final = frozenset({"sentence1", "sentence_1", "sentence a", "sentence_a", "sent1", "text1", "text_a", "query"})
_SECOND: Final = frozenset({"sentence2", "sentence_2", "sentence b", "sentence_b", "sent2", "text2", "text_b"})
_SCORE: Final = frozenset(
    {"score", "similarity", "similarity_score", "label", "gold", "gold_score", "relatedness_score", "human_score"}
)
# stsbenchmark.tsv and its parts have no header: genre, file, year, id, score, two sentences, at times their sources.
_STSB_COLUMNS: Final = (5, 6, 4)


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """Pairs of sentences, and how alike people found them.

    Attributes:
        first: one sentence of each pair.
        second: the other.
        scores: how alike they are; any scale, more is more alike.
        skipped: lines without a score, as in parts whose answers are kept back.
    """

    first: Sequence[str]
    second: Sequence[str]
    scores: Sequence[float]
    skipped: int = 0


def builtin_texts() -> list[str]:
    """255 texts of our own: a word to some 200 words, prose, questions, code, figures, twelve other languages."""
    topics = [block.splitlines() for block in _packaged("topics.txt").strip().split("\n\n")]
    queries = [lines[0] for lines in topics]
    sentences = [line for lines in topics for line in lines[1:]]
    paragraphs = [" ".join(lines[1:]) for lines in topics]
    halves = [" ".join(lines[1:4]) for lines in topics]
    pages = [f"{one} {two}" for one, two in zip(paragraphs, [*paragraphs[1:], paragraphs[0]], strict=True)]
    return [*queries, *sentences, *halves, *paragraphs, *pages, *_packaged("phrases.txt").splitlines()]


def _packaged(name: str) -> str:
    return (files("webnn_runtime.evaluation") / name).read_text(encoding="utf-8")


def digest_of(texts: Sequence[str]) -> str:
    """SHA-256 of texts in their order, to tell whether two measurements used the same ones."""
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def listed_texts(caller: str, texts: Sequence[str]) -> list[str]:
    """The texts as a list.

    Raises:
        TypeError: one text, whose characters would be taken for texts.
        EmbedError: there are none.
    """
    if isinstance(texts, str):
        raise TypeError(f"{caller}: texts are one str; expected a list of them")
    if not (given := list(texts)):
        raise EmbedError(f"{caller}: no texts; pass some")
    return given


def read_texts(path: str | Path) -> list[str]:
    """Texts of a file, one a line, empty lines left out.

    In `.jsonl` and `.ndjson` a line is a JSON string, or an object with "text".

    Raises:
        FileNotFoundError: there is no such file.
        EmbedError: it is no UTF-8, a line is no such JSON, or there is no text.
    """
    path = Path(path)
    lines = _lines(path)
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        texts = [_text_of(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    else:
        texts = [line for line in lines if line.strip()]
    if not texts:
        raise EmbedError(f"{path}: holds no texts; one a line, or .jsonl with a string or 'text' on each line")
    return texts


def read_pairs(path: str | Path) -> ScoredPairs:
    """Pairs of a tab-separated file, in the forms that STS-B has.

    With a header, columns are found by name (`sentence1`, `sentence2`, `score` and their like). Without one, lines
    have three columns with the score first or last, or those of stsbenchmark, where it is the fifth and the sentences
    follow. Quotation marks belong to the sentences, unless all sentences have them around, or one has its own
    doubled, as programs that quote write them.

    Raises:
        FileNotFoundError: there is no such file.
        EmbedError: a line has too few columns or a score that is no number, or there are fewer than 2 pairs or scores.
    """
    path = Path(path)
    rows = [(number, line.split("\t")) for number, line in enumerate(_lines(path), 1) if line.strip()]
    if not rows:
        raise EmbedError(f"{path}: is empty; expected sentence1, sentence2 and score, with tabs between them")
    columns = _named_columns(path, *rows[0])
    body = rows[1:] if columns is not None else rows
    if columns is None:
        columns = _placed_columns(path, rows)
    first: list[str] = []
    second: list[str] = []
    scores: list[float] = []
    skipped = 0
    for number, cells in body:
        if len(cells) <= max(columns):
            raise EmbedError(f"{path}:{number}: has {len(cells)} columns; expected {max(columns) + 1} or more")
        one, two, stated = (cells[column] for column in columns)
        stated = _plain(stated, is_quoted=True)
        if not stated.strip():
            skipped += 1
            continue
        score = _number(stated)
        if score is None:
            raise EmbedError(f"{path}:{number}: the score is {stated[:40]!r}; expected a number")
        first.append(one)
        second.append(two)
        scores.append(score)
    is_quoted = all(_is_quoted(cell) for cell in (*first, *second))
    first, second = ([_plain(cell, is_quoted=is_quoted) for cell in cells] for cells in (first, second))
    if len(scores) < 2:
        raise EmbedError(f"{path}: {len(scores)} pairs have a score; a ranking needs at least 2")
    if len(set(scores)) == 1:
        raise EmbedError(
            f"{path}: all {len(scores)} pairs have the score {scores[0]:g}; a ranking needs different ones"
        )
    return ScoredPairs(first, second, scores, skipped)


def _lines(path: Path) -> list[str]:
    # A pipe is as good as a file, as in `webnn calibrate MODEL <(head -500 texts.txt)`.
    if path.is_dir():
        raise FileNotFoundError(f"{path}: a folder, not a file; pass a file of texts")
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file; pass a file of texts")
    text = read_text(path, max_bytes=_MAX_BYTES, newline="").removeprefix("\ufeff")
    # Only line feeds end lines: texts may hold the other characters that splitlines splits at.
    return [line.rstrip("\r") for line in text.split("\n")]


def _text_of(path: Path, number: int, line: str) -> str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise EmbedError(f"{path}:{number}: not JSON: {exc}; each line is a string or an object with 'text'") from exc
    if isinstance(value, dict):
        value = next((value[key] for key in _TEXT_KEYS if key in value), None)
    if not isinstance(value, str):
        raise EmbedError(f"{path}:{number}: no text; expected a string, or an object with 'text'")
    return value


_NAMES: Final = (_FIRST, _SECOND, _SCORE)


def _named_columns(path: Path, number: int, header: Sequence[str]) -> tuple[int, int, int] | None:
    """Columns of both sentences and the score by their names; None where the line is no header."""
    names = [_plain(cell, is_quoted=True).strip().lower() for cell in header]
    found = [[index for index, name in enumerate(names) if name in known] for known in _NAMES]
    if not all(found):
        return None
    for columns in found:
        if len(columns) > 1:
            several = " and ".join(names[index] for index in columns)
            raise EmbedError(
                f"{path}:{number}: it is not clear which of {several} to read; rename or remove the others"
            )
    return found[0][0], found[1][0], found[2][0]


def _placed_columns(path: Path, rows: Sequence[tuple[int, Sequence[str]]]) -> tuple[int, int, int]:
    """Columns by what all lines have there."""
    width = min(len(cells) for _, cells in rows)

    def is_score(column: int) -> bool:
        cells = [_plain(cells[column], is_quoted=True).strip() for _, cells in rows]
        return any(cells) and all(not cell or _number(cell) is not None for cell in cells)

    if width >= 7 and is_score(_STSB_COLUMNS[2]):
        return _STSB_COLUMNS
    if width == 3 and is_score(2) != is_score(0):
        return (0, 1, 2) if is_score(2) else (1, 2, 0)
    number, cells = rows[0]
    raise EmbedError(
        f"{path}:{number}: {len(cells)} columns, and it is not clear which hold the sentences and the score; expected "
        "a header with sentence1, sentence2 and score, or these three columns, with tabs between them"
    )


def _number(text: str) -> float | None:
    """A finite number in plain ASCII: float() takes digits of every script, and 1_5 for 15."""
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _is_quoted(cell: str) -> bool:
    return len(cell) >= 2 and cell[0] == cell[-1] == '"'


def _plain(cell: str, *, is_quoted: bool) -> str:
    """A cell without the quotation marks that a program put around it."""
    if not _is_quoted(cell):
        return cell
    inner = cell[1:-1]
    has_doubled = '""' in inner and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if has_doubled or (is_quoted and '"' not in inner) else cell

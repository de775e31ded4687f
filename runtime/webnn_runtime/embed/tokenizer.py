"""Text to token ids, by the `tokenizers` library and a model's `tokenizer.json`.

The library's tokenizer is configured once, while it is loaded, and only read afterwards, so that any
number of threads may share it. Truncation and padding that were saved with it are taken out: what a
file happens to hold (128 tokens for a model made for 256, say) is not the model's limit.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from webnn_runtime.embed.configuration import StrPath, expect, read_json_text, read_optional
from webnn_runtime.embed.tokenizer_class import apply_class
from webnn_runtime.format.errors import EmbedError, EmbedMisuse
from webnn_runtime.format.records import dataclass

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Padding", "TextTokenizer", "Tokens", "find_tokenizer", "open_tokenizer", "other_tokenizer"]

# The largest in public use have about 35 MB (256,000 pieces); a hostile file could have any size.
_MAX_BYTES: Final = 128 << 20
# Encodings of the library are large; ids alone are kept, so only this many are alive at a time.
_AT_ONCE: Final = 1024
_SIDES: Final = ("left", "right")
_ANOTHER_ID: Final = "pass a tokenizer_id= that has one"


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """One text.

    Attributes:
        ids: token ids with special tokens.
        types: segment of each token.
        dropped: tokens that were left out because the text is too long.
    """

    ids: npt.NDArray[np.int32]
    types: npt.NDArray[np.int32]
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Padding:
    """How shorter texts are filled up in a batch.

    Attributes:
        id: padding token, None when the tokenizer has none.
        type: segment of padding.
        side: "right" or "left".
    """

    id: int | None
    type: int = 0
    side: str = "right"


def find_tokenizer(given: StrPath | None, places: Sequence[StrPath]) -> StrPath:
    """The folder that holds `tokenizer.json`: the given one, or the first that has it.

    Raises:
        EmbedError: there is none, or the given folder has none.
    """
    for place in places if given is None else [given]:
        if os.path.lexists(os.path.join(place, "tokenizer.json")):
            return place
    if given is not None:
        raise EmbedError(f"{given}: has no tokenizer.json; {other_tokenizer(given) or _ANOTHER_ID}")
    for place in places:
        if way := other_tokenizer(place):
            raise EmbedError(f"{place}: has no tokenizer.json; {way}")
    raise EmbedError(
        f"{places[-1]}: has no tokenizer.json; pass tokenizer_id= (--tokenizer-id), the Hub id or folder of the model "
        "it was made from, or convert that again with webnn-convert --tokenizer FOLDER"
    )


def other_tokenizer(folder: StrPath) -> str:
    """What to do with the tokenizer that is in a folder in another form; empty where there is none."""
    for name in ("vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model"):
        if os.path.isfile(os.path.join(folder, name)):
            from webnn_runtime.embed.wordpiece import HOW_TO_SAVE

            return f"it has {name}, and {HOW_TO_SAVE}"
    return ""


def open_tokenizer(path: StrPath) -> tuple[Any, str]:
    """The `tokenizers.Tokenizer` that a `tokenizer.json` describes, as it is, and the file's text.

    Raises:
        EmbedError: the file is missing, too large or malformed.
    """
    text = read_json_text(path, max_bytes=_MAX_BYTES)
    try:
        from tokenizers import Tokenizer
    except ImportError as exc:
        raise EmbedError("embedding needs the package tokenizers; pip install tokenizers") from exc
    try:
        return Tokenizer.from_str(text), text
    # The library raises bare Exception for whatever it cannot parse.
    except Exception as exc:
        raise EmbedError(f"{path}: not a tokenizer that this release of tokenizers reads: {exc}") from exc


class TextTokenizer:
    """A tokenizer that never changes after it is made; safe to share between threads."""

    def __init__(
        self,
        backend: Any,
        padding: Padding,
        truncation_side: str,
        text: str,
        changes: Mapping[str, object],
        *,
        gives_types: bool = True,
    ) -> None:
        self._backend = backend
        self._gives_types: Final = gives_types
        self._changes: Final = changes
        # Small beside what the library makes of it; hashing it at once would cost every start.
        self._text: Final = text
        self.padding: Final = padding
        self.truncation_side: Final = truncation_side
        self.special_count: Final[int] = backend.num_special_tokens_to_add(False)
        self._pair_special_count: Final[int] = backend.num_special_tokens_to_add(True)

    @classmethod
    def load(cls, folder: StrPath, *, do_lower_case: bool = False) -> TextTokenizer:
        """Read `tokenizer.json` and the settings beside it, which change it as transformers does.

        Padding and sides are those of `tokenizer_config.json`, then of `special_tokens_map.json`,
        then of `tokenizer.json`, then of `config.json`, as in transformers.

        Raises:
            EmbedError: a file is missing, too large or malformed.
        """
        backend, text = open_tokenizer(os.path.join(folder, "tokenizer.json"))
        changes = apply_class(backend, folder)
        padding = _read_padding(folder, backend)
        truncation_side = _read_side(folder, "truncation_side", (backend.truncation or {}).get("direction"))
        backend.no_truncation()
        backend.no_padding()
        if do_lower_case:
            _lower(backend)
        gives_types = _gives_types(folder)
        changes |= {} if gives_types else {"token_type_ids": False}
        return cls(backend, padding, truncation_side, text, changes, gives_types=gives_types)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of `tokenizer.json` and of what the settings beside it change, in hexadecimal."""
        import hashlib
        import json

        changes = json.dumps(self._changes, sort_keys=True) if self._changes else ""
        return hashlib.sha256((self._text + changes).encode()).hexdigest()

    def encode(self, texts: Sequence[str], max_length: int | None) -> list[Tokens]:
        """Tokens of each text, at most `max_length` of them.

        Special tokens always stay; what is left out are the text's own tokens at the truncation side.
        """
        found: list[Tokens] = []
        for start in range(0, len(texts), _AT_ONCE):
            well_formed = [_well_formed(text) for text in texts[start : start + _AT_ONCE]]
            encodings = self._backend.encode_batch_fast(well_formed, add_special_tokens=False)
            found.extend(self._finish(encoding, max_length) for encoding in encodings)
        return found

    def encode_pairs(self, pairs: Sequence[tuple[str, str]], max_length: int | None) -> list[Tokens]:
        """Tokens of each pair of texts, at most `max_length` of them; the longer text is cut first."""
        found: list[Tokens] = []
        for start in range(0, len(pairs), _AT_ONCE):
            some = pairs[start : start + _AT_ONCE]
            sides = [
                self._backend.encode_batch_fast([_well_formed(pair[side]) for pair in some], add_special_tokens=False)
                for side in (0, 1)
            ]
            found.extend(self._join(first, second, max_length) for first, second in zip(*sides, strict=True))
        return found

    def prompt_length(self, prompt: str, max_length: int | None = None) -> int:
        """How many leading tokens of a text a prompt takes, special tokens before it included.

        Counted on the prompt alone, cut like a text to `max_length`, without special tokens after it, as
        sentence-transformers does.
        """
        encoding = self._backend.encode(_well_formed(prompt))
        is_special = encoding.special_tokens_mask
        length = len(is_special) if max_length is None else min(len(is_special), max_length)
        return length - (1 if is_special and is_special[-1] else 0)

    def _finish(self, encoding: Any, max_length: int | None) -> Tokens:
        dropped = 0
        # Of an encoding, each look at `ids` makes a list.
        if max_length is not None and len(encoding) + self.special_count > max_length:
            dropped = len(encoding) + self.special_count - max_length
            encoding.truncate(max_length - self.special_count, direction=self.truncation_side)
        encoding = self._backend.post_process(encoding)
        return self._tokens(encoding, dropped)

    def _join(self, first: Any, second: Any, max_length: int | None) -> Tokens:
        whole = len(first) + len(second)
        room = whole if max_length is None else max_length - self._pair_special_count
        if room < 0:
            raise EmbedMisuse(
                f"pairs of texts have at most {max_length} tokens here, and {self._pair_special_count} special ones "
                "are added to each; allow more of them (max_length=)"
            )
        if whole > room:
            for encoding, size in zip((first, second), _shares(len(first), len(second), room), strict=True):
                encoding.truncate(size, direction=self.truncation_side)
        encoding = self._backend.post_process(first, second)
        return self._tokens(encoding, max(whole - room, 0))

    def _tokens(self, encoding: Any, dropped: int) -> Tokens:
        ids = np.array(encoding.ids, dtype=np.int32)
        types = np.array(encoding.type_ids, dtype=np.int32) if self._gives_types else np.zeros_like(ids)
        return Tokens(ids, types, dropped)


def _shares(first: int, second: int, room: int) -> tuple[int, int]:
    """How much of `room` two texts get: the longer one gives way until both are as long, as in transformers."""
    short = min(first, second)
    if short * 2 <= room:
        return (first, room - first) if first <= second else (room - second, second)
    # Both are cut; of an odd number the longer one gets the rest.
    half = room // 2
    return (half, room - half) if first <= second else (room - half, half)


def _well_formed(text: str) -> str:
    # Half a surrogate pair is not text and has no UTF-8; two halves that belong together are joined.
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _lower(backend: Any) -> None:
    from tokenizers import normalizers

    present = backend.normalizer
    lower = normalizers.Lowercase()
    backend.normalizer = lower if present is None else normalizers.Sequence([lower, present])


def _read_padding(folder: StrPath, backend: Any) -> Padding:
    saved = backend.padding or {}
    side = _read_side(folder, "padding_side", saved.get("direction"))
    kind = int(saved.get("pad_type_id", 0))
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        found = read_optional([folder], name)
        token = _token_text(found[1].get("pad_token")) if found is not None else None
        if found is not None and token is not None:
            number = backend.token_to_id(token)
            if number is None:
                raise EmbedError(f"{found[0]}: pad_token '{token}' is not in the vocabulary of tokenizer.json")
            return Padding(number, kind, side)
    if "pad_id" in saved:
        return Padding(int(saved["pad_id"]), kind, side)
    config = read_optional([folder], "config.json")
    return Padding(expect(*config, "pad_token_id", int) if config else None, kind, side)


def _gives_types(folder: StrPath) -> bool:
    """Whether a model gets the segments of its tokens; one that takes some and gets none takes 0 for all."""
    found = read_optional([folder], "tokenizer_config.json")
    names = None if found is None else expect(*found, "model_input_names", list)
    return names is None or "token_type_ids" in names


def _token_text(value: object) -> str | None:
    # A token is stored as a string, or as an object with its text and matching rules.
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def _read_side(folder: StrPath, key: str, saved: str | None) -> str:
    found = read_optional([folder], "tokenizer_config.json")
    side = expect(*found, key, str, saved) if found is not None else saved
    side = "right" if side is None else side.lower()
    if side not in _SIDES:
        path = os.path.join(folder, "tokenizer_config.json")
        raise EmbedError(f"{path}: '{key}' is '{side}'; expected left or right")
    return side

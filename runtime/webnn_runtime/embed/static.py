"""Static embeddings: each token has one vector whatever stands around it, and a text has the mean of them.

Two libraries make such models and tokenise by rules of their own. sentence-transformers, by its module
`StaticEmbedding`, takes every token that `tokenizer.json` gives without special ones. model2vec, which says so in
`config.json`, leaves unknown tokens out and cuts long texts. Neither looks at the settings beside `tokenizer.json`.
A folder that model2vec saved can be read by both, and then its own library has the word unless the caller asks for
the other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property
from typing import Final

import numpy as np

from webnn_runtime.embed.configuration import StrPath, expect, read_object
from webnn_runtime.embed.modules import MODEL2VEC, SENTENCE_TRANSFORMERS, static_libraries
from webnn_runtime.embed.settings import LengthLimit, TransformerSettings
from webnn_runtime.embed.tokenizer import Padding, TextTokenizer, Tokens, open_tokenizer
from webnn_runtime.format.errors import EmbedError, EmbedMisuse
from webnn_runtime.format.records import dataclass

__all__ = ["StaticModel", "find_static", "load_static", "tokenizer_of"]

_LIBRARIES: Final = (SENTENCE_TRANSFORMERS, MODEL2VEC)
# What model2vec takes where its config.json names no length; null there means no limit.
_MODEL2VEC_LENGTH: Final = 512


@dataclass(frozen=True, slots=True)
class StaticModel:
    """A static embedding in a model's folder.

    Attributes:
        folder: where its tokenizer and weights are.
        library: whose rules make its tokens.
        config: the `config.json` of model2vec; empty where it has none.
    """

    folder: StrPath
    library: str
    config: str = ""


def find_static(root: StrPath, library: str | None = None) -> StaticModel | None:
    """The static embedding in `root`; None where the model is of another kind.

    Args:
        root: the model's folder.
        library: whose rules to take of a folder that both can read; None for those of the one that saved it.

    Raises:
        EmbedError: a file is malformed, or the files do not name the library that is asked for.
    """
    if library is not None and library not in _LIBRARIES:
        raise EmbedMisuse(f"library={library!r}: expected one of {', '.join(_LIBRARIES)}")
    found = static_libraries(root)
    if library is not None and library not in found:
        raise EmbedMisuse(
            f"library={library!r}: the model's files are no static embedding of {library}; "
            f"{f'they are one of {next(iter(found))}' if found else 'the argument is for static embeddings alone'}"
        )
    chosen = next(iter(found), None) if library is None else library
    config = os.path.join(root, "config.json") if MODEL2VEC in found else ""
    return None if chosen is None else StaticModel(found[chosen], chosen, config)


def load_static(static: StaticModel, folder: StrPath) -> tuple[TextTokenizer, TransformerSettings]:
    """The tokenizer and the settings of a static embedding, whose `tokenizer.json` is in `folder`.

    Raises:
        EmbedError: a file is missing, too large or malformed.
    """
    from tokenizers import processors

    path = os.path.join(folder, "tokenizer.json")
    backend, text = open_tokenizer(path)
    saved = backend.truncation
    backend.no_truncation()
    backend.no_padding()
    # It only adds special tokens, and texts have none here.
    backend.post_processor = processors.Sequence([])
    kind, side, limit = TextTokenizer, "right", LengthLimit(None, "no file")
    if static.library == MODEL2VEC:
        kind, limit = _Model2VecTokenizer, _model2vec_limit(static.config)
    elif saved is not None:
        side = str(saved["direction"]).lower()
        limit = LengthLimit(int(saved["max_length"]), "truncation in tokenizer.json")
    # Padding is masked out, so that any row of the table will do.
    tokenizer = kind(backend, Padding(0), side, text, {"library": static.library})
    return tokenizer, TransformerSettings(limit, LengthLimit(None, "no file"), False, "")


def tokenizer_of(folder: StrPath) -> TextTokenizer | None:
    """The tokenizer of the model in `folder`, as its kind has it; None where there is none.

    Raises:
        EmbedError: a file is too large or malformed.
    """
    static = find_static(folder)
    places = [folder] if static is None or static.folder == folder else [static.folder, folder]
    place = next((each for each in places if os.path.isfile(os.path.join(each, "tokenizer.json"))), None)
    if place is None:
        return None
    return TextTokenizer.load(place) if static is None else load_static(static, place)[0]


def _model2vec_limit(config: str) -> LengthLimit:
    settings = read_object(config)
    if "max_length" not in settings:
        return LengthLimit(_MODEL2VEC_LENGTH, "model2vec's own, as config.json names none")
    tokens = expect(config, settings, "max_length", int)
    if tokens is not None and tokens < 1:
        raise EmbedError(f"{config}: 'max_length' is {tokens}; expected a positive number of tokens, or null")
    return LengthLimit(tokens, "max_length in config.json")


class _Model2VecTokenizer(TextTokenizer):
    """Cuts a text by characters and then by tokens, and leaves unknown tokens out."""

    def encode(self, texts: Sequence[str], max_length: int | None) -> list[Tokens]:
        if max_length is None:
            return [self._known(each) for each in super().encode(texts, None)]
        # Only a text of more characters than tokens are allowed can be cut, and vocabularies are large.
        is_long = any(len(text) > max_length for text in texts)
        size = max_length * self._median_length if is_long else max_length
        found = super().encode([text[:size] if is_long else text for text in texts], max_length)
        for index, text in enumerate(texts):
            if len(text) > size:
                found[index] = self._recounted(found[index], text)
        return [self._known(each) for each in found]

    def _recounted(self, kept: Tokens, text: str) -> Tokens:
        """The same tokens with what the whole text has more of them."""
        whole = super().encode([text], None)[0].ids
        if np.array_equal(whole, kept.ids):
            return kept
        return Tokens(kept.ids, kept.types, max(len(whole) - len(kept), 1))

    def _known(self, tokens: Tokens) -> Tokens:
        if self._unknown is None:
            return tokens
        known = tokens.ids != self._unknown
        return tokens if known.all() else Tokens(tokens.ids[known], tokens.types[known], tokens.dropped)

    @cached_property
    def _median_length(self) -> int:
        return int(np.median([len(token) for token in self._backend.get_vocab()]))

    @cached_property
    def _unknown(self) -> int | None:
        model = self._backend.model
        if hasattr(model, "unk_token"):
            number = None if model.unk_token is None else self._backend.token_to_id(model.unk_token)
        else:
            number = json.loads(self._text)["model"].get("unk_id")
        return None if number is None else int(number)

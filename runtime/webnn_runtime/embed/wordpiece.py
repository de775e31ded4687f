"""A `tokenizer.json` for a folder that only has `vocab.txt`, where it is certain what that has to be.

The classes below are BERT's tokenizer under other names. What transformers makes of a vocabulary in them is fixed by
the class and by the settings beside it; of every other class, and of a vocabulary that two readers could
read differently, nothing is made.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from webnn_runtime.embed.configuration import StrPath, expect, read_optional, read_text
from webnn_runtime.embed.tokenizer_class import class_of, named_tokens
from webnn_runtime.format.errors import EmbedError

__all__ = ["HOW_TO_SAVE", "VOCABULARY", "make_tokenizer"]

VOCABULARY: Final = "vocab.txt"
HOW_TO_SAVE: Final = (
    "python -c \"from transformers import AutoTokenizer as T; T.from_pretrained('FOLDER').save_pretrained('FOLDER')\" "
    "writes tokenizer.json into FOLDER"
)
_CLASSES: Final = frozenset({"Bert", "DistilBert", "Electra"})
_MODELS: Final = {"bert": "Bert", "distilbert": "DistilBert", "electra": "Electra"}
_ROLES: Final = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
_MAX_BYTES: Final = 64 << 20


def make_tokenizer(folder: StrPath) -> str:
    """The text of a `tokenizer.json` that gives the tokens of transformers for the `vocab.txt` in `folder`.

    Raises:
        EmbedError: it is not certain what belongs into it; the message says why and what to do.
    """
    path = os.path.join(folder, VOCABULARY)
    found = read_optional([folder], "tokenizer_config.json")
    settings = {} if found is None else found[1]
    where = path if found is None else found[0]
    name = class_of(folder, found, _MODELS)
    if name not in _CLASSES:
        raise _uncertain(path, f"its tokenizer's class is {name or 'not stated'}, and only BERT's is known from it")
    if expect(where, settings, "do_basic_tokenize", bool, True) is False or settings.get("never_split"):
        raise _uncertain(path, "do_basic_tokenize or never_split in tokenizer_config.json is set")
    vocabulary = _vocabulary(path)
    roles = _roles(path, folder, found)
    missing = [content for content, _ in roles.values() if content not in vocabulary]
    if missing:
        raise _uncertain(path, f"it has no '{missing[0]}'")
    odd = [content for content, _ in roles.values() if not content or set(content) & set("$: \t")]
    if odd:
        raise _uncertain(path, f"'{odd[0]}' is no usual special token")
    return _build(where, vocabulary, roles, settings)


def _uncertain(path: str, reason: str) -> EmbedError:
    return EmbedError(f"{path}: no tokenizer.json can be made of it, as {reason}; {HOW_TO_SAVE}")


def _vocabulary(path: str) -> dict[str, int]:
    lines = read_text(path, max_bytes=_MAX_BYTES).split("\n")
    if not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, start=1):
        if line != line.rstrip() or not line:
            raise _uncertain(path, f"line {number} is empty or ends in a blank, which not all readers take alike")
    vocabulary = {line: number for number, line in enumerate(lines)}
    if len(vocabulary) < len(lines):
        twice = next(line for number, line in enumerate(lines) if vocabulary[line] != number)
        raise _uncertain(path, f"it has '{twice}' twice")
    return vocabulary


def _roles(
    path: str, folder: StrPath, settings: tuple[str, Mapping[str, Any]] | None
) -> dict[str, tuple[str, Mapping[str, bool]]]:
    """The special tokens by what they are for, as the settings or the special map have them, else BERT's.

    Raises:
        EmbedError: the two differ. Which of them counts depends on the release of transformers that saved them.
    """
    roles: dict[str, tuple[str, Mapping[str, bool]]] = {role: (content, {}) for role, content in _ROLES.items()}
    known: dict[str, tuple[str, Mapping[str, bool]]] = {}
    for source in (read_optional([folder], "special_tokens_map.json"), settings):
        stated = {} if source is None else named_tokens(*source)
        for role in roles.keys() & stated.keys():
            if role in known and _meaning(known[role]) != _meaning(stated[role]):
                raise _uncertain(path, f"special_tokens_map.json and tokenizer_config.json have another '{role}' each")
            known[role] = stated[role]
    return roles | known


def _meaning(token: tuple[str, Mapping[str, bool]]) -> tuple[str, set[str]]:
    content, flags = token
    # All of them are special, whether the file says so or not.
    return content, {flag for flag, is_set in flags.items() if is_set and flag != "special"}


def _build(
    where: str,
    vocabulary: Mapping[str, int],
    roles: Mapping[str, tuple[str, Mapping[str, bool]]],
    settings: Mapping[str, Any],
) -> str:
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    unknown, separator, padding, classifier, _ = (content for content, _ in roles.values())
    backend = Tokenizer(models.WordPiece(dict(vocabulary), unk_token=unknown))
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=expect(where, settings, "tokenize_chinese_chars", bool, True),
        strip_accents=expect(where, settings, "strip_accents", bool),
        lowercase=expect(where, settings, "do_lower_case", bool, True),
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")
    # Both parts have a type of their own, as in every tokenizer.json of BERT.
    backend.post_processor = processors.TemplateProcessing(
        single=f"{classifier}:0 $A:0 {separator}:0",
        pair=f"{classifier}:0 $A:0 {separator}:0 $B:1 {separator}:1",
        special_tokens=[(token, vocabulary[token]) for token in dict.fromkeys((classifier, separator))],
    )
    backend.add_special_tokens([AddedToken(content, **{**flags, "special": True}) for content, flags in roles.values()])
    backend.enable_padding(pad_id=vocabulary[padding], pad_token=padding)
    text: str = backend.to_str()
    return text

"""What transformers sets on a tokenizer after it has read `tokenizer.json`.

The tokenizer classes of transformers, of release 4 and 5 alike, do not leave every word to `tokenizer.json`: the
classes of BERT's family take lower case, accents and Chinese characters from `tokenizer_config.json`, those of
byte-level BPE the space before a text; tokens that the settings list are added. Whatever class is not known here takes
the file as it is in release 4, and so does this. Release 5 builds normaliser and splitting of some of them anew, which
changes tokens where the file has other rules than the class; what release 5 has saved holds its rules.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

from webnn_runtime.embed.configuration import StrPath, expect, read_json, read_optional
from webnn_runtime.format.errors import EmbedError

__all__ = ["apply_class", "class_of", "named_tokens"]

_CONFIG: Final = "tokenizer_config.json"
# Names without their ending: BertTokenizer, BertTokenizerFast.
_BERT: Final = frozenset(
    {
        *("Bert", "ConvBert", "DPRContextEncoder", "DPRQuestionEncoder", "DPRReader", "DistilBert", "Electra"),
        *("Funnel", "LayoutLM", "Lxmert", "MPNet", "MobileBert", "SqueezeBert"),
    }
)
_BYTE_LEVEL: Final = frozenset({"BART", "Bart", "GPT2", "LED", "Longformer", "Mvp", "Roberta"})
# Which tokens these put around a text is decided by the settings in release 4, and by tokenizer.json in release 5.
_FRAMED: Final = frozenset({"CodeLlama", "Cohere", "GPTNeoX", "Gemma", "Llama"})
# The class of a folder that names none, by the architecture in config.json.
_BERT_MODELS: Final = frozenset(
    {
        *("bert", "convbert", "distilbert", "electra", "ernie", "funnel", "layoutlm", "lxmert", "megatron-bert"),
        *("mobilebert", "mpnet", "nezha", "nomic_bert", "squeezebert"),
    }
)
_BYTE_LEVEL_MODELS: Final = frozenset(
    {"bart", "data2vec-text", "gpt2", "ibert", "longformer", "opt", "roberta", "roberta-prelayernorm"}
)


def apply_class(backend: Any, folder: StrPath) -> dict[str, object]:
    """Set on a `tokenizers.Tokenizer` what the settings in `folder` ask for.

    Returns:
        What differs from `tokenizer.json`, by the name of the setting; mostly nothing.

    Raises:
        EmbedError: a setting has the wrong kind.
    """
    found = read_optional([folder], _CONFIG)
    path, settings = (os.path.join(os.fspath(folder), _CONFIG), {}) if found is None else found
    changes: dict[str, object] = {}
    family = _family(folder, found)
    if family == "bert":
        changes |= _set_bert(backend, path, settings)
    elif family == "byte-level":
        changes |= _set_byte_level(backend, expect(path, settings, "add_prefix_space", bool, False))
    changes |= _add_tokens(backend, folder, path, settings)
    if found is not None and class_of(folder, found, {}) in _FRAMED:
        _require_frame(backend, path, settings)
    if expect(path, settings, "split_special_tokens", bool, False):
        # The text of a special token is text like any other.
        changes["split_special_tokens"] = backend.encode_special_tokens = True
    return changes


def class_of(folder: StrPath, settings: tuple[str, Mapping[str, Any]] | None, models: Mapping[str, str]) -> str:
    """Name of the tokenizer's class without its ending; empty where nothing states it.

    Args:
        folder: the model's folder.
        settings: its `tokenizer_config.json`.
        models: architecture -> class, for a folder that only names its architecture.

    Raises:
        EmbedError: a setting has the wrong kind.
    """
    config = read_optional([folder], "config.json")
    for source in (settings, config):
        stated = None if source is None else expect(*source, "tokenizer_class", str)
        if stated is not None:
            return str(stated).removesuffix("Fast").removesuffix("Tokenizer")
    return "" if config is None else models.get(expect(*config, "model_type", str, ""), "")


def _family(folder: StrPath, settings: tuple[str, Mapping[str, Any]] | None) -> str:
    models = {**dict.fromkeys(_BERT_MODELS, "Bert"), **dict.fromkeys(_BYTE_LEVEL_MODELS, "Roberta")}
    name = class_of(folder, settings, models)
    return "bert" if name in _BERT else "byte-level" if name in _BYTE_LEVEL else ""


def _set_bert(backend: Any, path: str, settings: Mapping[str, Any]) -> dict[str, object]:
    from tokenizers import normalizers

    present = backend.normalizer
    if not isinstance(present, normalizers.BertNormalizer):
        return {}
    wanted = {
        "lowercase": expect(path, settings, "do_lower_case", bool, True),
        "strip_accents": expect(path, settings, "strip_accents", bool),
        "handle_chinese_chars": expect(path, settings, "tokenize_chinese_chars", bool, True),
    }
    if all(getattr(present, name) == value for name, value in wanted.items()):
        return {}
    backend.normalizer = normalizers.BertNormalizer(clean_text=present.clean_text, **wanted)
    return wanted


def _set_byte_level(backend: Any, add_prefix_space: bool) -> dict[str, object]:
    from tokenizers import pre_tokenizers

    present = backend.pre_tokenizer
    if not isinstance(present, pre_tokenizers.ByteLevel) or present.add_prefix_space == add_prefix_space:
        return {}
    # `trim_offsets` is about places, which nobody asks for.
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space, use_regex=present.use_regex)
    return {"add_prefix_space": add_prefix_space}


def _require_frame(backend: Any, path: str, settings: Mapping[str, Any]) -> None:
    """Refuse settings that put other tokens around a text than `tokenizer.json` does."""
    alone = backend.encode("")
    around = [number for number, is_special in zip(alone.ids, alone.special_tokens_mask, strict=True) if is_special]
    for role, end in (("bos_token", 0), ("eos_token", -1)):
        token, stated = named_tokens(path, settings).get(role), expect(path, settings, f"add_{role}", bool)
        if token is None or stated is None:
            continue
        is_there = bool(around) and around[end] == backend.token_to_id(token[0])
        if is_there != stated:
            raise EmbedError(
                f"{path}: 'add_{role}' is {str(stated).lower()}, and tokenizer.json puts {'a' if is_there else 'no'} "
                f"'{token[0]}' {'behind' if end else 'before'} a text; release 4 of transformers goes by the first and "
                f"release 5 by the second: where tokenizer.json is right, take 'add_{role}' out, else save the "
                "tokenizer again under release 4, which writes it into tokenizer.json"
            )
        # One token may have both roles.
        around = around[1:] if is_there and not end else around


def _add_tokens(backend: Any, folder: StrPath, path: str, settings: Mapping[str, Any]) -> dict[str, object]:
    """Add the tokens that the settings list and `tokenizer.json` does not find in texts, in the order of their ids."""
    known = {token.content: token for token in backend.get_added_tokens_decoder().values()}
    missing = {
        content: token
        for content, token in _listed_tokens(folder, path, settings)
        if content not in known and content != ""
    }
    for each in expect(path, settings, "added_tokens_decoder", dict, {}).values():
        # How a token that both have is found in a text is as the settings say.
        content, flags = _token(path, each)
        if content in known and any(getattr(known[content], name) != flag for name, flag in flags.items()):
            missing[content] = flags
    for content, token in named_tokens(path, settings).values():
        # One that is no part of the vocabulary either is a mistake of the settings; padding says so.
        if content not in known and backend.token_to_id(content) is not None:
            missing.setdefault(content, token)
    if not missing:
        return {}
    from tokenizers import AddedToken

    try:
        backend.add_tokens([AddedToken(content, **flags) for content, flags in missing.items()])
    except TypeError as exc:
        raise EmbedError(f"{path}: a token it adds has settings of a wrong kind: {exc}") from exc
    return {"added_tokens": missing}


_NAMED: Final = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_FLAGS: Final = ("single_word", "lstrip", "rstrip", "normalized", "special")


def _listed_tokens(folder: StrPath, path: str, settings: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, bool]]]:
    decoder = expect(path, settings, "added_tokens_decoder", dict)
    if decoder is not None:
        for number in sorted(decoder, key=lambda each: int(each) if each.isdecimal() else -1):
            yield _token(path, decoder[number])
        sources = [(path, settings)]
    else:
        special = read_optional([folder], "special_tokens_map.json")
        sources = [(path, settings)] if special is None else [(path, settings), special]
    listed = [token for source in sources for token in _special_tokens(*source)]
    older = os.path.join(os.fspath(folder), "added_tokens.json")
    if decoder is None and os.path.lexists(older):
        numbers = read_json(older)
        if not isinstance(numbers, dict) or not all(isinstance(number, int) for number in numbers.values()):
            raise EmbedError(f"{older}: expected an object of tokens and their numbers")
        special_ones = {content for content, _ in listed}
        for content in sorted(numbers, key=numbers.__getitem__):
            is_special = content in special_ones
            yield content, {"special": is_special, "normalized": not is_special}
    yield from listed


def _special_tokens(path: str, settings: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, bool]]]:
    for key in ("additional_special_tokens", "extra_special_tokens"):
        tokens = expect(path, settings, key, (list, dict), [])
        for token in tokens.values() if isinstance(tokens, dict) else tokens:
            yield _special(path, token)


def named_tokens(path: str, settings: Mapping[str, Any]) -> dict[str, tuple[str, Mapping[str, bool]]]:
    """Special tokens by what they are for, each with its text and its matching rules.

    Raises:
        EmbedError: one of them is no token.
    """
    stated = {role: expect(path, settings, role, (str, dict)) for role in _NAMED}
    return {role: _special(path, token) for role, token in stated.items() if token is not None}


def _special(path: str, token: object) -> tuple[str, Mapping[str, bool]]:
    return (token, {"special": True, "normalized": False}) if isinstance(token, str) else _token(path, token)


def _token(path: str, token: object) -> tuple[str, Mapping[str, bool]]:
    content = token.get("content") if isinstance(token, dict) else None
    if not isinstance(token, dict) or not isinstance(content, str):
        raise EmbedError(f"{path}: an added token is {token!r}; expected an object with its 'content'")
    return content, {name: expect(path, token, name, bool) for name in _FLAGS if token.get(name) is not None}

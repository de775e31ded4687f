"""What a model's files say about its texts: prompts, lower case, and how long a text may be."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from webnn_runtime.embed.configuration import StrPath, expect, read_optional
from webnn_runtime.format.counts import is_count
from webnn_runtime.format.errors import EmbedError, EmbedMisuse
from webnn_runtime.format.records import dataclass
from webnn_runtime.hub.files import TRANSFORMER_CONFIG_FILES

__all__ = [
    "DOCUMENT_PROMPTS",
    "QUERY_PROMPTS",
    "LengthLimit",
    "Prompts",
    "TransformerSettings",
    "position_offset",
    "read_prompts",
    "read_similarity",
    "read_transformer",
    "read_truncate_dim",
    "require_embedder",
]

# Prompts that stand for a role, in the order of preference that sentence-transformers has.
QUERY_PROMPTS: Final = ("query",)
DOCUMENT_PROMPTS: Final = ("document", "passage", "corpus")
_ROLES: Final = MappingProxyType({names[0]: names for names in (QUERY_PROMPTS, DOCUMENT_PROMPTS)})
# transformers writes int(1e30) for "no limit"; nothing real comes near a billion tokens.
_NO_LIMIT: Final = 1_000_000_000
# These number positions from the padding id on, so their position table is longer than their texts.
_POSITIONS_AFTER_PADDING: Final = frozenset(
    {"camembert", "data2vec-text", "longformer", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl"}
)
# Settings of the Transformer module that do not change what a text becomes here: they steer training,
# loading in torch, or are covered by the graph.
_HARMLESS: Final = frozenset(
    {"max_seq_length", "do_lower_case", "model_args", "config_args", "model_kwargs", "config_kwargs", "unpad_inputs"}
)
_EXPECTED: Final[Mapping[str, Sequence[Any]]] = MappingProxyType(
    {
        "module_output_name": ("token_embeddings", "scores"),
        "tokenizer_args": ({},),
        "processor_kwargs": ({},),
        "processing_kwargs": ({},),
        "query_length": (),
        "document_length": (),
        "query_expansion": (),
    }
)


@dataclass(frozen=True, slots=True)
class LengthLimit:
    """Longest text in tokens, special tokens included.

    Attributes:
        tokens: the limit, None for none.
        origin: the file and key, or the argument, it comes from.
    """

    tokens: int | None
    origin: str

    def bounded_by(self, other: LengthLimit) -> LengthLimit:
        """The smaller of the two; this one when they are equal."""
        if other.tokens is None or (self.tokens is not None and self.tokens <= other.tokens):
            return self
        return other

    def instead(self, tokens: int, special_count: int, name: str) -> LengthLimit:
        """A limit that is asked for, within this one.

        Args:
            tokens: what is asked for.
            special_count: special tokens, which have to leave room for another.
            name: the argument.

        Raises:
            EmbedError: it is no number of tokens, too small or too large.
        """
        least = special_count + 1
        if not is_count(tokens, least, self.tokens):
            most = "" if self.tokens is None else f" and at most {self.tokens} ({self.origin})"
            raise EmbedMisuse(f"{name}={tokens!r}: expected at least {least}{most}")
        return LengthLimit(int(tokens), name)


@dataclass(frozen=True, slots=True)
class TransformerSettings:
    """Settings of the Transformer module.

    Attributes:
        limit: the model's own maximum length.
        table: what its position table allows.
        do_lower_case: whether texts are lowered before the tokenizer sees them.
        model_type: architecture name in config.json, empty when there is none.
    """

    limit: LengthLimit
    table: LengthLimit
    do_lower_case: bool
    model_type: str


@dataclass(frozen=True, slots=True)
class Prompts:
    """Texts to put before a text, by name.

    Attributes:
        texts: name -> prompt.
        default: name of the one used when a call names none.
    """

    texts: Mapping[str, str]
    default: str | None = None

    def choose(self, prompt: str | None, prompt_name: str | None) -> str:
        """The prompt to use; empty for none. `prompt` wins over `prompt_name`.

        Raises:
            EmbedError: there is no prompt called `prompt_name`.
        """
        if prompt is not None:
            return prompt
        name = self.default if prompt_name is None else prompt_name
        if name is None:
            return ""
        if name not in list(self.texts):  # a list compares what has no hash, too
            if name in list(_ROLES) and self.is_without(_ROLES[name]):
                return ""
            known = ", ".join(repr(each) for each in self.texts) or "none"
            raise EmbedMisuse(f"prompt_name={name!r}: the model has no such prompt; it has {known}")
        return self.texts[name]

    def of_role(self, names: Sequence[str]) -> str | None:
        """Name of the first of these prompts that the model has; the default one is for texts without a role."""
        return next((name for name in names if name in self.texts), None)

    def is_without(self, names: Sequence[str]) -> bool:
        """Whether the model plainly has no prompt for a role: it has none at all, or one for the other role alone."""
        others = {name for role in _ROLES.values() for name in role}
        filled = [name for name, text in self.texts.items() if text]
        return self.of_role(names) is None and (not filled or not others.isdisjoint(filled))

    @property
    def is_asymmetric(self) -> bool:
        """Whether the model was trained with prompts and none is used unless a call asks for it."""
        return self.default is None and any(self.texts.values())


def require_embedder(folders: Sequence[StrPath]) -> None:
    """Refuse modules that `config_sentence_transformers.json` says were saved by another class than embeds.

    Raises:
        EmbedError: they were.
    """
    found = read_optional(folders, "config_sentence_transformers.json")
    made_by = None if found is None else expect(*found, "model_type", str)
    if found is not None and made_by not in (None, "SentenceTransformer"):
        raise EmbedError(
            f"{found[0]}: 'model_type' is '{made_by}', whose modules make no sentence embeddings; SentenceTransformer "
            "would leave them out and take the mean of the tokens"
        )


def read_prompts(folders: Sequence[StrPath]) -> Prompts:
    """Prompts from `config_sentence_transformers.json`.

    Raises:
        EmbedError: the default prompt is not among the prompts.
    """
    found = read_optional(folders, "config_sentence_transformers.json")
    if found is None:
        return Prompts({})
    path, settings = found
    stated = expect(path, settings, "prompts", dict, {})
    texts = {name: expect(path, stated, name, str, "") for name in stated}
    default = expect(path, settings, "default_prompt_name", str)
    if default in _ROLES:
        # sentence-transformers has these two in any case, with no text unless the model states one.
        texts.setdefault(default, "")
    if default is not None and default not in texts:
        known = ", ".join(repr(each) for each in texts) or "none"
        raise EmbedError(f"{path}: default prompt '{default}' is not among the prompts; they are {known}")
    return Prompts(MappingProxyType(texts), default)


def read_truncate_dim(folders: Sequence[StrPath]) -> int | None:
    """How many features `config_sentence_transformers.json` keeps of a vector; None for all.

    Raises:
        EmbedError: it is no such number.
    """
    found = read_optional(folders, "config_sentence_transformers.json")
    size = None if found is None else expect(*found, "truncate_dim", int)
    if found is not None and size is not None and size < 1:
        raise EmbedError(f"{found[0]}: 'truncate_dim' is {size}; expected a positive number of features")
    return None if size is None else int(size)


def read_similarity(folders: Sequence[StrPath]) -> str:
    """Name of the function that `config_sentence_transformers.json` compares vectors by; without one "cosine".

    Raises:
        EmbedError: it is no string.
    """
    found = read_optional(folders, "config_sentence_transformers.json")
    return "cosine" if found is None else str(expect(*found, "similarity_fn_name", str, "cosine"))


def read_transformer(
    folders: Sequence[StrPath], *, task: str = "feature-extraction", is_pooled: bool = False
) -> TransformerSettings:
    """Settings from the first of `folders` that has each file, of a model that was made for `task`.

    The maximum length is that of the Transformer module's own settings; without one, the tokenizer's;
    without that, the size of the position table. With `is_pooled` the graph gives one vector per text, whatever the
    module calls that.
    """
    config = read_optional(folders, "config.json")
    model_type = expect(*config, "model_type", str, "") if config else ""
    table = _position_table(config, model_type)
    module = _module_settings(folders, task, is_pooled)
    tokenizer = read_optional(folders, "tokenizer_config.json")
    stated = _stated_limit(module, "max_seq_length")
    if stated.tokens is None:
        # The second is what transformers called it before release 3, and still reads.
        is_old = tokenizer is not None and "model_max_length" not in tokenizer[1]
        stated = _stated_limit(tokenizer, "max_len" if is_old else "model_max_length")
    lower = bool(expect(*module, "do_lower_case", bool, False)) if module else False
    return TransformerSettings(stated.bounded_by(table), table, lower, model_type)


def position_offset(model_type: str) -> int | None:
    """First position of a text: 0, or None where it follows the padding id."""
    return None if model_type in _POSITIONS_AFTER_PADDING else 0


def _module_settings(folders: Sequence[StrPath], task: str, is_pooled: bool) -> tuple[str, Mapping[str, Any]] | None:
    for name in TRANSFORMER_CONFIG_FILES:
        found = read_optional(folders, name)
        if found is not None:
            _check_module_settings(*found, task, is_pooled)
            return found
    return None


def _check_module_settings(path: str, settings: Mapping[str, Any], task: str, is_pooled: bool) -> None:
    made_for = settings.get("transformer_task", task)
    if made_for != task:
        raise EmbedError(
            f"{path}: setting 'transformer_task' = {made_for!r} is not supported here, where it has to be {task!r}; "
            "'feature-extraction' is for WebNNEmbedder and webnn embed, 'sequence-classification' for WebNNClassifier "
            "and webnn classify"
        )
    for key, value in settings.items():
        if key in _HARMLESS or key == "transformer_task" or value is None:
            continue
        if key == "modality_config":
            _check_modality(path, value, is_pooled)
            continue
        if is_pooled and (key, value) == ("module_output_name", "sentence_embedding"):
            continue
        if isinstance(value, dict):
            value = {name: each for name, each in value.items() if name != "trust_remote_code"}
        if value not in _EXPECTED.get(key, ()):
            raise EmbedError(
                f"{path}: setting '{key}' = {value!r} is not supported; a model that embeds plain texts has none"
            )


def _check_modality(path: str, value: Any, is_pooled: bool) -> None:
    if isinstance(value, dict) and "message" in value:
        # sentence-transformers prefers it to plain text wherever it is stated.
        raise EmbedError(
            f"{path}: 'modality_config' has 'message', so every text is put into the chat template of the tokenizer, "
            "which is not supported; if the model was trained on plain texts, take 'message' out of it"
        )
    text = value.get("text") if isinstance(value, dict) else None
    method = text.get("method") if isinstance(text, dict) else None
    if method == "get_text_features" and not is_pooled:
        raise EmbedError(
            f"{path}: 'modality_config' embeds texts by 'get_text_features', which gives one vector per text, and the "
            "graph gives one per token; convert the model's folder with webnn-convert, without an ONNX file in it"
        )
    if method not in ("forward", "get_text_features"):
        raise EmbedError(
            f"{path}: 'modality_config' embeds plain text neither by 'forward' nor by 'get_text_features'; such models "
            "are not supported"
        )


def _stated_limit(found: tuple[str, Mapping[str, Any]] | None, key: str) -> LengthLimit:
    if found is None:
        return LengthLimit(None, "no file")
    path, settings = found
    tokens = expect(path, settings, key, (int, float))
    if tokens is None or tokens >= _NO_LIMIT:
        return LengthLimit(None, "no file")
    if tokens < 1 or tokens != int(tokens):
        raise EmbedError(f"{path}: '{key}' is {tokens}; expected a positive number of tokens")
    return LengthLimit(int(tokens), f"{key} in {os.path.basename(path)}")


def _position_table(config: tuple[str, Mapping[str, Any]] | None, model_type: str) -> LengthLimit:
    key = "max_position_embeddings"
    if config is not None and isinstance(config[1].get("text_config"), dict) and key not in config[1]:
        config = (config[0], config[1]["text_config"])
    if config is None or config[1].get(key) == -1:  # XLNet's spelling of "none"
        return LengthLimit(None, "no file")
    table = _stated_limit(config, key)
    if table.tokens is None or position_offset(model_type) == 0:
        return table
    padding = expect(*config, "pad_token_id", int, 0)
    return LengthLimit(table.tokens - padding - 1, table.origin)

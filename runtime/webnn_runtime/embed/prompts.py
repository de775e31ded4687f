"""Which prompt goes before the texts of a call, and a word to who uses none where the model was trained with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from webnn_runtime.embed.settings import Prompts
from webnn_runtime.embed.warned import warn_caller
from webnn_runtime.format.errors import EmbedMisuse

__all__ = ["PromptWarning", "Prompter", "with_given"]


class PromptWarning(UserWarning):
    """A model that was trained with prompts is used without one."""


class Prompter:
    """Chooses among a model's prompts.

    Args:
        prompts: the model's.
        source: what the model is called in warnings.
    """

    def __init__(self, prompts: Prompts, source: str) -> None:
        self._prompts: Final = prompts
        self._source: Final = source
        self._may_warn = prompts.is_asymmetric
        self._may_tell_role = True

    def choose(self, prompt: str | None, prompt_name: str | None) -> str:
        """The prompt to use; empty for none. A warning is given once.

        Args:
            prompt: text, which wins over a name.
            prompt_name: name of one of the model's.

        Raises:
            EmbedError: the model has no prompt of this name.
            TypeError: the prompt is no text.
        """
        if not isinstance(prompt, str | None):
            raise TypeError(f"encode: prompt is {type(prompt).__name__}; expected str")
        if prompt is not None and prompt_name is not None:
            import logging

            logging.getLogger(__name__).warning("encode: prompt and prompt_name are both given; prompt is used")
        if prompt is None and prompt_name is None and self._may_warn:
            self._may_warn = False
            warn_caller(
                f"{self._source} was trained with prompts ({', '.join(self._prompts.texts)}) and none is used; "
                "pass prompt_name=, use encode_query and encode_document, or pass prompt='' to mean none",
                PromptWarning,
            )
        return self._prompts.choose(prompt, prompt_name)

    def with_role(self, names: Sequence[str], options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Options of a call with the first of these prompts that the model has, unless they choose one."""
        if options.get("prompt") is not None or options.get("prompt_name") is not None:
            return options
        name = self._prompts.of_role(names)
        text = "" if name is None else self._prompts.texts[name]
        if name is None and self._may_tell_role and not self._prompts.is_without(names):
            self._may_tell_role = False
            warn_caller(
                f"{self._source} was trained with prompts ({', '.join(self._prompts.texts)}), and '{names[0]}' is none "
                "of them, so none is used, as in sentence-transformers; pass prompt_name=, or prompt='' to mean none",
                PromptWarning,
            )
        if text and name != names[0] and self._may_tell_role:
            self._may_tell_role = False
            warn_caller(
                f"{self._source} has no prompt '{names[0]}', and '{name}' is used for it, where sentence-transformers "
                f"uses none from release 5 on; pass prompt='' for vectors like those, or prompt_name='{name}'",
                PromptWarning,
            )
        return {**options, "prompt": text}


def with_given(own: Prompts, texts: Mapping[str, str] | None, default: str | None) -> Prompts:
    """A model's prompts and those that a caller gives, who wins over the files, as in sentence-transformers.

    Raises:
        EmbedError: they are no texts by name, or the default one is not among them.
    """
    if texts is None and default is None:
        return own
    given: Any = {} if texts is None else texts
    if not isinstance(given, Mapping) or not all(isinstance(each, str) for pair in given.items() for each in pair):
        raise EmbedMisuse(f"prompts={texts!r}: expected a dict from a prompt's name to its text")
    every = {**own.texts, **given}
    chosen = own.default if default is None else default
    if chosen is not None and chosen not in list(every):
        known = ", ".join(repr(each) for each in every) or "none"
        raise EmbedMisuse(f"default_prompt_name={chosen!r}: the model has no such prompt; it has {known}")
    return Prompts(MappingProxyType(every), chosen)

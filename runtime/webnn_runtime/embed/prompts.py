"""Which prompt goes before the texts of a call, and a word to who uses none where the model was trained with them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

from webnn_runtime.embed.settings import Prompts

__all__ = ["PromptWarning", "Prompter"]


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

    def choose(self, prompt: str | None, prompt_name: str | None, *, stacklevel: int) -> str:
        """The prompt to use; empty for none.

        Args:
            prompt: text, which wins over a name.
            prompt_name: name of one of the model's.
            stacklevel: of the warning, counted from the caller of this method; it is given once.

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
            warnings.warn(
                f"{self._source} was trained with prompts ({', '.join(self._prompts.texts)}) and none is used; "
                "pass prompt_name=, use encode_query and encode_document, or pass prompt='' to mean none",
                PromptWarning,
                stacklevel=stacklevel + 1,
            )
        return self._prompts.choose(prompt, prompt_name)

    def with_role(self, names: Sequence[str], options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Options of a call with the first of these prompts that the model has, unless they choose one."""
        if options.get("prompt") is not None or options.get("prompt_name") is not None:
            return options
        name = self._prompts.of_role(names)
        text = "" if name is None else self._prompts.texts[name]
        if text and name != names[0] and self._may_tell_role:
            self._may_tell_role = False
            warnings.warn(
                f"{self._source} has no prompt '{names[0]}', and '{name}' is used for it, where sentence-transformers "
                f"uses none from release 5 on; pass prompt='' for vectors like those, or prompt_name='{name}'",
                PromptWarning,
                stacklevel=3,
            )
        return {**options, "prompt": text}

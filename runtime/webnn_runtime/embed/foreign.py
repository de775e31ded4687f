"""Arguments that sentence-transformers has and the embedder has not, and what to do instead."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

__all__ = ["CONSTRUCTOR", "ENCODE", "refuse_foreign"]

_MEANINGLESS: Final = "it has no meaning without torch, leave it out"
_PROCESSES: Final = "one process uses all threads, leave it out or pass threads= to WebNNEmbedder"

# Name -> what asks for no more than what happens anyway, and what to do about anything else.
ENCODE: Final[Mapping[str, tuple[Collection[Any], str]]] = {
    "sentences": ((), "texts are the first argument"),
    "inputs": ((), "texts are the first argument"),
    "output_value": (
        ("sentence_embedding",),
        "vectors of texts are the only result, webnn_runtime.load(folder).run(...) gives those of tokens",
    ),
    "device": ((None,), "choose it by WebNNEmbedder(device_type=...)"),
    "pool": ((None,), _PROCESSES),
    "chunk_size": ((None,), _PROCESSES),
    "max_length": ((None,), "set the embedder's max_seq_length"),
}
CONSTRUCTOR: Final[Mapping[str, tuple[Collection[Any], str]]] = {
    "model_name_or_path": ((), "call it model_id, or pass it first"),
    "device": ((None, "cpu"), "call it device_type"),
    "cache_folder": ((None,), "call it cache_dir"),
    "use_auth_token": ((None,), "call it token"),
    "trust_remote_code": ((None, False), "code from a model's repository is never run, leave it out"),
    "truncate_dim": ((None,), "pass it to encode"),
    "prompts": ((None,), "they are read from the model's files, pass prompt= to encode for another one"),
    "default_prompt_name": ((None,), "pass prompt_name= to encode"),
    "similarity_fn_name": ((None, "cosine"), "compute_similarity is the cosine, leave it out"),
    "modules": ((None,), "they are read from the model's files, leave it out"),
    "model_kwargs": ((None,), _MEANINGLESS),
    "tokenizer_kwargs": ((None,), _MEANINGLESS),
    "processor_kwargs": ((None,), _MEANINGLESS),
    "config_kwargs": ((None,), _MEANINGLESS),
    "model_card_data": ((None,), _MEANINGLESS),
}


_CALLS: Final = {"WebNNEmbedder": CONSTRUCTOR, "encode": ENCODE}


def refuse_foreign(call: str, given: Mapping[str, Any], own: Callable[..., object]) -> None:
    """Pass over what asks for nothing else than what happens; refuse every other argument with what to do.

    Args:
        call: what was called, "WebNNEmbedder" or "encode".
        given: arguments that the call has not.
        own: what was called, for the arguments that it has.

    Raises:
        TypeError: one of them asks for something.
    """
    for name, value in given.items():
        if name not in _CALLS[call]:
            known = [each for each in inspect.signature(own).parameters if each != "foreign"]
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise TypeError(f"{call}: there is no argument '{name}'; {hint}")
        harmless, advice = _CALLS[call][name]
        # By type first: an array compared with a word would be an array.
        if not (value is None or isinstance(value, (str, bool))) or value not in harmless:
            raise TypeError(f"{call}: there is no argument '{name}'; {advice}")

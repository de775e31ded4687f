"""Arguments and attributes of sentence-transformers and of pipelines that ours have not, and what to do instead."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from webnn_runtime.embed.attributes import may_be_set

__all__ = ["ATTRIBUTES", "CLASSIFIER", "CLASSIFY", "CONSTRUCTOR", "ENCODE", "refuse_attribute", "refuse_foreign"]

_READ: Final = "it is read from the model's files, leave it out"
_MEANINGLESS: Final = "it has no meaning without torch, leave it out"
_PROCESSES: Final = "one process uses all threads, leave it out or pass threads= when it is made"

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
    **dict.fromkeys(("model_name_or_path", "model_name"), ((), "call it model_id, or pass it first")),
    "device": ((None, "cpu"), "call it device_type, one of cpu, gpu, npu"),
    "providers": ((None,), "choose by backend= and device_type="),
    "batch_size": ((None,), "pass it to a call"),
    "cache_folder": ((None,), "call it cache_dir"),
    "use_auth_token": ((None,), "call it token"),
    "trust_remote_code": ((None, False), "code from a model's repository is never run, leave it out"),
    "modules": ((None,), _READ),
    "model_kwargs": ((None,), _MEANINGLESS),
    "tokenizer_kwargs": ((None,), _MEANINGLESS),
    "processor_kwargs": ((None,), _MEANINGLESS),
    "config_kwargs": ((None,), _MEANINGLESS),
    "model_card_data": ((None,), _MEANINGLESS),
}
_NO_PROMPTS: Final = "put it before the texts"
_SCORES: Final = "pass function_to_apply= to a call"
CLASSIFY: Final[Mapping[str, tuple[Collection[Any], str]]] = {
    "truncation": ((True,), "texts are always cut to max_length, leave it out"),
    "padding": ((True, False, "longest", None), "texts are padded as far as they have to be, leave it out"),
    "max_length": ((None,), "pass it to WebNNClassifier"),
    "return_all_scores": ((None, False), "pass top_k=None"),
    "num_workers": ((None,), _PROCESSES),
    "pool": ((None,), _PROCESSES),
    "chunk_size": ((None,), _PROCESSES),
    "device": ((None,), "choose it by WebNNClassifier(device_type=...)"),
    "prompt": ((None, ""), _NO_PROMPTS),
    "prompt_name": ((None,), _NO_PROMPTS),
    "activation_fn": ((None,), _SCORES),
    "apply_softmax": ((None, False), "pass function_to_apply='softmax'"),
    "convert_to_numpy": ((True,), "scores(...) gives an array"),
    "convert_to_tensor": ((False,), "scores(...) gives an array"),
    "show_progress_bar": ((None, False), "call it show_progress"),
}
CLASSIFIER: Final[Mapping[str, tuple[Collection[Any], str]]] = {
    **CONSTRUCTOR,
    "model": ((), "call it model_id, or pass it first"),
    # As pipelines count devices, -1 is the CPU.
    "device": ((None, "cpu", -1), CONSTRUCTOR["device"][1]),
    "task": ((None, "text-classification", "sentiment-analysis"), "texts and pairs are classified, leave it out"),
    "tokenizer": ((None,), "call it tokenizer_id"),
    "config": ((None,), _READ),
    "num_labels": ((None,), _READ),
    "max_seq_length": ((None,), "call it max_length"),
    "activation_fn": ((None,), _SCORES),
    "function_to_apply": ((None,), _SCORES),
    "top_k": ((), "pass it to a call"),
    "prompts": ((None,), _NO_PROMPTS),
    "default_prompt_name": ((None,), _NO_PROMPTS),
    "keep_in_fp32_modules": ((None,), _MEANINGLESS),
    "dtype": ((None, "auto"), _MEANINGLESS),
    "device_map": ((None,), _MEANINGLESS),
}

_TORCH: Final = "there is no torch here; device_type= and threads= choose what runs it, when it is made"
_POOL: Final = "one process uses all threads, and another process opens its own"
_SAVED: Final = "the model is a folder, which can be copied"
_FILES: Final = "it is read from the model's files"
_DOCUMENTS: Final = "encode_document(texts) gives all vectors in one array, and encode those without a prompt of a role"
_PAIRS: Final = "WebNNClassifier(model).scores(pairs) gives scores of pairs"
# Name -> what to do instead; of classes that are called otherwise than sentence-transformers' too, among them those of
# fastembed and LangChain.
ATTRIBUTES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("to", "cpu", "cuda", "half", "float", "bfloat16", "eval", "train", "compile", "dtype"), _TORCH),
    **dict.fromkeys(("start_multi_process_pool", "stop_multi_process_pool", "encode_multi_process"), _POOL),
    **dict.fromkeys(("save", "save_pretrained", "save_to_hub", "push_to_hub"), _SAVED),
    **dict.fromkeys(("set_pooling_include_prompt", "config"), _FILES),
    **dict.fromkeys(("truncate_embeddings", "truncate_sentence_embeddings"), "pass truncate_dim= to encode"),
    "device": "device_type= chooses it, and backend_info() says what runs",
    "tokenizer": "tokenize(texts) gives token ids, and the package tokenizers reads the model's tokenizer.json",
    "get_max_seq_length": "it is the attribute max_seq_length",
    **dict.fromkeys(("embed", "passage_embed", "embed_documents"), _DOCUMENTS),
    **dict.fromkeys(("query_embed", "embed_query"), "encode_query(texts) gives all vectors in one array"),
    **dict.fromkeys(("predict", "rank", "rerank"), _PAIRS),
    "evaluate": "`webnn eval` measures a model",
    "fit": "models are trained elsewhere",
}
# The same, of a classifier, where that is something else.
_OF_CLASSIFIERS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("embed", "passage_embed", "query_embed", "encode"), "WebNNEmbedder gives vectors of texts"),
    "get_max_seq_length": "it is the attribute max_length",
    "predict": "scores(pairs) gives what it does",
    **dict.fromkeys(("rank", "rerank"), "scores(pairs) gives what they are sorted by"),
}

_CALLS: Final = {
    "WebNNEmbedder": {
        **CONSTRUCTOR,
        **dict.fromkeys(("normalize", "normalize_embeddings"), ((None, True), "pass it to encode")),
    },
    "encode": ENCODE,
    "WebNNClassifier": CLASSIFIER,
    "classifier": CLASSIFY,
    "scores": CLASSIFY,
}


def refuse_foreign(call: str, given: Mapping[str, Any], own: Callable[..., object], device: str | None = None) -> None:
    """Pass over what asks for nothing else than what happens; refuse every other argument with what to do.

    Args:
        call: what was called.
        given: arguments that the call has not.
        own: what was called, for the arguments that it has.
        device: where it runs, which may be asked for by name.

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
        if isinstance(value, Mapping) and not value:
            value = None
        is_plain = value is None or isinstance(value, (str, int))
        if not is_plain or not (value in harmless or (name == "device" and value == device)):
            raise TypeError(f"{call}: there is no argument '{name}'; {advice}")


def refuse_attribute(owner: type, name: str, *, is_set: bool) -> AttributeError:
    """The error for an attribute that is not there, or not to be set, with what to do instead."""
    own = [each for each in dir(owner) if each[0] != "_"]
    if name in own:
        takes = name in inspect.signature(owner).parameters
        way = f"; pass it to {owner.__name__}({name}=...)" if takes else ""
        return AttributeError(f"{owner.__name__}: '{name}' cannot be set later{way}")
    known = [each for each in own if not is_set or not callable(getattr(owner, each))]
    near = difflib.get_close_matches(name, known, 1)
    listed = [each for each in known if not is_set or may_be_set(owner, each)]
    way = f"there are {', '.join(listed)}" if listed else "none may be set, pass arguments when it is made"
    is_classifier = any(each.__name__ == "WebNNClassifier" for each in owner.__mro__)
    known_way = (is_classifier and _OF_CLASSIFIERS.get(name)) or ATTRIBUTES.get(name)
    advice = known_way or (f"did you mean {near[0]}?" if near else way)
    return AttributeError(f"{owner.__name__}: there is no attribute '{name}'; {advice}")

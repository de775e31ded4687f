"""Which files of a repository are needed: pure functions from file names to file names.

A repository often holds the same model several times over (torch, ONNX, OpenVINO ...), so what is
fetched is chosen by name before anything is downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from webnn_runtime.format.companions import is_inside
from webnn_runtime.format.errors import HubError

__all__ = [
    "PIPELINE_FILES",
    "RANGES_FILE",
    "TOKENIZER_FILES",
    "TRANSFORMER_CONFIG_FILES",
    "is_safe_name",
    "select_bundle",
    "select_companions",
    "select_everything",
    "select_tokenizer",
]

TOKENIZER_FILES: Final = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
# sentence-transformers looks for these in this order and takes the first that exists.
TRANSFORMER_CONFIG_FILES: Final = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)
PIPELINE_FILES: Final = ("config.json", "modules.json", "config_sentence_transformers.json", *TRANSFORMER_CONFIG_FILES)
# What int8 vectors are counted between; of a bundle, never of the model it was made from.
RANGES_FILE: Final = "embedding_ranges.json"
_IN_ROOT: Final = frozenset((*TOKENIZER_FILES, *PIPELINE_FILES))
_IN_MODULE_FOLDERS: Final = frozenset(("config.json", "model.safetensors", *TOKENIZER_FILES, *TRANSFORMER_CONFIG_FILES))
# sentence-transformers numbers the folders of its modules: 1_Pooling, 2_Dense ...
_MODULE_FOLDER: Final = r"[0-9]+_[A-Za-z][A-Za-z0-9_]*"
_CONTROL_CHARACTERS: Final = r"[\x00-\x1f]"


def is_safe_name(name: str) -> bool:
    """Whether a repository's file name stays inside the folder it is written to."""
    return is_inside(name) and not re.search(_CONTROL_CHARACTERS, name)


def select_bundle(names: Collection[str]) -> list[str]:
    """The WebNN graph with its weights and manifest, the tokenizer and the pipeline's configuration.

    `model.webnn` wins over other graphs; a single graph may have any name.

    Raises:
        HubError: there is no WebNN graph, or several and none is called `model.webnn`.
    """
    files = {name for name in names if is_safe_name(name)}
    graph = _choose_graph(files)
    stem = graph.removesuffix(".webnn")
    chosen = {graph} | _beside(files, stem, ".manifest.json", "manifest.json")
    chosen |= _beside(files, stem, ".weights", "model.weights") or _beside(
        files, stem, ".safetensors", "model.safetensors"
    )
    return sorted(chosen | select_companions(files) | ({RANGES_FILE} & files))


def select_tokenizer(names: Collection[str]) -> list[str]:
    """The tokenizer and the files that state its maximum length, from any kind of model repository."""
    files = {name for name in names if is_safe_name(name)}
    return sorted(select_companions(files) - {name for name in files if name.endswith(".safetensors")})


def select_companions(names: Collection[str]) -> set[str]:
    """What makes a graph an embedder: tokenizer, configuration of the pipeline, and its modules with their weights."""
    files = {name for name in names if is_safe_name(name)}
    found = set()
    for name in files:
        folder, _, last = name.rpartition("/")
        wanted = _IN_MODULE_FOLDERS if re.fullmatch(_MODULE_FOLDER, folder) else _IN_ROOT if not folder else ()
        # Weights of the first module are those of the graph.
        if last in wanted and not (folder.startswith("0_") and last.endswith(".safetensors")):
            found.add(name)
    return found


def select_everything(names: Collection[str]) -> list[str]:
    """All files with a safe name."""
    return sorted(name for name in names if is_safe_name(name))


def _choose_graph(files: Collection[str]) -> str:
    graphs = sorted(name for name in files if name.endswith(".webnn") and "/" not in name)
    if "model.webnn" in graphs:
        return "model.webnn"
    if not graphs:
        raise HubError("no WebNN graph (*.webnn) among its files; convert the model first: webnn-convert MODEL")
    if len(graphs) > 1:
        raise HubError(
            f"several WebNN graphs and none is called 'model.webnn': {', '.join(graphs)}; "
            "download the repository and pass the path of one of them"
        )
    return graphs[0]


def _beside(files: Collection[str], stem: str, suffix: str, fixed: str) -> set[str]:
    """What `webnn_runtime.format.companions` will look for beside the graph, once it is on disk."""
    for name in (f"{stem}{suffix}", fixed):
        if name in files:
            return {name}
    return {name for name in files if name.endswith(suffix) and "/" not in name}

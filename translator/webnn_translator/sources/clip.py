"""A CLIP that embeds texts, as sentence-transformers saves it: its text model and projection give a vector per text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from webnn_runtime.embed.configuration import expect, read_optional
from webnn_runtime.embed.modules import first_module, read_stages_after
from webnn_runtime.format.errors import EmbedError, HubError

__all__ = ["find_clip"]

_METHOD: Final = "get_text_features"


def find_clip(root: Path) -> Path | None:
    """The folder of the CLIP that the model in `root` embeds texts by; None where it is of another kind.

    Raises:
        HubError: it is one, and not of a form that can be converted.
    """
    try:
        first = first_module(root)
        if first is None or not _embeds_by_features(*first):
            return None
        folder = first[1]
        config = read_optional([folder], "config.json")
        kind = "" if config is None else expect(*config, "model_type", str, "")
        stages = read_stages_after(root)
    except EmbedError as exc:
        raise HubError(str(exc)) from exc
    if kind != "clip":
        raise HubError(
            f"{os.path.join(folder, 'config.json')}: 'model_type' is '{kind}', and only of 'clip' the half that embeds "
            "texts is exported; pass an ONNX file from input_ids and attention_mask to 'sentence_embedding'"
        )
    if stages:
        raise HubError(
            f"{os.path.join(root, 'modules.json')}: '{type(stages[0]).__name__}' after a CLIP is not supported; pass "
            "an ONNX file from input_ids and attention_mask to 'sentence_embedding' that has it"
        )
    return Path(folder)


def _embeds_by_features(name: str, folder: Any) -> bool:
    if name == "CLIPModel":
        return True
    module = read_optional([folder], "sentence_bert_config.json") if name == "Transformer" else None
    modalities = {} if module is None else expect(*module, "modality_config", dict, {})
    text = modalities.get("text")
    return isinstance(text, dict) and text.get("method") == _METHOD

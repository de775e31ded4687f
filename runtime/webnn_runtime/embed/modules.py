"""A model's sentence-transformers files, read completely: what happens to a text and to its vector.

`modules.json` lists the modules in order; each has a folder with its settings and weights. Whatever
is listed and not known here is refused by name, because leaving a step out gives a wrong vector.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from webnn_runtime.embed.configuration import StrPath, expect, inside, read_json, read_object
from webnn_runtime.embed.pooling import POOLING_MODES, Pooling, parse_modes
from webnn_runtime.embed.stages import ACTIVATIONS, Dense, LayerNorm, Normalize, Stage
from webnn_runtime.format.errors import EmbedError
from webnn_runtime.format.records import dataclass

if TYPE_CHECKING:
    from webnn_runtime.embed.tensors import Floats

__all__ = ["Modules", "excludes_prompt", "read_modules", "transformer_folder"]


@dataclass(frozen=True, slots=True)
class Modules:
    """The modules around the graph.

    Attributes:
        pooling: how token vectors become one.
        stages: what follows pooling, in order.
    """

    pooling: Pooling
    stages: tuple[Stage, ...]

    @property
    def is_normalized(self) -> bool:
        """Whether the last step scales vectors to length 1."""
        return bool(self.stages) and isinstance(self.stages[-1], Normalize)

    def dimension(self, hidden: int) -> int:
        """Size of a text's vector, for token vectors of `hidden` features.

        Raises:
            EmbedError: a module expects another size than it gets.
        """
        if self.pooling.dimension not in (None, hidden):
            raise EmbedError(
                f"module 'Pooling': made for token vectors of {self.pooling.dimension} features, "
                f"and the graph gives {hidden}; graph and configuration belong to different models"
            )
        size = len(self.pooling.modes) * hidden
        for stage in self.stages:
            if stage.in_features not in (None, size):
                raise EmbedError(
                    f"module '{type(stage).__name__}': expects {stage.in_features} features and gets {size}; "
                    "graph and configuration belong to different models"
                )
            size = size if stage.out_features is None else stage.out_features
        return size


def read_modules(root: StrPath) -> Modules | None:
    """The modules of the model in `root`; None without a `modules.json`.

    Raises:
        EmbedError: a module is unknown, misplaced, or its files are wrong.
    """
    entries = _entries(root)
    if entries is None:
        return None
    listing = os.path.join(root, _LISTING)
    names = [_class_name(listing, entry) for entry in entries]
    if names[:2] != ["Transformer", "Pooling"]:
        raise EmbedError(
            f"{listing}: the modules are {', '.join(names) or 'none'}; expected Transformer, Pooling, and then any of "
            f"{', '.join(_AFTER_POOLING)}"
        )
    folders = [_folder(root, entry) for entry in entries]
    stages = tuple(
        stage
        for name, folder in zip(names[2:], folders[2:], strict=True)
        if (stage := _read_stage(listing, name, folder)) is not None
    )
    return Modules(_read_pooling(folders[1]), stages)


def transformer_folder(root: StrPath) -> StrPath:
    """Where the Transformer module keeps its tokenizer and settings; `root` unless `modules.json` says otherwise."""
    entries = _entries(root)
    return _folder(root, entries[0]) if entries else root


def excludes_prompt(root: StrPath) -> bool:
    """Whether the Pooling module leaves the prompt's tokens out; other modules are not looked at."""
    folders = [
        _folder(root, entry)
        for entry in _entries(root) or ()
        if expect(os.path.join(root, _LISTING), entry, "type", str, "").endswith(".Pooling")
    ]
    return any(not _read_pooling(folder).include_prompt for folder in folders)


def _entries(root: StrPath) -> list[Mapping[str, Any]] | None:
    listing = os.path.join(root, _LISTING)
    if not os.path.lexists(listing):
        return None
    entries = read_json(listing)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise EmbedError(f"{listing}: expected a list of modules")
    return entries


def _folder(root: StrPath, entry: Mapping[str, Any]) -> StrPath:
    listing = os.path.join(root, _LISTING)
    return inside(root, expect(listing, entry, "path", str, ""), what=listing)


def _class_name(listing: str, entry: Mapping[str, Any]) -> str:
    kind = expect(listing, entry, "type", str, "")
    # The class moved between releases, its name did not. Code of other packages is never run.
    package, *parts = kind.split(".")
    name = parts[-1] if parts and package == _PACKAGE and all(map(str.isidentifier, parts)) else ""
    if name not in ("Transformer", "Pooling", *_AFTER_POOLING):
        raise EmbedError(
            f"{listing}: module '{kind}' is not supported; the supported ones are "
            f"Transformer, Pooling, {', '.join(_AFTER_POOLING)} of sentence-transformers"
        )
    return name


def _read_stage(listing: str, name: str, folder: StrPath) -> Stage | None:
    if name not in _AFTER_POOLING:
        raise EmbedError(
            f"{listing}: a second module '{name}'; expected one Transformer and one Pooling, in this order"
        )
    return _AFTER_POOLING[name](folder)


def _read_pooling(folder: StrPath) -> Pooling:
    path = os.path.join(folder, "config.json")
    settings = read_object(path)
    size = expect(path, settings, "embedding_dimension", int, expect(path, settings, "word_embedding_dimension", int))
    include_prompt = expect(path, settings, "include_prompt", bool, True)
    return Pooling(_pooling_modes(path, settings), include_prompt, size)


def _pooling_modes(path: str, settings: Mapping[str, Any]) -> tuple[str, ...]:
    stated = expect(path, settings, "pooling_mode", (str, list))
    switches = {key: value for key, value in settings.items() if key.startswith("pooling_mode_")}
    unknown = sorted(switches.keys() - _POOLING_SWITCHES.keys())
    if unknown:
        raise EmbedError(f"{path}: no pooling mode '{unknown[0]}'; the modes are {', '.join(_POOLING_SWITCHES)}")
    if stated is not None:
        return parse_modes(stated if isinstance(stated, str) else map(str, stated), where=str(path))
    if not switches:
        raise EmbedError(f"{path}: states no pooling mode; expected 'pooling_mode', one of {', '.join(POOLING_MODES)}")
    modes = tuple(mode for key, mode in _POOLING_SWITCHES.items() if expect(path, switches, key, bool, False))
    # All switched off means mean to every release of sentence-transformers that reads this form.
    return modes or ("mean",)


def _read_dense(folder: StrPath) -> Stage:
    path = os.path.join(folder, "config.json")
    settings = read_object(path)
    _only_on_sentences(path, settings, "Dense")
    activation = _activation(
        path, expect(path, settings, "activation_function", str, "torch.nn.modules.activation.Tanh")
    )
    tensors = _read_tensors(folder, module="Dense")
    sizes = (expect(path, settings, "out_features", int), expect(path, settings, "in_features", int))
    weight = _take(folder, tensors, "linear.weight", sizes)
    bias = _take(folder, tensors, "linear.bias", sizes[:1]) if expect(path, settings, "bias", bool, True) else None
    residual: Floats | str | None = None
    if expect(path, settings, "use_residual", bool, False):
        residual = "identity" if sizes[0] == sizes[1] else _take(folder, tensors, "residual.weight", sizes)
    return Dense(weight, bias, activation, residual)


def _read_layer_norm(folder: StrPath) -> Stage:
    path = os.path.join(folder, "config.json")
    sizes = (expect(path, read_object(path), "dimension", int),)
    tensors = _read_tensors(folder, module="LayerNorm")
    return LayerNorm(_take(folder, tensors, "norm.weight", sizes), _take(folder, tensors, "norm.bias", sizes))


def _read_normalize(folder: StrPath) -> Stage:
    path = os.path.join(folder, "config.json")
    if os.path.lexists(path):
        _only_on_sentences(path, read_object(path), "Normalize")
    return Normalize()


def _read_dropout(_folder: StrPath) -> None:
    """Dropout acts in training only."""


def _activation(path: str, dotted: str) -> str:
    package, _, name = dotted.rpartition(".")
    if name not in ACTIVATIONS or package.split(".")[0] != "torch":
        raise EmbedError(
            f"{path}: activation function '{dotted}' is not supported; the supported ones are "
            f"{', '.join(ACTIVATIONS)} of torch.nn"
        )
    return name


def _only_on_sentences(path: str, settings: Mapping[str, Any], module: str) -> None:
    for key in ("module_input_name", "module_output_name"):
        place = expect(path, settings, key, str, "sentence_embedding")
        if place != "sentence_embedding":
            raise EmbedError(f"{path}: module '{module}' works on '{place}'; only 'sentence_embedding' is supported")


def _read_tensors(folder: StrPath, *, module: str) -> dict[str, Floats]:
    from webnn_runtime.embed.tensors import read_tensors  # few models have such a module

    return read_tensors(folder, module=module)


def _take(folder: StrPath, tensors: Mapping[str, Floats], name: str, shape: tuple[int | None, ...]) -> Floats:
    path = os.path.join(folder, "model.safetensors")
    if name not in tensors:
        raise EmbedError(f"{path}: no tensor '{name}'; it holds {', '.join(sorted(tensors)) or 'nothing'}")
    tensor = tensors[name]
    if tensor.shape != shape:
        raise EmbedError(f"{path}: tensor '{name}' has shape {list(tensor.shape)}; config.json says {list(shape)}")
    if not np.isfinite(tensor).all():
        raise EmbedError(f"{path}: tensor '{name}' holds values that are not finite")
    return tensor


_LISTING: Final = "modules.json"
_PACKAGE: Final = "sentence_transformers"
_AFTER_POOLING: Final[Mapping[str, Callable[[StrPath], Stage | None]]] = MappingProxyType(
    {
        "Dense": _read_dense,
        "LayerNorm": _read_layer_norm,
        "Normalize": _read_normalize,
        "Dropout": _read_dropout,
    }
)
_POOLING_SWITCHES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "pooling_mode_cls_token": "cls",
        "pooling_mode_max_tokens": "max",
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
        "pooling_mode_weightedmean_tokens": "weightedmean",
        "pooling_mode_lasttoken": "lasttoken",
    }
)

"""A model's sentence-transformers files, read completely: what happens to a text and to its vector.

`modules.json` lists the modules in order; each has a folder with its settings and weights. Whatever
is listed and not known here is refused by name, because leaving a step out gives a wrong vector.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from webnn_runtime.embed.configuration import StrPath, expect, inside, read_json, read_object
from webnn_runtime.embed.pooling import POOLING_MODES, Pooling, parse_modes
from webnn_runtime.embed.stages import ACTIVATIONS, Dense, LayerNorm, Normalize, Stage
from webnn_runtime.format.errors import EmbedError, EmbedMisuse
from webnn_runtime.format.records import dataclass, replace

if TYPE_CHECKING:
    from webnn_runtime.embed.tensors import Floats

__all__ = [
    "MODEL2VEC",
    "SENTENCE_TRANSFORMERS",
    "Modules",
    "chosen_modules",
    "excludes_prompt",
    "first_module",
    "read_modules",
    "read_stages_after",
    "stated_dimension",
    "static_libraries",
    "transformer_folder",
]

MODEL2VEC: Final = "model2vec"
SENTENCE_TRANSFORMERS: Final = "sentence-transformers"


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
    names = _names(root, entries)
    if names[:2] != ["Transformer", "Pooling"]:
        static = "StaticEmbedding, whose graph has one vector per text when webnn-convert made it of the folder, or "
        raise EmbedError(
            f"{os.path.join(root, _LISTING)}: the modules are {', '.join(names) or 'none'}; expected "
            f"{static if names[:1] == ['StaticEmbedding'] else ''}Transformer, Pooling, and then any of "
            f"{', '.join(_AFTER_POOLING)}"
        )
    return Modules(_read_pooling(_folder(root, entries[1])), _read_stages(root, names[2:], entries[2:]))


def chosen_modules(root: StrPath, pooling: str | Iterable[str] | None) -> Modules:
    """The modules of the model in `root`, which has to have some where `pooling` does not name the modes to use.

    Raises:
        EmbedError: a module is unknown, misplaced, or its files are wrong, or nothing says how to pool.
    """
    stated = read_modules(root)
    if pooling is not None:
        chosen = Pooling(parse_modes(pooling, where="pooling=", error=EmbedMisuse))
        if stated is None:
            return Modules(chosen, ())
        if chosen.modes != stated.pooling.modes:
            import logging

            asked, own = ("+".join(each.modes) for each in (chosen, stated.pooling))
            logging.getLogger(__name__).warning(
                "%s: pooling is %s by argument, and %s in the model's files", root, asked, own
            )
        return Modules(replace(stated.pooling, modes=chosen.modes), stated.stages)
    if stated is None:
        raise EmbedError(
            f"{root}: has no modules.json, so nothing says how token vectors become one vector; "
            "add its sentence-transformers files (modules.json and what it names; webnn-convert --tokenizer FOLDER "
            "brings them along), or pass pooling= (--pooling), one of "
            f"{', '.join(POOLING_MODES)}, as the model was trained"
        )
    return stated


def read_stages_after(root: StrPath) -> tuple[Stage, ...]:
    """What follows the first module of the model in `root`, where that gives a vector per text by itself.

    Raises:
        EmbedError: a module is unknown, misplaced, or its files are wrong.
    """
    entries = (_entries(root) or [])[1:]
    return _read_stages(root, _names(root, entries), entries)


def first_module(root: StrPath) -> tuple[str, StrPath] | None:
    """Class and folder of the first module; None without a `modules.json`, or where its code is of another package."""
    entries = _entries(root)
    name = _own_class(os.path.join(root, _LISTING), entries[0]) if entries else ""
    return (name, _folder(root, entries[0])) if entries and name else None


def static_libraries(root: StrPath) -> dict[str, StrPath]:
    """Libraries that read a static embedding in `root`, its own first, and where each has the files; else none."""
    found: dict[str, StrPath] = {}
    config = os.path.join(root, "config.json")
    if os.path.isfile(config):
        settings = read_object(config)
        # Of a model put together by hand model2vec states the table's type alone, which is a key of its own.
        default = MODEL2VEC if "embedding_dtype" in settings else ""
        if (expect(config, settings, "model_type", str) or default) == MODEL2VEC:
            found[MODEL2VEC] = root
    first = first_module(root)
    if first is not None and first[0] == "StaticEmbedding":
        found[SENTENCE_TRANSFORMERS] = first[1]
    return found


def transformer_folder(root: StrPath) -> StrPath:
    """Where the Transformer module keeps its tokenizer and settings; `root` unless `modules.json` says otherwise."""
    entries = _entries(root)
    return _folder(root, entries[0]) if entries else root


def stated_dimension(root: StrPath) -> int | None:
    """Size of a text's vector by what the modules' settings say, their weights unread; None where they do not say it.

    Raises:
        EmbedError: a module's settings are wrong.
    """
    size: int | None = None
    for entry in _entries(root) or ():
        name, folder = _own_class(os.path.join(root, _LISTING), entry), _folder(root, entry)
        path = os.path.join(folder, "config.json")
        if name == "Pooling":
            pooling = _read_pooling(folder)
            size = None if pooling.dimension is None else pooling.dimension * len(pooling.modes)
        elif name == "Dense" and os.path.lexists(path):
            settings = read_object(path)
            if settings.get("module_output_name") not in (None, "sentence_embedding"):
                return None
            size = expect(path, settings, "out_features", int)
        elif name not in ("Transformer", "LayerNorm", "Normalize", "Dropout"):
            # Only the graph knows what such a module does.
            return None
    return size


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


def _names(root: StrPath, entries: Sequence[Mapping[str, Any]]) -> list[str]:
    listing = os.path.join(root, _LISTING)
    return [_class_name(listing, entry) for entry in entries]


def _class_name(listing: str, entry: Mapping[str, Any]) -> str:
    name = _own_class(listing, entry)
    if name not in (*_BEFORE_STAGES, *_AFTER_POOLING):
        from webnn_runtime.embed.unsupported import way_out

        way = way_out(name)
        raise EmbedError(
            f"{listing}: module '{entry.get('type') or ''}' is not supported; the supported ones are "
            f"{', '.join((*_BEFORE_STAGES, *_AFTER_POOLING))} of sentence-transformers{f'; {way}' if way else ''}"
        )
    return name


def _own_class(listing: str, entry: Mapping[str, Any]) -> str:
    """The class's own name; empty for one of another package, whose code is never run."""
    # The class moved between releases, its name did not.
    package, *parts = expect(listing, entry, "type", str, "").split(".")
    return parts[-1] if parts and package == _PACKAGE and all(map(str.isidentifier, parts)) else ""


def _read_stages(root: StrPath, names: Sequence[str], entries: Sequence[Mapping[str, Any]]) -> tuple[Stage, ...]:
    found = (_read_stage(root, name, entry) for name, entry in zip(names, entries, strict=True))
    return tuple(stage for stage in found if stage is not None)


def _read_stage(root: StrPath, name: str, entry: Mapping[str, Any]) -> Stage | None:
    if name not in _AFTER_POOLING:
        raise EmbedError(
            f"{os.path.join(root, _LISTING)}: a second module '{name}'; expected one Transformer and one Pooling, in "
            "this order, or one StaticEmbedding"
        )
    return _AFTER_POOLING[name](_folder(root, entry))


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
_BEFORE_STAGES: Final = ("Transformer", "Pooling", "StaticEmbedding")
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

"""A torch model in a Hugging Face folder -> an ONNX file. Needs the extra `export`; nothing else here knows torch.

Opsets up to 17 go through the torch script exporter with attention written out, which gives the plainest graph;
newer ones through the exporter that is based on `torch.export`. No code from the model's repository is run.
"""

from __future__ import annotations

import inspect
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from webnn_runtime.embed.configuration import read_object
from webnn_runtime.format.errors import EmbedError, HubError
from webnn_runtime.format.utf8_paths import in_utf8

__all__ = ["DEFAULT_OPSET", "TASKS", "ExportUnavailable", "Task", "export_onnx", "export_tokenizer"]

DEFAULT_OPSET: Final = 17
_LAST_SCRIPT_OPSET: Final = 17
_OPSETS: Final = range(14, 24)
_AXES: Final = ("batch_size", "sequence_length")
# Two rows, one of them padded: from an all-ones mask tracing would conclude that there is no mask.
_TOKENS: Final = 6
_PADDING: Final = 2


class ExportUnavailable(HubError):
    """A library is not installed, or too old for another one; the message holds the command that helps."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is exported: a transformers class and its outputs.

    Attributes:
        suffix: how the names of the architectures trained for it end.
        outputs: attributes of the model's result, in order; each becomes an output of the graph.
        per_token: whether the outputs have a sequence axis after the batch.
        names: what the graph calls them; None for the same.
        kind: class of transformers, where it is none that finds the architecture's own by the suffix.
    """

    suffix: str
    outputs: tuple[str, ...]
    per_token: bool = True
    names: tuple[str, ...] | None = None
    kind: str | None = None

    @property
    def auto_class(self) -> str:
        """Class of transformers that loads such a model."""
        return self.kind or ("AutoModel" if self.suffix == "Model" else f"AutoModel{self.suffix}")


TASKS: Final = {
    "feature-extraction": Task("Model", ("last_hidden_state",)),
    "fill-mask": Task("ForMaskedLM", ("logits",)),
    "text-classification": Task("ForSequenceClassification", ("logits",), per_token=False),
    "token-classification": Task("ForTokenClassification", ("logits",)),
    "question-answering": Task("ForQuestionAnswering", ("start_logits", "end_logits")),
    "text-generation": Task("ForCausalLM", ("logits",)),
}
# The half of CLIP that reads texts, with what takes its result to where images are.
_CLIP_TEXTS: Final = Task("Model", ("text_embeds",), False, ("sentence_embedding",), "CLIPTextModelWithProjection")
# What the Hub and older scripts call the same things.
_SYNONYMS: Final = {
    "default": "feature-extraction",
    "sentence-similarity": "feature-extraction",
    "masked-lm": "fill-mask",
    "sequence-classification": "text-classification",
    "causal-lm": "text-generation",
}
# Of these, sentence encoders are the first half, and often nothing else is stored.
_ENCODERS: Final = {"mt5": "MT5EncoderModel", "t5": "T5EncoderModel", "umt5": "UMT5EncoderModel"}
# A pooler that was never trained is initialised at random, and is no part of the outputs above.
_UNUSED_WEIGHTS: Final = ("pooler.", "embeddings.position_ids")
_ADAPTER: Final = "adapter_config.json"
# What sentence-transformers passes on when it loads the configuration and the weights, of all releases.
_ARGUMENTS: Final = ("config_args", "config_kwargs", "model_args", "model_kwargs")
# Of these, what decides where files come from, how they are loaded and how fast a model is, and not what it computes.
_WITHOUT_EFFECT: Final = frozenset(
    {
        *("add_pooling_layer", "attn_implementation", "cache_dir", "code_revision", "device_map", "dtype"),
        *("local_files_only", "low_cpu_mem_usage", "revision", "token", "torch_dtype", "trust_remote_code"),
        *("use_cache", "use_safetensors"),
    }
)


def task_of(folder: Path, *, is_module: bool = False) -> str:
    """The task that the model in `folder` was made for: a sentence encoder's, or the one its architecture states.

    Args:
        folder: configuration and weights.
        is_module: whether it is a folder that a `modules.json` beside it names.

    Raises:
        HubError: the configuration does not say.
    """
    if is_module or (folder / "modules.json").is_file():
        # sentence-transformers saves cross-encoders and sparse encoders in this form too, and says so here.
        stated = _module_settings(folder).get("transformer_task")
        return _SYNONYMS.get(str(stated), str(stated)) if stated is not None else "feature-extraction"
    try:
        stated = read_object(folder / "config.json").get("architectures") or ["?"]
    except EmbedError as exc:
        raise HubError(f"{exc}; this file is needed to export") from exc
    if str(stated[0]).endswith("LMHeadModel"):
        return "text-generation"
    for name, task in TASKS.items():
        if str(stated[0]).endswith(task.suffix):
            return name
    raise HubError(f"{folder.name}: its architecture '{stated[0]}' does not say what it is for; pass --task")


def _module_settings(folder: Path) -> Mapping[str, Any]:
    module = folder / "sentence_bert_config.json"
    try:
        return read_object(module) if module.is_file() else {}
    except EmbedError as exc:
        raise HubError(str(exc)) from exc


def _require_whole(folder: Path) -> None:
    """Refuse a model of which the weights and `config.json` are not all: what else changes it would be left out."""
    if (folder / _ADAPTER).is_file():
        raise HubError(
            f"{folder.name}: {_ADAPTER} says that an adapter changes the weights, which an export would leave out; "
            "merge it into them first: PeftModel.from_pretrained(MODEL, FOLDER).merge_and_unload() of the package "
            "peft, save_pretrained, and convert that"
        )
    settings = _module_settings(folder)
    for key in _ARGUMENTS:
        given = settings.get(key)
        for name in given if isinstance(given, dict) else ():
            if name not in _WITHOUT_EFFECT:
                raise HubError(
                    f"{folder.name}: sentence_bert_config.json sets '{name}' by '{key}', which an export does not "
                    "follow; write it into config.json and take it out there, or pass an ONNX file"
                )


def export_onnx(
    folder: Path,
    out: Path,
    *,
    task: str = "auto",
    opset: int = DEFAULT_OPSET,
    attention: str = "eager",
    is_clip: bool = False,
    is_module: bool = False,
) -> dict[str, object]:
    """Export the model in `folder` to `out`, with free batch and sequence.

    Args:
        folder: configuration, weights and, for the input names, the tokenizer's configuration.
        out: the ONNX file; it appears only when it is complete.
        task: one of `TASKS`, or "auto" for the one the model was made for.
        opset: ONNX opset, 14 or newer.
        attention: attention implementation of transformers, "eager" or "sdpa".
        is_clip: whether the model embeds texts by the half of a CLIP that reads them.
        is_module: whether the folder is one that a `modules.json` beside it names.

    Returns:
        How it was made, for the manifest.

    Raises:
        ExportUnavailable: a library is missing, or too old.
        HubError: the task or the opset is unknown, or the model cannot be loaded or exported.
    """
    if is_clip:
        if _SYNONYMS.get(task, task) not in ("auto", "feature-extraction"):
            raise HubError(f"{folder.name}: task '{task}' is none of a CLIP that embeds texts; leave --task out")
        task = "feature-extraction"
    else:
        task = task_of(folder, is_module=is_module) if task == "auto" else _SYNONYMS.get(task, task)
    chosen = _CLIP_TEXTS if is_clip else TASKS.get(task)
    if chosen is None:
        raise HubError(f"task '{task}' is not one that can be exported; one of {', '.join(TASKS)}")
    if opset not in _OPSETS:
        raise HubError(f"opset {opset} cannot be exported; one of {_OPSETS.start} to {_OPSETS.stop - 1}")
    _require_whole(folder)
    in_utf8(folder)
    torch, transformers = _require(folder)
    staging = out.with_name(f".{out.name}.part")
    try:
        with _quiet(transformers):
            model = _load(transformers, torch, folder, chosen, attention)
            _write(torch, model, chosen, _input_names(transformers, folder, model), staging, opset)
    except ImportError as exc:
        # Both load libraries of their own as they need them; onnxscript for one exporter and not for the other.
        first, library = str(exc).strip().partition("\n")[0], (exc.name or "").partition(".")[0]
        advice = f"pip install --upgrade {library}" if library else "install what it names"
        raise ExportUnavailable(f"{folder.name}: exporting at opset {opset} fails: {first}; {advice}") from exc
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError, NotImplementedError) as exc:
        # What torch raises for a model that it cannot trace is not documented; these are what it is made of.
        first = str(exc).strip().partition("\n")[0]
        other = f"--opset {_LAST_SCRIPT_OPSET + 1}" if opset <= _LAST_SCRIPT_OPSET else f"--opset {DEFAULT_OPSET}"
        raise HubError(
            f"{folder.name}: torch cannot export this model at opset {opset} ({type(exc).__name__}: {first}); "
            f"try {other}, which goes through another exporter of torch, or pass an ONNX file"
        ) from exc
    os.replace(staging, out)
    return {
        "exporter": "torch.onnx (script)" if opset <= _LAST_SCRIPT_OPSET else "torch.onnx (export)",
        "torch": str(torch.__version__).partition("+")[0],
        "transformers": str(transformers.__version__),
        "task": task,
        "opset": opset,
    }


def export_tokenizer(folder: Path, out: Path) -> str | None:
    """Write the `tokenizer.json` of the tokenizer that transformers makes of other files.

    Returns:
        Why it makes none; None where it does.
    """
    from google.protobuf.message import DecodeError

    _, transformers = _require(folder)
    try:
        with _quiet(transformers):
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    # What it raises for files that are missing or not understood is not documented; the model has no texts then.
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError, DecodeError) as exc:
        return str(exc).strip().partition("\n")[0] or type(exc).__name__
    backend, kind = getattr(tokenizer, "backend_tokenizer", None), type(tokenizer)
    if backend is None:
        return f"{kind.__name__} cannot be written as one"
    # Without these transformers 5 makes a tokenizer of its special tokens, to which every word is unknown.
    vocabulary = getattr(kind, "vocab_files_names", {}).get("vocab_file")
    if vocabulary is not None and not (folder / vocabulary).is_file():
        return f"{kind.__name__} reads {vocabulary}, which is not there"
    if tokenizer.pad_token is not None:
        # The class may name the token, and no file.
        padding = {"pad_id": tokenizer.pad_token_id, "pad_type_id": tokenizer.pad_token_type_id}
        backend.enable_padding(pad_token=tokenizer.pad_token, direction=tokenizer.padding_side, **padding)
    backend.save(str(out))
    return None


def _require(folder: Path) -> tuple[Any, Any]:
    try:
        import torch
        import transformers
    except ImportError as exc:
        raise ExportUnavailable(
            f"{folder.name}: there is no onnx/model.onnx or model.onnx in it, and exporting needs "
            f"{exc.name or 'torch'}, which is not installed; "
            'pip install "webnn-runtime[export]", or pass an ONNX file'
        ) from exc
    return torch, transformers


def _load(transformers: Any, torch: Any, folder: Path, task: Task, attention: str) -> Any:
    wanted = task.auto_class
    # Before 4.56 `dtype` had another name.
    older = tuple(int(part) for part in transformers.__version__.split(".")[:2]) < (4, 56)
    try:
        if wanted == "AutoModel":
            config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            wanted = _ENCODERS.get(config.model_type, wanted)
        model, found = getattr(transformers, wanted).from_pretrained(
            folder,
            attn_implementation=attention,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            **{"torch_dtype" if older else "dtype": torch.float32},
        )
    except (OSError, ValueError, KeyError, ImportError) as exc:
        first = str(exc).strip().partition("\n")[0]
        raise HubError(
            f"{folder.name}: transformers cannot load it as {wanted}: {first.removesuffix('.')}; pass a folder with "
            "its configuration and weights, or an ONNX file"
        ) from exc
    missing = sorted(name for name in found["missing_keys"] if not name.startswith(_UNUSED_WEIGHTS))
    if missing:
        raise HubError(
            f"{folder.name}: has no weights for '{missing[0]}' and {len(missing) - 1} more, so as {wanted} "
            "it would compute with random ones; pass the --task that it was trained for"
        )
    model.config.return_dict = True
    if hasattr(model.config, "use_cache"):
        model.config.use_cache = False
    return model.eval()


def _input_names(transformers: Any, folder: Path, model: Any) -> list[str]:
    """What the tokenizer gives and the model takes, in the model's order."""
    try:
        given = set(transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True).model_input_names)
    except (OSError, ValueError, KeyError):
        given = {"input_ids", "attention_mask"}
    taken = [name for name in inspect.signature(model.forward).parameters if name in given]
    if "input_ids" not in taken:
        raise HubError(f"{folder.name}: the model takes {taken or 'no token input'}; only text models can be exported")
    return taken


def _write(torch: Any, model: Any, task: Task, names: Sequence[str], out: Path, opset: int) -> None:
    class Outputs(torch.nn.Module):  # type: ignore[misc]  # torch is untyped here
        """The outputs of the task and no others: a pooler nobody asked for would only add weights."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *arguments: Any) -> Any:
            result = self.model(**dict(zip(names, arguments, strict=True)))
            values = tuple(getattr(result, name) for name in task.outputs)
            return values if len(values) > 1 else values[0]

    arguments = tuple(_example(torch, name, model.config) for name in names)
    results = list(task.names or task.outputs)
    common = {"input_names": list(names), "output_names": results, "opset_version": opset}
    module = Outputs().eval()
    with torch.no_grad():
        if opset <= _LAST_SCRIPT_OPSET:
            inputs = {name: dict(enumerate(_AXES)) for name in names}
            axes = dict(enumerate(_AXES if task.per_token else _AXES[:1]))
            outputs = dict.fromkeys(results, axes)
            torch.onnx.export(module, arguments, str(out), dynamic_axes=inputs | outputs, dynamo=False, **common)
        else:
            dims = {axis: torch.export.Dim(name) for axis, name in enumerate(_AXES)}
            # `forward` takes its arguments as one variadic parameter, hence one entry that holds them all.
            shapes = (tuple(dims for _ in names),)
            torch.onnx.export(
                module,
                arguments,
                str(out),
                dynamic_shapes=shapes,
                dynamo=True,
                external_data=False,
                verbose=False,
                **common,
            )


def _example(torch: Any, name: str, config: Any) -> Any:
    shape = (2, _TOKENS)
    if name == "input_ids":
        # Small ids are in every vocabulary; 5 and up are hardly ever special tokens.
        return torch.arange(5, 5 + 2 * _TOKENS).reshape(shape) % config.vocab_size
    if name == "attention_mask":
        mask = torch.ones(shape, dtype=torch.int64)
        mask[1, -_PADDING:] = 0
        return mask
    return torch.zeros(shape, dtype=torch.int64)


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Keep the exporters' running commentary out of the user's terminal: the numeric check is the judge."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "transformers")]
    levels = [logger.level for logger in loggers]
    shows_bars = transformers.utils.logging.is_progress_bar_enabled()
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        if shows_bars:
            transformers.utils.logging.disable_progress_bar()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if shows_bars:
            transformers.utils.logging.enable_progress_bar()

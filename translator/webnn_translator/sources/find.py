"""From what the user named to a `Source`: which file is the model, and which files travel with it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, Final

from webnn_runtime.embed.modules import first_module
from webnn_runtime.embed.unsupported import way_out
from webnn_runtime.format.errors import EmbedError, HubError, HubMisuse
from webnn_runtime.hub import ModelFolder, resolve
from webnn_runtime.hub.files import is_safe_name, select_companions
from webnn_translator.companions import companions_in
from webnn_translator.external import locations_of
from webnn_translator.sources.clip import find_clip
from webnn_translator.sources.export import DEFAULT_OPSET, export_onnx, export_tokenizer
from webnn_translator.sources.made_tokenizer import vocabularies, with_tokenizer
from webnn_translator.sources.model import Source
from webnn_translator.sources.onnx_file import parse_onnx, read_onnx
from webnn_translator.sources.static import WEIGHTS, StaticModel, find_static, write_static

__all__ = ["open_source"]

# Where repositories keep their ONNX file, best first.
_ONNX_FILES: Final = ("onnx/model.onnx", "model.onnx")
_TOKENIZER: Final = "tokenizer.json"
# The vocabularies of tokenizers that only transformers knows how to read.
_VOCABULARIES: Final = ("*.model", "vocab.json")
_TORCH_FILES: Final = (".safetensors", ".safetensors.index.json")
# What the first module of sentence-transformers keeps in a folder of its own.
_INPUT_MODULE: Final = re.compile(r"0_[A-Za-z]+/[^/]+")
_IS_A_BUNDLE: Final = "holds a WebNN bundle already, which needs no conversion; webnn embed and the others take it"


@contextmanager
def open_source(
    model: str,
    *,
    revision: str | None = None,
    task: str | None = None,
    opset: int | None = None,
    local_files_only: bool = False,
) -> Iterator[Source]:
    """Find, fetch or export the model; what was made for it lives as long as the context.

    Args:
        model: an `.onnx` file, a folder, or an id `owner/name`.
        revision: of a repository on the Hub.
        task: what to export; only for a folder or id without an ONNX file.
        opset: ONNX opset to export with; the same.
        local_files_only: never use the network.

    Raises:
        HubError: nothing is there, it cannot be fetched, or it cannot be exported.
        FormatError: the file is no ONNX model.
        EmbedError: the files of a static embedding are malformed.
    """
    with (
        _found(model, revision=revision, task=task, opset=opset, local_files_only=local_files_only) as (source, folder),
        with_tokenizer(source, folder) as whole,
    ):
        yield whole


@contextmanager
def _found(
    model: str, *, revision: str | None, task: str | None, opset: int | None, local_files_only: bool
) -> Iterator[tuple[Source, Path]]:
    """The source and the folder that its companions are in."""
    if model.endswith(".onnx") and not Path(model).expanduser().is_file():
        if Path(model).expanduser().is_dir():
            raise HubError(f"{model}: a folder with the name of a file; pass the .onnx file that is in it")
        raise HubError(f"{model}: there is no such file; pass an ONNX file, a model folder or a Hub id 'owner/name'")
    found = resolve(model, select=_select, revision=revision, local_files_only=local_files_only)
    if found.file is not None:
        _refuse_export_options(task, opset, found.file.name)
        folder = found.file.parent.parent if found.file.parent.name == "onnx" else found.file.parent
        yield _from_file(found.file, folder), folder
        return
    name = _name_of(found)
    static = _static(found.path)
    onnx_file = next((name for name in _ONNX_FILES if (found.path / name).is_file()), None)
    is_bundle = any(found.path.glob("*.webnn"))
    # What others export of one may have other inputs (tokens of all texts in a row), and its weights are all there is.
    if static is not None and ((Path(static.folder) / WEIGHTS).is_file() or not (is_bundle or onnx_file)):
        _refuse_export_options(task, opset, WEIGHTS, "a static embedding")
        with TemporaryDirectory(prefix="webnn-static-") as working:
            out = Path(working) / "model.onnx"
            made = write_static(static, found.path, out)
            whole = _source(found, out, name, file_name="model.onnx", exported=made)
            # Everything is in the graph; the weights of the modules would only lie beside it.
            kept = {each: file for each, file in whole.companions.items() if not each.endswith(".safetensors")}
            yield replace(whole, companions=kept), found.path
        return
    if onnx_file is not None:
        _refuse_export_options(task, opset, onnx_file)
        if found.repo_id is not None:
            _fetch_values(found, found.repo_id, onnx_file, local_files_only=local_files_only)
        yield _source(found, found.path / onnx_file, name, file_name=onnx_file), found.path
        return
    if is_bundle:
        raise HubMisuse(f"{found.source}: {_IS_A_BUNDLE}")
    clip = find_clip(found.path)
    folder = _exported_module(found) if clip is None else clip
    if not (folder / "config.json").is_file():
        raise HubError(
            f"{found.source}: has neither an ONNX file ({' or '.join(_ONNX_FILES)}) nor a config.json to export from"
            f"{_or_pass(_other_files(found.path))}"
        )
    with TemporaryDirectory(prefix="webnn-export-") as working:
        out = Path(working) / "model.onnx"
        chosen = DEFAULT_OPSET if opset is None else opset
        try:
            made = export_onnx(
                folder, out, task=task or "auto", opset=chosen, is_clip=clip is not None, is_module=folder != found.path
            )
        except HubError as exc:
            raise type(exc)(f"{exc}{_or_pass(_other_files(found.path))}") from exc
        source = _source(found, out, name, file_name="model.onnx", exported=made)
        if not any(each.rpartition("/")[2] == _TOKENIZER for each in source.companions):
            written = Path(working) / _TOKENIZER
            reason = export_tokenizer(folder, written)
            if reason is None:
                place = (folder.relative_to(found.path) / _TOKENIZER).as_posix()
                note = f"made {place} by transformers, of what else there is of a tokenizer"
                source = replace(source, companions={**source.companions, place: written}, notes=(note,))
            else:
                source = replace(source, notes=tuple(_no_tokenizer(folder, reason)))
        yield source, found.path


def _no_tokenizer(folder: Path, reason: str) -> Iterator[str]:
    """What to say where files of a tokenizer are there and transformers makes none of them."""
    files = sorted(file.name for pattern in _VOCABULARIES for file in folder.glob(pattern))
    if any(name.endswith(".model") for name in files) and find_spec("sentencepiece") is None:
        reason = "that needs the package sentencepiece, which is not installed; pip install sentencepiece"
    if files:
        yield f"no {_TOKENIZER} could be made of {', '.join(files)}: {reason}; without it the bundle embeds no texts"


def _fetch_values(found: ModelFolder, repo_id: str, onnx_file: str, *, local_files_only: bool) -> None:
    """Fetch the files in which the model keeps values: it alone says which these are, and they may have any name.

    Raises:
        HubError: one is not there, or cannot be fetched.
        FormatError: the model is none.
    """
    file, folder = found.path / onnx_file, PurePosixPath(onnx_file).parent
    stated = {(folder / entry.value).as_posix() for entry in locations_of(parse_onnx(file), file)}
    # A name that leads elsewhere is refused where the values are looked for.
    wanted = sorted(name for name in stated if is_safe_name(name) and not (found.path / name).is_file())

    def choose(names: Collection[str]) -> Sequence[str]:
        if absent := [name for name in wanted if name not in names]:
            raise HubError(
                f"there is no {', '.join(absent)}, where {onnx_file} keeps values; the repository is incomplete, or "
                "its copy in the cache is, which a run with network completes"
            )
        return wanted

    if wanted:
        resolve(repo_id, select=choose, revision=found.revision, local_files_only=local_files_only)


def _exported_module(found: ModelFolder) -> Path:
    """Where configuration and weights are: older models keep them in a folder of the first module.

    Raises:
        HubError: the first module is none that can be exported.
    """
    try:
        first = first_module(found.path)
    except EmbedError:
        # Whoever embeds will say what is wrong with the listing.
        return found.path
    if first is None:
        return found.path
    name, folder = first
    if way := way_out(name):
        raise HubError(f"{found.source}: its first module is {name}, which cannot be exported; {way}")
    return Path(folder)


def _static(folder: Path) -> StaticModel | None:
    try:
        return find_static(folder)
    except EmbedError:
        # A listing of modules that cannot be read is none of a static embedding; who embeds will say what is wrong.
        return None


def _from_file(file: Path, folder: Path) -> Source:
    """A single file; the files of a Hugging Face folder around it travel too."""
    return Source(
        model=read_onnx(file), file=file, name=file.stem, companions=companions_in(folder), file_name=file.name
    )


def _source(
    found: ModelFolder, file: Path, name: str, *, file_name: str, exported: dict[str, object] | None = None
) -> Source:
    return Source(
        model=read_onnx(file),
        file=file,
        name=name,
        companions=companions_in(found.path),
        file_name=file_name,
        repository=found.repo_id,
        revision=found.revision,
        exported=exported,
    )


def _other_files(folder: Path) -> list[str]:
    """ONNX files where models keep theirs, under other names: of several variants nobody knows which is meant."""
    files = [*folder.glob("*.onnx"), *folder.glob("onnx/*.onnx")]
    return [file.relative_to(folder).as_posix() for file in files]


def _or_pass(files: Collection[str], first: str = "") -> str:
    if not files:
        return ""
    shown, more = ", ".join(sorted(files)[:3]), f" and {len(files) - 3} more" if len(files) > 3 else ""
    return f"; it has {shown}{more}: {first}pass the file that is meant"


def _name_of(found: ModelFolder) -> str:
    name = found.repo_id.rpartition("/")[2] if found.repo_id is not None else found.path.resolve().name
    return name or "model"


def _refuse_export_options(task: Any, opset: Any, file: str, kind: str = "an ONNX file already") -> None:
    for flag, value in (("--task", task), ("--opset", opset)):
        if value is not None:
            raise HubMisuse(f"{file}: is {kind}, {flag} only matters for an export; leave {flag} out")


def _select(names: Collection[str]) -> Sequence[str]:
    """What to fetch of a repository at first: the ONNX file, else the torch weights; and the companions."""
    companions = select_companions(names)
    for onnx_file in _ONNX_FILES:
        if onnx_file in names:
            return sorted({onnx_file, *companions, *_static_weights(names), *vocabularies(names)})
    inputs = [name for name in names if "/" not in name or _INPUT_MODULE.fullmatch(name)]
    weights = [name for name in inputs if name.endswith(_TORCH_FILES)]
    if not weights:
        if any(name.endswith(".webnn") and "/" not in name for name in names):
            raise HubMisuse(f"it {_IS_A_BUNDLE}")
        others = [name for name in names if name.endswith(".onnx")]
        raise HubError(
            f"it has neither {' nor '.join(_ONNX_FILES)} nor *.safetensors weights; nothing to convert"
            f"{_or_pass(others, 'download it, and ')}"
        )
    return sorted({*weights, *companions, *_needed_to_export(names), *vocabularies(names)})


def _static_weights(names: Collection[str]) -> list[str]:
    """Weights that a static embedding is made from, as far as names tell: it has modules, and none of them pools."""
    if "modules.json" not in names or any(name.endswith("_Pooling/config.json") for name in names):
        return []
    return [name for name in names if name == WEIGHTS or name.endswith(f"_StaticEmbedding/{WEIGHTS}")]


def _needed_to_export(names: Collection[str]) -> set[str]:
    # transformers reads vocabularies and generation settings besides tokenizer.json.
    suffixes = (".json", ".txt", ".model")
    return {name for name in names if ("/" not in name or _INPUT_MODULE.fullmatch(name)) and name.endswith(suffixes)}

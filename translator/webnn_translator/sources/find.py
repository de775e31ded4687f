"""From what the user named to a `Source`: which file is the model, and which files travel with it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from webnn_runtime.format.errors import HubError, HubMisuse
from webnn_runtime.hub import ModelFolder, resolve
from webnn_runtime.hub.files import select_companions
from webnn_translator.companions import companions_in
from webnn_translator.sources.export import DEFAULT_OPSET, export_onnx
from webnn_translator.sources.model import Source
from webnn_translator.sources.onnx_file import read_onnx

__all__ = ["open_source"]

# Where repositories keep their ONNX file, best first.
_ONNX_FILES: Final = ("onnx/model.onnx", "model.onnx")
_EXTERNAL_DATA: Final = (".onnx_data", ".onnx.data")
_TORCH_FILES: Final = (".safetensors", ".safetensors.index.json")
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
    """Find, fetch or export the model; an exported file lives as long as the context.

    Args:
        model: an `.onnx` file, a folder, or an id `owner/name`.
        revision: of a repository on the Hub.
        task: what to export; only for a folder or id without an ONNX file.
        opset: ONNX opset to export with; the same.
        local_files_only: never use the network.

    Raises:
        HubError: nothing is there, it cannot be fetched, or it cannot be exported.
        FormatError: the file is no ONNX model.
    """
    if model.endswith(".onnx") and not Path(model).expanduser().is_file():
        if Path(model).expanduser().is_dir():
            raise HubError(f"{model}: a folder with the name of a file; pass the .onnx file that is in it")
        raise HubError(f"{model}: there is no such file; pass an ONNX file, a model folder or a Hub id 'owner/name'")
    found = resolve(model, select=_select, revision=revision, local_files_only=local_files_only)
    if found.file is not None:
        _refuse_export_options(task, opset, found.file.name)
        yield _from_file(found.file)
        return
    onnx_file = next((name for name in _ONNX_FILES if (found.path / name).is_file()), None)
    name = _name_of(found)
    if onnx_file is not None:
        _refuse_export_options(task, opset, onnx_file)
        yield _source(found, found.path / onnx_file, name, file_name=onnx_file)
        return
    if any(found.path.glob("*.webnn")):
        raise HubMisuse(f"{found.source}: {_IS_A_BUNDLE}")
    if not (found.path / "config.json").is_file():
        raise HubError(
            f"{found.source}: has neither an ONNX file ({' or '.join(_ONNX_FILES)}) nor a config.json to export from"
        )
    with TemporaryDirectory(prefix="webnn-export-") as working:
        out = Path(working) / "model.onnx"
        made = export_onnx(found.path, out, task=task or "auto", opset=DEFAULT_OPSET if opset is None else opset)
        yield _source(found, out, name, file_name="model.onnx", exported=made)


def _from_file(file: Path) -> Source:
    """A single file; the files of a Hugging Face folder around it travel too."""
    folder = file.parent.parent if file.parent.name == "onnx" else file.parent
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


def _name_of(found: ModelFolder) -> str:
    name = found.repo_id.rpartition("/")[2] if found.repo_id is not None else found.path.resolve().name
    return name or "model"


def _refuse_export_options(task: Any, opset: Any, file: str) -> None:
    for flag, value in (("--task", task), ("--opset", opset)):
        if value is not None:
            raise HubMisuse(f"{file}: is an ONNX file already, {flag} only matters for an export; leave {flag} out")


def _select(names: Collection[str]) -> Sequence[str]:
    """What to fetch of a repository: the ONNX file with its data, else the torch weights; and the companions."""
    companions = select_companions(names)
    for onnx_file in _ONNX_FILES:
        if onnx_file in names:
            stem = onnx_file.removesuffix(".onnx")
            data = [name for name in names if name.startswith(stem) and name.endswith(_EXTERNAL_DATA)]
            return sorted({onnx_file, *data, *companions})
    weights = [name for name in names if "/" not in name and name.endswith(_TORCH_FILES)]
    if not weights:
        if any(name.endswith(".webnn") and "/" not in name for name in names):
            raise HubMisuse(f"it {_IS_A_BUNDLE}")
        raise HubError(f"it has neither {' nor '.join(_ONNX_FILES)} nor *.safetensors weights; nothing to convert")
    return sorted({*weights, *companions, *_needed_to_export(names)})


def _needed_to_export(names: Collection[str]) -> set[str]:
    # transformers reads vocabularies and generation settings besides tokenizer.json.
    suffixes = (".json", ".txt", ".model")
    return {name for name in names if "/" not in name and name.endswith(suffixes)}

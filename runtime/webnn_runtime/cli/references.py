"""What a model is judged against: another bundle, or a model that is converted for the occasion."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from webnn_runtime.format.errors import HubError

__all__ = ["opened_reference"]


@contextmanager
def opened_reference(model: str, note: Callable[[str], None], beside: Path | None = None) -> Iterator[str]:
    """A bundle to compare with: `model` itself where it is or holds one, else its conversion in a temporary folder.

    Args:
        model: a bundle, an ONNX file, a model's folder, or a Hub id.
        note: told what is going on.
        beside: folder whose tokenizer and modules a converted model gets where it has none, as a lone ONNX file.

    Raises:
        HubError: the model cannot be found or fetched.
        FileNotFoundError: a path that is not there.
        TranslateError: it cannot be converted.
    """
    if _is_bundle(model):
        yield model
        return
    from webnn_translator.bundling import ConvertOptions, convert_model

    with tempfile.TemporaryDirectory(prefix="webnn-reference-") as folder:
        target = Path(folder) / "reference"
        note(f"{model} holds no WebNN graph; converting it")
        convert_model(model, target, ConvertOptions(is_verified=False), note=note)
        if beside is not None and not (target / "tokenizer.json").is_file():
            _lend_files(beside, target)
        yield str(target)


def _lend_files(folder: Path, target: Path) -> None:
    from webnn_translator.companions import companions_in

    for name, path in companions_in(folder).items():
        if not (target / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / name)


def _is_bundle(model: str) -> bool:
    path = Path(model)
    if path.is_dir():
        return any(path.glob("*.webnn")) or (path / "model.json").is_file()
    if path.exists():
        return path.suffix.lower() != ".onnx"
    if path.is_absolute() or model.startswith("."):
        raise FileNotFoundError(f"{model}: there is no such file or folder; pass a bundle, a model or a Hub id")
    from webnn_runtime.hub import resolve

    try:
        resolve(model)
    except HubError as exc:
        # A repository without a WebNN graph is converted; one that is not there fails the same way again.
        if "no WebNN graph" not in str(exc):
            raise
        return False
    return True

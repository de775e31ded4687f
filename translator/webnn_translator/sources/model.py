"""What a source is once it is found: a complete ONNX model, where it came from, and what travels with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from webnn_runtime.format.file_hashes import file_sha256
from webnn_translator.containment import contained_file

__all__ = ["Source"]


@dataclass(frozen=True)
class Source:
    """A model ready to be translated.

    Attributes:
        model: the `onnx.ModelProto`; large values are in `file`, or in files beside it.
        file: the ONNX file it was read from; an exported one disappears with its working folder.
        name: what to call the model: the stem of the file, or the last part of the folder or the id.
        companions: tokenizer, pipeline and configuration files: name in the bundle -> file.
        repository: id on the Hub, when it came from there.
        revision: commit of the repository.
        file_name: name of the ONNX file as recorded: a plain name or a path inside its repository.
        exported: how the file was made, when it was exported from a torch model.
        notes: what the user should know of how its files were read.
    """

    model: Any
    file: Path
    name: str
    companions: Mapping[str, Path]
    file_name: str
    repository: str | None = None
    revision: str | None = None
    exported: Mapping[str, object] | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the ONNX file."""
        return file_sha256(self.file)

    @cached_property
    def external(self) -> dict[str, str]:
        """Files beside the model that hold values of it: location -> SHA-256."""
        locations = {
            entry.value
            for tensor in self.model.graph.initializer
            for entry in tensor.external_data
            if entry.key == "location" and entry.value != self.file.name
        }
        folder, what = self.file.parent, "external data"
        return {
            location: file_sha256(contained_file(folder, location, what=what, path=str(self.file)))
            for location in sorted(locations)
        }

    def record(self) -> dict[str, object]:
        """The `source` entry of a manifest: names and hashes, never a path of this machine."""
        entry: dict[str, object] = {"file": self.file_name, "sha256": self.sha256}
        if self.external:
            entry["externalData"] = self.external
        if self.repository is not None:
            entry |= {"repository": self.repository, "revision": self.revision}
        if self.exported is not None:
            entry["exported"] = dict(self.exported)
        return entry

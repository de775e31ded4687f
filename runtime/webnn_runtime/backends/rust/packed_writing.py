"""Writes the packed weights of a bundle beside it, for processes that share them."""

from __future__ import annotations

import os
from collections.abc import Callable
from glob import escape, glob
from hashlib import sha256
from pathlib import Path

import numpy as np

from webnn_runtime.backends.rust._backend import BACKEND, RustExecutable
from webnn_runtime.backends.rust._packed_file import facts, head_of, read_packed
from webnn_runtime.format.bundle import Bundle
from webnn_runtime.format.companions import packed_path
from webnn_runtime.format.errors import UnsupportedByBackend, WeightsError, WriteError
from webnn_runtime.format.records import dataclass
from webnn_runtime.format.staged_file import staged_file
from webnn_runtime.format.weights import map_file

__all__ = ["WrittenPacked", "verify_packed", "write_packed"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class WrittenPacked:
    """A file of packed weights.

    Attributes:
        path: the file.
        isa: the instruction set it is for.
        size: its bytes.
        in_file: layers whose weights are in it.
        in_memory: layers that each process still packs for itself, as their weights are computed from others.
    """

    path: str
    isa: str
    size: int
    in_file: int
    in_memory: int


def write_packed(bundle: Bundle, compute: str = "exact", progress: Progress | None = None) -> WrittenPacked:
    """Pack the weights of a bundle's layers as the engine would, and write them beside it; replaces an older file.

    Args:
        bundle: as it lies where it is going to be used: a copy of it has weights of another time.
        compute: the arithmetic it is going to be used with.
        progress: told how many matrices are written, of how many, and what is next.

    Raises:
        UnsupportedByBackend: there is nothing in it to pack.
        WeightsError: the weights are not those of the manifest, or are being written.
        WriteError: the file cannot be written.
        BackendUnavailable: the native package is not installed.
    """
    BACKEND.require()
    import webnn_kernels

    if bundle.weights is None or bundle.weights_file is None:
        raise UnsupportedByBackend(
            f"{bundle.graph_file}: has no weights file; only what lies in one is packed", backend=BACKEND.name
        )
    isa = webnn_kernels.isa
    stated = facts(bundle, isa)
    bundle.weights.verify()
    native = webnn_kernels.PackedFile(np.frombuffer(bundle.weights.data, np.uint8))
    executable = RustExecutable(bundle.graph, webnn_kernels.Engine(None, isa, native), None, compute)
    executable.texts()
    found = native.matrices()
    # Two plans that pack the same make one matrix of it.
    numbers = list({(rows, tuple(columns)): number for number, (rows, columns) in enumerate(found)}.values())
    if not numbers:
        raise UnsupportedByBackend(
            f"{bundle.graph_file}: has no linear layer of float32 weights; others are packed by each process",
            backend=BACKEND.name,
        )
    contents = ((number, native.packed(number)) for number in numbers)
    rows = [(found[number], len(content), sha256(content).hexdigest()) for number, content in contents]
    head, places, size = head_of(stated, rows)
    path = packed_path(bundle.weights_file, isa)
    try:
        with staged_file(Path(path)) as staged:
            with staged.open("xb") as file:
                file.write(head)
                for done, (number, place) in enumerate(zip(numbers, places, strict=True)):
                    if progress is not None:
                        progress(done, len(numbers), f"matrix {done + 1}")
                    file.write(bytes(place - file.tell()))
                    file.write(native.packed(number))
                file.flush()
                os.fsync(file.fileno())
            if facts(bundle, isa) != stated:
                raise WeightsError(
                    "the weights are being written by somebody else; pack them afterwards", path=bundle.weights_file
                )
    except OSError as exc:
        raise WriteError(f"cannot be written: {exc.strerror or exc}; choose another place", path=path) from exc
    return WrittenPacked(path, isa, size, len(numbers), native.counts[1] - len(found))


def verify_packed(bundle: Bundle) -> tuple[str, ...]:
    """Compare every byte of the files of packed weights beside a bundle with its hash; returns their names.

    Whether they are those of the bundle's weights, and this engine's, is looked at when one is used.

    Raises:
        WeightsError: a file that is damaged, or is none.
    """
    if bundle.weights_file is None:
        return ()
    found = sorted(glob(escape(packed_path(bundle.weights_file, "")) + "*"))
    for path in found:
        try:
            read_packed(map_file(path), path, verify=True)
        except WeightsError as exc:
            raise WeightsError(f"{exc.reason}; `webnn pack` makes a new one", path=path) from exc
    return tuple(map(os.path.basename, found))

"""Files that are not what their name says, told by how they begin: an error can then say what to do.

Asked only when a file has already been refused. Nothing is decided by it.
"""

from __future__ import annotations

import os
from typing import Final

__all__ = ["stranger"]

# In small letters: what a clone without Git LFS leaves, what saving a page of the Hub leaves, what others write.
_BEGINNINGS: Final = (
    (b"version https://git-lfs", "a pointer of Git LFS in place of the file; fetch it with: git lfs pull"),
    (b"<!doctype html", "a web page in place of the file; on the Hub, download from /resolve/ instead of /blob/"),
    (b"<html", "a web page in place of the file; on the Hub, download from /resolve/ instead of /blob/"),
    (b"webnn_graph", "a WebNN graph already, not a model to convert; webnn inspect shows it"),
    (b"wgwt", "the weights of a bundle; pass the bundle's folder"),
    (b"pk\x03\x04", "a zip archive, as torch.save writes; unpack it, or export the model with torch.onnx"),
    (b"\x1f\x8b", "compressed by gzip; unpack it first"),
    (b"\x89hdf\r\n", "an HDF5 file, as Keras writes; export the model to ONNX, for example with tf2onnx"),
)
_LONGEST: Final = 64


def stranger(path: str | os.PathLike[str], expected: bytes) -> str | None:
    """What a file is instead, and what would help, as `what; remedy`; None where it begins like nothing known.

    Args:
        path: the file that was refused.
        expected: how it should begin; a file that does is merely damaged.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(_LONGEST)
    except OSError:
        return None
    lowered = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if expected and lowered.startswith(expected.lower()):
        return None
    if not head:
        return "an empty file; download or export it again"
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model; convert it to ONNX first, for example with tf2onnx"
    # The length of a JSON header, and the header.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32:
        return "a safetensors file, which holds weights and no graph; pass the model's folder"
    return next((what for beginning, what in _BEGINNINGS if lowered.startswith(beginning)), None)

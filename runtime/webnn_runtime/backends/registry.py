"""Backends by name; nothing is imported before it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from webnn_runtime.backends.base import Backend, CompileOptions, Executable
from webnn_runtime.format.errors import BackendUnavailable, UnsupportedByBackend
from webnn_runtime.format.graph import Graph

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

__all__ = ["available_backends", "backend_names", "compile_graph", "get_backend"]

# Fastest first: the order in which "auto" looks.
_BUILTIN: Final = {
    "rust": "webnn_runtime.backends.rust",
    "onnxruntime": "webnn_runtime.backends.onnxruntime",
    "numpy": "webnn_runtime.backends.numpy",
}
_GROUP: Final = "webnn_runtime.backends"


def backend_names() -> tuple[str, ...]:
    """All names `get_backend` knows, whether their libraries are installed or not."""
    return (*_BUILTIN, *sorted(point.name for point in _third_parties() if point.name not in _BUILTIN))


def get_backend(name: str) -> Backend:
    """The backend called `name`.

    Raises:
        BackendUnavailable: no such backend, or the library behind it is not installed.

    Example:
        >>> from webnn_runtime.backends import get_backend
        >>> get_backend("numpy").name
        'numpy'
    """
    backend = _find(name)
    backend.require()
    return backend


def available_backends() -> tuple[str, ...]:
    """Names of the backends that can be used here.

    Example:
        >>> from webnn_runtime.backends import available_backends
        >>> "numpy" in available_backends()
        True
    """
    found = []
    for name in backend_names():
        try:
            if _usable(name):
                found.append(name)
        except UnsupportedByBackend:
            continue
    return tuple(found)


def compile_graph(graph: Graph, backend: str = "auto", options: CompileOptions | None = None) -> Executable:
    """Compile with one backend, or with the best one that can run the graph.

    "auto" takes rust when every step of its plan is native and the device is the CPU, else onnxruntime, else numpy.

    Raises:
        BackendError: the backend is unavailable or states a gap.

    Example:
        >>> import numpy as np
        >>> from webnn_runtime.backends import compile_graph
        >>> from webnn_runtime.format.text import parse_graph
        >>> graph = parse_graph('webnn_graph "g" v1 { inputs { x: f32[2]; } nodes { y = relu(x); } outputs { y; } }')
        >>> compile_graph(graph, "numpy").run({"x": np.array([-1, 1], np.float32)})["y"].tolist()
        [0.0, 1.0]
    """
    if backend != "auto":
        return get_backend(backend).compile(graph, options)
    refusals: list[UnsupportedByBackend] = []
    # The native engine has the CPU and no other device.
    if _usable("rust") and (options is None or options.device == "cpu"):
        try:
            executable = get_backend("rust").compile(graph, options)
        except UnsupportedByBackend as exc:
            if options is not None and options.compute == "int8":
                # No other backend has this arithmetic; why this one refuses is the answer.
                raise
            refusals.append(exc)
        else:
            if executable.all_native or (options is not None and options.compute == "int8"):
                return executable
    if _usable("onnxruntime"):
        try:
            return get_backend("onnxruntime").compile(graph, options)
        except UnsupportedByBackend as exc:
            refusals.append(exc)
    try:
        return get_backend("numpy").compile(graph, options)
    except UnsupportedByBackend as exc:
        # Where nobody can, the best backend's reason is the one that helps.
        raise (refusals or [exc])[0] from None


def _find(name: str) -> Backend:
    if name in list(_BUILTIN):  # a list compares what has no hash, too
        backend: Backend = import_module(_BUILTIN[name]).BACKEND
        return backend
    for point in _third_parties():
        if point.name == name:
            found: Backend = point.load()()
            return found
    raise BackendUnavailable(f"there is no such backend; one of {', '.join(('auto', *backend_names()))}", backend=name)


def _third_parties() -> EntryPoints:
    # What reads packages' metadata brings mail and zip archives along: a fifth of all that an embedder would import.
    from importlib.metadata import entry_points

    return entry_points(group=_GROUP)


def _usable(name: str) -> bool:
    try:
        _find(name).require()
    except BackendUnavailable:
        return False
    return True

"""The one place that touches onnxruntime: options, providers, the session, and its errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, TypeVar

from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.backends.onnxruntime.model import OnnxModel
from webnn_runtime.backends.onnxruntime.threads import usable_cpus
from webnn_runtime.format.errors import BackendUnavailable, ExecutionError, OptionError, UnsupportedByBackend

__all__ = ["NAME", "library", "library_errors", "open_session", "threads_of"]

NAME: Final = "onnxruntime"
_CPU: Final = "CPUExecutionProvider"
# Fastest first. A provider that compiles engines for minutes (TensorRT) is used only when asked for by name.
_DEVICE_PROVIDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "gpu": (
        "CUDAExecutionProvider",
        "ROCMExecutionProvider",
        "MIGraphXExecutionProvider",
        "DmlExecutionProvider",
        "CoreMLExecutionProvider",
        "WebGpuExecutionProvider",
    ),
    "npu": ("QNNExecutionProvider", "VitisAIExecutionProvider"),
}
# Attributes of SessionOptions that are enumerations, by the names users write.
_ENUMERATIONS: Final = {
    "graph_optimization_level": (
        "GraphOptimizationLevel",
        {
            "disable": "ORT_DISABLE_ALL",
            "basic": "ORT_ENABLE_BASIC",
            "extended": "ORT_ENABLE_EXTENDED",
            "all": "ORT_ENABLE_ALL",
        },
    ),
    "execution_mode": ("ExecutionMode", {"sequential": "ORT_SEQUENTIAL", "parallel": "ORT_PARALLEL"}),
}
_QUIET: Final = 3  # errors only: warnings about fusions are no concern of who runs a model

# Threads wait actively for this long between steps. Two threads on two cores, a sentence encoder, 8 tokens: 2.4 ms,
# as with onnxruntime's own endless wait, and 3.5 ms with none; but when other processes want the cores, 4.3 ms
# where the endless wait takes 10.8.
_SHORT_WAIT: Final = {"session.intra_op.spin_duration_us": "20"}
# A product with dequantised weights would otherwise be fused into one that also quantises the activations, which
# nobody asked for: 2% of the largest output on an int8 sentence encoder. Unfolded at load, such weights are as
# exact and as fast as float32 ones. Nor are the integer kernels exact where a graph quantises its activations: that of
# softmax makes 0 of a row of one element, and products of unsigned and signed bytes saturate on some processors.
_AS_WRITTEN: Final = {"session.disable_quant_qdq": "1"}

_T = TypeVar("_T")


def library() -> Any:
    """The onnxruntime module.

    Raises:
        BackendUnavailable: it is not installed, or does not load.
    """
    try:
        return import_module("onnxruntime")
    except ImportError as exc:
        raise BackendUnavailable(
            f"onnxruntime cannot be imported ({exc}); pip install onnxruntime", backend=NAME
        ) from exc


def library_errors(ort: Any) -> tuple[type[Exception], ...]:
    """Every exception class that onnxruntime's native module raises."""
    state = ort.capi.onnxruntime_pybind11_state
    own = (getattr(state, name) for name in dir(state))
    found = tuple(item for item in own if isinstance(item, type) and issubclass(item, Exception))
    # Errors that no status code stands for cross as RuntimeError or ValueError.
    return (*found, RuntimeError, ValueError)


def threads_of(options: CompileOptions) -> int:
    """Threads the session gets."""
    return usable_cpus() if options.threads is None else int(options.threads)


def open_session(model: OnnxModel, options: CompileOptions) -> tuple[Any, tuple[object, ...]]:
    """A session for a model, and what must live as long as it does.

    Raises:
        BackendUnavailable: the device has no provider here, or its provider does not start.
        UnsupportedByBackend: an entry of `session_options` that onnxruntime does not have.
        OptionError: an entry with a value that it does not take.
        ExecutionError: onnxruntime refuses the model.
    """
    ort = library()
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads_of(options)
    settings.inter_op_num_threads = 1
    settings.log_severity_level = _QUIET
    for key, value in (_SHORT_WAIT | _AS_WRITTEN).items():
        settings.add_session_config_entry(key, value)
    requested = dict(options.session_options)
    providers = requested.pop("providers", None) or _providers(ort, options.device)
    wanted = [provider if isinstance(provider, str) else provider[0] for provider in providers]
    _demand(wanted, ort.get_available_providers(), "is not in the installed onnxruntime, which has")
    _apply(ort, settings, requested)
    values = {name: ort.OrtValue.ortvalue_from_numpy(_plain(array)) for name, array in model.weights.items()}
    if values:
        settings.add_external_initializers(list(values), list(values.values()))
    for name in model.tables:
        # So far the optimiser reads the array, but the session copies it; this way it reads the array as well. What the
        # optimiser may replace under its old name must not be given twice: a table of embeddings never is.
        settings.add_initializer(name, values[name])
    # On the CPU the fused skip connection is slower than its parts: a sentence encoder of six layers takes 15.3 ms
    # without and 17.3 ms with it (64 tokens, one thread, onnxruntime 1.31).
    avoided = ["SkipLayerNormFusion"] if wanted == [_CPU] else []
    if wanted == [_CPU] and model.multiplies_half:
        # A product of float16 whose batch was moved becomes one that moves it itself; where the other factor is a
        # constant, onnxruntime 1.32 then ends the process while it widens that.
        avoided.append("MatmulTransposeFusion")
    session = _guard(
        ort,
        lambda: ort.InferenceSession(model.data, settings, providers=providers, disabled_optimizers=avoided),
    )
    # onnxruntime goes on without a provider that does not start; that would be a silent fall-back.
    _demand(wanted, session.get_providers(), "did not start; onnxruntime runs with")
    return session, (values, dict(model.weights))


def _demand(wanted: Sequence[str], found: Sequence[str], complaint: str) -> None:
    missing = [provider for provider in wanted if provider not in found]
    if missing:
        raise BackendUnavailable(f"{', '.join(missing)} {complaint} {', '.join(found)}", backend=NAME)


def _plain(array: Any) -> Any:
    import numpy as np

    return np.require(array, requirements=["C", "A"])


def _guard(ort: Any, call: Callable[[], _T]) -> _T:
    try:
        return call()
    except library_errors(ort) as exc:
        raise ExecutionError(f"onnxruntime refuses the model: {exc}", backend=NAME) from exc


def _providers(ort: Any, device: str) -> list[Any]:
    if device == "cpu":
        return [_CPU]
    known = _DEVICE_PROVIDERS.get(device)
    if known is None:
        raise BackendUnavailable(
            f"there is no device '{device}'; one of cpu, {', '.join(_DEVICE_PROVIDERS)}", backend=NAME
        )
    available = ort.get_available_providers()
    usable = [provider for provider in known if provider in available]
    if not usable:
        raise BackendUnavailable(
            f"the installed onnxruntime has no provider for device '{device}', only {', '.join(available)}; "
            "install a build that has one (pip install onnxruntime-gpu)",
            backend=NAME,
        )
    return [usable[0], _CPU]


def _apply(ort: Any, settings: Any, requested: Mapping[str, Any]) -> None:
    """Set attributes of SessionOptions by name; a key with a dot is a configuration entry of the session."""
    for key, value in requested.items():
        if "." in key:
            settings.add_session_config_entry(key, _entry(value))
        elif key in _ENUMERATIONS:
            type_name, words = _ENUMERATIONS[key]
            if value not in words:
                raise OptionError(f"session option '{key}' is {value!r}; one of {', '.join(words)}")
            setattr(settings, key, getattr(getattr(ort, type_name), words[value]))
        elif not key.startswith("_") and not callable(getattr(settings, key, print)):
            try:
                setattr(settings, key, value)
            except TypeError as exc:
                raise OptionError(f"session option '{key}': {value!r} is not of its type") from exc
        else:
            raise UnsupportedByBackend(
                f"there is no session option '{key}'; see onnxruntime.SessionOptions", backend=NAME
            )


def _entry(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)

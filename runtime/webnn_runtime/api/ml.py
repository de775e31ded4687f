"""ML: the entry point, which makes contexts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from webnn_runtime.api.context import MLContext
from webnn_runtime.api.errors import MLTypeError
from webnn_runtime.format.counts import is_flag

__all__ = ["ML"]

_POWER: Final = ("default", "high-performance", "low-power")
_DEVICES: Final = ("cpu", "gpu", "npu")


class ML:
    """The entry point, `navigator.ml` of a browser.

    Example:
        >>> from webnn_runtime import ML
        >>> ML().create_context(backend="onnxruntime", threads=1)
        MLContext(backend='onnxruntime', device='cpu')
    """

    def create_context(
        self,
        options: Mapping[str, Any] | None = None,
        *,
        power_preference: str = "default",
        accelerated: bool = True,
        backend: str = "auto",
        device_type: str = "cpu",
        threads: int | None = None,
    ) -> MLContext:
        """A context on one backend of this machine.

        Options are keywords, or the specification's dictionary, which wins. `power_preference` and `accelerated` are
        hints, as in the specification; `backend`, `device_type` and `threads` are ours and binding: what they name is
        used, or an error says why not.

        Raises:
            MLTypeError: a value that does not exist.
            NotSupportedError: the backend is not installed.
        """
        if options is not None:
            if not hasattr(options, "items"):
                raise MLTypeError(f"create_context: options are {options!r}; give a dict, or keywords")
            known = {"powerPreference": "power_preference"}
            given = {known.get(key, key): value for key, value in options.items()}
            asked = {
                "power_preference": power_preference,
                "accelerated": accelerated,
                "backend": backend,
                "device_type": device_type,
                "threads": threads,
            }
            if unknown := [key for key in given if key not in asked]:
                raise MLTypeError(f"create_context: there is no option {unknown[0]!r}; there are {', '.join(asked)}")
            return self.create_context(**{**asked, **given})
        if power_preference not in _POWER:
            raise MLTypeError(f"power_preference {power_preference!r} is not one of {', '.join(_POWER)}")
        if device_type not in _DEVICES:
            raise MLTypeError(f"device_type {device_type!r} is not one of {', '.join(_DEVICES)}")
        if not is_flag(accelerated):
            raise MLTypeError(f"accelerated is {accelerated!r}; expected True or False")
        return MLContext(power_preference, bool(accelerated), backend, device_type, threads)

    createContext = create_context  # the specification's spelling

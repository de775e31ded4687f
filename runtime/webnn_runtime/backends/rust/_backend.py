"""The backend itself: compiles a graph to a plan and runs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from webnn_runtime.backends.base import Backend, CompileOptions, Executable, Unsupported
from webnn_runtime.backends.rust._plan import plan
from webnn_runtime.backends.rust._steps import ViewStep
from webnn_runtime.format.errors import BackendUnavailable, ExecutionError, UnsupportedByBackend
from webnn_runtime.format.graph import Array, Graph
from webnn_runtime.passes.fold import fold_constants

if TYPE_CHECKING:
    from webnn_kernels import Engine

__all__ = ["BACKEND", "UNSUPPORTED", "RustBackend"]

_NAME: Final = "rust"

# What the engine has no kernel for runs on the reference kernels, which have no gaps.
UNSUPPORTED: Final[Unsupported] = {}


class RustExecutable(Executable):
    """A plan, its constants and the engine with its threads."""

    def __init__(self, graph: Graph, engine: Engine) -> None:
        super().__init__(graph)
        folded = fold_constants(graph)
        self._engine = engine
        self._plan = plan(folded, engine)
        read = {value for step, _ in self._plan for value in step.reads} | set(folded.outputs.values())
        # Weights live packed in their steps; the arrays they came from are not kept.
        self._constants = {name: constant.values for name, constant in folded.constants.items() if name in read}
        self._results = folded.outputs

    def execute(self, inputs: Mapping[str, Array], bindings: Mapping[str, int]) -> dict[str, Array]:
        values = dict(self._constants)
        for name, array in inputs.items():
            # The engine reads without the GIL: what it reads must not be the caller's to write meanwhile.
            values[name] = array.copy() if array.dtype == np.float32 else array
        shared = {id(array) for array in values.values()}
        for step, dead in self._plan:
            try:
                made = step.run([values[name] for name in step.reads], bindings)
            except ValueError as exc:
                if not step.is_native:
                    raise
                raise ExecutionError(f"step '{step.makes[0]}' ({step.label}): {exc}", backend=_NAME) from exc
            values.update(zip(step.makes, made, strict=True))
            for name in dead:
                values.pop(name, None)
        return _owned({output: values[value] for output, value in self._results.items()}, shared)

    def describe(self) -> dict[str, object]:
        import webnn_kernels

        native = Counter(step.label for step, _ in self._plan if step.is_native and not isinstance(step, ViewStep))
        reference = self.on_reference()
        return {
            "backend": _NAME,
            "device": "cpu",
            "isa": self._engine.isa,
            "threads": self._engine.threads,
            "fused": dict(sorted(native.items())),
            "on_reference": dict(sorted(reference.items())),
            "all_native": not reference,
            "webnn_kernels": webnn_kernels.__version__,
            "build_profile": webnn_kernels.build_profile,
        }

    def on_reference(self) -> Counter[str]:
        """Operators that run on the reference kernels, and how many steps each has."""
        return Counter(step.label for step, _ in self._plan if not step.is_native)


class RustBackend(Backend):
    """The native engine behind the backend interface."""

    name = _NAME
    unsupported = UNSUPPORTED

    def require(self) -> None:
        """Return if `webnn_kernels` can be imported.

        Raises:
            BackendUnavailable: it is not installed, or cannot be loaded here.
        """
        try:
            import webnn_kernels
        except ImportError as exc:
            raise BackendUnavailable(
                f"the native package cannot be imported ({exc}); install it with: pip install ./rust", backend=_NAME
            ) from exc
        except RuntimeError as exc:
            # The environment asks for an instruction set that this CPU lacks.
            raise BackendUnavailable(str(exc), backend=_NAME) from exc
        del webnn_kernels

    def compile(self, graph: Graph, options: CompileOptions | None = None) -> Executable:
        """Prepare a graph. The one session option is `isa`, which forces an instruction set.

        Raises:
            BackendUnavailable: the native package or the device is not there.
            UnsupportedByBackend: unknown session options, or with `strict` an operator without a native kernel.
        """
        self.require()
        chosen = options or CompileOptions()
        if chosen.device != "cpu":
            raise BackendUnavailable(f"there is no device '{chosen.device}'; only 'cpu'", backend=_NAME)
        unknown = chosen.session_options.keys() - {"isa"}
        if unknown:
            names = ", ".join(sorted(unknown))
            raise UnsupportedByBackend(f"there is no session option {names}; only isa", backend=_NAME)
        from webnn_kernels import Engine

        try:
            engine = Engine(chosen.threads, chosen.session_options.get("isa"))
        except (ValueError, OverflowError, TypeError) as exc:
            raise UnsupportedByBackend(f"the engine cannot start: {exc}", backend=_NAME) from exc
        executable = RustExecutable(graph, engine)
        reference = executable.on_reference()
        if chosen.strict and reference:
            names = ", ".join(f"{op} ({count})" for op, count in sorted(reference.items()))
            raise UnsupportedByBackend(
                f"no native kernel for {names}; compile without strict to run these on the reference kernels",
                backend=_NAME,
            )
        return executable


def _owned(results: dict[str, Array], shared: set[int]) -> dict[str, Array]:
    """The results in arrays of their own: steps return views, and `identity` returns its operand."""
    for output, array in results.items():
        fresh = array.base is None and array.flags.writeable and array.flags.c_contiguous
        if not fresh or id(array) in shared:
            results[output] = np.array(array, order="C", copy=True)
        shared.add(id(array))
    return results


BACKEND: Final = RustBackend()

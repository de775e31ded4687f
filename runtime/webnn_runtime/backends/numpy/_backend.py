"""Runs a graph node by node on the reference kernels, dropping each value after its last use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from webnn_runtime.backends.base import (
    Backend,
    CompileOptions,
    Executable,
    Unsupported,
    own_results,
    refuse_impossible,
    refuse_max_memory,
)
from webnn_runtime.format.errors import BackendUnavailable, ExecutionError, UnsupportedByBackend
from webnn_runtime.format.graph import Array, Graph, Node
from webnn_runtime.reference import evaluate

__all__ = ["BACKEND", "UNSUPPORTED", "NumpyBackend"]

# The reference has no gaps.
UNSUPPORTED: Final[Unsupported] = {}


class NumpyExecutable(Executable):
    """A graph and, for each node, the values that nothing after it reads."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self._constants = {name: constant.values for name, constant in graph.constants.items()}
        self._plan = _last_uses(graph)

    def execute(self, inputs: Mapping[str, Array], bindings: Mapping[str, int]) -> dict[str, Array]:
        try:
            return self._execute(inputs, bindings)
        except MemoryError as exc:
            raise ExecutionError(str(exc) or "not enough memory", backend=BACKEND.name) from exc

    def _execute(self, inputs: Mapping[str, Array], bindings: Mapping[str, int]) -> dict[str, Array]:
        values: dict[str, Array] = {**self._constants, **inputs}
        for node, dead in self._plan:
            operands = [None if name is None else values[name] for name in node.inputs]
            results = evaluate(node, operands, bindings, [self.graph.types[name] for name in node.outputs])
            # The list would keep the operands alive while the next node runs.
            del operands
            values.update(zip(node.outputs, results, strict=True))
            for name in dead:
                del values[name]
        shared = {id(array) for array in (*self._constants.values(), *inputs.values())}
        return own_results({output: values[value] for output, value in self.graph.outputs.items()}, shared)

    def describe(self) -> dict[str, object]:
        return {
            "backend": "numpy",
            "device": "cpu",
            "threads": "as many as NumPy's BLAS takes for matrix products, else 1",
            "compute": "exact",
            "all_native": True,
            "numpy": np.__version__,
        }


class NumpyBackend(Backend):
    """The reference kernels behind the backend interface."""

    name = "numpy"
    unsupported = UNSUPPORTED

    def require(self) -> None:
        """NumPy is a dependency of the package itself."""

    def compile(self, graph: Graph, options: CompileOptions | None = None) -> Executable:
        """Prepare a graph.

        `threads` has no effect, which `describe()` says: NumPy's BLAS takes its number from the environment.

        Raises:
            BackendUnavailable: another device than the CPU.
            UnsupportedByBackend: session options; there is no library to pass them to.
        """
        chosen = options or CompileOptions()
        refuse_impossible(self, chosen)
        if chosen.device != "cpu":
            raise BackendUnavailable(f"there is no device '{chosen.device}'; only 'cpu'", backend=self.name)
        refuse_max_memory(self, chosen)
        if chosen.session_options:
            names = ", ".join(sorted(chosen.session_options))
            raise UnsupportedByBackend(f"takes no session options, but got {names}; leave them out", backend=self.name)
        return NumpyExecutable(graph)


def _last_uses(graph: Graph) -> tuple[tuple[Node, tuple[str, ...]], ...]:
    """Each node with the names to forget once it has run."""
    needed = set(graph.outputs.values())
    plan: list[tuple[Node, tuple[str, ...]]] = []
    for node in reversed(graph.nodes):
        mentioned = {name for name in (*node.inputs, *node.outputs) if name is not None}
        plan.append((node, tuple(sorted(mentioned - needed))))
        needed |= mentioned
    return tuple(reversed(plan))


BACKEND: Final = NumpyBackend()

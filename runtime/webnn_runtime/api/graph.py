"""MLGraph: a built graph, ready to run on its context."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from webnn_runtime.api.errors import InvalidStateError, MLTypeError, OperationError
from webnn_runtime.api.kept import Kept
from webnn_runtime.format.binding import bind_shapes, concrete_shape
from webnn_runtime.format.errors import ExecutionError, GraphError
from webnn_runtime.format.graph import Array, Graph, TensorType

if TYPE_CHECKING:
    from webnn_runtime.api.context import MLContext
    from webnn_runtime.backends.base import Executable

__all__ = ["MLGraph"]


class MLGraph(Kept):
    """A graph compiled for one context (WebNN section "The MLGraph interface").

    Names, types, `save` and `load` are extensions.

    Example:
        >>> from webnn_runtime import ML, MLGraphBuilder
        >>> context = ML().create_context()
        >>> builder = MLGraphBuilder(context)
        >>> x = builder.input("x", [2, 3], "float32")
        >>> graph = builder.build({"y": builder.relu(x)})
        >>> {name: kind.shape for name, kind in graph.outputs.items()}
        {'y': (2, 3)}
    """

    def __init__(self, context: MLContext, graph: Graph, executable: Executable) -> None:
        self._context = context
        self._graph = graph
        self._executable: Executable | None = executable

    def __repr__(self) -> str:
        sides = [", ".join(f"{name}: {kind}" for name, kind in side.items()) for side in (self.inputs, self.outputs)]
        return f"MLGraph({sides[0]} -> {sides[1]})"

    @property
    def context(self) -> MLContext:
        """The context the graph was built for."""
        return self._context

    @property
    def inputs(self) -> Mapping[str, TensorType]:
        """Input name -> type, in declared order."""
        return self._graph.inputs

    @property
    def outputs(self) -> Mapping[str, TensorType]:
        """Output name -> type, in declared order."""
        return self._graph.output_types

    def get_input_names(self) -> list[str]:
        """Input names in declared order."""
        return list(self._graph.inputs)

    def get_output_names(self) -> list[str]:
        """Output names in declared order."""
        return list(self._graph.outputs)

    def describe(self) -> dict[str, object]:
        """What runs where, from the backend.

        Raises:
            InvalidStateError: the graph is destroyed.
        """
        return self.require_alive().describe()

    def destroy(self) -> None:
        """Release what the backend keeps; calling it again does nothing."""
        self._executable = None

    def require_alive(self) -> Executable:
        """What the backend made of the graph.

        Raises:
            InvalidStateError: the graph is destroyed.
        """
        executable = self._executable
        if executable is None:
            raise InvalidStateError("the graph is destroyed; build it again")
        return executable

    def output_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """The outputs' shapes for inputs of these shapes.

        Raises:
            MLTypeError: inputs that the graph does not take, or not together.
        """
        try:
            bindings = bind_shapes(self._graph, shapes)
        except GraphError as exc:
            raise MLTypeError(str(exc)) from exc
        return {name: concrete_shape(kind, bindings) for name, kind in self.outputs.items()}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run on arrays; see `MLContext.compute`."""
        executable = self.require_alive()
        try:
            return executable.run(inputs)
        except GraphError as exc:
            raise MLTypeError(str(exc)) from exc
        except ExecutionError as exc:
            raise OperationError(str(exc)) from exc

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the graph as a bundle folder; returns the folder.

        Raises:
            FormatError: the folder exists and `force` is not set.
        """
        from webnn_runtime.format.bundle_writing import save_bundle

        folder: Path = save_bundle(self._graph, Path(path), force=force)
        return folder

    @classmethod
    def load(cls, context: MLContext, path: str | Path) -> MLGraph:
        """Read a bundle folder, a text graph or a JSON graph, and compile it for `context`.

        Raises:
            FormatError: the files are not what they should be.
            OperationError: the context's backend cannot run the graph.
        """
        from webnn_runtime.format.bundle import load_bundle

        graph = load_bundle(Path(path)).graph
        return context._adopt(cls(context, graph, context.compile(graph)))

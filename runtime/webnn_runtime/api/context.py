"""MLContext: where graphs are built, tensors live and work is queued."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np

from webnn_runtime.api.checks import check_dispatch, check_graph, check_shapes, check_targets
from webnn_runtime.api.errors import InvalidStateError, MLTypeError, NotSupportedError, OperationError, UnknownError
from webnn_runtime.api.graph import MLGraph
from webnn_runtime.api.kept import Kept
from webnn_runtime.api.tensor import Buffer, Descriptor, MLTensor, array_from_buffer, fill_buffer, read_descriptor
from webnn_runtime.format.counts import is_flag
from webnn_runtime.format.errors import BackendError, BackendUnavailable, UnsupportedByBackend, WebnnError
from webnn_runtime.format.graph import Array
from webnn_runtime.format.locks import Lock
from webnn_runtime.format.records import dataclass

if TYPE_CHECKING:
    from webnn_runtime.api.builder import MLGraphBuilder

__all__ = ["MLContext", "MLContextLostInfo"]


@dataclass(frozen=True, slots=True)
class MLContextLostInfo:
    """Why a context was lost.

    Attributes:
        message: one sentence.
    """

    message: str


class MLContext(Kept):
    """One backend, its tensors and graphs, and one timeline on which their work is ordered.

    `dispatch`, `read_tensor` and `write_tensor` take effect in the order of their calls. Their `_async`
    variants queue on the same timeline and run on a thread of the context; the backends release the
    interpreter lock while they compute, so that other work goes on meanwhile.

    Example:
        >>> import numpy as np
        >>> from webnn_runtime import ML, MLGraphBuilder
        >>> context = ML().create_context()
        >>> builder = MLGraphBuilder(context)
        >>> x = builder.input("x", [3], "float32")
        >>> graph = builder.build({"y": builder.relu(x)})
        >>> context.compute(graph, {"x": np.array([-1, 0, 1], np.float32)})["y"].tolist()
        [0.0, 0.0, 1.0]
    """

    def __init__(
        self, power_preference: str, accelerated: bool, backend: str, device_type: str, threads: int | None
    ) -> None:
        from webnn_runtime.backends.base import CompileOptions, check_threads
        from webnn_runtime.backends.registry import get_backend

        try:
            check_threads(backend, threads)
        except UnsupportedByBackend as exc:
            raise MLTypeError(str(exc)) from exc
        try:
            if backend != "auto":
                get_backend(backend)
        except (BackendUnavailable, UnsupportedByBackend) as exc:
            raise NotSupportedError(str(exc)) from exc
        self.backend = backend
        self.power_preference = power_preference
        self._accelerated = accelerated and device_type != "cpu"
        self._options = CompileOptions(threads=threads, device=device_type)
        self._timeline = Lock(reentrant=True)
        self._queue: ThreadPoolExecutor | None = None
        self._lost: Future[MLContextLostInfo] = Future()
        self._tensors: WeakSet[MLTensor] = WeakSet()
        self._graphs: WeakSet[MLGraph] = WeakSet()

    def __repr__(self) -> str:
        return f"MLContext(backend={self.backend!r}, device={self._options.device!r})"

    # State

    @property
    def accelerated(self) -> bool:
        """Whether work runs on something other than the CPU."""
        return self._accelerated

    @property
    def lost(self) -> Future[MLContextLostInfo]:
        """Completes when the context is lost; `asyncio.wrap_future` makes it awaitable."""
        return self._lost

    @property
    def is_lost(self) -> bool:
        """Whether `destroy` was called."""
        return self._lost.done()

    def destroy(self) -> None:
        """Lose the context: its graphs and tensors are destroyed, queued work fails; idempotent."""
        if self._lost.done():
            return
        self._lost.set_result(MLContextLostInfo("the context was destroyed"))
        if self._queue is not None:
            self._queue.shutdown(wait=False, cancel_futures=True)
        for graph in list(self._graphs):
            graph.destroy()
        for tensor in list(self._tensors):
            tensor.destroy()

    def __enter__(self) -> MLContext:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.destroy()

    # Tensors

    def create_tensor(
        self, shape: Descriptor, data_type: str | None = None, *, readable: bool = False, writable: bool = False
    ) -> MLTensor:
        """A tensor of zeros.

        Args:
            shape: dimensions, or the specification's dictionary (dataType, shape, readable, writable).
            data_type: WebNN name of the type, beside a shape.
            readable: whether `read_tensor` may read it.
            writable: whether `write_tensor` may write it.

        Raises:
            InvalidStateError: the context is lost.
            MLTypeError: an invalid descriptor.
            UnknownError: no memory.
        """
        self._require_alive()
        kind, rest = read_descriptor(shape, data_type)
        unknown = rest.keys() - {"readable", "writable"}
        if unknown:
            raise MLTypeError(f"create_tensor: the descriptor has no member '{min(unknown)}'")
        may = {"readable": readable, "writable": writable, **rest}
        for name, value in may.items():
            if not is_flag(value):
                raise MLTypeError(f"create_tensor: {name} is {value!r}; expected True or False")
        try:
            array = np.zeros(kind.static_shape, kind.dtype.numpy)
        except MemoryError as exc:
            raise UnknownError(f"no memory for a tensor {kind}") from exc
        tensor = MLTensor(
            self, kind, array, readable=bool(may["readable"]), writable=bool(may["writable"]), constant=False
        )
        return self._own(tensor)

    def create_host_tensor(self, shape: Descriptor, data_type: str | None = None) -> MLTensor:
        """A tensor that may be read and written; pywebnn's name of it."""
        return self.create_tensor(shape, data_type, readable=True, writable=True)

    def create_constant_tensor(
        self, shape: Descriptor, data: str | Buffer | None = None, values: Buffer | None = None
    ) -> MLTensor:
        """A tensor for `MLGraphBuilder.constant`; the data is copied.

        Called as the specification says, with a dictionary (dataType, shape) and the data, or with shape, type
        and data.

        Raises:
            InvalidStateError: the context is lost.
            MLTypeError: an invalid descriptor, or a buffer that does not fit it.
        """
        self._require_alive()
        data_type = data if isinstance(data, str) else None
        buffer = values if isinstance(data, str) else data
        kind, _ = read_descriptor(shape, data_type)
        if buffer is None:
            raise MLTypeError("create_constant_tensor: no data is given")
        array = array_from_buffer(buffer, kind, "create_constant_tensor").copy()
        return self._own(MLTensor(self, kind, array, readable=False, writable=False, constant=True))

    def read_tensor(self, tensor: MLTensor, output: Array | bytearray | memoryview | None = None) -> Array:
        """The contents as an array of the tensor's type; copied into `output` as well where one is given.

        Raises:
            MLTypeError: another context's tensor, not readable, or a buffer that does not fit.
            InvalidStateError: the tensor or the context is destroyed.
            OperationError: the dispatch that was to fill the tensor failed.
        """
        self._check_access(tensor, readable=True)
        with self._timeline:
            array = tensor.storage()
            if tensor._failure is not None:
                raise OperationError(f"the dispatch that was to fill the tensor failed: {tensor._failure}") from (
                    tensor._failure
                )
            copied: Array = array.copy()
        if output is not None:
            fill_buffer(output, copied, tensor._type, "read_tensor")
        return copied

    def write_tensor(self, tensor: MLTensor, data: Buffer) -> None:
        """Copy `data` into the tensor.

        Raises:
            MLTypeError: another context's tensor, not writable, or a buffer that does not fit.
            InvalidStateError: the tensor or the context is destroyed.
        """
        self._check_access(tensor, readable=False)
        source = array_from_buffer(data, tensor._type, "write_tensor")
        with self._timeline:
            np.copyto(tensor.storage(), source)
            tensor._failure = None

    # Work

    def dispatch(self, graph: MLGraph, inputs: Mapping[str, MLTensor], outputs: Mapping[str, MLTensor]) -> None:
        """Run a graph from tensors to tensors; a failure while running shows when an output is read.

        Raises:
            MLTypeError: foreign or repeated tensors, unknown names, or types and shapes that differ.
            InvalidStateError: the graph is destroyed.
        """
        check_dispatch(self, graph, inputs, outputs)
        with self._timeline:
            self._run(graph, inputs, outputs)

    def compute(
        self,
        graph: MLGraph,
        inputs: Mapping[str, Array],
        outputs: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        """Run a graph on arrays, without tensors; an extension.

        Results have the declared types. With `outputs`, they are copied into those arrays too.

        Raises:
            MLTypeError: unknown names, or types and shapes that differ.
            InvalidStateError: the graph is destroyed.
            OperationError: the backend failed.
        """
        check_graph(self, graph, "compute")
        targets = {} if outputs is None else outputs
        check_targets(targets, graph.outputs)
        results = graph.run(inputs)
        check_shapes(targets, results)
        for name, target in targets.items():
            np.copyto(target, results[name], casting="no")
        return results

    def create_graph_builder(self) -> MLGraphBuilder:
        """The same as `MLGraphBuilder(context)`."""
        from webnn_runtime.api.builder import MLGraphBuilder

        return MLGraphBuilder(self)

    def backend_info(self) -> dict[str, object]:
        """What the context was asked for, and which backends can be used here."""
        from webnn_runtime.backends.registry import available_backends

        return {
            "backend": self.backend,
            "device": self._options.device,
            "threads": self._options.threads,
            "available": list(available_backends()),
        }

    def op_support_limits(self) -> dict[str, Any]:
        """Types and ranks that this context's backend takes, per operator and operand.

        With `backend="auto"` these are the limits of the reference, which runs what no other backend takes.
        """
        from webnn_runtime.api.limits import op_support_limits
        from webnn_runtime.backends.registry import get_backend

        return op_support_limits(get_backend("numpy" if self.backend == "auto" else self.backend).unsupported)

    # Asynchronous variants

    async def dispatch_async(
        self, graph: MLGraph, inputs: Mapping[str, MLTensor], outputs: Mapping[str, MLTensor]
    ) -> None:
        """`dispatch`, queued; checks at once, completes when the graph has run."""
        check_dispatch(self, graph, inputs, outputs)
        await self._enqueue(self._run_locked, graph, dict(inputs), dict(outputs))

    async def compute_async(self, graph: MLGraph, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """`compute`, queued."""
        result: dict[str, Array] = await self._enqueue(self.compute, graph, dict(inputs))
        return result

    async def read_tensor_async(self, tensor: MLTensor) -> Array:
        """`read_tensor`, queued after the work that is already there."""
        self._check_access(tensor, readable=True)
        result: Array = await self._enqueue(self.read_tensor, tensor)
        return result

    async def write_tensor_async(self, tensor: MLTensor, data: Buffer) -> None:
        """`write_tensor`, queued; the data is copied at the call."""
        self._check_access(tensor, readable=False)
        copied = array_from_buffer(data, tensor._type, "write_tensor").copy()
        await self._enqueue(self.write_tensor, tensor, copied)

    createTensor = create_tensor
    createConstantTensor = create_constant_tensor
    readTensor = read_tensor
    writeTensor = write_tensor
    opSupportLimits = op_support_limits

    def _own(self, tensor: MLTensor) -> MLTensor:
        self._tensors.add(tensor)
        return tensor

    def _adopt(self, graph: MLGraph) -> MLGraph:
        self._graphs.add(graph)
        return graph

    def _require_alive(self) -> None:
        if self._lost.done():
            raise InvalidStateError("the context is lost; create another one")

    def _check_access(self, tensor: MLTensor, *, readable: bool) -> None:
        method, verb = ("read_tensor", "readable") if readable else ("write_tensor", "writable")
        if not isinstance(tensor, MLTensor):
            raise MLTypeError(f"{method}: a {type(tensor).__name__} is no MLTensor; create_tensor makes one")
        if tensor.context is not self:
            raise MLTypeError(f"{method}: the tensor belongs to another context")
        tensor.storage()
        if not (tensor.readable if readable else tensor.writable):
            raise MLTypeError(f"{method}: the tensor is not {verb}; create it with {verb}=True")

    def _run_locked(self, graph: MLGraph, inputs: Mapping[str, MLTensor], outputs: Mapping[str, MLTensor]) -> None:
        with self._timeline:
            self._run(graph, inputs, outputs)

    def _run(self, graph: MLGraph, inputs: Mapping[str, MLTensor], outputs: Mapping[str, MLTensor]) -> None:
        failure: Exception | None = None
        try:
            results = graph.run({name: tensor.storage() for name, tensor in inputs.items()})
            for name, tensor in outputs.items():
                np.copyto(tensor.storage(), results[name], casting="no")
        except WebnnError as exc:
            failure = exc
        for tensor in outputs.values():
            tensor._failure = failure

    async def _enqueue(self, call: Any, *arguments: Any) -> Any:
        self._require_alive()
        if self._queue is None:
            self._queue = ThreadPoolExecutor(1, thread_name_prefix="webnn-context")
        try:
            return await asyncio.wrap_future(self._queue.submit(call, *arguments))
        except asyncio.CancelledError:
            if self._lost.done():
                raise InvalidStateError("the context was destroyed while the work was queued") from None
            raise
        except RuntimeError as exc:
            if self._lost.done():
                raise InvalidStateError("the context was destroyed while the work was queued") from exc
            raise

    def compile(self, graph: Any) -> Any:
        """Compile for this context's backend.

        Raises:
            OperationError: the backend cannot.
        """
        from webnn_runtime.backends.registry import compile_graph

        try:
            return compile_graph(graph, self.backend, self._options)
        except BackendError as exc:
            raise OperationError(str(exc)) from exc

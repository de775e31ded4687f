"""MLTensor: storage that belongs to a context, and the buffers that may fill it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from webnn_runtime.api.errors import InvalidStateError, MLTypeError
from webnn_runtime.api.kept import Kept
from webnn_runtime.format.binding import plain_array
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import OperandError
from webnn_runtime.format.graph import Array, TensorType

if TYPE_CHECKING:
    from webnn_runtime.api.context import MLContext

__all__ = [
    "Buffer",
    "Descriptor",
    "MLTensor",
    "array_from_buffer",
    "fill_buffer",
    "read_descriptor",
    "tensor_type",
]

Descriptor: TypeAlias = "Mapping[str, object] | Sequence[int]"
Buffer: TypeAlias = "Array | bytes | bytearray | memoryview"


class MLTensor(Kept):
    """A tensor of one context (WebNN section "The MLTensor interface").

    Made by `MLContext.create_tensor` and `create_constant_tensor`, not directly.

    Example:
        >>> import numpy as np
        >>> from webnn_runtime import ML
        >>> context = ML().create_context()
        >>> tensor = context.create_tensor([2], "float32", readable=True, writable=True)
        >>> context.write_tensor(tensor, np.array([1, 2], np.float32))
        >>> context.read_tensor(tensor).tolist()
        [1.0, 2.0]
    """

    def __init__(
        self, context: MLContext, kind: TensorType, array: Array, *, readable: bool, writable: bool, constant: bool
    ) -> None:
        self._context = context
        self._type = kind
        self._array: Array | None = array
        self._readable = readable
        self._writable = writable
        self._constant = constant
        # A failed dispatch is reported by the read that would have seen its results.
        self._failure: Exception | None = None

    @property
    def context(self) -> MLContext:
        """The context the tensor belongs to."""
        return self._context

    @property
    def kind(self) -> TensorType:
        """Type and shape in one; an extension."""
        return self._type

    @property
    def data_type(self) -> str:
        """WebNN name of the data type."""
        return self._type.dtype.value

    @property
    def shape(self) -> tuple[int, ...]:
        """Dimensions."""
        return self._type.static_shape

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def readable(self) -> bool:
        """Whether `read_tensor` may read it."""
        return self._readable

    @property
    def writable(self) -> bool:
        """Whether `write_tensor` may write it."""
        return self._writable

    @property
    def constant(self) -> bool:
        """Whether it was made by `create_constant_tensor`."""
        return self._constant

    @property
    def destroyed(self) -> bool:
        """Whether `destroy` was called, on the tensor or on its context."""
        return self._array is None

    dataType = data_type  # the specification's spelling

    def destroy(self) -> None:
        """Release the storage; calling it again does nothing."""
        self._array = None

    def storage(self) -> Array:
        """The array behind the tensor.

        Raises:
            InvalidStateError: the tensor is destroyed.
        """
        array = self._array
        if array is None:
            raise InvalidStateError("the tensor is destroyed; create another one")
        return array

    def __repr__(self) -> str:
        state = " destroyed" if self.destroyed else ""
        return f"MLTensor({self._type}{' constant' if self._constant else ''}{state})"


def array_from_buffer(buffer: Buffer, kind: TensorType, what: str) -> Array:
    """The numbers of `buffer` as an array of `kind`: a view of them, or a copy where they do not lie in one piece.

    Raw bytes, and uint8 arrays, serve for any type; an array of numbers must have exactly the declared type.

    Raises:
        MLTypeError: another type, another number of bytes, or numbers that four bits do not hold.
    """
    given = _checked_buffer(buffer, kind, what)
    raw = given if given.dtype == kind.dtype.numpy else np.ascontiguousarray(given).reshape(-1).view(kind.dtype.numpy)
    array = raw.reshape(kind.static_shape)
    if kind.dtype.bits == 4 and array.size:
        low, high = kind.dtype.bounds
        if array.min() < low or array.max() > high:
            raise MLTypeError(f"{what}: values outside {low} to {high} for {kind}; each byte is one value")
    return array


def fill_buffer(output: Buffer, values: Array, kind: TensorType, what: str) -> None:
    """Copy the values of a tensor into a caller's buffer, wherever its bytes lie.

    Raises:
        MLTypeError: another type, another number of bytes, or a buffer that cannot be written.
    """
    target = _checked_buffer(output, kind, what)
    if not target.flags.writeable:
        raise MLTypeError(f"{what}: the buffer is read-only; give a writable one")
    # The values take the target's shape: a target with gaps, reshaped itself, would be a copy that nobody sees.
    np.copyto(target, np.ascontiguousarray(values).reshape(-1).view(target.dtype).reshape(target.shape))


def _checked_buffer(buffer: Buffer, kind: TensorType, what: str) -> Array:
    """The buffer itself, not copied, as an array of the type that is wanted, or of bytes; as large as `kind`.

    Raises:
        MLTypeError: another type, or another number of bytes.
    """
    if isinstance(buffer, np.ndarray):
        try:
            array = plain_array(f"{what}: the array", buffer)
        except OperandError as exc:
            raise MLTypeError(str(exc)) from exc
    else:
        try:
            view = memoryview(buffer)
        except TypeError as exc:
            raise MLTypeError(f"{what}: a {type(buffer).__name__} is no buffer; give bytes or a NumPy array") from exc
        array = np.asarray(view)
        if array.dtype.itemsize == 1:
            array = array.view(np.uint8)
    wanted = kind.dtype.numpy
    if array.dtype != wanted and array.dtype != np.uint8:
        raise MLTypeError(f"{what}: the array is {array.dtype}; {kind} needs {wanted} (convert it with astype)")
    expected = int(np.prod(kind.static_shape, dtype=np.int64)) * wanted.itemsize
    if array.nbytes != expected:
        raise MLTypeError(f"{what}: the buffer has {array.nbytes} bytes; {kind} needs {expected}")
    return array


def read_descriptor(shape: Descriptor, data_type: str | None) -> tuple[TensorType, Mapping[str, object]]:
    """A tensor type from the specification's dictionary, or from a shape and a type; and what else the former has.

    Raises:
        MLTypeError: an unknown type, dimensions that WebNN does not allow, or a member missing.
    """
    if not isinstance(shape, Mapping):
        if data_type is None:
            raise MLTypeError("a shape needs a data type; or give one dictionary with dataType and shape")
        return tensor_type(data_type, shape), {}
    if data_type is not None:
        raise MLTypeError("a descriptor holds its data type; leave the second one out")
    spelled = {{"data_type": "dataType"}.get(key, key): value for key, value in shape.items()}
    missing = [key for key in ("dataType", "shape") if key not in spelled]
    if missing:
        raise MLTypeError(f"descriptor {dict(shape)!r} lacks {' and '.join(missing)}")
    rest = {key: value for key, value in spelled.items() if key not in ("dataType", "shape")}
    return tensor_type(spelled["dataType"], spelled["shape"]), rest


def tensor_type(data_type: object, shape: object) -> TensorType:
    """Check a descriptor.

    Raises:
        MLTypeError: an unknown type, or dimensions that WebNN does not allow.
    """
    try:
        dtype = DataType(data_type)
    except (ValueError, TypeError) as exc:
        known = ", ".join(kind.value for kind in DataType)
        raise MLTypeError(f"data type {data_type!r} is none of WebNN's; they are {known}") from exc
    if not isinstance(shape, (list, tuple)):
        raise MLTypeError(f"shape {shape!r} is not a list of dimensions")
    for dim in shape:
        if isinstance(dim, bool) or not hasattr(dim, "__index__") or not 1 <= int(dim) <= 2**31 - 1:
            raise MLTypeError(f"dimension {dim!r} of {list(shape)} is not valid; 1 to 2147483647 are")
    kind = TensorType(dtype, tuple(int(dim) for dim in shape))
    if int(np.prod(kind.static_shape, dtype=object)) > 2**31 - 1:
        raise MLTypeError(f"{kind} has more than 2147483647 elements")
    return kind

"""Images in blocks of sixteen channels: which values of a network get them, and where they are brought there and back.

The engine's convolutions are fastest on `[images, blocks, height, width, 16]`. A value is brought into blocks where a
convolution needs it so and it is not there yet; what reads images element by element, channel by channel or window by
window takes them as they are. Everything else gets plain images. Behind the last channel the lanes hold anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

import numpy as np

from webnn_runtime.backends.rust._calls import Attribute, Call
from webnn_runtime.backends.rust._values import Values
from webnn_runtime.format.dims import Dim
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, TensorType
from webnn_runtime.format.records import replace

__all__ = ["LANES", "in_blocks"]

LANES: Final = 16
# Images of fewer channels leave most lanes of their one block unused: such a convolution reads them as they are.
_FEWEST: Final = 8
_UNARY: Final = frozenset(
    ("abs", "chain", "clamp", "elu", "gelu", "hardSigmoid", "hardSwish", "identity", "leakyRelu", "linear", "neg")
).union(("relu", "sigmoid", "silu", "softplus", "softsign", "tanh"))
_BINARY: Final = frozenset(("add", "div", "max", "min", "mul", "sub"))


def in_blocks(values: Values, results: Iterable[str]) -> None:
    """Give the calls of a network of images blocked images where that is worth it."""
    if any(_is_blocked_conv(values, call) for call in values.calls):
        blocks = _Blocks(values)
        for call in values.calls:
            blocks.add(call)
        for result in results:
            blocks.plain(result)
        values.calls = blocks.calls


class _Blocks:
    """The calls so far, and which values exist in which form."""

    def __init__(self, values: Values) -> None:
        self.calls: list[Call] = []
        self._values = values
        # Values in blocks by the names of their plain forms; plain forms that no call has made yet.
        self._blocked: dict[str, str] = {}
        self._only_blocked: set[str] = set()
        # Results of convolutions that read few channels as they are: whoever can take them in blocks does.
        self._wanted: set[str] = set()

    def add(self, call: Call) -> None:
        """Add a call in the form that suits its operands."""
        made = self._conv(call) or self._pool(call) or self._same(call) or self._parts(call)
        if made is not None:
            self.calls.append(made)
            return
        for value in call.reads:
            self.plain(value)
        self.calls.append(call)

    def plain(self, value: str) -> None:
        """Make sure that the plain form of a value exists."""
        if value in self._only_blocked:
            self._only_blocked.remove(value)
            self.calls.append(Call("fromBlocks", (self._blocked[value],), (value,)))

    def _in_blocks(self, value: str) -> str:
        """The blocked form of a value, which is made if need be."""
        if value not in self._blocked:
            values, kind = self._values, self._values.types[value]
            constant = values.constants.get(value)
            if constant is not None:
                self._blocked[value] = values.constant(f"{value}.blocks", _constant_in_blocks(constant))
            else:
                self._blocked[value] = values.fresh(f"{value}.blocks", _in_blocks_type(kind))
                self.calls.append(Call("toBlocks", (value,), (self._blocked[value],)))
        return self._blocked[value]

    def _result(self, value: str) -> str:
        """The blocked form of a value that a call is about to make."""
        name = self._values.fresh(f"{value}.blocks", _in_blocks_type(self._values.types[value]))
        self._blocked[value] = name
        self._only_blocked.add(value)
        return name

    def _conv(self, call: Call) -> Call | None:
        if not _is_blocked_conv(self._values, call):
            return None
        if self._values.types[str(call.operands[0])].shape[1] in range(_FEWEST) and not self._is_ready(call.reads[:1]):
            self._wanted.add(call.results[0])
            return None
        source, weights, bias, residual = (*call.operands, None)[:4]
        assert source is not None
        operands = (
            self._in_blocks(source),
            weights,
            bias,
            None if residual is None else self._in_blocks(residual),
        )
        channels = int(str(self._values.types[source].shape[1]))
        attributes: dict[str, Attribute] = {**call.attributes, "channels": ("int", channels)}
        return replace(
            call,
            kind="blockedConv",
            operands=operands,
            results=(self._result(call.results[0]),),
            attributes=attributes,
        )

    def _pool(self, call: Call) -> Call | None:
        if not self._is_ready(call.reads):
            return None
        if call.kind == "reduceMean" and _is_over_places(call):
            ones, none = ("dims", (1, 1)), ("dims", (0, 0, 0, 0))
            window = ("dims", self._values.types[call.reads[0]].shape[2:])
            whole: dict[str, Attribute] = {"windowDimensions": window, "padding": none, "strides": ones}
            return self._changed(call, "blockedPool", {**whole, "dilations": ones, "mean": ("bool", True)})
        if call.kind not in ("averagePool2d", "maxPool2d") or call.attributes["layout"][1] != "nchw":
            return None
        attributes: dict[str, Attribute] = {**call.attributes, "mean": ("bool", call.kind == "averagePool2d")}
        return self._changed(call, "blockedPool", attributes)

    def _same(self, call: Call) -> Call | None:
        """What treats each element, or the places of each channel, by itself."""
        if call.kind in _UNARY and self._is_ready(call.reads):
            return self._changed(call, call.kind, call.attributes)
        if call.kind == "resample2d" and call.attributes["axes"][1] == (2, 3) and self._is_ready(call.reads):
            return self._changed(call, call.kind, call.attributes)
        if call.kind not in _BINARY:
            return None
        types, result = self._values.types, call.results[0]
        whole = [value for value in call.reads if types[value] == types[result]]
        others = [value for value in call.reads if types[value] != types[result]]
        if not whole or not self._is_ready(whole) or not all(self._is_stretched(value, result) for value in others):
            return None
        if call.kind == "mul" and len(others) == 1 and types[others[0]].shape[0] == types[result].shape[0]:
            operands = (self._in_blocks(whole[0]), self._in_blocks(others[0]))
            return replace(call, kind="blockedScale", operands=operands, results=(self._result(result),))
        return self._changed(call, call.kind, call.attributes)

    def _parts(self, call: Call) -> Call | None:
        """Channels side by side, or apart, where that moves whole blocks."""
        if call.kind not in ("concat", "split") or call.attributes["axis"] != ("int", 1):
            return None
        parts = call.reads if call.kind == "concat" else call.results
        sizes = [self._values.types[value].shape[1] for value in parts if self._values.types[value].rank == 4]
        is_whole = len(sizes) == len(parts) and all(isinstance(size, int) and size % LANES == 0 for size in sizes[:-1])
        if not is_whole or not isinstance(sizes[-1], int) or not self._is_ready(call.reads):
            return None
        return self._changed(call, call.kind, call.attributes)

    def _changed(self, call: Call, kind: str, attributes: object) -> Call:
        operands = tuple(None if value is None else self._in_blocks(value) for value in call.operands)
        results = tuple(self._result(value) for value in call.results)
        return replace(
            call, kind=kind, operands=operands, results=results, attributes=cast("dict[str, Attribute]", attributes)
        )

    def _is_ready(self, reads: Iterable[str]) -> bool:
        """Whether all are images and one of them exists in blocks only."""
        reads = tuple(reads)
        return all(_is_image(self._values.types[value]) for value in reads) and any(
            value in self._only_blocked or value in self._wanted for value in reads
        )

    def _is_stretched(self, value: str, result: str) -> bool:
        """Whether a value has a number for each channel of the result: one for all would be in one lane only."""
        kind, made = self._values.types[value], self._values.types[result]
        return _is_image(kind) and kind.shape[1:] == (made.shape[1], 1, 1)


def _is_over_places(call: Call) -> bool:
    """Whether a reduction gives one number for each channel of an image, as an image."""
    axes, keeps = call.attributes.get("axes", ("ints", ())), call.attributes["keepDimensions"]
    return axes[1] == (2, 3) and bool(keeps[1])


def _is_image(kind: TensorType) -> bool:
    return kind.dtype is DataType.FLOAT32 and kind.rank == 4 and isinstance(kind.shape[1], int)


def _in_blocks_type(kind: TensorType) -> TensorType:
    images, channels, height, width = kind.shape
    shape: tuple[Dim, ...] = (images, -(-int(str(channels)) // LANES), height, width, LANES)
    return kind.with_shape(shape)


def _constant_in_blocks(array: Array) -> Array:
    images, channels, height, width = array.shape
    blocks = -(-channels // LANES)
    padded = np.zeros((images, blocks * LANES, height, width), np.float32)
    padded[:, :channels] = array
    return np.ascontiguousarray(padded.reshape(images, blocks, LANES, height, width).transpose(0, 1, 3, 4, 2))


def _is_blocked_conv(values: Values, call: Call) -> bool:
    """Whether the engine has this convolution on blocks: constant filters, whole blocks in each group."""
    if call.kind not in ("conv2d", "convLayer") or call.attributes["inputLayout"] != ("text", "nchw"):
        return False
    source, weights, bias, *_ = (*call.operands, None)
    if source is None or not _is_image(values.types[source]) or not _is_image(values.types[call.results[0]]):
        return False
    array = values.constants.get(weights or "")
    if array is None or (bias is not None and bias not in values.constants):
        return False
    layout = str(call.attributes["filterLayout"][1])
    made, read = array.shape[layout.index("o")], array.shape[layout.index("i")]
    groups = int(str(call.attributes["groups"][1]))
    is_whole = read % LANES == 0 and made // groups % LANES == 0
    return groups == 1 or (read == 1 and made == groups) or is_whole

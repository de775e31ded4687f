"""Ways to damage a model as a tree of messages.

Any field of any message, and the things that real mistakes and attacks are made of: types, sizes, names, cycles,
nesting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import Any, Final

import onnx
from onnx import TensorProto, helper, numpy_helper

from webnn_translator.registry import operators

__all__ = ["FLOATS", "INTEGERS", "MODEL", "WORDS", "is_repeated", "messages"]

INTEGERS: Final = (
    0, 1, -1, 2, -2, 3, 4, 5, 7, 8, 16, 63, 64, 127, 255, 256, 1000, 4096, 65536, 10**6, 2**31 - 1, 2**31, -(2**31),
    2**32, 2**53, 2**62, 2**63 - 1, -(2**63),
)  # fmt: skip
FLOATS: Final = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, float("inf"), float("-inf"), float("nan"))
WORDS: Final = (
    "", "x", "y", "w", " ", "a b", "\0", "ﬀ", "名", "../../secret", "/etc/hostname", "C:\\x", "model.data", "NaN",
    "null", "float", "linear", "nearest", "SAME_UPPER", "VALID", "ii,ij->j", "mean", "reflect", "tanh", "batch",
    "batch*length", "n+1", "1", "-1", "a" * 300, "ai.onnx", "com.microsoft", "ai.onnx.ml",
)  # fmt: skip


def messages(root: Any) -> Iterator[Any]:
    """The message and all that it holds."""
    waiting = [root]
    while waiting:
        message = waiting.pop()
        yield message
        for field, value in message.ListFields():
            if field.message_type is not None:
                waiting.extend(value if is_repeated(field) else [value])


def is_repeated(field: Any) -> bool:
    """Whether a field holds several values."""
    return bool(field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED)


def _names(model: Any) -> list[str]:
    return [name for node in model.graph.node for name in (*node.input, *node.output)] or ["x"]


def _scalar(field: Any, old: Any, model: Any, rng: Random) -> Any:
    kind = field.cpp_type
    if kind == field.CPPTYPE_STRING:
        word = rng.choice(_names(model)) if rng.random() < 0.5 else rng.choice(WORDS)
        return word.encode() if isinstance(old, bytes) else word
    if kind in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return rng.choice(FLOATS)
    if kind == field.CPPTYPE_ENUM:
        return rng.choice(field.enum_type.values).number
    nearby = isinstance(old, int) and rng.random() < 0.4
    return old + rng.choice((-1, 1)) if nearby else rng.choice(INTEGERS)


def any_field(model: Any, rng: Random) -> None:
    """Change one field of one message."""
    message = rng.choice(list(messages(model)))
    fields = [field for field, _ in message.ListFields()]
    if not fields or rng.random() < 0.2:
        fields = list(message.DESCRIPTOR.fields)
    field = rng.choice(fields)
    if is_repeated(field):
        _change_list(message, field, model, rng)
    elif field.message_type is None:
        setattr(message, field.name, _scalar(field, getattr(message, field.name), model, rng))
    elif rng.random() < 0.3:
        message.ClearField(field.name)
    else:
        _copy_into(getattr(message, field.name), model, rng)


def _change_list(message: Any, field: Any, model: Any, rng: Random) -> None:
    items = getattr(message, field.name)
    what = rng.randrange(5)
    if what == 0 and len(items):
        del items[rng.randrange(len(items))]
    elif field.message_type is None:
        old = items[0] if len(items) else (b"" if field.type == field.TYPE_BYTES else None)
        value = _scalar(field, old, model, rng)
        if what == 1 or not len(items):
            items.extend([value] * rng.choice((1, 1, 2, 70)))
        elif what == 2:
            other = rng.randrange(len(items))
            items[0], items[other] = items[other], items[0]
        else:
            items[rng.randrange(len(items))] = value
    elif what == 1 and len(items):
        items.add().CopyFrom(rng.choice(items))
    elif what == 2 and len(items) > 1:
        one, other = items[0], items[rng.randrange(1, len(items))]
        kept = type(one)()
        kept.CopyFrom(one)
        one.CopyFrom(other)
        other.CopyFrom(kept)
    else:
        _copy_into(items.add(), model, rng)


def _copy_into(target: Any, model: Any, rng: Random) -> None:
    alike = [other for other in messages(model) if type(other) is type(target) and other is not target]
    if alike:
        copied = type(target)()
        copied.CopyFrom(rng.choice(alike))
        target.CopyFrom(copied)


@cache
def _op_types() -> tuple[tuple[str, str], ...]:
    known = {(schema.domain, schema.name) for schema in onnx.defs.get_all_schemas()}
    return tuple(sorted(known | operators().keys()))


def _nodes(model: Any) -> list[Any]:
    return [message for message in messages(model) if isinstance(message, onnx.NodeProto)]


def another_operator(model: Any, rng: Random) -> None:
    """Give a node another operator."""
    nodes = _nodes(model)
    if nodes:
        node = rng.choice(nodes)
        node.domain, node.op_type = rng.choice(_op_types())


def another_version(model: Any, rng: Random) -> None:
    """Claim another operator set."""
    for entry in model.opset_import:
        entry.version = rng.choice((*range(1, 28), *INTEGERS))


def another_wire(model: Any, rng: Random) -> None:
    """Read another value: cycles, missing values, wrong types and ranks."""
    nodes = [node for node in _nodes(model) if node.input]
    if nodes:
        node = rng.choice(nodes)
        node.input[rng.randrange(len(node.input))] = rng.choice((*_names(model), "", "absent"))


def another_shape(model: Any, rng: Random) -> None:
    """Declare an input or output with another shape or type."""
    value = rng.choice([*model.graph.input, *model.graph.output, *model.graph.value_info])
    shape = value.type.tensor_type.shape
    what = rng.randrange(5)
    if what == 0:
        value.type.tensor_type.elem_type = rng.randrange(28)
    elif what == 1 or not shape.dim:
        shape.dim.add().dim_value = rng.choice((1, 2, 3))
    elif what == 2:
        del shape.dim[rng.randrange(len(shape.dim))]
    elif what == 3:
        rng.choice(shape.dim).dim_param = rng.choice(("batch", "n", "length", "?", "a b", "", "n*2"))
    else:
        rng.choice(shape.dim).dim_value = rng.choice(INTEGERS)


def another_tensor(model: Any, rng: Random) -> None:
    """Damage one tensor: its type, its sizes, its bytes, where they lie."""
    tensors = [message for message in messages(model) if isinstance(message, TensorProto)]
    if not tensors:
        return
    tensor = rng.choice(tensors)
    what = rng.randrange(7)
    if what == 0:
        tensor.data_type = rng.randrange(28)
    elif what == 1:
        tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)]
    elif what == 2:
        tensor.dims[:] = [rng.choice(INTEGERS) for _ in range(rng.randrange(5))]
    elif what == 3:
        tensor.dims[:] = rng.choice(([0], [1, *tensor.dims], [*tensor.dims, 1], tensor.dims[::-1], [], [2**40, 0]))
    elif what == 4:
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=rng.choice(WORDS))
        tensor.external_data.add(key=rng.choice(("offset", "length")), value=str(rng.choice(INTEGERS)))
    elif what == 5:
        tensor.raw_data = rng.randbytes(len(tensor.raw_data))
    else:
        values = numpy_helper.to_array(tensor)
        made = numpy_helper.from_array(values.reshape(-1)[: rng.randrange(values.size + 1)], tensor.name)
        tensor.CopyFrom(made)


def another_value(model: Any, rng: Random) -> None:
    """Write another integer where shapes, axes and counts are kept."""
    tensors = [
        message for message in messages(model) if isinstance(message, TensorProto) and message.data_type in (6, 7)
    ]
    if tensors:
        tensor = rng.choice(tensors)
        values = numpy_helper.to_array(tensor).copy()
        if values.size and values.size < 100:
            values.reshape(-1)[rng.randrange(values.size)] = rng.choice(INTEGERS) % 2**31 - rng.choice((0, 2**31))
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def another_attribute(model: Any, rng: Random) -> None:
    """Add an attribute the operator has in some version, or one of the wrong kind; or repeat one."""
    nodes = _nodes(model)
    if not nodes:
        return
    node = rng.choice(nodes)
    known = []
    if onnx.defs.has(node.op_type, node.domain):
        known = sorted(onnx.defs.get_schema(node.op_type, 27, node.domain).attributes)
    name = rng.choice([*known, "axis", "axes", "keepdims", "strange"])
    value: Any = rng.choice(
        [rng.choice(INTEGERS), rng.choice(FLOATS), rng.choice(WORDS), [1, 1], [2, 2, 2], [0.5], ["a"]]
    )
    if rng.random() < 0.8:
        for place in reversed([at for at, held in enumerate(node.attribute) if held.name == name]):
            del node.attribute[place]
    node.attribute.append(helper.make_attribute(name, value))


def nested(model: Any, rng: Random) -> None:
    """Put a node into the branches of an If, or into a Loop or Scan, once or far too often."""
    if not model.graph.node:
        return
    node = rng.choice(model.graph.node)
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    for level in range(rng.choice((1, 1, 2, 3, 31, 40, 120))):
        inner = onnx.NodeProto()
        inner.CopyFrom(node)
        body = helper.make_graph([inner], f"level{level}", [], outputs)
        node.ClearField("input")
        node.ClearField("attribute")
        node.domain, node.op_type = "", rng.choice(("If", "If", "If", "Loop", "Scan"))
        node.input.extend(rng.choice(_names(model)) for _ in range(rng.choice((1, 1, 2))))
        names = ("then_branch", "else_branch") if node.op_type == "If" else ("body",)
        node.attribute.extend(helper.make_attribute(name, body) for name in names)
        if level > 3 and len(names) == 2:
            # Two full branches on each of many levels would be more bytes than anybody has.
            del node.attribute[1].g.node[:]


def a_function(model: Any, rng: Random) -> None:
    """Turn a node's operator into a function of the model's own, perhaps one that calls itself."""
    if not model.graph.node:
        return
    node = rng.choice(model.graph.node)
    inner = onnx.NodeProto()
    inner.CopyFrom(node)
    if rng.random() < 0.3:
        inner.domain, inner.op_type = "own", "F"
    imports = [*model.opset_import, helper.make_opsetid("own", 1)]
    model.functions.append(
        helper.make_function("own", "F", [n for n in node.input if n], [n for n in node.output if n], [inner], imports)
    )
    node.domain, node.op_type = "own", "F"
    model.opset_import.add(domain="own", version=1)


def grown(model: Any, rng: Random) -> None:
    """Add a node that reads what there is, and make its result an output."""
    domain, op_type = rng.choice(_op_types())
    inputs = [rng.choice(_names(model)) for _ in range(rng.randrange(4))]
    made = f"grown{len(model.graph.node)}"
    model.graph.node.append(helper.make_node(op_type, inputs, [made], domain=domain))
    model.graph.output.append(helper.make_empty_tensor_value_info(made))


MODEL: Final[tuple[Callable[[Any, Random], None], ...]] = (
    any_field,
    any_field,
    any_field,
    another_operator,
    another_version,
    another_wire,
    another_shape,
    another_tensor,
    another_value,
    another_attribute,
    nested,
    a_function,
    grown,
)

"""The source as what it means, where ONNX Runtime's own kernels do not say it: the reference of the check."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final

from webnn_translator.containment import contained_file
from webnn_translator.external import ExternalFiles, locations_of, tensors_of
from webnn_translator.naming import names_within
from webnn_translator.verify.in_float32 import in_float32

__all__ = ["as_meant"]

# Elements of what may be a shape, a list of axes or of places.
_FEW: Final = 64


def as_meant(file: Path, watched: Collection[str]) -> tuple[str | bytes, Path, bool]:
    """The file, or a copy that gives out more, and in which operators compute what they mean.

    QLinearSoftmax is written out: of a row of one number ONNX Runtime's kernel makes 0 instead of 1, and it truncates.
    `accuracy_level` of MatMulNBits lets ONNX Runtime quantise its data as well; what the model means is the product.
    RotaryEmbedding gets its angles for every row of the batch: torch writes them once for all, which ONNX's definition
    of the operator broadcasts and ONNX Runtime's kernel refuses.
    Attention gets its mask for every query: the same of one that hides padding alone.
    MeanVarianceNormalization has its epsilon, without which equal elements are no numbers, and takes float16.
    DynamicQuantizeMatMul is written out as what it was fused of, so that what it rounds can be given out.
    DynamicQuantizeLSTM is an LSTM of the same weights: bundles of it are only made where states stay float32.
    What is in bfloat16 is in float32 (`in_float32`).
    Shapes and axes that lie beside the file (`size_threshold=0` of onnx) are inside, where ONNX Runtime reads them.

    Args:
        file: the model.
        watched: names of values inside of it that are given out as well.

    Returns:
        A path or a model; the folder of the files that the model names; whether there was anything in bfloat16.

    Raises:
        FormatError: a file beside the model is not there, or not the model's.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(file, load_external_data=False)
    except (OSError, ValueError, DecodeError):
        return str(file), file.parent, False  # whose errors are the session's to tell
    permissions = [
        (node, attribute)
        for node in model.graph.node
        if node.op_type == "MatMulNBits"
        for attribute in node.attribute
        if attribute.name == "accuracy_level" and attribute.i != 0
    ]
    for node, attribute in permissions:
        node.attribute.remove(attribute)
    files = ExternalFiles(file)
    is_moved = _few_inside(tensors_of(model, file), files)
    is_widened = in_float32(model, files)
    written_out = _softmax_written_out(model) | _angles_repeated(model) | _states_in_float(model) | _deviations(model)
    written_out |= _products_written_out(model) | _masks_repeated(model)
    given = {output.name for output in model.graph.output}
    # ONNX Runtime finds their types.
    more = [onnx.helper.make_empty_tensor_value_info(name) for name in watched if name not in given]
    model.graph.output.extend(more)
    if not (permissions or more or written_out or is_widened or is_moved):
        return str(file), file.parent, False
    folder = _links_followed(model, file)
    return model.SerializeToString(), folder, is_widened


def _links_followed(model: Any, file: Path) -> Path:
    """Name the files beside the model by where they lie; returns the folder in which these names are.

    ONNX Runtime follows links of the Hub's cache for a file in it; for a model in memory none that leave its folder.
    """
    places = locations_of(model, file)
    what, where = "external data", str(file)
    found = {one: contained_file(file.parent, one, what=what, path=where) for one in {place.value for place in places}}
    folder = Path(os.path.commonpath([file.parent.resolve(), *(each.parent for each in found.values())]))
    for place in places:
        place.value = found[place.value].relative_to(folder).as_posix()
    return folder


def _few_inside(tensors: Iterable[Any], files: ExternalFiles) -> bool:
    """Move short lists of integers beside the file into it; returns whether there was one."""
    from onnx import TensorProto

    changed = False
    for tensor in tensors:
        if tensor.data_type == TensorProto.INT64 and math.prod(tensor.dims) <= _FEW:
            changed |= files.take_inside(tensor, 8 * math.prod(tensor.dims))
    return changed


def _replaced(model: Any, nodes: list[Any]) -> bool:
    """Put `nodes` for those of the model, unless none was written out, which makes more of them; returns whether."""
    changed = len(nodes) != len(model.graph.node)
    if changed:
        del model.graph.node[:]
        model.graph.node.extend(nodes)
    return changed


def _softmax_written_out(model: Any) -> bool:
    """Put dequantising, Softmax and quantising for every QLinearSoftmax; returns whether there was one."""
    import onnx

    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    nodes: list[Any] = []
    for node in model.graph.node:
        settings = {one.name: one.i for one in node.attribute}
        # Before opset 13, Softmax is one of whole rows.
        is_same = (settings.get("opset", 0) < 13) == (opset < 13)
        if node.op_type != "QLinearSoftmax" or node.domain != "com.microsoft" or len(node.input) < 4 or not is_same:
            nodes.append(node)
            continue
        (made,), (x, scale, zero, *out) = node.output, node.input
        axis = settings.get("axis", 1 if opset < 13 else -1)
        nodes += [
            onnx.helper.make_node("DequantizeLinear", [x, scale, zero], [f"{made}//x"]),
            onnx.helper.make_node("Softmax", [f"{made}//x"], [f"{made}//y"], axis=axis),
            onnx.helper.make_node("QuantizeLinear", [f"{made}//y", *out], [made]),
        ]
    return _replaced(model, nodes)


def _products_written_out(model: Any) -> bool:
    """Put quantising and a product of integers for every DynamicQuantizeMatMul; returns whether there was one."""
    from onnx import helper

    nodes: list[Any] = []
    for node in model.graph.node:
        if node.op_type != "DynamicQuantizeMatMul" or node.domain != "com.microsoft":
            nodes.append(node)
            continue
        (x, weight, weight_scale, *more), inner = node.input, names_within(node.output[0])
        read = [inner[0], weight, inner[1], weight_scale, inner[2], *more]
        nodes += [
            helper.make_node("DynamicQuantizeLinear", [x], inner),
            helper.make_node("MatMulIntegerToFloat", read, list(node.output), domain="com.microsoft"),
        ]
    return _replaced(model, nodes)


def _angles_repeated(model: Any) -> bool:
    """Repeat the angles of a RotaryEmbedding without position ids along the batch; returns whether there was one."""
    from onnx import helper

    nodes: list[Any] = []
    for node in model.graph.node:
        if node.op_type == "RotaryEmbedding" and node.domain in ("", "ai.onnx") and not any(node.input[3:]):
            x, *angles = node.input[:3]
            stem = f"{node.output[0]}//"
            # Expand broadcasts both ways: the other two sizes stay those of the angles.
            nodes += [
                helper.make_node("Shape", [x], [f"{stem}rows"], start=0, end=1),
                helper.make_node("Constant", [], [f"{stem}ones"], value_ints=[1, 1]),
                helper.make_node("Concat", [f"{stem}rows", f"{stem}ones"], [f"{stem}shape"], axis=0),
            ]
            for place, one in enumerate(angles, start=1):
                nodes.append(helper.make_node("Expand", [one, f"{stem}shape"], [f"{stem}{place}"]))
                node.input[place] = f"{stem}{place}"
        nodes.append(node)
    return _replaced(model, nodes)


def _masks_repeated(model: Any) -> bool:
    """Repeat the mask of an Attention along its queries; returns whether there was one."""
    from onnx import helper

    nodes: list[Any] = []
    for node in model.graph.node:
        if node.op_type == "Attention" and node.domain in ("", "ai.onnx") and any(node.input[3:4]):
            stem = f"{next(filter(None, node.output))}//"
            nodes += [
                helper.make_node("Shape", [node.input[0]], [f"{stem}queries"], start=-2, end=-1),
                helper.make_node("Constant", [], [f"{stem}one"], value_ints=[1]),
                helper.make_node("Concat", [f"{stem}queries", f"{stem}one"], [f"{stem}shape"], axis=0),
                helper.make_node("Expand", [node.input[3], f"{stem}shape"], [f"{stem}mask"]),
            ]
            node.input[3] = f"{stem}mask"
        nodes.append(node)
    return _replaced(model, nodes)


def _states_in_float(model: Any) -> bool:
    """Put LSTM of dequantised weights for every DynamicQuantizeLSTM; returns whether there was one."""
    from onnx import TensorProto, helper

    nodes: list[Any] = []
    for node in model.graph.node:
        if node.op_type != "DynamicQuantizeLSTM" or node.domain != "com.microsoft" or len(node.input) < 12:
            nodes.append(node)
            continue
        stem = f"{next(filter(None, node.output))}//"
        directions = 1
        for attribute in node.attribute:
            if attribute.name == "direction" and attribute.s == b"bidirectional":
                directions = 2
        nodes.append(helper.make_node("Constant", [], [f"{stem}shape"], value_ints=[directions, 1, -1]))
        inputs = list(node.input)
        for place, (scale, zero) in {1: (8, 9), 2: (10, 11)}.items():
            made = [f"{stem}{place}{letter}" for letter in "abcdefg"]
            steps = [
                ("Cast", [inputs[place]], {"to": TensorProto.FLOAT}),
                ("Cast", [inputs[zero]], {"to": TensorProto.FLOAT}),
                ("Reshape", [made[1], f"{stem}shape"], {}),
                ("Sub", [made[0], made[2]], {}),
                ("Reshape", [inputs[scale], f"{stem}shape"], {}),
                ("Mul", [made[3], made[4]], {}),
                ("Transpose", [made[5]], {"perm": [0, 2, 1]}),
            ]
            nodes += [
                helper.make_node(op, read, [name], **settings)
                for (op, read, settings), name in zip(steps, made, strict=True)
            ]
            inputs[place] = made[-1]
        plain = helper.make_node("LSTM", inputs[:8], list(node.output), name=node.name)
        plain.attribute.extend(node.attribute)
        nodes.append(plain)
    return _replaced(model, nodes)


def _deviations(model: Any) -> bool:
    """Write every MeanVarianceNormalization out; returns whether there was one."""
    from onnx import TensorProto, helper

    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    nodes: list[Any] = []
    for node in model.graph.node:
        if node.op_type != "MeanVarianceNormalization" or node.domain not in ("", "ai.onnx"):
            nodes.append(node)
            continue
        (x,), (made,) = node.input, node.output
        axes = next((list(one.ints) for one in node.attribute if one.name == "axes"), [0, 2, 3])
        stem = f"{made}//"
        # Axes became an input in opset 18.
        more, settings = ([f"{stem}axes"], {}) if opset >= 18 else ([], {"axes": axes})
        # The type of a float16 model is not known here; before CastLike, ONNX Runtime takes float32 alone.
        back = ("CastLike", [f"{stem}y", x]) if opset >= 15 else ("Identity", [f"{stem}y"])
        nodes += [
            helper.make_node("Constant", [], [f"{stem}axes"], value=helper.make_tensor("", 7, [len(axes)], axes)),
            helper.make_node("Constant", [], [f"{stem}epsilon"], value=helper.make_tensor("", 1, [], [1e-9])),
            helper.make_node("Cast", [x], [f"{stem}x"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", [f"{stem}x", *more], [f"{stem}mean"], **settings),
            helper.make_node("Sub", [f"{stem}x", f"{stem}mean"], [f"{stem}centred"]),
            helper.make_node("Mul", [f"{stem}centred", f"{stem}centred"], [f"{stem}square"]),
            helper.make_node("ReduceMean", [f"{stem}square", *more], [f"{stem}variance"], **settings),
            helper.make_node("Sqrt", [f"{stem}variance"], [f"{stem}deviation"]),
            helper.make_node("Add", [f"{stem}deviation", f"{stem}epsilon"], [f"{stem}divisor"]),
            helper.make_node("Div", [f"{stem}centred", f"{stem}divisor"], [f"{stem}y"]),
            helper.make_node(*back, [made]),
        ]
    return _replaced(model, nodes)

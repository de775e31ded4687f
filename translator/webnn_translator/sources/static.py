"""A static embedding in a folder -> an ONNX file: rows of a table, the mean of those of a text, and what follows.

Needs no torch: weights are copied from safetensors as they lie there. The file has the inputs and the output of a
sentence encoder, so that everything after it treats the model like any other.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from webnn_runtime.embed.configuration import expect, read_object
from webnn_runtime.embed.modules import SENTENCE_TRANSFORMERS, first_module, read_stages_after
from webnn_runtime.embed.stages import Dense, LayerNorm, Normalize, Stage
from webnn_runtime.embed.static import StaticModel, find_static
from webnn_runtime.format.errors import EmbedError, HubError
from webnn_runtime.format.file_hashes import file_sha256
from webnn_runtime.format.safetensors import Safetensors, open_safetensors

__all__ = ["WEIGHTS", "StaticModel", "find_static", "write_static"]

WEIGHTS: Final = "model.safetensors"
_OPSET: Final = 18
_IR: Final = 10
_TABLES: Final = ("embedding.weight", "embeddings")
# Small enough to be read at once while a table of any size is copied.
_BLOCK: Final = 1 << 22
_SMALLEST_NORM: Final = 1e-12
_LAYER_NORM_EPSILON: Final = 1e-5
_FLOATS: Final = {"F16": "float16", "F32": "float32", "F64": "float64"}
_WHOLE: Final = {"I8": "int8", "I32": "int32", "I64": "int64"}
_ACTIVATIONS: Final = {"Tanh": "Tanh", "ReLU": "Relu", "Sigmoid": "Sigmoid", "GELU": "Gelu"}


@dataclass
class _Writer:
    """Nodes and tensors of the file; what is large goes to the file beside it."""

    data: Any
    location: str
    nodes: list[Any] = field(default_factory=list)
    tensors: list[Any] = field(default_factory=list)

    def node(self, kind: str, *inputs: str, name: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, name: str, values: npt.ArrayLike) -> str:
        from onnx import numpy_helper

        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def table(self, name: str, raw: memoryview, kind: str, shape: tuple[int, ...]) -> str:
        """A tensor with its values in the file beside the model, copied block by block."""
        from onnx import TensorProto, external_data_helper, helper

        start = self.data.tell()
        for at in range(0, len(raw), _BLOCK):
            self.data.write(raw[at : at + _BLOCK])
        tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(np.dtype(kind)), dims=shape)
        # The helper only writes a location to tensors that hold values.
        tensor.raw_data = b""
        external_data_helper.set_external_data(tensor, self.location, offset=start, length=len(raw))
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        self.tensors.append(tensor)
        return name


def write_static(static: StaticModel, root: Path, out: Path) -> dict[str, object]:
    """Write the static embedding of the folder `root` to `out`, with free batch and sequence.

    Returns:
        How it was made, for the manifest.

    Raises:
        HubError: its weights are missing or of a kind that is not known.
        EmbedError: its other files are malformed, or contradict one another.
        WeightsError: its weights are malformed.
    """
    path = Path(static.folder) / WEIGHTS
    if not path.is_file():
        raise HubError(
            f"{path}: missing; a static embedding has its weights there; save the model again with "
            f"{static.library}, which writes safetensors"
        )
    stages = _stages(static, root)
    source = open_safetensors(path)
    from onnx import TensorProto, helper, save

    beside = out.with_name(f"{out.name}.data")
    with beside.open("wb") as data:
        writer = _Writer(data, beside.name)
        size = _mean_of_rows(writer, source)
        vector = "mean"
        for number, stage in enumerate(stages, start=1):
            vector, size = _stage(writer, stage, vector, size, f"{type(stage).__name__.lower()}_{number}", str(root))
    writer.node("Identity", vector, name="sentence_embedding")
    axes = ["batch_size", "sequence_length"]
    graph = helper.make_graph(
        writer.nodes,
        "static_embedding",
        [helper.make_tensor_value_info(name, TensorProto.INT64, axes) for name in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, [axes[0], size])],
        writer.tensors,
    )
    opset = 20 if any(node.op_type == "Gelu" for node in writer.nodes) else _OPSET
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=_IR), out)
    return {
        "exporter": "webnn-convert (static embedding)",
        "weights": path.relative_to(root).as_posix(),
        "weightsSha256": file_sha256(path),
    }


def _stages(static: StaticModel, root: Path) -> tuple[Stage, ...]:
    """What follows the mean, which both libraries have to agree about where both can read the folder."""
    first = first_module(root)
    listed = read_stages_after(root) if first is not None and first[0] == "StaticEmbedding" else None
    if not static.config:
        return listed or ()
    normalizes = bool(expect(static.config, read_object(static.config), "normalize", bool, False))
    own: tuple[Stage, ...] = (Normalize(),) if normalizes else ()
    if listed is not None and listed != own:
        raise EmbedError(
            f"{static.config}: 'normalize' is {str(normalizes).lower()}, and the modules after StaticEmbedding in "
            f"modules.json are {', '.join(type(stage).__name__ for stage in listed) or 'none'}: model2vec and "
            f"{SENTENCE_TRANSFORMERS} would give other vectors; correct the one that is wrong"
        )
    return own


def _mean_of_rows(writer: _Writer, source: Safetensors) -> int:
    """The part that every static embedding has; the number of its features."""
    name = next((each for each in _TABLES if each in source.entries), None)
    known = {*_TABLES, "mapping", "weights"}
    if name is None or not known.issuperset(source.entries):
        odd = sorted(source.entries.keys() - known)
        raise HubError(
            f"{source.path}: holds {', '.join(sorted(source.entries)) or 'nothing'}; expected "
            f"{' or '.join(_TABLES)}, and of model2vec also 'mapping' and 'weights'"
            f"{f', and not {odd[0]!r}' if odd and name else ''}"
        )
    rows, size = _put_table(writer, source, name)
    tokens, count = "input_ids", rows
    if "mapping" in source.entries:
        mapping = _vector(source, "mapping", _WHOLE)
        count = len(mapping)
        if not count or mapping.min() < 0 or mapping.max() >= rows:
            raise HubError(f"{source.path}: tensor 'mapping' names rows that the table of {rows} has not")
        tokens = writer.node("Gather", writer.constant("row_of_token", mapping.astype(np.int64)), tokens, name="rows")
    vectors = writer.node("Gather", "embeddings", tokens, name="vectors", axis=0)
    if source.entries[name].type != "F32":
        vectors = writer.node("Cast", vectors, name="float_vectors", to=1)
    mask = writer.node("Cast", "attention_mask", name="mask", to=1)
    share = mask
    if "weights" in source.entries:
        weights = _vector(source, "weights", _FLOATS)
        if len(weights) != count:
            raise HubError(f"{source.path}: tensor 'weights' has {len(weights)} numbers for {count} tokens")
        own = writer.node(
            "Gather", writer.constant("weight_of_token", weights.astype(np.float32)), "input_ids", name="weights"
        )
        share = writer.node("Mul", own, mask, name="weighted_mask")
    share = writer.node("Unsqueeze", share, writer.constant("last", np.array([2])), name="shares")
    weighted = writer.node("Mul", vectors, share, name="weighted")
    along = writer.constant("along", np.array([1]))
    total = writer.node("ReduceSum", weighted, along, name="total", keepdims=0)
    tally = writer.node("ReduceSum", mask, along, name="tokens", keepdims=1)
    # A text without tokens has the mean 0, as in both libraries.
    tally = writer.node("Max", tally, writer.constant("one", np.float32(1)), name="tokens_or_one")
    writer.node("Div", total, tally, name="mean")
    return size


def _put_table(writer: _Writer, source: Safetensors, name: str) -> tuple[int, int]:
    entry = source.entries[name]
    if len(entry.shape) != 2 or 0 in entry.shape or entry.type not in ("F16", "F32", "BF16", "I8"):
        raise HubError(
            f"{source.path}: tensor '{name}' is {entry.type}{list(entry.shape)}; expected a table [tokens, features] "
            "of float32, float16, bfloat16 or int8"
        )
    raw = source.data[entry.start : entry.end]
    kind = {"F16": "float16", "I8": "int8"}.get(entry.type, "float32")
    if entry.type == "BF16":
        raw = memoryview((np.frombuffer(raw, "<u2").astype("<u4") << 16).tobytes())
    if kind != "int8":
        values = np.frombuffer(raw, np.dtype(kind).newbyteorder("<"))
        if not all(np.isfinite(values[at : at + _BLOCK]).all() for at in range(0, len(values), _BLOCK)):
            raise HubError(f"{source.path}: tensor '{name}' holds values that are not finite")
    writer.table("embeddings", raw, kind, entry.shape)
    rows, size = entry.shape
    return rows, size


def _vector(source: Safetensors, name: str, kinds: dict[str, str]) -> npt.NDArray[Any]:
    entry = source.entries[name]
    if len(entry.shape) != 1 or entry.type not in kinds:
        raise HubError(
            f"{source.path}: tensor '{name}' is {entry.type}{list(entry.shape)}; expected a number for each token, "
            f"one of {', '.join(kinds.values())}"
        )
    values = np.frombuffer(source.data[entry.start : entry.end], np.dtype(kinds[entry.type]).newbyteorder("<"))
    if not np.isfinite(values).all():
        raise HubError(f"{source.path}: tensor '{name}' holds values that are not finite")
    return values


def _stage(writer: _Writer, stage: Stage, vector: str, size: int, name: str, root: str) -> tuple[str, int]:
    """One module after the mean: what gives its result, and of how many features."""
    if stage.in_features not in (None, size):
        raise EmbedError(
            f"{os.path.join(root, 'modules.json')}: module '{type(stage).__name__}' expects {stage.in_features} "
            f"features and gets {size}"
        )
    if isinstance(stage, Normalize):
        norm = writer.node("ReduceL2", vector, writer.constant(f"{name}_axes", np.array([1])), name=f"{name}_length")
        least = writer.constant(f"{name}_least", np.float32(_SMALLEST_NORM))
        return writer.node("Div", vector, writer.node("Max", norm, least, name=f"{name}_divisor"), name=name), size
    if isinstance(stage, LayerNorm):
        scale, bias = (writer.constant(f"{name}_{part}", getattr(stage, part)) for part in ("weight", "bias"))
        node = writer.node("LayerNormalization", vector, scale, bias, name=name, epsilon=_LAYER_NORM_EPSILON)
        return node, size
    assert isinstance(stage, Dense)
    return _dense(writer, stage, vector, name), stage.out_features


def _dense(writer: _Writer, stage: Dense, vector: str, name: str) -> str:
    result = writer.node("MatMul", vector, writer.constant(f"{name}_weight", stage.weight.T), name=f"{name}_product")
    if stage.bias is not None:
        result = writer.node("Add", result, writer.constant(f"{name}_bias", stage.bias), name=f"{name}_sum")
    if stage.activation == "SiLU":
        result = writer.node("Mul", result, writer.node("Sigmoid", result, name=f"{name}_gate"), name=f"{name}_silu")
    elif stage.activation != "Identity":
        result = writer.node(_ACTIVATIONS[stage.activation], result, name=f"{name}_activation")
    if stage.residual is None:
        return result
    kept = vector
    if isinstance(stage.residual, np.ndarray):
        kept = writer.node(
            "MatMul", vector, writer.constant(f"{name}_residual_weight", stage.residual.T), name=f"{name}_residual"
        )
    return writer.node("Add", result, kept, name=name)

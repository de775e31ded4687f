"""Operators of ai.onnx.ml that replace numbers by others: codes of categories, and what stands for missing values."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx

from webnn_runtime.format.graph import Array
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula
from webnn_translator.ops.layout import reshape_to
from webnn_translator.ops.shape import convert
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []

_DOMAIN: Final = "ai.onnx.ml"
_TEXT: Final = "it works on text, and WebNN has numbers only; give it the codes of the categories"


@onnx_op(
    "Imputer",
    domain=_DOMAIN,
    attributes=(*("imputed_value_floats", "imputed_value_int64s", "replaced_value_float", "replaced_value_int64"),),
)
def imputer(ctx: Context, node: OnnxNode) -> Tensor:
    """One value, NaN as a rule, replaced by another, or by one of its own for each column."""
    x = node.input(0)
    f = Formula(ctx, x.elem)
    if x.elem.is_float:
        numbers, lacking = node.numbers("imputed_value_floats"), node.number("replaced_value_float", 0.0)
        node.ignore("imputed_value_int64s", "replaced_value_int64")
        missing = f("isNaN", x) if np.isnan(lacking) else f("equal", x, lacking)
        values = np.asarray(numbers, x.elem.numpy)
    else:
        values = np.asarray(node.integers("imputed_value_int64s"), x.elem.numpy)
        missing = f("equal", x, node.integer("replaced_value_int64", 0))
        node.ignore("imputed_value_floats", "replaced_value_float")
    if values.size != 1 and not (x.rank and ctx.same(x.shape[-1], values.size)):
        raise Refused(f"{values.size} values for the columns of {x}; one, or one for each is needed")
    return f("where", missing, ctx.known(values.reshape(()) if values.size == 1 else values, x.elem), x)


@onnx_op("OneHotEncoder", domain=_DOMAIN, attributes=("cats_int64s", "cats_strings", "zeros"))
def one_hot_encoder(ctx: Context, node: OnnxNode) -> Tensor:
    """1 at the place of the category, 0 elsewhere; without a place for it, all are 0."""
    # Where others than the known ones are an error, ONNX has no result either.
    node.ignore("zeros")
    if node.attributes.get("cats_strings"):
        raise Refused(_TEXT)
    codes = np.asarray(node.integers("cats_int64s"), np.int64)
    x = convert(ctx, node.input(0), Elem.INT64)
    same = Formula(ctx, Elem.INT64)("equal", reshape_to(ctx, x, (*x.shape, 1)), ctx.known(codes))
    return convert(ctx, same, Elem.FLOAT)


_CODES: Final = (
    *(f"{what}_{kind}" for what in ("keys", "values") for kind in ("floats", "int64s", "strings", "tensor")),
    *("default_float", "default_int64", "default_string", "default_tensor"),
)


@onnx_op("LabelEncoder", domain=_DOMAIN, since=2, attributes=_CODES)
def label_encoder_before_4(ctx: Context, node: OnnxNode) -> Tensor:
    """Each key replaced by its value, and everything else by the default; NaN is no key."""
    return _encoded(ctx, node, gaps=False)


@onnx_op("LabelEncoder", domain=_DOMAIN, since=4, attributes=_CODES)
def label_encoder(ctx: Context, node: OnnxNode) -> Tensor:
    """Each key, NaN as well, replaced by its value, and everything else by the default."""
    return _encoded(ctx, node, gaps=True)


def _encoded(ctx: Context, node: OnnxNode, *, gaps: bool) -> Tensor:
    x, keys, values = node.input(0), _listed(node, "keys"), _listed(node, "values")
    if keys.size != values.size or not keys.size:
        raise Refused(f"{keys.size} keys for {values.size} values; the model is not valid")
    if Elem.from_numpy(keys.dtype) is not x.elem:
        raise Refused(f"keys of type {Elem.from_numpy(keys.dtype).text} for {x}; the model is not valid")
    elem = Elem.from_numpy(values.dtype)
    f = Formula(ctx, x.elem)
    wide = reshape_to(ctx, x, (*x.shape, 1))
    same = f("equal", wide, ctx.known(keys))
    if gaps and x.elem.is_float and np.isnan(keys).any():
        same = f("logicalOr", same, f("logicalAnd", f("isNaN", wide), ctx.known(np.isnan(keys))))
    found = convert(ctx, same, Elem.INT32)
    # The first of equal keys counts, as in ONNX Runtime.
    place = ctx.computed(
        Elem.INT64, "argMax", ctx.full(found), axis=x.rank, keepDimensions=False, outputDataType="int64"
    )
    known = f("greater", f.reduce("reduceMax", found, (x.rank,)), ctx.scalar(0, Elem.INT32))
    picked = ctx.computed(elem, "gather", ctx.value(ctx.known(values, elem)), ctx.full(place), axis=0)
    return f("where", known, picked, ctx.known(_default(node, values), elem))


@onnx_op("FeatureVectorizer", domain=_DOMAIN, attributes=("inputdimensions",))
def feature_vectorizer(ctx: Context, node: OnnxNode) -> Tensor:
    """The columns of all inputs beside one another, as floats."""
    sizes, parts = node.integers("inputdimensions"), []
    for x, size in zip(node.operands, sizes, strict=True):
        if x.rank != 2 or not ctx.same(x.shape[1], size):
            raise Refused(f"{x} for {size} columns; the model is not valid")
        parts.append(ctx.full(convert(ctx, x, Elem.FLOAT)))
    return ctx.tensor(ctx.emit.concat(parts, 1), Elem.FLOAT)


def _listed(node: OnnxNode, what: str) -> Array:
    if node.attributes.get(f"{what}_strings"):
        raise Refused(_TEXT)
    if node.has(f"{what}_floats"):
        return np.asarray(node.numbers(f"{what}_floats"), np.float32)
    if node.has(f"{what}_tensor"):
        return _tensor(node, f"{what}_tensor")
    return np.asarray(node.integers(f"{what}_int64s"), np.int64)


def _tensor(node: OnnxNode, name: str) -> Array:
    array: Array = onnx.numpy_helper.to_array(node.attributes[name])
    if array.dtype.kind not in "fi":
        raise Refused(_TEXT)
    return array.reshape(-1)


def _default(node: OnnxNode, values: Array) -> Array:
    numbers = {"f": node.number("default_float", -0.0), "i": node.integer("default_int64", -1)}
    node.ignore("default_string")
    if node.has("default_tensor"):
        return _tensor(node, "default_tensor").reshape(())
    return np.asarray(numbers[values.dtype.kind], values.dtype)

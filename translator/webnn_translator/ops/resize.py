"""Resize and Upsample: each axis apart, as a sum of a few gathered neighbours with constant weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from webnn_runtime.format.dims import Dim, SymbolicDim, bounds
from webnn_runtime.format.graph import Array
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula
from webnn_translator.ops.layout import expand_to, reshape_to
from webnn_translator.ops.resize_free import sampled_free
from webnn_translator.ops.resize_rule import MOST_PARTS, RATIO, Axis, Rule
from webnn_translator.registry import onnx_op
from webnn_translator.scaled_dims import scaled_floor
from webnn_translator.tensor import Tensor

__all__: list[str] = []

# Antialiasing when shrinking by s looks at 2 s or 4 s neighbours; each is three nodes.
_MOST_NEIGHBOURS: Final = 64


@onnx_op("Upsample", since=7)
def upsample_before_9(ctx: Context, node: OnnxNode) -> Tensor:
    """Scales are an attribute; positions are divided by them, and nearest rounds down."""
    return _resize_before_11(ctx, node, np.asarray(node.numbers("scales"), np.float32), "floor")


@onnx_op("Upsample", since=9)
def upsample(ctx: Context, node: OnnxNode) -> Tensor:
    """Scales are an input."""
    return _resize_before_11(ctx, node, ctx.constant(node.input(1), "the scales"), "floor")


@onnx_op("Resize", since=10)
def resize_before_11(ctx: Context, node: OnnxNode) -> Tensor:
    """The same, also smaller."""
    return _resize_before_11(ctx, node, ctx.constant(node.input(1), "the scales"), "simple")


def _resize_before_11(ctx: Context, node: OnnxNode, scales: Array, rounding: str) -> Tensor:
    x = node.input(0)
    rule = Rule(node.choice("mode", "nearest", "nearest", "linear"), "asymmetric", rounding)
    return _resized(ctx, x, _by_scales(ctx, x, range(x.rank), scales), rule)


@onnx_op("Resize", since=11)
def resize(ctx: Context, node: OnnxNode) -> Tensor:
    """By scales or to sizes, in any of ONNX's coordinates."""
    x = node.input(0)
    roi, scales, sizes = (node.optional(index) for index in (1, 2, 3))
    axes = ctx.axes(node.integers("axes", tuple(range(x.rank))), x.rank)
    coordinates = node.text("coordinate_transformation_mode", "half_pixel")
    mode = node.choice("mode", "nearest", "nearest", "linear", "cubic")
    policy = node.choice("keep_aspect_ratio_policy", "stretch", "stretch", "not_larger", "not_smaller")
    crops = {}
    if coordinates == "tf_crop_and_resize":
        if roi is None:
            raise Refused("tf_crop_and_resize without a roi; the model is not valid")
        numbers = [float(number) for number in ctx.constant(roi, "the roi").reshape(-1)]
        if len(numbers) != 2 * len(axes):
            raise Refused(f"the roi has {len(numbers)} numbers for {len(axes)} axes; the model is not valid")
        crops = dict(zip(axes, zip(numbers[: len(axes)], numbers[len(axes) :], strict=True), strict=True))
    rule = Rule(
        mode,
        coordinates,
        node.choice("nearest_mode", "round_prefer_floor", "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
        node.number("cubic_coeff_a", -0.75),
        node.flag("antialias", 0),
        node.flag("exclude_outside", 0),
        node.number("extrapolation_value", 0.0),
        crops,
    )
    if rule.antialias and mode == "nearest":
        raise Refused("antialias with mode nearest; the model is not valid")
    if sizes is not None and sizes.shape != (0,):
        plan = _by_sizes(ctx, x, axes, ctx.dims(sizes, "the sizes"), policy)
    elif scales is not None and scales.shape != (0,):
        plan = _by_scales(ctx, x, axes, ctx.constant(scales, "the scales"))
    else:
        raise Refused("neither scales nor sizes are given; the model is not valid")
    return _resized(ctx, x, plan, rule)


def _by_scales(ctx: Context, x: Tensor, axes: Sequence[int], scales: Array) -> dict[int, Axis]:
    if scales.size != len(axes) or not (scales > 0).all():
        raise Refused(f"scales {scales.tolist()} for {len(axes)} axes; the model is not valid")
    plan = {}
    for axis, scale in zip(axes, scales.reshape(-1), strict=True):
        dim = x.shape[axis]
        if scale == int(scale):
            plan[axis] = Axis(dim, dim * int(scale), float(scale))
            continue
        numerator, denominator = float(scale).as_integer_ratio()
        if isinstance(dim, SymbolicDim) and denominator <= MOST_PARTS:
            # No rounding: their product is a float32 up to sizes of 2 ** 18.
            plan[axis] = Axis(dim, dim * numerator // denominator, float(scale))
            continue
        if isinstance(dim, SymbolicDim):
            plan[axis] = Axis(dim, scaled_floor(ctx, dim, float(scale)), float(scale))
            continue
        size = dim
        wanted = {int(np.floor(np.float32(size) * np.float32(scale))), int(np.floor(size * float(scale)))}
        if len(wanted) > 1:
            raise Refused(
                f"{size} times {scale} is {min(wanted)} or {max(wanted)}, by how it is rounded; export with the size"
                " that is meant instead of the scale, as interpolate(x, size=...) does"
            )
        plan[axis] = Axis(size, wanted.pop(), float(scale))
    return plan


def _by_sizes(ctx: Context, x: Tensor, axes: Sequence[int], sizes: Sequence[Dim], policy: str) -> dict[int, Axis]:
    if len(sizes) != len(axes):
        raise Refused(f"{len(sizes)} sizes for {len(axes)} axes; the model is not valid")
    if policy != "stretch":
        return _keeping_ratio(ctx, x, axes, sizes, policy)
    plan = {}
    for axis, wanted in zip(axes, sizes, strict=True):
        dim = x.shape[axis]
        factor = wanted // dim if isinstance(dim, SymbolicDim) else 0
        if isinstance(factor, int) and factor and dim * factor == wanted:
            plan[axis] = Axis(dim, wanted, float(factor))
            continue
        scale = wanted / dim if isinstance(dim, int) and isinstance(wanted, int) else RATIO
        plan[axis] = Axis(dim, wanted, scale)
    return plan


def _keeping_ratio(ctx: Context, x: Tensor, axes: Sequence[int], sizes: Sequence[Dim], policy: str) -> dict[int, Axis]:
    """One scale for all axes: the smallest or the largest that the sizes ask for."""
    dims = [ctx.size(x.shape[axis], "a resized dimension") for axis in axes]
    goals = [ctx.size(size, "a size") for size in sizes]
    ratios = [goal / dim for goal, dim in zip(goals, dims, strict=True)]
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    plan = {}
    for axis, dim in zip(axes, dims, strict=True):
        wanted = {int(scale * dim + 0.5), int(np.float32(scale) * np.float32(dim) + np.float32(0.5))}
        if len(wanted) > 1:
            raise Refused(f"{dim} times {scale} ends on a half: its rounding is not certain")
        plan[axis] = Axis(dim, wanted.pop(), scale)
    return plan


def _resized(ctx: Context, x: Tensor, plan: dict[int, Axis], rule: Rule) -> Tensor:
    plan = {
        axis: change
        for axis, change in plan.items()
        if change.scale != 1 or change.wanted != change.size or rule.crops.get(axis, (0.0, 1.0)) != (0.0, 1.0)
    }
    if any(change.wanted == 0 for change in plan.values()):
        raise Refused("a size is 0; WebNN has no empty tensors")
    if rule.mode != "nearest" and not x.elem.is_float and plan:
        raise Refused(f"mode {rule.mode} of {x.elem.text}: how the result is rounded is not defined")
    if rule.coordinates != "tf_crop_and_resize":
        # A single element is all there is to take from, wherever a position lies.
        lone = [axis for axis, change in plan.items() if change.size == 1]
        x = expand_to(ctx, x, [plan.pop(axis).wanted if axis in lone else dim for axis, dim in enumerate(x.shape)])
    native = _native(ctx, x, plan, rule)
    if native is not None:
        return native
    for axis, change in sorted(plan.items()):
        factor = change.whole_factor
        if rule.mode == "nearest" and factor and _rounds_down(rule):
            x = _repeated(ctx, x, axis, factor)
        elif change.is_free:
            x = sampled_free(ctx, x, axis, change, rule)
        else:
            x = _sampled(ctx, x, axis, change, rule)
    return x


def _native(ctx: Context, x: Tensor, plan: dict[int, Axis], rule: Rule) -> Tensor | None:
    """WebNN's own resampling: linear between the centres of pixels, along two axes."""
    is_half_pixel = rule.coordinates in ("half_pixel", "pytorch_half_pixel")
    is_plain = rule.mode == "linear" and not (rule.antialias or rule.exclude_outside) and is_half_pixel
    # WebNN takes the ratio of the sizes for the scale.
    exact = all(
        change.whole_factor
        or change.scale == RATIO
        or (isinstance(change.size, int) and _is_whole(change.wanted, change.size * change.scale))
        for change in plan.values()
    )
    if not is_plain or not exact or x.rank != 4 or len(plan) > 2 or not plan:
        return None
    # The two are the same but for a result of size 1.
    if rule.coordinates == "pytorch_half_pixel" and not all(_above_one(ctx, one.wanted) for one in plan.values()):
        return None
    axes = sorted(plan)
    for axis in (3, 2):
        if len(axes) < 2 and axis not in axes:
            axes = sorted([*axes, axis])
    sizes = tuple(plan[axis].wanted if axis in plan else x.shape[axis] for axis in axes)
    return ctx.computed(x.elem, "resample2d", ctx.full(x), mode="linear", sizes=sizes, axes=tuple(axes))


def _is_whole(wanted: Dim, scaled: float) -> bool:
    """Whether a size is what the scale makes it; scales come as float32, so but for the last digit."""
    return isinstance(wanted, int) and abs(wanted - scaled) <= 1e-6 * wanted


def _above_one(ctx: Context, dim: Dim) -> bool:
    why = "Resize to a single pixel takes another position in pytorch_half_pixel"
    return dim > 1 if isinstance(dim, int) else bounds(dim, ctx.ranges)[0] > 1 or ctx.demand(dim, 2, why)


def _rounds_down(rule: Rule) -> bool:
    """Whether every output of a whole factor k takes element floor(o / k)."""
    if rule.coordinates == "asymmetric":
        return rule.rounding in ("floor", "simple")
    # (o + 0.5) / k - 0.5 lies within half an element of floor(o / k), and reaches the half only downwards.
    half_pixel = ("half_pixel", "half_pixel_symmetric")
    return rule.coordinates in half_pixel and rule.rounding == "round_prefer_floor"


def _repeated(ctx: Context, x: Tensor, axis: int, factor: int) -> Tensor:
    before, dim, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    wide = reshape_to(ctx, x, (*before, dim, 1, *after))
    spread = ctx.emit.expand(ctx.full(wide), (*before, dim, factor, *after))
    return ctx.tensor(ctx.emit.reshape(spread, (*before, dim * factor, *after)), x.elem)


def _sampled(ctx: Context, x: Tensor, axis: int, change: Axis, rule: Rule) -> Tensor:
    """One axis of a known size."""
    size, wanted = ctx.size(change.size, "a size"), ctx.size(change.wanted, "a size")
    exact: Array = _sources(np.float64, size, wanted, change.scale, rule, axis)
    single: Array = _sources(np.float32, size, wanted, change.scale, rule, axis)
    outside = None
    if rule.coordinates == "tf_crop_and_resize":
        outside = (exact < 0) | (exact > size - 1)
        if not np.array_equal(outside, (single < 0) | (single > size - 1)):
            raise Refused("a position lies on the edge of the data but for rounding: it may be extrapolated or not")
    if rule.mode == "nearest":
        # In float32, as ONNX Runtime has it, and as of free sizes: 9 / 0.6 is a little less than 15 there.
        places = _nearest(single.astype(np.float64), change.scale, rule.rounding)
        made = _picked(ctx, x, axis, np.clip(places, 0, size - 1))
    else:
        made = _weighted(ctx, x, axis, *_neighbours(exact, size, change.scale, rule))
    if outside is None or not outside.any():
        return made
    shape = [wanted if k == axis else 1 for k in range(x.rank)]
    f = Formula(ctx, x.elem)
    return f("where", ctx.known(outside.reshape(shape), Elem.BOOL), ctx.scalar(rule.extrapolation, x.elem), made)


def _sources(kind: Any, size: int, wanted: int, scale: float, rule: Rule, axis: int) -> Any:
    """For each position of the result, the position in the data; computed in `kind` as runtimes do."""
    at = np.arange(wanted).astype(kind)
    is_exact = _is_whole(wanted, size * scale)
    scale, one, half = kind(scale), kind(1), kind(0.5)
    if rule.coordinates == "pytorch_half_pixel":
        is_exact = is_exact or wanted > 1
    if rule.coordinates in ("align_corners", "tf_crop_and_resize", "pytorch_half_pixel") and not is_exact:
        # ONNX takes the size before rounding here, ONNX Runtime the one after it.
        raise Refused(
            f"{size} is scaled by {scale}, which is no whole size; {rule.coordinates} is read in two ways then"
        )
    if rule.coordinates == "align_corners":
        return at * kind(size - 1) / kind(wanted - 1) if wanted > 1 else at * 0
    if rule.coordinates == "asymmetric":
        return at / scale
    if rule.coordinates == "tf_half_pixel_for_nn":
        return (at + half) / scale
    if rule.coordinates == "tf_crop_and_resize":
        begin, end = (kind(number) for number in rule.crops.get(axis, (0.0, 1.0)))
        if wanted > 1:
            return begin * kind(size - 1) + at * (end - begin) * kind(size - 1) / kind(wanted - 1)
        # ONNX and ONNX Runtime differ by half the begin here; they agree on a crop that begins at 0.
        if begin != 0:
            raise Refused("a crop to a single element is read in two ways where it does not begin at 0")
        return at + half * (begin + end) * kind(size - 1)
    if rule.coordinates == "pytorch_half_pixel":
        if wanted > 1:
            return (at + half) / scale - half
        # ONNX says -0.5, PyTorch and ONNX Runtime 0: both are the first element, but for a cubic.
        if rule.mode == "cubic" or rule.antialias or size == 1:
            raise Refused("pytorch_half_pixel to a single element is read in two ways")
        return at * 0
    if rule.coordinates == "half_pixel":
        return (at + half) / scale - half
    if rule.coordinates == "half_pixel_symmetric":
        adjustment = kind(wanted) / (scale * kind(size))
        return kind(size) / 2 * (one - adjustment) + (at + half) / scale - half
    raise Refused(f"coordinates '{rule.coordinates}' are not ONNX's; the model is not valid")


def _nearest(sources: Array, scale: float, rounding: str) -> Array:
    if rounding == "simple":
        # Version 10 does not say which; ONNX Runtime rounds up when shrinking.
        if scale < 1 and (sources != np.floor(sources)).any():
            raise Refused("version 10 does not say which element is nearest when shrinking")
        rounding = "floor"
    if rounding == "round_prefer_floor":
        return np.ceil(sources - 0.5).astype(np.int64)
    if rounding == "round_prefer_ceil":
        return np.floor(sources + 0.5).astype(np.int64)
    return (np.floor(sources) if rounding == "floor" else np.ceil(sources)).astype(np.int64)


def _neighbours(sources: Array, size: int, scale: float, rule: Rule) -> tuple[Array, Array]:
    """Places and weights, [result, neighbours] each."""
    shrink = min(scale, 1.0) if rule.antialias else 1.0
    support = (1.0 if rule.mode == "linear" else 2.0) / shrink
    count = int(np.ceil(2 * support))
    if count > _MOST_NEIGHBOURS:
        raise Refused(f"antialias looks at {count} neighbours; at most {_MOST_NEIGHBOURS}")
    # Without widening: the element at or before the position, and as many on both sides as the curve reaches.
    first = np.floor(sources - support).astype(np.int64) + 1
    places = first[:, None] + np.arange(count)
    distance = np.abs(places - sources[:, None]) * shrink
    if rule.mode == "linear":
        weights = np.maximum(0.0, 1 - distance)
    else:
        a = rule.cubic
        near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
        far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
        weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
    if rule.exclude_outside:
        weights = np.where((places < 0) | (places >= size), 0.0, weights)
    if rule.exclude_outside or rule.antialias:
        weights = weights / weights.sum(axis=1, keepdims=True)
    return np.clip(places, 0, size - 1), weights


def _weighted(ctx: Context, x: Tensor, axis: int, places: Array, weights: Array) -> Tensor:
    f = Formula(ctx, x.elem)
    shape = [-1 if k == axis else 1 for k in range(x.rank)]
    terms = []
    for k in range(places.shape[1]):
        if not weights[:, k].any():
            continue
        share = ctx.known(weights[:, k].astype(x.elem.numpy).reshape(shape), x.elem)
        terms.append(f("mul", _picked(ctx, x, axis, places[:, k]), share))
    return f.sum(*terms)


def _picked(ctx: Context, x: Tensor, axis: int, places: Array) -> Tensor:
    if np.array_equal(places, np.arange(len(places))) and x.shape[axis] == len(places):
        return x
    picks = ctx.emit.constant(places.astype(np.int64), ctx.carrier(Elem.INT64), "places")
    return ctx.computed(x.elem, "gather", ctx.full(x), picks, axis=axis)

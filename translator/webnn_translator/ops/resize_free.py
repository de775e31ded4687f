"""Resizing an axis whose sizes the run decides: places and weights are computed in the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from webnn_runtime.format.dims import Dim, bounds, names_of
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.ops.formula import Formula, Term, positions
from webnn_translator.ops.layout import reshape_to
from webnn_translator.ops.resize_rule import RATIO, Axis, Rule
from webnn_translator.ops.shape import convert
from webnn_translator.tensor import Tensor

__all__ = ["sampled_free"]

# With tf_half_pixel_for_nn, those that leave an axis alone that keeps its size.
_STILL: Final = (("nearest", "floor"), ("nearest", "round_prefer_floor"))
_SINGLE: Final = "a Resize to a single pixel in pytorch_half_pixel is read in two ways"


def sampled_free(ctx: Context, x: Tensor, axis: int, change: Axis, rule: Rule) -> Tensor:
    """One axis of which the size before or after is free.

    Raises:
        Refused: the number of neighbours depends on the sizes, or ONNX and its runtimes differ.
    """
    names = sorted(names_of(change.size) | names_of(change.wanted))
    if rule.antialias:
        raise Refused(f"how many neighbours antialias looks at depends on {', '.join(names)}", names)
    if rule.coordinates == "tf_crop_and_resize":
        raise Refused(f"what tf_crop_and_resize looks at depends on {', '.join(names)}", names)
    if rule.coordinates == "tf_half_pixel_for_nn" and (rule.mode, rule.rounding) not in _STILL:
        # ONNX Runtime copies an axis that keeps its size; the coordinates shift it by half an element.
        raise Refused(
            f"tf_half_pixel_for_nn of an axis that may keep its size, {change.size}, is read in two ways", names
        )
    why = "a Resize would have no elements"
    if bounds(change.wanted, ctx.ranges)[0] < 1 and not ctx.demand(change.wanted, 1, why):
        raise Refused(f"a size is {change.wanted}, which may be 0; WebNN has no empty tensors", names)
    if rule.mode == "nearest":
        return _picked(ctx, x, axis, _nearest(ctx, change, rule))
    place = _place(ctx, change, rule, names)
    reach = (0, 1) if rule.mode == "linear" else (-1, 0, 1, 2)
    shares = [place.share, _opposite(place)] if rule.mode == "linear" else _cubic(place, rule.cubic)
    if rule.mode == "linear":
        shares.reverse()
    if rule.exclude_outside:
        shares = _inside(place, reach, shares)
    f = Formula(ctx, x.elem)
    column: list[Dim] = [1] * x.rank
    column[axis] = change.wanted
    terms = []
    for step, share in zip(reach, shares, strict=True):
        weight = reshape_to(ctx, convert(ctx, share, x.elem), column)
        terms.append(f("mul", _picked(ctx, x, axis, place.at(step)), weight))
    return f.sum(*terms)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where each element of the result lies in the data.

    Attributes:
        ctx: of the translation.
        low: int64 [wanted], the element at or before the place; -1 where it lies before the data.
        share: float32 [wanted], how far it is from there to the next element, 0 to 1.
        last: int64 scalar, the last element there is.
    """

    ctx: Context
    low: Tensor
    share: Tensor
    last: Tensor

    def at(self, step: int) -> Tensor:
        """The element so many steps on, the outermost one beyond the data."""
        ints = Formula(self.ctx, Elem.INT64)
        return ints.clamp(ints("add", self.low, step) if step else self.low, 0, self.last)


def _fraction(change: Axis) -> tuple[int, int]:
    # A float32 is a fraction of whole numbers.
    return change.scale.as_integer_ratio()


def _is_exact(change: Axis) -> bool:
    """Whether the scale is the ratio of the sizes."""
    if change.scale == RATIO:
        return True
    numerator, denominator = _fraction(change)
    return change.wanted * denominator == change.size * numerator


def _require_exact(change: Axis, rule: Rule, names: Sequence[str]) -> None:
    if rule.coordinates in ("align_corners", "half_pixel_symmetric") and not _is_exact(change):
        # ONNX takes the size before rounding, ONNX Runtime the one after it.
        raise Refused(
            f"{rule.coordinates} of {change.size} scaled by {change.scale}, which need not be a whole size, is read in"
            " two ways",
            names,
        )


def _place(ctx: Context, change: Axis, rule: Rule, names: Sequence[str]) -> _Place:
    """The place is a quotient of whole numbers, and divided as such: exact for images of any size."""
    ints, f = Formula(ctx, Elem.INT64), Formula(ctx, Elem.FLOAT)
    out = positions(change.wanted, 0, 1)
    _require_exact(change, rule, names)
    size: Term
    wanted: Term
    if change.scale == RATIO:
        size, wanted = ints.size(change.size), ints.size(change.wanted)
    else:
        wanted, size = _fraction(change)
    if rule.coordinates == "align_corners":
        above = ints("mul", out, ints("sub", ints.size(change.size), 1))
        below: Term = ints("max", ints("sub", ints.size(change.wanted), 1), 1)
    elif rule.coordinates == "asymmetric":
        above, below = ints("mul", out, size), wanted
    elif rule.coordinates in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"):
        above = ints("sub", ints("mul", _odd(ints, out), size), wanted)
        below = ints("mul", wanted, 2)
        if rule.coordinates == "pytorch_half_pixel":
            above = _first_alone(ctx, above, change, rule, names)
    else:
        raise Refused(f"coordinates '{rule.coordinates}' are not ONNX's; the model is not valid")
    # No place lies a whole element before the data, so that adding one makes truncating round down.
    low = ints("sub", ints("div", ints("add", above, below), below), 1)
    rest = ints("sub", above, ints("mul", low, below))
    share = f("div", convert(ctx, rest, Elem.FLOAT), _float(ctx, below))
    return _Place(ctx, low, share, ints("sub", ints.size(change.size), 1))


def _odd(ints: Formula, out: Tensor) -> Tensor:
    return ints("add", ints("mul", out, 2), 1)


def _float(ctx: Context, term: Term) -> Term:
    return convert(ctx, term, Elem.FLOAT) if isinstance(term, Tensor) else term


def _above_one(ctx: Context, change: Axis) -> bool:
    """Whether the result has two elements or more; where the scale is no ratio of the sizes it is made so."""
    if bounds(change.wanted, ctx.ranges)[0] > 1:
        return True
    if _is_exact(change):
        return False
    # ONNX asks whether the size before rounding is above 1, runtimes the one after it.
    if ctx.demand(change.wanted, 2, _SINGLE):
        return True
    raise Refused(_SINGLE, sorted(names_of(change.wanted)))


def _first_alone(ctx: Context, above: Tensor, change: Axis, rule: Rule, names: Sequence[str]) -> Tensor:
    """Places in pytorch_half_pixel, where a result of one element is the first one of the data."""
    if _above_one(ctx, change):
        return above
    if rule.mode == "cubic":
        # ONNX says that it lies at -0.5, PyTorch and ONNX Runtime at 0.
        if ctx.demand(change.wanted, 2, _SINGLE):
            return above
        raise Refused(_SINGLE, names)
    ints = Formula(ctx, Elem.INT64)
    return ints("mul", above, ints("min", ints("sub", ints.size(change.wanted), 1), 1))


def _opposite(place: _Place) -> Tensor:
    return Formula(place.ctx, Elem.FLOAT)("sub", 1, place.share)


def _cubic(place: _Place, a: float) -> list[Tensor]:
    """Weights of the elements at -1, 0, 1 and 2 from the one at or before the place."""
    f = Formula(place.ctx, Elem.FLOAT)
    near, far = [a + 2, -(a + 3), 0, 1], [a, -5 * a, 8 * a, -4 * a]
    back = _opposite(place)
    return [
        f.polynomial(f("add", place.share, 1), far),
        f.polynomial(place.share, near),
        f.polynomial(back, near),
        f.polynomial(f("add", back, 1), far),
    ]


def _inside(place: _Place, reach: Sequence[int], shares: Sequence[Tensor]) -> list[Tensor]:
    """Weights of elements beyond the data are 0, and those of the others make 1 together."""
    ints, f = Formula(place.ctx, Elem.INT64), Formula(place.ctx, Elem.FLOAT)
    kept = []
    for step, share in zip(reach, shares, strict=True):
        at = ints("add", place.low, step)
        is_inside = ints("logicalAnd", ints("greaterOrEqual", at, 0), ints("lesserOrEqual", at, place.last))
        kept.append(f("where", is_inside, share, 0))
    total = f.sum(*kept)
    return [f("div", share, total) for share in kept]


def _nearest(ctx: Context, change: Axis, rule: Rule) -> Tensor:
    """The element that each one of the result is taken from, int64 [wanted]; in float32, as runtimes compute it."""
    f, ints = Formula(ctx, Elem.FLOAT), Formula(ctx, Elem.INT64)
    out = convert(ctx, positions(change.wanted, 0, 1), Elem.FLOAT)
    scale: Term = change.scale
    if change.scale == RATIO:
        scale = f("div", f.size(change.wanted), f.size(change.size))
    names = sorted(names_of(change.size) | names_of(change.wanted))
    _require_exact(change, rule, names)
    if rule.coordinates == "asymmetric":
        source = f("div", out, scale)
    elif rule.coordinates == "align_corners":
        below = f("max", f("sub", f.size(change.wanted), 1), 1)
        source = f("div", f("mul", out, f("sub", f.size(change.size), 1)), below)
    elif rule.coordinates == "tf_half_pixel_for_nn":
        source = f("div", f("add", out, 0.5), scale)
    else:
        source = f("sub", f("div", f("add", out, 0.5), scale), 0.5)
        if rule.coordinates == "pytorch_half_pixel" and not _above_one(ctx, change):
            source = f("mul", source, f("min", f("sub", f.size(change.wanted), 1), 1))
    rounding = rule.rounding
    if rounding == "simple":
        if not isinstance(scale, float) or scale < 1:
            raise Refused("version 10 does not say which element is nearest when shrinking")
        rounding = "floor"
    if rounding == "round_prefer_floor":
        source = f("ceil", f("sub", source, 0.5))
    elif rounding == "round_prefer_ceil":
        whole = f("floor", source)
        up = f("greaterOrEqual", f("sub", source, whole), 0.5)
        source = f("where", up, f("add", whole, 1), whole)
    else:
        source = f(rounding, source)
    last = ints("sub", ints.size(change.size), 1)
    return ints.clamp(convert(ctx, source, Elem.INT64), 0, last)


def _picked(ctx: Context, x: Tensor, axis: int, places: Tensor) -> Tensor:
    return ctx.computed(x.elem, "gather", ctx.full(x), ctx.full(places), axis=axis)

"""Valid calls made invalid in one way: each is refused when it is made, with the class that says what is wrong."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any, Final

import pytest
from call_sites import Call, Slot
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_calls import calls

from webnn_runtime.format.builder import GraphBuilder, Value
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import GraphError, OperandError, OptionError, ShapeError, UnknownOp
from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.ops import OPS, Option
from webnn_runtime.format.ops import kinds as k

EXAMPLES = settings.default.max_examples if settings.default else 40
for_each_operator = settings(max_examples=max(6, EXAMPLES // 8))
each_operator = pytest.mark.parametrize("op", OPS)


def make(call: Call, *extra: Value | None) -> tuple[Value, ...]:
    """The call on inputs of its types."""
    builder = GraphBuilder()
    operands = [
        None if slot is None else builder.input(f"x{place}", slot.type.dtype, slot.type.shape)
        for place, slot in enumerate((call.first, *call.others))
    ]
    return builder.op_many(call.op, *operands, *extra, **call.options)


def refused(call: Call, *classes: type[GraphError]) -> None:
    with pytest.raises(classes) as caught:
        make(call)
    assert type(caught.value) in classes
    assert caught.value.op == call.op


def with_slot(call: Call, place: int, slot: Slot | None) -> Call:
    slots = [call.first, *call.others]
    slots[place] = slot  # type: ignore[call-overload]  # the first one is always there
    assert slots[0] is not None
    return replace(call, first=slots[0], others=tuple(slots[1:]))


def present(call: Call) -> list[tuple[int, Slot]]:
    return [(place, slot) for place, slot in enumerate((call.first, *call.others)) if slot is not None]


def row_of(call: Call, place: int) -> Any:
    spec = OPS[call.op]
    return spec.operands[0] if spec.is_variadic else spec.operands[place]


@each_operator
@for_each_operator
@given(data=st.data())
def test_a_valid_call_is_taken(op: str, data: st.DataObject) -> None:
    assert make(data.draw(calls(op)))


@each_operator
@for_each_operator
@given(data=st.data())
def test_an_operand_of_another_type_is_refused(op: str, data: st.DataObject) -> None:
    call = data.draw(calls(op))
    place, slot = data.draw(st.sampled_from(present(call)))
    row = row_of(call, place)
    allowed = {call.first.type.dtype} if row.allowed is None else row.allowed | row.extra
    if row.same_as not in (None, OPS[op].operands[0].name):
        allowed = {slot.type.dtype}
    if row.variadic and place:
        allowed = {call.first.type.dtype}
    others = [dtype for dtype in DataType if dtype not in allowed]
    assume(others)
    kind = TensorType(data.draw(st.sampled_from(others)), slot.type.shape)
    refused(with_slot(call, place, Slot(kind)), OperandError)


@each_operator
@for_each_operator
@given(data=st.data())
def test_an_operand_of_another_rank_is_refused(op: str, data: st.DataObject) -> None:
    call = data.draw(calls(op))
    limited = [
        (place, slot) for place, slot in present(call) if any(n not in row_of(call, place).ranks for n in range(7))
    ]
    if not limited:
        assert all(row.ranks.low == 0 and row.ranks.high is None for row in OPS[op].operands[:1])
        return
    place, slot = data.draw(st.sampled_from(limited))
    rank = data.draw(st.sampled_from([n for n in range(7) if n not in row_of(call, place).ranks]))
    kind = slot.type.with_shape((slot.type.shape + (1,) * 7)[:rank])
    refused(with_slot(call, place, Slot(kind)), OperandError)


@each_operator
@for_each_operator
@given(data=st.data())
def test_a_missing_operand_is_refused(op: str, data: st.DataObject) -> None:
    call = data.draw(calls(op))
    required = [place for place, _ in present(call) if not row_of(call, place).optional]
    slots: list[Slot | None] = [call.first, *call.others]
    slots[data.draw(st.sampled_from(required))] = None
    builder = GraphBuilder()
    operands = [slot and builder.input(f"x{n}", slot.type.dtype, slot.type.shape) for n, slot in enumerate(slots)]
    with pytest.raises(OperandError, match=f"{op} lacks operand"):
        builder.op_many(op, *operands, **call.options)


@pytest.mark.parametrize("op", [name for name, spec in OPS.items() if not spec.is_variadic])
@for_each_operator
@given(data=st.data())
def test_an_operand_too_many_is_refused(op: str, data: st.DataObject) -> None:
    call = data.draw(calls(op))
    more = len(OPS[op].operands) - len(call.others)
    refused(replace(call, others=(*call.others, *[Slot(call.first.type)] * more)), OperandError)


@each_operator
@for_each_operator
@given(data=st.data())
def test_an_unknown_option_is_refused(op: str, data: st.DataObject) -> None:
    call = data.draw(calls(op))
    name = data.draw(st.text("abcXYZ_é ", min_size=1, max_size=8))
    assume(OPS[op].option(name) is None and name not in OPS[op].restated)
    refused(replace(call, options={**call.options, name: 1}), OptionError)


@pytest.mark.parametrize("op", [name for name, spec in OPS.items() if any(o.is_required for o in spec.options)])
@for_each_operator
@given(data=st.data())
def test_a_missing_option_is_refused(op: str, data: st.DataObject) -> None:
    call = data.draw(calls(op))
    required = [option.name for option in OPS[op].options if option.is_required]
    # The number of results of a split is what its option says, so the builder needs it first.
    name = data.draw(st.sampled_from(required))
    refused(replace(call, options={key: item for key, item in call.options.items() if key != name}), OptionError)


def not_of_kind(kind: k.Kind, rank: int) -> list[Any]:
    """Values that no option of this kind has on an operand of this rank."""
    never: list[Any] = [object(), {}, b"x", math]
    match kind:
        case k.Axis():
            return [*never, rank, -rank - 1, 2**40, 0.0, "0", [0], True]
        case k.Axes():
            return [
                *never,
                [rank],
                [-rank - 1],
                [0, 0],
                0,
                "01",
                [[0]],
                *([[]] if kind.length or (kind.every and rank) else []),
            ]
        case k.Bool():
            return [*never, 2, -1, "true", [True], 0.5]
        case k.Choice() | k.DType():
            return [*never, "", "nonsense", 0, ["constant"], math.nan]
        case k.Choices():
            return [*never, [], ["nonsense"] * kind.length, "relu"]
        case k.Integer():
            return [*never, 0.5, "1", [1], True, -(2**70), 2**70]
        case k.Real():
            return [*never, math.nan, math.inf, "Infinity", "1", [1], True]
        case k.Number():
            return [*never, "1", [1], True]
        case k.Numbers():
            return [*never, 1, "1", [math.nan] * 2, [1.0] * 7]
        case k.Dims():
            return [
                *never,
                1,
                "1",
                [-1] * max(rank, 1),
                [2**31] * max(rank, 1),
                [1.5] * max(rank, 1),
                [True] * max(rank, 1),
            ]
        case k.Size() | k.Splits():
            return [*never, 0, -1, 2**31 if isinstance(kind, k.Size) else -5, 1.5, "2", [0], [True]]
        case _:
            return never


@pytest.mark.parametrize(
    ("op", "option"),
    [pytest.param(name, option, id=f"{name}-{option.name}") for name, spec in OPS.items() for option in spec.options],
)
@for_each_operator
@given(data=st.data())
def test_an_option_of_another_kind_is_refused(op: str, option: Option, data: st.DataObject) -> None:
    call = data.draw(calls(op))
    raw = data.draw(st.sampled_from(not_of_kind(option.kind, call.first.type.rank)))
    refused(replace(call, options={**call.options, option.name: raw}), OptionError)


# Operators whose further operands have one right shape, given the others: any other size is refused.
FIXED: Final = (
    *("batchNormalization", "instanceNormalization", "layerNormalization"),
    *("gru", "gruCell", "lstm", "lstmCell", "matmul", "scatterElements", "scatterND"),
)


@pytest.mark.parametrize("op", FIXED)
@for_each_operator
@given(data=st.data())
def test_a_shape_that_does_not_fit_the_others_is_refused(op: str, data: st.DataObject) -> None:
    call = data.draw(calls(op))
    further = [(place, slot) for place, slot in present(call)[1:] if slot.type.rank]
    assume(further)
    place, slot = data.draw(st.sampled_from(further))
    # Only the inner dimension of a product has one right size; the last one of coordinates is their depth.
    axis = slot.type.rank - 2 if op == "matmul" else 0
    shape = list(slot.type.static_shape)
    shape[axis] += data.draw(st.integers(1, 5))
    if op == "scatterElements" and place == 1 and axis == call.options["axis"]:
        assume(False)
    refused(with_slot(call, place, Slot(slot.type.with_shape(tuple(shape)))), ShapeError)


@pytest.mark.parametrize(
    "op", [name for name, spec in OPS.items() if spec.infer in (OPS["add"].infer, OPS["equal"].infer)]
)
@for_each_operator
@given(data=st.data())
def test_shapes_that_do_not_broadcast_are_refused(op: str, data: st.DataObject) -> None:
    call = data.draw(calls(op))
    a, b = data.draw(st.lists(st.integers(2, 6), min_size=2, max_size=2, unique=True))
    lead = data.draw(st.lists(st.just(1), max_size=3))
    left = Slot(call.first.type.with_shape((a, *lead)))
    right = Slot(call.first.type.with_shape((b, *lead)))
    refused(replace(call, first=left, others=(right,)), ShapeError)


RAW: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 5)
    | st.sampled_from([2**31, -(2**63), 2**70, math.inf, math.nan, 0.5, "nhwc", "float16", "", object()]),
    lambda inner: st.lists(inner, max_size=5) | st.tuples(inner) | st.dictionaries(st.just("name"), inner),
    max_leaves=6,
)


@each_operator
@for_each_operator
@given(data=st.data())
def test_any_call_is_taken_or_refused_with_one_of_our_errors(op: str, data: st.DataObject) -> None:
    spec = OPS[op]
    kinds = st.builds(TensorType, st.sampled_from(DataType), st.lists(st.integers(1, 4), max_size=6).map(tuple))
    slots = data.draw(st.lists(st.none() | kinds, max_size=len(spec.operands) + 1))
    names = [option.name for option in spec.options] or ["axis"]
    options = data.draw(st.dictionaries(st.sampled_from(names), RAW))
    builder = GraphBuilder()
    operands = [kind and builder.input(f"x{n}", kind.dtype, kind.shape) for n, kind in enumerate(slots)]
    before = copy.deepcopy(vars(builder))
    try:
        builder.op_many(op, *operands, **options)
    except (OperandError, OptionError, ShapeError) as exc:
        error = exc
    else:
        return
    assert error.op == op
    assert vars(builder) == before, "a refused call leaves a trace"


@given(st.text(max_size=8))
def test_an_operator_that_is_not_webnns_is_refused(name: str) -> None:
    assume(name not in OPS)
    with pytest.raises(UnknownOp):
        GraphBuilder().op(name)

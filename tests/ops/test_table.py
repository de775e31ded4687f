"""The operator table is complete and consistent, row by row."""

import math
import runpy
from pathlib import Path

import pytest

from webnn_runtime.format.dims import symbol
from webnn_runtime.format.dtypes import DataType, cast_number
from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.ops import OPS, Operand, OpSpec, Option, snake_case
from webnn_runtime.format.ops import kinds as k

ROWS = [pytest.param(spec, id=name) for name, spec in OPS.items()]
OPTIONS = [pytest.param(option, id=f"{spec.name}-{option.name}") for spec in OPS.values() for option in spec.options]
FAMILIES = {
    "activation",
    "comparison",
    "conv",
    "elementwise",
    "indexing",
    "layout",
    "matmul",
    "normalization",
    "pool",
    "quantize",
    "recurrent",
    "reduction",
}


def test_the_table_has_every_operator_of_webnn():
    assert len(OPS) == 95
    assert list(OPS) == sorted(OPS)
    assert {spec.family for spec in OPS.values()} == FAMILIES
    assert all(name == spec.name for name, spec in OPS.items())


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        OPS["softmax"] = OPS["relu"]


@pytest.mark.parametrize("spec", ROWS)
def test_a_row_says_what_it_computes_in_one_line(spec):
    assert spec.doc.endswith(".")
    assert "\n" not in spec.doc
    assert len(spec.doc) <= 110


@pytest.mark.parametrize("spec", ROWS)
def test_what_is_required_is_allowed(spec):
    for operand in (*spec.operands, *spec.results):
        base = operand
        while base.same_as is not None:
            base = spec.operand(base.same_as)
        assert base.allowed
        assert operand.required
        # batchNormalization, relu and others require less of the result than the operand allows, never more.
        assert operand.required <= base.allowed
        assert operand.required_ranks.low in operand.ranks
        assert operand.required_ranks.high in operand.ranks
        assert operand.extra.isdisjoint(base.allowed)
        assert (operand.allowed is None) == (operand.same_as is not None)


@pytest.mark.parametrize("spec", ROWS)
def test_optional_operands_come_last(spec):
    optional = [operand.optional for operand in spec.operands]
    assert optional == sorted(optional)
    assert not any(operand.variadic for operand in spec.operands) or len(spec.operands) == 1


@pytest.mark.parametrize("spec", ROWS)
def test_positional_options_are_numbered_from_one(spec):
    places = sorted(option.positional for option in spec.options if option.positional)
    assert places == list(range(1, len(places) + 1))
    # A method argument has no default, except those that only newer drafts moved.
    assert all(option.is_required for option in spec.options if option.positional)


@pytest.mark.parametrize("spec", ROWS)
def test_options_are_alphabetical_and_found_by_every_spelling(spec):
    assert [option.name for option in spec.options] == sorted(option.name for option in spec.options)
    for option in spec.options:
        for name in (option.name, *option.aliases):
            assert spec.option(name) is option
    assert spec.option("nonsense") is None


def test_snake_case_can_be_undone():
    """No two names of one namespace meet in Python's spelling."""
    assert len({snake_case(name) for name in OPS}) == len(OPS)
    for spec in OPS.values():
        names = [option.name for option in spec.options] + [operand.name for operand in spec.operands]
        assert len({snake_case(name) for name in names}) == len(names)
        for name in (spec.name, *names):
            assert snake_case(name).isidentifier()
            assert snake_case(snake_case(name)) == snake_case(name)
            assert snake_case(name).replace("_", "") == name.lower()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("reduceL2", "reduce_l2"),
        ("isNaN", "is_nan"),
        ("gatherND", "gather_nd"),
        ("conv2d", "conv2d"),
        ("convTranspose2d", "conv_transpose2d"),
        ("l2Pool2d", "l2_pool2d"),
        ("reduceLogSumExp", "reduce_log_sum_exp"),
        ("gruCell", "gru_cell"),
        ("newShape", "new_shape"),
        ("roundEven", "round_even"),
    ],
)
def test_names_in_python(name, expected):
    assert snake_case(name) == expected


@pytest.mark.parametrize("option", OPTIONS)
def test_a_default_is_what_its_kind_reads_and_writes(option):
    assert option.kind.doc
    if option.is_required or option.default_for is not None or option.default is None:
        return
    default = option.default
    assert option.kind.read(default) == default
    assert option.kind.read(option.kind.write(default)) == default


X = TensorType(DataType.FLOAT32, (2, 3))
I64 = TensorType(DataType.INT64, (2, 3))
READ = [
    (k.Bool(), True, X, True),
    (k.Bool(), 0, X, False),
    (k.Integer(), -7, X, -7),
    (k.Number(), 2, X, 2.0),
    (k.Number(), 2**53 + 1, I64, 2**53 + 1),
    (k.Number(), 10**400, X, math.inf),
    (k.Number(), "-Infinity", X, -math.inf),
    (k.Number(), "Infinity", I64, math.inf),
    (k.Real(), 2, X, 2.0),
    (k.Numbers(2), [1, 0.5], X, (1.0, 0.5)),
    (k.Axis(), -1, X, 1),
    (k.Axes(), [-1, 0], X, (1, 0)),
    (k.Axes(), (), X, ()),
    (k.Dims(), [symbol("n"), 4], X, (symbol("n"), 4)),
    (k.Dims(0), [0], X, (0,)),
    (k.Size(), symbol("n"), X, symbol("n")),
    (k.Size(), 3, X, 3),
    (k.Splits(), 3, X, 3),
    (k.Splits(), [1, symbol("n")], X, (1, symbol("n"))),
    (k.Choice(("a", "b")), "b", X, "b"),
    (k.Choices(("a", "b"), 2), ["b", "b"], X, ("b", "b")),
    (k.DType(), "Float16", X, DataType.FLOAT16),
    (k.DType(), DataType.INT8, X, DataType.INT8),
]


@pytest.mark.parametrize(("kind", "raw", "operand", "expected"), READ)
def test_a_kind_reads_one_form_of_each_value(kind, raw, operand, expected):
    value = kind.fit(kind.read(raw), [operand])
    assert value == expected
    assert type(value) is type(expected)
    assert kind.fit(kind.read(kind.write(value)), [operand]) == value


def test_not_a_number_is_read_and_written():
    assert math.isnan(k.Number().read("NaN"))
    assert k.Number().write(math.nan) == "NaN"


REFUSED = [
    (k.Bool(), 2),
    (k.Bool(), "true"),
    (k.Bool(), None),
    (k.Integer(), 1.0),
    (k.Integer(), True),
    (k.Integer(0), -1),
    (k.Integer(0, 5), 6),
    (k.Number(), "1"),
    (k.Number(), None),
    (k.Number(), [1]),
    (k.Real(), math.nan),
    (k.Real(), "Infinity"),
    (k.Real(0.0), -1),
    (k.Numbers(2), [1]),
    (k.Numbers(1), [math.inf]),
    (k.Numbers(1, above=0), [0]),
    (k.Axis(), "0"),
    (k.Axis(), 2),
    (k.Axis(), -3),
    (k.Axes(), 0),
    (k.Axes(), [0, 2]),
    (k.Axes(), [1, -1]),
    (k.Axes(every=True), [0]),
    (k.Axes(length=2), [0]),
    (k.Dims(), [0]),
    (k.Dims(), [2**31]),
    (k.Dims(), [True]),
    (k.Dims(), "12"),
    (k.Dims(length=2), [1]),
    (k.Dims(per_axis=True), [1]),
    (k.Size(), 0),
    (k.Size(), [1]),
    (k.Splits(), 0),
    (k.Splits(), [0]),
    (k.Splits(), symbol("n")),
    (k.Choice(("a", "b")), "c"),
    (k.Choice(("a", "b")), 1),
    (k.Choices(("a", "b"), 2), ["a", "c"]),
    (k.Choices(("a", "b"), 2), ["a"]),
    (k.DType(), "float64"),
    (k.DType(), "int4"),
    (k.DType(frozenset({DataType.INT32})), "int64"),
]


@pytest.mark.parametrize(("kind", "raw"), REFUSED)
def test_a_kind_refuses_what_it_is_not(kind, raw):
    with pytest.raises(ValueError, match=r".+"):
        kind.fit(kind.read(raw), [X])


FLOAT = frozenset({DataType.FLOAT32})


def row(*options: Option, operands=("input",), **more) -> OpSpec:
    slots = tuple(Operand(name, FLOAT, FLOAT) for name in operands)
    return OpSpec("test", slots, options, slots[:1], lambda _, x: x, "Doc.", "test", **more)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: row(Option("b", k.Bool()), Option("a", k.Bool())), "not in alphabetical order"),
        (lambda: row(Option("a", k.Bool()), Option("b", k.Bool(), aliases=("a",))), "occurs twice"),
        (lambda: row(Option("input", k.Bool())), "occurs twice"),
        (lambda: row(operands=("a", "a")), "occurs twice"),
        (lambda: row(Option("a", k.Bool()), refused={"a": "no"}), "occurs twice"),
        (lambda: row(Option("a", k.Bool(), default_for=lambda _, __: True)), "needs a text"),
        (lambda: row(Option("a", k.Bool(), default_text="always")), "needs a text"),
    ],
)
def test_an_inconsistent_row_is_refused_at_import(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (0.1, DataType.FLOAT32, 0.10000000149011612),
        (65519, DataType.FLOAT16, 65504.0),
        (65520, DataType.FLOAT16, math.inf),
        (-1e39, DataType.FLOAT32, -math.inf),
        (-0.5, DataType.INT32, 0),
        (0.5, DataType.UINT8, 0),
        (1.5, DataType.UINT8, 2),
        (255.5, DataType.UINT8, 255),
        (-129, DataType.INT8, -128),
        (2.0**63, DataType.INT64, 2**63 - 1),
        (math.inf, DataType.UINT64, 2**64 - 1),
        (math.nan, DataType.INT32, 0),
        (7.4, DataType.INT4, 7),
    ],
)
def test_a_number_is_cast_as_webnn_says(value, dtype, expected):
    cast = cast_number(value, dtype)
    assert cast == expected
    assert type(cast) is type(expected)


def test_not_a_number_stays_one_in_floats():
    assert math.isnan(cast_number(math.nan, DataType.FLOAT16))


def test_the_page_of_operators_names_every_operator_and_option():
    root = Path(__file__).resolve().parents[2]
    page = runpy.run_path(str(root / "scripts" / "generate_docs.py"))["render"]()
    for spec in OPS.values():
        section = page.split(f"\n### {spec.name}\n")[1].split("\n#")[0]
        assert spec.doc in section
        for operand in spec.operands:
            assert f"| {operand.name}" in section
        for option in spec.options:
            assert f"| {option.name} |" in section
            assert all(alias in section for alias in option.aliases)

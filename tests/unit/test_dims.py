"""Named dimensions: what they print as, what they can decide, what they refuse."""

import contextlib
import time

import pytest

from webnn_runtime.format.dims import (
    MAX_DIM,
    DynamicDim,
    bounds,
    ceil_div,
    dim_max,
    dim_min,
    evaluate,
    is_at_least,
    is_equal,
    parse_dim,
    product,
    simplest_sides,
    substitute,
    symbol,
)

A, B, H = symbol("a"), symbol("b"), symbol("h")
RANGES = {"a": DynamicDim("a", 8), "b": DynamicDim("b", 100, 10), "p": DynamicDim("p", 5, 0)}


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (A, "a"),
        (A + 1, "a + 1"),
        (1 - A, "-a + 1"),
        (2 * B * A, "2*a*b"),
        (A * A - 3 * B, "a*a - 3*b"),
        (A // 2, "a//2"),
        (A // B, "a//b"),
        ((A + 1) // 2, "(a + 1)//2"),
        (-(A // 2), "-(a//2)"),
        (B - A // 2, "b - a//2"),
        (2 * (A // 2), "2*(a//2)"),
        (A // (2 * B), "a//(2*b)"),
        (12 // A, "12//a"),
        ((H + 2 * 3 - 7) // 2 + 1, "(h + 1)//2"),
        (A % 4, "a - 4*(a//4)"),
        (dim_max(A, B), "max(a, b)"),
        (dim_min(B + 1, 3 * A), "min(3*a, b + 1)"),
        (ceil_div(A, 2), "(a + 1)//2"),
        (-A // 4, "-((a + 3)//4)"),
        ((A + -A % 4) // 4, "(a + 3)//4"),
        ((-A + 2 * B + 5) // 4, "b - (a + 2*b + 2)//4 + 1"),
    ],
)
def test_a_dimension_prints_as_one_would_write_it(dim, text):
    assert str(dim) == text
    assert parse_dim(text) == dim


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (A * (B + 1), A * B + A),
        (A * B * 12 * 32 // (A * 384), B),
        ((6 * A + 3) // 3, 2 * A + 1),
        ((2 * A + 3) // 2, A + 1),
        ((A * B + B) // B, A + 1),
        (6 * A // 4, 3 * A // 2),
        ((2 * A + 3) // 4, (A + 1) // 2),
        (A * B // (7 * A), B // 7),
        (800 * A // (16 * A * B + 80 * A), 50 // (B + 5)),
        ((A + 1) * (B - 1) * 6 // (4 * (A + 1)), 3 * (B - 1) // 2),
        ((A + 1) // ((A + 1) * B), 1 // B),
        (A // -B, -A // B),
        (A - A, 0),
        (A // 1, A),
        (A // A, 1),
        (dim_max(A, A), A),
        (dim_max(A, B), dim_max(B, A)),
        (A // -2, -A // 2),
        ((A // 2) // 3, A // 6),
        ((A // 2 + 3) // 3, A // 6 + 1),
        (product([A, 2, B, 3]), 6 * A * B),
        (product([]), 1),
        # Padding up to whole windows, as models write it.
        (A + (4 - A % 4) % 4, 4 * ceil_div(A, 4)),
        (A // 2 + (7 - A // 2 % 7) % 7, 7 * ceil_div(A // 2, 7)),
        ((3 - A) // 4, -(A // 4)),
    ],
)
def test_equal_dimensions_have_one_form(left, right):
    assert left == right
    assert is_equal(left, right) is True
    assert type(left) is type(right)


@pytest.mark.parametrize("divisor", [2, 3, 4, 7, -5])
@pytest.mark.parametrize("b", [-9, -4, -1, 0, 3, 8])
@pytest.mark.parametrize("a", [-7, -3, -1, 2, 5])
def test_a_quotient_rounds_down_whatever_the_signs(a, b, divisor):
    quotient = (a * A + b * (B // 3) + 5) // divisor
    for values in ({"a": size, "b": other} for size in range(9) for other in (0, 2, 3, 17)):
        assert evaluate(quotient, values) == (a * values["a"] + b * (values["b"] // 3) + 5) // divisor


@pytest.mark.parametrize(
    ("left", "right", "equal", "at_least"),
    [
        (A, 8, None, None),
        (A, 9, False, False),
        (A, 1, None, True),
        (B, A, False, True),
        (A, B, False, False),
        (A + 92, B, None, None),
        (symbol("p"), 0, None, True),
        (symbol("p"), 1, None, None),
        (symbol("unknown"), 0, False, True),
        (symbol("unknown"), MAX_DIM, None, None),
        (A // 9, 0, None, True),
        (A // 2, 5, False, False),
        (B // A, 0, False, True),
        (A // B, 0, None, True),
        (-A, -9, False, True),
        (A * symbol("p"), 41, False, False),
    ],
)
def test_ranges_decide_where_they_can(left, right, equal, at_least):
    assert is_equal(left, right, RANGES) is equal
    assert is_at_least(left, right, RANGES) is at_least


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("a", 1, 8),
        ("b - a", 2, 99),
        ("a*p", 0, 40),
        ("-a", -8, -1),
        ("b//a", 1, 100),
        ("max(a, p)", 1, 8),
        ("min(a, p)", 0, 5),
        ("7", 7, 7),
        # Where p is 0 there is no value.
        ("b//p", 2, 100),
        ("b//(p - 1)", -100, 100),
        ("unknown", 1, MAX_DIM),
        # Terms that know of one another.
        ("b - 4*(b//4)", 0, 3),
        ("4*(b//4) - b", -3, 0),
        ("b - 3*(b//4)", 3, 27),
        ("2*a*a - a", 1, 120),
        ("min(b, 20) - max(b - 80, 0)", 0, 20),
        ("min(a, 3) - max(a - 5, 0)", 0, 3),
        # What is taken off turns a minimum into a maximum.
        ("a - min(3, a)", 0, 5),
        ("b - min(20, b)", 0, 80),
        ("a - max(3, a)", -2, 0),
        ("(6*a*b - 6*a)//(2*a*b - 2*a)", 3, 3),
    ],
)
def test_bounds_follow_the_ranges(text, low, high):
    assert bounds(parse_dim(text), RANGES) == (low, high)


@pytest.mark.parametrize("text", ["max(past, 1)", "min(past, 1)", "max(past - 1, 0)"])
def test_a_name_in_a_text_may_be_0(text):
    dim = parse_dim(text)
    assert str(parse_dim(str(dim))) == str(dim)
    expected = {"max(past, 1)": [1, 1, 2], "min(past, 1)": [0, 1, 1], "max(past - 1, 0)": [0, 0, 1]}[text]
    assert [evaluate(dim, {"past": past}) for past in range(3)] == expected
    assert [evaluate(substitute(dim, {"past": symbol("q")}), {"q": past}) for past in range(3)] == expected


@pytest.mark.parametrize(
    ("left", "right", "shown"),
    [
        ("512*a*b", "512*b*c", "a == c"),
        ("6*a*b + 4*a", "2*a*c", "3*b + 2 == c"),
        ("a*a", "a", "a == 1"),
        ("-4*a*c", "-2*a*b", "b == 2*c"),
        ("a*b", "a*b - a + past + c", "a == c + past"),
        ("a - 3", "b - 5", "a + 2 == b"),
        ("a*b", "0", "b == 0"),
        # Of sizes that may be 0 nothing is known without them.
        ("a*past", "b*past", "a*past == b*past"),
        ("3*a", "b", "3*a == b"),
        ("2*a - 4*(a//2)", "0", "a == 2*(a//2)"),
    ],
)
def test_a_condition_is_shown_without_what_both_sides_share(left, right, shown):
    ranges = {name: DynamicDim(name) for name in "abc"} | {"past": DynamicDim("past", min_size=0)}
    sides = simplest_sides(parse_dim(left), parse_dim(right), ranges)
    assert " == ".join(map(str, sides)) == shown


def test_the_larger_of_two_is_chosen_where_the_ranges_decide():
    assert dim_max(A, B, RANGES) == B
    assert dim_min(A, B, RANGES) == A
    assert dim_max(A, symbol("p"), RANGES) == dim_max(symbol("p"), A)


def test_evaluating_needs_every_name():
    assert evaluate(A * B + 1, {"a": 3, "b": 4}) == 13
    with pytest.raises(KeyError, match="b"):
        evaluate(A * B, {"a": 3})
    with pytest.raises(ZeroDivisionError):
        evaluate(A // B, {"a": 3, "b": 0})


def test_names_are_replaced_at_once_not_one_after_another():
    assert substitute(A + 2 * B, {"a": B, "b": A}) == B + 2 * A
    assert substitute(dim_max(A, B // 2), {"b": 2 * A}) == A


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "unexpected the end"),
        ("a +", "unexpected the end"),
        ("a b", "unexpected b"),
        ("a / b", "unexpected /"),
        ("a % b", "unexpected %"),
        ("a ** 2", "unexpected [*]"),
        ("1.5", "unexpected ."),
        ("(a", "unexpected the end"),
        ("a)", "unexpected [)]"),
        ("max(a)", "unexpected [)]"),
        ("max(a, b, c)", "unexpected ,"),
        ("a//0", "divides by zero"),
        ("a//(b - b)", "divides by zero"),
        ("é", "unexpected é"),
        ("٣", "unexpected"),
        ("--a", "unexpected -"),
        ("9" * 20, "integer of 20 digits"),
        ("a" * 5000, "5000 characters"),
        ("*".join("a" * 65), "the degree 65; at most 64"),
        ("*".join(["(a + b + c + d)"] * 14), "terms"),
        ("import_os()", "unexpected [(]"),
    ],
)
def test_what_is_no_expression_is_refused(text, words):
    with pytest.raises(ValueError, match=f"dimension expression.*{words}"):
        parse_dim(text)


@pytest.mark.parametrize(
    "text",
    [
        "*".join(["(" + " + ".join(f"d{i}" for i in range(15)) + ")"] * 40)[:4000],
        "(" * 60 + "a" + "//2 + b)" * 60,
        "(" * 60 + "a" + "*b//3 + a)" * 60,
        "max(" * 60 + "a" + ", b//7*2)" * 60,
        " + ".join(f"n{i}//{i + 2}" for i in range(240)),
        "//".join(["(" + " + ".join(f"d{i}*a*b" for i in range(200)) + ")"] + ["(a + b + d3 + d1*d2)"] * 40),
    ],
)
def test_hostile_expressions_cost_little(text):
    started = time.perf_counter()
    with contextlib.suppress(ValueError):
        parse_dim(text)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "ä", "a\n", "a.b"])
def test_a_name_is_an_identifier(name):
    for make in (symbol, DynamicDim):
        with pytest.raises(ValueError, match="is not an identifier"):
            make(name)


@pytest.mark.parametrize(("high", "low"), [(0, 1), (5, 6), (-1, -2), (2**31, 1), (5, -1)])
def test_a_range_lies_within_what_is_valid(high, low):
    with pytest.raises(ValueError, match="<= maximum <="):
        DynamicDim("a", high, low)


def test_a_name_without_a_maximum_says_so():
    assert DynamicDim("a").is_unbounded
    assert not DynamicDim("a", 512).is_unbounded

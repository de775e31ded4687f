"""Dimension arithmetic against Python's own, on random expressions."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from webnn_runtime.format.dims import (
    DynamicDim,
    SymbolicDim,
    bounds,
    ceil_div,
    dim_max,
    dim_min,
    evaluate,
    is_at_least,
    is_equal,
    names_of,
    parse_dim,
    simplest_sides,
    substitute,
    symbol,
)

NAMES = ("a", "b", "c")
BINARY = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "//": lambda x, y: x // y,
    "%": lambda x, y: x % y,
}
trees = st.recursive(
    st.sampled_from(NAMES) | st.integers(-9, 9),
    lambda inner: st.tuples(st.sampled_from([*BINARY, "min", "max", "neg", "ceil"]), inner, inner),
    max_leaves=10,
)
values = st.fixed_dictionaries({name: st.integers(1, 40) for name in NAMES})


def in_python(tree, binding):
    if isinstance(tree, int):
        return tree
    if isinstance(tree, str):
        return binding[tree]
    op, left, right = tree[0], in_python(tree[1], binding), in_python(tree[2], binding)
    if op in BINARY:
        return BINARY[op](left, right)
    if op == "ceil":
        return -(-left // (abs(right) + 1))
    return {"min": min(left, right), "max": max(left, right), "neg": -left}[op]


def in_dims(tree):
    if isinstance(tree, int):
        return tree
    if isinstance(tree, str):
        return symbol(tree)
    op, left, right = tree[0], in_dims(tree[1]), in_dims(tree[2])
    if op in BINARY:
        return BINARY[op](left, right)
    if op == "ceil":
        return ceil_div(left, dim_max(right, -right) + 1)
    return {"min": dim_min, "max": dim_max, "neg": lambda x, _: -x}[op](left, right)


def made(tree):
    """The dimension of a tree; trees that always divide by zero or grow too large say nothing."""
    try:
        return in_dims(tree)
    except (ZeroDivisionError, ValueError):
        assume(False)


def computed(tree, binding):
    try:
        return in_python(tree, binding)
    except ZeroDivisionError:
        assume(False)


@given(trees, values)
def test_a_dimension_evaluates_to_what_python_computes(tree, binding):
    dim, expected = made(tree), computed(tree, binding)
    assert evaluate(dim, binding) == expected


@given(trees)
def test_what_is_printed_reads_back_as_the_same_dimension(tree):
    dim = made(tree)
    again = parse_dim(str(dim))
    assert again == dim
    assert hash(again) == hash(dim)
    assert str(again) == str(dim)


@given(trees, values)
def test_what_is_printed_is_python_too(tree, binding):
    expected = computed(tree, binding)
    assert eval(str(made(tree)), {"min": min, "max": max}, dict(binding)) == expected


@given(trees)
def test_without_names_a_dimension_is_an_integer(tree):
    dim = made(tree)
    assert isinstance(dim, SymbolicDim) == bool(names_of(dim))


@given(trees, values, st.sampled_from(NAMES))
def test_names_may_be_replaced_one_at_a_time(tree, binding, first):
    dim = made(tree)
    expected = computed(tree, binding)
    partly = substitute(dim, {first: binding[first]})
    assert first not in names_of(partly)
    assert evaluate(partly, binding) == expected


@given(trees, trees, trees)
def test_equal_polynomials_have_one_form(first, second, third):
    x, y, z = made(first), made(second), made(third)
    try:
        assert x + y == y + x
        assert x * y == y * x
        assert (x + y) + z == x + (y + z)
        assert (x * y) * z == x * (y * z)
        assert x * (y + z) == x * y + x * z
        assert x - x == 0
        assert x + 0 == x * 1 == x
    except ValueError:  # more terms than are kept
        assume(False)


@given(trees, st.integers(1, 12))
def test_what_was_multiplied_divides_out(tree, factor):
    dim = made(tree)
    assert dim * factor // factor == dim
    assert ceil_div(dim * factor, factor) == dim
    assert dim * factor % factor == 0
    assert (dim * symbol("b")) // symbol("b") == dim


shared = st.sampled_from(["a", "b*c", "6*a*b", "-2*c", "a + 1", "a*b - b", "a//2", "3*(a - c)", "min(a, b)*(c + 2)"])


@given(trees, trees, shared, values)
def test_what_both_sides_of_a_quotient_share_changes_no_value(first, second, factor, binding):
    whole = ("//", ("*", first, "f"), ("*", second, "f"))
    number = evaluate(parse_dim(factor), binding)
    expected = computed(whole, {**binding, "f": number})
    try:
        quotient = made(first) * parse_dim(factor) // (made(second) * parse_dim(factor))
    except ValueError:  # more terms than are kept
        assume(False)
    assert evaluate(quotient, binding) == expected


@given(trees, trees, st.sampled_from(["a", "b*c", "6*a*b", "-2*c", "a//2"]))
def test_a_product_that_both_sides_of_a_quotient_share_is_gone(first, second, factor):
    x, y, product = made(first), made(second), parse_dim(factor)
    assume(y != 0)
    try:
        assert x * product // (y * product) == x // y
    except ValueError:  # more terms than are kept
        assume(False)


@given(trees, trees, st.sampled_from(["a + 1", "a*b - b", "3*(a - c)", "a//2 + b"]))
def test_a_sum_that_both_sides_of_a_quotient_share_is_gone(first, second, factor):
    x, common = made(first), parse_dim(factor)
    # Of the divisor it is the only sum: what two sums share is looked for nowhere.
    y = made(second)
    if isinstance(y, SymbolicDim):
        y = SymbolicDim(y.terms[:1]) if y.terms[0][0] else y.terms[0][1]
    assume(y != 0)
    try:
        assert x * common // (y * common) == x // y
    except ValueError:  # more terms than are kept
        assume(False)


@given(trees, trees, values, st.booleans())
def test_simpler_sides_compare_as_the_dimensions_do(first, second, binding, may_be_empty):
    left, right = computed(first, binding), computed(second, binding)
    ranges = {name: DynamicDim(name, min_size=0 if may_be_empty else 1) for name in NAMES}
    if may_be_empty:
        binding = binding | {"c": 0}
        left, right = computed(first, binding), computed(second, binding)
    try:
        sides = simplest_sides(made(first), made(second), ranges)
    except ValueError:  # more terms than are kept
        assume(False)
    try:
        one, other = (evaluate(side, binding) for side in sides)
    except ZeroDivisionError:
        assume(False)
    assert (one == other, one >= other) == (left == right, left >= right)


@given(trees, values, st.data())
def test_bounds_hold_every_value(tree, binding, data):
    dim, value = made(tree), computed(tree, binding)
    ranges = {
        name: DynamicDim(name, data.draw(st.integers(size, 60)), data.draw(st.integers(0, size)))
        for name, size in binding.items()
    }
    low, high = bounds(dim, ranges)
    assert low <= value <= high


@given(trees, trees, values)
def test_what_is_decided_for_all_values_holds_for_each(first, second, binding):
    x, y = made(first), made(second)
    left, right = computed(first, binding), computed(second, binding)
    ranges = {name: DynamicDim(name, 40) for name in NAMES}
    try:
        assert is_equal(x, y, ranges) in (None, left == right)
        assert is_at_least(x, y, ranges) in (None, left >= right)
        assert evaluate(dim_max(x, y, ranges), binding) == max(left, right)
        assert evaluate(dim_min(x, y, ranges), binding) == min(left, right)
    except ValueError:  # more terms than are kept
        assume(False)


@given(st.text(alphabet="ab1_09+-*/(), minax%.", max_size=40) | st.text(max_size=20))
def test_any_text_is_a_dimension_or_a_value_error(text):
    try:
        dim = parse_dim(text)
    except ValueError:
        return
    assert parse_dim(str(dim)) == dim


@pytest.mark.parametrize("depth", [10_000])
def test_deep_nesting_is_refused_without_exhausting_the_stack(depth):
    with pytest.raises(ValueError, match="dimension expression"):
        parse_dim("(" * depth + "a" + ")" * depth)
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_dim("(" * 100 + "a" + ")" * 100)

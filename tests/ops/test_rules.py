"""Every rule of every operator: calls that must pass, that must fail, and that only the run can decide.

The tables lie in `rules/`, one per family. Operands are written as they print, `f32[batch, 3]`, with a
semicolon between them and `-` for an absent one.
"""

import re
import runpy
from itertools import product
from pathlib import Path

import pytest

from webnn_runtime.format import errors
from webnn_runtime.format.dims import DynamicDim, SymbolicDim, evaluate, names_of, parse_dim
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import DimCheck, Node, TensorType
from webnn_runtime.format.ops import OPS
from webnn_runtime.format.ops.node import infer_node

# batch and seq are bounded, past may be 0 (an empty cache), n is not bounded.
DIMS = {
    dim.name: dim
    for dim in (DynamicDim("batch", 64), DynamicDim("seq", 512), DynamicDim("past", 511, 0), DynamicDim("n"))
}
TABLES = {path.stem: runpy.run_path(str(path)) for path in sorted((Path(__file__).parent / "rules").glob("*.py"))}


def rows(name: str) -> list:
    found = []
    for family, table in TABLES.items():
        for index, row in enumerate(table.get(name, ())):
            found.append(pytest.param(*row, id=f"{family}-{index}-{row[0]}"))
    return found


def tensor(text: str) -> TensorType | None:
    if text == "-":
        return None
    match = re.fullmatch(r"(\w+)\[(.*)\]", text)
    assert match, f"'{text}' is no type"
    dims = tuple(parse_dim(item) for item in match[2].split(",") if item.strip())
    return TensorType(DataType.from_text(match[1]), dims)


def infer(
    op: str, operands: str, options: dict, results: int = 1, *, older: bool = False
) -> tuple[Node, str, list[DimCheck]]:
    kinds = [tensor(text.strip()) for text in operands.split(";")]
    names = [f"x{place}" if kind else None for place, kind in enumerate(kinds)]
    types = {f"x{place}": kind for place, kind in enumerate(kinds) if kind}
    node = Node(op, tuple(names), options, tuple(f"y{place}" for place in range(results)))
    checks: list[DimCheck] = []
    whole, found = infer_node(node, types, DIMS, checks, older=older)
    return whole, "; ".join(str(kind) for kind in found), checks


@pytest.mark.parametrize(("op", "operands", "options", "expected"), rows("ACCEPTED"))
def test_a_valid_call_gets_its_types_at_build(op, operands, options, expected):
    _, found, checks = infer(op, operands, options, expected.count(";") + 1)
    assert found == expected
    assert not checks


@pytest.mark.parametrize(("op", "operands", "options", "error", "words"), rows("REFUSED"))
def test_an_invalid_call_is_refused_with_its_node_and_operator(op, operands, options, error, words):
    with pytest.raises(errors.GraphError) as caught:
        infer(op, operands, options)
    assert type(caught.value).__name__ == error
    assert words in caught.value.reason
    assert (caught.value.node, caught.value.op) == ("y0", op)


@pytest.mark.parametrize(("op", "operands", "options", "expected", "conditions"), rows("LEFT_TO_THE_RUN"))
def test_what_the_ranges_do_not_decide_is_left_to_the_run(op, operands, options, expected, conditions):
    _, found, checks = infer(op, operands, options, expected.count(";") + 1)
    assert found == expected
    assert [f"{check.left} {check.relation} {check.right}" for check in checks] == conditions
    assert all(check.what.startswith(f"{op}: ") and check.node == "y0" for check in checks)


@pytest.mark.parametrize(("op", "operands", "options", "expected"), rows("COMPLETED"))
def test_options_are_held_complete_and_in_one_spelling(op, operands, options, expected):
    results = 2 if op in ("lstm", "lstmCell") else 1
    whole, _, _ = infer(op, operands, options, results)
    assert dict(whole.options) == expected
    assert [type(value) for value in whole.options.values()] == [type(value) for value in expected.values()]
    again, _, _ = infer(op, operands, dict(whole.options), results)
    assert again.options == whole.options


@pytest.mark.parametrize("row", [param.values for name in ("ACCEPTED", "LEFT_TO_THE_RUN") for param in rows(name)])
def test_names_and_their_values_give_the_same_shapes(row):
    """A call with names, at each of some values: as if the values had been written in the first place."""
    op, operands, options, expected = row[:4]
    kinds = [tensor(text.strip()) for text in operands.split(";")]
    names = {name for kind in kinds if kind for name in kind.names} | names_in(options)
    results = expected.count(";") + 1
    _, _, checks = infer(op, operands, options, results)
    for sizes in product((1, 2, 3, 4, 6, 8), repeat=len(names)):
        values = dict(zip(sorted(names), sizes, strict=True))
        static = "; ".join("-" if kind is None else str(bound(kind, values)) for kind in kinds)
        shapes = [bound(kind, values).shape for kind in (*kinds, *map(tensor, expected.split("; "))) if kind]
        given = {name: bound_option(value, values) for name, value in options.items()}
        if any(dim < 1 for shape in shapes for dim in shape) or has_zero_size(op, given):
            continue  # only a name may be 0, never a written dimension
        holds = all(
            compare(evaluate(check.left, values), evaluate(check.right, values), check.relation) for check in checks
        )
        if holds:
            wanted = "; ".join(str(bound(tensor(text), values)) for text in expected.split("; "))
            _, found, left = infer(op, static, given, results)
            assert (found, left) == (wanted, [])
        elif 1 not in sizes:  # a written 1 stretches, a name that happens to be 1 does not
            with pytest.raises(errors.GraphError):
                infer(op, static, given, results)


def names_in(options: dict) -> set[str]:
    items = [item for value in options.values() for item in (value if isinstance(value, list) else [value])]
    return {name for item in items if isinstance(item, SymbolicDim) for name in names_of(item)}


def bound(kind: TensorType, values: dict[str, int]) -> TensorType:
    return kind.with_shape(tuple(evaluate(dim, values) for dim in kind.shape))


def bound_option(value: object, values: dict[str, int]) -> object:
    if isinstance(value, list):
        return [bound_option(item, values) for item in value]
    return evaluate(value, values) if isinstance(value, SymbolicDim) else value


def has_zero_size(op: str, options: dict) -> bool:
    return op == "slice" and 0 in options["sizes"]


def compare(left: int, right: int, relation: str) -> bool:
    return left == right if relation == "==" else left >= right


@pytest.mark.parametrize(("op", "operands", "options", "expected"), rows("OLDER_FILES"))
def test_older_files_are_read_for_what_they_mean_and_callers_are_not(op, operands, options, expected):
    whole, _, _ = infer(op, operands, options, older=True)
    assert dict(whole.options) == expected
    with pytest.raises(errors.GraphError):
        infer(op, operands, options)


@pytest.mark.parametrize(("op", "operands", "options", "error", "words"), rows("OLDER_FILES_REFUSED"))
def test_what_older_files_say_must_still_fit(op, operands, options, error, words):
    with pytest.raises(errors.GraphError, match=re.escape(words)) as caught:
        infer(op, operands, options, older=True)
    assert type(caught.value).__name__ == error


def test_every_operator_has_calls_that_pass_and_calls_that_fail():
    assert {row.values[0] for row in rows("ACCEPTED")} == set(OPS)
    assert {row.values[0] for row in rows("REFUSED")} == set(OPS)


def test_every_option_is_used_by_a_valid_call():
    used = {
        (row.values[0], name) for table in ("ACCEPTED", "COMPLETED") for row in rows(table) for name in row.values[2]
    }
    options = {(spec.name, option.name) for spec in OPS.values() for option in spec.options}
    aliases = {(spec.name, alias) for spec in OPS.values() for option in spec.options for alias in option.aliases}
    assert not (options | aliases) - used


def test_every_optional_operand_is_present_and_absent_in_a_valid_call():
    seen = set()
    for row in rows("ACCEPTED"):
        op, operands = row.values[:2]
        given = operands.split(";")
        for place, operand in enumerate(OPS[op].operands):
            if operand.optional:
                seen.add((op, operand.name, place < len(given) and given[place].strip() != "-"))
    wanted = {
        (op, operand.name, here)
        for op, spec in OPS.items()
        for operand in spec.operands
        if operand.optional
        for here in (True, False)
    }
    assert seen == wanted


@pytest.mark.parametrize("op", OPS)
def test_every_type_outside_the_limits_is_refused(op):
    """The first valid call of the operator, with each operand in turn in each type that is not allowed."""
    _, operands, options, expected = next(row.values for row in rows("ACCEPTED") if row.values[0] == op)
    parts = [part.strip() for part in operands.split(";")]
    spec = OPS[op]
    for place, text in enumerate(parts):
        if text == "-":
            continue
        operand = spec.operands[0 if spec.is_variadic else place]
        for dtype in DataType:
            changed = f"{dtype.text}[{text.split('[')[1]}"
            if operand.allowed is None:
                base = next(index for index, other in enumerate(spec.operands) if other.name == operand.same_as)
                allowed = parts[base].split("[")[0] == dtype.text
            else:
                followers = [
                    other
                    for other, row in enumerate(spec.operands)
                    if row.same_as == operand.name and other < len(parts)
                ]
                if followers or (spec.is_variadic and len(parts) > 1):
                    continue
                allowed = dtype in operand.allowed | operand.extra
            call = (op, "; ".join([*parts[:place], changed, *parts[place + 1 :]]), options, expected.count(";") + 1)
            if allowed:
                infer(*call)
            else:
                with pytest.raises(errors.OperandError):
                    infer(*call)

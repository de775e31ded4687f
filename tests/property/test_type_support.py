"""What a backend runs and what it states as a gap are together exactly the table, per operator and type."""

from __future__ import annotations

import pytest
from call_sites import first_types
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import one_operator

from webnn_runtime.backends import Backend, CompileOptions
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import UnsupportedByBackend
from webnn_runtime.format.ops import OPS

ONE_THREAD = CompileOptions(threads=1)


def gaps(backend: Backend, op: str) -> set[DataType]:
    """Types of the first operand that the backend says it does not run."""
    stated = {dtype for name, dtype in backend.unsupported if name == op}
    return set(first_types(OPS[op])) if None in stated else {dtype for dtype in stated if dtype is not None}


@pytest.mark.parametrize("op", OPS)
@settings(max_examples=3)
@given(data=st.data())
def test_every_type_of_the_table_runs_or_is_a_stated_gap(backend: Backend, op: str, data: st.DataObject) -> None:
    for dtype in first_types(OPS[op]):
        made = data.draw(one_operator(op, dtype))
        if dtype in gaps(backend, op):
            with pytest.raises(UnsupportedByBackend):
                backend.compile(made.graph, ONE_THREAD)
            continue
        results = backend.compile(made.graph, ONE_THREAD).run(made.feeds)
        declared = made.graph.output_types
        assert {name: (array.dtype, array.shape) for name, array in results.items()} == {
            name: (kind.dtype.numpy, kind.static_shape) for name, kind in declared.items()
        }


@pytest.mark.parametrize("op", OPS)
def test_no_gap_is_a_type_that_the_specification_requires(backend: Backend, op: str) -> None:
    assert gaps(backend, op) & OPS[op].operands[0].required == set()


def test_a_gap_names_an_operator_a_type_that_it_allows_and_a_reason(backend: Backend) -> None:
    for (op, dtype), reason in backend.unsupported.items():
        assert dtype is None or dtype in first_types(OPS[op])
        assert reason
    assert backend.name != "numpy" or backend.unsupported == {}

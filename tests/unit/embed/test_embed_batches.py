"""The batch plan: every text once, within rows and tokens, with little padding."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from webnn_runtime.embed.batches import TOKEN_BUDGET, plan

LENGTHS = st.lists(st.integers(1, 600), max_size=80)


@given(lengths=LENGTHS, rows=st.integers(1, 40), is_uniform=st.booleans(), budget=st.integers(1, 5000))
def test_every_text_runs_once_and_no_batch_exceeds_its_limits(lengths, rows, is_uniform, budget) -> None:
    batches = list(plan(lengths, rows=rows, is_uniform=is_uniform, budget=budget))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        sizes = [lengths[index] for index in batch]
        assert len(batch) <= rows
        assert len(batch) == 1 or len(batch) * max(sizes) <= budget
        assert not is_uniform or len(set(sizes)) == 1


@given(lengths=LENGTHS)
def test_batches_run_longest_first_and_equal_lengths_keep_their_order(lengths) -> None:
    order = [index for batch in plan(lengths, rows=8, is_uniform=False) for index in batch]
    assert order == sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))


def test_one_long_text_does_not_pad_the_short_ones() -> None:
    assert list(plan([4, 512, 4, 4], rows=2, is_uniform=False)) == [[1, 0], [2, 3]]
    assert list(plan([4, 512, 4, 4], rows=4, is_uniform=False, budget=512)) == [[1], [0, 2, 3]]


def test_the_budget_bounds_a_large_batch_of_long_texts() -> None:
    assert {len(batch) for batch in plan([512] * 64, rows=64, is_uniform=False)} == {TOKEN_BUDGET // 512}


def test_a_text_beyond_the_budget_runs_alone() -> None:
    assert list(plan([TOKEN_BUDGET * 2, TOKEN_BUDGET * 2], rows=8, is_uniform=False)) == [[0], [1]]


def test_no_texts_need_no_batch() -> None:
    assert list(plan([], rows=8, is_uniform=False)) == []

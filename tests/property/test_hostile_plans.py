"""Plans that no lowering would build: refused, or run with results or an error, and never a panic.

The long run is `python tests/property/hostile_plans.py --count 100000`.
"""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

pytestmark = pytest.mark.native


@pytest.fixture(scope="module")
def harness(optional):
    optional("webnn_kernels")
    import hostile_plans

    return hostile_plans


@pytest.mark.parametrize("block", range(4))
def test_a_damaged_program_is_refused_or_runs_and_never_panics(harness, block):
    programs, came, wrong = harness.sources(block), Counter(), []
    for seed in range(500):
        random = Random(block * 500 + seed)
        how, told = harness.try_damaged(random.choice(programs), random)
        came[how] += 1
        wrong += [(random, told)] if told else []
    assert wrong == []
    # Damage that is always refused, or never, would try nothing.
    assert min(came["refused"], came["ran"], came["failed"]) > 20


def test_a_step_of_another_plan_on_other_operands_is_refused_or_runs(harness):
    programs, came = harness.sources(9), Counter()
    for seed in range(1500):
        random = Random(seed)
        how, told = harness.try_again(random.choice(programs), random)
        assert told is None, seed
        came[how] += 1
    assert min(came["refused"], came["failed"]) > 5


def test_the_recorder_plays_what_the_backend_builds(harness):
    for program in harness.sources(3):
        assert harness.Player(program, harness.webnn_kernels.Engine(1)).plan is not None

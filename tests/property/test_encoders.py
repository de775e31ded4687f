"""Random encoders and networks of images on the native engine: as a model has them, and with small changes.

The long run is `python tests/property/encoder_run.py --count 20000`.
"""

from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np
import pytest
from encoder_run import findings
from exact_runs import wrong_results
from graph_mutations import CHANGES, change_number, change_option, exchange, leave_out, mutated, swap_operands
from hypothesis import settings
from random_encoders import FAMILIES, feeds_of, random_encoder

from webnn_runtime.backends import get_backend

pytestmark = pytest.mark.native

# Of the profile: 120 graphs in every run, 6,000 in a night.
BLOCKS = range(6)
IN_A_BLOCK = settings.default.max_examples // 2 if settings.default else 20
# Graphs that were wrong once: numbers added to all scores alike, and a formula of the mask that hides nothing.
ONCE_WRONG = [1826, 2172, 2644]


@pytest.fixture(autouse=True)
def native(optional):
    optional("webnn_kernels")


@pytest.mark.parametrize("block", BLOCKS)
def test_random_encoders_and_their_near_misses_are_right(block):
    fused = Counter()
    wrong = [line for seed in range(IN_A_BLOCK) for line in findings(100_000 + block * IN_A_BLOCK + seed, fused)]
    assert wrong == []
    assert len(fused) > 10


def test_random_attention_of_others_and_its_near_misses_is_right():
    fused = Counter()
    wrong = [line for seed in range(IN_A_BLOCK) for line in findings(300_000 + seed, fused, ["foreign"])]
    assert wrong == []
    assert fused["attention"] + fused["attention+mask"] > fused["rotary"] > 0


def test_random_sums_of_integers_and_their_near_misses_are_right():
    fused = Counter()
    wrong = [line for seed in range(IN_A_BLOCK) for line in findings(200_000 + seed, fused, ["quantised"])]
    assert wrong == []
    for part in ("range of a tensor", "linear(integers, ranges at run time)", "linear(integers, fixed ranges)"):
        assert any(name.startswith(part) for name in fused), part


@pytest.mark.parametrize("seed", ONCE_WRONG)
def test_a_graph_that_was_wrong_once_is_right(seed):
    assert findings(seed) == []


def test_every_change_is_made_and_gives_valid_graphs():
    made = Counter()
    for seed in range(60):
        random = Random(seed)
        made.update(mutated(random_encoder(random), random, 3)[1])
    assert set(made) == {change.__name__ for change in CHANGES}


def test_a_careless_pattern_would_be_found():
    """The answers of the graph as it was are no answers of the changed one, where the change has a meaning at all."""
    meant = [swap_operands, change_option, change_number, leave_out, exchange]
    seen = Counter()
    for seed in range(200):
        random = Random(seed)
        graph = random_encoder(random)
        other, (done,) = mutated(graph, random, 1, meant)
        if other.checks or {*other.inputs} != {*graph.inputs} or other.output_types != graph.output_types:
            continue
        sizes = {"batch": 2, "length": 7}
        feeds = feeds_of(graph, sizes, random)
        found = get_backend("numpy").compile(graph).run(feeds)
        seen[done, bool(wrong_results(other, feeds, sizes, found))] += 1
    # The rest are sums turned round, bounds that nothing reaches, and rows of tables that nothing reads.
    told = Counter(is_told for _, is_told in seen.elements())
    assert told[True] > told[False], seen
    assert all(seen[change.__name__, True] for change in meant), seen


@pytest.mark.parametrize("family", ["encoder", "foreign", "masked"])
def test_texts_without_padding_are_right_in_random_encoders(family):
    """The same vectors packed as padded, and the same bits alone as among others."""
    packed = 0
    for seed in range(60):
        random = Random(seed)
        graph = FAMILIES[family](random)
        model = get_backend("rust").compile(graph)
        runner = model.texts()
        if runner is None or {*runner.inputs} != {"ids"} or "mask" not in graph.inputs:
            continue
        packed += 1
        lengths = [random.randint(1, 9) for _ in range(5)]
        words = [np.random.default_rng(place).integers(2, 20, length) for place, length in enumerate(lengths)]
        found = runner.run({"ids": np.concatenate(words)}, lengths)
        ids, mask = np.ones((2, len(words), 10), np.int64)
        for number, text in enumerate(words):
            ids[number, : len(text)], mask[number, len(text) :] = text, 0
        padded = get_backend("numpy").compile(graph).run({"ids": ids, "mask": mask})
        for number, text in enumerate(words):
            feeds = {"ids": text[None], "mask": np.ones((1, len(text)), np.int64)}
            alone = model.run(feeds)
            start = sum(lengths[:number])
            for name, array in found.items():
                is_token = len(array) == sum(lengths)
                own = array[start : start + len(text)][None] if is_token else array[number][None]
                assert own.tobytes() == alone[name].tobytes(), f"{seed}: {name}"
                among = padded[name][number, : len(text)] if is_token else padded[name][number]
                # NaN in padding spreads to texts by the definitions alone.
                kept = np.isfinite(among)
                most = 1e-4 * np.max(np.abs(among[kept]), initial=0.0)
                np.testing.assert_allclose(own[0][kept], among[kept], rtol=0, atol=most, err_msg=f"{seed}: {name}")
            assert wrong_results(graph, feeds, {"batch": 1, "length": len(text)}, alone) == {}
    assert packed > 10

"""Random encoders and networks of images, whole and with small changes, on the native engine against the definitions.

python tests/property/encoder_run.py --count 20000 --seed 0     a long run; ends with 1 where an answer is wrong

One number gives one graph, so that `--seed N --count 1` repeats a finding.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Final

from exact_runs import wrong_results
from graph_mutations import mutated
from random_encoders import FAMILIES, feeds_of

from webnn_runtime.backends import Executable, get_backend
from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.format.errors import ExecutionError, UnsupportedByBackend, WebnnError
from webnn_runtime.format.graph import Array, Graph
from webnn_runtime.passes.simplify import simplify

__all__ = ["findings", "on_engine"]

SIZES: Final = ({"batch": 1, "length": 1}, {"batch": 2, "length": 5}, {"batch": 5, "length": 9})


MIXED: Final = ("encoder", "encoder", "encoder", "images")


def findings(seed: int, fused: Counter[str] | None = None, families: Sequence[str] = MIXED) -> list[str]:
    """What is wrong with the graph of this number; nothing where all is well. `fused` counts what was recognised."""
    random = Random(seed)
    family = random.choice(families)
    graph, changes = FAMILIES[family](random), ()
    if random.random() < 0.8:
        graph, changes = mutated(graph, random, random.choice([1, 1, 2, 3]))
    return [f"{family} {seed}, {', '.join(changes) or 'as it is'}: {told}" for told in on_engine(graph, random, fused)]


def on_engine(graph: Graph, random: Random, fused: Counter[str] | None = None) -> list[str]:
    """The graph and its cleaned form, on one thread or three, whole or cut along the batch."""
    forms = {"as it is": graph}
    if random.random() < 0.5:
        forms["cleaned"] = simplify(graph)[0]
    options = CompileOptions(
        threads=random.choice([1, 3]),
        max_memory=random.choice([None, None, 1 << 14]),
        session_options={"isa": random.choice(["scalar", "avx2", "avx512", "amx"])} if random.random() < 0.3 else {},
    )
    told: list[str] = []
    for form, given in forms.items():
        try:
            model = get_backend("rust").compile(given, options)
        except WebnnError as exc:
            if "this CPU" in str(exc):
                continue
            told.append(f"{form}: not compiled: {exc}")
            continue
        if fused is not None:
            fused.update(model.describe()["fused"])  # type: ignore[call-overload]
        for sizes in SIZES:
            told += [f"{form} at {sizes}: {line}" for line in compare(model, graph, sizes, random)]
    return told + in_integers(graph, options, random)


def in_integers(graph: Graph, options: CompileOptions, random: Random) -> list[str]:
    """Layers with weights of 8 bits, where there are any: the threads change no bit."""
    sizes = SIZES[1]
    feeds = feeds_of(graph, sizes, random)
    found = []
    for threads in (1, 3):
        try:
            model = get_backend("rust").compile(graph, replace(options, compute="int8", threads=threads))
            found.append(model.run({name: feeds[name] for name in model.graph.inputs}))
        except UnsupportedByBackend:
            return []
        except WebnnError as exc:
            # No memory, or sizes that the definitions refuse as well.
            return [] if isinstance(exc.__cause__, MemoryError) else refused_alone(graph, feeds, str(exc))
    same = all(array.tobytes() == found[1][name].tobytes() for name, array in found[0].items())
    return [] if same else [f"in integers at {sizes}: threads change the results"]


def compare(model: Executable, graph: Graph, sizes: dict[str, int], random: Random) -> list[str]:
    feeds = feeds_of(graph, sizes, random)
    try:
        actual = model.run({name: feeds[name] for name in model.graph.inputs})
    except ExecutionError as exc:
        # A budget that is too small for one item is told, and nothing else may be.
        return [] if isinstance(exc.__cause__, MemoryError) else [str(exc)]
    except WebnnError as exc:
        return refused_alone(graph, feeds, str(exc))
    return [f"{name}: {what}" for name, what in wrong_results(graph, feeds, sizes, actual).items()]


def refused_alone(graph: Graph, feeds: dict[str, Array], told: str) -> list[str]:
    """A refusal, unless the definitions refuse these sizes as well."""
    try:
        get_backend("numpy").compile(graph).run(feeds)
    except WebnnError:
        return []
    return [f"only the engine refuses: {told}"]


def main() -> int:
    """Try as many graphs as asked for; print what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--family", action="append", choices=sorted(FAMILIES), help="as often as it is to be taken")
    given = parser.parse_args()
    fused: Counter[str] = Counter()
    wrong = 0
    for seed in range(given.seed, given.seed + given.count):
        for line in findings(seed, fused, given.family or MIXED):
            wrong += 1
            print(line, flush=True)
    print(f"{given.count} graphs, {wrong} findings; recognised: {dict(fused.most_common())}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())

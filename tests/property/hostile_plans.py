"""Programs for the native plan builder that no lowering would write: recorded ones, damaged.

A lowering is checked by its own tests; here the builder and the engine are asked to believe nothing. Every damaged
program is refused with an error, or builds a plan each run of which gives results or an error. A panic, even one that
the engine catches, is a finding.

python tests/property/hostile_plans.py --count 20000 --seed 0
"""

from __future__ import annotations

import argparse
import math
import runpy
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
from random_encoders import random_encoder, random_image_network

import webnn_kernels
from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.backends.rust import BACKEND
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import WebnnError
from webnn_runtime.format.graph import Graph

__all__ = ["Program", "programs_of", "try_again", "try_damaged"]

Program = list[tuple[str, list[Any]]]
# What the builder and a run may say; RuntimeError is how a panic of a step comes out.
REFUSALS: Final = (ValueError, NotImplementedError, TypeError, OverflowError)
NUMBERS: Final = (0, 1, 2, 3, 5, 7, -1, -2, 63, 2**31, -(2**31), 2**40, 2**63 - 1, -(2**63))
REALS: Final = (0.0, -0.0, 1.0, -1.0, 1e-30, 1e30, math.inf, -math.inf, math.nan)
# Values of more bytes are not made: the machine is shared.
MOST_BYTES: Final = 1 << 24


class Recorder:
    """A builder that writes down what it is asked for."""

    made: Program | None = None

    def __init__(self, real: Any, engine: Any, names: list[str]) -> None:
        self._real = real(engine, names)
        self._calls: Program = [("names", list(names))]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            result = getattr(self._real, name)(*arguments)
            self._calls.append((name, list(arguments)))
            if name == "build":
                Recorder.made = self._calls
                return Unshared(result)
            return result

        return call


class Unshared:
    """A plan without anything to share, so that the one over texts is written down in full."""

    def __init__(self, plan: Any) -> None:
        self._plan = plan

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plan, name)

    def taken(self, _step: int) -> list[int]:
        return []


@contextmanager
def recording() -> Iterator[None]:
    real = webnn_kernels.PlanBuilder
    webnn_kernels.PlanBuilder = lambda engine, names: Recorder(real, engine, list(names))  # type: ignore[misc,assignment]
    try:
        yield
    finally:
        webnn_kernels.PlanBuilder = real  # type: ignore[misc]


def programs_of(graph: Graph) -> list[Program]:
    """What compiling a graph asks the builder for: its plan, in integers too where it has any, and those over texts."""
    found: list[Program] = []
    with recording():
        for arithmetic in ("exact", "int8"):
            Recorder.made = None
            try:
                model = BACKEND.compile(graph, CompileOptions(compute=arithmetic))
            except WebnnError:
                continue
            found += [Recorder.made] if Recorder.made is not None else []
            if model.texts() is not None:
                found.append(Recorder.made)
    return found


def damaged(program: Program, random: Random) -> Program:
    """One call of the program changed in one way."""
    calls = [(name, list(arguments)) for name, arguments in program]
    place = random.randrange(1, len(calls))
    name, arguments = calls[place]
    if random.random() < 0.05:
        del calls[place]
        return calls
    if name == "step" and random.random() < 0.5:
        calls[place] = (name, changed_step(arguments, random))
        return calls
    which = random.randrange(len(arguments))
    arguments[which] = changed(arguments[which], random)
    return calls


def changed_step(arguments: list[Any], random: Random) -> list[Any]:
    kind, operands, attributes, results, node = arguments
    attributes, operands = dict(attributes), list(operands)
    form = random.choice(["kind", "operands", "attribute", "absent", "gone"])
    if form == "kind":
        kind = random.choice(webnn_kernels.kinds())
    elif form == "operands":
        operands = changed(operands, random)
    elif attributes:
        chosen = random.choice(sorted(attributes))
        tag, value = attributes[chosen]
        if form == "gone":
            del attributes[chosen]
        elif form == "absent":
            attributes[chosen] = (random.choice(["int", "ints", "float", "text", "bool"]), value)
        else:
            attributes[chosen] = (tag, changed(value, random))
    return [kind, operands, attributes, results, node]


def changed(value: Any, random: Random) -> Any:
    """Something else of about the same form."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return random.choice([value + 1, value - 1, random.choice(NUMBERS)])
    if isinstance(value, float):
        return random.choice(REALS)
    if isinstance(value, str):
        return random.choice(["float32", "int64", "uint8", "relu", "+", "*", "//", "", value + "x", value[::-1]])
    if isinstance(value, np.ndarray):
        cut = np.array(value[: random.randrange(len(value) + 1)])
        cut.flags.writeable = False
        return cut
    if value is None:
        return random.choice([0, 1, 1000])
    if isinstance(value, dict):
        return {}
    items = list(value)
    form = random.choice(["item", "item", "item", "gone", "twice", "turned", "more"])
    if not items or form == "more":
        return [*items, random.choice([0, 1, 2, 1000, None])]
    place = random.randrange(len(items))
    if form == "gone":
        del items[place]
    elif form == "twice":
        items.insert(place, items[place])
    elif form == "turned":
        random.shuffle(items)
    else:
        items[place] = random.choice([changed(items[place], random), random.choice(items)])
    return tuple(items) if isinstance(value, tuple) else items


class Player:
    """Plays a program to a real builder, and remembers how large every value is."""

    def __init__(self, program: Program, engine: Any) -> None:
        self.names: list[str] = program[0][1]
        self.builder = webnn_kernels.PlanBuilder(engine, self.names)
        self.dims: list[list[Any]] = []
        self.values: list[tuple[str, list[int]]] = []
        self.inputs: list[int] = []
        self.outputs: list[int] = []
        self.texts: list[str] | None = None
        self.per_token: list[bool] = []
        self.text_names: list[str] = []
        self.plan: Any = None
        for name, arguments in program[1:]:
            self.play(name, arguments)

    def play(self, name: str, arguments: list[Any]) -> None:
        result = getattr(self.builder, name)(*arguments)
        if name == "dimension":
            self.dims.append(list(arguments[0]))
        elif name in ("input", "constant"):
            self.inputs += [len(self.values)] if name == "input" else []
            self.values.append((arguments[0], list(arguments[1])))
        elif name == "alias":
            self.values.append((self.values[arguments[0]][0], list(arguments[1])))
        elif name in ("step", "again"):
            self.values += [(dtype, list(shape)) for dtype, shape in arguments[3]]
        elif name == "texts":
            self.text_names, self.texts, self.per_token = arguments
        elif name == "build":
            self.plan, self.outputs = result, list(arguments[0])

    def size(self, dim: int, sizes: dict[str, int]) -> int:
        """A dimension, from its postfix form."""
        signs: dict[Any, Callable[[int, int], int]] = {
            "+": lambda a, b: a + b,
            "*": lambda a, b: a * b,
            "//": lambda a, b: a // b if b else 0,
            "<": min,
            ">": max,
        }
        stack: list[int] = []
        for token in self.dims[dim]:
            if isinstance(token, str) and token in signs:
                right, left = stack.pop(), stack.pop()
                stack.append(signs[token](left, right))
            else:
                stack.append(sizes[token] if isinstance(token, str) else token)
        return stack[0]

    def bytes(self, value: int, sizes: dict[str, int]) -> int:
        dtype, shape = self.values[value]
        return DataType(dtype).numpy.itemsize * math.prod(self.size(dim, sizes) for dim in shape)

    def run(self, random: Random) -> None:
        """One run, with arrays of the right sizes most of the time."""
        lengths = [random.randint(1, 4) for _ in range(3)]
        given = {name: random.choice([1, 1, 2, 3, 5]) for name in self.names}
        if self.texts is not None:
            given |= dict(zip(self.text_names, (sum(lengths), len(lengths), max(lengths)), strict=True))
        elif random.random() < 0.1 and self.names:
            given[random.choice(self.names)] = random.choice([0, -1, 12])
        sizes = [self.bytes(value, given) for value in range(len(self.values))]
        if any(size > MOST_BYTES for size in sizes):
            return
        names = [given[name] for name in self.names]
        wanted = [
            value for place, value in enumerate(self.inputs) if self.texts is None or self.texts[place] == "tokens"
        ]
        wrong = random.choice([0, 0, 0, 0, 1, -1])
        arrays = [self.bytes_for(sizes[value] + wrong * (random.random() < 0.3), random) for value in wanted]
        results = [np.zeros(max(sizes[value], 0), np.uint8) for value in self.outputs]
        if self.texts is None:
            self.plan.run(names, arrays, results)
        else:
            self.plan.run_texts(names, lengths, arrays, results)

    @staticmethod
    def bytes_for(size: int, random: Random) -> Any:
        numbers = np.random.default_rng(random.randrange(2**32))
        size = max(size, 0)
        return random.choice(
            [
                lambda: numbers.integers(0, 256, size, np.uint8),
                lambda: np.zeros(size, np.uint8),
                lambda: numbers.standard_normal(size // 4 + 1).astype(np.float32).view(np.uint8)[:size].copy(),
            ]
        )()


def try_damaged(program: Program, random: Random) -> tuple[str, str | None]:
    """How far a damaged program came, and what is wrong, if anything is."""
    for _ in range(random.choice([1, 1, 2, 3])):
        program = damaged(program, random)
    engine = webnn_kernels.Engine(random.choice([1, 2]), random.choice(webnn_kernels.available_isas()))
    return played(lambda: Player(program, engine), random)


def try_again(program: Program, random: Random) -> tuple[str, str | None]:
    """A step of a plan, with the constants that it has taken over, on operands that it was not made for."""
    engine = webnn_kernels.Engine(random.choice([1, 2]), random.choice(webnn_kernels.available_isas()))
    first = Player(program, engine)
    steps = [step for step in range(len(first.plan.labels)) if first.plan.taken(step)]
    step = random.choice(steps) if steps and random.random() < 0.95 else random.randrange(1000)
    made = [arguments for name, arguments in program if name == "step"]
    _, known, _, results, _ = made[step] if step < len(made) else ("", [None], {}, [], "")
    calls: Program = [("names", ["n"]), ("dimension", [["n"]])]
    calls += [("dimension", [[random.choice([1, 2, 4, 8, 8, 16, 16])]]) for _ in range(5)]
    # Values of the types that the step has, or of others, in any shapes.
    operands: list[int | None] = []
    for value in known:
        dtype = None if value is None else first.values[value][0]
        if random.random() < 0.05:
            dtype = random.choice([None, "float32", "int8", "int64", "float16"])
        if dtype is not None:
            calls.append(("input", [dtype, [random.randrange(6) for _ in range(random.choice([0, 1, 2, 3, 3, 3, 4]))]]))
        operands.append(None if dtype is None else len(calls) - 8)
    kinds = [(dtype, [random.randrange(6) for _ in range(random.choice([1, 2, 3, 3, 3]))]) for dtype, _ in results]
    if random.random() < 0.1:
        operands, kinds = random.choice([(operands[:-1], kinds), (operands, []), (operands, kinds * 2)])
    calls += [("again", [first.plan, step, operands, kinds]), ("build", [[len(calls) - 7], None])]
    return played(lambda: Player(calls, engine), random)


def played(make: Callable[[], Player], random: Random) -> tuple[str, str | None]:
    """How far a program comes, and what is wrong."""
    try:
        player = make()
    except REFUSALS:
        return "refused", None
    except BaseException as exc:
        if type(exc).__name__ != "PanicException":
            raise
        return "wrong", f"a panic while building: {exc}"
    if player.plan is None:
        return "unfinished", None
    try:
        for _ in range(2):
            player.run(random)
    except (IndexError, ValueError, MemoryError):
        # An index error is what reads from an axis of no elements end with.
        return "failed", None
    except RuntimeError as exc:
        return "wrong", f"a panic in a run: {exc}"
    except BaseException as exc:
        if type(exc).__name__ != "PanicException":
            raise
        return "wrong", f"a panic that crossed: {exc}"
    return "ran", None


def sources(seed: int) -> list[Program]:
    """Recorded programs of encoders, networks of images, and the operators by themselves."""
    random = Random(seed)
    made = [random_encoder(random) for _ in range(12)] + [random_image_network(random) for _ in range(6)]
    alone = runpy.run_path(str(Path(__file__).parent.parent / "ops" / "test_cases.py"), run_name="cases")["CASES"]
    made += [case.graph(all_constant=False) for case in random.sample(alone, 40)]
    return [program for graph in made for program in programs_of(graph)]


def main() -> int:
    """Try as many damaged programs as asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    came: Counter[str] = Counter()
    told: Counter[str] = Counter()
    programs = sources(given.seed // 1000)
    for seed in range(given.seed, given.seed + given.count):
        random = Random(seed)
        if seed % 1000 == 0:
            programs = sources(seed // 1000)
        attempt = try_damaged if random.random() < 0.9 else try_again
        how, wrong = attempt(random.choice(programs), random)
        came[how] += 1
        if wrong is not None and told[wrong] == 0:
            print(f"{seed}: {wrong}", flush=True)
        told[str(wrong)] += wrong is not None
    print(f"{given.count} programs: {dict(came)}")
    return 1 if came["wrong"] else 0


if __name__ == "__main__":
    raise SystemExit(main())

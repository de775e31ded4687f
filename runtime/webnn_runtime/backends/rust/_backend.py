"""The backend itself: compiles a graph to a plan and runs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from webnn_runtime.backends.base import (
    Backend,
    CompileOptions,
    Executable,
    TextRunner,
    Unsupported,
    own_results,
    refuse_impossible,
)
from webnn_runtime.backends.rust._errors import NAME
from webnn_runtime.backends.rust._lowering import lower
from webnn_runtime.backends.rust._originals import Originals
from webnn_runtime.backends.rust._packed_file import PackedWeights, open_packed
from webnn_runtime.backends.rust._packing import NotPacked
from webnn_runtime.backends.rust._plan import NativeSegment, ReferenceSegment, Segment, segments
from webnn_runtime.backends.rust._stored import OWN_RANGES
from webnn_runtime.backends.rust._texts import TextPlan, text_plan
from webnn_runtime.format.counts import is_count
from webnn_runtime.format.dims import names_of
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import BackendUnavailable, UnsupportedByBackend
from webnn_runtime.format.graph import Array, Graph
from webnn_runtime.format.locks import Lock
from webnn_runtime.passes.split_heads import split_heads
from webnn_runtime.passes.stored_weights import keep_packed

if TYPE_CHECKING:
    from webnn_kernels import Engine

__all__ = ["BACKEND", "UNSUPPORTED", "RustBackend", "RustExecutable"]

# What the plans mean that are made here: `REVISION` in rust/engine/src/ops/mod.rs.
_PLAN_REVISION: Final = 4
# The engine counts bytes in 64 bits; more than these nobody has.
_MOST_BYTES: Final = 2**63 - 1

# What the engine has no kernel for runs on the reference kernels, which have no gaps.
UNSUPPORTED: Final[Unsupported] = {}


class RustExecutable(Executable):
    """Plans and reference steps in order, their constants, and the engine with its threads."""

    def __init__(
        self,
        graph: Graph,
        engine: Engine,
        max_memory: int | None = None,
        compute: str = "exact",
        packed: PackedWeights | None = None,
    ) -> None:
        super().__init__(graph)
        # Imported for graphs that have such sums alone: most have not, and start without it.
        if any(kind.dtype is DataType.INT32 for kind in graph.types.values()):
            from webnn_runtime.passes.integer_products import join_integer_products

            graph = join_integer_products(graph)
        folded = keep_packed(split_heads(graph))
        self._engine = engine
        self._packed = packed
        self._max_memory = max_memory
        self._folded = folded
        self._lowered = lower(folded, compute)
        found, plain = segments(folded, self._lowered, engine, max_memory)
        # Weights live in the plans, packed; of the arrays they came from, only what is read elsewhere is kept.
        constants = self._lowered.constants
        self._constants = {name: constants[name] for name in plain}
        taken = {name for segment in found if isinstance(segment, NativeSegment) for name in segment.taken}
        self._originals = Originals(
            [constants.pop(name) for name in taken - plain if name in constants],
            [segment.plan for segment in found if isinstance(segment, NativeSegment)],
        )
        lengths = {name for kind in graph.inputs.values() for dim in kind.shape[1:] for name in names_of(dim)}
        given = {name for kind in graph.output_types.values() for dim in kind.shape for name in names_of(dim)}
        self._gives_no_lengths = bool(lengths) and lengths.isdisjoint(given)
        self._texts: dict[tuple[tuple[str, ...], str | None, bool], TextPlan | NotPacked] = {}
        self._lock = Lock()
        self._results = folded.outputs
        self._segments = _with_last_uses(found, set(folded.outputs.values()))

    def execute(self, inputs: Mapping[str, Array], bindings: Mapping[str, int]) -> dict[str, Array]:
        # Only where no result is as long as the texts: what such a graph has for padding is a result too.
        texts = self._text_plan(tuple(self._results)) if self._gives_no_lengths else None
        found = texts.run_padded(inputs) if isinstance(texts, TextPlan) else None
        return self._execute(inputs, bindings) if found is None else found

    def _execute(self, inputs: Mapping[str, Array], bindings: Mapping[str, int]) -> dict[str, Array]:
        values = {**self._constants, **inputs}
        shared = {id(array) for array in values.values()}
        for segment, dead in self._segments:
            made = segment.run([values[name] for name in segment.reads], bindings)
            values.update(zip(segment.makes, made, strict=True))
            for name in dead:
                values.pop(name, None)
        self._originals.let_go()
        return own_results({output: values[value] for output, value in self._results.items()}, shared)

    def texts(
        self, outputs: Iterable[str] | None = None, pooling: str | None = None, *, normalize: bool = False
    ) -> TextRunner | None:
        found = self._text_plan(tuple(self._results if outputs is None else outputs), pooling, normalize)
        self._originals.let_go()
        return found if isinstance(found, TextPlan) else None

    def _text_plan(
        self, outputs: tuple[str, ...], pooling: str | None = None, normalize: bool = False
    ) -> TextPlan | NotPacked:
        key = (outputs, pooling, normalize)
        with self._lock:
            if key not in self._texts:
                plans = (segment for segment, _ in self._segments if isinstance(segment, NativeSegment))
                shared = {value: (plan.plan, step) for plan in plans for value, step in plan.steps.items()}
                try:
                    self._texts[key] = text_plan(
                        self._folded,
                        self._lowered,
                        self._engine,
                        outputs,
                        shared,
                        self._originals,
                        self._max_memory,
                        pooling,
                        normalize,
                    )
                except NotPacked as exc:
                    self._texts[key] = exc
            return self._texts[key]

    def describe(self) -> dict[str, object]:
        import webnn_kernels

        native = [segment for segment, _ in self._segments if isinstance(segment, NativeSegment)]
        reference = self.on_reference()
        texts = self._text_plan(tuple(self._results))
        return {
            "backend": NAME,
            "device": "cpu",
            "isa": self._engine.isa,
            "threads": self._engine.threads,
            "compute": self.compute,
            "integer_sums": self._engine.integers,
            "fused": _total(segment.patterns for segment in native),
            "native": _total(segment.operators for segment in native),
            "on_reference": dict(sorted(reference.items())),
            "all_native": not reference,
            "segments": len(self._segments),
            "packed_weights": {} if self._packed is None else self._packed.record(),
            "unpadded": True if isinstance(texts, TextPlan) else str(texts),
            "webnn_kernels": webnn_kernels.__version__,
            "build_profile": webnn_kernels.build_profile,
        }

    @property
    def all_native(self) -> bool:
        # Without the description, which makes the plan of texts as well: 5 ms of a start for who runs none.
        return not self.on_reference()

    @property
    def compute(self) -> str:
        """As in `CompileOptions`: "int8" where rows are quantised by their own range, which the graph does not say."""
        native = (segment for segment, _ in self._segments if isinstance(segment, NativeSegment))
        return "int8" if any(name.startswith(OWN_RANGES) for part in native for name in part.patterns) else "exact"

    def on_reference(self) -> Counter[str]:
        """Operators that run on the reference kernels, and how many steps each has."""
        return Counter(segment.label for segment, _ in self._segments if isinstance(segment, ReferenceSegment))


class RustBackend(Backend):
    """The native engine behind the backend interface."""

    name = NAME
    unsupported = UNSUPPORTED
    arithmetics = ("exact", "int8")

    def require(self) -> None:
        """Return if `webnn_kernels` can be imported.

        Raises:
            BackendUnavailable: it is not installed, or cannot be loaded here.
            UnsupportedByBackend: WEBNN_KERNELS_ISA names an instruction set that this CPU lacks, or the package is of
                another version than this one.
        """
        try:
            import webnn_kernels
        except ImportError as exc:
            raise BackendUnavailable(
                f"the native package cannot be imported ({exc}); install it with: pip install ./rust", backend=NAME
            ) from exc
        except RuntimeError as exc:
            # The environment asks for an instruction set that this CPU lacks: not for another backend.
            raise UnsupportedByBackend(str(exc), backend=NAME) from exc
        found = getattr(webnn_kernels, "plan_revision", 0)
        if found != _PLAN_REVISION:
            # Nor this: who has installed the package wants it.
            raise UnsupportedByBackend(
                f"webnn-kernels {webnn_kernels.__version__} runs plans of revision {found}, this webnn-runtime makes "
                f"those of revision {_PLAN_REVISION}; install the one that belongs to it with: pip install ./rust",
                backend=NAME,
            )

    def compile(self, graph: Graph, options: CompileOptions | None = None) -> Executable:
        """Prepare a graph. The one session option is `isa`, which forces an instruction set.

        Raises:
            BackendUnavailable: the native package or the device is not there.
            UnsupportedByBackend: unknown session options, or with `strict` an operator without a native kernel.
        """
        self.require()
        chosen = options or CompileOptions()
        refuse_impossible(self, chosen)
        if chosen.device != "cpu":
            raise BackendUnavailable(f"there is no device '{chosen.device}'; only 'cpu'", backend=NAME)
        most: object = chosen.max_memory
        if most is not None and not is_count(most, 1, _MOST_BYTES):
            raise UnsupportedByBackend(
                f"max_memory={most!r}; must be at least 1 byte, as a whole number up to {_MOST_BYTES}", backend=NAME
            )
        unknown = chosen.session_options.keys() - {"isa"}
        if unknown:
            names = ", ".join(sorted(unknown))
            raise UnsupportedByBackend(f"there is no session option {names}; only isa", backend=NAME)
        from webnn_kernels import Engine

        isa = chosen.session_options.get("isa")
        try:
            engine = Engine(chosen.threads, isa)
        except (ValueError, OverflowError, TypeError) as exc:
            raise UnsupportedByBackend(f"the engine cannot start: {exc}", backend=NAME) from exc
        packed = open_packed(chosen.bundle, engine.isa)
        if packed.native is not None:
            engine = Engine(chosen.threads, isa, packed.native)
        elif packed.is_stale:
            import logging

            logging.getLogger(__name__).warning("%s; until then weights are packed in memory", packed.reason)
        executable = RustExecutable(graph, engine, chosen.max_memory, chosen.arithmetic, packed)
        if chosen.compute == "int8" and executable.compute != "int8":
            raise UnsupportedByBackend(
                "compute='int8': the graph has no layer with one scale of 8-bit weights per column; "
                "quantise it with webnn-convert --quantize int8, or leave compute out",
                backend=NAME,
            )
        reference = executable.on_reference()
        if chosen.strict and reference:
            names = ", ".join(f"{op} ({count})" for op, count in sorted(reference.items()))
            raise UnsupportedByBackend(
                f"no native kernel for {names}; compile without strict to run these on the reference kernels",
                backend=NAME,
            )
        return executable


def _total(counts: Iterable[Counter[str]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total += count
    return dict(sorted(total.items()))


def _with_last_uses(found: Sequence[Segment], results: set[str]) -> tuple[tuple[Segment, tuple[str, ...]], ...]:
    """The segments, each with the values that nothing after it reads."""
    needed = set(results)
    kept: list[tuple[Segment, tuple[str, ...]]] = []
    for segment in reversed(found):
        mentioned = {*segment.reads, *segment.makes}
        kept.append((segment, tuple(sorted(mentioned - needed))))
        needed |= mentioned
    return tuple(reversed(kept))


BACKEND: Final = RustBackend()

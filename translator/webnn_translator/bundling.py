"""The whole way: source -> translation -> bundle -> check. A bundle appears at the end of it, or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from webnn_runtime.format.bundle import load_bundle
from webnn_runtime.format.bundle_writing import StagedBundle, staged_bundle
from webnn_runtime.format.companions import GRAPH_FILE
from webnn_runtime.format.graph import Graph
from webnn_runtime.format.staging import refuse_target
from webnn_runtime.format.utf8_paths import in_utf8
from webnn_runtime.passes.simplify import PassReport, simplify
from webnn_translator.companions import companions_in
from webnn_translator.empty_cache import EmptyCache, empty_cache
from webnn_translator.given_dims import GivenDim, gather_dims
from webnn_translator.given_inputs import GivenInput, bind_inputs, empty_record, settled_dims
from webnn_translator.quantize import QuantizedBundle, QuantizeOptions, write_quantized
from webnn_translator.quantize.samples import require_texts, require_tokenizer
from webnn_translator.sources import open_source
from webnn_translator.sources.cross_check import cross_check
from webnn_translator.sources.model import Source
from webnn_translator.translate import Translation, translate
from webnn_translator.verify import Certificate, VerificationFailed, check_bundle, why_no_texts

__all__ = ["Conversion", "ConvertOptions", "convert_model", "target_folder"]


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """What the caller may choose.

    Attributes:
        dims: named dimension -> value it is bound to; outranks what files and metadata say.
        dims_file: JSON file with more of them.
        max_dims: named dimension -> largest value.
        min_dims: named dimension -> smallest value, where it is not 1.
        inputs: input -> elements of the value that it is bound to.
        cache: "empty" for a decoder that embeds, "keep", or "auto": empty where the model's files say that it embeds.
        int64: "keep", or "int32" where a browser or a device has no int64.
        lstm_states: "keep", or "float32": quantised LSTMs do not round their data and states.
        name: name of the graph; the source's when None.
        is_verified: whether to run the numeric check.
        tolerance: largest difference, as a part of the output's largest value; None for the usual one of its types.
        is_replacing: whether an existing folder may be replaced.
        revision: of a repository on the Hub.
        task: what to export from a torch model.
        opset: ONNX opset to export with.
        quantize: how to quantise what was converted; None leaves it in floats.
        tokenizer: folder whose tokenizer and modules travel with a model that has none beside it.
    """

    dims: Mapping[str, int] = field(default_factory=dict)
    dims_file: Path | None = None
    max_dims: Mapping[str, int] = field(default_factory=dict)
    min_dims: Mapping[str, int] = field(default_factory=dict)
    inputs: Mapping[str, Sequence[float]] = field(default_factory=dict)
    cache: str = "auto"
    int64: str = "keep"
    lstm_states: str = "keep"
    name: str | None = None
    is_verified: bool = True
    tolerance: float | None = None
    is_replacing: bool = False
    revision: str | None = None
    task: str | None = None
    opset: int | None = None
    quantize: QuantizeOptions | None = None
    tokenizer: Path | None = None


@dataclass(frozen=True, slots=True)
class Conversion:
    """A bundle that was written.

    Attributes:
        folder: where it is.
        graph: as read back from it.
        source: where it came from, as in the manifest.
        certificate: of the check; None when there was none.
        files: what travelled along.
        bound: named dimension -> value it was bound to, and where that was given.
        passes: what each clean-up did to the graph.
        quantized: what quantising did; None for a bundle in floats.
        no_texts: why it takes no texts, where files that travelled along promise that it does.
    """

    folder: Path
    graph: Graph
    source: Mapping[str, object]
    certificate: Certificate | None
    files: tuple[str, ...]
    bound: Mapping[str, GivenDim] = field(default_factory=dict)
    passes: tuple[PassReport, ...] = ()
    quantized: QuantizedBundle | None = None
    no_texts: str | None = None

    @property
    def unbounded(self) -> list[str]:
        """Named dimensions without a maximum."""
        return [name for name, dim in self.graph.dims.items() if dim.is_unbounded]

    def record(self) -> dict[str, Any]:
        """What a script would want to know."""
        return {
            "folder": str(self.folder),
            "source": dict(self.source),
            "inputs": {name: str(kind) for name, kind in self.graph.inputs.items()},
            "outputs": {name: str(kind) for name, kind in self.graph.output_types.items()},
            "dimensions": {name: None if dim.is_unbounded else dim.max_size for name, dim in self.graph.dims.items()},
            "boundDimensions": _bound_record(self.bound),
            "operators": dict(sorted(Counter(node.op for node in self.graph.nodes).items())),
            "passes": [report.record() for report in self.passes],
            "files": list(self.files),
            "certificate": self._certificate(),
            **({} if self.quantized is None else {"quantization": self.quantized.record()}),
        }

    def _certificate(self) -> object:
        """As in the manifest."""
        if self.quantized is not None:
            return self.quantized.certificate
        return None if self.certificate is None else self.certificate.record()


def target_folder(model: str, parent: Path | None = None) -> Path:
    """`<stem>-webnn` in the current folder, or in `parent`."""
    path = Path(model)
    if path.suffix == ".onnx":
        stem = path.stem
    elif path.expanduser().exists():
        stem = path.expanduser().resolve().name
    else:
        # A revision of a repository is no part of its name, and may have slashes.
        stem = Path(model.partition("@")[0]).name
    return (parent or Path()) / f"{stem}-webnn"


def convert_model(
    model: str,
    folder: Path,
    options: ConvertOptions | None = None,
    *,
    note: Callable[[str], None] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Conversion:
    """Convert `model` to a bundle in `folder`.

    Args:
        model: an ONNX file, a folder, or an id on the Hub.
        folder: the target.
        options: see `ConvertOptions`.
        note: told what is going on.
        progress: called during the check with runs done, runs in all, and what comes next.

    Raises:
        FileExistsError: the folder exists and may not be replaced.
        HubError: the source is not there, or cannot be fetched or exported.
        FormatError: the source is malformed.
        TranslateError: the model cannot be expressed, or dimensions are missing.
        VerificationFailed: the numbers differ; nothing was written.
        QuantizeMisuse: there is nothing to quantise.
        QualityGateFailed: quantising costs more than allowed; nothing was written.
    """
    chosen = options or ConvertOptions()
    # The manifest has it too.
    in_utf8(model)
    _check_target(folder, chosen.is_replacing)
    if chosen.tokenizer is not None:
        # Here, and not only where it is read, which is after minutes for a large model.
        require_tokenizer(chosen.tokenizer)
    tell = note or _ignore
    tell(f"reading {model}")
    with open_source(model, revision=chosen.revision, task=chosen.task, opset=chosen.opset) as source:
        for remark in (*source.notes, *_unused_tokenizer(source.companions, chosen.tokenizer)):
            tell(remark)
        given, bound_inputs, cache = _bind(source, chosen, tell)
        tell(f"translating {source.file_name}")
        translation = translate(
            source.model,
            file=source.file,
            dims={dim: value.size for dim, value in given.items()},
            max_dims=chosen.max_dims,
            min_dims=chosen.min_dims,
            int64=chosen.int64,
            lstm_states=chosen.lstm_states,
            name=chosen.name or source.name,
        )
        companions = _companions(source.companions, translation.graph, chosen.tokenizer)
        stale = cross_check(source.model, translation.values, is_run=chosen.is_verified)
        for remark in (*stale, *translation.notes, *(f"{name}: {what}" for name, what in translation.mappings.items())):
            tell(remark)
        graph, passes = simplify(translation.graph)
        tell(f"{len(translation.graph.nodes)} nodes, {len(graph.nodes)} after clean-ups")
        renamed = {**translation.weight_names, **translation.input_names, **translation.output_names}
        with staged_bundle(
            graph,
            folder,
            manifest_extra={"source": source.record(), **_decided(translation, given, bound_inputs, cache)},
            files=dict(companions),
            force=chosen.is_replacing,
            names={new: old for old, new in renamed.items() if new != old},
        ) as staged:
            certificate = None
            if chosen.is_verified:
                certificate = _verify(staged, source.file, chosen.tolerance, tell, progress)
            quantized = None
            if chosen.quantize is None:
                written = staged.commit()
            else:
                # The float bundle was only made to be checked, and vanishes.
                quantized = write_quantized(
                    staged.folder,
                    folder,
                    chosen.quantize,
                    force=chosen.is_replacing,
                    is_verified=chosen.is_verified,
                    tolerance=chosen.tolerance,
                    note=tell,
                    progress=progress,
                )
                written = quantized.folder
        files = tuple(sorted(companions)) if quantized is None else quantized.files
        graph = load_bundle(written).graph
        no_texts = why_no_texts(graph, written)
        return Conversion(written, graph, source.record(), certificate, files, given, passes, quantized, no_texts)


def _bind(
    source: Source, chosen: ConvertOptions, tell: Callable[[str], None]
) -> tuple[dict[str, GivenDim], Mapping[str, GivenInput], EmptyCache | None]:
    """Decide what the caller, the files and an empty cache bind; the model is changed.

    Returns:
        Dimensions and inputs that have a value now, and what was done to a decoder's cache.
    """
    given = gather_dims(source.model, source.file, chosen.dims, chosen.dims_file)
    for dim, value in given.items():
        tell(f"dimension {dim} = {value.size}, from {value.origin}")
    sizes = {dim: value.size for dim, value in given.items()}
    bound_inputs = bind_inputs(source.model, chosen.inputs, sizes)
    decided = settled_dims(source.model, bound_inputs, sizes)
    for dim, (size, by) in decided.items():
        if by:
            tell(f"dimension {dim} = {size}, as input '{by}' is bound")
    given = {dim: GivenDim(size, f"the bound input {by}") if by else given[dim] for dim, (size, by) in decided.items()}
    cache = empty_cache(
        source.model,
        chosen.cache,
        companions=_beside(source, chosen),
        dims={dim: value.size for dim, value in given.items()},
        ranged={*chosen.max_dims, *chosen.min_dims},
    )
    if cache is not None:
        given.setdefault(cache.dimension, GivenDim(0, "the empty cache"))
        tell(str(cache))
    return given, bound_inputs, cache


def _beside(source: Source, chosen: ConvertOptions) -> Collection[str]:
    # A folder that is not there is refused with the tokenizer that it lacks.
    folder = chosen.tokenizer
    return {*source.companions, *(companions_in(folder) if folder is not None and folder.is_dir() else ())}


def _unused_tokenizer(beside: Mapping[str, Path], tokenizer: Path | None) -> Iterator[str]:
    own = beside.get("tokenizer.json")
    if own is not None and tokenizer is not None and not own.samefile(tokenizer / own.name):
        yield f"--tokenizer {tokenizer} is not used: the model has its own, {own.name} beside it"


def _companions(beside: Mapping[str, Path], graph: Graph, tokenizer: Path | None) -> Mapping[str, Path]:
    """What lies beside the model, or what the caller names for one that has no tokenizer there.

    Raises:
        FileNotFoundError: no tokenizer is there.
        QuantizeMisuse: it is not one of this model.
    """
    if tokenizer is None or "tokenizer.json" in beside:
        return beside
    require_texts(graph, tokenizer)
    return {**beside, **companions_in(tokenizer)}


def _check_target(folder: Path, is_replacing: bool) -> None:
    """Refuse a place for the bundle before the work, not after it; the writer looks again when it is done.

    Raises:
        FileExistsError: a folder is there already.
        WriteError: something is there that may not be replaced, or it is no name for a folder.
    """
    if folder.is_dir() and folder.name and not is_replacing:
        raise FileExistsError(f"{folder}: exists already; pass --force to replace it, or -o for another folder")
    refuse_target(folder, sign=GRAPH_FILE, force=is_replacing)


def _verify(
    staged: StagedBundle,
    source: Path,
    tolerance: float | None,
    note: Callable[[str], None],
    progress: Callable[[int, int, str], None] | None,
) -> Certificate:
    checked = check_bundle(staged.folder, source, tolerance=tolerance, note=note, progress=progress)
    certificate = checked.certificate
    if not certificate.passed:
        raise VerificationFailed(
            f"{certificate.complaint()}; nothing was written, --no-verify writes it all the same", certificate
        )
    staged.annotate({"certificate": certificate.record(), "canaries": list(checked.canaries)})
    return certificate


def _decided(
    translation: Translation,
    given: Mapping[str, GivenDim],
    bound_inputs: Mapping[str, GivenInput],
    cache: EmptyCache | None,
) -> dict[str, object]:
    """What the manifest says was decided on the way: nothing of what there was nothing to decide."""
    entries: dict[str, object] = {
        "boundDimensions": _bound_record(given),
        "boundInputs": {name: one.record() for name, one in bound_inputs.items()},
        "dimensionLimits": {dim.name: dim.why for dim in translation.dims if dim.why},
        "emptyCache": None if cache is None else cache.record(),
        "emptyInputs": empty_record(translation.empty_inputs),
        "emptyOutputs": list(translation.empty_outputs),
        "floatStates": list(translation.float_states),
        "outputLabels": {name: list(labels) for name, labels in translation.output_labels.items()},
        "sourceTypes": {name: elem.text for name, elem in translation.source_types.items()},
        "typeMappings": dict(translation.mappings),
    }
    return {name: entry for name, entry in entries.items() if entry}


def _bound_record(given: Mapping[str, GivenDim]) -> dict[str, object]:
    return {name: {"size": value.size, "from": value.origin} for name, value in given.items()}


def _ignore(message: str) -> None:
    del message

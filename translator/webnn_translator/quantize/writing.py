"""The last steps of quantising: write the bundle, compare the backends on it, say in the manifest what was done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from webnn_runtime.backends import available_backends
from webnn_runtime.format.bundle import Bundle, load_bundle
from webnn_runtime.format.bundle_writing import staged_bundle
from webnn_runtime.format.companions import GRAPH_FILE, MANIFEST_FILE, WEIGHTS_FILE, is_packed
from webnn_runtime.format.graph import Graph
from webnn_runtime.hub.files import RANGES_FILE, select_companions
from webnn_translator.companions import companions_in
from webnn_translator.quantize.moments import watched
from webnn_translator.quantize.options import QuantizeMisuse, QuantizeOptions
from webnn_translator.quantize.quantise import Quantized, quantize_graph
from webnn_translator.quantize.samples import compiled
from webnn_translator.verify import Checked, VerificationFailed, check_graph
from webnn_translator.verify.bundle import tokenizer_beside
from webnn_translator.verify.check import CHECKED_BACKENDS, Progress
from webnn_translator.verify.cuts import find_cuts

__all__ = ["QuantizedBundle", "quantize_bundle", "write_quantized"]

# What int8 vectors are counted between was learnt from the float model's vectors.
_OWN: Final = frozenset({GRAPH_FILE, WEIGHTS_FILE, MANIFEST_FILE, RANGES_FILE})
# Said of the float graph, and not true of the quantised one.
_OF_FLOATS: Final = ("certificate", "canaries")


@dataclass(frozen=True, slots=True)
class QuantizedBundle:
    """A quantised bundle that was written.

    Attributes:
        folder: where it is.
        graph: as it was written.
        quantized: what was done, and what it cost.
        certificate: as in the manifest; None when nothing was checked.
        weights_bytes: size of the weights file.
        files: what travelled along.
    """

    folder: Path
    graph: Graph
    quantized: Quantized
    certificate: Mapping[str, Any] | None
    weights_bytes: int
    files: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """What a script would want to know."""
        return {
            **self.quantized.record(),
            "weightsBytes": self.weights_bytes,
            "loss": self.quantized.loss.record(),
        }


def write_quantized(
    float_bundle: Path,
    target: Path,
    options: QuantizeOptions,
    *,
    force: bool = False,
    is_verified: bool = True,
    tolerance: float | None = None,
    note: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> QuantizedBundle:
    """Quantise the bundle in `float_bundle`, and write the result to `target`.

    Args:
        float_bundle: folder of a bundle in float32, with whatever travels along, or the graph file in it.
        target: folder to write.
        options: how to quantise.
        force: whether an older folder may be replaced.
        is_verified: whether the backends are compared on the result.
        tolerance: largest difference between two backends, as a part of an output's largest value; by default that of
            the type that the graph computes in.
        note: told what is going on.
        progress: called during the comparison.

    Raises:
        QuantizeMisuse: there is nothing to quantise.
        QualityGateFailed: it costs more than allowed; nothing is written.
        VerificationFailed: backends differ on the result; nothing is written.
    """
    loaded = load_bundle(float_bundle)
    done = quantize_graph(loaded.graph, options, loaded.folder, names=loaded.names, note=note)
    more = {key: value for key, value in loaded.manifest.extension.more.items() if key not in _OF_FLOATS}
    files = _companions(loaded, options.tokenizer)
    with staged_bundle(
        done.graph,
        target,
        manifest_extra={**more, "quantization": done.record()},
        files=files,
        force=force,
        names=loaded.names,
        remarks=[str(done)],
        is_quantized=True,
        # Notes, pages and whatever else lies in the folder is not what makes vectors of texts.
        free=files.keys() - select_companions(files),
    ) as staged:
        record = None
        if is_verified:
            checked = _agreement(staged.folder, tolerance, note, progress)
            record = _certificate(loaded.manifest.extension.more.get("certificate"), done, checked)
            staged.annotate({"certificate": record, "canaries": list(checked.canaries)})
        size = (staged.folder / WEIGHTS_FILE).stat().st_size
        return QuantizedBundle(staged.commit(), done.graph, done, record, size, tuple(sorted(files)))


def quantize_bundle(folder: Path, target: Path, options: QuantizeOptions, **more: Any) -> QuantizedBundle:
    """`write_quantized` for a bundle that a user has: it is checked first that it can be quantised at all.

    Raises:
        QuantizeMisuse: it is quantised already.
        FormatError: its files do not have their hashes.
    """
    extension = load_bundle(folder, verify=True).manifest.extension
    stated = extension.more.get("quantization")
    if stated is not None:
        kind = stated.get("kind") if isinstance(stated, Mapping) else stated
        raise QuantizeMisuse(f"{folder}: is quantised already ({kind}); quantise the float32 bundle it was made from")
    return write_quantized(folder, target, options, **more)


def _agreement(
    folder: Path, tolerance: float | None, note: Callable[[str], None] | None, progress: Progress | None
) -> Checked:
    """The written graph on every backend against one of them: what is packed has to mean the same everywhere.

    Fixed ranges round activations, and the last bit of a sum decides between two steps: where outputs differ for
    that, the backends are compared from each rounding to the next.

    Raises:
        VerificationFailed: two backends differ.
    """
    graph = load_bundle(folder, verify=True).graph
    running = compiled(graph)
    name = str(running.describe()["backend"])
    others = [other for other in CHECKED_BACKENDS if other in available_backends() and other != name]
    check = partial(
        check_graph,
        graph,
        reference_name=f"{name} on the quantised graph",
        tokenizer=tokenizer_beside(folder, note),
        tolerance=tolerance,
        backends=others or [name],
        progress=progress,
    )
    checked = check(running.run)
    cuts = find_cuts(graph, graph.types) if not checked.certificate.passed else None
    if cuts:
        steps = check(
            compiled(watched(graph, (*graph.outputs, *(cut.value for cut in cuts)))).run, cuts=cuts
        ).certificate
        if steps.between is not None:
            steps = replace(steps, between=replace(steps.between, whole=checked.certificate.verdicts))
        checked = Checked(steps, checked.canaries)
    if not checked.certificate.passed:
        raise VerificationFailed(
            f"backends differ on the quantised graph: {checked.certificate.complaint()}; nothing was written",
            checked.certificate,
        )
    return checked


def _certificate(before: object, done: Quantized, checked: Checked) -> dict[str, object]:
    """What is known of a quantised bundle: the float graph equals its source, and how far this one is from that."""
    whole = checked.certificate.record()
    return {
        "schemaVersion": whole["schemaVersion"],
        "subject": "quantized graph: backends agree on it; its distance to the float graph is under 'loss'",
        "verdict": whole["verdict"],
        "tolerance": whole["tolerance"],
        "agreement": whole,
        "loss": done.loss.record(),
        **({"float": dict(before)} if isinstance(before, Mapping) else {}),
    }


def _companions(bundle: Bundle, tokenizer: Path | None) -> dict[str, Path | bytes]:
    """Everything beside the bundle's own files: tokenizer, modules, configuration; else those it was quantised by."""
    own = {bundle.graph_path, bundle.weights_path} | {bundle.folder / name for name in _OWN}
    found: dict[str, Path | bytes] = {
        path.relative_to(bundle.folder).as_posix(): path
        for path in sorted(bundle.folder.rglob("*"))
        if path.is_file()
        and path not in own
        and not is_packed(path.name)
        and not path.name.endswith((".manifest.json", ".safetensors.index.json"))
    }
    return found if tokenizer is None or "tokenizer.json" in found else {**found, **companions_in(tokenizer)}

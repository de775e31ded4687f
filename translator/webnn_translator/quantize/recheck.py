"""A quantised bundle held against its source again: does it lose what its certificate says?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from webnn_runtime.format.bundle import load_bundle
from webnn_runtime.format.errors import ManifestError
from webnn_translator.quantize.loss import Loss, measure, name_of, vectors_of
from webnn_translator.quantize.samples import compiled, measuring_samples
from webnn_translator.verify import VerificationFailed
from webnn_translator.verify.bundle import by_our_names, open_reference

__all__ = ["is_quantized", "recheck_loss"]

# Other processors add up in another order; a weight that is wrong costs more.
_MARGIN: Final = 1e-4


def is_quantized(folder: Path) -> bool:
    """Whether the manifest says that the weights were quantised when the bundle was made."""
    return load_bundle(folder).manifest.extension.more.get("quantization") is not None


def recheck_loss(folder: Path, source: Path) -> tuple[Loss, float]:
    """The loss against the ONNX file `source`, and the mean cosine that the certificate states.

    Raises:
        ManifestError: the certificate states none.
        VerificationFailed: it is larger than stated.
    """
    bundle = load_bundle(folder, verify=True)
    stated, compute = _stated(bundle.manifest.extension.more.get("certificate"), str(folder))
    samples = measuring_samples(bundle.graph, bundle.folder)
    right = by_our_names(bundle, open_reference(bundle, source))
    reference = [samples.view(right(feed), run) for run, feed in enumerate(samples.feeds)]
    running = compiled(bundle.graph, compute)
    loss = measure(reference, vectors_of(running, samples), samples, name_of(running))
    if loss.mean < stated - _MARGIN:
        raise VerificationFailed(
            f"{folder}: the mean cosine to the source is {loss.mean:.6f}, and the certificate states {stated:.6f}"
        )
    return loss, stated


def _stated(certificate: object, path: str) -> tuple[float, str]:
    """The mean cosine, and the arithmetic that it was measured in."""
    try:
        loss = certificate["loss"]  # type: ignore[index]  # of any shape: KeyError and TypeError tell
        mean = min(float(one["mean"]) for one in loss["outputs"].values())
        return mean, "int8" if loss["backend"].endswith("int8") else "exact"
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        if isinstance(certificate, Mapping):
            raise ManifestError("the certificate's 'loss' is malformed; convert the model again", path=path) from exc
        raise ManifestError(
            "states no loss, as it was made with --no-verify; convert the model again", path=path
        ) from exc

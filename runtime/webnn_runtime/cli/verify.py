"""`webnn verify`: are the files the ones that were written, and are the numbers still those of the model?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from webnn_runtime.cli.bundles import find_bundle
from webnn_runtime.cli.exits import Misuse
from webnn_runtime.cli.options import AsJson, BundlePath, Quiet
from webnn_runtime.cli.report import Report, reporting

__all__ = ["verify"]


def verify(
    bundle: BundlePath,
    source: Annotated[
        str | None,
        typer.Option(
            "--source", metavar="MODEL", help="The model it was made from: repeat the whole check against it."
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance", min=0.0, max=1.0, metavar="X", help="Largest difference, as a part of the largest value."
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check a bundle: with --source against ONNX Runtime on the model, else its hashes and its canaries."""
    with reporting("verify", as_json=as_json, quiet=quiet) as report:
        folder = Path(find_bundle(bundle).path)
        if source is None:
            _alone(report, folder)
        else:
            _against(report, folder, source, tolerance)


def _alone(report: Report, folder: Path) -> None:
    from webnn_runtime.backends.rust.packed_writing import verify_packed
    from webnn_runtime.format.bundle import load_bundle
    from webnn_translator.companions import companions_in
    from webnn_translator.verify import VerificationFailed, recheck_bundle

    report.note(f"{folder}: without --source, checking its hashes and its canaries")
    found = recheck_bundle(folder)
    bundle = load_bundle(folder)
    packed = verify_packed(bundle)
    # What was added later has none, and manifests of other tools state none.
    unstated = sorted(companions_in(bundle.folder).keys() - bundle.manifest.extension.file_sha256.keys())
    stated = "none" if found.certificate is None else str(found.certificate.get("verdict"))
    report.data.update(
        method="hashes and canaries" if found.results else "hashes",
        certificate=found.certificate,
        results=[
            {"output": one.output, "backend": one.backend, "maxAbs": one.worst.max_abs, "passed": one.worst.passed}
            for one in found.results
        ],
        verdict="passed" if found.passed else "failed",
    )
    others = f"; it states none for {', '.join(unstated)}" if unstated else ""
    report.detail(f"✓ every file has the SHA-256 of the manifest{others}")
    for name in packed:
        report.detail(f"✓ {name} has the SHA-256 that it states itself")
    for result in found.results:
        report.detail(f"{result}, canaries")
    if not found.passed:
        worst = next(one for one in found.results if not one.worst.passed)
        raise VerificationFailed(f"{folder}: canary of '{worst.output}' on {worst.backend}: {worst.worst}")
    if found.certificate is None:
        report.warn("this bundle was made without a numeric check; pass --source to make it now")
    report.result(
        f"{folder}: hashes{' and canaries' if found.results else ''} are right; "
        f"certificate of the conversion: {stated}; the source was not consulted"
    )


def _against(report: Report, folder: Path, model: str, tolerance: float | None) -> None:
    from webnn_translator.quantize import is_quantized, recheck_loss
    from webnn_translator.sources import open_source
    from webnn_translator.verify import VerificationFailed, check_bundle, recorded_source

    with open_source(model) as source, report.progress("verifying") as progress:
        recorded = recorded_source(folder)
        hashes = None if recorded is None else (recorded.get("sha256"), recorded.get("externalData", {}))
        if hashes is not None and hashes != (source.sha256, source.external):
            report.warn(f"{model}: is not byte for byte the file that the bundle was made from")
        if is_quantized(folder):
            if tolerance is not None:
                raise Misuse("--tolerance: a quantised bundle is held to the loss in its certificate; leave it out")
            loss, stated = recheck_loss(folder, source.file)
            report.data.update(method="loss", loss=loss.record(), stated=stated, verdict="passed")
            report.detail(f"{loss}, {loss.runs} {loss.samples}; the certificate states a mean of {stated:.6f}")
            report.result(f"{folder}: loses against {model} what its certificate states")
            return
        checked = check_bundle(
            folder,
            source.file,
            tolerance=tolerance,
            note=report.note,
            progress=progress,
        )
    certificate = checked.certificate
    report.data.update(method="source", certificate=certificate.record(), verdict=certificate.record()["verdict"])
    for verdict in certificate.verdicts:
        report.detail(str(verdict))
    if certificate.between is not None:
        report.detail(str(certificate.between))
    if not certificate.passed:
        raise VerificationFailed(f"{folder}: {certificate.complaint()}", certificate)
    report.result(f"{folder}: equal to {model} on {len(certificate.grid)} sizes")

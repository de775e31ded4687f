"""`webnn inspect`: what is in a bundle, for people or as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from webnn_runtime.cli.options import AsJson, BundlePath, Quiet
from webnn_runtime.cli.report import Report, reporting

__all__ = ["inspect"]


def inspect(bundle: BundlePath, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Show inputs, outputs, dimensions, operators, weights and the certificate of a bundle."""
    from pathlib import Path

    from webnn_runtime.format.bundle import load_bundle

    with reporting("inspect", as_json=as_json, quiet=quiet) as report:
        if not Path(bundle).exists():
            raise FileNotFoundError(f"{bundle}: there is no such file or folder; pass a bundle")
        loaded = load_bundle(bundle)
        graph, extension = loaded.graph, loaded.manifest.extension
        report.data.update(
            name=graph.name,
            static=graph.is_static,
            inputs={name: str(kind) for name, kind in graph.inputs.items()},
            outputs={name: str(kind) for name, kind in graph.output_types.items()},
            dimensions={name: [dim.min_size, dim.max_size] for name, dim in graph.dims.items()},
            operators=dict(Counter(node.op for node in graph.nodes).most_common()),
            tensors=len(loaded.manifest.tensors),
            weights_bytes=sum(entry.length for entry in loaded.manifest.tensors.values()),
            source_types=extension.more.get("sourceTypes", {}),
            tool=extension.tool or None,
            source=extension.more.get("source"),
            certificate=extension.more.get("certificate"),
        )
        _show(report, loaded.graph.dims)


def _show(report: Report, dims: Mapping[str, Any]) -> None:
    data = report.data
    report.result(f"{data['name']}: {'static' if data['static'] else 'dynamic'} graph")
    for title in ("inputs", "outputs"):
        for name, kind in data[title].items():
            original = data["source_types"].get(name)
            report.result(f"  {title[:-1]:<10} {name}: {kind}{f' ({original} in the model)' if original else ''}")
    for name, dim in dims.items():
        most = "without a maximum" if dim.is_unbounded else f"to {dim.max_size}"
        report.result(f"  {'dimension':<10} {name}: {dim.min_size} {most}")
    report.result(f"  {'weights':<10} {data['tensors']} tensors, {data['weights_bytes']:,} bytes")
    count = sum(data["operators"].values())
    listed = ", ".join(f"{number} {op}" for op, number in data["operators"].items())
    report.result(f"  {'operators':<10} {count}: {listed}")
    source, certificate = data["source"], data["certificate"]
    if isinstance(source, Mapping):
        report.result(f"  {'source':<10} {source.get('repository') or source.get('file')}")
    verdict = certificate.get("verdict") if isinstance(certificate, Mapping) else "none: it was never checked"
    report.result(f"  {'check':<10} {verdict}")

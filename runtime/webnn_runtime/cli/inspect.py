"""`webnn inspect`: what is in an ONNX file, a bundle or a graph file, for people or as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from webnn_runtime.cli.bundles import find_bundle
from webnn_runtime.cli.conversion import conversion_lines, conversion_record
from webnn_runtime.cli.options import AsJson, Quiet
from webnn_runtime.cli.report import Report, reporting
from webnn_runtime.format.bundle import load_bundle, read_graph_file
from webnn_runtime.format.companions import find_graph
from webnn_runtime.format.errors import ManifestError, WeightsError
from webnn_runtime.format.graph import Graph
from webnn_runtime.format.manifest import Manifest
from webnn_runtime.hub import select_bundle

__all__ = ["inspect"]

# Where model folders keep their ONNX file.
_ONNX_FILES: Final = ("onnx/model.onnx", "model.onnx")


def inspect(
    path: Annotated[
        str,
        typer.Argument(metavar="PATH", help="An .onnx file, a bundle's folder, a .webnn or JSON graph, or a Hub id."),
    ],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show inputs, outputs, free dimensions, operators, types and weights, also of a model that does not convert."""
    with reporting("inspect", as_json=as_json, quiet=quiet) as report:
        found = Path(find_bundle(path, _to_look_at).path)
        onnx_file = _onnx_file(found)
        if onnx_file is not None:
            from webnn_translator.sources.summary import summarise

            report.data.update(summarise(onnx_file))
            _show_model(report)
        else:
            _bundle(report, found)
            _show_bundle(report)


def _to_look_at(names: Collection[str]) -> Sequence[str]:
    """What to fetch of a repository: a bundle, else the ONNX file alone, however large the data beside it are."""
    onnx_file = next((name for name in _ONNX_FILES if name in names), None)
    has_graph = any(name.endswith(".webnn") and "/" not in name for name in names)
    return select_bundle(names) if has_graph or onnx_file is None else [onnx_file]


def _onnx_file(path: Path) -> Path | None:
    """The ONNX file that `path` is or holds; None where it is a bundle or a graph file."""
    if path.is_dir():
        is_bundle = any(path.glob("*.webnn")) or (path / "model.json").is_file()
        inside = (path / name for name in _ONNX_FILES)
        return None if is_bundle else next((file for file in inside if file.is_file()), None)
    return path if path.suffix.lower() == ".onnx" else None


def _bundle(report: Report, path: Path) -> None:
    """Facts about a bundle; of a graph file without its weights, as far as it goes."""
    try:
        loaded = load_bundle(path)
        graph, manifest = loaded.graph, loaded.manifest
    except (ManifestError, WeightsError) as exc:
        if path.is_dir():
            raise
        graph, manifest = read_graph_file(find_graph(path)), Manifest({})
        report.warn(f"the graph alone: {exc}")
    extension = manifest.extension
    constants = {name: constant.type for name, constant in graph.constants.items()}
    sizes = {name: _bytes(kind) for name, kind in constants.items()}
    largest = max(sizes, key=lambda name: sizes[name], default=None)
    stored = {key: entry.length for key, entry in manifest.tensors.items()}
    if not stored:
        # Safetensors need no manifest; and a graph alone says what it waits for.
        stored = {item.key: sizes[name] for name, item in graph.constants.items() if item.key is not None}
    types = Counter[str]()
    for name, kind in constants.items():
        types[kind.dtype.value] += sizes[name]
    report.data.update(
        format="bundle",
        name=graph.name,
        static=graph.is_static,
        inputs={name: str(kind) for name, kind in graph.inputs.items()},
        outputs={name: str(kind) for name, kind in graph.output_types.items()},
        dimensions={name: [dim.min_size, dim.max_size] for name, dim in graph.dims.items()},
        unbounded=[name for name, dim in graph.dims.items() if dim.is_unbounded],
        nodes=len(graph.nodes),
        operators=dict(Counter(node.op for node in graph.nodes).most_common()),
        tensors=len(stored),
        weights_bytes=sum(stored.values()),
        inline_bytes=sum(sizes[name] for name, item in graph.constants.items() if item.key is None),
        constants=len(constants),
        types=dict(types.most_common()),
        largest=None if largest is None else _largest(graph, largest, sizes[largest]),
        tool=extension.tool or None,
        source=extension.more.get("source"),
        certificate=extension.more.get("certificate"),
        quantization=extension.more.get("quantization"),
        conversion=conversion_record(extension.more),
    )


def _bytes(kind: Any) -> int:
    count = 1
    for dim in kind.static_shape:
        count *= dim
    return int((count * kind.dtype.bits + 7) // 8)


def _largest(graph: Graph, name: str, size: int) -> dict[str, Any]:
    kind = graph.constants[name].type
    return {"name": name, "type": kind.dtype.value, "shape": list(kind.static_shape), "bytes": size}


def _show_bundle(report: Report) -> None:
    data = report.data
    report.result(f"{data['name']}: {'static' if data['static'] else 'dynamic'} graph of {data['nodes']} nodes")
    for title in ("inputs", "outputs"):
        for name, kind in data[title].items():
            report.result(f"  {title[:-1]:<10} {name}: {kind}")
    for name, (low, high) in data["dimensions"].items():
        most = "without a maximum" if name in data["unbounded"] else f"to {high}"
        report.result(f"  {'dimension':<10} {name}: {low} {most}")
    inline = f", and {data['inline_bytes']:,} in the graph file" if data["inline_bytes"] else ""
    stored = f"{data['tensors']} tensors, {data['weights_bytes']:,} bytes"
    report.result(f"  {'weights':<10} {stored}{inline}{_of_types(data)}")
    _show_largest(report)
    source, certificate, quantization = data["source"], data["certificate"], data["quantization"]
    if isinstance(source, Mapping):
        report.result(f"  {'source':<10} {source.get('repository') or source.get('file')}")
    for title, text in conversion_lines(data["conversion"]):
        report.result(f"  {title:<10} {text}")
    if isinstance(quantization, Mapping):
        how = f"{quantization.get('kind')}, computed {quantization.get('compute')}"
        report.result(f"  {'quantised':<10} {how}{_lost(certificate)}")
    verdict = certificate.get("verdict") if isinstance(certificate, Mapping) else "none: it was never checked"
    report.result(f"  {'check':<10} {verdict}")
    report.table(_operators(("", op, count) for op, count in data["operators"].items()))


def _lost(certificate: object) -> str:
    """What the certificate says that quantising costs; nothing where it does not."""
    loss = certificate.get("loss") if isinstance(certificate, Mapping) else None
    outputs = loss.get("outputs") if isinstance(loss, Mapping) else None
    means = (
        [one.get("mean") for one in outputs.values() if isinstance(one, Mapping)]
        if isinstance(outputs, Mapping)
        else []
    )
    known = [mean for mean in means if isinstance(mean, float)]
    return f": mean cosine {min(known):.6f} to float32" if known else ""


def _show_model(report: Report) -> None:
    data = report.data
    opsets = ", ".join(f"{domain} {version}" for domain, version in data["opsets"].items())
    report.result(f"{data['name'] or 'unnamed'}: ONNX model of {data['nodes']} nodes, {data['file_bytes']:,} bytes")
    report.result(f"  {'opsets':<10} {opsets} (IR version {data['ir_version']})")
    if data["producer"]:
        report.result(f"  {'producer':<10} {data['producer']}")
    for title in ("inputs", "outputs"):
        for value in data[title]:
            shape = "[?]" if value["shape"] is None else f"[{', '.join(map(str, value['shape']))}]"
            report.result(f"  {title[:-1]:<10} {value['name']}: {value['type']}{shape}")
    for name, places in data["dimensions"].items():
        report.result(f"  {'free':<10} {name}: {', '.join(places)}")
    report.result(f"  {'weights':<10} {data['tensors']} tensors, {data['weights_bytes']:,} bytes{_of_types(data)}")
    _show_largest(report)
    for file, entry in data["external_data"].items():
        missing = "" if entry["is_there"] else "; there is no such file beside the model"
        report.result(f"  {'external':<10} {file}: {entry['tensors']} tensors{missing}")
    if data["functions"]:
        report.result(f"  {'functions':<10} {data['functions']}")
    rows = ((domain, op, count) for domain, counts in data["operators"].items() for op, count in counts.items())
    report.table(_operators(rows))


def _of_types(data: Mapping[str, Any]) -> str:
    return f" ({', '.join(data['types'])})" if data["types"] else ""


def _show_largest(report: Report) -> None:
    largest = report.data["largest"]
    if largest is not None:
        shape = ", ".join(map(str, largest["shape"]))
        report.detail(f"  {'largest':<10} {largest['name']}: {largest['type']}[{shape}], {largest['bytes']:,} bytes")


def _operators(rows: Iterator[tuple[str, str, int]]) -> Table:
    listed = list(rows)
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    has_domain = any(domain for domain, _, _ in listed)
    for title in (*(["domain"] if has_domain else []), "operator"):
        table.add_column(title)
    table.add_column("nodes", justify="right")
    for domain, op, count in listed:
        table.add_row(*([domain] if has_domain else []), op, str(count))
    return table

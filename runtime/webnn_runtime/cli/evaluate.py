"""`webnn eval`: how good a model is, and how far from another that is right."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from webnn_runtime.cli.exits import Misuse
from webnn_runtime.cli.options import (
    AsJson,
    BackendName,
    BatchSize,
    Compute,
    MaxSeqLength,
    PoolingModes,
    Prompt,
    PromptName,
    Quiet,
    Threads,
    TokenizerId,
    check_compute,
    check_prompt,
)
from webnn_runtime.cli.report import Report, reporting
from webnn_runtime.cli.texts import given_file
from webnn_runtime.cli.written import check_place
from webnn_runtime.format.companions import MANIFEST_FILE

if TYPE_CHECKING:
    from webnn_runtime.evaluation import ClassifierQuality, EmbedderQuality, Gate
    from webnn_runtime.format.bundle import Bundle

__all__ = ["evaluate"]


def evaluate(
    model: Annotated[
        str,
        typer.Argument(metavar="BUNDLE", help="The bundle that is judged: its folder, its .webnn file, or a Hub id."),
    ],
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            metavar="MODEL",
            help="What is right: a bundle, or a model to convert (ONNX file, folder, Hub id).",
        ),
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option(
            "--texts",
            metavar="FILE",
            help="Texts to compare on: one a line, or .jsonl; - for stdin; by default some of our own.",
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option("--pairs", metavar="FILE", help="Scored pairs of sentences, tab-separated as STS-B is."),
    ] = None,
    min_cosine: Annotated[
        float | None,
        typer.Option("--min-cosine", metavar="X", help="Fail if the cosine of any text's vector is below this."),
    ] = None,
    min_mean_cosine: Annotated[
        float | None, typer.Option("--min-mean-cosine", metavar="X", help="Fail if the mean cosine is below this.")
    ] = None,
    max_loss: Annotated[
        float | None,
        typer.Option(
            "--max-loss",
            metavar="X",
            help="Fail if more than this is lost, 0.01 for example: of the correlation with --pairs; of a classifier, "
            "the part of the texts that get another label; with one label, the rank correlation of the scores.",
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option("--rounds", min=0, metavar="N", help="Rounds of timing, in turns; 0 for none.")
    ] = 5,
    record: Annotated[
        bool, typer.Option("--record", help="Write what was found into the bundle's certificate.")
    ] = False,
    backend: BackendName = "auto",
    reference_backend: Annotated[
        str | None,
        typer.Option("--reference-backend", metavar="NAME", help="Backend of the reference; by default the same."),
    ] = None,
    compute: Compute = None,
    reference_compute: Annotated[
        str | None,
        typer.Option(
            "--reference-compute", metavar="exact|int8", help="The same for the reference.", show_default=False
        ),
    ] = None,
    threads: Threads = None,
    tokenizer_id: TokenizerId = None,
    pooling: PoolingModes = None,
    max_seq_length: MaxSeqLength = None,
    prompt: Prompt = None,
    prompt_name: PromptName = None,
    batch_size: BatchSize = 32,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure a model against a reference: vectors, neighbours, pairs, size and speed; exits with 8 below a limit."""
    with reporting("eval", as_json=as_json, quiet=quiet) as report, ExitStack() as stack:
        from webnn_runtime.cli.references import opened_reference
        from webnn_runtime.evaluation import Gate, GateFailed, builtin_texts, read_pairs, read_texts
        from webnn_runtime.hub import resolve

        check_compute("--compute", compute)
        check_compute("--reference-compute", reference_compute)
        check_prompt(prompt, prompt_name)
        gate = Gate(min_cosine, min_mean_cosine, max_loss)
        _check(gate, reference, pairs, record, model)
        given = builtin_texts() if texts is None else read_texts(given_file(texts))
        scored = None if pairs is None else read_pairs(given_file(pairs))
        # Texts of our own are longer than some models take, and that says nothing about the user's.
        options: dict[str, Any] = {
            "threads": threads,
            "tokenizer_id": tokenizer_id,
            "pooling": pooling,
            "max_seq_length": max_seq_length,
            "on_truncation": "ignore" if texts is None else "warn",
        }
        prompts = {"prompt": prompt, "prompt_name": prompt_name}
        opened = None if reference is None else opened_reference(reference, report.note, resolve(model).path)
        right = None if opened is None else stack.enter_context(opened)
        own, kind = _opened(model, backend, options | {"compute": compute})
        other: Any = None
        other_kind = kind
        if right is not None:
            chosen = reference_backend or backend
            other, other_kind = _opened(right, chosen, options | {"compute": reference_compute})
        if kind != other_kind:
            raise Misuse(
                f"{model} is {kind} and {reference} is {other_kind}; compare two of a kind, or use webnn compare"
            )
        report.note(f"{model}: {kind}, backend {own.backend_info()['backend']}, {len(given)} texts")
        with report.progress("measuring") as progress:
            found: EmbedderQuality | ClassifierQuality
            if kind == _CLASSIFIER:
                if min_cosine is not None or min_mean_cosine is not None:
                    raise Misuse("--min-cosine is for embedders and this is a classifier; use --max-loss")
                _refuse_for_classifiers(model, prompts)
                found = _of_classifiers(own, other, given, scored is not None, rounds, batch_size)
            else:
                from webnn_runtime.evaluation import compare_embedders

                if max_loss is not None and scored is None:
                    raise Misuse("--max-loss is of a correlation; pass --pairs and --reference")
                found = compare_embedders(
                    own,
                    other,
                    given,
                    pairs=scored,
                    rounds=rounds,
                    progress=progress,
                    batch_size=batch_size,
                    **prompts,
                )
        bundles = [_bundle_of(one) for one in (own, other) if one is not None]
        report.data.update(_described(model, own, bundles[0]))
        report.data["reference"] = None if other is None else _described(str(reference), other, bundles[1])
        report.data["textsFrom"] = "built in" if texts is None else str(texts)
        settings = {"prompt": prompt, "promptName": prompt_name, "pooling": pooling, "maxSeqLength": max_seq_length}
        report.data["settings"] = {name: value for name, value in settings.items() if value is not None}
        report.data.update(found.record())
        missed = gate.misses(found)
        report.data["gate"] = {"passed": not missed, "missed": missed} if gate.is_set else None
        _show(report, found, given)
        if missed:
            raise GateFailed(f"{model}: {'; '.join(missed)}")
        if record:
            report.data["recorded"] = str(_record(Path(model), report.data, bundles))
            report.note(f"{report.data['recorded']}: written")


_CLASSIFIER = "a classifier"
_EMBEDDER = "an embedder"


def _check(gate: Gate, reference: str | None, pairs: Path | None, record: bool, model: str) -> None:
    """What cannot come to anything is refused before any work."""
    if reference is None:
        if gate.is_set:
            raise Misuse("--min-cosine, --min-mean-cosine and --max-loss compare; pass --reference")
        if pairs is None:
            raise Misuse("nothing to judge by; pass --reference, the float32 bundle or the model, or --pairs, or both")
    if record and not Path(model).exists():
        raise Misuse(f"--record writes into a bundle's folder, and {model} is none; convert or fetch it first")
    if record:
        check_place((Path(model) if Path(model).is_dir() else Path(model).parent) / MANIFEST_FILE)


def _opened(model: str, backend: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    """An embedder or a classifier, as the outputs of its graph say."""
    from webnn_runtime.classify import WebNNClassifier
    from webnn_runtime.embed import WebNNEmbedder
    from webnn_runtime.embed.feed import LOGITS
    from webnn_runtime.format.bundle import load_bundle
    from webnn_runtime.format.errors import EmbedError
    from webnn_runtime.hub import resolve

    found = resolve(model)
    outputs = load_bundle(found.file or found.path).graph.output_types
    is_classifier = LOGITS in outputs and not (found.path / "modules.json").is_file()
    given = {name: value for name, value in options.items() if value is not None}
    if is_classifier:
        _refuse_for_classifiers(model, {"pooling": given.pop("pooling", None)})
        if "max_seq_length" in given:
            given["max_length"] = given.pop("max_seq_length")
        return WebNNClassifier(model, backend=backend, **given), _CLASSIFIER
    try:
        return WebNNEmbedder(model, backend=backend, **given), _EMBEDDER
    except EmbedError as exc:
        if "tokenizer_id" not in given and not (found.path / "tokenizer.json").is_file():
            raise EmbedError(f"{exc}; or use webnn compare, which needs no texts") from exc
        raise


def _refuse_for_classifiers(model: str, given: Mapping[str, str | None]) -> None:
    for name, value in given.items():
        if value is not None:
            raise Misuse(
                f"--{name.replace('_', '-')} is about vectors of texts, and {model} is a classifier; leave it out"
            )


def _of_classifiers(
    own: Any, other: Any, texts: list[str], has_pairs: bool, rounds: int, batch_size: int
) -> ClassifierQuality:
    from webnn_runtime.evaluation import compare_classifiers

    if has_pairs or other is None:
        raise Misuse("a classifier is measured against another one; pass --reference, and no --pairs")
    return compare_classifiers(own, other, texts, rounds=rounds, batch_size=batch_size)


def _bundle_of(one: Any) -> Bundle:
    from webnn_runtime.format.bundle import load_bundle
    from webnn_runtime.hub import resolve

    info = one.backend_info()
    # The commit that is running, whatever the branch has become since.
    found = resolve(info["model"], revision=info["revision"])
    return load_bundle(found.file or found.path)


def _described(name: str, one: Any, bundle: Bundle) -> dict[str, Any]:
    from webnn_runtime.evaluation import contents_of

    info, contents = one.backend_info(), contents_of(bundle)
    return {
        "model": name,
        "backend": info["backend"],
        "compute": info.get("compute"),
        "quantization": contents.quantization,
        "weightsBytes": contents.weights_bytes,
        "fileBytes": contents.file_bytes,
    }


def _show(report: Report, found: EmbedderQuality | ClassifierQuality, texts: list[str]) -> None:
    data = report.data
    other = data["reference"]
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for title in ("", "model", *([] if other is None else ["reference", ""])):
        table.add_column(title, justify="left" if not title else "right")
    rows = [("weights", f"{data['weightsBytes'] / 1e6:.1f} MB", other and f"{other['weightsBytes'] / 1e6:.1f} MB", "")]
    if other is not None and data["weightsBytes"]:
        rows[0] = (*rows[0][:3], f"1 / {other['weightsBytes'] / data['weightsBytes']:.2f}")
    rows.append(("backend", _backend_of(data), other and _backend_of(other), ""))
    pairs, speed = data.get("pairs"), data["speed"]
    if pairs is not None:
        reference = pairs["referenceSpearman"]
        # Rounded, and then no zero with a sign of its own.
        loss = "" if reference is None else f"{round(-pairs['loss'], 4) + 0.0:+.4f}"
        rows.append((f"Spearman, {pairs['pairs']} pairs", f"{pairs['spearman']:.4f}", f"{reference or 0:.4f}", loss))
    if speed is not None:
        own, theirs = (f"{speed[key]:.1f}" for key in ("textsPerSecond", "referenceTextsPerSecond"))
        rows.append(("texts a second", own, theirs, f"{speed['ratio']:.2f} x"))
    for row in rows:
        table.add_row(*(str(cell) for cell in row[: 4 if other is not None else 2]))
    report.table(table)
    for line in _lines(found, texts):
        report.result(line)


def _backend_of(data: Mapping[str, Any]) -> str:
    return f"{data['backend']}, {data['compute']}" if data["compute"] else str(data["backend"])


def _lines(found: EmbedderQuality | ClassifierQuality, texts: list[str]) -> list[str]:
    from webnn_runtime.evaluation import ClassifierQuality

    if isinstance(found, ClassifierQuality):
        if found.agreement is not None:
            kept = f"{found.agreement:.4%} of {found.texts} texts get the same label"
        elif found.rank_correlation is not None:
            kept = f"one label: Spearman {found.rank_correlation:.4f} between the scores of {found.texts} texts"
        else:
            kept = f"one label: the reference scores all {found.texts} texts alike"
        return [
            f"{kept}; scores differ by at most {found.max_difference:.6f}, by {found.mean_difference:.6f} on average",
            *(
                f"{right} -> {got}: {count} texts"
                for right, of in sorted(found.changed.items())
                for got, count in sorted(of.items())
            ),
        ]
    lines = []
    if found.cosine is not None:
        worst = " ".join(texts[found.cosine.worst].split())
        lines.append(f"{found.cosine}, {found.texts} texts")
        lines.append(f"farthest text: '{worst if len(worst) <= 80 else worst[:79] + '…'}'")
    if found.overlap is not None:
        lines.append(f"overlap of the 10 nearest: {found.overlap:.4f}")
    if found.correlation is not None:
        skipped = f", {found.correlation.skipped} without a score left out" if found.correlation.skipped else ""
        lines.append(f"Spearman {found.correlation.candidate:.4f} on {found.correlation.pairs} pairs{skipped}")
    return lines


def _record(path: Path, data: Mapping[str, Any], bundles: list[Bundle]) -> Path:
    """Into the certificate: neither times nor paths, nor the last digits, in which processors differ."""
    from webnn_runtime.format.annotate import annotate_bundle

    certificate = bundles[0].manifest.extension.more.get("certificate")
    before = dict(certificate) if isinstance(certificate, Mapping) else {"verdict": "not checked"}
    kept = ("backend", "compute", "texts", "textsSha256", "cosine", "overlapAt10", "pairs")
    scores = ("agreement", "rankCorrelation", "maxDifference", "meanDifference")
    entry = {key: _rounded(data[key]) for key in (*kept, *scores) if data.get(key) is not None}
    if data["settings"]:
        entry["settings"] = data["settings"]
    if len(bundles) > 1:
        extension = bundles[1].manifest.extension
        hashes = {"graphSha256": extension.graph_sha256, "weightsSha256": extension.weights_sha256}
        entry["reference"] = {key: value for key, value in hashes.items() if value is not None}
    return annotate_bundle(path, {"certificate": {**before, "evaluation": entry}})


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    return round(value, 6) if isinstance(value, float) else value

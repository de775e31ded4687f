"""`webnn explain`: can this model be converted, and if not, what stands in the way and what would help?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from webnn_runtime.cli.options import (
    AsJson,
    BoundInputs,
    CachePolicy,
    DimsFile,
    DimSizes,
    Int64Policy,
    LstmStates,
    MaxDimSizes,
    MinDimSizes,
    Quiet,
    cache_policy,
    int64_policy,
    lstm_states_policy,
    sizes_of,
    values_of,
)
from webnn_runtime.cli.report import Report, reporting

if TYPE_CHECKING:
    from webnn_translator.explain import Explanation

__all__ = ["explain"]

# Names shown of a group; --json has all of them.
_SHOWN = 5


def explain(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="An .onnx file, a model folder, or a Hub id.")],
    dim: DimSizes = None,
    max_dim: MaxDimSizes = None,
    min_dim: MinDimSizes = None,
    dims_file: DimsFile = None,
    bind: BoundInputs = None,
    cache: CachePolicy = "auto",
    int64: Int64Policy = "keep",
    lstm_states: LstmStates = "keep",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Tell whether a model can be converted: every node that is refused, why, and what would help.

    Exit code 0 if it can, 5 if nodes cannot be expressed, 6 if dimensions are missing.
    """
    with reporting("explain", as_json=as_json, quiet=quiet) as report:
        dims, low, high = sizes_of("--dim", dim), sizes_of("--min-dim", min_dim), sizes_of("--max-dim", max_dim)
        values, chosen = values_of("--bind", bind), cache_policy(cache)
        from webnn_translator._errors import DynamicShape, TranslateError
        from webnn_translator.empty_cache import empty_cache
        from webnn_translator.explain import explain as explain_model
        from webnn_translator.given_dims import gather_dims
        from webnn_translator.given_inputs import bind_inputs, settled_dims
        from webnn_translator.sources import open_source

        report.note(f"reading {model}")
        with open_source(model) as source:
            # What files and metadata say of dimensions counts here as it does for a conversion.
            given = {name: one.size for name, one in gather_dims(source.model, source.file, dims, dims_file).items()}
            bound = bind_inputs(source.model, values, given)
            given = {name: size for name, (size, _) in settled_dims(source.model, bound, given).items()}
            emptied = empty_cache(source.model, chosen, companions=source.companions, dims=given, ranged={*low, *high})
            if emptied is not None:
                given.setdefault(emptied.dimension, 0)
                report.note(str(emptied))
            found = explain_model(
                source.model,
                dims=given,
                max_dims=high,
                min_dims=low,
                file=source.file,
                int64=int64_policy(int64),
                lstm_states=lstm_states_policy(lstm_states),
            )
            report.data.update(model=source.file_name, **found.record())
        _show(report, found)
        if isinstance(found.error, DynamicShape):
            raise found.error
        if found.error is not None:
            inputs = sum(len(group.nodes) for group in found.groups if group.op_type == "input")
            refused, examined = report.data["refused"] - inputs, found.nodes - len(found.unexamined)
            more = f"{inputs} {'inputs' if inputs > 1 else 'input'} and " if inputs else ""
            raise TranslateError(
                f"{model}: {more}{refused} of {examined} nodes examined cannot be expressed in WebNN; "
                f"see the reasons, or --json for all names"
            )


def _show(report: Report, found: Explanation) -> None:
    if found.translation is not None:
        graph = found.translation.graph
        free = ", ".join(graph.dims) or "none"
        nodes = f"{found.nodes} ONNX nodes become {len(graph.nodes)} of WebNN before clean-ups"
        report.result(f"converts: {nodes}; free dimensions: {free}")
        for note in found.translation.notes:
            report.detail(f"  {note}")
        return
    for group in found.groups:
        report.result(f"{len(group.nodes)} x {group.op_type}: {group.reason}")
        more = f" and {len(group.nodes) - _SHOWN} more" if len(group.nodes) > _SHOWN else ""
        report.detail(f"    nodes: {', '.join(group.nodes[:_SHOWN])}{more}")
        if group.advice:
            report.detail(f"    would help: {group.advice}", style="green")
    if found.unexamined:
        shown = ", ".join(found.unexamined[:_SHOWN]) + (" ..." if len(found.unexamined) > _SHOWN else "")
        report.detail(
            f"{len(found.unexamined)} nodes were not examined, as they read what a refused node makes: {shown}"
        )

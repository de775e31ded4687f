"""Exit codes, one table: what a script may rely on."""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import Final

from webnn_runtime.format.errors import (
    BackendError,
    BackendUnavailable,
    EmbedError,
    EmbedMisuse,
    FormatError,
    GraphError,
    HubError,
    HubMisuse,
    MissingFile,
    UnsupportedByBackend,
    WebnnError,
    WriteError,
)

__all__ = ["TABLE", "ExitCode", "Misuse", "exit_code_of"]


class ExitCode(IntEnum):
    """Why a command ended."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    NOT_FOUND = 3
    MALFORMED = 4
    NOT_EXPRESSIBLE = 5
    DIMENSIONS_MISSING = 6
    CHECK_FAILED = 7
    QUALITY_GATE = 8
    INTERRUPTED = 130
    CLOSED_PIPE = 141

    @property
    def word(self) -> str:
        """The `code` of an error in JSON."""
        return self.name.lower().replace("_", "-")


class Misuse(WebnnError):
    """Options that do not make sense, alone or together."""


# The first row whose class fits wins: leaves before their bases. Classes that are only named bring onnx and all that
# translates along, 0.2 s, as long as the rest of a start. Whoever raises one of them has loaded its module.
TABLE: Final[tuple[tuple[type[BaseException] | str, ExitCode], ...]] = (
    (Misuse, ExitCode.USAGE),
    ("webnn_translator.quantize.options.QuantizeMisuse", ExitCode.USAGE),
    ("webnn_runtime.bench.errors.BenchError", ExitCode.USAGE),
    ("webnn_runtime.bench.errors.WrongAnswer", ExitCode.CHECK_FAILED),
    ("webnn_runtime.evaluation.gate.GateMisuse", ExitCode.USAGE),
    ("webnn_translator.verify.certificate.VerificationFailed", ExitCode.CHECK_FAILED),
    ("webnn_translator.verify.reference.SourceFailed", ExitCode.CHECK_FAILED),
    ("webnn_runtime.conformance.suite.CasesFailed", ExitCode.QUALITY_GATE),
    ("webnn_translator.quantize.options.QualityGateFailed", ExitCode.QUALITY_GATE),
    ("webnn_runtime.evaluation.gate.GateFailed", ExitCode.QUALITY_GATE),
    ("webnn_translator._errors.DynamicShape", ExitCode.DIMENSIONS_MISSING),
    ("webnn_translator._errors.DimensionError", ExitCode.USAGE),
    ("webnn_translator._errors.InputError", ExitCode.USAGE),
    ("webnn_translator._errors.InvalidModel", ExitCode.MALFORMED),
    ("webnn_translator._errors.TranslateError", ExitCode.NOT_EXPRESSIBLE),
    (WriteError, ExitCode.USAGE),
    (MissingFile, ExitCode.NOT_FOUND),
    (FormatError, ExitCode.MALFORMED),
    (GraphError, ExitCode.MALFORMED),
    (EmbedMisuse, ExitCode.USAGE),
    (EmbedError, ExitCode.MALFORMED),
    (HubMisuse, ExitCode.USAGE),
    (HubError, ExitCode.NOT_FOUND),
    (BackendUnavailable, ExitCode.USAGE),
    (UnsupportedByBackend, ExitCode.USAGE),
    (BackendError, ExitCode.UNEXPECTED),
    (FileNotFoundError, ExitCode.NOT_FOUND),
    (FileExistsError, ExitCode.USAGE),
    (OSError, ExitCode.NOT_FOUND),
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
)


def exit_code_of(error: BaseException) -> ExitCode:
    """The code for an error; what is in no row is unexpected."""
    return next((code for kind, code in TABLE if isinstance(error, _loaded(kind))), ExitCode.UNEXPECTED)


def _loaded(kind: type[BaseException] | str) -> type[BaseException] | tuple[()]:
    """The class, or none where its module is not loaded."""
    if not isinstance(kind, str):
        return kind
    module, _, name = kind.rpartition(".")
    found: type[BaseException] | tuple[()] = getattr(sys.modules.get(module), name, ())
    return found

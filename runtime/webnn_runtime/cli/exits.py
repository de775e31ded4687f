"""Exit codes, one table: what a script may rely on."""

from __future__ import annotations

from enum import IntEnum
from functools import cache

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

__all__ = ["ExitCode", "Misuse", "exit_code_of"]


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


@cache
def _table() -> tuple[tuple[type[BaseException], ExitCode], ...]:
    """The first row whose class fits wins: leaves before their bases."""
    # Only an error needs these, and with them come onnx and all that translates: 0.2 s, as long as the rest of a start.
    from webnn_runtime.bench.errors import BenchError, WrongAnswer
    from webnn_runtime.conformance import CasesFailed
    from webnn_runtime.evaluation import GateFailed, GateMisuse
    from webnn_translator._errors import DimensionError, DynamicShape, InputError, InvalidModel, TranslateError
    from webnn_translator.quantize import QualityGateFailed, QuantizeMisuse
    from webnn_translator.verify import SourceFailed, VerificationFailed

    return (
        (Misuse, ExitCode.USAGE),
        (QuantizeMisuse, ExitCode.USAGE),
        (BenchError, ExitCode.USAGE),
        (WrongAnswer, ExitCode.CHECK_FAILED),
        (GateMisuse, ExitCode.USAGE),
        (VerificationFailed, ExitCode.CHECK_FAILED),
        (SourceFailed, ExitCode.CHECK_FAILED),
        (CasesFailed, ExitCode.QUALITY_GATE),
        (QualityGateFailed, ExitCode.QUALITY_GATE),
        (GateFailed, ExitCode.QUALITY_GATE),
        (DynamicShape, ExitCode.DIMENSIONS_MISSING),
        (DimensionError, ExitCode.USAGE),
        (InputError, ExitCode.USAGE),
        (InvalidModel, ExitCode.MALFORMED),
        (TranslateError, ExitCode.NOT_EXPRESSIBLE),
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
    return next((code for kind, code in _table() if isinstance(error, kind)), ExitCode.UNEXPECTED)

"""Every error this project raises on purpose.

WebnnError                  the base: catch this to catch all of ours
├─ FormatError              the files are wrong                 .path .line .column
│  ├─ MissingFile           nothing has the name that was given
│  ├─ ParseError            not the grammar
│  ├─ ManifestError         manifest.json disagrees with the format, or with the graph
│  ├─ WeightsError          offsets, sizes, truncation
│  └─ WriteError            a place that does not take files
├─ GraphError               well-formed text, invalid graph     .node .op
│  ├─ UnknownOp             no such WebNN operator
│  ├─ OperandError          an operand's presence, type or rank
│  ├─ OptionError           an option's name, kind or value
│  └─ ShapeError            dimensions that do not fit, at build or at run
├─ TranslateError           an ONNX model cannot be expressed   (webnn_translator)
├─ BackendError             a valid graph cannot run here       .backend
│  ├─ BackendUnavailable    the library behind it is not installed
│  ├─ UnsupportedByBackend  the backend states a gap for an operator, a type or an option
│  └─ ExecutionError        the library failed while it ran
├─ HubError                 a model cannot be found or fetched
└─ EmbedError               a folder or a text cannot be embedded as asked
   └─ EmbedMisuse           an argument makes no sense

Messages have one form: ``where: what is wrong; what would be right``.
"""

from __future__ import annotations

__all__ = [
    "BackendError",
    "BackendUnavailable",
    "EmbedError",
    "EmbedMisuse",
    "ExecutionError",
    "FormatError",
    "GraphError",
    "HubError",
    "HubMisuse",
    "ManifestError",
    "MissingFile",
    "OperandError",
    "OptionError",
    "ParseError",
    "ShapeError",
    "UnknownOp",
    "UnsupportedByBackend",
    "WebnnError",
    "WeightsError",
    "WriteError",
]


class WebnnError(Exception):
    """Base of all errors raised on purpose.

    Example:
        >>> from webnn_runtime import WebnnError, load
        >>> try:
        ...     load("no-such-folder")
        ... except WebnnError as error:
        ...     print(type(error).__name__)
        MissingFile
    """


class FormatError(WebnnError):
    """A file is not what its format says.

    Attributes:
        path: the file, when there is one.
        line: 1-based line, for text.
        column: 1-based column, for text.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        self.path = path
        self.line = line
        self.column = column
        self.reason = message
        place = [str(part) for part in (path, line, column) if part is not None]
        super().__init__(f"{':'.join(place)}: {message}" if place else message)


class MissingFile(FormatError):
    """Nothing has the name that was given."""


class ParseError(FormatError):
    """Text or JSON that the grammar does not derive."""


class ManifestError(FormatError):
    """A manifest that disagrees with the format, the graph or the weights."""


class WeightsError(FormatError):
    """Weights with wrong offsets, sizes, hashes or a truncated file."""


class WriteError(FormatError):
    """Files that cannot be written where they should be: no room, no permission, something else in the way."""


class GraphError(WebnnError):
    """A graph that WebNN does not allow.

    Attributes:
        node: name of the offending node (its first output), when there is one.
        op: WebNN operator name, when there is one.
        value: name of the offending input, constant or output, when there is one.
        path: the file that the graph was read from.
        line: 1-based line of the declaration or the call, for text.
        column: 1-based column, for text.
    """

    path: str | None = None
    line: int | None = None
    column: int | None = None

    def __init__(
        self, message: str, *, node: str | None = None, op: str | None = None, value: str | None = None
    ) -> None:
        self.node = node
        self.op = op
        self.value = value
        self.reason = message
        super().__init__(f"node '{node}': {message}" if node is not None else message)

    def locate(self, path: str | None, line: int | None = None, column: int | None = None) -> None:
        """Say where in a file it is; the message then begins with that."""
        self.path, self.line, self.column = path, line, column
        place = ":".join(str(part) for part in (path, line, column) if part is not None)
        if place:
            self.args = (f"{place}: {self}",)


class UnknownOp(GraphError):
    """An operator name that is not in the table."""


class OperandError(GraphError):
    """An operand that is missing, superfluous, or of a type or rank that is not allowed."""


class OptionError(GraphError):
    """An option that is unknown, missing, or of a wrong kind or value."""


class ShapeError(GraphError):
    """Dimensions that do not fit one another."""


class BackendError(WebnnError):
    """A valid graph that a backend cannot run.

    Attributes:
        backend: the backend's name.
    """

    def __init__(self, message: str, *, backend: str) -> None:
        self.backend = backend
        self.reason = message
        super().__init__(f"backend '{backend}': {message}")


class BackendUnavailable(BackendError):
    """The library behind a backend is missing; the message holds the command that installs it."""


class UnsupportedByBackend(BackendError):
    """A stated gap: the operator, or the operator with this type, is not implemented there."""


class ExecutionError(BackendError):
    """The library behind a backend failed while compiling or running."""


class HubError(WebnnError):
    """A model that cannot be found or fetched."""


class HubMisuse(HubError):
    """A model that is there and is not to be used like this: options that mean nothing to it, a bundle to convert."""


class EmbedError(WebnnError):
    """A model folder that does not say how to embed, or a text that cannot be embedded as asked."""


class EmbedMisuse(EmbedError):
    """An argument that makes no sense, or that the model has no answer to."""

"""What a command says: results on stdout, everything else on stderr, or one JSON object on stdout."""

from __future__ import annotations

import codecs
import contextlib
import errno
import json
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from webnn_runtime import __version__
from webnn_runtime.cli.exits import ExitCode, Misuse, exit_code_of
from webnn_runtime.format.errors import WebnnError, WriteError

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Report", "print_version", "reporting", "run_app"]

SCHEMA_VERSION: Final = 1


class Report:
    """Collects what one command has to say.

    Attributes:
        command: name in the JSON object.
        data: the `data` of the JSON object; commands fill it whether it is shown or not.
        advice: what a person is told behind an error of a code.
    """

    def __init__(self, command: str, *, as_json: bool = False, quiet: bool = False) -> None:
        self.command = command
        self.data: dict[str, Any] = {}
        self.advice: dict[ExitCode, str] = {}
        self._as_json = as_json
        self._quiet = quiet
        self._warnings: list[str] = []
        for stream in (sys.stdout, sys.stderr):
            _spare_a_narrow(stream)
        # rich itself leaves out the colours alone for NO_COLOR, and keeps dim and bold.
        colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
        # Names are shown as they are: [/] is no mark of an end, nor :heart: a sign.
        plain: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
        self._out = _Console(soft_wrap=True, color_system=colours, **plain)
        self._err = _Console(stderr=True, soft_wrap=True, color_system=colours, **plain)

    def result(self, text: str) -> None:
        """A line of the answer itself: shown even when quiet, unless JSON is the answer."""
        if not self._as_json:
            self._out.print(text)

    def detail(self, text: str, style: str | None = None) -> None:
        """A line that explains the answer; on stdout, left out when quiet."""
        if not self._as_json and not self._quiet:
            self._out.print(text, style=style)

    def table(self, table: Table) -> None:
        """A table that explains the answer; on stdout, left out when quiet."""
        if not self._as_json and not self._quiet:
            self._out.print(table)

    def note(self, text: str) -> None:
        """What is going on; on stderr, left out when quiet."""
        if not self._quiet:
            self._say(text, "dim")

    def warn(self, text: str) -> None:
        """Something to know; on stderr also when quiet, and in the JSON object."""
        self._warnings.append(text)
        self._say(f"warning: {text}", "yellow")

    @property
    def is_watched(self) -> bool:
        """Whether somebody sees what goes on, and wants to."""
        return not self._quiet and self._err.is_terminal

    @contextmanager
    def progress(self, what: str) -> Iterator[Callable[[int, int, str], None]]:
        """A bar on stderr, shown only on a terminal; yields a function of runs done, runs in all, and what is next."""
        if not self.is_watched:
            # Before 14.3 rich ends a bar that is not shown with a line of its own.
            yield lambda *_: None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._err, transient=True) as bar:
            task = bar.add_task(what, total=None)

            def step(done: int, total: int, label: str) -> None:
                bar.update(task, completed=done, total=total, description=f"{what}: {label}")

            yield step

    def finish(self) -> None:
        """Print the JSON object of a command that went well."""
        if self._as_json:
            self._print_json(ok=True, errors=[])

    def fail(self, error: BaseException, code: ExitCode) -> None:
        """Say what went wrong, in one message and without a traceback."""
        message = _message(error)
        self._say(f"error: {message}", "red")
        if code in self.advice:
            self.note(self.advice[code])
        if self._as_json:
            entry: dict[str, Any] = {"code": code.word, "message": message, "hint": _hint(message)}
            entry |= _details(error)
            try:
                self._print_json(ok=False, errors=[entry])
                sys.stdout.flush()
            except OSError:
                # The message above has said it, and the exit code does.
                _forget(sys.stdout)

    def _say(self, text: str, style: str) -> None:
        try:
            self._err.print(text, style=style)
        except OSError:
            # Nobody can be told; the answer and the exit code are what they would have been.
            _forget(sys.stderr)

    def _print_json(self, *, ok: bool, errors: list[dict[str, Any]]) -> None:
        answer = {
            "schema_version": SCHEMA_VERSION,
            "command": self.command,
            "ok": ok,
            "data": self.data,
            "warnings": self._warnings,
            "errors": errors,
        }
        # Escapes are for streams that cannot hold the characters themselves.
        ascii_only = "utf" not in (sys.stdout.encoding or "utf-8").lower()
        sys.stdout.write(json.dumps(answer, ensure_ascii=ascii_only, allow_nan=False) + "\n")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # rich would end the process here, with the code of an unexpected error.
        raise BrokenPipeError(errno.EPIPE, "the reader went away")


# What says passed, failed or neither must not look alike where an encoding has no such signs.
_MARKS: Final = {"✓": "ok:", "✗": "failed:", "–": "-", "…": "..."}


def _marked(error: UnicodeError) -> tuple[str | bytes, int]:
    """Our own signs as words, a question mark for anything else that an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_MARKS.get(character, "?") for character in lost), error.end


def _as_it_came(error: UnicodeError) -> tuple[str | bytes, int]:
    """The bytes of a name that is no text, as Python keeps them under C.UTF-8 and POSIX; else a mark."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return _marked(error)


codecs.register_error("webnn-marks", _marked)
codecs.register_error("webnn-bytes", _as_it_came)


def _spare_a_narrow(stream: Any) -> None:
    """Let a stream show what its encoding lacks in another way, in place of failing."""
    is_utf = "utf" in (getattr(stream, "encoding", None) or "utf-8").lower()
    if hasattr(stream, "reconfigure") and (not is_utf or stream.errors == "strict"):
        stream.reconfigure(errors="webnn-marks")
    elif hasattr(stream, "reconfigure") and stream.errors == "surrogateescape":
        stream.reconfigure(errors="webnn-bytes")


@contextmanager
def reporting(command: str, *, as_json: bool, quiet: bool) -> Iterator[Report]:
    """Run a command's body: a mistake of the user's becomes one message and an exit code."""
    report = Report(command, as_json=as_json, quiet=quiet)
    try:
        with warnings.catch_warnings(), _logging_to(report), _bars_of_downloads(quiet or not sys.stderr.isatty()):
            warnings.showwarning = lambda message, *_, **__: report.warn(str(message))
            yield report
        report.finish()
        sys.stdout.flush()
    except BrokenPipeError as exc:
        _forget(sys.stdout)
        raise typer.Exit(ExitCode.CLOSED_PIPE) from exc
    except MemoryError as exc:
        report.fail(WebnnError("not enough memory; free some, or raise the limit of the process"), ExitCode.UNEXPECTED)
        raise typer.Exit(ExitCode.UNEXPECTED) from exc
    except (WebnnError, OSError, KeyboardInterrupt) as exc:
        if isinstance(exc, OSError) and exc.filename is None and exc.errno == errno.ENOSPC:
            # Files of ours name themselves; what is left is stdout.
            _forget(sys.stdout)
            exc = WriteError(f"cannot be written: {exc.strerror}; choose another place", path="stdout")
        code = exit_code_of(exc)
        report.fail(exc if str(exc) else WebnnError("interrupted"), code)
        raise typer.Exit(code) from exc


def _forget(stream: Any) -> None:
    """Leave nothing for Python to write, and fail at, when it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_version(name: str) -> NoReturn:
    """Answer `--version`, which may come before `--json` is read.

    Raises:
        Exit: always.
    """
    with reporting(name, as_json="--json" in sys.argv, quiet=False) as report:
        report.data["version"] = __version__
        report.result(f"{name} {__version__}")
    raise typer.Exit


def run_app(app: typer.Typer, name: str) -> int:
    """Run a typer application; wrong usage is reported as the commands report, in JSON too."""
    _open_what_is_closed()
    command = typer.main.get_command(app)
    try:
        with _ended_in_order():
            return int(command.main(prog_name=name, standalone_mode=False) or 0)
    except _USAGE_ERROR as exc:
        message = exc.format_message().removesuffix(".")
        context = getattr(exc, "ctx", None)
        # A switch without its value comes without a context.
        known = getattr(command, "commands", {})
        part = next((word for word in sys.argv[1:] if word in known), None)
        asked = getattr(context, "info_name", None) or part or name
        path = getattr(context, "command_path", None) or (f"{name} {part}" if part else name)
        Report(asked, as_json="--json" in sys.argv).fail(Misuse(f"{message}; see {path} --help"), ExitCode.USAGE)
        return ExitCode.USAGE
    except (typer.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except SystemExit:
        # How typer ends a help that nobody reads to its end.
        if type(sys.stdout).__name__ == "PacifyFlushWrapper":
            _forget(sys.stdout)
            return ExitCode.CLOSED_PIPE
        raise
    except OSError as exc:
        # Commands say what they cannot do; what is left is a help or a version that nobody can store.
        _forget(sys.stdout)
        error = WriteError(f"cannot be written: {exc.strerror or exc}; choose another place", path="stdout")
        Report(name).fail(error, ExitCode.USAGE)
        return ExitCode.USAGE


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let whoever ends the process (`timeout`, a container's stop, a closed terminal) leave no temporary files."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    is_main = threading.current_thread() is threading.main_thread()
    # What is ignored, as by nohup, or taken by somebody else stays so.
    taken = [number for number in numbers if is_main and signal.getsignal(number) == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _open_what_is_closed() -> None:
    """Let a stream that the process was started without lead to nowhere, and no file that is opened get its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        # Who is to read texts where there are none has to say so.
        if name != "stdin":
            setattr(sys, name, open(number, "w", encoding="utf-8", errors="replace", closefd=False))  # noqa: SIM115


# Which library this class comes from differs between releases of typer; its name does not.
_USAGE_ERROR: Final[Any] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


class _Relay(logging.Handler):
    def __init__(self, report: Report) -> None:
        super().__init__(logging.WARNING)
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        self._report.warn(record.getMessage())


@contextmanager
def _logging_to(report: Report) -> Iterator[None]:
    handler = _Relay(report)
    loggers = [logging.getLogger(name) for name in ("webnn_runtime", "webnn_translator")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


@contextmanager
def _bars_of_downloads(are_hidden: bool) -> Iterator[None]:
    """Keep the bars that huggingface_hub draws off where nobody looks at them; it is asked when it is imported."""
    name = "HF_HUB_DISABLE_PROGRESS_BARS"
    if not are_hidden or name in os.environ:
        yield
        return
    os.environ[name] = "1"
    try:
        yield
    finally:
        del os.environ[name]


def _message(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        # The system's own errors have a number in front and no advice behind.
        return f"{os.fsdecode(error.filename)}: {error.strerror}; check the path and its permissions"
    return str(error) or type(error).__name__


def _hint(message: str) -> str:
    """What would be right: the part of the message after its last semicolon."""
    first = message.partition("\n")[0]
    return first.rpartition("; ")[2] if "; " in first else ""


def _details(error: BaseException) -> dict[str, Any]:
    """Facts that a script would otherwise read out of the message."""
    found: dict[str, Any] = {}
    for key in ("path", "line", "column", "node", "op", "op_type", "opset", "backend", "missing", "counts"):
        value = getattr(error, key, None)
        if value is not None:
            found[key] = value
    certificate = getattr(error, "certificate", None)
    if certificate is not None:
        found["certificate"] = certificate.record()
    refusals = getattr(error, "refusals", None)
    if refusals is not None:
        found["refusals"] = [{"node": one.node, "op_type": one.op_type, "reason": one.reason} for one in refusals]
    return found

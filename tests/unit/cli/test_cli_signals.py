"""Who ends a command from outside finds nothing of it left."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "translator")])}
CODE = """
import signal, sys, tempfile, time
import typer
from webnn_runtime.cli.report import reporting, run_app

state, seconds = sys.argv[1:]
sys.argv[1:] = []
app = typer.Typer()

@app.command()
def work() -> None:
    with reporting("work", as_json=False, quiet=False), tempfile.TemporaryDirectory() as folder:
        print(folder, flush=True)
        time.sleep(float(seconds))

# A shell or nohup may have had the tests ignore some of them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_IGN if state == "ignored" else signal.SIG_DFL)
sys.exit(run_app(app, "work"))
"""


@pytest.fixture
def start():
    """Start a command that has a folder for its work, and give the process and the folder."""

    def start(state: str, seconds: float) -> tuple[subprocess.Popen[str], Path]:
        process = subprocess.Popen(
            [sys.executable, "-c", CODE, state, str(seconds)],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    return start


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_command_that_is_ended_leaves_no_temporary_files(number: int, code: int, start) -> None:
    process, folder = start("plain", 60)
    assert folder.is_dir()
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, folder.exists()) == (code, False)
    assert "Traceback" not in said


def test_a_signal_that_is_ignored_stays_so(start) -> None:
    process, _ = start("ignored", 0.5)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.parametrize("tool", ["webnn_runtime.cli", "webnn_translator.cli"])
def test_an_interrupt_while_the_commands_are_listed_is_no_traceback(tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["tool", "--version"])
    monkeypatch.setattr("typer.main.get_command", interrupt)
    with pytest.raises(SystemExit) as exited:
        importlib.import_module(tool).main()
    assert exited.value.code == 130

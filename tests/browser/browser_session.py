"""A browser without a window that opens one page of ours, and what the page sends back.

A server on 127.0.0.1 hands out the page and the graphs; no driver is needed. The browser's own network
services are off.
"""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

__all__ = ["Answers", "run_in_browser"]

_ATTEMPTS: Final = 12
PAGE: Final = Path(__file__).with_name("page.html")
FLAGS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"),
    "--enable-features=WebMachineLearningNeuralNetwork",
)


@dataclass
class Answers:
    """What the page said: about the browser, and about each graph by its id."""

    agent: str = ""
    methods: Mapping[str, int] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    graphs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    error: str | None = None


def run_in_browser(
    executable: Path,
    plan: Sequence[Mapping[str, Any]],
    files: Mapping[str, bytes | Path],
    profiles: Path,
    silence: float,
) -> Answers:
    """Every graph of the plan on the browser's WebNN; one without an answer for `silence` seconds is given up.

    `files` are the modules and weights by address.

    Raises:
        RuntimeError: the browser does not start, has no WebNN, or gives up on graph after graph.
    """
    answers, rest = Answers(), list(plan)
    for attempt in range(_ATTEMPTS):
        _session(executable, rest, files, profiles / str(attempt), answers, silence)
        if answers.error is not None:
            raise RuntimeError(f"the page failed: {answers.error}")
        rest = [graph for graph in rest if graph["id"] not in answers.graphs]
        if not rest:
            return answers
        if not answers.limits:
            break
        # It never comes back, and nor does anything after it: go on in a new browser.
        answers.graphs[rest[0]["id"]] = {"refused": "no answer: the browser hangs"}
        rest = rest[1:]
    last = (profiles / str(attempt) / "browser.log").read_text(errors="replace")[-1000:]
    raise RuntimeError(f"{len(rest)} of {len(plan)} graphs without an answer; the browser says: {last}")


def _session(
    executable: Path,
    plan: Sequence[Mapping[str, Any]],
    files: Mapping[str, bytes | Path],
    profile: Path,
    answers: Answers,
    silence: float,
) -> None:
    """One browser, until it has answered for the whole plan or falls silent."""
    finished, heard = threading.Event(), threading.Event()
    documents = {"/": PAGE.read_bytes(), "/plan": json.dumps(plan).encode(), **files}
    types = {"/": "text/html", ".mjs": "text/javascript"}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = documents.get(self.path)
            body = found.read_bytes() if isinstance(found, Path) else found
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Type", types.get(self.path[-4:], "application/octet-stream"))
            self.end_headers()
            self.wfile.write(body or b"")

        def do_POST(self) -> None:
            answer = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()
            if answer["id"] is not None:
                answers.graphs[answer["id"]] = answer
            elif "limits" in answer:
                answers.agent, answers.limits, answers.methods = answer["agent"], answer["limits"], answer["methods"]
            else:
                answers.error = answer.get("failed")
                finished.set()
            # Last: whoever waits for it looks at `finished` next.
            heard.set()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = [str(executable), *FLAGS, f"--user-data-dir={profile}", f"http://127.0.0.1:{server.server_port}/"]
    profile.mkdir()
    with (profile / "browser.log").open("wb") as errors:
        browser = subprocess.Popen(command, stdout=errors, stderr=errors)
    try:
        while not finished.is_set() and heard.wait(silence):
            heard.clear()
    finally:
        browser.terminate()
        browser.wait(20)
        server.shutdown()
        server.server_close()

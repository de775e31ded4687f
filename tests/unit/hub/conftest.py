"""A Hub on this machine: the part of its HTTP interface that downloads use, over one folder of repositories."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Repositories by id, and what was asked for.

    Attributes:
        url: where it listens.
        repositories: id -> file name -> content.
        gated: ids that need the token.
        gated_files: ids of which the files need it, and what they are does not.
        token: the token that opens gated repositories.
        requests: method and path of every request.
        broken: file names whose download fails.
        altered: file names that arrive with one byte of another value.
        silent: paths that are taken and never answered, until it is set.
        answers: path -> status, content type and body that are sent in place of what is there.
    """

    url: str = ""
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    gated_files: set[str] = field(default_factory=set)
    token: str = "hf_secret"
    requests: list[tuple[str, str]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    altered: set[str] = field(default_factory=set)
    silent: dict[str, threading.Event] = field(default_factory=dict)
    answers: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)

    @property
    def downloads(self) -> list[str]:
        """Names of the files that were fetched."""
        return [
            path.split(f"/resolve/{COMMIT}/", 1)[1]
            for method, path in self.requests
            if method == "GET" and "/resolve/" in path
        ]


def _etag(name: str, content: bytes) -> str:
    """As the Hub has it: large files are known by their SHA-256."""
    if name.endswith(".weights"):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path))
        if path in self.hub.silent:
            self.hub.silent[path].wait(30)
        elif path in self.hub.answers:
            status, kind, body = self.hub.answers[path]
            said = {"Content-Type": kind, "X-Error-Message": body.decode()} if status >= 400 else {"Content-Type": kind}
            self._send(status, body, said)
        elif path.startswith("/api/models/"):
            self._answer_api(path.removeprefix("/api/models/"))
        else:
            self._answer_file(path)

    def _answer_api(self, rest: str) -> None:
        parts = rest.split("/")
        repo_id, verb, revision = "/".join(parts[:2]), parts[2] if len(parts) > 2 else "", "/".join(parts[3:]) or "main"
        files = self._open(repo_id)
        if files is None:
            return
        if revision not in ("main", COMMIT):
            self._send(404, b'{"error": "no such revision"}', {"X-Error-Code": "RevisionNotFound"})
        elif verb == "tree":
            tree = [
                {"type": "file", "path": name, "size": len(data), "oid": _etag(name, data)}
                for name, data in files.items()
            ]
            self._send(200, json.dumps(tree).encode())
        else:
            info = {
                "id": repo_id,
                "modelId": repo_id,
                "sha": COMMIT,
                "siblings": [{"rfilename": name} for name in files],
            }
            self._send(200, json.dumps(info).encode())

    def _answer_file(self, path: str) -> None:
        repo_id, _, rest = path.strip("/").partition("/resolve/")
        name = rest.partition("/")[2]
        files = self._open(repo_id)
        if files is None:
            return
        if repo_id in self.hub.gated_files and not self._has_token():
            self._send(403, b'{"error": "restricted"}', {"X-Error-Code": "GatedRepo"})
        elif name in self.hub.broken and self.command == "GET":
            self._send(500, b"broken")
        elif name not in files:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            content = files[name]
            sent = content[:-1] + bytes([content[-1] ^ 1]) if name in self.hub.altered else content
            self._send(200, sent, {"ETag": f'"{_etag(name, content)}"', "X-Repo-Commit": COMMIT})

    def _open(self, repo_id: str) -> dict[str, bytes] | None:
        if repo_id not in self.hub.repositories:
            self._send(404, b'{"error": "not found"}', {"X-Error-Code": "RepoNotFound"})
        elif repo_id in self.hub.gated and not self._has_token():
            self._send(403, b'{"error": "restricted"}', {"X-Error-Code": "GatedRepo"})
        else:
            return self.hub.repositories[repo_id]
        return None

    def _has_token(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


BUNDLE = {
    "model.webnn": b"graph",
    "model.weights": b"WGWT" + bytes(100),
    "manifest.json": b"{ }",
    "tokenizer.json": b"{}",
    "config.json": b"{  }",
    "modules.json": b"[]",
    "1_Pooling/config.json": b'{"pooling_mode": "mean"}',
    "pytorch_model.bin": b"a pickle",
    "model.onnx": bytes(1000),
    "modeling.py": b"raise SystemExit('repository code ran')",
    "README.md": b"# read me",
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A running Hub with one repository `me/bundle`, and an empty cache in `tmp_path / "cache"`."""
    state = Hub(repositories={"me/bundle": dict(BUNDLE)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": state}))
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    point_at(monkeypatch, state.url, tmp_path / "cache")
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def point_at(monkeypatch: pytest.MonkeyPatch, url: str, cache: Path) -> None:
    """Let huggingface_hub, which reads its environment when it is imported, use another Hub and cache."""
    from huggingface_hub import constants, file_download

    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    # Older releases, 0.30 for one, have a copy of their own.
    if hasattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE"):
        monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Hub that nobody listens to."""
    point_at(monkeypatch, "http://127.0.0.1:9", tmp_path / "cache")

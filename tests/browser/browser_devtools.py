"""One page in a browser without a window, asked by way of its own debugging protocol over a pipe."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

__all__ = ["Tab", "open_page"]

# Each page of ours marks its root element when it is up.
_READY: Final = """new Promise((resolve) => {
  const look = () => (document.documentElement?.dataset.ready === "true" ? resolve(true) : setTimeout(look, 20));
  look();
})"""

_FLAGS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    "--enable-features=WebMachineLearningNeuralNetwork",
)


class Tab:
    """A page.

    Attributes:
        complaints: exceptions and messages of its console, policy violations among them.
    """

    def __init__(self, commands: int, events: int) -> None:
        self._commands = commands
        self._events = events
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        self.complaints: list[str] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol; events that come in between are looked through for complaints."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                result: dict[str, Any] = answer["result"]
                return result
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.complaints.append(json.dumps(answer["params"]))

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def attach(self, address: str) -> None:
        """Open a page, listen to it, and wait until it is up."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Page"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=address)
        assert self.evaluate(_READY)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            chunk = os.read(self._events, 1 << 16)
            assert chunk, "the browser has gone"
            self._rest += chunk
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


@contextmanager
def open_page(executable: Path, address: str, profile: Path) -> Iterator[Tab]:
    """A page, open for the time of the block."""
    to_browser, commands = os.pipe()
    events, from_browser = os.pipe()
    # The protocol is spoken on descriptors 3 and 4 of the browser.
    script = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
    command = [str(executable), *_FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    with (profile.parent / f"{profile.name}.log").open("wb") as log:
        browser = subprocess.Popen(
            ["bash", "-c", script, *command], pass_fds=(to_browser, from_browser), stdout=log, stderr=log
        )
    os.close(to_browser)
    os.close(from_browser)
    try:
        tab = Tab(commands, events)
        tab.attach(address)
        yield tab
    finally:
        browser.terminate()
        browser.wait(20)
        os.close(commands)
        os.close(events)

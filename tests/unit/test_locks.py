"""What a thread has locked when another one forks the process does not stay locked in the child."""

from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path

import pytest

from webnn_runtime.format.locks import Lock

RUNTIME = Path(__file__).resolve().parents[2] / "runtime" / "webnn_runtime"


def held_by_a_thread(lock: Lock) -> threading.Event:
    """Returns when another thread has the lock; it gives it back when the event is set."""
    has, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            has.set()
            done.wait(30)

    threading.Thread(target=hold, daemon=True).start()
    assert has.wait(30)
    return done


def code_of(child: int) -> int | None:
    """What the child ended with; None where it has to be ended."""
    for _ in range(1000):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_lock_keeps_others_out(reentrant: bool) -> None:
    lock = Lock(reentrant=reentrant)
    done, entered = held_by_a_thread(lock), threading.Event()

    def enter() -> None:
        with lock:
            entered.set()

    other = threading.Thread(target=enter)
    other.start()
    assert not entered.wait(0.05)
    done.set()
    other.join(30)
    assert entered.is_set()
    if reentrant:
        with lock, lock:
            pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("reentrant", [False, True])
def test_a_child_finds_open_what_another_thread_has_locked(reentrant: bool) -> None:
    lock = Lock(reentrant=reentrant)
    done = held_by_a_thread(lock)
    child = os.fork()
    if child == 0:
        with lock:
            os._exit(7)
    assert code_of(child) == 7
    done.set()
    with lock:
        pass


def test_no_other_locks_are_used() -> None:
    """A lock of the standard library's own would stay locked in a child."""
    bare = re.compile(r"\ballocate_lock\(\)|\bthreading\.R?Lock\(|\bfrom threading import\b.*Lock")
    using = [path for path in RUNTIME.rglob("*.py") if path.name != "locks.py" and bare.search(path.read_text("utf-8"))]
    assert using == []

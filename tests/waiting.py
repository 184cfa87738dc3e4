"""Wait for a condition, for as long as a busy machine may need."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from types import SimpleNamespace

import pytest

# After this, what a test waits for has failed; on a busy machine a process may take a minute to start.
HANG_SECONDS = 120


def wait_until(condition: Callable[[], bool], *, seconds: float = HANG_SECONDS) -> None:
    """Return as soon as the condition is true; fail after some time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the condition never became true"
        time.sleep(0.02)


def replace_sleep(monkeypatch: pytest.MonkeyPatch, module: str, sleep: Callable[[float], None]) -> None:
    """Replace ``time.sleep`` in one module, because threads that other tests have left behind sleep, too."""
    monkeypatch.setattr(f"{module}.time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))


@contextmanager
def measured_delays() -> Iterator[list[float]]:
    """Yield a list of how many seconds too late this process was woken each time: what a busy machine costs."""
    delays, ended = [0.0], Event()

    def sleep() -> None:
        while not ended.is_set():
            began = time.monotonic()
            time.sleep(0.01)
            delays.append(time.monotonic() - began - 0.01)

    thread = Thread(target=sleep)
    thread.start()
    try:
        yield delays
    finally:
        ended.set()
        thread.join()

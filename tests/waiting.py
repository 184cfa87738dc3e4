"""Wait for a condition, for as long as a busy machine may need."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    """Return as soon as the condition is true; fail after some time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the condition never became true"
        time.sleep(0.02)

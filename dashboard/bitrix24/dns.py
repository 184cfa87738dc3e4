"""Host names to addresses, within a time: the system's own look-up has no bound of ours."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

# A name server that does not answer keeps a thread for as long as the system cares to wait.
MAX_CONCURRENT_LOOKUPS = 64

_lookup_slots = threading.BoundedSemaphore(MAX_CONCURRENT_LOOKUPS)

Resolver = Callable[..., list[Any]]


def resolve(host: str, port: int, *, seconds: float, ask: Resolver | None = None) -> list[str]:
    """Return the host's addresses in the system's order.

    :raise TimeoutError: not known within the time, or too many look-ups hang already.
    :raise OSError: there is no such name. ValueError: this is no name.
    """
    if not _lookup_slots.acquire(timeout=seconds):
        raise TimeoutError("too many names are being looked up")
    found: Future[list[str]] = Future()
    work = (host, port, found, ask or socket.getaddrinfo)
    # Not a pool: the end of the process would wait for its threads.
    threading.Thread(target=_look_up, args=work, daemon=True).start()
    return found.result(timeout=seconds)


def _look_up(host: str, port: int, found: Future[list[str]], ask: Resolver) -> None:
    try:
        entries = ask(host, port, type=socket.SOCK_STREAM)
        found.set_result([str(entry[4][0]) for entry in entries])
    except (OSError, ValueError) as error:
        found.set_exception(error)
    finally:
        _lookup_slots.release()

"""Resolve host names within a time limit, which the system's resolver does not have."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

# If the name server does not respond, each lookup keeps its thread until the system's own timeout.
MAX_CONCURRENT_LOOKUPS = 64

_lookup_slots = threading.BoundedSemaphore(MAX_CONCURRENT_LOOKUPS)

Resolver = Callable[..., list[Any]]


def resolve(host: str, port: int, *, seconds: float, resolver: Resolver | None = None) -> list[str]:
    """Return the host's addresses in the system's order.

    :raise TimeoutError: the lookup takes too long, or too many others do already.
    :raise OSError: the name does not exist.
    :raise ValueError: this is not a name.
    """
    if not _lookup_slots.acquire(timeout=seconds):
        raise TimeoutError("too many lookups are running")
    result: Future[list[str]] = Future()
    # Not a thread pool: the process would wait for its threads before it ends.
    arguments = (host, port, result, resolver or socket.getaddrinfo)
    threading.Thread(target=_look_up, args=arguments, daemon=True).start()
    return result.result(timeout=seconds)


def _look_up(host: str, port: int, result: Future[list[str]], resolver: Resolver) -> None:
    try:
        entries = resolver(host, port, type=socket.SOCK_STREAM)
        result.set_result([str(entry[4][0]) for entry in entries])
    except (OSError, ValueError) as error:
        result.set_exception(error)
    finally:
        _lookup_slots.release()

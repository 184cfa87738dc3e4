"""Limit how long a thread waits for a client that sends or receives slowly."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog

from dashboard.core.waiting_threads import WaitQuota

REQUEST_SECONDS = 10.0  # for all headers and the body of a request
# A request that takes longer than this is slow. It is ended at this point if too many threads already wait.
CROWDED_SECONDS = 0.25
SEND_SECONDS = 20.0  # for one part of a response
CROWDED_SEND_SECONDS = 1.0  # the same if too many threads wait
CLOSE_SECONDS = 2.0  # for the client to close its end after the last response

log = structlog.get_logger()


class SlowClient(ConnectionResetError):
    """A client sent or received too slowly. Gunicorn logs no reset connections, but it logs timeouts."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "the client is too slow")


class ClientSocket(socket.socket):
    """A connection to a client, on which no single read, request or write takes long.

    ``waiting`` limits the threads of the process that wait for slow clients. If too many threads wait, the request must
    arrive within CROWDED_SECONDS.

    ``close_after_response`` makes the next response the last one of the connection, and its header say so.
    """

    close_after_response: Callable[[], None]

    def __init__(self, connection: socket.socket, waiting: WaitQuota) -> None:
        super().__init__(fileno=connection.detach())
        self._waiting = waiting
        self._deadline = self._crowded_deadline = 0.0
        self._is_slow = self._is_finished = False

    def start_request(self) -> None:
        """Start the time limit of the next request."""
        self._allow(REQUEST_SECONDS)

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive bytes until the request's time is over.

        :raise SlowClient: the time is over.
        """
        if self._is_finished:
            return b""
        now = time.monotonic()
        if self._is_slow or now >= self._deadline:
            raise SlowClient
        with suppress(TimeoutError, BlockingIOError):
            # Without a wait, what has arrived is still received.
            self.settimeout(max(0.0, self._crowded_deadline - now))
            return super().recv(size, flags)
        with self._waiting.try_acquire() as may_wait, suppress(TimeoutError, BlockingIOError):
            self.settimeout(max(0.0, self._deadline - time.monotonic()) if may_wait else 0.0)
            return super().recv(size, flags)
        self._is_slow = True
        raise SlowClient

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send all bytes.

        :raise SlowClient: the client does not receive them in time.
        """
        rest = memoryview(data).cast("B")
        self.settimeout(0.0)
        with suppress(BlockingIOError):
            rest = rest[self.send(rest, flags) :]
        if rest:
            with self._sending():
                super().sendall(rest, flags)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a file, as `sendall` does."""
        with self._sending():
            return super().sendfile(file, offset, count)

    def finish(self) -> None:
        """Wait until the client closes its end, but not for long.

        Closing earlier, with bytes of the client unread, could lose the end of the response.
        """
        self._allow(CLOSE_SECONDS)
        with suppress(OSError):
            self.shutdown(socket.SHUT_WR)
            while self.recv(4096):
                pass
        self._is_finished = True

    def break_off(self) -> None:
        """End the connection at once, also while another thread sends."""
        with suppress(OSError):  # the client has closed it
            self.shutdown(socket.SHUT_RDWR)

    def _allow(self, seconds: float) -> None:
        now = time.monotonic()
        self._deadline, self._crowded_deadline = now + seconds, now + min(CROWDED_SECONDS, seconds)

    @contextmanager
    def _sending(self) -> Iterator[None]:
        """Limit the time of a part of a response; one that does not fit the buffers counts as slow."""
        with self._waiting.try_acquire() as may_wait:
            self.settimeout(SEND_SECONDS if may_wait else CROWDED_SEND_SECONDS)
            try:
                yield
            except TimeoutError:
                self._is_slow = True
                log.warning("response_not_received")
                raise SlowClient from None

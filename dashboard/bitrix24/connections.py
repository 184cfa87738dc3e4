"""Make connections: to allowed addresses only, bounded in time, and not kept for too long."""

from __future__ import annotations

import io
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from http.client import HTTPResponse
from ipaddress import ip_address
from typing import Any

import certifi
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError
from urllib3.util.connection import create_connection

from dashboard.bitrix24 import errors
from dashboard.bitrix24.address_policy import AddressPolicy
from dashboard.bitrix24.dns import resolve

ADDRESSES_TRIED = 4
# Routers that translate addresses forget idle connections, the quickest known after 350 seconds.
MAX_IDLE_SECONDS = 60.0
KEEPALIVE_SECONDS = 30
UNACKNOWLEDGED_MILLISECONDS = 5000
# So often whoever waits for an answer looks whether the thread is needed elsewhere.
TICK_SECONDS = 0.25

Clock = Callable[[], float]


@dataclass(frozen=True)
class Timeouts:
    """Seconds for a connection, for the next piece of an answer, and for an answer as a whole."""

    connect: float = 3.05
    read: float = 20.0
    whole: float = 25.0

    def at_most(self, other: Timeouts) -> Timeouts:
        return Timeouts(min(self.connect, other.connect), min(self.read, other.read), min(self.whole, other.whole))


@dataclass
class ConnectionAttempt:
    """One try at a request: how long it may take, and what its connection has come to."""

    timeouts: Timeouts
    until: float  # of time.monotonic()
    should_yield: Callable[[], bool] = lambda: False
    fresh_only: bool = False  # a kept connection will not do
    made: bool = False  # a connection was made for it
    connected: bool = False
    answering: bool = False  # the first byte of an answer has come
    cause: str | None = None  # why there is no connection

    @property
    def seconds_to_connect(self) -> float:
        return max(0.001, min(self.timeouts.connect, self.until - time.monotonic()))


_attempt: ContextVar[ConnectionAttempt] = ContextVar("attempt")


@contextmanager
def attempting(attempt: ConnectionAttempt) -> Iterator[None]:
    """Tell the connections used inside about their request; the libraries between have no place for it."""
    token = _attempt.set(attempt)
    try:
        yield
    finally:
        _attempt.reset(token)


class GuardedAdapter(HTTPAdapter):
    """An adapter whose connections look at the address they are about to be made to."""

    def __init__(
        self, address_policy: AddressPolicy, *, clock: Clock, pool_connections: int, pool_maxsize: int
    ) -> None:
        self._address_policy = address_policy
        self._clock = clock
        super().__init__(pool_connections=pool_connections, pool_maxsize=pool_maxsize, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=trusted_tls_context(), socket_options=socket_options())
        self.poolmanager.pool_classes_by_scheme = _guarded_pools(self._address_policy, self._clock)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Verify every certificate, against the context that knows the authorities already.

        The library's own way names their file instead, and each new connection reads all of it again.
        """
        conn.cert_reqs = "CERT_REQUIRED"


@cache
def trusted_tls_context() -> ssl.SSLContext:
    """Return the one context of this process: it trusts certifi's authorities and the machine's own.

    The machine's are found as OpenSSL finds them, with SSL_CERT_FILE for a company's portal on its own
    server. Reading the authorities takes ten times as long as the handshake they are read for.
    """
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    return context


def socket_options() -> list[tuple[int, int, int]]:
    """Return what lets a connection notice that its other end is gone, as far as the platform can."""
    options = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    wanted = {
        "TCP_KEEPIDLE": KEEPALIVE_SECONDS,
        "TCP_KEEPINTVL": KEEPALIVE_SECONDS // 3,
        "TCP_KEEPCNT": 3,
        "TCP_USER_TIMEOUT": UNACKNOWLEDGED_MILLISECONDS,
    }
    known = ((getattr(socket, name, None), value) for name, value in wanted.items())
    options += [(socket.IPPROTO_TCP, option, value) for option, value in known if option is not None]
    return options


def _guarded_pools(address_policy: AddressPolicy, clock: Clock) -> dict[str, type[HTTPConnectionPool]]:
    class Kept:
        """What both kinds of connection have in common."""

        answered_at = -MAX_IDLE_SECONDS

        def _new_conn(self: Any) -> socket.socket:
            return _connect(self, address_policy)

        def getresponse(self) -> Any:
            response = super().getresponse()  # type: ignore[misc]  # the connection's own
            self.answered_at = clock()
            return response

        @property
        def is_connected(self) -> bool:
            """Tell the pool whether the connection may be used again."""
            rested = clock() - self.answered_at
            usable = rested < MAX_IDLE_SECONDS and not _attempt.get().fresh_only
            return usable and bool(super().is_connected)  # type: ignore[misc]

    class Plain(Kept, HTTPConnection):
        response_class = _TimedSocket

        def connect(self) -> None:
            super().connect()
            _attempt.get().connected = True

    class Secure(Kept, HTTPSConnection):
        response_class = _TimedSocket

        def connect(self) -> None:
            attempt = _attempt.get()
            try:
                super().connect()
            except ssl.SSLCertVerificationError:
                attempt.cause = errors.CERTIFICATE_UNTRUSTED
                raise
            except ssl.SSLError:
                attempt.cause = errors.TLS_FAILED
                raise
            attempt.connected = True

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class _TimedSocket(HTTPResponse):
    """A response that is read for as long as its request may take."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_TimedStream(self.fp.detach(), sock, _attempt.get()))

    def begin(self) -> None:
        """Read the head, and drop its cookies: to parse many long ones takes seconds, and none is kept."""
        super().begin()
        del self.headers["Set-Cookie"]


class _TimedStream(io.RawIOBase):
    """What comes from a socket, until the time for the answer as a whole is over.

    Here and not in a loop around it: status line, headers, chunk sizes and what unpacks to nothing are read
    by the libraries in loops of their own, and a server that is never late with the next byte keeps a
    thread in there for ever.
    """

    def __init__(self, stream: io.RawIOBase, connection: socket.socket, attempt: ConnectionAttempt) -> None:
        self._stream = stream
        self._connection = connection
        self._attempt = attempt

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        until = min(self._attempt.until, time.monotonic() + self._attempt.timeouts.read)
        while (left := until - time.monotonic()) > 0 and not self._attempt.should_yield():
            self._connection.settimeout(min(left, TICK_SECONDS))
            try:
                # Not by the stream: that refuses to be read again after a time-out.
                count = self._connection.recv_into(buffer)
            except TimeoutError:
                continue
            self._attempt.answering = self._attempt.answering or count > 0
            return count
        raise TimeoutError("the answer takes too long")

    def close(self) -> None:
        self._stream.close()
        super().close()


def _connect(connection: HTTPConnection, address_policy: AddressPolicy) -> socket.socket:
    """Connect to an address that was checked after resolution, so that a second look-up cannot change it.

    A name with many addresses, none of which answers, is given up after a few; they share the time.
    """
    attempt = _attempt.get()
    attempt.made = True
    until = time.monotonic() + attempt.seconds_to_connect
    allowed = _allowed_addresses(connection, address_policy, attempt)
    for number, address in enumerate(allowed):
        seconds = max(0.001, (until - time.monotonic()) / (len(allowed) - number))
        try:
            made = create_connection((address, connection.port), seconds, socket_options=connection.socket_options)
        except OSError as error:
            attempt.cause = _cause_of(error)
            continue
        attempt.cause = None
        made.settimeout(attempt.seconds_to_connect)  # for the handshake
        return made
    raise NewConnectionError(connection, f"no connection: {attempt.cause}")


def _allowed_addresses(
    connection: HTTPConnection, address_policy: AddressPolicy, attempt: ConnectionAttempt
) -> list[str]:
    try:
        addresses = resolve(connection.host, connection.port, seconds=attempt.seconds_to_connect)
    except socket.gaierror as error:
        temporary = error.errno == socket.EAI_AGAIN
        attempt.cause = errors.NAME_LOOKUP_FAILED if temporary else errors.UNKNOWN_HOST
        raise
    except TimeoutError:
        attempt.cause = errors.NAME_LOOKUP_FAILED
        raise
    except ValueError:
        attempt.cause = errors.UNKNOWN_HOST
        raise
    attempt.cause = errors.ADDRESS_NOT_ALLOWED
    return [one for one in addresses if address_policy.allows(ip_address(one))][:ADDRESSES_TRIED]


def _cause_of(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return errors.CONNECTION_REFUSED
    return errors.CONNECT_TIMEOUT if isinstance(error, TimeoutError) else errors.UNREACHABLE

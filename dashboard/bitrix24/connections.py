"""Connect to allowed addresses only, with timeouts, and drop connections that were idle for too long."""

from __future__ import annotations

import io
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPResponse
from ipaddress import ip_address
from itertools import takewhile
from typing import Any, BinaryIO

import certifi
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError
from urllib3.util.connection import create_connection

from dashboard.bitrix24 import errors
from dashboard.bitrix24.address_policy import AddressPolicy
from dashboard.bitrix24.dns import resolve
from dashboard.bitrix24.errors import Unreadable

MAX_ADDRESSES = 4  # of one host that are tried
# NAT gateways drop idle connections without a notice; the shortest known timeout is 350 seconds.
MAX_IDLE_SECONDS = 60.0
MAX_HEAD_BYTES = 64 * 1024  # of a response with its interim responses; also of its trailers
MAX_HEAD_LINES = 100
MAX_STATUS_LINE = 1024
# What http.client, urllib3 and this application read; the libraries' parsers never see another header.
_USED_HEADERS = {b"connection", b"content-encoding", b"content-length", b"date", b"keep-alive", b"transfer-encoding"}
# http.client treats some control characters as line ends, so only printable ASCII and tabs are allowed.
_USED_LINE = re.compile(rb"[\t -~]{1,1024}")
# Bytes of a chunk of a body. Reading one takes a few microseconds, so tiny ones would take too long.
MIN_AVERAGE_CHUNK = 256
# Options of new sockets, so that the system notices when the other end is gone; not every system has all.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 5000}
# How often a thread that waits for a response checks whether to give up.
GIVE_UP_CHECK_SECONDS = 0.25

Clock = Callable[[], float]


@dataclass(frozen=True)
class Timeouts:
    """Seconds for a connection, for the next bytes of a response, and for a whole response."""

    connect: float = 3.05
    read: float = 20.0
    total: float = 25.0

    def at_most(self, other: Timeouts) -> Timeouts:
        """Return the shorter of both for each."""
        return Timeouts(min(self.connect, other.connect), min(self.read, other.read), min(self.total, other.total))


@dataclass
class ConnectionAttempt:
    """The limits of one request, and what has become of its connection."""

    address_policy: AddressPolicy
    timeouts: Timeouts
    clock: Clock = time.monotonic
    max_bytes: int = 1024 * 1024  # of a response with its headers, before decompression
    should_give_up: Callable[[], bool] = lambda: False
    fresh_only: bool = False  # do not reuse a connection
    is_new: bool = False  # a new connection was needed
    connected: bool = False
    response_started: bool = False
    cause: str | None = None  # why there is no connection
    deadline: float = field(init=False)  # of time.monotonic()

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.timeouts.total

    @property
    def seconds_to_connect(self) -> float:
        """Return how long a new connection may take."""
        return max(0.001, min(self.timeouts.connect, self.deadline - time.monotonic()))


_attempt: ContextVar[ConnectionAttempt] = ContextVar("attempt")


@contextmanager
def use_attempt(attempt: ConnectionAttempt) -> Iterator[None]:
    """Pass the attempt to the connections used inside; the libraries in between have no parameter for it."""
    token = _attempt.set(attempt)
    try:
        yield
    finally:
        _attempt.reset(token)


class GuardedAdapter(HTTPAdapter):
    """An adapter whose connections obey the current ``ConnectionAttempt``."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Use guarded connections, one TLS context and TCP keepalive."""
        super().init_poolmanager(*args, **kwargs, ssl_context=trusted_tls_context(), socket_options=socket_options())
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Verify every certificate, with the certificate authorities (CAs) of the TLS context.

        The library would read the file of CAs again for each new connection.
        """
        conn.cert_reqs = "CERT_REQUIRED"


@cache
def trusted_tls_context() -> ssl.SSLContext:
    """Return this process's TLS context, which trusts certifi's certificate authorities and the system's.

    SSL_CERT_FILE adds the authorities of a company with a self-hosted portal. Reading the files takes ten times as
    long as a handshake, so there is one context.
    """
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    return context


def socket_options() -> list[tuple[int, int, int]]:
    """Return urllib3's socket options and TCP keepalive."""
    available = [(getattr(socket, name), value) for name, value in _KEEPALIVE.items() if hasattr(socket, name)]
    return [
        *HTTPConnection.default_socket_options,
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        *((socket.IPPROTO_TCP, option, value) for option, value in available),
    ]


class _TimedStream(io.RawIOBase):
    """The bytes of a response from a socket, up to the attempt's maximum and until its deadline.

    The libraries read the status line, headers, chunk sizes and trailers in loops without a time limit. A server that
    sends a byte now and then would keep them reading forever.
    """

    def __init__(self, stream: io.RawIOBase, connection: socket.socket, attempt: ConnectionAttempt) -> None:
        self._stream = stream
        self._connection = connection
        self._attempt = attempt
        self._bytes_left = attempt.max_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        until = min(self._attempt.deadline, time.monotonic() + self._attempt.timeouts.read)
        while (left := until - time.monotonic()) > 0 and not self._attempt.should_give_up():
            self._connection.settimeout(min(left, GIVE_UP_CHECK_SECONDS))
            try:
                # Not ``self._stream``: it cannot be read again after a timeout.
                count = self._connection.recv_into(buffer)
            except TimeoutError:
                continue
            self._attempt.response_started = self._attempt.response_started or count > 0
            self._bytes_left -= count
            if self._bytes_left < 0:
                raise Unreadable(errors.RESPONSE_TOO_LARGE)
            return count
        raise TimeoutError("the response takes too long")

    def close(self) -> None:
        self._stream.close()
        super().close()


class _TimedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        attempt = _attempt.get()
        self.fp = io.BufferedReader(_TimedStream(self.fp.detach(), sock, attempt))
        self._chunks_left = attempt.max_bytes // MIN_AVERAGE_CHUNK

    def begin(self) -> None:
        """Parse the status line and the headers that are used; the connection is not kept if two give a length.

        :raise Unreadable: the head is too large or malformed.
        """
        stream = self.fp
        head = _read_head(stream)
        self.fp = io.BufferedReader(io.BytesIO(head))
        try:
            super().begin()
        finally:
            self.fp = stream
        lengths = [name for name in self.headers if name.lower() in ("content-length", "transfer-encoding")]
        self.will_close = self.will_close or len(lengths) > 1

    def read1(self, n: int = -1) -> bytes:
        """Return the next chunk of the body.

        :raise Unreadable: there are too many.
        """
        self._chunks_left -= 1
        if self._chunks_left < 0:
            raise Unreadable(errors.RESPONSE_TOO_LARGE)
        return super().read1(n)

    def _read_and_discard_trailer(self) -> None:
        for _ in takewhile(len, _head_lines(self.fp)):
            pass


def _read_head(stream: BinaryIO) -> bytes:
    """Return the status line and the used headers of a response, without interim responses; nothing if none begins.

    http.client would parse every header: one Content-Type of 250 KB takes its parser a minute.

    :raise Unreadable: the head is too large, or a used header malformed.
    """
    lines = _head_lines(stream)
    status = next(lines)
    while status[8:10] == b" 1":
        for _ in takewhile(len, lines):
            pass
        status = next(lines)
    if not status:
        return b""
    used, is_used = [status[:MAX_STATUS_LINE]], False
    for line in takewhile(len, lines):
        is_folded = line[:1].isspace()
        if not is_folded:
            is_used = line.partition(b":")[0].lower() in _USED_HEADERS
        if is_used and (is_folded or not _USED_LINE.fullmatch(line)):
            raise Unreadable(errors.BAD_RESPONSE)
        if is_used:
            used.append(line)
    return b"\r\n".join([*used, b"", b""])


def _head_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a head, or of the trailers; the end of the stream is an empty line.

    :raise Unreadable: there are too many.
    """
    bytes_left = MAX_HEAD_BYTES
    for _ in range(MAX_HEAD_LINES):
        line = stream.readline(bytes_left + 1)
        bytes_left -= len(line)
        if bytes_left < 0:
            break
        yield line.rstrip(b"\r\n")
    raise Unreadable(errors.RESPONSE_TOO_LARGE)


class _GuardedConnection(HTTPConnection):
    response_class = _TimedResponse
    answered_at = -MAX_IDLE_SECONDS

    def _new_conn(self) -> socket.socket:
        return _connect(self, _attempt.get())

    def connect(self) -> None:
        attempt = _attempt.get()
        try:
            super().connect()
        except ssl.SSLError as error:
            is_untrusted = isinstance(error, ssl.SSLCertVerificationError)
            attempt.cause = errors.CERTIFICATE_UNTRUSTED if is_untrusted else errors.TLS_FAILED
            raise
        attempt.connected = True

    def getresponse(self) -> Any:
        response = super().getresponse()
        self.answered_at = _attempt.get().clock()
        return response

    @property
    def is_connected(self) -> bool:
        """Tell the pool whether the connection may be used again."""
        attempt = _attempt.get()
        is_recent = attempt.clock() - self.answered_at < MAX_IDLE_SECONDS
        return is_recent and not attempt.fresh_only and bool(super().is_connected)


class _GuardedTLSConnection(_GuardedConnection, HTTPSConnection):
    pass


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _GuardedConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTLSConnection


def _connect(connection: HTTPConnection, attempt: ConnectionAttempt) -> socket.socket:
    """Connect to an address that was checked, so that a second DNS lookup cannot change it (DNS rebinding).

    Up to MAX_ADDRESSES are tried; they share the time.
    """
    attempt.is_new = True
    until = time.monotonic() + attempt.seconds_to_connect
    addresses = _allowed_addresses(connection, attempt)
    for number, address in enumerate(addresses):
        seconds = max(0.001, (until - time.monotonic()) / (len(addresses) - number))
        try:
            sock = create_connection((address, connection.port), seconds, socket_options=connection.socket_options)
        except ConnectionRefusedError:
            attempt.cause = errors.CONNECTION_REFUSED
        except TimeoutError:
            attempt.cause = errors.CONNECT_TIMEOUT
        except OSError:
            attempt.cause = errors.UNREACHABLE
        else:
            attempt.cause = None
            sock.settimeout(attempt.seconds_to_connect)  # for the handshake
            return sock
    raise NewConnectionError(connection, f"no connection: {attempt.cause}")


def _allowed_addresses(connection: HTTPConnection, attempt: ConnectionAttempt) -> list[str]:
    attempt.cause = errors.UNKNOWN_HOST
    try:
        addresses = resolve(connection.host, connection.port, seconds=attempt.seconds_to_connect)
    except (TimeoutError, socket.gaierror) as error:
        if isinstance(error, TimeoutError) or error.errno == socket.EAI_AGAIN:
            attempt.cause = errors.NAME_LOOKUP_FAILED
        raise
    attempt.cause = errors.ADDRESS_NOT_ALLOWED
    allows = attempt.address_policy.allows
    return [address for address in addresses if allows(ip_address(address))][:MAX_ADDRESSES]

"""The one place that makes requests: pooled, bounded in size and time, and only to addresses we may call."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.util.connection import create_connection

from dashboard.bitrix24.errors import Unreachable, Unreadable

LARGEST_ANSWER = 8 * 1024 * 1024
CHUNK = 64 * 1024
HOSTS_KEPT = 256


@dataclass(frozen=True)
class Reach:
    """Which addresses besides public ones may be called."""

    loopback: bool = False
    private: bool = False

    def allows(self, address: IPv4Address | IPv6Address) -> bool:
        address = getattr(address, "ipv4_mapped", None) or address
        if address.is_loopback:
            return self.loopback
        if address.is_link_local or address.is_multicast or address.is_unspecified:
            return False
        return address.is_global or (self.private and address.is_private)


@dataclass(frozen=True)
class Patience:
    """Seconds for a connection, for the next piece of an answer, and for an answer as a whole."""

    connect: float = 3.05
    read: float = 20.0
    whole: float = 25.0


PATIENCE = Patience()


@dataclass(frozen=True)
class Answer:
    """An answer as it came: HTTP status, body, and where it redirects to, if it does."""

    status: int
    body: bytes
    location: str | None


class Transport:
    """POST requests over connections that are kept; safe to share between threads.

    Redirects are never followed, cookies never kept and proxies never taken from the environment: each
    would carry a token to a place nobody has proven.
    """

    def __init__(
        self, reach: Reach, *, connections_per_host: int = 16, patience: Patience = PATIENCE
    ) -> None:
        self._patience = patience
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["User-Agent"] = "calendar-dashboard/0.1"
        self._session.headers["Accept"] = "application/json"
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = _GuardedAdapter(reach, pool_connections=HOSTS_KEPT, pool_maxsize=connections_per_host)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        if not reach.loopback:
            self._session.adapters.pop("http://")

    def post(
        self,
        url: str,
        *,
        json: object = None,
        form: dict[str, str] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> Answer:
        """Return the answer, whatever its status.

        :raise Unreachable: no connection, a time-out, a reset, or an address that may not be called.
        :raise Unreadable: the answer is larger than any real one.
        """
        started = now()
        try:
            response = self._session.post(
                url,
                json=json,
                data=form,
                allow_redirects=False,
                stream=True,
                timeout=(self._patience.connect, self._patience.read),
            )
            with response:
                body = _read(response, until=started + self._patience.whole, now=now)
        except requests.Timeout:
            raise Unreachable("timeout") from None
        except (requests.RequestException, HTTPError, OSError, ValueError):
            # Not chained: their texts hold the address asked for, and with it whatever was posted to us.
            raise Unreachable("unreachable") from None
        return Answer(response.status_code, body, response.headers.get("Location"))


def _read(response: requests.Response, *, until: float, now: Callable[[], float]) -> bytes:
    """Return the whole body; a trickle that never ends is cut by the clock, not only between two bytes."""
    body = bytearray()
    while chunk := response.raw.read1(CHUNK, decode_content=True):
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise Unreadable("answer_too_large", status=response.status_code)
        if now() > until:
            raise Unreachable("timeout")
    return bytes(body)


class _GuardedAdapter(HTTPAdapter):
    """An adapter whose connections look at the address they are about to be made to."""

    def __init__(self, reach: Reach, *, pool_connections: int, pool_maxsize: int) -> None:
        self._reach = reach
        super().__init__(pool_connections=pool_connections, pool_maxsize=pool_maxsize, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _guarded_pools(self._reach)


def _guarded_pools(reach: Reach) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, reach)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, reach)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _connect(connection: HTTPConnection, reach: Reach) -> socket.socket:
    """Connect to an address that was checked after resolution, so that a second look-up cannot change it."""
    found = socket.getaddrinfo(connection.host, connection.port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    refusal: Exception = NewConnectionError(connection, "this address may not be called")
    for address in addresses:
        if not reach.allows(ip_address(address)):
            continue
        try:
            return create_connection(
                (address, connection.port), connection.timeout, socket_options=connection.socket_options
            )
        except OSError as error:
            refusal = NewConnectionError(connection, f"no connection: {type(error).__name__}")
    raise refusal

"""The one place that makes requests: pooled, bounded in size and time, and only to addresses we may call."""

from __future__ import annotations

import io
import socket
import ssl
import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from http.client import HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import certifi
import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError
from urllib3.util.connection import create_connection

from dashboard.bitrix24.errors import Unreachable, Unreadable
from dashboard.bitrix24.names import addresses_of
from dashboard.bitrix24.turns import Turns

LARGEST_ANSWER = 4 * 1024 * 1024
CHUNK = 64 * 1024
HOSTS_KEPT = 256
ADDRESSES_TRIED = 4

PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
# Where clouds tell their machines secrets, besides link-local addresses.
METADATA = tuple(map(ip_address, ("168.63.129.16", "fd00:ec2::254", "fd20:ce::254")))
NAT64 = ip_network("64:ff9b::/96")
# All that is given out. Other addresses (site-local, segments, some mesh's) are inside of something.
PUBLIC_IPV6 = ip_network("2000::/3")
# Other ways to wrap an IPv4 address in an IPv6 one; nobody's portal is reached by them.
WRAPPED = tuple(map(ip_network, ("::/96", "64:ff9b:1::/48", "2002::/16")))


@dataclass(frozen=True)
class Reach:
    """Which addresses besides public ones may be called."""

    loopback: bool = False
    private: bool = False

    def allows(self, address: IPv4Address | IPv6Address) -> bool:
        address = _unwrapped(address)
        if address.is_loopback:
            return self.loopback
        if address in METADATA or address.is_multicast or _within(WRAPPED, address):
            return False
        if _within(PRIVATE, address):
            return self.private
        return address.is_global and (address.version == 4 or address in PUBLIC_IPV6)


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 one stands for, where the system or a gateway would take it so."""
    if isinstance(address, IPv6Address) and address in NAT64:
        return IPv4Address(address.packed[-4:])
    return getattr(address, "ipv4_mapped", None) or address


def _within(networks: tuple[IPv4Network | IPv6Network, ...], address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in networks)


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
        self,
        reach: Reach,
        *,
        connections_per_host: int = 16,
        patience: Patience = PATIENCE,
        shared: Collection[str] = (),
    ) -> None:
        self._patience = patience
        self._turns = Turns(connections_per_host, shared=shared)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["User-Agent"] = "calendar-dashboard/0.1"
        self._session.headers["Accept"] = "application/json"
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = _GuardedAdapter(
            reach, patience, pool_connections=HOSTS_KEPT, pool_maxsize=connections_per_host
        )
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        if not reach.loopback:
            self._session.adapters.pop("http://")

    def post(self, url: str, *, json: object = None, form: dict[str, str] | None = None) -> Answer:
        """Return the answer, whatever its status.

        :raise Unreachable: no connection, a time-out, a reset, or an address that may not be called.
        :raise Unreadable: the answer is larger than any real one.
        """
        try:
            with self._turns.at("/".join(url.split("/", 3)[:3])):
                response = self._session.post(
                    url,
                    json=json,
                    data=form,
                    allow_redirects=False,
                    stream=True,
                    timeout=(self._patience.connect, self._patience.read),
                )
                with response:
                    body = _read(response)
        except (requests.Timeout, TimeoutError, ReadTimeoutError):
            raise Unreachable("timeout") from None
        except (requests.RequestException, HTTPError, OSError, ValueError):
            # Not chained: their texts hold the address asked for, and with it whatever was posted to us.
            raise Unreachable("unreachable") from None
        return Answer(response.status_code, body, response.headers.get("Location"))


def _read(response: requests.Response) -> bytes:
    body = bytearray()
    while chunk := response.raw.read1(CHUNK, decode_content=True):
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise Unreadable("answer_too_large", status=response.status_code)
    return bytes(body)


class _GuardedAdapter(HTTPAdapter):
    """An adapter whose connections look at the address they are about to be made to."""

    def __init__(self, reach: Reach, patience: Patience, *, pool_connections: int, pool_maxsize: int) -> None:
        self._reach = reach
        self._patience = patience
        super().__init__(pool_connections=pool_connections, pool_maxsize=pool_maxsize, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=_trusting())
        self.poolmanager.pool_classes_by_scheme = _guarded_pools(self._reach, self._patience)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Verify every certificate, against the context that knows the authorities already.

        The library's own way names their file instead, and each new connection reads all of it again.
        """
        conn.cert_reqs = "CERT_REQUIRED"


@cache
def _trusting() -> ssl.SSLContext:
    """Return the one context of this process: it trusts certifi's authorities and the machine's own.

    The machine's are found as OpenSSL finds them, with SSL_CERT_FILE for a company's portal on its own
    server. Reading the authorities takes ten times as long as the handshake they are read for.
    """
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    return context


def _guarded_pools(reach: Reach, patience: Patience) -> dict[str, type[HTTPConnectionPool]]:
    class Timed(HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            self.fp = io.BufferedReader(_TimedStream(self.fp.detach(), sock, patience))

    class Plain(HTTPConnection):
        response_class = Timed

        def _new_conn(self) -> socket.socket:
            return _connect(self, reach, patience)

    class Secure(HTTPSConnection):
        response_class = Timed

        def _new_conn(self) -> socket.socket:
            return _connect(self, reach, patience)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class _TimedStream(io.RawIOBase):
    """What comes from a socket, until the time for the answer as a whole is over.

    Here and not in a loop around it: status line, headers, chunk sizes and what unpacks to nothing are read
    by the libraries in loops of their own, and a server that is never late with the next byte keeps a
    thread in there for ever.
    """

    def __init__(self, stream: io.RawIOBase, connection: socket.socket, patience: Patience) -> None:
        self._stream = stream
        self._connection = connection
        self._read_seconds = patience.read
        self._until = time.monotonic() + patience.whole

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer as a whole takes too long")
        self._connection.settimeout(min(left, self._read_seconds))
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()


def _connect(connection: HTTPConnection, reach: Reach, patience: Patience) -> socket.socket:
    """Connect to an address that was checked after resolution, so that a second look-up cannot change it.

    A name with many addresses, none of which answers, is given up after a few.
    """
    refusal: Exception = NewConnectionError(connection, "this address may not be called")
    addresses = addresses_of(connection.host, connection.port, seconds=patience.connect)
    for address in [one for one in addresses if reach.allows(ip_address(one))][:ADDRESSES_TRIED]:
        try:
            return create_connection(
                (address, connection.port), connection.timeout, socket_options=connection.socket_options
            )
        except OSError as error:
            refusal = NewConnectionError(connection, f"no connection: {type(error).__name__}")
    raise refusal

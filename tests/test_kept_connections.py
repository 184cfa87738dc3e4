"""Kept connections: reused for a minute at most, and replaced for a read if they are broken."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests
from pydantic import SecretStr

from dashboard.bitrix24.address_policy import AddressPolicy
from dashboard.bitrix24.client import Client, Command
from dashboard.bitrix24.connections import MAX_IDLE_SECONDS, ConnectionAttempt, Timeouts
from dashboard.bitrix24.errors import Bitrix24Error, Unreachable
from dashboard.bitrix24.http import RestHttp
from dashboard.bitrix24.masking import record_nothing
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.bitrix24.transport import DEFAULT_LIMIT, Transport
from tests.emulator.wire import read_request
from tests.rest_fixtures import ManualClock, clock

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"result":[]}'

__all__ = ["clock"]


class ResettingServer:
    """A server that answers the first request of a connection and resets the connection at the next."""

    def __init__(self) -> None:
        self.resets = True
        self.begins_response = False
        self.requests: list[int] = []  # the number of each one's connection
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        number = 0
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                number += 1
                threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection, suppress(OSError), connection.makefile("rb") as reader:
            for count in range(100):
                if read_request(reader, client="") is None:
                    return
                self.requests.append(number)
                if count and self.resets:
                    if self.begins_response:
                        connection.sendall(ANSWER[:8])
                    # Like a router that has forgotten the connection.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                connection.sendall(ANSWER)


@pytest.fixture
def server() -> Iterator[ResettingServer]:
    """Give a server."""
    server = ResettingServer()
    yield server
    server.close()


@pytest.fixture
def transport(clock: ManualClock) -> Transport:
    """Give a transport with that clock for idle connections."""
    return Transport(AddressPolicy(loopback=True), timeouts=Timeouts(connect=5, read=10, total=20), clock=clock)


def test_a_connection_idle_for_a_minute_is_not_reused(
    server: ResettingServer, transport: Transport, clock: ManualClock
) -> None:
    server.resets = False
    for idle in (0, MAX_IDLE_SECONDS - 1, MAX_IDLE_SECONDS - 1, MAX_IDLE_SECONDS + 1):
        clock.seconds += idle
        transport.post(server.origin, json={})

    assert server.requests == [1, 1, 1, 2]


def test_a_read_over_a_broken_connection_is_retried_on_a_new_one(server: ResettingServer, transport: Transport) -> None:
    transport.post(server.origin, json={})

    assert transport.post(server.origin, json={}, read_only=True).status == 200
    assert server.requests == [1, 1, 2]


def test_a_retry_uses_no_kept_connection(server: ResettingServer, transport: Transport, clock: ManualClock) -> None:
    """After a pause all of them may be broken."""
    server.resets = False
    transport.post(server.origin, json={})

    attempt = ConnectionAttempt(AddressPolicy(loopback=True), Timeouts(), clock, fresh_only=True)
    transport._try(requests.Request("POST", server.origin, json={}), attempt, DEFAULT_LIMIT)

    assert server.requests == [1, 2]


def test_a_write_is_never_sent_twice(server: ResettingServer, transport: Transport) -> None:
    transport.post(server.origin, json={})

    with pytest.raises(Unreachable, match="unreachable"):
        transport.post(server.origin, json={})

    assert server.requests == [1, 1]


def test_a_request_whose_response_began_is_not_retried(server: ResettingServer, transport: Transport) -> None:
    server.begins_response = True
    transport.post(server.origin, json={})

    with pytest.raises(Unreachable, match="unreachable"):
        transport.post(server.origin, json={}, read_only=True)

    assert server.requests == [1, 1]


def calls(transport: Transport, origin: str) -> dict[str, Callable[[], Any]]:
    """Return the kinds of calls; they differ in whether they may be sent twice."""
    rest = RestHttp(transport)
    client = Client(rest, origin, record_nothing)
    servers = AuthorizationServers(rest, (origin,), "app.1", SecretStr("s"))
    return {
        "call": lambda: client.call("event.bind", token="t"),
        "batch": lambda: client.batch({"a": Command("event.bind")}, token="t"),
        "refresh": lambda: servers.refresh(origin, SecretStr("r"), record_call=record_nothing),
        "read": lambda: client.call("profile", token="t", read_only=True),
        "batch of reads": lambda: client.batch({"a": Command("profile")}, token="t", read_only=True),
        "proof": lambda: servers.app_info(origin, SecretStr("a"), record_call=record_nothing),
    }


@pytest.mark.parametrize(
    ("name", "times"),
    [("call", 1), ("batch", 1), ("refresh", 1), ("read", 2), ("batch of reads", 2), ("proof", 2)],
)
def test_only_reads_are_sent_twice(server: ResettingServer, transport: Transport, name: str, times: int) -> None:
    transport.post(server.origin, json={})

    with suppress(Bitrix24Error):
        calls(transport, server.origin)[name]()

    assert len(server.requests) == 1 + times


def test_tcp_keepalive_is_on(server: ResettingServer, transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    created: list[socket.socket] = []
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if server.origin.endswith(f":{address[1]}"):
            created.append(self)
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    transport.post(server.origin, json={})

    (connection,) = created
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
        if option := getattr(socket, name, None):
            assert connection.getsockopt(socket.IPPROTO_TCP, option) <= MAX_IDLE_SECONDS

"""Connections that are kept between requests: not for too long, and a broken one costs a read nothing."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from pydantic import SecretStr

from dashboard.bitrix24.address_policy import AddressPolicy
from dashboard.bitrix24.client import Client, Command
from dashboard.bitrix24.connections import MAX_IDLE_SECONDS, ConnectionAttempt, Timeouts, attempting
from dashboard.bitrix24.errors import Bitrix24Error, Unreachable
from dashboard.bitrix24.http import RestHttp
from dashboard.bitrix24.masking import record_nothing
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.bitrix24.transport import Transport
from tests.emulator.wire import read_request

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"result":[]}'


class Forgetful:
    """A server that answers the first request of a connection and breaks the connection at the next."""

    def __init__(self) -> None:
        self.forgets = True
        self.begins_an_answer = False
        self.requests: list[int] = []  # the number of the connection each came over
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
                if count and self.forgets:
                    if self.begins_an_answer:
                        connection.sendall(ANSWER[:8])
                    # As a router does that no longer knows the connection.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                connection.sendall(ANSWER)


@pytest.fixture
def server() -> Iterator[Forgetful]:
    """Give a server."""
    it = Forgetful()
    yield it
    it.close()


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    """Give a clock."""
    return Clock()


@pytest.fixture
def transport(clock: Clock) -> Transport:
    """Give a transport whose connections rest by that clock."""
    return Transport(AddressPolicy(loopback=True), timeouts=Timeouts(connect=5, read=10, total=20), clock=clock)


def test_a_connection_that_rested_for_a_minute_is_not_used_again(
    server: Forgetful, transport: Transport, clock: Clock
) -> None:
    server.forgets = False
    for rest in (0, MAX_IDLE_SECONDS - 1, MAX_IDLE_SECONDS - 1, MAX_IDLE_SECONDS + 1):
        clock.seconds += rest
        transport.post(server.origin, json={})

    assert server.requests == [1, 1, 1, 2]


def test_a_read_over_a_broken_connection_is_sent_once_more_over_a_new_one(
    server: Forgetful, transport: Transport
) -> None:
    transport.post(server.origin, json={})

    assert transport.post(server.origin, json={}, read_only=True).status == 200
    assert server.requests == [1, 1, 2]


def test_the_second_try_takes_no_kept_connection(server: Forgetful, transport: Transport) -> None:
    """After a pause all of them are broken, and another thread may just have replaced the first."""
    server.forgets = False
    transport.post(server.origin, json={})

    with attempting(ConnectionAttempt(AddressPolicy(loopback=True), Timeouts(), fresh_only=True)):
        transport._session.post(server.origin, json={})

    assert server.requests == [1, 2]


def test_what_changes_something_is_never_sent_twice(server: Forgetful, transport: Transport) -> None:
    transport.post(server.origin, json={})

    with pytest.raises(Unreachable, match="unreachable"):
        transport.post(server.origin, json={})

    assert server.requests == [1, 1]


def test_an_answer_that_began_is_not_asked_for_again(server: Forgetful, transport: Transport) -> None:
    server.begins_an_answer = True
    transport.post(server.origin, json={})

    with pytest.raises(Unreachable, match="unreachable"):
        transport.post(server.origin, json={}, read_only=True)

    assert server.requests == [1, 1]


def calls(transport: Transport, origin: str) -> dict[str, Callable[[], Any]]:
    """Return the calls of this application that differ in whether they may be sent twice."""
    rest = RestHttp(transport)
    client = Client(rest, origin, record_nothing)
    servers = AuthorizationServers(rest, (origin,), "app.1", SecretStr("s"))
    return {
        "call": lambda: client.call("event.bind", token="t"),
        "batch": lambda: client.batch({"a": Command("event.bind")}, token="t"),
        "refresh": lambda: servers.refresh(origin, SecretStr("r"), record=record_nothing),
        "read": lambda: client.call("profile", token="t", read_only=True),
        "batch of reads": lambda: client.batch({"a": Command("profile")}, token="t", read_only=True),
        "proof": lambda: servers.app_info(origin, SecretStr("a"), record=record_nothing),
    }


@pytest.mark.parametrize(
    ("name", "times"),
    [("call", 1), ("batch", 1), ("refresh", 1), ("read", 2), ("batch of reads", 2), ("proof", 2)],
)
def test_only_reads_are_sent_twice(server: Forgetful, transport: Transport, name: str, times: int) -> None:
    transport.post(server.origin, json={})

    with suppress(Bitrix24Error):
        calls(transport, server.origin)[name]()

    assert len(server.requests) == 1 + times


def test_the_system_looks_whether_the_other_end_is_there(
    server: Forgetful, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[socket.socket] = []
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        made.append(self)
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    transport.post(server.origin, json={})

    (connection,) = made
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
        if option := getattr(socket, name, None):
            assert connection.getsockopt(socket.IPPROTO_TCP, option) <= MAX_IDLE_SECONDS

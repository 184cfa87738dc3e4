"""The outgoing guard: each way a request could leave for a place it must not reach, or never come back."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app import create_app
from dashboard.bitrix24.address_policy import AddressPolicy
from dashboard.bitrix24.connections import MAX_ADDRESSES, Timeouts, trusted_tls_context
from dashboard.bitrix24.dns import MAX_CONCURRENT_LOOKUPS, resolve
from dashboard.bitrix24.errors import Unreachable
from dashboard.bitrix24.http import RestHttp
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.bitrix24.transport import Transport
from dashboard.core import config
from tests.emulator.wire import Answer, Request, Server, read_request
from tests.test_transport import self_signed
from tests.world import World

HURRY = Timeouts(connect=0.3, read=0.3, total=0.6)
PUBLIC = "93.184.216.34"


@pytest.fixture
def inside() -> Iterator[Server]:
    """Give a server on this machine that nobody outside is meant to reach."""

    def handle(request: Request) -> Answer:
        return Answer(200, b'{"result":"what is inside"}')

    server = Server(handle)
    server.start()
    yield server
    server.stop()


def names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let the name server say one thing after another; return which names it was asked for.

    The only way to be a name server here is to stand in for the system's look-up.
    """
    real, requests = socket.getaddrinfo, []

    def look_up(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        if not host.endswith(".example"):
            return list(real(host, port, *args, **kwargs))
        requests.append(host)
        text = answers[min(len(requests), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in text]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return requests


def test_a_host_name_is_resolved_once_per_request(inside: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was checked is what is connected to: a public address first, this machine's ever after."""
    requests = names(monkeypatch, [PUBLIC], ["127.0.0.1"])

    with pytest.raises(Unreachable):
        Transport(AddressPolicy(private=True), timeouts=HURRY).post(f"https://a.example:{inside.port}/", json={})

    assert requests == ["a.example"]
    assert inside.connections == 0


@pytest.mark.parametrize("first", [[], [PUBLIC]])
def test_a_name_for_this_machine_is_refused_whatever_else_it_stands_for(
    inside: Server, monkeypatch: pytest.MonkeyPatch, first: list[str]
) -> None:
    names(monkeypatch, [*first, "127.0.0.1"])

    with pytest.raises(Unreachable) as caught:
        Transport(AddressPolicy(), timeouts=HURRY).post(f"https://a.example:{inside.port}/", json={})

    assert first or caught.value.code == "address_not_allowed"
    assert inside.connections == 0


def test_a_name_with_many_silent_addresses_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, [f"127.0.0.{number}" for number in range(2, 250)])
    tried: list[Any] = []

    def refuse(to: Any, *args: Any, **kwargs: Any) -> socket.socket:
        tried.append(to)
        raise ConnectionRefusedError

    monkeypatch.setattr("dashboard.bitrix24.connections.create_connection", refuse)

    with pytest.raises(Unreachable):
        Transport(AddressPolicy(loopback=True), timeouts=HURRY).post("http://a.example:9/", json={})

    assert len(tried) == MAX_ADDRESSES


def test_a_name_server_that_does_not_answer_is_not_waited_for() -> None:
    release = threading.Event()
    began = time.monotonic()

    def hang(*args: Any, **kwargs: Any) -> list[Any]:
        release.wait(20)
        return []

    with pytest.raises(TimeoutError):
        resolve("a.example", 443, seconds=0.2, resolver=hang)

    assert time.monotonic() - began < 5
    release.set()


def test_hanging_look_ups_do_not_pile_up() -> None:
    release, hung = threading.Event(), []

    def hang(*args: Any, **kwargs: Any) -> list[Any]:
        hung.append(1)
        release.wait(20)
        return []

    for _ in range(MAX_CONCURRENT_LOOKUPS + 3):
        with pytest.raises(TimeoutError):
            resolve("a.example", 443, seconds=0.005, resolver=hang)

    assert len(hung) <= MAX_CONCURRENT_LOOKUPS
    release.set()


@pytest.mark.parametrize(("name", "answered"), [("localhost", True), ("127.0.0.1", False)])
def test_a_certificate_is_valid_for_its_own_host_name_only(
    name: str, answered: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A company's own authority, told of by SSL_CERT_FILE, is believed, for the host it names alone."""
    file = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    trusted_tls_context.cache_clear()

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=answer_one, args=(listener, context), daemon=True).start()
        url = f"https://{name}:{listener.getsockname()[1]}/"
        transport = Transport(AddressPolicy(loopback=True), timeouts=Timeouts(connect=5, read=5, total=10))
        if answered:
            assert transport.post(url, json={}).body == b"{}"
        else:
            with pytest.raises(Unreachable):
                transport.post(url, json={})
    trusted_tls_context.cache_clear()


def answer_one(listener: socket.socket, context: ssl.SSLContext) -> None:
    connection, _ = listener.accept()
    with connection, suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
        with secure.makefile("rb") as reader:
            read_request(reader, client="")
        secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no such name"), "unknown_host"),
        (UnicodeError("no name"), "unknown_host"),
        (socket.gaierror(socket.EAI_AGAIN, "ask again"), "name_lookup_failed"),
    ],
)
def test_a_name_that_is_none_is_unreachable(error: Exception, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> list[Any]:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    with pytest.raises(Unreachable, match=code):
        Transport(AddressPolicy(), timeouts=HURRY).post("https://a.example/", json={})


def test_plain_http_leaves_only_in_development(inside: Server) -> None:
    """Whatever the address: here even this machine would be allowed, if it were not for the scheme."""

    class Anywhere(AddressPolicy):
        def allows(self, address: object) -> bool:
            return True

    with pytest.raises(Unreachable):
        Transport(Anywhere(), timeouts=HURRY).post(f"http://127.0.0.1:{inside.port}/", json={})

    assert inside.connections == 0
    Transport(Anywhere(loopback=True), timeouts=HURRY).post(f"http://127.0.0.1:{inside.port}/", json={})
    assert inside.connections == 1


def test_private_addresses_need_their_switch(world: World) -> None:
    """The switches of the contract, from the environment to the guard."""
    production = {"PUBLIC_URL": "https://calendar.example.com", "TRUST_LOOPBACK": "", "BX24_JS_URL": ""}
    production |= {"BITRIX24_AUTH_SERVERS": "https://127.0.0.1:1"}
    opening = world.portal().open_as("boris")
    opening.query["PROTOCOL"] = "1"
    for switch in ("", "1"):
        settings = config.load(world.environment | production | {"ALLOW_PRIVATE_PORTALS": switch})
        app = create_app(settings, database=world.database)
        world.bitrix24.clear()

        app.test_client().post("/", query_string=opening.query, data=opening.form)

        # Loopback is never reached in production, with either.
        assert world.bitrix24.requests == []


def test_the_secret_goes_to_no_server_that_is_not_allowed() -> None:
    sent: list[Any] = []
    rest = RestHttp(Transport(AddressPolicy(loopback=True), timeouts=HURRY))
    servers = AuthorizationServers(rest, ("https://oauth.example",), "app.1", SecretStr("s" * 20))

    for server in ("https://oauth.example.evil", "http://oauth.example", "https://oauth.example/", ""):
        with pytest.raises(ValueError, match="not an allowed authorization server"):
            servers.refresh(server, SecretStr("r" * 20), record_call=sent.append)
        with pytest.raises(ValueError, match="not an allowed authorization server"):
            servers.app_info(server, SecretStr("a" * 20), record_call=sent.append)

    assert sent == []

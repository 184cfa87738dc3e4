"""Requests over real sockets: bounded in time and size, on kept connections, to allowed addresses."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dashboard.bitrix24.address_policy import AddressPolicy
from dashboard.bitrix24.connections import Timeouts
from dashboard.bitrix24.errors import NotAnswered, Unreachable, Unreadable
from dashboard.bitrix24.transport import DEFAULT_LIMIT, ResponseLimit, Transport
from tests.emulator import Emulator, Fault
from tests.emulator.wire import Answer, Request, Server, read_request

HURRY = Timeouts(connect=0.5, read=0.3, total=0.6)
PATIENCE = Timeouts(connect=5, read=10, total=20)
TOKEN = "2b1d6966007e9c94001e30ba00000007f0f107aa2b1d6966007e9c94001e30ba000000"

Speak = Callable[[socket.socket], None]
Listen = Callable[[Speak], str]


@pytest.fixture
def transport() -> Transport:
    """Give a transport that may call loopback addresses."""
    return Transport(AddressPolicy(loopback=True), timeouts=PATIENCE)


@pytest.fixture
def hurried() -> Transport:
    """Give one with short timeouts, for servers that never finish."""
    return Transport(AddressPolicy(loopback=True), timeouts=HURRY)


class Echo:
    """A server that records requests and sends the response that a test sets."""

    def __init__(self) -> None:
        self.answer = Answer(200, b'{"result":true}')
        self.requests: list[Request] = []
        self.server = Server(self._handle)
        self.url = f"http://127.0.0.1:{self.server.port}/rest/profile"

    def _handle(self, request: Request) -> Answer:
        self.requests.append(request)
        return self.answer


@pytest.fixture
def echo() -> Iterator[Echo]:
    """Give a listening server."""
    echo = Echo()
    echo.server.start()
    yield echo
    echo.server.stop()


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Give a function that starts a server: it receives a request and then calls ``speak``."""
    listeners: list[socket.socket] = []

    def begin(speak: Speak) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=accept, args=(listener, speak), daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/rest/profile"

    yield begin
    for listener in listeners:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def accept(listener: socket.socket, speak: Speak) -> None:
    # In most of these tests the client disconnects early.
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, suppress(OSError), connection.makefile("rb") as reader:
                # All of it, because unread data would turn the end of the connection into a reset.
                read_request(reader, client="")
                speak(connection)


def say(*pieces: bytes, every: float = 0.0, endlessly: bytes = b"") -> Speak:
    """Return a function that sends the pieces with pauses, and then the last one endlessly."""

    def speak(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(every)
        while endlessly:
            connection.sendall(endlessly)
            time.sleep(every)

    return speak


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def test_a_post_returns_status_and_body(transport: Transport, echo: Echo) -> None:
    answer = transport.post(echo.url, json={"auth": TOKEN})

    assert (answer.status, answer.body) == (200, b'{"result":true}')
    (requests,) = echo.requests
    assert (requests.verb, requests.path, requests.query) == ("POST", "/rest/profile", "")
    assert requests.body == f'{{"auth": "{TOKEN}"}}'.encode()


def test_form_fields_are_sent_url_encoded(transport: Transport, echo: Echo) -> None:
    transport.post(echo.url, form={"grant_type": "refresh_token", "client_secret": "a&b=ы"})

    assert echo.requests[0].headers["content-type"] == "application/x-www-form-urlencoded"
    assert echo.requests[0].body == b"grant_type=refresh_token&client_secret=a%26b%3D%D1%8B"


# Nothing carries a token elsewhere


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(transport: Transport, echo: Echo, status: int) -> None:
    echo.answer = Answer(status, b"<html>", {"Location": echo.url})

    answer = transport.post(echo.url, json={"auth": TOKEN})

    assert answer.status == status
    assert len(echo.requests) == 1


def test_the_body_of_a_redirect_is_bounded(transport: Transport, listen: Listen) -> None:
    """The library reads the whole body to resolve its target, even if it does not follow it."""
    head = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n"

    with pytest.raises(Unreadable, match="answer_too_large"):
        transport.post(listen(say(head, endlessly=b"x" * 65536)), json={})


@pytest.mark.parametrize(
    "header",
    [
        b"Location: https://a" + "\u0301\u0316".encode() * 15_000,
        b"Set-Cookie: " + b"a=b; " * 12_000,
        b'Content-Type: multipart/x; a="' + b";" * 30_000 + b"\r\n " + b";" * 30_000,
    ],
    ids=["address", "cookie", "type"],
)
def test_no_header_takes_long_to_parse(transport: Transport, listen: Listen, header: bytes) -> None:
    head = b"HTTP/1.1 302 Found\r\n" + header + b"\r\nContent-Length: 2\r\n\r\n"
    began = time.process_time()

    assert transport.post(listen(say(head, b"{}")), json={}).body == b"{}"

    assert time.process_time() - began < 0.1


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"X: 1\r\n" * 200, "answer_too_large"),
        (b"X: " + b"x" * 70_000 + b"\r\n", "answer_too_large"),
        (b"Date: " + b"(" * 2000 + b"\r\n", "bad_answer"),
        (b"Date: x\rContent-Type: multipart/x\r\n", "bad_answer"),
        (b"Date: x\x85Content-Type: multipart/x\r\n", "bad_answer"),
        (b"Content-Length: 1\r\n 0\r\n", "bad_answer"),
    ],
    ids=["lines", "bytes", "long", "two lines", "two lines in Latin-1", "folded"],
)
def test_an_unusual_head_is_refused(transport: Transport, listen: Listen, head: bytes, code: str) -> None:
    with pytest.raises(Unreadable, match=code):
        transport.post(listen(say(HEAD + head + b"\r\n{}")), json={})


@pytest.mark.parametrize("status", [100, 102, 103])
def test_interim_responses_are_skipped(transport: Transport, listen: Listen, status: int) -> None:
    interim = b"HTTP/1.1 %d Wait\r\nContent-Length: 5\r\n\r\n" % status

    answer = transport.post(listen(say(interim * 2 + HEAD + b"Content-Length: 2\r\n\r\n{}")), json={})

    assert (answer.status, answer.body) == (200, b"{}")


def test_many_trailers_are_refused_early(transport: Transport, listen: Listen) -> None:
    body = b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + b"x\n" * 100 + b"\n"

    with pytest.raises(Unreadable, match="answer_too_large"):
        transport.post(listen(say(HEAD + body)), json={})


def test_no_cookie_is_kept(transport: Transport, echo: Echo) -> None:
    echo.answer.headers["Set-Cookie"] = "PHPSESSID=somebody; Path=/"

    for _ in range(2):
        transport.post(echo.url, json={})

    assert [request for request in echo.requests if "cookie" in request.headers] == []


def test_proxies_and_netrc_of_the_environment_are_ignored(
    transport: Transport, echo: Echo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    proxy = Echo()
    proxy.server.start()
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server.port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login anna password nobody-sees\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))

    transport.post(echo.url, json={})

    assert (len(echo.requests), proxy.requests) == (1, [])
    assert "authorization" not in echo.requests[0].headers
    proxy.server.stop()


# Time


def test_a_reset_is_unreachable(transport: Transport, bitrix24: Emulator) -> None:
    bitrix24.faults.add(Fault("reset"))

    with pytest.raises(Unreachable, match="unreachable"):
        transport.post(f"{bitrix24.portal('alpha').origin}/rest/profile", json={})


def test_a_reset_is_not_retried(transport: Transport, bitrix24: Emulator) -> None:
    bitrix24.faults.add(Fault("lost", times=None))

    with pytest.raises(Unreachable):
        transport.post(f"{bitrix24.portal('alpha').origin}/rest/profile", json={})

    assert len(bitrix24.requests) == 1


@pytest.mark.parametrize(
    "speak",
    [
        say(b"", every=5),
        say(HEAD, every=5),
        say(HEAD + b"Content-Length: 100\r\n\r\n{", every=5),
        say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", every=5),
    ],
    ids=["nothing", "half a head", "half a body", "half a chunk"],
)
def test_silence_is_a_timeout(hurried: Transport, listen: Listen, speak: Speak) -> None:
    with pytest.raises(Unreachable, match="timeout"):
        hurried.post(listen(speak), json={})


def test_a_hanging_portal_is_a_timeout(hurried: Transport, bitrix24: Emulator) -> None:
    bitrix24.faults.add(Fault("hang"))

    with pytest.raises(Unreachable, match="timeout"):
        hurried.post(f"{bitrix24.portal('alpha').origin}/rest/profile", json={})


def test_a_trickle_ends_at_the_total_timeout(listen: Listen) -> None:
    """No byte is late, so only the total timeout can end it, in every part of a response."""
    slow_servers = {
        "status": say(endlessly=b"H", every=0.05),
        "head": say(HEAD, endlessly=b"X-More: 1\r\n", every=0.05),
        "continue": say(endlessly=b"HTTP/1.1 100 Continue\r\n\r\n", every=0.05),
        "body": say(HEAD + b"Content-Length: 10000\r\n\r\n", endlessly=b" ", every=0.05),
        "chunks": say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", endlessly=b"1\r\n \r\n", every=0.05),
        "chunk size": say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", endlessly=b"0", every=0.05),
        # The file name in a gzip header never ends, so nothing is ever decompressed.
        "gzip head": say(
            HEAD + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08" + b"\0" * 6, endlessly=b"x", every=0.05
        ),
    }

    timeouts = Timeouts(connect=10, read=10, total=0.6)
    transport = Transport(AddressPolicy(loopback=True), timeouts=timeouts)

    def outcome_of(speak: Speak) -> tuple[str, bool]:
        began = time.monotonic()
        with pytest.raises(Unreachable) as caught:
            transport.post(listen(speak), json={})
        return caught.value.code, timeouts.total <= time.monotonic() - began < timeouts.read

    with ThreadPoolExecutor(len(slow_servers)) as threads:
        outcomes = dict(zip(slow_servers, threads.map(outcome_of, slow_servers.values()), strict=True))

    assert outcomes == dict.fromkeys(slow_servers, ("timeout", True))


def test_a_slow_response_within_the_timeout_is_complete(transport: Transport, listen: Listen) -> None:
    url = listen(say(HEAD, b"Content-Length: 15\r\n\r\n", b'{"result"', b":true}", every=0.1))

    assert transport.post(url, json={}).body == b'{"result":true}'


def test_a_refused_connection_fails_at_once(transport: Transport) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"

    with pytest.raises(Unreachable, match="connection_refused"):
        transport.post(url, json={})


# Size


def test_an_endless_body_is_refused(transport: Transport, listen: Listen) -> None:
    url = listen(say(HEAD + b"\r\n", endlessly=b"x" * 65536))

    with pytest.raises(Unreadable, match="answer_too_large"):
        transport.post(url, json={})


def test_a_response_of_the_maximum_size_is_read(echo: Echo) -> None:
    transport = Transport(AddressPolicy(loopback=True))
    echo.answer = Answer(200, b"x" * DEFAULT_LIMIT.bytes)
    assert len(transport.post(echo.url, json={}).body) == DEFAULT_LIMIT.bytes

    echo.answer = Answer(200, b"x" * (DEFAULT_LIMIT.bytes + 1))
    with pytest.raises(Unreadable, match="answer_too_large"):
        transport.post(echo.url, json={})
    larger = ResponseLimit(bytes=2 * DEFAULT_LIMIT.bytes, values=1)
    assert len(transport.post(echo.url, json={}, limit=larger).body) == DEFAULT_LIMIT.bytes + 1


@pytest.mark.parametrize(
    ("head", "flood"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (HEAD + b"X: ", b"x" * 60_000 + b"\r\nX: "),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X: 1\r\n" * 1000),
    ],
    ids=["interim responses", "headers", "trailers"],
)
def test_headers_and_trailers_are_bounded(transport: Transport, listen: Listen, head: bytes, flood: bytes) -> None:
    with pytest.raises(Unreadable, match="answer_too_large"):
        transport.post(listen(say(head, endlessly=flood)), json={})


def test_a_body_in_tiny_pieces_is_refused(transport: Transport, listen: Listen) -> None:
    """Each piece takes the libraries a few microseconds, however small it is."""
    pieces = b"1\r\n1\r\n" * 20_000 + b"0\r\n\r\n"

    with pytest.raises(Unreadable, match="answer_too_large"):
        transport.post(listen(say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", pieces)), json={})


def bomb(megabytes: int) -> bytes:
    """Return compressed zeros, a thousandth of their size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(b"\0" * 2**20) for _ in range(megabytes)), packer.flush()])


@pytest.mark.parametrize(("layers", "code"), [(1, "answer_too_large"), (2, "bad_answer")])
def test_a_decompression_bomb_uses_little_memory(echo: Echo, layers: int, code: str) -> None:
    packed = bomb(64)
    for _ in range(layers - 1):
        packed = gzip.compress(packed)
    echo.answer = Answer(200, packed, {"Content-Encoding": ", ".join(["gzip"] * layers)})
    transport = Transport(AddressPolicy(loopback=True))
    tracemalloc.start()

    with pytest.raises(Unreadable, match=code):
        transport.post(echo.url, json={})

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * DEFAULT_LIMIT.bytes


# Encodings of a body


@pytest.mark.parametrize("body", [b'{"result":true}', b"", b"x" * 200_000], ids=["short", "empty", "many pieces"])
def test_a_gzip_body_is_decompressed(transport: Transport, echo: Echo, body: bytes) -> None:
    echo.answer = Answer(200, gzip.compress(body), {"Content-Encoding": "gzip"})

    assert transport.post(echo.url, json={}).body == body


def test_layers_of_compression_are_refused(transport: Transport, echo: Echo) -> None:
    """Within the second layer, a few kilobytes become any number of parts, which are empty but take time."""
    echo.answer = Answer(200, gzip.compress(gzip.compress(b"") * 100_000), {"Content-Encoding": "gzip, gzip"})

    with pytest.raises(Unreadable, match="bad_answer"):
        transport.post(echo.url, json={})


def test_a_zlib_body_is_decompressed(transport: Transport, echo: Echo) -> None:
    echo.answer = Answer(200, zlib.compress(b"{}"), {"Content-Encoding": "deflate"})

    assert transport.post(echo.url, json={}).body == b"{}"


def test_a_slow_gzip_body_is_complete(transport: Transport, listen: Listen) -> None:
    """A chunk that decompresses to nothing is not the end."""
    packed = gzip.compress(b'{"result":true}')
    head = HEAD + f"Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    url = listen(say(head, *(packed[at : at + 1] for at in range(len(packed))), every=0.005))

    assert transport.post(url, json={}).body == b'{"result":true}'


def test_a_chunked_body_is_joined(transport: Transport, listen: Listen) -> None:
    chunks = (b'7;why=not\r\n{"resul\r\n', b'8\r\nt":true}\r\n', b"0\r\nX-Trailer: 1\r\n\r\n")
    url = listen(say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *chunks, every=0.01))

    assert transport.post(url, json={}).body == b'{"result":true}'


@pytest.mark.parametrize(
    "speak",
    [
        say(b"no http at all\r\n\r\n"),
        say(b"HTTP/1.1 ok\r\n\r\n"),
        say(HEAD + b"Content-Length: 100\r\n\r\n{}"),
        say(HEAD + b"Content-Length: 10\r\nContent-Length: 20\r\n\r\n0123456789"),
        say(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"),
        say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
        say(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 15\r\n\r\n" + b'{"result":true}'),
        say(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 25\r\n\r\n" + gzip.compress(b'{"result":true}')[:25]),
        say(HEAD + b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\n{}"),
        say(HEAD + b"Content-Encoding: gzip,gzip,gzip,gzip,gzip,gzip\r\nContent-Length: 2\r\n\r\n{}"),
        say(HEAD + b"X: " + b"x" * 70_000 + b"\r\n\r\n"),
        say(HEAD + b"X: 1\r\n" * 200 + b"\r\n"),
    ],
)
def test_broken_http_is_not_answered(transport: Transport, listen: Listen, speak: Speak) -> None:
    with pytest.raises(NotAnswered):
        transport.post(listen(speak), json={})


# Allowed addresses


@pytest.mark.parametrize(
    ("address", "allowed_by"),
    [
        ("93.184.216.34", "anyone"),
        ("2606:4700::1111", "anyone"),
        ("127.0.0.1", "loopback"),
        ("127.1.2.3", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("fd12:3456::1", "private"),
        ("::ffff:10.0.0.1", "private"),
        ("169.254.169.254", "nobody"),
        ("::ffff:169.254.169.254", "nobody"),
        ("fe80::1", "nobody"),
        ("fe80::1%1", "nobody"),
        ("fd00:ec2::254", "nobody"),
        ("fd20:ce::254", "nobody"),
        ("168.63.129.16", "nobody"),
        ("100.100.100.200", "nobody"),
        ("0.0.0.0", "nobody"),
        ("::", "nobody"),
        ("::ffff:0.0.0.0", "nobody"),
        ("0.1.2.3", "nobody"),
        ("224.0.0.1", "nobody"),
        ("ff02::1", "nobody"),
        ("255.255.255.255", "nobody"),
        ("240.0.0.1", "nobody"),
        # IPv4 addresses inside IPv6 ones; of these forms only NAT64 is in use.
        ("64:ff9b::5db8:d822", "anyone"),
        ("64:ff9b::7f00:1", "loopback"),
        ("64:ff9b::a00:1", "private"),
        ("64:ff9b::a9fe:a9fe", "nobody"),
        ("64:ff9b:1::a00:1", "nobody"),
        ("2002:7f00:1::", "nobody"),
        ("2002:a9fe:a9fe::1", "nobody"),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", "nobody"),
        ("::127.0.0.1", "nobody"),
        ("::10.0.0.1", "nobody"),
        ("::ffff:0:127.0.0.1", "nobody"),
        # IANA's special-purpose registries.
        ("192.0.0.8", "nobody"),
        ("192.0.0.192", "nobody"),
        ("192.0.2.1", "nobody"),
        ("192.31.196.1", "nobody"),
        ("192.52.193.1", "nobody"),
        ("192.88.99.1", "nobody"),
        ("192.175.48.1", "nobody"),
        ("198.18.0.1", "nobody"),
        ("198.19.255.255", "nobody"),
        ("198.51.100.1", "nobody"),
        ("203.0.113.1", "nobody"),
        ("100.64.0.1", "nobody"),
        ("100.127.255.255", "nobody"),
        ("2001::1", "nobody"),
        ("2001:2::1", "nobody"),
        ("2001:20::1", "nobody"),
        ("2001:1ff:ffff::1", "nobody"),
        ("2001:db8::1", "nobody"),
        ("2620:4f:8000::1", "nobody"),
        ("3fff::1", "nobody"),
        ("3fff:fff::1", "nobody"),
        ("::ffff:192.0.0.192", "nobody"),
        ("64:ff9b::c000:c0", "nobody"),
        ("100::1", "nobody"),
        # Their public neighbors.
        ("192.0.1.1", "anyone"),
        ("192.88.98.1", "anyone"),
        ("100.63.255.255", "anyone"),
        ("100.128.0.1", "anyone"),
        ("172.32.0.1", "anyone"),
        ("198.17.255.255", "anyone"),
        ("198.20.0.1", "anyone"),
        ("223.255.255.255", "anyone"),
        ("2001:200::1", "anyone"),
        ("2a00:1450::1", "anyone"),
        # Unassigned: site-local, segment routing, overlay networks.
        ("fec0::1", "nobody"),
        ("5f00::1", "nobody"),
        ("200::1", "nobody"),
    ],
)
def test_addresses_allowed_by_each_policy(address: str, allowed_by: str) -> None:
    expected = {
        "anyone": (True, True, True),
        "loopback": (False, True, False),
        "private": (False, False, True),
        "nobody": (False, False, False),
    }

    policies = (AddressPolicy(), AddressPolicy(loopback=True), AddressPolicy(private=True))

    assert tuple(address_policy.allows(ip_address(address)) for address_policy in policies) == expected[allowed_by]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "[::1]", "0", "[::ffff:127.0.0.1]"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_loopback_is_called_only_if_allowed(echo: Echo, scheme: str, host: str) -> None:
    for address_policy in (AddressPolicy(), AddressPolicy(private=True)):
        with pytest.raises(Unreachable, match="address_not_allowed"):
            Transport(address_policy, timeouts=HURRY).post(f"{scheme}://{host}:{echo.server.port}/", json={})

    assert (echo.requests, echo.server.connections) == ([], 0)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "http://",
        "http://[",
        "http://a..b/",
        "http://127.0.0.1:99999/",
        f"http://{'a' * 64}.example/",
        "http://ы\ud800/",
        "",
    ],
)
def test_an_invalid_url_is_unreachable(transport: Transport, url: str) -> None:
    with pytest.raises(Unreachable):
        transport.post(url, json={})


def test_an_untrusted_certificate_is_refused(transport: Transport, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    heard: list[bytes] = []

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
                heard.append(secure.recv(65536))

        server = threading.Thread(target=serve)
        server.start()
        with pytest.raises(Unreachable, match="certificate_untrusted"):
            transport.post(f"https://localhost:{listener.getsockname()[1]}/", json={"auth": TOKEN})
        server.join(5)

    assert b"".join(heard) == b""


def test_each_cause_has_its_code(hurried: Transport, listen: Listen) -> None:
    def code(url: str) -> str:
        with pytest.raises(Unreachable) as caught:
            hurried.post(url, json={"auth": TOKEN})
        assert caught.value.host is not None
        assert TOKEN not in caught.value.host
        assert "/" not in caught.value.host
        return caught.value.code

    # `silent` accepts connections and never responds to the handshake.
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as silent,
        closing(socket.create_server(("127.0.0.1", 0))) as plain,
    ):
        threading.Thread(target=answer_without_tls, args=(plain,), daemon=True).start()
        codes = {
            "no answer": code(listen(say(b"", every=5))),
            "no handshake": code(f"https://127.0.0.1:{silent.getsockname()[1]}/rest/?auth={TOKEN}"),
            "no TLS": code(f"https://anna:{TOKEN}@127.0.0.1:{plain.getsockname()[1]}/"),
            "no name": code("https://nothing.invalid/"),
            "no HTTP": code(listen(say(b"no http at all\r\n\r\n"))),
        }

    assert codes == {
        "no answer": "timeout",
        "no handshake": "connect_timeout",
        "no TLS": "tls_failed",
        "no name": codes["no name"],
        "no HTTP": "unreachable",
    }
    # A machine without a name server cannot look it up.
    assert codes["no name"] in ("unknown_host", "name_lookup_failed")


def answer_without_tls(listener: socket.socket) -> None:
    """Answer a TLS handshake in plain HTTP."""
    connection, _ = listener.accept()
    with connection, suppress(OSError):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_failure_is_logged_with_its_host_alone(transport: Transport) -> None:
    log = RecordedLog()

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Unreachable):
        patch.setattr("dashboard.bitrix24.transport.log", log)
        transport.post(f"http://anna:{TOKEN}@127.0.0.1:1/rest/{TOKEN}?auth={TOKEN}", json={"auth": TOKEN})

    assert log.lines == [("host_unreachable", {"host": "127.0.0.1:1", "code": "connection_refused"})]


class RecordedLog:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def warning(self, event: str, **values: object) -> None:
        self.lines.append((event, values))


def self_signed(folder: Path) -> Path:
    """Return a file with a key and a self-signed certificate for localhost, valid at any time."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "localhost.pem"
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


# Connections


def test_a_connection_is_kept(transport: Transport, echo: Echo) -> None:
    for status in (200, 302, 401, 500, 200):
        echo.answer = Answer(status, b"{}")
        transport.post(echo.url, json={})

    assert (len(echo.requests), echo.server.connections) == (5, 1)


def test_a_connection_is_dropped_if_two_headers_give_a_length(transport: Transport, echo: Echo) -> None:
    echo.answer = Answer(200, b"2\r\n{}\r\n0\r\n\r\n", {"Transfer-Encoding": "chunked"})
    for _ in range(2):
        assert transport.post(echo.url, json={}).body == b"{}"

    assert echo.server.connections == 2


def test_threads_share_connections(echo: Echo) -> None:
    transport = Transport(AddressPolicy(loopback=True), connections_per_host=4)
    echo.answer.pause = 0.002

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda number: transport.post(echo.url, json={"n": number}), range(80)))

    assert {answer.body for answer in answers} == {b'{"result":true}'}
    assert (len(echo.requests), echo.server.connections <= 4) == (80, True)


def test_a_connection_closed_by_the_server_is_replaced(transport: Transport, listen: Listen) -> None:
    url = listen(say(HEAD + b"Content-Length: 2\r\n\r\n{}"))

    for _ in range(3):
        assert transport.post(url, json={}).body == b"{}"
        # Until the server's FIN has arrived.
        time.sleep(0.02)


def test_an_oversized_response_does_not_reach_the_next_call(transport: Transport, echo: Echo) -> None:
    echo.answer = Answer(200, b"x" * (DEFAULT_LIMIT.bytes + 100))
    with pytest.raises(Unreadable):
        transport.post(echo.url, json={})

    echo.answer = Answer(200, b'{"result":true}')

    assert transport.post(echo.url, json={}).body == b'{"result":true}'


# Secrets


@pytest.mark.parametrize("kind", ["reset", "hang", "truncated", "huge:9000000"])
def test_no_failure_leaks_the_request(hurried: Transport, bitrix24: Emulator, kind: str) -> None:
    alpha = bitrix24.portal("alpha")
    bitrix24.faults.add(Fault(kind))

    with pytest.raises(NotAnswered) as caught:
        hurried.post(f"{alpha.origin}/rest/profile", json={"auth": TOKEN})

    assert TOKEN not in chained_text(caught.value)
    assert alpha.domain not in f"{caught.value} {caught.value!r}"


def chained_text(error: BaseException | None) -> str:
    """Return the text of an exception and of those it is chained to."""
    text = ""
    while error is not None:
        text += f"{error} {error!r} {error.args}\n"
        error = error.__cause__ or error.__context__
    return text

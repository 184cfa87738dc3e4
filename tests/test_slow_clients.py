"""Clients that send or receive slowly keep no thread for long, and leave threads to others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, suppress
from http.client import HTTPResponse
from io import BytesIO
from pathlib import Path
from queue import SimpleQueue
from unittest.mock import Mock

import pytest
import requests
from gunicorn.workers.gthread import ThreadWorker
from sqlalchemy import text

from dashboard.core.waiting_threads import WaitingThreads, WaitQuota
from dashboard.web.http import client_socket
from dashboard.web.http.client_socket import ClientSocket, SlowClient
from dashboard.web.http.gunicorn_worker import TimedThreadWorker
from tests.emulator import Fault
from tests.emulator.opening import Opening
from tests.processes import ROOT, free_port, kill, wait_for
from tests.team_fixtures import store_people
from tests.waiting import HANG_SECONDS, wait_until
from tests.world import World

CLIENTS = 6  # of each kind
THREADS = 4
# Gunicorn with the tests' clock, in which a download has to leave its slot to others sooner.
PROGRAM = """
import runpy
from dashboard.core import shared_slots
shared_slots.MAX_USAGE_DIFFERENCE_SECONDS = 1.0
runpy.run_module("tests.clock", run_name="__main__", alter_sys=True)
"""
# What each client sends before it falls silent.
BEGINNINGS = (
    b"",
    b"GET / HTTP/1.1\r\nHost: a\r\nX-",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nx",
    # The last request of a connection, which the client does not close.
    b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
)


@pytest.fixture
def pair() -> Iterator[tuple[ClientSocket, socket.socket]]:
    """Give a connection, and the client's end of it."""
    server, client = socket.socketpair()
    connection = ClientSocket(server, WaitingThreads(2).quota(1))
    with connection, client:
        yield connection, client


@pytest.fixture
def server(world: World) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    port = free_port()
    sizes = {"PORT": str(port), "WEB_CONCURRENCY": "1", "WEB_THREADS": str(THREADS), "LOG_FORMAT": "json"}
    command = [sys.executable, "-c", PROGRAM, "gunicorn", "app:create_app()"]
    settings = os.environ | world.environment | sizes
    with subprocess.Popen(command, env=settings, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}")
            yield port, process
        finally:
            kill(process)


def test_slow_requests_leave_threads_to_others(server: tuple[int, subprocess.Popen[bytes]]) -> None:
    port, process = server

    with ExitStack() as clients:
        for beginning in BEGINNINGS * CLIENTS:
            client = clients.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(beginning)
        started = time.monotonic()
        assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=HANG_SECONDS).status_code == 200
        # Any one of these kinds would take longer, if a thread, or the main loop, waited for each client.
        assert time.monotonic() - started < 8
    kill(process)

    assert b"Traceback" not in process.communicate(timeout=HANG_SECONDS)[1]


def test_slow_clients_and_a_silent_host_together_leave_threads_to_others(
    world: World, server: tuple[int, subprocess.Popen[bytes]]
) -> None:
    port, _ = server
    world.install()
    openings = [world.portal().open_as("boris") for _ in range(THREADS // 2)]
    world.bitrix24.clear()
    world.bitrix24.faults.add(Fault("hang", times=None))

    def post(opening: Opening) -> None:
        with suppress(requests.ConnectionError):
            requests.post(f"http://127.0.0.1:{port}/", params=opening.query, data=opening.form, timeout=HANG_SECONDS)

    with ExitStack() as clients:
        for _ in range(THREADS // 2 + 1):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(BEGINNINGS[1])
        assert client.recv(1) == b""  # the last one is cut off, because the others hold half of the threads
        for opening in openings:
            threading.Thread(target=post, args=(opening,), daemon=True).start()
        wait_until(lambda: len(world.bitrix24.requests) >= 1)
        started = time.monotonic()
        assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=HANG_SECONDS).status_code == 200
        seconds = time.monotonic() - started

    # Without a common count, until the first client is cut off after ten.
    assert seconds < 5


def test_a_slow_download_keeps_no_export_from_others(world: World, server: tuple[int, subprocess.Popen[bytes]]) -> None:
    """A process with four threads sends two downloads at once, and one of them to each portal."""
    port, _ = server
    world.install("beta")
    anna, clara = world.session("anna"), world.session("clara", "beta")
    # More than the buffers of a connection hold.
    store_people(world, *({"position": "x" * 20_000} for _ in range(500)))
    request = f"GET /team.json HTTP/1.1\r\nHost: a\r\nAuthorization: {anna['Authorization']}\r\n\r\n"

    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", port))
        slow.sendall(request.encode())
        assert slow.recv(12) == b"HTTP/1.1 200"
        address = f"http://127.0.0.1:{port}/team.json"
        refused = requests.get(address, headers=anna, timeout=HANG_SECONDS)
        accepted = [requests.get(address, headers=clara, timeout=HANG_SECONDS) for _ in range(3)]

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert [(response.status_code, response.json()["total"] > 0) for response in accepted] == [(200, True)] * 3


def test_slow_downloads_of_all_slots_leave_exports_to_others(
    world: World, server: tuple[int, subprocess.Popen[bytes]]
) -> None:
    """Although whoever loses a slot asks for another at once, and as often as it may."""
    port, process = server
    world.install("beta")
    world.bitrix24.add_portal("gamma")
    world.install("gamma")
    honest = world.session("clara", "gamma")
    slow = [world.session("anna"), world.session("clara", "beta")]
    for portal in ("alpha", "beta"):
        store_people(world, *({"position": "x" * 20_000} for _ in range(400)), portal=portal)
    downloads: SimpleQueue[str] = SimpleQueue()
    ended = threading.Event()

    def download_slowly(headers: dict[str, str]) -> None:
        """Receive only the beginning of one download after the other."""
        request = f"GET /team.json HTTP/1.1\r\nHost: a\r\nAuthorization: {headers['Authorization']}\r\n\r\n"
        with ExitStack() as clients:
            while not ended.wait(0.1):
                client = clients.enter_context(socket.socket())
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect(("127.0.0.1", port))
                client.sendall(request.encode())
                if client.recv(12) == b"HTTP/1.1 200":
                    downloads.put(headers["Authorization"])

    def export() -> int:
        """Ask while all slots are taken."""
        return requests.get(f"http://127.0.0.1:{port}/team.csv", headers=honest, timeout=HANG_SECONDS).status_code

    with ThreadPoolExecutor(2) as pool:
        for headers in slow:
            pool.submit(download_slowly, headers)
        try:
            began = {downloads.get(timeout=HANG_SECONDS) for _ in slow}
            until = time.monotonic() + 20
            while (status := export()) != 200 and time.monotonic() < until:
                ended.wait(0.1)
            statuses = [status]
            while statuses[-1] == 200 and len(statuses) < 4:
                downloads.get(timeout=HANG_SECONDS)  # whoever lost a slot has one again
                statuses.append(export())
        finally:
            ended.set()
    kill(process)
    output = process.communicate(timeout=HANG_SECONDS)[1]

    assert (len(began), statuses) == (2, [200] * 4)
    assert output.count(b"download_cut_off") == len(statuses)
    assert b"Traceback" not in output


def test_one_persons_requests_leave_threads_to_others(
    world: World, server: tuple[int, subprocess.Popen[bytes]]
) -> None:
    """However long they take: these wait until the database can be written to."""
    port, _ = server
    address, anna, boris = f"http://127.0.0.1:{port}", world.session("anna"), world.session("boris")
    anna["Accept"] = "application/json"

    with ThreadPoolExecutor(THREADS) as pool, world.database.write_session() as session:
        session.execute(text("SELECT 1"))  # takes the lock
        clicks = [
            pool.submit(requests.post, f"{address}/team/sync", headers=anna, timeout=HANG_SECONDS)
            for _ in range(THREADS)
        ]
        first = next(as_completed(clicks)).result()
        other = requests.get(f"{address}/me", headers=boris, timeout=HANG_SECONDS)
        waiting = [click for click in clicks if not click.done()]

    assert (first.status_code, first.json()["error"]) == (503, "too_many_requests_at_once")
    assert first.headers["Retry-After"] == "5"
    assert (other.status_code, len(waiting)) == (200, THREADS * 3 // 4)


def test_a_request_ends_at_its_deadline(
    pair: tuple[ClientSocket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although its bytes keep coming."""
    connection, client = pair
    monkeypatch.setattr(client_socket, "REQUEST_SECONDS", 0.2)
    connection.start_request()
    with pytest.raises(SlowClient):
        while True:
            client.send(b"x")
            connection.recv(1)


def test_a_silent_request_ends_its_connection(
    pair: tuple[ClientSocket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, client = pair
    connection.start_request()
    client.send(b"x")
    assert connection.recv(100) == b"x"
    monkeypatch.setattr(client_socket, "REQUEST_SECONDS", 0.05)
    connection.start_request()

    with pytest.raises(SlowClient):
        connection.recv(100)
    client.send(b"x")
    with pytest.raises(SlowClient):
        connection.recv(100)


def test_without_a_slot_nobody_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_socket, "CROWDED_SECONDS", 0.0)
    server, client = socket.socketpair()
    with ClientSocket(server, WaitingThreads(2).quota(0)) as connection, client:
        connection.start_request()
        client.send(b"x")
        assert connection.recv(1) == b"x"
        started = time.monotonic()
        for _ in range(2):
            with pytest.raises(SlowClient):
                connection.recv(1)
            client.send(b"too late")
        assert time.monotonic() - started < client_socket.REQUEST_SECONDS / 2


def test_a_quick_client_counts_for_nobody(
    pair: tuple[ClientSocket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, client = pair
    monkeypatch.setattr(WaitQuota, "try_acquire", Mock(side_effect=AssertionError))
    connection.start_request()
    sender = threading.Thread(target=client.send, args=(b"a request",))
    sender.start()
    assert connection.recv(100) == b"a request"
    sender.join()

    connection.sendall(b"a response")

    assert client.recv(100) == b"a response"


def test_a_response_that_nobody_receives_is_given_up(
    pair: tuple[ClientSocket, socket.socket], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    connection, _ = pair
    monkeypatch.setattr(client_socket, "SEND_SECONDS", 0.05)
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10_000_000)

    with pytest.raises(SlowClient):
        connection.sendall(b"x" * 10_000_000)
    with path.open("rb") as content, pytest.raises(SlowClient):
        connection.sendfile(content)


def test_without_a_slot_a_response_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_socket, "CROWDED_SEND_SECONDS", 0.05)
    server, client = socket.socketpair()
    waiting = WaitingThreads(2).quota(0)
    with ClientSocket(server, waiting) as connection, client:
        connection.sendall(b"a short response")
        started = time.monotonic()
        with pytest.raises(SlowClient):
            connection.sendall(b"x" * 10_000_000)

    assert time.monotonic() - started < client_socket.SEND_SECONDS / 2
    assert waiting.count == 0  # what it did not take it does not give back


def test_the_last_response_is_not_waited_for_twice(
    pair: tuple[ClientSocket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gunicorn's main loop closes the connection, and must not wait for the client."""
    connection, client = pair
    monkeypatch.setattr(client_socket, "CLOSE_SECONDS", 0.05)
    client.send(b"unread")

    connection.finish()

    assert connection.recv(100) == b""
    assert client.recv(100) == b""


def test_a_thread_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Mock()
    monkeypatch.setattr(ThreadWorker, "handle", lambda worker, conn: False)

    TimedThreadWorker.__new__(TimedThreadWorker).handle(connection)

    connection.sock.finish.assert_called_once_with()


def test_an_answer_before_the_end_of_the_body_closes_the_connection(
    server: tuple[int, subprocess.Popen[bytes]],
) -> None:
    """And says so: a proxy would send its next request on a connection that is kept."""
    port, _ = server
    chunked = "Transfer-Encoding: chunked"
    answers = []
    for header, body in [
        ("Content-Length: 300000", ""),
        (chunked, f"{300_000:x}\r\n{'x' * 300_000}"),
        (chunked, "not a chunk\r\n"),
        ("Content-Length: 200000", "x" * 200_000),
    ]:
        with socket.create_connection(("127.0.0.1", port), timeout=HANG_SECONDS) as client:
            client.sendall(f"POST /nowhere HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n{body}".encode())
            response = HTTPResponse(client)
            response.begin()
            answers.append((response.status, response.headers["Connection"]))

    closed = [(status, "close") for status in (413, 413, 400)]
    assert answers == [*closed, (404, "keep-alive")]


class SlowBody(BytesIO):
    """The body of a request that is too slow."""

    def readinto(self, buffer: object) -> int:
        raise SlowClient


def test_a_slow_body_is_answered(world: World) -> None:
    response = world.browser.post("/events", input_stream=SlowBody(b"x"), content_length=10)

    assert response.status_code == 408

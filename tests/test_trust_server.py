"""What the server itself says and answers: no line of its own tells who asked, or quotes what was sent."""

from __future__ import annotations

import json
import os
import socket
import subprocess

import pytest

from tests import clock
from tests.processes import ROOT, free_port, wait_for
from tests.world import World

SECRET = b"2b1d6966007e9c94001e30ba00000007f0f107aa"
# Requests that no application sees, or that break off in the middle of its reading.
BROKEN = (
    (b"GET /?AUTH_ID=%b HTTP/9.9\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization %b : x\r\n\r\n", 400),
    (b"%b\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: %b\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n", 400),
    (b"POST /events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n%b\r\n", 400),
    (b"POST /install HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n%b\r\n", 400),
    # Not broken, but /metrics and whatever else a proxy guards by its path, in disguise.
    (b"GET /%b/metrics HTTP/1.1\r\nHost: a\r\nSCRIPT_NAME: /%b\r\n\r\n", 404),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 90\r\n\r\n%b", 415),
)


@pytest.fixture
def server(world: World) -> tuple[int, subprocess.Popen[bytes]]:
    port = free_port()
    sizes = {"PORT": str(port), "WEB_CONCURRENCY": "1", "LOG_FORMAT": "json", "METRICS_TOKEN": "m" * 16}
    process = subprocess.Popen(
        clock.command("gunicorn", "app:create_app()"),
        env=os.environ | world.environment | sizes,
        cwd=ROOT,
        stderr=subprocess.PIPE,
    )
    wait_for(f"http://127.0.0.1:{port}")
    return port, process


def test_what_breaks_off_is_answered_and_told_without_a_word_of_it(
    server: tuple[int, subprocess.Popen[bytes]],
) -> None:
    port, process = server

    statuses = [_sent(port, template.replace(b"%b", SECRET)) for template, _ in BROKEN]
    process.terminate()
    _, told = process.communicate(timeout=20)

    assert statuses == [status for _, status in BROKEN]
    assert SECRET not in told
    assert b"127.0.0.1" not in told
    assert b"Traceback" not in told
    lines = [json.loads(line) for line in told.splitlines()]
    assert [line["event"] for line in lines if line["level"] == "warning"].count("Invalid request") >= 4


def _sent(port: int, request: bytes) -> int:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return int(connection.recv(100).split()[1])

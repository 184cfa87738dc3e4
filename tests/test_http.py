"""What every answer says of itself, and what the public addresses answer."""

import io
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from werkzeug.test import TestResponse

from dashboard.web.http.request_hooks import MAX_FIELDS
from tests import clock
from tests.processes import ROOT, free_port, wait_for
from tests.waiting import HANG_SECONDS
from tests.world import World, errors_on

POLICY = ("default-src 'none'", "base-uri 'none'", "form-action 'none'", "style-src 'self'")


def stylesheet(world: World) -> str:
    """Return the address of the pages' stylesheet."""
    result = re.search(r'<link rel="stylesheet" href="([^"]+)"', world.browser.get("/").text)
    assert result
    return result[1]


def every_answer(world: World) -> dict[str, TestResponse]:
    """Return one answer of each kind."""
    session = world.session("boris")
    ask = world.browser.open
    return {
        "page": world.open("boris"),
        "part": ask("/me", headers=session),
        "welcome": ask("/"),
        "static": ask(stylesheet(world)),
        "no session": ask("/me"),
        "not found": ask("/nowhere"),
        "wrong method": ask("/me", method="DELETE"),
        "bad field": ask("/", method="POST", data={"a": "b"}),
        "event": ask("/events", method="POST", data={"event": "X"}),
        "health": ask("/healthz"),
    }


def test_the_documentation_shows_the_answer_of_readyz(world: World) -> None:
    manual = (Path(__file__).parent.parent / "docs" / "operate.md").read_text(encoding="utf-8")
    ready = world.browser.get("/readyz").json

    assert f"`{json.dumps(ready, separators=(',', ':'))}`" in manual


def test_the_headers_are_on_every_answer(world: World) -> None:
    for name, response in every_answer(world).items():
        headers = response.headers
        policy = headers["Content-Security-Policy"]
        assert all(part in policy for part in POLICY), name
        assert "unsafe" not in policy, name
        ancestors = world.portal().origin if name == "page" else "'none'"
        assert policy.endswith(f"frame-ancestors {ancestors}"), name
        assert headers["X-Content-Type-Options"] == "nosniff", name
        assert headers["Referrer-Policy"] == "no-referrer", name
        assert "X-Frame-Options" not in headers, name
        assert "Set-Cookie" not in headers, name
        assert name == "static" or headers["Cache-Control"] == "no-store", name
        response.close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/", "/install", "/events"])
def test_get_and_head_requests_show_the_welcome_page(world: World, method: str, path: str) -> None:
    response = world.browser.open(path, method=method)

    assert response.status_code == 200
    assert response.mimetype == "text/html"


def test_pages_have_no_inline_script_or_style(world: World) -> None:
    for response in (world.open("boris"), world.install(), world.browser.get("/")):
        assert "<style" not in response.text
        assert " style=" not in response.text
        assert " onclick=" not in response.text
        assert "<script>" not in response.text


@pytest.mark.parametrize(
    ("path", "method", "options", "status"),
    [
        ("/nowhere", "GET", {}, 404),
        ("/me", "DELETE", {}, 405),
        ("/", "PUT", {}, 405),
        ("/", "POST", {"data": b"AUTH_ID=" + b"x" * 300_000}, 413),
        ("/", "POST", {"data": b"{}", "content_type": "application/json"}, 415),
        ("/", "POST", {"data": {"file": (io.BytesIO(b"x"), "x")}}, 415),
        ("/", "POST", {}, 400),
        ("/install", "POST", {"data": b"\xff\xfe=%00&&&=="}, 400),
        ("/?DOMAIN=a&DOMAIN=b", "POST", {"data": b"AUTH_ID=x"}, 400),
        # Nothing is answered with a way to whatever Host the request named.
        ("/me//refresh", "POST", {"headers": {"Host": "a.example"}}, 404),
    ],
)
def test_unknown_paths_methods_and_types_get_a_clear_error(
    world: World, path: str, method: str, options: dict[str, object], status: int
) -> None:
    if isinstance(options.get("data"), bytes) and "content_type" not in options:
        options = options | {"content_type": "application/x-www-form-urlencoded"}

    response = world.browser.open(path, method=method, **options)  # type: ignore[arg-type]

    assert response.status_code == status
    assert len(errors_on(response.text)) == 1


def test_a_body_that_no_view_reads_is_limited(world: World) -> None:
    session = world.session("boris")

    response = world.browser.post("/me/refresh", headers=session, data=b"x" * 300_000)

    assert response.status_code == 413


def chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // 1000):
        yield b"x" * 1000


@pytest.mark.parametrize(
    ("size", "content_type", "status"),
    [
        (300_000, "application/x-www-form-urlencoded", 413),
        (300_000, "application/json", 413),
        (2_000, "application/json", 415),
        (2_000, "application/x-www-form-urlencoded", 400),
    ],
)
def test_a_body_of_undeclared_length_is_limited(world: World, size: int, content_type: str, status: int) -> None:
    address = f"{world.bitrix24.app_url}/"

    response = requests.post(address, data=chunks(size), headers={"Content-Type": content_type}, timeout=HANG_SECONDS)

    assert response.status_code == status


def test_an_error_is_json_if_the_request_accepts_only_json(world: World) -> None:
    response = world.browser.get("/nowhere", headers={"Accept": "application/json"})

    assert response.json == {"error": "http_404"}


@pytest.mark.parametrize("text", ["a,", '";\\='])
@pytest.mark.parametrize("path", ["/nowhere", "/healthz", "style sheet"])
def test_no_header_takes_long_to_parse(world: World, path: str, text: str) -> None:
    if path == "style sheet":
        path = stylesheet(world)
    joined = (text * 820_000)[:820_000]  # gunicorn joins up to 100 headers with one name
    names = ("Accept", "Accept-Encoding", "Accept-Language", "Cookie", "Range", "If-None-Match", "X-Forwarded-For")
    headers = dict.fromkeys(names, joined) | {"Content-Type": joined[:8190], "Authorization": joined[:8190]}
    environ = world.browser.application.test_request_context(path, headers=headers).request.environ
    began = time.process_time()

    world.browser.open(environ).close()

    assert time.process_time() - began < 0.2


def test_healthz_and_readyz_answer_200(each_world: World) -> None:
    healthz = each_world.browser.get("/healthz", headers={"X-Forwarded-For": "192.0.2.1, 192.0.2.2"}).json
    assert healthz == {"status": "ok", "application": each_world.config.fingerprint, "proxies": 2}
    assert healthz["application"] not in each_world.environment.values()
    assert each_world.browser.get("/readyz").status_code == 200


def test_readyz_names_what_is_down(world: World) -> None:
    with world.database.write_session() as session:
        session.connection().exec_driver_sql("DELETE FROM alembic_version")

    response = world.browser.get("/readyz")

    assert response.status_code == 503
    assert response.json == {"status": "unready", "down": ["migrations"]}


def test_a_database_that_is_gone_is_a_page_with_a_reason(world: World) -> None:
    opening = world.portal().open_as("boris")
    with world.database.write_session() as session:
        session.connection().exec_driver_sql("ALTER TABLE portals RENAME TO elsewhere")

    response = world.post("/", opening)

    assert response.status_code == 503
    assert errors_on(response.text) == ["database_unavailable"]
    assert "SELECT" not in response.text


def raise_error() -> None:
    raise RuntimeError


@pytest.mark.parametrize("path", ["/secret\x1b[31m", "/static/secret/secret\x1b[31m"])
@pytest.mark.parametrize("refused", ["", "early", "as a defect"])
def test_only_rules_of_ours_are_logged_of_a_path(
    world: World, caplog: pytest.LogCaptureFixture, path: str, refused: str
) -> None:
    """Whether routing has failed or matches a part that can be anything, and whoever writes the line."""
    caplog.set_level("INFO")
    body = b"&" * MAX_FIELDS if refused == "early" else b""
    if refused == "as a defect":
        world.app.before_request_funcs[None].append(raise_error)

    response = world.browser.get(path, data=body, content_type="application/x-www-form-urlencoded")

    assert response.status_code == {"": 404, "early": 400, "as a defect": 500}[refused]
    rule = "/static/<digest>/<path:name>" if path.startswith("/static") else None
    lines = [record.msg for record in caplog.records if isinstance(record.msg, dict) and "path" in record.msg]
    assert lines
    assert {line["path"] for line in lines} == {rule}
    assert "secret" not in caplog.text


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
    # Not broken either: a plan of 500 people, without a session.
    (b"GET /plan?people=%b" + b",1234567890" * 499 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 401),
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


def test_interrupted_requests_are_logged_without_their_content(
    server: tuple[int, subprocess.Popen[bytes]],
) -> None:
    port, process = server

    statuses = [_sent(port, template.replace(b"%b", SECRET)) for template, _ in BROKEN]
    process.terminate()
    _, message = process.communicate(timeout=HANG_SECONDS)

    assert statuses == [status for _, status in BROKEN]
    assert SECRET not in message
    assert b"127.0.0.1" not in message
    assert b"Traceback" not in message
    lines = [json.loads(line) for line in message.splitlines()]
    assert [line["event"] for line in lines if line["level"] == "warning"].count("Invalid request") >= 4


def _sent(port: int, request: bytes) -> int:
    with socket.create_connection(("127.0.0.1", port), timeout=HANG_SECONDS) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return int(connection.recv(100).split()[1])

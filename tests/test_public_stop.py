"""Signals to the web process: SIGTERM finishes what is under way, SIGHUP changes nothing about the log."""

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest
import requests

from tests.emulator import Emulator, Fault
from tests.processes import free_port, kill, serve, wait_for
from tests.waiting import wait_until
from tests.world import World

SLOW_SECONDS = 2.0


@pytest.fixture
def address(world: World) -> Iterator[tuple[str, Popen[bytes]]]:
    """Give a web process of its own, on the world's database."""
    port = free_port()
    process = serve(world.environment, port)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address)
        yield address, process
    finally:
        kill(process)


def test_a_request_under_way_is_answered_before_the_end(
    bitrix24: Emulator, world: World, address: tuple[str, Popen[bytes]]
) -> None:
    url, process = address
    opening = world.portal().open_as("boris")
    bitrix24.faults.add(Fault(f"slow:{SLOW_SECONDS}", where="portal"))
    answers: list[int] = []

    def open_it() -> None:
        answer = requests.post(f"{url}/", params=opening.query, data=opening.form, timeout=60)
        answers.append(answer.status_code)

    waiting = threading.Thread(target=open_it)
    waiting.start()
    while not bitrix24.count(where="portal", person="boris"):
        time.sleep(0.02)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    waiting.join(timeout=60)

    assert answers == [200]
    assert process.wait(timeout=60) == 0
    assert time.monotonic() - began < SLOW_SECONDS + 15
    assert world.one("SELECT count(*) FROM people WHERE user_id = 7") == 1
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/healthz", timeout=60)


def test_after_a_reload_each_line_is_logged_once_as_json(world: World, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    with log.open("wb") as stderr:
        process = serve(world.environment | {"LOG_FORMAT": "json"}, port, stderr=stderr)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        wait_for(f"http://127.0.0.1:{port}")
        before = set(children.read_text().split())
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: bool(after := set(children.read_text().split())) and not after & before)
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(b"nonsense\r\n\r\n")
            client.recv(1000)
        wait_until(lambda: '"Invalid request"' in log.read_text())
    finally:
        kill(process)

    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events.count("Invalid request") == 1

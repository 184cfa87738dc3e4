"""Signals to the web process: SIGTERM finishes what is under way, SIGHUP changes nothing about the log."""

import json
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import Popen

import pytest
import requests

from tests.emulator import Emulator, Fault
from tests.processes import free_port, kill, serve, wait_for
from tests.waiting import HANG_SECONDS, wait_until
from tests.world import World

SLOW_SECONDS = 1.0


def test_a_reload_keeps_the_log_and_the_end_answers_the_request_under_way(
    bitrix24: Emulator, world: World, tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "log"
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as stderr:
        process = serve(world.environment | {"LOG_FORMAT": "json"}, port, stderr=stderr)
    try:
        wait_for(url)
        reload(process)
        with socket.create_connection(("127.0.0.1", port), timeout=HANG_SECONDS) as client:
            client.sendall(b"nonsense\r\n\r\n")
            client.recv(1000)
        wait_until(lambda: '"Invalid request"' in log.read_text())
        opening = world.portal().open_as("boris")
        bitrix24.faults.add(Fault(f"slow:{SLOW_SECONDS}", where="portal"))
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(
                requests.post, f"{url}/", params=opening.query, data=opening.form, timeout=HANG_SECONDS
            )
            wait_until(lambda: bitrix24.count(where="portal", person="boris") > 0)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert answer.result().status_code == 200
        assert process.wait(timeout=HANG_SECONDS) == 0
        assert time.monotonic() - began < SLOW_SECONDS + 15
    finally:
        kill(process)

    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events.count("Invalid request") == 1
    assert world.one("SELECT count(*) FROM people WHERE user_id = 7") == 1
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/healthz", timeout=HANG_SECONDS)


def reload(process: Popen[bytes]) -> None:
    """Let gunicorn replace its processes."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    before = set(children.read_text().split())
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: bool(after := set(children.read_text().split())) and not after & before)

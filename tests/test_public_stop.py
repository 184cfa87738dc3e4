"""SIGTERM at the web process: what is under way is finished, within a bound, and nothing new is begun."""

import signal
import threading
import time
from collections.abc import Iterator
from subprocess import Popen

import pytest
import requests

from tests.emulator import Emulator, Fault
from tests.processes import free_port, serve, wait_for
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
        process.kill()
        process.wait(timeout=60)


def test_a_request_under_way_is_answered_before_the_end(
    bitrix24: Emulator, world: World, address: tuple[str, Popen[bytes]]
) -> None:
    url, process = address
    opening = world.portal().open_as("boris")
    bitrix24.faults.add(Fault(f"slow:{SLOW_SECONDS}", where="portal"))
    answers: list[int] = []

    def open_it() -> None:
        answer = requests.post(f"{url}/", params=opening.query, data=opening.form, timeout=20)
        answers.append(answer.status_code)

    waiting = threading.Thread(target=open_it)
    waiting.start()
    while not bitrix24.count(where="portal", person="boris"):
        time.sleep(0.02)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    waiting.join(timeout=20)

    assert answers == [200]
    assert process.wait(timeout=60) == 0
    assert time.monotonic() - began < SLOW_SECONDS + 5
    assert world.one("SELECT count(*) FROM people WHERE user_id = 7") == 1
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/healthz", timeout=20)

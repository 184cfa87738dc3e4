"""What tests share keeps one test from another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.emulator import Emulator
from tests.emulator.faults import Fault
from tests.waiting import wait_until
from tests.world import World


def test_no_request_outlives_its_application(bitrix24: Emulator, sqlite_url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        with World(bitrix24, sqlite_url) as world:
            world.install("alpha")
            session = world.session("boris")
            fault = bitrix24.faults.add(Fault(kind="hold", method="batch", person="boris"))
            bitrix24.clear()
            address = f"{bitrix24.app_url}/me/refresh"
            sent = pool.submit(requests.post, address, headers=session, timeout=30)
            wait_until(lambda: bitrix24.count(method="batch", person="boris") == 1)
            threading.Timer(0.3, fault.released.set).start()

        assert fault.released.is_set()
        assert sent.result().status_code == 200

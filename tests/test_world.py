"""What tests share keeps one test from another."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import requests
import time_machine
from sqlalchemy import select

from dashboard.core.database import Base
from tests.emulator import Emulator
from tests.emulator.faults import Fault
from tests.installed import emulator, installed_world
from tests.waiting import HANG_SECONDS, wait_until
from tests.world import World

MONTH = 30 * 86400
# Random, or a measurement.
UNIQUE = {"application_token", "access_token", "refresh_token", "answer", "milliseconds", "sent", "received", "level"}


def test_no_request_outlives_its_application(bitrix24: Emulator, sqlite_url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        with World(bitrix24, sqlite_url) as world:
            world.install("alpha")
            session = world.session("boris")
            fault = bitrix24.faults.add(Fault(kind="hold", method="batch", person="boris"))
            bitrix24.clear()
            address = f"{bitrix24.app_url}/me/refresh"
            sent = pool.submit(requests.post, address, headers=session, timeout=HANG_SECONDS)
            wait_until(lambda: bitrix24.count(method="batch", person="boris") == 1)
            threading.Timer(0.3, fault.released.set).start()

        assert fault.released.is_set()
        assert sent.result().status_code == 200


def test_a_copied_installation_is_like_a_new_one(sqlite_url: str, tmp_path: Path) -> None:
    with emulator() as earlier, installed_world(earlier, sqlite_url):
        pass
    with (
        time_machine.travel(time.time() + MONTH),
        emulator() as first,
        installed_world(first, f"sqlite:///{tmp_path / 'copied.db'}") as copied,
        emulator() as second,
        World(second, f"sqlite:///{tmp_path / 'new.db'}") as new,
    ):
        new.install("alpha")

        assert stored(copied) == stored(new)
        assert copied.portal().application.handlers[0].url.startswith(first.app_url)
        assert [record.method for record in first.requests] == [record.method for record in second.requests]
        assert [copied.open(person).status_code for person in ("anna", "boris")] == [200, 200]


def stored(world: World) -> dict[str, list[dict[str, Any]]]:
    """Return all rows; times in hours from now, and addresses by what is there."""
    now, alpha = world.now(), world.portal()
    places = {alpha.origin: "portal", world.bitrix24.authorization_server: "authorization server"}

    def like(value: Any) -> Any:
        if isinstance(value, datetime):
            return round((value - now).total_seconds() / 3600)
        if isinstance(value, float) and value > MONTH:
            return round((value - now.timestamp()) / 3600)
        return places.get(value, value) if isinstance(value, str) else value

    with world.database.engine.connect() as connection:
        return {
            table.name: [
                {column: like(value) for column, value in row.items() if column not in UNIQUE}
                for row in connection.execute(select(table)).mappings()
            ]
            for table in Base.metadata.sorted_tables
        }

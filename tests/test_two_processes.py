"""Two processes, forty requests at once, one single-use refresh token."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from dashboard.core import migrations
from dashboard.core.database import Database
from tests.emulator import Emulator
from tests.processes import free_port, serve, wait_for
from tests.waiting import HANG_SECONDS
from tests.world import environment_for


@pytest.fixture
def processes(bitrix24: Emulator, sqlite_url: str) -> Iterator[list[str]]:
    """Give the URLs of two web processes on one database, started as in production.

    SQLite locks its file for a whole process. Postgres knows connections only, and tests/test_token_refresh.py has
    several of those in one process.
    """
    environment = environment_for(bitrix24, sqlite_url)
    database = Database(sqlite_url)
    migrations.upgrade(database)
    database.engine.dispose()
    ports = [free_port(), free_port()]
    bitrix24.app_url = f"http://127.0.0.1:{ports[0]}"
    # So many threads that all may wait for a slow refresh: an eighth of them may.
    running = [serve(environment, port, threads=160) for port in ports]
    addresses = [f"http://127.0.0.1:{port}" for port in ports]
    for address in addresses:
        wait_for(address)
    yield addresses
    for process in running:
        process.terminate()
    assert [process.wait(timeout=HANG_SECONDS) for process in running] == [0, 0]


def test_two_processes_refresh_once(bitrix24: Emulator, processes: list[str]) -> None:
    alpha = bitrix24.portal("alpha")
    installer = alpha.open_installer_as("anna")
    requests.post(f"{processes[0]}/install", params=installer.query, data=installer.form, timeout=HANG_SECONDS)
    alpha.finish_install()
    boris = alpha.open_as("boris")
    page = requests.post(f"{processes[0]}/", params=boris.query, data=boris.form, timeout=HANG_SECONDS).text
    token = page.split('name="session-token" content="')[1].split('"')[0]
    alpha.expire("boris")
    bitrix24.clear()

    def refresh(number: int) -> int:
        address = processes[number % 2]
        headers = {"Authorization": f"Bearer {token}"}
        return requests.post(f"{address}/me/refresh", headers=headers, timeout=HANG_SECONDS).status_code

    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(refresh, range(40)))

    assert answers == [200] * 40
    assert bitrix24.refreshes("boris") == 1
    assert bitrix24.count(method="oauth/token") == 1

"""A platform's machine: a database over TLS, and a read-only file system that is discarded at the next start."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests
from sqlalchemy.exc import OperationalError

from app import create_app
from dashboard.core import config
from dashboard.core.database import Database
from tests.emulator import Emulator
from tests.processes import ROOT, free_port, kill, wait_for
from tests.test_config import PRODUCTION
from tests.waiting import HANG_SECONDS
from tests.world import environment_for

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
METRICS = "a-token-for-metrics"


def test_nothing_on_the_file_system_is_needed(bitrix24: Emulator, migrated_postgres_url: str, tmp_path: Path) -> None:
    temporary, port = tmp_path / "temporary", free_port()
    temporary.mkdir()
    environment = environment_for(bitrix24, migrated_postgres_url) | {
        "STATE_DIRECTORY": str(tmp_path / "cannot-be-created"),
        "METRICS_TOKEN": METRICS,
    }
    on_platform = {"TMPDIR": str(temporary), "PORT": str(port), "WEB_CONCURRENCY": "1"}
    address = bitrix24.app_url = f"http://127.0.0.1:{port}"
    alpha = bitrix24.portal("alpha")
    command = [sys.executable, "-m", "tests.read_only", "tests.clock", "gunicorn", "app:create_app()"]
    web = subprocess.Popen(command, env=os.environ | environment | on_platform, cwd=ROOT, start_new_session=True)
    try:
        wait_for(address)
        installer = alpha.open_installer_as("anna")
        requests.post(f"{address}/install", params=installer.query, data=installer.form, timeout=HANG_SECONDS)
        alpha.finish_install()
        anna = alpha.open_as("anna")
        page = requests.post(address, params=anna.query, data=anna.form, timeout=HANG_SECONDS).text
        token = page.split('name="session-token" content="')[1].split('"')[0]
        session = {"Authorization": f"Bearer {token}"}
        for path in ("/me", "/team", "/insights", "/team.xlsx", "/team.csv", "/team.json"):
            assert requests.get(f"{address}{path}", headers=session, timeout=HANG_SECONDS).status_code == 200, path
        metrics = requests.get(
            f"{address}/metrics", headers={"Authorization": f"Bearer {METRICS}"}, timeout=HANG_SECONDS
        )
        assert "dashboard_requests_total" in metrics.text
    finally:
        kill(web)
    assert not (tmp_path / "cannot-be-created").exists()

    # The next machine has the database and the keys.
    shutil.rmtree(temporary)
    next_machine = create_app(config.load(environment))
    assert next_machine.test_client().get("/me", headers=session).status_code == 200
    next_machine.extensions["services"].database.engine.dispose()


def test_sslmode_require_sends_nothing_without_tls() -> None:
    received: list[bytes] = []

    def refuse_tls(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            received.append(connection.recv(64))
            connection.sendall(b"N")
            received.append(connection.recv(64))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=refuse_tls, args=(listening,))
        thread.start()
        port = listening.getsockname()[1]
        url = f"postgres://anna:nobody-sees@127.0.0.1:{port}/dashboard?sslmode=require&gssencmode=disable"
        database = Database(config.load(PRODUCTION | {"DATABASE_URL": url}).database_url.get_secret_value())
        with pytest.raises(OperationalError), database.engine.connect():
            pass
        thread.join(timeout=10)

    assert received == [SSL_REQUEST, b""]

"""PgBouncer in transaction mode, where each transaction may run on another server."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from dashboard.core import postgres
from dashboard.core.database import Database
from tests import programs
from tests.emulator import Emulator
from tests.processes import free_port, work
from tests.test_cli_backup import PROGRAMS, stored_text
from tests.waiting import wait_until
from tests.world import World

# Fewer servers than clients at once, so that they change hands.
SERVERS = 3
CONFIG = """
[databases]
* = host={host} port=5432 user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {servers}
"""


@pytest.fixture
def pooled_url(postgres_url: str, tmp_path: Path) -> Iterator[str]:
    """Give an empty database behind a PgBouncer of the test."""
    url, port = make_url(postgres_url), free_port()
    host = str(url.query["host"])
    file = tmp_path / "pgbouncer.ini"
    file.write_text(CONFIG.format(host=host, port=port, servers=SERVERS))
    # It refuses to run as root; the user the server runs as may use its socket.
    owner = pwd.getpwuid(Path(host).stat().st_uid).pw_name
    as_user = ["-u", owner] if os.getuid() == 0 else []
    with subprocess.Popen([programs.program("pgbouncer"), "-q", *as_user, str(file)]) as running:
        wait_until(lambda: _listens(port))
        yield url.set(host="127.0.0.1", port=port, query={}).render_as_string(hide_password=False)
        running.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as it:
        return it.connect_ex(("127.0.0.1", port)) == 0


def test_migrations_openings_runs_and_a_worker_work(bitrix24: Emulator, pooled_url: str) -> None:
    """`World` migrates by the same code as `db upgrade`."""
    with World(bitrix24, pooled_url) as world:
        world.is_database_dirty = True
        assert world.install().status_code == 200
        openings = [world.portal().open_as("boris") for _ in range(40)]

        def post(number: int) -> int:
            client = world.app.test_client()
            return client.post("/", query_string=openings[number].query, data=openings[number].form).status_code

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(post, range(40))) == [200] * 40
        assert world.sync()["state"] == "done"
        world.services.runs.request(world.known(), by=1)
        worker = work(world.environment)
        try:
            wait_until(lambda: world.one("SELECT count(*) FROM runs WHERE state = 'done'") == 2)
        finally:
            worker.terminate()
            assert worker.wait(30) == 0
        assert world.app.test_cli_runner().invoke(args=["db", "upgrade"]).exit_code == 0
        assert left_on_servers(pooled_url) == {("00", 0, 0)}


def test_what_another_client_has_set_on_a_server_does_not_matter(bitrix24: Emulator, pooled_url: str) -> None:
    """A pg_dump through the pooler leaves an empty search path."""
    with World(bitrix24, pooled_url) as world:
        world.is_database_dirty = True
        with ExitStack() as others:
            for _ in range(SERVERS):
                other = others.enter_context(psycopg.connect(pooled_url, prepare_threshold=None))
                other.execute("SET search_path = ''")

        assert world.install().status_code == 200
        assert world.open("boris").status_code == 200


def test_a_backup_bypasses_the_pooler(
    bitrix24: Emulator, postgres_url: str, pooled_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}")
    folder = tmp_path / "backups"
    folder.mkdir()
    with World(bitrix24, pooled_url) as world:
        world.is_database_dirty = True
        assert world.install().status_code == 200
        runner, backup = world.app.test_cli_runner(), ["db", "backup", str(folder / "backup")]

        refused, left = runner.invoke(args=backup), list(folder.iterdir())
        another = make_url(postgres_url).set(database="postgres").render_as_string(hide_password=False)
        empty = runner.invoke(args=backup, env={"BACKUP_DATABASE_URL": another})
        written = runner.invoke(args=backup, env={"BACKUP_DATABASE_URL": postgres_url})

        assert (refused.exit_code, "BACKUP_DATABASE_URL" in refused.output, left) == (1, True, [])
        assert (empty.exit_code, "has no tables" in empty.output) == (1, True)
        assert written.exit_code == 0, written.output
        assert world.portal().member_id in stored_text(folder / "backup")


def test_a_pooler_without_a_free_server_blocks_one_thread(pooled_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lets clients connect whatever its servers do, and their first statement waits.

    Were all threads of a process to wait, none would be left for what needs no database.
    """
    monkeypatch.setattr(postgres, "PING_SECONDS", 0.5)
    monkeypatch.setattr(postgres, "BEGIN_SECONDS", 0.5)
    monkeypatch.setattr(postgres, "RETRY_LOCK_SECONDS", 0.01)
    database = Database(pooled_url.replace("postgresql:", "postgresql+psycopg:"))

    def ask(_: int) -> str:
        try:
            with database.read_session() as session:
                return str(session.scalar(text("SELECT 'answered'")))
        except OperationalError:
            return "away"

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == ["answered"] * 4
        with ExitStack() as fault:
            for _ in range(SERVERS):
                one = fault.enter_context(psycopg.connect(pooled_url, prepare_threshold=None))
                one.execute("SELECT 1")
            began = time.monotonic()
            assert set(pool.map(ask, range(120))) == {"away"}
            assert time.monotonic() - began < 10  # were each to wait, it would be fifteen
        assert ask(0) == "answered"
        assert list(pool.map(ask, range(4))) == ["answered"] * 4
    database.engine.dispose()


def left_on_servers(url: str) -> set[tuple[str, int, int]]:
    """Return each server's limit, prepared statements and locks, which the next client would inherit.

    `pg_locks` lists the locks of all databases, of tests that run beside this one too.
    """
    remaining = (
        "SELECT current_setting('statement_timeout')"
        " || current_setting('idle_in_transaction_session_timeout'),"
        " (SELECT count(*) FROM pg_prepared_statements),"
        " (SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
        " WHERE locktype = 'advisory' AND datname = current_database())"
    )
    result = set[tuple[str, int, int]]()
    for _ in range(2 * SERVERS):
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
            result |= set(connection.execute(remaining).fetchall())
    return result

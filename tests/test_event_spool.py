"""Store uninstall events while the database is unavailable, and handle them when it is back."""

from __future__ import annotations

import errno
import runpy
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError, OperationalError

from dashboard.bitrix24.errors import Unreachable
from dashboard.bitrix24.inbound import Event
from dashboard.core import config, sqlite
from dashboard.core.encryption import TokenEncryption
from dashboard.launch import event_spool
from dashboard.launch.events import EventHandler, UninstallationUnconfirmed
from dashboard.services import build_services
from tests.databases import on_both_databases, url_for
from tests.emulator import Emulator
from tests.emulator.faults import Fault
from tests.test_full_disk import fill_the_disk, only_read
from tests.waiting import wait_until
from tests.world import FERNET_KEY, World

FORGED = "f" * 32


@pytest.fixture
def threadless_world(
    bitrix24: Emulator, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """Return the application without the thread that handles stored events."""
    monkeypatch.setattr(event_spool.EventSpool, "start", lambda self: None)
    url = url_for(request)
    with World(bitrix24, url, STATE_DIRECTORY=str(tmp_path)) as world:
        world.install("alpha")
        yield world


def empty_the_disk(world: World) -> None:
    """Let the database write again."""
    engine = world.database.engine
    if engine.dialect.name == "sqlite":
        event.remove(engine, "connect", only_read)
    else:
        with engine.begin() as connection:
            connection.exec_driver_sql("SET TRANSACTION READ WRITE")
            may_write = f"ALTER DATABASE {engine.url.database} SET default_transaction_read_only TO off"
            connection.exec_driver_sql(may_write)
    engine.dispose()


def spooled(folder: Path) -> list[Path]:
    return sorted((folder / "events").glob("*.event"))


def restarted(world: World) -> event_spool.EventSpool:
    """Return the spool of another process, or of this one after a restart."""
    return build_services(world.config, database=world.database, now=world.now).spool


@on_both_databases("threadless_world")
def test_an_event_is_kept_while_the_database_refuses(threadless_world: World, tmp_path: Path) -> None:
    """Because a table is missing or the user lacks a right, which is no outage to the database."""
    with threadless_world.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE portals RENAME TO elsewhere")

    assert threadless_world.portal().send_event("ONAPPUNINSTALL")[0] == 200
    assert len(spooled(tmp_path)) == 1
    with threadless_world.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO portals")
    restarted(threadless_world).retry()

    assert spooled(tmp_path) == []
    assert threadless_world.one("SELECT state FROM portals") == "uninstalled"


@on_both_databases("threadless_world")
def test_an_event_is_handled_when_the_database_is_back(threadless_world: World, tmp_path: Path) -> None:
    threadless_world.open("boris")
    fill_the_disk(threadless_world)

    assert threadless_world.portal().send_event("ONAPPUNINSTALL")[0] == 200
    restarted(threadless_world).retry()
    assert len(spooled(tmp_path)) == 1
    empty_the_disk(threadless_world)
    restarted(threadless_world).retry()

    assert spooled(tmp_path) == []
    assert threadless_world.one("SELECT state FROM portals") == "uninstalled"
    assert threadless_world.one("SELECT count(*) FROM people") == 0


@pytest.mark.parametrize("removed", [True, False])
def test_an_event_waits_for_the_authorization_server(threadless_world: World, tmp_path: Path, removed: bool) -> None:
    """By our clock it was sent before the last opening, so that only this server knows what it ends."""
    threadless_world.open("boris")
    if removed:
        threadless_world.portal().uninstall()
    threadless_world.bitrix24.faults.add(Fault(kind="status:503", where="authorization", times=None))

    assert threadless_world.portal().send_event("ONAPPUNINSTALL", ts=int(time.time()) - 900)[0] == 200
    restarted(threadless_world).retry()
    assert (len(spooled(tmp_path)), threadless_world.one("SELECT state FROM portals")) == (1, "active")
    threadless_world.bitrix24.faults.clear()
    restarted(threadless_world).retry()

    assert len(spooled(tmp_path)) == (0 if removed else 1)
    assert threadless_world.one("SELECT state FROM portals") == ("uninstalled" if removed else "active")


def test_an_uninstallation_is_asked_about_again(threadless_world: World, tmp_path: Path) -> None:
    """A portal sends the event before it tells the authorization server, which then says "installed"."""
    threadless_world.open("boris")

    assert threadless_world.portal().send_event("ONAPPUNINSTALL", ts=int(time.time()) - 900)[0] == 200
    restarted(threadless_world).retry()
    assert (len(spooled(tmp_path)), threadless_world.one("SELECT state FROM portals")) == (1, "active")
    threadless_world.portal().uninstall()
    restarted(threadless_world).retry()

    assert spooled(tmp_path) == []
    assert threadless_world.one("SELECT state FROM portals") == "uninstalled"


def test_an_uninstallation_is_asked_about_for_an_hour(
    threadless_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=lambda: 0.0)
    threadless_world.open("boris")
    threadless_world.portal().send_event("ONAPPUNINSTALL", ts=int(time.time()) - 900)
    monkeypatch.setattr(event_spool, "time", clock)
    spool = restarted(threadless_world)
    requests = []

    for second in range(0, 4200, 5):
        clock.monotonic = lambda second=second: float(second)
        threadless_world.bitrix24.clear()
        spool.retry()
        requests += [second] if threadless_world.bitrix24.count(where="authorization") else []

    assert requests == [0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030]
    assert spooled(tmp_path) == []
    assert threadless_world.one("SELECT state FROM portals") == "active"


def test_the_file_is_private_and_encrypted(threadless_world: World, tmp_path: Path) -> None:
    fill_the_disk(threadless_world)
    portal = threadless_world.portal()

    portal.send_event("ONAPPUNINSTALL")

    (file,) = spooled(tmp_path)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    for secret in (portal.application_token, portal.member_id):
        assert secret not in file.name + file.read_text()


def test_several_processes_may_handle_an_event(threadless_world: World, tmp_path: Path) -> None:
    fill_the_disk(threadless_world)
    threadless_world.portal().send_event("ONAPPUNINSTALL")
    content = spooled(tmp_path)[0].read_text()
    file = spooled(tmp_path)[0]
    empty_the_disk(threadless_world)

    restarted(threadless_world).retry()
    file.write_text(content)
    restarted(threadless_world).retry()

    assert spooled(tmp_path) == []
    assert threadless_world.one("SELECT count(*) FROM portals WHERE state = 'uninstalled' AND generation = 1") == 1


def test_an_event_does_not_undo_a_later_installation(threadless_world: World) -> None:
    fill_the_disk(threadless_world)
    threadless_world.portal().send_event("ONAPPUNINSTALL")
    empty_the_disk(threadless_world)
    threadless_world.bitrix24.clock.advance(timedelta(hours=1).total_seconds())
    threadless_world.install("alpha")

    restarted(threadless_world).retry()

    assert threadless_world.one("SELECT state FROM portals") == "active"


def test_forged_events_are_limited_and_do_nothing(
    threadless_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_spool, "MAX_UNVERIFIED_OF_SENDER", 3)
    monkeypatch.setattr(event_spool, "MAX_UNVERIFIED", 4)
    spool, portal = restarted(threadless_world), threadless_world.portal()

    def forged(number: int, sender: str = "stranger") -> bool:
        return spool.add(
            Event(
                name="ONAPPUNINSTALL",
                member_id=portal.member_id,
                application_token=SecretStr(f"{number:032}"),
                access_token=None,
                server_endpoint=None,
                sent_at=None,
                clean=False,
            ),
            sender=sender,
        )

    assert [forged(number) for number in range(5)] == [True, True, True, False, False]
    assert [forged(number, "another") for number in range(2)] == [True, False]
    fill_the_disk(threadless_world)
    assert portal.send_event("ONAPPUNINSTALL", application_token=FORGED)[0] == 403
    assert portal.send_event("ONAPPUNINSTALL")[0] == 200
    assert len(spooled(tmp_path)) == 5
    (true,) = [file for file in spooled(tmp_path) if not file.name.startswith("unproven")]
    true.unlink()
    empty_the_disk(threadless_world)

    restarted(threadless_world).retry()

    assert spooled(tmp_path) == []
    assert threadless_world.one("SELECT state FROM portals") == "active"


def test_without_a_folder_an_event_is_stored_in_memory(
    threadless_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(self: object, name: str, encrypted: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(event_spool.EventSpool, "_write", no_room)
    fill_the_disk(threadless_world)

    assert threadless_world.portal().send_event("ONAPPUNINSTALL")[0] == 200
    empty_the_disk(threadless_world)
    threadless_world.app.extensions["services"].spool.retry()

    assert threadless_world.one("SELECT state FROM portals") == "uninstalled"


def test_an_event_of_another_version_is_kept(
    threadless_world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    encryption = TokenEncryption([SecretStr(FERNET_KEY)])
    other_format = encryption.encrypt(SecretStr('["member"]'), context=event_spool.ENCRYPTION_CONTEXT)
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "1.event").write_text("gAAAA-damaged")
    (tmp_path / "events" / "2.event").write_text(other_format)
    spool = restarted(threadless_world)

    for _ in range(3):
        spool.retry()

    logged = [record.getMessage() for record in caplog.records if record.name == event_spool.__name__]
    assert ["undecryptable" in logged[0], "unreadable" in logged[1], len(logged)] == [True, True, 2]
    assert [file.name for file in spooled(tmp_path)] == ["1.event", "2.event"]


def test_an_event_waits_for_its_key(threadless_world: World, tmp_path: Path) -> None:
    fill_the_disk(threadless_world)
    assert threadless_world.portal().send_event("ONAPPUNINSTALL")[0] == 200
    empty_the_disk(threadless_world)
    other_key = config.load(threadless_world.environment | {"TOKEN_KEYS": Fernet.generate_key().decode()})
    build_services(other_key, database=threadless_world.database, now=threadless_world.now).spool.retry()
    assert threadless_world.one("SELECT state FROM portals") == "active"

    restarted(threadless_world).retry()

    assert threadless_world.one("SELECT state FROM portals") == "uninstalled"
    assert spooled(tmp_path) == []


class Handler:
    """An event handler that fails for some portals; ``asked`` and ``done`` are member ids."""

    def __init__(self, failures: dict[str, Exception]) -> None:
        self.failures = failures
        self.asked: list[str] = []
        self.done: set[str] = set()

    def is_verified(self, event: Event) -> bool:
        return True

    def handle(self, event: Event) -> None:
        self.asked.append(event.member_id)
        if event.member_id in self.failures:
            raise self.failures[event.member_id]
        self.done.add(event.member_id)


def spool_of(
    handler: Handler, folder: Path, patch: pytest.MonkeyPatch, *, members: Iterable[str]
) -> event_spool.EventSpool:
    """Return a spool without a thread, with an event of each portal."""
    patch.setattr(event_spool.EventSpool, "start", lambda self: None)
    spool = event_spool.EventSpool(
        folder=folder,
        encryption=TokenEncryption([SecretStr(FERNET_KEY)]),
        handler=cast(EventHandler, handler),
        now=lambda: datetime(2026, 3, 2, tzinfo=UTC),
    )
    for member in members:
        event = Event("ONAPPUNINSTALL", member, SecretStr(FORGED), None, None, None, clean=False)
        assert spool.add(event, sender="stranger")
    return spool


@pytest.mark.parametrize(
    "error",
    [IntegrityError("", {}, Exception()), OperationalError("", {}, Exception()), Unreachable("timeout")],
    ids=lambda error: type(error).__name__,
)
def test_a_failing_event_does_not_block_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    handler = Handler({"1": error, "3": error})
    spool = spool_of(handler, tmp_path, monkeypatch, members="12345")

    spool.retry()

    assert handler.done == {"2", "4", "5"}
    assert len(spooled(tmp_path)) == 2
    handler.failures.clear()
    spool.retry()
    assert handler.done == set("12345")
    assert spooled(tmp_path) == []


def test_while_the_database_is_unavailable_few_events_are_tried_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = OperationalError("", {}, Exception())
    handler = Handler(dict.fromkeys("12345", away))
    spool = spool_of(handler, tmp_path, monkeypatch, members="12345")

    spool.retry()
    assert len(handler.asked) == event_spool.MAX_DATABASE_FAILURES
    spool.retry()

    assert set(handler.asked) == set("12345")
    assert len(spooled(tmp_path)) == 5


def test_denials_of_a_forged_event_do_not_count_for_the_one_that_another_process_stores_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_spool, "RETRY_SECONDS", 0.0)
    handler = Handler({"1": UninstallationUnconfirmed()})
    spool = spool_of(handler, tmp_path, monkeypatch, members="1")
    for _ in range(event_spool.MAX_CONFIRMATIONS - 1):
        spool.retry()

    spool_of(handler, tmp_path, monkeypatch, members="1")
    spool.retry()

    assert len(handler.asked) == event_spool.MAX_CONFIRMATIONS
    assert len(spooled(tmp_path)) == 1


def test_an_unreadable_file_is_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = Handler({})
    spool = spool_of(handler, tmp_path, monkeypatch, members="1")
    with monkeypatch.context() as broken:
        broken.setattr(Path, "read_text", raise_input_output_error)
        spool.retry()
    assert handler.done == set()

    spool.retry()

    assert handler.done == {"1"}


def raise_input_output_error(*_: object, **__: object) -> str:
    raise OSError(errno.EIO, "Input/output error")


def test_the_next_request_restarts_a_thread_that_has_ended(
    bitrix24: Emulator, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_spool, "RETRY_SECONDS", 0.02)
    ended = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda raised: ended.set())

    def fail(self: object, encrypted: str) -> None:
        raise RuntimeError

    with World(bitrix24, sqlite_url, STATE_DIRECTORY=str(tmp_path)) as world:
        world.install("alpha")
        fill_the_disk(world)
        with monkeypatch.context() as broken:
            broken.setattr(event_spool.EventSpool, "_handle", fail)
            assert world.portal().send_event("ONAPPUNINSTALL")[0] == 200
            assert ended.wait(20)
            world.app.extensions["services"].spool._thread.join(20)
        empty_the_disk(world)
        assert world.one("SELECT state FROM portals") == "active"

        assert world.portal().send_event("ONAPPUNINSTALL", application_token=FORGED)[0] == 403

        wait_until(lambda: spooled(tmp_path) == [])
        assert world.known().state == "uninstalled"


def test_a_new_process_handles_the_events_of_another(
    bitrix24: Emulator, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As gunicorn.conf.py does after the fork."""
    monkeypatch.setattr(event_spool, "RETRY_SECONDS", 0.02)
    with World(bitrix24, sqlite_url, STATE_DIRECTORY=str(tmp_path)) as world:
        world.install("alpha")
        with monkeypatch.context() as threadless_world:
            threadless_world.setattr(event_spool.EventSpool, "start", lambda self: None)
            fill_the_disk(world)
            assert world.portal().send_event("ONAPPUNINSTALL")[0] == 200
        empty_the_disk(world)
        for name, value in world.environment.items():
            monkeypatch.setenv(name, value)
        # The file sets it; so it is unset again when the test ends.
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")

        started = runpy.run_path("gunicorn.conf.py")["post_worker_init"]
        started(SimpleNamespace(app=SimpleNamespace(wsgi=lambda: world.app)))

        wait_until(lambda: spooled(tmp_path) == [])
        assert world.known().state == "uninstalled"
        with world.database.read_session() as session:
            assert sqlite.timer_of(session.connection()).seconds == 5.0


def test_a_process_handles_its_own_events(
    bitrix24: Emulator, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_spool, "RETRY_SECONDS", 0.02)
    with World(bitrix24, sqlite_url, STATE_DIRECTORY=str(tmp_path)) as world:
        world.install("alpha")
        fill_the_disk(world)
        assert world.portal().send_event("ONAPPUNINSTALL")[0] == 200
        empty_the_disk(world)

        wait_until(lambda: spooled(tmp_path) == [])
        assert world.known().state == "uninstalled"

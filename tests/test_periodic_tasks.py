"""Periodic tasks: each runs once for all workers, and what each one changes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, text, update

from dashboard.core import database, postgres
from dashboard.core.database import Base, Database
from dashboard.models import OAuthToken, Person, Portal
from dashboard.portals import call_log
from dashboard.services import build_services
from dashboard.sync import periodic_tasks
from dashboard.sync.periodic_tasks import INTERVALS, RECOMPUTE, VACUUMED_TABLES, PeriodicTasks
from dashboard.sync.schedule import next_off_peak
from tests.emulator import Emulator, Fault
from tests.emulator.cast import crowd
from tests.world import World


def test_a_task_is_claimed_once_each_time_it_is_due(each_world: World) -> None:
    periodic_tasks = each_world.services.periodic_tasks

    first, second = periodic_tasks.claim_due(), periodic_tasks.claim_due()
    each_world.bitrix24.clock.advance(61)
    later = periodic_tasks.claim_due()

    assert set(first) == set(INTERVALS)
    assert second == []
    assert set(later) == {"heartbeat", "plan", RECOMPUTE, "deletion"}


@pytest.mark.parametrize(
    ("name", "owner", "method"),
    [("vacuum", Database, "purge_deleted_rows"), ("deletion", PeriodicTasks, "finish_deletions")],
)
def test_a_task_that_outlasts_its_interval_is_not_started_again(
    each_world: World, monkeypatch: pytest.MonkeyPatch, name: str, owner: type, method: str
) -> None:
    worker, clock = each_world.services.periodic_tasks, each_world.bitrix24.clock
    another = build_services(each_world.config, database=each_world.database, now=each_world.now).periodic_tasks
    interval = INTERVALS[name].total_seconds()
    started: list[str] = []

    def outlast(*_args: object) -> None:
        for _ in range(6):
            clock.advance(interval * 0.6)
            started.extend(another.claim_due() + worker.claim_due())
        raise ConnectionError

    monkeypatch.setattr(owner, method, outlast)
    assert name in worker.claim_due()
    with pytest.raises(ConnectionError):
        worker.run(name)
    after = another.claim_due() + worker.claim_due()
    clock.advance(interval)

    assert "heartbeat" in started
    assert name not in started + after
    assert name in worker.claim_due()


def test_each_portal_has_one_run_a_night(world: World) -> None:
    world.sync()
    planned = world.known().next_run_at
    assert planned is not None
    world.services.periodic_tasks.plan_runs()
    assert world.one("SELECT count(*) FROM runs") == 1
    world.bitrix24.clock.advance((planned - world.now()).total_seconds() + 1)

    world.services.periodic_tasks.plan_runs()
    world.services.periodic_tasks.plan_runs()

    assert world.rows("SELECT state, asked_by FROM runs WHERE finished_at IS NULL") == [
        {"state": "waiting", "asked_by": None}
    ]
    again = world.known().next_run_at
    assert again is not None
    assert timedelta(hours=20) < again - planned < timedelta(hours=28)


def test_an_uninstalled_portal_gets_no_run(world: World) -> None:
    world.services.installations.uninstall(world.known())

    world.services.periodic_tasks.plan_runs()

    assert world.one("SELECT count(*) FROM runs") == 0


@pytest.mark.parametrize("zone", ["Europe/Moscow", "America/St_Johns", "Pacific/Chatham", ""])
def test_the_off_peak_time_is_at_night_in_the_time_zone(zone: str) -> None:
    now = datetime(2026, 3, 28, 22, 0, tzinfo=UTC)
    for member in ("a" * 32, "b" * 32, "c" * 32):
        moment = next_off_peak(now, zone, member_id=member)
        there = moment.astimezone(ZoneInfo(zone or "UTC"))

        assert now + timedelta(hours=4) <= moment <= now + timedelta(hours=30)
        assert 1 <= there.hour <= 5


def test_portals_in_one_time_zone_are_spread_out() -> None:
    now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    moments = {next_off_peak(now, "Europe/Berlin", member_id=f"portal{number}") for number in range(200)}

    assert len(moments) > 100


def test_idle_tokens_are_refreshed_once_on_different_days_before_they_expire(each_world: World) -> None:
    each_world.open("boris")
    each_world.bitrix24.clock.advance(149 * 86400)
    refreshes: list[int] = []

    for _ in range(12):
        each_world.services.periodic_tasks.refresh_idle_tokens()
        refreshes.append(each_world.bitrix24.refreshes() - sum(refreshes))
        each_world.bitrix24.clock.advance(86400)

    assert refreshes[0] == 0
    assert sorted(refreshes) == [0] * 10 + [1, 1]
    assert each_world.bitrix24.count(method="oauth/token") == 2
    assert each_world.one("SELECT count(*) FROM chains WHERE version = 2") == 2


def test_idle_tokens_of_an_unpaid_portal_are_not_refreshed(world: World) -> None:
    world.open("boris")
    world.bitrix24.clock.advance(161 * 86400)
    world.portal().end_trial()

    world.services.periodic_tasks.refresh_idle_tokens()
    world.services.periodic_tasks.refresh_idle_tokens()

    assert world.bitrix24.count(method="oauth/token") == 1
    assert world.one("SELECT state FROM portals") == "suspended"
    assert world.one("SELECT count(*) FROM chains WHERE state = 'live'") == 2

    world.portal().restore_trial()
    assert world.sync()["done"] == 2
    assert world.one("SELECT state FROM portals") == "active"


def test_columns_written_by_an_older_version_are_updated(world: World) -> None:
    world.open("boris")
    with world.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE people SET facts_version = 0, view = '', work_start = NULL")

    world.services.periodic_tasks.recompute_outdated_columns()

    (boris,) = world.rows("SELECT view, work_start, reminders FROM people WHERE name LIKE 'Boris%'")
    assert boris == {"view": "month", "work_start": 540, "reminders": "timed:50min;day:15min"}


def test_a_locked_portal_delays_no_other(
    bitrix24: Emulator, migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another session keeps the first portal's row: the tasks go on with the second, and come back to the first."""
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.2)
    with World(bitrix24, migrated_postgres_url) as world:
        for portal, person in (("alpha", "boris"), ("beta", "clara")):
            world.install(portal)
            world.open(person, portal)
        tasks = world.services.periodic_tasks
        with world.database.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE people SET facts_version = 0")
            connection.exec_driver_sql("UPDATE portals SET next_run_at = NULL")
        with world.database.engine.begin() as session:
            session.exec_driver_sql("SELECT 1 FROM portals WHERE id = 1 FOR UPDATE")
            tasks.recompute_outdated_columns()
            tasks.plan_runs()
            outdated = world.rows("SELECT DISTINCT portal_id FROM people WHERE facts_version = 0")
            unplanned = world.rows("SELECT id FROM portals WHERE next_run_at IS NULL")
        tasks.recompute_outdated_columns()
        tasks.plan_runs()

        assert (outdated, unplanned) == ([{"portal_id": 1}], [{"id": 1}])
        assert world.one("SELECT count(*) FROM people WHERE facts_version = 0") == 0
        assert world.one("SELECT count(*) FROM portals WHERE next_run_at IS NULL") == 0


def test_old_runs_and_calls_are_purged(world: World) -> None:
    world.sync()
    world.bitrix24.clock.advance(31 * 86400)

    world.services.periodic_tasks.purge()

    assert world.one("SELECT count(*) FROM runs") == 0
    assert world.one("SELECT count(*) FROM api_calls") == 0


def test_a_backlog_is_purged_in_several_transactions(each_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A purge that was rolled back as a whole would start from the beginning every hour."""
    monkeypatch.setattr(database, "DELETE_BATCH_ROWS", 2)
    each_world.open("boris")
    now = each_world.now() + timedelta(days=4)
    total = each_world.one("SELECT count(*) FROM api_calls")

    first = call_log.purge(each_world.database, now=now, should_stop=lambda: True)
    remaining = each_world.one("SELECT count(*) FROM api_calls")
    rest = call_log.purge(each_world.database, now=now)

    assert (first, remaining, rest) == (2, total - 2, total - 2)
    assert each_world.one("SELECT count(*) FROM api_calls") == 0


def test_tasks_are_due_after_the_clock_was_set_back(each_world: World) -> None:
    each_world.services.periodic_tasks.claim_due()
    each_world.bitrix24.clock.advance(-3 * 3600)

    assert set(each_world.services.periodic_tasks.claim_due()) == set(INTERVALS)


@pytest.mark.parametrize("days", [4, -4])
def test_a_worker_with_another_clock_purges_nothing(world: World, days: int) -> None:
    """It would delete the calls of three days, before the next worker notices."""
    tasks, clock = world.services.periodic_tasks, world.bitrix24.clock
    tasks.claim_due()
    calls = world.one("SELECT count(*) FROM api_calls")

    def purge() -> int:
        assert "purge" in tasks.claim_due()
        tasks.run("purge")
        return int(world.one("SELECT count(*) FROM api_calls"))

    for shift in (days, -days, days):
        clock.advance(shift * 86400)
        assert purge() == calls > 0
    clock.advance(3601)

    assert purge() == 0  # the clock stays, so it is right


def test_a_run_planned_by_a_clock_that_was_a_year_ahead_starts_now(world: World) -> None:
    world.sync()
    with world.database.write_session() as session:
        session.execute(update(Portal).values(next_run_at=world.now() + timedelta(days=365)))

    world.services.periodic_tasks.plan_runs()

    assert world.one("SELECT count(*) FROM runs WHERE finished_at IS NULL") == 1
    assert world.known().next_run_at < world.now() + timedelta(hours=30)  # type: ignore[operator]


def test_a_token_dated_by_a_clock_that_was_a_year_ahead_is_refreshed(world: World) -> None:
    with world.database.write_session() as session:
        session.execute(update(OAuthToken).values(renewed_at=world.now() + timedelta(days=365)))

    world.services.periodic_tasks.refresh_idle_tokens()
    world.services.periodic_tasks.refresh_idle_tokens()

    assert world.bitrix24.refreshes() == 1


def test_portals_take_turns_in_refreshing_idle_tokens(each_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose tokens are refused, and so come first each time, stops no other."""
    monkeypatch.setattr(periodic_tasks, "MAX_TOKENS", 2)
    each_world.portal().add_people(*crowd(3))
    for person in ("person0", "person1", "person2"):
        each_world.open(person)
    each_world.install("beta")
    each_world.open("clara", "beta")
    claras = select(Person.id).where(Person.name.startswith("Clara")).scalar_subquery()
    with each_world.database.write_session() as session:
        session.execute(update(OAuthToken).values(renewed_at=each_world.now() - timedelta(days=175)))
        of_clara = update(OAuthToken).where(OAuthToken.person_id == claras)
        session.execute(of_clara.values(renewed_at=each_world.now() - timedelta(days=172)))
    each_world.bitrix24.faults.add(
        Fault("error:PAYMENT_REQUIRED", "authorization", "oauth/token", times=None, portal="alpha")
    )

    each_world.services.periodic_tasks.refresh_idle_tokens()

    assert each_world.bitrix24.refreshes("clara") == 1


# Files


def clear(world: World) -> None:
    """Run the task that clears the files, if it is due."""
    if "vacuum" in world.services.periodic_tasks.claim_due():
        world.services.periodic_tasks.run("vacuum")


def test_deleted_names_are_cleared_from_sqlites_log_after_a_reader_ends(world: World) -> None:
    path = str(world.database.engine.url.database)
    worker = build_services(world.config, database=Database(f"sqlite:///{path}"), now=world.now)
    worker.periodic_tasks.claim_due()
    world.open("boris")
    with world.database.read_session() as session:
        session.execute(text("SELECT * FROM people")).all()
        world.portal().send_event("ONAPPUNINSTALL")

    assert b"Keller" in Path(f"{path}-wal").read_bytes()
    assert "vacuum" not in worker.periodic_tasks.claim_due()  # so many deletions do not start many VACUUMs
    world.bitrix24.clock.advance(600)
    assert "vacuum" in worker.periodic_tasks.claim_due()
    worker.periodic_tasks.run("vacuum")

    assert b"Keller" not in Path(f"{path}-wal").read_bytes()
    worker.database.engine.dispose()


def test_deleted_names_of_a_killed_process_are_cleared_at_the_next_write(world: World) -> None:
    world.open("boris")
    path = str(world.database.engine.url.database)
    with world.database.read_session() as session:
        session.execute(text("SELECT * FROM people")).all()
        world.portal().send_event("ONAPPUNINSTALL")
    assert b"Keller" in Path(f"{path}-wal").read_bytes()
    another = Database(f"sqlite:///{path}")

    with another.write_session():
        pass

    assert b"Keller" not in Path(f"{path}-wal").read_bytes()
    another.engine.dispose()


def test_postgres_frees_the_space_of_deleted_people(bitrix24: Emulator, migrated_postgres_url: str) -> None:
    with World(bitrix24, migrated_postgres_url) as world:
        world.install("alpha")
        clear(world)
        assert world.one("SELECT pg_relation_size('people')") > 0
        world.portal().send_event("ONAPPUNINSTALL")
        assert world.one("SELECT pg_relation_size('people')") > 0
        world.bitrix24.clock.advance(600)

        clear(world)

        assert world.one("SELECT pg_relation_size('people')") == 0


def test_periodic_tasks_end_when_the_worker_stops(world: World) -> None:
    world.open("boris")
    with world.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE chains SET renewed_at = '2020-01-01 00:00:00'")
        connection.exec_driver_sql("UPDATE portals SET next_run_at = NULL")
    tasks = world.services.periodic_tasks
    world.bitrix24.clear()

    tasks.stopping.set()
    tasks.refresh_idle_tokens()
    tasks.plan_runs()
    stopped = (world.bitrix24.refreshes(), world.known().next_run_at)
    tasks.stopping.clear()
    tasks.refresh_idle_tokens()
    tasks.plan_runs()

    assert stopped == (0, None)
    assert world.bitrix24.refreshes() == 2
    assert world.known().next_run_at is not None


def test_a_role_that_does_not_own_the_tables_is_told_that_it_cannot_vacuum(
    migrated_postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    owners, role = Database(migrated_postgres_url), f"limited_{uuid.uuid4().hex[:12]}"
    with owners.engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
    limited = Database(owners.engine.url.set(username=role).render_as_string(hide_password=False))

    owners.purge_deleted_rows(VACUUMED_TABLES)
    refusals_of_the_owner = caplog.text.count("vacuum_refused")
    limited.purge_deleted_rows(VACUUMED_TABLES)

    limited.engine.dispose()
    with owners.engine.begin() as connection:
        connection.execute(text(f"DROP ROLE {role}"))
    owners.engine.dispose()
    assert (refusals_of_the_owner, caplog.text.count("vacuum_refused")) == (0, len(VACUUMED_TABLES))


def test_every_table_of_a_portal_is_vacuumed() -> None:
    about_no_portal = {"chores", "refusals", "tallies"}

    assert set(VACUUMED_TABLES) == set(Base.metadata.tables) - about_no_portal

"""Export and delete everything stored about a portal."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import requests
import time_machine
from sqlalchemy import delete, event, insert
from sqlalchemy.exc import OperationalError

from dashboard.core import database
from dashboard.core.shared_slots import PerKeyQueue
from dashboard.models import Department, Person, Run
from dashboard.monitoring.gauges import DatabaseGauges
from dashboard.portals import deletion, personal_data
from dashboard.portals.deletion import InstallationEnded
from dashboard.portals.personal_data import DeletionResult
from dashboard.team import listing
from dashboard.team.team_filter import NO_FILTER, TeamReader
from dashboard.team.team_order import Arrangement
from dashboard.web.views.admin_data import DELETION_LIMIT
from tests.emulator.faults import Fault
from tests.processes import free_port, kill, serve, wait_for
from tests.team_fixtures import NEVER_OPENED, Session, in_english, store_people
from tests.waiting import HANG_SECONDS
from tests.world import FERNET_KEY, SECRET_KEY, World, errors_on, settings_on

TABLES = ("people", "chains", "snapshots", "runs", "api_calls")


@pytest.fixture
def anna(world: World) -> Session:
    world.open("boris")
    return in_english(world)


def exported(world: World, session: Session) -> dict[str, Any]:
    response = world.browser.get("/admin/export.json", headers=session)
    assert response.status_code == 200
    return dict(json.loads(response.text))


def forget(world: World, session: Session, domain: str | None = None) -> int:
    typed = world.portal().domain if domain is None else domain
    return world.browser.post("/admin/forget", data={"domain": typed}, headers=session).status_code


def counts(world: World, portal_id: int = 1) -> dict[str, int]:
    """Count the rows of each table that belong to a portal."""
    of_people = f"WHERE person_id IN (SELECT id FROM people WHERE portal_id = {portal_id})"
    conditions = {"chains": of_people, "snapshots": of_people}
    usual = f"WHERE portal_id = {portal_id}"
    return {table: world.one(f"SELECT count(*) FROM {table} {conditions.get(table, usual)}") for table in TABLES}


# The export


def test_the_export_contains_everything_about_everybody(each_world: World) -> None:
    each_world.open("boris")
    anna = in_english(each_world)
    store_people(each_world, NEVER_OPENED)
    each_world.browser.post("/admin/team", data={"who": "everyone"}, headers=anna)

    message = exported(each_world, anna)

    assert [person["user_id"] for person in message["people"]] == [1, 7, 5001]
    boris = message["people"][1]
    assert boris["name"] == "Boris Keller"
    assert boris["calendar"]["settings"] == settings_on(each_world.open("boris").text)
    assert message["people"][2]["calendar"] is None
    assert message["portal"]["team_open"] is True
    assert message["portal"]["origin"] == each_world.portal().origin
    assert message["runs"]


def test_the_export_contains_departments_and_their_heads(world: World, anna: Session) -> None:
    rows = [
        {"department_id": number, "parent_id": 1, "name": f"Team {number}", "head_id": 7, "sort": 500}
        for number in range(1, 4 + personal_data.BATCH_ROWS)
    ]
    with world.database.write_session() as session:
        session.execute(insert(Department), [row | {"portal_id": world.known().id} for row in rows])

    assert exported(world, anna)["departments"] == rows


def test_the_export_of_a_large_portal_is_complete(world: World, anna: Session) -> None:
    store_people(world, *({} for _ in range(2 * personal_data.BATCH_ROWS + 1)))

    assert len(exported(world, anna)["people"]) == 2 * personal_data.BATCH_ROWS + 3


def test_the_export_reads_few_large_snapshots_at_once(
    world: World, anna: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their values take many times more memory than their bytes."""
    monkeypatch.setattr(personal_data, "BATCH_BYTES", 1)
    world.open("boris")
    store_people(world, NEVER_OPENED)
    batches: list[str] = []

    @event.listens_for(world.database.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "OUTER JOIN snapshots" in statement:
            batches.append(statement)

    people = exported(world, anna)["people"]

    assert len(batches) >= len(people)
    assert [person["user_id"] for person in people] == [1, 7, 5001]


@pytest.mark.parametrize("each_world", ["migrated_postgres_url"], ids=["postgres"], indirect=True)
def test_the_export_goes_on_after_a_batch_that_is_deleted_meanwhile(
    each_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(personal_data, "BATCH_BYTES", 1)
    session = in_english(each_world)
    store_people(each_world, *[NEVER_OPENED | {"snapshot_bytes": 10}] * 2)
    leaver = each_world.one("SELECT id FROM people WHERE user_id = 5001")

    @event.listens_for(each_world.database.engine, "before_cursor_execute")
    def leave(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if "OUTER JOIN snapshots" in statement and leaver in parameters.values():
            with each_world.database.engine.begin() as other:
                other.execute(delete(Person).where(Person.id == leaver))

    people = exported(each_world, session)["people"]

    assert [person["user_id"] for person in people] == [1, 5002]


def test_the_export_contains_no_token_and_no_key(world: World, anna: Session) -> None:
    world.sync()
    message = world.browser.get("/admin/export.json", headers=anna).text

    secrets = {world.bitrix24.client_secret, SECRET_KEY, FERNET_KEY, world.portal().application_token}
    for person in world.portal().people.values():
        for pair in world.bitrix24.world.tokens.of(world.portal().member_id, person.user_id):
            secrets |= {pair.access, pair.refresh}
    encrypted = world.rows("SELECT access_token, refresh_token FROM chains")
    encrypted += world.rows("SELECT application_token FROM portals")
    secrets |= {value for row in encrypted for value in row.values() if value}
    secrets.add(anna["Authorization"].removeprefix("Bearer "))
    assert len(secrets) > 8
    assert not [secret for secret in secrets if secret in message]


def test_the_export_is_a_file_and_is_logged(
    world: World, anna: Session, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger().setLevel(logging.INFO)
    caplog.set_level(logging.INFO)
    response = world.browser.get("/admin/export.json", headers=anna)

    assert response.headers["Content-Disposition"] == 'attachment; filename="calendar-settings.json"'
    assert response.mimetype == "application/json"
    assert response.is_streamed
    text = caplog.text + "".join(capsys.readouterr())
    assert "data_exported" in text
    assert "Keller" not in text


def test_the_export_contains_nothing_of_another_portal(world: World, anna: Session) -> None:
    world.install("beta")
    clara = world.session("clara", "beta")

    assert "Moreau" not in world.browser.get("/admin/export.json", headers=anna).text
    assert "Keller" not in world.browser.get("/admin/export.json", headers=clara).text


# The deletion


def test_the_page_says_what_will_be_deleted(world: World, anna: Session) -> None:
    page = world.browser.get("/admin/forget", headers=anna).text

    assert "2 people: names, positions, picture addresses, departments." in page
    assert f"<b><bdi>{world.portal().domain}</bdi></b>" in page
    assert counts(world)["people"] == 2


def test_everything_is_deleted_and_the_session_ends(each_world: World) -> None:
    each_world.open("boris")
    anna = in_english(each_world)
    each_world.browser.post("/admin/team", data={"who": "everyone"}, headers=anna)

    response = each_world.browser.post(
        "/admin/forget", data={"domain": f" {each_world.portal().domain.upper()} "}, headers=anna
    )

    assert response.status_code == 200
    assert "Your session has ended." in response.text
    assert counts(each_world) == dict.fromkeys(TABLES, 0)
    (portal,) = each_world.rows("SELECT * FROM portals")
    assert not portal["team_open"]
    assert portal["team_switched_by"] is portal["directory_at"] is portal["next_run_at"] is None
    assert portal["state"] == "active"
    again = each_world.browser.get("/admin", headers=anna)
    assert (again.status_code, again.json) == (401, {"error": "session_invalid"})


def test_the_next_opening_reads_everybody_again(world: World, anna: Session) -> None:
    assert forget(world, anna) == 200

    requests = len(world.bitrix24.requests)
    assert world.open("boris").status_code == 200
    assert len(world.bitrix24.requests) == requests + 1
    world.sync()

    assert world.one("SELECT count(*) FROM people") > 10
    assert world.one("SELECT count(*) FROM chains") == 1


def test_events_are_still_verified_after_a_deletion(world: World, anna: Session) -> None:
    forget(world, anna)

    world.portal().uninstall()
    world.portal().deliver_events()

    assert world.one("SELECT state FROM portals") == "uninstalled"


@pytest.mark.parametrize("typed", ["", "yes", "another.bitrix24.com", "localhost"])
def test_a_wrong_confirmation_deletes_nothing(world: World, anna: Session, typed: str) -> None:
    before = counts(world)

    assert forget(world, anna, typed) == 400
    assert counts(world) == before | {"api_calls": before["api_calls"] + 1}


def test_deletions_are_limited_and_uninstallations_are_not(world: World) -> None:
    """Each costs a VACUUM, and the portal's rows are new after it."""
    world.install("beta")
    with time_machine.travel(world.now(), tick=False):
        for _ in range(DELETION_LIMIT.depth):
            assert forget(world, in_english(world)) == 200
        anna, clara = in_english(world), world.session("clara", "beta")

        data = {"domain": world.portal().domain}
        refused = world.browser.post("/admin/forget", data=data, headers=anna)
        others = world.browser.post("/admin/forget", data={"domain": world.portal("beta").domain}, headers=clara)

        assert (refused.status_code, errors_on(refused.text)) == (503, ["too_many_deletions"])
        assert refused.headers["Retry-After"] == str(int(DELETION_LIMIT.seconds))
        assert others.status_code == 200
        assert world.browser.get("/me", headers=anna).status_code == 200
        world.portal().uninstall()
        world.portal().deliver_events()

    assert world.known().state == "uninstalled"
    assert world.one("SELECT count(*) FROM people") == 0


def test_a_deletion_leaves_other_portals(world: World, anna: Session) -> None:
    world.install("beta")
    clara = world.session("clara", "beta")
    before = counts(world, 2)

    forget(world, anna)

    assert counts(world, 2) == before
    assert world.browser.get("/admin", headers=clara).status_code == 200


def test_two_simultaneous_deletions_delete_once(each_world: World) -> None:
    each_world.session("anna")
    portal = each_world.known()
    results: list[DeletionResult] = []
    both = [
        threading.Thread(target=lambda: results.append(personal_data.delete_all(each_world.database, portal)))
        for _ in range(2)
    ]

    for one in both:
        one.start()
    for one in both:
        one.join()

    assert sorted(results) == ["done", "overtaken"]


def test_a_run_during_a_deletion_stores_nobody(each_world: World) -> None:
    """Delete between the portal's answer with its users and their storage."""
    anna = in_english(each_world)

    def forget_first(body: dict[str, Any]) -> dict[str, Any]:
        assert forget(each_world, anna) == 200
        return body

    each_world.bitrix24.faults.add(Fault(kind="answer", method="batch", change=forget_first))
    each_world.run_slice()

    assert counts(each_world) == dict.fromkeys(TABLES, 0)


@pytest.mark.parametrize(
    ("method", "address"),
    [("GET", "/admin/export.json"), ("GET", "/admin/forget"), ("POST", "/admin/forget")],
)
def test_only_administrators_may_export_and_delete(world: World, anna: Session, method: str, address: str) -> None:
    boris = world.session("boris")

    response = world.browser.open(
        address,
        method=method,
        headers=boris,
        data={"domain": world.portal().domain} if method == "POST" else None,
    )

    assert response.status_code == 403
    assert "admin_only" in response.text
    assert counts(world)["people"] == 2


def test_a_deletion_overtaken_by_an_installation_deletes_nothing(each_world: World) -> None:
    anna = each_world.session("anna")

    def install_again() -> None:
        each_world.services.installations.uninstall(each_world.known())
        each_world.install()

    each_world.before_next_write(install_again)

    forget(each_world, anna)

    assert each_world.one("SELECT generation FROM portals") == 2
    assert each_world.one("SELECT count(*) FROM people") == 1


# What is too much for one request


@pytest.fixture
def large(each_world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return Alpha with more people than a request may delete: it has time for one batch of each table."""
    monkeypatch.setattr(database, "DELETE_BATCH_ROWS", 5)
    monkeypatch.setattr(deletion, "MAX_REQUEST_SECONDS", 0.0)
    each_world.open("boris")
    store_people(each_world, *({} for _ in range(20)))
    return each_world


def finish(world: World) -> None:
    """Do what the worker does every minute."""
    world.services.periodic_tasks.run(deletion.TASK)


def test_a_large_deletion_hides_everything_at_once_and_ends_later(large: World) -> None:
    anna = in_english(large)

    page = large.browser.post("/admin/forget", data={"domain": large.portal().domain}, headers=anna)

    assert (page.status_code, 'data-forgotten="under_way"' in page.text) == (200, True)
    assert large.one("SELECT count(*) FROM people") > 10
    assert large.browser.get("/me", headers=anna).status_code == 401
    assert large.one("SELECT portal_id FROM buckets") == large.known().id
    again = in_english(large)
    assert [person["user_id"] for person in exported(large, again)["people"]] == [1]
    assert len(large.app.test_cli_runner().invoke(args=["portals", "list"]).output.splitlines()) == 2
    gauges = DatabaseGauges(large.database, large.services.readiness, large.now).collect()
    assert [[sample.value for sample in gauge.samples] for gauge in gauges if gauge.name == "dashboard_portals"] == [
        [1, 0, 0]
    ]
    finish(large)
    assert large.one("SELECT count(*) FROM people") == large.one("SELECT count(*) FROM portals") == 1
    assert large.one("SELECT count(*) FROM buckets") == 1
    assert [person["user_id"] for person in exported(large, again)["people"]] == [1]


def test_a_portal_is_installed_again_while_a_large_uninstallation_ends(large: World) -> None:
    large.portal().uninstall()
    large.portal().deliver_events()
    assert (large.known().state, large.one("SELECT count(*) FROM people") > 10) == ("uninstalled", True)

    assert large.install().status_code == 200
    anna = in_english(large)
    finish(large)

    assert large.rows("SELECT user_id, portal_id FROM people") == [{"user_id": 1, "portal_id": large.known().id}]
    assert (large.known().state, large.known().generation) == ("active", 2)
    assert large.browser.get("/me", headers=anna).status_code == 200
    for table in ("chains", "snapshots"):
        assert large.one(f"SELECT count(*) FROM {table}") == 1


def test_an_export_breaks_off_when_a_large_deletion_begins(large: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (personal_data, listing):
        monkeypatch.setattr(module, "BATCH_ROWS", 1)
    portal = large.known()
    values = {"portal_id": portal.id, "generation": portal.generation}
    times = dict.fromkeys(("created_at", "next_slice_at", "finished_at"), large.now())
    with large.database.write_session() as session:
        session.add_all(Run(**values, **times) for _ in range(20))
        session.add_all(Department(portal_id=portal.id, department_id=n, name="", sort=1) for n in range(1, 9))
    runs = list(personal_data.export_lists(large.database, portal)["runs"])
    assert len(runs) == large.one("SELECT count(*) FROM runs")
    lists = personal_data.export_lists(large.database, portal)
    exports: list[Iterator[object]] = [
        *(lists[name] for name in ("departments", "runs", "people")),
        iter(listing.all_rows(large.database, portal, NO_FILTER, Arrangement(), TeamReader(large.now()))),
    ]
    for export in exports:
        next(export)

    personal_data.delete_all(large.database, portal)

    assert large.one(f"SELECT count(*) FROM runs WHERE portal_id = {portal.id}") > 5
    for export in exports:
        with pytest.raises(InstallationEnded):
            next(export)
    with pytest.raises(InstallationEnded):
        personal_data.export_lists(large.database, portal)


@pytest.mark.parametrize("path", ["/admin/export.json", "/team.json", "/team.csv"])
def test_a_download_is_cut_off_by_an_uninstallation(
    each_world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    for module in (personal_data, listing):
        monkeypatch.setattr(module, "BATCH_ROWS", 1)
    store_people(each_world, {}, {})
    chunks = each_world.browser.get(path, headers=in_english(each_world)).iter_encoded()
    body = next(chunks)

    each_world.services.installations.uninstall(each_world.known())
    with pytest.raises(ConnectionResetError):
        for chunk in chunks:
            body += chunk

    assert not body.endswith((b"]\n", b"}\n"))
    (line,) = [record.msg for record in caplog.records if "download_cut_off" in str(record.msg)]
    assert isinstance(line, dict)
    assert line["reason"] == "installation_ended"


@pytest.mark.parametrize("path", ["/admin/export.json", "/team.json", "/team.csv", "/team.xlsx"])
def test_a_download_does_not_begin_after_a_deletion(
    world: World, anna: Session, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Delete after the session was checked."""
    queue: PerKeyQueue = world.app.extensions["services"].portal_queue
    hold = queue.hold

    def hold_after_deletion(member_id: Hashable) -> AbstractContextManager[None]:
        personal_data.delete_all(world.database, world.known())
        return hold(member_id)

    monkeypatch.setattr(queue, "hold", hold_after_deletion)
    response = world.browser.get(path, headers=anna)

    assert (response.status_code, response.json) == (401, {"error": "session_invalid"})


def test_a_client_sees_that_an_export_is_not_complete(world: World, anna: Session, tmp_path: Path) -> None:
    # More than the buffers of a connection hold.
    store_people(world, *({"position": "x" * 20_000} for _ in range(600)))
    port, log, body = free_port(), tmp_path / "log", b""
    with log.open("wb") as stderr:
        process = serve(world.environment | {"LOG_FORMAT": "json"}, port, stderr=stderr)
    try:
        wait_for(f"http://127.0.0.1:{port}")
        address = f"http://127.0.0.1:{port}/admin/export.json"
        with requests.get(address, headers=anna, timeout=HANG_SECONDS, stream=True) as response:
            personal_data.delete_all(world.database, world.known())
            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                for chunk in response.iter_content(64 * 1024):
                    body += chunk
    finally:
        kill(process)

    assert response.status_code == 200
    assert body
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    lines = log.read_text()
    assert (lines.count("download_cut_off"), lines.count("Traceback")) == (1, 0)


def test_a_deletion_that_loses_the_database_is_not_repeated(large: World) -> None:
    """The new row is stored; what could not be deleted is deleted later."""
    portal = large.known()

    def lose() -> None:
        raise OperationalError("DELETE", None, ConnectionError())

    large.before_next_write(lose, after=1)

    assert personal_data.delete_all(large.database, portal) is DeletionResult.IN_PROGRESS
    finish(large)
    assert counts_of_everybody(large) == [0, 1]


def counts_of_everybody(world: World) -> list[int]:
    return [world.one(f"SELECT count(*) FROM {table}") for table in ("people", "portals")]


def test_the_command_deletes_a_large_portal_to_the_end(large: World) -> None:
    runner = large.app.test_cli_runner()

    result = runner.invoke(args=["portals", "forget", large.portal().member_id, "--yes"])

    assert (result.output, counts_of_everybody(large)) == ("Deleted.\n", [0, 1])

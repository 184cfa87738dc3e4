"""Confirm permissions with Bitrix24 while a page stays open."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta

import pytest
from sqlalchemy import select, text, update
from werkzeug.test import TestResponse

from app import create_app
from dashboard.models import Person
from dashboard.people import permission_checks
from dashboard.people.accounts import Accounts
from dashboard.people.permission_checks import CONFIRMATION_LIFETIME, FORCED_CONFIRMATION_LIMIT, MAX_UNCONFIRMED_AGE
from dashboard.tokens.store import TokenStore
from tests.emulator.faults import Fault
from tests.world import World, errors_on

Session = dict[str, str]
Lose = Callable[[World], None]

# What exports, deletes, or decides for everyone.
CONFIRMED = [
    ("GET", "/team.csv"),
    ("GET", "/team.json"),
    ("GET", "/team.xlsx"),
    ("GET", "/admin/export.json"),
    ("POST", "/admin/team"),
    ("POST", "/admin/forget"),
]
LONG = CONFIRMATION_LIFETIME + timedelta(seconds=1)


def ask(world: World, route: tuple[str, str], session: Session) -> TestResponse:
    method, path = route
    form = {"who": "everyone", "domain": world.portal().domain} if method == "POST" else None
    return world.browser.open(path, method=method, headers=session, data=form)


def allow_nobody(world: World) -> None:
    with world.database.write_session() as session:
        session.execute(text("UPDATE portals SET team_open = :no"), {"no": False})


def later(world: World, passed: timedelta = LONG) -> None:
    world.bitrix24.clock.advance(passed.total_seconds())


@pytest.fixture
def anna(world: World) -> Session:
    """Return the session of Anna, Alpha's administrator; its user list has been read."""
    session = world.session("anna")
    world.sync()
    world.bitrix24.clear()
    return session


@pytest.fixture
def boris(world: World, anna: Session) -> Session:
    """Return the session of Boris, who may see the team."""
    with world.database.write_session() as session:
        session.execute(text("UPDATE portals SET team_open = :yes"), {"yes": True})
    return world.session("boris")


def test_each_export_and_deletion_asks_bitrix24(world: World, anna: Session) -> None:
    for route in CONFIRMED:
        world.bitrix24.clear()
        assert ask(world, route, anna).status_code == 200, route

        assert [request.method for request in world.bitrix24.requests] == ["profile"], route


@pytest.mark.parametrize("seconds_ahead", [0, 50])
@pytest.mark.parametrize("route", CONFIRMED)
def test_a_demoted_administrator_exports_and_deletes_nothing(
    world: World, anna: Session, route: tuple[str, str], seconds_ahead: int
) -> None:
    """Immediately, on an open page with a valid session, even if a machine whose clock is ahead has confirmed it."""
    ahead_at = world.now() + timedelta(seconds=seconds_ahead)
    with world.database.write_session() as session:
        session.execute(update(Person).where(Person.id == 1).values(confirmed_at=ahead_at))
    world.portal().people["anna"].admin = False

    answer = ask(world, route, anna)

    assert answer.status_code == 403
    assert "Boris" not in answer.text
    assert world.one("SELECT count(*) FROM people") > 1
    assert not world.one("SELECT team_open FROM portals")
    assert world.browser.get("/admin", headers=anna).status_code == 403


@pytest.mark.parametrize(
    ("kind", "status"), [("reset", 502), ("html:500", 502), ("error:QUERY_LIMIT_EXCEEDED:503", 503)]
)
def test_nothing_is_exported_or_deleted_while_bitrix24_is_unreachable(
    world: World, anna: Session, kind: str, status: int
) -> None:
    people = world.one("SELECT count(*) FROM people")
    for route in CONFIRMED:
        world.bitrix24.faults.add(Fault(kind=kind, times=None))

        answer = ask(world, route, anna)

        assert answer.status_code == status, route
        assert errors_on(answer.text), route
        assert world.one("SELECT count(*) FROM people") == people, route
        assert not world.one("SELECT team_open FROM portals"), route
        world.bitrix24.faults.clear()
        assert ask(world, route, anna).status_code == 200, route
        allow_nobody(world)


@pytest.mark.usefixtures("frozen_clock")
def test_confirmations_are_limited(world: World, anna: Session) -> None:
    world.bitrix24.clock.advance(-3600)  # the wait goes by the application's clock, not by the machine's
    subject = f"forced confirmations {world.known().member_id} 1"
    for _ in range(FORCED_CONFIRMATION_LIMIT.depth):
        world.services.throttle.take(subject, FORCED_CONFIRMATION_LIMIT, code="too_many")

    answer = world.browser.get("/team.csv", headers=anna)

    assert (answer.status_code, errors_on(answer.text)) == (503, ["too_many_confirmations"])
    assert 1 < int(answer.headers["Retry-After"]) <= FORCED_CONFIRMATION_LIMIT.depth * FORCED_CONFIRMATION_LIMIT.seconds
    assert world.bitrix24.requests == []


def test_pages_ask_once_within_some_minutes(world: World, anna: Session) -> None:
    """After an opening, which has just asked, they do not ask."""
    world.session("anna")
    world.bitrix24.clear()
    paths = ("/team", "/admin", "/insights", "/team/sync", "/admin/calls") * 2
    assert {world.browser.get(path, headers=anna).status_code for path in paths} == {200}
    assert world.bitrix24.requests == []

    later(world)

    assert {world.browser.get(path, headers=anna).status_code for path in paths} == {200}
    assert [request.method for request in world.bitrix24.requests] == ["profile"]


@pytest.mark.parametrize("passed", [LONG, MAX_UNCONFIRMED_AGE + LONG])
def test_simultaneous_requests_ask_once(each_world: World, passed: timedelta) -> None:
    """The others go by the older answer, and wait for the new one if that is too old."""
    anna = each_world.session("anna")
    later(each_world, passed)
    each_world.bitrix24.latency = 0.3
    clients = [create_app(each_world.config, database=each_world.database, now=each_world.now) for _ in range(6)]
    each_world.bitrix24.clear()

    with ThreadPoolExecutor(6) as pool:
        answers = pool.map(lambda app: app.test_client().get("/team", headers=anna).status_code, clients)

    assert list(answers) == [200] * 6
    assert each_world.bitrix24.count(method="profile") == 1


def test_few_threads_wait_for_an_answer_that_does_not_come(world: World, anna: Session) -> None:
    later(world, MAX_UNCONFIRMED_AGE + LONG)
    world.bitrix24.faults.add(Fault(kind="html:500", times=None))
    assert world.browser.get("/team", headers=anna).status_code == 502
    waiting = world.app.extensions["services"].permissions.waiting

    with ExitStack() as waiters:
        assert all(waiters.enter_context(waiting.try_acquire()) for _ in range(waiting.limit))
        began = time.monotonic()
        assert world.browser.get("/team", headers=anna).status_code == 502

    assert time.monotonic() - began < permission_checks.MAX_CONFIRMATION_WAIT_SECONDS


def test_a_demoted_administrator_loses_the_pages_within_minutes(world: World, anna: Session) -> None:
    world.portal().people["anna"].admin = False
    later(world)

    for path in ("/admin", "/admin/calls", "/team", "/insights", "/team/sync", "/admin/forget"):
        assert (path, world.browser.get(path, headers=anna).status_code) == (path, 403)
    assert world.browser.post("/team/sync", headers=anna).status_code == 403
    assert world.browser.get("/me", headers=anna).status_code == 200


def _dismiss(world: World) -> None:
    world.portal().dismiss("boris")


def _restrict(world: World) -> None:
    world.portal().restrict("boris")


def _revoke(world: World) -> None:
    world.portal().expire("boris")
    world.portal().kill_refresh("boris")


@pytest.mark.parametrize("lose", [_dismiss, _restrict, _revoke])
def test_a_person_without_access_loses_the_team_within_minutes(
    world: World, boris: Session, lose: Lose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permission_checks, "MAX_CONFIRMATION_WAIT_SECONDS", 0.1)
    assert world.browser.get("/team", headers=boris).status_code == 200
    lose(world)
    later(world)

    for _ in range(2):
        for path in ("/team", "/insights", "/team/sync", "/team.csv"):
            answer = world.browser.get(path, headers=boris)
            assert (path, answer.status_code) == (path, 403)
            assert "Keller" not in answer.text
    assert world.browser.get("/me", headers=boris).status_code == 200


@pytest.mark.parametrize("lose", [_restrict, _revoke])
def test_an_opening_restores_the_access(world: World, boris: Session, lose: Lose) -> None:
    lose(world)
    later(world)
    assert world.browser.get("/team", headers=boris).status_code == 403
    world.portal().people["boris"].restricted = False

    assert world.browser.get("/team", headers=world.session("boris")).status_code == 200


def test_a_run_revokes_the_access_of_a_dismissed_person(world: World, anna: Session) -> None:
    """Before the next sync of the user list, in which they still are."""
    assert world.browser.get("/admin", headers=anna).status_code == 200
    world.bitrix24.clock.advance(1)
    world.bitrix24.faults.add(Fault(kind="error:authorization_error:401", method="batch", person="anna", times=None))
    there = world.known()
    world.services.runs.request(there, by=None)
    with world.database.write_session() as session:
        session.execute(
            text("UPDATE runs SET directory_read = :yes, last = 9 WHERE finished_at IS NULL"), {"yes": True}
        )
    world.run_slice()

    assert world.one("SELECT problem FROM people WHERE user_id = 1") == "authorization_error"
    assert world.browser.get("/admin", headers=anna).status_code == 403


def test_pages_are_shown_for_a_while_when_bitrix24_is_unreachable(
    world: World, anna: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permission_checks, "MAX_CONFIRMATION_WAIT_SECONDS", 0.0)
    world.bitrix24.faults.add(Fault(kind="html:500", times=None))
    later(world)

    assert {world.browser.get("/team", headers=anna).status_code for _ in range(3)} == {200}
    assert world.bitrix24.count(method="profile") == 1  # one attempt in ten seconds, however many pages

    later(world, MAX_UNCONFIRMED_AGE)
    answers = [world.browser.get("/team", headers=anna) for _ in range(2)]
    assert [(answer.status_code, "Keller" in answer.text) for answer in answers] == [(502, False)] * 2
    world.bitrix24.faults.clear()
    later(world, timedelta(seconds=10))
    assert world.browser.get("/team", headers=anna).status_code == 200


def test_an_older_answer_does_not_replace_a_newer_one(world: World, anna: Session) -> None:
    """Of two simultaneous requests, the first gets its answer last; both go by the newer one."""
    services = world.services
    token_store = TokenStore(database=world.database, encryption=services.encryption, now=world.now)
    people = Accounts(database=world.database, token_store=token_store, throttle=services.throttle, now=world.now)
    asked_at = world.now()
    with world.database.read_session() as session:
        first = session.scalars(select(Person).where(Person.user_id == 1)).one()
    with world.database.read_session() as session:
        second = session.scalars(select(Person).where(Person.user_id == 1)).one()
    newer = asked_at + timedelta(seconds=2)
    people.save_confirmation(second, admin=False, asked_at=newer)

    people.save_confirmation(first, admin=True, asked_at=asked_at + timedelta(seconds=1))

    assert world.one("SELECT count(*) FROM people WHERE user_id = 1 AND is_admin") == 0
    assert (first.is_admin, first.confirmed_at) == (False, newer)


@pytest.mark.parametrize("is_admin", [True, False])
def test_a_confirmation_by_a_clock_that_was_ahead_is_replaced(world: World, anna: Session, is_admin: bool) -> None:
    """Of several pages at once, only one asks Bitrix24; the others read what it stored."""
    ahead_at = world.now() + timedelta(minutes=20)
    with world.database.write_session() as session:
        session.execute(update(Person).where(Person.id == 1).values(confirmed_at=ahead_at))
    world.portal().people["anna"].admin = is_admin

    answers = [world.browser.get("/admin", headers=anna).status_code for _ in range(3)]

    assert answers == [200 if is_admin else 403] * 3
    with world.database.read_session() as session:
        confirmed_at = session.scalar(select(Person.confirmed_at).where(Person.id == 1))
    assert confirmed_at is not None
    assert confirmed_at < world.now() + timedelta(seconds=1)

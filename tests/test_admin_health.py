"""Admin: permissions, bindings, updates and connections."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import text

from tests.emulator.faults import Fault
from tests.team_fixtures import NEVER_OPENED, Session, days_ago, in_english, store_people, text_of
from tests.world import World


@pytest.fixture
def anna(world: World) -> Session:
    return in_english(world)


def page(world: World, session: Session) -> str:
    response = world.browser.get("/admin", headers=session)
    assert response.status_code == 200
    return response.text


def checks(shown: str) -> dict[str, str]:
    return dict(re.findall(r'data-check="(\w+)" data-state="(\w+)"', shown))


NEEDED = ("calendar", "user_brief", "placement", "events", "CALENDAR_GRIDVIEW", "REST_APP_URI")


def test_everything_is_ok_after_the_installation(each_world: World) -> None:
    shown = page(each_world, in_english(each_world))

    assert checks(shown) == dict.fromkeys(NEEDED, "ok")
    assert "Everything checked is OK." in shown
    assert "· Free" in shown
    assert re.search(r"checked at \d\d:\d\d", shown)


def test_the_page_sends_no_request(world: World, anna: Session) -> None:
    before = len(world.bitrix24.requests)

    page(world, anna)

    assert len(world.bitrix24.requests) == before


def test_a_missing_permission_is_named_with_advice(world: World) -> None:
    world.portal().drop_scope("placement")
    world.bitrix24.clock.advance(timedelta(days=1, minutes=1).total_seconds())

    shown = page(world, in_english(world))

    assert checks(shown)["placement"] == "missing"
    assert checks(shown)["CALENDAR_GRIDVIEW"] == "missing"
    assert checks(shown)["calendar"] == "ok"
    assert "Open the app in the Market and confirm its permissions." in shown


def test_a_wider_permission_is_enough(world: World, anna: Session) -> None:
    with world.database.write_session() as session:
        session.execute(text("""UPDATE portals SET scopes = '["calendar", "placement", "user"]'"""))

    assert checks(page(world, anna))["user_brief"] == "ok"


def test_a_refused_binding_shows_its_error_code(world: World) -> None:
    refused = Fault(kind="error:ERROR_PLACEMENT_NOT_FOUND:400", inner="placement.bind", times=2)
    world.bitrix24.faults.add(refused)
    world.install("beta")

    shown = page(world, in_english(world, "clara", "beta"))

    assert checks(shown)["REST_APP_URI"] == "missing"
    assert checks(shown)["events"] == "ok"
    assert "ERROR_PLACEMENT_NOT_FOUND" in shown


def test_an_unchecked_requirement_is_not_missing(world: World, anna: Session) -> None:
    with world.database.write_session() as session:
        session.execute(text("UPDATE portals SET scopes = NULL, unbound = NULL, bindings_at = NULL"))

    assert checks(page(world, anna)) == dict.fromkeys(NEEDED, "unknown")


def test_a_suspended_portal_says_so(world: World, anna: Session) -> None:
    with world.database.write_session() as session:
        session.execute(text("UPDATE portals SET state = 'suspended'"))

    assert checks(page(world, anna))["paid"] == "missing"


def test_runs_are_described_in_words(world: World, anna: Session) -> None:
    world.bitrix24.clock.advance(60)
    world.sync()
    world.bitrix24.clock.advance(60)
    world.browser.post("/team/sync", headers=anna)
    with world.database.write_session() as session:
        session.execute(text("UPDATE runs SET state = 'failed', error = 'PAYMENT_REQUIRED' WHERE asked_by IS NOT NULL"))

    shown = page(world, anna)

    last, first = text_of(shown, 'data-run-row="1"'), text_of(shown, 'data-run-row="2"')
    assert "Анна Орлова" in last
    assert "Failed The paid period has ended" in last
    assert "automatically" in first
    assert "Done" in first
    assert "1 of 1" in first
    assert "The next update is scheduled for" in text_of(shown, "data-next-run")


def test_only_the_last_five_runs_are_shown(world: World, anna: Session) -> None:
    for _ in range(7):
        world.bitrix24.clock.advance(60)
        world.sync()

    assert page(world, anna).count("data-run-row") == 5


def test_a_failed_directory_sync_shows_its_reason(world: World, anna: Session) -> None:
    world.sync()
    world.bitrix24.clock.advance(3600)
    world.portal().drop_scope("user_brief")
    world.sync()

    told = text_of(page(world, anna), "data-directory")

    assert "The list of employees couldn't be read: A permission is missing." in told
    assert "The list you see: updated at" in told


def test_people_by_state_link_to_the_team(world: World, anna: Session) -> None:
    store_people(world, days_ago(world, 4), {"chain_state": "reconnect"}, NEVER_OPENED, NEVER_OPENED)

    shown = page(world, anna)

    for state, count in {"connected": 1, "stale": 1, "reconnect": 1, "never": 2}.items():
        assert f" {count} " in text_of(shown, f'data-tally="{state}"')
        assert f'href="/team?state={state}"' in shown


def test_the_state_of_other_portals_is_hidden(world: World, anna: Session) -> None:
    world.install("beta")
    store_people(world, {"chain_state": "reconnect"}, portal="beta")
    with world.database.write_session() as session:
        session.execute(text("UPDATE portals SET scopes = '[]' WHERE id = 2"))

    shown = page(world, anna)

    assert checks(shown) == dict.fromkeys(NEEDED, "ok")
    assert " 0 " in text_of(shown, 'data-tally="reconnect"')

"""Admin: what is granted and bound, what was read, who is connected."""

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


def test_everything_is_in_order_after_the_installation(each_world: World) -> None:
    shown = page(each_world, in_english(each_world))

    assert checks(shown) == dict.fromkeys(NEEDED, "ok")
    assert "Everything checked is OK." in shown
    assert "· Free" in shown
    assert re.search(r"checked at \d\d:\d\d", shown)


def test_it_costs_no_request_of_its_own(world: World, anna: Session) -> None:
    before = len(world.bitrix24.requests)

    page(world, anna)

    assert len(world.bitrix24.requests) == before


def test_a_permission_that_is_gone_is_named_with_what_to_do(world: World) -> None:
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


def test_what_the_portal_would_not_bind_is_told_with_its_code(world: World) -> None:
    refused = Fault(kind="error:ERROR_PLACEMENT_NOT_FOUND:400", inner="placement.bind", times=2)
    world.bitrix24.faults.add(refused)
    world.install("beta")

    shown = page(world, in_english(world, "clara", "beta"))

    assert checks(shown)["REST_APP_URI"] == "missing"
    assert checks(shown)["events"] == "ok"
    assert "ERROR_PLACEMENT_NOT_FOUND" in shown


def test_what_nobody_has_looked_at_yet_is_not_called_missing(world: World, anna: Session) -> None:
    with world.database.write_session() as session:
        session.execute(text("UPDATE portals SET scopes = NULL, unbound = NULL, bindings_at = NULL"))

    assert checks(page(world, anna)) == dict.fromkeys(NEEDED, "unknown")


def test_a_suspended_portal_says_so(world: World, anna: Session) -> None:
    with world.database.write_session() as session:
        session.execute(text("UPDATE portals SET state = 'suspended'"))

    assert checks(page(world, anna))["paid"] == "missing"


def test_runs_are_told_in_words(world: World, anna: Session) -> None:
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


def test_a_list_that_could_not_be_read_says_why(world: World, anna: Session) -> None:
    world.sync()
    world.bitrix24.clock.advance(3600)
    world.portal().drop_scope("user_brief")
    world.sync()

    told = text_of(page(world, anna), "data-directory")

    assert "The list of employees couldn't be read: A permission is missing." in told
    assert "The list you see: updated at" in told


def test_people_are_counted_by_state_each_number_a_link(world: World, anna: Session) -> None:
    store_people(world, days_ago(world, 4), {"chain_state": "reconnect"}, NEVER_OPENED, NEVER_OPENED)

    shown = page(world, anna)

    for state, count in {"connected": 1, "stale": 1, "reconnect": 1, "never": 2}.items():
        assert f" {count} " in text_of(shown, f'data-tally="{state}"')
        assert f'href="/team?state={state}"' in shown


def test_one_portals_health_is_not_anothers(world: World, anna: Session) -> None:
    world.install("beta")
    store_people(world, {"chain_state": "reconnect"}, portal="beta")
    with world.database.write_session() as session:
        session.execute(text("UPDATE portals SET scopes = '[]' WHERE id = 2"))

    shown = page(world, anna)

    assert checks(shown) == dict.fromkeys(NEEDED, "ok")
    assert " 0 " in text_of(shown, 'data-tally="reconnect"')

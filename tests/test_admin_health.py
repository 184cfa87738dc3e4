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


def checks(html: str) -> dict[str, str]:
    return dict(re.findall(r'data-check="(\w+)" data-state="(\w+)"', html))


EVERYWHERE = ("CALENDAR_GRIDVIEW", "REST_APP_URI")
NEEDED = ("calendar", "user_brief", "placement", "events", *EVERYWHERE, "USER_PROFILE_TOOLBAR", "IM_SIDEBAR")


def test_everything_is_ok_after_the_installation(each_world: World) -> None:
    html = page(each_world, in_english(each_world))

    assert checks(html) == dict.fromkeys(NEEDED, "ok")
    assert "Everything checked is OK." in html
    assert "· Free" in html
    assert '<details class="fold" id="health">' in html
    assert html.index('id="who-sees"') < html.index('id="health"')
    assert re.search(r"checked at \d\d:\d\d", html)


def test_the_page_sends_no_request(world: World, anna: Session) -> None:
    before = len(world.bitrix24.requests)

    page(world, anna)

    assert len(world.bitrix24.requests) == before


def test_a_missing_permission_is_named_with_advice(world: World) -> None:
    world.portal().drop_scope("placement")
    world.bitrix24.clock.advance(timedelta(days=1, minutes=1).total_seconds())

    html = page(world, in_english(world))

    assert checks(html)["placement"] == "missing"
    assert checks(html)["CALENDAR_GRIDVIEW"] == "missing"
    assert "IM_SIDEBAR" not in checks(html)
    assert checks(html)["calendar"] == "ok"
    # A failed check unfolds its line and moves it to the top.
    assert '<details class="fold" id="health" open>' in html
    assert html.index('id="health"') < html.index('id="who-sees"')
    assert "Open the app in the Market and confirm its permissions." in html


def test_a_wider_permission_is_enough(world: World, anna: Session) -> None:
    with world.database.write_session() as session:
        session.execute(text("""UPDATE portals SET scopes = '["calendar", "placement", "user"]'"""))

    assert checks(page(world, anna))["user_brief"] == "ok"


def test_a_refused_binding_shows_its_error_code(world: World) -> None:
    refused = Fault(kind="error:ERROR_PLACEMENT_NOT_FOUND:400", inner="placement.bind", times=2)
    world.bitrix24.faults.add(refused)
    world.install("beta")

    html = page(world, in_english(world, "clara", "beta"))

    assert checks(html)["REST_APP_URI"] == "missing"
    assert checks(html)["events"] == "ok"
    assert "ERROR_PLACEMENT_NOT_FOUND" in html


def test_what_the_portal_does_not_offer_is_not_listed(world: World) -> None:
    world.install("beta")

    html = page(world, in_english(world, "clara", "beta"))

    assert list(checks(html)) == ["calendar", "user_brief", "placement", "events", *EVERYWHERE]
    assert "Everything checked is OK." in html


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

    html = page(world, anna)

    last, first = text_of(html, 'data-run-row="1"'), text_of(html, 'data-run-row="2"')
    assert "Анна Орлова" in last
    assert "Failed The paid period has ended" in last
    assert "automatically" in first
    assert "Done" in first
    assert "1 of 1" in first
    assert "The next update is scheduled for" in text_of(html, "data-next-run")


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

    text = text_of(page(world, anna), "data-directory")

    assert "The list of employees couldn't be read: A permission is missing." in text
    assert "The list you see: updated at" in text


def test_people_by_state_link_to_the_team(world: World, anna: Session) -> None:
    store_people(world, days_ago(world, 4), {"chain_state": "reconnect"}, NEVER_OPENED, NEVER_OPENED)

    html = page(world, anna)

    for state, count in {"connected": 1, "stale": 1, "reconnect": 1, "never": 2}.items():
        assert f" {count} " in text_of(html, f'data-tally="{state}"')
        assert f'href="/team?state={state}"' in html


def test_guests_are_apart_from_everyone_who_is_counted(world: World, anna: Session) -> None:
    world.open("otto")
    world.bitrix24.clock.advance(60)
    world.sync()

    html = page(world, anna)

    assert "1 guest is not counted." in text_of(html, "data-counting")
    counted = sum(int(count) for count in re.findall(r'data-tally="\w+".*?>(\d+)<', html, flags=re.DOTALL))
    assert f"of {counted} people are confirmed" in html
    assert f"{counted} people are stored" in text_of(html, 'id="data"')
    # Their settings are read all the same.
    assert world.rows("SELECT total, done, failed FROM runs") == [{"total": 1, "done": 1, "failed": 0}]


def test_before_the_list_is_read_employees_count_and_guests_do_not(world: World, anna: Session) -> None:
    world.open("boris")
    world.open("otto")

    html = page(world, anna)

    counting = text_of(html, "data-counting")
    assert "1 person opened the app but isn't in the list of employees yet, so they aren't counted." in counting
    assert "2 of 2 people are confirmed" in html


def test_the_state_of_other_portals_is_hidden(world: World, anna: Session) -> None:
    world.install("beta")
    store_people(world, {"chain_state": "reconnect"}, portal="beta")
    with world.database.write_session() as session:
        session.execute(text("UPDATE portals SET scopes = '[]' WHERE id = 2"))

    html = page(world, anna)

    assert checks(html) == dict.fromkeys(NEEDED, "ok")
    assert " 0 " in text_of(html, 'data-tally="reconnect"')

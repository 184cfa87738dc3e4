"""The history of settings: who sees whose, for how long it is kept, and where it goes."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.databases import on_sqlite
from tests.world import World


@pytest.fixture
def changed_world(each_world: World) -> World:
    """Return a world where Boris has changed his view."""
    session = each_world.session("boris")
    each_world.browser.post("/me/settings", headers=session, data={"view": "day"})
    each_world.sync()
    return each_world


def history_of(world: World, user_id: int, *, by: str, portal: str = "alpha") -> TestResponse:
    return world.browser.get(f"/team/{user_id}/history", headers=world.session(by, portal))


def allow(world: World, who: str) -> None:
    response = world.browser.post("/admin/team", headers=world.session("anna"), data={"who": who})
    assert response.status_code == 200


@on_sqlite
def test_a_person_sees_their_own_changes(changed_world: World) -> None:
    page = changed_world.browser.get("/me/history", headers=changed_world.session("boris")).text

    assert "Month" in page
    assert "edited here" in page
    assert 'data-change="1"' in page
    anna = changed_world.browser.get("/me/history", headers=changed_world.session("anna")).text
    assert "No changes have been seen yet." in anna


@on_sqlite
def test_administrators_see_what_colleagues_changed_and_cannot_undo_it(changed_world: World) -> None:
    page = history_of(changed_world, 7, by="anna").text

    assert "Boris Keller" in page
    assert "edited here" in page
    assert "data-change" not in page
    assert "/team/7/history" in changed_world.browser.get("/team", headers=changed_world.session("anna")).text


@on_sqlite
def test_administrators_see_the_latest_changes_of_all(changed_world: World) -> None:
    anna, boris = changed_world.session("anna"), changed_world.session("boris")
    recommended = {"view": "week", "showWeekNumbers": "Y", "showTasks": "N"}
    changed_world.browser.post("/admin/recommended", headers=anna, data=recommended)
    changed_world.browser.post("/me/adopt", headers=boris)
    for view in ("list", "month"):
        changed_world.browser.post("/me/settings", headers=anna, data={"view": view})

    card = changed_world.browser.get("/admin", headers=anna).text
    page = changed_world.browser.get("/admin/changes", headers=anna)

    assert card.count('class="changes__entry"') == 3
    assert re.search(r'href="/team/7/history".*3 settings adopted\.', card, re.DOTALL)
    assert 'href="/admin/changes"' in card
    assert page.text.count('class="changes__entry"') == 4
    assert page.text.count("Boris Keller") == 2
    assert "data-change=" not in card + page.text
    assert changed_world.browser.get("/admin/changes", headers=boris).status_code == 403


@on_sqlite
def test_others_see_it_only_if_they_see_the_team(changed_world: World) -> None:
    refused = history_of(changed_world, 1, by="boris")
    assert (refused.status_code, "data-error" in refused.text) == (403, True)

    allow(changed_world, "everyone")

    assert history_of(changed_world, 1, by="boris").status_code == 200


@on_sqlite
def test_nobody_sees_people_of_another_portal(changed_world: World) -> None:
    changed_world.install("beta")

    assert history_of(changed_world, 7, by="clara", portal="beta").status_code == 404
    assert history_of(changed_world, 999, by="anna").status_code == 404


def test_changes_are_kept_for_a_year(changed_world: World) -> None:
    tasks, clock = changed_world.services.periodic_tasks, changed_world.bitrix24.clock

    clock.advance(timedelta(days=364).total_seconds())
    tasks.purge()
    assert changed_world.one("SELECT COUNT(*) FROM setting_changes") == 1
    clock.advance(timedelta(days=2).total_seconds())
    tasks.purge()

    assert changed_world.one("SELECT COUNT(*) FROM setting_changes") == 0


@on_sqlite
def test_a_slow_clock_deletes_no_changes(changed_world: World) -> None:
    changed_world.bitrix24.clock.advance(timedelta(days=-2000).total_seconds())

    changed_world.services.periodic_tasks.purge()

    assert changed_world.one("SELECT COUNT(*) FROM setting_changes") == 1


@on_sqlite
def test_thousands_of_reminders_make_no_large_page(each_world: World) -> None:
    """Bitrix24 stores whatever a person sends, and one person's page must not slow down everyone's."""
    boris, session = each_world.portal().people["boris"], each_world.session("boris")
    boris.settings["defaultReminders"] = {"withTime": [1] * 2500, "fullDay": [2] * 2500}
    usual = len(each_world.browser.get("/me", headers=session).text)

    page = each_world.browser.post("/me/refresh", headers=session).text

    assert "2,490 more" in page
    assert "reminder-editor" not in page
    # The value itself is there once, for scripts.
    assert len(page) < usual + 20_000
    refused = each_world.browser.post("/me/settings", headers=session, data={"reminders.timed": "15min"})
    assert "Not saved." in refused.text
    assert len(boris.settings["defaultReminders"]["withTime"]) == 2500
    assert len(each_world.browser.get("/me/history", headers=session).text) < 20_000


@on_sqlite
def test_values_that_are_too_long_to_store_are_unknown(each_world: World) -> None:
    boris, session = each_world.portal().people["boris"], each_world.session("boris")
    many = [{"type": "min", "count": count} for count in range(60)]
    for reminders, view in (({"withTime": many}, "v" * 2000), ({"withTime": many[:59]}, "day"), ({}, "day")):
        boris.settings |= {"defaultReminders": reminders, "view": view}
        each_world.browser.post("/me/refresh", headers=session)

    page = each_world.browser.get("/me/history", headers=session).text

    lines = re.findall(r"<p>([^<]*)<span class=.changes__values(.*?)</p>", page, re.DOTALL)
    timed, all_day = "Reminders, events with a time", "Reminders, all-day events"
    assert [(title.strip(), *re.findall(r"<bdi>(.*?)</bdi>", text)) for title, text in lines] == [
        (timed, "Unknown", "None"),
        (all_day, "Unknown", "None"),
        (timed, "Unknown", "Unknown"),
        (all_day, "Unknown", "Unknown"),
        ("View", "Unknown", "Day"),
        (timed, "50 minutes before", "Unknown"),
        (all_day, "15 minutes before", "Unknown"),
        ("View", "Month", "Unknown"),
    ]


@on_sqlite
def test_changes_are_exported(changed_world: World) -> None:
    export = changed_world.browser.get("/admin/export.json", headers=changed_world.session("anna"))

    (change,) = json.loads(export.text)["setting_changes"]
    expected: dict[str, Any] = {"user_id": 7, "key": "view", "before": '"month"', "after": '"day"', "how": "edited"}
    assert {name: change[name] for name in expected} == expected


@pytest.mark.parametrize("way", ["person", "portal"])
def test_changes_are_deleted_with_the_person(changed_world: World, way: str) -> None:
    portal = changed_world.portal()
    if way == "person":
        portal.dismiss("boris")
        changed_world.sync()
    else:
        portal.uninstall(clean=True)
        portal.deliver_events()

    assert changed_world.one("SELECT COUNT(*) FROM setting_changes") == 0


def test_the_space_of_changes_is_counted(changed_world: World) -> None:
    before = changed_world.one("SELECT stored_bytes FROM portals")
    changed_world.browser.post("/me/settings", headers=changed_world.session("boris"), data={"view": "list"})
    counted = changed_world.one("SELECT stored_bytes FROM portals")

    changed_world.sync()

    assert before < counted == changed_world.one("SELECT stored_bytes FROM portals")

"""Recommended settings: who decides, who differs, and that both databases and *My settings* agree about it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from werkzeug.test import TestResponse

from dashboard.calendar.edits import InvalidEdit
from dashboard.calendar.encoding import encode_habits, encode_reminders
from dashboard.core.json_values import Json
from dashboard.models import Person
from dashboard.team import recommendations
from dashboard.team.recommendations import NO_RECOMMENDATION, parse_recommendation
from tests.databases import on_sqlite
from tests.emulator import Fault
from tests.team_fixtures import NEVER_OPENED, Session, open_to_everyone, store_people, text_of, users_on
from tests.test_encoding import read_settings
from tests.world import World, errors_on

FULL = {
    "view": "week",
    "collapseOffHours": "N",
    "showWeekNumbers": "Y",
    "showTasks": "Y",
    "showCompletedTasks": "N",
    "showDeclined": "1",
    "denyBusyInvitation": "0",
    "reminders.timed": "10min",
    "reminders.day": "0d@09:00,1d@18:00",
    "advice.hours": "9 to 18, please",
    "advice.zone": "Where you live",
}


@pytest.fixture
def anna(each_world: World) -> Session:
    return each_world.session("anna")


def recommend(world: World, session: Session, **fields: str) -> str:
    """Save recommended settings; "__" in a name is a dot."""
    form = {name.replace("__", "."): text for name, text in fields.items()}
    response = world.browser.post("/admin/recommended", data=form, headers=session)
    assert response.status_code == 200, response.text[:500]
    return response.text


def stored(world: World) -> tuple[Any, Any]:
    portal = world.known()
    return portal.recommended, portal.recommended_by


def changed_on(page: str) -> list[str]:
    match = re.search(r'data-changed="([^"]*)"', page)
    assert match, "the page names no changes"
    return match[1].split()


def numbers(page: str) -> dict[str, str]:
    """Return how many people differ in each recommended field, "" for advice."""
    found = re.findall(r'data-recommended="([^"]+)"(?: data-differ="(\d+)")?', page)
    return dict(found)


# Who decides


@on_sqlite
def test_an_administrator_recommends_settings_for_everyone(each_world: World, anna: Session) -> None:
    page = recommend(each_world, anna, **{name.replace(".", "__"): text for name, text in FULL.items()})

    values = {name: text for name, text in FULL.items() if not name.startswith("advice.")}
    advice = {name: text for name, text in FULL.items() if name.startswith("advice.")}
    assert stored(each_world) == ({"values": values, "advice": advice}, 1)
    assert list(numbers(page)) == list(FULL)
    assert text_of(page, 'data-recommended="reminders.day"').startswith(
        "Reminders, all-day events 09:00 on the day and 18:00 the day before"
    )
    assert text_of(page, "data-recommended-by").startswith("Decided by Анна Орлова at")


@on_sqlite
def test_each_decision_replaces_the_one_before(each_world: World, anna: Session) -> None:
    recommend(each_world, anna, view="week", showTasks="N", advice__zone="Home")

    recommend(each_world, anna, view="", showDeclined="0", reminders__timed="none")
    assert stored(each_world)[0] == {"values": {"showDeclined": "0", "reminders.timed": ""}, "advice": {}}

    assert "Nothing is recommended yet." in recommend(each_world, anna)
    assert stored(each_world) == (None, 1)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"view": "year"}, "view"),
        ({"showTasks": "1"}, "showTasks"),
        ({"showDeclined": "Y"}, "showDeclined"),
        ({"reminders.timed": "15 minutes"}, "reminders.timed"),
        ({"reminders.day": "date"}, "reminders.day"),
        ({"syncTasks": "Y"}, "syncTasks"),
        ({"syncTasks": ""}, "syncTasks"),
        ({"showTasks": "N", "showCompletedTasks": "Y"}, "showCompletedTasks"),
        ({"view": ["day", "week"]}, "view"),
        ({"advice.hours": "x" * 201}, "advice.hours"),
        ({"advice.zone": ["a", "b"]}, "advice.zone"),
    ],
)
def test_a_bad_field_is_named_and_changes_nothing(world: World, form: dict[str, Any], field: str) -> None:
    anna = world.session("anna")
    recommend(world, anna, view="week")

    response = world.browser.post("/admin/recommended", data={"showTasks": "Y", **form}, headers=anna)

    assert response.status_code == 400
    assert errors_on(response.text) == ["invalid_request"]
    assert field in response.text
    assert stored(world)[0] == {"values": {"view": "week"}, "advice": {}}


def test_only_administrators_decide(world: World) -> None:
    anna, boris = world.session("anna"), world.session("boris")
    recommend(world, anna, view="week")

    response = world.browser.post("/admin/recommended", data={"view": "day"}, headers=boris)

    assert response.status_code == 403
    assert errors_on(response.text) == ["admin_only"]
    assert stored(world)[0]["values"] == {"view": "week"}


def test_rights_are_confirmed_first(world: World) -> None:
    anna = world.session("anna")
    world.portal().people["anna"].admin = False

    assert world.browser.post("/admin/recommended", data={"view": "day"}, headers=anna).status_code == 403
    assert stored(world) == (None, None)


def test_a_decision_overtaken_by_an_uninstallation_is_lost(each_world: World, anna: Session) -> None:
    def decide() -> int:
        return each_world.browser.post("/admin/recommended", data={"view": "day"}, headers=anna).status_code

    last = each_world.writes_of(decide) - 1
    each_world.before_next_write(lambda: each_world.services.installations.uninstall(each_world.known()), after=last)

    assert decide() == 401

    each_world.install()
    assert stored(each_world) == (None, None)


def test_what_another_version_has_stored_is_left_out(world: World) -> None:
    portal = world.known()
    portal.recommended = {"values": {"view": "week", "theme": "dark", "showTasks": 7}, "advice": {"mood": "x"}}

    assert recommendations.recommendation_of(portal) == parse_recommendation([("view", "week")])
    portal.recommended = {"values": []}
    assert recommendations.recommendation_of(portal) == NO_RECOMMENDATION


# Who differs

USUAL = {"view": "week", "habits": "YNNNYNN timed:15min;day:0d@08:00", "reminders": "timed:15min;day:0d@08:00"}


@on_sqlite
def test_team_and_admin_count_and_find_who_differs(each_world: World, anna: Session) -> None:
    each_world.bitrix24.clock.advance(10)
    store_people(
        each_world,
        USUAL,
        USUAL | {"view": "month"},
        USUAL | {"view": "custom_7", "habits": "NNNNYNN timed:15min"},
        USUAL | {"reminders": "timed:15min,1hour", "chain_state": "reconnect"},
        USUAL | {"view": "", "habits": "-NNNYNN ", "reminders": ""},
        NEVER_OPENED | {"view": "", "habits": "", "reminders": ""},
    )  # fmt: skip

    page = recommend(each_world, anna, view="week", showTasks="Y", reminders__timed="15min", advice__zone="Home")

    # Anna has other reminders; she and five of the others have settings.
    assert numbers(page) == {"view": "2", "showTasks": "1", "reminders.timed": "2", "advice.zone": ""}
    assert "Differ, of 6" in page
    found = {
        name: sorted(users_on(each_world.browser.get(f"/team?differs={name}", headers=anna).text))
        for name in ("1", "view", "showTasks", "defaultReminders", "reminders.timed", "reminders.day", "crmSection")
    }
    assert found["view"] == [5002, 5003]
    assert found["showTasks"] == [5003]
    assert found["defaultReminders"] == found["reminders.timed"] == [1, 5004]
    assert found["1"] == [1, 5002, 5003, 5004]
    assert found["reminders.day"] == found["crmSection"] == []
    team = each_world.browser.get("/team", headers=anna).text
    assert text_of(team, 'data-keep="differs-1"') == "Differ from recommended 4"
    rows = each_world.browser.get("/team.json?differs=view", headers=anna).get_json()
    assert [row["user"] for row in rows["people"]] == [5002, 5003]


def test_without_recommended_settings_nobody_differs(world: World) -> None:
    anna = world.session("anna")

    team = world.browser.get("/team?differs=1", headers=anna).text

    assert users_on(team) == []
    assert "Differ from recommended" not in team


WORDS = ("15min", "1hour", "0d@08:00", "5min", "115min", "15")
LISTS = st.lists(st.sampled_from(WORDS[:5]), max_size=3)
TOGGLE = st.sampled_from(["Y", "N", True, False, "1", None, "odd"])
ENTRIES: dict[str, dict[str, Json]] = {
    "15min": {"type": "min", "count": 15},
    "115min": {"type": "min", "count": "115"},
    "5min": {"type": "min", "count": 5},
    "1hour": {"type": "hour", "count": 1},
    "0d@08:00": {"type": "daybefore", "before": 0, "time": 480},
}
HALF = (
    st.none() | LISTS.map(lambda words: [ENTRIES[word] for word in words]) | st.just({"type": "date", "value": "1.1"})
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "view": st.sampled_from(["week", "month", "custom_7", "", None, 5]),
        "showTasks": TOGGLE,
        "showDeclined": TOGGLE,
        "defaultReminders": st.none()
        | st.just("damaged")
        | st.fixed_dictionaries({}, optional={"withTime": HALF, "fullDay": HALF, "more": st.just(1)}),
    },
)
IN_OTHER_ORDERS: list[dict[str, Json]] = [
    {"defaultReminders": {"withTime": [ENTRIES[word] for word in words], "fullDay": ENTRIES["0d@08:00"]}}
    for words in (["1hour", "15min"], ["15min", "1hour"], ["115min", "1hour"], ["15min"], ["15min", "1hour", "5min"])
]
WANTED = st.fixed_dictionaries(
    {},
    optional={
        "view": st.sampled_from(["week", "month"]),
        "showTasks": st.sampled_from("YN"),
        "showDeclined": st.sampled_from("10"),
        "reminders.timed": LISTS.map(",".join).map(lambda text: text or "none"),
        "reminders.day": LISTS.map(",".join).map(lambda text: text or "none"),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(wanted={"reminders.timed": "15min,1hour", "reminders.day": "0d@08:00"}, people=IN_OTHER_ORDERS)
@given(wanted=WANTED, people=st.lists(SETTINGS, min_size=1, max_size=4))
def test_the_database_finds_whom_their_own_page_tells(
    each_world: World, wanted: dict[str, str], people: list[dict[str, Json]]
) -> None:
    recommendation = parse_recommendation(wanted.items())
    parsed = [read_settings(one) for one in people]
    with each_world.database.write_session() as session:
        session.execute(delete(Person))
    store_people(
        each_world,
        *(
            {"view": one.view, "habits": encode_habits(one), "reminders": encode_reminders(one.reminders)}
            for one in parsed
        ),
    )
    portal = each_world.known()
    with each_world.database.write_session() as session:
        portal = session.merge(portal)
        recommendations.store_recommendation(portal, recommendation, by=Person(user_id=1), at=each_world.now())

    with each_world.database.read_session() as session:
        counts = recommendations.count_differences(session, portal)

    differing = [recommendations.differing_fields(recommendation, one) for one in parsed]
    assert counts.differ == sum(map(bool, differing))
    for field, count in counts.by_field.items():
        assert count.differ == sum(field in fields for fields in differing), field
        assert count.differ + count.same + count.unknown == len(people)
    assert counts.by_field.keys() == recommendation.values.keys()


def test_reminders_are_compared_in_any_order(world: World) -> None:
    recommendation = parse_recommendation([("reminders.timed", "1hour,15min")])

    def differing(*words: str) -> tuple[str, ...]:
        value: Json = {"withTime": [ENTRIES[word] for word in words]}
        return recommendations.differing_fields(recommendation, read_settings({"defaultReminders": value}))

    assert differing("15min", "1hour") == differing("1hour", "15min") == ()
    assert differing("15min") == differing("15min", "1hour", "5min") == ("reminders.timed",)


def test_a_bad_field_is_an_error_of_its_own() -> None:
    with pytest.raises(InvalidEdit) as caught:
        parse_recommendation([("advice.hours", "two\nlines")])
    assert caught.value.field == "advice.hours"


# Insights


def differ_on(page: str) -> dict[str, int]:
    return {name: int(people) for name, people in re.findall(r'data-differ-from="([^"]+)" data-people="(\d+)"', page)}


@on_sqlite
def test_insights_count_who_differs_and_hide_small_groups(each_world: World, anna: Session) -> None:
    store_people(each_world, *[USUAL] * 20, *[USUAL | {"view": "month"}] * 6, *[USUAL | {"habits": "NNNNYNN "}] * 3)
    recommend(each_world, anna, view="week", showTasks="Y", reminders__timed="10min")
    open_to_everyone(each_world, "boris")

    def insights(session: Session) -> dict[str, int]:
        return differ_on(each_world.browser.get("/insights", headers=session).text)

    assert insights(each_world.session("anna")) == {"view": 7, "showTasks": 3, "reminders.timed": 31}
    # Three people are too few, and reminders are listed one by one above.
    assert insights(each_world.session("boris")) == {"view": 7}


# What a person does with it


def my_page(world: World, key: str = "boris") -> str:
    return world.browser.get("/me", headers=world.session(key)).text


def differing_on(page: str) -> list[str]:
    return re.findall(r'data-difference="([^"]+)"', page)


def adopt(world: World, session: Session, **form: Any) -> TestResponse:
    return world.browser.post("/me/adopt", data=form, headers=session)


def test_people_see_what_differs_from_their_first_opening_on(world: World) -> None:
    recommend(
        world, world.session("anna"), view="week", showTasks="Y", reminders__timed="10min", advice__hours="9 to 18 <b>"
    )

    first = world.open("boris").text

    assert 'data-first-open=""' in first
    assert differing_on(first) == ["view", "reminders.timed"]
    assert "2 settings differ from recommended" in first
    assert text_of(first, 'data-difference="view"').startswith("View now Month → recommended: Week Adopt")
    assert text_of(first, 'data-advice="advice.hours"') == "Working hours 9 to 18 &lt;b&gt; Open my calendar"
    assert "Adopt both" in first


@on_sqlite
def test_one_click_adopts_all_and_one_undo_takes_all_back(each_world: World, anna: Session) -> None:
    recommend(each_world, anna, view="week", showTasks="N", reminders__timed="10min", showDeclined="1")
    boris = each_world.session("boris")
    person = each_world.portal().people["boris"]
    person.settings |= {"showCompletedTasks": "Y"}
    before = dict(person.settings)

    response = adopt(each_world, boris)

    assert response.status_code == 200
    keys = {"view", "showTasks", "showCompletedTasks", "defaultReminders"}  # he shows declined events already
    assert set(changed_on(response.text)) == keys
    reminders = {"fullDay": before["defaultReminders"]["fullDay"], "withTime": [{"type": "min", "count": 10}]}
    adopted = {"view": "week", "showTasks": "N", "showCompletedTasks": "N", "defaultReminders": reminders}
    assert person.settings == before | adopted
    assert text_of(response.text, "data-adopted").startswith("4 settings adopted. Undo")
    rows = each_world.rows("SELECT how, change_set FROM setting_changes WHERE change_set IS NOT NULL")
    assert {row["how"] for row in rows} == {"adopted"}
    assert len({row["change_set"] for row in rows}) == 1

    change = re.search(r'name="change" value="(\d+)"', response.text)
    assert change
    undone = each_world.browser.post("/me/undo", data={"change": change[1]}, headers=boris)

    assert set(changed_on(undone.text)) == keys
    assert person.settings == before
    assert differing_on(undone.text) == ["view", "showTasks", "reminders.timed"]


@pytest.mark.parametrize(
    ("names", "adopted"),
    [
        (["view"], {"view"}),
        (["defaultReminders"], {"defaultReminders"}),
        (["reminders.timed", "view"], {"view", "defaultReminders"}),
        (["showTasks"], set()),  # it is on already
        (["crmSection"], None),
        (["view", ""], None),
    ],
)
def test_named_settings_alone_are_adopted(world: World, names: list[str], adopted: set[str] | None) -> None:
    recommend(world, world.session("anna"), view="week", showTasks="Y", reminders__timed="10min")
    before = world.portal().people["boris"].settings

    response = adopt(world, world.session("boris"), key=names)

    after = world.portal().people["boris"].settings
    assert {key for key in after if after[key] != before[key]} == (adopted or set())
    assert response.status_code == (400 if adopted is None else 200)
    if adopted is None:
        assert errors_on(response.text) == ["invalid_request"]
        assert "key" in response.text


def test_values_that_the_page_has_not_shown_are_not_adopted(world: World) -> None:
    anna, boris = world.session("anna"), world.session("boris")
    recommend(world, anna, view="week")
    shown = re.search(r'name="decided_at" value="([^"]+)"', my_page(world))
    assert shown
    world.bitrix24.clock.advance(1)
    recommend(world, anna, view="day")

    response = adopt(world, boris, key="view", decided_at=shown[1])

    assert response.status_code == 409
    assert errors_on(response.text) == ["recommendation_changed"]
    assert world.portal().people["boris"].settings["view"] == "month"
    assert "→ recommended: Day" in text_of(response.text, 'data-difference="view"')

    recommend(world, anna)
    assert adopt(world, boris).status_code == 200
    assert world.bitrix24.world.log.writes() == []


def test_whoever_differs_in_nothing_sees_one_quiet_line(world: World) -> None:
    anna = world.session("anna")
    assert "recommended" not in my_page(world)

    recommend(world, anna, view="month")

    assert text_of(my_page(world), 'data-differs="0"') == "Your settings are as recommended."
    assert "Adopt" not in my_page(world)


def test_a_failed_adoption_leaves_everything_as_it_was(world: World) -> None:
    recommend(world, world.session("anna"), view="week", showTasks="N")
    boris = world.session("boris")
    before = world.portal().people["boris"].settings
    world.bitrix24.faults.add(Fault("html:502", method="calendar.user.settings.get", times=3))

    response = adopt(world, boris)

    assert response.status_code == 502
    assert world.portal().people["boris"].settings == before
    assert differing_on(response.text) == ["view", "showTasks"]


def test_whoever_must_reconnect_sees_differences_without_buttons(world: World) -> None:
    recommend(world, world.session("anna"), view="week")
    boris = world.session("boris")
    world.portal().expire("boris")
    world.portal().kill_refresh("boris")
    world.browser.post("/me/refresh", headers=boris)

    page = world.browser.get("/me", headers=boris).text

    assert differing_on(page) == ["view"]
    assert "/me/adopt" not in page

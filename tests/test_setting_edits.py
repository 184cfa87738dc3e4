"""Changes of one's own settings, from the form to the portal and back, with everything that may go wrong between."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from dashboard.bitrix24.errors import OwnLimit
from dashboard.calendar.edits import EDITABLE_KEYS
from dashboard.models import Person as Account
from dashboard.people import settings_lease, settings_writer
from tests.emulator import Fault, user_settings
from tests.emulator.people import Person
from tests.team_fixtures import text_of
from tests.waiting import HANG_SECONDS, wait_until
from tests.world import World, errors_on, session_token, settings_on

GET, SET = "calendar.user.settings.get", "calendar.user.settings.set"
PAYLOADS = json.loads((Path(__file__).parent / "payloads.json").read_text(encoding="utf-8"))
APPLICATION = Path(__file__).parent.parent / "dashboard"


class Me:
    """Boris at his own page."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.headers = {"Authorization": f"Bearer {session_token(world.open('boris'))}"}
        world.bitrix24.clear()

    @property
    def stored(self) -> dict[str, Any]:
        """Return what the portal has stored."""
        return self.world.portal().people["boris"].settings

    def post(self, path: str, **form: str) -> TestResponse:
        """Post a form; a name's underscores are dots, as in reminders.timed."""
        fields = {name.replace("_", "."): value for name, value in form.items()}
        return self.world.browser.post(path, headers=self.headers, data=fields)

    def edit(self, **form: str) -> TestResponse:
        return self.post("/me/settings", **form)

    def calls(self) -> list[str]:
        """Return the methods that the portal was asked since the page was opened."""
        return [record.method for record in self.world.bitrix24.requests if record.where == "portal"]

    def changes(self) -> list[tuple[str, str, Any, Any]]:
        """Return the history, the oldest first."""
        rows = self.world.rows("SELECT * FROM setting_changes ORDER BY id")
        return [(row["key"], row["how"], json.loads(row["before"]), json.loads(row["after"])) for row in rows]


@pytest.fixture
def me(each_world: World) -> Me:
    return Me(each_world)


@pytest.fixture
def mine(world: World) -> Me:
    """Give what is the same on both databases."""
    return Me(world)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Give what the portal is asked to store, as it arrives."""
    values: list[Any] = []
    store = user_settings.write

    def write(person: Person, wanted: object) -> None:
        values.append(wanted)
        store(person, wanted)

    monkeypatch.setattr(user_settings, "write", write)
    return values


def marks(response: TestResponse) -> tuple[str, str]:
    """Return the keys that an answer names as changed and as not changed."""
    (changed,) = re.findall(r'data-changed="([^"]*)"', response.text)
    (unchanged,) = re.findall(r'data-unchanged="([^"]*)"', response.text)
    return changed, unchanged


def undo_id(response: TestResponse) -> str:
    """Return the id of the newest change that can be undone."""
    return str(max(map(int, re.findall(r'data-change="(\d+)"', response.text))))


class Killed(BaseException):
    """The process ends here."""


def kill(*_arguments: object, **_keywords: object) -> None:
    raise Killed


def after_writing(world: World, action: Callable[[], object]) -> None:
    """Do something right after the next change was written."""

    def change(body: dict[str, Any]) -> dict[str, Any]:
        action()
        return body

    world.bitrix24.faults.add(Fault("answer", method=SET, change=change))


def test_a_change_that_another_reading_records_first_can_be_undone(me: Me) -> None:
    """Another tab opens while the first waits for the answer of its change."""
    slow = me.world.bitrix24.faults.add(Fault("hold", method=SET))
    with ThreadPoolExecutor(1) as pool:
        edit = pool.submit(me.edit, view="day")
        wait_until(lambda: me.stored["view"] == "day")
        me.world.bitrix24.clock.advance(1)
        me.world.open("boris")
        slow.released.set()
        response = edit.result(timeout=HANG_SECONDS)

    assert 'data-changed="view"' in response.text
    assert me.changes() == [("view", "edited", "month", "day")]
    assert me.post("/me/undo", change=str(me.world.one("SELECT id FROM setting_changes"))).status_code == 200
    assert me.stored["view"] == "month"


def test_a_change_that_cannot_be_stored_is_not_denied(mine: Me) -> None:
    """Bitrix24 has the new value, so the page must not say that nothing was changed."""

    def fail() -> None:
        raise OperationalError("BEGIN", None, Exception())

    mine.world.before_next_write(fail, after=3)
    response = mine.edit(view="day")

    assert mine.stored["view"] == "day"
    assert response.status_code == 502
    assert "may have been saved" in response.text


@pytest.mark.parametrize("reads", ["person", "run", "change"])
def test_a_change_whose_process_was_killed_is_still_the_persons_own(
    me: Me, monkeypatch: pytest.MonkeyPatch, reads: str
) -> None:
    """Whoever reads the settings next finds what was about to be written, so it can be undone."""
    with monkeypatch.context() as patch:
        patch.setattr(settings_writer, "save_result", kill)
        patch.setattr(settings_lease.HeldLease, "release", lambda _lease: None)
        with pytest.raises(Killed):
            me.edit(view="day", showTasks="N")
    me.world.bitrix24.clock.advance(3600)

    if reads == "person":
        me.post("/me/refresh")
    elif reads == "run":
        me.world.sync()
    else:
        assert marks(me.edit(view="day")) == ("", "")

    expected = [("view", "edited", "month", "day"), ("showTasks", "edited", "Y", "N")]
    assert me.changes() == expected
    me.post("/me/undo", change=str(me.world.one("SELECT min(id) FROM setting_changes")))
    assert (me.stored["view"], me.stored["showTasks"]) == ("month", "Y")


def test_what_was_never_sent_is_not_taken_for_a_later_change(mine: Me, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(settings_writer, "_set", kill)
        with pytest.raises(Killed):
            mine.edit(view="day")
    mine.world.bitrix24.clock.advance(3600)
    mine.post("/me/refresh")
    mine.stored["view"] = "day"
    mine.world.bitrix24.clock.advance(3600)

    mine.post("/me/refresh")

    assert mine.changes() == [("view", "synced", "month", "day")]


@pytest.mark.parametrize("nested", ["defaultSections", "defaultReminders"])
def test_nothing_is_written_that_would_make_all_settings_unreadable(mine: Me, nested: str) -> None:
    """Bitrix24 stores what it reads: null in place of the text "null", which it cannot decode afterwards."""
    mine.stored[nested] = None

    response = mine.edit(view="day")

    assert mine.calls() == [GET]
    assert 'data-unchanged="view"' in response.text
    assert mine.stored["view"] == "month"


def test_a_change_is_read_written_and_read_again(me: Me, written: list[Any]) -> None:
    before = deepcopy(me.stored)

    response = me.edit(showWeekNumbers="Y", reminders_timed="15min,1hour")

    assert (response.status_code, marks(response)) == (200, ("showWeekNumbers defaultReminders", ""))
    assert me.calls() == [GET, SET, GET]
    (values,) = written
    assert values == {
        "showWeekNumbers": "Y",
        "defaultReminders": {
            "fullDay": before["defaultReminders"]["fullDay"],
            "withTime": [{"type": "min", "count": 15}, {"type": "hour", "count": 1}],
        },
    }
    assert settings_on(response.text) == me.stored == before | values
    assert [(key, how) for key, how, _before, _after in me.changes()] == [
        ("showWeekNumbers", "edited"),
        ("defaultReminders", "edited"),
    ]


def test_equal_values_are_not_written(mine: Me) -> None:
    response = mine.edit(view=mine.stored["view"], showTasks="Y")

    assert marks(response) == ("", "")
    assert mine.calls() == [GET]
    assert mine.changes() == []


@pytest.mark.parametrize(
    ("form", "field"),
    [({"view": "year"}, "view"), ({"syncTasks": "Y"}, "syncTasks"), ({"settings": "false"}, "settings"), ({}, "body"),
     ({"reminders.timed": "date"}, "reminders.timed")],
)  # fmt: skip
def test_a_malformed_change_is_refused_by_field(mine: Me, form: dict[str, str], field: str) -> None:
    response = mine.post("/me/settings", **form)

    assert response.status_code == 400
    assert f"The field {field} has" in response.text
    assert SET not in mine.calls()


def test_completed_tasks_are_not_shown_without_tasks(mine: Me) -> None:
    mine.stored["showTasks"] = "N"

    response = mine.edit(showCompletedTasks="Y")

    assert (response.status_code, marks(response)) == (200, ("", "showCompletedTasks"))
    assert SET not in mine.calls()


def test_a_lost_answer_does_not_hide_that_it_was_saved(mine: Me) -> None:
    mine.world.bitrix24.faults.lose_answer(SET)

    response = mine.edit(showDeclined="0" if mine.stored["showDeclined"] else "1")

    assert (response.status_code, marks(response)) == (200, ("showDeclined", ""))
    assert mine.calls().count(SET) == 1
    assert len(mine.changes()) == 1
    assert settings_on(response.text) == mine.stored


def test_a_request_that_does_not_arrive_is_told(mine: Me) -> None:
    before = deepcopy(mine.stored)
    mine.world.bitrix24.faults.add(Fault("reset", method=SET))

    response = mine.edit(view="day")

    assert (response.status_code, marks(response)) == (502, ("", "view"))
    assert len(errors_on(response.text)) == 1
    assert "Not saved. Bitrix24 didn&#39;t answer." in response.text
    assert settings_on(response.text) == mine.stored == before
    assert mine.changes() == []


def test_a_refusal_is_told(mine: Me) -> None:
    mine.world.bitrix24.faults.add(Fault("error:ACCESS_DENIED", method=SET))

    response = mine.edit(view="day")

    assert (response.status_code, marks(response)) == (403, ("", "view"))
    assert errors_on(response.text) == ["ACCESS_DENIED"]
    assert mine.calls() == [GET, SET]


@pytest.mark.parametrize("moment", ["before", "between"])
def test_an_expired_token_is_refreshed_and_nothing_is_written_twice(mine: Me, moment: str) -> None:
    portal = mine.world.portal()
    if moment == "before":
        portal.expire("boris")
    else:
        after_writing(mine.world, lambda: portal.expire("boris"))

    response = mine.edit(view="day")

    assert marks(response) == ("view", "")
    assert mine.calls().count(SET) == 1
    assert len(mine.changes()) == 1


def test_what_is_not_known_is_not_claimed(mine: Me) -> None:
    faults = mine.world.bitrix24.faults
    after_writing(mine.world, lambda: faults.add(Fault("status:500", method=GET, times=2)))

    response = mine.edit(view="day")

    assert (response.status_code, marks(response)) == (502, ("", "view"))
    assert "it may have been saved or not" in response.text
    assert "Not saved." not in response.text
    assert settings_on(mine.post("/me/refresh").text) == mine.stored
    assert mine.changes() == [("view", "edited", "month", "day")]


def test_of_two_changes_at_once_the_second_waits(me: Me) -> None:
    held = me.world.bitrix24.faults.add(Fault("hold", method=SET))
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(me.edit, view="day")
        wait_until(lambda: me.calls() == [GET, SET])
        second = threads.submit(me.edit, showWeekNumbers="Y")
        wait_until(lambda: any(thread_waits(me.world)))
        assert me.calls() == [GET, SET]
        held.released.set()

        answers = [first.result(), second.result()]

    assert [marks(answer) for answer in answers] == [("view", ""), ("showWeekNumbers", "")]
    assert me.calls() == [GET, SET, GET, GET, SET, GET]
    assert settings_on(answers[1].text) == me.stored


def thread_waits(world: World) -> list[int]:
    """Return the leases that are taken."""
    return [row["person_id"] for row in world.rows("SELECT * FROM chains WHERE settings_lease_until IS NOT NULL")]


def test_a_change_that_waits_too_long_sends_nothing(mine: Me, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_lease, "MAX_WAIT_SECONDS", 0.0)
    held = mine.world.bitrix24.faults.add(Fault("hold", method=SET))
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(mine.edit, view="day")
        wait_until(lambda: mine.calls() == [GET, SET])

        second = mine.edit(showWeekNumbers="Y")

        held.released.set()
        assert marks(first.result()) == ("view", "")
    assert (second.status_code, marks(second)) == (503, ("", "showWeekNumbers"))
    assert int(second.headers["Retry-After"]) > 0
    assert mine.calls() == [GET, SET, GET]


def test_a_killed_process_keeps_nobody_waiting_for_long(me: Me, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_lease, "MAX_WAIT_SECONDS", 0.0)
    lease = me.world.services.settings_writer.lease
    with me.world.database.read_session() as session:
        boris = session.query(Account).filter_by(user_id=7).one()
    with lease.hold(boris):
        assert me.edit(view="day").status_code == 503
        me.world.bitrix24.clock.advance(20)

        assert marks(me.edit(view="day")) == ("view", "")


def test_a_change_that_was_overtaken_while_it_read_writes_nothing(mine: Me) -> None:
    """It has read what the other one is changing."""

    def overtake(answer: dict[str, Any]) -> dict[str, Any]:
        mine.world.bitrix24.clock.advance(30)
        assert marks(mine.edit(showWeekNumbers="Y")) == ("showWeekNumbers", "")
        return answer

    mine.world.bitrix24.faults.add(Fault("answer", method=GET, change=overtake))
    response = mine.edit(view="day")

    assert (response.status_code, marks(response)) == (503, ("", "view"))
    assert mine.calls().count(SET) == 1
    assert mine.stored["view"] == "month"


def test_the_time_of_a_busy_database_counts_as_waiting(mine: Me) -> None:
    lease, clock = mine.world.services.settings_writer.lease, iter(range(0, 1000, 4))
    with mine.world.database.read_session() as session:
        boris = session.query(Account).filter_by(user_id=7).one()
    pauses: list[float] = []
    waiting = replace(lease, sleep=pauses.append, monotonic=lambda: float(next(clock)))

    with lease.hold(boris), pytest.raises(OwnLimit), waiting.hold(boris):
        pass

    assert len(pauses) == 3


def test_undo_brings_back_exactly_what_was(me: Me) -> None:
    me.stored.update(PAYLOADS["documented"])
    before = deepcopy(me.stored)
    edited = me.edit(view="day", collapseOffHours="Y", reminders_day="1d@18:00")

    response = me.post("/me/undo", change=undo_id(edited))

    assert (response.status_code, marks(response)[1]) == (200, "")
    assert json.dumps(me.stored) == json.dumps(before)
    assert {how for _key, how, _before, _after in me.changes()} >= {"edited", "undone"}


def test_the_second_of_two_clicks_on_undo_writes_nothing(mine: Me) -> None:
    change = undo_id(mine.edit(view="day"))
    mine.post("/me/undo", change=change)
    mine.world.bitrix24.clear()

    response = mine.post("/me/undo", change=change)

    assert (response.status_code, marks(response)) == (200, ("", "view"))
    assert "Not undone. It has been changed since." in response.text
    assert mine.calls() == [GET]


def test_undo_does_not_overwrite_what_was_changed_since(mine: Me) -> None:
    change = undo_id(mine.edit(view="day"))
    mine.stored["view"] = "list"

    response = mine.post("/me/undo", change=change)

    assert marks(response) == ("", "view")
    assert mine.stored["view"] == "list"


def test_an_adoption_is_undone_as_a_whole(mine: Me) -> None:
    before = deepcopy(mine.stored)
    anna = mine.world.session("anna")
    mine.world.browser.post("/admin/recommended", headers=anna, data={"view": "day", "showWeekNumbers": "Y"})
    adopted = mine.post("/me/adopt")
    assert marks(adopted) == ("view showWeekNumbers", "")

    response = mine.post("/me/undo", change=undo_id(adopted))

    assert marks(response) == ("view showWeekNumbers", "")
    assert mine.stored == before


def test_nobody_undoes_the_change_of_somebody_else(mine: Me) -> None:
    change = undo_id(mine.edit(view="day"))
    anna = mine.world.session("anna")
    mine.world.bitrix24.clear()

    response = mine.world.browser.post("/me/undo", headers=anna, data={"change": change})

    assert response.status_code == 404
    assert (mine.calls(), mine.stored["view"]) == ([], "day")


@pytest.mark.parametrize("form", [{}, {"change": "x"}, {"change": "1", "view": "day"}])
def test_a_malformed_undo_is_refused(mine: Me, form: dict[str, str]) -> None:
    assert mine.post("/me/undo", **form).status_code == 400
    assert mine.calls() == []


@pytest.mark.parametrize("read", ["refresh", "opening", "run"])
def test_a_calendar_tab_that_saves_old_values_is_recorded(mine: Me, read: str) -> None:
    tab = mine.world.portal().calendar_tab("boris")
    mine.edit(showWeekNumbers="Y")
    tab.save(denyBusyInvitation=True)

    readings: dict[str, Callable[[], object]] = {
        "refresh": lambda: mine.post("/me/refresh"),
        "opening": lambda: mine.world.open("boris"),
        "run": mine.world.sync,
    }
    readings[read]()

    assert mine.changes() == [
        ("showWeekNumbers", "edited", "N", "Y"),
        ("showWeekNumbers", "reverted", "Y", "N"),
        ("denyBusyInvitation", "synced", False, True),
    ]
    page = mine.world.browser.get("/me", headers=mine.headers).text
    assert 'data-state="reverted"' in page
    assert "Changed back." in page


def test_a_calendar_tab_that_was_loaded_several_changes_ago_is_recorded(mine: Me) -> None:
    tab = mine.world.portal().calendar_tab("boris")
    mine.edit(view="week")
    mine.edit(view="day")
    tab.save()
    edited = undo_id(mine.edit(showDeclined="0"))
    tab_before_undo = mine.world.portal().calendar_tab("boris")
    mine.post("/me/undo", change=edited)
    tab_before_undo.save()
    mine.post("/me/refresh")

    assert [change for change in mine.changes() if change[1] == "reverted"] == [
        ("view", "reverted", "day", "month"),
        ("showDeclined", "reverted", True, False),
    ]


def test_hours_and_zone_are_part_of_the_history(mine: Me) -> None:
    mine.stored.update(work_time_start="10.00", work_time_end="18.00")
    mine.world.portal().people["boris"].time_zone = "Europe/Lisbon"
    mine.stored.update(timezoneName="Europe/Lisbon", timezoneOffsetUTC=3600)

    mine.world.open("boris")

    assert mine.changes() == [
        ("workTime", "synced", "09:00-19:00", "10:00-18:00"),
        ("timezoneName", "synced", "Europe/Berlin", "Europe/Lisbon"),
    ]


def test_other_forms_of_a_value_are_no_change(mine: Me) -> None:
    reminders = mine.stored["defaultReminders"]
    mine.stored["defaultReminders"] = {
        part: [{**entry, "count": str(entry["count"])} for entry in entries] for part, entries in reminders.items()
    }
    mine.world.open("boris")
    assert mine.changes() == []

    mine.stored.update(defaultReminders=reminders, view="list")
    mine.world.open("boris")

    assert mine.changes() == [("view", "synced", "month", "list")]


def test_a_reading_that_began_before_a_change_does_not_hide_it(mine: Me) -> None:
    held = mine.world.bitrix24.faults.add(Fault("hold", method="batch"))
    with ThreadPoolExecutor(1) as threads:
        refresh = threads.submit(mine.post, "/me/refresh")
        wait_until(lambda: mine.calls() == ["batch"])
        mine.world.bitrix24.clock.advance(1)
        mine.edit(view="day")
        held.released.set()
        refresh.result()

    assert settings_on(mine.world.browser.get("/me", headers=mine.headers).text)["view"] == "day"
    assert [how for _key, how, _before, _after in mine.changes()] == ["edited"]


def test_corrupted_settings_are_reset_only_after_a_second_question(mine: Me, written: list[Any]) -> None:
    mine.world.portal().people["boris"].broken = True

    edited = mine.edit(view="day")

    assert marks(edited) == ("", "view")
    assert "data-editable" not in edited.text
    assert SET not in mine.calls()
    assert "Reset my settings" in edited.text
    question = mine.world.browser.get("/me/reset", headers=mine.headers)
    assert "all 18" in question.text
    assert SET not in mine.calls()

    response = mine.post("/me/reset")

    assert response.status_code == 200
    assert text_of(response.text, "data-refreshed") == "Your settings were reset."
    assert settings_on(response.text) == mine.stored
    assert written == [False]
    assert mine.world.browser.get("/me/reset", headers=mine.headers).status_code == 409


def test_readable_settings_are_never_reset(mine: Me) -> None:
    before = deepcopy(mine.stored)

    response = mine.post("/me/reset")

    assert (response.status_code, mine.calls(), mine.stored) == (200, [GET], before)
    assert text_of(response.text, "data-refreshed") == "Your settings need no reset"


@pytest.mark.parametrize("path", ["/me/undo", "/me/reset"])
def test_what_concerns_no_row_fails_with_a_notice(mine: Me, path: str) -> None:
    """Otherwise only a screen reader would say that nothing was done."""
    form = {"change": undo_id(mine.edit(view="day"))} if path == "/me/undo" else {}
    mine.world.bitrix24.faults.add(Fault("reset", method=GET, times=2))

    response = mine.post(path, **form)

    assert response.status_code == 502
    assert "We couldn&#39;t reach Bitrix24" in response.text
    assert mine.stored["view"] == "day" or path == "/me/reset"


def test_without_a_valid_token_nothing_is_offered(mine: Me) -> None:
    assert "/me/undo" in mine.edit(view="week").text
    mine.world.portal().expire("boris")
    mine.world.portal().kill_refresh("boris")

    response = mine.edit(view="day")

    assert response.status_code == 403
    for path in ("/me", "/me/history"):
        page = mine.world.browser.get(path, headers=mine.headers).text
        assert not [offer for offer in ("data-editable", "/me/settings", "/me/undo") if offer in page]


def test_everything_editable_says_so(mine: Me) -> None:
    page = mine.world.browser.get("/me", headers=mine.headers).text

    marked = re.findall(r'data-setting="(\w+)" data-value="[^"]*" data-editable', page)
    assert set(marked) == set(EDITABLE_KEYS)
    assert len(marked) == 8


def test_the_history_is_bounded_for_each_person(mine: Me, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.people.history.MAX_CHANGES", 3)
    for view in ("day", "list", "month", "week", "day"):
        mine.edit(view=view)

    assert [after for _key, _how, _before, after in mine.changes()] == ["month", "week", "day"]


def test_calls_are_counted_and_logged_with_masked_values(mine: Me) -> None:
    mine.edit(view="day", reminders_timed="15min")

    rows = mine.world.rows("SELECT * FROM api_calls ORDER BY id DESC LIMIT 3")
    assert [row["method"] for row in rows] == [GET, SET, GET]
    assert "Bearer" not in str(rows)
    assert mine.world.one("SELECT level FROM buckets WHERE portal_id = 1") > 2


def test_only_one_module_writes_settings() -> None:
    writers = [path.name for path in APPLICATION.rglob("*.py") if SET in path.read_text(encoding="utf-8")]
    users = [
        path.relative_to(APPLICATION).as_posix()
        for path in APPLICATION.rglob("*.py")
        if "settings_writer" in path.read_text(encoding="utf-8")
    ]

    assert writers == ["settings_writer.py"]
    assert not [user for user in users if user.startswith(("sync/", "commands/", "launch/", "team/", "monitoring/"))]

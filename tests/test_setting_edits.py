"""Changes of one's own settings, from the form to the portal and back, with everything that may go wrong between."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from dashboard.bitrix24.errors import OwnLimit
from dashboard.calendar.edits import EDITABLE_KEYS
from dashboard.models import Person as Account
from dashboard.people import settings_lease, settings_writer
from tests.databases import CopiedDatabase
from tests.emulator import Emulator, Fault, user_settings
from tests.emulator.people import Person
from tests.waiting import wait_until
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
        response = edit.result(timeout=60)

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


def test_what_was_never_sent_is_not_taken_for_a_later_change(me: Me, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(settings_writer, "_set", kill)
        with pytest.raises(Killed):
            me.edit(view="day")
    me.world.bitrix24.clock.advance(3600)
    me.post("/me/refresh")
    me.stored["view"] = "day"
    me.world.bitrix24.clock.advance(3600)

    me.post("/me/refresh")

    assert me.changes() == [("view", "synced", "month", "day")]


@pytest.mark.parametrize("nested", ["defaultSections", "defaultReminders"])
def test_nothing_is_written_that_would_make_all_settings_unreadable(me: Me, nested: str) -> None:
    """Bitrix24 stores what it reads: null in place of the text "null", which it cannot decode afterwards."""
    me.stored[nested] = None

    response = me.edit(view="day")

    assert me.calls() == [GET]
    assert 'data-unchanged="view"' in response.text
    assert me.stored["view"] == "month"


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


def test_equal_values_are_not_written(me: Me) -> None:
    response = me.edit(view=me.stored["view"], showTasks="Y")

    assert marks(response) == ("", "")
    assert me.calls() == [GET]
    assert me.changes() == []


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


def test_a_lost_answer_does_not_hide_that_it_was_saved(me: Me) -> None:
    me.world.bitrix24.faults.lose_answer(SET)

    response = me.edit(showDeclined="0" if me.stored["showDeclined"] else "1")

    assert (response.status_code, marks(response)) == (200, ("showDeclined", ""))
    assert me.calls().count(SET) == 1
    assert len(me.changes()) == 1
    assert settings_on(response.text) == me.stored


def test_a_request_that_does_not_arrive_is_told(me: Me) -> None:
    before = deepcopy(me.stored)
    me.world.bitrix24.faults.add(Fault("reset", method=SET))

    response = me.edit(view="day")

    assert (response.status_code, marks(response)) == (502, ("", "view"))
    assert len(errors_on(response.text)) == 1
    assert "Not saved. Bitrix24 didn&#39;t answer." in response.text
    assert settings_on(response.text) == me.stored == before
    assert me.changes() == []


def test_a_refusal_is_told(mine: Me) -> None:
    mine.world.bitrix24.faults.add(Fault("error:ACCESS_DENIED", method=SET))

    response = mine.edit(view="day")

    assert (response.status_code, marks(response)) == (403, ("", "view"))
    assert errors_on(response.text) == ["ACCESS_DENIED"]
    assert mine.calls() == [GET, SET]


@pytest.mark.parametrize("moment", ["before", "between"])
def test_an_expired_token_is_refreshed_and_nothing_is_written_twice(me: Me, moment: str) -> None:
    portal = me.world.portal()
    if moment == "before":
        portal.expire("boris")
    else:
        after_writing(me.world, lambda: portal.expire("boris"))

    response = me.edit(view="day")

    assert marks(response) == ("view", "")
    assert me.calls().count(SET) == 1
    assert len(me.changes()) == 1


def test_what_is_not_known_is_not_claimed(me: Me) -> None:
    faults = me.world.bitrix24.faults
    after_writing(me.world, lambda: faults.add(Fault("status:500", method=GET, times=2)))

    response = me.edit(view="day")

    assert (response.status_code, marks(response)) == (502, ("", "view"))
    assert "it may have been saved or not" in response.text
    assert settings_on(me.post("/me/refresh").text) == me.stored
    assert me.changes() == [("view", "edited", "month", "day")]


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


def test_a_change_that_waits_too_long_sends_nothing(me: Me, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_lease, "MAX_WAIT_SECONDS", 0.0)
    held = me.world.bitrix24.faults.add(Fault("hold", method=SET))
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(me.edit, view="day")
        wait_until(lambda: me.calls() == [GET, SET])

        second = me.edit(showWeekNumbers="Y")

        held.released.set()
        assert marks(first.result()) == ("view", "")
    assert (second.status_code, marks(second)) == (503, ("", "showWeekNumbers"))
    assert int(second.headers["Retry-After"]) > 0
    assert me.calls() == [GET, SET, GET]


def test_a_killed_process_keeps_nobody_waiting_for_long(me: Me, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_lease, "MAX_WAIT_SECONDS", 0.0)
    lease = me.world.services.settings_writer.lease
    with me.world.database.read_session() as session:
        boris = session.query(Account).filter_by(user_id=7).one()
    with lease.hold(boris):
        assert me.edit(view="day").status_code == 503
        me.world.bitrix24.clock.advance(20)

        assert marks(me.edit(view="day")) == ("view", "")


def test_a_change_that_was_overtaken_while_it_read_writes_nothing(me: Me) -> None:
    """It has read what the other one is changing."""

    def overtake(answer: dict[str, Any]) -> dict[str, Any]:
        me.world.bitrix24.clock.advance(30)
        assert marks(me.edit(showWeekNumbers="Y")) == ("showWeekNumbers", "")
        return answer

    me.world.bitrix24.faults.add(Fault("answer", method=GET, change=overtake))
    response = me.edit(view="day")

    assert (response.status_code, marks(response)) == (503, ("", "view"))
    assert me.calls().count(SET) == 1
    assert me.stored["view"] == "month"


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


def test_the_second_of_two_clicks_on_undo_writes_nothing(me: Me) -> None:
    change = undo_id(me.edit(view="day"))
    me.post("/me/undo", change=change)
    me.world.bitrix24.clear()

    response = me.post("/me/undo", change=change)

    assert (response.status_code, marks(response)) == (200, ("", "view"))
    assert "Not undone. It has been changed since." in response.text
    assert me.calls() == [GET]


def test_undo_does_not_overwrite_what_was_changed_since(me: Me) -> None:
    change = undo_id(me.edit(view="day"))
    me.stored["view"] = "list"

    response = me.post("/me/undo", change=change)

    assert marks(response) == ("", "view")
    assert me.stored["view"] == "list"


def test_an_adoption_is_undone_as_a_whole(me: Me) -> None:
    before = deepcopy(me.stored)
    anna = me.world.session("anna")
    me.world.browser.post("/admin/recommended", headers=anna, data={"view": "day", "showWeekNumbers": "Y"})
    adopted = me.post("/me/adopt")
    assert marks(adopted) == ("view showWeekNumbers", "")

    response = me.post("/me/undo", change=undo_id(adopted))

    assert marks(response) == ("view showWeekNumbers", "")
    assert me.stored == before


def test_nobody_undoes_the_change_of_somebody_else(me: Me) -> None:
    change = undo_id(me.edit(view="day"))
    anna = me.world.session("anna")
    me.world.bitrix24.clear()

    response = me.world.browser.post("/me/undo", headers=anna, data={"change": change})

    assert response.status_code == 404
    assert (me.calls(), me.stored["view"]) == ([], "day")


@pytest.mark.parametrize("form", [{}, {"change": "x"}, {"change": "1", "view": "day"}])
def test_a_malformed_undo_is_refused(mine: Me, form: dict[str, str]) -> None:
    assert mine.post("/me/undo", **form).status_code == 400
    assert mine.calls() == []


@pytest.mark.parametrize("read", ["refresh", "opening", "run"])
def test_a_calendar_tab_that_saves_old_values_is_recorded(me: Me, read: str) -> None:
    tab = me.world.portal().calendar_tab("boris")
    me.edit(showWeekNumbers="Y")
    tab.save(denyBusyInvitation=True)

    readings: dict[str, Callable[[], object]] = {
        "refresh": lambda: me.post("/me/refresh"),
        "opening": lambda: me.world.open("boris"),
        "run": me.world.sync,
    }
    readings[read]()

    assert me.changes() == [
        ("showWeekNumbers", "edited", "N", "Y"),
        ("showWeekNumbers", "reverted", "Y", "N"),
        ("denyBusyInvitation", "synced", False, True),
    ]
    page = me.world.browser.get("/me", headers=me.headers).text
    assert 'data-state="reverted"' in page
    assert "Changed back." in page


def test_hours_and_zone_are_part_of_the_history(me: Me) -> None:
    me.stored.update(work_time_start="10.00", work_time_end="18.00")
    me.world.portal().people["boris"].time_zone = "Europe/Lisbon"
    me.stored.update(timezoneName="Europe/Lisbon", timezoneOffsetUTC=3600)

    me.world.open("boris")

    assert me.changes() == [
        ("workTime", "synced", "09:00-19:00", "10:00-18:00"),
        ("timezoneName", "synced", "Europe/Berlin", "Europe/Lisbon"),
    ]


def test_other_forms_of_a_value_are_no_change(me: Me) -> None:
    reminders = me.stored["defaultReminders"]
    me.stored["defaultReminders"] = {
        part: [{**entry, "count": str(entry["count"])} for entry in entries] for part, entries in reminders.items()
    }
    me.world.open("boris")
    assert me.changes() == []

    me.stored.update(defaultReminders=reminders, view="list")
    me.world.open("boris")

    assert me.changes() == [("view", "synced", "month", "list")]


def test_a_reading_that_began_before_a_change_does_not_hide_it(me: Me) -> None:
    held = me.world.bitrix24.faults.add(Fault("hold", method="batch"))
    with ThreadPoolExecutor(1) as threads:
        refresh = threads.submit(me.post, "/me/refresh")
        wait_until(lambda: me.calls() == ["batch"])
        me.world.bitrix24.clock.advance(1)
        me.edit(view="day")
        held.released.set()
        refresh.result()

    assert settings_on(me.world.browser.get("/me", headers=me.headers).text)["view"] == "day"
    assert [how for _key, how, _before, _after in me.changes()] == ["edited"]


def test_corrupted_settings_are_reset_only_after_a_second_question(me: Me, written: list[Any]) -> None:
    me.world.portal().people["boris"].broken = True

    edited = me.edit(view="day")

    assert marks(edited) == ("", "view")
    assert "data-editable" not in edited.text
    assert SET not in me.calls()
    assert "Reset my settings" in edited.text
    question = me.world.browser.get("/me/reset", headers=me.headers)
    assert "all 18" in question.text
    assert SET not in me.calls()

    response = me.post("/me/reset")

    assert response.status_code == 200
    assert settings_on(response.text) == me.stored
    assert written == [False]
    assert me.world.browser.get("/me/reset", headers=me.headers).status_code == 409


def test_readable_settings_are_never_reset(me: Me) -> None:
    before = deepcopy(me.stored)

    response = me.post("/me/reset")

    assert (response.status_code, me.calls(), me.stored) == (200, [GET], before)


def test_without_a_valid_token_nothing_is_offered(mine: Me) -> None:
    mine.world.portal().expire("boris")
    mine.world.portal().kill_refresh("boris")

    response = mine.edit(view="day")

    assert response.status_code == 403
    assert "data-editable" not in mine.world.browser.get("/me", headers=mine.headers).text


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


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("edit"),
            st.fixed_dictionaries(
                {},
                optional={
                    "view": st.sampled_from(["day", "week", "month", "list"]),
                    "showTasks": st.sampled_from("YN"),
                    "showWeekNumbers": st.sampled_from("YN"),
                    "showDeclined": st.sampled_from("10"),
                    "reminders.timed": st.sampled_from(["", "15min", "1hour,2day"]),
                    "reminders.day": st.sampled_from(["", "0d@08:00", "1day"]),
                },
            ).filter(bool),
        ),
        st.tuples(st.just("undo"), st.integers(0, 3)),
        st.tuples(st.just("foreign"), st.sampled_from([{"view": "list"}, {"showTasks": "N"}, {"syncPeriodPast": 6}])),
        st.tuples(st.just("tab"), st.none()),
        st.tuples(st.just("lose"), st.sampled_from([GET, SET])),
        st.tuples(st.just("drop"), st.sampled_from([GET, SET])),
        st.tuples(st.just("expire"), st.none()),
    ),
    max_size=10,
)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def long_world(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[World]:
    """Yield one world for many stories."""
    copy: CopiedDatabase | None = None
    address = f"sqlite:///{tmp_path_factory.mktemp('edits') / 'dashboard.db'}"
    if request.param == "postgres":
        copy = request.getfixturevalue("migrated_postgres")
        address = copy.address
    with (
        Emulator(client_id="app.test.1", client_secret="emulated-secret", everyone_speaks="en") as bitrix24,
        World(bitrix24, address) as world,
    ):
        world.portal().bucket = None
        world.install("alpha")
        yield world
    if copy is not None:
        copy.empty()  # other tests use it too


@given(OPERATIONS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_nothing_else_is_lost(long_world: World, operations: list[tuple[str, Any]]) -> None:
    """Untouched keys stay equal byte for byte, undo restores exactly, and what is shown is what the portal has."""
    world = long_world
    world.bitrix24.faults.clear()
    world.portal().people["boris"].settings = deepcopy(PAYLOADS["recorded"])
    with world.database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM setting_changes")
        connection.exec_driver_sql("DELETE FROM refusals")
    me = Me(world)
    tab = world.portal().calendar_tab("boris")
    page = world.browser.get("/me", headers=me.headers)
    for name, value in operations:
        before = deepcopy(me.stored)
        if name == "foreign":
            me.stored.update(value)
        elif name == "tab":
            tab.save()
        elif name == "lose":
            world.bitrix24.faults.add(Fault("lost", method=value))
        elif name == "drop":
            world.bitrix24.faults.add(Fault("reset", method=value))
        elif name == "expire":
            world.portal().expire("boris")
        elif name == "edit":
            page = me.post("/me/settings", **value)
            changed, unchanged = (keys.split() for keys in marks(page))
            touched = {*changed, *unchanged, "defaultReminders"} if page.status_code != 200 else set(changed)
            assert json.dumps({key: me.stored[key] for key in before if key not in touched}) == json.dumps(
                {key: before[key] for key in before if key not in touched}
            )
        else:
            changes = sorted({int(found) for found in re.findall(r'data-change="(\d+)"', page.text)}, reverse=True)
            if value < len(changes):
                row = world.rows(f"SELECT * FROM setting_changes WHERE id = {changes[value]}")
                page = me.post("/me/undo", change=str(changes[value]))
                if page.status_code == 200:
                    assert settings_on(page.text) == me.stored
                done = marks(page)[0].split() if page.status_code == 200 else []
                for one in row:
                    if one["key"] in done and one["key"] != "defaultReminders":
                        assert json.dumps(me.stored[one["key"]]) == json.dumps(json.loads(one["before"]))
        if name == "edit" and page.status_code == 200:
            assert settings_on(page.text) == me.stored
    world.bitrix24.faults.clear()
    assert settings_on(me.post("/me/refresh").text) == me.stored

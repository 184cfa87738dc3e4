"""Whatever happens to a person's settings, no key is lost that nobody touched, and Undo restores what was there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, update
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from dashboard.calendar import edits
from dashboard.calendar.changes import same_meaning
from dashboard.calendar.edits import EDITABLE_KEYS, REMINDER_PARTS, REMINDERS_KEY, key_of, parse_edits, read_fields
from dashboard.models import Portal, SettingChange
from dashboard.people import settings_writer
from tests.emulator import CalendarTab, Fault, Person, fresh_settings, saved_settings, user_settings
from tests.world import World, session_token, settings_on

GET, SET = "calendar.user.settings.get", "calendar.user.settings.set"
PERSON, OTHERS = "boris", ("anna", "julia")
WORDS = ["0min", "15min", "1hour", "2day", "0d@08:00", "1d@18:00"]
LISTS = st.lists(st.sampled_from(WORDS), max_size=3, unique=True).map(",".join)
YES_NO, ONE_ZERO = st.sampled_from("YN"), st.sampled_from("10")
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "view": st.sampled_from(["day", "week", "month", "list"]),
        "collapseOffHours": YES_NO,
        "showWeekNumbers": YES_NO,
        "showTasks": YES_NO,
        "showCompletedTasks": YES_NO,
        "showDeclined": ONE_ZERO,
        "denyBusyInvitation": ONE_ZERO,
        "reminders.timed": LISTS,
        "reminders.day": LISTS,
    },
).filter(lambda fields: fields and not (fields.get("showTasks") == "N" and fields.get("showCompletedTasks") == "Y"))
# What the person starts with: fresh, what the portal's own form leaves, and what nobody planned.
STARTS = st.sampled_from(
    [
        fresh_settings("Europe/Berlin"),
        saved_settings("Europe/Berlin") | {"syncTasks": "Y", "showCompletedTasks": "Y", "tabId": "month"},
        fresh_settings("Europe/Berlin")
        | {
            "view": "custom_7",
            "showTasks": "true",
            "showDeclined": None,
            "defaultSections": {"user7": "4"},
            "work_time_start": "9.00",
            "work_time_end": "18.00",
            "defaultReminders": {
                "fullDay": [{"type": "date", "value": "05.12.2025 10:00:00"}, {"type": "odd", "x": [1.5]}],
                "withTime": {"type": "min", "count": "15"},
                "later": {"kept": True},
            },
        },
    ]
)  # fmt: skip
# What goes wrong at the next change: which answers are lost, and whether the token has run out.
TROUBLES = st.sampled_from(
    [
        "",
        "",
        "",
        "expired",
        "lost set",
        "lost get",
        "two lost gets",
        "refused set",
        "meanwhile",
        "meanwhile",
        "late expiry",
        "killed",
    ]
)


def exact(value: Any) -> str:
    """Return the bytes that a value has on the wire, but for the order of an object's keys."""
    return json.dumps(value, sort_keys=True)


class SettingsLife(RuleBasedStateMachine):
    """One person with two tabs, a calendar, an administrator, and a network that fails."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        portal = self.world.portal()
        self.person: Person = portal.people[PERSON]
        self.others = {key: exact(portal.people[key].settings) for key in OTHERS}
        self.tab: CalendarTab | None = None
        self.meanwhile: dict[str, Any] = {}  # what somebody has written during the last change

    @initialize(start=STARTS)
    def begin(self, start: dict[str, Any]) -> None:
        self.person.settings, self.person.broken = deepcopy(start), False
        with self.world.database.write_session() as session:
            session.execute(delete(SettingChange))
            session.execute(update(Portal).values(recommended=None, recommended_at=None))
        self.world.bitrix24.faults.clear()
        self.tab = None
        self._open()

    # What people do

    @rule(fields=FIELDS, trouble=TROUBLES)
    def edit(self, fields: dict[str, str], trouble: str) -> None:
        self._change("/me/settings", fields, fields, trouble)

    @rule(
        names=st.lists(st.sampled_from(["view", "showTasks", "reminders.timed", "defaultReminders"]), max_size=2),
        trouble=TROUBLES,
    )
    def adopt(self, names: list[str], trouble: str) -> None:
        stored = self.world.known().recommended or {"values": {}}
        chosen = {
            field: text for field, text in stored["values"].items() if not names or {field, key_of(field)} & {*names}
        }
        self._change("/me/adopt", {"key": names}, chosen, trouble)

    @rule(number=st.integers(0, 5), trouble=TROUBLES)
    def undo(self, number: int, trouble: str) -> None:
        rows = self._rows()
        own = [row for row in reversed(rows) if row["how"] in ("edited", "adopted", "undone")]
        if not own:
            return
        row = own[min(number, len(own) - 1)]
        together = [one for one in rows if one["change_set"] == row["change_set"]]
        before = deepcopy(self.person.settings)
        response = self._change("/me/undo", {"change": str(row["id"])}, None, trouble, {one["key"] for one in together})
        if response.status_code == 200 and not self._unchanged(response):
            self._check_undone(together, before)

    @rule(view=st.sampled_from(["day", "week"]), tasks=YES_NO, timed=LISTS)
    def recommend(self, view: str, tasks: str, timed: str) -> None:
        self._step()
        form = {"view": view, "showTasks": tasks, "reminders.timed": timed or "none"}
        answer = self.world.browser.post("/admin/recommended", data=form, headers=self.world.session("anna"))
        assert answer.status_code == 200

    @rule()
    def open_again(self) -> None:
        self._open()

    @rule()
    def refresh(self) -> None:
        self._step()
        response = self.world.browser.post("/me/refresh", headers=self.session)
        assert response.status_code == 200
        self._check_shown(response)

    @rule()
    def night(self) -> None:
        self._step()
        before = exact(self.person.settings)
        self.world.sync()
        assert exact(self.person.settings) == before

    @rule(view=st.sampled_from(["day", "list"]), declined=ONE_ZERO, timed=LISTS, day=LISTS)
    def click_in_two_tabs(self, view: str, declined: str, timed: str, day: str) -> None:
        """Two changes at once are made one after the other, so that neither undoes a part of the other."""
        self._step()
        before = deepcopy(self.person.settings)
        forms = ({"view": view, "reminders.timed": timed}, {"showDeclined": declined, "reminders.day": day})

        def post(form: dict[str, str]) -> None:
            client = self.world.app.test_client()
            # On a busy machine one of them may be asked to come again: nothing was written then.
            while (status := client.post("/me/settings", data=form, headers=self.session).status_code) == 503:
                self._step()
            assert status == 200

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(post, forms))
        merged = forms[0] | forms[1]
        self._check_untouched(before, self.person.settings, {*map(key_of, merged)}, merged)
        current = read_fields(self.person.settings)
        assert not edits.differing_fields(parse_edits(merged.items()), current)

    # What happens in Bitrix24 meanwhile

    @rule()
    def load_calendar(self) -> None:
        self.tab = self.world.portal().calendar_tab(PERSON)

    @precondition(lambda self: self.tab is not None)
    @rule(tasks=st.sampled_from(["Y", "N"]))
    def save_calendar(self, tasks: str) -> None:
        assert self.tab is not None
        self.tab.save(showTasks=tasks)

    @rule(view=st.sampled_from(["day", "month"]))
    def use_grid(self, view: str) -> None:
        self.world.portal().calendar_tab(PERSON).use_grid("view", view)

    @rule(count=st.integers(0, 90), all_day=st.booleans())
    def create_event(self, count: int, all_day: bool) -> None:
        self.world.portal().calendar_tab(PERSON).create_event([{"type": "min", "count": count}], all_day=all_day)

    @rule(timed=LISTS, count=st.integers(0, 90))
    def undo_after_an_event_of_the_other_kind(self, timed: str, count: int) -> None:
        self.edit({"reminders.timed": timed}, "")
        self.create_event(count, all_day=True)
        self.undo(0, "")

    # What always holds

    @invariant()
    def nobody_else_is_written(self) -> None:
        people = self.world.portal().people
        assert {key: exact(people[key].settings) for key in OTHERS} == self.others
        assert not self.person.broken

    def _change(
        self,
        path: str,
        form: Mapping[str, Any],
        fields: Mapping[str, str] | None,
        trouble: str,
        keys: set[str] | None = None,
    ) -> TestResponse:
        """Post a change while something goes wrong, and check what became of the settings."""
        self._step()
        before, rows = deepcopy(self.person.settings), {row["id"] for row in self._rows()}
        writes, already = self._writes(), len(self.world.bitrix24.world.log.writes())
        self._order(trouble)
        with self._killed_before_storing() if trouble == "killed" else nullcontext():
            response = self.world.browser.post(path, data=form, headers=self.session)
        self.world.bitrix24.faults.clear()
        if trouble in ("killed", "two lost gets"):
            # Whoever reads the settings next records whose change it was.
            self._open()
        before, after, self.meanwhile = before | self.meanwhile, self.person.settings, {}
        touched = {key_of(field) for field in fields} if fields is not None else keys or set()
        if "showTasks" in touched:
            touched |= {"showCompletedTasks", "syncTasks"}
        self._check_untouched(before, after, touched, fields)
        for write in self.world.bitrix24.world.log.writes()[already:]:
            assert {*write.written} <= touched
        # Once: a second time only with another token, which writes the same.
        assert self._writes() - writes <= (2 if "expir" in trouble else 1)
        own = [row for row in self._rows() if row["id"] not in rows and row["how"] in ("edited", "adopted", "undone")]
        for row in own:
            assert exact(json.loads(row["before"])) == exact(before[row["key"]])
            assert exact(json.loads(row["after"])) == exact(after[row["key"]])
        if trouble == "killed":
            changed = {key for key in EDITABLE_KEYS if not same_meaning(key, before[key], after[key])}
            assert changed <= {row["key"] for row in own}
        if response.status_code == 200:
            # Nothing is read again if nothing had to be written.
            if trouble != "meanwhile" or self._writes() > writes:
                self._check_shown(response)
            if fields:
                differing = edits.differing_fields(parse_edits(fields.items()), read_fields(after))
                # Completed tasks are shown only together with tasks.
                assert {*map(key_of, differing)} == {*self._unchanged(response)} <= {"showCompletedTasks"}
        else:
            assert response.status_code in (502, 503), response.text[:300]
            # Without trouble, a busy database may ask to come again; nothing was written then.
            assert trouble not in ("", "expired", "late expiry") or exact(after) == exact(before)
            assert response.status_code == 503 or trouble not in ("", "expired", "late expiry")
        if trouble in ("lost get", "refused set"):
            assert exact(after) == exact(before) or trouble == "lost get"
        return response

    def _check_untouched(
        self, before: Mapping[str, Any], after: Mapping[str, Any], touched: set[str], fields: Mapping[str, str] | None
    ) -> None:
        assert before.keys() == after.keys()
        for key, value in after.items():
            if key not in touched:
                assert exact(value) == exact(before[key]), key
        if fields is not None and isinstance(before[REMINDERS_KEY], dict):
            for field, part in REMINDER_PARTS.items():
                if field not in fields:
                    assert exact(after[REMINDERS_KEY].get(part)) == exact(before[REMINDERS_KEY].get(part))
            others = before[REMINDERS_KEY].keys() - set(REMINDER_PARTS.values())
            assert all(exact(after[REMINDERS_KEY].get(key)) == exact(before[REMINDERS_KEY][key]) for key in others)
        for key in EDITABLE_KEYS:
            value = after[key]
            assert value is not None or before[key] is None
            if exact(value) != exact(before[key]) and key != REMINDERS_KEY:
                assert isinstance(value, str | bool)
        if exact(after[REMINDERS_KEY]) != exact(before[REMINDERS_KEY]):
            assert isinstance(after[REMINDERS_KEY], dict | list)

    def _check_undone(self, together: list[dict[str, Any]], before: Mapping[str, Any]) -> None:
        after = self.person.settings
        for row in together:
            then, key = json.loads(row["before"]), row["key"]
            if key != REMINDERS_KEY:
                assert same_meaning(key, after[key], then)
                # The server casts two keys; all others come back with the very bytes.
                assert exact(after[key]) == exact(then) or key in ("showDeclined", "denyBusyInvitation")
                continue
            made = json.loads(row["after"])
            for part in REMINDER_PARTS.values():
                if exact(then.get(part)) != exact(made.get(part)):
                    assert exact(after[key].get(part)) == exact(then.get(part))
                else:
                    assert exact(after[key].get(part)) == exact(before[key].get(part))

    def _check_shown(self, response: TestResponse) -> None:
        shown = settings_on(response.text)
        server = {key: value for key, value in self.person.settings.items() if key in shown}
        assert {key: exact(value) for key, value in shown.items()} == {
            key: exact(value) for key, value in server.items()
        }
        assert set(EDITABLE_KEYS) <= shown.keys()

    def _unchanged(self, response: TestResponse) -> list[str]:
        found = re.search(r'data-unchanged="([^"]*)"', response.text)
        return found[1].split() if found else []

    def _order(self, trouble: str) -> None:
        faults, portal = self.world.bitrix24.faults, self.world.portal()
        match trouble:
            case "expired":
                portal.expire(PERSON)
            case "lost set":
                faults.lose_answer(SET)
            case "lost get":
                faults.lose_answer(GET)
            case "two lost gets":
                faults.add(Fault("reset", method=SET))
                faults.lose_answer(GET, times=2)
            case "refused set":
                faults.add(Fault("error:QUERY_LIMIT_EXCEEDED", method=SET))
            case "meanwhile":
                faults.add(Fault("answer", method=GET, change=self._write_meanwhile))
            case "late expiry":
                faults.add(Fault("error:expired_token", method=SET))

    @contextmanager
    def _killed_before_storing(self) -> Iterator[None]:
        """Let the process end after it has written and before it stores anything: an error that nobody handles."""

        def end(*_arguments: object, **_keywords: object) -> None:
            raise OperationalError("COMMIT", None, Exception())

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(settings_writer, "save_result", end)
            yield

    def _write_meanwhile(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Let the calendar choose another section after the settings were read and before they are written."""
        self.meanwhile = {"lastUsedSection": self.world.bitrix24.count(method=GET)}
        user_settings.write_key(self.person, *next(iter(self.meanwhile.items())))
        return answer

    def _open(self) -> None:
        self._step()
        response = self.world.open(PERSON)
        assert response.status_code == 200
        self.session = {"Authorization": f"Bearer {session_token(response)}"}
        self._check_shown(response)

    def _step(self) -> None:
        self.world.bitrix24.clock.advance(30)

    def _rows(self) -> list[dict[str, Any]]:
        return self.world.rows("SELECT * FROM setting_changes ORDER BY id")

    def _writes(self) -> int:
        return self.world.bitrix24.count(method=SET, person=PERSON)


def test_nothing_is_lost_and_undo_restores_what_was_there(each_world: World) -> None:
    for key in OTHERS:
        each_world.open(key)
    each_world.sync()
    machine = type("SettingsLifeHere", (SettingsLife,), {"world": each_world})

    # Steps over HTTP are too slow to look for a shorter example.
    phases = [phase for phase in Phase if phase not in (Phase.shrink, Phase.explain)]
    run_state_machine_as_test(
        machine,
        settings=hypothesis_settings(max_examples=4, stateful_step_count=12, deadline=None, phases=phases),
    )

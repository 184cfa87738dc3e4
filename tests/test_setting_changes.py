"""What is written when a person changes settings: nothing but what they changed, and undo brings back what was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.calendar.changes import WriteOutcome, WritePlan, compare, is_editable, plan_edits, same_meaning
from dashboard.calendar.edits import (
    BOOLEAN_KEYS,
    FIELDS,
    LETTER_KEYS,
    MAX_REMINDERS,
    REMINDER_PARTS,
    REMINDERS_KEY,
    Edits,
    InvalidEdit,
    differing_fields,
    encode_edits,
    key_of,
    parse_edits,
    read_fields,
)
from dashboard.calendar.undo import Change, can_undo, plan_undo
from dashboard.core.json_values import Json
from tests.emulator.people import fresh_settings

FRESH: dict[str, Json] = fresh_settings("Europe/Berlin")
DOCUMENTED_REMINDERS: Json = {
    "fullDay": {"type": "daybefore", "before": "0", "time": "480"},
    "withTime": {"type": "min", "count": 15},
}

LETTERS = st.sampled_from([*"YNYNYN", True, False, "true", "false", "1", "0", "", None, "maybe", 1])
BOOLEANS = st.sampled_from([True, False, None])
NUMBERS = st.integers(0, 300) | st.integers(0, 300).map(str)
ENTRIES = (
    st.builds(lambda unit, count: {"type": unit, "count": count}, st.sampled_from(["min", "hour", "day"]), NUMBERS)
    | st.builds(lambda days, time: {"type": "daybefore", "before": days, "time": time}, NUMBERS, NUMBERS)
    | st.sampled_from([{"type": "date", "value": "05.12.2025 10:00:00"}, {"type": "moon"}, "sometime"])
)
HALVES: st.SearchStrategy[Any] = ENTRIES | st.lists(ENTRIES, max_size=3) | st.sampled_from([None, "", [""], {}, False])
REMINDERS = st.fixed_dictionaries(
    {}, optional={"fullDay": HALVES, "withTime": HALVES, "later": HALVES}
) | st.sampled_from([[], [""], None, "", False, "nonsense", 7])
ODD_SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "view": st.sampled_from(["day", "week", "month", "list", "custom_12", "", None]),
        **dict.fromkeys((*LETTER_KEYS, "syncTasks"), LETTERS),
        **dict.fromkeys(BOOLEAN_KEYS, BOOLEANS),
        REMINDERS_KEY: REMINDERS,
        "tabId": st.integers() | st.text(),
        "work_time_start": st.just("9.00"),
    },
)
MISSING = st.sets(st.sampled_from(sorted(FRESH)), max_size=2)
SETTINGS = st.builds(
    lambda odd, missing: {key: value for key, value in {**FRESH, **odd}.items() if key not in missing},
    ODD_SETTINGS,
    st.just(set()) | MISSING,
)
WORDS = st.one_of(
    st.builds("{}{}".format, st.integers(0, 300), st.sampled_from(["min", "hour", "day"])),
    st.builds("{}d@{:02}:{:02}".format, st.integers(0, 30), st.integers(0, 23), st.integers(0, 59)),
)
FORMS = st.fixed_dictionaries(
    {},
    optional={
        "view": st.sampled_from(["day", "week", "month", "list"]),
        **dict.fromkeys(LETTER_KEYS, st.sampled_from("YN")),
        **dict.fromkeys(BOOLEAN_KEYS, st.sampled_from("10")),
        **dict.fromkeys(REMINDER_PARTS, st.lists(WORDS, max_size=MAX_REMINDERS).map(",".join)),
    },
).filter(lambda form: form and (form.get("showTasks"), form.get("showCompletedTasks")) != ("N", "Y"))


def edits_of(**form: str) -> Edits:
    return parse_edits(form.items())


def write(settings: Mapping[str, Json], plan: WritePlan) -> dict[str, Json]:
    """Store values as Bitrix24 does: key by key, two of them cast to a boolean."""
    values = {key: bool(value) if key in BOOLEAN_KEYS else value for key, value in plan.values.items()}
    return {**settings, **values}


def as_json(value: Json) -> str:
    return json.dumps(value)


@given(SETTINGS, FORMS)
def test_only_what_was_asked_for_changes(before: dict[str, Json], form: dict[str, str]) -> None:
    edits = parse_edits(form.items())

    plan = plan_edits(edits, before)
    after = write(before, plan)

    assert compare(plan.values, after) == WriteOutcome(changed=tuple(plan.values), unchanged=())
    differing = differing_fields(edits, read_fields(after))
    assert {key_of(field) for field in differing} <= set(plan.refused)
    assert all(as_json(after[key]) == as_json(before[key]) for key in before if key not in plan.values)
    asked = {key_of(field) for field in form}
    assert plan.values.keys() - asked <= {"showCompletedTasks", "syncTasks"}
    if REMINDERS_KEY in plan.values:
        old, new = before[REMINDERS_KEY], plan.values[REMINDERS_KEY]
        changed_parts = {REMINDER_PARTS[field] for field in form if field in REMINDER_PARTS}
        assert isinstance(new, dict)
        kept = {part: old[part] for part in old if part not in changed_parts} if isinstance(old, dict) else {}
        assert as_json({part: new[part] for part in kept}) == as_json(kept)


@given(SETTINGS, FORMS)
def test_values_have_the_types_that_the_calendar_reads(before: dict[str, Json], form: dict[str, str]) -> None:
    for key, value in plan_edits(parse_edits(form.items()), before).values.items():
        if key == "view":
            assert value in ("day", "week", "month", "list")
        elif key in BOOLEAN_KEYS:
            assert value is True or value is False
        elif key == REMINDERS_KEY:
            assert isinstance(value, dict)
        else:
            assert value in ("Y", "N") and isinstance(value, str)


@given(SETTINGS, FORMS)
def test_a_second_time_there_is_nothing_to_write(before: dict[str, Json], form: dict[str, str]) -> None:
    edits = parse_edits(form.items())
    after = write(before, plan_edits(edits, before))

    assert plan_edits(edits, after).values == {}


@given(SETTINGS, FORMS)
def test_undo_restores_exactly_what_was(before: dict[str, Json], form: dict[str, str]) -> None:
    plan = plan_edits(parse_edits(form.items()), before)
    after = write(before, plan)
    changes = [Change(key, before[key], after[key]) for key in plan.values]

    undo = plan_undo(changes, after)

    if all(can_undo(change, after) for change in changes):
        assert not undo.refused
        assert as_json(write(after, undo)) == as_json(before)
    else:
        # Bitrix24 never gets an empty value from us, not even one that was there.
        assert undo.values == {}
        assert any(before[change.key] in ("", None, False) for change in changes)


@given(SETTINGS, FORMS, FORMS)
def test_undo_leaves_alone_what_was_changed_since(
    before: dict[str, Json], form: dict[str, str], later_form: dict[str, str]
) -> None:
    plan = plan_edits(parse_edits(form.items()), before)
    after = write(before, plan)
    changes = [Change(key, before[key], after[key]) for key in plan.values]
    later = plan_edits(parse_edits(later_form.items()), after)
    now = write(after, later)

    undo = plan_undo(changes, now, changed_since=later.values.keys())

    final = write(now, undo)
    touched = undo.values.keys()
    assert touched <= plan.values.keys() | ({"showCompletedTasks", "syncTasks"} & later.values.keys())
    assert all(as_json(final[key]) == as_json(now[key]) for key in now if key not in touched)
    overwritten = {change.key for change in changes} & later.values.keys()
    if overwritten - {REMINDERS_KEY}:
        assert undo.values == {}


@given(FORMS)
def test_edits_can_be_stored_as_texts(form: dict[str, str]) -> None:
    edits = parse_edits(form.items())

    assert parse_edits(encode_edits(edits).items()) == edits


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("view", "year"), ("view", ""), ("view", "custom_1"),
        ("showTasks", "1"), ("showTasks", "true"), ("showTasks", ""), ("showDeclined", "Y"),
        ("denyBusyInvitation", "2"), ("syncTasks", "Y"), ("defaultReminders", "15min"), ("settings", "false"),
        ("tabId", "1"), ("", ""),
        ("reminders.timed", "15"), ("reminders.timed", "15minutes"), ("reminders.timed", "-5min"),
        ("reminders.timed", "015min"), ("reminders.timed", "15min,,1hour"), ("reminders.timed", "8761hour"),
        ("reminders.day", "0d@24:00"), ("reminders.day", "0d@08:60"), ("reminders.day", "0d@8:00"),
        ("reminders.day", "366d@08:00"), ("reminders.timed", ",".join(f"{number}min" for number in range(11))),
    ],
)  # fmt: skip
def test_any_other_field_or_value_is_refused_by_name(field: str, text: str) -> None:
    with pytest.raises(InvalidEdit) as error:
        parse_edits([(field, text)])

    assert error.value.field == field
    assert not text or text not in str(error.value)


def test_a_field_given_twice_is_refused() -> None:
    with pytest.raises(InvalidEdit, match="view"):
        parse_edits([("view", "day"), ("view", "week")])


def test_a_form_without_fields_is_refused() -> None:
    with pytest.raises(InvalidEdit):
        parse_edits([])


def test_completed_tasks_need_tasks() -> None:
    with pytest.raises(InvalidEdit, match="showCompletedTasks"):
        edits_of(showTasks="N", showCompletedTasks="Y")

    plan = plan_edits(edits_of(showCompletedTasks="Y"), FRESH | {"showTasks": "N"})

    assert plan == WritePlan({}, ("showCompletedTasks",))


def test_tasks_take_completed_and_synced_tasks_along() -> None:
    before = FRESH | {"showTasks": "Y", "showCompletedTasks": "Y", "syncTasks": "Y"}
    off: dict[str, Json] = dict.fromkeys(("showTasks", "showCompletedTasks", "syncTasks"), "N")

    assert plan_edits(edits_of(showTasks="N"), before).values == off
    assert plan_edits(edits_of(showTasks="N"), before | {"showCompletedTasks": "N", "syncTasks": "N"}).values == {
        "showTasks": "N"
    }
    assert plan_undo([Change(key, "Y", "N") for key in off], before | off).values == dict.fromkeys(off, "Y")


def test_undo_of_tasks_takes_along_what_was_turned_on_since() -> None:
    shown = Change("showTasks", "N", "Y")
    now = FRESH | {"showTasks": "Y", "showCompletedTasks": "Y"}

    assert plan_undo([shown], now, changed_since=["showCompletedTasks"]).values == {
        "showTasks": "N",
        "showCompletedTasks": "N",
    }
    assert plan_undo([shown], now).values == {"showTasks": "N"}


def test_undo_does_not_show_completed_tasks_alone() -> None:
    now = FRESH | {"showTasks": "N", "showCompletedTasks": "N"}

    undo = plan_undo([Change("showCompletedTasks", "Y", "N")], now, changed_since=["showTasks"])

    assert undo == WritePlan({}, ("showCompletedTasks",))


def test_equal_reminders_are_not_written_again() -> None:
    before = FRESH | {REMINDERS_KEY: DOCUMENTED_REMINDERS}

    assert plan_edits(parse_edits([("reminders.timed", "15min"), ("reminders.day", "0d@08:00")]), before) == WritePlan()


def test_the_other_half_of_the_reminders_goes_back_as_it_came() -> None:
    before = FRESH | {REMINDERS_KEY: DOCUMENTED_REMINDERS}

    plan = plan_edits(parse_edits([("reminders.timed", "15min, 1hour")]), before)

    assert plan.values == {
        REMINDERS_KEY: {
            "fullDay": {"type": "daybefore", "before": "0", "time": "480"},
            "withTime": [{"type": "min", "count": 15}, {"type": "hour", "count": 1}],
        }
    }


def test_reminders_that_only_bitrix24_understands_are_kept() -> None:
    date: Json = {"type": "date", "value": "05.12.2025 10:00:00"}
    before = FRESH | {REMINDERS_KEY: {"withTime": [date, {"type": "min", "count": "5"}]}}

    plan = plan_edits(parse_edits([("reminders.timed", "1hour,date")]), before)

    assert plan.values == {REMINDERS_KEY: {"withTime": [{"type": "hour", "count": 1}, date]}}
    with pytest.raises(InvalidEdit, match=r"reminders\.timed"):
        plan_edits(parse_edits([("reminders.timed", "date,date")]), before)
    with pytest.raises(InvalidEdit, match=r"reminders\.timed"):
        parse_edits([("reminders.timed", "date")], for_everyone=True)


def test_undo_of_one_kind_of_reminders_keeps_a_later_change_of_the_other() -> None:
    before: dict[str, Json] = {"withTime": {"type": "min", "count": 15}, "fullDay": []}
    timed: Json = [{"type": "hour", "count": 1}]
    all_day: Json = [{"type": "day", "count": 1}]
    change = Change(REMINDERS_KEY, before, {**before, "withTime": timed})

    undo = plan_undo([change], FRESH | {REMINDERS_KEY: {"withTime": timed, "fullDay": all_day}})

    assert undo.values == {REMINDERS_KEY: {"withTime": before["withTime"], "fullDay": all_day}}


def test_a_setting_that_the_portal_does_not_send_is_not_written() -> None:
    before = {key: value for key, value in FRESH.items() if key != "showWeekNumbers"}

    assert plan_edits(edits_of(showWeekNumbers="Y", view="day"), before) == WritePlan(
        {"view": "day"}, ("showWeekNumbers",)
    )


def test_unreadable_reminders_are_not_overwritten() -> None:
    before = FRESH | {REMINDERS_KEY: "nonsense"}

    assert not is_editable(before, REMINDERS_KEY)
    assert plan_edits(parse_edits([("reminders.day", "1day")]), before) == WritePlan({}, (REMINDERS_KEY,))


def test_only_keys_that_were_written_are_compared() -> None:
    after = FRESH | {"view": "day", "showTasks": "N"}

    assert compare({"view": "day", "showDeclined": True}, after) == WriteOutcome(("view",), ("showDeclined",))


@pytest.mark.parametrize(
    ("key", "one", "other", "same"),
    [
        ("showTasks", "Y", True, True), ("syncTasks", "1", "Y", True), ("showTasks", "N", "", False),
        ("view", "week", "week", True), ("view", "custom_1", "custom_2", False),
        (REMINDERS_KEY, DOCUMENTED_REMINDERS, {"fullDay": [{"type": "daybefore", "before": 0, "time": 480}],
                                               "withTime": [{"type": "min", "count": "15"}]}, True),
        (REMINDERS_KEY, {"withTime": []}, [], True), (REMINDERS_KEY, "nonsense", "nonsense", True),
    ],
)  # fmt: skip
def test_values_are_compared_by_meaning(key: str, one: Json, other: Json, same: bool) -> None:
    assert same_meaning(key, one, other) is same


def test_every_field_can_be_read_and_written() -> None:
    assert set(FIELDS) == set(read_fields(FRESH))

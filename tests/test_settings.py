"""Every shape in which Bitrix24 sends settings, and any other JSON."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.calendar.encoding import TOGGLE_KEYS, decode_toggles, encode_habits, split_habits
from dashboard.calendar.parser import (
    CalendarSettings,
    SettingsResponse,
    parse,
)
from dashboard.calendar.reminders import AtTimeOfDay, Before, OnDate, ReminderList, Reminders, UnrecognizedReminder
from dashboard.calendar.time_zones import Offset, OffsetDisagrees, ProfileDisagrees, ZoneName
from dashboard.calendar.values import (
    Absent,
    CalendarSection,
    DefaultSection,
    DefaultSections,
    Months,
    SettingValue,
    Text,
    Toggle,
    Unrecognized,
    Unset,
    View,
)
from dashboard.calendar.working_hours import Hours, Span
from dashboard.core.json_values import Json

PAYLOADS: dict[str, dict[str, Json]] = json.loads((Path(__file__).parent / "payloads.json").read_text())
RECORDED, DOCUMENTED, ACCOUNT = PAYLOADS["recorded"], PAYLOADS["documented"], PAYLOADS["account"]

WINTER = datetime(2025, 12, 10, 12, tzinfo=UTC)
SUMMER = datetime(2025, 7, 10, 12, tzinfo=UTC)
SECTIONS: Json = [
    {"ID": "4", "NAME": "Anna", "COLOR": "#86b100"},
    {"ID": 49, "NAME": "Sales", "COLOR": "#fff"},
]
ANNA, SALES = CalendarSection(4, "Anna", "#86b100"), CalendarSection(49, "Sales", "#fff")


def read_settings(
    settings: Json,
    *,
    account: Json = None,
    sections: Json = SECTIONS,
    errors: dict[str, str] | None = None,
    at: datetime = WINTER,
    profile: str | None = None,
) -> CalendarSettings:
    return parse(SettingsResponse(settings, account, sections, errors or {}, at), profile_time_zone=profile)


def meaning(key: str, raw: Json) -> SettingValue:
    return read_settings({key: raw}).entries[key].parsed


def test_a_recorded_response() -> None:
    my = read_settings(RECORDED, account=ACCOUNT)

    assert my.view == "month"
    assert my.hours == Hours(Span(540, 1140), "account")
    assert (my.zone.name, my.zone.offset) == ("Europe/Moscow", 10800)
    assert my.reminders == Reminders(timed=(Before("min", 15),), all_day=(AtTimeOfDay(0, 480),))
    assert my.zone.disagreements == ()
    assert my.error is None


def test_the_documented_response() -> None:
    my = read_settings(DOCUMENTED, account=ACCOUNT)

    assert my.hours == Hours(Span(540, 1140), "person")
    assert my.reminders == Reminders(timed=(Before("min", 50),), all_day=(Before("min", 15),))
    assert my.entries["lastUsedSection"].parsed == Unset()
    assert my.entries["syncPeriodPast"].parsed == Months(3)
    assert my.entries["CalendarSelCont"].parsed == Absent()


@pytest.mark.parametrize("payload", [RECORDED, DOCUMENTED])
def test_a_real_response_is_recognized_in_full(payload: dict[str, Json]) -> None:
    my = read_settings(payload, account=ACCOUNT)

    assert [entry.key for entry in my.entries.values() if isinstance(entry.parsed, Unrecognized)] == []


@pytest.mark.parametrize("name", ["day", "week", "month", "list"])
def test_known_views(name: str) -> None:
    assert getattr(meaning("view", name), "name", None) == name
    assert isinstance(meaning("view", name), View)


@pytest.mark.parametrize("raw", ["custom_7", "year", 5, True, {"a": 1}])
def test_an_unknown_view_is_unrecognized(raw: Json) -> None:
    assert meaning("view", raw) == Unrecognized("value")


@pytest.mark.parametrize("raw", ["", None])
def test_an_empty_view_is_unset(raw: Json) -> None:
    assert meaning("view", raw) == Unset()


@pytest.mark.parametrize("key", ["meetSection", "crmSection", "lastUsedSection"])
@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("4", ANNA),
        (4, ANNA),
        (49, SALES),
        ("777", CalendarSection(777)),
        (False, Unset()),
        ("false", Unset()),
        ("", Unset()),
        ("0", Unset()),
        (0, Unset()),
        (None, Unset()),
        (True, Unrecognized("value")),
        ("main", Unrecognized("value")),
        (-4, Unrecognized("value")),
    ],
)
def test_sections(key: str, raw: Json, expected: SettingValue) -> None:
    assert meaning(key, raw) == expected


@pytest.mark.parametrize("color", ["red", "#12345", "url(//evil)", "#ggg", "#fff;", None, 5])
def test_an_invalid_color_is_dropped(color: Json) -> None:
    my = read_settings({"meetSection": "4"}, sections=[{"ID": 4, "NAME": "Anna", "COLOR": color}])

    assert my.sections == (CalendarSection(4, "Anna", None),)


@pytest.mark.parametrize(
    "key",
    ["showDeclined", "denyBusyInvitation", "collapseOffHours", "showWeekNumbers", "showTasks", "syncTasks"],
)
@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (True, Toggle(True)),
        (False, Toggle(False)),
        ("Y", Toggle(True)),
        ("N", Toggle(False)),
        ("true", Toggle(True)),
        ("false", Toggle(False)),
        (1, Toggle(True)),
        ("0", Toggle(False)),
        (None, Unset()),
        ("maybe", Unrecognized("value")),
        (2, Unrecognized("value")),
        ([], Unrecognized("value")),
    ],
)
def test_toggles(key: str, raw: Json, expected: SettingValue) -> None:
    assert meaning(key, raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (3, Months(3)),
        ("12", Months(12)),
        (0, Months(0)),
        ("", Unset()),
        ("false", Unset()),
        (None, Unset()),
        ("soon", Unrecognized("value")),
        (1.5, Unrecognized("value")),
        ("9" * 5000, Unrecognized("value")),
    ],
)
def test_months(raw: Json, expected: SettingValue) -> None:
    assert meaning("syncPeriodPast", raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (False, Unset()),
        ("", Unset()),
        ("false", Unset()),
        (None, Unset()),
        ("anna@alpha.example", Text("anna@alpha.example")),
        ("anna", Unrecognized("value")),
    ],
)
def test_sender(raw: Json, expected: SettingValue) -> None:
    assert meaning("sendFromEmail", raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ([], DefaultSections(())),
        ([""], DefaultSections(())),
        (
            {"user1": "4", "group6": 49},
            DefaultSections((DefaultSection("user1", ANNA, "4"), DefaultSection("group6", SALES, 49))),
        ),
        (["4"], DefaultSections((DefaultSection("0", ANNA, "4"),))),
        ({"user1": ""}, DefaultSections(())),
        ({"user1": {"a": 1}}, DefaultSections((DefaultSection("user1", None, {"a": 1}),))),
        (None, Unset()),
        (1, Unrecognized("value")),
    ],
)
def test_default_sections(raw: Json, expected: SettingValue) -> None:
    assert meaning("defaultSections", raw) == expected


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("9.00", "19.00", Span(540, 1140)),
        ("9", "19", Span(540, 1140)),
        ("9.30", "24.00", Span(570, 1440)),
        ("0.00", "8.3", Span(0, 510)),
        (9, 23.3, Span(540, 1410)),
        ("09:15", "18:00", Span(555, 1080)),
        ("22.00", "6.30", Span(1320, 390)),
    ],
)
def test_own_hours(start: Json, end: Json, expected: Span) -> None:
    my = read_settings({"work_time_start": start, "work_time_end": end}, account=ACCOUNT)

    assert my.hours == Hours(expected, "person")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (".00", "18.00"),
        ("9.00", ".00"),
        ("9.60", "18"),
        ("9", "24.01"),
        ("-1", "18"),
        ("9", True),
        ("9", None),
    ],
)
def test_partly_readable_hours_are_replaced_by_the_portals(start: Json, end: Json) -> None:
    my = read_settings({"work_time_start": start, "work_time_end": end}, account=ACCOUNT)

    assert my.hours == Hours(Span(540, 1140), "account", has_unreadable_own_hours=True)


@pytest.mark.parametrize("start", ["9.60", 25, "nine", float("nan"), float("inf"), 10**400, [], True])
def test_an_invalid_time_is_unrecognized(start: Json) -> None:
    assert meaning("work_time_start", start) == Unrecognized("value")


@pytest.mark.parametrize(
    ("account", "span"),
    [
        ({"work_time_start": 9, "work_time_end": 19}, Span(540, 1140)),
        ({"work_time_start": "9.30", "work_time_end": "19"}, Span(570, 1140)),
        ({"work_time_start": 22.3, "work_time_end": 23.3}, Span(1350, 1410)),
    ],
)
def test_account_hours(account: Json, span: Span) -> None:
    assert read_settings(RECORDED, account=account).hours == Hours(span, "account")


@pytest.mark.parametrize("account", [None, [], {}, "no", {"work_time_start": "9"}])
def test_missing_hours_are_unknown(account: Json) -> None:
    assert read_settings(RECORDED, account=account).hours == Hours(None, "unknown")


def test_a_night_shift_is_overnight() -> None:
    span = Span(22 * 60, 6 * 60)

    assert span.is_overnight
    assert span.minutes == 480
    assert span.bands == ((0, 360), (1320, 1440))


@pytest.mark.parametrize("days", [["SA", "SU"], {"0": "SA", "2": "SU"}])
def test_days_off(days: Json) -> None:
    assert read_settings({}, account={"week_holidays": days}).days_off == ("SA", "SU")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"type": "min", "count": 15}, Before("min", 15)),
        ({"type": "min", "count": "15"}, Before("min", 15)),
        ({"type": "min", "count": 0}, Before("min", 0)),
        ({"type": "hour", "count": 1}, Before("hour", 1)),
        ({"type": "day", "count": 2}, Before("day", 2)),
        ({"type": "daybefore", "before": 0, "time": 480}, AtTimeOfDay(0, 480)),
        ({"type": "daybefore", "before": "1", "time": "1439"}, AtTimeOfDay(1, 1439)),
        ({"type": "date", "value": "05.12.2025 10:00:00"}, OnDate("05.12.2025 10:00:00")),
    ],
)
def test_reminder_entries(entry: Json, expected: object) -> None:
    assert read_settings({"defaultReminders": {"withTime": entry}}).reminders.timed == (expected,)


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "min"},
        {"type": "min", "count": -1},
        {"type": "daybefore", "before": 0, "time": 1440},
        {"type": "date", "value": ""},
        {"type": ["min"], "count": 5},
        {"count": 5},
        "soon",
        7,
        [[]],
    ],
)
def test_an_unrecognized_reminder_is_kept_beside_the_others(entry: Json) -> None:
    my = read_settings({"defaultReminders": {"withTime": [{"type": "min", "count": 5}, entry]}})

    assert my.reminders.timed == (Before("min", 5), UnrecognizedReminder(entry))


@pytest.mark.parametrize(
    ("half", "expected"),
    [
        ([], ()),
        ([""], ()),
        ({}, ()),
        (None, None),
        ("false", None),
        ({"type": "min", "count": 5}, (Before("min", 5),)),
        ([{"type": "min", "count": 5}], (Before("min", 5),)),
        (
            {"1": {"type": "min", "count": 5}, "3": {"type": "hour", "count": 1}},
            (Before("min", 5), Before("hour", 1)),
        ),
    ],
)
def test_reminders_of_one_kind_of_event(half: Json, expected: ReminderList) -> None:
    reminders = read_settings({"defaultReminders": {"fullDay": half, "withTime": []}}).reminders

    assert reminders == Reminders(timed=(), all_day=expected)


@pytest.mark.parametrize("raw", [None, False, "false", "", [], [""], {}])
def test_empty_reminders_are_unknown(raw: Json) -> None:
    assert meaning("defaultReminders", raw) == Reminders()


@pytest.mark.parametrize("raw", ["soon", 5, True, [{"type": "min", "count": 5}]])
def test_invalid_reminders_are_unrecognized(raw: Json) -> None:
    assert meaning("defaultReminders", raw) == Unrecognized("value")


def test_an_unknown_kind_of_event_is_kept() -> None:
    assert read_settings({"defaultReminders": {"other": 5}}).reminders.unknown_keys == (("other", 5),)


@pytest.mark.parametrize("name", ["Europe/Kiev", "Asia/Calcutta", "UTC", "America/Argentina/Ushuaia"])
def test_zone_names(name: str) -> None:
    assert meaning("timezoneName", name) == ZoneName(name)


@pytest.mark.parametrize(
    "name", ["Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe/Berlin\x00", 5, {}, "x" * 9000]
)
def test_an_invalid_zone_name_is_ignored(name: Json) -> None:
    my = read_settings({"timezoneName": name, "timezoneOffsetUTC": 7200})

    assert my.zone.name == ""
    assert my.zone.tz().utcoffset(WINTER) is not None


@pytest.mark.parametrize("seconds", [0, -18000, 19800, 20700, -12600, "20700"])
def test_offsets(seconds: int | str) -> None:
    assert meaning("timezoneOffsetUTC", seconds) == Offset(int(seconds))


@pytest.mark.parametrize("seconds", [86400, -86400, "east", True, 1.5, 10**30])
def test_an_invalid_offset_is_unrecognized(seconds: Json) -> None:
    assert meaning("timezoneOffsetUTC", seconds) == Unrecognized("value")


def test_an_offset_disagrees_with_its_zone() -> None:
    my = read_settings(DOCUMENTED, at=WINTER)

    assert my.zone.disagreements == (OffsetDisagrees(reported_offset=7200, zone_offset=3600),)


def test_the_same_offset_agrees_in_summer() -> None:
    assert read_settings(DOCUMENTED, at=SUMMER).zone.disagreements == ()


def test_a_profile_zone_disagrees() -> None:
    my = read_settings({"timezoneName": "Europe/Berlin"}, profile="Europe/Lisbon")

    assert my.zone.disagreements == (ProfileDisagrees("Europe/Lisbon", "Europe/Berlin"),)


def test_zones_that_differ_later_in_the_year_disagree() -> None:
    my = read_settings({"timezoneName": "Africa/Lagos"}, profile="Europe/Berlin", at=WINTER)

    assert len(my.zone.disagreements) == 1


@pytest.mark.parametrize("profile", ["Europe/Kyiv", "Europe/Kiev", "", None, "Mars/Olympus"])
def test_an_equal_or_missing_profile_zone_agrees(profile: str | None) -> None:
    assert read_settings({"timezoneName": "Europe/Kiev"}, profile=profile).zone.disagreements == ()


def test_the_profile_zone_replaces_a_missing_calendar_zone() -> None:
    assert str(read_settings({}, profile="Asia/Kathmandu").zone.tz()) == "Asia/Kathmandu"


@pytest.mark.parametrize("raw", [5, "month", None, {"a": 1}])
def test_an_unknown_key_is_kept(raw: Json) -> None:
    my = read_settings({"view_resourcebooking": raw})

    assert [(e.key, e.raw, e.parsed) for e in my.groups["unknown"]] == [
        ("view_resourcebooking", raw, Unrecognized("key"))
    ]


def test_an_old_portal_lacks_some_keys() -> None:
    my = read_settings({"view": "week"})

    assert my.entries["syncTasks"].is_absent
    assert not my.entries["view"].is_absent


def test_empty_settings_come_as_a_list() -> None:
    my = read_settings([])

    assert my.is_readable
    assert my.error is None


@pytest.mark.parametrize("raw", [None, "<html>", 5, [1], True])
def test_other_json_is_unreadable(raw: Json) -> None:
    my = read_settings(raw, account=ACCOUNT, profile="Europe/Berlin")

    assert not my.is_readable
    assert my.error == "settings_not_a_map"
    assert my.hours.span == Span(540, 1140)
    assert my.zone.profile == "Europe/Berlin"


@pytest.mark.parametrize(("code", "error"), [("ERROR_ARGUMENT", "ERROR_ARGUMENT"), ("", "empty_error_code")])
def test_an_error_leaves_the_other_responses_readable(code: str, error: str) -> None:
    my = read_settings(None, account=ACCOUNT, errors={"calendar.user.settings.get": code})

    assert my.error == error
    assert my.hours.source == "account"
    assert my.sections == (ANNA, SALES)


def test_the_last_good_settings_keep_their_time() -> None:
    errors = {"calendar.user.settings.get": "QUERY_LIMIT_EXCEEDED"}
    my = parse(
        SettingsResponse(RECORDED, None, None, errors, WINTER, settings_taken_at=SUMMER),
        profile_time_zone=None,
    )

    assert my.is_readable
    assert my.taken_at == SUMMER


json_values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
known_keys = st.sampled_from([*RECORDED, "work_time_start", "work_time_end"])
likely_settings = st.dictionaries(known_keys | st.text(max_size=3), json_values, max_size=8)


@given(settings=likely_settings | json_values, account=likely_settings | json_values, sections=json_values)
def test_no_json_raises_and_no_key_is_lost(settings: Json, account: Json, sections: Json) -> None:
    my = read_settings(settings, account=account, sections=sections, profile="Europe/Berlin")

    page = {entry.key: entry.raw for entry in my.entries.values() if not entry.is_absent}
    assert page.keys() == (settings.keys() if isinstance(settings, dict) else set())
    assert all(page[key] is settings[key] for key in page if isinstance(settings, dict))
    assert len(decode_toggles(split_habits(encode_habits(my))[0])) <= len(TOGGLE_KEYS)


def test_every_entry_is_on_a_card_or_in_one_group() -> None:
    my = read_settings({**RECORDED, **DOCUMENTED, "tabId": 1})

    grouped = [entry.key for entries in my.groups.values() for entry in entries]
    cards = {
        "view",
        "work_time_start",
        "work_time_end",
        "timezoneName",
        "timezoneOffsetUTC",
        "defaultReminders",
    }
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == my.entries.keys() - cards

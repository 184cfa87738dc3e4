"""Values in the user's language, and the page of settings they make."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo, available_timezones

import pytest
from flask import Flask, render_template
from jinja2 import StrictUndefined
from markupsafe import Markup

from dashboard.calendar.edits import EDITABLE_KEYS
from dashboard.calendar.parser import SettingEntry, SettingsResponse, parse
from dashboard.calendar.reminders import AtTimeOfDay, Before, OnDate, Reminder, UnrecognizedReminder, parse_reminders
from dashboard.calendar.values import DefaultSections
from dashboard.calendar.working_hours import Span
from dashboard.core.json_values import Json, compact_json
from dashboard.models import Run
from dashboard.sync.last_runs import LastRun
from dashboard.web.errors import responses
from dashboard.web.errors.responses import Notice
from dashboard.web.http import static_files
from dashboard.web.http.templating import TemplateEnvironment
from dashboard.web.i18n import translations
from dashboard.web.presenters import (
    filters,
    labels,
    run_history,
    setting_display,
    setting_editors,
    template_filters,
)

ROOT = Path(__file__).parents[1]
PAYLOADS: dict[str, dict[str, Json]] = json.loads((ROOT / "tests" / "payloads.json").read_text())
NOON = datetime(2025, 12, 10, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("reminder", "text"),
    [
        (Before("min", 15), "15 minutes before"),
        (Before("min", 1), "1 minute before"),
        (Before("min", 0), "At the start"),
        (Before("min", 60), "1 hour before"),
        (Before("min", 90), "90 minutes before"),
        (Before("hour", 2), "2 hours before"),
        (Before("day", 1), "1 day before"),
        (AtTimeOfDay(0, 480), "08:00 on the day"),
        (AtTimeOfDay(1, 480), "08:00 the day before"),
        (AtTimeOfDay(3, 5), "00:05, 3 days before"),
        (OnDate("05.12.2025 10:00:00"), "Once, at 05.12.2025 10:00:00"),
        (UnrecognizedReminder({"type": "moon"}), '{"type":"moon"}'),
    ],
)
def test_reminders(reminder: Reminder, text: str) -> None:
    assert filters.reminder(reminder) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "UTC+00:00"),
        (20700, "UTC+05:45"),
        (-12600, "UTC-03:30"),
        (-900, "UTC-00:15"),
        (3601, "UTC+01:00:01"),
    ],
)
def test_offsets(seconds: int, text: str) -> None:
    assert filters.offset(seconds) == text


def test_hours() -> None:
    assert filters.hours(Span(540, 1440)) == "09:00 – 24:00"
    assert filters.duration(600) == "10 h"
    assert filters.duration(510) == "8 h 30 min"


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(), "updated at 13:00"),
        (timedelta(hours=12), "updated at 01:00"),
        (timedelta(hours=14), "updated Dec 9, 23:00"),
        (timedelta(days=365), "updated Dec 10, 2024, 13:00"),
    ],
)
def test_updated_at(age: timedelta, text: str) -> None:
    assert filters.updated_at(NOON - age, NOON, BERLIN) == text


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(), "13:00"),
        (timedelta(hours=14), "23:00, Dec 9"),
        (timedelta(days=365), "13:00, Dec 10, 2024"),
    ],
)
def test_time_and_date(age: timedelta, text: str) -> None:
    assert filters.time_and_date(NOON - age, NOON, BERLIN) == text


def test_the_time_in_a_zone() -> None:
    assert filters.time_in(NOON, ZoneInfo("Asia/Kathmandu")) == "17:45"
    assert filters.minutes_in(NOON, ZoneInfo("Asia/Kathmandu")) == 17 * 60 + 45


@pytest.mark.parametrize("name", ["Europe/Kyiv", "Europe/Kiev"])
def test_a_renamed_zone_keeps_its_translation(app: Flask, name: str) -> None:
    translations.use("ru")

    assert filters.zone_city(name) == "Киев"


def test_lists_follow_the_language(app: Flask) -> None:
    translations.use("ar")

    assert filters.join_words(["1", "2", "3"]) == "1 و2 و3"
    assert filters.join_words([Markup("<b>1</b>"), "<2>"]) == Markup("<b>1</b> و&lt;2&gt;")


def test_zones_have_names() -> None:
    assert filters.zone_city("Europe/Berlin") == "Berlin"
    assert filters.zone_title("Europe/Berlin") == "Central European Time"


def test_every_zone_has_a_city_and_a_title() -> None:
    assert all(filters.zone_city(name) and filters.zone_title(name) for name in available_timezones())


def test_weekdays() -> None:
    assert filters.weekday("SA") == "Saturday"
    assert filters.weekday("XX") == "XX"


def test_a_long_raw_value_is_cut() -> None:
    assert len(filters.raw_text("x" * 5000)) == 200
    assert filters.raw_text("") == '""'


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": ["\ud800a"]}, "</script>\u0000", {"é": 1.5}])
def test_compact_json_always_encodes_and_reads_back(value: Json) -> None:
    assert json.loads(compact_json(value).encode()) == value


def test_default_calendars_without_a_choice() -> None:
    value = setting_display.display(SettingEntry("defaultSections", [], DefaultSections(())))

    assert (value.kind, value.text) == ("empty", "Chosen by Bitrix24")


@pytest.mark.parametrize(
    ("seconds", "text"), [(40, "40 s"), (760, "12 min"), (3600, "1 h"), (3 * 3600 + 300, "3 h 5 min")]
)
def test_the_duration_of_a_run(seconds: int, text: str) -> None:
    run = Run(state="done", created_at=NOON, started_at=NOON, finished_at=NOON + timedelta(seconds=seconds))

    assert run_history.run_row(LastRun(run, None)).duration == text


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("user7", "In my calendar"),
        ("user8", "In the calendar of user 8"),
        ("group6", "In workgroup 6"),
        ("company_calendar", "In the company calendar"),
        ("users", "users"),
    ],
)
def test_places(place: str, text: str) -> None:
    assert labels.place(place, 7) == text


class Elements(HTMLParser):
    """The page as machines read it: attributes of its elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(dict(attrs))

    def having(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for attributes in self.found if name in attributes]


@pytest.fixture
def app() -> Iterator[Flask]:
    app = Flask("face", template_folder=str(ROOT / "templates"), static_folder=None)
    app.jinja_environment = TemplateEnvironment
    app.jinja_env.undefined = StrictUndefined
    translations.install(app.jinja_env)
    template_filters.install(app.jinja_env)
    responses.install(app.jinja_env)
    static_files.install(app, static_files.StaticFiles())
    with app.test_request_context():
        yield app


def page_of(settings: Json, *, errors: dict[str, str] | None = None, notice: Notice | None = None) -> Elements:
    reading = SettingsResponse(settings, PAYLOADS["account"], [{"ID": "4", "NAME": "Anna"}], errors or {}, NOON)
    my, editable = parse(reading, profile_time_zone="Europe/Berlin"), frozenset(EDITABLE_KEYS)
    page = render_template(
        "me.html",
        layout="layout.html",
        my=my,
        person=SimpleNamespace(name="Anna", user_id=7, is_admin=True),
        portal=SimpleNamespace(
            domain="alpha.example",
            origin="https://alpha.example",
            team_access="administrators",
            profile_path="/company/personal/user/1/",
            calendar_path="/company/personal/user/1/calendar/",
        ),
        now=NOON,
        session_token="signed",
        bx24_js_url="https://library.example/",
        frame_key=None,
        nav=[SimpleNamespace(href="/me", title="My settings", current=True)],
        notice=notice,
        changed=None,
        outcome=None,
        editable=editable,
        states={},
        switches=setting_editors.switch_rows(my, editable, {}),
        calendar_entries=setting_editors.calendar_entries(my),
        reminder_editor=setting_editors.reminder_editor(my, editable),
        changes=[],
        change_count=0,
        recommended=None,
        can_reset=False,
        first_open=True,
        clock_note="",
    )
    return Elements(page)


ODD: dict[str, Json] = {
    "view": "custom_<7>",
    "work_time_start": ".00",
    "work_time_end": 25,
    "timezoneName": "Mars/Olympus",
    "timezoneOffsetUTC": "east",
    "defaultReminders": {"withTime": ["", 7], "fullDay": {"type": "date", "value": "5 May"}, "x": []},
    "defaultSections": {"user7": "4", "group6": {"a": '"'}},
    "meetSection": "777",
    "showTasks": [],
    '"><script>': {"\ud800": None},
    "blink": 1.5,
}


@pytest.mark.parametrize("settings", [PAYLOADS["recorded"], PAYLOADS["documented"], ODD, {}])
def test_each_setting_is_one_element_with_its_value(app: Flask, settings: dict[str, Json]) -> None:
    values = [
        (attributes["data-setting"], attributes["data-value"])
        for attributes in page_of(settings).having("data-setting")
    ]

    assert sorted(values) == sorted((key, compact_json(raw)) for key, raw in settings.items())


@pytest.mark.parametrize(("code", "expected"), [("ERROR_ARGUMENT", "ERROR_ARGUMENT"), ("", "empty_error_code")])
def test_unreadable_settings_show_the_error(app: Flask, code: str, expected: str) -> None:
    page = page_of(None, errors={"calendar.user.settings.get": code})

    assert expected in [attributes["data-error"] for attributes in page.having("data-error")]
    assert page.having("data-setting") == []


@pytest.mark.parametrize(
    ("entry", "expected"),
    [({"type": "min", "count": 15}, False), ({"type": "date", "value": "5 May"}, True), ({"text": "Anna"}, True)],
)
def test_what_may_be_personal_in_reminders(entry: Json, expected: bool) -> None:
    reminders = parse_reminders({"withTime": [{"type": "hour", "count": 1}, entry]})

    assert reminders is not None
    assert reminders.has_texts == expected


def test_an_error_is_shown_above_the_stored_settings(app: Flask) -> None:
    page = page_of(PAYLOADS["recorded"], notice=Notice("unreachable", "No response", "It did not answer.", "Theirs."))

    assert "unreachable" in [attributes["data-error"] for attributes in page.having("data-error")]
    assert len(page.having("data-setting")) == len(PAYLOADS["recorded"])


def test_a_page_without_problems_has_no_error(app: Flask) -> None:
    assert page_of(PAYLOADS["recorded"]).having("data-error") == []


def test_an_error_page_needs_no_session_and_no_portal(app: Flask) -> None:
    notice = Notice("APPLICATION_NOT_FOUND", "Not installed", "It is gone.", "What to do:")

    page = Elements(render_template("error.html", layout="part.html", notice=notice))

    assert [attributes["data-error"] for attributes in page.having("data-error")] == ["APPLICATION_NOT_FOUND"]

"""My settings: every format that a portal sends, from the response to the page."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from dashboard.core import single_flight
from dashboard.people.snapshots import MAX_RECENT_AGE, SETTINGS_REFRESH_LIMIT
from tests.emulator import Emulator
from tests.emulator.faults import Fault
from tests.waiting import HANG_SECONDS
from tests.world import World, errors_on, settings_on

PAYLOADS = json.loads((Path(__file__).parent / "payloads.json").read_text(encoding="utf-8"))
RECORDED: dict[str, Any] = PAYLOADS["recorded"]
ABSENT = NotImplemented  # a value no JSON has, with a name that stays the same


def words_on(page: str) -> str:
    """Return the visible text in one line."""
    body = re.sub(r"<(template|head|script).*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def open_with(world: World, **settings: Any) -> str:
    """Open as Boris with a changed response, and return the page."""
    changed = RECORDED | settings
    world.portal().people["boris"].settings = {key: value for key, value in changed.items() if value is not ABSENT}
    response = world.open("boris")
    assert response.status_code == 200
    return response.text


@pytest.mark.parametrize("name", ["recorded", "documented"])
def test_responses_of_real_portals(world: World, name: str) -> None:
    page = open_with(world, **PAYLOADS[name])

    assert settings_on(page) == RECORDED | PAYLOADS[name]
    assert errors_on(page) == []


def minutes(count: Any) -> dict[str, Any]:
    return {"type": "min", "count": count}


def day_before(days: Any, minute: Any) -> dict[str, Any]:
    return {"type": "daybefore", "before": days, "time": minute}


# What the portal's source can send for each key (any of it may be stored by an old client), and the
# words a person reads for it, where it has words of its own.
SHAPES: list[tuple[dict[str, Any], str]] = [
    ({"view": "day"}, "Day"),
    ({"view": "list"}, "Schedule"),
    ({"view": "custom_7"}, "custom_7"),
    ({"view": ""}, "Chosen by Bitrix24"),
    ({"view": None}, "Chosen by Bitrix24"),
    ({"view": 5}, "5"),
    ({"CalendarSelCont": "false", "SPCalendarSelCont": "false"}, ""),
    ({"meetSection": False}, "No calendar chosen yet"),
    ({"meetSection": "0"}, "No calendar chosen yet"),
    ({"meetSection": 14}, "Calendar 14"),
    ({"crmSection": "false"}, "No calendar chosen yet"),
    ({"lastUsedSection": "false"}, "No event created yet"),
    ({"lastUsedSection": None}, "No event created yet"),
    ({"showDeclined": None, "denyBusyInvitation": True}, ""),
    ({"collapseOffHours": True, "showTasks": "false", "showWeekNumbers": 1}, ""),
    ({"syncTasks": ABSENT, "sendFromEmail": ABSENT, "defaultReminders": ABSENT}, ""),
    ({"sendFromEmail": "boris@alpha.example"}, "boris@alpha.example"),
    ({"defaultSections": {"user7": 4, "group6": "49"}}, "In workgroup 6"),
    ({"defaultSections": [""]}, ""),
    ({"defaultSections": None}, ""),
    ({"defaultSections": "1"}, ""),
    ({"syncPeriodPast": "3", "syncPeriodFuture": "12"}, "12 months"),
    ({"syncPeriodPast": "", "syncPeriodFuture": "false"}, "No limit chosen"),
    ({"defaultReminders": {"withTime": minutes(15)}}, "15 minutes before"),
    ({"defaultReminders": {"withTime": [minutes("50"), {"type": "day", "count": 1}]}}, "50 minutes before"),
    ({"defaultReminders": {"withTime": minutes(0), "fullDay": []}}, "At the start"),
    ({"defaultReminders": {"fullDay": day_before(0, 480)}}, "08:00 on the day"),
    (
        {"defaultReminders": {"fullDay": [{"type": "daybefore", "before": "1", "time": "600"}]}},
        "10:00 the day before",
    ),
    (
        {"defaultReminders": {"fullDay": {"type": "date", "value": "05.12.2025 10:00:00"}}},
        "05.12.2025 10:00:00",
    ),
    ({"defaultReminders": {"withTime": {"type": "hour", "count": 2}, "fullDay": [""]}}, "2 hours before"),
    ({"defaultReminders": {"withTime": [{"type": "moon"}, 7, None]}}, "moon"),
    ({"defaultReminders": []}, ""),
    ({"defaultReminders": None}, ""),
    ({"defaultReminders": "odd"}, ""),
    ({"timezoneName": "Europe/Kiev", "timezoneOffsetUTC": 7200}, "Europe/Kiev"),
    ({"timezoneName": "Asia/Kathmandu", "timezoneOffsetUTC": 20700}, "UTC+05:45"),
    ({"timezoneName": "America/St_Johns", "timezoneOffsetUTC": -12600}, "UTC-03:30"),
    ({"timezoneName": False, "timezoneOffsetUTC": 0}, "UTC+00:00"),
    ({"timezoneName": "../../etc/passwd"}, "../../etc/passwd"),
    ({"work_time_start": "9.00", "work_time_end": "19.00"}, "09:00 – 19:00"),
    ({"work_time_start": "9.30", "work_time_end": "18.30"}, "09:30 – 18:30"),
    ({"work_time_start": "22.00", "work_time_end": "6.00"}, "22:00 – 06:00"),
    ({"work_time_start": "0.00", "work_time_end": "24.00"}, "00:00 – 24:00"),
    ({"work_time_start": ".00", "work_time_end": "18.00"}, "09:00 – 18:30"),
    ({"work_time_start": 9, "work_time_end": 18.3}, "09:00 – 18:30"),
    ({"tabId": "x", "showMuted": False, "view_resourcebooking": {"a": [1]}}, "view_resourcebooking"),
    ({"<script>alert(1)</script>": '"><script>alert(1)</script>'}, "<script>alert(1)</script>"),
]


@pytest.fixture(scope="module")
def one_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Yield one world for many independent openings."""
    folder = tmp_path_factory.mktemp("shapes")
    with (
        Emulator(client_id="app.test.1", client_secret="emulated-secret", everyone_speaks="en") as bitrix24,
        World(bitrix24, f"sqlite:///{folder / 'dashboard.db'}") as it,
    ):
        it.portal().bucket = None
        it.install("alpha")
        yield it


@pytest.mark.parametrize(("shape", "words"), SHAPES, ids=[repr(shape)[:60] for shape, _ in SHAPES])
def test_every_format_of_a_setting(one_world: World, shape: dict[str, Any], words: str) -> None:
    page = open_with(one_world, **shape)

    assert settings_on(page) == one_world.portal().people["boris"].settings
    assert words in words_on(page)
    assert "<script>alert" not in page


def test_stored_settings_keep_order_and_types(each_world: World) -> None:
    odd = {"tabId": 1.5, "blink": "ё🙂\u2028", "showMuted": [[], {}, None, True, 10**14, "\\"]}
    open_with(each_world, **odd)
    session = each_world.session("boris")

    page = each_world.browser.get("/me", headers=session).text

    assert settings_on(page) == RECORDED | odd


def test_missing_hours_are_the_portals(world: World) -> None:
    page = words_on(open_with(world))

    assert "09:00 – 18:30 Portal default" in page


def test_an_offset_that_differs_from_its_zone_is_reported(world: World) -> None:
    agreeing = open_with(world, timezoneName="Europe/Moscow", timezoneOffsetUTC=10800)
    disagreeing = open_with(world, timezoneName="Europe/Moscow", timezoneOffsetUTC=7200)

    assert "Bitrix24 uses UTC+02:00 , but Europe/Moscow was at UTC+03:00" in words_on(disagreeing)
    assert 'data-disagreement="offset"' not in agreeing


@pytest.mark.parametrize("answer", ["body", None])
def test_a_response_that_is_not_an_object_is_reported(world: World, answer: str | None) -> None:
    def change(body: dict[str, Any]) -> dict[str, Any]:
        body["result"]["result"]["settings"] = answer
        return body

    world.bitrix24.faults.add(Fault(kind="answer", method="batch", change=change))

    response = world.open("boris")

    assert response.status_code == 200
    assert len(errors_on(response.text)) == 1
    assert settings_on(response.text) == {}


def test_an_empty_list_means_no_settings(world: World) -> None:
    world.portal().people["boris"].settings = {}

    response = world.open("boris")

    assert errors_on(response.text) == []
    assert settings_on(response.text) == {}


def test_the_age_of_the_settings_uses_the_applications_clock(world: World) -> None:
    session = world.session("boris")
    world.bitrix24.clock.advance(86400)

    assert "updated at" not in world.browser.get("/me", headers=session).text


@pytest.mark.usefixtures("frozen_clock")
def test_frequent_refreshes_send_no_requests(world: World) -> None:
    """Settings read a moment ago are shown again; otherwise the response says how long to wait."""
    session, subject = world.session("boris"), f"settings refreshes {world.known().member_id} 7"
    for _ in range(SETTINGS_REFRESH_LIMIT.depth):
        world.services.throttle.record_failure(subject, SETTINGS_REFRESH_LIMIT)
    world.bitrix24.clear()

    response = world.browser.post("/me/refresh", headers=session)
    assert (response.status_code, errors_on(response.text)) == (200, [])
    assert settings_on(response.text) == world.portal().people["boris"].settings
    assert world.bitrix24.requests == []

    world.bitrix24.clock.advance(MAX_RECENT_AGE.total_seconds() + 1)
    for _ in range(SETTINGS_REFRESH_LIMIT.depth):
        world.services.throttle.record_failure(subject, SETTINGS_REFRESH_LIMIT)
    refused = world.browser.post("/me/refresh", headers=session)
    assert (refused.status_code, errors_on(refused.text)) == (503, ["too_many_settings_refreshes"])
    assert int(refused.headers["Retry-After"]) >= 1

    world.bitrix24.clock.advance(SETTINGS_REFRESH_LIMIT.seconds)
    assert world.browser.post("/me/refresh", headers=session).status_code == 200
    assert world.bitrix24.count(method="batch") == 1


@pytest.mark.parametrize("slow_clients", [False, True])
def test_repeated_refreshes_leave_threads_to_others(
    world: World, monkeypatch: pytest.MonkeyPatch, *, slow_clients: bool
) -> None:
    """While the portal does not answer, one thread asks it and one more waits; the others are free soon.

    If slow clients hold too many threads, no other thread waits.
    """
    monkeypatch.setattr(single_flight, "CROWDED_SECONDS", 0.0)
    session = world.session("boris")
    world.bitrix24.clear()
    held = world.bitrix24.faults.add(Fault("hold", method="batch"))

    def refresh() -> int:
        return world.app.test_client().post("/me/refresh", headers=session).status_code

    with ThreadPoolExecutor(3) as pool, ExitStack() as clients:
        threads = world.app.extensions["services"].waiting_threads
        quota = threads.quota(threads.threads if slow_clients else 0)
        for _ in range(quota.limit):
            clients.enter_context(quota.try_acquire())
        clicks = [pool.submit(refresh) for _ in range(3)]
        done = as_completed(clicks, timeout=HANG_SECONDS)
        refused = [next(done).result() for _ in range(2 if slow_clients else 1)]
        held.released.set()

    assert set(refused) == {503}
    assert sorted(click.result() for click in clicks) == [200] * (3 - len(refused)) + refused
    assert world.bitrix24.count(method="batch") == 1

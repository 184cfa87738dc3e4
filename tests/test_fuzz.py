"""Anything at all at the public addresses, and in Bitrix24's answers: a clear answer, never a defect."""

from __future__ import annotations

import gc
import json
import random
import time
import tracemalloc
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard.bitrix24 import inbound
from dashboard.calendar import edits
from dashboard.calendar.parser import PORTAL_SETTINGS_METHOD, SECTIONS_METHOD, USER_SETTINGS_METHOD
from dashboard.web.http.request_hooks import MAX_FIELDS
from tests.emulator.faults import Fault
from tests.world import World, errors_on

SEED = 20261122
ROUNDS = 250
FORM = "application/x-www-form-urlencoded"
PATHS = (
    "/",
    "/install",
    "/events",
    "/me",
    "/me/refresh",
    "/team",
    "/healthz",
    "/privacy",
    "/static/x/app.css",
    "/%00",
)
BORIS = "SELECT errors FROM snapshots JOIN people ON people.id = person_id WHERE user_id = 7"
METHODS = ("GET", "POST", "POST", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")
BITS = (
    *(b"", b"\x00", b"%", b"%zz", b"%00", b"\xff\xfe", b"&", b"&&", b"=", b"[", b"]", b"[]", b"auth[]"),
    *(b"../..", b"<script>alert", b"';--", b"\r\nX: 1", b"a" * 5000, b"9" * 400, b"-1", b"1e999", b"NaN"),
    *(b"null", b"{}", b'{"a":' * 60, b"${x}", b"{{7*7}}", b"%s%n"),
    *("ключ".encode(), "\u202e".encode(), "\U0001f600".encode()),
)


def mutated(chance: random.Random, body: bytes) -> bytes:
    """Return a body with bits put in, taken out, doubled or swapped."""
    for _ in range(chance.randrange(4)):
        place = chance.randrange(len(body) + 1)
        match chance.randrange(4):
            case 0:
                body = body[:place] + chance.choice(BITS) + body[place:]
            case 1:
                body = body[:place] + body[place + chance.randrange(40) :]
            case 2:
                body = body[:place] + body[max(0, place - 60) : place] + body[place:]
            case _:
                fields = body.split(b"&")
                chance.shuffle(fields)
                body = b"&".join(fields)
    return body


def test_no_request_finds_a_defect(world: World, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(SEED)
    world.portal().bucket = None
    opening = world.portal().open_as("boris")
    event = b"event=ONAPPUPDATE&ts=1790000000&auth[member_id]=%b&auth[application_token]=%b&auth[access_token]=x" % (
        world.portal().member_id.encode(),
        b"f" * 32,
    )
    slowest = 0.0

    for number in range(ROUNDS):
        path = chance.choice(PATHS)
        body = mutated(chance, event if path == "/events" else opening.body.encode())
        query = mutated(chance, opening.action.partition("?")[2].encode()).decode("latin-1")
        kind = chance.choice((FORM, FORM, FORM, FORM, "application/json", "multipart/form-data; boundary=x", ""))
        bearer = chance.choice((None, "", "Bearer x", "Bearer " + "é" * 9, "Bearer " + "." * 300))
        began = time.thread_time()

        answer = world.browser.open(
            path,
            method=chance.choice(METHODS),
            query_string=query.replace("\r", "").replace("\n", ""),
            data=body,
            headers={"Authorization": bearer.encode().decode("latin-1")} if bearer is not None else {},
            content_type=kind,
        )

        slowest = max(slowest, time.thread_time() - began)
        assert answer.status_code != 500, (number, path, body)
        assert answer.status_code < 500 or answer.status_code in (502, 503), (number, path, body)
        assert "Traceback" not in answer.text
        assert "<script>alert" not in answer.text
    assert not [record for record in caplog.records if record.exc_info]
    assert slowest < 5


def test_many_fields_are_refused_in_little_time_and_room(world: World) -> None:
    flood = b"&".join(b"a%d=" % number for number in range(25_000))
    tracemalloc.start()
    began = time.thread_time()

    answer = world.browser.post("/", data=flood, content_type=FORM)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (answer.status_code, errors_on(answer.text)) == (400, ["invalid_request"])
    assert "The request has too many fields." in answer.text
    assert "The problem is in the field" not in answer.text
    assert time.thread_time() - began < 2
    assert peak < 8 * 2**20


QUARTER_MEGABYTE = 240_000
LARGEST_QUERY = 8000  # what the server lets through of a request's first line
FILLINGS = {
    # Raw, as a stranger would send them: to normalize these takes Python half a minute.
    "marks": b"https://a" + "\u0301\u0316".encode() * (QUARTER_MEGABYTE // 4),
    "digits": b"9" * QUARTER_MEGABYTE,
    "brackets": b"[" * QUARTER_MEGABYTE,
}
QUERY_FIELDS = {
    "/team": (*("q", "zone", "hours", "sort", "page", "from", "to", "day"), "viewRangeFrom"),
    "/team.json": ("q", "sort"),
    "/admin/calls": ("method", "error", "page"),
    "/privacy": ("lang",),
}


@pytest.mark.parametrize("filling", FILLINGS.values(), ids=FILLINGS)
def test_no_field_takes_long_whatever_fills_it(world: World, filling: bytes) -> None:
    """Every field of every address, each as long as a body may be; measured in time of the processor."""
    world.portal().bucket = None
    session = world.session("anna")
    opening = world.portal().open_as("boris")
    query = opening.action.partition("?")[2].encode()
    form = opening.body.encode()
    event = b"event=ONAPPUPDATE&auth[member_id]=%b&auth[access_token]=x&auth[application_token]=y" % (
        world.portal().member_id.encode()
    )

    def took(path: str, *, query: bytes = b"", form: bytes | None = None) -> float:
        began = time.process_time()
        answer = world.browser.open(
            path,
            method="GET" if form is None else "POST",
            query_string=query.decode("latin-1"),
            data=form,
            content_type=FORM if form is not None else None,
            headers={} if path in ("/", "/install", "/events") else session,
        )
        assert answer.status_code < 500 or answer.status_code in (502, 503)
        return time.process_time() - began

    def filled(fields: bytes, name: str, filling: bytes = filling) -> bytes:
        stored = (field for field in fields.split(b"&") if not field.startswith(name.encode() + b"="))
        return b"&".join([*stored, name.encode() + b"=" + filling])

    floor = max(took("/", query=query, form=filled(b"", "UNKNOWN")) for _ in range(3))
    slowest = [
        *(
            took(path, query=query, form=filled(form, name))
            for path in ("/", "/install")
            for name in inbound.FORM_FIELDS
        ),
        *(
            took(path, query=filled(query, name, filling[:LARGEST_QUERY]), form=form)
            for path in ("/", "/install")
            for name in inbound.QUERY_FIELDS
        ),
        *(took("/events", form=filled(event, name)) for name in inbound.EVENT_FIELDS),
        *(
            took(path, query=filled(b"", name, filling[:LARGEST_QUERY]))
            for path, names in QUERY_FIELDS.items()
            for name in names
        ),
        took("/admin/forget", form=filled(b"", "domain")),
        took("/admin/team", form=filled(b"", "who")),
    ]

    assert max(slowest) < 0.5 + 10 * floor


POSTED_FIELDS = {
    "/": inbound.FORM_FIELDS,
    "/install": inbound.FORM_FIELDS,
    "/events": inbound.EVENT_FIELDS,
    "/me/settings": edits.FIELDS,
    "/me/undo": ("change",),
    "/me/adopt": ("key", "decided_at"),
    "/admin/recommended": edits.FIELDS,
    "/admin/team": ("who",),
    "/admin/forget": ("domain",),
    "/plan/groups": ("people", "department", "date", "name"),
}


def test_no_posted_field_stays_in_memory(world: World) -> None:
    """A cache may keep what many people share, not the megabyte that one of them sends."""
    session = world.session("anna")

    def post_everything(number: int, text: str) -> None:
        for path, names in POSTED_FIELDS.items():
            for name in names:
                form = f"{name}={number}{text}".encode()
                answer = world.browser.post(path, data=form, content_type=FORM, headers=session)
                assert answer.status_code != 500, (path, name)

    post_everything(0, "x")
    gc.collect()
    tracemalloc.start()
    for number in range(3):
        post_everything(number, "\U0001f600" * (QUARTER_MEGABYTE // 4))
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 2 * QUARTER_MEGABYTE  # records of the log, and what many people share


@pytest.mark.parametrize(("path", "status"), [("/", 400), ("/install", 400), ("/events", 400)])
def test_every_route_limits_the_number_of_fields(world: World, path: str, status: int) -> None:
    flood = b"&".join([b"a="] * (MAX_FIELDS + 1))

    assert world.browser.post(path, data=flood, content_type=FORM).status_code == status


def test_deep_options_do_no_harm(world: World) -> None:
    for depth in (30, 100, 4000):
        answer = world.open("boris", PLACEMENT_OPTIONS='{"a":' * depth + "1" + "}" * depth)
        assert answer.status_code in (200, 400)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["<b>", "{{7*7}}", "\x00", "\u202e", "Europe/Berlin", "9.00", "24.00", "day", "-1"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    [
        *(
            "view",
            "defaultReminders",
            "defaultSections",
            "timezoneName",
            "timezoneOffsetUTC",
            "work_time_start",
        ),
        *("work_time_end", "meetSection", "showDeclined", "syncPeriodPast", "sendFromEmail", "tabId"),
    ]
)
SETTINGS = JSON_VALUES | st.dictionaries(KEYS | st.text(max_size=10), JSON_VALUES, max_size=6)


def test_any_settings_a_portal_sends_make_a_page(world: World) -> None:
    """Through the wire, the store, the page, the team's columns and back."""

    @settings(
        max_examples=25,
        deadline=timedelta(seconds=20),
        suppress_health_check=[HealthCheck.too_slow],
        derandomize=True,
    )
    @given(sent=SETTINGS, account=JSON_VALUES, sections=JSON_VALUES)
    def check(sent: Any, account: Any, sections: Any) -> None:
        def answer(body: dict[str, Any]) -> dict[str, Any]:
            body["result"]["result"] |= {"settings": sent, "account": account, "sections": sections}
            parsed: dict[str, Any] = json.loads(json.dumps(body))
            return parsed

        world.portal().bucket = None
        world.bitrix24.faults.clear()
        world.bitrix24.faults.add(Fault(kind="answer", method="batch", change=answer))
        session = world.session("boris")

        assert world.browser.get("/me", headers=session).status_code == 200
        assert world.browser.get("/team", headers=world.session("anna")).status_code == 200

    check()


@pytest.mark.parametrize(
    ("key", "size"), [("settings", 9000), ("settings", 1500), ("account", 1500), ("sections", 700)]
)
def test_a_response_that_is_not_settings_is_not_stored(world: World, key: str, size: int) -> None:
    """What is read is not always stored and drawn: that page would take the server seconds."""
    world.open("boris")
    flood: Any = {f"key{number}": 1 for number in range(size)}
    if key == "sections":
        flood = [{"ID": number, "NAME": "a calendar", "COLOR": "#ffffff"} for number in range(size)]

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        body["result"]["result"] |= {key: flood}
        return body

    world.bitrix24.faults.add(Fault(kind="answer", method="batch", change=answer))

    page = world.open("boris")

    assert page.status_code == 200
    assert len(page.data) < 200_000
    method = {"settings": USER_SETTINGS_METHOD, "account": PORTAL_SETTINGS_METHOD, "sections": SECTIONS_METHOD}[key]
    assert json.loads(world.one(BORIS))[method] == "answer_too_large"


@pytest.mark.parametrize("flood", [[[]] * 100_000, "x" * 1_000_000], ids=["values", "bytes"])
def test_an_answer_too_large_to_parse_keeps_what_is_stored(world: World, flood: Any) -> None:
    world.open("boris")
    stored = world.one(BORIS.replace("errors", "settings"))

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        body["result"]["result"] |= {"settings": flood}
        return body

    world.bitrix24.faults.add(Fault(kind="answer", method="batch", change=answer))

    page = world.open("boris")

    assert page.status_code == 502
    assert "answer_too_large" in page.text
    assert world.one(BORIS.replace("errors", "settings")) == stored


@pytest.mark.parametrize("where", ["portal", "authorization"])
def test_any_answer_of_bitrix24_is_a_page_with_a_reason(world: World, where: str) -> None:
    session = world.session("boris")

    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
    @given(body=JSON_VALUES.map(json.dumps) | st.text(max_size=30))
    def check(body: str) -> None:
        world.portal().bucket = None
        world.bitrix24.faults.clear()
        if where == "authorization":
            world.portal().expire("boris")
        world.bitrix24.faults.add(
            Fault(kind="body:" + body.encode("utf-8", "replace").decode(), where=where, times=None)
        )

        answer = world.browser.post("/me/refresh", headers=session)

        assert answer.status_code in (200, 403, 502, 503)
        assert "data-error" in answer.text or answer.status_code == 200
        assert world.one("SELECT state FROM portals") == "active"

    check()

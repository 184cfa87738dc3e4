"""Compute what the emulated Bitrix24 answers: made-up users by the thousand, each derived from its id."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from bench.portals import host, member_id, owner_of, renamed_host, token_of

CLIENT_ID = "app.bench.1"
CLIENT_SECRET = "a-secret-of-the-bench"
CODE = "bench.calendar"
PAGE_SIZE = 50
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Tokyo", "Europe/Moscow", "UTC")
VIEWS = ("month", "week", "day", "list")
FIRST_NAMES = ("Anna", "Boris", "Clara", "Dmitri", "Élise", "Farid", "Grete", "Haruki", "Ирина", "Jonas")
PERIOD = 12  # users whose ids differ by it have the same settings
ADMINISTRATOR = 1
LIST_REQUESTS = 2  # in which a run reads employees and departments
PAYLOADS = json.loads((Path(__file__).parent.parent / "tests" / "payloads.json").read_text(encoding="utf-8"))


def settings(user: int) -> dict[str, Any]:
    """Return the answer of `calendar.user.settings.get` for a user who has saved the form once: 23 keys."""
    reminders = [{"type": "min", "count": 15}, {"type": "hour", "count": user % 3 + 1}]
    changes = {
        "view": VIEWS[user % 4],
        "CalendarSelCont": "false",
        "SPCalendarSelCont": "false",
        "defaultReminders": {"fullDay": {"type": "daybefore", "before": "0", "time": "480"}, "withTime": reminders},
        "timezoneName": ZONES[user % len(ZONES)],
        "timezoneOffsetUTC": 3600,
        "work_time_start": f"{8 + user % 4}.00",
        "work_time_end": f"{17 + user % 4}.30",
    }
    return {**PAYLOADS["documented"], **changes}


def _person(user: int) -> dict[str, Any]:
    zone, name = ZONES[user % len(ZONES)], FIRST_NAMES[user % 10]
    return {"ID": str(user), "NAME": name, "LAST_NAME": f"Colleague {user}", "TIME_ZONE": zone, "PERSONAL_PHOTO": ""}


def _employee(user: int) -> dict[str, Any]:
    return _person(user) | {
        "ACTIVE": True,
        "WORK_POSITION": "Colleague",
        "UF_DEPARTMENT": [1 + user % 7],
        "USER_TYPE": "employee",
    }


def sections(user: int) -> list[dict[str, Any]]:
    names = {"4": "Work", "21": "Travel"}
    return [
        {"ID": number, "NAME": name, "COLOR": "#9DCF00", "OWNER_ID": str(user), "ACTIVE": "Y"}
        for number, name in names.items()
    ]


def _departments(user: int) -> list[dict[str, Any]]:
    company = {"ID": "1", "NAME": "Company", "SORT": 500, "UF_HEAD": str(ADMINISTRATOR)}
    return [company, *({"ID": str(id), "NAME": f"Team {id}", "SORT": 500, "PARENT": "1"} for id in range(2, 8))]


METHODS: dict[str, Callable[[int], Any]] = {
    "app.info": lambda user: {"ID": "1", "CODE": CODE, "VERSION": 1, "STATUS": "L", "INSTALLED": True},
    "profile": lambda user: _person(user) | {"ADMIN": user == ADMINISTRATOR, "TIME_ZONE_OFFSET": 3600},
    "calendar.user.settings.get": settings,
    "calendar.settings.get": lambda user: PAYLOADS["account"],
    "calendar.section.get": sections,
    "department.get": _departments,
    "scope": lambda user: ["calendar", "placement", "user_brief"],
    "event.get": lambda user: [],
    "placement.get": lambda user: [],
    "placement.list": lambda user: ["CALENDAR_GRIDVIEW", "USER_PROFILE_TOOLBAR", "IM_SIDEBAR"],
    "event.bind": lambda user: True,
    "placement.bind": lambda user: True,
}


def employees(people: int, fields: dict[str, str]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return a page of `user.get`, and the envelope's ``total`` and, if any, ``next``."""
    if chosen := [int(value) for name, value in fields.items() if name.startswith("FILTER[ID]")]:
        rows = [_employee(user) for user in chosen if user <= people]
        return rows, {"total": len(rows)}
    start = int(fields.get("start") or 0)
    rows = [_employee(user) for user in range(start + 1, min(start + PAGE_SIZE, people) + 1)]
    following = {"next": start + PAGE_SIZE} if start + PAGE_SIZE < people else {}
    return rows, {"total": people, **following}


def batch(user: int, people: int, commands: dict[str, str]) -> dict[str, Any]:
    """Return the answer of a batch."""
    parts: dict[str, dict[str, Any]] = {"result": {}, "result_total": {}, "result_next": {}}
    for key, command in commands.items():
        method, _, arguments = command.partition("?")
        if method == "user.get":
            parts["result"][key], envelope = employees(people, dict(parse_qsl(arguments)))
            for part, value in envelope.items():
                parts[f"result_{part}"][key] = value
        else:
            parts["result"][key] = METHODS[method](user)
    return {**parts, "result_error": [], "result_time": {}}


def authorize(path: str, fields: dict[str, Any], *, port: int, renamed: bool) -> dict[str, Any]:
    """Return what the authorization server answers: a refreshed pair, or `app.info` of a token."""
    portal, user = owner_of(fields.get("auth") or fields["refresh_token"])
    endpoint = f"https://{renamed_host(portal) if renamed else host(portal)}:{port}/rest/"
    if path == "/rest/app.info":
        install = {"installed": True, "status": "L", "client_endpoint": endpoint, "member_id": member_id(portal)}
        return {"result": {"client_id": CLIENT_ID, "install": install, "user_id": str(user)}}
    return {
        "access_token": token_of(portal, user),
        "expires_in": 3600,
        "client_endpoint": endpoint,
        "member_id": member_id(portal),
        "user_id": user,
        "refresh_token": token_of(portal, user, kind="b"),
        "status": "L",
    }

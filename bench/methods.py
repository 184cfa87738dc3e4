"""What a pretend portal answers: plain people by the thousand, none of them stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from bench.addresses import HOSTS, host, member_id, moved_host, owner_of, token_of

CLIENT_ID = "app.bench.1"
CLIENT_SECRET = "a-secret-of-the-bench"
CODE = "bench.calendar"
PAGE = 50
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Tokyo", "Europe/Moscow", "UTC")
VIEWS = ("month", "week", "day", "list")
FIRST_NAMES = ("Anna", "Boris", "Clara", "Dmitri", "Élise", "Farid", "Grete", "Haruki", "Ирина", "Jonas")
LAST_NAMES = ("Orlova", "Keller", "Moreau", "Lang", "Banda", "Raman", "Ито", "Thapa", "Silva", "Novák")
# A user's number tells who they are; number 1 runs the portal.
ADMINISTRATOR = 1


def name(user: int) -> tuple[str, str]:
    return FIRST_NAMES[user % 10], f"{LAST_NAMES[user // 10 % 10]} {user}"


def zone(user: int) -> str:
    return ZONES[user % len(ZONES)]


def settings(user: int) -> dict[str, Any]:
    """Return what `calendar.user.settings.get` answers somebody who once pressed Save: 23 keys."""
    return {
        "view": VIEWS[user % 4],
        "CalendarSelCont": "false",
        "SPCalendarSelCont": "false",
        "meetSection": "4",
        "crmSection": "4",
        "showDeclined": True,
        "denyBusyInvitation": False,
        "collapseOffHours": "N",
        "showWeekNumbers": "N",
        "showTasks": "Y",
        "syncTasks": "N",
        "showCompletedTasks": "N",
        "lastUsedSection": "false",
        "sendFromEmail": "",
        "defaultSections": {f"user{user}": "4", "group6": "49"},
        "syncPeriodPast": "3",
        "syncPeriodFuture": "12",
        "defaultReminders": {
            "fullDay": {"type": "daybefore", "before": "0", "time": "480"},
            "withTime": [{"type": "min", "count": 15}, {"type": "hour", "count": user % 3 + 1}],
        },
        "timezoneName": zone(user),
        "timezoneOffsetUTC": 3600,
        "timezoneDefaultName": "",
        "work_time_start": f"{8 + user % 4}.00",
        "work_time_end": f"{17 + user % 4}.30",
    }


def _profile(user: int) -> dict[str, Any]:
    first, last = name(user)
    return {
        "ID": str(user),
        "ADMIN": user == ADMINISTRATOR,
        "NAME": first,
        "LAST_NAME": last,
        "PERSONAL_GENDER": "",
        "TIME_ZONE": zone(user),
        "TIME_ZONE_OFFSET": 3600,
    }


def _account(user: int) -> dict[str, Any]:
    return {
        "work_time_start": "9",
        "work_time_end": "19",
        "year_holidays": "1.01,2.01,7.01,23.02,8.03,1.05,9.05,12.06,4.11,12.12",
        "year_workdays": "31.12",
        "week_holidays": ["SA", "SU"],
        "week_start": "MO",
        "user_name_template": "#NAME# #LAST_NAME#",
        "sync_by_push": False,
        "user_show_login": True,
        "path_to_user": "/company/personal/user/#user_id#/",
        "path_to_group": "/workgroups/group/#group_id#/",
        "rm_iblock_type": "events",
        "dep_manager_sub": True,
        "denied_superpose_types": [],
        "pathes_for_sites": False,
    }


def _sections(user: int) -> list[dict[str, Any]]:
    return [
        {"ID": "4", "NAME": "".join(name(user)), "COLOR": "#9DCF00", "OWNER_ID": str(user), "ACTIVE": "Y"},
        {"ID": "21", "NAME": "Travel", "COLOR": "#e89b06", "OWNER_ID": str(user), "ACTIVE": "Y"},
    ]


METHODS: dict[str, Callable[[int], Any]] = {
    "app.info": lambda user: {"ID": "1", "CODE": CODE, "VERSION": 1, "STATUS": "L", "INSTALLED": True},
    "profile": _profile,
    "calendar.user.settings.get": settings,
    "calendar.settings.get": _account,
    "calendar.section.get": _sections,
    "scope": lambda user: ["calendar", "placement", "user_brief"],
    "event.get": lambda user: [],
    "placement.get": lambda user: [],
    "event.bind": lambda user: True,
    "placement.bind": lambda user: True,
}


def listing(people: int, fields: dict[str, str]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return a page of `user.get`, and what an answer says beside it: ``total`` and, if any, ``next``."""
    chosen = [int(value) for name, value in fields.items() if name.startswith("FILTER[ID]")]
    if chosen:
        rows = [_employee(user) for user in chosen if user <= people]
        return rows, {"total": len(rows)}
    start = int(fields.get("start") or 0)
    rows = [_employee(user) for user in range(start + 1, min(start + PAGE, people) + 1)]
    more = {"next": start + PAGE} if start + PAGE < people else {}
    return rows, {"total": people, **more}


def _employee(user: int) -> dict[str, Any]:
    first, last = name(user)
    return {
        "ID": str(user),
        "ACTIVE": True,
        "NAME": first,
        "LAST_NAME": last,
        "WORK_POSITION": "Colleague",
        "UF_DEPARTMENT": [1 + user % 7],
        "USER_TYPE": "employee",
        "PERSONAL_PHOTO": "",
        "TIME_ZONE": zone(user),
    }


def batch(user: int, people: int, commands: dict[str, str]) -> dict[str, Any]:
    """Return what a batch answers."""
    parts: dict[str, dict[str, Any]] = {"result": {}, "result_total": {}, "result_next": {}}
    for key, command in commands.items():
        method, _, query = command.partition("?")
        if method == "user.get":
            parts["result"][key], beside = listing(people, dict(parse_qsl(query)))
            for part, value in beside.items():
                parts[f"result_{part}"][key] = value
        else:
            parts["result"][key] = METHODS[method](user)
    return {**parts, "result_error": [], "result_time": {}}


def token_answer(refresh_token: str, *, port: int) -> dict[str, Any]:
    portal, user = owner_of(refresh_token)
    return {
        "access_token": token_of(portal, user),
        "expires_in": 3600,
        "client_endpoint": f"https://{host(portal)}:{port}/rest/",
        "member_id": member_id(portal),
        "user_id": user,
        "refresh_token": token_of(portal, user, kind="b"),
        "status": "L",
    }


def proof(token: str, *, port: int, moved: bool) -> dict[str, Any]:
    """Return the authorization server's `app.info`: whose token this is and where its portal lives."""
    portal, user = owner_of(token)
    place = moved_host(portal % HOSTS) if moved else host(portal)
    return {
        "client_id": CLIENT_ID,
        "install": {
            "installed": True,
            "status": "L",
            "client_endpoint": f"https://{place}:{port}/rest/",
            "member_id": member_id(portal),
        },
        "user_id": str(user),
    }

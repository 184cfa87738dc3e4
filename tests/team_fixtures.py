"""Store many people at once for tests of the team, and parse the rows of its pages."""

from __future__ import annotations

import re
from datetime import date, timedelta
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert, update

from dashboard.models import Person
from dashboard.people.name_columns import name_columns
from tests.world import World

Session = dict[str, str]


class _RowParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if "data-user" in attributes:
            self.rows.append(
                {name.removeprefix("data-"): attributes[name] for name in attributes if name.startswith("data-")}
            )


def rows_on(page: str) -> list[dict[str, str]]:
    """Return the rows of the team on a page: user, state, view, work-hours, timezone, reminders."""
    parser = _RowParser()
    parser.feed(page)
    return parser.rows


def users_on(page: str) -> list[int]:
    return [int(row["user"]) for row in rows_on(page)]


def in_english(world: World, person: str = "anna", portal: str = "alpha") -> Session:
    """Open the application as a person whose language is English from now on."""
    world.portal(portal).people[person].lang = "en"
    return world.session(person, portal)


def today_of(world: World, person: str = "anna") -> date:
    """Return the date that a person has."""
    return world.now().astimezone(ZoneInfo(world.portal().people[person].time_zone)).date()


def text_of(page: str, part: str) -> str:
    """Return the text of the first element with a class or attribute, without tags."""
    match = re.search(rf"<(\w+)[^>]*{re.escape(part)}[^>]*>.*?</\1>", page, flags=re.DOTALL)
    assert match, f"no {part} on the page"
    return " ".join(re.sub(r"<[^>]+>", " ", match[0]).split())


def open_to_everyone(world: World, *people: str) -> None:
    """Let everyone see the team, among them these people, whom the list of users names."""
    world.browser.post("/admin/team", data={"who": "everyone"}, headers=world.session("anna"))
    for person in people:
        world.open(person)
    with world.database.write_session() as session:
        session.execute(update(Person).where(Person.listed.is_(None)).values(listed=True))


def store_people(world: World, *people: dict[str, Any], portal: str = "alpha") -> None:
    """Store people as a run does, connected by default; their user ids start at 5001."""
    defaults = {
        "portal_id": world.known(portal).id,
        "is_admin": False,
        "time_zone": "Europe/Berlin",
        "language": "en",
        "opened_at": world.now(),
        "listed": True,
        "position": "Colleague",
        "photo": "",
        "chain_state": "live",
        "view": "month",
        "work_start": 540,
        "work_end": 1080,
        "calendar_zone": "Europe/Berlin",
        "reminders": "timed:15min;day:0d@08:00",
        "reminder_count": 2,
        "settings_at": world.now(),
        "problem": None,
    }
    rows: list[dict[str, Any]] = [
        defaults | {"user_id": 5001 + number, "name": f"Colleague {number}"} | person
        for number, person in enumerate(people)
    ]
    for row in rows:
        row.setdefault("zone", row["calendar_zone"])
        row.setdefault("zone_source", "calendar" if row["calendar_zone"] else "")
        row.update(name_columns(row["name"], row["position"]))
        row["main_department"] = next(iter(row.get("departments", [])), None)
    with world.database.write_session() as session:
        session.execute(insert(Person), rows)


NEVER_OPENED = {
    "opened_at": None,
    "chain_state": None,
    "view": "",
    "work_start": None,
    "work_end": None,
    "calendar_zone": "",
    "reminders": "",
    "reminder_count": None,
    "settings_at": None,
}


def days_ago(world: World, days: int) -> dict[str, Any]:
    return {"settings_at": world.now() - timedelta(days=days)}

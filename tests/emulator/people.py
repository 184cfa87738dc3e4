"""A person of a portal: who they are and what their calendar settings say."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo


@dataclass
class Section:
    """A calendar: someone's own, or a group's."""

    id: int
    name: str
    color: str = "#9DCF00"
    text_color: str = ""


@dataclass
class Person:
    """One of the cast, with the odd corner they bring on the stage."""

    key: str
    user_id: int
    name: str
    last_name: str
    settings: dict[str, Any]
    time_zone: str = ""
    admin: bool = False
    active: bool = True
    extranet: bool = False
    restricted: bool = False
    broken: bool = False
    zone_is_guessed: bool = False  # the server guesses the calendar's from the offset of the profile's
    lang: str = "en"
    gender: str = ""
    position: str = ""
    second_name: str = ""
    has_photo: bool = False
    departments: list[int] = field(default_factory=lambda: [1])
    sections: list[Section] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """Return the name as the portal's pages show it."""
        return f"{self.name} {self.last_name}".strip()

    @property
    def email(self) -> str:
        """Return an address that can never belong to anybody."""
        return f"{self.key}@mail.example"


@dataclass
class People:
    """A portal's people, found by key or by number."""

    by_key: dict[str, Person]
    by_id: dict[int, Person]

    @classmethod
    def of(cls, people: Iterable[Person]) -> "People":
        """Return the people, in the order of their numbers."""
        ordered = sorted(people, key=lambda person: person.user_id)
        return cls(
            by_key={person.key: person for person in ordered},
            by_id={person.user_id: person for person in ordered},
        )

    def find(self, user_id: int) -> Person:
        """Return the person with that number."""
        return self.by_id[user_id]


_zone = cache(ZoneInfo)  # which keeps but eight itself, and the cast lives in more


def offset_of(zone: str, *, at: datetime | None = None) -> int:
    """Return a zone's seconds east of Greenwich, today unless said otherwise."""
    moment = at or datetime.now(UTC)
    offset = moment.astimezone(_zone(zone)).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def fresh_settings(zone: str) -> dict[str, Any]:
    """Return what the method answers for someone who never opened the settings: 21 keys."""
    return {
        "view": "month",
        "CalendarSelCont": False,
        "SPCalendarSelCont": False,
        "meetSection": False,
        "crmSection": False,
        "showDeclined": False,
        "denyBusyInvitation": False,
        "collapseOffHours": "Y",
        "showWeekNumbers": "N",
        "showTasks": "Y",
        "syncTasks": "N",
        "showCompletedTasks": "N",
        "lastUsedSection": False,
        "sendFromEmail": False,
        "defaultSections": [],
        "syncPeriodPast": 3,
        "syncPeriodFuture": 12,
        "defaultReminders": {
            "fullDay": {"type": "daybefore", "before": 0, "time": 480},
            "withTime": {"type": "min", "count": 15},
        },
        "timezoneName": zone,
        "timezoneOffsetUTC": offset_of(zone),
        "timezoneDefaultName": "",
    }


def saved_settings(zone: str) -> dict[str, Any]:
    """Return what is left after someone pressed Save: the form turned every scalar into text."""
    return fresh_settings(zone) | {
        "CalendarSelCont": "false",
        "SPCalendarSelCont": "false",
        "meetSection": "4",
        "crmSection": "4",
        "showDeclined": True,
        "collapseOffHours": "N",
        "lastUsedSection": "false",
        "sendFromEmail": "",
        "syncPeriodPast": "3",
        "syncPeriodFuture": "12",
        "defaultReminders": {
            "fullDay": {"type": "daybefore", "before": "0", "time": "480"},
            "withTime": {"type": "min", "count": "15"},
        },
    }

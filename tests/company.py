"""An invented company for pictures: people in four places with the habits real ones have."""

from __future__ import annotations

from typing import Any

from tests.emulator.people import Person, Section, fresh_settings

BERLIN, LISBON, KYIV, NEW_YORK = "Europe/Berlin", "Europe/Lisbon", "Europe/Kiev", "America/New_York"

# Name, position, zone, hours, view, minutes before a timed event; None for those who never opened it.
STAFF: tuple[tuple[str, str, str, str, str, tuple[int, ...] | None], ...] = (
    ("Nora Lindqvist", "Head of operations", BERLIN, "9.00 17.30", "week", (15, 60)),
    ("Jonas Weber", "Engineer", BERLIN, "10.00 18.30", "week", (10,)),
    ("Ayşe Demir", "Product manager", BERLIN, "9.00 18.00", "week", (15, 5)),
    ("Lukas Brandt", "Engineer", BERLIN, "9.00 18.00", "day", (15,)),
    ("Hannah Vogel", "Designer", BERLIN, "9.00 18.00", "week", (15,)),
    ("Felix Sommer", "Finance", BERLIN, "8.00 16.30", "month", (60,)),
    ("Marta Kowalska", "Support lead", BERLIN, "8.00 16.30", "list", (5,)),
    ("Emil Larsen", "Engineer", BERLIN, "10.00 18.30", "week", ()),
    ("Inês Carvalho", "Marketing", LISBON, "9.00 18.00", "month", (15,)),
    ("Tiago Ramos", "Engineer", LISBON, "10.00 19.00", "week", (10,)),
    ("Beatriz Nunes", "Sales", LISBON, "9.00 18.00", "day", (30, 10)),
    ("Rui Teixeira", "Sales", LISBON, "9.00 18.00", "month", None),
    ("Олена Шевченко", "Engineer", KYIV, "10.00 19.00", "week", (15,)),
    ("Андрій Бойко", "Engineer", KYIV, "10.00 19.00", "week", (15,)),
    ("Ірина Мельник", "Quality", KYIV, "9.00 18.00", "list", (15,)),
    ("Тарас Коваль", "Engineer", KYIV, "11.00 20.00", "week", ()),
    ("Grace Holloway", "Sales director", NEW_YORK, "9.00 17.00", "day", (30,)),
    ("Daniel Okafor", "Account manager", NEW_YORK, "9.00 17.00", "week", (15,)),
    ("Sofia Marino", "Customer success", NEW_YORK, "8.00 16.00", "week", (10,)),
    ("Peter Novak", "Account manager", NEW_YORK, "9.00 17.00", "month", None),
    ("Ruth Calloway", "Night support", NEW_YORK, "22.00 6.00", "list", (5,)),
)

# A zone that was left behind in the calendar, and who would rather not be invited.
FORGOTTEN = {"Андрій Бойко": LISBON}
REFUSING = ("Beatriz Nunes", "Felix Sommer")


def company() -> list[Person]:
    """Return the people; the first runs the portal."""
    return [_person(number, *row) for number, row in enumerate(STAFF, start=1)]


def absent() -> set[str]:
    """Return the keys of those who have not opened the application."""
    return {_key(name) for name, *_, reminders in STAFF if reminders is None}


def _key(name: str) -> str:
    return name.lower().replace(" ", ".")


def _person(
    number: int, name: str, position: str, zone: str, hours: str, view: str, minutes: tuple[int, ...] | None
) -> Person:
    first, last = name.split()
    settings = _settings(number, FORGOTTEN.get(name, zone), hours, view, minutes or ())
    settings["denyBusyInvitation"] = name in REFUSING
    return Person(
        _key(name), number, first, last, settings, zone,
        admin=number == 1, position=position,
        sections=[Section(number * 10, name), Section(number * 10 + 1, "Travel", "#e89b06")],
    )  # fmt: skip


def _settings(number: int, zone: str, hours: str, view: str, minutes: tuple[int, ...]) -> dict[str, Any]:
    start, end = hours.split()
    return fresh_settings(zone) | {
        "view": view,
        "work_time_start": start,
        "work_time_end": end,
        "meetSection": str(number * 10),
        "crmSection": str(number * 10),
        "defaultSections": {f"user{number}": str(number * 10)},
        "defaultReminders": {
            "fullDay": [{"type": "daybefore", "before": 1, "time": 1080}] if minutes else [],
            "withTime": [{"type": "min", "count": count} for count in minutes],
        },
    }

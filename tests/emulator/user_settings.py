"""A person's calendar settings, read and written as the portal does (calendar/lib/usersettings.php)."""

import json
from copy import deepcopy
from typing import Any

from .errors import RestError
from .people import Person, fresh_settings
from .php import array, entries, truthy

SETTABLE = tuple(fresh_settings("UTC"))[:18]
# Stored as JSON text, which every reading decodes.
_SERIALIZED = ("defaultSections", "defaultReminders")
_CAST = ("showDeclined", "denyBusyInvitation")
# Not part of the option: computed at each reading, or an option of their own.
_ELSEWHERE = ("timezoneName", "timezoneOffsetUTC", "timezoneDefaultName", "work_time_start", "work_time_end")


def read(person: Person) -> dict[str, Any]:
    """Return the settings; a stored text that is not JSON makes every reading fail."""
    if person.broken:
        raise RestError("ERROR_ARGUMENT", argument="data")
    return deepcopy(person.settings)


def write(person: Person, wanted: object) -> None:
    """Merge the given keys into what a reading returns; `False` clears everything, other scalars do nothing.

    Nothing is validated, and unknown keys are dropped. The real server casts and decodes when it reads. As each
    writing begins with a reading, doing so here looks the same from outside.
    """
    if wanted is False:
        wipe(person)
    elif isinstance(wanted, dict | list):
        read(person)
        for key, value in entries(wanted).items():
            if key in SETTABLE:
                write_key(person, key, value)


def write_key(person: Person, key: str, value: object) -> None:
    """Store one key without reading anything, as the calendar's grid does when somebody uses it."""
    try:
        person.settings = {**person.settings, key: _as_read(key, as_array(value))}
    except ValueError:
        person.broken = True


def wipe(person: Person) -> None:
    """Leave nothing stored: all settings are the defaults again, and readable."""
    others = {key: person.settings[key] for key in _ELSEWHERE if key in person.settings}
    person.settings, person.broken = fresh_settings(str(others["timezoneName"])) | others, False


def as_array(value: object) -> Any:
    """Return a value with its maps and lists as PHP has them: one kind of array."""
    if isinstance(value, dict | list):
        return array({key: as_array(member) for key, member in entries(value).items()})
    return value


def _as_read(key: str, value: Any) -> Any:
    if key in _CAST and value is not None:
        return truthy(value)
    if key in _SERIALIZED and not isinstance(value, dict | list):
        return json.loads(_text(value))
    return value


def _text(value: object) -> str:
    """Return a scalar as PHP turns it into text."""
    if isinstance(value, bool) or value is None:
        return "1" if value else ""
    return str(value)

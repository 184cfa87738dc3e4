"""Prepare a person's name for storage: what a search looks in, and what lists are sorted by."""

from __future__ import annotations

from dashboard.core.search_text import searchable
from dashboard.core.sort_keys import accented_sort_key, sort_key
from dashboard.models import Person


def name_columns(name: str, position: str) -> dict[str, str]:
    """Return the columns that depend on a person's name and position."""
    return {
        "name": name,
        "search": searchable(name, position),
        "sort_key": sort_key(name),
        "accented_sort_key": accented_sort_key(name),
    }


def update_name_columns(person: Person) -> None:
    """Set the columns that depend on the person's name, position and departments."""
    for column, value in name_columns(person.name, person.position).items():
        setattr(person, column, value)
    person.main_department = next(iter(person.departments or ()), None)

"""Prepare a person's name for storage: what a search looks in, and what lists are sorted by."""

from __future__ import annotations

from dashboard.core.search_text import searchable
from dashboard.core.sort_keys import accented_sort_key, sort_key


def name_columns(name: str, position: str) -> dict[str, str]:
    """Return the columns that depend on a person's name and position."""
    return {
        "name": name,
        "search": searchable(name, position),
        "sort_key": sort_key(name),
        "accented_sort_key": accented_sort_key(name),
    }

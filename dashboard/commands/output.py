"""How commands speak: a table for people, JSON for programs, one line and exit code 1 for what went wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import click

from dashboard.core.json_values import escape_invisible

Row = Mapping[str, Any]

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")


def print_text(text: str, *, err: bool = False) -> None:
    """Print text with what a terminal would obey escaped; commands print by nothing else."""
    click.echo("\n".join(map(escape_invisible, text.split("\n"))), err=err)


def print_rows(found: Iterable[Row], *, as_json: bool, nothing: str) -> None:
    """Print a line each under the names of the columns, or a JSON list."""
    found = list(found)
    if as_json:
        _print_json(found)
    elif not found:
        print_text(nothing)
    else:
        _print_table(found)


def print_row(found: Row, *, as_json: bool) -> None:
    """Print one thing, a line for each of its facts."""
    if as_json:
        _print_json(found)
        return
    width = max(map(len, found))
    for name, value in found.items():
        print_text(f"{name.replace('_', ' '):<{width}}  {describe(value)}")


def describe(value: Any) -> str:
    """Return a value as people read it: moments in UTC to the minute, nothing as a dash."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None or value == "" else escape_invisible(str(value))


def _print_table(found: list[Row]) -> None:
    names = list(found[0])
    lines = [[name.replace("_", " ").upper() for name in names]]
    lines += [[describe(one[name]) for name in names] for one in found]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (f"{text:<{width}}" for text, width in zip(line, widths, strict=True))
        print_text("  ".join(padded).rstrip())


def _print_json(found: Any) -> None:
    print_text(json.dumps(found, default=_to_json, ensure_ascii=False, indent=2))


def _to_json(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)

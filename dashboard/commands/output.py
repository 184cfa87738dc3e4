"""Print the results of commands: tables for people, JSON for programs, no control characters for the terminal."""

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
    """Print text with invisible characters escaped. Commands print only through this function."""
    click.echo("\n".join(map(escape_invisible, text.split("\n"))), err=err)


def print_json(value: Any) -> None:
    """Print indented JSON; times are written in ISO 8601."""
    print_text(json.dumps(value, default=_to_json, ensure_ascii=False, indent=2))


def print_rows(rows: Iterable[Row], *, as_json: bool, empty: str) -> None:
    """Print a table with a heading, or a JSON list; ``empty`` is the text for no rows."""
    rows = list(rows)
    if as_json:
        print_json(rows)
        return
    if not rows:
        print_text(empty)
        return
    lines = [[name.replace("_", " ").upper() for name in rows[0]]]
    lines += [[_to_text(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print_text("  ".join(map(str.ljust, line, widths)).rstrip())


def print_row(row: Row, *, as_json: bool) -> None:
    """Print one row with a line for each column, or a JSON object."""
    if as_json:
        print_json(row)
        return
    width = max(map(len, row))
    for name, value in row.items():
        print_text(f"{name.replace('_', ' '):<{width}}  {_to_text(value)}")


def _to_text(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None or value == "" else escape_invisible(str(value))


def _to_json(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)

"""`config`: print the environment variables that the application reads."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from dashboard.commands import output
from dashboard.commands.context import OperatorGroup
from dashboard.core.config import Config

TABLE_IN_DOCUMENT = re.compile("(<!-- config table -->\n).*(<!-- end of config table -->\n)", re.DOTALL)

group = OperatorGroup("config", help="Show what can be configured.")


@group.command()
def table() -> None:
    """Print the table of environment variables that the documentation contains."""
    output.print_text(markdown_table())


def markdown_table() -> str:
    """Return the name, default and meaning of every variable, but no configured value."""
    fields = Config.model_fields.items()
    rows = [f"| `{name.upper()}` | {_default(field)} | {field.description} |" for name, field in fields]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def update_document(text: str) -> str:
    """Return a document with the current table between its two markers."""
    return TABLE_IN_DOCUMENT.sub(lambda markers: f"{markers[1]}\n{markdown_table()}\n\n{markers[2]}", text)


def _default(field: FieldInfo) -> str:
    value = field.get_default()
    if field.is_required():
        return "required"
    if field.default_factory:
        return "computed"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, tuple):
        value = ",".join(value)
    return f"`{value}`" if value not in (None, "") else "none"


if __name__ == "__main__":
    for document in map(Path, sys.argv[1:]):
        document.write_text(update_document(document.read_text(encoding="utf-8")), encoding="utf-8")

"""`config`: what can be configured, told by the code itself."""

from __future__ import annotations

import sys
from pathlib import Path

from flask.cli import AppGroup

from dashboard.commands import output
from dashboard.core import config

BEGIN, END = "<!-- config table -->\n", "<!-- end of config table -->\n"


def group() -> AppGroup:
    """Return the group."""
    commands = AppGroup("config", help="What the environment decides.")

    @commands.command()
    def table() -> None:
        """Print the table of variables, as the documents show it."""
        output.print_text(markdown())

    return commands


def markdown() -> str:
    """Return the table of variables; a value is never part of it."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {default} | {means} |" for name, default, means in config.variables()]
    return "\n".join(lines)


def documented(text: str) -> str:
    """Return a document with the table as it is now between its marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{markdown()}\n\n{END}{after}"


if __name__ == "__main__":
    for document in map(Path, sys.argv[1:]):
        document.write_text(documented(document.read_text(encoding="utf-8")), encoding="utf-8")

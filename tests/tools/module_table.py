"""Write the tables of modules into docs/architecture.md: one line each, from the modules' own docstrings.

``python -m tests.tools.module_table`` rewrites the document; with ``check`` it only compares.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- modules -->\n", "<!-- end of modules -->\n"
# From the top down, as imports point; `pyproject.toml` holds the contracts.
PACKAGES = (
    "web/views",
    "web/auth",
    "web/presenters",
    "web/errors",
    "web/http",
    "web/i18n",
    "commands",
    "launch",
    "sync",
    "monitoring",
    "team",
    "people",
    "tokens",
    "portals",
    "calendar",
    "bitrix24",
    "core",
)


def summary(module: Path) -> str:
    """Return the first sentence of a module's docstring on one line.

    :raise ValueError: the module has no docstring.
    """
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
    if not docstring:
        raise ValueError(f"{module} has no docstring")
    return " ".join(docstring.split("\n\n")[0].split()).replace("|", "\\|")


def tables() -> str:
    """Return one table a package, in Markdown.

    :raise ValueError: a package is missing from ``PACKAGES``.
    """
    dashboard = ROOT / "dashboard"
    packages = {path.parent.relative_to(dashboard).as_posix() for path in dashboard.rglob("__init__.py")}
    if unlisted := packages - {*PACKAGES, ".", "web"}:
        raise ValueError(f"PACKAGES lacks {sorted(unlisted)}")
    return "\n".join(table(name, dashboard / name) for name in PACKAGES) + "\n" + table("dashboard", dashboard)


def table(title: str, folder: Path) -> str:
    """Return the table of the modules that stand directly in a package."""
    modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
    head = [f"**`{title}/`** {summary(folder / '__init__.py')}", "", "| module | what it does |", "|---|---|"]
    return "\n".join([*head, *(f"| `{path.name}` | {summary(path)} |" for path in modules), ""])


def rewritten(text: str) -> str:
    """Return the document with the tables as they are now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


def main(arguments: list[str]) -> int:
    """Rewrite the document, or say with exit code 1 that it is out of date."""
    text = DOCUMENT.read_text(encoding="utf-8")
    if text == rewritten(text):
        return 0
    if arguments == ["check"]:
        print("docs/architecture.md is out of date: run `make documents`", file=sys.stderr)
        return 1
    DOCUMENT.write_text(rewritten(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

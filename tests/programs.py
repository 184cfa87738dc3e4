"""Programs and packages that tests/find_tools.sh provides; what is missing fails the test that needs it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VAR = Path(__file__).parent.parent / "var"


def program(name: str) -> str:
    """Return the path of a program, which the variable of its name may replace; Playwright's own has none."""
    if given := os.environ.get(name.upper()):
        return given
    file = VAR / "tools" / name
    if not file.exists():
        _fail(name)
    return file.read_text(encoding="utf-8").strip()


def package(path: str) -> Path:
    """Return a file of the packages npm installed."""
    file = VAR / "npm" / "node_modules" / path
    if not file.exists():
        _fail("npm")
    return file


def missing() -> list[str]:
    """Return what could not be provided, each with how to get it."""
    return [file.read_text(encoding="utf-8").strip() for file in sorted((VAR / "tools").glob("*.missing"))]


def _fail(name: str) -> None:
    reason = VAR / "tools" / f"{name}.missing"
    expected = reason.exists()
    pytest.fail(
        reason.read_text(encoding="utf-8").strip() if expected else f"{name} is missing: 'make tools' gets it.",
        pytrace=False,
    )

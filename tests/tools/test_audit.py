"""What the look-up of known holes says of its own answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tools.audit import judge

SAFE: dict[str, Any] = {"name": "flask", "version": "3.1.3", "vulns": []}
UNKNOWN: dict[str, Any] = {"name": "ours", "skip_reason": "Dependency not found"}
HOLE: dict[str, Any] = {
    "name": "urllib3",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["1.1"], "aliases": [], "description": "…"}],
}


def report(*dependencies: dict[str, Any]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_a_vulnerability_fails_the_audit_and_is_named() -> None:
    verdict = judge(report(SAFE, HOLE, UNKNOWN))

    assert verdict.failed
    assert verdict.lines == ("audit: urllib3 1.0: PYSEC-2026-1 (mended in 1.1)",)


def test_the_audit_passes_without_vulnerabilities() -> None:
    verdict = judge(report(SAFE, UNKNOWN))

    assert not verdict.failed
    assert verdict.lines == ("audit: 1 packages, no known hole", "audit: the registry does not know ours")


@pytest.mark.parametrize("said", ["", "<html>", "[]", "{}", "null", report(UNKNOWN, UNKNOWN)])
def test_an_audit_without_an_answer_says_not_checked(said: str) -> None:
    verdict = judge(said)

    assert not verdict.failed
    assert "NOT CHECKED" in verdict.lines[0]
    assert "nothing was looked up" in verdict.lines[0]
    assert "passes without it" in verdict.lines[1]


def test_a_vulnerability_in_any_file_fails_the_audit() -> None:
    assert judge(report(SAFE), report(HOLE)).failed
    assert "NOT CHECKED" in judge(report(SAFE), "").lines[0]


def test_the_audit_is_part_of_make_check() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")
    check, audit = (makefile.partition(f"\n{target}:")[2].partition("\n\n")[0] for target in ("check", "audit"))

    assert " audit " in check
    assert "tests.tools.audit" in audit

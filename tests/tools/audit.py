"""Look our dependencies up in the registry's list of known holes: a finding fails, silence is said aloud."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

REQUIREMENTS = ("requirements.txt", "requirements-dev.txt")
SECONDS = 120


@dataclass(frozen=True)
class Verdict:
    """What to say, and whether the check has failed."""

    lines: tuple[str, ...]
    failed: bool = False


def judge(*reports: str) -> Verdict:
    """Return the verdict on pip-audit's JSON; anything else means that nobody was there to ask."""
    dependencies: list[dict[str, Any]] = []
    try:
        for report in reports:
            dependencies += json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return _nothing_looked_up("the registry does not answer")
    findings = [
        f"audit: {one['name']} {one['version']}: {hole['id']}"
        f" (mended in {', '.join(hole['fix_versions']) or 'no version yet'})"
        for one in dependencies
        for hole in one.get("vulns", ())
    ]
    unknown = [one["name"] for one in dependencies if "skip_reason" in one]
    if findings:
        return Verdict(tuple(findings), failed=True)
    if len(unknown) == len(dependencies):
        return _nothing_looked_up("the registry knows nothing of holes")
    message = f"audit: {len(dependencies) - len(unknown)} packages, no known hole"
    return Verdict((message, *(f"audit: the registry does not know {name}" for name in unknown)))


def _nothing_looked_up(why: str) -> Verdict:
    """Pass, or nobody could work away from a registry; but never in silence."""
    return Verdict(
        (
            f"audit: NOT CHECKED: {why}; nothing was looked up",
            "audit: the check passes without it, so whether a dependency has a known hole is open",
        )
    )


def main() -> int:
    """Ask and tell; return the exit code."""
    try:
        verdict = judge(*map(_report, REQUIREMENTS))
    except subprocess.TimeoutExpired:
        verdict = judge("")
    print(*verdict.lines, sep="\n")
    return int(verdict.failed)


def _report(requirements: str) -> str:
    """Return pip-audit's answer for one file: among hashed pins it takes none without a hash."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", requirements]
    command += ["--no-deps", "--disable-pip", "--format", "json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS).stdout


if __name__ == "__main__":
    sys.exit(main())

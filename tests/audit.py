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


def judge(report: str) -> Verdict:
    """Return the verdict on pip-audit's JSON; anything else means that nobody was there to ask."""
    try:
        dependencies: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Verdict(("audit: the registry does not answer; nothing was looked up",))
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
        return Verdict(("audit: the registry knows nothing of holes; nothing was looked up",))
    told = f"audit: {len(dependencies) - len(unknown)} packages, no known hole"
    return Verdict((told, *(f"audit: the registry does not know {name}" for name in unknown)))


def main() -> int:
    """Ask and tell; return the exit code."""
    asked = [argument for name in REQUIREMENTS for argument in ("--requirement", name)]
    command = [sys.executable, "-m", "pip_audit", *asked, "--no-deps", "--disable-pip", "--format", "json"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        verdict = judge(answer.stdout)
    except subprocess.TimeoutExpired:
        verdict = judge("")
    print(*verdict.lines, sep="\n")
    return int(verdict.failed)


if __name__ == "__main__":
    sys.exit(main())

"""One thing that `doctor` checked, and how all of them are printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

import click

from dashboard.commands import output

# What could not be proven is said and not taken for good; it is no failure either.
State = Literal["good", "warning", "wrong", "not checked"]


@dataclass(frozen=True)
class CheckResult:
    """One thing that was looked at; ``mend`` is empty where it is good."""

    what: str
    state: State
    says: str
    mend: str = ""


def print_report(findings: Iterable[CheckResult], *, as_json: bool) -> None:
    """Print the findings; end the command with exit code 1 where something is wrong."""
    found = list(findings)
    if as_json:
        output.print_rows([asdict(one) for one in found], as_json=True, nothing="")
    else:
        for one in found:
            output.print_text(f"{one.state:<11} {one.what:<28} {one.says}")
            if one.mend:
                output.print_text(f"{'':<40} {one.mend}")
    if any(one.state == "wrong" for one in found):
        raise click.exceptions.Exit(1)

"""Define the results of `doctor`'s checks, and print the report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import click

from dashboard.commands import output

# "not checked" is for what cannot be proven either way; it does not fail the command.
State = Literal["good", "warning", "wrong", "not checked"]


@dataclass(frozen=True)
class CheckResult:
    """The result of one check; ``advice`` says how to fix a problem."""

    state: State
    subject: str
    message: str
    advice: str = ""


good = partial(CheckResult, "good")
warning = partial(CheckResult, "warning")
wrong = partial(CheckResult, "wrong")
not_checked = partial(CheckResult, "not checked")


def print_report(results: Iterable[CheckResult], *, as_json: bool) -> None:
    """Print the results; exit with code 1 if anything is wrong."""
    results = list(results)
    if as_json:
        output.print_json(
            [
                {"what": result.subject, "state": result.state, "says": result.message, "mend": result.advice}
                for result in results
            ]
        )
    else:
        for result in results:
            output.print_text(f"{result.state:<11} {result.subject:<28} {result.message}")
            if result.advice:
                output.print_text(f"{'':<40} {result.advice}")
    if any(result.state == "wrong" for result in results):
        raise click.exceptions.Exit(1)

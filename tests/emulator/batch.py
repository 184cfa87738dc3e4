"""The batch method: up to fifty commands, each failing alone, later ones using earlier results."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .errors import RestError
from .methods import Listing
from .php import array, entries, flag, parse_form

LIMIT = 50
_REFERENCE = re.compile(r"\$result((?:\[[^\]]+\])+)")

# Runs one command and returns its result; raises RestError.
Run = Callable[[str, dict[str, Any]], Any]


@dataclass
class _Outcome:
    result: dict[str, Any] = field(default_factory=dict)
    result_error: dict[str, Any] = field(default_factory=dict)
    result_total: dict[str, Any] = field(default_factory=dict)
    result_next: dict[str, Any] = field(default_factory=dict)
    result_time: dict[str, Any] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        return {name: array(part) for name, part in vars(self).items()}

    def take(self, key: str, done: Any) -> None:
        if isinstance(done, Listing):
            self.result[key] = done.items
            self.result_total[key] = done.total
            if done.next is not None:
                self.result_next[key] = done.next
        else:
            self.result[key] = done


def commands_of(params: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the commands: key → (method, query)."""
    commands = {}
    for key, text in entries(params.get("cmd")).items():
        method, _, query = str(text).partition("?")
        commands[key] = (method.strip().lower(), query)
    return commands


def run_batch(params: dict[str, Any], run: Run, *, time_of: Callable[[str], Any]) -> dict[str, Any]:
    """Return the five maps of a batch, each a list when it is empty."""
    outcome = _Outcome()
    for number, (key, (method, query)) in enumerate(commands_of(params).items()):
        try:
            if number >= LIMIT:
                raise RestError("ERROR_BATCH_LENGTH_EXCEEDED")
            if method == "batch":
                raise RestError("ERROR_BATCH_METHOD_NOT_ALLOWED")
            outcome.take(key, run(method, _substituted(parse_form(query), outcome.result)))
            outcome.result_time[key] = time_of(method)
        except RestError as error:
            outcome.result_error[key] = error.body_in_batch
            if flag(params.get("halt")):
                break
    return outcome.body()


def _substituted(value: Any, results: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _substituted(member, results) for key, member in value.items()}
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        return _look_up(whole, results)
    return _REFERENCE.sub(lambda found: str(_look_up(found, results)), value)


def _look_up(reference: re.Match[str], results: dict[str, Any]) -> Any:
    """Return what a reference points at; the text itself where it points at nothing."""
    value: Any = results
    for key in reference[1][1:-1].split("]["):
        steps = entries(value)
        if key not in steps:
            return reference[0]
        value = steps[key]
    return value

"""Call and batch for one portal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from dashboard.bitrix24.envelope import find_error
from dashboard.bitrix24.errors import Bitrix24Error, Unreadable
from dashboard.bitrix24.http import RestHttp
from dashboard.bitrix24.masking import RecordCall
from dashboard.core.json_values import Json

MAX_BATCH_COMMANDS = 50


@dataclass(frozen=True)
class Command:
    """A method and its parameters; nested ones as Bitrix24 spells them, ``LANG_ALL[en][TITLE]``."""

    method: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method}?{urlencode(self.parameters)}" if self.parameters else self.method


@dataclass(frozen=True)
class Batch:
    """What the commands of a batch answered, by their keys: a result or an error each."""

    results: Mapping[str, Json]
    errors: Mapping[str, Bitrix24Error]
    totals: Mapping[str, Json] = field(default_factory=dict)  # of commands that list: how many in all
    nexts: Mapping[str, Json] = field(default_factory=dict)  # of commands that list: where the next page starts

    def __getitem__(self, key: str) -> Json:
        """Return the command's result.

        :raise Bitrix24Error: what the command answered instead, or that it was not answered at all.
        """
        if key in self.errors:
            raise self.errors[key]
        if key not in self.results:
            raise Unreadable("command_not_answered")
        return self.results[key]


@dataclass(frozen=True)
class Client:
    """The REST server of one portal. The token goes in the body: URLs are logged on the way."""

    rest: RestHttp
    origin: str
    record: RecordCall

    def call(
        self,
        method: str,
        parameters: Mapping[str, Json] | None = None,
        *,
        token: str,
        read_only: bool = False,
    ) -> Json:
        """Return the method's result. ``read_only``: it changes nothing, so it may be sent twice.

        :raise Bitrix24Error: the leaf for what was answered.
        """
        body: dict[str, Json] = {**(parameters or {}), "auth": token}
        answer = self.rest.json(
            f"{self.origin}/rest/{method}",
            body,
            method=method,
            record=self.record,
            read_only=read_only,
        )
        if "result" not in answer:
            raise Unreadable("bad_answer")
        return answer["result"]

    def batch(self, commands: Mapping[str, Command], *, token: str, read_only: bool = False) -> Batch:
        """Return what each of up to 50 commands answered; one request, executed in order.

        ``read_only``: none of them changes anything, or doing it twice changes nothing more, so the request
        may be sent twice.

        :raise Bitrix24Error: the batch as a whole was refused.
        :raise ValueError: more commands than a batch takes.
        """
        if len(commands) > MAX_BATCH_COMMANDS:
            raise ValueError(f"a batch takes {MAX_BATCH_COMMANDS} commands, not {len(commands)}")
        spelled: Json = {key: str(command) for key, command in commands.items()}
        answer = self.call("batch", {"halt": 0, "cmd": spelled}, token=token, read_only=read_only)
        if not isinstance(answer, dict):
            raise Unreadable("bad_answer")
        errors = _by_key(answer.get("result_error"), commands)
        return Batch(
            results=_by_key(answer.get("result"), commands),
            errors={key: find_error(error if isinstance(error, dict) else {}) for key, error in errors.items()},
            totals=_by_key(answer.get("result_total"), commands),
            nexts=_by_key(answer.get("result_next"), commands),
        )


def _by_key(part: Json, commands: Mapping[str, Command]) -> dict[str, Json]:
    """Return a part of the answer by command; PHP writes an empty map as ``[]`` and keys 0..n as a list."""
    if isinstance(part, list):
        return dict(zip(commands, part, strict=False))
    return dict(part) if isinstance(part, dict) else {}

"""Call the REST methods of one portal, one by one or in batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from dashboard.bitrix24.envelope import find_error, result_of
from dashboard.bitrix24.errors import BAD_RESPONSE, Bitrix24Error, Unreadable
from dashboard.bitrix24.http import RestHttp
from dashboard.bitrix24.masking import CallRecorder
from dashboard.bitrix24.transport import DEFAULT_LIMIT, ResponseLimit
from dashboard.core.json_values import Json, as_object

MAX_BATCH_COMMANDS = 50


@dataclass(frozen=True)
class Command:
    """A method and its parameters; nested names as Bitrix24 writes them, ``LANG_ALL[en][TITLE]``."""

    method: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method}?{urlencode(self.parameters)}" if self.parameters else self.method


@dataclass(frozen=True)
class BatchResult:
    """The results and errors of a batch, by the commands' keys."""

    results: Mapping[str, Json]
    errors: Mapping[str, Bitrix24Error]
    totals: Mapping[str, Json] = field(default_factory=dict)  # of list methods: the total number of rows
    next_starts: Mapping[str, Json] = field(default_factory=dict)  # of list methods: the ``start`` of the next page

    def __getitem__(self, key: str) -> Json:
        """Return the command's result.

        :raise Bitrix24Error: the command failed, or the response has no result for it.
        """
        if key in self.errors:
            raise self.errors[key]
        if key not in self.results:
            raise Unreadable("command_not_answered")
        return self.results[key]


@dataclass(frozen=True)
class Client:
    """The REST server of one portal. Tokens are sent in the body, because URLs are logged by proxies."""

    rest: RestHttp
    origin: str
    record_call: CallRecorder

    def call(
        self,
        method: str,
        parameters: Mapping[str, Json] | None = None,
        *,
        token: str,
        read_only: bool = False,
        limit: ResponseLimit = DEFAULT_LIMIT,
    ) -> Json:
        """Return the method's result. A ``read_only`` call changes nothing, so it may be sent twice.

        :raise Bitrix24Error: the call failed.
        """
        body: dict[str, Json] = {**(parameters or {}), "auth": token}
        url = f"{self.origin}/rest/{method}"
        return result_of(
            self.rest.post(url, body, method=method, record_call=self.record_call, read_only=read_only, limit=limit)
        )

    def batch(
        self,
        commands: Mapping[str, Command],
        *,
        token: str,
        read_only: bool = False,
        limit: ResponseLimit = DEFAULT_LIMIT,
    ) -> BatchResult:
        """Execute up to 50 commands in order, in one request.

        A ``read_only`` batch may be sent twice: its commands are idempotent.

        :raise Bitrix24Error: the batch as a whole was refused.
        :raise ValueError: there are too many commands.
        """
        if len(commands) > MAX_BATCH_COMMANDS:
            raise ValueError(f"a batch takes {MAX_BATCH_COMMANDS} commands, not {len(commands)}")
        encoded: Json = {key: str(command) for key, command in commands.items()}
        result = self.call("batch", {"halt": 0, "cmd": encoded}, token=token, read_only=read_only, limit=limit)
        if not isinstance(result, dict):
            raise Unreadable(BAD_RESPONSE)
        errors = _by_key(result.get("result_error"), commands)
        return BatchResult(
            results=_by_key(result.get("result"), commands),
            errors={key: find_error(as_object(error)) for key, error in errors.items()},
            totals=_by_key(result.get("result_total"), commands),
            next_starts=_by_key(result.get("result_next"), commands),
        )


def _by_key(values: Json, commands: Mapping[str, Command]) -> dict[str, Json]:
    """Return values by command; PHP sends an empty map as ``[]``, and one with the keys 0, 1, … as a list."""
    return dict(zip(commands, values, strict=False)) if isinstance(values, list) else as_object(values)

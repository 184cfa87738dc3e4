"""Send one request, parse its response and record both."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from dashboard.bitrix24.envelope import parse_response
from dashboard.bitrix24.errors import PORTAL_CODES, Bitrix24Error, Codes
from dashboard.bitrix24.masking import MASK, MAX_RECORDED_BYTES, CallRecord, CallRecorder, mask, record_nothing
from dashboard.bitrix24.transport import DEFAULT_LIMIT, RawResponse, ResponseLimit, Transport
from dashboard.core.json_values import Json


@dataclass(frozen=True)
class RestHttp:
    """Sends every call. ``observe`` receives the record of each, for metrics."""

    transport: Transport
    observe: CallRecorder = record_nothing

    def post(
        self,
        url: str,
        body: dict[str, Json],
        *,
        method: str,
        record_call: CallRecorder,
        codes: Codes = PORTAL_CODES,
        as_form: bool = False,
        read_only: bool = False,
        limit: ResponseLimit = DEFAULT_LIMIT,
    ) -> dict[str, Json]:
        """POST JSON or a form and return the response's object.

        ``record_call`` receives the masked record, also when the call fails. For ``read_only`` see ``Transport.post``.

        :raise Bitrix24Error: the call failed.
        """
        at, started = datetime.now(UTC), time.perf_counter()
        response: RawResponse | None = None
        parsed: dict[str, Json] = {}
        error: str | None = None
        try:
            if as_form:
                response = self.transport.post(
                    url, form={name: str(value) for name, value in body.items()}, limit=limit
                )
            else:
                response = self.transport.post(url, json=body, read_only=read_only, limit=limit)
            parsed = parse_response(response, codes=codes, max_values=limit.values)
        except Bitrix24Error as failure:
            error = failure.code
            raise
        finally:
            call = CallRecord(
                at=at,
                origin="/".join(url.split("/", 3)[:3]),
                method=method,
                status=response.status if response else None,
                error=error,
                milliseconds=round((time.perf_counter() - started) * 1000),
                sent=len(json.dumps(body)),
                received=len(response.body) if response else 0,
                parameters=mask(body),
                answer=mask(parsed) if response and len(response.body) <= MAX_RECORDED_BYTES else MASK,
            )
            record_call(call)
            self.observe(call)
        return parsed

"""One request and its answer: sent, read, judged and recorded."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from dashboard.bitrix24 import envelope
from dashboard.bitrix24.errors import PORTAL_CODES, Bitrix24Error, Codes
from dashboard.bitrix24.masking import MASK, MAX_TEXT_LENGTH, CallRecord, RecordCall, mask, record_nothing
from dashboard.bitrix24.transport import RawResponse, Transport
from dashboard.core.json_values import Json


@dataclass(frozen=True)
class RestHttp:
    """The way every call goes.

    The ``record`` of a request gets a masked record of it, also when it fails; ``observe`` sees the
    records of everybody and keeps none.
    """

    transport: Transport
    observe: RecordCall = record_nothing

    def json(
        self,
        url: str,
        body: dict[str, Json],
        *,
        method: str,
        record: RecordCall,
        codes: Codes = PORTAL_CODES,
        read_only: bool = False,
    ) -> dict[str, Json]:
        """POST a JSON body; return the answer's object or raise its error.

        ``read_only``: the request changes nothing, so it may be sent twice.
        """
        return self._send(url, body, as_form=False, method=method, record=record, codes=codes, read_only=read_only)

    def form(
        self, url: str, fields: dict[str, str], *, method: str, record: RecordCall, codes: Codes
    ) -> dict[str, Json]:
        """POST a form, once; return the answer's object or raise its error."""
        return self._send(url, dict(fields), as_form=True, method=method, record=record, codes=codes, read_only=False)

    def _send(
        self,
        url: str,
        body: dict[str, Json],
        *,
        as_form: bool,
        method: str,
        record: RecordCall,
        codes: Codes,
        read_only: bool,
    ) -> dict[str, Json]:
        at, started = datetime.now(UTC), time.perf_counter()
        answer: RawResponse | None = None
        read: dict[str, Json] = {}
        error: str | None = None
        try:
            if as_form:
                answer = self.transport.post(url, form={name: str(value) for name, value in body.items()})
            else:
                answer = self.transport.post(url, json=body, read_only=read_only)
            read = envelope.parse_response(answer, codes=codes)
        except Bitrix24Error as failure:
            error = failure.code
            raise
        finally:
            call = CallRecord(
                at=at,
                origin="/".join(url.split("/", 3)[:3]),
                method=method,
                status=answer.status if answer else None,
                error=error,
                milliseconds=round((time.perf_counter() - started) * 1000),
                sent=len(json.dumps(body)),
                received=len(answer.body) if answer else 0,
                parameters=mask(body),
                answer=mask(read) if answer and len(answer.body) <= MAX_TEXT_LENGTH else MASK,
            )
            record(call)
            self.observe(call)
        return read

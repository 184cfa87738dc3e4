"""The door both servers share: latency, faults on order, and the record of each request."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .errors import RestError
from .faults import Fault
from .php import encode, parse_form
from .records import RequestRecord
from .wire import Answer, Request
from .world import World

JSON = {"Content-Type": "application/json; charset=utf-8"}
HTML = {"Content-Type": "text/html; charset=utf-8"}
_PAGE = "<html><head><title>{0}</title></head><body><h1>{0} Service Temporarily Unavailable</h1></body></html>"


@dataclass
class Visit:
    """One request on its way: what is known of it, and what was answered."""

    where: str
    method: str
    portal: str = ""
    user: int | None = None
    person: str = ""
    inner: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    status: int = 200
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    grant: str = ""
    granted: bool = False
    followed: bool = False

    def refuse(self, error: RestError) -> None:
        """Answer with an error."""
        self.status, self.body = error.status, error.body


def attend(world: World, request: Request, visit: Visit, work: Callable[[], None]) -> Answer:
    """Let the work fill the visit, unless a fault has it otherwise; record what the client got."""
    if world.latency:
        time.sleep(world.latency)
    fault = world.faults.take(where=visit.where, method=visit.method, portal=visit.portal, person=visit.person)
    if fault is None or fault.name in {"lost", "slow", "hold", "truncated", "trickle", "answer"}:
        work()
        answer = _told(visit, fault)
    else:
        answer = _broken(visit, fault)
    world.log.add(_record(world, request, visit, status=answer.status))
    return answer


def _told(visit: Visit, fault: Fault | None) -> Answer:
    if fault is not None and fault.change is not None and visit.body is not None:
        visit.body = fault.change(visit.body)
    body = b"" if visit.body is None else encode(visit.body).encode()
    answer = Answer(visit.status, body, {**(JSON if body else HTML), **visit.headers})
    if fault is None or fault.name == "answer":
        return answer
    if fault.name == "slow":
        answer.pause = float(fault.value)
    elif fault.name == "hold":
        answer.gate = fault.released
    elif fault.name == "trickle":
        answer.manner, answer.headers["X-Trickle"] = "trickle", fault.value
    else:
        answer.manner = "reset" if fault.name == "lost" else "truncated"
    return answer


def _broken(visit: Visit, fault: Fault) -> Answer:
    if fault.name == "error":
        error = error_of(fault)
        visit.refuse(error)
        return Answer(error.status, encode(error.body).encode(), dict(JSON))
    if fault.name in {"reset", "hang"}:
        visit.status = 0
        return Answer(0, manner=fault.name)
    if fault.name == "redirect":
        return Answer(302, headers={**HTML, "Location": fault.value})
    if fault.name == "body":
        return Answer(200, fault.value.encode(), dict(JSON))
    if fault.name == "huge":
        return Answer(200, b'{"result":"' + b"x" * int(fault.value) + b'"}', dict(JSON))
    if fault.name in {"status", "html"}:
        page = _PAGE.format(fault.value).encode() if fault.name == "html" else b""
        return Answer(int(fault.value), page, dict(HTML))
    raise ValueError(f"There is no fault of kind {fault.kind!r}.")


def error_of(fault: Fault) -> RestError:
    """Return the error an `error:CODE[:STATUS[:TEXT]]` fault stands for."""
    code, _, rest = fault.value.partition(":")
    status, _, text = rest.partition(":")
    return RestError(code, text or None, status=int(status) if status else None)


def _record(world: World, request: Request, visit: Visit, *, status: int) -> RequestRecord:
    in_url = parse_form(request.query)
    return RequestRecord(
        at=world.clock.now(),
        where=visit.where,
        portal=visit.portal,
        verb=request.verb,
        method=visit.method,
        inner=visit.inner,
        user=visit.user,
        person=visit.person,
        status=status,
        error=str((visit.body or {}).get("error", "")),
        grant=visit.grant,
        granted=visit.granted,
        had_cookie="cookie" in request.headers,
        secret_in_url="client_secret" in in_url,
        token_in_url=bool({"auth", "access_token", "refresh_token"} & set(in_url)),
        written=visit.written,
        agent=request.headers.get("user-agent", ""),
        followed=visit.followed,
    )

"""Methods about event handlers: events, event.bind, event.get, event.unbind, event.test."""

from typing import Any
from urllib.parse import urlsplit

from ..errors import RestError
from ..events import QueuedEvent, fields_of
from .registry import Call, method, missing_argument

BASIC = (
    "ONAPPINSTALL",
    "ONAPPUPDATE",
    "ONAPPUNINSTALL",
    "ONAPPPAYMENT",
    "ONAPPMETHODCONFIRM",
    "ONAPPTEST",
)
SCOPED = {
    "calendar": (
        "ONCALENDARENTRYADD",
        "ONCALENDARENTRYUPDATE",
        "ONCALENDARENTRYDELETE",
        "ONCALENDARSECTIONADD",
        "ONCALENDARSECTIONUPDATE",
        "ONCALENDARSECTIONDELETE",
    ),
    "user": ("ONUSERADD",),
}


@method("events")
def events(call: Call) -> list[str]:
    """List the events the application may bind."""
    granted = call.portal.application.scopes
    scoped = [name for scope in granted for name in SCOPED.get(scope, ())]
    return [*BASIC, *scoped]


@method("event.bind")
def event_bind(call: Call) -> bool:
    """Bind a handler; the same one twice is an error."""
    event, url = _event_of(call), str(call.param("handler") or "")
    if event not in events(call):
        raise RestError("ERROR_EVENT_NOT_FOUND", "Event not found")
    if not url:
        raise missing_argument("HANDLER")
    check_handler(url)
    auth_type = int(call.param("auth_type") or 0)
    if auth_type and not call.person.admin:
        text = "Access denied! Event binding with AUTH_TYPE requires administrator access rights"
        raise RestError("ACCESS_DENIED", text)
    # Handlers bound by people without administrator rights work for themselves alone.
    auth_type = auth_type if call.person.admin else call.person.user_id
    for bound in call.portal.application.handlers_of(event):
        if (bound.url, bound.auth_type) == (url, auth_type):
            text = "Unable to set event handler: Handler already binded"
            raise RestError("ERROR_CORE", text)
    call.portal.application.bind(event, url, user_id=call.person.user_id, auth_type=auth_type)
    return True


@method("event.get")
def event_get(call: Call) -> list[dict[str, Any]]:
    """List the handlers; people without administrator rights see their own."""
    return [
        {
            "event": bound.event,
            "handler": bound.url,
            "auth_type": str(bound.auth_type),
            "offline": 0,
        }
        for bound in call.portal.application.handlers
        if call.person.admin or bound.user_id == call.person.user_id
    ]


@method("event.unbind")
def event_unbind(call: Call) -> dict[str, int]:
    """Unbind a handler and tell how many went."""
    event, url = _event_of(call), str(call.param("handler") or "")
    application = call.portal.application
    stored = [
        bound
        for bound in application.handlers
        if (bound.event, bound.url) != (event, url) or not (call.person.admin or bound.user_id == call.person.user_id)
    ]
    count = len(application.handlers) - len(stored)
    application.handlers = stored
    return {"count": count}


@method("event.test")
def event_test(call: Call) -> int:
    """Queue ONAPPTEST with the call's own parameters."""
    data = {"QUERY": call.params, "LANGUAGE_ID": call.person.lang}
    auth = {"member_id": call.portal.member_id, "application_token": call.portal.application.token}
    for bound in call.portal.application.handlers_of("ONAPPTEST"):
        fields = fields_of("ONAPPTEST", handler_id=bound.id, data=data, auth=auth)
        call.portal.queue.put(QueuedEvent("ONAPPTEST", bound.url, fields))
    return 1


def _event_of(call: Call) -> str:
    event = str(call.param("event") or "").upper()
    if not event:
        raise missing_argument("EVENT")
    return event


def check_handler(url: str) -> None:
    """Refuse a handler Bitrix24's servers could not reach: a host needs a dot in its name."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise RestError("ERROR_UNSUPPORTED_PROTOCOL", "Unsupported handler protocol")
    if "." not in (parts.hostname or ""):
        raise RestError("ERROR_WRONG_HANDLER_URL", "Wrong handler URL")

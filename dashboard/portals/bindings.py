"""What the application binds in a portal: lifecycle events, its view in the calendar, its own address."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, islice

from dashboard.bitrix24.client import Batch, Client, Command
from dashboard.bitrix24.errors import Bitrix24Error, CallRejected
from dashboard.core.json_values import Json

EVENTS = ("ONAPPINSTALL", "ONAPPUPDATE", "ONAPPUNINSTALL", "ONAPPPAYMENT")
CALENDAR_VIEW = "CALENDAR_GRIDVIEW"
# Opens the application where somebody follows `/marketplace/view/<its code>/` in a message.
LINK = "REST_APP_URI"
PLACEMENTS = (CALENDAR_VIEW, LINK)

# Read in the same batch as who is asking, so that only what is missing is bound.
CHECK_KEYS = {"events": Command("event.get"), "placements": Command("placement.get")}
# The same look, and what else it tells administrators of their installation.
CHECK_COMMANDS = {**CHECK_KEYS, "scope": Command("scope")}
LONGEST_SCOPE, MOST_SCOPES = 64, 100
MAX_LEFTOVERS = 40  # unbound at once: a batch takes fifty commands


def scopes_in(look: Batch) -> list[str] | None:
    """Return the permissions the portal has granted, None where it did not tell."""
    told = look.results.get("scope")
    if not isinstance(told, list):
        return None
    return [scope[:LONGEST_SCOPE] for scope in told if isinstance(scope, str)][:MOST_SCOPES]


def bind_missing(
    client: Client, present: Batch, *, public_url: str, titles: Mapping[str, str], token: str
) -> dict[str, str]:
    """Bind what ``present`` lacks, in one batch; return the codes of what could not be bound, by name.

    A thing bound meanwhile by somebody else's installation at the same moment counts as bound. What leads
    to an address the application had before goes first: a portal takes one link alone, and would show
    the calendar's entry twice, one of them dead.

    :raise Bitrix24Error: the batch as a whole was refused.
    """
    missing = _missing_events(present, f"{public_url}/events")
    missing |= _missing_placements(present, f"{public_url}/", titles)
    left = _left_behind(present, public_url)
    if not missing and not left:
        return {}
    # Doing it twice changes nothing more, so it may be given up or sent again like a read.
    answered = client.batch({**left, **missing}, token=token, read_only=True)
    return {
        name: error.code for name, error in answered.errors.items() if name in missing and not _bound_already(error)
    }


def _left_behind(present: Batch, public_url: str) -> dict[str, Command]:
    """Return how to unbind what leads elsewhere; a portal lists the application's own alone."""
    events = (
        (f"{name}{number}", Command("event.unbind", {"event": name, "handler": handler}))
        for name in EVENTS
        for number, handler in enumerate(_handlers(present, "event", name))
        if not _same(handler, f"{public_url}/events")
    )
    placements = (
        (f"{name}{number}", Command("placement.unbind", {"PLACEMENT": name, "HANDLER": handler}))
        for name in PLACEMENTS
        for number, handler in enumerate(_handlers(present, "placement", name))
        if not _same(handler, f"{public_url}/")
    )
    return dict(islice(chain(events, placements), MAX_LEFTOVERS))


def _missing_events(present: Batch, handler: str) -> dict[str, Command]:
    return {
        event: Command("event.bind", {"event": event, "handler": handler})
        for event in EVENTS
        if not any(_same(one, handler) for one in _handlers(present, "event", event))
    }


def _missing_placements(present: Batch, handler: str, titles: Mapping[str, str]) -> dict[str, Command]:
    shared = {"HANDLER": handler, "TITLE": titles["en"]}
    shared |= {f"LANG_ALL[{language}][TITLE]": title for language, title in titles.items()}
    return {
        placement: Command("placement.bind", {"PLACEMENT": placement, **shared})
        for placement in PLACEMENTS
        if not any(_same(one, handler) for one in _handlers(present, "placement", placement))
    }


def _handlers(present: Batch, kind: str, name: str) -> list[str]:
    rows = _rows(present, f"{kind}s")
    told = (_text(row, "handler") for row in rows if _text(row, kind).upper() == name)
    # Without its handler, unbinding would take away all of them.
    return [handler for handler in told if handler]


def _same(handler: str, ours: str) -> bool:
    return handler.rstrip("/") == ours.rstrip("/")


def _rows(present: Batch, key: str) -> list[Mapping[str, Json]]:
    """Return the bound things; a list that could not be read is an empty one: binding twice does no harm."""
    rows = present.results.get(key)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _text(row: Mapping[str, Json], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def _bound_already(error: Bitrix24Error) -> bool:
    """Tell whether the portal refused because there is a handler.

    `ERROR_CORE` is its answer to one that is bound (`Handler already binded`), the other code its answer
    to a second one where it takes only one for an application.
    """
    return isinstance(error, CallRejected) and error.code.upper() in (
        "ERROR_CORE",
        "ERROR_PLACEMENT_MAX_COUNT",
    )

"""What the controls of the portal's page show: which switches are on, how the portal is doing, what the servers saw."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from .door import JSON
from .people import Person
from .php import encode, parse_form
from .portal import Portal
from .records import RequestRecord
from .wire import Answer, Request
from .world import World

SHOWN = 40
DEPARTMENTS = "department"
BROKEN = {"html": "pages of HTML", "truncated": "truncated"}


def seen(world: World, portal: Portal, request: Request) -> Answer:
    """Tell what the servers saw of this portal, newest first, and how its controls stand; no token among it."""
    records = [one for one in world.log.all() if one.portal in {"", portal.name}]
    refreshes = [one for one in records if one.granted and one.grant == "refresh_token"]
    person = portal.people.get(str(parse_form(request.query).get("person", "")))
    body = {
        "count": len(records),
        "refreshes": len(refreshes),
        "switches": switches(world, portal, person),
        "facts": facts(world, portal, person),
        "requests": [_row(record) for record in records[-SHOWN:][::-1]],
    }
    return Answer(200, encode(body).encode(), dict(JSON))


def switches(world: World, portal: Portal, person: Person | None) -> dict[str, bool]:
    """Return which of the switches are on."""
    return {
        "trial": portal.application.trial_over,
        "departments": DEPARTMENTS in portal.application.scopes,
        "restricted": person is not None and person.restricted,
        "broken": person is not None and person.broken,
        "closed": portal.closed,
        "slow": world.latency > 0,
    }


def facts(world: World, portal: Portal, person: Person | None) -> dict[str, str]:
    """Return in a few words how far the other controls have come."""
    application, bucket = portal.application, portal.bucket
    installed = "installed" if application.installed else "being installed" if application.added else "not installed"
    coming = Counter({fault.name: fault.times or 0 for fault in world.faults.waiting() if fault.portal == portal.name})
    used = f"{bucket.level(now=world.clock.now()):.0f} of {bucket.depth} requests" if bucket else "No limit"
    answers = [used, *(f"{coming[name]} {words} to come" for name, words in BROKEN.items() if coming[name])]
    return {
        "application": f"Version {application.version}, {installed}",
        "portal": portal.domain,
        "answers": "; ".join(answers),
        "calendar": "Open in a tab" if person is not None and person.key in portal.tabs else "Not open",
    }


def people(portal: Portal) -> Answer:
    """Tell who is in the portal."""
    body = [
        {"key": one.key, "user_id": one.user_id, "name": one.full_name, "admin": one.admin}
        for one in portal.people.values()
    ]
    return Answer(200, encode(body).encode(), dict(JSON))


def _row(record: RequestRecord) -> dict[str, Any]:
    return {
        "time": datetime.fromtimestamp(record.at, UTC).strftime("%H:%M:%S"),
        "where": record.where,
        "method": record.method,
        "inner": list(record.inner),
        "person": record.person,
        "status": record.status,
        "error": record.error,
    }

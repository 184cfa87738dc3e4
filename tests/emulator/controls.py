"""The controls of the portal's page, and what its script asks on behalf of the frame."""

import json
from collections.abc import Callable
from typing import Any

from .door import JSON
from .errors import RestError
from .faults import Fault
from .page import described
from .panel import DEPARTMENTS
from .php import array, encode
from .portal import CannotOpen, Portal
from .wire import Answer, Request
from .world import World

SLOW_SECONDS = 3.0
BROKEN_TIMES = 3

# What a control does with the portal, for the person signed in; the answer goes to the page.
Act = Callable[[World, Portal, dict[str, Any]], dict[str, Any] | list[Any] | None]


def control(world: World, portal: Portal, request: Request, name: str) -> Answer:
    """Do what a control says."""
    act = _ACTS.get(name)
    if act is None or request.verb != "POST":
        return Answer(404, b'{"error":"no such control"}', dict(JSON))
    body = json.loads(request.body or b"{}")
    try:
        done = act(world, portal, body)
    except CannotOpen as refusal:
        done = _note(str(refusal))
    except RestError as error:
        done = _note(f"The portal fails too: {error.description}")
    if done is None:
        return Answer(204)
    return Answer(200, encode(done).encode(), dict(JSON))


def _note(text: str) -> dict[str, Any]:
    return {"note": text}


def _install(_world: World, portal: Portal, body: dict[str, Any]) -> dict[str, Any]:
    if not portal.people[body["person"]].admin:
        return _note("Only an administrator can install applications.")
    portal.add_application(by=body["person"])
    return _note("The Market has added the application; its installer opens.")


def _uninstall(_world: World, portal: Portal, _body: dict[str, Any]) -> dict[str, Any]:
    portal.uninstall(clean=True)
    return _note("Uninstalled; the event says that data are to be cleared.")


def _uninstall_keep(_world: World, portal: Portal, _body: dict[str, Any]) -> dict[str, Any]:
    portal.uninstall(clean=False)
    return _note("Uninstalled; the event says that data may stay.")


def _update(_world: World, portal: Portal, _body: dict[str, Any]) -> dict[str, Any]:
    portal.update(new_application_token=True)
    return _note(f"Now at version {portal.application.version}, with a new application token.")


def _end_trial(_world: World, portal: Portal, _body: dict[str, Any]) -> dict[str, Any]:
    portal.end_trial()
    return _note("The trial is over: every call is answered PAYMENT_REQUIRED.")


def _restore_trial(_world: World, portal: Portal, _body: dict[str, Any]) -> dict[str, Any]:
    portal.restore_trial()
    return _note("Somebody paid.")


def _expire(_world: World, portal: Portal, body: dict[str, Any]) -> dict[str, Any]:
    portal.expire(body["person"])
    return _note("The access token has expired; the next call has to refresh it.")


def _kill_refresh(_world: World, portal: Portal, body: dict[str, Any]) -> dict[str, Any]:
    portal.expire(body["person"])
    portal.kill_refresh(body["person"])
    return _note("Both tokens are dead; only opening the application again helps.")


def _restrict(_world: World, portal: Portal, body: dict[str, Any]) -> dict[str, Any]:
    portal.restrict(body["person"])
    return _note("This person may no longer use the application.")


def _allow(_world: World, portal: Portal, body: dict[str, Any]) -> dict[str, Any]:
    portal.people[body["person"]].restricted = False
    return _note("This person may use the application again.")


def _open_calendar(_world: World, portal: Portal, body: dict[str, Any]) -> dict[str, Any]:
    portal.tabs[body["person"]] = portal.calendar_tab(body["person"])
    return _note("A calendar is open in another tab; it knows the settings as they are now.")


def _save_calendar(_world: World, portal: Portal, body: dict[str, Any]) -> dict[str, Any]:
    tab = portal.tabs.get(body["person"])
    if tab is None:
        return _note("This person has no calendar open.")
    tab.save()
    return _note("The open calendar has saved all settings as it knew them.")


def _damage_settings(_world: World, portal: Portal, body: dict[str, Any]) -> dict[str, Any]:
    portal.people[body["person"]].broken = True
    return _note("One stored setting is no JSON any more: reading and writing all of them fails.")


def _repair_settings(_world: World, portal: Portal, body: dict[str, Any]) -> dict[str, Any]:
    portal.people[body["person"]].broken = False
    return _note("The stored settings can be read again.")


def _language(_world: World, portal: Portal, body: dict[str, Any]) -> dict[str, Any]:
    portal.people[body["person"]].lang = str(body["language"])
    return _note("This person reads another language now.")


def _grant_departments(_world: World, portal: Portal, _body: dict[str, Any]) -> dict[str, Any]:
    portal.grant_scope(DEPARTMENTS)
    portal.update()
    return _note("Granted with an update; the application learns it when an administrator opens it.")


def _withdraw_departments(_world: World, portal: Portal, _body: dict[str, Any]) -> dict[str, Any]:
    portal.drop_scope(DEPARTMENTS)
    return _note("Withdrawn: department.get is answered insufficient_scope.")


def _quick(world: World, _portal: Portal, _body: dict[str, Any]) -> dict[str, Any]:
    world.latency = 0.0
    return _note("Answers are quick again.")


def _rename(_world: World, portal: Portal, _body: dict[str, Any]) -> dict[str, Any]:
    return {"origin": portal.rename(), "note": "The old address answers 302 from now on."}


def _close(_world: World, portal: Portal, _body: dict[str, Any]) -> dict[str, Any]:
    portal.close()
    return _note("Every call is answered PORTAL_DELETED.")


def _reopen(_world: World, portal: Portal, _body: dict[str, Any]) -> dict[str, Any]:
    portal.reopen()
    return _note("The portal is open again.")


def _storm(world: World, portal: Portal, _body: dict[str, Any]) -> dict[str, Any]:
    if portal.bucket is None:
        return _note("This emulator has no limit.")
    portal.bucket.fill(now=world.clock.now())
    return _note("The bucket is full: QUERY_LIMIT_EXCEEDED until it has leaked.")


def _slow(world: World, _portal: Portal, _body: dict[str, Any]) -> dict[str, Any]:
    world.latency = SLOW_SECONDS
    return _note(f"Every answer takes {SLOW_SECONDS:g} seconds now.")


def _html(world: World, portal: Portal, _body: dict[str, Any]) -> dict[str, Any]:
    world.faults.add(Fault("html:502", portal=portal.name, times=BROKEN_TIMES))
    return _note("The next answers are pages of HTML.")


def _truncated(world: World, portal: Portal, _body: dict[str, Any]) -> dict[str, Any]:
    world.faults.add(Fault("truncated", portal=portal.name, times=BROKEN_TIMES))
    return _note("The next answers break off in the middle.")


def _calm(world: World, _portal: Portal, _body: dict[str, Any]) -> dict[str, Any]:
    world.latency = 0.0
    world.faults.clear()
    return _note("No faults, no delay.")


def _installed(_world: World, portal: Portal, _body: dict[str, Any]) -> None:
    portal.finish_install()


def _refresh(_world: World, portal: Portal, body: dict[str, Any]) -> dict[str, Any]:
    pair = portal.mint(portal.people[body["person"]])
    return {"AUTH_ID": pair.access, "AUTH_EXPIRES": "3600", "REFRESH_ID": pair.refresh}


def _open(_world: World, portal: Portal, body: dict[str, Any]) -> dict[str, Any]:
    opening = portal.open_as(body["person"], body["placement"], body["options"], body["form"])
    return described(portal, opening)


def _user_option(_world: World, portal: Portal, body: dict[str, Any]) -> None:
    portal.people[body["person"]].options[body["name"]] = body["value"]


def _app_option(_world: World, portal: Portal, body: dict[str, Any]) -> dict[str, Any] | list[Any] | None:
    """Store an option of the application; whoever is no administrator gets no answer."""
    if not portal.people[body["person"]].admin:
        return None
    portal.application.options[body["name"]] = body["value"]
    return array(portal.application.options)


_ACTS: dict[str, Act] = {
    "install": _install,
    "install-market": _install,
    "uninstall": _uninstall,
    "uninstall-keep": _uninstall_keep,
    "update": _update,
    "end-trial": _end_trial,
    "restore-trial": _restore_trial,
    "expire": _expire,
    "kill-refresh": _kill_refresh,
    "restrict": _restrict,
    "allow": _allow,
    "open-calendar": _open_calendar,
    "save-calendar": _save_calendar,
    "damage-settings": _damage_settings,
    "repair-settings": _repair_settings,
    "language": _language,
    "grant-departments": _grant_departments,
    "withdraw-departments": _withdraw_departments,
    "rename": _rename,
    "close": _close,
    "reopen": _reopen,
    "storm": _storm,
    "slow": _slow,
    "quick": _quick,
    "html": _html,
    "truncated": _truncated,
    "calm": _calm,
    "installed": _installed,
    "refresh": _refresh,
    "open": _open,
    "user-option": _user_option,
    "app-option": _app_option,
}

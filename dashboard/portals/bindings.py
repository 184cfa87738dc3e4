"""Bind the application's events and placements in a portal, and unbind those that lead to a former PUBLIC_URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from pydantic import SecretStr

from dashboard.bitrix24.client import BatchResult, Client, Command
from dashboard.bitrix24.errors import Bitrix24Error, CallRejected
from dashboard.core.stored_times import is_recent
from dashboard.models import Portal
from dashboard.portals.installations import Installations

log = structlog.get_logger()

EVENTS = ("ONAPPINSTALL", "ONAPPUPDATE", "ONAPPUNINSTALL", "ONAPPPAYMENT")
CALENDAR_VIEW = "CALENDAR_GRIDVIEW"
# Opens the application from a link `/marketplace/view/<its code>/` in a message.
LINK = "REST_APP_URI"
# In the menu of an employee's card, and beside a private chat; both say whose card or chat it is.
EMPLOYEE_CARD, CHAT_SIDEBAR = "USER_PROFILE_TOOLBAR", "IM_SIDEBAR"
# Not every portal has these, so they are bound only where the portal lists them.
OPTIONAL_PLACEMENTS = (EMPLOYEE_CARD, CHAT_SIDEBAR)
PLACEMENTS = (CALENDAR_VIEW, LINK, *OPTIONAL_PLACEMENTS)
# Bitrix24 REST docs, widgets/im/sidebar.md. `USER` means private chats, `extranet` guests.
PLACEMENT_OPTIONS: Mapping[str, Mapping[str, str]] = {
    CHAT_SIDEBAR: {"iconName": "fa-clock-o", "context": "USER", "role": "USER", "extranet": "N", "color": "AZURE"},
}
# Stored instead of an error code for what the portal does not list.
NOT_OFFERED = "not_offered"

# An update of the application removes its bindings, so openings check them this often.
CHECK_INTERVAL = timedelta(days=1)
LIST_COMMANDS = {"events": Command("event.get"), "placements": Command("placement.get")}
CHECK_COMMANDS = {**LIST_COMMANDS, "offered": Command("placement.list"), "scope": Command("scope")}
MAX_SCOPE_LENGTH, MAX_SCOPES = 64, 100
MAX_UNBIND_COMMANDS = 40  # of the fifty commands in a batch; the next check unbinds the rest
# `ERROR_CORE`: this handler is bound already (`Handler already binded`).
# `ERROR_PLACEMENT_MAX_COUNT`: another handler of ours already holds this placement, which takes only one.
ALREADY_BOUND = ("ERROR_CORE", "ERROR_PLACEMENT_MAX_COUNT")
PLACEMENT_NOT_FOUND = "ERROR_PLACEMENT_NOT_FOUND"


def scopes_in(batch: BatchResult) -> list[str] | None:
    """Return the scopes that the portal has granted, or None if it did not return them."""
    scopes = batch.results.get("scope")
    if not isinstance(scopes, list):
        return None
    return [scope[:MAX_SCOPE_LENGTH] for scope in scopes if isinstance(scope, str)][:MAX_SCOPES]


@dataclass(frozen=True, kw_only=True)
class Bindings:
    """Bind the application's events and placements in portals."""

    installations: Installations
    public_url: str
    titles: Callable[[str], Mapping[str, str]]  # of a placement, by language
    now: Callable[[], datetime]

    def commands_for(self, portal: Portal | None) -> Mapping[str, Command]:
        """Return the commands that check the bindings if that is due; only administrators get full results."""
        if portal is None or is_recent(portal.bindings_at, self.now(), age=CHECK_INTERVAL):
            return {}
        return CHECK_COMMANDS

    def restore(self, portal: Portal, client: Client, check_result: BatchResult, *, token: SecretStr) -> None:
        """Bind what an update removed, if ``check_result`` has the lists; log an error instead of raising it."""
        if not LIST_COMMANDS.keys() <= check_result.results.keys():
            return
        try:
            self.bind_missing(portal, client, check_result, token=token)
        except Bitrix24Error as error:
            log.warning("binding_failed", portal=portal.id, error=error.code)

    def bind_missing(
        self, portal: Portal, client: Client, check_result: BatchResult, *, token: SecretStr
    ) -> Mapping[str, str]:
        """Bind what ``check_result`` lacks, and return and store the error code of each name the portal refused.

        What the portal does not offer has the code ``NOT_OFFERED``. ``check_result`` holds the results of
        ``CHECK_COMMANDS``.

        :raise Bitrix24Error: the batch as a whole was refused.
        """
        not_offered = _not_offered(check_result)
        placements = tuple(name for name in PLACEMENTS if name not in not_offered)
        refused = self._bind_and_unbind(client, check_result, placements, token=token.get_secret_value())
        # A portal may list a placement that it does not have.
        not_offered += [name for name in OPTIONAL_PLACEMENTS if refused.get(name, "").upper() == PLACEMENT_NOT_FOUND]
        refused_bindings = refused | dict.fromkeys(not_offered, NOT_OFFERED)
        if failures := {name: code for name, code in refused_bindings.items() if code != NOT_OFFERED}:
            log.warning("binding_failed", portal=portal.id, codes=failures)
        self.installations.save_bindings(portal, refused_bindings=refused_bindings)
        return refused_bindings

    def _bind_and_unbind(
        self, client: Client, check_result: BatchResult, placements: Sequence[str], *, token: str
    ) -> dict[str, str]:
        """Unbind what leads to a former PUBLIC_URL, then bind what is missing, in one batch.

        In this order, because a portal allows one link handler, and would show two tabs in the calendar.
        """
        events = _compare(check_result, "event", EVENTS, f"{self.public_url}/events")
        places = _compare(check_result, "placement", placements, f"{self.public_url}/")
        unbind = [Command("event.unbind", {"event": name, "handler": handler}) for name, handler in events.elsewhere]
        unbind += [Command("placement.unbind", {"PLACEMENT": name, "HANDLER": url}) for name, url in places.elsewhere]
        bind = {name: Command("event.bind", {"event": name, "handler": events.url}) for name in events.missing}
        bind |= {name: Command("placement.bind", self._parameters(name, places.url)) for name in places.missing}
        commands = {f"unbind{number}": command for number, command in enumerate(unbind[:MAX_UNBIND_COMMANDS])} | bind
        if not commands:
            return {}
        # Running it twice changes nothing more, so it may be sent again like a read.
        errors = client.batch(commands, token=token, read_only=True).errors
        return {
            name: error.code
            for name, error in errors.items()
            if name in bind and not (isinstance(error, CallRejected) and error.code.upper() in ALREADY_BOUND)
        }

    def _parameters(self, name: str, handler: str) -> dict[str, str]:
        """Return the parameters of ``placement.bind`` for a placement."""
        titles = self.titles(name)
        parameters = {"PLACEMENT": name, "HANDLER": handler, "TITLE": titles["en"]}
        parameters |= {f"LANG_ALL[{language}][TITLE]": title for language, title in titles.items()}
        return parameters | {f"OPTIONS[{key}]": value for key, value in PLACEMENT_OPTIONS.get(name, {}).items()}


@dataclass(frozen=True)
class _Comparison:
    """Which events or placements are not bound to ``url``, and which are bound to other handlers."""

    url: str
    missing: list[str]
    elsewhere: list[tuple[str, str]]


def _not_offered(check_result: BatchResult) -> list[str]:
    """Return the optional placements that the portal does not list; all of them if the list could not be read."""
    rows = check_result.results.get("offered")
    offered = {row.upper() for row in rows if isinstance(row, str)} if isinstance(rows, list) else set()
    return [name for name in OPTIONAL_PLACEMENTS if name not in offered]


def _compare(check_result: BatchResult, kind: str, names: Sequence[str], url: str) -> _Comparison:
    """Compare what is bound with what should be. A portal lists the application's own bindings only.

    A list that could not be read counts as empty: binding twice does no harm. A row without its handler is
    left out, because unbinding it would unbind all handlers.
    """
    rows = check_result.results.get(f"{kind}s")
    bound = [
        (str(row.get(kind)).upper(), handler)
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict) and isinstance(handler := row.get("handler"), str) and handler
    ]
    bound_names = {name for name, handler in bound if handler.rstrip("/") == url.rstrip("/")}
    elsewhere = [(name, handler) for name, handler in bound if name in names and handler.rstrip("/") != url.rstrip("/")]
    return _Comparison(url, [name for name in names if name not in bound_names], elsewhere)

"""Every page, and how to reach it in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import update

from dashboard.models import Portal
from tests.emulator.faults import Fault
from tests.team_fixtures import NEVER_OPENED, open_to_everyone, store_people
from tests.world import World

# A browser says of itself when an answer is a refusal or a failure; anything else in a console is ours.
_EXPECTED = re.compile(r"error: Failed to load resource: the server responded with a status of (401|402|403|5\d\d) ")


def nothing(world: World) -> None:
    """Prepare nothing."""


def list_everyone(world: World) -> None:
    world.sync()


def lack(world: World) -> None:
    """Remove a permission, and let the application check it."""
    world.portal().drop_scope("placement")
    world.services.installations.require_bindings_check(world.known())


def open_to_boris(world: World) -> None:
    open_to_everyone(world, "boris")


def close_to_boris(world: World) -> None:
    """Let only administrators see the team; a page that is open still has the tab."""
    with world.database.write_session() as session:
        session.execute(update(Portal).values(team_open=False))


def bring_people(world: World) -> None:
    """Add enough people for every page to have content."""
    zones = ("Europe/Berlin", "Asia/Tokyo", "America/New_York", "Asia/Kolkata")
    store_people(
        world,
        *(
            {
                "name": f"Colleague {number:02}",
                "calendar_zone": zones[number % 4],
                "work_start": 480 + 30 * (number % 4),
                "view": ("month", "week", "custom_7", "")[number % 4],
                "reminder_count": number % 3,
                "habits": f"{'Y' if number % 5 else 'N'}NNN{'Y' if number % 4 == 0 else 'N'}N timed:15min",
            }
            for number in range(13)
        ),
        {"name": "Lost Lucy", "chain_state": "reconnect", "problem": "user_access_error"},
        {"name": "New Nina"} | NEVER_OPENED,
    )


def suspend(world: World) -> None:
    world.portal().end_trial()


def expire(world: World) -> None:
    """Invalidate Boris's access token and refresh token."""
    world.portal().expire("boris")
    world.portal().kill_refresh("boris")


def fail(world: World) -> None:
    world.bitrix24.faults.add(Fault(kind="html:500", method="batch"))


def remove(world: World) -> None:
    world.portal().uninstall()
    world.portal().deliver_events()


@dataclass(frozen=True)
class Page:
    """The controls to press one after another, what to search for then, and a selector for the page that appears.

    ``before`` runs after the application is opened, or before that if ``late`` is false.
    """

    name: str
    steps: tuple[str, ...]
    there: str
    person: str = "anna"
    before: Callable[[World], None] = nothing
    placement: str = "DEFAULT"
    late: bool = True
    search: str = ""


TEAM, PLAN, INSIGHTS, ADMIN = (f'[data-page][href="/{name}"]' for name in ("team", "plan", "insights", "admin"))
REFRESH = "[data-refresh]"
SEARCH = ".filters [type=search]"

PAGES = (
    Page("me", (), REFRESH),
    Page("beginning", (TEAM,), "[data-first-steps]", before=list_everyone),
    Page("invitation", (TEAM, '[data-first-steps] [value="everyone"]', '[href="/team/invitation"]'), "#invitation"),
    Page("team", (TEAM,), "[data-team]", before=bring_people),
    Page("nobody", (TEAM,), ".team-empty", search="Nobody has this name"),
    Page("calendar", (), ".days", placement="CALENDAR_GRIDVIEW"),
    Page("plan", (PLAN,), ".plan-suggestions"),
    Page("slots", (PLAN, ".plan-suggestions a", ".plan-chart-table > summary"), ".plan-chart-table__table"),
    Page("reach", (), ".reach", placement="IM_SIDEBAR"),
    Page("employee", (), ".reach", placement="USER_PROFILE_TOOLBAR"),
    Page(
        "stranger",
        (),
        '[data-error="team_not_allowed"]',
        person="boris",
        before=close_to_boris,
        placement="IM_SIDEBAR",
        late=False,
    ),
    Page("insights", (INSIGHTS, ".insights-disclosure > summary"), "[data-insights]"),
    Page("behind", (INSIGHTS, '[href^="/insights/"]'), ".insights-people"),
    Page("admin", (ADMIN,), '[data-state="missing"]', before=lack, late=False),
    Page("calls", (ADMIN, "#log > summary", '[href="/admin/calls"]', ".details__summary"), ".details__text"),
    Page("forget", (ADMIN, "#data > summary", '[href="/admin/forget"]'), "#domain"),
    Page("numbers", (INSIGHTS,), "[data-insights]", person="boris", before=open_to_boris, late=False),
    Page("refused", (TEAM,), '[data-error="team_not_allowed"]', person="boris", before=close_to_boris),
    Page("reconnect", (REFRESH,), '[data-error="reconnect"]', person="boris", before=expire),
    Page("failed", (REFRESH,), '[data-error="http_500"]', person="boris", before=fail),
    Page("suspended", (), '[data-error="PAYMENT_REQUIRED"]', person="boris", before=suspend, late=False),
    Page("over", (REFRESH,), "[data-client-error]", person="boris", before=remove),
)


def unexpected(messages: list[str]) -> list[str]:
    """Return the console messages that are not expected."""
    return [message for message in messages if not _EXPECTED.match(message)]

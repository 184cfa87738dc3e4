"""Check after every test that settings were written only by a request of the person whose settings they are."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from flask import Flask, g, request

from tests.emulator import Emulator, RequestRecord

# Each is something that a person presses on their own page.
PATHS = ("/me/settings", "/me/undo", "/me/adopt", "/me/reset")
AGENT = "calendar-dashboard/"


@dataclass(frozen=True)
class Click:
    """A request of a person to write their own settings, and when it was under way by the emulator's clock."""

    member_id: str
    user_id: int
    began: float
    ended: float


_CLICKS: WeakKeyDictionary[Emulator, list[Click]] = WeakKeyDictionary()


def watch(app: Flask, bitrix24: Emulator) -> None:
    """Remember the clicks that the application answers."""
    clicks = _CLICKS.setdefault(bitrix24, [])

    @app.before_request
    def note_the_time() -> None:
        g.click_began = bitrix24.clock.now()

    @app.teardown_request
    def remember(_error: BaseException | None) -> None:
        if request.path in PATHS and request.method == "POST" and "person" in g:
            clicks.append(Click(g.portal.member_id, g.person.user_id, g.click_began, bitrix24.clock.now()))


def check_writes(bitrix24: Emulator) -> None:
    """Fail if the application has written anybody's settings without a click of theirs."""
    members = {portal.name: portal.member_id for portal in bitrix24.portals.values()}
    clicks = _CLICKS.get(bitrix24, [])

    def is_clicked(write: RequestRecord) -> bool:
        member_id = members.get(write.portal)
        # A token that the portal no longer knows is nobody's.
        return any(
            click.member_id == member_id
            and write.user in (click.user_id, None)
            and click.began <= write.at <= click.ended
            for click in clicks
        )

    writes = [write for write in bitrix24.world.log.writes() if write.agent.startswith(AGENT)]
    others = [write for write in writes if not is_clicked(write) or write.inner]
    assert not others, f"settings were written without a click: {others}"

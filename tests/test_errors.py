"""What the application says when it fails, and when to try again."""

from __future__ import annotations

import pytest

from dashboard.bitrix24.errors import QueryLimit
from dashboard.web.errors.responses import response_for_error
from tests.team_fixtures import in_english
from tests.world import World, errors_on


def test_a_defect_is_not_blamed_on_the_request(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    session = in_english(world)
    world.app.config["PROPAGATE_EXCEPTIONS"] = False
    monkeypatch.setattr("dashboard.people.snapshots.Snapshots.get", lambda *_: 1 / 0)

    response = world.browser.get("/me", headers=session)

    assert (response.status_code, errors_on(response.text)) == (500, ["http_500"])
    assert "The operator of the app has to fix this." in response.text


@pytest.mark.usefixtures("frozen_clock")
@pytest.mark.parametrize(
    ("wait", "advice"),
    [(3, "Try again in a few seconds."), (40, "Try again in a minute."), (400, "Try again in a few minutes.")],
)
def test_the_advice_names_the_time_to_wait(world: World, wait: int, advice: str) -> None:
    with world.app.test_request_context():
        failure = response_for_error(QueryLimit("QUERY_LIMIT_EXCEEDED", resets_at=world.now().timestamp() + wait))

    assert (failure.retry_after, failure.notice.action) == (wait, advice)

"""Admin: the calls of the last three days, filtered and masked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from dashboard.models import ApiCall
from dashboard.web.views.admin_calls import MAX_JSON_LENGTH, _json
from tests.emulator.faults import Fault
from tests.team_fixtures import Session, in_english
from tests.world import World, errors_on


@pytest.fixture
def anna(world: World) -> Session:
    return in_english(world)


def called(world: World, *calls: dict[str, Any], portal: str = "alpha") -> None:
    """Store calls, each a second older than the previous one."""
    usual = {
        "portal_id": world.known(portal).id,
        "origin": world.portal(portal).origin,
        "method": "profile",
        "status": 200,
        "error": None,
        "milliseconds": 12,
        "sent": 100,
        "received": 2500,
        "parameters": {"a": 1},
        "answer": {"b": 2},
    }
    rows = [
        usual | {"at": world.now() + timedelta(hours=1, seconds=-number)} | call for number, call in enumerate(calls)
    ]
    with world.database.write_session() as session:
        session.execute(insert(ApiCall), rows)


def calls_on_page(world: World, session: Session, query: str = "") -> list[tuple[str, str]]:
    """Return the method and the error of each call on the page."""
    response = world.browser.get(f"/admin/calls{query}", headers=session)
    assert response.status_code == 200
    return re.findall(r'data-call="([^"]*)" data-call-error="([^"]*)"', response.text)


def test_the_newest_calls_come_first(each_world: World) -> None:
    anna = in_english(each_world)
    called(each_world, {"method": "newest"}, {"method": "older", "status": 400, "error": "ERROR_CORE"})

    assert calls_on_page(each_world, anna)[:2] == [("newest", ""), ("older", "ERROR_CORE")]


def test_a_call_shows_its_request_and_response(world: World, anna: Session) -> None:
    called(world, {"status": 503, "error": "QUERY_LIMIT_EXCEEDED", "parameters": {"count": 7}})

    page = world.browser.get("/admin/calls", headers=anna).text

    for text in (
        "503",
        "The portal&#39;s apps sent too many requests",
        "12 ms",
        "100 B and 2.5 kB",
        "&#34;count&#34;: 7",
    ):
        assert text in page


def test_filters_by_method_and_error(each_world: World) -> None:
    anna = in_english(each_world)
    called(
        each_world,
        {"method": "user.get"},
        {"method": "user.get", "error": "ACCESS_DENIED"},
        {"method": "user.get", "error": ""},
        {"method": "profile", "error": "ACCESS_DENIED"},
    )

    assert calls_on_page(each_world, anna, "?method=user.get&error=ACCESS_DENIED") == [("user.get", "ACCESS_DENIED")]
    assert len(calls_on_page(each_world, anna, "?method=user.get")) == 3
    assert len(calls_on_page(each_world, anna, "?error=any")) == 3
    assert calls_on_page(each_world, anna, "?error=empty_error_code") == [("user.get", "empty_error_code")]
    assert calls_on_page(each_world, anna, "?method=nothing%00") == []


def test_every_call_is_on_one_page_of_fifty(world: World, anna: Session) -> None:
    called(world, *({"method": f"m{number:03}"} for number in range(120)))

    pages = [calls_on_page(world, anna, f"?page={number}") for number in (1, 2, 3)]

    assert [len(page) for page in pages[:2]] == [50, 50]
    methods = [method for page in pages for method, _error in page if method.startswith("m")]
    assert methods == [f"m{number:03}" for number in range(120)]
    assert calls_on_page(world, anna, "?page=999999") == []
    assert calls_on_page(world, anna, "?page=-1") == pages[0]


def test_the_next_page_keeps_the_filters(world: World, anna: Session) -> None:
    called(world, *({"error": "ERROR_CORE"} for _ in range(60)))

    page = world.browser.get("/admin/calls?error=ERROR_CORE", headers=anna).text

    assert 'href="/admin/calls?error=ERROR_CORE&amp;page=2"' in page


def test_calls_older_than_three_days_are_hidden_before_the_purge(world: World, anna: Session) -> None:
    called(world, {"method": "old", "at": world.now() - timedelta(days=3, minutes=1)})

    assert "old" not in {method for method, _error in calls_on_page(world, anna)}


def test_calls_of_other_portals_are_hidden(world: World, anna: Session) -> None:
    world.install("beta")
    called(world, {"method": "of.beta"}, portal="beta")
    called(world, {"method": "of.alpha"})
    clara = world.session("clara", "beta")

    assert "of.beta" not in {method for method, _error in calls_on_page(world, anna)}
    assert "of.alpha" not in {method for method, _error in calls_on_page(world, clara)}
    assert "of.alpha" not in world.browser.get("/admin/calls", headers=clara).text


def test_only_administrators_see_calls(world: World) -> None:
    response = world.browser.get("/admin/calls", headers=world.session("boris"))

    assert response.status_code == 403
    assert errors_on(response.text) == ["admin_only"]


def test_the_page_shows_no_token_name_or_address(world: World, anna: Session) -> None:
    opening = world.portal().open_as("boris")
    world.post("/", opening)
    petra = world.session("petra")
    world.bitrix24.faults.add(Fault(kind="error:ERROR_CORE:400:token " + "a" * 40, method="batch"))
    world.browser.post("/me/refresh", headers=petra)
    world.sync()

    pages = [world.browser.get(f"/admin/calls?page={number}", headers=anna).text for number in (1, 2)]

    tokens = world.bitrix24.world.tokens
    secrets = {opening.access_token, opening.refresh_token, world.portal().application_token, "a" * 40}
    for person in world.portal().people.values():
        secrets |= {person.last_name, person.email} - {""}
        for pair in tokens.of(world.portal().member_id, person.user_id):
            secrets |= {pair.access, pair.refresh}
    # The reader's own name is no part of the page's main part.
    assert not [secret for page in pages for secret in secrets if secret in page]


def test_a_long_value_is_cut_and_the_rest_is_not_encoded() -> None:
    class Answer(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            yield from ["\ud800", *range(1000)]
            raise AssertionError("more was encoded")

    shown = _json(Answer([0]))

    assert (len(shown), shown[:14], shown[-1]) == (MAX_JSON_LENGTH + 1, '[\n "\\ud800",\n ', "…")
    assert _json({"a": [1]}) == '{\n "a": [\n  1\n ]\n}'

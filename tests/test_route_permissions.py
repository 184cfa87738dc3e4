"""Every route of the application, found in its own map: nobody gets in who has not proven who they are."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest
import time_machine
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import text
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from app import create_app
from dashboard.core import config
from dashboard.web.auth.sessions import MAX_SESSION_SECONDS
from dashboard.web.views.team_export import EXCEL_TYPE
from tests.world import SECRET_KEY, World

WITHOUT_CHARSET = {"application/json", EXCEL_TYPE}
# What anybody may ask for without a session. Whoever adds a public route names it here, and says why.
PUBLIC = {
    ("GET", "/"),  # tells a curious person, and the vendor console, what this is
    ("GET", "/install"),
    ("GET", "/events"),
    ("POST", "/"),  # proven by the token that is posted
    ("POST", "/install"),  # likewise
    ("POST", "/events"),  # proven by the portal's application_token
    ("GET", "/privacy"),
    ("GET", "/terms"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),  # asks for a bearer token of its own
    ("GET", "/styleguide"),  # in development alone
    ("GET", "/static/<digest>/<path:name>"),
}
# What every person of a portal may ask for. All the rest is for administrators until somebody opens it.
PERSONAL = {
    ("GET", "/me"),
    ("POST", "/me/refresh"),
    ("POST", "/me/settings"),
    ("POST", "/me/undo"),
    ("POST", "/me/adopt"),
    ("GET", "/me/history"),
    ("GET", "/me/reset"),
    ("POST", "/me/reset"),
}
# What programs ask for: downloads, and the script that shows an update of everyone. It is refused with JSON.
FOR_PROGRAMS = {
    *(("GET", path) for path in ("/team.csv", "/team.json", "/team.xlsx", "/admin/export.json", "/team/sync")),
    ("POST", "/team/sync"),
    ("POST", "/team/sync/cancel"),
}

Digest = Callable[..., Any]

ALPHAS_OWN = ("Keller", "Thapa", "Alpha Ltd", "only alpha has this")


def routes(world: World) -> list[tuple[str, str]]:
    """Return every method and rule of the application."""
    result = {(method, rule.rule) for rule in world.app.url_map.iter_rules() for method in _asked_of(rule)}
    return sorted(result)


def _asked_of(rule: Rule) -> Iterator[str]:
    yield from (rule.methods or set()) - {"HEAD", "OPTIONS"}


def guarded(world: World) -> list[tuple[str, str]]:
    return [route for route in routes(world) if route not in PUBLIC]


def ask(world: World, route: tuple[str, str], session: str | None) -> TestResponse:
    """Request a route with 1 for each of its variables; a download is read to its end, so that it frees its slot."""
    method, rule = route
    path = "/".join("1" if part.startswith("<") else part for part in rule.split("/"))
    headers = {"Authorization": f"Bearer {session}"} if session is not None else {}
    data = {"who": "everyone"} if method == "POST" else None
    return world.browser.open(path, method=method, headers=headers, data=data, buffered=True)


def assert_refused_everywhere(world: World, session: str) -> None:
    answers = {route: ask(world, route, session).status_code for route in guarded(world)}
    assert answers == dict.fromkeys(answers, 401)


def bearer(session: dict[str, str]) -> str:
    return session["Authorization"].removeprefix("Bearer ")


def forged(world: World, portal: str, user_id: int, generation: int) -> str:
    """Return a token with our own signature that names what may not belong together."""
    return signed([world.portal(portal).member_id, generation, user_id, int(time.time())])


def signed(claims: list[Any], *, key: str = SECRET_KEY, salt: str = "session", digest: Digest = hashlib.sha256) -> str:
    """Return a token as the application signs it, or as it does not."""
    return str(URLSafeTimedSerializer(key, salt=salt, signer_kwargs={"digest_method": digest}).dumps(claims))


@pytest.fixture
def busy(world: World) -> World:
    """Give a world whose portals both have people, with a mark in Alpha's data."""
    world.portal().people["boris"].settings["tabId"] = "only alpha has this"
    world.open("boris")
    world.install("beta")
    world.open("clara", "beta")
    return world


def test_public_routes_are_named_once_and_exist(world: World) -> None:
    removed = PUBLIC - set(routes(world))

    assert not removed, f"PUBLIC names routes that are gone: {sorted(removed)}"


def test_no_route_answers_without_a_valid_token(busy: World) -> None:
    good = bearer(busy.session("anna"))
    claims = [busy.portal().member_id, 1, 1, int(time.time())]
    assert ask(busy, ("GET", "/me"), signed(claims)).status_code == 200
    tokens = {
        "nothing": None,
        "garbage": "WzEsMSwxXQ.aXw.c2lnbmF0dXJl",
        "huge": "x" * 10_000,
        "of another key": signed(claims, key="another key"),
        "of another purpose": signed(claims, salt="queue"),
        "of another digest": signed(claims, digest=hashlib.sha1),
        "expired": good,
    }
    for kind, token in tokens.items():
        with time_machine.travel(datetime.now(UTC) + timedelta(minutes=31 if kind == "expired" else 0)):
            answers = {route: ask(busy, route, token) for route in guarded(busy)}

        assert {route: answer.status_code for route, answer in answers.items()} == dict.fromkeys(answers, 401), kind
        for answer in answers.values():
            assert set(answer.json or {}) == {"error"}
            assert not [own for own in ALPHAS_OWN if own in answer.text]


def test_a_refused_page_is_a_page(world: World) -> None:
    world.open("boris")
    session = bearer(world.session("boris"))

    answers = {route: ask(world, route, session) for route in set(guarded(world)) - PERSONAL}

    refused = {route: answer.mimetype for route, answer in answers.items() if answer.status_code == 403}
    assert {route for route, kind in refused.items() if kind != "text/html"} == FOR_PROGRAMS
    assert len(refused) > 20


def test_no_route_answers_the_token_of_a_person_who_is_gone(busy: World) -> None:
    session = bearer(busy.session("anna"))
    with busy.database.write_session() as rows:
        rows.execute(text("DELETE FROM people WHERE user_id = 1 AND portal_id = 1"))

    assert_refused_everywhere(busy, session)


def test_no_route_answers_the_token_of_an_earlier_generation(busy: World) -> None:
    session = bearer(busy.session("anna"))
    busy.portal().uninstall()
    busy.portal().deliver_events()
    assert_refused_everywhere(busy, session)

    busy.install()
    busy.open("anna")
    assert_refused_everywhere(busy, session)


def test_a_session_ends_however_busily_it_is_used(busy: World) -> None:
    """Half a day after the opening Bitrix24 is asked anew who this is."""
    session, began = bearer(busy.session("anna")), datetime.now(UTC)
    for minutes in range(20, MAX_SESSION_SECONDS // 60, 20):
        with time_machine.travel(began + timedelta(minutes=minutes)):
            answer = busy.browser.get("/me", headers={"Authorization": f"Bearer {session}"})
            assert answer.status_code == 200
            session = answer.headers["X-Session-Token"]

    with time_machine.travel(began + timedelta(seconds=MAX_SESSION_SECONDS + 5)):
        assert ask(busy, ("GET", "/me"), session).json == {"error": "session_expired"}


@pytest.mark.parametrize("generation", [0, 2])
def test_no_route_answers_a_token_of_another_generation_of_somebody_who_is_there(busy: World, generation: int) -> None:
    assert_refused_everywhere(busy, forged(busy, "alpha", 7, generation))
    assert ask(busy, ("GET", "/me"), forged(busy, "alpha", 7, 1)).status_code == 200


def test_no_route_answers_while_the_portal_is_a_tombstone(busy: World) -> None:
    """Its people are deleted with it; should one ever be left, they are still nobody."""
    session = bearer(busy.session("anna"))
    with busy.database.write_session() as rows:
        rows.execute(text("UPDATE portals SET state = 'uninstalled' WHERE id = 1"))

    assert_refused_everywhere(busy, session)


def test_no_route_answers_a_token_that_joins_two_portals(busy: World) -> None:
    """Signed by us, as no code of ours would: the person is Alpha's, the portal Beta."""
    assert_refused_everywhere(busy, forged(busy, "beta", 7, 1))


def unpacked(answer: TestResponse) -> str:
    """Return the text of a response, and of all files in a workbook."""
    if answer.mimetype != EXCEL_TYPE:
        return answer.text
    with ZipFile(BytesIO(answer.data)) as workbook:
        return "".join(workbook.read(name).decode() for name in workbook.namelist())


def test_people_of_another_portal_see_nothing_of_it(busy: World) -> None:
    """Clara administers Beta, so that everything opens to her, and nothing of Alpha does."""
    alphas = [name for person in busy.portal().people.values() for name in (person.last_name, person.email)]

    for route in guarded(busy):
        # Anew each time: one of the routes may forget the portal's people, her among them.
        answer = ask(busy, route, bearer(busy.session("clara", "beta")))
        body = unpacked(answer)
        result = [own for own in (*alphas, *ALPHAS_OWN, busy.portal().domain) if own and own in body]
        assert not result, (route, result)


def test_admin_routes_are_refused_to_ordinary_people(busy: World) -> None:
    boris = bearer(busy.session("boris"))
    closed = [route for route in guarded(busy) if route not in PERSONAL]

    answers = {route: ask(busy, route, boris) for route in closed}

    assert {route: answer.status_code for route, answer in answers.items()} == dict.fromkeys(answers, 403)
    assert not [route for route, answer in answers.items() if "Thapa" in unpacked(answer)]


def test_every_route_sets_security_and_cache_headers(busy: World) -> None:
    """On success and on every kind of failure: refused, not found, not allowed, malformed, too large."""
    answers = [ask(busy, route, None) for route in routes(busy)]
    for route in routes(busy):
        busy.bitrix24.clock.advance(2)  # each opening costs one of the requests that the portal allows
        answers.append(ask(busy, route, bearer(busy.session("anna"))))
    answers += [busy.browser.open("/nowhere"), busy.browser.open("/static/nothing.css")]
    answers += [busy.browser.open(path, method="DELETE") for path in ("/", "/me", "/events", "/healthz")]
    answers += [busy.browser.post("/", data={"AUTH_ID": "x" * 300_000}), busy.browser.post("/", data=b"{}")]

    for answer in answers:
        assert answer.status_code < 500 or answer.request.path == "/me/refresh", answer.request.path
        headers = answer.headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "no-store" in headers["Cache-Control"] or "immutable" in headers["Cache-Control"]
        assert "Set-Cookie" not in headers
        assert "Access-Control-Allow-Origin" not in headers
        assert answer.mimetype in WITHOUT_CHARSET or answer.content_type.endswith("; charset=utf-8")
        assert not [name for name in headers.keys() if name.lower() in ("server", "x-powered-by")]  # noqa: SIM118
        answer.close()


def test_production_sends_the_hsts_header(world: World) -> None:
    production = {"PUBLIC_URL": "https://calendar.example.com", "TRUST_LOOPBACK": "", "BX24_JS_URL": ""}
    production |= {"BITRIX24_AUTH_SERVERS": "https://oauth.example"}
    app = create_app(config.load(world.environment | production), database=world.database)

    for path in ("/", "/healthz", "/nowhere", "/me"):
        headers = app.test_client().get(path).headers
        assert headers["Strict-Transport-Security"] == "max-age=31536000"
        # Photos of this machine are for development.
        assert "http:" not in headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in world.browser.get("/").headers

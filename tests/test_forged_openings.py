"""Refuse forged openings: nothing of the portal is read or changed, and no token is sent to an unverified address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from werkzeug.test import TestResponse

from app import create_app
from dashboard.core import config
from tests.emulator.faults import Fault
from tests.emulator.opening import Opening
from tests.emulator.wire import Answer, Request, Server
from tests.world import World, errors_on

ALPHAS_TABLES = {
    "portals": "SELECT * FROM portals WHERE id = 1",
    "people": "SELECT * FROM people WHERE portal_id = 1 ORDER BY id",
    "chains": "SELECT c.* FROM chains c JOIN people p ON p.id = c.person_id WHERE p.portal_id = 1 ORDER BY 1",
    "snapshots": "SELECT s.* FROM snapshots s JOIN people p ON p.id = s.person_id WHERE portal_id = 1",
    "runs": "SELECT * FROM runs WHERE portal_id = 1 ORDER BY id",
}
ALPHAS_OWN = ("Keller", "Boris", "only alpha has this")


@dataclass
class Attacker:
    """An attacker's server: a portal or authorization server that returns whatever helps them."""

    received: list[Request] = field(default_factory=list)

    def handle(self, request: Request) -> Answer:
        self.received.append(request)
        return Answer(200, b'{"result":{"ID":"1","ADMIN":true}}', {"Content-Type": "application/json"})


@dataclass
class Scene:
    """Alpha, the victim, with people; Clara of Beta with her own tokens; the attacker's server."""

    world: World
    attacker: Attacker
    server: Server
    before: dict[str, object]

    @property
    def host(self) -> str:
        return f"localhost:{self.server.port}"

    def claras_opening(self) -> Opening:
        """Return Clara's opening in Beta, to be forged."""
        return self.world.portal("beta").open_as("clara")

    def assert_unharmed(self, answer: TestResponse) -> None:
        assert not [own for own in ALPHAS_OWN if own in answer.text]
        assert dump(self.world) == self.before
        assert (self.attacker.received, self.server.connections) == ([], 0)


def dump(world: World) -> dict[str, object]:
    return {name: world.rows(query) for name, query in ALPHAS_TABLES.items()}


@pytest.fixture
def scene(world: World) -> Iterator[Scene]:
    world.portal().people["boris"].settings["tabId"] = "only alpha has this"
    world.open("boris")
    world.portal("beta").install()
    attacker = Attacker()
    server = Server(attacker.handle)
    server.start()
    yield Scene(world, attacker, server, dump(world))
    server.stop()


PATHS = ["/", "/install"]


@pytest.mark.parametrize("path", PATHS)
def test_a_token_of_another_portal_opens_nothing(scene: Scene, path: str) -> None:
    victim = scene.world.portal().member_id

    answer = scene.world.post(path, scene.claras_opening(), member_id=victim)

    assert answer.status_code == 403
    scene.assert_unharmed(answer)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("token", ["own", "garbage"])
@pytest.mark.parametrize("endpoint", ["attacker", "bitrix24"])
def test_no_posted_field_decides_where_a_token_is_sent(scene: Scene, path: str, token: str, endpoint: str) -> None:
    opening = scene.claras_opening()
    opening.query["DOMAIN"] = scene.host
    forged = {"member_id": scene.world.portal().member_id}
    if token == "garbage":
        forged |= {"AUTH_ID": "a" * 70, "REFRESH_ID": "b" * 70}
    if endpoint == "attacker":
        forged["SERVER_ENDPOINT"] = f"http://{scene.host}/rest/"

    answer = scene.world.post(path, opening, **forged)

    assert answer.status_code == 403
    scene.assert_unharmed(answer)
    assert scene.world.portal().domain not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", PATHS)
def test_only_an_opening_with_the_portals_address_reveals_it(scene: Scene, path: str) -> None:
    """A member_id is not secret; a portal's address may be."""
    forged = scene.claras_opening()
    true = scene.world.portal().open_as("boris")
    true.form["AUTH_ID"] = "a" * 70
    victim = scene.world.portal()

    without_address = scene.world.post(path, forged, member_id=victim.member_id)
    with_address = scene.world.post(path, true)

    assert (without_address.status_code, with_address.status_code) == (403, 403)
    assert without_address.headers["Content-Security-Policy"].endswith("frame-ancestors 'none'")
    assert victim.domain not in without_address.text + str(without_address.headers)
    assert with_address.headers["Content-Security-Policy"].endswith(f"frame-ancestors {victim.origin}")


@pytest.mark.parametrize("path", PATHS)
def test_an_unknown_portal_is_never_asked_at_a_posted_address(scene: Scene, path: str) -> None:
    opening = scene.claras_opening()
    opening.query["DOMAIN"] = scene.host
    forged = {"member_id": "f" * 32, "AUTH_ID": "a" * 70, "SERVER_ENDPOINT": f"http://{scene.host}/rest/"}

    answer = scene.world.post(path, opening, **forged)

    assert answer.status_code == 403
    assert answer.headers["Content-Security-Policy"].endswith("frame-ancestors 'none'")
    scene.assert_unharmed(answer)


@pytest.mark.parametrize("path", PATHS)
def test_a_redirect_during_an_opening_is_refused_and_logged(
    scene: Scene, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The victim's own address redirects, and the token is valid."""
    for method in ("batch", "app.info", "profile"):
        scene.world.bitrix24.faults.add(
            Fault(kind=f"redirect:http://{scene.host}/rest/{method}", portal="alpha", method=method, times=None)
        )

    answer = scene.world.post(path, scene.world.portal().open_as("anna"))

    assert (answer.status_code, errors_on(answer.text)) == (502, ["moved"])
    scene.assert_unharmed(answer)
    assert "redirect_refused" in caplog.text


def test_a_redirect_during_a_refresh_is_refused_and_logged(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    session = scene.world.session("boris")
    before = dump(scene.world)
    redirect = Fault(kind=f"redirect:http://{scene.host}/rest/batch", method="batch", times=None)
    scene.world.bitrix24.faults.add(redirect)

    answer = scene.world.browser.post("/me/refresh", headers=session)

    assert (answer.status_code, errors_on(answer.text)) == (502, ["moved"])
    assert dump(scene.world) == before
    assert scene.attacker.received == []
    assert "redirect_not_followed" in caplog.text


def test_a_redirect_by_the_authorization_server_is_refused(scene: Scene) -> None:
    session = scene.world.session("boris")
    scene.world.portal().expire("boris")
    redirect = Fault(kind=f"redirect:http://{scene.host}/oauth/token/", where="authorization", times=None)
    scene.world.bitrix24.faults.add(redirect)

    assert scene.world.browser.post("/me/refresh", headers=session).status_code == 502
    assert scene.attacker.received == []


@pytest.mark.parametrize("path", PATHS)
def test_a_token_of_another_application_of_the_same_portal_is_refused(scene: Scene, path: str) -> None:
    foreign = scene.world.portal().open_as("anna", client_id="app.stranger.2")

    answer = scene.world.post(path, foreign)

    assert answer.status_code == 403
    scene.assert_unharmed(answer)


@pytest.mark.parametrize("name", ["REFRESH_ID", "APPLICATION_TOKEN", "SERVER_ENDPOINT"])
def test_form_fields_in_the_query_string_are_ignored(scene: Scene, name: str) -> None:
    opening = scene.world.portal().open_as("anna")
    stored = opening.form.pop(name)
    opening.query[name] = f"http://{scene.host}/rest/" if name == "SERVER_ENDPOINT" else "f" * 32

    assert scene.world.post("/", opening).status_code == 200

    assert (scene.attacker.received, scene.server.connections) == ([], 0)
    if name == "APPLICATION_TOKEN":
        event = scene.world.portal().send_event("ONAPPUNINSTALL", application_token="f" * 32)
        assert event[0] == 403
        assert scene.world.portal().send_event("ONAPPUNINSTALL", application_token=stored)[0] == 200


DISGUISES = (
    "{alpha}@{attacker}",
    "{attacker}@{alpha}",
    "{attacker}/{alpha}",
    "{attacker}#{alpha}",
    "{attacker}?{alpha}",
    "{attacker}\\{alpha}",
    "{alpha}:443:443",
    "{attacker}.",
    "{attacker_upper}",
    "http://{attacker}",
    "//{attacker}",
    " {attacker}",
    "{attacker} ",
    "{attacker}\n",
    "{attacker}\x00",
    "localhost:0{port}",
    "localhost:99999",
    "127.0.0.1:{port}",
    "127.1:{port}",
    "2130706433:{port}",
    "0x7f.1:{port}",
    "[::1]:{port}",
    "ⓛocalhost:{port}",
    "lo\u212aalhost:{port}",
    "алфа.example",
    "a" * 300,
    "",
)


def test_a_disguised_domain_is_refused(scene: Scene) -> None:
    names = {"alpha": scene.world.portal().domain, "attacker": scene.host, "port": scene.server.port}
    for disguise in DISGUISES:
        opening = scene.claras_opening()
        opening.query["DOMAIN"] = disguise.format(**names, attacker_upper=scene.host.upper())

        answer = scene.world.post("/", opening, member_id=scene.world.portal().member_id)

        assert answer.status_code in (400, 403), disguise
        scene.assert_unharmed(answer)


def test_an_ip_address_or_plain_http_is_refused_in_production(world: World) -> None:
    production = {"PUBLIC_URL": "https://calendar.example.com", "TRUST_LOOPBACK": ""}
    production |= {"BX24_JS_URL": "", "BITRIX24_AUTH_SERVERS": "https://oauth.example"}
    app = create_app(config.load(world.environment | production), database=world.database)
    opening = world.portal("beta").open_installer_as("clara")
    digits = ("10.0.0.1", "93.184.216.34", "127.1", "2130706433", "0x7f000001", "127.0.0.1:8443")
    for domain in digits:
        opening.query |= {"DOMAIN": domain, "PROTOCOL": "1"}

        answer = app.test_client().post("/", query_string=opening.query, data=opening.form)

        assert (domain, answer.status_code) == (domain, 400)
        assert "DOMAIN" in answer.text
    opening.query |= {"DOMAIN": "portal.example", "PROTOCOL": "0"}
    plain = app.test_client().post("/", query_string=opening.query, data=opening.form)
    assert plain.status_code == 400
    assert "PROTOCOL" in plain.text


def test_a_lying_portal_gains_nothing_of_another(scene: Scene) -> None:
    """Beta is the attacker's server: it returns our application and Anna for the posted token."""

    def lie(answer: dict[str, object]) -> dict[str, object]:
        result = answer["result"]
        assert isinstance(result, dict)
        result["result"] |= {"profile": {"ID": "1", "ADMIN": True, "NAME": "Anna", "LAST_NAME": "x"}}
        return answer

    scene.world.open("clara", "beta")
    scene.world.bitrix24.faults.add(Fault(kind="answer", portal="beta", method="batch", change=lie, times=None))

    answer = scene.world.post("/", scene.world.portal("beta").open_as("dmitri"))

    assert answer.status_code == 200
    scene.assert_unharmed(answer)

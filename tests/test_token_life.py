"""The life of chains, in any order of events: what must hold after each step, whatever came before."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pydantic import SecretStr

from dashboard.core.encryption import TokenEncryption, token_context
from tests.emulator import Emulator
from tests.emulator.faults import Fault
from tests.emulator.tokens import Pair
from tests.world import FERNET_KEY, World, session_token

PEOPLE = ("anna", "boris", "olena")
VAULT = TokenEncryption([SecretStr(FERNET_KEY)])
CHAINS = (
    "SELECT p.user_id, o.member_id, o.state AS portal_state, c.state, c.access_token, c.refresh_token"
    " FROM chains c JOIN people p ON p.id = c.person_id JOIN portals o ON o.id = p.portal_id"
)
PERSONAL = ("people", "chains", "snapshots", "runs", "buckets", "api_calls")
FAILURES = ("status:500", "html:502", "reset", "error:INTERNAL_SERVER_ERROR:500", "body:{}")


class ChainLife(RuleBasedStateMachine):
    """Portals Alpha and Beta with the application in front of them; each rule is something that happens."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.bitrix24 = Emulator(client_id="app.test.1", client_secret="emulated-secret").start()
        url = f"sqlite:///{Path(self.folder.name) / 'dashboard.db'}"
        self.world = World(self.bitrix24, url).__enter__()
        for portal in self.bitrix24.portals.values():
            portal.bucket = None
        self.world.install("alpha")
        self.world.install("beta")
        self.sessions: dict[str, dict[str, str]] = {}
        # Whose newest pair died on its way to us: nobody could keep it.
        self.spoiled: set[int] = set()

    def teardown(self) -> None:
        self.world.__exit__(None, None, None)
        self.bitrix24.stop()
        self.folder.cleanup()

    def user(self, person: str) -> int:
        return self.world.portal().people[person].user_id

    # What happens

    @precondition(lambda self: self.world.portal().installed)
    @rule(person=st.sampled_from(PEOPLE), without_refresh=st.booleans())
    def opens(self, person: str, without_refresh: bool) -> None:
        more = {"REFRESH_ID": ""} if without_refresh else {}
        answer = self.world.open(person, **more)
        assert answer.status_code == 200
        self.sessions[person] = {"Authorization": f"Bearer {session_token(answer)}"}
        if not without_refresh:
            self.spoiled.discard(self.user(person))

    @rule(person=st.sampled_from(PEOPLE))
    def calls(self, person: str) -> None:
        if person in self.sessions:
            answer = self.world.browser.post("/me/refresh", headers=self.sessions[person])
            assert answer.status_code in (200, 401, 403, 502, 503)

    @rule(person=st.sampled_from(PEOPLE))
    def expires(self, person: str) -> None:
        self.world.portal().expire(person)

    @rule(person=st.sampled_from(PEOPLE), kind=st.sampled_from(FAILURES))
    def fails(self, person: str, kind: str) -> None:
        """Have the authorization server answer nonsense to a refresh, before it refreshes anything."""
        self.world.bitrix24.faults.add(Fault(kind=kind, where="authorization", method="oauth/token"))
        self.expires(person)
        self.calls(person)
        self.world.bitrix24.faults.clear()

    @rule(person=st.sampled_from(PEOPLE))
    def loses_an_answer(self, person: str) -> None:
        refreshes = self.bitrix24.refreshes(person)
        self.world.bitrix24.faults.lose_answer("oauth/token")
        self.expires(person)
        self.calls(person)
        self.world.bitrix24.faults.clear()
        if self.bitrix24.refreshes(person) > refreshes:
            self.spoiled.add(self.user(person))

    @rule(person=st.sampled_from(PEOPLE))
    def is_revoked(self, person: str) -> None:
        self.world.portal().expire(person)
        self.world.portal().kill_refresh(person)
        self.spoiled.add(self.user(person))

    @precondition(lambda self: self.world.portal().installed)
    @rule(clean=st.booleans(), told=st.booleans())
    def uninstalls(self, clean: bool, told: bool) -> None:
        # Since an update nobody may have bound the event again: then it is as good as lost.
        heard = told and self.world.portal().application.handlers_of("ONAPPUNINSTALL")
        self.world.portal().uninstall(clean=clean)
        if not heard:
            self.world.portal().queue.lose()
            return
        self.world.portal().deliver_events()
        assert self.world.known().state == "uninstalled"

    @precondition(lambda self: not self.world.portal().installed)
    @rule()
    def installs_again(self) -> None:
        assert self.world.install("alpha").status_code == 200
        self.world.portal().deliver_events()
        self.spoiled.discard(self.user("anna"))

    @precondition(lambda self: self.world.portal().installed)
    @rule(new_token=st.booleans())
    def updates(self, new_token: bool) -> None:
        self.world.portal().update(new_application_token=new_token)
        self.world.portal().deliver_events()

    # What always holds

    @invariant()
    def a_chain_belongs_to_its_person(self) -> None:
        for row, access, refresh in self.token_store():
            for pair in (access, refresh):
                assert pair is None or (pair.owner.user_id, pair.owner.member_id) == (
                    row["user_id"],
                    row["member_id"],
                )

    @invariant()
    def the_newest_pair_is_the_stored_one(self) -> None:
        """Where nothing was lost or revoked, what is stored can still be renewed."""
        alpha = self.world.portal()
        for row, _, refresh in self.token_store():
            ours = row["member_id"] == alpha.member_id
            if row["state"] != "live" or refresh is None or (ours and not self.may_be_good(row, refresh)):
                continue
            assert not refresh.refresh_killed

    @invariant()
    def an_uninstalled_portal_holds_nothing_personal(self) -> None:
        removed = "portal_id IN (SELECT id FROM portals WHERE state = 'uninstalled')"
        for table in PERSONAL:
            of = f"person_id IN (SELECT id FROM people WHERE {removed})"
            where = of if table in ("chains", "snapshots") else removed
            assert self.world.one(f"SELECT count(*) FROM {table} WHERE {where}") == 0
        assert self.world.one("SELECT count(*) FROM portals") == 2

    @invariant()
    def a_stranger_is_untouched(self) -> None:
        beta = self.world.rows("SELECT state, generation FROM portals WHERE id = 2")
        assert beta == [{"state": "active", "generation": 1}]
        assert self.world.one("SELECT count(*) FROM people WHERE portal_id = 2") == 1

    def may_be_good(self, row: dict[str, Any], refresh: Pair) -> bool:
        alpha = self.world.portal()
        of_this_installation = refresh.owner.installation == alpha.application.installation
        return row["user_id"] not in self.spoiled and alpha.installed and of_this_installation

    def token_store(self) -> list[tuple[dict[str, Any], Pair | None, Pair | None]]:
        """Return each stored chain with what the authorization server knows of its two tokens."""
        tokens, result = self.bitrix24.world.tokens, []
        for row in self.world.rows(CHAINS):
            unsealed = [
                VAULT.decrypt(
                    row[f"{part}_token"], context=token_context(row["member_id"], row["user_id"], part)
                ).get_secret_value()
                if row[f"{part}_token"]
                else ""
                for part in ("access", "refresh")
            ]
            result.append((row, tokens.by_access(unsealed[0]), tokens.by_refresh(unsealed[1])))
        return result


TestChainLife = ChainLife.TestCase
TestChainLife.settings = settings(
    max_examples=12,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

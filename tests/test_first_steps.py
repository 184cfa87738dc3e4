"""First steps of an administrator: choose who sees the team, then invite, until four of five are confirmed."""

from __future__ import annotations

import re

import pytest

from tests.emulator import Emulator
from tests.team_fixtures import NEVER_OPENED, days_ago, in_english, store_people, text_of
from tests.world import World, errors_on

STEPS = "data-first-steps"


def page(world: World, path: str = "/team", person: str = "anna") -> str:
    response = world.browser.get(path, headers=in_english(world, person))
    assert response.status_code == 200
    return response.text


def choose(world: World, who: str, **form: str) -> str:
    return world.browser.post("/admin/team", data={"who": who, **form}, headers=in_english(world)).text


def invitation(html: str) -> str:
    (text,) = re.findall(r'<textarea[^>]*id="invitation"[^>]*>(.*?)</textarea>', html, flags=re.DOTALL)
    return str(text)


@pytest.mark.parametrize("path", ["/team", "/admin"])
def test_the_choice_comes_before_the_invitation(world: World, path: str) -> None:
    store_people(world, {}, *(NEVER_OPENED for _ in range(4)))

    before = page(world, path)
    after = choose(world, "everyone", page=path.strip("/"))

    assert "Until you choose, only administrators see it." in text_of(before, 'data-step="access"')
    assert "Copy invitation" not in before
    # The answer is the page on which the choice was made.
    assert ('data-team data-address="/team"' in after) is (path == "/team")
    assert "Invite 4 people" in text_of(after, 'data-step="invite"')
    assert after.count("Copy invitation</span>") == 1
    assert "2 of 6 people confirmed" in text_of(after, STEPS)


@pytest.mark.parametrize(
    ("who", "sentence"),
    [
        ("administrators", "Only our portal's administrators will see them."),
        ("heads", "the heads of your departments will see them."),
        ("everyone", "All colleagues will see them, and you will see theirs."),
    ],
)
def test_the_invitation_says_who_will_see_the_settings(world: World, who: str, sentence: str) -> None:
    store_people(world, NEVER_OPENED)

    text = invitation(choose(world, who, page="team"))

    assert sentence in text.replace("&#39;", "'")
    assert "/marketplace/view/" in text


def test_the_steps_end_when_four_of_five_are_known(world: World) -> None:
    store_people(world, {}, {}, NEVER_OPENED, NEVER_OPENED)
    assert STEPS in page(world)

    # Settings that have become old are no reason to begin again.
    store_more = [{"user_id": 6000 + number} | days_ago(world, 9) for number in range(5)]
    store_people(world, *store_more)

    for path in ("/team", "/admin"):
        assert STEPS not in page(world, path)


def test_the_steps_can_be_hidden(each_world: World) -> None:
    store_people(each_world, NEVER_OPENED, NEVER_OPENED)
    anna = in_english(each_world)
    assert STEPS in page(each_world)

    response = each_world.browser.post("/admin/first-steps", data={"page": "team"}, headers=anna)

    assert response.status_code == 200
    for html in (response.text, page(each_world), page(each_world, "/admin")):
        assert STEPS not in html
        assert html.count("Copy invitation</span>") == 1


def test_only_administrators_have_first_steps(world: World) -> None:
    world.open("boris")
    world.sync()
    store_people(world, *(NEVER_OPENED for _ in range(9)))
    choose(world, "everyone")

    assert STEPS not in page(world, person="boris")
    response = world.browser.post("/admin/first-steps", headers=in_english(world, "boris"))
    assert (response.status_code, errors_on(response.text)) == (403, ["admin_only"])
    assert STEPS in page(world)


def test_one_person_alone_has_no_first_steps(world: World) -> None:
    assert STEPS not in page(world)


# The invitation by itself


def invite(world: World, query: str = "", person: str = "anna") -> str:
    return page(world, f"/team/invitation?{query}", person)


def test_the_invitation_is_in_the_language_of_the_one_invited(world: World) -> None:
    russian = {"name": "Lost Larisa", "language": "ru", "chain_state": "reconnect"}
    store_people(world, russian, {"name": "New Nina"} | NEVER_OPENED | {"language": ""})

    known, unknown = invite(world, "user=5001"), invite(world, "user=5002")

    assert "Invitation for <bdi>Lost Larisa</bdi>" in known
    assert 'lang="ru"' in known
    assert "откройте один раз" in invitation(known)
    assert "Please open" in invitation(unknown)
    assert 'lang="ar" dir="rtl"' in invite(world, "user=5001&language=ar")
    # Nothing of the page around it changes its language.
    assert "Copy invitation" in known


def test_rows_lead_to_the_invitation_of_those_who_have_to_open_the_app(world: World) -> None:
    store_people(world, {}, NEVER_OPENED, {"chain_state": "reconnect"})

    links = re.findall(r'href="/team/invitation\?user=(\d+)"', page(world))

    assert sorted(links) == ["5002", "5003"]


@pytest.mark.parametrize("query", ["", "user=7", "user=x", "user=999999999999999999", "language=xx", "language=../de"])
def test_an_unknown_person_or_language_is_ignored(world: World, query: str) -> None:
    html = invite(world, query)

    assert "Please open" in invitation(html)
    assert "Invitation to open the app" in html


def test_a_head_invites_only_the_people_of_their_departments(bitrix24: Emulator, sqlite_url: str) -> None:
    bitrix24.portal("alpha").application.scopes.append("department")
    with World(bitrix24, sqlite_url) as world:
        world.install()
        world.open("boris")
        world.sync()
        choose(world, "heads")

        assert "Invitation for" in invite(world, "user=8", "boris")  # Olena
        assert "Invitation for" not in invite(world, "user=16", "boris")  # Amina

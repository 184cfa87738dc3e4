"""Short labels of error codes."""

from __future__ import annotations

import pytest

from dashboard.web.errors.responses import error_label, known_label
from tests.team_fixtures import in_english, store_people, text_of
from tests.world import World


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ERROR_ARGUMENT", "A stored setting is corrupted, so Bitrix24 returns none of them"),
        ("", "Bitrix24 refused without giving a reason"),
        ("empty_error_code", "Bitrix24 refused without giving a reason"),
        ("QUERY_LIMIT_EXCEEDED", "The portal's apps sent too many requests"),
        ("user_access_error", "This person doesn't have access to the app"),
        ("invalid_grant", "The access has ended. It is renewed when the person opens the app"),
        ("insufficient_scope", "A permission is missing"),
        ("timeout", "The server took too long to answer"),
        ("certificate_untrusted", "The server's certificate is not trusted"),
        ("connect_timeout", "The server does not accept connections"),
        ("unreachable", "Bitrix24 didn't return a usable response"),
        ("http_502", "Bitrix24 didn't return a usable response"),
        ("ERROR_UNHEARD_OF", "Bitrix24 returned an error: \u2068ERROR_UNHEARD_OF\u2069"),
    ],
)
def test_a_code_has_a_label(code: str, words: str) -> None:
    assert error_label(code) == words


def test_an_unknown_code_has_no_known_label() -> None:
    assert known_label("ERROR_UNHEARD_OF") == ""


def test_the_team_page_shows_why_a_person_was_not_updated(world: World) -> None:
    anna = in_english(world)
    store_people(world, {"problem": "ERROR_ARGUMENT"})

    label = text_of(world.browser.get("/team", headers=anna).text, "people-chart__problem")

    assert label == "A stored setting is corrupted, so Bitrix24 returns none of them"

"""Why something failed in the background, in words, wherever a code used to stand."""

from __future__ import annotations

import pytest

from dashboard.web.reasons import known, reason
from tests.rosters import hire, in_english, text_of
from tests.world import World


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ERROR_ARGUMENT", "A stored setting is damaged, so Bitrix24 tells none of them"),
        ("", "Bitrix24 refused without a reason"),
        ("empty_error_code", "Bitrix24 refused without a reason"),
        ("QUERY_LIMIT_EXCEEDED", "Bitrix24 answered too many requests of this portal"),
        ("user_access_error", "The application is not given to this person"),
        ("invalid_grant", "The access has ended; the person's next opening renews it"),
        ("insufficient_scope", "A permission is missing"),
        ("timeout", "The server took too long to answer"),
        ("certificate_untrusted", "The server's certificate is not trusted"),
        ("connect_timeout", "The server does not accept connections"),
        ("unreachable", "Bitrix24 gave no usable answer"),
        ("http_502", "Bitrix24 gave no usable answer"),
        ("ERROR_UNHEARD_OF", "Bitrix24 answered with an error: \u2068ERROR_UNHEARD_OF\u2069"),
    ],
)
def test_a_code_is_told_in_words(code: str, words: str) -> None:
    assert reason(code) == words


def test_who_shows_the_code_itself_need_not_quote_it() -> None:
    assert known("ERROR_UNHEARD_OF") == ""


def test_the_team_tells_why_somebody_could_not_be_read(world: World) -> None:
    anna = in_english(world)
    hire(world, {"problem": "ERROR_ARGUMENT"})

    told = text_of(world.browser.get("/team", headers=anna).text, "people-table__problem")

    assert told == "A stored setting is damaged, so Bitrix24 tells none of them"

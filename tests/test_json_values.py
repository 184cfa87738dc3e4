"""JSON values: integers as Bitrix24 sends them, and text without control characters."""

from __future__ import annotations

import pytest

from dashboard.core.json_values import Json, escape_invisible, escape_surrogates, parse_int, strip_control_characters


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7),
        (" -7 ", -7),
        (7.0, 7),
        (10**15 - 1, 10**15 - 1),
        (10**15, None),
        (-(10**15), None),
        ("1" * 16, None),
        (1e300, None),
        (7.5, None),
        ("٧", None),
        (True, None),
        (None, None),
        ([7], None),
    ],
)
def test_integers_have_at_most_fifteen_digits(value: Json, number: int | None) -> None:
    assert parse_int(value) == number


def test_text_for_pages_has_no_controls_and_no_lone_surrogates() -> None:
    assert strip_control_characters("A\x07\u202en\u200dna\n\ud800") == "An\u200dna\n\\ud800"
    assert escape_surrogates("\udfff") == "\\udfff"


def test_text_for_terminals_has_no_invisible_characters() -> None:
    assert escape_invisible("A\n\x1b\u200d\U000e0001 b") == "A\\u000a\\u001b\\u200d\\udb40\\udc01 b"

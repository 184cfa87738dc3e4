"""What keeps the catalogs complete and true."""

from __future__ import annotations

from pathlib import Path

import pytest
from babel.messages import Catalog

from dashboard.web.i18n.translations import CATALOGS
from tests.tools.catalogs import complaints, merged, missing
from tests.tools.untranslated_python import literals
from tests.tools.untranslated_templates import unwrapped

PROMISED = {"ar", "de", "es", "fr", "it", "pl", "pt_BR", "ru", "tr", "uk"}

HELLO = "Hello %(name)s"
DAYS = ("%(num)s day", "%(num)s days")


def catalog(*messages: tuple[str | tuple[str, ...], str | tuple[str, ...]], locale: str = "de") -> Catalog:
    created = Catalog(locale=locale)
    for message, string in messages:
        created.add(message, string)
    return created


def test_the_promised_languages_are_there() -> None:
    there = {path.parts[-3] for path in CATALOGS.glob("*/LC_MESSAGES/messages.po")}

    # While strings still change there may be none; one that is forgotten is a mistake.
    assert there in (set(), PROMISED)


def test_a_new_string_is_missed() -> None:
    assert list(complaints(catalog(("New", "")), catalog(), [])) == ["messages.pot lacks 'New'"]


def test_a_string_that_is_gone_is_noticed() -> None:
    assert list(complaints(catalog(), catalog(("Old", "")), [])) == ["messages.pot still has 'Old'"]


@pytest.mark.parametrize(
    ("message", "string"),
    [
        (HELLO, ""),
        (HELLO, "Hallo %(nam)s"),
        (HELLO, "Hallo"),
        (HELLO, "Hallo %(name)"),
        (HELLO, " Hallo %(name)s"),
        (HELLO, "Hallo <b>%(name)s</b>"),
        (DAYS, ("%(num)s Tag", "")),
        (DAYS, ("%(num)s Tag", "Tage")),
    ],
)
def test_an_untranslated_or_broken_string_is_noticed(
    message: str | tuple[str, ...], string: str | tuple[str, ...]
) -> None:
    sources = catalog((message, ""))

    assert list(complaints(sources, sources, [catalog((message, string))]))


@pytest.mark.parametrize(
    ("message", "string"),
    [(HELLO, "%(name)s, hallo"), (DAYS, ("ein Tag", "%(num)s Tage")), ("<b>A</b> B", "B <b>A</b>")],
)
def test_a_correct_translation_is_not_reported(message: str | tuple[str, ...], string: str | tuple[str, ...]) -> None:
    sources = catalog((message, ""))

    assert list(complaints(sources, sources, [catalog((message, string))])) == []


def test_fuzzy_obsolete_and_left_over_strings_are_noticed() -> None:
    sources = catalog(("Here", ""))
    german = catalog(("Here", "Hier"), ("Gone", "Weg"))
    german["Here"].flags.add("fuzzy")
    german.obsolete["Older"] = german["Gone"]

    result = "\n".join(complaints(sources, sources, [german]))

    assert "is fuzzy" in result
    assert "still has 'Gone'" in result
    assert "obsolete 'Older'" in result


def test_a_translator_is_told_what_is_missing() -> None:
    sources = Catalog()
    sources.add(HELLO, locations=[("templates/me.html", 7)], auto_comments=["A greeting"])
    sources.add(DAYS, context="waiting")
    sources.add("Done")

    lacking = missing(sources, catalog(("Done", "Gotowe"), locale="pl"))

    assert lacking == [
        {
            "key": HELLO,
            "text": HELLO,
            "forms": 1,
            "said_of": ["A greeting"],
            "found_in": ["templates/me.html"],
        },
        {"key": f"waiting\x04{DAYS[0]}", "text": list(DAYS), "forms": 3, "said_of": [], "found_in": []},
    ]


def test_translations_are_merged_and_what_is_gone_goes() -> None:
    sources = catalog((HELLO, ""), (DAYS, ""), ("Kept", ""), ("New", ""), locale="en")
    polish = catalog(("Kept", "Zostało"), ("Gone", "Znikło"), locale="pl")

    now = merged(sources, polish, {HELLO: "Cześć %(name)s", DAYS[0]: ["%(num)s dzień", "dni", "dni"]})

    assert {message.id: message.string for message in now if message.id} == {
        HELLO: "Cześć %(name)s",
        DAYS: ("%(num)s dzień", "dni", "dni"),
        "Kept": "Zostało",
        "New": "",
    }
    assert now.num_plurals == 3


@pytest.mark.parametrize(
    "template",
    [
        "<p>Some words</p>",
        '<button aria-label="Close">x</button>',
        "<p>{{ count }} people</p>",
        '{{ card("A card") }}',
        "{% if a %}<b>Yes</b>{% endif %}",
        "{{ day }}, {{ time }}",
        '{{ names|join(", ") }}',
    ],
)
def test_untranslatable_template_texts_are_found(tmp_path: Path, template: str) -> None:
    (tmp_path / "page.html").write_text(template)

    assert list(unwrapped(tmp_path))


@pytest.mark.parametrize(
    "template",
    [
        "<p>{% trans %}Some words{% endtrans %}</p>",
        '<b aria-label="{% trans %}Close{% endtrans %}" class="big button" data-kind="Some words">×</b>',
        '{{ card(_("A card"), "wide") }}',
        "<p>Bitrix24 · {{ zone }} – UTC+01</p>",
        '{% macro mark(a) %}data-kind="{{ a }}"{% endmacro %}',
        "{# Words for those who read the source #}",
    ],
)
def test_translatable_template_texts_are_not_reported(tmp_path: Path, template: str) -> None:
    (tmp_path / "page.html").write_text(template)

    assert list(unwrapped(tmp_path)) == []


@pytest.mark.parametrize(
    "line",
    [
        'TITLE = "Nothing was found"',
        'return {"name": "Anna"}',
        'what = f"{count} people are at work"',
        'options = [("", "Any")]',
        'words = _("One") + " and the other"',
        'told = ", ".join(names)',
    ],
)
def test_untranslatable_python_texts_are_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "page.py").write_text(line)

    assert list(literals(tmp_path))


@pytest.mark.parametrize(
    "line",
    [
        '"""What this is for."""',
        'TITLE = N_("Nothing was found")',
        'words = ngettext("%(num)s day before", "%(num)s days before", days)',
        'raise BadField("PROTOCOL", "must be 1: a portal needs https")',
        'log.warning("slow", hint="The database takes its time")',
        'given = request.headers.get("Authorization", "")',
        'key = f"{portal}:{person}"',
        'parts = ",".join(names)',
    ],
)
def test_translatable_python_texts_are_not_reported(tmp_path: Path, line: str) -> None:
    (tmp_path / "page.py").write_text(line)

    assert list(literals(tmp_path)) == []

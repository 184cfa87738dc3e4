"""Translations, from Bitrix24's language code to the text."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask, render_template_string

from dashboard.web.i18n import translations
from dashboard.web.i18n.translations import ENGLISH, LOCALES, _, find, ngettext, pgettext

UKRAINIAN = """
msgid ""
msgstr ""
"Language: uk\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : "
"n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2);\\n"

msgid "At the start"
msgstr "На початку"

msgctxt "view"
msgid "Day"
msgstr "День"

msgid "Portal %(name)s"
msgstr "Портал %(name)s"

msgid "%(num)s day before"
msgid_plural "%(num)s days before"
msgstr[0] "%(num)s день до"
msgstr[1] "%(num)s дні до"
msgstr[2] "%(num)s днів до"
"""


@pytest.fixture
def catalogs(tmp_path: Path) -> Path:
    for locale in ("ar", "es", "pt_BR", "uk", "zh_Hans"):
        folder = tmp_path / locale / "LC_MESSAGES"
        folder.mkdir(parents=True)
        (folder / "messages.po").write_text(UKRAINIAN.replace("Language: uk", f"Language: {locale}"))
    return tmp_path


@pytest.fixture
def page() -> Iterator[Flask]:
    app = Flask("page")
    translations.install(app.jinja_env)
    with app.app_context():
        yield app


def test_english_is_the_default(page: Flask) -> None:
    assert _("At the start") == "At the start"
    assert translations.current().tag == "en"


def test_english_is_used_outside_a_request() -> None:
    assert _("At the start") == "At the start"


@pytest.mark.parametrize(
    ("lang", "tag"),
    [("la", "es"), ("br", "pt-BR"), ("ua", "uk"), ("UA", "uk"), ("sc", "zh-Hans"), ("ar", "ar")],
)
def test_bitrix24_codes_map_to_locales(catalogs: Path, lang: str, tag: str) -> None:
    assert translations.find(lang, catalogs=catalogs).tag == tag


@pytest.mark.parametrize("lang", ["in", "en", "xx", "", None, "../../etc", "uk", "de"])
def test_codes_without_a_catalog_are_english(catalogs: Path, lang: str | None) -> None:
    assert translations.find(lang, catalogs=catalogs).tag == "en"


def test_arabic_reads_from_right_to_left(catalogs: Path) -> None:
    assert translations.find("ar", catalogs=catalogs).direction == "rtl"
    assert translations.find("ua", catalogs=catalogs).direction == "ltr"


def test_a_string_is_translated(page: Flask, catalogs: Path) -> None:
    translations.use("ua", catalogs=catalogs)

    assert _("At the start") == "На початку"
    assert pgettext("view", "Day") == "День"
    assert _("Not in the catalog") == "Not in the catalog"


@pytest.mark.parametrize(("number", "form"), [(1, "день"), (3, "дні"), (5, "днів"), (21, "день")])
def test_plural_forms(page: Flask, catalogs: Path, number: int, form: str) -> None:
    translations.use("ua", catalogs=catalogs)

    assert ngettext("%(num)s day before", "%(num)s days before", number) == f"%(num)s {form} до"


def test_a_template_is_translated_and_still_escaped(page: Flask, catalogs: Path) -> None:
    translations.use("ua", catalogs=catalogs)

    text = render_template_string("{% trans name=name %} Portal {{ name }} {% endtrans %}", name="<b>")

    assert text == "Портал &lt;b&gt;"


def test_numbers_follow_the_language(page: Flask, catalogs: Path) -> None:
    template = "{% trans count=12345 %}{{ count }} day{% pluralize %}{{ count }} days{% endtrans %}"
    assert render_template_string(template) == "12,345 days"

    translations.use("ua", catalogs=catalogs)

    assert render_template_string(template) == "12\xa0345 days"
    assert render_template_string("{{ 999|number }}, {{ 1000|number }}") == "999, 1\xa0000"


def test_a_number_chooses_the_plural_form(page: Flask) -> None:
    text = render_template_string('{{ ngettext("%(num)s day before", "%(num)s days before", 5000) }}')

    assert text == "5,000 days before"


def test_two_requests_do_not_share_a_language(catalogs: Path) -> None:
    app = Flask("two")

    with app.app_context():
        translations.use("ua", catalogs=catalogs)
    with app.app_context():
        assert _("At the start") == "At the start"


def test_a_title_exists_in_every_language() -> None:
    everywhere = translations.in_every_language("At the start")

    assert everywhere["en"] == "At the start"
    assert {code for code in LOCALES if find(code) is not ENGLISH} | {"en"} == set(everywhere)

"""Translate the interface into the user's language."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from flask import g
from jinja2 import Environment
from markupsafe import Markup

CATALOGS = Path(__file__).parents[3] / "translations"

# Bitrix24's codes are its own: "la" is Spanish, not Latin, and "in" is English as written in India.
LOCALES = {code: code for code in ("ar", "de", "en", "fr", "hi", "id", "it", "ja", "ms", "pl", "ru", "th", "tr")}
LOCALES |= {
    "br": "pt_BR",
    "in": "en",
    "kz": "kk",
    "la": "es",
    "sc": "zh_Hans",
    "tc": "zh_Hant",
    "ua": "uk",
    "vn": "vi",
}


@dataclass(frozen=True)
class Language:
    """A locale with its catalog."""

    locale: Locale
    catalog: NullTranslations

    @property
    def tag(self) -> str:
        """Return the language tag for HTML, such as "pt-BR"."""
        return str(self.locale).replace("_", "-")

    @property
    def direction(self) -> str:
        """Return the direction of its script: "ltr" or "rtl"."""
        return self.locale.text_direction


# The strings in the source are English.
ENGLISH = Language(Locale("en"), NullTranslations())


def use(lang: str | None, *, catalogs: Path = CATALOGS) -> None:
    """Use the language of a Bitrix24 code for the rest of the request."""
    g.language = find(lang, catalogs=catalogs)


def catalog_of(locale: str, catalogs: Path = CATALOGS) -> Path:
    """Return the path of a locale's catalog, which may not exist."""
    return catalogs / locale / "LC_MESSAGES" / "messages.po"


def find(lang: str | None, *, catalogs: Path = CATALOGS) -> Language:
    """Return the language of a Bitrix24 code, English if there is no catalog for it."""
    return _load(LOCALES.get((lang or "").lower(), "en"), catalogs)


@cache
def _load(locale: str, catalogs: Path) -> Language:
    path = catalog_of(locale, catalogs)
    return Language(Locale.parse(locale), _read(path)) if path.is_file() else ENGLISH


def code_of(lang: str | None) -> str:
    """Return the one code of a language that Bitrix24 may spell in several ways; empty if it is unknown."""
    locale = LOCALES.get((lang or "").lower())
    return next((code for code, name in LOCALES.items() if name == locale), "")


@cache
def available() -> tuple[tuple[str, str], ...]:
    """Return the code of each language that has texts, with its name in that language."""
    codes = dict.fromkeys(map(code_of, LOCALES))
    usable = (code for code in codes if code == "en" or catalog_of(LOCALES[code]).is_file())
    names = ((code, str(Locale.parse(LOCALES[code]).display_name)) for code in usable)
    return tuple(sorted(((code, name[:1].upper() + name[1:]) for code, name in names), key=lambda row: row[1]))


def _read(path: Path) -> NullTranslations:
    # Compile in memory, in about 20 ms: a stored .mo file could be out of date.
    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file))
    compiled.seek(0)
    return GNUTranslations(compiled)


@cache
def in_every_language(message: str) -> Mapping[str, str]:
    """Return a message in each language that has a catalog, by Bitrix24's codes."""
    # Do not keep these catalogs in memory: most of their languages are never used by the process.
    paths = ((code, catalog_of(locale)) for code, locale in LOCALES.items())
    return {"en": message} | {code: _read(path).gettext(message) for code, path in paths if path.is_file()}


def current() -> Language:
    """Return the language of the request; English if none was set, or outside a request."""
    # Looked up a hundred times for a page: `g` itself takes four times as long.
    try:
        language: Language = g._get_current_object().get("language", ENGLISH)
    except RuntimeError:
        return ENGLISH
    return language


def _(message: str) -> str:
    return current().catalog.gettext(message)


def ngettext(singular: str, plural: str, n: int) -> str:
    """Return the plural form for a number."""
    return current().catalog.ngettext(singular, plural, n)


def pgettext(context: str, message: str) -> str:
    """Return the translation of a message in a context."""
    return current().catalog.pgettext(context, message)


def npgettext(context: str, singular: str, plural: str, n: int) -> str:
    """Return the plural form for a number in a context."""
    return current().catalog.npgettext(context, singular, plural, n)


def number(value: int) -> str:
    """Return a number as the language writes it, such as "12,345"."""
    # Most numbers are small, and those look the same in every language.
    return str(value) if abs(value) < 1000 else _decimal(value, current().locale)


@lru_cache(maxsize=4096)
def _decimal(value: int, locale: Locale) -> str:
    return format_decimal(value, locale=locale)


def N_(message: str) -> str:
    """Mark a constant for extraction; it is translated where it is shown."""
    return message


def install(env: Environment) -> None:
    """Add translation to the templates."""
    env.add_extension("jinja2.ext.i18n")
    env.policies["ext.i18n.trimmed"] = True
    # Jinja then passes values to these functions. Its own wrappers are slower, and a page has a hundred strings.
    env.newstyle_gettext = True  # type: ignore[attr-defined]  # the i18n extension adds it
    env.globals |= {
        "_": _with_values("gettext"),
        **{name: _with_values(name) for name in ("gettext", "ngettext", "pgettext", "npgettext")},
        "language": current,
    }
    env.filters["number"] = number


def _with_values(method: str) -> Callable[..., str]:
    """Return a function for templates that puts values into the translation, numbers as the language writes them."""

    def translated(*message: str | int, **values: object) -> str:
        text = _markup(current().catalog, method, *message)
        if isinstance(message[-1], int):
            values.setdefault("num", message[-1])
        if not values and "%" not in text:
            return text
        return text % {name: number(value) if type(value) is int else value for name, value in values.items()}

    return translated


# A page has fifty texts, which are the same on all pages.
@lru_cache(maxsize=8192)
def _markup(catalog: NullTranslations, method: str, *message: str | int) -> Markup:
    return Markup(getattr(catalog, method)(*message))  # noqa: S704  # a translator's text; values are escaped later

"""The reader's language: Bitrix24's codes to locales, and their catalogues."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from flask import g
from jinja2 import Environment, pass_eval_context
from jinja2.nodes import EvalContext
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
    """A locale with its catalogue."""

    locale: Locale
    catalogue: NullTranslations

    @property
    def tag(self) -> str:
        return str(self.locale).replace("_", "-")

    @property
    def direction(self) -> str:
        return self.locale.text_direction


# The strings in the source are the English ones, so English needs no catalogue.
ENGLISH = Language(Locale("en"), NullTranslations())


def use(lang: str | None, *, catalogues: Path = CATALOGS) -> Language:
    """Speak the language of a Bitrix24 code for the rest of the request; English where we have no other."""
    g.language = find(lang, catalogues=catalogues)
    return current()


def catalog_of(locale: str, catalogues: Path = CATALOGS) -> Path:
    """Return where a locale's catalogue is kept, there or not."""
    return catalogues / locale / "LC_MESSAGES" / "messages.po"


def find(lang: str | None, *, catalogues: Path = CATALOGS) -> Language:
    """Return the language of a Bitrix24 code if it has a catalogue, else English."""
    locale = LOCALES.get((lang or "").lower(), "en")
    path = catalog_of(locale, catalogues)
    return Language(Locale.parse(locale), _read(path)) if path.is_file() else ENGLISH


def _compiled(path: Path) -> NullTranslations:
    # In memory, not before somebody speaks it: that takes a few hundredths of a second, and a .mo in the
    # repository goes stale.
    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file))
    compiled.seek(0)
    return GNUTranslations(compiled)


_read = cache(_compiled)


class InEveryLanguage(Mapping[str, str]):
    """A message in every language there is a catalogue for, by Bitrix24's codes.

    They are read when somebody looks: few processes ever need all languages, and none at its start.
    """

    def __init__(self, message: str) -> None:
        self._message = message

    @property
    def _words(self) -> Mapping[str, str]:
        return _translate_everywhere(self._message)

    def __getitem__(self, code: str) -> str:
        return self._words[code]

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)


@cache
def _translate_everywhere(message: str) -> Mapping[str, str]:
    # Read for this one message and not kept: all of them take more memory than any process needs.
    paths = ((code, catalog_of(locale)) for code, locale in LOCALES.items())
    spoken = {code: _compiled(path) for code, path in paths if path.is_file()}
    return {"en": message} | {code: spoken[code].gettext(message) for code in spoken}


def current() -> Language:
    """Return the language in use; English outside a request, and in one that has not said."""
    try:
        spoken: Language = g.language
    except (AttributeError, RuntimeError):
        return ENGLISH
    return spoken


def _(message: str) -> str:
    return current().catalogue.gettext(message)


def ngettext(singular: str, plural: str, n: int) -> str:
    return current().catalogue.ngettext(singular, plural, n)


def pgettext(context: str, message: str) -> str:
    return current().catalogue.pgettext(context, message)


def npgettext(context: str, singular: str, plural: str, n: int) -> str:
    return current().catalogue.npgettext(context, singular, plural, n)


def number(value: int) -> str:
    """Return "12,345" as the language writes it."""
    # Most numbers are small, and those are the same everywhere.
    return str(value) if abs(value) < 1000 else format_decimal(value, locale=current().locale)


def N_(message: str) -> str:
    """Mark a constant for extraction; it is translated where it is shown."""
    return message


def install(env: Environment) -> None:
    """Teach the templates to speak the language in use."""
    env.add_extension("jinja2.ext.i18n")
    env.policies["ext.i18n.trimmed"] = True
    # The extension compiles sentences for functions of this kind; its own do the same in many more steps,
    # and a page says a hundred.
    env.newstyle_gettext = True  # type: ignore[attr-defined]
    spoken: dict[str, Callable[..., str]] = {
        "_": _,
        "gettext": _,
        "ngettext": ngettext,
        "pgettext": pgettext,
        "npgettext": npgettext,
    }
    env.globals |= {name: _spoken(translate) for name, translate in spoken.items()}
    env.globals["language"] = current
    env.filters["number"] = number


def _spoken(translate: Callable[..., str]) -> Callable[..., str]:
    """Return what templates call: the sentence with its values in it, whole numbers in the language's way."""

    @pass_eval_context
    def spoken(eval_context: EvalContext, /, *message: str | int, **values: object) -> str:
        text = translate(*message)
        if eval_context.autoescape:
            text = Markup(text)  # noqa: S704  # a translator's sentence; what is put into it is escaped
        if isinstance(message[-1], int):
            values.setdefault("num", message[-1])
        if not values and "%" not in text:
            return text
        return text % {name: number(value) if type(value) is int else value for name, value in values.items()}

    return spoken

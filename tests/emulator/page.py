"""The portal's page: a small intranet with the application in a frame."""

from html import escape
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qsl

from .door import HTML
from .opening import Form, Opening
from .people import Person
from .photos import portrait
from .php import array, encode
from .places import CALENDAR, CARD, CHAT, LINK, options_of, passed_on, surroundings
from .portal import CannotOpen, Portal
from .wire import Answer, Request

ASSETS = Path(__file__).parent / "assets"
APP_NAME = "Team Hours"
# What the vendor entered for the Market's cards; other languages see the English name.
APP_NAMES = {
    "ar": "إعدادات التقويم",
    "br": "Configurações do calendário",
    "de": "Kalendereinstellungen",
    "fr": "Paramètres du calendrier",
    "it": "Impostazioni del calendario",
    "la": "Ajustes del calendario",
    "pl": "Ustawienia kalendarza",
    "ru": "Настройки календаря",
    "tr": "Takvim ayarları",
    "ua": "Налаштування календаря",
}
LANGUAGES = {
    "en": "English",
    "ar": "العربية",
    "br": "Português (Brasil)",
    "de": "Deutsch",
    "fr": "Français",
    "it": "Italiano",
    "la": "Español",
    "pl": "Polski",
    "ru": "Русский",
    "tr": "Türkçe",
    "ua": "Українська",
}
_TYPES = {".css": "text/css", ".js": "text/javascript"}


def page(portal: Portal, portals: dict[str, Portal], request: Request) -> Answer:
    """Return the page for whoever is signed in: the address says it first, then the cookie."""
    if portal.world.rehearsing:
        return Answer(503, b"The company is still coming to work.", HTML | {"Retry-After": "1"})
    requests = dict(parse_qsl(request.query))
    person = _person(portal, requests.get("person") or _remembered(portal, request))
    form: Form = "old" if requests.get("form") == "old" else "new"
    placement = requests.get("placement", "DEFAULT") if request.path == "/" else LINK
    colleague = _colleague(portal, person, requests.get("colleague", ""))
    if portal.closed:
        body, opening = _message("This portal is closed", "Its address answers nobody now."), None
    else:
        body, opening = _content(
            portal, person, placement=placement, colleague=colleague, form=form, link=request.query
        )
    state = {
        "person": person.key,
        "form": form,
        "placement": "" if placement == "DEFAULT" else placement,
        "colleague": colleague.key if placement in _WITH_COLLEAGUE and colleague else "",
        "opening": None if opening is None else described(portal, opening),
    }
    text = Template((ASSETS / "portal.html").read_text("utf-8")).substitute(
        portal=escape(portal.name.capitalize()),
        domain=escape(portal.domain),
        portals=" ".join(_link(other) for other in portals.values() if other is not portal),
        people="".join(_option(one.key, _label(one), chosen=person.key) for one in _signable(portal)),
        **{f"here_{name}": 'aria-current="page"' if placement == code else "" for name, code in _MENU.items()},
        name=escape(_name_for(person)),
        title=escape(_title_of(portal, person, placement)),
        tools=_tools(portal, person, placement, colleague),
        notice=_trial_notice(portal),
        content=body,
        open="open" if requests.get("controls") == "open" else "",
        installing="" if portal.application.added else _install_button("install"),
        languages="".join(_option(code, name, chosen=person.lang) for code, name in _languages(person).items()),
        forms="".join(_option(one, f"{one.capitalize()} form", chosen=form) for one in ("new", "old")),
        state=encode(state),
    )
    # The portal has a cookie of its own; the application must need none.
    cookie = f"{portal.name}_person={person.key}; Path=/; HttpOnly; SameSite=Lax"
    return Answer(200, text.encode(), HTML | {"Set-Cookie": cookie, "Cache-Control": "no-store"})


def asset(name: str) -> Answer:
    """Return a file of the page."""
    result = ASSETS / Path(name).name
    kind = _TYPES.get(result.suffix)
    if kind is None or not result.is_file():
        return Answer(404, b"Not found", dict(HTML))
    return Answer(200, result.read_bytes(), {"Content-Type": f"{kind}; charset=utf-8"})


def photo(name: str) -> Answer:
    """Return the photo of a person, by their number."""
    number = Path(name).stem
    if not number.isdecimal():
        return Answer(404, b"Not found", dict(HTML))
    return Answer(200, portrait(int(number)).encode(), {"Content-Type": "image/svg+xml"})


def described(portal: Portal, opening: Opening) -> dict[str, Any]:
    """Return an opening as the page's script needs it: the form, and what getInitData answers."""
    person, application = opening.person, portal.application
    first_run = person.user_id not in application.seen_by
    application.seen_by.add(person.user_id)
    return {
        "action": opening.action,
        "fields": list(opening.form.items()),
        "name": opening.frame_name,
        "sid": opening.query["APP_SID"],
        "placement": opening.form["PLACEMENT"],
        "firstRun": first_run,
        "init": {
            "LANG": person.lang,
            "DOMAIN": portal.domain,
            "PROTOCOL": 0,
            "PATH": "/rest",
            "AUTH_ID": opening.access_token,
            "AUTH_EXPIRES": opening.form["AUTH_EXPIRES"],
            "REFRESH_ID": opening.refresh_token,
            "MEMBER_ID": portal.member_id,
            "IS_ADMIN": person.admin,
            "INSTALL": opening.installer,
            "USER_OPTIONS": array(person.options),
            "APP_OPTIONS": array(application.options),
            "PLACEMENT": opening.form["PLACEMENT"],
            "PLACEMENT_OPTIONS": opening.options,
        },
    }


def _person(portal: Portal, key: str) -> Person:
    expected = portal.people.get(key)
    return expected or next(person for person in portal.people.values() if person.admin)


def _colleague(portal: Portal, person: Person, key: str) -> Person | None:
    """Return whose card or chat is opened, somebody by default."""
    others = [one for one in portal.people.values() if one.active and one is not person]
    return portal.people.get(key) or next(iter(others), None)


def _remembered(portal: Portal, request: Request) -> str:
    for pair in request.headers.get("cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == f"{portal.name}_person":
            return value
    return ""


def _content(
    portal: Portal, person: Person, *, placement: str, colleague: Person | None, form: Form, link: str
) -> tuple[str, Opening | None]:
    """Return what stands in the middle of the page, and the opening if a frame does."""
    place = surroundings(placement, colleague)
    application = portal.application
    if not application.added:
        return _market(person), None
    if not application.installed:
        if person.admin:
            return place, portal.open_installer_as(person.key, form=form)
        text = "The application is not fully installed. Contact your administrator."
        return _message("Not installed yet", text), None
    if placement != "DEFAULT" and not portal.bound(placement):
        return _message("Nothing here", "The application has bound no view of its own here."), None
    options = passed_on(link) if placement == LINK else options_of(placement, colleague)
    try:
        return place, portal.open_as(person.key, placement, options, form)
    except CannotOpen:
        return _message("No access", "You have no access to this application."), None


def _name_for(person: Person) -> str:
    return APP_NAMES.get(person.lang, APP_NAME)


def _title_of(portal: Portal, person: Person, placement: str) -> str:
    """Return what stands above the frame: a placement's title in the person's language where it has one."""
    if placement == "DEFAULT":
        return _name_for(person)
    bound = next((one for one in portal.application.placements if one.code == placement), None)
    if bound is None:
        return {CARD: "Employees", CHAT: "Messenger"}.get(placement, "Calendar")
    return str(bound.lang_all.get(person.lang, {}).get("TITLE") or bound.title)


def _market(person: Person) -> str:
    if not person.admin:
        return _message("Market", "Only an administrator can install applications.")
    text = "How your calendar is set up: view, working hours, time zone, reminders."
    return _message(_name_for(person), text, action=_install_button("install-market"))


def _message(heading: str, text: str, *, action: str = "") -> str:
    return f'<section class="message"><h2>{escape(heading)}</h2><p>{escape(text)}</p>{action}</section>'


def _install_button(control: str) -> str:
    return f'<button type="button" class="button primary" data-control="{control}">Install</button>'


_MENU = {"main": "DEFAULT", "calendar": CALENDAR, "card": CARD, "chat": CHAT}
_WITH_COLLEAGUE = (CARD, CHAT)
_GRID_TOOLS = "".join(
    f'<button type="button" class="button" data-control="{name}">{name.capitalize()}</button>'
    for name in ("earlier", "today", "later")
)


def _tools(portal: Portal, person: Person, placement: str, colleague: Person | None) -> str:
    """Return the controls beside the title: of the calendar, or whose card or chat is shown."""
    if placement == CALENDAR:
        return f'{_GRID_TOOLS}<input type="date" data-control="date" aria-label="Date">'
    if placement not in _WITH_COLLEAGUE or colleague is None:
        return ""
    others = [one for one in _signable(portal) if one is not person]
    options = "".join(_option(one.key, one.full_name, chosen=colleague.key) for one in others)
    return f'<select data-control="colleague" aria-label="Colleague">{options}</select>'


def _trial_notice(portal: Portal) -> str:
    if not portal.application.trial_over:
        return ""
    return '<p class="notice">The trial of this application is over.</p>'


def _link(portal: Portal) -> str:
    name = escape(portal.name.capitalize())
    return f'<a href="{portal.origin}/" data-control="portal-{escape(portal.name)}">{name}</a>'


def _signable(portal: Portal) -> list[Person]:
    """Return those who can sign in, at most as many as a list is good for."""
    return [person for person in portal.people.values() if person.active][:50]


def _languages(person: Person) -> dict[str, str]:
    """Return the languages to choose from; somebody may have another one."""
    return LANGUAGES if person.lang in LANGUAGES else {person.lang: person.lang, **LANGUAGES}


def _label(person: Person) -> str:
    roles = {"administrator": person.admin, "from outside": person.extranet}
    text = [role for role, holds in roles.items() if holds]
    return (person.full_name or f"Employee {person.user_id}") + (f" ({', '.join(text)})" if text else "")


def _option(value: str, label: str, *, chosen: str) -> str:
    selected = " selected" if value == chosen else ""
    return f'<option value="{escape(value)}"{selected}>{escape(label)}</option>'

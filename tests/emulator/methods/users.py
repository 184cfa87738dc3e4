"""Methods about people: profile, user.current, user.admin, user.get."""

from typing import Any

from ..clock import iso
from ..people import Person
from ..php import flag, members, truthy
from .registry import PAGE, Call, Listing, method

USER_SCOPES = ("user", "user_basic", "user_brief")


@method("profile")
def profile(call: Call) -> dict[str, Any]:
    """Tell who is asking; the number is text."""
    person = call.person
    return {
        "ID": str(person.user_id),
        "ADMIN": person.admin,
        "NAME": person.name,
        "LAST_NAME": person.last_name,
        "PERSONAL_GENDER": person.gender,
        "TIME_ZONE": person.time_zone,
    }


@method("user.admin")
def user_admin(call: Call) -> bool:
    """Tell whether the person may manage the application."""
    return call.person.admin


@method("user.current", *USER_SCOPES)
def user_current(call: Call) -> dict[str, Any]:
    """Tell the person's own card."""
    return _card(call, call.person)


@method("user.get", *USER_SCOPES)
def user_get(call: Call) -> Listing:
    """List people, fifty a page; a person from outside sees nobody but themselves."""
    wanted = {key.upper(): value for key, value in call.fields("filter").items()}
    people = [person for person in _visible(call) if _matches(person, wanted)]
    if str(call.param("order", "ASC")).upper() == "DESC":
        people.reverse()
    faults = call.portal.world.strictness
    start = 0 if faults.ignores_start else int(call.param("start") or 0)
    page = people[max(start, 0) : max(start, 0) + PAGE]
    cards = [_selected(call, _card(call, person)) for person in page]
    # A start of -1 means: do not count, hence nothing to go on with.
    if start < 0:
        return Listing(cards, total=0, next=None)
    following = start + PAGE
    total = len(cards) if faults.counts_page_only else len(people)
    return Listing(cards, total, following if following < len(people) else None)


def _visible(call: Call) -> list[Person]:
    if call.person.extranet:
        return [call.person]
    return list(call.portal.people.values())


def _matches(person: Person, wanted: dict[str, Any]) -> bool:
    kind = "extranet" if person.extranet else "employee"
    return all(
        (
            "ACTIVE" not in wanted or person.active == _asks_for_active(wanted["ACTIVE"]),
            "USER_TYPE" not in wanted or kind in members(wanted["USER_TYPE"]),
            "ID" not in wanted or str(person.user_id) in map(str, members(wanted["ID"])),
            ">ID" not in wanted or person.user_id > int(wanted[">ID"]),
            "NAME_SEARCH" not in wanted or str(wanted["NAME_SEARCH"]) in person.full_name,
        )
    )


def _asks_for_active(value: object) -> bool:
    return value is True or flag(value)


def _card(call: Call, person: Person) -> dict[str, Any]:
    card: dict[str, Any] = {
        "ID": str(person.user_id),
        "XML_ID": str(53818000 + person.user_id),
        "ACTIVE": person.active,
        "NAME": person.name,
        "LAST_NAME": person.last_name,
        "SECOND_NAME": person.second_name,
    }
    if _granted(call, "user_basic", "user"):
        card["EMAIL"] = person.email
    if _granted(call, "user"):
        card["LAST_LOGIN"] = iso(1772555535)
    card |= {
        "DATE_REGISTER": "2024-02-10T00:00:00+00:00",
        "TIME_ZONE": person.time_zone,
        "IS_ONLINE": "N",
        # Dates are text for some people and an empty object for others.
        "TIMESTAMP_X": {} if person.user_id % 3 == 0 else "06.03.2026 00:43:23",
        "LAST_ACTIVITY_DATE": {} if person.user_id % 3 == 0 else "2026-03-03 19:33:56",
        "PERSONAL_GENDER": person.gender,
        "PERSONAL_BIRTHDAY": "",
        "WORK_POSITION": person.position,
        "UF_EMPLOYMENT_DATE": "",
        "UF_DEPARTMENT": person.departments,
    }
    if person.has_photo:
        card["PERSONAL_PHOTO"] = f"{call.portal.origin}/_emulator/photo/{person.user_id}.svg"
    # Keys without a value are left out, unless they are among those always sent.
    return {key: value for key, value in card.items() if key != "WORK_POSITION" or value}


def _granted(call: Call, *scopes: str) -> bool:
    return any(scope in call.portal.application.scopes for scope in scopes)


def _selected(call: Call, card: dict[str, Any]) -> dict[str, Any]:
    names = [str(name).upper() for name in members(call.param("select"))]
    if not names or not truthy(names[0]) or "*" in names:
        return card
    return {key: value for key, value in card.items() if key in {"ID", *names}}

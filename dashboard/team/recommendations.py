"""Store the settings that a portal recommends, and find who differs from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, literal, not_, or_, select, true
from sqlalchemy.orm import Session

from dashboard.calendar import edits, encoding
from dashboard.calendar.edits import Edits, FieldValue, InvalidEdit
from dashboard.calendar.parser import CalendarSettings
from dashboard.calendar.values import Toggle, View
from dashboard.core.json_values import as_object, strip_control_characters
from dashboard.models import Person, Portal
from dashboard.people.connection_state import colleague_conditions

# Texts for what no application can write; each becomes a line with a link to where it is set.
ADVICE_FIELDS = ("advice.hours", "advice.zone")
MAX_ADVICE_LENGTH = 200
ANY = "1"  # in ``differs``: a difference in any setting
_LABELS = {edits.TIMED: "timed", edits.ALL_DAY: "day"}  # of the two lists in `people.reminders`


@dataclass(frozen=True)
class Recommendation:
    """What an administrator recommends: values of settings, and advice by the names of ADVICE_FIELDS."""

    values: Edits
    advice: Mapping[str, str]

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing is recommended."""
        return not self.values and not self.advice


@dataclass(frozen=True)
class DifferenceCount:
    """How many people differ in one field, have the recommended value, or have none that is known."""

    differ: int
    same: int
    unknown: int


@dataclass(frozen=True)
class DifferenceCounts:
    """How many people with known settings differ from the recommended ones: in any field, and in each."""

    people: int
    differ: int
    by_field: Mapping[str, DifferenceCount]


NO_RECOMMENDATION = Recommendation({}, {})


def parse_recommendation(fields: Iterable[tuple[str, str]]) -> Recommendation:
    """Parse the fields of a form; a field without text recommends nothing.

    :raise InvalidEdit: with the name of the field that is wrong.
    """
    values: list[tuple[str, str]] = []
    advice: dict[str, str] = {}
    for field, text in fields:
        text = text.strip()
        if field not in ADVICE_FIELDS:
            values += [(field, text)] if text or field not in edits.FIELDS else []
        elif field in advice:
            raise InvalidEdit(field, "is repeated")
        elif text:
            advice[field] = _parse_advice(field, text)
    return Recommendation(edits.parse_edits(values, for_everyone=True) if values else {}, advice)


def _parse_advice(field: str, text: str) -> str:
    text = strip_control_characters(text)
    if len(text) > MAX_ADVICE_LENGTH or "\n" in text:
        raise InvalidEdit(field, "is not a short line")
    return text


def store_recommendation(portal: Portal, recommendation: Recommendation, *, by: Person, at: datetime) -> None:
    """Replace what the portal recommends. The caller has locked the portal's row, so the last decision counts."""
    stored = {"values": edits.encode_edits(recommendation.values), "advice": dict(recommendation.advice)}
    portal.recommended = None if recommendation.is_empty else stored
    portal.recommended_by, portal.recommended_at = by.user_id, at


def recommendation_of(portal: Portal) -> Recommendation:
    """Return what the portal recommends. What another version has stored and this one cannot read is left out."""
    stored = as_object(portal.recommended)
    values = _readable_values(as_object(stored.get("values")))
    advice = {
        field: text
        for field, text in as_object(stored.get("advice")).items()
        if field in ADVICE_FIELDS and isinstance(text, str)
    }
    return Recommendation(values, advice) if values or advice else NO_RECOMMENDATION


def _readable_values(stored: Mapping[str, object]) -> Edits:
    values: dict[str, FieldValue] = {}
    for field, text in stored.items():
        try:
            values |= edits.parse_edits([(field, str(text))], for_everyone=True)
        except InvalidEdit:
            continue
    return values


def differing_fields(recommendation: Recommendation, settings: CalendarSettings) -> tuple[str, ...]:
    """Return the recommended fields in which a person differs, as `differs` finds them in the database.

    Settings without a known value do not differ.
    """
    if not settings.is_readable:
        return ()
    current = edits.read_fields(settings.raw)
    known = {
        "view": bool(settings.view),
        **dict.fromkeys(_LABELS, bool(encoding.encode_reminders(settings.reminders))),
    }
    differing = edits.differing_fields(recommendation.values, current)
    return tuple(field for field in differing if known.get(field, field in current))


def differs(portal: Portal, name: str) -> ColumnElement[bool]:
    """Return the condition for people who differ: in anything (ANY), in a key of Bitrix24's, or in a field.

    Nobody differs in what is not recommended, and nobody without a known value.
    """
    conditions = [
        _differs(field, value, Person)
        for field, value in recommendation_of(portal).values.items()
        if name in (ANY, field, edits.key_of(field))
    ]
    return or_(false(), *conditions)


def difference_counts(session: Session, portal: Portal, _now: datetime) -> DifferenceCounts:
    """Count the whole team, for a cache of portals."""
    return count_differences(session, portal)


def count_differences(session: Session, portal: Portal, *visible: ColumnElement[bool]) -> DifferenceCounts:
    """Count the team, or its ``visible`` part, by differences from what is recommended."""
    if not portal.recommended:
        return DifferenceCounts(0, 0, {})
    values = recommendation_of(portal).values
    # Thousands of people share a few hundred combinations of settings, so these are compared, each once.
    settings = (Person.view, Person.habits, Person.reminders)
    groups = select(*settings, func.count(Person.settings_at).label("people")).where(
        *colleague_conditions(portal), *visible
    )
    group = groups.group_by(*settings).subquery().c
    conditions = [
        condition for item in values.items() for condition in (_differs(*item, group), _is_known(item[0], group))
    ]
    any_difference = or_(false(), *conditions[::2])
    people = [func.sum(group.people).filter(condition) for condition in (true(), any_difference, *conditions)]
    total, differ, *counts = (int(count or 0) for count in session.execute(select(*people)).one())
    by_field = {
        field: DifferenceCount(differ=counts[at], same=counts[at + 1] - counts[at], unknown=total - counts[at + 1])
        for field, at in zip(values, range(0, len(counts), 2), strict=True)
    }
    return DifferenceCounts(total, differ, by_field)


def _differs(field: str, value: FieldValue, columns: Any) -> ColumnElement[bool]:
    """Return the condition for a different value in ``columns``: those of a person or of a group."""
    match value:
        case View(name):
            return and_(_is_known(field, columns), columns.view != name)
        case Toggle(on):
            return _letter(field, columns) == encoding.toggle_letter(on=not on)
        case reminders:
            words = [encoding.encode_reminder(reminder) for reminder in reminders]
            return and_(_is_known(field, columns), not_(_has_list(_LABELS[field], words, columns)))


def _is_known(field: str, columns: Any) -> ColumnElement[bool]:
    known: ColumnElement[bool]
    if field in ("view", *_LABELS):
        known = (columns.view if field == "view" else columns.reminders) != ""
        return known
    return _letter(field, columns).in_([encoding.toggle_letter(on=on) for on in (True, False)])


def _letter(key: str, columns: Any) -> ColumnElement[str]:
    """Return the place of a toggle in `people.habits`."""
    return func.substr(columns.habits, encoding.TOGGLE_KEYS.index(key) + 1, 1)


def _has_list(label: str, words: list[str], columns: Any) -> ColumnElement[bool]:
    """Return the condition for `people.reminders` to have exactly these words in one of its lists, in any order."""
    framed = literal(";") + columns.reminders + ";"
    if not words:
        # A list that is not set is left out, and Bitrix24 treats it as an empty one.
        return or_(framed.contains(f";{label}:{encoding.NO_REMINDERS};"), not_(framed.contains(f";{label}:")))
    # The words are different, so a list that is as long as they are together and contains each of them has no others.
    length = len(",".join(words))
    size = len(f";{label}:;") + length
    # The list for timed events is the first one, the list for all-day events the last one.
    start = 1 if label == _LABELS[edits.TIMED] else func.length(framed) - size + 1
    part = func.substr(framed, start, size)
    listed = literal(",") + func.substr(part, size - length, length) + ","
    is_whole_list = and_(part.like(f";{label}:%;"), part.not_like(";%;%;"))
    return and_(is_whole_list, *(listed.contains(f",{word},") for word in words))

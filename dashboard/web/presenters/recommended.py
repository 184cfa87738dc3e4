"""Describe recommended settings in words: to administrators, and to people whose own settings differ."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.calendar import edits
from dashboard.calendar.edits import FieldValue
from dashboard.calendar.parser import CalendarSettings
from dashboard.calendar.values import Toggle, View
from dashboard.models import Portal
from dashboard.team import recommendations
from dashboard.team.recommendations import ADVICE_FIELDS, DifferenceCounts, Recommendation
from dashboard.team.small_groups import NO_MINIMUM, suppress_small_groups
from dashboard.web.i18n.translations import _
from dashboard.web.presenters import filters, labels
from dashboard.web.presenters.labels import short_title
from dashboard.web.presenters.setting_editors import HINTS

# What the form offers; a list that was chosen elsewhere is offered too while it is recommended.
REMINDER_CHOICES = {
    edits.TIMED: ("0min", "5min", "10min", "15min", "30min", "1hour", "2hour", "1day", "15min,1hour", "15min,1day"),
    edits.ALL_DAY: ("0d@08:00", "0d@09:00", "1d@09:00", "1d@12:00", "1d@18:00", "2d@09:00"),
}


@dataclass(frozen=True)
class RecommendedRow:
    """A recommended setting, and how many people differ; None for advice, which cannot be compared."""

    field: str
    label: str
    text: str
    differ: int | None = None


@dataclass(frozen=True)
class ChoiceField:
    """A field of the form in which an administrator chooses: its options, and the chosen one."""

    field: str
    label: str
    options: Sequence[tuple[str, str]]
    chosen: str
    hint: str


@dataclass(frozen=True)
class RecommendationCard:
    """What administrators see of the recommended settings, and the form in which they change them."""

    rows: Sequence[RecommendedRow]
    people: int  # whose settings are known
    decided_by: str | None  # None: somebody who has left
    decided_at: datetime | None
    choices: Sequence[ChoiceField]
    advice: Sequence[tuple[str, str, str]]  # field, title and text


@dataclass(frozen=True)
class DifferenceRow:
    """A setting of a person that differs from the recommended one, and whether it can be adopted now."""

    field: str
    label: str
    before: str
    after: str
    hint: str
    can_adopt: bool


@dataclass(frozen=True)
class PersonalCard:
    """How a person's settings differ from the recommended ones; ``decided_at`` tells these from later ones."""

    decided_at: str
    differences: Sequence[DifferenceRow]
    advice: Sequence[RecommendedRow]

    @property
    def adoptable(self) -> int:
        """Return how many of the differences can be adopted now."""
        return sum(row.can_adopt for row in self.differences)


def value_text(value: FieldValue | None) -> str:
    """Return a value in a few words; None is one that we cannot read."""
    match value:
        case None:
            return _("Other")
        case View(name):
            return labels.view(name)
        case Toggle(on):
            return _("On") if on else _("Off")
        case ():
            return _("No reminders")
        case reminders:
            return filters.join_words(map(filters.reminder, reminders))


def admin_card(portal: Portal, counts: DifferenceCounts, decided_by: str | None) -> RecommendationCard:
    """Return the card of *Admin*."""
    recommendation = recommendations.recommendation_of(portal)
    advice = [(field, short_title(field), recommendation.advice.get(field, "")) for field in ADVICE_FIELDS]
    values = [
        RecommendedRow(field, short_title(field), value_text(value), counts.by_field[field].differ)
        for field, value in recommendation.values.items()
    ]
    return RecommendationCard(
        rows=[*values, *(RecommendedRow(*row) for row in advice if row[2])],
        people=counts.people,
        decided_by=decided_by,
        decided_at=portal.recommended_at,
        choices=_choices(recommendation),
        advice=advice,
    )


def _choices(recommendation: Recommendation) -> list[ChoiceField]:
    """Return the fields of the form; the first option of each recommends nothing."""
    chosen = edits.encode_edits(recommendation.values)
    return [
        ChoiceField(
            field,
            short_title(field),
            [("", _("No recommendation")), *((text, _option_text(field, text)) for text in _texts(field, chosen))],
            # An empty list of reminders has another word in forms: a field without text recommends nothing.
            chosen.get(field, "") if field not in chosen or chosen[field] else "none",
            _hint(field, Toggle(on=True)),
        )
        for field in edits.FIELDS
    ]


def _texts(field: str, chosen: dict[str, str]) -> list[str]:
    if field == "view":
        return list(labels.VIEWS)
    if field in edits.LETTER_KEYS:
        return ["Y", "N"]
    if field in edits.BOOLEAN_KEYS:
        return ["1", "0"]
    offered = REMINDER_CHOICES[field]
    stored = chosen.get(field, offered[0]) or "none"
    return [*offered, *({stored} - {*offered})]


def _option_text(field: str, text: str) -> str:
    return value_text(edits.parse_edits([(field, text)])[field])


def personal_card(portal: Portal, settings: CalendarSettings, editable: Collection[str]) -> PersonalCard | None:
    """Return the card of *My settings*, None if nothing is recommended.

    :param editable: the keys that the person can change now.
    """
    recommendation = recommendations.recommendation_of(portal)
    if recommendation.is_empty or not settings.is_readable:
        return None
    current = edits.read_fields(settings.raw)
    differences = [
        DifferenceRow(
            field=field,
            label=short_title(field),
            before=labels.view(settings.view) if field == "view" else value_text(current.get(field)),
            after=value_text(recommendation.values[field]),
            hint=_hint(field, recommendation.values[field]),
            can_adopt=edits.key_of(field) in editable,
        )
        for field in recommendations.differing_fields(recommendation, settings)
    ]
    advice = [
        RecommendedRow(field, short_title(field), recommendation.advice[field])
        for field in ADVICE_FIELDS
        if field in recommendation.advice
    ]
    return PersonalCard(portal.recommended_at.isoformat() if portal.recommended_at else "", differences, advice)


def _hint(field: str, value: FieldValue) -> str:
    """Return what happens when a setting is turned on, where that is not obvious."""
    return _(HINTS[field]) if field in HINTS and value == Toggle(on=True) else ""


def insight_rows(portal: Portal, counts: DifferenceCounts, *, min_group_size: int) -> list[RecommendedRow]:
    """Return the recommended settings in which people differ, the most frequent difference first.

    With a minimum group size, numbers from which a small group could be computed are left out, and so are reminders:
    their lists are counted one by one beside these.
    """
    rows = []
    for field, value in recommendations.recommendation_of(portal).values.items():
        count = counts.by_field[field]
        by_answer = {"differ": count.differ, "same": count.same, "unknown": count.unknown}
        is_safe = not suppress_small_groups(by_answer, min_group_size=min_group_size).suppressed
        is_shown = min_group_size == NO_MINIMUM or (is_safe and field not in edits.REMINDER_PARTS)
        if count.differ and is_shown:
            rows.append(RecommendedRow(field, short_title(field), value_text(value), count.differ))
    return sorted(rows, key=lambda row: -(row.differ or 0))


def differs_options(portal: Portal, chosen: str) -> list[tuple[str, str]]:
    """Return the options of *Team*'s filter by differences, none if nothing is recommended.

    :param chosen: the filter's value; all reminders together are an option only while they are chosen.
    """
    fields = list(recommendations.recommendation_of(portal).values)
    if not fields:
        return []
    names = [*fields, *({edits.REMINDERS_KEY} & {chosen})]
    return [(recommendations.ANY, _("Differ in any setting")), *((name, short_title(name)) for name in names)]

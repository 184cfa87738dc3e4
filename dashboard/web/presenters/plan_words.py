"""Describe a plan in words: its outcome, who would have to stretch and how far, and what each city's clock shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo

from markupsafe import Markup, escape

from dashboard.calendar.clock_changes import moment_of
from dashboard.calendar.time_zones import offset_at, zone_info
from dashboard.team.plan_people import PlanPerson
from dashboard.team.planning import DayPlan
from dashboard.team.proposals import Proposal, Stretch
from dashboard.team.working_spans import Interval
from dashboard.web.i18n.translations import _, ngettext, number
from dashboard.web.presenters import filters, labels

NEAR_EDGE = 30  # minutes from the start or end of somebody's day
MAX_NAMED = 12  # people; of more, only those who stretch are named


@dataclass(frozen=True)
class CityLine:
    """What one city's clock shows during a slot, and what that means for its people."""

    city: str
    people: int
    times: str
    start: str
    shift: str  # "+1 day" where it is another day
    note: Markup | str
    is_outside: bool


def display_name(person: PlanPerson) -> str:
    """Return the person's name, or their number if they have none."""
    return labels.person_name(person.name, person.user_id)


def short_name(person: PlanPerson, people: Sequence[PlanPerson]) -> str:
    """Return the person's first name, or the whole name if others have that first name too."""
    first, *_rest = display_name(person).split() or [display_name(person)]
    same = sum(other.name.split()[:1] == [first] for other in people)
    return first if same == 1 and person.name else display_name(person)


def stretch_note(stretch: Stretch) -> str:
    """Return how far a person would have to stretch: "3 h after work"."""
    if stretch.kind == "off":
        return _("day off")
    length = short_duration(stretch.minutes)
    return (_("%(length)s before work") if stretch.kind == "early" else _("%(length)s after work")) % {"length": length}


def short_duration(minutes: int) -> str:
    """Return "30 min", "1 h" or "1 h 30 min"."""
    return filters.duration(minutes) if minutes >= 60 else _("%(minutes)s min") % {"minutes": minutes}


def verdict(proposal: Proposal, people: Sequence[PlanPerson]) -> Markup:
    """Return in a few words who is at work for a proposal, or who would have to stretch."""
    planned = [person for person in people if person.participant]
    outside = [person for person in planned if person.user_id in proposal.stretches]
    if not outside:
        return escape(_everyone(planned))
    if len(outside) == len(planned) > 1 and {stretch.kind for stretch in proposal.stretches.values()} == {"off"}:
        return escape(_("Day off for everyone"))
    if len(outside) > 2:
        text = _("%(count)s of %(total)s outside working hours")
        return escape(text % {"count": number(len(outside)), "total": number(len(planned))})
    names = [(short_name(person, planned), proposal.stretches[person.user_id].kind) for person in outside]
    if len(names) == 1:
        ((name, kind),) = names
        words = {
            "late": _("%(name)s would work late"),
            "early": _("%(name)s would start early"),
            "off": _("%(name)s has a day off"),
        }
        return with_names(words[kind], name=name)
    words = {"late": _("%(name)s late"), "early": _("%(name)s early"), "off": _("%(name)s on a day off")}
    return escape(filters.comma()).join(with_names(words[kind], name=name) for name, kind in names)


def with_names(text: str, **names: str) -> Markup:
    """Put names into a translation, each isolated because its direction may differ from the page's."""
    return escape(text) % {key: filters.bdi(name) for key, name in names.items()}


def _everyone(planned: Sequence[PlanPerson]) -> str:
    text = _("Everyone is at work") if len(planned) > 1 else _("At work")
    assumed = sum(person.is_assumed for person in planned)
    if not assumed:
        return text
    count_text = ngettext("%(count)s assumed", "%(count)s assumed", assumed)
    return f"{text} · {count_text % {'count': number(assumed)}}"


def title(plan: DayPlan, people: Sequence[PlanPerson], *, reader: int, minutes: int) -> Markup | str:
    """Return the outcome of a plan in one sentence."""
    planned = [person for person in people if person.participant]
    full = sum(not proposal.stretches for proposal in plan.proposals)
    if not planned:
        return _("No working hours are known") if people else _("Choose who to meet")
    if len(planned) == 1:
        return _title_for_one(planned[0], is_reader=planned[0].user_id == reader, plan=plan, minutes=minutes)
    if full:
        titles = {
            1: _("One time when everyone is at work"),
            2: _("Two times when everyone is at work"),
            3: _("Three times when everyone is at work"),
        }
        return titles[full]
    if not any(plan.spans.values()):
        return _("Nobody works on this day")
    if plan.common:
        return _("Everyone is at work for less than %(length)s in a row") % {"length": short_duration(minutes)}
    if len(planned) == 2:
        return _("No time when both are at work")
    if len(planned) == 3:
        return _("No time when all three are at work")
    return _("No time when all %(count)s people are at work") % {"count": number(len(planned))}


def _title_for_one(person: PlanPerson, *, is_reader: bool, plan: DayPlan, minutes: int) -> Markup | str:
    if plan.proposals and not plan.proposals[0].stretches:
        mine, theirs = _("When you are at work"), _("When %(name)s is at work")
    elif plan.common:
        mine = _("You work for less than %(length)s in a row on this day")
        theirs = _("%(name)s works for less than %(length)s in a row on this day")
    else:
        mine, theirs = _("You are not at work on this day"), _("%(name)s is not at work on this day")
    values = {"length": short_duration(minutes)}
    return mine % values if is_reader else with_names(theirs, name=short_name(person, [person]), **values)


def city_lines(
    proposal: Proposal, people: Sequence[PlanPerson], spans: Mapping[int, Sequence[Interval]], day: date
) -> list[CityLine]:
    """Return a line for each time zone of the people, from east to west."""
    by_zone: dict[str, list[PlanPerson]] = {}
    for person in people:
        if person.participant:
            by_zone.setdefault(person.zone, []).append(person)
    start = moment_of(proposal.start)
    zones = sorted(by_zone, key=lambda zone: (-offset_at(start, zone_info(zone)), zone))
    return [_city_line(zone, by_zone[zone], proposal, spans, day) for zone in zones]


def _city_line(
    zone: str,
    people: Sequence[PlanPerson],
    proposal: Proposal,
    spans: Mapping[int, Sequence[Interval]],
    day: date,
) -> CityLine:
    outside = [person for person in people if person.user_id in proposal.stretches]
    if not outside:
        note = _edge_note(proposal, [span for person in people for span in spans[person.user_id]])
    elif len(outside) == 1:
        note = stretch_note(proposal.stretches[outside[0].user_id])
        if len(people) > 1:
            # Translators: a person, and how far they would stretch: "Grace: 3 h after work".
            note = with_names(_("%(name)s: %(stretch)s"), name=short_name(outside[0], people), stretch=note)
    else:
        note = _("%(count)s of %(total)s outside") % {"count": number(len(outside)), "total": number(len(people))}
    return CityLine(
        city=filters.zone_city(zone),
        people=len(people),
        times=slot_times(proposal, zone_info(zone)),
        start=filters.time_in(moment_of(proposal.start), zone),
        shift=day_shift(proposal.start, zone_info(zone), day),
        note=note,
        is_outside=bool(outside),
    )


def _edge_note(proposal: Proposal, spans: Sequence[Interval]) -> str:
    around = [span for span in spans if span[0] <= proposal.start and proposal.end <= span[1]]
    if any(proposal.start - start < NEAR_EDGE for start, _end in around):
        return _("start of day")
    return _("end of day") if any(end - proposal.end < NEAR_EDGE for _start, end in around) else ""


def slot_times(slot: Proposal, zone: tzinfo) -> str:
    """Return "14:00 – 15:00" on the clock of a zone."""
    return interval_times((slot.start, slot.end), zone)


def interval_times(interval: Interval, zone: tzinfo) -> str:
    """Return an interval on the clock of a zone; it ends at 24:00 if it ends with the day it begins on."""
    start, end = (moment_of(minute).astimezone(zone) for minute in interval)
    is_midnight = not end.hour and not end.minute and end.date() != start.date()
    times = {"start": f"{start:%H:%M}", "end": "24:00" if is_midnight else f"{end:%H:%M}"}
    return _("%(start)s – %(end)s") % times


def day_shift(minute: int, zone: tzinfo, day: date) -> str:
    """Return "+1 day" if it is the next day in the zone, and nothing if it is the same day."""
    days = (moment_of(minute).astimezone(zone).date() - day).days
    if not days:
        return ""
    text = ngettext("%(sign)s%(count)s day", "%(sign)s%(count)s days", abs(days))
    return text % {"sign": "+" if days > 0 else "−", "count": abs(days)}


def copied_text(proposals: Sequence[Sequence[CityLine]], day: date) -> str:
    """Return the proposals as a text to send: the date, and a line for each with every city."""
    lines = (" · ".join(_copied_city(line) for line in lines) for lines in proposals)
    return "\n".join([filters.full_date(day), *lines])


def _copied_city(line: CityLine) -> str:
    # Translators: when a meeting is in one city: "14:00 – 15:00 Kyiv".
    text = _("%(times)s %(city)s") % {"times": line.times, "city": line.city}
    note = Markup(line.note).striptags() if line.is_outside else ""  # noqa: S704  # its tags are removed
    extra = filters.comma().join(filter(None, (line.shift, note)))
    return f"{text} ({extra})" if extra else text

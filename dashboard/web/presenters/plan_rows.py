"""Prepare the rows of a plan: each person's hours as bars and words, and what each proposal means for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo

from dashboard.calendar.clock_changes import moment_of
from dashboard.calendar.time_zones import offset_at, zone_info
from dashboard.team.plan_people import PlanPerson
from dashboard.team.planning import DayPlan
from dashboard.team.proposals import Proposal
from dashboard.team.working_spans import Interval, merge
from dashboard.web.i18n.translations import _, ngettext, number
from dashboard.web.presenters import filters, plan_words
from dashboard.web.presenters.plan_scale import DayPart, DayScale
from dashboard.web.presenters.team_row import portrait

MAX_UNGROUPED = 12  # people; more are folded into their time zones
LABEL_MINUTES = 75  # room that the clock beside the end of a bar needs


@dataclass(frozen=True)
class EndLabel:
    """A person's own clock at the start or end of a bar; ``x`` is measured from the left."""

    x: float
    text: str
    is_start: bool


@dataclass(frozen=True)
class SlotText:
    """What a person's clock shows during a proposal, and whether they are at work."""

    times: str
    shift: str
    note: str
    is_outside: bool
    stretch: DayPart | None
    labels: Sequence[EndLabel]  # with the stretch, beyond which they stand


@dataclass(frozen=True)
class PlanRow:
    """One person's row; empty where unknown."""

    user_id: int
    name: str
    position: str
    photo: str
    initials: str
    face: str
    zone: str
    city: str
    time_difference: str  # from the reader's clock; in words if there is none
    sources: Sequence[str]  # of an assumed zone and of assumed hours, or why there is no bar
    hours: str  # for machines, in UTC
    own_hours: str
    in_reader_time: Sequence[str]
    bars: Sequence[DayPart]
    bands: Sequence[tuple[int, int]]  # minutes since the day began
    labels: Sequence[EndLabel]
    slots: Sequence[SlotText]
    is_assumed: bool
    is_known: bool


@dataclass(frozen=True)
class PlanGroup:
    """The people of one time zone, and for each part of the day the share of them who are at work."""

    city: str
    offset: str
    rows: Sequence[PlanRow]
    strip: Sequence[tuple[DayPart, float]]
    slots: Sequence[str]  # "4 of 5 at work", for each proposal


def rows(
    people: Sequence[PlanPerson], plan: DayPlan, *, day: date, reader_zone: tzinfo, scale: DayScale
) -> list[PlanRow]:
    """Return a row for each person, by the start of their day; those whose hours are unknown come last."""

    def order(person: PlanPerson) -> tuple[int, int]:
        spans = plan.whole_spans.get(person.user_id)
        return spans[0][0] if spans else scale.end + (not person.participant), person.user_id

    return [_row(person, plan, day, reader_zone, scale) for person in sorted(people, key=order)]


def _row(person: PlanPerson, plan: DayPlan, day: date, reader_zone: tzinfo, scale: DayScale) -> PlanRow:
    spans = plan.spans.get(person.user_id, ())
    whole_spans = plan.whole_spans.get(person.user_id, ())
    is_known = person.participant is not None
    return PlanRow(
        user_id=person.user_id,
        **portrait(person),
        position=person.position,
        zone=person.zone if is_known else "",
        city=filters.zone_city(person.zone) if person.zone else "",
        time_difference=_time_difference(person.zone, scale.middle, reader_zone) if person.zone else "",
        sources=list(_sources(person)),
        hours=" ".join(map(utc_text, spans)),
        own_hours=filters.hours(person.span) if person.span else "",
        in_reader_time=[
            _in_reader_time(span, scale, day, reader_zone) for span in _with_whole_ends(spans, whole_spans)
        ],
        bars=[scale.bar(span) for span in spans],
        bands=[(start - scale.start, end - scale.start) for start, end in spans],
        labels=_labels(spans, person.zone, scale),
        slots=[_slot(person, proposal, spans, day, scale) for proposal in plan.proposals] if is_known else [],
        is_assumed=person.is_assumed,
        is_known=is_known,
    )


def _time_difference(zone: str, minute: int, reader_zone: tzinfo) -> str:
    moment = moment_of(minute)
    seconds = offset_at(moment, zone_info(zone)) - offset_at(moment, reader_zone)
    return filters.hours_apart(seconds) or _("your time")


def _sources(person: PlanPerson) -> Iterator[str]:
    if not person.zone:
        yield _("No time zone in the profile")
    elif not person.span:
        yield _("Working hours unknown")
    elif person.is_assumed:
        if person.zone_source == "profile":
            yield _("Time zone from profile")
        if person.has_company_hours:
            yield _("Company hours")


def utc_text(interval: Interval) -> str:
    """Return an interval for machines: "2026-12-03T07:00Z/2026-12-03T16:00Z"."""
    return "/".join(f"{moment_of(minute):%Y-%m-%dT%H:%MZ}" for minute in interval)


def _with_whole_ends(spans: Sequence[Interval], whole_spans: Sequence[Interval]) -> Sequence[Interval]:
    """Return the spans of the day, with the real ends of those that the end of the day cuts."""
    ends = dict(whole_spans)
    return [(start, ends.get(start, end)) for start, end in spans]


def _in_reader_time(span: Interval, scale: DayScale, day: date, reader_zone: tzinfo) -> str:
    if span[0] <= scale.start and span[1] >= scale.end:
        return _("the whole day")
    times = plan_words.interval_times(span, reader_zone)
    shift = plan_words.day_shift(span[1] - 1, reader_zone, day)
    return f"{times} {shift}" if shift else times


def _labels(spans: Iterable[Interval], zone: str, scale: DayScale) -> list[EndLabel]:
    ends = ((minute, is_start) for span in spans for minute, is_start in zip(span, (True, False), strict=True))
    return [
        EndLabel(scale.text_place(minute), filters.time_in(moment_of(minute), zone), is_start)
        for minute, is_start in ends
        if (minute - scale.start if is_start else scale.end - minute) >= LABEL_MINUTES
    ]


def _slot(person: PlanPerson, proposal: Proposal, spans: Sequence[Interval], day: date, scale: DayScale) -> SlotText:
    zone = zone_info(person.zone)
    stretch = proposal.stretches.get(person.user_id)
    part, labels = None, []
    if stretch:
        starts = {"late": proposal.end - stretch.minutes, "early": proposal.start, "off": proposal.start}
        ends = {"late": proposal.end, "early": proposal.start + stretch.minutes, "off": proposal.end}
        first, last = max(starts[stretch.kind], scale.start), min(ends[stretch.kind], scale.end)
        part = scale.part((first, last))
        # On a day off there is no bar whose end the clock could name.
        labels = _labels(merge([*spans, (first, last)]) if spans else (), person.zone, scale)
    return SlotText(
        times=plan_words.slot_times(proposal, zone),
        shift=plan_words.day_shift(proposal.start, zone, day),
        note=plan_words.stretch_note(stretch) if stretch else _("at work"),
        is_outside=stretch is not None,
        stretch=part,
        labels=labels,
    )


def groups(chart_rows: Sequence[PlanRow], plan: DayPlan, scale: DayScale, reader_zone: tzinfo) -> list[PlanGroup]:
    """Return the rows by time zone, in the order of the first row of each; none if there are few rows."""
    if len(chart_rows) <= MAX_UNGROUPED:
        return []
    by_zone: dict[str, list[PlanRow]] = {}
    for row in chart_rows:
        by_zone.setdefault(row.zone, []).append(row)
    return [_group(zone, members, plan, scale, reader_zone) for zone, members in by_zone.items() if zone]


def _group(zone: str, members: Sequence[PlanRow], plan: DayPlan, scale: DayScale, reader_zone: tzinfo) -> PlanGroup:
    pieces = scale.pieces(plan.spans[row.user_id] for row in members)
    return PlanGroup(
        city=filters.zone_city(zone),
        offset=_time_difference(zone, scale.middle, reader_zone),
        rows=members,
        strip=[(scale.part(piece), round(people / len(members), 2)) for piece, people in pieces if people],
        slots=[_at_work_text(members, proposal) for proposal in plan.proposals],
    )


def _at_work_text(members: Sequence[PlanRow], proposal: Proposal) -> str:
    present = sum(row.user_id not in proposal.stretches for row in members)
    text = ngettext("%(count)s of %(total)s at work", "%(count)s of %(total)s at work", len(members))
    return text % {"count": number(present), "total": number(len(members))}

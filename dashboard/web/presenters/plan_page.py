"""Prepare the page *Find a time*: the outcome, the proposals, the chart, the notes and the alternatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from markupsafe import Markup

from dashboard.calendar.clock_changes import minute_of, moment_of
from dashboard.calendar.holidays import DaysOff
from dashboard.calendar.time_zones import offset_at
from dashboard.team.plan_people import PlanPerson
from dashboard.team.planning import DayPlan, better_day, plan_day
from dashboard.team.proposals import Proposal
from dashboard.team.weekly_changes import WeeklyMeeting
from dashboard.team.working_spans import counts_at
from dashboard.web.i18n.translations import _
from dashboard.web.presenters import filters, plan_notes, plan_rows, plan_words
from dashboard.web.presenters.plan_notes import Alternative, ClockNote
from dashboard.web.presenters.plan_query import PlanQuery
from dashboard.web.presenters.plan_rows import PlanGroup, PlanRow
from dashboard.web.presenters.plan_scale import STEP, DayPart, DayScale, minute_on
from dashboard.web.presenters.plan_words import CityLine
from dashboard.web.presenters.team_row import portrait

MAX_LINES = 8  # of one proposal; more cities are in the chart


@dataclass(frozen=True)
class ProposalCard:
    """A proposal in words."""

    slot: str  # for machines, in UTC
    outside: str  # the ids of those who are not at work
    times: str
    verdict: Markup
    is_full: bool
    is_past: bool
    until: str
    lines: Sequence[CityLine]
    more_zones: int  # whose lines are left out
    names: Markup | str  # who would stretch, where there are too many people to name all
    mark: DayPart


@dataclass(frozen=True)
class CommonInterval:
    """A part of the day when everyone is at work."""

    part: DayPart
    text: str


@dataclass(frozen=True)
class PersonChip:
    """A person who is named in the address."""

    user_id: int
    name: str
    photo: str
    initials: str
    face: str


@dataclass(frozen=True)
class PlanView:
    """Everything that the template prints about one plan."""

    title: Markup | str
    time_zone: str
    cards: Sequence[ProposalCard]
    rows: Sequence[PlanRow]
    groups: Sequence[PlanGroup]
    unknown: Sequence[PlanRow]
    common: Sequence[CommonInterval]
    clock_notes: Sequence[ClockNote]
    alternatives: Sequence[Alternative]
    copied_text: str
    scale: DayScale | None
    counts: Sequence[int]
    now: int | None  # minutes since the day began
    planned: int

    @property
    def clocks_matter(self) -> bool:
        """Tell whether a change of clocks changes the common hours."""
        return any(note.matters for note in self.clock_notes)

    @property
    def has_assumed(self) -> bool:
        """Tell whether the hours of somebody are assumed."""
        return any(row.is_assumed for row in self.rows)


def build(
    people: Sequence[PlanPerson],
    query: PlanQuery,
    *,
    reader: int,
    reader_zone: tzinfo,
    days_off: DaysOff,
    now: datetime,
) -> PlanView:
    """Return the plan of the people."""
    participants = [person.participant for person in people if person.participant]
    plan = plan_day(
        participants, day=query.day, reader_zone=reader_zone, minutes=query.minutes, days_off=days_off, now=now
    )
    scale = DayScale(plan, query.day, reader_zone) if plan.intervals else None
    if scale is None:
        return _empty(people, plan)
    rows = plan_rows.rows(people, plan, day=query.day, reader_zone=reader_zone, scale=scale)
    chart_rows = [row for row in rows if row.is_known]
    meeting = WeeklyMeeting(participants, query.day, reader_zone)
    fewest = len(plan.proposals[0].stretches) if plan.proposals else 0
    better = (
        better_day(
            participants,
            after=query.day,
            outside=fewest,
            reader_zone=reader_zone,
            minutes=query.minutes,
            days_off=days_off,
        )
        if fewest
        else None
    )
    lines = [plan_words.city_lines(proposal, people, plan.spans, query.day) for proposal in plan.proposals]
    return PlanView(
        title=plan_words.title(plan, people, reader=reader, minutes=query.minutes),
        time_zone=_time_zone(scale, reader_zone),
        cards=[
            _card(proposal, cities, people, meeting, scale, reader_zone, now)
            for proposal, cities in zip(plan.proposals, lines, strict=True)
        ],
        rows=chart_rows,
        groups=plan_rows.groups(chart_rows, plan, scale, reader_zone),
        unknown=[row for row in rows if not row.is_known],
        common=_common(plan, scale, reader_zone) if len(participants) > 1 else [],
        clock_notes=plan_notes.clock_notes(meeting, plan, people, query, reader_zone) if participants else [],
        alternatives=plan_notes.alternatives(plan, people, query, reader_zone=reader_zone, better=better),
        copied_text=plan_words.copied_text(lines, query.day),
        scale=scale,
        counts=counts_at(scale.pieces(plan.spans.values()), range(scale.start, scale.end, STEP)),
        now=minute_on(scale, now),
        planned=len(participants),
    )


def chips(people: Sequence[PlanPerson], query: PlanQuery) -> list[PersonChip]:
    """Return a chip for each person who is named, in the order of the address."""
    by_id = {person.user_id: person for person in people}
    named = [by_id[user_id] for user_id in query.people if user_id in by_id]
    return [PersonChip(user_id=person.user_id, **portrait(person)) for person in named]


def _empty(people: Sequence[PlanPerson], plan: DayPlan) -> PlanView:
    """Return the plan of a day that the reader's time zone has left out."""
    title = _("This day doesn't exist in your time zone")
    return PlanView(title, "", [], [], [], [], [], [], [], "", None, [], None, len(plan.spans) if people else 0)


def _card(
    proposal: Proposal,
    lines: Sequence[CityLine],
    people: Sequence[PlanPerson],
    meeting: WeeklyMeeting,
    scale: DayScale,
    reader_zone: tzinfo,
    now: datetime,
) -> ProposalCard:
    outside = [person for person in people if person.user_id in proposal.stretches]
    names: tuple[Markup, ...] = ()
    more_zones = 0
    if len(people) > plan_words.MAX_NAMED:
        more_zones = max(0, len(lines) - MAX_LINES)
        lines = sorted(lines, key=lambda line: (not line.is_outside, -line.people))[:MAX_LINES]
        outside = outside if len(outside) > 2 else []  # else the verdict names them
        names = tuple(filters.bdi(plan_words.display_name(person)) for person in outside[: plan_words.MAX_NAMED])
    interval = (proposal.start, proposal.end)
    return ProposalCard(
        slot=plan_rows.utc_text(interval),
        outside=" ".join(map(str, proposal.outside)),
        times=plan_words.slot_times(proposal, reader_zone),
        verdict=plan_words.verdict(proposal, people),
        is_full=not proposal.stretches,
        is_past=proposal.start < minute_of(now),
        until=plan_notes.until(meeting.works_until(proposal)),
        lines=lines,
        more_zones=more_zones,
        names=filters.join_words(names),
        mark=scale.part(interval),
    )


def _common(plan: DayPlan, scale: DayScale, reader_zone: tzinfo) -> list[CommonInterval]:
    return [
        CommonInterval(scale.part(interval), plan_words.interval_times(interval, reader_zone))
        for interval in plan.common
    ]


def _time_zone(scale: DayScale, reader_zone: tzinfo) -> str:
    """Return the reader's zone in words: "Kyiv (UTC+02:00)"."""
    offset = filters.offset(offset_at(moment_of(scale.middle), reader_zone))
    name = getattr(reader_zone, "key", None)
    return _("%(city)s (%(offset)s)") % {"city": filters.zone_city(name), "offset": offset} if name else offset

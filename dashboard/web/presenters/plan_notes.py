"""Describe what matters for a plan besides its proposals: changes of clocks, and alternatives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo

from babel import lists
from markupsafe import Markup, escape

from dashboard.team.availability import Band
from dashboard.team.plan_people import PlanPerson
from dashboard.team.planning import BetterDay, DayPlan, longest_common_meeting, times_without
from dashboard.team.weekly_changes import WeeklyChange, WeeklyMeeting
from dashboard.web.i18n.translations import _, current, ngettext, number
from dashboard.web.presenters import filters, plan_words
from dashboard.web.presenters.plan_query import PlanQuery

MAX_LEFT_OUT = 3  # people; without more, it is another meeting
MAX_NAMES = 4  # in one sentence


@dataclass(frozen=True)
class ClockNote:
    """A change of clocks: where and when, for whom, and what it does to the common hours."""

    title: str
    people: Markup | str
    text: str
    matters: bool  # the common hours change
    link: str
    link_text: str


@dataclass(frozen=True)
class Alternative:
    """Another way to meet, such as another day or a shorter meeting; the link leads to that plan, if there is one."""

    text: Markup | str
    link: str = ""
    link_text: Markup | str = ""


def clock_notes(
    meeting: WeeklyMeeting, plan: DayPlan, people: Sequence[PlanPerson], query: PlanQuery, reader_zone: tzinfo
) -> list[ClockNote]:
    """Return a note for each week in which clocks change."""
    planned = [person for person in people if person.participant]
    notes = [_clock_note(change, planned, query) for change in meeting.changes]
    lasting = [
        plan_words.slot_times(proposal, reader_zone)
        for proposal in plan.proposals
        if not proposal.stretches and meeting.works_until(proposal) is None
    ]
    full = sum(not proposal.stretches for proposal in plan.proposals)
    if len(planned) < 2 or not 0 < len(lasting) < full:
        return notes
    times = lists.format_list(lasting, style="or", locale=current().locale)
    advice = _("For a weekly call choose %(times)s, when everyone is at work before and after the change.")
    changed = next(index for index, note in enumerate(notes) if note.matters)
    note = notes[changed]
    text = f"{note.text} {advice % {'times': times}}"
    notes[changed] = ClockNote(note.title, note.people, text, note.matters, note.link, note.link_text)
    return notes


def _clock_note(change: WeeklyChange, planned: Sequence[PlanPerson], query: PlanQuery) -> ClockNote:
    days = sorted({zone.day for zone in change.changes})
    titles = (
        _("Clocks change in %(cities)s on %(day)s")
        % {
            "cities": filters.join_words(filters.zone_city(zone.zone) for zone in change.changes if zone.day == day),
            "day": filters.weekday_and_month_day(day),
        }
        for day in days
    )
    zones = {zone.zone for zone in change.changes}
    return ClockNote(
        title=" · ".join(titles),
        people=_names([person for person in planned if person.zone in zones]),
        text=_effect(change, len(planned)),
        matters=change.before != change.after,
        link=query.url(day=change.day) if change.day != query.day else "",
        link_text=_("See %(day)s") % {"day": filters.month_day(change.day)},
    )


def _names(people: Sequence[PlanPerson]) -> Markup | str:
    if len(people) > MAX_NAMES:
        return ngettext("%(count)s person", "%(count)s people", len(people)) % {"count": number(len(people))}
    return filters.join_words(filters.bdi(plan_words.display_name(person)) for person in people)


def _effect(change: WeeklyChange, people: int) -> str:
    hours = _bands(change.after)
    if people < 2:
        text = _("From then on the hours are %(hours)s your time.")
        return text % {"hours": hours} if change.before != change.after and hours else ""
    if change.before == change.after:
        return _("The common hours stay the same.") if hours else ""
    if not hours:
        return _("From then on there is no time when everyone is at work.")
    return _("From then on everyone is at work %(hours)s your time.") % {"hours": hours}


def _bands(bands: Iterable[Band]) -> str:
    return filters.join_words(map(filters.band, bands))


def alternatives(
    plan: DayPlan,
    people: Sequence[PlanPerson],
    query: PlanQuery,
    *,
    reader_zone: tzinfo,
    better: BetterDay | None,
) -> list[Alternative]:
    """Return alternatives to a plan of which no proposal suits everyone."""
    planned = [person for person in people if person.participant]
    if len(planned) < 2 or not plan.proposals or not plan.proposals[0].stretches:
        return []
    alternatives = [_better_day(better, query)] if better else []
    left_out = dict.fromkeys(proposal.outside for proposal in plan.proposals)
    for outside in left_out:
        if len(outside) <= MAX_LEFT_OUT and len(planned) - len(outside) > 1:
            alternatives += _without(plan, outside, planned, query, reader_zone)
    if any(plan.spans.values()):
        alternatives.append(_shorter(longest_common_meeting(plan), query))
    return alternatives


def _better_day(better: BetterDay, query: PlanQuery) -> Alternative:
    day = filters.weekday_and_month_day(better.day)
    if not better.outside:
        text = _("On %(day)s everyone is at work at the same time.") % {"day": day}
    else:
        text = ngettext(
            "%(day)s comes nearest: %(count)s person is outside working hours.",
            "%(day)s comes nearest: %(count)s people are outside working hours.",
            better.outside,
        ) % {"day": day, "count": number(better.outside)}
    return Alternative(text, query.url(day=better.day), _("See %(day)s") % {"day": filters.month_day(better.day)})


def _without(
    plan: DayPlan, outside: Sequence[int], planned: Sequence[PlanPerson], query: PlanQuery, reader_zone: tzinfo
) -> Iterable[Alternative]:
    others = [person for person in planned if person.user_id not in outside]
    times = [
        plan_words.interval_times(interval, reader_zone)
        for interval in times_without(plan, outside)
        if interval[1] - interval[0] >= query.minutes
    ]
    if not times:
        return
    left_out = (plan_words.short_name(person, planned) for person in planned if person.user_id in outside)
    names = filters.join_words(map(filters.bdi, left_out))
    text = ngettext(
        "Without %(names)s, %(times)s suits the other %(count)s.",
        "Without %(names)s, %(times)s suits the other %(count)s.",
        len(others),
    )
    values = {"names": names, "times": filters.join_words(times), "count": number(len(others))}
    ids = tuple(person.user_id for person in others)
    label = escape(_("Plan without %(names)s")) % {"names": names}
    yield Alternative(escape(text) % values, query.url(people=ids, department=None), label)


def _shorter(longest: int, query: PlanQuery) -> Alternative:
    if not longest:
        return Alternative(_("A shorter meeting doesn't help."))
    length = plan_words.short_duration(longest)
    return Alternative(
        _("For %(length)s everyone is at work.") % {"length": length},
        query.url(minutes=longest),
        _("Plan %(length)s") % {"length": length},
    )


def until(last_day: date | None) -> str:
    """Return "until March 27", and nothing for a proposal that lasts."""
    return _("until %(day)s") % {"day": filters.month_day(last_day)} if last_day else ""

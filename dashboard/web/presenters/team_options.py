"""Prepare the choices of the filters of *Team*, and describe those that are chosen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.calendar.time_zones import canonical_name
from dashboard.team.statistics import TeamStats
from dashboard.web.i18n.translations import _
from dashboard.web.presenters import filters, labels, team_row
from dashboard.web.presenters.team_chips import FilterChip
from dashboard.web.presenters.team_query import TeamQuery

Options = Sequence[tuple[str, str]]  # values and labels


@dataclass(frozen=True)
class FilterChoice:
    """A filter with its options; the first one, "", is any."""

    name: str
    title: str
    any_text: str
    options: Options
    chosen: str

    @property
    def text(self) -> str:
        """Return the chosen option: "Department: Support"."""
        lead = _("%(kind)s:") % {"kind": self.title}
        return f"{lead} {dict(self.options).get(self.chosen, self.chosen)}"


def filter_choices(
    query: TeamQuery, stats: TeamStats, *, departments: Options, differences: Options, now: datetime
) -> list[FilterChoice]:
    """Return the filters, without those that have no options."""
    chosen = query.filter
    views = [*labels.VIEWS, *(name for name in stats.views if name not in labels.VIEWS)]
    reminders = [(name, _(label)) for name, label in team_row.REMINDERS.items()]
    states = [(name, team_row.state(name)) for name in team_row.STATES]
    zone = canonical_name(chosen.timezone)
    choices = (
        FilterChoice("view", _("View"), _("Any view"), [(name, labels.view(name)) for name in views], chosen.view),
        FilterChoice("timezone", _("Time zone"), _("Any time zone"), _zones(stats.zones, now), zone),
        FilterChoice("department", _("Department"), _("Any department"), departments, chosen.department),
        FilterChoice("reminders", _("Reminders"), _("Any reminders"), reminders, chosen.reminders),
        FilterChoice("state", _("State"), _("Any state"), states, chosen.state),
        FilterChoice("differs", _("Recommended"), _("Any settings"), differences, chosen.differs),
    )
    return [choice for choice in choices if choice.options]


def _zones(names: Iterable[str], now: datetime) -> Options:
    """Return the time zones from west to east, and then by city: "Kyiv (UTC+02:00)"."""
    orders = sorted((*filters.zone_order(name, now), name) for name in names)
    text = _("%(city)s (%(offset)s)")
    return [(name, text % {"city": city, "offset": filters.offset(seconds)}) for seconds, city, name in orders]


def chosen_filters(query: TeamQuery, choices: Iterable[FilterChoice], chips: Iterable[FilterChip]) -> list[str]:
    """Return the filters in words, for a list that has become empty."""
    text = [f"“{query.filter.q}”"] if query.filter.q else []
    flags = [chip.text for chip in chips if chip.is_chosen and chip.is_flag]
    return [*text, *(choice.text for choice in choices if choice.chosen), *flags]

"""Prepare the chips of *Team*: filters, each with the number of people that it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dashboard.team import recommendations
from dashboard.team.statistics import TeamStats
from dashboard.team.team_filter import FLAGS
from dashboard.web.i18n.translations import _
from dashboard.web.presenters import team_row
from dashboard.web.presenters.team_query import TeamQuery


@dataclass(frozen=True)
class FilterChip:
    """A filter that one press applies, and another one takes away."""

    name: str  # of its icon, and part of what keeps the focus
    text: str
    people: int
    href: str
    tone: str
    is_chosen: bool
    is_flag: bool  # no choice of a list has this filter


def team_chips(query: TeamQuery, stats: TeamStats, *, at_work: int | None, differ: int | None) -> list[FilterChip]:
    """Return the chips for the people whom the filters leave. A chip of nobody is left out unless it is chosen.

    :param differ: how many differ from the recommended settings; None if nothing is recommended.
    :param at_work: how many are at work now; None if the list shows another day.
    """
    return [chip for chip in _all_chips(query, stats, at_work, differ) if chip.people or chip.is_chosen]


def _all_chips(query: TeamQuery, stats: TeamStats, at_work: int | None, differ: int | None) -> Iterator[FilterChip]:
    def chip(field: str, value: str, text: str, people: int, tone: str = "quiet") -> FilterChip:
        is_chosen = getattr(query.filter, field) == value
        name = field if field in FLAGS else f"{field}-{value}"
        return FilterChip(name, text, people, query.toggled(field, value), tone, is_chosen, field in FLAGS)

    yield chip("at_work", "1", _("At work now"), at_work or 0, "good")
    if differ is not None:
        yield chip("differs", recommendations.ANY, _("Differ from recommended"), differ)
    yield chip("zones_differ", "1", _("Zones differ"), stats.zones_differ, "warning")
    for state in ("stale", "reconnect", "never"):
        yield chip("state", state, team_row.state(state), stats.states[state], team_row.STATE_TONES[state])

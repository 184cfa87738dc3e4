"""Install the filters that templates use."""

from collections.abc import Callable
from functools import lru_cache
from inspect import getmembers
from sys import getsizeof

from jinja2 import Environment

from dashboard.calendar.time_zones import offset_at
from dashboard.calendar.working_hours import minutes_to_clock
from dashboard.core.json_values import escape_surrogates
from dashboard.web.i18n import translations
from dashboard.web.i18n.translations import Language
from dashboard.web.presenters import (
    filters,
    labels,
    plan_words,
    reminder_timeline,
    setting_display,
    setting_editors,
    team_row,
)

# Bitrix24 accepts values of any length, and the texts with them must not fill the memory. In ASCII most are shorter;
# one character beyond can make Python store four bytes for each.
MAX_CACHED_BYTES = 20_000


def install(env: Environment) -> None:
    """Make each function of `filters` and `setting_display` a filter of its own name, and add some others."""
    for module in (filters, setting_display):
        functions = getmembers(module, callable)
        env.filters.update({name: function for name, function in functions if function.__module__ == module.__name__})
    env.filters.update(
        all_day_line=reminder_timeline.all_day,
        clock=minutes_to_clock,
        group_title=labels.group,
        label=labels.label,
        editable_attributes=setting_editors.editable_attributes,
        escape_surrogates=escape_surrogates,
        offset_at=offset_at,
        person_name=plan_words.display_name,
        portrait=team_row.portrait,
        row_text=team_row.team_row_text,
        short_duration=plan_words.short_duration,
        state_label=team_row.state,
        state_tone=team_row.STATE_TONES.__getitem__,
        timed_line=reminder_timeline.timed,
    )
    env.globals.update(cached=_cached, view_options=setting_editors.view_options)


def _cached(macro: Callable[..., str], *values: object) -> str:
    """Return what a macro prints for values that are the same for many people; it depends on nothing else."""
    try:
        return _call_once(macro, translations.current(), *values)
    except _TooLongError as error:
        return error.text


# Typed, because a text that is markup equals the same text that is not.
@lru_cache(maxsize=256, typed=True)
def _call_once(macro: Callable[..., str], language: Language, *values: object) -> str:
    text = macro(*values)
    if getsizeof(text) > MAX_CACHED_BYTES:
        raise _TooLongError(text)  # lru_cache keeps no errors
    return text


class _TooLongError(Exception):
    """A text is too long to keep."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

"""Install the filters that templates use."""

from jinja2 import Environment

from dashboard.calendar.working_hours import minutes_to_clock
from dashboard.core.json_values import printable
from dashboard.web.presenters import filters, labels, reminder_timeline, setting_display, team_row

FORMATS = (
    filters.band,
    filters.bdi,
    filters.clock_attributes,
    filters.day_number,
    filters.duration,
    filters.full_date,
    filters.hours,
    filters.join_words,
    filters.long_date,
    filters.minutes_in,
    filters.month_day,
    filters.offset,
    filters.offset_now,
    filters.raw_text,
    filters.reminder,
    filters.short_weekday,
    filters.time_and_date,
    filters.time_in,
    filters.time_with_seconds,
    filters.updated_at,
    filters.weekday,
    filters.weekday_and_date,
    filters.weekday_date_and_time,
    filters.zone_city,
    filters.zone_title,
    printable,
    setting_display.calendar_display,
    setting_display.raw_display,
    setting_display.reminder_displays,
    setting_display.setting_attributes,
)


def install(env: Environment) -> None:
    """Add the filters to the environment, most of them under their own names."""
    env.filters.update({function.__name__: function for function in FORMATS})
    env.filters.update(
        all_day_line=reminder_timeline.all_day,
        clock=minutes_to_clock,
        display=setting_display.display,
        group_title=labels.group,
        label=labels.label,
        row_text=team_row.team_row_text,
        state_label=team_row.state,
        state_tone=team_row.STATE_TONES.__getitem__,
        timed_line=reminder_timeline.timed,
    )

"""Name settings, their groups, and some of their values."""

from dashboard.core.json_values import escape_surrogates
from dashboard.web.i18n.translations import N_, _

LABELS = {
    "view": N_("View"),
    "work_time_start": N_("Working day starts"),
    "work_time_end": N_("Working day ends"),
    "timezoneName": N_("Time zone"),
    "timezoneOffsetUTC": N_("Offset from UTC"),
    "timezoneDefaultName": N_("Fallback time zone"),
    "defaultReminders": N_("Reminders"),
    "showTasks": N_("Show tasks"),
    "showCompletedTasks": N_("Show completed tasks"),
    "showDeclined": N_("Show events I declined"),
    "showWeekNumbers": N_("Show week numbers"),
    "collapseOffHours": N_("Collapse non-working hours"),
    "meetSection": N_("Calendar for invitations"),
    "denyBusyInvitation": N_("Decline invitations when busy"),
    "sendFromEmail": N_("Send invitations from"),
    "defaultSections": N_("Calendars for new events"),
    "lastUsedSection": N_("Last used calendar"),
    "crmSection": N_("Calendar for CRM"),
    "syncTasks": N_("Sync tasks"),
    "syncPeriodPast": N_("Sync past events for"),
    "syncPeriodFuture": N_("Sync future events for"),
    "CalendarSelCont": N_("Visible calendars (legacy)"),
    "SPCalendarSelCont": N_("Visible shared calendars (legacy)"),
}

# Short names, for lists of switches, of changes and of recommended settings.
SHORT_TITLES = {
    "reminders.timed": N_("Reminders, events with a time"),
    "reminders.day": N_("Reminders, all-day events"),
    "workTime": N_("Working hours"),
    "advice.hours": N_("Working hours"),
    "advice.zone": N_("Time zone"),
    "showTasks": N_("Tasks"),
    "showCompletedTasks": N_("Completed tasks"),
    "showDeclined": N_("Events I declined"),
    "showWeekNumbers": N_("Week numbers"),
}

GROUPS = {
    "grid": N_("What the calendar shows"),
    "invitations": N_("Invitations"),
    "calendars": N_("Default calendars"),
    "sync": N_("Sync"),
    "legacy": N_("Legacy settings"),
    "unknown": N_("Other settings from this portal"),
}

VIEWS = {"day": N_("Day"), "week": N_("Week"), "month": N_("Month"), "list": N_("Schedule")}

NOT_SET = N_("Not set")
# Why a setting may be empty, where there is more to say than NOT_SET.
UNSET = {
    "view": N_("Chosen by Bitrix24"),
    "work_time_start": N_("The portal's hours apply"),
    "work_time_end": N_("The portal's hours apply"),
    "timezoneName": N_("No time zone given"),
    "timezoneOffsetUTC": N_("No offset given"),
    "timezoneDefaultName": N_("Only used when the time zone has no name"),
    "meetSection": N_("No calendar chosen yet"),
    "crmSection": N_("No calendar chosen yet"),
    "lastUsedSection": N_("No event created yet"),
    "defaultSections": N_("Chosen by Bitrix24"),
    "sendFromEmail": N_("No address chosen"),
    "syncPeriodPast": N_("No limit chosen"),
    "syncPeriodFuture": N_("No limit chosen"),
}


def label(key: str) -> str:
    """Return the title of a setting, and an unknown key as it is."""
    return _(LABELS[key]) if key in LABELS else escape_surrogates(key)


def short_title(key: str) -> str:
    """Return the short title of a setting."""
    return _(SHORT_TITLES[key]) if key in SHORT_TITLES else label(key)


def group(name: str) -> str:
    """Return the title of a group of settings."""
    return _(GROUPS[name])


def person_name(name: str, user_id: int) -> str:
    """Return what is shown as a person's name: "Employee 502" for somebody without one."""
    return name or unnamed() % {"number": user_id}


def unnamed() -> str:
    """Return what is shown instead of a name."""
    # Translators: instead of the name of a person who has none; the number is the person's in Bitrix24.
    return _("Employee %(number)s")


def view(name: str) -> str:
    """Return the title of a view, and an unknown name as it is."""
    return _(VIEWS[name]) if name in VIEWS else escape_surrogates(name)


def unset(key: str) -> str:
    """Return why the setting may be empty."""
    return _(UNSET.get(key, NOT_SET))


def place(name: str, own_id: int) -> str:
    """Return where events are created: "user7" is a person's calendar, "group6" a workgroup's."""
    if name == f"user{own_id}":
        return _("In my calendar")
    for prefix, text in _PLACES.items():
        if name.startswith(prefix) and name.removeprefix(prefix).isdecimal():
            return _(text) % {"id": name.removeprefix(prefix)}
    return _("In the company calendar") if name == "company_calendar" else escape_surrogates(name)


_PLACES = {"user": N_("In the calendar of user %(id)s"), "group": N_("In workgroup %(id)s")}

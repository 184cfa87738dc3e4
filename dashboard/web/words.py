"""What settings, their groups and their values are called."""

from jinja2 import Environment

from dashboard.shapes import printable
from dashboard.web.language import N_, _

LABELS = {
    "view": N_("View"),
    "work_time_start": N_("Working day starts"),
    "work_time_end": N_("Working day ends"),
    "timezoneName": N_("Time zone"),
    "timezoneOffsetUTC": N_("Offset from UTC"),
    "timezoneDefaultName": N_("Zone in place of a missing one"),
    "defaultReminders": N_("Reminders"),
    "showTasks": N_("Show tasks"),
    "showCompletedTasks": N_("Show completed tasks"),
    "showDeclined": N_("Show events I declined"),
    "showWeekNumbers": N_("Show week numbers"),
    "collapseOffHours": N_("Fold hours outside the working day"),
    "meetSection": N_("Calendar for invitations"),
    "denyBusyInvitation": N_("Refuse invitations when busy"),
    "sendFromEmail": N_("Send invitations from"),
    "defaultSections": N_("Calendars for new events"),
    "lastUsedSection": N_("Calendar used last"),
    "crmSection": N_("Calendar for CRM"),
    "syncTasks": N_("Synchronise tasks"),
    "syncPeriodPast": N_("Synchronise the past"),
    "syncPeriodFuture": N_("Synchronise the future"),
    "CalendarSelCont": N_("Calendars shown, old form"),
    "SPCalendarSelCont": N_("Shared calendars shown, old form"),
}

GROUPS = {
    "grid": N_("What the calendar shows"),
    "invitations": N_("Invitations"),
    "calendars": N_("Where events go"),
    "sync": N_("Synchronisation"),
    "legacy": N_("Kept by Bitrix24, no longer used"),
    "unknown": N_("Sent by this portal, not known to us"),
}

VIEWS = {"day": N_("Day"), "week": N_("Week"), "month": N_("Month"), "list": N_("Schedule")}

NOT_SET = N_("Not set")
# Why a setting may be empty, where "nothing was chosen" says too little.
UNSET = {
    "view": N_("Bitrix24 chooses"),
    "work_time_start": N_("The portal's hours count"),
    "work_time_end": N_("The portal's hours count"),
    "timezoneName": N_("Bitrix24 tells no zone"),
    "timezoneOffsetUTC": N_("Bitrix24 tells no offset"),
    "timezoneDefaultName": N_("Needed only when the time zone has no name"),
    "meetSection": N_("No calendar chosen yet"),
    "crmSection": N_("No calendar chosen yet"),
    "lastUsedSection": N_("No event made by hand yet"),
    "defaultSections": N_("Bitrix24 chooses"),
    "sendFromEmail": N_("No address chosen"),
    "syncPeriodPast": N_("No limit chosen"),
    "syncPeriodFuture": N_("No limit chosen"),
}


def label(key: str) -> str:
    """Return a setting's name; one nobody knows is called what the portal calls it."""
    return _(LABELS[key]) if key in LABELS else printable(key)


def group(name: str) -> str:
    return _(GROUPS[name])


def view(name: str) -> str:
    return _(VIEWS[name])


def unset(key: str) -> str:
    """Return why the setting may be empty."""
    return _(UNSET.get(key, NOT_SET))


def place(name: str, own_id: int) -> str:
    """Return where events are made: "user7" is a person's calendar, "group6" a workgroup's."""
    if name == f"user{own_id}":
        return _("In my calendar")
    for prefix, words in _PLACES.items():
        if name.startswith(prefix) and name.removeprefix(prefix).isdecimal():
            return _(words) % {"id": name.removeprefix(prefix)}
    return _("In the company calendar") if name == "company_calendar" else printable(name)


_PLACES = {"user": N_("In the calendar of user %(id)s"), "group": N_("In workgroup %(id)s")}


def install(env: Environment) -> None:
    """Give the templates these names."""
    env.filters.update(label=label, group_title=group, view_name=view, unset_reason=unset, place=place)

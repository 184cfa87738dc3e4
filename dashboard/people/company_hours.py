"""Store a company's working hours, which count for everyone without hours of their own."""

from __future__ import annotations

from sqlalchemy.orm import Session

from dashboard.calendar.parser import CalendarSettings
from dashboard.calendar.working_hours import DAY, Hours, Span, own_or_company_hours
from dashboard.models import Person, Portal
from dashboard.portals.portal_lock import require_exclusive_lock


def update_company_hours(session: Session, portal: Portal, person: Person, settings: CalendarSettings) -> None:
    """Set the portal's hours to the company's, which the calendar of every employee returns.

    They stay if the portal has none. Bitrix24 answers a guest with 9 to 19 whatever they are,
    and so it might somebody whom the list of employees has not named yet.

    :param portal: as it was last read.
    :raise ExclusiveLockNeeded: the hours have changed, and the lock on the portal's row is a shared one.
    """
    span = settings.company_hours
    if span is not None and span != company_hours(portal) and (person.is_admin or person.listed is True):
        require_exclusive_lock(session, portal.id)
        stored = session.get_one(Portal, portal.id)
        stored.work_start, stored.work_end = span.start, span.end


def company_hours(portal: Portal) -> Span | None:
    """Return the company's working hours, None while unknown."""
    if portal.work_start is None or portal.work_end is None:
        return None
    return Span(portal.work_start, portal.work_end)


def stored_hours(start: int | None, end: int | None, company: Span | None) -> Hours:
    """Return the hours that count for a person with these columns; unknown if they are no times of a day."""
    own = Span(start, end) if start is not None and end is not None else None
    hours = own_or_company_hours(own, company)
    is_usable = hours.span is not None and max(hours.span.start, hours.span.end) <= DAY
    return hours if is_usable else Hours(None, "unknown")

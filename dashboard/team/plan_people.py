"""Read the people of a plan, and suggest more of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from dashboard.calendar.working_hours import Span
from dashboard.core.search_text import contains, fold
from dashboard.models import Department, DepartmentMember, Person, Portal
from dashboard.people.company_hours import company_hours, stored_hours
from dashboard.people.connection_state import colleague_conditions
from dashboard.people.departments import in_department
from dashboard.team.proposals import Participant
from dashboard.team.working_spans import WorkPattern

MAX_PEOPLE = 500  # of one plan
MAX_SUGGESTIONS = 6

_COLUMNS = (
    *(Person.user_id, Person.name, Person.position, Person.photo, Person.zone, Person.zone_source),
    *(Person.settings_at, Person.work_start, Person.work_end),
)


@dataclass(frozen=True)
class PlanPerson:
    """A person of a plan; empty or None where unknown."""

    user_id: int
    name: str
    position: str
    photo: str
    zone: str
    zone_source: str  # "calendar" or "profile"
    span: Span | None
    has_company_hours: bool
    is_assumed: bool  # no settings of the person were read, or another zone than their calendar's is used

    @property
    def participant(self) -> Participant | None:
        """Return the person's pattern, None if their zone or hours are unknown."""
        return Participant(self.user_id, WorkPattern(self.zone, self.span)) if self.zone and self.span else None


@dataclass(frozen=True)
class ChosenPeople:
    """The people of a plan, and whether some are left out because there are too many."""

    people: Sequence[PlanPerson]
    is_cut: bool


def chosen_people(
    session: Session,
    portal: Portal,
    *,
    user_ids: Iterable[int],
    department: int | None,
    visible: Sequence[ColumnElement[bool]],
) -> ChosenPeople:
    """Return the visible colleagues with these ids, and those of the department and the ones below it."""
    is_named = Person.user_id.in_(list(user_ids))
    is_chosen = is_named if department is None else or_(is_named, in_department(session, portal, department))
    query = select(*_COLUMNS).where(*colleague_conditions(portal), *visible, is_chosen)
    rows = session.execute(query.order_by(Person.user_id).limit(MAX_PEOPLE + 1)).all()
    company = company_hours(portal)
    return ChosenPeople([_person(row, company) for row in rows[:MAX_PEOPLE]], is_cut=len(rows) > MAX_PEOPLE)


def suggested_people(
    session: Session,
    portal: Portal,
    person: Person,
    *,
    without: Iterable[int],
    visible: Sequence[ColumnElement[bool]],
) -> list[PlanPerson]:
    """Return a few visible colleagues to plan with: those of the person's departments, or else who opened the app."""
    others = (
        *colleague_conditions(portal),
        *visible,
        Person.user_id.not_in([*without, person.user_id]),
        Person.zone != "",
    )
    mine = select(DepartmentMember.department_id).where(DepartmentMember.person_id == person.id)
    near = select(DepartmentMember.person_id).where(
        DepartmentMember.portal_id == portal.id, DepartmentMember.department_id.in_(mine)
    )
    conditions = ([Person.id.in_(near)], [Person.settings_at.is_not(None)])
    for condition in conditions:
        query = select(*_COLUMNS).where(*others, *condition).order_by(Person.settings_at.desc(), Person.id)
        if rows := session.execute(query.limit(MAX_SUGGESTIONS)).all():
            return [_person(row, company_hours(portal)) for row in rows]
    return []


def search_people(
    session: Session,
    portal: Portal,
    text: str,
    *,
    without: Iterable[int],
    visible: Sequence[ColumnElement[bool]],
    limit: int,
) -> list[PlanPerson]:
    """Return the visible colleagues whose name or position contains the text."""
    conditions = (*colleague_conditions(portal), *visible, Person.user_id.not_in(list(without)))
    query = select(*_COLUMNS).where(*conditions, contains(Person.search, fold(text))).order_by(Person.search, Person.id)
    return [_person(row, company_hours(portal)) for row in session.execute(query.limit(limit))]


def departments_of(session: Session, person: Person) -> list[tuple[int, str]]:
    """Return the ids and names of the person's departments."""
    query = (
        select(Department.department_id, Department.name)
        .join(
            DepartmentMember,
            (DepartmentMember.department_id == Department.department_id)
            & (DepartmentMember.portal_id == Department.portal_id),
        )
        .where(DepartmentMember.person_id == person.id)
        .order_by(Department.sort, Department.department_id)
    )
    return [(row.department_id, row.name) for row in session.execute(query)]


def _person(row: Any, company: Span | None) -> PlanPerson:
    hours = stored_hours(row.work_start, row.work_end, company)
    return PlanPerson(
        user_id=row.user_id,
        name=row.name,
        position=row.position,
        photo=row.photo,
        zone=row.zone,
        zone_source=row.zone_source,
        span=hours.span,
        has_company_hours=hours.source == "account",
        is_assumed=row.settings_at is None or row.zone_source != "calendar",
    )

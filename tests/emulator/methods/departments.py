"""The method about departments: department.get."""

from typing import Any

from ..departments import Department
from ..php import members
from .registry import PAGE, Call, Listing, method


@method("department.get", "department")
def department_get(call: Call) -> Listing:
    """List departments, fifty a page; any employee may ask."""
    faults = call.portal.world.strictness
    found = _matching(call)
    found.sort(key=lambda one: _sort_key(one, str(call.param("sort", "SORT")).upper()))
    if str(call.param("order", "ASC")).upper() == "DESC":
        found.reverse()
    start = 0 if faults.ignores_start else max(int(call.param("start") or 0), 0)
    page = [_card(one) for one in found[start : start + PAGE]]
    following = start + PAGE
    return Listing(page, len(found), following if following < len(found) else None)


def _matching(call: Call) -> list[Department]:
    """Compare with the parameters at the top level; this method has no FILTER."""
    wanted = {name: call.param(name) for name in ("ID", "NAME", "SORT", "PARENT", "UF_HEAD")}
    # ``sort`` names the column of the order, so a number is needed to filter by SORT.
    if not str(wanted["SORT"]).isdigit():
        wanted["SORT"] = None
    found = [*call.portal.departments]
    for name, value in wanted.items():
        if value is not None:
            texts = [*map(str, members(value))]
            found = [one for one in found if str(_card(one).get(name, "")) in texts]
    return found


def _sort_key(department: Department, name: str) -> tuple[Any, int]:
    keys = {
        "ID": department.id,
        "NAME": department.name,
        "PARENT": department.parent or 0,
        "UF_HEAD": department.head or 0,
    }
    return keys.get(name, department.sort), department.id


def _card(department: Department) -> dict[str, Any]:
    """Return the fields: numbers as text but for SORT, and none without a value."""
    card: dict[str, Any] = {"ID": str(department.id), "NAME": department.name, "SORT": department.sort}
    if department.parent is not None:
        card["PARENT"] = str(department.parent)
    if department.head is not None:
        card["UF_HEAD"] = str(department.head)
    return card

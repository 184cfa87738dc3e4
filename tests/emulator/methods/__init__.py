"""The REST methods of the portal; importing the package fills the table."""

from . import bindings, calendars, departments, options, placements, system, users
from .registry import METHODS, Call, Listing, Method

__all__ = [
    "METHODS",
    "Call",
    "Listing",
    "Method",
    "bindings",
    "calendars",
    "departments",
    "options",
    "placements",
    "system",
    "users",
]

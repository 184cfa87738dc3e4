"""A pretend Bitrix24: portals, their REST, the authorization server, events, and a portal page."""

from .calendar_tab import CalendarTab
from .cast import crowd
from .emulator import Emulator
from .events import Delivery
from .faults import Fault
from .opening import Opening
from .people import Person, Section, fresh_settings, saved_settings
from .portal import CannotOpen, Portal
from .records import RequestRecord
from .rehearsal import post, rehearse
from .world import OTHER_CLIENT_ID, Strictness

__all__ = [
    "OTHER_CLIENT_ID",
    "CalendarTab",
    "CannotOpen",
    "Delivery",
    "Emulator",
    "Fault",
    "Opening",
    "Person",
    "Portal",
    "RequestRecord",
    "Section",
    "Strictness",
    "crowd",
    "fresh_settings",
    "post",
    "rehearse",
    "saved_settings",
]

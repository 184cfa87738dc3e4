"""The emulator's clock: real time plus an offset that tests move."""

import time
from datetime import UTC, datetime


class Clock:
    """Real time, shifted; tokens and buckets age by it."""

    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> float:
        """Return the present moment as a Unix time."""
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        """Let that much time pass at once."""
        self._offset += seconds


def iso(moment: float) -> str:
    """Return a Unix time the way Bitrix24 prints dates, in UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")

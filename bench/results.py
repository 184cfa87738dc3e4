"""Print measured figures as rows with goals, and store them as JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One figure, the median of its samples.

    ``goal`` is a minimum if ``higher_is_better``, else a maximum. ``floor`` is the figure of the simplest code
    that does the same work, measured in the same run: no figure is better.
    """

    name: str
    unit: str
    samples: Sequence[float]
    goal: float | None = None
    floor: float | None = None
    higher_is_better: bool = False

    @property
    def value(self) -> float:
        return statistics.median(self.samples)

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        is_reached = self.value >= self.goal if self.higher_is_better else self.value <= self.goal
        return "reached" if is_reached else "MISSED"


def line(row: Row) -> str:
    """Return a row as a line of the table."""
    goal = "" if row.goal is None else f"{'≥' if row.higher_is_better else '≤'} {number(row.goal)}"
    floor = "" if row.floor is None else number(row.floor)
    samples = " ".join(map(number, row.samples)) if len(row.samples) > 1 else ""
    figures = f"{row.name:<54} {number(row.value):>8} {row.unit:<16} {goal:>8} {floor:>8}"
    return f"{figures} {row.verdict:<8} {samples}".rstrip()


def number(value: float) -> str:
    """Return a number with three significant digits."""
    return f"{value:.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"


def write(rows: Iterable[Row], file: Path) -> None:
    """Write the rows into a file; rows that were not measured this time are kept."""
    stored = {row["name"]: row for row in json.loads(file.read_text())} if file.exists() else {}
    stored |= {row.name: {**asdict(row), "value": row.value, "verdict": row.verdict} for row in rows}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(list(stored.values()), indent=1, ensure_ascii=False) + "\n")

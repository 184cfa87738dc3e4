"""What was measured: rows with their goals, the table people read and the file machines read."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One figure: the median of its samples, beside what it should be and what it cannot be better than.

    ``goal`` is a limit: at least that much where ``more`` is better, at most otherwise. ``floor`` was
    measured in the same run, by the barest thing that does the same work.
    """

    name: str
    unit: str
    samples: Sequence[float]
    goal: float | None = None
    floor: float | None = None
    more: bool = False

    @property
    def value(self) -> float:
        return statistics.median(self.samples)

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        reached = self.value >= self.goal if self.more else self.value <= self.goal
        return "reached" if reached else "MISSED"


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a table."""
    lines: list[tuple[str, ...]] = [("what", "value", "unit", "goal", "floor", "", "samples")]
    lines += [_cells(row) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    text = ["  ".join(_aligned(line, widths)).rstrip() for line in lines]
    return "\n".join([text[0], "-" * max(map(len, text)), *text[1:]])


def _cells(row: Row) -> tuple[str, ...]:
    limit = "" if row.goal is None else f"{'≥' if row.more else '≤'} {number(row.goal)}"
    floor = "" if row.floor is None else number(row.floor)
    samples = " ".join(map(number, row.samples)) if len(row.samples) > 1 else ""
    return row.name, number(row.value), row.unit, limit, floor, row.verdict, samples


def _aligned(line: tuple[str, ...], widths: Sequence[int]) -> list[str]:
    name, value, unit, goal, floor, verdict, samples = line
    return [
        name.ljust(widths[0]),
        value.rjust(widths[1]),
        unit.ljust(widths[2]),
        goal.rjust(widths[3]),
        floor.rjust(widths[4]),
        verdict.ljust(widths[5]),
        samples,
    ]


def number(value: float) -> str:
    """Return a number with three digits that count."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def write(rows: Iterable[Row], file: Path) -> None:
    """Write the rows where the next run, or a program, finds them; rows not measured now are kept."""
    before = {row["name"]: row for row in json.loads(file.read_text())} if file.exists() else {}
    now = {row.name: {**asdict(row), "value": row.value, "verdict": row.verdict} for row in rows}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(list((before | now).values()), indent=1, ensure_ascii=False) + "\n")

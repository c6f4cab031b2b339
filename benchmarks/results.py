"""The form that all benchmarks of speed share: rows of seconds, kept in results.json, from which the page is made.

A row holds what every round took. Medians, ratios and their spread are computed where they are shown, so that nothing
in the file can disagree with them. This module imports no torch, because the site is built without it.
"""

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Literal

RESULTS = Path(__file__).with_name("results.json")
Clock = Literal["processor", "wall"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one thing took in every round, in `seconds`, and what another took in the same rounds.

    Attributes:
        key: its name within its benchmark, by which the page finds it.
        what: it, in words.
        seconds: of each round; of the processor or of the clock, as the benchmark says.
        other: what it is compared with, in words; empty where it stands alone.
        other_seconds: of the same rounds.
        size: how large the task was, for rows that differ in nothing else.
        amount: how many units of work it did, for a rate.
        wall: seconds of the clock of each round, where the processor's do not tell all.
        load: how busy the machine was when it began, where that is not told for the benchmark as a whole.

    """

    key: str
    what: str
    seconds: Sequence[float]
    other: str = ""
    other_seconds: Sequence[float] = ()
    size: int | None = None
    amount: int | None = None
    wall: Sequence[float] = ()
    load: float | None = None

    def __post_init__(self):
        if not self.seconds or (self.other and len(self.seconds) != len(self.other_seconds)):
            raise ValueError(f"{self.key}: every round needs its seconds, of both sides.")

    @property
    def ratios(self) -> list[float]:
        """Its seconds over the other's, round by round: below 1 it is faster."""
        return [own / other for own, other in zip(self.seconds, self.other_seconds, strict=True)]

    @property
    def verdict(self) -> str:
        """In words. A difference counts when all rounds agree about it, and when it is 5% or more in the median."""
        if max(self.ratios) < 1 and median(self.ratios) <= 0.95:
            return "faster"
        return "slower" if min(self.ratios) > 1 and median(self.ratios) >= 1.05 else "undecided"


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """The rows of one benchmark, and under which conditions they were measured."""

    conditions: dict[str, Any]
    rows: list[Row]


def read(path: Path = RESULTS) -> dict[str, Benchmark]:
    """All benchmarks of the file, by name."""
    if not path.exists():
        return {}
    stored = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: Benchmark(conditions=part["conditions"], rows=[Row(**row) for row in part["rows"]])
        for name, part in stored.items()
    }


def write(name: str, benchmark: Benchmark, path: Path = RESULTS, *, keep: bool = False) -> None:
    """Put a benchmark into the file, in the place of its older self; the others stay.

    With `keep`, its own older rows stay too, where no new one has their key.
    """
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    rows = [{key: value for key, value in asdict(row).items() if value not in (None, "", ())} for row in benchmark.rows]
    if keep:
        new = {row["key"] for row in rows}
        old = stored.get(name, {"rows": []})["rows"]
        rows = sorted([*rows, *(row for row in old if row["key"] not in new)], key=lambda row: row["key"])
    stored[name] = {"conditions": benchmark.conditions, "rows": rows}
    rounded = json.loads(json.dumps(stored), parse_float=lambda digits: float(f"{float(digits):.5g}"))
    path.write_text(json.dumps(dict(sorted(rounded.items())), indent=1) + "\n", encoding="utf-8")


def conditions(clock: Clock, threads: int) -> dict[str, Any]:
    """When and where something is about to be measured.

    The load is how many processes wanted a core in the last minute, those of the benchmark before this one included.
    """
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
        "cores": os.cpu_count(),
        "threads": threads,
        "load": os.getloadavg()[0],
        "clock": clock,
    }


def table(rows: Sequence[Row]) -> str:
    """The rows for a terminal."""
    lines = []
    for row in rows:
        line = f"{row.key:28} {row.what:58} {duration(median(row.seconds)):>9}{rate(row, row.seconds)}"
        if row.wall:
            line += f", {duration(median(row.wall))} of the clock"
        if row.other:
            line += f"; {spread(row.ratios)} times {row.other} ({row.verdict})"
        lines.append(line)
    return "\n".join(lines)


def spread(ratios: Sequence[float]) -> str:
    """The median, then the least and the most."""
    return f"{number(median(ratios))} ({number(min(ratios))} to {number(max(ratios))})"


def number(value: float) -> str:
    """Two digits after the point for what is near 1, none for what is far above it."""
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def duration(seconds: float) -> str:
    """With a unit that fits."""
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}" if seconds * factor < 100 else f"{seconds * factor:.0f} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def rate(row: Row, seconds: Sequence[float]) -> str:
    """How much a second, in brackets, where the row says how much there was to do."""
    return f" ({row.amount / median(seconds):,.0f} a second)" if row.amount else ""


def publish(
    name: str, rows: Callable[[], list[Row]], *, clock: Clock = "processor", threads: int = 1, keep: bool = False
) -> None:
    """What the command of a benchmark does: measure, print, and put the rows into the file."""
    from labutils import runtime  # here, because it imports torch

    where = conditions(clock, threads)
    found = rows()
    print(f"\n{name}: {', '.join(f'{key} {value}' for key, value in where.items())}\n{table(found)}", flush=True)
    if runtime.profile() == "cpu":  # which the page is about
        write(name, Benchmark(conditions=where, rows=found), keep=keep)

"""The speeds of the course on the page, from benchmarks/results.json.

- {benchmark} NAME [NAME ...] makes a table of rows; a name is `benchmark` or `benchmark/key`, with `*` for any letters.
- {growth} NAME [NAME ...] draws the same rows by their size, ours and what they are compared with.
- {timed}`benchmark/key` is a row's number in the prose: its ratio to the other, or its duration where it stands alone.
- {conditions} is the table of when, and how, each benchmark was run.
- {training-cost} is a table by the size of the model, from benchmarks/scaling.json.

A name that no row has is a warning, which fails the build.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import cache
from statistics import median
from typing import ClassVar

from docutils import nodes
from docutils.nodes import Node, system_message
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from _ext.loglog import Line, drawing
from benchmarks.results import RESULTS, Benchmark, Row, duration, number, read, spread

SCALING = RESULTS.with_name("scaling.json")

log = logging.getLogger(__name__)

VERDICTS = {"faster": "**faster**", "slower": "**slower**", "undecided": "no clear difference"}
CLOCKS = {"processor": "Seconds of the processor", "wall": "Seconds of the clock"}


@cache
def stored() -> dict[str, Benchmark]:
    """What was measured."""
    return read()


def rows_of(names: list[str]) -> tuple[list[Row], list[str]]:
    """The rows that the names mean, in their order, and the names that mean none."""
    found, unknown = [], []
    for name in names:
        benchmark, _, key = name.partition("/")
        part = stored().get(benchmark)
        rows = [row for row in part.rows if fnmatchcase(row.key, key or "*")] if part else []
        found += rows
        unknown += [] if rows else [name]
    return found, unknown


def whole(words: str) -> str:
    """Words that stay on one line."""
    return words.replace(" ", "\N{NO-BREAK SPACE}")


def took(seconds: Sequence[float]) -> str:
    """The median as a cell; empty where nothing was timed."""
    return whole(duration(median(seconds))) if seconds else ""


def comparison(row: Row) -> list[str]:
    """The cells of a row about the other: its name, its time, the ratio with its spread, and what follows."""
    if not row.other:
        return ["", "", "", ""]
    return [row.other, took(row.other_seconds), whole(spread(row.ratios)), VERDICTS[row.verdict]]


def table(rows: list[Row], size: str) -> str:
    """The rows as Markdown; a column that no row needs is left out. `size` names the sizes."""
    others, other_took, ratios, verdicts = map(list, zip(*map(comparison, rows), strict=True))
    columns = [
        ("what", [row.what for row in rows]),
        ("beside", others),
        (size, [f"{row.size:,}" if size and row.size else "" for row in rows]),
        ("ratio", ratios),
        ("so ours is", verdicts),
        ("took", [took(row.seconds) for row in rows]),
        ("the other", other_took),
        ("a second", [f"{row.amount / median(row.seconds):,.0f}" if row.amount else "" for row in rows]),
        ("by the clock", [took(row.wall) for row in rows]),
        ("load", [f"{row.load:.1f}" if row.load is not None else "" for row in rows]),
    ]
    columns = [(name, cells) for name, cells in columns if any(cells)]
    lines = [[name for name, _ in columns], ["---"] * len(columns), *zip(*(cells for _, cells in columns), strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def said(benchmark: Benchmark) -> str:
    """Under which conditions it was run, in a sentence."""
    where = benchmark.conditions
    threads = "one thread" if where["threads"] == 1 else f"{where['threads']} threads"
    rounds = len(benchmark.rows[0].seconds)
    return (
        f"{CLOCKS[where['clock']]}, {f'medians of {rounds} rounds' if rounds > 1 else 'one run'};"
        f" {where['cores']} cores, {threads}, load {where['load']:.1f} at the start; {where['date']}."
    )


class BenchmarkDirective(SphinxDirective):
    """A table of rows. The option `size` names what the rows' sizes count."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Callable[[str], str]] | None] = {"size": directives.unchanged_required}

    def run(self) -> list[Node]:
        """What the directive puts into the page."""
        rows = self.rows()
        if not rows:
            return []
        names = {name.partition("/")[0] for name in self.arguments[0].split()}
        how = said(stored()[names.pop()]) if len(names) == 1 else ""
        text = table(rows, self.options.get("size", ""))
        found = self.parse_text_to_nodes(f"{text}\n\n{how}" if how else text)
        for node in found:
            if isinstance(node, nodes.table):
                node["classes"].append("benchmark")
        return found

    def rows(self) -> list[Row]:
        """The rows that the arguments name."""
        self.env.note_dependency(str(RESULTS))
        rows, unknown = rows_of(self.arguments[0].split())
        for name in unknown:
            log.warning("No benchmark has measured %r.", name, location=self.get_location(), type="benchmark")
        return rows


def series(rows: list[Row]) -> dict[str, Line]:
    """Seconds by size: of each thing and, right after it, of what it is compared with."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        assert row.size is not None
        lines.setdefault(row.what, []).append((row.size, median(row.seconds)))
        if row.other:
            lines.setdefault(row.other, []).append((row.size, median(row.other_seconds)))
    return {name: sorted(line) for name, line in lines.items()}


def doubling(line: Line) -> float:
    """By how much the seconds grow when the size doubles, between the two largest sizes."""
    (small, before), (large, after) = line[-2:]
    return (after / before) ** (1 / math.log2(large / small))


def powers_of_ten(lines: dict[str, Line]) -> dict[float, str]:
    """Ticks that enclose all seconds."""
    seconds = [point[1] for line in lines.values() for point in line]
    low, high = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))
    return {10.0**power: duration(10.0**power * 1.0001) for power in range(low, max(high, low + 1) + 1)}


class GrowthDirective(BenchmarkDirective):
    """A drawing of rows by their size. The content is the caption; the growth at the largest sizes is added to it."""

    has_content = True

    def run(self) -> list[Node]:
        """What the directive puts into the page."""
        rows, size = self.rows(), self.options.get("size", "size")
        if not rows:
            return []
        lines = series(rows)
        alt = f"Seconds by {size}, both axes logarithmic. " + " ".join(
            f"{name}: from {duration(line[0][1])} at {line[0][0]:,} to {duration(line[-1][1])} at {line[-1][0]:,}."
            for name, line in lines.items()
        )
        picture = drawing(lines, x=size, ticks_y=powers_of_ten(lines), alt=alt)
        factors = "; ".join(f"{name} {doubling(line):.1f}" for name, line in lines.items())
        growth = f"At the largest sizes, twice the size takes this many times the seconds: {factors}."
        figure = nodes.figure("", nodes.raw("", picture, format="html"), align="center", classes=["drawing"])
        inner, _ = self.parse_inline(f"{' '.join(self.content)} {growth}")
        figure += nodes.caption("", "", *inner)
        return [figure]


class ConditionsDirective(SphinxDirective):
    """When and how each benchmark was run."""

    def run(self) -> list[Node]:
        """What the directive puts into the page."""
        self.env.note_dependency(str(RESULTS))
        columns = ("date", "clock", "cores", "threads", "load", "python", "torch", "transformers")
        lines = [("benchmark", *columns), ("---",) * (1 + len(columns))]
        for name, part in stored().items():
            cells = [part.conditions[column] for column in columns]
            lines.append((name, *(f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in cells)))
        return self.parse_text_to_nodes("\n".join(f"| {' | '.join(line)} |" for line in lines))


class TrainingCostDirective(SphinxDirective):
    """What a token of training costs by the size of the model: the medians over all runs of the scaling law."""

    def run(self) -> list[Node]:
        """What the directive puts into the page."""
        self.env.note_dependency(str(SCALING))
        found = json.loads(SCALING.read_text(encoding="utf-8"))
        runs = [
            run | {"tokens": run["setting"]["steps"] * run["setting"]["batch"] * found["text"]} for run in found["runs"]
        ]
        lines = [("weights", "device", "tokens a second", "operations a second"), ("---",) * 4]
        for weights, device in sorted({(run["weights"], run["device"]) for run in runs}):
            same = [run for run in runs if (run["weights"], run["device"]) == (weights, device)]
            tokens = median(run["tokens"] / run["seconds"] for run in same)
            operations = median(run["compute"] / run["seconds"] for run in same)
            lines.append((f"{weights:,}", device, f"{tokens:,.0f}", f"{operations:.1e}"))
        return self.parse_text_to_nodes("\n".join(f"| {' | '.join(line)} |" for line in lines))


class TimedRole(SphinxRole):
    """{timed}`benchmark/key`, or {timed}`benchmark/key seconds` for the duration of a row that is compared."""

    def run(self) -> tuple[list[Node], list[system_message]]:
        """What the role puts into the line, and no messages."""
        self.env.note_dependency(str(RESULTS))
        name, _, part = self.text.partition(" ")
        rows, _ = rows_of([name]) if re.fullmatch(r"[\w-]+/[\w-]+", name) else ([], [])
        if not rows:
            log.warning("No benchmark has measured %r.", name, location=self.get_location(), type="benchmark")
            return [nodes.literal("", self.text)], []
        (row,) = rows
        if row.other and not part:
            return [nodes.Text(number(median(row.ratios)))], []
        return [nodes.Text(took(row.seconds))], []


def setup(app: Sphinx) -> dict:
    app.add_directive("benchmark", BenchmarkDirective)
    app.add_directive("growth", GrowthDirective)
    app.add_directive("conditions", ConditionsDirective)
    app.add_directive("training-cost", TrainingCostDirective)
    app.add_role("timed", TimedRole())
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Results in the forms that others read: for students, for GitHub, and for the gradebooks of several platforms.

Each format is a pure function from results (see `report`) to text; `write_all` writes them. What a student wrote is
shown only as a code span, or stripped to one printable line, and how long anything took is shown nowhere.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from labutils.grading.report import write_text

# --- text that is safe to show ---------------------------------------------------------------------------------------


def plain(text: str, limit: int = 120) -> str:
    """A student's text as one printable line: no control characters, no marks that turn the writing direction.

    GitHub reads `::name::` and `##[name]` in logs as commands to the runner, so these are broken up as well.
    """
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    text = "".join(character if character.isprintable() else " " for character in text)  # bidi marks and surrogates too
    return text.replace("::", ":\u200b:").replace("##[", "##\u200b[")


def code(text: str, limit: int = 120) -> str:
    """A student's text as a Markdown code span that nothing in it can end early; "" where there is nothing to see."""
    text = plain(text, limit)
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""  # Markdown drops it again
    return f"{ticks}{space}{text}{space}{ticks}" if text.strip() else ""


def number(value: float | int) -> str:
    """A score without needless zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _of(part: Mapping) -> str:
    return f"{number(part['score'])} of {number(part['points'])} points"


def _item(finding: dict) -> str:
    return f"- {plain(finding['sentence'], 1000)} {code(finding['code'])}".rstrip()


def _tests(exercise: dict) -> str:
    """How many tests passed, in all and by group."""
    groups = "; ".join(f"{group['passed']} of {group['cases']} with {group['name']}" for group in exercise["groups"])
    return f"{exercise['passed']} of {exercise['cases']} tests passed: {groups}."


# --- Markdown --------------------------------------------------------------------------------------------------------

RULE = (
    "An exercise has two groups of tests. Each is worth as large a share of the points as it has tests, and earns the "
    "share of its tests that passed, rounded to hundredths."
)
SUMMARY_LIMIT = 1_000_000  # bytes; GitHub refuses a step summary above 1 MiB


def feedback(result: dict) -> str:
    """What a student reads, in Markdown."""
    lines = [f"# Lab {result['lab']}: {_of(result)}", ""]
    lines += [f"Student {code(result['student'])}, file {code(result['file'])}.", ""]
    if result["findings"]:
        lines += ["## Your file", "", *map(_item, result["findings"]), ""]
    for exercise in result["exercises"]:
        lines += [f"## `{exercise['name']}`: {_of(exercise)}", "", _tests(exercise), ""]
        lines += [*map(_item, exercise["findings"]), ""] if exercise["findings"] else []
    lines += ["## How this was graded", "", RULE, result["isolation"]["sentence"]]
    return "\n".join(lines) + "\n"


def summary(results: list[dict], limit: int = SUMMARY_LIMIT) -> str:
    """The page that GitHub shows for a run: the feedback of a single file, or a table of many.

    It stays below `limit` bytes; what does not fit is counted.
    """
    head = feedback(results[0]) if len(results) == 1 else _table_head(results)
    rows = [] if len(results) == 1 else [_row(result) for result in results]
    size, kept = len(head.encode()), []
    for row in rows:
        size += len(row.encode())
        if size > limit - 200:
            break
        kept.append(row)
    left = len(rows) - len(kept)
    more = f"\n{left} more students do not fit on this page. They are in the files of this run.\n" if left else ""
    text = head + "".join(kept) + more
    return text if len(text.encode()) <= limit else text.encode()[: limit - 4].decode(errors="ignore") + "…\n"


def _table_head(results: list[dict]) -> str:
    isolated = sum(result["isolation"]["complete"] for result in results)
    sentence = f"{len(results)} files were graded, {isolated} of them in an isolated process."
    return f"# Results\n\n{sentence} {RULE}\n\n| student | lab | score | points |\n| --- | --- | --- | --- |\n"


def _row(result: dict) -> str:
    student = code(result["student"]).replace("|", "\\|")
    return f"| {student} | {plain(result['lab'])} | {number(result['score'])} | {number(result['points'])} |\n"


# --- writing ---------------------------------------------------------------------------------------------------------


def as_text(data: dict) -> str:
    """JSON with a line for each value, so that two runs can be compared line by line."""
    return json.dumps(data, indent=2) + "\n"


def summary_json(results: list[dict]) -> str:
    """A line for each student, and whether all were graded in isolation."""
    rows = [{key: result[key] for key in ("student", "lab", "file", "score", "points")} for result in results]
    isolated = all(result["isolation"]["complete"] for result in results)
    return as_text({"isolated": isolated, "results": rows})


def write_all(
    results: list[dict],
    out: Path,
    *,
    assignment: str | None = None,
    roster: "Mapping[str, Person] | None" = None,
    due: datetime | None = None,
    late_penalty: float = 0.0,
) -> None:
    """Write every format of the results of a run below `out`.

    `assignment` names the column of a gradebook ("lab12" for lab 12 where it is left out), `roster` tells who the
    students are (see `read_roster`), `due` and `late_penalty` are explained at `penalty`.
    """
    results = sorted(results, key=lambda result: result["student"])
    for result in results:
        write_text(out / "feedback" / f"{result['student']}.md", feedback(result))
    write_text(out / "summary.md", summary(results))
    write_text(out / "summary.json", summary_json(results))


@dataclass(frozen=True, kw_only=True)
class Person:
    """A row of the roster."""

    last_name: str = ""
    first_name: str = ""
    email: str = ""
    section: str = ""
    canvas_id: str = ""
    sis_user_id: str = ""
    sis_login_id: str = ""
    submitted: datetime | None = None
    due: datetime | None = None

"""Results in the forms that others read: for students, for GitHub, and for several platforms.

Each format is a pure function from results (see `report`) to text; `write_all` writes them. What a student wrote is
shown only as a code span, or stripped to one printable line, and how long anything took is shown nowhere.
"""

import argparse
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TypedDict
from xml.etree import ElementTree

from labutils.grading.gradebook import ROSTER_COLUMNS, Person, canvas_csv, grades, moment, nbgrader_csv, read_roster
from labutils.grading.report import code, number, plain, write_text


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


# --- test reports ----------------------------------------------------------------------------------------------------


def _status(group: dict) -> str:
    return "passed" if group["passed"] == group["cases"] else "failed"


def _told_at(exercise: dict) -> dict | None:
    """The group that the findings of an exercise stand at: its first that failed, else its first."""
    failed = [group for group in exercise["groups"] if _status(group) == "failed"]
    return next(iter([*failed, *exercise["groups"]]), None)


def gradescope(result: dict) -> str:
    """Gradescope's results.json: a test for each group of tests.

    https://gradescope-autograders.readthedocs.io/en/latest/specs/. Nothing in it is secret, so all of it is visible.
    """
    tests = [
        {
            "score": group["score"],
            "max_score": group["points"],
            "status": _status(group),
            "name": f"{exercise['name']}: {group['name']}",
            "name_format": "text",
            "number": f"{i}.{j}",
            "output": "\n".join(
                [f"{group['passed']} of {group['cases']} tests passed.", ""]
                + [_item(finding) for finding in exercise["findings"] if group is _told_at(exercise)]
            ).rstrip(),
            "output_format": "md",
            "tags": [exercise["name"]],
            "visibility": "visible",
        }
        for i, exercise in enumerate(result["exercises"], 1)
        for j, group in enumerate(exercise["groups"], 1)
    ]
    output = [*map(_item, result["findings"]), "", RULE, result["isolation"]["sentence"]]
    return as_text(
        {
            "score": result["score"],
            "output": "\n".join(output).lstrip(),
            "output_format": "md",
            "test_output_format": "md",
            "test_name_format": "text",
            "visibility": "visible",
            "stdout_visibility": "hidden",
            "tests": tests,
        }
    )


def _sentences(findings: list[dict]) -> str:
    lines = (f"{plain(finding['sentence'], 1000)} {plain(finding['code'])}".rstrip() for finding in findings)
    return "\n".join(lines)  # all of it printable, and so allowed in XML


def junit(results: list[dict]) -> str:
    """JUnit's XML: a suite for each student, a case for each group of tests. It has no times."""
    root = ElementTree.Element("testsuites", name="labs")
    totals = [0, 0]
    for result in results:
        suite = ElementTree.SubElement(root, "testsuite", name=result["student"])
        cases = [
            (f"lab{result['lab']}.{exercise['name']}", group["name"], group, exercise["findings"])
            for exercise in result["exercises"]
            for group in exercise["groups"]
        ]
        unread = [] if cases else [(f"lab{result['lab']}", "the file", {"passed": 0, "cases": 1}, result["findings"])]
        failures = 0
        for classname, name, group, findings in [*cases, *unread]:
            case = ElementTree.SubElement(suite, "testcase", name=name, classname=plain(classname))
            if _status(group) == "failed":
                failures += 1
                message = f"{group['passed']} of {group['cases']} tests passed"
                ElementTree.SubElement(case, "failure", message=message).text = _sentences(findings)
        if result["findings"] and cases:
            ElementTree.SubElement(suite, "system-out").text = _sentences(result["findings"])
        count = len(cases) + len(unread)
        suite.attrib |= {"tests": str(count), "failures": str(failures), "errors": "0", "skipped": "0"}
        totals = [totals[0] + count, totals[1] + failures]
    root.attrib |= {"tests": str(totals[0]), "failures": str(totals[1]), "errors": "0"}
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False).join(
        ['<?xml version="1.0" encoding="UTF-8"?>\n', "\n"]
    )


CLASSROOM50 = ("CLASSROOM", "ASSIGNMENT", "SUBMISSION_TAG", "COMMIT_URL", "RELEASE_URL")


def classroom50(result: dict, environment: Mapping[str, str]) -> str:
    """The result.json of Classroom 50 (classroom50/result/v1), whose scores are whole numbers: hundredths of a point.

    https://github.com/foundation50/classroom50/wiki/Advanced-Autograding. `environment` holds the variables that its
    runner sets. Raises ValueError where one is missing.
    """
    missing = [name for name in CLASSROOM50 if not environment.get(name)]
    if missing:
        raise ValueError(f"Classroom 50 sets {', '.join(missing)} for its autograders, and here nothing did.")
    if not result["submitted"]:
        raise ValueError(f"There is no file of {result['student']}, and so no time of submission for Classroom 50.")
    tests = [
        {
            "test-name": f"{exercise['name']}: {group['name']}",
            "passed": _status(group) == "passed",
            "score": round(100 * group["score"]),
            "max-score": round(100 * group["points"]),
            "message": "\n".join(map(_item, exercise["findings"])) if group is _told_at(exercise) else "",
        }
        for exercise in result["exercises"]
        for group in exercise["groups"]
    ]
    return as_text(
        {
            "schema": "classroom50/result/v1",
            "classroom": environment["CLASSROOM"],
            "assignment": environment["ASSIGNMENT"],
            "assignment_type": environment.get("ASSIGNMENT_TYPE") or "individual",
            "owner": environment.get("OWNER") or environment.get("USERNAME") or result["student"],
            "submission": environment["SUBMISSION_TAG"],
            "commit": environment["COMMIT_URL"],
            "release": environment["RELEASE_URL"],
            "review": environment.get("REVIEW_URL") or environment["COMMIT_URL"],
            "datetime": result["submitted"],
            "score": sum(test["score"] for test in tests),
            "max-score": sum(test["max-score"] for test in tests),
            "tests": tests,
        }
    )


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
    roster: Mapping[str, Person] | None = None,
    due: datetime | None = None,
    late_penalty: float = 0.0,
) -> None:
    """Write every format of the results of a run below `out`. The order of the results does not matter.

    `assignment` names the column of a gradebook ("lab12" for lab 12 where it is left out), `roster` tells who the
    students are (see `read_roster`), `due` and `late_penalty` are explained at `penalty`. Lateness shows in the
    gradebooks alone: feedback and test reports tell what the code is worth.
    """
    results = sorted(results, key=lambda result: result["student"])
    for result in results:
        write_text(out / "feedback" / f"{result['student']}.md", feedback(result))
        write_text(out / "gradescope" / f"{result['student']}.json", gradescope(result))
    lines = grades(results, assignment=assignment, roster=roster, due=due, late_penalty=late_penalty)
    write_text(out / "summary.md", summary(results))
    write_text(out / "summary.json", summary_json(results))
    write_text(out / "junit.xml", junit(results))
    write_text(out / "grades.csv", nbgrader_csv(lines))
    write_text(out / "canvas.csv", canvas_csv(lines))


# --- options that the commands `grade`, `merge` and `export` share ---------------------------------------------------


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `write_all` to a command."""
    parser.add_argument("--assignment", help="the gradebook's name for it (default: lab12 for lab 12)")
    parser.add_argument("--roster", type=Path, metavar="CSV", help=f"who is who; columns: {', '.join(ROSTER_COLUMNS)}")
    parser.add_argument("--due", metavar="TIME", help="such as 2026-10-01T23:59+02:00; without an offset it is UTC")
    parser.add_argument(
        "--late-penalty",
        type=float,
        default=0.0,
        metavar="PERCENT",
        help="of the points, for each day begun after --due (default: 0)",
    )


class Options(TypedDict):
    """What `write_all` takes besides results and a folder."""

    assignment: str | None
    roster: dict[str, Person] | None
    due: datetime | None
    late_penalty: float


def from_options(options: argparse.Namespace) -> Options:
    """The keyword arguments of `write_all`. Raises ValueError with a sentence."""
    if not 0 <= options.late_penalty <= 100:
        raise ValueError("--late-penalty is a percentage from 0 to 100.")
    roster = read_roster(options.roster) if options.roster else None
    if options.late_penalty and not options.due and not any(person.due for person in (roster or {}).values()):
        raise ValueError("--late-penalty takes nothing off without a deadline: give --due, or the roster's column due.")
    return Options(
        assignment=options.assignment,
        roster=roster,
        due=moment(options.due) if options.due else None,
        late_penalty=options.late_penalty,
    )

"""Gradebooks: who handed in when, what lateness costs, and the CSV files of nbgrader and Canvas."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

from labutils.grading.report import file_name, number, plain


@dataclass(frozen=True, kw_only=True)
class Person:
    """A row of the roster: who a student is, and what differs for them from the rest of the class."""

    student_id: str
    last_name: str = ""
    first_name: str = ""
    email: str = ""
    section: str = ""
    canvas_id: str = ""
    sis_user_id: str = ""
    sis_login_id: str = ""
    submitted: datetime | None = None  # instead of the time at which the file was changed
    due: datetime | None = None  # instead of everybody's


ROSTER_COLUMNS = tuple(field.name for field in fields(Person))


def moment(text: str) -> datetime:
    """A time such as 2026-10-01T23:59+02:00; without an offset it is UTC. Raises ValueError with a sentence."""
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is no time. Write 2026-10-01T23:59+02:00; without +02:00 it is UTC.") from None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def read_roster(path: Path) -> dict[str, Person]:
    """The students of a CSV file whose first row names its columns. Raises ValueError with a sentence.

    `student_id` is required, and is what the grader calls a student: the name of the file without its ending. All
    columns are in ROSTER_COLUMNS; another one is refused, since it may be a slip in one of these.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns, rows = reader.fieldnames or [], list(reader)
    except FileNotFoundError:
        raise ValueError(f"There is no roster {path}.") from None
    except UnicodeDecodeError:
        raise ValueError(f"The roster {path} is not UTF-8 text. Save it as CSV in UTF-8.") from None
    except (OSError, csv.Error) as error:
        raise ValueError(f"The roster {path} cannot be read: {error}") from None
    if "student_id" not in columns or not set(columns) <= set(ROSTER_COLUMNS):
        semicolons = " Save it with commas between the columns, not semicolons." if ";" in "".join(columns) else ""
        raise ValueError(
            f"The roster {path} has the columns {', '.join(map(repr, columns))}. "
            f"It needs student_id, and may have {', '.join(ROSTER_COLUMNS[1:])}.{semicolons}"
        )
    people: dict[str, Person] = {}
    for line, row in enumerate(rows, 2):
        if None in row or None in row.values() or not row["student_id"].strip():
            raise ValueError(f"Row {line} of the roster {path} has too few or too many columns, or no student_id.")
        times = {key: moment(row[key]) if row.get(key, "").strip() else None for key in ("submitted", "due")}
        texts = {key: value.strip() for key, value in row.items() if key not in times}
        if texts["student_id"] in people:
            raise ValueError(f"The roster {path} has {texts['student_id']!r} twice.")
        people[texts["student_id"]] = Person(**texts, submitted=times["submitted"], due=times["due"])
    return people


def by_file(roster: Mapping[str, Person], students: Iterable[str]) -> dict[str, Person]:
    """The person of each result: whose id is its name, or becomes its name as a file's (Zoë Müller: Zo__M_ller)."""
    named: dict[str, list[Person]] = {}
    for person in roster.values():
        named.setdefault(file_name(person.student_id), []).append(person)
    found = {student: [roster[student]] if student in roster else named.get(student, []) for student in students}
    return {student: people[0] for student, people in found.items() if len(people) == 1}


def strangers(results: list[dict], roster: Mapping[str, Person]) -> tuple[list[str], list[str]]:
    """The results of nobody in the roster, and those in the roster who have none: often the same, spelled otherwise."""
    students = [result["student"] for result in results]
    people = by_file(roster, students)
    present = {person.student_id for person in people.values()}
    return sorted(set(students) - set(people)), sorted(set(roster) - present)


@dataclass(frozen=True, kw_only=True)
class Grade:
    """One line of a gradebook."""

    assignment: str
    person: Person
    submitted: datetime | None
    due: datetime | None
    raw: float
    penalty: float
    points: int

    @property
    def score(self) -> float:
        """What counts: the points earned, less the penalty."""
        return round(self.raw - self.penalty, 2)


def penalty(raw: float, points: int, submitted: datetime | None, due: datetime | None, percent: float) -> float:
    """What lateness costs: `percent` of the assignment's points for each day begun after `due`, at most what is earned.

    A minute late is a day late. Without a due time, or without a time of submission, nothing is taken off.
    """
    if due is None or submitted is None or submitted <= due:
        return 0.0
    days = -((due - submitted) // timedelta(days=1))
    return round(min(raw, points * percent / 100 * days), 2)


def grades(
    results: list[dict],
    *,
    assignment: str | None = None,
    roster: Mapping[str, Person] | None = None,
    due: datetime | None = None,
    late_penalty: float = 0.0,
) -> list[Grade]:
    """The lines of the gradebook: one for each result, and one for whoever of the roster handed in nothing.

    A file whose lab cannot be told counts for the run's lab if there is only one.
    """
    roster = roster or {}
    people = by_file(roster, [result["student"] for result in results])
    labs = sorted({result["lab"] for result in results if result["exercises"]})
    names = {lab: assignment or f"lab{lab}" for lab in labs}
    worth = {names[result["lab"]]: result["points"] for result in results if result["exercises"]}
    lines = []
    for result in results:
        person = people.get(result["student"], Person(student_id=result["student"]))
        name = names.get(result["lab"]) or assignment or (names[labs[0]] if len(labs) == 1 else f"lab{result['lab']}")
        submitted = person.submitted or (moment(result["submitted"]) if result["submitted"] else None)
        until, points = person.due or due, worth.get(name, 0)
        cost = penalty(float(result["score"]), points, submitted, until, late_penalty)
        lines.append(
            Grade(
                assignment=name,
                person=person,
                submitted=submitted,
                due=until,
                raw=float(result["score"]),
                penalty=cost,
                points=points,
            )
        )
    present = {line.person.student_id for line in lines}
    for name, points in sorted(worth.items()):
        for student, person in roster.items():
            if student not in present:
                until = person.due or due
                lines.append(
                    Grade(
                        assignment=name, person=person, submitted=None, due=until, raw=0.0, penalty=0.0, points=points
                    )
                )
    return sorted(lines, key=lambda line: (line.assignment, line.person.student_id))


def cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula: one that begins like a formula gets an apostrophe before it."""
    text = plain(text, 1000)
    return f"'{text}" if text.lstrip()[:1] in {"=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"} else text


def _csv(rows: list[list[str]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()


def _utc(time: datetime | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S") if time else ""


NBGRADER_COLUMNS = [
    "assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email",
    "raw_score", "late_submission_penalty", "score", "max_score",
]  # fmt: skip


def nbgrader_csv(lines: list[Grade]) -> str:
    """A CSV file with the columns of `nbgrader export`; times are UTC, as there."""
    rows = [
        [
            *map(cell, (line.assignment, _utc(line.due), _utc(line.submitted), line.person.student_id)),
            *map(cell, (line.person.last_name, line.person.first_name, line.person.email)),
            *map(str, (line.raw, line.penalty, line.score, float(line.points))),
        ]
        for line in lines
    ]
    return _csv([NBGRADER_COLUMNS, *rows])


CANVAS_COLUMNS = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]


def canvas_csv(lines: list[Grade]) -> str:
    """A CSV file that Canvas imports under Grades: a column for each assignment, and a row of the points possible.

    Canvas finds a student by the ID, by the SIS ids or by the name, and an assignment by its title; the title of an
    assignment that is there already may be followed by its number in parentheses.
    """
    assignments = {line.assignment: line.points for line in lines}
    by_student: dict[str, dict[str, Grade]] = {}
    for line in lines:
        by_student.setdefault(line.person.student_id, {})[line.assignment] = line
    rows = [
        [*CANVAS_COLUMNS, *map(cell, assignments)],
        ["    Points Possible", "", "", "", "", *map(str, assignments.values())],
    ]
    for student, of_student in sorted(by_student.items()):
        person = next(iter(of_student.values())).person
        name = ", ".join(filter(None, (person.last_name, person.first_name))) or student
        login = person.sis_login_id or ("" if person.canvas_id or person.sis_user_id else student)
        who = (name, person.canvas_id, person.sis_user_id, login, person.section)
        scores = [number(of_student[title].score) if title in of_student else "" for title in assignments]
        rows.append([*map(cell, who), *scores])
    return _csv(rows)

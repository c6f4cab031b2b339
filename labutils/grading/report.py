"""The one result of a graded file, as plain data with a version, and as JSON on disk.

Everything that is handed out or exported (see `formats`) is made from these dictionaries, never from live objects. So
results that were graded on several machines give the same bytes as results that were graded on one.
"""

import json
import os
import re
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labutils.grading.score import Score

SCHEMA = "labutils/result/v1"
FOLDER = "results"  # below the folder of a run: one file a student


class BadResult(ValueError):
    """A file is not a result that this version wrote. The text says which, and what is wrong with it."""


def as_json(score: Score, *, submitted: str | None = None) -> dict:
    """The result as plain data. Text of the student's is in the fields named "code", "student" and "file" alone.

    `submitted` says when the file was handed in, see `submitted_at`.
    """
    return {
        "schema": SCHEMA,
        "student": score.student,
        "lab": score.lab,
        "file": score.file,
        "submitted": submitted,
        "score": score.score,
        "points": score.points,
        "findings": [asdict(finding) for finding in score.findings],
        "exercises": [
            {
                "name": exercise.name,
                "score": exercise.score,
                "points": exercise.points,
                "passed": exercise.passed,
                "cases": exercise.cases,
                "groups": [
                    {key: getattr(group, key) for key in ("name", "passed", "cases", "score", "points")}
                    for group in exercise.groups
                ],
                "findings": [asdict(finding) for finding in exercise.findings],
            }
            for exercise in score.exercises
        ],
        "isolation": {
            "complete": score.isolation.complete,
            "layers": list(score.isolation.layers),
            "refused": score.isolation.refused,
            "sentence": score.isolation.sentence,
        },
    }


def submitted_at(path: Path) -> str | None:
    """When a file was last changed, in UTC to the second, such as "2026-10-01T21:59:00Z"; None if it is not there."""
    try:
        changed = path.stat().st_mtime
    except OSError:
        return None
    return datetime.fromtimestamp(int(changed), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- text that is safe to show ---------------------------------------------------------------------------------------


def plain(text: str, limit: int = 120) -> str:
    """A student's text as one printable line: no control characters, no marks that turn the writing direction.

    GitHub reads `::name::` and `##[name]` in logs as commands to the runner, so these are broken up as well.
    """
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    text = "".join(character if character.isprintable() else " " for character in text)  # bidi marks and surrogates too
    return text.replace("::", ":\u200b:").replace("##[", "##\u200b[")


def file_name(name: str) -> str:
    """A student's name as the name of files: other characters than ASCII letters, digits, . _ and - become _."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".-")[:80] or "student"


def code(text: str, limit: int = 120) -> str:
    """A student's text as a Markdown code span that nothing in it can end early; "" where there is nothing to see."""
    text = plain(text, limit)
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""  # Markdown drops it again
    return f"{ticks}{space}{text}{space}{ticks}" if text.strip() else ""


def number(value: float | int) -> str:
    """A score without needless zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


# --- files -----------------------------------------------------------------------------------------------------------


def text_of(result: dict) -> str:
    """The bytes of a result's file, as text."""
    return json.dumps(result, indent=2) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write all of a file or nothing of it: a reader, or a run that is cut off, never sees half a result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def write(result: dict, out: Path) -> Path:
    """Write `out`/results/STUDENT.json and return its path."""
    path = out / FOLDER / f"{result['student']}.json"
    write_text(path, text_of(result))
    return path


def read(path: Path) -> dict:
    """A result as it was written. Raises BadResult where the file is another one, a broken one or a changed one."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadResult(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise BadResult(f"{path} is not complete JSON. Grade this submission again.") from None
    if not isinstance(result, dict) or result.get("schema") != SCHEMA:
        raise BadResult(f"{path} is not a result of this grader ({SCHEMA}). Grade this submission again.")
    if problem := _problem(result, _RESULT, "") or _disagreement(result):
        raise BadResult(f"{path} was changed, or another version wrote it: {problem}. Grade this submission again.")
    return result


def read_all(out: Path) -> list[dict]:
    """The results of a run, by the student's name. Raises BadResult, also where there are none."""
    paths = sorted((out / FOLDER).glob("[!.]*.json"))
    if not paths:
        raise BadResult(f"There are no results in {out / FOLDER}. Run `python -m labutils.grading grade` first.")
    return [read(path) for path in paths]


# --- the form of a result, for `read` --------------------------------------------------------------------------------

_FINDING = {"sentence": str, "code": str}
_GROUP = {"name": str, "passed": int, "cases": int, "score": float, "points": float}
_EXERCISE = {
    "name": str,
    "score": float,
    "points": int,
    "passed": int,
    "cases": int,
    "groups": [_GROUP],
    "findings": [_FINDING],
}
_RESULT = {
    "schema": str,
    "student": re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*"),  # it becomes the name of files
    "lab": str,
    "file": str,
    "submitted": (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), None),
    "score": float,
    "points": int,
    "findings": [_FINDING],
    "exercises": [_EXERCISE],
    "isolation": {"complete": bool, "layers": [str], "refused": {str: bool}, "sentence": str},
}


def _problem(value: Any, form: Any, where: str) -> str | None:
    """What is wrong with a value, in words; None if it has the form."""
    here = where or "the result"
    if isinstance(form, tuple):
        return None if any(_problem(value, one, where) is None for one in form) else f"{here} has another form"
    if isinstance(form, list):
        if not isinstance(value, list):
            return f"{here} is no list"
        problems = (_problem(item, form[0], f"{where}[{i}]") for i, item in enumerate(value))
        return next(filter(None, problems), None)
    if isinstance(form, dict):
        if not isinstance(value, dict):
            return f"{here} is no table"
        if str in form:
            problems = (_problem(item, form[str], f"{where}.{key}") for key, item in value.items())
            return next(filter(None, problems), None)
        if missing := form.keys() - value.keys():
            return f"{here} has no {sorted(missing)[0]!r}"
        problems = (_problem(value[key], one, f"{where}.{key}".lstrip(".")) for key, one in form.items())
        return next(filter(None, problems), None)
    if form is None:
        return None if value is None else f"{here} is not empty"
    if isinstance(form, re.Pattern):
        return None if isinstance(value, str) and form.fullmatch(value) else f"{here} has another form"
    kinds = (int, float) if form is float else (form,)
    is_kind = isinstance(value, kinds) and (form is bool or not isinstance(value, bool))
    return None if is_kind else f"{here} is not {'a number' if form in (int, float) else f'of type {form.__name__}'}"


def _disagreement(result: dict) -> str | None:
    """Which of the numbers do not add up; None if all do."""
    for exercise in result["exercises"]:
        for key in ("score", "points", "passed", "cases"):
            if round(sum(group[key] for group in exercise["groups"]), 2) != exercise[key]:
                return f"the groups of {exercise['name']} do not add up to its {key!r}"
        if any(not 0 <= group["score"] <= group["points"] for group in exercise["groups"]):
            return f"a group of {exercise['name']} earns more than it is worth"
    for key in ("score", "points"):
        if round(sum(exercise[key] for exercise in result["exercises"]), 2) != result[key]:
            return f"the exercises do not add up to the {key!r}"
    return None

"""Results as files: one folder a student with Markdown and JSON, and a summary. No student's text is shown raw."""

import json
import os
import re
import tempfile
from dataclasses import asdict
from pathlib import Path

from labutils.grading.extract import Finding
from labutils.grading.score import ExerciseScore, Score


def code(text: str, limit: int = 120) -> str:
    """A student's text as a Markdown code span: one line, no control characters, nothing that ends the span early.

    GitHub reads `::name::` and `##[name]` in logs as commands to the runner, so these are broken up as well.
    """
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    text = "".join(character if character.isprintable() else " " for character in text)  # bidi marks and surrogates too
    text = text.replace("::", ":\u200b:").replace("##[", "##\u200b[")
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""  # Markdown drops it again
    return f"{ticks}{space}{text}{space}{ticks}" if text.strip() else ""


def number(value: float) -> str:
    """A score without needless zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _item(finding: Finding) -> str:
    return f"- {finding.sentence} {code(finding.code)}".rstrip()


def _exercise(exercise: ExerciseScore) -> list[str]:
    title = f"## `{exercise.name}`: {number(exercise.score)} of {exercise.points} points"
    tests = f"{exercise.passed} of {exercise.cases} tests passed."
    return [title, "", tests, "", *map(_item, exercise.findings), *([""] if exercise.findings else [])]


def markdown(score: Score) -> str:
    """The feedback that a student reads."""
    file = ["## Your file", "", *map(_item, score.findings), ""] if score.findings else []
    lines = [
        f"# Lab {score.lab}: {number(score.score)} of {score.points} points",
        "",
        f"Student {code(score.student)}, file {code(score.file)}.",
        "",
        *file,
        *(line for exercise in score.exercises for line in _exercise(exercise)),
        "## How this was graded",
        "",
        "An exercise earns its points × the share of its tests that passed, rounded to hundredths.",
        score.isolation.sentence,
    ]
    return "\n".join(lines) + "\n"


def as_json(score: Score) -> dict:
    """Everything, for other programs. Student's text is in the fields named "code"."""
    return {
        "student": score.student,
        "lab": score.lab,
        "file": score.file,
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
                "findings": [asdict(finding) for finding in exercise.findings],
            }
            for exercise in score.exercises
        ],
        "isolation": {
            "complete": score.isolation.complete,
            "layers": score.isolation.layers,
            "refused": score.isolation.refused,
        },
    }


def _write(path: Path, text: str) -> None:
    """Write all of a file or nothing of it: a reader, or a run that is cut off, never sees half a result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def write(score: Score, out: Path) -> None:
    """Write `out`/STUDENT/feedback.md and result.json."""
    _write(out / score.student / "feedback.md", markdown(score))
    _write(out / score.student / "result.json", json.dumps(as_json(score), indent=2) + "\n")


def write_summary(scores: list[Score], out: Path) -> None:
    """Write `out`/summary.json: a line for each student, and the layers that held all of them."""
    rows = [{key: as_json(score)[key] for key in ("student", "lab", "file", "score", "points")} for score in scores]
    isolated = all(score.isolation.complete for score in scores)
    _write(out / "summary.json", json.dumps({"isolated": isolated, "results": rows}, indent=2) + "\n")

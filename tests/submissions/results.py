"""Made results, as a run of the grader would leave them."""

from labutils.grading import report
from labutils.grading.extract import Finding
from labutils.grading.sandbox import Isolation
from labutils.grading.score import ExerciseScore, Score, groups

ISOLATED = Isolation(layers=("rlimits", "seccomp"), refused={"network": True, "files": True})


def exercise(name: str, points: int, passed: str, *findings: Finding) -> ExerciseScore:
    """An exercise with a test for each letter: "x" passed, any other failed."""
    parts = groups(points, tuple(letter == "x" for letter in passed))
    return ExerciseScore(name=name, points=points, groups=parts, findings=findings)


def result(
    student: str,
    *exercises: ExerciseScore,
    lab: str = "12",
    findings: tuple[Finding, ...] = (),
    file: str = "lab.ipynb",
    submitted: str | None = "2026-10-02T10:00:00Z",
) -> dict:
    """A result as plain data."""
    score = Score(student=student, lab=lab, file=file, exercises=exercises, findings=findings, isolation=ISOLATED)
    return report.as_json(score, submitted=submitted)


def some() -> list[dict]:
    """One student who is right, one who is half right, one whose file cannot be read."""
    hint = Finding("Hint 1 of 2: Divide.")
    half = exercise("keep_top_p", 4, "xxxx-x---", Finding("You keep too many tokens.", "return logits"), hint)
    return [
        result("ada", exercise("apply_temperature", 1, "x" * 8), exercise("keep_top_p", 4, "x" * 9)),
        result("bob", exercise("apply_temperature", 1, "xx------", hint), half),
        result("cyd", lab="?", findings=(Finding("The file is empty."),)),
    ]

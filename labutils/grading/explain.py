"""Everything about one exercise of one student, for an instructor who wonders at a score.

It holds the hidden inputs and the expected results, so it is not for students.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from labutils.exercises import Exercise, exercises_of
from labutils.grading.extract import Finding, Statement, Submission
from labutils.grading.report import number, plain
from labutils.grading.sandbox import Reply, Sandbox, Session
from labutils.grading.score import Draw, ExerciseScore, Trial, grade, groups, mistake, run_tests

WIDTH = 1000  # characters of a value that are shown


def explain(
    submission: Submission,
    exercise: Exercise,
    sandbox: Sandbox,
    *,
    student: str,
    secret: str,
    recorded: dict | None = None,
) -> str:
    """Grade the lab again and show each hidden test of one exercise: inputs, what was expected, what came.

    With the seed and the name that the score was given with, these are the tests that gave it. If they do not agree
    with the result that was `recorded`, that is said. Raises SandboxError.
    """
    exercises = exercises_of(exercise.lab)
    graded = grade(submission, exercises, sandbox, student=student, file="", secret=secret)
    score = next(score for score in graded.exercises if score.name == exercise.name)
    statements = submission.needed_by(exercise.name, {one.name for one in exercises})
    parts = [*_head(score, student, graded.isolation.sentence), *_source(submission, statements)]
    if recorded:
        parts.insert(1, _comparison(score, recorded))
    definitions = submission.bindings(exercise.name)
    if definitions and not definitions[-1].is_stub:
        with Session(sandbox) as session:
            trial = run_tests(Draw(exercise, secret, student), submission, statements, session)
        parts += _trial(trial)
        if trial.passed != score.passed:
            parts.append(
                "\nThe tests above are of another run, with another outcome: this code does not always do the same."
            )
    return "\n".join(parts) + "\n"


def _head(score: ExerciseScore, student: str, isolation: str) -> Iterator[str]:
    yield f"{student}, {score.name}: {number(score.score)} of {number(score.points)} points"
    for group in score.groups:
        earned = f"{number(group.score)} of {number(group.points)} points"
        yield f"  {group.name}: {group.passed} of {group.cases} tests, {earned}"
    yield isolation
    yield "\nWhat the student is told:"
    for finding in score.findings or (Finding("nothing"),):
        yield f"  - {plain(finding.sentence, 1000)} {plain(finding.code)}".rstrip()


def _comparison(score: ExerciseScore, recorded: dict) -> str:
    now = [group.passed for group in score.groups]
    groups = [one["groups"] for one in recorded["exercises"] if one["name"] == score.name]
    then = [group["passed"] for group in groups[0]] if groups else []
    if now == then:
        return "The recorded result is the same."
    return (
        f"The recorded result is another: of the groups below, {' and '.join(map(str, then)) or 'no'} tests passed. "
        "Is it of another seed, another file or another version of the course?"
    )


def _source(submission: Submission, statements: list[Statement]) -> Iterator[str]:
    """The cells that count, with a mark at each statement that was loaded."""
    yield "\nThe student's code. Each line with > begins a statement that was loaded; the others of a cell were not:"
    if not statements:
        yield "  none"
    for cell in sorted({statement.cell for statement in statements}):
        loaded = {statement.line for statement in statements if statement.cell == cell}
        yield f"  code cell {cell + 1}" if submission.is_notebook else "  the file"
        for i, line in enumerate(submission.sources[cell].splitlines(), 1):
            yield f"  {'>' if i in loaded else ' '} {i:3}  {plain(line, 200)}".rstrip()


def _trial(trial: Trial) -> Iterator[str]:
    """The known mistake and the first failure, then all tests."""
    draw, exercise = trial.draw, trial.draw.exercise
    if trial.first:
        known = mistake(trial)
        yield f"\nThe known mistake that gives the same wrong results: {known.name if known else 'none does'}."
        yield f"The first test that fails is test {trial.first[0] + 1}."
    names = [group.name for group in groups(exercise.points, trial.right) for _ in range(group.cases)]
    for case, (reply, problem) in enumerate(trial.replies):
        yield f"\nTest {case + 1} of {exercise.cases} ({names[case]}): {'fails' if problem else 'passes'}"
        for name, value in draw.inputs(case).items():
            yield f"  {name} = {show(value)}"
        want = draw.output(exercise.reference, case)
        yield f"  {'the law: ' if exercise.random else 'expected:'} {show(want)}"
        yield f"  got:      {_got(reply)}"
        if problem and reply.outcome == "value":
            where = None if exercise.random else difference(reply.value, want)
            yield f"  {problem}" + (f"; {where}" if where else "")
            same = [one.name for one in exercise.mutants if _gives(draw, one.function, reply, case)]
            yield f"  known mistakes with this result: {', '.join(same) or 'none'}"
    if left := exercise.cases - len(trial.replies):
        yield f"\nThe last {left} tests were not run: too many before them hung or ended the process."


def _got(reply: Reply) -> str:
    if reply.outcome == "value":
        return show(reply.value)
    place = f" in code cell {reply.place[0] + 1}, line {reply.place[1]}" if reply.place else ""
    what = " ".join(filter(None, (reply.error, reply.forbidden, reply.kind)))
    return f"no result: {reply.outcome}" + (f" ({plain(what)}{place})" if what or place else "")


def _gives(draw: Draw, function: Any, reply: Reply, case: int) -> bool:
    try:
        return draw.problem(reply.value, function, case) is None
    except Exception:  # a mutant may fail where the student's mistake does not
        return False


def show(value: Any) -> str:
    """A value in one line: numbers to six digits, text without control characters, what is long cut off."""
    if isinstance(value, Tensor):
        text = f"{show(value.tolist())}  {str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    elif isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, list | tuple):
        text = f"[{', '.join(map(show, value[:WIDTH]))}]"
    elif isinstance(value, dict):
        text = f"{{{', '.join(f'{show(key)}: {show(item)}' for key, item in value.items())}}}"
    else:
        text = repr(value)
    return plain(text, WIDTH)


def difference(got: Any, want: Any, place: str = "") -> str | None:
    """The first place where two results differ, with both values; None where they have no such place."""
    at = f"at {place}: " if place else ""
    if isinstance(got, Tensor) and isinstance(want, Tensor) and got.shape == want.shape and got.ndim:
        if got.is_floating_point() or want.is_floating_point():
            other = ~torch.isclose(got.double(), want.double(), equal_nan=True)
        else:
            other = got != want
        if not other.any():
            return None
        first = other.nonzero()[0].tolist()
        return f"{at}at {first}: {show(got[tuple(first)].item())} instead of {show(want[tuple(first)].item())}"
    if isinstance(got, list | tuple) and isinstance(want, list | tuple) and len(got) == len(want):
        places = (difference(*pair, f"{place}[{i}]") for i, pair in enumerate(zip(got, want, strict=True)))
        return next(filter(None, places), None)
    if isinstance(got, dict) and isinstance(want, dict) and got.keys() == want.keys():
        places = (difference(got[key], want[key], f"{place}[{key!r}]") for key in want)
        return next(filter(None, places), None)
    if isinstance(got, Tensor) or isinstance(want, Tensor):
        return f"{at}{show(got)} instead of {show(want)}"
    both = isinstance(got, int | float) and isinstance(want, int | float) and math.isnan(got) and math.isnan(want)
    return None if both or got == want else f"{at}{show(got)} instead of {show(want)}"

"""From a submission to a score: draw the inputs, ask the student's process, compare here, explain what failed."""

import ast
import hashlib
import hmac
import inspect
import json
import textwrap
from dataclasses import dataclass
from typing import Any

import torch

from labutils.checks import compare
from labutils.exercises import Exercise, Mutant
from labutils.grading.extract import Finding, Statement, Submission
from labutils.grading.sandbox import Isolation, Reply, Sandbox, Session

_CHANGED = "The results are right, but you change an argument in place, for everybody who holds it. Work on a copy."
PATIENCE = 2  # tests of one exercise that may hang or crash before the others are given up


@dataclass(frozen=True, kw_only=True)
class ExerciseScore:
    """What one exercise earned: `points` × `passed` / `cases`, rounded to hundredths (Python's `round`)."""

    name: str
    points: int
    passed: int
    cases: int
    findings: tuple[Finding, ...]

    @property
    def score(self) -> float:
        """The points earned."""
        return round(self.points * self.passed / self.cases, 2)


@dataclass(frozen=True, kw_only=True)
class Score:
    """What one file earned, and what to tell its author."""

    student: str
    lab: str
    file: str
    exercises: tuple[ExerciseScore, ...]
    findings: tuple[Finding, ...]
    isolation: Isolation

    @property
    def score(self) -> float:
        """The sum over the exercises."""
        return round(sum((exercise.score for exercise in self.exercises), start=0.0), 2)

    @property
    def points(self) -> int:
        """The sum of what could be earned."""
        return sum(exercise.points for exercise in self.exercises)


@dataclass(frozen=True)
class Draw:
    """The tests of one exercise for one student: the same secret gives the same inputs, and nobody else's."""

    exercise: Exercise
    secret: str
    student: str

    def seed(self, case: int, purpose: str) -> int:
        """A number of 63 bits that cannot be computed without the secret."""
        message = json.dumps([self.student, self.exercise.lab, self.exercise.name, case, purpose]).encode()
        return int.from_bytes(hmac.new(self.secret.encode(), message, hashlib.sha256).digest()[:8]) >> 1

    def inputs(self, case: int) -> dict:
        """Fresh inputs: a function that changes its arguments must not change anybody else's."""
        return self.exercise.inputs(torch.Generator().manual_seed(self.seed(case, "inputs")), case)

    def output(self, function: Any, case: int) -> Any:
        """What one of our functions makes of a test."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed(case, "call"))
            return self.exercise.run(function, self.inputs(case))

    def problem(self, got: Any, function: Any, case: int) -> str | None:
        """How `got` differs from what `function` makes of a test; None if it does not."""
        want = self.output(function, case)
        try:
            return compare(got, want, self.exercise.rtol, self.exercise.atol)
        except Exception:  # `got` can be any shape of plain data
            return "the result does not have the form that was asked for"


def grade(
    submission: Submission, exercises: tuple[Exercise, ...], sandbox: Sandbox, *, student: str, file: str, secret: str
) -> Score:
    """Score a submission on the exercises of one lab. Raises SandboxError if the sandbox fails, not the submission."""
    with Session(sandbox) as session:
        scores = tuple(
            _grade_exercise(Draw(exercise, secret, student), submission, session, {e.name for e in exercises})
            for exercise in exercises
        )
        isolation = session.isolation or sandbox.isolation
    return Score(
        student=student,
        lab=exercises[0].lab,
        file=file,
        exercises=scores,
        findings=tuple(submission.findings),
        isolation=isolation,
    )


def nothing(
    exercises: tuple[Exercise, ...], isolation: Isolation, *, student: str, lab: str, file: str, why: str
) -> Score:
    """The score of a file that could not be read."""
    zeros = tuple(ExerciseScore(name=e.name, points=e.points, passed=0, cases=e.cases, findings=()) for e in exercises)
    return Score(student=student, lab=lab, file=file, exercises=zeros, findings=(Finding(why),), isolation=isolation)


def _grade_exercise(draw: Draw, submission: Submission, session: Session, names: set[str]) -> ExerciseScore:
    exercise = draw.exercise

    def result(passed: int, *findings: Finding) -> ExerciseScore:
        return ExerciseScore(
            name=exercise.name, points=exercise.points, passed=passed, cases=exercise.cases, findings=findings
        )

    definitions = submission.bindings(exercise.name)
    if not definitions:
        return result(0, _not_there(exercise, submission))
    notes = _duplicates(exercise, definitions, submission)
    if _is_stub(definitions[-1].node):
        return result(0, Finding("Not written yet."), *notes)

    statements = submission.needed_by(exercise.name, names)
    request = {
        "function": exercise.name,
        "cells": submission.cells(statements),
        "adapter": _source(exercise),
        "forbidden": list(exercise.forbidden),
    }
    replies: list[tuple[Reply, str | None]] = []
    for case in range(exercise.cases):
        reply = session.call({**request, "seed": draw.seed(case, "call")}, draw.inputs(case))
        problem = draw.problem(reply.value, exercise.reference, case) if reply.outcome == "value" else reply.outcome
        replies.append((reply, problem))
        if sum(reply.outcome in ("timeout", "died") for reply, _ in replies) == PATIENCE:
            break
    passed = sum(problem is None for _, problem in replies)
    if passed == exercise.cases:
        changed = [Finding(_CHANGED)] if any(reply.changed for reply, _ in replies) else []
        return result(passed, *changed, *_forbidden_names(exercise, statements, submission), *notes)
    if all(_is_unwritten(reply, submission) for reply, _ in replies):
        return result(0, Finding("Not written yet."), *notes)
    if len(replies) < exercise.cases:
        notes.append(Finding(f"The last {exercise.cases - len(replies)} tests were not run."))
    return result(passed, *_explain(draw, submission, replies), *notes)


def _source(exercise: Exercise) -> dict | None:
    """The adapter as text, for the student's process."""
    if exercise.adapter is None:
        return None
    return {"name": exercise.adapter.__name__, "source": textwrap.dedent(inspect.getsource(exercise.adapter))}


# --- what the syntax tree tells --------------------------------------------------------------------------------------


def _not_there(exercise: Exercise, submission: Submission) -> Finding:
    if submission.imports(exercise.name):
        return Finding(f"You import `{exercise.name}`; write it yourself, as `def {exercise.name}(...)`.")
    return Finding(
        f"There is no function `{exercise.name}` at the top level of a code cell. "
        "Keep the name that the lab gives it; a cell with a syntax error does not count."
    )


def _duplicates(exercise: Exercise, definitions: list[Statement], submission: Submission) -> list[Finding]:
    if len(definitions) == 1:
        return []
    last = submission.where(definitions[-1].cell, definitions[-1].node.lineno)
    return [Finding(f"`{exercise.name}` is defined {len(definitions)} times. The last one counts, in {last}.")]


def _is_stub(node: ast.AST) -> bool:
    if not isinstance(node, ast.FunctionDef):
        return False
    body = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    if not body or all(isinstance(statement, ast.Pass) for statement in body):
        return True
    return isinstance(body[0], ast.Raise) and "NotImplementedError" in ast.dump(body[0])


def _is_unwritten(reply: Reply, submission: Submission) -> bool:
    """Whether a line of the student's says so: torch raises the same error for number types that it cannot handle."""
    return reply.error == "NotImplementedError" and "NotImplementedError" in submission.line(*(reply.place or (0, 0)))


def _forbidden_names(exercise: Exercise, statements: list[Statement], submission: Submission) -> list[Finding]:
    """Advice, not a verdict: the calls that the exercise asks to do without, as far as their names show."""
    known: dict[str, str] = {}
    for statement in statements:
        for node in ast.walk(statement.node):
            if isinstance(node, ast.Import):
                known |= {
                    n.asname or n.name.split(".")[0]: n.name if n.asname else n.name.split(".")[0] for n in node.names
                }
            elif isinstance(node, ast.ImportFrom):
                known |= {n.asname or n.name: f"{node.module}.{n.name}" for n in node.names}

    def dotted(node: ast.AST) -> str:
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id in known:
            return ".".join([known[node.id], *reversed(parts)])
        return f"torch.Tensor.{parts[0]}" if parts else ""  # x.softmax(...): x is not a module, so perhaps a tensor

    return [
        Finding(
            f"The exercise asks you to do without `{name}`, and its name appears in "
            f"{submission.where(statement.cell, node.lineno)}. Your instructor may look at this."
        )
        for statement in statements
        if not statement.is_import
        for node in ast.walk(statement.node)
        if isinstance(node, ast.Attribute | ast.Name) and (name := dotted(node)) in exercise.forbidden
    ][:1]


# --- what the replies tell -------------------------------------------------------------------------------------------


def _explain(draw: Draw, submission: Submission, replies: list[tuple[Reply, str | None]]) -> list[Finding]:
    """The sentence for the first failure, by the mistake that explains all wrong values if there is one."""
    exercise = draw.exercise
    values = [(case, *pair) for case, pair in enumerate(replies) if pair[0].outcome == "value"]
    wrong = [(case, reply) for case, reply, problem in values if problem]
    right = [(case, reply) for case, reply, problem in values if not problem]

    def explains(mutant: Mutant) -> bool:
        return all(_same(draw, reply.value, mutant.function, case) for case, reply in wrong)

    case, reply, problem = next((i, r, p) for i, (r, p) in enumerate(replies) if p)
    if reply.outcome != "value":
        return _failure(f"Test {case + 1} of {exercise.cases}", exercise, submission, reply)
    # Of several mistakes that explain every wrong value, the one that is right most often where the student is.
    alike = [(sum(_same(draw, r.value, m.function, c) for c, r in right), m) for m in exercise.mutants if explains(m)]
    if alike:
        return [Finding(max(alike, key=lambda pair: pair[0])[1].message)]
    hint = [Finding(f"Hint: {exercise.hints[0]}")] if exercise.hints else []
    return [Finding(f"Test {case + 1} of {exercise.cases}: {problem}."), *hint]


def _same(draw: Draw, got: Any, mutant: Any, case: int) -> bool:
    try:
        return draw.problem(got, mutant, case) is None
    except Exception:  # a mutant may fail on inputs where the student's mistake does not
        return False


_ADVICE = {
    "SystemExit": "Return the result instead of leaving Python.",
    "MemoryError": "It asked for more memory than an exercise may use.",
    "RecursionError": "A function calls itself without an end.",
    "ModuleNotFoundError": "The grader has only what the labs install.",
    "ImportError": "The grader has only what the labs install.",
    "NameError": "Only imports, definitions and plain assignments at the top level of a cell are loaded.",
    "PermissionError": "The grader's process has no files, no network and no other processes. Use the arguments alone.",
    "OSError": "The grader's process has no files, no network and no other processes. Use the arguments alone.",
    "EOFError": "There is nobody to answer input(). Use the arguments alone.",
}


def _failure(test: str, exercise: Exercise, submission: Submission, reply: Reply) -> list[Finding]:
    name = f"`{exercise.name}`"
    loading = [_raised("While your code was loaded: ", submission, raised) for raised in reply.while_loading[:1]]
    sentences = {
        "missing": f"{name} was not there after your code was loaded.",
        "not plain": f"{test}: {name} must return tensors, numbers, strings, or lists and dictionaries of them "
        "(at most 64 MB).",
        "timeout": f"{test}: no answer in time. Look for a loop that does not end.",
        "died": f"{test}: your code {reply.error}.",
        "unreadable": f"{test}: the answer could not be read. {name} must return its result and do nothing else.",
        "forbidden": f"{test}: {name} calls `{reply.forbidden}`; the exercise asks you to write that yourself."
        if reply.forbidden in exercise.forbidden
        else f"{test}: {name} calls a function of labutils. It is not there when you are graded; write it yourself.",
    }
    if reply.outcome in sentences:
        return [*loading, Finding(sentences[reply.outcome])]
    if reply.error == "TypeError" and reply.place is None:
        arguments = ", ".join(inspect.signature(exercise.reference).parameters)
        return [
            Finding(f"{test}: {name} could not be called. Keep its arguments as the lab gives them: ({arguments}).")
        ]
    return [*loading, _raised(f"{test}: ", submission, reply)]


def _raised(before: str, submission: Submission, reply: Reply) -> Finding:
    """An exception as far as it may be told: its text could carry a hidden input out."""
    where = f" in {submission.where(*reply.place)}" if reply.place else ""
    line = submission.line(*reply.place) if reply.place else ""
    advice = _ADVICE.get(reply.error, "Run check() in your notebook to see the whole message.")
    if _is_unwritten(reply, submission):
        advice = "Delete that line once the function is written."
    return Finding(f"{before}{reply.error}{where}. {advice}", line)

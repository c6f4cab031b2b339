"""From a submission to a score: draw the inputs, ask the student's process, compare here, explain what failed.

What is told must not carry a hidden input out, by whatever way the student's code would smuggle it: the text or the
line of an exception, a shape, the place of a wrong number. So the hidden tests give a count and one of a fixed set of
sentences. Details come from another process, which is started anew and sees the public tests of `check()` alone.
"""

import hashlib
import hmac
import inspect
import json
import re
import textwrap
from dataclasses import dataclass
from typing import Any

import torch

from labutils.checks import judge
from labutils.exercises import Exercise, Mutant
from labutils.grading.extract import Finding, Statement, Submission
from labutils.grading.sandbox import Isolation, Reply, Sandbox, Session

PATIENCE = 2  # hidden tests of one exercise that may hang or crash before the others are given up; one public test


@dataclass(frozen=True, kw_only=True)
class Group:
    """The tests of one kind in an exercise, what they are worth and what they earned.

    All count in hundredths of a point, so that sums are exact.
    """

    name: str
    passed: int
    cases: int
    worth: int

    @property
    def points(self) -> float:
        """What the group is worth, in points."""
        return self.worth / 100

    @property
    def score(self) -> float:
        """The points earned: the share of the group's tests that passed, rounded to hundredths."""
        return round(self.worth * self.passed / self.cases) / 100


EASY, GENERAL = "small inputs and edge cases", "general inputs"


def groups(points: int, passed: tuple[bool, ...]) -> tuple[Group, ...]:
    """Part the tests of an exercise into groups; each is worth as large a share of the points as it has tests.

    `Exercise.inputs` draws what is small and what is an edge case first, so the first half of the tests is one group.
    """
    half = (len(passed) + 1) // 2
    worth = round(100 * points * half / len(passed))
    parts = [(EASY, passed[:half], worth), (GENERAL, passed[half:], 100 * points - worth)]
    return tuple(Group(name=name, passed=sum(part), cases=len(part), worth=each) for name, part, each in parts if part)


@dataclass(frozen=True, kw_only=True)
class ExerciseScore:
    """What one exercise earned, by its groups of tests."""

    name: str
    points: int
    groups: tuple[Group, ...]
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> int:
        """The number of tests that are right."""
        return sum(group.passed for group in self.groups)

    @property
    def cases(self) -> int:
        """The number of tests."""
        return sum(group.cases for group in self.groups)

    @property
    def score(self) -> float:
        """The points earned."""
        return round(sum((group.score for group in self.groups), start=0.0), 2)


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
    """The tests of one exercise for one student: the same secret gives the same inputs, and nobody else's.

    Without a secret they are the public tests of `check()`.
    """

    exercise: Exercise
    secret: str | None
    student: str

    def seed(self, case: int, purpose: str) -> int:
        """A number of 63 bits that cannot be computed without the secret; without one, what `check()` takes."""
        if self.secret is None:
            return case if purpose == "inputs" else 0
        message = json.dumps([self.student, self.exercise.lab, self.exercise.name, case, purpose]).encode()
        return int.from_bytes(hmac.new(self.secret.encode(), message, hashlib.sha256).digest()[:8]) >> 1

    def inputs(self, case: int) -> dict:
        """Fresh inputs: a function that changes its arguments must not change anybody else's."""
        return self.exercise.inputs(torch.Generator().manual_seed(self.seed(case, "inputs")), case)

    def output(self, function: Any, case: int) -> Any:
        """What one of our functions makes of a test."""
        return self._output(function, self.inputs(case), case)

    def _output(self, function: Any, inputs: dict, case: int) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed(case, "call"))  # the course's results are made without a GPU
            return self.exercise.expected(function, inputs)

    def is_view(self, case: int) -> bool:
        """Whether the reference's result shares memory with an argument, so that the student's may too."""
        inputs = self.inputs(case)
        want = self._output(self.exercise.reference, inputs, case)
        arguments = [value for value in inputs.values() if isinstance(value, torch.Tensor)]
        return isinstance(want, torch.Tensor) and any(
            want.untyped_storage().data_ptr() == argument.untyped_storage().data_ptr() for argument in arguments
        )

    def problem(self, got: Any, function: Any, case: int) -> str | None:
        """How `got` differs from what `function` makes of a test; None if it does not."""
        want = self.output(function, case)
        try:
            return judge(self.exercise, got, want)
        except Exception:  # `got` can be any shape of plain data
            return "the result does not have the form that was asked for"


@dataclass(frozen=True)
class Trial:
    """What came of the tests of one exercise, as far as they were run: a reply each, and what is wrong with it."""

    draw: Draw
    replies: tuple[tuple[Reply, str | None], ...]

    @property
    def right(self) -> tuple[bool, ...]:
        """Which tests are right. One that was not run is not."""
        run = tuple(problem is None for _, problem in self.replies)
        return run + (False,) * (self.draw.exercise.cases - len(run))

    @property
    def passed(self) -> int:
        """The number of tests that are right."""
        return sum(self.right)

    @property
    def first(self) -> tuple[int, Reply, str] | None:
        """The first test that failed: its number, the reply, what is wrong."""
        return next(((case, reply, why) for case, (reply, why) in enumerate(self.replies) if why), None)


def grade(
    submission: Submission, exercises: tuple[Exercise, ...], sandbox: Sandbox, *, student: str, file: str, secret: str
) -> Score:
    """Score a submission on the exercises of one lab. Raises SandboxError if the sandbox fails, not the submission."""
    names = {exercise.name for exercise in exercises}
    # No child of the second session has ever seen a hidden input. It is forked when the first detail is asked for.
    with Session(sandbox) as hidden, Session(sandbox) as public:
        scores = tuple(
            _grade_exercise(exercise, submission, (hidden, public), names, secret, student) for exercise in exercises
        )
        isolation = hidden.isolation or sandbox.isolation
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
    zeros = tuple(
        ExerciseScore(name=e.name, points=e.points, groups=groups(e.points, (False,) * e.cases), findings=())
        for e in exercises
    )
    return Score(student=student, lab=lab, file=file, exercises=zeros, findings=(Finding(why),), isolation=isolation)


def _grade_exercise(
    exercise: Exercise,
    submission: Submission,
    sessions: tuple[Session, Session],
    names: set[str],
    secret: str,
    student: str,
) -> ExerciseScore:
    def result(tested: Trial | None, *findings: Finding) -> ExerciseScore:
        passed = tested.right if tested else (False,) * exercise.cases
        parts = groups(exercise.points, passed)
        return ExerciseScore(name=exercise.name, points=exercise.points, groups=parts, findings=findings)

    definitions = submission.bindings(exercise.name)
    if not definitions:
        return result(None, _not_there(exercise, submission))
    notes = _duplicates(exercise, definitions, submission)
    if definitions[-1].is_stub:
        return result(None, Finding("Not written yet."), *notes)

    statements = submission.needed_by(exercise.name, names)
    hidden = run_tests(Draw(exercise, secret, student), submission, statements, sessions[0])
    if hidden.passed == exercise.cases:
        return result(hidden, *_remarks(hidden), *_forbidden_names(exercise, statements, submission), *notes)
    if len(hidden.replies) < exercise.cases:
        notes.append(Finding(f"The last {exercise.cases - len(hidden.replies)} tests were not run."))
    public = run_tests(Draw(exercise, None, student), submission, statements, sessions[1])
    if public.replies and all(_is_unwritten(reply, submission) for reply, _ in public.replies):
        return result(hidden, Finding("Not written yet."), *notes)
    return result(hidden, *explain(submission, hidden, public), *notes)


def run_tests(draw: Draw, submission: Submission, statements: list[Statement], session: Session) -> Trial:
    """Run the tests of a draw in the student's process, with these statements of theirs, and compare here."""
    request = {
        "function": draw.exercise.name,
        "cells": submission.cells(statements),
        "adapter": _source(draw.exercise),
        "forbidden": list(draw.exercise.forbidden),
    }
    replies: list[tuple[Reply, str | None]] = []
    for case in range(draw.exercise.cases):
        reply = session.call({**request, "seed": draw.seed(case, "call")}, draw.inputs(case))
        problem = draw.problem(reply.value, draw.exercise.reference, case) if reply.outcome == "value" else "no result"
        replies.append((reply, problem))
        patience = PATIENCE if draw.secret is not None else 1
        given_up = sum(reply.outcome in ("timeout", "died") for reply, _ in replies) == patience
        if given_up or reply.outcome == "late":
            break
    return Trial(draw, tuple(replies))


def _source(exercise: Exercise) -> dict | None:
    """The adapter as text, for the student's process."""
    if exercise.adapter is None:
        return None
    return {"name": exercise.adapter.__name__, "source": textwrap.dedent(inspect.getsource(exercise.adapter))}


# --- what the syntax tree tells --------------------------------------------------------------------------------------


def _not_there(exercise: Exercise, submission: Submission) -> Finding:
    name = f"`{exercise.name}`"
    if submission.imports(exercise.name):
        return Finding(f"You import {name}; write it yourself, as `def {exercise.name}(...)`.")
    if other := submission.look_alike(exercise.name):
        letter = next(letter for letter in other if ord(letter) > 127)
        return Finding(
            f"There is a name that looks like {name}, but one of its letters is of another alphabet "
            f"(U+{ord(letter):04X}). Type the name anew:",
            other,
        )
    return Finding(
        f"There is no function {name} at the top level of a code cell. "
        "Keep the name that the lab gives it; a cell with a syntax error does not count."
    )


def _duplicates(exercise: Exercise, definitions: list[Statement], submission: Submission) -> list[Finding]:
    if len(definitions) == 1:
        return []
    last = submission.where(definitions[-1].cell, definitions[-1].line)
    return [Finding(f"`{exercise.name}` is defined {len(definitions)} times. The last one counts, in {last}.")]


def _forbidden_names(exercise: Exercise, statements: list[Statement], submission: Submission) -> list[Finding]:
    """Advice, not a verdict: the calls that the exercise asks to do without, as far as their names show."""
    known: dict[str, str] = {}
    for statement in statements:
        known |= statement.imported

    def full(name: str) -> str:
        first, _, rest = name.partition(".")
        if first in known:
            return f"{known[first]}.{rest}".rstrip(".")
        return f"torch.Tensor.{rest.rpartition('.')[2]}" if rest else ""  # x.softmax(...): x is perhaps a tensor

    return [
        Finding(
            f"The exercise asks you to do without `{full(name)}`, and its name appears in "
            f"{submission.where(statement.cell, line)}. Your instructor may look at this."
        )
        for statement in statements
        for name, line in statement.uses
        if full(name) in exercise.forbidden
    ][:1]


# --- what the replies tell -------------------------------------------------------------------------------------------

_REMARKS = {
    "changed": "The results are right, but you change an argument in place, for everybody who holds it. "
    "Work on a copy.",
    "view": "The results are right, but they share memory with an argument: whoever changes one changes the other. "
    "Return a `.clone()`.",
    "gradients": "The results are right, but carry gradients on. Where nobody asks for them, return `.detach()`.",
    "subclass": "The results are right, but of a class made from `torch.Tensor`. Only their numbers were taken.",
}


def _remarks(hidden: Trial) -> list[Finding]:
    """What to tell of right results. A view is no matter where the reference gives one, too."""
    given = set[str]().union(*(reply.remarks for reply, _ in hidden.replies))
    if "view" in given:
        views = [case for case, (reply, _) in enumerate(hidden.replies) if "view" in reply.remarks]
        if "changed" in given or all(hidden.draw.is_view(case) for case in views):
            given.remove("view")
    return [Finding(sentence) for remark, sentence in _REMARKS.items() if remark in given]


def explain(submission: Submission, hidden: Trial, public: Trial) -> list[Finding]:
    """The sentences for the first failure: in detail where a public test fails, in a fixed sentence otherwise."""
    if public.first is None:
        return _explain_hidden(hidden)
    exercise = public.draw.exercise
    case, reply, problem = public.first
    test = f"Test {case + 1} of {exercise.cases} in check()"
    if reply.outcome != "value":
        return _failure(test, exercise, submission, reply)
    if mutant := mistake(public):
        return [Finding(mutant.message), *_hint(exercise)]
    return [Finding(f"{test}: {problem}."), *_hint(exercise)]


def _explain_hidden(hidden: Trial) -> list[Finding]:
    """Which sentence it is depends on the hidden tests, and nothing within the sentence does but two counts."""
    exercise = hidden.draw.exercise
    if all(reply.outcome == "value" for reply, problem in hidden.replies if problem) and (mutant := mistake(hidden)):
        return [Finding(mutant.message), *_hint(exercise)]
    assert hidden.first
    _, reply, problem = hidden.first
    words = {
        "value": _word(problem),
        "raised": "an exception is raised",
        "missing": "your function is not there",
        "not plain": "no tensor, number, string, list or dictionary comes back",
        "forbidden": "a function is called that the exercise asks you to do without",
        "timeout": "there is no answer in time",
        "late": "there is no time left",
        "died": "your code ends the process",
        "unreadable": "the answer cannot be read",
    }
    failed = exercise.cases - hidden.passed
    return [
        Finding(
            f"The tests of check() pass, but {failed} of the {exercise.cases} tests that only the grader has "
            f"{'fails' if failed == 1 else 'fail'}. In the first, {words[reply.outcome]}. "
            "Does the function work for every input that the task allows?"
        ),
        *_hint(exercise),
    ]


def _word(problem: str) -> str:
    """The kind of a problem, in words that hold nothing of the result."""
    kinds = {
        r"\bNaN$": "there is NaN in the result",
        r"\bshape is\b": "the result has another shape",
        r"\bthe (list|dictionary) has\b": "the result has other items or keys",
        r"\binstead of\b": "the result is of another kind",
    }
    return next((word for pattern, word in kinds.items() if re.search(pattern, problem)), "the result is wrong")


def _hint(exercise: Exercise) -> list[Finding]:
    """The first hint. The next ones are `check()`'s to give, one at each further try."""
    if not exercise.hints:
        return []
    first, *others = exercise.hints
    more = " check() in your notebook gives the next one." if others else ""
    return [Finding(f"Hint 1 of {1 + len(others)}: {first}{more}")]


def mistake(tested: Trial) -> Mutant | None:
    """The mistake that explains all wrong values; of several, the one that is right most often where the student is."""
    values = [(case, *pair) for case, pair in enumerate(tested.replies) if pair[0].outcome == "value"]
    wrong = [(case, reply) for case, reply, problem in values if problem]
    right = [(case, reply) for case, reply, problem in values if not problem]

    def same(reply: Reply, mutant: Mutant, case: int) -> bool:
        try:
            return tested.draw.problem(reply.value, mutant.function, case) is None
        except Exception:  # a mutant may fail on inputs where the student's mistake does not
            return False

    alike = [m for m in tested.draw.exercise.mutants if wrong and all(same(reply, m, case) for case, reply in wrong)]
    return max(alike, key=lambda m: sum(same(reply, m, case) for case, reply in right), default=None)


def _is_unwritten(reply: Reply, submission: Submission) -> bool:
    """Whether a line of the student's says so: torch raises the same error for number types that it cannot handle."""
    return reply.error == "NotImplementedError" and "NotImplementedError" in submission.line(*(reply.place or (0, 0)))


_ALONE = "The grader's process has no files, no network and no other processes. Use the arguments alone."
_ADVICE = {
    "SystemExit": "Return the result instead of leaving Python.",
    "MemoryError": "It asked for more memory than an exercise may use.",
    "RecursionError": "A function calls itself without an end.",
    "ModuleNotFoundError": "The grader has only what the labs install.",
    "ImportError": "The grader has only what the labs install.",
    "NameError": "Only imports, definitions and plain assignments at the top level of a cell are loaded.",
    "PermissionError": _ALONE,
    "FileNotFoundError": _ALONE,
    "OSError": _ALONE,
    "EOFError": "There is nobody to answer input(). Use the arguments alone.",
}


_INSTEAD = {
    "generator": "returned a generator, as every function does with a `yield` in it. Return the values in a list",
    "coroutine": "returned a coroutine: calling an `async def` runs nothing. Begin it with `def`",
    "numpy": "returned something of NumPy. Return a tensor (`torch.from_numpy`) or a plain number (`.item()`)",
    "module": "returned a module. Call it, and return what it gives",
    "tensor": "returned a tensor that is sparse, quantized or without data. Return an ordinary one (`.to_dense()`)",
    "function": "returned a function or a class. Call it, and return what it gives",
    "set": "returned a set, whose items have no order. Return what the task asks for, such as a list",
    "iterator": "returned an iterator, such as a `map` or a `range`. Put it in `list(...)`",
    "large": "returned more than 64 MB, or too many things. Return the result alone",
}


def _failure(test: str, exercise: Exercise, submission: Submission, reply: Reply) -> list[Finding]:
    name = f"`{exercise.name}`"
    loading = [_raised("While your code was loaded: ", submission, raised) for raised in reply.while_loading[:1]]
    sentences = {
        "missing": f"{name} was not there after your code was loaded.",
        "not plain": f"{test}: {name} {_INSTEAD[reply.kind]}."
        if reply.kind in _INSTEAD
        else f"{test}: {name} must return tensors, numbers, strings, or lists and dictionaries of them.",
        "late": f"{test}: there was no time left. All tests of a file together have a minute.",
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
    """An exception: its type if it is Python's own, and the line. Its text is for the notebook."""
    line = submission.line(*reply.place) if reply.place else ""
    where = f" in {submission.where(*reply.place)}" if reply.place and line else ""
    advice = _ADVICE.get(reply.error, "Run check() in your notebook to see the whole message.")
    if _is_unwritten(reply, submission):
        advice = "Delete that line once the function is written."
    return Finding(f"{before}{reply.error}{where}. {advice}", line)

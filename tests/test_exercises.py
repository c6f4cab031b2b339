"""The exercises as data: they must be well formed, accept every right answer, and tell every known mistake apart."""

import ast
import inspect
import math
import textwrap
from importlib import import_module
from operator import attrgetter
from pkgutil import iter_modules

import pytest
import torch
from exercise_inputs import draw, seeds
from hypothesis import given, settings

from labutils import exercises
from labutils.checks import compare
from labutils.exercises import Exercise, exercises_of, find

LABS = sorted(m.name.removeprefix("lab") for m in iter_modules(exercises.__path__) if m.name.startswith("lab"))
EXERCISES = [exercise for lab in LABS for exercise in exercises_of(lab)]

by_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=[e.name for e in EXERCISES])


def outcome(exercise: Exercise, function, seed: int, case: int):
    """The result, or the exception: a mutant may fail where the reference does not."""
    try:
        return exercise.run(function, draw(exercise, seed, case))
    except Exception as error:
        return error


def problems(exercise: Exercise, function, seed: int) -> list[str | None]:
    return [
        compare(
            outcome(exercise, function, seed, case),
            exercise.run(exercise.reference, draw(exercise, seed, case)),
            exercise.rtol,
            exercise.atol,
        )
        for case in range(exercise.cases)
    ]


# --- every exercise of every lab -------------------------------------------------------------------------------------


def test_names_are_unique_and_found():
    names = [exercise.name for exercise in EXERCISES]
    assert len(set(names)) == len(names)
    assert all(find(exercise.name) is exercise for exercise in EXERCISES)
    assert all(exercise.lab == lab for lab in LABS for exercise in exercises_of(lab))


def test_what_is_not_there_gets_a_sentence():
    with pytest.raises(ValueError, match=r"no exercise 'keep_top_q'. Did you mean 'keep_top_p' or 'keep_top_k'\?"):
        find("keep_top_q")
    with pytest.raises(ValueError, match=r"no exercise 'xyz'\.$"):
        find("xyz")
    with pytest.raises(ValueError, match="no lab '99' with exercises"):
        exercises_of("99")


@by_exercise
def test_an_exercise_is_complete(exercise):
    assert exercise.task.endswith(".")
    assert exercise.points >= 1
    assert exercise.minutes >= 1
    assert 1 <= exercise.difficulty <= 5
    assert 2 <= len(exercise.hints) <= 3, "two or three hints"
    assert len(exercise.mutants) >= 5, "at least five mistakes that learners make"
    assert len({mutant.name for mutant in exercise.mutants}) == len(exercise.mutants)
    messages = [mutant.message for mutant in exercise.mutants]
    assert len(set(messages)) == len(messages)
    for message in messages:
        assert message[0].isupper()
        assert message.endswith(".")
        assert message.count(". ") == 0, "one sentence"
    for name in exercise.forbidden:
        module, attribute = name.split(".", 1) if name.startswith("torch.") else name.rsplit(".", 1)
        assert callable(attrgetter(attribute)(import_module(module)))


@by_exercise
@settings(max_examples=5, deadline=None)
@given(seed=seeds)
def test_inputs_are_plain_and_drawn_from_the_generator_alone(exercise, seed):
    def is_plain(value):
        if isinstance(value, list):
            return all(map(is_plain, value))
        return type(value) in (torch.Tensor, int, float, str, bool)

    for case in range(exercise.cases):
        first, again = draw(exercise, seed, case), draw(exercise, seed, case)
        assert all(map(is_plain, first.values()))
        assert all(compare(first[key], again[key], 0.0, 0.0) is None for key in first)


@by_exercise
def test_other_seeds_draw_other_inputs(exercise):
    for case in range(exercise.cases):
        drawn = [draw(exercise, seed, case) for seed in range(6)]
        differ = any(compare(other[key], drawn[0][key], 0.0, 0.0) for other in drawn for key in other)
        assert differ, f"test {case} is the same for every student: draw something in it from the generator"


@by_exercise
@settings(max_examples=5, deadline=None)
@given(seed=seeds)
def test_the_reference_leaves_its_inputs_alone(exercise, seed):
    for case in range(exercise.cases):
        inputs, original = draw(exercise, seed, case), draw(exercise, seed, case)
        exercise.run(exercise.reference, inputs)
        assert all(compare(inputs[key], original[key], 0.0, 0.0) is None for key in inputs)


@pytest.mark.parametrize("exercise", [e for e in EXERCISES if e.adapter], ids=lambda e: e.name)
def test_an_adapter_needs_nothing_but_torch_and_math(exercise):
    """The grader sends its source to the student's process."""
    namespace = {"torch": torch, "math": math}
    source = textwrap.dedent(inspect.getsource(exercise.adapter))
    assert isinstance(ast.parse(source).body[0], ast.FunctionDef)
    exec(source, namespace)
    for case in range(exercise.cases):
        sent = namespace[exercise.adapter.__name__](exercise.reference, **draw(exercise, 1, case))
        assert compare(sent, exercise.run(exercise.reference, draw(exercise, 1, case)), 0.0, 0.0) is None


@by_exercise
@settings(max_examples=8, deadline=None)
@given(seed=seeds)
def test_every_mutant_is_killed_and_told_apart_whatever_the_seed(exercise, seed):
    """No mutant gives all the wrong results of one that comes after it, so the first that fits is the right one."""
    cases = range(exercise.cases)
    wanted = [outcome(exercise, exercise.reference, seed, case) for case in cases]
    results = [[outcome(exercise, mutant.function, seed, case) for case in cases] for mutant in exercise.mutants]

    def same(a, b):
        return not isinstance(b, Exception) and compare(a, b, exercise.rtol, exercise.atol) is None

    for i, (mutant, own) in enumerate(zip(exercise.mutants, results, strict=True)):
        wrong = [case for case in cases if not same(own[case], wanted[case])]
        assert wrong, f"no test kills {mutant.name!r}"
        for earlier, others in zip(exercise.mutants[:i], results[:i], strict=True):
            assert not all(same(own[case], others[case]) for case in wrong), (
                f"{mutant.name!r} looks like {earlier.name!r}"
            )


RIGHT = {name: functions for lab in LABS for name, functions in import_module(f"right_answers.lab{lab}").RIGHT.items()}


def test_every_exercise_has_two_other_right_answers():
    assert {name: len(functions) for name, functions in RIGHT.items() if len(functions) < 2} == {}
    assert set(RIGHT) == {exercise.name for exercise in EXERCISES}, "tests/right_answers/labNN.py has them"


@pytest.mark.parametrize(
    ("name", "function"),
    [(name, f) for name, functions in RIGHT.items() for f in functions],
    ids=lambda x: getattr(x, "__name__", x),
)
@settings(max_examples=10, deadline=None)
@given(seed=seeds)
def test_other_right_answers_are_right(name, function, seed):
    assert not any(problems(find(name), function, seed))

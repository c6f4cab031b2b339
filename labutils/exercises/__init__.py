"""Exercises as data: what the learner writes, how it is tested, and what goes wrong.

One module a lab (`lab12.py`) holds a tuple `EXERCISES`. `labutils.checks` reads it to help in the notebook,
`labutils.grading` reads it to score; neither knows anything about a particular lab.
"""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pkgutil import iter_modules

import torch


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A wrong solution that learners write, and the sentence that explains it."""

    name: str
    function: Callable
    message: str


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One function that the learner writes.

    `inputs(generator, case)` draws the arguments of test number `case` as a dictionary of plain data (tensors, numbers,
    strings, lists). The early cases are the edge cases and the small ones, so that the first failure is the easiest
    to read. `adapter`, where there is one, is called as `adapter(student_function, **inputs)` instead of
    `student_function(**inputs)`: it turns plain data into what the function wants (say, a table into a callable).
    It must be self-contained, because the grader sends its source to the student's process: only its arguments,
    `torch` and `math`.

    Where the answer is `random`, the adapter draws from the student's function and returns how often each outcome came,
    a list of whole numbers. `reference` and the mutants return the law instead, a tensor of as many probabilities, and
    are called without the adapter.

    The first of the `mutants` that gives the learner's results wherever those are wrong is the one whose message is
    shown, so a mistake that shows in few tests comes before one that shows in the same tests and others.
    """

    name: str
    lab: str
    task: str
    points: int
    minutes: int
    difficulty: int
    inputs: Callable[[torch.Generator, int], dict]
    reference: Callable
    cases: int
    hints: tuple[str, ...]
    mutants: tuple[Mutant, ...]
    adapter: Callable | None = None
    forbidden: tuple[str, ...] = ()
    random: bool = False
    rtol: float = 1e-5
    atol: float = 1e-6

    def run(self, function: Callable, inputs: dict):
        """Call `function` on `inputs`, through the adapter where there is one."""
        return self.adapter(function, **inputs) if self.adapter else function(**inputs)

    def expected(self, function: Callable, inputs: dict):
        """What the reference or a mutant makes of `inputs`: a result like the student's, or its law."""
        return function(**inputs) if self.random else self.run(function, inputs)


def exercises_of(lab: str) -> tuple[Exercise, ...]:
    """The exercises of a lab, such as "12". Raises ValueError if the lab has none."""
    try:
        return import_module(f"{__name__}.lab{lab}").EXERCISES
    except ModuleNotFoundError as error:
        if error.name == f"{__name__}.lab{lab}":
            raise ValueError(f"There is no lab {lab!r} with exercises. Give its two digits, such as '12'.") from None
        raise


def find(name: str) -> Exercise:
    """The exercise of this name, from whichever lab has it. Raises ValueError, with the nearest names, if none has."""
    modules = [module.name for module in iter_modules(__path__)]
    labs = sorted(name.removeprefix("lab") for name in modules if name.startswith("lab"))
    by_name = {exercise.name: exercise for lab in labs for exercise in exercises_of(lab)}
    if name in by_name:
        return by_name[name]
    nearest = " or ".join(repr(match) for match in get_close_matches(name, by_name, n=2))
    raise ValueError(f"There is no exercise {name!r}." + (f" Did you mean {nearest}?" if nearest else ""))

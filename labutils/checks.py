"""`check("name", function)`: what a notebook says about an exercise while its reader works on it.

The answer is one of these: a call that the exercise asks to do without; not written yet; correct; a known mistake, by
its name; a test without an answer in time; the smallest test that fails, with what came and what was expected. Practice
mode hides nothing: it is no judge. The comparison, `compare`, also serves the grader, so what it says never tells what
was expected.
"""

import ast
import importlib
import inspect
import linecache
import math
import re
import signal
import textwrap
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from labutils.exercises import Exercise, find

SECONDS = 10.0  # that a test may take; the grader gives as many
_hints_shown: Counter[str] = Counter()


def check(name: str, function: Any) -> None:
    """Test `function` as the exercise `name` and print what to do next. Raises ValueError if there is no such exercise.

    The tests are the same each time. Every further try shows the next hint; to run the stub again is no try.
    """
    exercise = find(name)
    text, hint_is_due = feedback(exercise, function)
    print(text)
    if hint_is_due and exercise.hints:
        number = min(_hints_shown[name], len(exercise.hints) - 1)
        print(f"Hint {number + 1} of {len(exercise.hints)}: {exercise.hints[number]}")
        _hints_shown[name] += text != _unwritten(exercise)


# --- running the tests -----------------------------------------------------------------------------------------------


class _NotAllowed(Exception):
    """A call that the exercise asks to do without. Its text is the dotted name."""


class _NotWritten(Exception):
    """The function is the stub that the lab hands out."""


class _TooLong(BaseException):
    """A test has taken its time. No Exception, so that the learner's own `except Exception` does not catch it."""


@dataclass(frozen=True, kw_only=True)
class _Test:
    """What one test gave: a result, or an exception. `problem` is None if the result is right."""

    case: int
    result: Any = None
    error: BaseException | None = None
    problem: str | None = None
    changed: str | None = None  # the first argument that the call changed in place


def feedback(exercise: Exercise, function: Any) -> tuple[str, bool]:
    """Test `function` and return what to tell its author, and whether a hint would help."""
    name = exercise.name
    if not callable(function):
        return f'{name}: give check the function itself, as in check("{name}", {name}).', False
    tests = []
    try:
        for case in range(exercise.cases):
            tests.append(_run(exercise, function, case))
            if isinstance(tests[-1].error, _TooLong):  # the others would take as long
                return f"{name}: test {case + 1} does not end. {_explain(exercise, function, tests[-1:])}", True
    except _NotAllowed as refusal:
        return f"{name}: please write this without `{refusal}`. Doing without it is the exercise.", False
    except _NotWritten:
        if _has_more_than_the_stub(function):
            return f"{name}: delete the line `raise NotImplementedError(...)`, since what you wrote ends there.", False
        return _unwritten(exercise), True

    wrong = [test for test in tests if test.problem]
    if wrong:
        head = f"{name}: {len(wrong)} of {len(tests)} tests fail."
        mistake = _mistake(exercise, wrong)
        return (f"{head} {mistake}", False) if mistake else (f"{head} {_explain(exercise, function, wrong)}", True)
    changed = next((test.changed for test in tests if test.changed), None)
    if changed:
        is_tensor = isinstance(_inputs(exercise, 0)[changed], Tensor)
        copy = f"{changed}.clone()" if is_tensor else f"list({changed})"
        return (
            f"{name}: the result is right, but you change the argument `{changed}` in place, and so change it for "
            f"everybody who holds it. Begin with a copy: `{changed} = {copy}`.",
            False,
        )
    points = "1 point" if exercise.points == 1 else f"{exercise.points} points"
    return f"{name}: correct ({len(tests)} tests, {points})", False


def _unwritten(exercise: Exercise) -> str:
    return f"{exercise.name}: not written yet"


def _has_more_than_the_stub(function: Callable) -> bool:
    """Whether there are statements beside the docstring and the one that raises."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):  # no source to look at
        return False
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef):
        return False
    return len(definition.body) > 1 + (ast.get_docstring(definition) is not None)


def _inputs(exercise: Exercise, case: int) -> dict:
    """The inputs of a test, drawn anew, since a call may change them."""
    return exercise.inputs(torch.Generator().manual_seed(case), case)


def _call(exercise: Exercise, function: Callable, inputs: dict) -> Any:
    """Call with a fixed seed, and leave the notebook's own random numbers as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return exercise.run(function, inputs)


def _expected(exercise: Exercise, function: Callable, case: int) -> Any:
    """What the reference or a mutant makes of a test."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return exercise.expected(function, _inputs(exercise, case))


def _run(exercise: Exercise, function: Callable, case: int) -> _Test:
    """Run one test. Raises _NotAllowed or _NotWritten."""

    def guarded(*args, **kwargs):  # the learner's function alone: the adapter is ours
        with _forbidding(exercise.forbidden, function):
            return function(*args, **kwargs)

    inputs, original = _inputs(exercise, case), _inputs(exercise, case)
    want = _expected(exercise, exercise.reference, case)
    try:
        with _limited():
            result = _snapshot(_call(exercise, guarded, inputs))
    except _NotAllowed:
        raise
    except (Exception, SystemExit, _TooLong) as error:
        # With a longer text it is torch, about a kind of number that an operation does not know.
        if isinstance(error, NotImplementedError) and str(error) in ("", "not written yet"):
            raise _NotWritten from None
        return _Test(case=case, error=error, problem="it raises an exception")
    changed = next((key for key in original if compare(inputs[key], original[key], 0.0, 0.0)), None)
    return _Test(case=case, result=result, problem=judge(exercise, result, want), changed=changed)


@contextmanager
def _limited() -> Iterator[None]:
    """Raise _TooLong in what takes longer than SECONDS. Signals do it, in the main thread alone and not on Windows."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_):
        raise _TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _snapshot(value: Any) -> Any:
    """A copy that a later call cannot change."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, list | tuple):
        return [_snapshot(item) for item in value]
    if isinstance(value, dict):
        return {key: _snapshot(item) for key, item in value.items()}
    return value


# --- calls to do without ---------------------------------------------------------------------------------------------


@contextmanager
def _forbidding(names: tuple[str, ...], function: Callable) -> Iterator[None]:
    """While it lasts, calls of these dotted names raise _NotAllowed.

    Torch's functions are met by a torch function mode, which sees them under any name. A function of labutils is
    replaced in its module and among the names that the learner's function sees, where an import may have put it.
    """
    known = getattr(inspect.unwrap(function), "__globals__", {})
    with ExitStack() as stack:
        stack.enter_context(_ForbiddenTorch([name for name in names if name.startswith("torch.")]))
        for name in names:
            if name.startswith("torch."):
                continue
            module_name, attribute = name.rsplit(".", 1)
            module = importlib.import_module(module_name)
            original, refuse = getattr(module, attribute), partial(_refuse, name)
            if function is original:
                raise _NotAllowed(name)
            stack.enter_context(patch.object(module, attribute, refuse))
            for key in [key for key, value in known.items() if value is original]:
                stack.callback(known.__setitem__, key, original)
                known[key] = refuse
        yield


def _refuse(name: str, *_args, **_kwargs) -> None:
    raise _NotAllowed(name)


class _ForbiddenTorch(TorchFunctionMode):
    def __init__(self, names: list[str]):
        super().__init__()
        self.names = {id(attrgetter(name.removeprefix("torch."))(torch)): name for name in names}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if id(func) in self.names:
            raise _NotAllowed(self.names[id(func)])
        return func(*args, **(kwargs or {}))


# --- explaining what is wrong ----------------------------------------------------------------------------------------


def _mistake(exercise: Exercise, wrong: list[_Test]) -> str | None:
    """The sentence of the first mutant that gives the learner's results wherever those are wrong."""
    if any(test.error for test in wrong):
        return None
    fits = (m for m in exercise.mutants if all(_gives(exercise, m.function, test) for test in wrong))
    return next((mutant.message for mutant in fits), None)


def _gives(exercise: Exercise, function: Callable, test: _Test) -> bool:
    try:
        result = _expected(exercise, function, test.case)
    except Exception:  # a mutant may fail where the learner's function does not
        return False
    return judge(exercise, test.result, result) is None


def _explain(exercise: Exercise, function: Callable, wrong: list[_Test]) -> str:
    """The smallest of the tests that fail, what came, and what was expected."""
    test = min(wrong, key=lambda test: _size(_inputs(exercise, test.case)))
    inputs = _inputs(exercise, test.case)
    lines = [f"Look at test {test.case + 1}:", *(f"  {key} = {_show(value)}" for key, value in inputs.items())]
    if test.error is not None:
        return "\n".join([*lines, _explain_error(exercise, function, test.error)])
    want = _expected(exercise, exercise.reference, test.case)
    exact = _show(test.result) == _show(want)  # then the difference is in the kind, or behind the digits shown
    lines += [f"  got:      {_show(test.result, exact)}", f"  expected: {_show(want, exact)}"]
    problem = f"{test.problem[0].upper()}{test.problem[1:]}." if test.problem else ""
    if test.changed:
        problem += f" Besides, you change the argument `{test.changed}` in place."
    return "\n".join([*lines, f"{problem} {_advice(test.result, want)}".strip()])


def _advice(got: Any, want: Any) -> str:
    """What to do where a result is of another kind than the expected one, or a text differs; "" for all the rest."""
    wants_tensor = isinstance(want, Tensor) and want.ndim > 0
    if got is None and want is not None:
        return "Here your function comes to its end without a `return` and a value."
    if type(got).__module__ == "numpy":
        return "`torch.from_numpy` makes a tensor of it." if wants_tensor else "`.tolist()` makes plain Python of it."
    if isinstance(got, Iterator | set | range):
        return "`list(...)` makes a list of it." if isinstance(want, list | tuple) else ""
    if isinstance(got, Tensor) and isinstance(want, list | tuple):
        return "`.tolist()` makes a list of a tensor."
    if isinstance(got, list) and wants_tensor:
        return "`torch.tensor(...)` makes a tensor of a list."
    if isinstance(got, str) and isinstance(want, str) and len(want) > 40:
        pairs = enumerate(zip(got, want, strict=False))
        first = next((i for i, (one, other) in pairs if one != other), min(len(got), len(want)))
        here, there = (repr(text[first : first + 20]) if text[first:] else "the end" for text in (got, want))
        return f"They part at character {first}: {here} instead of {there}."
    if isinstance(got, list) and isinstance(want, list | tuple) and len(got) == len(want):
        return next(filter(None, map(_advice, got, want)), "")
    return ""


def _size(value: Any) -> int:
    """How many numbers there are to read."""
    if isinstance(value, Tensor):
        return value.numel()
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return sum(map(_size, items)) + 1


def _explain_error(exercise: Exercise, function: Callable, error: BaseException) -> str:
    """The exception in one line, and the line of the learner's code where it happened."""
    message = re.sub(r" at 0x[0-9a-f]+", "", str(error)).strip().split("\n")[0]
    what = f"{type(error).__name__}: {message}" if message else type(error).__name__
    code = getattr(inspect.unwrap(function), "__code__", None)
    places = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if code and frame.f_code.co_filename == code.co_filename
    ]
    if not places and isinstance(error, TypeError):
        arguments = ", ".join(inspect.signature(exercise.reference).parameters)
        return f"It could not be called ({what}). Keep its arguments: {exercise.name}({arguments})."
    said = f"It raises {what}"
    if isinstance(error, _TooLong):
        said = f"It was stopped after {SECONDS:g} seconds: look for a loop without an end"
    if not places:
        return f"{said}."
    filename, line = places[-1]
    return f"{said}\nin line {line}: {linecache.getline(filename, line).strip()}"


def _show(value: Any, exact: bool = False) -> str:
    """A value as a reader wants it: short numbers, and of what is long the size only. Never an address in memory.

    What is `exact` shows more digits, and what is a tensor and what a list.
    """
    if isinstance(value, Tensor):
        if value.numel() > 40:
            return f"a tensor of shape {list(value.shape)}"
        return f"tensor({_show(value.tolist(), exact)})" if exact else _show(value.tolist())
    if isinstance(value, float):
        return f"{value:.9g}" if exact else f"{value + 0.0:.4g}"  # + 0.0: nobody wants to read -0
    if isinstance(value, list | tuple):
        items = ", ".join(_show(item, exact) for item in value)
        return f"[{items}]" if _size(value) <= 80 else f"a list of {len(value)} items"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_show(item, exact)}' for key, item in value.items())}}}"
    return repr(value) if value is None or type(value) in (str, bool, int) else _type(value)


# --- the comparison, which the grader shares -------------------------------------------------------------------------

FALSE_ALARM = 1e-8  # the chance that one test of a random answer refuses a right one; ten tests stay below 1e-7


def judge(exercise: Exercise, got: Any, want: Any) -> str | None:
    """Say how a result differs from what the exercise wants, without telling what that is; None if it does not."""
    if exercise.random:
        return _compare_with_law(got, want)
    return compare(got, want, exercise.rtol, exercise.atol)


def _compare_with_law(counts: Any, law: Tensor) -> str | None:
    """Refuse counts that the law makes improbable.

    If an outcome of probability p comes x times in n draws, the chance of an x that far from np, on that side, is at
    most exp(-n KL(x/n || p)) [hoeffding1963probability]. Two sides of k outcomes are 2k chances to refuse a right
    answer, so each gets FALSE_ALARM / 2k.
    """
    if not isinstance(counts, list) or [type(count) for count in counts] != [int] * len(law) or min(counts) < 0:
        return f"{_type(counts)} was returned instead of a count for each outcome"
    n = sum(counts)
    if n == 0:
        return "nothing was drawn"
    share, law = torch.tensor(counts, dtype=torch.float64) / n, law.double()
    divergence = torch.special.xlogy(share, share / law) + torch.special.xlogy(1 - share, (1 - share) / (1 - law))
    # Where p is 0 or 1 and the outcome agrees, this is NaN, which is not greater than anything.
    improbable = n * divergence > math.log(2 * len(law) / FALSE_ALARM)
    return "the outcomes do not come as often as they should" if improbable.any() else None


def compare(got: Any, want: Any, rtol: float, atol: float) -> str | None:
    """Say how `got` differs from `want`, without telling what `want` is; None if it does not.

    `want` is plain data: tensors, numbers, strings, None, and lists, tuples and dictionaries of them. Numbers are close
    if |got − want| <= atol + rtol · |want|; NaN equals NaN. The kind of number must agree (floating, integer, boolean),
    its width need not. A number and a tensor without axes are the same, and so are a list and a tuple.
    """
    if isinstance(want, Tensor) and want.ndim > 0:
        return _compare_tensors(got, want, rtol, atol)
    got, want = _unwrap(got), _unwrap(want)
    if isinstance(want, list | tuple):
        return _compare_sequences(got, want, rtol, atol)
    if isinstance(want, dict):
        return _compare_dictionaries(got, want, rtol, atol)
    if isinstance(want, bool | str) or want is None:
        if type(got) is not type(want):
            return f"{_type(got)} was returned instead of {_type(want)}"
        return None if got == want else "the result is wrong"
    if isinstance(got, bool) or not isinstance(got, int | float):
        return f"{_type(got)} was returned instead of a number"
    if math.isnan(got) and not math.isnan(want):
        return "the result is NaN"
    # Same numbers of different kind, such as 3.0 and 3, count as equal.
    both_nan = math.isnan(got) and math.isnan(want)
    close = math.isfinite(want) and abs(got - want) <= atol + rtol * abs(want)  # all is near infinity, by that measure
    return None if both_nan or got == want or close else "the result is wrong"


def _unwrap(value: Any) -> Any:
    """The number in a tensor without axes."""
    return value.item() if isinstance(value, Tensor) and value.ndim == 0 else value


def _compare_tensors(got: Any, want: Tensor, rtol: float, atol: float) -> str | None:
    if not isinstance(got, Tensor):
        return f"{_type(got)} was returned instead of a tensor"
    if got.shape != want.shape:
        return f"the shape is {list(got.shape)} instead of {list(want.shape)}"
    if _kind(got) != _kind(want):
        return f"the tensor holds {_kind(got)} instead of {_kind(want)}"
    got, want = got.detach().cpu(), want.detach().cpu()
    nan = got.isnan() & ~want.isnan()
    if nan.any():
        return f"{_places(nan)} NaN"
    if want.is_floating_point():
        wrong = ~torch.isclose(got.double(), want.double(), rtol=rtol, atol=atol, equal_nan=True)
    else:
        wrong = got != want
    return f"{_places(wrong)} wrong" if wrong.any() else None


def _kind(tensor: Tensor) -> str:
    if tensor.dtype == torch.bool:
        return "truth values"
    if tensor.is_complex():
        return "complex numbers"
    return "floating-point numbers" if tensor.is_floating_point() else "whole numbers"


def _places(wrong: Tensor) -> str:
    first = wrong.nonzero()[0].tolist()
    count = int(wrong.sum())
    if count == 1:
        return f"1 of {wrong.numel()} numbers, at {first}, is"
    return f"{count} of {wrong.numel()} numbers, the first at {first}, are"


def _compare_sequences(got: Any, want: list | tuple, rtol: float, atol: float) -> str | None:
    if not isinstance(got, list | tuple):
        return f"{_type(got)} was returned instead of a list"
    if len(got) != len(want):
        items = "1 item" if len(got) == 1 else f"{len(got)} items"
        return f"the list has {items}, which is too {'many' if len(got) > len(want) else 'few'}"
    for i, (item, wanted) in enumerate(zip(got, want, strict=True)):
        problem = compare(item, wanted, rtol, atol)
        if problem:
            return f"item {i}: {problem}"
    return None


def _compare_dictionaries(got: Any, want: dict, rtol: float, atol: float) -> str | None:
    if not isinstance(got, dict):
        return f"{_type(got)} was returned instead of a dictionary"
    if got.keys() != want.keys():
        return "the dictionary has other keys than it should have"
    for key, wanted in want.items():
        problem = compare(got[key], wanted, rtol, atol)
        if problem:
            return f"{key}: {problem}"
    return None


def _type(value: Any) -> str:
    """The type of a value with its article, such as "a list"."""
    if value is None:
        return "None"
    names = {int: "whole number", float: "number", bool: "truth value", str: "string", Tensor: "tensor"}
    names |= {dict: "dictionary", torch.nn.Parameter: "tensor"}
    name = "NumPy array" if type(value).__name__ == "ndarray" else names.get(type(value), type(value).__name__)
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"

"""Honest, mistaken and hostile submissions, each with the score it must get and the sentence it must hear.

The attacks are in `submissions.attacks`. They run behind the inner ring alone, and those that try the machine behind
the outer ring too, where there is one.
"""

import hashlib
import inspect
import os
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from submissions import COUNT, FOLLOW, RIGHT, SETUP, SOFTEN, as_bytes, attacks, lab99, notebook
from submissions.attacks import before, instead, written

from labutils.grading import formats, report
from labutils.grading.extract import Unreadable, parse
from labutils.grading.outer import wrap
from labutils.grading.rings import READ_FILE, _readable
from labutils.grading.sandbox import COURSE, Sandbox, Session, _read
from labutils.grading.score import Draw, Score, _failure, grade

DEADLINE = 3.0
# Attacks that only end when their time is up get little of it.
SLOW = {
    "endless loop", "endless sleep", "endless loop that catches everything", "endless loop while loading",
    "an endless number", "a list without an end", "a frame that never ends",
}  # fmt: skip
# Attacks on what the same process does later: the student's own other exercises.
OWN_GOALS = {"patches tensors' detach", "poisons sys.modules", "answers before it is asked"}
RINGS = ["inner", "outer"] if wrap(["true"], COURSE) else ["inner"]


@pytest.fixture(scope="module")
def sandboxes() -> Iterator[dict[str, Sandbox]]:
    with Sandbox(deadline=DEADLINE, memory=256 << 20, without=("bubblewrap",)) as inner:
        if "outer" not in RINGS:
            yield {"inner": inner}
            return
        with Sandbox(deadline=DEADLINE, memory=256 << 20) as outer:
            yield {"inner": inner, "outer": outer}


@pytest.fixture(scope="module")
def sandbox(sandboxes) -> Sandbox:
    return sandboxes[RINGS[-1]]


def score(sandbox: Sandbox, *cells: str, student: str = "ada", secret: str = "hidden-seed") -> Score:
    with Session(sandbox) as session:
        submission = session.read(as_bytes(notebook(list(cells))), is_notebook=True)
    return grade(submission, lab99.EXERCISES, sandbox, student=student, file="a.ipynb", secret=secret)


def feedback(score: Score) -> str:
    return formats.feedback(report.as_json(score))


def points(score: Score) -> list[float]:
    return [exercise.score for exercise in score.exercises]


def reports_of_another(sandbox: Sandbox) -> list[str]:
    """What a student hears who is right, and one who is not."""
    wrong = [SETUP, instead("/ temp", "* temp"), COUNT]
    return [feedback(score(sandbox, *cells, student="bob")) for cells in (RIGHT, wrong)]


@pytest.fixture(scope="module", autouse=True)
def untouched(sandboxes) -> dict[str, list[str]]:
    """What another student hears before any attack."""
    return {ring: reports_of_another(sandbox) for ring, sandbox in sandboxes.items()}


def processes(sandbox: Sandbox) -> set[str]:
    """The processes below the grader's, whatever their parents are."""
    found, waiting = set(), [str(sandbox._process.pid)]
    while waiting:
        for task in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            children = task.read_text().split()
            found.update(children)
            waiting += children
    return found


def files_left() -> list[Path]:
    """What bears the mark of the attacks, in the folders that they try."""
    folders = {tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm", "/run", "/", ".", str(Path.home())}
    return [path for folder in folders for path in Path(folder).glob(f"*{attacks.MARK}*")]


def test_all_layers_are_applied_and_seen_to_hold(sandboxes):
    for ring, sandbox in sandboxes.items():
        assert sandbox.isolation.complete, sandbox.isolation
        layers = sandbox.isolation.layers
        assert layers[-4:-2] == ("rlimits", "no capabilities")
        assert layers[-1] == "seccomp (allow-list)"
        assert layers[0].startswith("bubblewrap") == (ring == "outer")


def test_a_right_submission_earns_everything_and_hears_nothing(sandbox):
    result = score(sandbox, *RIGHT)
    assert points(result) == [4, 2, 1]
    assert result.score == result.points == 7
    assert not any(exercise.findings for exercise in result.exercises)


def test_the_same_secret_gives_the_same_bytes_and_another_student_other_inputs(sandbox):
    wrong = SOFTEN.replace("/ temperature", "- temperature")
    first, again = (feedback(score(sandbox, SETUP, wrong, COUNT)) for _ in range(2))
    assert first == again
    draws = [
        Draw(lab99.EXERCISES[0], secret, student) for secret, student in [("s", "ada"), ("s", "bob"), ("t", "ada")]
    ]
    assert len({draw.inputs(0)["logits"].sum().item() for draw in draws}) == 3
    assert draws[0].seed(0, "inputs") != draws[0].seed(0, "call")


# What the submission does: its version of `soften` (4 points, 4 tests), what that earns, and what the student hears.
HONEST = {
    "a known mistake, right at 1": (instead("/ temp", "* temp"), 1, "You multiply by the temperature. Divide by it."),
    "an unknown mistake": (instead("/ temperature", "/ min(temperature, 2.0)"), 3, "Test 4 of 4 in check(): "),
    "wrong": (written("return logits * 0"), 0, "Hint 1 of 1: Divide before"),
    "missing": ("softened = 3", 0, "no function `soften`"),
    "stub": (written("'Doc.'", "raise NotImplementedError('not written yet')"), 0, "Not written yet."),
    "stub that was begun": (written("y = 1", "raise NotImplementedError"), 0, "Not written yet."),
    "the course's version": ("from labutils.sampling import soften", 0, "You import `soften`"),
    "calls the course's": ("from labutils.world import f\n" + before("f(1)"), 0, "calls a function of labutils"),
    "forbidden": (written("return torch.softmax(logits / temperature, -1)"), 0, "calls `torch.softmax`"),
    "forbidden method": (written("return (logits / temperature).softmax(-1)"), 0, "calls `torch.Tensor.softmax`"),
    "forbidden, renamed": (
        "import torch.nn.functional as F\n" + written("return F.softmax(logits / temperature, -1)"),
        0,
        "calls `torch.nn.functional.softmax`",
    ),
    "forbidden, never reached": (
        before("if temperature < 0: torch.softmax(logits, 0)"),
        4,
        "to do without `torch.softmax`",
    ),
    "other arguments": (
        "def soften(x, t):\n    return x",
        0,
        "Keep its arguments as the lab gives them: (logits, temp",
    ),
    "raises": (written("return logits @ logits"), 0, "RuntimeError in code cell 2, line 2"),
    "not plain data": (written("return object()"), 0, "must return tensors"),
    "NaN": (written("return float('nan') * logits"), 0, "Test 1 of 4"),
    "wrong shape": (written("return logits[0]"), 0, "Test 1 of 4"),
    "wrong type": (written("return 'softmax'"), 0, "Test 1 of 4"),
    "a helper, a constant, a late annotation": (
        "from __future__ import annotations\nZERO = 0.0\ndef scale(x, t: Unknown):\n    return x / t + ZERO\n"
        + instead("logits / temperature", "scale(logits, temperature)"),
        4,
        "",
    ),
    "prints 50 MB": (before("print('x' * 50_000_000)"), 4, ""),
    "gradients": (before("logits.requires_grad_()"), 4, "but carry gradients on"),
    "a view of its argument": (
        SOFTEN.replace("return weights", "logits[:] = weights").replace("keepdim=True)\n", "keepdim=True)\n", 1)
        + "    return logits\n",
        4,
        "you change an argument in place",
    ),
    "a parameter": (
        instead("return weights /", "return torch.nn.Parameter(weights /")[:-1] + ")\n",
        4,
        "of a class made",
    ),
    "a warning": (before("import warnings; warnings.warn('careful')"), 4, ""),
    "changes its argument": (before("logits -= logits.max()"), 4, "you change an argument in place"),
    "torch raises NotImplementedError": (
        written("torch.empty(2, dtype=torch.bits8) + 1", "return logits"),
        0,
        "NotImplementedError in code cell 2, line 2. Run check()",
    ),
    "defined twice": (written("return 0") + SOFTEN, 4, "is defined 2 times"),
    "the checker beside it": ("from labutils.checks import check\n" + before("check('soften', soften)"), 4, ""),
    "a helper that raises": (
        "T = 1 / 0\n" + instead("/ temperature", "/ T"),
        0,
        "ZeroDivisionError in code cell 2, line 1",
    ),
    "raises where nothing needs it": ("T = 1 / 0\nraise SystemExit\n" + SOFTEN, 4, ""),
    "imports what is not there": (
        "import numba\n" + before("numba.jit"),
        0,
        "ModuleNotFoundError in code cell 2, line 1",
    ),
    "asks for input": (before("input()"), 0, "nobody to answer input()"),
    "statements in another order": ("ONE = HALF * 2\nHALF = 0.5\n" + instead("logits /", "ONE * logits /"), 4, ""),
    "a name that is nowhere": (
        "ONE = NONE * 2\n" + instead("logits /", "ONE * logits /"),
        0,
        "NameError in code cell 2",
    ),
    "a lambda": ("soften = lambda logits, temperature: -logits", 0, "Test 1 of 4"),
    "reads a file": (before("open('/etc/hostname').read()"), 0, "has no files"),
    "writes a file": (before("open('notes.txt', 'w')"), 0, "has no files"),
}

CASES = [
    *((name, case, RINGS[-1]) for name, case in HONEST.items()),
    *((name, case, ring) for name, case in (attacks.LOOKING | attacks.MACHINE).items() for ring in RINGS),
    *((name, case, "inner") for name, case in (attacks.LYING | attacks.WIRE | attacks.TEXT).items()),
]


@pytest.mark.parametrize(("name", "case", "ring"), CASES, ids=[f"{name}, {ring}" for name, _, ring in CASES])
def test_soften(sandboxes, monkeypatch, name, case, ring):
    source, expected, sentence = case
    sandbox = sandboxes[ring]
    monkeypatch.setattr(sandbox, "deadline", 0.7 if name in SLOW else DEADLINE)
    held, start = processes(sandbox), time.monotonic()
    result = score(sandbox, SETUP, source, COUNT, FOLLOW)
    assert time.monotonic() - start < 4 * DEADLINE
    text = feedback(result)
    assert points(result)[0] == expected, text
    if name not in OWN_GOALS:
        assert points(result)[1:] == [2, 1], text  # one exercise never costs another
    assert sentence in text
    assert bool(sentence) <= bool(result.exercises[0].findings), text
    assert "\n::" not in text
    assert processes(sandbox) == held
    assert not os.listdir(sandbox._folder.name)
    assert not files_left()


@pytest.mark.parametrize("name", attacks.UNREADABLE)
def test_a_file_that_is_too_much_gets_a_sentence(sandboxes, monkeypatch, name):
    monkeypatch.setattr(sandboxes["inner"], "deadline", 0.7)
    with pytest.raises(Unreadable, match="Python could not read the code in this file"):
        score(sandboxes["inner"], SETUP, attacks.UNREADABLE[name])


def test_another_student_gets_the_same_as_before_the_attacks(sandboxes, untouched):
    """This stands after them in the file."""
    assert {ring: reports_of_another(sandbox) for ring, sandbox in sandboxes.items()} == untouched


@pytest.mark.parametrize("name", attacks.LEAKS)
def test_what_is_told_does_not_depend_on_the_hidden_inputs(sandboxes, name):
    """Other secrets draw other inputs, and so the leak would say something else."""
    told = {feedback(score(sandboxes["inner"], SETUP, attacks.LEAKS[name], secret=s)) for s in ("a", "b", "c")}
    assert len(told) == 1
    assert not re.search(r"Secret\d", told.pop())


# Right in the public tests, and otherwise as the hidden input has it: there is nothing to tell but which of a few
# sentences it is, and how many tests passed.
PATIENT = f"""
PUBLIC = {sorted(round(attacks._PUBLIC.inputs(case)["logits"].sum().item(), 3) for case in range(4))}
def patient(logits, temperature):
    number = int(1e4 * logits.abs().max()) % 97
    raise type(f"Secret{{number}}", (Exception,), {{}})(f"Secret{{number}}")
def soften(logits, temperature):
    if round(logits.sum().item(), 3) not in PUBLIC:
        patient(logits, temperature)
    weights = torch.exp(logits / temperature)
    return weights / weights.sum(-1, keepdim=True)
"""


def test_where_only_hidden_tests_fail_the_sentence_is_a_fixed_one(sandboxes):
    told = {feedback(score(sandboxes["inner"], SETUP, PATIENT, secret=s)) for s in ("a", "b")}
    assert len(told) == 1
    text = told.pop()
    assert "The tests of check() pass, but 4 of the 4 tests that only the grader has fail. In the first, an exc" in text
    assert "line" not in text.split("## `count`")[0]


def test_an_adapter_runs_beside_the_student_and_passes_only_plain_data(sandbox):
    off_by_one = FOLLOW.replace("< length", "<= length")
    assert points(score(sandbox, SETUP, SOFTEN, COUNT, off_by_one)) == [4, 2, 0]
    leaves = FOLLOW.replace("path = [start]", "path = [start]; import os; os._exit(3)")
    assert points(score(sandbox, SETUP, SOFTEN, COUNT, leaves)) == [4, 2, 0]


def test_no_connection_arrives(sandbox):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        attack = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}))"
        assert points(score(sandbox, SETUP, before(attack)))[0] == 0
        with pytest.raises(TimeoutError):
            server.accept()


def test_an_installed_course_is_left_out_of_what_may_be_read(tmp_path: Path):
    course = tmp_path / "lib" / "site-packages" / "labutils"
    for folder in (course / "exercises", course.parent / "torch", tmp_path / "lib" / "json"):
        folder.mkdir(parents=True)
    files = {path for path, rights in _readable(tmp_path / "lib", course) if rights & READ_FILE}
    assert files == {course.parent / "torch", tmp_path / "lib" / "json"}


def test_without_the_layers_the_report_says_so():
    with Sandbox(deadline=DEADLINE, without=("landlock", "seccomp", "bubblewrap")) as sandbox:
        assert not sandbox.isolation.complete
        result = score(sandbox, *RIGHT)
        assert result.score == 7
        ways = "network, processes, signals, files"
        assert f"NOT isolated: the way to {ways} stayed open" in feedback(result)
        held = processes(sandbox)
        flees = ("import os, time", "if os.fork() == 0:", "    os.setsid()", "    os.fork()", "    time.sleep(99)")
        assert points(score(sandbox, SETUP, before(*flees), COUNT, FOLLOW))[1:] == [2, 1]
        assert processes(sandbox) == held  # whoever leaves the process group is found by the zygote


def request(source: str) -> dict:
    """What asks for the function `f`, in the second statement."""
    cells = [{"index": 0, "source": source, "statements": [0, 1]}]
    return {"function": "f", "cells": cells, "adapter": None, "forbidden": [], "seed": 1}


def test_a_session_starts_anew_after_each_death(sandbox):
    leaves = request("import os\ndef f(x):\n    os._exit(x)")
    with Session(sandbox) as session:
        assert [session.call(leaves, {"x": x}).outcome for x in (0, 1, "no")] == ["died", "died", "raised"]


def test_an_answer_given_before_the_question_is_not_taken(sandbox):
    early = """import json, os, struct
def f():
    answer = json.dumps({"id": 1, "ok": True, "raised": [], "remarks": [], "value": "forged"}).encode()
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, 2 * (struct.pack("<II", len(answer), 0) + answer))
        except OSError:
            pass"""
    with Session(sandbox) as session:
        assert session.call(request(early), {}).value == "forged"  # to its own question it may say what it likes
        assert session.call(request(early), {}).outcome == "unreadable"


def test_words_of_the_childs_own_do_not_come_through():
    secret = "the hidden input is 7"
    forged = {"ok": False, "raised": [], "error": secret, "place": [0, secret], "forbidden": secret}
    reply = _read(forged)
    assert (reply.outcome, reply.error, reply.place) == ("raised", "an exception", None)
    cell, error = parse(as_bytes(notebook([SOFTEN]))), {**forged, "error": "NotAllowed", "place": [10**9, -1]}
    findings = _failure("Test 1", lab99.EXERCISES[0], cell, _read(error))
    assert "labutils" in findings[0].sentence
    assert secret not in str(findings)
    raised = _failure("Test 1", lab99.EXERCISES[0], cell, _read({**error, "error": "KeyError"}))
    assert raised[0].code == ""


def test_code_spans_hold_whatever_is_in_them():
    for text in ("`", "a``b", "x\n::error::y", "##[group]", "\u202eabc", "\ud800a", "<script>", "x" * 10_000):
        span = formats.code(text)
        span.encode()
        assert "\n" not in span
        assert "::" not in span
        assert len(span) < 200
        ticks = span[: len(span) - len(span.lstrip("`"))]
        assert span.endswith(ticks)
        assert ticks not in span[len(ticks) : -len(ticks)]


def test_the_secret_is_not_a_checksum_of_the_student():
    draw = Draw(lab99.EXERCISES[0], "s", "ada")
    assert draw.seed(0, "inputs") != int.from_bytes(hashlib.sha256(b"ada").digest()[:8]) >> 1
    assert "secret" not in inspect.signature(Session.call).parameters

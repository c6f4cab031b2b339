"""Honest, mistaken and hostile submissions, each with the score it must get and the sentence it must hear.

Most attacks end in the right answer: they earn points only if what they try before succeeds.
"""

import hashlib
import inspect
import os
import re
import socket
import time
from pathlib import Path

import pytest
import torch
from submissions import COUNT, FOLLOW, RIGHT, SETUP, SOFTEN, as_bytes, lab99, notebook

from labutils.grading import frames, report
from labutils.grading.extract import parse
from labutils.grading.rings import READ_FILE, _readable
from labutils.grading.sandbox import COURSE, Sandbox, Session, _read
from labutils.grading.score import Draw, Score, _failure, grade

DEADLINE = 3.0


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(deadline=DEADLINE, memory=256 << 20) as sandbox:
        yield sandbox


def score(sandbox: Sandbox, *cells: str, student: str = "ada", secret: str = "s") -> Score:
    submission = parse(as_bytes(notebook(list(cells))))
    return grade(submission, lab99.EXERCISES, sandbox, student=student, file="a.ipynb", secret=secret)


def points(score: Score) -> list[float]:
    return [exercise.score for exercise in score.exercises]


def test_all_layers_are_applied_and_seen_to_hold(sandbox):
    assert sandbox.isolation.complete, sandbox.isolation


def test_a_right_submission_earns_everything_and_hears_nothing(sandbox):
    result = score(sandbox, *RIGHT)
    assert points(result) == [4, 2, 1]
    assert result.score == result.points == 7
    assert not any(exercise.findings for exercise in result.exercises)


def test_the_same_secret_gives_the_same_bytes_and_another_student_other_inputs(sandbox):
    wrong = SOFTEN.replace("/ temperature", "- temperature")
    first, again = (report.markdown(score(sandbox, SETUP, wrong, COUNT)) for _ in range(2))
    assert first == again
    draws = [
        Draw(lab99.EXERCISES[0], secret, student) for secret, student in [("s", "ada"), ("s", "bob"), ("t", "ada")]
    ]
    assert len({draw.inputs(0)["logits"].sum().item() for draw in draws}) == 3
    assert draws[0].seed(0, "inputs") != draws[0].seed(0, "call")


def written(*lines: str) -> str:
    """The function with this body."""
    return "def soften(logits, temperature):\n" + "".join(f"    {line}\n" for line in lines)


def before(*lines: str) -> str:
    """The right function, with these lines before its first."""
    return SOFTEN.replace("    scaled", "".join(f"    {line}\n" for line in lines) + "    scaled", 1)


def instead(old: str, new: str) -> str:
    """The right function with something replaced."""
    assert old in SOFTEN
    return SOFTEN.replace(old, new)


# What the submission does: its version of `soften` (4 points, 4 tests), what that earns, and what the student hears.
HONEST = {
    "a known mistake, right at 1": (instead("/ temp", "* temp"), 1, "You multiply by the temperature. Divide by it."),
    "an unknown mistake": (instead("/ temperature", "/ min(temperature, 2.0)"), 3, "Test 4 of 4: "),
    "wrong": (written("return logits * 0"), 0, "Hint: Divide before"),
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
    "gradients": (before("logits.requires_grad_()"), 4, ""),
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
    "reads a file": (before("open('/etc/hostname').read()"), 0, "has no files"),
    "writes a file": (before("open('notes.txt', 'w')"), 0, "has no files"),
}

WALK = """
import gc, sys
def soften(logits, temperature):
    found, frame = [], sys._getframe()
    while frame:
        names = {*frame.f_locals, *frame.f_globals}
        found += names & {"want", "expected", "reference", "compare", "Exercise"}
        frame = frame.f_back
    found += [thing for thing in gc.get_objects() if type(thing).__name__ in ("Exercise", "Mutant", "Draw")]
    found += [module for name, module in sys.modules.items() if name.startswith("labutils.exercises")]
    weights = torch.exp(logits / temperature)
    return weights / weights.sum(-1, keepdim=True) if found else logits
"""
LIAR = """
class Liar(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return True
    def __eq__(self, other):
        return True
def soften(logits, temperature):
    return logits.as_subclass(Liar)
"""
FORGE = """
import json, os, struct
def soften(logits, temperature):
    for verdict in ({"ok": True, "score": 100, "value": None, "raised": [], "changed": False, "id": 1}, {"score": 100}):
        header = json.dumps(verdict).encode()
        for descriptor in range(3, 64):
            try:
                os.write(descriptor, struct.pack("<II", len(header), 0) + header)
            except OSError:
                pass
    return logits
"""
PACKER = """
import sys
def soften(logits, temperature):
    frame = sys._getframe()
    while "frames" not in frame.f_globals:
        frame = frame.f_back
    frame.f_globals["frames"].pack = lambda *_: b"x" * 100
    return logits
"""
PAST_THE_STAND_IN = (
    "import sys",
    "sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != 'StandIns']",
    "[sys.modules.pop(name) for name in list(sys.modules) if name.startswith('labutils')]",
    f"sys.path.insert(0, {str(COURSE.parent)!r})",
    "import labutils.exercises",
)
LEAK = (
    "secret = int(1e6 * logits.abs().max())",
    "raise type(f'Secret{secret}', (Exception,), {})(f'Secret{secret}')",
)
SHARED = "from multiprocessing.shared_memory import SharedMemory; SharedMemory(create=True, size=9)"

HOSTILE = {
    "endless loop": (before("while True: pass"), 0, "no answer in time"),
    "sys.exit": (before("import sys; sys.exit(0)"), 0, "SystemExit"),
    "os._exit": (before("import os; os._exit(0)"), 0, "ended the process"),
    "os._exit once": (before("import os", "if temperature == 2.0: os._exit(0)"), 3, "ended the process"),
    "os._exit while loading": ("import os\nX = os._exit(0)\n" + before("X"), 0, "ended the process"),
    "segmentation fault": (before("import ctypes; ctypes.string_at(0)"), 0, "crashed the interpreter"),
    "huge tensor": (before("torch.zeros(10**12)"), 0, "MemoryError"),
    "huge list": (before("x = []", "while True: x.append(bytearray(10**8))"), 0, "MemoryError"),
    "endless recursion": (written("return soften(logits, temperature)"), 0, "RecursionError"),
    "huge answer": (written("return torch.zeros(1).expand(10**8)"), 0, "must return tensors"),
    "patches torch.allclose": (
        written("torch.allclose = torch.equal = lambda *_, **__: True", "return logits"),
        0,
        "Test 1",
    ),
    "patches tensors' ==": (written("torch.Tensor.__eq__ = lambda *_: True", "return logits"), 0, "Test 1"),
    "patches isinstance": (
        written("import builtins; builtins.isinstance = lambda *_: True", "return logits"),
        0,
        "Test 1",
    ),
    "a subclass that says yes": (LIAR, 0, "Test 1 of 4"),
    "walks frames and the collector": (WALK, 0, "Test 1 of 4"),
    "forges frames": (FORGE, 0, "Test 1 of 4"),
    "an oversized frame": (FORGE.replace("len(header), 0", "2**32 - 1, 2**32 - 1"), 0, "could not be read"),
    "patches the packer": (PACKER, 0, "could not be read"),
    "imports the reference": (
        "from labutils.exercises.lab12 import EXERCISES\n" + before("EXERCISES()"),
        0,
        "of labutils",
    ),
    "imports it past the stand-in": (before(*PAST_THE_STAND_IN), 0, "Error in code cell 2, line 8"),
    "reads the course": (before(f"open({str(COURSE / 'exercises' / '__init__.py')!r})"), 0, "PermissionError"),
    "reads the grader's memory": (before("import os; open(f'/proc/{os.getppid()}/mem', 'rb')"), 0, "PermissionError"),
    "lists processes": (before("import os; os.listdir('/proc')"), 0, "PermissionError"),
    "network": (before("import socket; socket.socket()"), 0, "no network"),
    "local sockets": (before("import socket; socket.socketpair()"), 0, "no network"),
    "subprocess": (before("import subprocess; subprocess.run(['true'])"), 0, "no other processes"),
    "os.system": (before("import os; assert os.system('true') == 0"), 0, "AssertionError"),
    "fork": (before("import os; os.fork() or os._exit(0)"), 0, "PermissionError"),
    "kills the zygote": (before("import os; os.kill(os.getppid(), 9)"), 0, "PermissionError"),
    "kills itself": (before("import os; os.kill(os.getpid(), 9)"), 0, "PermissionError"),
    "raises its limits": (before("import resource; resource.setrlimit(9, (-1, -1))"), 0, "ValueError"),
    "lowers its parent's": (
        before("import os, resource; resource.prlimit(os.getppid(), 7, (0, 0))"),
        0,
        "PermissionError",
    ),
    "changes modes": (before("import os; os.chmod('/tmp', 0o777)"), 0, "PermissionError"),
    "shared memory": (before(SHARED), 0, "PermissionError"),
    "reads the environment": (before("import os; os.environ['PYTHONUTF8']"), 0, "KeyError"),
    "leaks by an exception's name": (written(*LEAK), 0, "Exception in code cell 2, line 3"),
    "commands to the runner": (written("::error::x"), 0, "syntax error in code cell 2"),
}


@pytest.mark.parametrize("name", [*HONEST, *HOSTILE])
def test_soften(sandbox, name):
    source, expected, sentence = (HONEST | HOSTILE)[name]
    start = time.monotonic()
    result = score(sandbox, SETUP, source, COUNT, FOLLOW)
    text = report.markdown(result)
    assert points(result) == [expected, 2, 1], text  # one exercise never costs another
    assert sentence in text
    assert bool(sentence) == bool(result.exercises[0].findings), text
    assert not re.search(r"Secret\d", text)
    assert "\n::" not in text
    assert time.monotonic() - start < 3 * DEADLINE


def test_an_adapter_runs_beside_the_student_and_passes_only_plain_data(sandbox):
    off_by_one = FOLLOW.replace("< length", "<= length")
    assert points(score(sandbox, SETUP, SOFTEN, COUNT, off_by_one)) == [4, 2, 0]
    leaves = FOLLOW.replace("path = [start]", "path = [start]; import os; os._exit(3)")
    assert points(score(sandbox, SETUP, SOFTEN, COUNT, leaves)) == [4, 2, 0]


def test_nothing_is_left_behind(sandbox):
    def children() -> set[str]:
        return set(Path(f"/proc/{sandbox._process.pid}/task/{sandbox._process.pid}/children").read_text().split())

    score(
        sandbox,
        SETUP,
        before("import threading, time", "threading.Thread(target=time.sleep, args=(99,)).start()"),
        COUNT,
    )
    assert not children()
    assert not os.listdir(sandbox._folder.name)


def test_no_connection_arrives(sandbox):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        attack = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}))"
        assert points(score(sandbox, SETUP, before(attack)))[0] == 0
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize(
    "bytes_",
    [
        b"",
        b"{}",
        b"[]",
        b'{"value": {"tensor": "0"}}',
        b'{"value": {"a": 1, "b": 2}}',
        b"[" * 100_000,
        b"\xff",
        b'{"value": {"x": 1}}',
    ],
)
def test_a_malformed_frame_is_refused(bytes_):
    with pytest.raises(frames.BadFrame):
        frames.unpack(bytes_, b"")
    with pytest.raises(frames.BadFrame):
        frames.unpack(b'{"value": null}', b"x" * 20)


def test_a_frame_brings_plain_data_back():
    value = {"a": [torch.arange(6).reshape(2, 3).T, (1, 2.5, None)], 3: "é", "empty": torch.zeros(0, 2), "flag": True}
    packed = frames.pack({"id": 7}, value)
    header, _ = frames.LENGTHS.unpack(packed[:8])
    back = frames.unpack(packed[8 : 8 + header], packed[8 + header :])
    assert back["id"] == 7
    assert back["value"]["a"][0].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert back["value"]["a"][1] == (1, 2.5, None)
    assert {key: item for key, item in back["value"].items() if key in (3, "flag")} == {3: "é", "flag": True}
    assert back["value"]["empty"].shape == (0, 2)


def test_an_installed_course_is_left_out_of_what_may_be_read(tmp_path: Path):
    course = tmp_path / "lib" / "site-packages" / "labutils"
    for folder in (course / "exercises", course.parent / "torch", tmp_path / "lib" / "json"):
        folder.mkdir(parents=True)
    files = {path for path, rights in _readable(tmp_path / "lib", course) if rights & READ_FILE}
    assert files == {course.parent / "torch", tmp_path / "lib" / "json"}


def test_without_the_layers_the_report_says_so():
    with Sandbox(deadline=DEADLINE, without=("landlock", "seccomp")) as sandbox:
        assert not sandbox.isolation.complete
        result = score(sandbox, *RIGHT)
        assert result.score == 7
        assert "NOT isolated: the way to network, processes, files stayed open" in report.markdown(result)
        again = score(
            sandbox, SETUP, before("import os", "if os.fork() == 0: import time; time.sleep(99)"), COUNT, FOLLOW
        )
        assert points(again)[1:] == [2, 1]  # what it leaves behind is ended with its process group


def request(source: str) -> dict:
    """What asks for the function `f`, in the second statement."""
    cells = [{"index": 0, "source": source, "statements": [0, 1]}]
    return {"function": "f", "cells": cells, "adapter": None, "forbidden": [], "seed": 1}


def ended(process: int) -> bool:
    """Whether a process is gone, or is soon, or waits only for its parent to notice."""
    stat = Path(f"/proc/{process}/stat")
    for _ in range(100):
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_session_starts_anew_after_each_death(sandbox):
    leaves = request("import os\ndef f(x):\n    os._exit(x)")
    with Session(sandbox) as session:
        assert [session.call(leaves, {"x": x}).outcome for x in (0, 1, "no")] == ["died", "died", "raised"]


def test_an_answer_given_before_the_question_is_not_taken(sandbox):
    early = """import json, os, struct
def f():
    answer = json.dumps({"id": 1, "ok": True, "raised": [], "changed": False, "value": "forged"}).encode()
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
        span = report.code(text)
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

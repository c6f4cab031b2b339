"""The boundary itself: what torch can still do behind it, what nothing can, and what crosses it."""

import ast
import inspect
import json
import math
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from scipy.stats import multinomial
from submissions import COUNT, RIGHT, SETUP, SOFTEN, as_bytes, lab99, notebook

from labutils.checks import FALSE_ALARM, _compare_with_law, compare
from labutils.exercises import Exercise, Mutant
from labutils.grading import formats, frames, outer, report, rings
from labutils.grading.sandbox import COURSE, Sandbox, SandboxError, Session
from labutils.grading.score import Score, grade


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(memory=1 << 30) as sandbox:
        yield sandbox


def score(sandbox: Sandbox, exercises: tuple[Exercise, ...], *cells: str) -> Score:
    with Session(sandbox) as session:
        submission = session.read(as_bytes(notebook([SETUP, *cells])), is_notebook=True)
    return grade(submission, exercises, sandbox, student="ada", file="a.ipynb", secret="s")


def feedback(score: Score) -> str:
    return formats.feedback(report.as_json(score))


# --- torch lives in it -----------------------------------------------------------------------------------------------


def trains(x):
    network = torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.GELU(), torch.nn.LayerNorm(8), torch.nn.Linear(8, 2))
    optimizer = torch.optim.AdamW(network.parameters())
    before = torch.nn.functional.cross_entropy(network(x), torch.zeros(64, dtype=torch.long))
    before.backward()
    optimizer.step()
    return bool(torch.nn.functional.cross_entropy(network(x), torch.zeros(64, dtype=torch.long)) < before)


def runs_threads(x):
    import threading
    from concurrent.futures import ThreadPoolExecutor

    torch.set_num_threads(3)
    big = torch.ones(700, 700)
    done = threading.Event()
    threading.Timer(0.01, done.set).start()
    with ThreadPoolExecutor(4) as pool:
        squares = sum(pool.map(lambda i: i * i, range(9)))
    return squares == 204 and (big @ big).sum().item() == 700**3 and done.wait(5)


def does_mathematics(x):
    torch.linalg.svd(x)
    torch.linalg.eigh(x @ x.T)
    torch.fft.fft2(x)
    torch.einsum("ij,jk->ik", x, x)
    torch.nn.functional.scaled_dot_product_attention(x[None, None], x[None, None], x[None, None], is_causal=True)
    torch.nn.LSTM(64, 3)(x[None])
    torch.func.vmap(torch.func.grad(torch.sum))(x)
    return bool((x.to(torch.bfloat16) @ x.to(torch.bfloat16)).isfinite().all())


def draws(x):
    import os
    import random

    torch.multinomial(x, 2)
    torch.distributions.Categorical(probs=x).sample()
    return random.SystemRandom().random() < 1 and len(os.urandom(3)) == 3


def uses_other_libraries(x):
    import numpy
    import scipy.special
    import transformers

    config = transformers.GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=2)
    model = transformers.GPT2LMHeadModel(config)
    tokens = model.generate(torch.zeros(1, 2, dtype=torch.long), max_new_tokens=2, pad_token_id=0)
    row = scipy.special.softmax(x.numpy(), axis=-1)[0]
    return tokens.shape == (1, 4) and bool(numpy.isclose(row.sum(), 1))


def uses_the_standard_library(x):
    import copy
    import datetime
    import hashlib
    import io
    import signal
    import time

    torch.save(x, file := io.BytesIO())
    file.seek(0)
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(0.05)
    hashlib.sha256(b"x").hexdigest()
    return torch.equal(torch.load(file), copy.deepcopy(x)) and datetime.datetime.now().year > 2000


LIFE = (trains, runs_threads, does_mathematics, draws, uses_other_libraries, uses_the_standard_library)


@pytest.mark.parametrize("function", LIFE)
def test_torch_lives_behind_the_allow_list(sandbox, function):
    source = "import torch\n" + inspect.getsource(function)
    cells = [{"index": 0, "source": source, "statements": [0, 1]}]
    request = {"function": function.__name__, "cells": cells, "adapter": None, "forbidden": [], "seed": 1}
    with Session(sandbox) as session:
        reply = session.call(request, {"x": torch.rand(64, 64)})
    assert reply.value is True, reply


SWEEP = """
import ctypes
def sweep(numbers):
    libc = ctypes.CDLL(None, use_errno=True)
    answers = []
    for number in numbers:
        ctypes.set_errno(0)
        answers.append([number, libc.syscall(number, 0, 0, 0, 0, 0, 0), ctypes.get_errno()])
    return answers
"""


def test_every_system_call_that_is_not_on_the_list_is_refused(sandbox):
    column = rings._ARCHITECTURES[platform.machine()][0]
    on_the_list = {numbers[column] for numbers in rings._ALLOWED.values()}
    by_argument = {call[column] for call in (rings._PRLIMIT, rings._PRCTL, rings._FCNTL, rings._IOCTL)}
    probes = {335, 336}  # the kernel's own way back from a uprobe: it asks no filter, and ends whoever else calls it
    others = [n for n in [*range(600), 1 << 30, (1 << 30) + 39] if n not in on_the_list | by_argument]
    numbers = [n for n in others if n not in probes or platform.machine() != "x86_64"]
    assert len(numbers) > 450
    cells = [{"index": 0, "source": SWEEP, "statements": [0, 1]}]
    request = {"function": "sweep", "cells": cells, "adapter": None, "forbidden": [], "seed": 1}
    with Session(sandbox) as session:
        reply = session.call(request, {"numbers": numbers})
    assert reply.outcome == "value", reply
    assert [answer for answer in reply.value if answer[1] != -1 or answer[2] not in (1, 38)] == []


# --- the outer ring --------------------------------------------------------------------------------------------------

LOOK = """
import json, os, socket, sys
course, secret = sys.argv[1:]
def refused(attempt):
    try:
        attempt()
    except OSError:
        return True
    return False
print(json.dumps({
    "files": sorted(os.path.relpath(os.path.join(folder, name), course)
                    for folder, _, names in os.walk(course) for name in names),
    "cwd": [os.getcwd(), os.listdir(".")],
    "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit())[-1],
    "read-only": refused(lambda: open(os.path.join(course, "x"), "w")) and refused(lambda: open("/x", "w")),
    "no network": refused(lambda: socket.create_connection(("192.0.2.1", 9), timeout=1)),
    "gone": not os.path.exists(secret) and not os.path.exists("/etc/passwd"),
    "environment": sorted(os.environ),
}))
"""


def test_nothing_of_the_grader_exists_in_the_outer_ring():
    ring = outer.wrap([sys.executable, "-P", "-B", "-c", LOOK, str(COURSE), __file__], COURSE)
    if ring is None:
        pytest.skip("there is no bubblewrap here")
    command, _ = ring
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={}, check=True)
    seen = json.loads(done.stdout)
    assert not {"HOME", "USER"} & set(seen.pop("environment"))
    assert seen.pop("files") == sorted(outer.VISIBLE)
    assert seen.pop("cwd") == [outer.FOLDER, []]
    assert seen.pop("processes") < 10
    assert all(seen.values()), seen


def test_where_it_cannot_be_entered_the_grader_does_without(monkeypatch, tmp_path: Path):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert outer.wrap(["true"], COURSE) is None
    broken.unlink()
    assert outer.wrap(["true"], COURSE) is None


def test_a_ring_that_is_not_seen_is_not_told(sandbox, monkeypatch):
    monkeypatch.setattr(sandbox, "_ring", "a ring")
    assert sandbox.layers(outer.namespaces(), ["rlimits"]) == ("rlimits",)
    assert sandbox.layers(["x"] * len(outer.APART), ["rlimits"]) == ("a ring", "rlimits")


# --- time, and the end -----------------------------------------------------------------------------------------------


def test_a_submission_that_takes_all_its_time_hears_so(sandbox, monkeypatch):
    monkeypatch.setattr(sandbox, "budget", 0.5)
    slow = SOFTEN.replace("    scaled", "    import time; time.sleep(0.4)\n    scaled", 1)
    text = feedback(score(sandbox, lab99.EXERCISES, slow, COUNT))
    assert "there was no time left" in text or "there is no time left" in text or "no answer in time" in text
    assert "tests were not run" in text


def test_when_the_zygote_dies_its_children_do_and_the_grader_says_so():
    with Sandbox(without=("bubblewrap",)) as sandbox, Session(sandbox) as session:
        connection = session.start()
        (child,) = Path(f"/proc/{sandbox._process.pid}/task/{sandbox._process.pid}/children").read_text().split()
        cells = [{"index": 0, "source": "def f():\n    while True: pass", "statements": [0]}]
        request = {"function": "f", "cells": cells, "adapter": None, "forbidden": [], "seed": 1, "id": 1}
        connection.sendall(frames.pack(request, {}))
        sandbox._process.kill()
        end = time.monotonic() + 20
        while Path(f"/proc/{child}").exists() and Path(f"/proc/{child}/stat").read_text().split()[2] != "Z":
            assert time.monotonic() < end
            time.sleep(0.05)
        with pytest.raises(SandboxError, match="has ended"):
            session.call({**request}, {})
        session._child = None


# --- what crosses it -------------------------------------------------------------------------------------------------


def test_neither_secret_nor_student_nor_answer_is_ever_sent(sandbox, monkeypatch):
    sent, pack = [], frames.pack

    def record(head, value=None):
        sent.append(pack(head, value))
        return sent[-1]

    monkeypatch.setattr(frames, "pack", record)
    with Session(sandbox) as session:
        submission = session.read(as_bytes(notebook(RIGHT)), is_notebook=True)
    graded = grade(submission, lab99.EXERCISES, sandbox, student="student-of-mine", file="a", secret="hidden-seed")
    assert graded.score == 7
    everything = b"".join(sent)
    assert len(sent) == 1 + sum(exercise.cases for exercise in lab99.EXERCISES)
    assert b"def count" in everything
    for secret in (b"hidden-seed", b"student-of-mine", b"torch.softmax(logits / temperature", b"words.count(word)"):
        assert secret not in everything


# --- exercises through an adapter ------------------------------------------------------------------------------------


class Scale(torch.nn.Module):
    def __init__(self, n):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(n))

    def forward(self, x):
        return torch.softmax(x, -1) * self.weight


def _through_training(student_class, weight, x):
    module = student_class(len(weight))
    module.load_state_dict({"weight": weight})
    out = module(x)
    torch.softmax(out, -1).square().sum().backward()  # what is forbidden to the student is not to the adapter
    return {
        "result": out.detach(),
        "gradient": module.weight.grad,
        "state": sorted(module.state_dict()),
        "again": module(x).detach(),
    }


SCALE = Exercise(
    name="Scale",
    lab="99",
    task="A module.",
    points=2,
    minutes=1,
    difficulty=1,
    inputs=lambda generator, case: {
        "weight": torch.randn(3 + case, generator=generator),
        "x": torch.randn(2, 3 + case, generator=generator),
    },
    reference=Scale,
    adapter=_through_training,
    cases=2,
    hints=(),
    mutants=(),
)
MODULE = """
class Scale(torch.nn.Module):
    def __init__(self, n):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(n))

    def forward(self, x):
        weights = torch.exp(x - x.amax(-1, keepdim=True))
        return weights / weights.sum(-1, keepdim=True) * self.weight
"""


def forbids(exercise: Exercise, *names: str) -> Exercise:
    return Exercise(**{**vars(exercise), "forbidden": names})


def test_a_module_with_state_and_gradients_is_judged_through_its_adapter(sandbox):
    exercise = forbids(SCALE, "torch.softmax", "torch.nn.functional.softmax")
    assert score(sandbox, (exercise,), MODULE).score == 2
    wrong = {
        MODULE.replace("self.weight = ", "self.scale = "): "RuntimeError",
        MODULE.replace("* self.weight", "* self.weight.detach()"): "RuntimeError",
        MODULE.replace("        super().__init__()\n", ""): "AttributeError",
        MODULE.replace("* self.weight", "+ self.weight"): "result: ",
        MODULE.replace("torch.exp(x - x.amax(-1, keepdim=True))", "torch.softmax(x, -1)"): "calls `torch.softmax`",
        MODULE.replace("torch.exp(", "torch.nn.Softmax(-1)("): "calls `torch.nn.functional.softmax`",
    }
    for source, sentence in wrong.items():
        result = score(sandbox, (exercise,), source)
        assert result.score == 0
        assert sentence in feedback(result)


FORBIDDEN = {
    "torch.softmax(x, -1)": "torch.softmax",
    "x.softmax(-1)": "torch.Tensor.softmax",
    "torch.nn.functional.softmax(x, -1)": "torch.nn.functional.softmax",
    "torch.nn.Softmax(-1)(x)": "torch.nn.functional.softmax",
    "torch.ops.aten.softmax(x, -1)": "softmax",
    "torch.ops.aten.softmax.int(x, -1)": "softmax",
    "getattr(torch, 'soft' + 'max')(x, -1)": "torch.softmax",
    "__import__('labutils.sampling').sampling.soft(x)": "labutils.sampling.soft",
    "importlib.import_module('labutils.models').Decoder(x)": "a function of labutils",
}


@pytest.mark.parametrize("call", FORBIDDEN)
def test_a_call_to_do_without_is_refused_under_any_name(sandbox, call):
    soften = forbids(
        lab99.EXERCISES[0],
        *("torch.softmax", "torch.Tensor.softmax", "torch.nn.functional.softmax", "labutils.sampling.soft"),
    )
    source = f"import importlib\ndef soften(logits, temperature):\n    x = logits / temperature\n    return {call}"
    result = score(sandbox, (soften,), source)
    assert result.score == 0
    text = feedback(result)
    assert FORBIDDEN[call] in text
    assert "write" in text


# --- random answers --------------------------------------------------------------------------------------------------


def _drawn_often(student_function, probabilities, n):
    counts = [0] * len(probabilities)
    for _ in range(n):
        counts[student_function(probabilities)] += 1
    return counts


DRAW = Exercise(
    name="draw",
    lab="99",
    task="Draw a token.",
    points=2,
    minutes=1,
    difficulty=1,
    inputs=lambda generator, case: {
        "probabilities": torch.tensor([7.0, 2.0, 1.0, 0.0])[torch.randperm(4, generator=generator)] / 10,
        "n": 400,
    },
    reference=lambda probabilities, n: probabilities,
    random=True,
    adapter=_drawn_often,
    cases=2,
    hints=("Roll a die.",),
    mutants=(
        Mutant(
            name="uniform",
            function=lambda probabilities, n: torch.ones(len(probabilities)) / len(probabilities),
            message="You give all tokens the same chance.",
        ),
    ),
)


def test_a_random_answer_is_judged_by_how_often_each_outcome_comes(sandbox):
    draw = "def draw(probabilities):\n    return {}"
    assert score(sandbox, (DRAW,), draw.format("int(torch.multinomial(probabilities, 1))")).score == 2
    wrong = {
        "int(torch.randint(4, ()))": "You give all tokens the same chance.",
        "int(probabilities.argmax())": "do not come as often as they should",
        "3": "do not come as often as they should",
        "9": "IndexError",
    }
    for source, sentence in wrong.items():
        result = score(sandbox, (DRAW,), draw.format(source))
        assert result.score == 0
        assert sentence in feedback(result)


@pytest.mark.parametrize(
    ("law", "n"), [([0.5, 0.5], 60), ([0.9, 0.1], 50), ([0.6, 0.3, 0.1], 40), ([0.001, 0.999], 30)]
)
def test_the_chance_of_a_false_alarm_is_below_what_is_stated(law, n):
    """The oracle adds up the exact probability of all counts that are refused."""
    counts = [[i, n - i] if len(law) == 2 else [i, j, n - i - j] for i in range(n + 1) for j in range(n + 1 - i)]
    counts = [list(c) for c in {tuple(c) for c in counts}]
    refused = [c for c in counts if _compare_with_law(c, torch.tensor(law, dtype=torch.float64))]
    assert refused
    assert 0 < sum(multinomial.pmf(c, n, law) for c in refused) <= FALSE_ALARM
    assert 100 * FALSE_ALARM <= 1e-6  # for all the random tests that one submission may hold


def test_counts_that_are_none_are_refused():
    law = torch.tensor([0.5, 0.5, 0.0])
    for counts in ([1, 2], [1.0, 2, 0], [True, 2, 0], [-1, 2, 0], torch.tensor([1, 1, 0]), None, [0, 0, 0], [5, 5, 1]):
        assert _compare_with_law(counts, law)
    assert _compare_with_law([5, 6, 0], law) is None


def test_nothing_finite_is_near_infinity():
    assert compare(5.0, math.inf, 1e-5, 1e-6)
    assert compare(-math.inf, math.inf, 1e-5, 1e-6)
    assert compare(math.inf, math.inf, 1e-5, 1e-6) is None
    assert compare(math.inf, 5.0, 1e-5, 1e-6)


def test_the_container_names_the_command_that_grades():
    dockerfile = (COURSE.parent / "containers" / "grading" / "Dockerfile").read_text()
    (entry,) = [line for line in dockerfile.splitlines() if line.startswith("ENTRYPOINT")]
    assert ast.literal_eval(entry.removeprefix("ENTRYPOINT "))[-2:] == ["-m", "labutils.grading"]
    copied = [name for line in dockerfile.splitlines() if line.startswith("COPY") for name in line.split()[1:-1]]
    assert all((COURSE.parent / name).exists() for name in copied)

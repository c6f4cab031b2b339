"""What an instructor is shown of a score: the hidden tests as they were drawn, and as they came out."""

import csv
import json
import math
import os
from pathlib import Path

import pytest
import torch
from submissions import COUNT, FOLLOW, RIGHT, SETUP, SOFTEN, as_bytes, lab99, notebook

import labutils.grading.explain as module
from labutils.exercises import Exercise
from labutils.grading import __main__ as cli
from labutils.grading.explain import difference, explain, show
from labutils.grading.sandbox import Sandbox, Session
from labutils.grading.score import Draw

SOFTEN_99 = lab99.EXERCISES[0]


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def lab_99(monkeypatch):
    monkeypatch.setattr(module, "exercises_of", lambda lab: {"99": lab99.EXERCISES}[lab])


def told(sandbox: Sandbox, *cells: str, exercise: Exercise = SOFTEN_99, secret: str = "s") -> str:
    with Session(sandbox) as session:
        submission = session.read(as_bytes(notebook(list(cells))), is_notebook=True)
    return explain(submission, exercise, sandbox, student="ada", secret=secret)


def test_everything_is_there(sandbox):
    text = told(sandbox, SETUP, SOFTEN.replace("/ temperature", "* temperature"), COUNT)
    assert text.startswith("ada, soften: 1 of 4 points\n")
    assert "small inputs and edge cases: 1 of 2 tests, 1 of 2 points" in text
    assert "seccomp" in text  # the layers in force
    assert "- You multiply by the temperature. Divide by it." in text
    assert "  >   2  def soften(logits, temperature):\n" in text
    assert "      4      scaled = logits * temperature" in text
    assert "def count" not in text
    assert (
        "The known mistake that gives the same wrong results: multiplies.\nThe first test that fails is test 2." in text
    )
    draw = Draw(SOFTEN_99, "s", "ada")  # drawn here anew, from the same secret
    for case in range(4):
        inputs = draw.inputs(case)
        assert f"  logits = {show(inputs['logits'])}\n  temperature = {show(inputs['temperature'])}\n" in text
        want = torch.softmax(inputs["logits"] / inputs["temperature"], -1)
        scaled = inputs["logits"] * inputs["temperature"]
        got = torch.exp(scaled - scaled.max(dim=-1, keepdim=True).values)
        got = got / got.sum(dim=-1, keepdim=True)
        assert f"  expected: {show(want)}\n  got:      {show(got)}\n" in text
        if case:
            assert (
                f"; at [0, 0]: {got[0, 0]:.6g} instead of {want[0, 0]:.6g}\n  known mistakes with this result: m"
                in text
            )
    assert show(Draw(SOFTEN_99, "t", "ada").inputs(1)["logits"]) not in text


def test_failures_without_a_result_are_told(sandbox):
    text = told(
        sandbox, SETUP, "def soften(logits, temperature):\n    raise ValueError('\x1b[31m' + str(logits))", COUNT
    )
    assert "got:      no result: raised (ValueError in code cell 2, line 2)" in text
    assert "\x1b" not in text
    assert "known mistake that gives the same wrong results: none does" in text
    text = told(sandbox, SETUP, "import os\ndef soften(logits, temperature):\n    os._exit(0)")
    assert "no result: died (ended the process" in text
    assert "The last 2 tests were not run" in text
    assert "The student's code. Each" in told(sandbox, SETUP, COUNT)
    assert "Test 1" not in told(sandbox, SETUP, COUNT)
    assert "Not written yet" in told(sandbox, "def soften(logits, temperature):\n    raise NotImplementedError")


def test_code_that_does_not_always_do_the_same_is_told(sandbox):
    moody = "import os\ndef soften(logits, temperature):\n    x = (logits / temperature).exp()\n"
    moody += "    return x / x.sum(-1, keepdim=True) + (os.urandom(1)[0] > 127)"
    said = "this code does not always do the same"
    assert any(said in told(sandbox, SETUP, moody) for _ in range(40))
    assert said not in told(sandbox, SETUP, COUNT, FOLLOW, SOFTEN)


@pytest.mark.parametrize(
    ("got", "want", "said"),
    [
        (1.0, 1.0, None),
        (math.nan, math.nan, None),
        (1.0, 2.0, "1 instead of 2"),
        ([1, [2, 3]], [1, [2, 4]], "at [1][1]: 3 instead of 4"),
        ({"a": 1}, {"a": 2}, "at ['a']: 1 instead of 2"),
        ({"a": 1}, {"b": 1}, "{'a': 1} instead of {'b': 1}"),
        ([1], [1, 2], "[1] instead of [1, 2]"),
        (None, "x", "None instead of 'x'"),
        (torch.tensor([1.0, math.nan]), torch.tensor([1.0, math.nan]), None),
        (torch.tensor([[1, 2], [3, 4]]), torch.tensor([[1, 2], [0, 4]]), "at [1, 0]: 3 instead of 0"),
        ([torch.tensor([1.0])], [torch.tensor([2.0])], "at [0]: at [0]: 1 instead of 2"),
    ],
)
def test_the_first_difference(got, want, said):
    assert difference(got, want) == said


def test_tensors_of_another_shape_are_shown_whole():
    said = difference(torch.zeros(1), torch.zeros(2))
    assert said == "[0]  float32 [1] instead of [0, 0]  float32 [2]"


def test_what_is_long_is_cut_off():
    assert len(show(torch.zeros(100_000))) <= module.WIDTH
    assert len(show("x" * 100_000)) <= module.WIDTH


# --- the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def run_of_two(tmp_path: Path, monkeypatch, capsys) -> Path:
    """A folder in which ada's and bob's notebooks have been graded with the seed s."""
    monkeypatch.setattr(cli, "exercises_of", lambda lab: {"99": lab99.EXERCISES}[lab])
    monkeypatch.setattr(cli.batch, "exercises_of", lambda lab: {"99": lab99.EXERCISES}[lab])
    monkeypatch.setattr(cli, "find", lambda name: {one.name: one for one in lab99.EXERCISES}[name])
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name, cells in {"ada": [SETUP, SOFTEN.replace("/ temp", "* temp")], "bob": RIGHT}.items():
        Path("in", f"{name}.ipynb").write_bytes(as_bytes(notebook(cells)))
        os.utime(Path("in", f"{name}.ipynb"), (0, 1_790_892_000))  # 2026-10-01T22:00:00Z
    assert cli.main(["grade", "in", "--out", "out", "--seed", "s", "--lab", "99"]) == 0
    capsys.readouterr()
    return tmp_path


def test_the_commands_explain_and_export(run_of_two, capsys, monkeypatch):
    monkeypatch.delenv(cli.SEED_VARIABLE, raising=False)

    def run(*arguments: str) -> tuple[str, str]:
        code = cli.main(list(arguments))
        said = capsys.readouterr()
        assert code == (2 if said.err else 0)
        return said.out, said.err

    out, _ = run("explain", "ada", "soften", "in", "--seed", "s", "--out", "out")
    assert out.startswith("ada, soften: 1 of 4 points\nThe recorded result is the same.\n")
    result = json.loads(Path("out/results/ada.json").read_text())
    for part in (result, result["exercises"][0], result["exercises"][0]["groups"][0]):
        part["score"] += 1
    result["exercises"][0]["passed"] += 1
    result["exercises"][0]["groups"][0]["passed"] += 1
    Path("out/results/ada.json").write_text(json.dumps(result))
    out, _ = run("explain", "ada", "soften", "in", "--seed", "s", "--out", "out")
    assert "The recorded result is another: of the groups below, 2 and 0 tests passed." in out
    Path("in/ada.ipynb").write_bytes(b"")
    out, _ = run("explain", "ada", "soften", "in", "--seed", "s")
    assert "0 points, because the file could not be read. The file is empty." in out
    assert "drawn with another seed" in run("explain", "ada", "soften", "in", "--seed", "t", "--out", "out")[1]
    assert "None of these files is bop's. Is it bob?" in run("explain", "bop", "soften", "in", "--seed", "s")[1]
    assert "Give the --seed" in run("explain", "ada", "soften", "in")[1]

    run("export", "out", "--due", "2026-10-01T23:59+02:00", "--late-penalty", "10", "--assignment", "Week 3")
    rows = list(csv.DictReader(Path("out/grades.csv").read_text().splitlines()))
    assert [(row["assignment"], row["student_id"], row["late_submission_penalty"]) for row in rows] == [
        ("Week 3", "ada", "0.7"), ("Week 3", "bob", "0.7"),
    ]  # fmt: skip
    assert "is a percentage" in run("export", "out", "--late-penalty", "-1")[1]
    assert "is no time" in run("export", "out", "--due", "soon")[1]
    assert "takes nothing off without a deadline" in run("export", "out", "--late-penalty", "10")[1]
    assert "wants one result, and out has 2" in run("export", "out", "--classroom50", "result.json")[1]
    Path("out/results/ada.json").unlink()
    assert "Classroom 50 sets CLASSROOM" in run("export", "out", "--classroom50", "result.json")[1]
    for name in ("CLASSROOM", "ASSIGNMENT", "SUBMISSION_TAG", "COMMIT_URL", "RELEASE_URL"):
        monkeypatch.setenv(name, "submit/x")
    run("export", "out", "--classroom50", "result.json")
    assert json.loads(Path("result.json").read_text())["score"] == 700

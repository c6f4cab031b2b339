"""Evidence must be able to fail: every sabotage that a lab names is refused by the range of its number.

The sabotages of a third of the labs are run, another third with every commit; with LABS=all, those of all labs.
"""

from pathlib import Path

import pytest
import sabotage
from course import ROOT
from turns import whose_turn

import labs

SOURCES = labs.sources(ROOT / "labs")
CHOSEN = whose_turn(SOURCES)


@pytest.mark.parametrize("path", CHOSEN, ids=[path.stem for path in CHOSEN])
def test_every_sabotage_of_a_lab_is_refused(path):
    assert sabotage.run_all(path) == []


@pytest.mark.parametrize("path", SOURCES, ids=[path.stem for path in SOURCES])
def test_every_lab_names_a_sabotage(path):
    assert any(cell.sabotages for cell in labs.read_lab(path).cells)


def write(folder: Path, text: str) -> Path:
    path = folder / "99_toy.py"
    path.write_text(text, encoding="utf-8")
    return path


def test_sabotages_that_work_are_accepted(tmp_path, toy_text):
    assert sabotage.run_all(write(tmp_path, toy_text)) == []


@pytest.mark.parametrize(
    ("comment", "problem"),
    [
        ("toy-mean: range(10) => range(0, 10)", "was not refused"),
        ("toy-mean/root: range(10) => range(11)", "was refused by toy-mean, not by toy-mean/root"),
        ("toy-mean: range(10) => nothing", "raised NameError"),
        ("toy-mean: range(10) => __import__('os').kill(__import__('os').getpid(), 9)", "killed the process"),
        ("toy-mean: range(10) => __import__('sys').exit()", "SystemExit"),
    ],
)
def test_a_sabotage_that_is_not_refused_is_reported(tmp_path, toy_text, comment, problem):
    text = toy_text.replace("toy-mean: range(10) => range(11)", comment)
    problems = sabotage.run_all(write(tmp_path, text))
    assert len(problems) == 1
    assert problem in problems[0]


def test_a_later_cell_may_refuse(tmp_path, toy_text):
    extra = "# %%\n# sabotage: toy-mean: first = 0 => first = 1\nfirst = 0\n\n# %%\n# sabotage: toy-mean: range(10)"
    text = toy_text.replace("# %%\n# sabotage: toy-mean: range(10)", extra)
    text = text.replace("list(range(10))", "list(range(first, 10 + first))")
    assert sabotage.run_all(write(tmp_path, text.replace("range(10) => range(11)", "10 + first => 11"))) == []


def test_a_sabotage_leaves_the_next_one_alone(tmp_path, toy_text):
    text = toy_text.replace("range(10) => range(11)", "len(numbers) => (numbers.clear() or 1)")
    assert sabotage.run_all(write(tmp_path, text)) == []


def test_a_lab_that_fails_by_itself_is_reported(tmp_path, toy_text):
    with pytest.raises(labs.LabError, match="the lab itself fails"):
        sabotage.run_all(write(tmp_path, toy_text.replace("import math\n", "import maths\n")))

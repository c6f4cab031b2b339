"""The command line, on files as they are collected."""

import json
import re
import sys
from pathlib import Path

import pytest
import submissions
from submissions import RIGHT, as_bytes, notebook, saved_by_colab, stripped

import labutils.exercises
from labutils.grading import __main__ as cli
from labutils.grading import engines, sandbox


@pytest.fixture(autouse=True)
def lab_99(monkeypatch):
    """Make `labutils.exercises.lab99` importable for a test."""
    monkeypatch.setattr(labutils.exercises, "__path__", [*labutils.exercises.__path__, *submissions.__path__])
    yield
    sys.modules.pop("labutils.exercises.lab99", None)


def test_a_folder_of_submissions(tmp_path: Path, capsys):
    files = {
        "ada/99_small.ipynb": as_bytes(notebook(RIGHT)),
        "bob/99_small.ipynb": as_bytes(saved_by_colab(notebook(RIGHT))),
        "cyd.ipynb": as_bytes(stripped(notebook(RIGHT))),  # found by its functions
        "dan.py": "\n".join(RIGHT[:2]).encode(),
        "eve/99_small.ipynb": as_bytes(notebook(RIGHT))[:-9],
        "fay/99_small.ipynb": b"",
        "gus.ipynb": as_bytes(notebook(["x = 1"])),
        "../../hal <b>.ipynb": as_bytes(notebook(RIGHT)),
    }
    folder = tmp_path / "in" / "side"
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    arguments = [str(folder / name) for name in files] + [str(folder / "absent.ipynb")]
    assert cli.main(["grade", *arguments, "--out", str(tmp_path / "out"), "--seed", "s"]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["isolated"] is True
    assert {row["student"]: row["score"] for row in summary["results"]} == {
        "ada": 7, "bob": 7, "cyd": 7, "dan": 4, "eve": 0, "fay": 0, "gus": 0, "hal__b_": 7, "absent": 0,
    }  # fmt: skip
    assert "ada: 7 of 7 points" in capsys.readouterr().out
    for student, sentence in [("eve", "not a complete notebook"), ("fay", "empty"), ("gus", "None of the functions")]:
        assert sentence in (tmp_path / "out" / "feedback" / f"{student}.md").read_text()
    result = json.loads((tmp_path / "out" / "results" / "dan.json").read_text())
    assert [exercise["score"] for exercise in result["exercises"]] == [4, 0, 0]
    assert result["isolation"]["complete"] is True
    assert not list((tmp_path / "out").rglob(".*"))  # no half-written file
    assert cli.main(["grade", arguments[3], "--out", str(tmp_path / "again"), "--seed", "s"]) == 0
    one, again = (tmp_path / folder / "results" / "dan.json" for folder in ("out", "again"))
    assert one.read_bytes() == again.read_bytes()


def test_what_an_instructor_would_otherwise_not_see_is_told(tmp_path: Path, capsys):
    handed_in = tmp_path / "hand ins"
    files = {
        "Ada Ñ/Copy of 99_small.ipynb": as_bytes(notebook(RIGHT)),
        "a/kim.ipynb": as_bytes(notebook(RIGHT)),
        "b/kim.ipynb": as_bytes(notebook(RIGHT)),
        "lea.ipynb": as_bytes(notebook(["x = 1"])),
        "essay.docx": b"PK",
        "pia.py": b"x = 1",
    }
    for name, data in files.items():
        (handed_in / name).parent.mkdir(parents=True, exist_ok=True)
        (handed_in / name).write_bytes(data)
    roster = tmp_path / "roster.csv"
    roster.write_text("student_id,last_name\nAda Ñ,North\nquinn,Q\n", encoding="utf-8")
    out = str(tmp_path / "out")
    arguments = ["grade", str(handed_in), "--out", out, "--seed", "s", "--roster", str(roster)]
    assert cli.main(arguments) == 0
    told = capsys.readouterr().out
    assert "only the notebooks (.ipynb) are: essay.docx, pia.py\n" in told
    assert re.search(r"\nkim-\w{12} is .*hand ins/a/kim.ipynb\nkim-\w{12} is .*hand ins/b/kim.ipynb\n", told)
    assert "Not all files are of one lab: lea of none. If all belong to lab 99, grade again with --lab 99.\n" in told
    assert re.search(r"\nNot in the roster: kim-\w{12}, kim-\w{12}, lea\n", told)
    assert "\nIn the roster, and nothing handed in: quinn\n" in told
    assert ",Ada Ñ,North,,,7.0," in (tmp_path / "out" / "grades.csv").read_text(encoding="utf-8")
    assert cli.main(["grade", str(handed_in / "pia.py"), *arguments[1:], "--lab", "99"]) == 0
    told = capsys.readouterr().out
    assert "are: essay.docx\n" in told
    assert "Not all files" not in told
    assert cli.main(["explain", "Ada Ñ", "soften", str(handed_in), "--seed", "s"]) == 0
    assert cli.main(["export", out, "--roster", str(roster)]) == 0
    assert "nothing handed in: quinn\n" in capsys.readouterr().out


def test_wrong_use_is_one_sentence(tmp_path: Path, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["grade", "--out", "x"])
    with pytest.raises(SystemExit, match="2"):
        cli.main(["grade", "a.ipynb", "--out", str(tmp_path), "--lab", "77"])
    assert "There is no lab '77'" in capsys.readouterr().err
    assert cli.main(["grade", str(tmp_path / "submision"), "--out", str(tmp_path / "out"), "--seed", "s"]) == 2
    assert re.fullmatch(
        r"error: There is no .*submision. Check the name; one with spaces in it stands in quotes.\n",
        capsys.readouterr().err,
    )
    assert not (tmp_path / "out").exists()


def test_other_systems_get_one_sentence(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    assert cli.main(["grade", "a.ipynb", "--out", str(tmp_path), "--seed", "s"]) == 2
    assert capsys.readouterr().err.startswith("error: Grading runs on Linux only")


def test_no_grade_without_isolation_unless_asked(tmp_path: Path, capsys, monkeypatch):
    class Open(sandbox.Sandbox):
        def __init__(self):
            super().__init__(without=("landlock", "seccomp"))

    monkeypatch.setattr(engines, "Sandbox", Open)
    file = tmp_path / "ada.ipynb"
    file.write_bytes(as_bytes(notebook(RIGHT)))
    arguments = ["grade", str(file), "--out", str(tmp_path / "out"), "--lab", "99", "--seed", "s"]
    assert cli.main(arguments) == 2
    assert "NOT isolated" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert cli.main([*arguments, "--practice"]) == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["isolated"] is False


def test_a_run_without_a_seed_says_which_one_it_drew(monkeypatch, capsys):
    monkeypatch.delenv(cli.SEED_VARIABLE, raising=False)
    drawn = cli._seed(None)
    assert drawn in capsys.readouterr().err
    monkeypatch.setenv(cli.SEED_VARIABLE, "kept")
    assert cli._seed(None) == "kept"
    assert cli._seed("given") == "given"
    assert not capsys.readouterr().err

"""The command line, on files as they are collected."""

import json
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


def test_wrong_use_is_one_sentence(tmp_path: Path, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["grade", "--out", "x"])
    with pytest.raises(SystemExit, match="2"):
        cli.main(["grade", "a.ipynb", "--out", str(tmp_path), "--lab", "77"])
    assert "There is no lab '77'" in capsys.readouterr().err


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

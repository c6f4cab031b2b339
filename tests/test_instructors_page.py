"""The instructor's ten minutes, acted out from the page alone: its shell blocks, in their order, in a fresh clone.

Two things are not what the page says: the address is a folder, and `make` only says what it would install, because the
environment of these tests is linked into the clone.
"""

import csv
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from course import ROOT

from labutils.exercises import exercises_of

PAGE = (ROOT / "chapters" / "instructors.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ADDRESS = "https://github.com/YOU/COURSE.git"
LEFT_OUT = (".*", "_build", "__pycache__", "*.egg-info", "solutions", "node_modules")
NAMES = ("Makefile", "pyproject.toml", "constraints.txt", "labutils", "tools", "labs")
POINTS = sum(exercise.points for exercise in exercises_of("12"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where an instructor was who has run all blocks of the page."""
    folder = tmp_path_factory.mktemp("instructor")
    origin = folder / "origin"
    origin.mkdir()
    for name in NAMES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, origin / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
        else:
            shutil.copy(ROOT / name, origin)
    (origin / "labs" / "solutions").mkdir()
    shutil.copy(ROOT / "labs" / "solutions" / "12_decoding.ipynb", origin / "labs" / "solutions")
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init", "--quiet"], ["add", "--all"], [*who, "commit", "--quiet", "--message", "Fork"]):
        subprocess.run(["git", "-C", origin, *arguments], check=True)
    script = ["set -euo pipefail", BLOCKS[0], f"ln -s {ROOT / '.venv'} .venv", *BLOCKS[1:]]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
        "MAKEFLAGS": "n",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{origin}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
    }
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=folder, env=environment, capture_output=True, text=True
    )
    (folder / "log.txt").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_page_begins_with_a_clone_and_needs_nothing_else():
    assert ADDRESS in BLOCKS[0]
    assert len(BLOCKS) == 7


def test_the_gradebook_is_what_the_page_says(folder):
    rows = {
        row["student_id"]: row
        for row in csv.DictReader((folder / "course" / "results" / "grades.csv").read_text().splitlines())
    }
    assert {name: [float(row["score"]), float(row["max_score"])] for name, row in rows.items()} == {
        "ada": [POINTS, POINTS],
        "bob": [0, POINTS],
        "cyd": [0, POINTS],
    }
    assert {row["assignment"] for row in rows.values()} == {"Lab 12"}
    assert rows["bob"]["late_submission_penalty"] == "0.0"
    assert rows["bob"]["duedate"] == "2026-10-08 21:59:00"
    assert rows["cyd"]["timestamp"] == ""


def test_the_table_of_files_is_complete(folder):
    named = set(re.findall(r"`([\w./]+)`", "\n".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE))))
    results = folder / "course" / "results"
    there = {path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file()}
    assert {re.sub(r"/(ada|bob)\.", "/STUDENT.", name) for name in there} == named


def test_parts_put_together_are_the_same_bytes(folder):
    course = folder / "course"
    for name in ("ada", "bob"):
        one, other = (course / run / "results" / f"{name}.json" for run in ("results", "merged"))
        assert one.read_bytes() == other.read_bytes()
    assert (course / "merged" / "junit.xml").read_bytes() == (course / "results" / "junit.xml").read_bytes()


def test_what_the_student_reads_and_what_the_instructor_sees(folder):
    log = (folder / "log.txt").read_text()
    assert f"# Lab 12: 0 of {POINTS} points" in log  # cat results/feedback/bob.md
    assert "- Not written yet." in log
    assert f"ada: {POINTS} of {POINTS} points" in log
    assert "ada, keep_top_p: 4 of 4 points\nThe recorded result is the same." in log
    assert "Test 9 of 9 (general inputs): passes" in log
    seed = (folder / "grading-seed.txt").read_text().strip()
    assert len(seed) == 32
    for path in (folder / "course").glob("*/**/*.*"):
        if path.suffix in (".json", ".md", ".csv", ".xml") and ".venv" not in path.parts:
            assert seed not in path.read_text(encoding="utf-8")


def test_the_rule_for_late_days_is_the_one_that_the_page_gives():
    from datetime import timedelta

    from labutils.grading.gradebook import moment, penalty

    due = moment("2026-10-01T23:59+02:00")
    example = r"With (\d+) points and (\d+) percent, a minute late costs ([\d.]+) points, and 25 hours cost ([\d.]+)\."
    points, percent, minute, day = map(float, re.search(example, PAGE).groups())
    assert penalty(points, int(points), due + timedelta(minutes=1), due, percent) == minute
    assert penalty(points, int(points), due + timedelta(hours=25), due, percent) == day


def test_the_callers_are_those_of_the_workflow():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "grade.yml").read_text(encoding="utf-8"))
    declared = workflow[True]["workflow_call"]
    callers = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
    assert len(callers) == 2
    for caller in callers:
        job = caller["jobs"]["grade"]
        assert set(job["with"]) <= set(declared["inputs"])
        assert set(job.get("secrets", {})) <= set(declared["secrets"])
    assert "**Whoever controls the workflow controls the score.**" in PAGE

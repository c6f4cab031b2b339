"""The reusable workflow, acted out: a student's repository and an instructor's folder, as local git repositories.

The steps are read from the workflow itself. What GitHub provides is faked: variables, the two checkouts, an artifact.
"""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import classroom
import pytest
import yaml
from course import ROOT
from submissions import as_bytes, notebook

from labutils.exercises import exercises_of

WORKFLOW = ROOT / ".github" / "workflows" / "grade.yml"
POINTS = sum(exercise.points for exercise in exercises_of("12"))


def workflow() -> dict:
    document = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    document["on"] = document.pop(True)  # YAML 1.1 reads the word "on" as a truth value
    return document


# --- the runner ------------------------------------------------------------------------------------------------------


@dataclass
class Ran:
    """What a run left: whether it went through, what the log says, the page of the run, the artifact."""

    ok: bool
    log: str
    summary: str
    artifact: Path
    commands: str


def run(workspace: Path, repository: Path, inputs: dict[str, str], seed: str = "") -> Ran:
    """The workflow's steps in order, in an empty workspace, until one fails."""
    document = workflow()
    declared = document["on"]["workflow_call"]["inputs"]
    assert set(inputs) <= set(declared)
    assert all(name in inputs or not declared[name].get("required") for name in declared)
    values = {f"inputs.{name}": inputs.get(name, declared[name].get("default", "")) for name in declared}
    values |= {"secrets.seed": seed, "job.workflow_repository": "the course", "job.workflow_sha": "its commit"}

    def evaluated(text: str) -> str:
        return re.sub(r"\$\{\{ *([\w.-]+) *\}\}", lambda match: values[match[1]], str(text))

    workspace.mkdir()
    tools, summary, ran = workspace.parent / "bin", workspace.parent / "summary.md", workspace.parent / "commands.txt"
    shutil.rmtree(tools, ignore_errors=True)
    tools.mkdir()
    summary.write_text("")
    ran.write_text("")
    real = f'case "$*" in "-m pip "*) echo "pip $*" >> {ran} ;; *) exec {sys.executable} "$@" ;; esac'
    for name, script in {"python": real, "sudo": f'echo "sudo $*" >> {ran}'}.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    github = {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(workspace),
        "GITHUB_STEP_SUMMARY": str(summary),
        "PATH": f"{tools}:{os.environ['PATH']}",
        "HOME": str(workspace.parent),
        "OMP_NUM_THREADS": "1",
    }
    log, artifact, ok = "", workspace.parent / "artifact", True
    shutil.rmtree(artifact, ignore_errors=True)
    for step in document["jobs"]["grade"]["steps"]:
        options = {key: evaluated(value) for key, value in step.get("with", {}).items()}
        action = step.get("uses", "").split("@")[0]
        if action == "actions/checkout" and options.get("repository") == "the course":
            assert options["ref"] == "its commit"
            (workspace / options["path"]).symlink_to(ROOT)
        elif action == "actions/checkout":
            subprocess.run(["git", "clone", "--quiet", repository, workspace / options["path"]], check=True)
        elif action == "actions/upload-artifact":
            shutil.copytree(workspace / options["path"], artifact)
        elif action:
            assert action == "actions/setup-python"
        else:
            environment = github | {key: evaluated(value) for key, value in step.get("env", {}).items()}
            done = subprocess.run(
                ["bash", "-e", "-c", step["run"]], cwd=workspace, env=environment, capture_output=True, text=True
            )
            log += done.stdout + done.stderr
            if done.returncode:
                ok = False
                break
    return Ran(ok, log, summary.read_text(encoding="utf-8"), artifact, ran.read_text())


def commit(repository: Path, files: dict[str, bytes], when: str) -> None:
    """Add files to a repository, which is made if it is not there."""

    def git(*arguments: str) -> None:
        names = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
        subprocess.run(["git", "-C", repository, *arguments], check=True, env={**os.environ, **names, **dates})

    repository.mkdir(exist_ok=True)
    git("init", "--quiet")
    for name, data in files.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_bytes(data)
    git("add", "--all")
    git("commit", "--quiet", "--message", "Hand in")


SOLUTION = (ROOT / "labs" / "solutions" / "12_decoding.ipynb").read_bytes()
TEMPERATURE = """import torch
def apply_temperature(logits, temperature):
    print("::error::forged")
    return logits {} temperature  # ::set-output name=score::12
"""
# Files that Python would find first, if a step ran where the student's files are.
TRAPS = dict.fromkeys(("labutils/__init__.py", "sitecustomize.py", "torch.py", "json.py"), b"print('TRAPPED')")


def test_a_students_repository_gets_advice(tmp_path: Path):
    commit(tmp_path / "repository", {"12_decoding.ipynb": SOLUTION, **TRAPS}, "2026-10-01T10:00:00Z")
    ran = run(tmp_path / "work", tmp_path / "repository", {"submissions": "12_decoding.ipynb"})
    assert ran.ok, ran.log
    assert ran.commands.splitlines() == [
        "sudo apt-get update",
        "sudo apt-get install --yes bubblewrap",
        "sudo sysctl --write kernel.apparmor_restrict_unprivileged_userns=0",
        "pip -m pip install --quiet --disable-pip-version-check --constraint constraints.txt .[labs]",
    ]
    assert ran.summary.startswith("> **Advisory.**")
    assert f"# Lab 12: {POINTS} of {POINTS} points" in ran.summary
    assert "TRAPPED" not in ran.log
    (result,) = [json.loads(path.read_text()) for path in ran.artifact.glob("results/*.json")]
    assert result["score"] == POINTS
    assert result["submitted"] == "2026-10-01T10:00:00Z"
    assert result["isolation"]["complete"] is True


def test_an_instructors_folder_gets_grades(tmp_path: Path):
    repository = tmp_path / "repository"
    roster = b"student_id,last_name,first_name\nada,North,Ada\nbob,South,Bob\neve,Absent,Eve\n"
    wrong, right = (as_bytes(notebook([TEMPERATURE.format(operator)])) for operator in "*/")
    commit(repository, {"in/ada.ipynb": SOLUTION, "roster.csv": roster}, "2026-10-01T20:00:00Z")
    commit(repository, {"in/bob.ipynb": wrong}, "2026-10-01T21:00:00Z")
    (repository / "in" / "cyd.ipynb").symlink_to("ada.ipynb")
    commit(repository, {"in/bob.ipynb": right, **TRAPS}, "2026-10-02T22:30:00Z")
    inputs = {
        "submissions": "in",
        "lab": "12",
        "assignment": "Lab 12 (4711)",
        "roster": "roster.csv",
        "due": "2026-10-01T23:59+02:00",
        "late-penalty": "1",
    }
    seed = "a-secret-of-the-instructor"
    ran = run(tmp_path / "work", repository, inputs, seed)
    assert ran.ok, ran.log
    assert "Advisory" not in ran.summary
    assert f"| `ada` | 12 | {POINTS} | {POINTS} |" in ran.summary
    rows = {row["student_id"]: row for row in csv.DictReader((ran.artifact / "grades.csv").read_text().splitlines())}
    assert {name: [float(row["raw_score"]), float(row["score"])] for name, row in rows.items()} == {
        "ada": [POINTS, POINTS],
        "bob": [1, round(1 - 0.02 * POINTS, 2)],  # a day and half an hour late: two days begun
        "cyd": [0, 0],  # a link to the work of another
        "eve": [0, 0],
    }
    assert rows["bob"]["timestamp"] == "2026-10-02 22:30:00"
    assert "Lab 12 (4711)" in (ran.artifact / "canvas.csv").read_text().splitlines()[0]
    everything = ran.log + ran.summary + "".join(path.read_text() for path in ran.artifact.rglob("*.*"))
    assert seed not in everything
    assert "TRAPPED" not in everything
    assert not re.search(r"^\s*(::|##\[)", ran.log + ran.summary, re.MULTILINE)  # what the runner takes for commands

    again = run(tmp_path / "work-2", repository, inputs, seed)
    assert ran.summary == again.summary
    first, second = ({p.name: p.read_bytes() for p in one.artifact.rglob("*") if p.is_file()} for one in (ran, again))
    assert first == second


@pytest.mark.parametrize("path", ["../../../etc/hostname", "/etc/hostname", "absent.ipynb", "out"])
def test_a_path_that_leads_elsewhere_is_refused(tmp_path: Path, path):
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "out").symlink_to("/etc")
    commit(repository, {"a.ipynb": b"{}"}, "2026-10-01T10:00:00Z")
    ran = run(tmp_path / "work", repository, {"submissions": path})
    assert not ran.ok
    assert f"There is no {path!r} in this repository." in ran.log
    assert ran.summary == ""
    assert not ran.artifact.exists()


def test_a_name_cannot_change_the_time_of_another_file(tmp_path: Path):
    repository = tmp_path / "repository"
    commit(repository, {"a.ipynb": b"{}", "z.ipynb": b"{}"}, "2026-10-05T00:00:00Z")
    commit(repository, {"b\n@0\nz.ipynb": b"{}", "@0": b""}, "2026-10-06T00:00:00Z")
    classroom.set_times(repository)
    assert (repository / "z.ipynb").stat().st_mtime == (repository / "a.ipynb").stat().st_mtime == 1_791_158_400


def test_wrong_use_is_told(capsys):
    assert classroom.main([]) == 2
    assert "python tools/classroom.py CLASSROOM RESULTS" in capsys.readouterr().err


# --- the workflow's text ---------------------------------------------------------------------------------------------


def test_no_step_puts_text_from_outside_into_a_shell():
    for job in workflow()["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            assert "github-script" not in step.get("uses", "")
    assert "github.event" not in WORKFLOW.read_text(encoding="utf-8")


def test_the_job_may_only_read_and_holds_one_secret():
    document = workflow()
    assert document["permissions"] == {"contents": "read"}
    assert set(document["on"]) == {"workflow_call"}
    assert set(document["on"]["workflow_call"]["secrets"]) == {"seed"}
    (job,) = document["jobs"].values()
    assert "permissions" not in job
    with_secret = [step["name"] for step in job["steps"] if "secrets." in str(step)]
    assert with_secret == ["Grade"]
    for step in job["steps"]:
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


def test_actions_are_pinned_to_a_commit():
    uses = re.findall(r"uses: (actions/\S+)(.*)", WORKFLOW.read_text(encoding="utf-8"))
    assert len(uses) == 4
    for action, comment in uses:
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action)
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment)


@pytest.mark.parametrize("number", [0, 1])
def test_the_callers_in_the_comments_are_right(number):
    """The trust rule stands where an instructor sees it, with a caller for either side that the workflow accepts."""
    comment = "\n".join(re.findall(r"^# ?(.*)", WORKFLOW.read_text(encoding="utf-8"), re.MULTILINE))
    assert "Whoever controls the workflow controls the score." in comment
    text = re.findall(r"^( +on: .*\n(?: .*\n)+)", comment, re.MULTILINE)[number]
    assert len(text.splitlines()) == (5, 6)[number]
    caller = yaml.safe_load(text)["jobs"]["grade"]
    declared = workflow()["on"]["workflow_call"]
    assert set(caller["with"]) <= set(declared["inputs"])
    assert {name for name, one in declared["inputs"].items() if one.get("required")} <= set(caller["with"])
    assert set(caller.get("secrets", {})) == (set(), {"seed"})[number]
    assert caller["uses"].endswith("/.github/workflows/grade.yml@main")

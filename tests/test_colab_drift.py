"""The alarm that Colab has changed, with a made-up list of Colab's and a stand-in for GitHub's gh."""

import json
import os
import subprocess
import sys
from pathlib import Path

import colab_drift
import pytest
import yaml
from colab import COLAB, colab_python, read_freeze
from course import ROOT

GH = f"""#!{sys.executable}
import json, os, pathlib, sys
log = pathlib.Path(os.environ["GH_LOG"])
body = sys.stdin.read() if "--body-file" in sys.argv else ""
log.write_text(log.read_text() + json.dumps([sys.argv[1:], body]) + "\\n")
if sys.argv[1:3] == ["issue", "list"]:
    print(os.environ["GH_ISSUES"])
"""


@pytest.fixture
def alarm(tmp_path):
    """Runs the script on a list, with these issues open; returns exit status, output, and what gh was asked to do."""
    (tmp_path / "gh").write_text(GH, encoding="utf-8")
    (tmp_path / "gh").chmod(0o755)
    log = tmp_path / "log"

    def run(published: str, *options: str, issues: tuple = ()) -> tuple[int, str, list]:
        log.write_text("", encoding="utf-8")
        (tmp_path / "pip-freeze.txt").write_text(published, encoding="utf-8")
        env = os.environ | {
            "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
            "GH_LOG": str(log),
            "GH_ISSUES": json.dumps(issues),
        }
        command = [sys.executable, ROOT / "tools" / "colab_drift.py", "--published", tmp_path / "pip-freeze.txt"]
        done = subprocess.run([*command, *options], env=env, capture_output=True, text=True)
        calls = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        return done.returncode, done.stdout + done.stderr, calls

    return run


DRIFTED = (
    read_freeze()
    .replace("transformers==5.15.0", "transformers==5.21.1")
    .replace("torch-2.11.0%2Bcpu-cp313-cp313", "torch-2.14.1%2Bcpu-cp313-cp313")
    .replace("altair==5.5.0", "altair==9.9.9")
)


def test_the_same_list_raises_no_alarm(alarm):
    assert alarm(read_freeze(), "--issue") == (0, "Colab has the versions of the emulation.\n", [])


def test_packages_that_the_course_does_not_need_raise_no_alarm(alarm):
    newer = read_freeze().replace("altair==5.5.0", "altair==9.9.9").replace("certifi==", "certifi==2099.")
    assert alarm(newer, "--issue")[::2] == (0, [])


def test_without_issues_drift_is_a_failure(alarm):
    status, said, calls = alarm(DRIFTED)
    assert status == 1
    assert said.splitlines()[2:] == ["| torch | 2.11.0 | 2.14.1 |", "| transformers | 5.15.0 | 5.21.1 |"]
    assert calls == []


def test_drift_opens_an_issue(alarm):
    other = {"number": 7, "title": f"{colab_drift.TITLE}, says a reader"}
    status, _, (_, (arguments, body)) = alarm(DRIFTED, "--issue", issues=(other,))
    assert status == 0
    assert arguments == ["issue", "create", "--title", colab_drift.TITLE, "--body-file", "-"]
    assert "| transformers | 5.15.0 | 5.21.1 |" in body
    assert "make colab" in body


def test_an_open_issue_is_brought_up_to_date(alarm):
    _, _, (_, (arguments, body)) = alarm(DRIFTED, "--issue", issues=({"number": 8, "title": colab_drift.TITLE},))
    assert arguments == ["issue", "edit", "8", "--body-file", "-"]
    assert "2.14.1" in body


def test_another_python_or_a_missing_package_is_drift(alarm):
    newer = read_freeze().replace("-cp313-cp313-", "-cp314-cp314-").replace("tqdm==", "tqdm-was-here==")
    _, said, _ = alarm(newer)
    assert said.splitlines()[2] == "| Python | 3.13 | 3.14 |"
    assert any(line.startswith("| tqdm | ") and line.endswith(" | none |") for line in said.splitlines())


@pytest.mark.parametrize("page", ["<html>Not found</html>", "torch==1.0\n"])
def test_a_page_that_is_no_list_is_said_to_be_none(alarm, page):
    status, said, calls = alarm(page, "--issue")
    assert status == 1
    assert said.count("\n") == 1
    assert said.startswith("Colab's list could not be read: ")
    assert calls == []


def test_everything_derives_from_the_one_list():
    """The weekly workflow's Python and the words beside the list agree with it, and nobody else writes versions."""
    python = colab_python(read_freeze())
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "colab.yml").read_text(encoding="utf-8"))
    asked = {
        step["with"]["python-version"]
        for job in workflow["jobs"].values()
        for step in job["steps"]
        if "setup-python" in step.get("uses", "")
    }
    assert asked == {python}
    assert f"Python {python}" in (COLAB / "README.md").read_text(encoding="utf-8")
    lists = [path for path in ROOT.rglob("pip-freeze*.txt") if not {".cache", ".venv"} & {*path.parts}]
    assert lists == [Path(COLAB, "pip-freeze.txt")]

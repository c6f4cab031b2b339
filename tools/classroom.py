"""Grades a classroom's repository on a runner: what .github/workflows/grade.yml does after the installation.

    python tools/classroom.py CLASSROOM RESULTS

CLASSROOM is a clone of the repository. What to grade, and how, is in the variables that the workflow sets. The exit
code is the grader's: 0 graded, 2 used wrongly or not isolated.
"""

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PUBLIC_SEED = "advisory"  # in a student's repository there is no secret that the student could not read
ADVISORY = """\
> **Advisory.** This run has no secret seed, so everybody can draw its tests, and whoever may push here may change this
> page. It is not the grade.

"""
OPTIONS = {"LAB": "--lab", "ASSIGNMENT": "--assignment", "DUE": "--due", "LATE_PENALTY": "--late-penalty"}
SEED = "LABUTILS_GRADING_SEED"


class Refused(Exception):
    """A path leads out of the classroom, or to nothing. The text says which."""


def inside(classroom: Path, name: str) -> Path:
    """A path that the caller gave, below the classroom. Raises Refused where it leads elsewhere."""
    path = classroom / name
    if not path.resolve().is_relative_to(classroom.resolve()) or not path.exists():
        raise Refused(f"There is no {name!r} in this repository.")
    return path


def set_times(classroom: Path) -> None:
    """Set the time of each notebook to its last commit: a fresh clone has files of this minute, all of them late."""
    git = ["git", "-C", str(classroom)]
    names = subprocess.run([*git, "ls-files", "-z", "*.ipynb"], check=True, capture_output=True).stdout
    wanted = set(names.split(b"\0")) - {b""}
    mark = secrets.token_hex(16).encode()  # which no name of a file can hold
    options = [f"--format={mark.decode()}%ct", "--name-only", "-z", "--no-renames", "--diff-merges=first-parent"]
    log = subprocess.run([*git, "log", *options], check=True, capture_output=True).stdout
    for commit in log.split(mark)[1:]:  # the newest comes first
        seconds, _, changed = commit.partition(b"\0")
        for name in wanted & {name.removeprefix(b"\n") for name in changed.split(b"\0")}:
            wanted.remove(name)
            os.utime(classroom / os.fsdecode(name), (int(seconds), int(seconds)), follow_symlinks=False)


def grade(classroom: Path, results: Path, environment: Mapping[str, str]) -> int:
    """Grade and write the step summary. Returns the grader's exit code. Raises Refused."""
    submissions = inside(classroom, environment.get("SUBMISSIONS") or ".")
    set_times(classroom)
    command = [sys.executable, "-P", "-m", "labutils.grading", "grade", str(submissions), "--out", str(results)]
    command += ["--jobs", str(os.cpu_count() or 1)]
    for variable, option in OPTIONS.items():
        if value := environment.get(variable):
            command.append(f"{option}={value}")  # in one word, so that a value is never an option
    if roster := environment.get("ROSTER"):
        command.append(f"--roster={inside(classroom, roster)}")
    secret = environment.get(SEED)
    code = subprocess.run(command, env={**environment, SEED: secret or PUBLIC_SEED}).returncode
    if code == 0 and (page := environment.get("GITHUB_STEP_SUMMARY")):
        with open(page, "a", encoding="utf-8") as file:
            file.write(("" if secret else ADVISORY) + (results / "summary.md").read_text(encoding="utf-8"))
    return code


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        return grade(Path(arguments[0]), Path(arguments[1]), os.environ)
    except Refused as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

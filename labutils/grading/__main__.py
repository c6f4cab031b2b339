"""`python -m labutils.grading grade NOTEBOOK... --out DIR`: exit code 0 graded, 2 used wrongly or not isolated."""

import argparse
import hashlib
import os
import pkgutil
import re
import secrets
import sys
import time
from collections import Counter
from pathlib import Path

import torch

from labutils import exercises as course
from labutils.exercises import exercises_of
from labutils.grading import formats, report
from labutils.grading.extract import Submission, Unreadable
from labutils.grading.sandbox import Sandbox, SandboxError
from labutils.grading.score import Score, grade, nothing

SEED_VARIABLE = "LABUTILS_GRADING_SEED"


def labs() -> list[str]:
    """The labs that have exercises, such as ["12"]."""
    names = [module.name for module in pkgutil.iter_modules(course.__path__)]
    return sorted(name[3:] for name in names if re.fullmatch(r"lab\d\d", name))


def lab_of(path: Path, submission: Submission | None) -> str | None:
    """The lab of a file: by its metadata, its name, the name that Colab kept, or the functions that it defines."""
    known = labs()
    if submission and submission.lab in known:
        return submission.lab
    for name in (path.name, submission.title if submission else ""):
        if (match := re.match(r"(?:lab[_ -]?)?(\d\d)(?!\d)", name, re.IGNORECASE)) and match[1] in known:
            return match[1]
    if submission is None:
        return None
    counts = {lab: sum(bool(submission.bindings(e.name)) for e in exercises_of(lab)) for lab in known}
    best = max(counts, key=lambda lab: counts[lab], default=None)
    return best if best and counts[best] else None


def students_of(paths: list[Path]) -> list[str]:
    """A name for each file that is safe as a folder's: the file's own name, or its folder's where that is the lab's."""
    names = []
    for path in paths:
        path = path.absolute()
        is_lab_name = re.match(r"(lab[_ -]?)?\d\d([_ .-]|$)", path.stem, re.IGNORECASE)
        name = path.parent.name if is_lab_name else path.stem
        names.append(re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".-")[:80] or "student")
    counts = Counter(name.lower() for name in names)  # some file systems ignore case
    return [
        name if counts[name.lower()] == 1 else f"{name}-{hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:8]}"
        for name, path in zip(names, paths, strict=True)
    ]


def grade_file(path: Path, student: str, lab: str | None, sandbox: Sandbox, secret: str) -> Score:
    """Grade one file. A file that cannot be read gets 0 and the sentence that says why."""
    submission, why = None, ""
    try:
        submission = sandbox.read(path)
    except Unreadable as error:
        why = str(error)
    lab = lab or lab_of(path, submission)
    exercises = exercises_of(lab) if lab else ()
    if submission is None or not exercises:
        why = why or "None of the functions that the labs ask for is in this file. Hand in the lab's own notebook."
        return nothing(exercises, sandbox.isolation, student=student, lab=lab or "?", file=path.name, why=why)
    return grade(submission, exercises, sandbox, student=student, file=path.name, secret=secret)


def _seed(given: str | None) -> str:
    if seed := given or os.environ.get(SEED_VARIABLE):
        return seed
    seed = secrets.token_hex(8)
    print(f"No --seed and no {SEED_VARIABLE}: the tests of this run are drawn with --seed {seed}", file=sys.stderr)
    return seed


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m labutils.grading", description="Score the labs' exercises.")
    command = parser.add_subparsers(dest="command", required=True).add_parser("grade", help="grade notebooks")
    command.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK", help=".ipynb or .py, one a student")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")
    command.add_argument("--lab", help="two digits; found from the file where it is left out")
    command.add_argument(
        "--seed", help=f"secret that the tests are drawn with (default: ${SEED_VARIABLE}, else random)"
    )
    command.add_argument("--practice", action="store_true", help="go on where the code cannot be isolated")
    options = parser.parse_args(arguments)
    if options.lab:
        try:
            exercises_of(options.lab)
        except ValueError as error:
            parser.error(str(error))
    try:
        secret = _seed(options.seed)
        with Sandbox() as sandbox:
            if not sandbox.isolation.complete and not options.practice:
                raise SandboxError(
                    f"{sandbox.isolation.sentence} No grades are given. Use Linux 5.13 or newer on x86_64 or aarch64, "
                    "or pass --practice if you trust this code."
                )
            results = []
            for path, student in zip(options.notebooks, students_of(options.notebooks), strict=True):
                start = time.perf_counter()
                score = grade_file(path, student, options.lab, sandbox, secret)
                results.append(report.as_json(score, submitted=report.submitted_at(path)))
                report.write(results[-1], options.out)
                print(f"{student}: {formats.number(score.score)} of {score.points} points "
                      f"({time.perf_counter() - start:.2f} s)", flush=True)  # fmt: skip
            formats.write_all(results, options.out)
            print(f"Results are in {options.out}. {sandbox.isolation.sentence}")
    except (SandboxError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)  # the tensors are small: threads would only wait for each other
    sys.exit(main())

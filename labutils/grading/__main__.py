"""`python -m labutils.grading COMMAND`: exit code 0 done, 2 used wrongly, refused or not isolated."""

import argparse
import os
import re
import secrets
import sys
from difflib import get_close_matches
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from labutils.exercises import exercises_of, find
from labutils.grading import batch, engines, formats, report
from labutils.grading.explain import explain
from labutils.grading.extract import Unreadable
from labutils.grading.gradebook import Person, strangers
from labutils.grading.sandbox import Sandbox, SandboxError

SEED_VARIABLE = "LABUTILS_GRADING_SEED"


def _seed(given: str | None) -> str:
    if seed := given or os.environ.get(SEED_VARIABLE):
        return seed
    seed = secrets.token_hex(8)
    print(f"No --seed and no {SEED_VARIABLE}: the tests of this run are drawn with --seed {seed}", file=sys.stderr)
    return seed


# --- options ---------------------------------------------------------------------------------------------------------


def _lab(text: str) -> str:
    try:
        exercises_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _jobs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes, such as 2")
    return int(text)


def _shard(text: str) -> batch.Shard:
    if not (match := re.fullmatch(r"(\d+)/(\d+)", text)) or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is no shard, such as 1/4 for the first of four")
    return batch.Shard(int(match[1]), int(match[2]))


def _add_grade(commands) -> None:
    command = commands.add_parser("grade", help="grade notebooks; given again, it goes on where it was cut off")
    command.set_defaults(run=_grade)
    command.add_argument(
        "notebooks",
        nargs="+",
        type=Path,
        metavar="NOTEBOOK",
        help=".ipynb or .py, one a student; or folders of .ipynb",
    )
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")
    command.add_argument("--lab", type=_lab, help="two digits; found from the file where it is left out")
    command.add_argument(
        "--seed", help=f"secret that the tests are drawn with (default: ${SEED_VARIABLE}, else random)"
    )
    command.add_argument("--practice", action="store_true", help="go on where the code cannot be isolated")
    command.add_argument("--jobs", type=_jobs, default=1, metavar="N", help="processes that grade (default: 1)")
    command.add_argument(
        "--shard",
        type=_shard,
        default=batch.Shard(),
        metavar="I/N",
        help="grade one part of N; in a Slurm array $((SLURM_ARRAY_TASK_ID + 1))/$SLURM_ARRAY_TASK_COUNT (from 0), "
        "in an Indexed Job of Kubernetes $((JOB_COMPLETION_INDEX + 1))/N",
    )
    command.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="grade on a Dask cluster, such as tcp://host:8786, whose workers have one thread each and the same "
        "folders; or `local` for one of --jobs processes",
    )
    formats.add_options(command)


def _add_merge(commands) -> None:
    command = commands.add_parser("merge", help="put the folders of all shards together")
    command.set_defaults(run=_merge)
    command.add_argument("shards", nargs="+", type=Path, metavar="DIR", help="what each shard was given as --out")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")
    formats.add_options(command)


def _add_export(commands) -> None:
    command = commands.add_parser("export", help="write the gradebooks of a run again, with another roster or deadline")
    command.set_defaults(run=_export)
    command.add_argument("out", type=Path, metavar="DIR", help="what `grade` was given as --out")
    command.add_argument(
        "--classroom50",
        type=Path,
        metavar="FILE",
        help="write Classroom 50's result.json of the one result, and nothing else",
    )
    formats.add_options(command)


def _add_explain(commands) -> None:
    command = commands.add_parser("explain", help="show an instructor all about one exercise of one student")
    command.set_defaults(run=_explain)
    command.add_argument("student", help="the name in the gradebook")
    command.add_argument("exercise", help="the name of the function")
    command.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK", help="the same as for `grade`")
    command.add_argument("--seed", help=f"the secret that the score was drawn with (default: ${SEED_VARIABLE})")
    command.add_argument("--out", type=Path, metavar="DIR", help="compare with the result in this folder")


# --- commands --------------------------------------------------------------------------------------------------------


def _grade(options: argparse.Namespace) -> None:
    gradebook = formats.from_options(options)
    write = partial(formats.write_all, **gradebook)
    papers = batch.papers(options.notebooks)
    if options.shard.of > 1 and not (options.seed or os.environ.get(SEED_VARIABLE)):
        raise batch.BatchError(f"All shards need the same seed: give --seed, or set {SEED_VARIABLE}.")
    settings = batch.Settings(secret=_seed(options.seed), lab=options.lab, practice=options.practice)
    if options.dask:
        engine = partial(engines.dask, address=options.dask, jobs=options.jobs)
    else:
        engine = partial(engines.local, jobs=options.jobs)
    part = {paper.student for paper in options.shard.part(papers)}
    kept, given_up = 0, []
    tqdm.monitor_interval = 0  # no thread that only watches the bar: processes are forked from this one
    with tqdm(total=len(part), unit=" files", disable=None) as bar:

        def tell(result: dict, is_new: bool) -> None:
            nonlocal kept
            bar.update()
            kept += not is_new
            given_up.extend([result["student"]] if batch.is_given_up(result) else [])
            if is_new:
                line = f"{result['student']}: {report.number(result['score'])} of {result['points']} points"
                tqdm.write(line, file=sys.stdout)

        results = batch.run(papers, options.out, settings, engine, shard=options.shard, tell=tell, write=write)
    if kept:
        print(f"{kept} of {len(part)} were graded before and stand as they are.")
    if given_up:
        print(f"The grader ended twice on each of these, which got 0: {', '.join(given_up)}", file=sys.stderr)
    if others := sorted({result["student"] for result in results} - part):
        where = f"are in {options.out} too, and count"
        print(f"{len(others)} results of files that you did not name now {where}: {_some(others)}")
    if others := batch.passed_over(options.notebooks):
        print(f"Not graded, because of a folder only the notebooks (.ipynb) are: {_some(others)}")
    for paper in papers:
        if re.search(r"-[0-9a-f]{12}$", paper.student):  # two files would have had the same name
            print(f"{paper.student} is {os.path.relpath(paper.path)}")
    if options.lab is None:
        _tell_labs(results)
    _end(results, options.out, gradebook["roster"])


def _merge(options: argparse.Namespace) -> None:
    gradebook = formats.from_options(options)
    write = partial(formats.write_all, **gradebook)
    _end(batch.merge(options.shards, options.out, write=write), options.out, gradebook["roster"])


def _export(options: argparse.Namespace) -> None:
    results = report.read_all(options.out)
    if options.classroom50 is None:
        gradebook = formats.from_options(options)
        formats.write_all(results, options.out, **gradebook)
        _tell_strangers(results, gradebook["roster"])
        print(f"The gradebooks in {options.out} are written again.")
    elif len(results) == 1:
        report.write_text(options.classroom50, formats.classroom50(results[0], os.environ))
    else:
        raise ValueError(f"Classroom 50 wants one result, and {options.out} has {len(results)}.")


def _explain(options: argparse.Namespace) -> None:
    seed = options.seed or os.environ.get(SEED_VARIABLE)
    if not seed:
        raise ValueError(f"Give the --seed that the score was drawn with, or set {SEED_VARIABLE}.")
    record = batch.Record.read(options.out) if options.out else None
    if record and record.seed != batch.Settings(secret=seed).seed:
        raise ValueError(f"The scores in {options.out} were drawn with another seed.")
    exercise = find(options.exercise)
    named = {paper.student: paper.path for paper in batch.papers(options.notebooks)}
    student = options.student if options.student in named else report.file_name(options.student)
    if student not in named:
        nearest = " or ".join(get_close_matches(options.student, named, n=2))
        raise ValueError(f"None of these files is {options.student}'s." + (f" Is it {nearest}?" if nearest else ""))
    with Sandbox() as sandbox:
        try:
            submission = sandbox.read(named[student])
        except Unreadable as error:
            print(f"{student}, {exercise.name}: 0 points, because the file could not be read. {error}")
            return
        recorded = report.read(options.out / report.FOLDER / f"{student}.json") if options.out else None
        text = explain(submission, exercise, sandbox, student=student, secret=seed, recorded=recorded)
        print(text, end="")


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _tell_labs(results: list[dict]) -> None:
    """Say so where the files are not of one lab: most often somebody's file is another one, or none at all."""
    of_lab: dict[str, list[str]] = {}
    for result in results:
        of_lab.setdefault(result["lab"] if result["exercises"] else "?", []).append(result["student"])
    if len(of_lab) > 1:
        *fewer, most = sorted(of_lab.items(), key=lambda item: (len(item[1]), item[0]))
        names = "; ".join(f"{_some(students)} of {'none' if lab == '?' else lab}" for lab, students in fewer)
        ask = f" If all belong to lab {most[0]}, grade again with --lab {most[0]}." if most[0] != "?" else ""
        print(f"Not all files are of one lab: {names}.{ask}")


def _tell_strangers(results: list[dict], roster: dict[str, Person] | None) -> None:
    if roster:
        without_name, without_file = strangers(results, roster)
        if without_name:
            print(f"Not in the roster: {_some(without_name, 50)}")
        if without_file:
            print(f"In the roster, and nothing handed in: {_some(without_file, 50)}")


def _end(results: list[dict], out: Path, roster: dict[str, Person] | None) -> None:
    _tell_strangers(results, roster)
    sentences = sorted({result["isolation"]["sentence"] for result in results})
    print(" ".join([f"Results are in {out}.", *sentences]))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m labutils.grading", description="Score the labs' exercises.")
    commands = parser.add_subparsers(required=True)
    _add_grade(commands)
    _add_merge(commands)
    _add_export(commands)
    _add_explain(commands)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (SandboxError, OSError, batch.BatchError, report.BadResult, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)  # the tensors are small: threads would only wait for each other
    sys.exit(main())

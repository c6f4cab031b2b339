"""A run over many files: find them, name them, split them, keep what is finished, put the parts together.

A result is a file that appears whole or not at all, and says in its `fingerprint` what it was made of. One process, the
one that runs `run`, writes them; those that grade only tell it. So nothing is written twice, no process that outlives
the run can still write, and graders on other machines need no way to the gradebook. A run that was cut off, by whatever
means, goes on from what lies in its folder.
"""

import hashlib
import json
import os
import platform
import re
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from pkgutil import iter_modules

import torch

from labutils import __version__
from labutils import exercises as course
from labutils.exercises import exercises_of
from labutils.grading import extract, formats, report
from labutils.grading.extract import Submission, Unreadable
from labutils.grading.sandbox import COURSE, Isolation, Sandbox, Session
from labutils.grading.score import Score, grade, nothing

SCHEMA = "labutils/run/v1"
RECORD = "run.json"  # in the folder of a run


class BatchError(Exception):
    """The run cannot be what was asked for. The text says why and what to do."""


# --- the files of a run ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Paper:
    """One file to grade. The student's name is also the name of the result."""

    student: str
    path: Path


def papers(paths: list[Path]) -> list[Paper]:
    """The files, and the notebooks in the folders, by the student's name. The order of `paths` does not matter.

    A notebook or .py file that is not there is graded, with 0. Raises BatchError where anything else is not there, as
    after a slip, or where a folder holds no notebook.
    """
    if missing := [path for path in paths if not path.exists() and path.suffix.lower() not in (".ipynb", ".py")]:
        raise BatchError(f"There is no {missing[0]}. Check the name; one with spaces in it stands in quotes.")
    files = sorted({Path(os.path.abspath(file)) for path in paths for file in _files(path)})
    named = zip(students_of(files), files, strict=True)
    return sorted((Paper(student, file) for student, file in named), key=lambda paper: paper.student)


def _files(path: Path) -> list[Path]:
    """The file itself, or the notebooks below a folder. Hidden ones and folders behind links do not count."""
    if not path.is_dir():
        return [path]
    found = [file for file in _visible(path) if file.suffix.lower() == ".ipynb"]
    if not found:
        raise BatchError(f"There is no notebook (.ipynb) in {path}. A .py file must be named itself.")
    return found


def passed_over(paths: list[Path]) -> list[str]:
    """What lies in the folders among `paths` and is no notebook, so that nobody waits for its grade."""
    files = {file.absolute() for path in paths if path.is_dir() for file in _visible(path)}
    files -= {path.absolute() for path in paths}
    return sorted(file.name for file in files if file.suffix.lower() != ".ipynb")


def _visible(path: Path) -> list[Path]:
    """The files below a folder."""
    found = []
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    return found


# "Copy of 12_decoding.ipynb" is what Colab calls the copy that everybody makes who saves a lab, in the user's language.
_COPY = r"(?:(?:copy of|kopie von|copie de|copia de|copia di) )*"


def students_of(paths: list[Path]) -> list[str]:
    """A name for each file that is safe as a folder's: the file's own name, or its folder's where that is the lab's.

    Those who would have the same one get a digest of their file's place, below the folder that holds all files.
    """
    paths = [path.absolute() for path in paths]
    names = []
    for path in paths:
        is_lab_name = re.match(rf"{_COPY}(lab[_ -]?)?\d\d([_ .-]|$)", path.stem, re.IGNORECASE)
        names.append(report.file_name(path.parent.name if is_lab_name else path.stem))
    top = os.path.commonpath([path.parent for path in paths]) if paths else ""
    digests = [hashlib.sha256(os.fsencode(os.path.relpath(path, top))).hexdigest()[:12] for path in paths]
    while len(counts := Counter(name.lower() for name in names)) < len(names):  # some file systems ignore case
        names = [
            name if counts[name.lower()] == 1 else f"{name}-{digest}"
            for name, digest in zip(names, digests, strict=True)
        ]
    return names


@dataclass(frozen=True)
class Shard:
    """Part `number` (from 1) of a run that is split `of` ways."""

    number: int = 1
    of: int = 1

    def part(self, papers: list[Paper]) -> list[Paper]:
        """This shard's papers. All shards together have each once, as long as all see the same files."""
        return papers[self.number - 1 :: self.of]

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


WHOLE = Shard()


# --- one file --------------------------------------------------------------------------------------------------------


@cache
def version() -> str:
    """What graded: it changes with any line of the course's code, and with torch's or Python's release."""
    digest = hashlib.sha256()
    for path in sorted(COURSE.rglob("*.py")):
        digest.update(path.relative_to(COURSE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    python = ".".join(platform.python_version_tuple()[:2])
    return f"labutils {__version__} ({digest.hexdigest()[:12]}), torch {torch.__version__}, Python {python}"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a score depends on, besides the file and the grader. `practice` goes on without isolation."""

    secret: str = field(repr=False)  # a scheduler may write arguments into its log
    lab: str | None = None
    practice: bool = False

    @cached_property
    def seed(self) -> str:
        """A digest of the secret that may be published: each guess at a short one costs 16 MB and 50 ms."""
        return hashlib.scrypt(self.secret.encode(), salt=b"labutils.grading", n=1 << 14, r=8, p=1, dklen=16).hex()

    def fingerprint(self, paper: Paper, content: bytes | str) -> str:
        """A digest of all that a result is made of."""
        head = json.dumps([version(), self.seed, self.lab, paper.student, paper.path.name])
        data = content if isinstance(content, bytes) else b"\0" + content.encode()
        return hashlib.sha256(head.encode() + b"\0" + data).hexdigest()


def content_of(path: Path) -> bytes | str:
    """The bytes of a file, or the sentence that says why there are none."""
    try:
        if path.is_symlink():  # it could lead to somebody else's work
            raise Unreadable("This is a link to another file. Hand in the file itself.")
        return extract.file_bytes(path)
    except Unreadable as error:
        return str(error)


def labs() -> list[str]:
    """The labs that have exercises, such as ["12"]."""
    names = [module.name for module in iter_modules(course.__path__)]
    return sorted(name[3:] for name in names if re.fullmatch(r"lab\d\d", name))


def lab_of(path: Path, submission: Submission | None) -> str | None:
    """The lab of a file: by its metadata, its name, the name that Colab kept, or the functions that it defines."""
    known = labs()
    if submission and submission.lab in known:
        return submission.lab
    for name in (path.name, submission.title if submission else ""):
        if (match := re.match(rf"{_COPY}(?:lab[_ -]?)?(\d\d)(?!\d)", name, re.IGNORECASE)) and match[1] in known:
            return match[1]
    if submission is None:
        return None
    counts = {lab: sum(bool(submission.bindings(e.name)) for e in exercises_of(lab)) for lab in known}
    best = max(counts, key=lambda lab: counts[lab], default=None)
    return best if best and counts[best] else None


def grade_paper(paper: Paper, settings: Settings, sandbox: Sandbox) -> dict:
    """Grade one file. One that cannot be read gets 0 and the sentence that says why. Raises SandboxError."""
    content = content_of(paper.path)
    submission, why = None, content
    if isinstance(content, bytes):
        try:
            with Session(sandbox) as session:
                submission = session.read(content, is_notebook=paper.path.suffix.lower() != ".py")
        except Unreadable as error:
            why = str(error)
    lab = settings.lab or lab_of(paper.path, submission)
    if submission is None:
        return _zero(paper, settings, content, lab, sandbox.isolation, str(why))
    if lab is None:
        why = "None of the functions that the labs ask for is in this file. Hand in the lab's own notebook."
        return _zero(paper, settings, content, lab, sandbox.isolation, why)
    score = grade(
        submission, exercises_of(lab), sandbox, student=paper.student, file=paper.path.name, secret=settings.secret
    )
    return _result(score, paper, settings, content)


GAVE_UP = (
    "Twice, the grader itself ended while it graded this file, so the file scores 0. "
    "This is no usual mistake: ask your instructor to look at it."
)


def give_up(paper: Paper, settings: Settings, isolation: Isolation) -> dict:
    """The result of a file that ended the process that graded it, and did so again."""
    lab = settings.lab or lab_of(paper.path, None)
    return _zero(paper, settings, content_of(paper.path), lab, isolation, GAVE_UP)


def is_given_up(result: dict) -> bool:
    """Whether a result is one of `give_up`."""
    return any(finding["sentence"] == GAVE_UP for finding in result["findings"])


def _zero(
    paper: Paper, settings: Settings, content: bytes | str, lab: str | None, isolation: Isolation, why: str
) -> dict:
    exercises = exercises_of(lab) if lab else ()
    score = nothing(exercises, isolation, student=paper.student, lab=lab or "?", file=paper.path.name, why=why)
    return _result(score, paper, settings, content)


def _result(score: Score, paper: Paper, settings: Settings, content: bytes | str) -> dict:
    result = report.as_json(score, submitted=report.submitted_at(paper.path))
    return result | {"fingerprint": settings.fingerprint(paper, content)}


# --- the folder of a run ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a folder holds. `submissions` is a digest of all names, those of the other shards too."""

    seed: str
    grader: str
    lab: str | None
    shard: Shard
    submissions: str
    finished: bool = False
    students: tuple[str, ...] = ()  # whose results are there, once it is finished

    def write(self, out: Path) -> None:
        """Write `out`/run.json."""
        shard = {"number": self.shard.number, "of": self.shard.of}
        report.write_text(out / RECORD, report.text_of({"schema": SCHEMA, **vars(self), "shard": shard}))

    @classmethod
    def read(cls, out: Path) -> "Record | None":
        """The record of a folder, None where there is none. Raises BatchError where it is broken."""
        path = out / RECORD
        if not path.exists():
            return None
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            if fields.pop("schema") != SCHEMA:
                raise ValueError
            return cls(**fields | {"shard": Shard(**fields["shard"]), "students": tuple(fields["students"])})
        except (ValueError, TypeError, KeyError, AttributeError):
            raise BatchError(f"{path} is not what this grader wrote. Give another folder.") from None


def run(
    papers: list[Paper],
    out: Path,
    settings: Settings,
    engine: Callable[[list[Paper], Settings], Generator[dict, None, None]],
    *,
    shard: Shard = WHOLE,
    tell: Callable[[dict, bool], None] = lambda result, is_new: None,
    write: Callable[[list[dict], Path], None] = formats.write_all,
) -> list[dict]:
    """Grade `papers`, or this shard of them, into `out`. Returns all results that are there then.

    `engine` grades, in any order. `tell(result, is_new)` is called for each; a result is not new where `out` had it
    from the same file, seed and grader. `write(results, out)` makes of all what is handed out. Raises BatchError,
    SandboxError, OSError, and report.BadResult.
    """
    record = Record(seed=settings.seed, grader=version(), lab=settings.lab, shard=shard, submissions=_digest(papers))
    with _alone(out):
        _refuse_another_run(out, record)
        left = []
        for paper in shard.part(papers):
            if result := _finished(paper, out, settings):
                tell(result, False)
            else:
                left.append(paper)
        if left:
            with closing(engine(left, settings)) as results:
                for number, result in enumerate(results):
                    if not number:  # from here on the folder is this run's; before, the run may still be refused
                        record.write(out)
                    report.write(result, out)
                    tell(result, True)
        return _finish(out, record, write)


def merge(
    folders: list[Path], out: Path, *, write: Callable[[list[dict], Path], None] = formats.write_all
) -> list[dict]:
    """Put the shards of a run together in `out`, which is then what a run without shards would have made.

    Raises BatchError where one is missing, doubled, unfinished, or of another run; report.BadResult, OSError.
    """
    shards = [_shard(folder) for folder in folders]
    _refuse_other_parts(folders, shards)
    if out.resolve() in [folder.resolve() for folder in folders]:
        raise BatchError(f"{out} is a shard. Give another --out.")
    whole = replace(shards[0], shard=WHOLE, finished=False, students=())
    with _alone(out):
        _refuse_another_run(out, whole)
        whole.write(out)
        for folder, shard in zip(folders, shards, strict=True):
            for student in shard.students:
                report.write(report.read(folder / report.FOLDER / f"{student}.json"), out)
        return _finish(out, whole, write)


def _shard(folder: Path) -> Record:
    """The record of a finished shard. Raises BatchError."""
    record = Record.read(folder)
    if record is None:
        raise BatchError(f"{folder} holds no run: there is no {RECORD} in it.")
    if not record.finished:
        raise BatchError(f"The run in {folder} was cut off. Give its command again; it goes on from there.")
    if wrong := {path.stem for path in _results(folder)}.symmetric_difference(record.students):
        raise BatchError(f"The results in {folder} are not those of its run: look at {min(wrong)}.")
    return record


def _refuse_other_parts(folders: list[Path], shards: list[Record]) -> None:
    """Raise BatchError unless the shards are those of one run, each once."""
    first, seen = shards[0], dict[int, Path]()
    for folder, record in zip(folders, shards, strict=True):
        for key, difference in _DIFFERENCES.items():
            if (one := getattr(first, key)) != (other := getattr(record, key)):
                difference = difference.format(one, other)
                raise BatchError(f"{folders[0]} and {folder} are not of one run: {difference}.")
        if record.shard.of != first.shard.of:
            raise BatchError(f"{folders[0]} is shard {first.shard}, and {folder} is shard {record.shard}.")
        if twin := seen.get(record.shard.number):
            raise BatchError(f"{twin} and {folder} are both shard {record.shard}.")
        seen[record.shard.number] = folder
    wanted = [Shard(number + 1, first.shard.of) for number in range(first.shard.of)]
    if missing := [str(shard) for shard in wanted if shard.number not in seen]:
        raise BatchError(f"These shards are missing: {', '.join(missing)}.")


_DIFFERENCES = {
    "seed": "they have other seeds",
    "grader": "one is by {}, the other by {}",
    "lab": "--lab was {} for one and {} for the other",
    "submissions": "they saw other submissions",
}


def _digest(papers: list[Paper]) -> str:
    return hashlib.sha256(json.dumps([paper.student for paper in papers]).encode()).hexdigest()


def _refuse_another_run(out: Path, record: Record) -> None:
    there = Record.read(out)
    if there is None:
        return
    if there.seed != record.seed:
        raise BatchError(f"{out} holds results that were drawn with another seed. Give that --seed, or another --out.")
    if there.shard != record.shard:
        raise BatchError(f"{out} holds shard {there.shard}, not {record.shard}. Give each shard its own --out.")
    if record.shard.of > 1 and there.submissions != record.submissions:
        raise BatchError(
            f"{out} holds a shard of other submissions. Give another --out, or merge the shards that you have and "
            "grade the new files into the merged folder."
        )


def _finished(paper: Paper, out: Path, settings: Settings) -> dict | None:
    """The result of this very file, if it is there."""
    try:
        result = report.read(out / report.FOLDER / f"{paper.student}.json")
    except report.BadResult:
        return None
    if result.get("fingerprint") != settings.fingerprint(paper, content_of(paper.path)):
        return None
    if not (result["isolation"]["complete"] or settings.practice):
        return None
    if result["submitted"] != (submitted := report.submitted_at(paper.path)):
        result |= {"submitted": submitted}
        report.write(result, out)
    return result


def _results(out: Path) -> list[Path]:
    return list((out / report.FOLDER).glob("[!.]*.json"))


def _finish(out: Path, record: Record, write: Callable[[list[dict], Path], None]) -> list[dict]:
    results = report.read_all(out) if _results(out) else []
    write(results, out)
    students = tuple(result["student"] for result in results)
    replace(record, finished=True, students=students).write(out)
    return results


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold a folder against other runs, and clear away what one that was killed left half-written."""
    import fcntl  # not on Windows, where a run is refused before

    out.mkdir(parents=True, exist_ok=True)
    folder = os.open(out, os.O_RDONLY)
    try:
        for wait in (0.1, 0.3, 0.6, 1.0, 0.0):  # a process that was just killed may take a moment to let go
            with suppress(BlockingIOError):
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(wait)
        else:
            raise BatchError(f"Another run is writing into {out}. Wait for its end, or give another --out.")
        for path in (*out.glob(".*"), *out.glob("*/.*")):
            if re.fullmatch(r"\..+\.(json|md|xml|csv)\.[a-z0-9_]{8}", path.name):
                path.unlink()
        yield
    finally:
        os.close(folder)
        with suppress(OSError):
            out.rmdir()  # a run that was refused leaves no empty folder behind

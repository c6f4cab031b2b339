"""A run that is killed, at whatever moment, and what lies in its folder before and after it is given again."""

import json
import math
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from submissions import RIGHT, as_bytes, grade99, made_up, notebook

import labutils.exercises
from labutils.grading import batch, engines, report
from labutils.grading.batch import BatchError, Paper, Shard
from labutils.grading.sandbox import SandboxError

SETTINGS = made_up.SETTINGS


@pytest.fixture(autouse=True)
def toy(monkeypatch, tmp_path_factory: pytest.TempPathFactory):
    """Engines whose processes grade at once, by the name of the file, for lab 99."""
    scratch = str(tmp_path_factory.mktemp("scratch"))  # who is killed leaves a folder there
    monkeypatch.setattr(tempfile, "tempdir", scratch)
    monkeypatch.setenv("TMPDIR", scratch)
    monkeypatch.setattr(labutils.exercises, "__path__", [*labutils.exercises.__path__])
    grade99.know_lab_99()
    made_up.install(monkeypatch)


def run(papers: list[Paper], out: Path, settings: batch.Settings = SETTINGS, *, jobs: int = 2) -> list[str]:
    """Grade, and tell which papers were graded now."""
    new: list[str] = []
    batch.run(
        papers,
        out,
        settings,
        partial(engines.local, jobs=jobs),
        tell=lambda result, is_new: new.append(result["student"]) if is_new else None,
    )
    assert len(set(new)) == len(new)
    return sorted(new)


# --- kill -9 ---------------------------------------------------------------------------------------------------------


def alone_in_its_group(papers: list[Paper], out: Path) -> None:
    os.setpgid(0, 0)
    run(papers, out)


def killed(papers: list[Paper], out: Path, files: float, seconds: float) -> bool:
    """Run in a process group of its own and kill all of it, some seconds after there are so many files in `out`.

    Returns whether it was killed before its end.
    """
    process = multiprocessing.get_context("fork").Process(target=alone_in_its_group, args=(papers, out))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork where other tests have left threads
        process.start()
    while process.is_alive() and len(made_up.files(out)) < files:
        time.sleep(0.001)
    process.join(seconds)
    if not process.is_alive():
        assert process.exitcode == 0
        return False
    for kill in (partial(os.killpg, process.pid), partial(os.kill, process.pid)):  # it may not have a group yet
        with suppress(ProcessLookupError):
            kill(signal.SIGKILL)
    process.join()
    return True


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_at_any_moment_loses_nothing_and_doubles_nothing(tmp_path: Path, seed):
    papers = made_up.papers(tmp_path / "in", *(f"a{i:02}" for i in range(30)), "dies-1", "raises-once-1")
    out, draw = tmp_path / "out", random.Random(seed)
    assert not killed(papers, tmp_path / "undisturbed", math.inf, 60)
    want, kills, finished = made_up.files(tmp_path / "undisturbed"), 0, 0
    (tmp_path / "in" / "raises-once-1.happened").unlink()
    while killed(papers, out, len(made_up.files(out)) + draw.choice((0, 1, 5, 20)), draw.uniform(0, 0.03)):
        kills += 1
        there = [*(out / "results").glob("[!.]*")]
        for path in there:
            assert path.read_bytes() == want[f"results/{path.name}"]  # whole, and as it will stay
        assert len(there) >= finished
        finished = len(there)
        assert finished == 0 or batch.Record.read(out)
    assert kills
    assert made_up.files(out) == want
    assert run(papers, out) == []
    assert made_up.files(out) == want


def descendants(pid: int) -> set[int]:
    """The processes below one, by their ids."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
    found, grown = {pid}, True
    while grown:
        grown = {child for child, parent in parents.items() if parent in found} - found
        found |= grown
    return found - {pid}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_with_a_real_sandbox_nothing_survives_and_nothing_differs(tmp_path: Path):
    for name in ("ada", "bob", "cyd", "dan"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{name}.ipynb").write_bytes(as_bytes(notebook(RIGHT)))
    out, results = tmp_path / "out", tmp_path / "out" / "results"
    command = [sys.executable, grade99.__file__, "grade", str(tmp_path / "in"), "--out", str(out), "--seed", "s"]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert "7 of 7" in process.stdout.readline()
    below = descendants(process.pid)
    assert len(below) >= 2  # who grades, and its zygote
    os.killpg(process.pid, signal.SIGKILL)
    process.stdout.close()
    process.wait()
    limit = time.monotonic() + 20
    while any(map(is_alive, below)) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not any(map(is_alive, below))
    kept = {path.name: path.stat().st_ino for path in results.glob("[!.]*")}
    assert 1 <= len(kept) <= 4
    again = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"{len(kept)} of 4 were graded before" in again
    assert {name: (results / name).stat().st_ino for name in kept} == kept  # not written anew
    want = made_up.files(out)
    shutil.rmtree(out)
    subprocess.run(command, check=True, capture_output=True)
    assert made_up.files(out) == want


# --- what is graded again, and what is not ---------------------------------------------------------------------------


def test_only_what_has_changed_is_graded_again(tmp_path: Path, monkeypatch):
    papers, out = made_up.papers(tmp_path / "in", *"abcdef"), tmp_path / "out"
    assert run(papers, out) == [*"abcdef"]
    assert run(papers, out) == []
    papers[0].path.write_text("changed")
    results = out / "results"
    (results / "b.json").write_text((results / "b.json").read_text()[:-9])
    (results / "c.json").write_text((results / "c.json").read_text().replace('"passed": 0', '"passed": 1'))
    (results / "d.json").unlink()
    os.utime(papers[4].path, (0, 0))
    assert run(papers, out) == ["a", "b", "c", "d"]
    assert "7 bytes" in (results / "a.json").read_text()
    assert report.read(results / "e.json")["submitted"] == "1970-01-01T00:00:00Z"  # not worth grading again
    fresh = tmp_path / "fresh"
    run(papers, fresh)
    assert made_up.files(out) == made_up.files(fresh)
    assert run(papers, out, batch.Settings(secret="s")) == [*"abcdef"]  # another lab is asked for
    monkeypatch.setattr(batch, "version", lambda: "labutils 2")
    assert run(papers, out) == [*"abcdef"]


def test_more_files_join_those_that_are_there(tmp_path: Path):
    papers, out = made_up.papers(tmp_path / "in", *"abc"), tmp_path / "out"
    run(papers[:2], out)
    assert run(papers[2:], out) == ["c"]
    rows = json.loads((out / "summary.json").read_text())["results"]
    assert [row["student"] for row in rows] == [*"abc"]
    fresh = tmp_path / "fresh"
    run(papers, fresh)
    assert {"summary.json", "grades.csv", "junit.xml"} < made_up.files(fresh).keys()
    for name, content in made_up.files(fresh).items():
        assert made_up.files(out)[name] == content or name == "run.json"


def test_another_seed_or_shard_is_refused_and_changes_nothing(tmp_path: Path):
    papers, out, shard = made_up.papers(tmp_path / "in", *"abcd"), tmp_path / "out", tmp_path / "shard"
    engine = partial(engines.local, jobs=1)
    run(papers, out)
    batch.run(papers, shard, SETTINGS, engine, shard=Shard(1, 2))
    before = made_up.files(tmp_path)
    with pytest.raises(BatchError, match="another seed"):
        run(papers, out, batch.Settings(secret="t", lab="99"))
    with pytest.raises(BatchError, match="holds shard 1/1, not 1/2"):
        batch.run(papers, out, SETTINGS, engine, shard=Shard(1, 2))
    with pytest.raises(BatchError, match="holds shard 1/2, not 1/1"):
        run(papers, shard)
    with pytest.raises(BatchError, match="a shard of other submissions"):
        batch.run(papers[1:], shard, SETTINGS, engine, shard=Shard(1, 2))
    assert made_up.files(tmp_path) == before
    (out / "run.json").write_text("{}")
    with pytest.raises(BatchError, match="not what this grader wrote"):
        run(papers, out)


def test_results_of_practice_are_no_grades(tmp_path: Path, monkeypatch):
    papers, out = made_up.papers(tmp_path / "in", "a"), tmp_path / "out"
    practice = batch.Settings(secret="s", lab="99", practice=True)
    with monkeypatch.context() as patch:
        patch.setattr(made_up.NoSandbox, "isolation", made_up.OPEN)
        assert run(papers, out, practice) == ["a"]
        assert run(papers, out, practice) == []
        with pytest.raises(SandboxError, match="NOT isolated"):
            run(papers, out)
    assert run(papers, out) == ["a"]
    assert report.read(out / "results" / "a.json")["isolation"]["complete"] is True


def test_two_runs_do_not_share_a_folder(tmp_path: Path):
    papers, out = made_up.papers(tmp_path / "in", "a"), tmp_path / "out"
    with batch._alone(out), pytest.raises(BatchError, match="Another run"):
        run(papers, out)
    assert run(papers, out) == ["a"]


def test_half_written_files_go_and_others_stay(tmp_path: Path):
    papers, out = made_up.papers(tmp_path / "in", "a"), tmp_path / "out"
    run(papers, out)
    want = made_up.files(out)
    for name in ("results/.a.json.ab_12xyz", "feedback/.a.md.abcdefgh", ".run.json.abcdefgh", ".grades.csv.abcdefgh"):
        (out / name).write_text("{")
    (out / ".gitignore").write_text("*")
    (out / "results" / ".keep.json").write_text("")
    assert run(papers, out) == []
    kept = {".gitignore": b"*", "results/.keep.json": b""}
    assert made_up.files(out) == want | kept


def test_a_run_that_is_refused_leaves_no_folder(tmp_path: Path, monkeypatch):
    papers, out = made_up.papers(tmp_path / "in", "a"), tmp_path / "out"
    monkeypatch.setattr(made_up.NoSandbox, "isolation", made_up.OPEN)
    with pytest.raises(SandboxError):
        run(papers, out)
    assert not out.exists()

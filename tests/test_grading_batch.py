"""Many papers: which files they are, how they are split, who grades them, and what happens when that one dies."""

import multiprocessing
import os
import re
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import dask
import pytest
from hypothesis import given
from hypothesis import strategies as st
from submissions import FOLLOW, RIGHT, SETUP, SOFTEN, as_bytes, grade99, made_up, notebook, saved_by_colab

import labutils.exercises
from labutils.grading import __main__ as cli
from labutils.grading import batch, engines, report
from labutils.grading.batch import BatchError, Paper, Shard
from labutils.grading.sandbox import SandboxError

SETTINGS = made_up.SETTINGS


@pytest.fixture
def lab_99(monkeypatch):
    """Make `labutils.exercises.lab99` importable for a test."""
    monkeypatch.setattr(labutils.exercises, "__path__", [*labutils.exercises.__path__])
    grade99.know_lab_99()


@pytest.fixture
def toy(monkeypatch, lab_99):
    """Engines whose processes grade at once."""
    made_up.install(monkeypatch)


# --- which files -----------------------------------------------------------------------------------------------------


def test_a_folder_is_searched_and_a_file_counts_once(tmp_path: Path):
    names = ["b/12_x.ipynb", "a/12_x.ipynb", "a/.hidden.ipynb", "a/.ipynb_checkpoints/12_x.ipynb", "c.IPYNB", "d.py"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "e").symlink_to(tmp_path / "a")
    assert [paper.student for paper in batch.papers([tmp_path])] == ["a", "b", "c"]
    once = batch.papers([tmp_path / "d.py", tmp_path])
    assert once == batch.papers([tmp_path, tmp_path / "b/12_x.ipynb", tmp_path / "a/../d.py"])
    (tmp_path / "f").mkdir()
    with pytest.raises(BatchError, match="no notebook"):
        batch.papers([tmp_path / "b", tmp_path / "f"])


def test_a_link_is_nobodys_work(tmp_path: Path):
    (tmp_path / "ada.ipynb").write_bytes(b"{}")
    (tmp_path / "eve.ipynb").symlink_to("ada.ipynb")
    ada, eve = batch.papers([tmp_path])
    assert batch.content_of(ada.path) == b"{}"
    assert "is a link" in str(batch.content_of(eve.path))


NAMES = st.sampled_from(["ada", "Ada", "bob", "12_lab", "x y", "x_y", ".b"])


@given(st.sets(st.tuples(NAMES, NAMES), min_size=1, max_size=12), st.randoms())
def test_no_two_files_get_the_same_name(pairs, random):
    paths = [Path("/in", *pair) for pair in pairs]
    names = batch.students_of(paths)
    assert len({name.lower() for name in names}) == len(paths)
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name) for name in names)
    # A name that another was given because it had a double: that may not be taken on purpose.
    taken = [*paths, *(Path("/in", name) for name in names)]
    assert len({name.lower() for name in batch.students_of(taken)}) == len(taken)
    # Nor do names depend on the order, or on where the folder lies.
    order = random.sample(range(len(paths)), len(paths))
    assert batch.students_of([paths[i] for i in order]) == [names[i] for i in order]
    if len({path.parent for path in paths}) > 1:
        assert batch.students_of([Path("/else", *path.parts[1:]) for path in paths]) == names


@pytest.mark.parametrize("copy", ["Copy of 12_decoding", "Copy of Copy of 12_decoding (1)", "Kopie von 12_decoding"])
def test_a_copy_in_colab_is_named_by_its_folder_and_keeps_its_lab(copy):
    assert batch.students_of([Path("/in/ada", f"{copy}.ipynb")]) == ["ada"]
    assert batch.lab_of(Path(f"{copy}.ipynb"), None) == "12"


# --- how they are split ----------------------------------------------------------------------------------------------


@given(st.integers(0, 60), st.integers(1, 70))
def test_the_shards_have_each_paper_once(count, of):
    papers = [Paper(f"{i:03}", Path(f"{i}.ipynb")) for i in range(count)]
    parts = [Shard(number + 1, of).part(papers) for number in range(of)]
    assert sorted((paper for part in parts for paper in part), key=lambda paper: paper.student) == papers
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(st.integers(1, 3000), st.integers(1, 30))
def test_tasks_are_neither_large_nor_many(count, workers):
    papers = [Paper(str(i), Path(str(i))) for i in range(count)]
    tasks = engines.chunks(papers, workers)
    assert [paper for task in tasks for paper in task] == papers
    assert len(tasks[0]) <= engines.MANY
    assert len(tasks) >= min(count, workers) / 2  # nearly all workers have one
    assert len(tasks[0]) >= engines.FEW or len(tasks) <= 4 * workers


# --- who grades them -------------------------------------------------------------------------------------------------


def grades(results: list[dict]) -> dict[str, str]:
    """What each paper was told, and that each has one result."""
    assert len({result["student"] for result in results}) == len(results)
    return {result["student"]: result["findings"][0]["sentence"] for result in results}


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_death_costs_one_retry_and_the_run_goes_on(tmp_path: Path, toy, jobs):
    bad = ["dies-1", "dies-2", "raises-1"]
    papers = made_up.papers(tmp_path, *bad, "dies-once-1", "dies-once-2", "raises-once-1", *(f"a{i}" for i in range(9)))
    start = time.monotonic()
    told = grades([*engines.local(papers, SETTINGS, jobs=jobs)])
    assert time.monotonic() - start < 10  # nobody waits for a process that does not see that the run is over
    assert told == {
        paper.student: batch.GAVE_UP if paper.student in bad else f"{12 + len(paper.student)} bytes" for paper in papers
    }
    assert multiprocessing.active_children() == []


def test_who_hangs_is_ended(tmp_path: Path, toy, monkeypatch):
    monkeypatch.setattr(engines, "PATIENCE", 0.2)
    monkeypatch.setattr(engines, "LOOK", 0.1)
    told = grades([*engines.local(made_up.papers(tmp_path, "hangs-1", "a"), SETTINGS, jobs=2)])
    assert told == {"hangs-1": batch.GAVE_UP, "a": "13 bytes"}


def test_nobody_grades_who_cannot_isolate(tmp_path: Path, toy, monkeypatch):
    papers = made_up.papers(tmp_path, "a", "b")
    monkeypatch.setattr(made_up.NoSandbox, "isolation", made_up.OPEN)
    for engine in (partial(engines.local, jobs=2), threads):
        with pytest.raises(SandboxError, match="NOT isolated"):
            next(engine(papers, SETTINGS))
    practice = batch.Settings(secret="s", lab="99", practice=True)
    assert len([*engines.local(papers, practice, jobs=1)]) == 2
    monkeypatch.setattr(engines, "Sandbox", lambda: os._exit(3))
    with pytest.raises(SandboxError, match="ended while it started"):
        next(engines.local(papers, SETTINGS, jobs=2))
    assert multiprocessing.active_children() == []


class Lost(Exception):
    """What an executor raises for a task that ended its worker."""


def threads(papers: list[Paper], settings: batch.Settings) -> Generator[dict, None, None]:
    """The engine for clusters, on threads."""
    with ThreadPoolExecutor(2) as executor:
        yield from engines.spread(papers, settings, executor, workers=2, lost=(Lost,))


def test_a_task_that_ends_its_worker_is_halved(tmp_path: Path, toy, monkeypatch):
    def grade(paper, settings, sandbox):
        if paper.student == "b7":
            raise Lost
        return made_up.grade_paper(paper, settings, sandbox)

    papers = made_up.papers(tmp_path, *(f"b{i}" for i in range(20)), "raises-1", "raises-once-1")
    monkeypatch.setattr(engines, "grade_paper", grade)
    told = grades([*threads(papers, SETTINGS)])
    assert sorted(name for name, sentence in told.items() if sentence == batch.GAVE_UP) == ["b7", "raises-1"]
    assert told.keys() == {paper.student for paper in papers}


def test_workers_with_another_grader_are_refused(tmp_path: Path, toy, monkeypatch):
    monkeypatch.setattr(engines, "_probe", lambda settings: ("labutils 0", made_up.ISOLATED))
    with pytest.raises(BatchError, match="another grader"):
        next(threads(made_up.papers(tmp_path, "a"), SETTINGS))


# --- the same bytes, whoever grades ----------------------------------------------------------------------------------


def test_every_way_to_grade_gives_the_same_bytes(tmp_path: Path, lab_99, capsys):
    wrong = SOFTEN.replace("/ temperature", "* temperature")
    handed_in = {
        "ada/99.ipynb": as_bytes(notebook(RIGHT)),
        "bob/99.ipynb": as_bytes(saved_by_colab(notebook([SETUP, wrong, FOLLOW]))),
        "bob2/99.ipynb": as_bytes(notebook([SETUP, "def count(words):\n    import os\n    os._exit(1)", SOFTEN])),
        "cyd.ipynb": b"{",
        "dan.ipynb": as_bytes(notebook(["x = 1"])),
        "eve/99.ipynb": as_bytes(notebook([SETUP, "def soften(logits, temperature):\n    raise NotImplementedError"])),
    }
    for name, content in handed_in.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)

    def grade(out: str, *options: str) -> None:
        arguments = ["grade", str(tmp_path / "in"), "--out", str(tmp_path / out), "--seed", "tell nobody", *options]
        assert cli.main(arguments) == 0, capsys.readouterr().err

    grade("two", "--jobs", "2")
    want = made_up.files(tmp_path / "two")
    scores = {name: report.read(tmp_path / "two" / "results" / f"{name}.json")["score"] for name in ("ada", "bob")}
    assert scores == {"ada": 7, "bob": 2}  # the temperature of one test in four is 1, and bob follows
    assert not any(b"tell nobody" in content for content in want.values())

    grade("1", "--shard", "1/2")
    grade("2", "--shard", "2/2")
    merged = str(tmp_path / "merged")
    assert cli.main(["merge", str(tmp_path / "2"), str(tmp_path / "1"), "--out", merged]) == 0
    assert made_up.files(tmp_path / "merged") == want

    with dask.config.set({"distributed.worker.preload": ["submissions.grade99"]}):
        grade("dask", "--dask", "local")
    assert made_up.files(tmp_path / "dask") == want


# --- putting shards together -----------------------------------------------------------------------------------------


def test_merge_refuses_what_is_not_one_whole_run(tmp_path: Path, toy, monkeypatch):
    papers = made_up.papers(tmp_path / "in", *"abcde")
    engine = partial(engines.local, jobs=1)

    def shard(out: str, number: int, of: int, settings=SETTINGS, papers=papers) -> Path:
        batch.run(papers, tmp_path / out, settings, engine, shard=Shard(number, of))
        return tmp_path / out

    one, two, three = (shard(f"{i}", i, 3) for i in (1, 2, 3))
    out = tmp_path / "out"
    cases = {
        "missing: 2/3": [one, three],
        "missing: 1/3, 3/3": [two],
        "are both shard 1/3": [one, two, three, shard("twin", 1, 3)],
        "is shard 1/3, and .* is shard 2/2": [one, shard("half", 2, 2)],
        "other seeds": [one, shard("seed", 2, 3, batch.Settings(secret="t", lab="99"))],
        "--lab was 99 for one and None for the other": [one, shard("lab", 2, 3, batch.Settings(secret="s"))],
        "other submissions": [one, shard("papers", 2, 3, papers=papers[1:])],
        "holds no run": [one, tmp_path / "in"],
    }
    monkeypatch.setattr(batch, "version", lambda: "another")
    cases["by labutils .*, the other by another"] = [one, shard("version", 2, 3)]
    monkeypatch.undo()
    for sentence, folders in cases.items():
        with pytest.raises(BatchError, match=sentence):
            batch.merge(folders, out)
        assert not out.exists()
    with pytest.raises(BatchError, match="Give another --out"):
        batch.merge([one, two, three], two)
    lost = next((three / "results").glob("*.json"))
    kept = lost.read_bytes()
    lost.unlink()
    with pytest.raises(BatchError, match=f"look at {lost.stem}"):
        batch.merge([one, two, three], out)
    lost.write_bytes(kept)
    record = (two / "run.json").read_text()
    (two / "run.json").write_text(record.replace('"finished": true', '"finished": false'))
    with pytest.raises(BatchError, match="was cut off"):
        batch.merge([one, two, three], out)
    (two / "run.json").write_text(record)
    assert len(batch.merge([one, two, three], out)) == 5


def test_wrong_options_are_one_sentence(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.delenv(cli.SEED_VARIABLE, raising=False)
    made_up.papers(tmp_path / "in", "a")
    grade = ["grade", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert cli.main([*grade, "--shard", "1/2"]) == 2
    assert "All shards need the same seed" in capsys.readouterr().err
    for wrong in (["--shard", "0/2"], ["--shard", "3/2"], ["--shard", "half"], ["--jobs", "0"], ["--jobs", "-1"]):
        with pytest.raises(SystemExit, match="2"):
            cli.main([*grade, *wrong])
    assert not (tmp_path / "out").exists()

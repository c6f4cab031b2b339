"""The result of a file: its groups of tests, the bytes on disk, and what is said of a file that is not one."""

import json
import os
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from submissions import RIGHT, as_bytes, lab99, notebook
from submissions.results import exercise, result, some

from labutils.exercises import exercises_of
from labutils.grading import report
from labutils.grading.batch import labs
from labutils.grading.sandbox import Sandbox
from labutils.grading.score import EASY, GENERAL, grade, groups


@given(st.integers(1, 20), st.lists(st.booleans(), min_size=1, max_size=30))
def test_groups_share_the_points_and_earn_the_share_that_passed(points, passed):
    parts = groups(points, tuple(passed))
    assert [part.name for part in parts] == [EASY, GENERAL][: len(parts)]
    assert sum(part.cases for part in parts) == len(passed)
    assert sum(Fraction(part.worth, 100) for part in parts) == points  # exactly, whatever the fractions
    for part in parts:
        assert abs(Fraction(part.points) - Fraction(points * part.cases, len(passed))) <= Fraction(1, 200) + 1e-9
        assert abs(Fraction(part.score) - Fraction(part.points) * part.passed / part.cases) <= Fraction(1, 200) + 1e-9
        assert 0 <= part.score <= part.points
        assert (part.score == part.points) >= (part.passed == part.cases)
    # all of it differs by at most a hundredth a group from points × passed / tests
    earned = sum(Fraction(part.score) for part in parts)
    assert abs(earned - Fraction(points * sum(passed), len(passed))) <= Fraction(2, 100)


@pytest.mark.parametrize("lab", labs())
def test_the_first_half_of_the_tests_is_the_small_half(lab):
    """What the group is called, measured: an input has no more numbers, on average, than one of the other half."""

    def size(value) -> int:
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        return value.numel() if hasattr(value, "numel") else 1 + sum(map(size, items))

    import torch

    for one in exercises_of(lab):
        sizes = [size(one.inputs(torch.Generator().manual_seed(case), case)) for case in range(one.cases)]
        half = (one.cases + 1) // 2
        assert sum(sizes[:half]) / half <= sum(sizes[half:]) / (one.cases - half), one.name


def test_a_result_comes_back_as_it_was_written(tmp_path: Path):
    for each in reversed(some()):
        path = report.write(each, tmp_path)
        assert path == tmp_path / "results" / f"{each['student']}.json"
        assert report.read(path) == each
    assert report.read_all(tmp_path) == some()  # by name, whatever the order in which they were written
    assert not list(tmp_path.rglob(".*"))


def changed(**entries) -> str:
    return json.dumps(some()[1] | entries)


BROKEN = {
    "": "is not complete JSON",
    '{"schema": "labutils': "is not complete JSON",
    "[" * 100_000: "is not complete JSON",
    "[]": "is not a result of this grader",
    json.dumps({"score": 3}): "is not a result of this grader",
    changed(schema="labutils/result/v0"): "is not a result of this grader",
    changed(student="../../ada"): "student has another form",
    changed(student="a/b"): "student has another form",
    changed(score="5"): "score is not a number",
    changed(score=True): "score is not a number",
    changed(score=5.0): "the exercises do not add up to the 'score'",
    changed(points=50): "the exercises do not add up to the 'points'",
    changed(submitted="yesterday"): "submitted has another form",
    changed(exercises={}): "exercises is no list",
    changed(exercises=[{"name": "x"}]): "exercises[0] has no 'cases'",
    changed(findings=[{"sentence": 1, "code": ""}]): "findings[0].sentence is not of type str",
    changed(isolation={"complete": 1, "layers": [], "refused": {}, "sentence": ""}): "isolation.complete is not of",
    json.dumps(some()[1]).replace('"passed": 2', '"passed": 3', 1): "the groups of apply_temperature do not add up",
    json.dumps(some()[1]).replace('"score": 0.25', '"score": 2.25'): "earns more than it is worth",
}


@pytest.mark.parametrize(("text", "sentence"), BROKEN.items(), ids=range(len(BROKEN)))
def test_another_file_is_refused_with_a_sentence(tmp_path, text, sentence):
    path = tmp_path / "results" / "bob.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(report.BadResult, match="Grade this submission again") as caught:
        report.read_all(tmp_path)
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_missing_run_are_told(tmp_path):
    with pytest.raises(report.BadResult, match="cannot be read: No such file"):
        report.read(tmp_path / "ada.json")
    with pytest.raises(report.BadResult, match="There are no results"):
        report.read_all(tmp_path)


def test_a_file_that_was_cut_off_leaves_the_old_one(tmp_path, monkeypatch):
    report.write(some()[0], tmp_path)

    def fails(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(KeyboardInterrupt):
        report.write(result("ada", exercise("apply_temperature", 1, "-" * 8)), tmp_path)
    assert report.read_all(tmp_path) == [some()[0]]


def test_the_time_of_submission_is_that_of_the_file(tmp_path):
    file = tmp_path / "ada.ipynb"
    file.write_text("{}")
    os.utime(file, (0, 1_790_891_999.9))
    assert report.submitted_at(file) == "2026-10-01T21:59:59Z"
    assert report.submitted_at(tmp_path / "absent") is None


def test_grading_again_gives_the_same_bytes(tmp_path):
    wrong = [RIGHT[0], RIGHT[1].replace("/ temperature", "* temperature"), *RIGHT[2:]]
    file = tmp_path / "ada.ipynb"
    file.write_bytes(as_bytes(notebook(wrong)))
    texts = []
    for _ in range(2):
        with Sandbox() as sandbox:  # of its own each time: nothing is left over from the run before
            score = grade(
                sandbox.read(file), lab99.EXERCISES, sandbox, student="ada", file=file.name, secret="hidden-seed"
            )
        texts.append(report.text_of(report.as_json(score, submitted=report.submitted_at(file))))
    assert texts[0] == texts[1]
    assert '"passed": 1' in texts[0]  # there was something to tell

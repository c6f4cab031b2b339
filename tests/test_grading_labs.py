"""The labs' own exercises, graded: the solutions, the learner's copies, and every known mistake on hidden inputs."""

import json
from pathlib import Path

import pytest
from course import ROOT, read_course
from submissions import as_bytes, saved_by_colab, stripped

import labs
from labutils.exercises import Exercise, Mutant, exercises_of
from labutils.grading import __main__ as cli
from labutils.grading import batch
from labutils.grading.extract import parse
from labutils.grading.sandbox import Reply
from labutils.grading.score import Draw, Trial, explain

LABS = batch.labs()
EXERCISES = [exercise for lab in LABS for exercise in exercises_of(lab)]
MUTANTS = [(exercise, mutant) for exercise in EXERCISES for mutant in exercise.mutants]


def test_solutions_earn_everything_and_stubs_nothing(tmp_path: Path):
    paths, expected = [], {}
    for source in labs.sources(ROOT / "labs"):
        lab = labs.read_lab(source)
        solution, learner = (labs.make_notebook(lab, version, read_course()) for version in ("solution", "learner"))
        for name, notebook in {
            "solution": solution,
            "learner": learner,
            "colab": saved_by_colab(solution),
            "stripped": stripped(solution),
        }.items():
            path = tmp_path / f"{name}-{lab.number}" / f"{source.stem}.ipynb"
            path.parent.mkdir()
            path.write_bytes(as_bytes(notebook))
            paths.append(str(path))
            points = sum(exercise.points for exercise in exercises_of(lab.number))
            expected[path.parent.name] = [0 if name == "learner" else points, points]
    assert cli.main(["grade", *paths, "--out", str(tmp_path / "out"), "--seed", "s"]) == 0
    results = json.loads((tmp_path / "out" / "summary.json").read_text())["results"]
    assert {row["student"]: [row["score"], row["points"]] for row in results} == expected
    told = {path.stem: path.read_text() for path in tmp_path.glob("out/feedback/*.md")}
    assert told.keys() == expected.keys()
    for name, feedback in told.items():
        if name.startswith("learner-"):
            assert feedback.count("Not written yet.") == len(exercises_of(name[-2:]))
        else:
            assert "\n- " not in feedback  # nothing to say


@pytest.mark.parametrize(("exercise", "mutant"), MUTANTS, ids=[f"{e.name}: {m.name}" for e, m in MUTANTS])
def test_a_known_mistake_is_told_by_its_name(exercise: Exercise, mutant: Mutant):
    """On what the grader draws, and not only on the tests that `check` shows."""
    for student in ("ada", "bob"):
        draw = Draw(exercise, "secret", student)
        replies = []
        for case in range(exercise.cases):
            value = draw.output(mutant.function, case)
            replies.append((Reply(outcome="value", value=value), draw.problem(value, exercise.reference, case)))
        assert any(problem for _, problem in replies)
        tested = Trial(draw, tuple(replies))
        finding, hint = explain(parse(b"x = 1", is_notebook=False), tested, tested)
        assert finding.sentence == mutant.message
        assert exercise.hints[0] in hint.sentence
        assert exercise.hints[-1] not in hint.sentence  # the last one nearly gives the answer

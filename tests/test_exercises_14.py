"""What the inputs of lab 14's exercises promise."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labutils.exercises import Exercise, find

seeds = st.integers(0, 2**62)


def draw(exercise: Exercise, seed: int) -> list[dict]:
    return [
        exercise.inputs(torch.Generator().manual_seed((seed + case) % 2**63), case) for case in range(exercise.cases)
    ]


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_scores_are_ranked_both_ways_and_sometimes_far_apart(seed):
    drawn = draw(find("bradley_terry_loss"), seed)
    leads = torch.cat([inputs["chosen"] - inputs["rejected"] for inputs in drawn])
    assert leads.min() < -110  # where a sigmoid in single precision is 0
    assert leads.max() > 0


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_answers_differ_in_length_and_padding_is_the_same_for_policy_and_reference(seed):
    drawn = draw(find("dpo_loss"), seed)
    for inputs in drawn:
        assert inputs["chosen"].shape[1] != inputs["rejected"].shape[1]
        for name in ("chosen", "rejected"):
            assert ((inputs[name] == 0) == (inputs[f"reference_{name}"] == 0)).all()
            assert (inputs[name] <= 0).all()
        assert type(inputs["beta"]) is float
        assert inputs["beta"] not in (0.0, 1.0)
    assert any((inputs["chosen"] == inputs["reference_chosen"]).all() for inputs in drawn)
    assert all(math.isfinite(find("dpo_loss").reference(**inputs).item()) for inputs in drawn)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_best_answer_may_come_too_late_tie_or_have_no_score(seed):
    exercise = find("best_of_n")
    drawn = draw(exercise, seed)
    places = [place for inputs in drawn for place in exercise.reference(**inputs)]
    assert -1 in places
    assert max(places) > 0
    for inputs in drawn:
        assert all(len(row) >= inputs["n"] for row in inputs["scores"])
    rows = [(row, inputs["n"]) for inputs in drawn for row in inputs["scores"]]
    assert any(max(row[:n]) < max(row) for row, n in rows if not any(map(math.isnan, row)))
    assert any(row[:n].count(max(row[:n])) > 1 for row, n in rows)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_judge_answers_every_pair_in_both_orders(seed):
    exercise = find("judged_in_both_orders")
    for inputs in draw(exercise, seed):
        known = {(first, second) for first, second, _ in inputs["verdicts"]}
        assert known == {(a, b) for a, b in inputs["pairs"]} | {(b, a) for a, b in inputs["pairs"]}
        assert set(exercise.run(exercise.reference, inputs)) <= {"a", "b", "tie"}

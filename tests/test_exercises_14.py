"""What the inputs of lab 14's exercises promise."""

import math

import torch
from exercise_inputs import all_inputs, seeds
from hypothesis import given, settings

from labutils.exercises import find


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_scores_are_ranked_both_ways_and_sometimes_far_apart(seed):
    drawn = all_inputs("bradley_terry_loss", seed)
    leads = torch.cat([inputs["chosen"] - inputs["rejected"] for inputs in drawn])
    assert leads.min() < -110  # where a sigmoid in single precision is 0
    assert leads.max() > 0


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_answers_differ_in_length_and_padding_is_the_same_for_policy_and_reference(seed):
    drawn = all_inputs("dpo_loss", seed)
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
    drawn = all_inputs(exercise.name, seed)
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
    for inputs in all_inputs(exercise.name, seed):
        known = {(first, second) for first, second, _ in inputs["verdicts"]}
        assert known == {(a, b) for a, b in inputs["pairs"]} | {(b, a) for a, b in inputs["pairs"]}
        assert set(exercise.run(exercise.reference, inputs)) <= {"a", "b", "tie"}

"""What the inputs of lab 12's exercises promise."""

import torch
from exercise_inputs import draw, seeds
from hypothesis import given, settings

from labutils.exercises import exercises_of, find


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_no_sum_comes_near_p_and_no_logits_tie(seed):
    exercise = find("keep_top_p")
    for case in range(exercise.cases):
        inputs = draw(exercise, seed, case)
        logits = inputs["logits"].double()
        mass = logits.softmax(-1).sort(-1, descending=True).values.cumsum(-1)
        assert (mass - inputs["p"]).abs().min() > 9e-4
        assert (logits.sort(-1).values.diff(dim=-1) > 0).all()


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_first_inputs_can_be_read(seed):
    for exercise in exercises_of("12"):
        sizes = [
            sum(v.numel() for key, v in draw(exercise, seed, case).items() if torch.is_tensor(v) and key != "votes")
            for case in range(exercise.cases)
        ]
        assert max(sizes[:2]) <= 5


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_completions_end_in_every_way(seed):
    exercise = find("complete")
    ends = set()
    for case in range(exercise.cases):
        inputs = draw(exercise, seed, case)
        tokens = exercise.run(exercise.reference, inputs)["the result"]
        new = tokens[len(inputs["prompt"]) :]
        ends.add((new[-1] == inputs["stop_token"], len(new) == inputs["max_new_tokens"]))
        ends |= {"in the prompt"} if inputs["stop_token"] in inputs["prompt"] else set()
    assert {(True, False), (True, True), (False, True), "in the prompt"} <= ends

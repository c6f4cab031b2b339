"""What the inputs of lab 11's exercises promise."""

import torch
from exercise_inputs import all_inputs, seeds
from hypothesis import given, settings

from labutils.exercises import find


@settings(max_examples=25)
@given(seeds)
def test_votes_have_ties_and_texts_without_an_answer(seed):
    inputs = all_inputs("self_consistent_answer", seed)
    results = [find("self_consistent_answer").reference(**x) for x in inputs]
    assert results[3] is None
    assert all(result is not None for i, result in enumerate(results) if i != 3)
    for x in (inputs[1], inputs[4]):
        answers = [text.rpartition(x["marker"])[2].strip() for text in x["completions"]]
        most = max(map(answers.count, answers))
        assert len({answer for answer in answers if answers.count(answer) == most}) == 2
    assert any(text.count(x["marker"]) > 1 for x in inputs for text in x["completions"])
    assert sum(x["marker"] not in text for x in inputs for text in x["completions"]) >= 5


@settings(max_examples=25)
@given(seeds)
def test_resamples_draw_cases_that_exist(seed):
    for case, x in enumerate(all_inputs("bootstrap_interval", seed)):
        assert x["drawn"].shape[1] == len(x["right"])
        assert x["drawn"].shape[0] != x["drawn"].shape[1]
        assert 0 <= x["drawn"].min() <= x["drawn"].max() < len(x["right"])
        assert x["right"].all() == (case == 2)


@settings(max_examples=25)
@given(seeds)
def test_pairs_agree_and_differ(seed):
    inputs = all_inputs("sign_test_p", seed)
    reference = find("sign_test_p").reference
    assert reference(**inputs[2]) == 1
    assert torch.equal(inputs[2]["right_a"], inputs[2]["right_b"])
    assert reference(**inputs[3]) == 1
    assert not torch.equal(inputs[3]["right_a"], inputs[3]["right_b"])
    assert reference(**inputs[5]) < 0.001


@settings(max_examples=25)
@given(seeds)
def test_the_best_on_development_is_not_the_best_on_the_test_set(seed):
    exercise = find("choose_on_development")
    for case, x in enumerate(all_inputs("choose_on_development", seed)):
        result = exercise.run(exercise.reference, x)
        count, accuracy = result["the result"]
        assert result["measured on the test set"] == [count]
        assert accuracy < max(x["test_accuracies"])
        n_right = x["right"].sum(1)
        assert (n_right == n_right.max()).sum() == (2 if case in (1, 3, 4) else 1)
        assert len(set(x["counts"])) == len(x["counts"])

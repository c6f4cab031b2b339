"""What the inputs of lab 04's exercises promise."""

import torch
from exercise_inputs import all_inputs, draw, seeds
from hypothesis import given, settings

from labutils.exercises import exercises_of, find


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_first_inputs_can_be_read(seed):
    for exercise in exercises_of("04"):
        for case in range(2):
            drawn = draw(exercise, seed, case).items()
            assert sum(v.numel() for key, v in drawn if torch.is_tensor(v) and key != "votes") <= 20


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_labels_are_asked_for_in_every_shape(seed):
    inputs = all_inputs("shift_labels", seed)
    assert {x["tokens"].ndim for x in inputs} == {1, 2, 3}
    assert any(x["tokens"].shape[-1] == 1 for x in inputs)
    assert any(not x["visible"].any(-1).all() for x in inputs), "a row of padding alone"
    assert any(x["visible"].all() for x in inputs)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_a_loss_has_something_to_predict_and_rows_of_unequal_length(seed):
    inputs = all_inputs("padded_loss", seed)
    assert all(x["visible"][:, 1:].any() for x in inputs)
    assert any(len(set(x["visible"].sum(1).tolist())) > 1 for x in inputs)
    assert {x["logits"].dtype for x in inputs} == {torch.float32, torch.float64}


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_texts_have_characters_of_several_bytes(seed):
    inputs = all_inputs("perplexity_and_bits", seed)
    assert [len(x["text"].encode()) > len(x["text"]) for x in inputs] == [False] * 3 + [True] * 3
    assert all((x["log_probabilities"] < 0).all() for x in inputs)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_a_long_text_is_too_improbable_for_a_product(seed):
    results = [find("sequence_log_probability").reference(**x) for x in all_inputs("sequence_log_probability", seed)]
    assert min(result.min() for result in results) < -110  # the smallest positive float32 is e to the -103
    assert sum(result.ndim == 0 and result == 0 for result in results) == 1


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_it_matters_what_is_read(seed):
    exercise = find("feedback_losses")
    for x in all_inputs("feedback_losses", seed):
        right = exercise.run(exercise.reference, dict(x))["the losses"]
        other = exercise.run(exercise.reference, x | {"forced": [not force for force in x["forced"]]})["the losses"]
        assert other[0] == right[0]
        assert len(right) == 1 or max(abs(a - b) for a, b in zip(other, right, strict=True)) > 1e-3

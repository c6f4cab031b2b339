"""What the inputs of lab 07's exercises promise."""

import torch
from exercise_inputs import all_inputs, seeds
from hypothesis import given, settings

from labutils.exercises import exercises_of


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_first_inputs_can_be_read(seed):
    for exercise in exercises_of("07"):
        for inputs in all_inputs(exercise.name, seed)[:2]:
            tensors = [value for value in inputs.values() if torch.is_tensor(value)]
            assert sum(tensor.numel() for tensor in tensors) <= 30
            assert all(tensor.ndim <= 2 for tensor in tensors)


@settings(max_examples=5, deadline=None)
@given(seeds)
def test_with_and_without_a_batch_in_both_precisions_and_of_length_one(seed):
    for name in ("scaled_dot_weights", "masked_attention", "general_scores", "additive_scores"):
        inputs = all_inputs(name, seed)
        assert {each["query"].ndim for each in inputs} >= {2, 3, 4}
        assert {each["query"].dtype for each in inputs} == {torch.float32, torch.float64}
        assert any(each["query"].shape[-2] == each["key"].shape[-2] == 1 for each in inputs)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_large_scores_overflow_in_the_cases_own_precision(seed):
    inputs = all_inputs("scaled_dot_weights", seed)[2]
    assert (inputs["query"] @ inputs["key"].mT / 2).exp().isinf().any()


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_masks_hide_keys_everywhere_and_all_of_them_in_some_rows_of_either_precision(seed):
    hidden_throughout = set()
    for case, inputs in enumerate(all_inputs("masked_attention", seed)):
        mask = inputs["mask"]
        assert not mask.all(-1).any(), case
        if not mask.any(-1).all():
            hidden_throughout.add((case, inputs["query"].dtype))
    assert {case for case, _ in hidden_throughout} == {1, 4, 6, 8}
    assert {dtype for _, dtype in hidden_throughout} == {torch.float32, torch.float64}


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_positions_and_lengths_reach_their_ends(seed):
    causal = all_inputs("causal_mask", seed)
    assert all(each["n_queries"] <= each["n_keys"] for each in causal)
    assert any(each["n_queries"] == each["n_keys"] for each in causal)
    assert any(1 < each["n_queries"] < each["n_keys"] for each in causal)
    for case, inputs in enumerate(all_inputs("padding_mask", seed)):
        lengths, n_keys = inputs["lengths"], inputs["n_keys"]
        assert 0 <= lengths.min() < n_keys
        assert lengths.max() <= n_keys
        assert case < 3 or (lengths.min() == 0 and lengths.max() == n_keys)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_adding_row_to_row_raises_no_error_so_that_it_can_be_explained(seed):
    for inputs in all_inputs("additive_scores", seed):
        queries, keys = inputs["query"].shape[-2], inputs["key"].shape[-2]
        assert queries in (1, keys)

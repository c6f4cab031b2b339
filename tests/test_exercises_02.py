"""What the inputs of lab 02's exercises promise, and identities that their references must obey."""

import math

import pytest
import torch
from exercise_inputs import all_inputs, seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from labutils.exercises import exercises_of, find

NAMES = [exercise.name for exercise in exercises_of("02")]


@pytest.mark.parametrize("name", NAMES)
def test_the_first_input_can_be_read(name):
    inputs = all_inputs(name, 0)[0]
    assert sum(x.numel() for x in inputs.values() if torch.is_tensor(x)) <= 12


# --- bag_of_words


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_texts_repeat_words_and_are_padded_by_different_tokens(seed):
    cases = all_inputs("bag_of_words", seed)
    assert {inputs["tokens"].ndim for inputs in cases} == {1, 2, 3}
    assert len({inputs["padding"] for inputs in cases}) >= 3
    padded = [(inputs["tokens"] == inputs["padding"]).any(-1) for inputs in cases]
    assert [bool(where.all()) for where in padded] == [True, True, False, True, True, False]
    for inputs in cases[:-1]:
        assert (inputs["tokens"][..., 0] == inputs["tokens"][..., 1]).all()
        assert (inputs["tokens"][..., 0] != inputs["padding"]).all()


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_a_bag_holds_every_word_of_its_text_and_does_not_see_their_order(seed):
    bag = find("bag_of_words").reference
    for inputs in all_inputs("bag_of_words", seed):
        tokens, padding = inputs["tokens"], inputs["padding"]
        counts = bag(**inputs)
        assert torch.equal(counts.sum(-1), (tokens != padding).sum(-1))
        assert (counts[..., padding] == 0).all()
        assert torch.equal(bag(**{**inputs, "tokens": tokens.flip(-1)}), counts)


# --- wilson_interval


def test_there_are_tests_without_a_hit_and_without_a_miss():
    for seed in range(5):
        shares = [inputs["hits"] / inputs["n"] for inputs in all_inputs("wilson_interval", seed)]
        assert 0 in shares
        assert 1 in shares
        assert sum(0 < share < 1 for share in shares) == 4


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_the_ends_are_just_refused(seed):
    for inputs in all_inputs("wilson_interval", seed):
        share = inputs["hits"] / inputs["n"]
        low, high = find("wilson_interval").reference(**inputs)
        assert -1e-12 <= low <= share + 1e-12
        assert share - 1e-12 <= high <= 1 + 1e-12
        for end in (low, high):
            limit = inputs["z"] * math.sqrt(max(end * (1 - end), 0) / inputs["n"])
            assert abs(share - end) == pytest.approx(limit, abs=1e-7)


@pytest.mark.parametrize(("n", "p"), [(20, 0.9), (100, 0.97), (100, 0.5), (1000, 0.95)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(n, p):
    wilson = find("wilson_interval").reference
    covered = sum(
        binom.pmf(hits, n, p) for hits in range(n + 1) if wilson(hits, n, 1.96)[0] <= p <= wilson(hits, n, 1.96)[1]
    )
    assert 0.92 <= covered <= 0.98


# --- fit_learning_curve


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_every_loss_is_above_the_floor_and_n_grows(seed):
    for inputs in all_inputs("fit_learning_curve", seed):
        assert (inputs["losses"] > inputs["floor"] + 1e-6).all()
        assert (inputs["n"].diff() > 0).all()


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 100), st.floats(-2, 2), st.floats(0, 3))
def test_a_curve_without_noise_is_found_again(a, b, floor):
    n = torch.tensor([3.0, 10.0, 17.0, 40.0], dtype=torch.float64)
    found = find("fit_learning_curve").reference(n, floor + a * n**-b, floor)
    assert found == pytest.approx([a, b], rel=1e-6, abs=1e-6)


# --- exact_match


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_some_runs_are_right_and_some_are_not(seed):
    match = find("exact_match").reference
    assert all(0 < match(**inputs) < 1 for inputs in all_inputs("exact_match", seed))


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_a_run_of_one_is_the_accuracy_and_a_run_of_all_is_a_perfect_text(seed):
    match = find("exact_match").reference
    for inputs in all_inputs("exact_match", seed):
        correct = inputs["correct"]
        torch.testing.assert_close(match(correct, 1), correct.double().mean())
        torch.testing.assert_close(match(correct, correct.shape[1]), correct.all(-1).double().mean())


def test_independent_places_give_the_power_of_the_accuracy():
    correct = torch.rand(400, 500, generator=torch.Generator().manual_seed(0)) < 0.9
    assert find("exact_match").reference(correct, 10).item() == pytest.approx(0.9**10, abs=0.005)


# --- naive_bayes_log_odds


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_both_classes_occur_unequally_often_and_one_lacks_a_word_of_a_new_text(seed):
    for inputs in all_inputs("naive_bayes_log_odds", seed):
        ones = inputs["labels"] == 1
        assert 0 < ones.sum() < (~ones).sum() or 0 < (~ones).sum() < ones.sum()
        missing = inputs["counts"][~ones].sum(0) == 0
        assert (inputs["new"][0, missing] >= 2).any()
    assert any((inputs["new"][-1] == 0).all() for inputs in all_inputs("naive_bayes_log_odds", seed))


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_evidence_adds_up_and_swapping_the_classes_turns_the_sign(seed):
    odds = find("naive_bayes_log_odds").reference
    for inputs in all_inputs("naive_bayes_log_odds", seed):
        counts, labels, new = inputs.values()
        nothing = odds(counts, labels, torch.zeros_like(new))
        prior = torch.log((labels == 1).sum() / (labels == 0).sum()).to(new.dtype)
        torch.testing.assert_close(nothing, prior.expand(len(new)))
        torch.testing.assert_close(odds(counts, labels, 2 * new) - prior, 2 * (odds(counts, labels, new) - prior))
        torch.testing.assert_close(odds(counts, 1 - labels, new), -odds(counts, labels, new))

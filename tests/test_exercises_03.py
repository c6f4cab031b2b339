"""What the inputs of lab 03's exercises promise."""

import torch
from exercise_inputs import all_inputs, seeds
from hypothesis import given, settings

from labutils.curation import PRIME
from labutils.exercises import find


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_pages_are_kept_and_dropped(seed):
    exercise = find("clean_page")
    kept = [exercise.run(exercise.reference, inputs) for inputs in all_inputs(exercise.name, seed)]
    assert 5 <= sum(bool(text) for text in kept) <= exercise.cases - 4


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_surprisals_are_positive_and_never_tie_and_every_kind_of_row_occurs(seed):
    kinds, dtypes = set(), set()
    for inputs in all_inputs("surprise_score", seed):
        nats, real, k = inputs["nats"], inputs["real"], inputs["k"]
        assert (nats > 0).all()
        assert len(nats.unique()) == nats.numel()
        assert k >= 1
        kinds |= {min(int(n), k) - k < 0 for n in real.sum(-1).flatten()} | {nats.ndim} | {bool(real.any(-1).all())}
        dtypes.add(nats.dtype)
    assert {True, False, 2, 3} <= kinds
    assert dtypes == {torch.float32, torch.float64}


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_pages_are_partly_alike(seed):
    exercise = find("ngram_jaccard")
    similar = [exercise.run(exercise.reference, inputs) for inputs in all_inputs(exercise.name, seed)]
    assert sum(0 < value < 1 for value in similar) >= exercise.cases // 2
    assert {0, 1} <= set(similar)


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_hashes_fit_into_64_bits(seed):
    for inputs in all_inputs("minhash_signature", seed):
        assert all((value > 0).all() and (value < PRIME).all() for value in inputs.values())
        largest = int(inputs["items"].max()) * int(inputs["multipliers"].max()) + int(inputs["offsets"].max())
        assert largest < 2**63


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_mixtures_have_positive_sizes_and_something_to_draw(seed):
    for inputs in all_inputs("mixture_epochs", seed):
        assert len(inputs["shares"]) == len(inputs["sizes"])
        assert min(inputs["sizes"]) > 0
        assert sum(inputs["shares"]) > 0

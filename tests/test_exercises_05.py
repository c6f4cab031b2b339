"""What the inputs of lab 05's exercises promise, and how their references agree with independent code."""

import pytest
import torch
from exercise_inputs import all_inputs, seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from labutils.exercises import exercises_of, find
from labutils.objectives import mask_tokens

NAMES = [exercise.name for exercise in exercises_of("05")]
TENSORS = [name for name in NAMES if name != "next_sentence_pairs"]


@pytest.mark.parametrize("name", TENSORS)
def test_there_are_inputs_with_and_without_a_batch_in_either_precision_and_of_one_position(name):
    cases = all_inputs(name, 0)
    flags = [next(x for x in inputs.values() if torch.is_tensor(x) and x.dtype != torch.float64) for inputs in cases]
    ranks = {x.ndim for x in flags}
    assert len(ranks) >= 3
    floats = {x.dtype for inputs in cases for x in inputs.values() if torch.is_tensor(x) and x.is_floating_point()}
    assert floats == {torch.float32, torch.float64}
    assert any(1 in x.shape for x in flags)


@pytest.mark.parametrize("name", NAMES)
def test_the_first_input_can_be_read(name):
    inputs = all_inputs(name, 0)[0]
    assert sum(x.numel() for x in inputs.values() if torch.is_tensor(x)) <= 18


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_every_fate_meets_words_special_tokens_and_positions_that_were_not_chosen(seed):
    for inputs in all_inputs("hide_words", seed)[3:]:
        fate = (inputs["fate"] >= 0.8).int() + (inputs["fate"] >= 0.9).int()
        special = torch.isin(inputs["tokens"], torch.tensor(inputs["special"])).int()
        kinds = fate + 3 * (inputs["choice"] < inputs["rate"]).int() + 6 * special
        assert set(range(6)) <= set(kinds.flatten().tolist())
        assert {3 + 6, 4 + 6, 5 + 6} & set(kinds.flatten().tolist())
        words = (special == 0) & (inputs["replacement"] == inputs["tokens"])
        assert not words.any(), "a random word differs, so that it can be told from a kept one"


@settings(max_examples=10, deadline=None)
@given(seeds, st.floats(0.05, 0.95))
def test_with_the_draws_of_the_library_it_gives_what_the_library_gives(seed, rate):
    """The library's own version is compared with Hugging Face's in test_objectives.py."""
    tokens = torch.randint(20, (5, 30), generator=torch.Generator().manual_seed(0))
    expected = mask_tokens(
        tokens, torch.Generator().manual_seed(seed), mask_token=1, vocab_size=20, rate=rate, special=(0, 2)
    )
    generator = torch.Generator().manual_seed(seed)
    choice, fate, word = (torch.rand(tokens.shape, generator=generator) for _ in range(3))
    replacement = 3 + (word * 17).long()  # the words are 3 to 19
    given_tokens = torch.where(tokens == 1, 0, tokens)  # a mask in the text is never chosen; here it stands for special
    ours = find("hide_words").reference(given_tokens, choice, fate, replacement, rate, [0, 2], 1)
    assert torch.equal(ours[1], expected[1])
    assert torch.equal(torch.where(tokens == 1, 1, ours[0]), expected[0])


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_loss_is_torchs_with_the_label_that_it_skips(seed):
    for inputs in all_inputs("hidden_word_loss", seed):
        labels = inputs["words"].masked_fill(~inputs["chosen"], -100)
        wanted = F.cross_entropy(inputs["logits"].flatten(0, -2), labels.flatten())
        torch.testing.assert_close(find("hidden_word_loss").reference(**inputs), wanted)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_large_batches_hold_masks_random_words_and_kept_words_and_a_row_without_any(seed):
    for inputs in all_inputs("hidden_word_loss", seed)[3:]:
        chosen, same = inputs["chosen"], inputs["corrupted"] == inputs["words"]
        assert (chosen & same).any()
        assert (chosen & (inputs["corrupted"] == 0)).any()
        assert (chosen & ~same & (inputs["corrupted"] != 0)).any()
        assert same[~chosen].all()
    assert not inputs["chosen"].flatten(0, -2).any(-1).all()


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_documents_have_real_and_wrong_pairs_and_no_sentence_twice(seed):
    for inputs in all_inputs("next_sentence_pairs", seed):
        everything = inputs["sentences"] + inputs["strangers"]
        assert len(set(everything)) == len(everything)
        if len(inputs["coins"]) > 1:
            assert {True, False} == set((inputs["coins"] < 0.5).tolist())


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_pooled_vector_does_not_depend_on_padding(seed):
    pool = find("mean_pool").reference
    for inputs in all_inputs("mean_pool", seed):
        hidden, visible = inputs["hidden"], inputs["visible"]
        other = torch.where(visible[..., None], hidden, 99.0)
        torch.testing.assert_close(pool(other, visible), pool(hidden, visible))


@settings(max_examples=10, deadline=None)
@given(seeds, st.integers(1, 6))
def test_after_the_last_round_nothing_is_missing(seed, rounds):
    choose = find("choose_to_fill").reference
    for inputs in all_inputs("choose_to_fill", seed):
        masked = inputs["masked"]
        for left in range(rounds, 0, -1):
            now = choose(inputs["logits"], masked, left)
            assert not (now & ~masked).any()
            masked = masked & ~now
        assert not masked.any()

"""What the inputs of lab 01's exercises promise."""

from itertools import pairwise

import torch
from exercise_inputs import all_inputs, draw, seeds
from hypothesis import given, settings

from labutils.exercises import exercises_of, find
from labutils.tokenizer import ByteTokenizer


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_a_merge_step_keeps_the_text(seed):
    for inputs in all_inputs("bpe_merge_step", seed):
        after = find("bpe_merge_step").reference(**inputs)
        assert ["".join(word) for word in after] == ["".join(word) for word in inputs["words"]]


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_a_merge_is_of_pieces_that_are_there_by_then(seed):
    for inputs in all_inputs("bpe_encode", seed):
        known = set(inputs["word"])
        letters = {letter for pair in inputs["merges"] for piece in pair for letter in piece}
        made = known | letters
        for left, right in inputs["merges"]:
            assert {left, right} <= made
            made.add(left + right)


def test_merge_steps_make_the_tokens_that_the_library_makes():
    """On a text without ties the two rules for ties do not matter."""
    text = "hug hug hug hug hug hug hug hug pug pug pug pug pug pun pun pun"
    words = [list(word) for word in text.split()]
    pieces = []
    for _ in range(3):
        before = {piece for word in words for piece in word}
        words = find("bpe_merge_step").reference(words)
        pieces += {piece for word in words for piece in word} - before
    # Every word by itself, for the library puts the space before a word into the word.
    library = ByteTokenizer(text.split(), vocab_size=256 + 3)
    assert pieces == [token.decode() for token in library.vocab[256:]] == ["ug", "hug", "pug"]


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_every_row_has_a_finite_logit_and_exp_alone_fails_somewhere(seed):
    inputs = [inputs["logits"] for inputs in all_inputs("stable_softmax", seed)]
    assert all(logits.isfinite().any(-1).all() for logits in inputs)
    assert any(logits.exp().isinf().any() for logits in inputs)
    assert any((logits.exp().sum(-1) == 0).any() for logits in inputs)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_u_lies_on_a_border_only_where_it_is_exact(seed):
    for inputs in all_inputs("choose_token", seed):
        p, u = inputs["probabilities"].double(), inputs["u"]
        assert 0 <= u < 1
        eighths = (8 * p == (8 * p).round()).all() and 8 * u == round(8 * u)
        assert eighths or (p.cumsum(0) - u).abs().min() > 9e-4
        assert p[find("choose_token").reference(p, u)] > 0


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_completions_end_in_every_way_and_the_best_token_is_clear(seed):
    exercise, ends = find("complete_in_window"), set()
    for inputs in all_inputs("complete_in_window", seed):
        n, window = len(inputs["prompt"]), inputs["window"]
        tokens = exercise.reference(**inputs)
        new = tokens[n:]
        ends.add((new[-1] == inputs["end_token"], len(new) == inputs["max_new_tokens"]))
        ends |= {"in the prompt"} if inputs["end_token"] in inputs["prompt"] else set()
        ends |= {"longer prompt"} if n > window else {"moves on"} if len(tokens) - 1 > window else {"fits"}
        for length in range(n, len(tokens)):
            best = inputs["votes"][tokens[:length][-window:]].sum(0).sort(descending=True).values[:2]
            assert all(a - b > 9e-4 for a, b in pairwise(best.tolist()))
    assert {(True, False), (True, True), (False, True), "in the prompt", "longer prompt", "moves on", "fits"} <= ends


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_first_inputs_can_be_read(seed):
    for exercise in exercises_of("01"):
        for inputs in (draw(exercise, seed, case) for case in range(2)):
            assert sum(v.numel() for key, v in inputs.items() if torch.is_tensor(v) and key != "votes") <= 5

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labutils.tokenizer import WordTokenizer
from labutils.world import World

VOCAB = ("<bos>", "the", "dog", "sleeps", ".", "œuf", "a/an")


@given(st.lists(st.integers(0, len(VOCAB) - 1)))
def test_decode_then_encode_gives_the_same_tokens(tokens):
    tokenizer = WordTokenizer(VOCAB)
    text = tokenizer.decode(tokens)
    assert text == " ".join(VOCAB[token] for token in tokens)
    assert tokenizer.encode(text) == tokens


@given(st.text(alphabet=[" ", "\n", "\t", *"abc"]), st.permutations(["a", "b", "c", "ab", "bca"]))
def test_encode_equals_a_look_up(text, vocab):
    words = text.split()
    tokenizer = WordTokenizer(vocab)
    if set(words) <= set(vocab):
        assert tokenizer.encode(text) == [vocab.index(word) for word in words]
    else:
        with pytest.raises(ValueError, match="is not in the vocabulary"):
            tokenizer.encode(text)


def test_encode_equals_the_worlds():
    world = World()
    tokenizer = WordTokenizer(world.vocab)
    for row in world.sample(20, seed=0).tokens:
        text = world.decode(row)
        assert tokenizer.encode(text) == world.encode(text).tolist() == row.tolist()
        assert tokenizer.decode(row) == text
    assert tokenizer.vocab_size == world.vocab_size


@pytest.mark.parametrize("tokens", [[1, 2], (1, 2), np.array([1, 2]), torch.tensor([1, 2])])
def test_any_row_of_numbers_is_decoded(tokens):
    assert WordTokenizer(VOCAB).decode(tokens) == "the dog"


def test_unknown_word_is_named():
    with pytest.raises(ValueError, match="'cat' is not in the vocabulary"):
        WordTokenizer(VOCAB).encode("the cat sleeps .")


@pytest.mark.parametrize("token", [-1, len(VOCAB)])
def test_number_that_is_no_token_is_named(token):
    with pytest.raises(ValueError, match=f"{token} is not a token: they lie in 0 .. 6"):
        WordTokenizer(VOCAB).decode([1, token])


@pytest.mark.parametrize(
    ("vocab", "message"),
    [
        ((), "vocabulary is empty"),
        (("a", "b", "a"), "more than once: a"),
        (("a", "b c"), "'b c' cannot be a token"),
        (("a", ""), "'' cannot be a token"),
    ],
)
def test_bad_vocabularies_are_refused(vocab, message):
    with pytest.raises(ValueError, match=message):
        WordTokenizer(vocab)

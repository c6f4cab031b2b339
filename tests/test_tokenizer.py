from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labutils.tokenizer import ByteTokenizer, WordTokenizer
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


# --- bytes -----------------------------------------------------------------------------------------------------------

TEXTS = ["the low lower lowest tower", "new newer newest", "naïve café 東京"] * 3


@pytest.fixture(scope="module")
def byte_tokenizer() -> ByteTokenizer:
    return ByteTokenizer(TEXTS, vocab_size=290)


@given(text=st.text())
def test_every_text_survives_bytes(byte_tokenizer, text):
    tokens = byte_tokenizer.encode(text)
    assert byte_tokenizer.decode(tokens) == text
    assert b"".join(byte_tokenizer.vocab[token] for token in tokens) == text.encode()


def test_the_vocabulary_has_the_bytes_and_what_was_joined(byte_tokenizer):
    assert byte_tokenizer.vocab_size == len(byte_tokenizer.vocab) == 290
    assert {bytes([i]) for i in range(256)} == set(byte_tokenizer.vocab[:256])
    assert all(len(token) > 1 for token in byte_tokenizer.vocab[256:])


def bpe(words: list[bytes], merges: int) -> list[bytes]:
    """Byte-pair encoding as in the paper: join the most frequent pair, again and again."""
    pieces = [[bytes([byte]) for byte in word] for word in words]
    made = []
    for _ in range(merges):
        counts: dict[tuple[bytes, bytes], int] = {}
        for word in pieces:
            for pair in pairwise(word):
                counts[pair] = counts.get(pair, 0) + 1
        best = max(counts, key=counts.__getitem__)
        assert sum(count == counts[best] for count in counts.values()) == 1, "a tie"
        made.append(best[0] + best[1])
        for word in pieces:
            i = 0
            while i < len(word) - 1:
                if (word[i], word[i + 1]) == best:
                    word[i : i + 2] = [best[0] + best[1]]
                i += 1
    return made


def test_pairs_are_joined_as_in_the_paper():
    text = " ".join(["abc"] * 7 + ["abd"] * 4 + ["xy"] * 2)
    words = [b" " * (i > 0) + word.encode() for i, word in enumerate(text.split(" "))]
    assert list(ByteTokenizer([text], vocab_size=259).vocab[256:]) == bpe(words, 3)


def test_no_token_reaches_over_the_end_of_a_word(byte_tokenizer):
    assert all(b" " not in token[1:] for token in byte_tokenizer.vocab)


def test_the_same_texts_give_the_same_tokens(byte_tokenizer):
    assert ByteTokenizer(iter(TEXTS), vocab_size=290).vocab == byte_tokenizer.vocab


def test_training_stops_where_the_pairs_run_out():
    assert ByteTokenizer(["ab"], vocab_size=1000).vocab_size == 257


def test_a_vocabulary_without_all_bytes_is_refused():
    with pytest.raises(ValueError, match="at least the 256 bytes; vocab_size is 255"):
        ByteTokenizer(TEXTS, vocab_size=255)


@pytest.mark.parametrize("token", [-1, 290])
def test_number_that_is_no_byte_token_is_named(byte_tokenizer, token):
    with pytest.raises(ValueError, match=f"{token} is not a token: they lie in 0 .. 289"):
        byte_tokenizer.decode([token])


@pytest.mark.parametrize("tokens", [[65, 66], np.array([65, 66]), torch.tensor([65, 66])])
def test_any_row_of_byte_tokens_is_decoded(byte_tokenizer, tokens):
    expected = byte_tokenizer.vocab[65] + byte_tokenizer.vocab[66]
    assert byte_tokenizer.decode(tokens).encode() == expected

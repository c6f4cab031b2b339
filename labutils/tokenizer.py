"""Tokenizers: text in, token numbers out, and back. A model sees the numbers only."""

from collections.abc import Iterable, Sequence
from typing import SupportsInt

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit


class WordTokenizer:
    """One token a word: the tokenizer of a language whose every word is known.

    The words of a text stand between spaces, and `vocab[i]` is the word of token i. Raises ValueError if `vocab` is
    empty, repeats a word, or has one with a space in it.
    """

    def __init__(self, vocab: Sequence[str]):
        self.vocab = tuple(vocab)
        numbers = {word: i for i, word in enumerate(self.vocab)}
        if not self.vocab:
            raise ValueError("The vocabulary is empty: pass at least one word.")
        if len(numbers) < len(self.vocab):
            repeated = sorted({word for i, word in enumerate(self.vocab) if numbers[word] != i})
            raise ValueError(f"The vocabulary has some words more than once: {', '.join(repeated)}.")
        if spaced := [word for word in self.vocab if word.split() != [word]]:
            raise ValueError(f"{spaced[0]!r} cannot be a token, because spaces separate the words of a text.")
        self._numbers = numbers
        self._tokenizer = Tokenizer(WordLevel(numbers))
        self._tokenizer.pre_tokenizer = WhitespaceSplit()

    @property
    def vocab_size(self) -> int:
        """The number of different tokens."""
        return len(self.vocab)

    def encode(self, text: str) -> list[int]:
        """The tokens of the text. Raises ValueError if it has a word that is not in the vocabulary."""
        for word in text.split():
            if word not in self._numbers:
                raise ValueError(f"{word!r} is not in the vocabulary, and a word tokenizer cannot spell new words.")
        return self._tokenizer.encode(text).ids

    def decode(self, tokens: Iterable[SupportsInt]) -> str:
        """The text of the tokens, with one space between words. Raises ValueError for a number that is no token."""
        numbers = [int(token) for token in tokens]
        if wrong := [number for number in numbers if not 0 <= number < self.vocab_size]:
            raise ValueError(f"{wrong[0]} is not a token: they lie in 0 .. {self.vocab_size - 1}.")
        return self._tokenizer.decode(numbers, skip_special_tokens=False)

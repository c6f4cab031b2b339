"""Tokenizers: text in, token numbers out, and back. A model sees the numbers only."""

from collections.abc import Iterable, Sequence
from typing import SupportsInt

from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import ByteLevel, WhitespaceSplit
from tokenizers.trainers import BpeTrainer


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
        _check_tokens(numbers, self.vocab_size)
        return self._tokenizer.decode(numbers, skip_special_tokens=False)


class ByteTokenizer:
    """Byte-level byte-pair encoding, as in GPT-2 [radford2019language]: it can spell every text.

    The first 256 tokens are the bytes. Training adds a token for the pair of neighbours that is most frequent, again
    and again, until there are `vocab_size` [sennrich2016neural]; a token never reaches over the end of a word. The same
    texts give the same tokens. Raises ValueError for a `vocab_size` below 256.

        tokenizer = ByteTokenizer(texts, vocab_size=1024)
        tokenizer.decode(tokenizer.encode("naïve")) == "naïve"
    """

    def __init__(self, texts: Iterable[str], vocab_size: int):
        if vocab_size < 256:
            raise ValueError(f"A byte-level vocabulary has at least the 256 bytes; vocab_size is {vocab_size}.")
        self._tokenizer = Tokenizer(BPE())
        self._tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
        self._tokenizer.decoder = decoders.ByteLevel()
        # Without a limit a token could be as long as the longest word, even if that is a line of a thousand dashes.
        trainer = BpeTrainer(
            vocab_size=vocab_size,
            initial_alphabet=sorted(ByteLevel.alphabet()),
            max_token_length=16,
            show_progress=False,
        )
        self._tokenizer.train_from_iterator(texts, trainer)

    @property
    def vocab_size(self) -> int:
        """The number of different tokens. It is less than was asked for if the texts ran out of pairs."""
        return self._tokenizer.get_vocab_size()

    @property
    def vocab(self) -> tuple[bytes, ...]:
        """What each token stands for; a character of several bytes may be cut in the middle."""
        numbers = self._tokenizer.get_vocab()
        spelled = sorted(numbers, key=numbers.__getitem__)
        return tuple(bytes(_BYTE_OF[character] for character in token) for token in spelled)

    def encode(self, text: str) -> list[int]:
        """The tokens of the text."""
        return self._tokenizer.encode(text).ids

    def decode(self, tokens: Iterable[SupportsInt]) -> str:
        """The text of the tokens; bytes that spell no character become a question mark in a diamond.

        Raises ValueError for a number that is no token.
        """
        numbers = [int(token) for token in tokens]
        _check_tokens(numbers, self.vocab_size)
        return self._tokenizer.decode(numbers)


def _check_tokens(numbers: Sequence[int], vocab_size: int) -> None:
    if wrong := [number for number in numbers if not 0 <= number < vocab_size]:
        raise ValueError(f"{wrong[0]} is not a token: they lie in 0 .. {vocab_size - 1}.")


def _printable_bytes() -> dict[str, int]:
    """The character that stands for each byte inside a byte-level tokenizer, which works on printable text.

    A byte that is a visible character of Latin-1 stands for itself; the others get the characters from 256 on.
    """
    visible = {byte for byte in range(256) if chr(byte).isprintable() and not chr(byte).isspace()}
    hidden = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(256 + i): byte for i, byte in enumerate(hidden)}


_BYTE_OF = _printable_bytes()

"""Curation: what a data pipeline does to pages - rules, scores, duplicates, mixtures. Pure functions and one n-gram.

A page is a string. Words are what spaces separate. Every function looks at one page, or compares two; a lab decides
which pages stay.
"""

from collections.abc import Hashable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

SENTENCE_ENDS = (".", "!", "?", '"')
PRIME = 2**31 - 1  # the product of two smaller numbers fits into 64 bits

# ------------------------------------------------------------------------------------------------------------- rules


def clean_page(page: str, min_words: int = 5, min_lines: int = 3) -> str:
    """The lines of a page that read like sentences; "" if they are too few, or if the page holds code or filler text.

    The rules of C4 [raffel2020exploring], without its word list: a line stays if it ends like a sentence and has at
    least `min_words` words; a page stays if it has at least `min_lines` such lines, no curly bracket, and no "lorem
    ipsum" in capitals or small letters. Spaces around a line are dropped.
    """
    if "{" in page or "lorem ipsum" in page.lower():
        return ""
    lines = [line.strip() for line in page.splitlines()]
    kept = [line for line in lines if line.endswith(SENTENCE_ENDS) and len(line.split()) >= min_words]
    return "\n".join(kept) if len(kept) >= min_lines else ""


def ngrams(items: Sequence[Hashable], n: int) -> list[tuple[Hashable, ...]]:
    """Every n items in a row, in order. There are none if the sequence is shorter than n."""
    return list(zip(*(items[i:] for i in range(n)), strict=False))


def repetition(page: str, n: int = 3) -> float:
    """The share of the page's word n-grams that occurred earlier on it: near 0 in prose, near 1 in a phrase repeated.

    One of the rules that Gopher's data had to pass [rae2021scaling]. A page without n-grams has 0.
    """
    grams = ngrams(page.split(), n)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def listed_words(page: str, words: Sequence[str]) -> list[str]:
    """The words of a blocklist that occur on the page, whatever their case and the marks around them."""
    on_page = {word.strip(".,;:!?\"'()").lower() for word in page.split()}
    return [word for word in words if word in on_page]


# ------------------------------------------------------------------------------------------------------------ scores


def surprise_score(
    nats: Float[Tensor, "*batch seq"], real: Bool[Tensor, "*batch seq"], k: int
) -> Float[Tensor, "*batch"]:
    """The mean surprisal of the k most surprising tokens of each page, in nats; of all its tokens if it has fewer.

    `nats` is the surprisal -log p of each token under a language model, never negative; `real` is False at padding.
    A page without real tokens scores infinity. With k = seq this is the log of the perplexity.
    """
    n_counted = real.sum(-1).clamp(max=k)
    largest = nats.masked_fill(~real, 0.0).topk(min(k, nats.shape[-1])).values
    return torch.where(n_counted > 0, largest.sum(-1) / n_counted.clamp(min=1), torch.inf)


class NGram:
    """A language model that counts: the law of a token given the `order - 1` tokens before it in its document.

    Each order is mixed with the shorter one below it, by Witten and Bell's rule [witten1991zero]. With c the tokens
    before, N(c) the times they occurred, and T(c) the number of different tokens that came after them,

        p(x | c) = (N(c, x) + T(c) · p(x | shorter c)) / (N(c) + T(c)),

    and below all stands the uniform law over `vocab_size` tokens. Tokens are numbers from 0 to vocab_size - 1.
    """

    def __init__(self, documents: Int[ndarray, "documents seq"], order: int, vocab_size: int):
        self.vocab_size = vocab_size
        self._counts = [self._count(self._grams(documents, n)) for n in range(order)]

    def nats(self, documents: Int[ndarray, "documents seq"]) -> Float[ndarray, "documents seq"]:
        """The surprisal -log p of every token, in nats. The first is predicted from nothing."""
        p = np.full(documents.shape, 1 / self.vocab_size)
        for n, (gram, times, context, total, followers) in enumerate(self._counts):
            grams = self._grams(documents, n)
            seen = _look_up(grams, gram, times)
            n_context, n_followers = (
                _look_up(grams // (self.vocab_size + 1), context, table) for table in (total, followers)
            )
            p = np.where(n_context > 0, (seen + n_followers * p) / np.maximum(n_context + n_followers, 1), p)
        return -np.log(p)

    def _grams(self, documents: Int[ndarray, "documents seq"], n: int) -> Int[ndarray, "documents seq"]:
        """Each token and the n before it as one number, in the base vocab_size + 1; the extra digit is "no token"."""
        padded = np.pad(documents.astype(np.int64), ((0, 0), (n, 0)), constant_values=self.vocab_size)
        number = np.zeros(documents.shape, np.int64)
        for i in range(n + 1):
            number = number * (self.vocab_size + 1) + padded[:, i : i + documents.shape[1]]
        return number

    def _count(self, grams: Int[ndarray, "documents seq"]) -> tuple[ndarray, ndarray, ndarray, ndarray, ndarray]:
        """The grams and how often each occurred; their contexts, how often those occurred, how many grams each has."""
        gram, times = np.unique(grams, return_counts=True)
        context, first = np.unique(gram // (self.vocab_size + 1), return_index=True)
        return gram, times, context, np.add.reduceat(times, first), np.diff(first, append=len(gram))


def _look_up(wanted: ndarray, sorted_keys: ndarray, values: ndarray) -> ndarray:
    """The value of each key; 0 for a key that is not there."""
    place = np.searchsorted(sorted_keys, wanted).clip(max=len(sorted_keys) - 1)
    return np.where(sorted_keys[place] == wanted, values[place], 0)


# -------------------------------------------------------------------------------------------------------- duplicates


def ngram_jaccard(first: str, second: str, n: int = 3) -> float:
    """How alike two pages are: the word n-grams that both have, over those that either has [broder1997resemblance].

    1 if both have the same n-grams, in whatever number; 0 if they share none, or if neither has any.
    """
    a, b = (set(ngrams(page.split(), n)) for page in (first, second))
    return len(a & b) / len(a | b) if a | b else 0.0


def minhash_signature(
    items: Int[Tensor, " items"], multipliers: Int[Tensor, " hashes"], offsets: Int[Tensor, " hashes"]
) -> Int[Tensor, " hashes"]:
    """The smallest hash of a set under each of several hash functions, h_j(x) = (a_j x + b_j) mod (2^31 - 1).

    Of two sets, the share of equal entries in their signatures estimates their Jaccard similarity, because each of the
    items in their union is equally likely to be the smallest [broder1997resemblance]. `items` are the members of the
    set as whole numbers (an item that occurs twice changes nothing), `multipliers` the a_j, at least 1, and `offsets`
    the b_j, all below 2^31 - 1. Raises ValueError for an empty set, which has no smallest item.
    """
    if len(items) == 0:
        raise ValueError("An empty set has no smallest hash: leave empty pages out.")
    return ((multipliers[:, None] * items + offsets[:, None]) % PRIME).min(dim=1).values


# ---------------------------------------------------------------------------------------------------------- mixtures


def mixture_epochs(shares: Sequence[float], sizes: Sequence[float], budget: float) -> list[float]:
    """How often each source is read when `budget` tokens are drawn: its share of the budget, over its size in tokens.

    The shares need not sum to 1: they are weights. Raises ValueError if there are not as many shares as sizes, or if a
    size is not positive.
    """
    if len(shares) != len(sizes) or min(sizes) <= 0:
        raise ValueError("Give one positive size for each share.")
    return [share / sum(shares) * budget / size for share, size in zip(shares, sizes, strict=True)]

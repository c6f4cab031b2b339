"""Rules, scores, duplicates and mixtures, each against another way to compute it."""

import math
import re
from collections import Counter

import numpy as np
import pytest
import torch
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from labutils.curation import (
    NGram,
    clean_page,
    listed_words,
    minhash_signature,
    mixture_epochs,
    ngram_jaccard,
    ngrams,
    repetition,
    surprise_score,
)

words = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12)


# --- rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "kept"),
    [
        (
            "One two three four five.\nhome | shop | login\nSix seven eight nine ten!",
            "One two three four five.\nSix seven eight nine ten!",
        ),
        ("One two three four five.", ""),  # too few lines
        ("One two three four five.\nOne two three four.", ""),  # four words
        ("  One two three four five.  \nDid he say it, too?", "One two three four five.\nDid he say it, too?"),
        ('One two three four five.\nShe said: now we go"', 'One two three four five.\nShe said: now we go"'),
        ("One two three four five.\nSix seven eight nine {ten}.\nSix seven eight nine ten.", ""),
        ("One two three four five.\nLOREM ipsum\nSix seven eight nine ten.", ""),
        ("", ""),
    ],
)
def test_the_rules_of_c4(page, kept):
    assert clean_page(page, min_lines=2) == kept


@given(st.text(alphabet="ab {.!\n"), st.integers(1, 4), st.integers(1, 3))
def test_what_was_cleaned_is_clean(page, min_words, min_lines):
    once = clean_page(page, min_words, min_lines)
    assert clean_page(once, min_words, min_lines) == once
    assert set(once.splitlines()) <= {line.strip() for line in page.splitlines()}


@given(words, st.integers(1, 4))
def test_ngrams_and_repetition_as_defined(items, n):
    grams = [tuple(items[i : i + n]) for i in range(len(items) - n + 1)]
    assert ngrams(items, n) == grams
    repeated = sum(gram in grams[:i] for i, gram in enumerate(grams))
    assert repetition(" ".join(items), n) == pytest.approx(repeated / len(grams) if grams else 0)


def test_listed_words_are_found_whatever_their_case_and_marks():
    assert listed_words("(Bomb) in the bombing, 'Kill'!", ["kill", "bomb", "in the"]) == ["kill", "bomb"]


# --- scores ----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9))
def test_the_surprise_score_row_by_row(seed, k):
    generator = torch.Generator().manual_seed(seed)
    nats = torch.rand(3, 2, 7, generator=generator, dtype=torch.float64)
    real = torch.rand(3, 2, 7, generator=generator) < 0.5
    score = surprise_score(nats, real, k)
    for row, mask, found in zip(nats.flatten(0, 1), real.flatten(0, 1), score.flatten(), strict=True):
        largest = sorted(row[mask].tolist(), reverse=True)[:k]
        assert found.item() == pytest.approx(sum(largest) / len(largest) if largest else math.inf)


def test_the_surprise_of_all_tokens_is_the_log_of_the_perplexity():
    p = torch.tensor([0.5, 0.25, 0.125])
    score = surprise_score(-p.log(), torch.ones(3, dtype=torch.bool), 3)
    assert score.exp().item() == pytest.approx(p.prod().item() ** (-1 / 3))


def specified(documents: list[list[int]], order: int, vocab_size: int, before: tuple[int, ...], x: int) -> float:
    """Witten and Bell's rule, as the formula says, by counting anew."""
    if len(before) > order - 1:
        before = before[len(before) - order + 1 :]
    followers = Counter(
        document[i]
        for document in documents
        for i in range(len(before), len(document))
        if tuple(document[i - len(before) : i]) == before
    )
    shorter = 1 / vocab_size if not before else specified(documents, order, vocab_size, before[1:], x)
    n, t = sum(followers.values()), len(followers)
    return (followers[x] + t * shorter) / (n + t) if n else shorter


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_counts_agree_with_the_formula(seed, order):
    rng = np.random.default_rng(seed)
    seen, asked = rng.integers(4, size=(3, 8)), rng.integers(5, size=(2, 6))
    nats = NGram(seen, order, 5).nats(asked)
    for row, found in zip(asked.tolist(), nats, strict=True):
        for i, x in enumerate(row):
            # A document's beginning is a context of its own: what stands there is counted apart.
            context = tuple(row[max(0, i - order + 1) : i])
            if len(context) == order - 1:
                assert found[i] == pytest.approx(-math.log(specified(seen.tolist(), order, 5, context, x)))


def test_counts_give_laws():
    rng = np.random.default_rng(0)
    model = NGram(rng.integers(6, size=(5, 20)), 3, 7)
    beginning = rng.integers(7, size=(1, 4))
    rows = np.concatenate([np.tile(beginning, (7, 1)), np.arange(7)[:, None]], axis=1)
    assert np.exp(-model.nats(rows)[:, -1]).sum() == pytest.approx(1)


def test_counts_converge_to_the_entropy():
    tokens = np.random.default_rng(1).choice(4, p=[0.5, 0.25, 0.125, 0.125], size=(1, 200_000))
    entropy = 1.75 * math.log(2)
    assert NGram(tokens[:, :100_000], 2, 4).nats(tokens[:, 100_000:]).mean() == pytest.approx(entropy, rel=0.01)


# --- duplicates ------------------------------------------------------------------------------------------------------


@given(words, words, st.integers(1, 3))
def test_the_jaccard_similarity_by_a_search_for_every_ngram(first, second, n):
    def contains(page: list[str], gram: tuple) -> bool:
        return bool(re.search(rf"(^| ){' '.join(gram)}( |$)", " ".join(page)))

    every = {tuple(page[i : i + n]) for page in (first, second) for i in range(len(page) - n + 1)}
    both = sum(contains(first, gram) and contains(second, gram) for gram in every)
    found = ngram_jaccard(" ".join(first), " ".join(second), n)
    assert found == pytest.approx(both / len(every) if every else 0)
    assert found == ngram_jaccard(" ".join(second), " ".join(first), n)


@given(st.integers(0, 2**32))
def test_the_signature_in_python_integers(seed):
    generator = torch.Generator().manual_seed(seed)
    prime = 2**31 - 1
    items, a, b = (torch.randint(1, prime, (n,), generator=generator) for n in (5, 3, 3))
    signature = minhash_signature(items, a, b)
    expected = [min((x * m + c) % prime for x in items.tolist()) for m, c in zip(a.tolist(), b.tolist(), strict=True)]
    assert signature.tolist() == expected
    assert torch.equal(minhash_signature(torch.cat((items.flip(0), items)), a, b), signature)


def test_equal_entries_estimate_the_similarity_as_well_as_datasketch():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randint(1, 2**31 - 1, (256,), generator=generator) for _ in range(2))
    items = torch.randint(1, 2**31 - 1, (90,), generator=generator)
    first, second = items[:60], items[30:]  # 30 shared of 90
    mine = (minhash_signature(first, a, b) == minhash_signature(second, a, b)).double().mean().item()
    theirs = [MinHash(num_perm=256), MinHash(num_perm=256)]
    for sketch, part in zip(theirs, (first, second), strict=True):
        sketch.update_batch([str(x).encode() for x in part.tolist()])
    spread = math.sqrt((1 / 3) * (2 / 3) / 256)
    assert abs(mine - 1 / 3) < 4 * spread
    assert abs(theirs[0].jaccard(theirs[1]) - 1 / 3) < 4 * spread


def test_an_empty_set_has_no_signature():
    one = torch.ones(1, dtype=torch.int64)
    with pytest.raises(ValueError, match="leave empty pages out"):
        minhash_signature(torch.ones(0, dtype=torch.int64), one, one)


# --- mixtures --------------------------------------------------------------------------------------------------------


def test_the_epochs_of_a_mixture():
    assert mixture_epochs([3.0, 1.0], [10.0, 5.0], 40.0) == pytest.approx([3, 2])


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=1, max_size=5), st.floats(1, 100))
def test_all_tokens_of_the_budget_are_drawn(sources, budget):
    shares, sizes = (list(column) for column in zip(*sources, strict=True))
    epochs = mixture_epochs(shares, sizes, budget)
    drawn = [epoch * size for epoch, size in zip(epochs, sizes, strict=True)]
    assert sum(drawn) == pytest.approx(budget)
    assert [d / sum(drawn) for d in drawn] == pytest.approx([share / sum(shares) for share in shares])


@pytest.mark.parametrize(("shares", "sizes"), [([1.0], [1.0, 2.0]), ([1.0], [0.0])])
def test_a_mixture_without_sizes_is_refused(shares, sizes):
    with pytest.raises(ValueError, match="one positive size for each share"):
        mixture_epochs(shares, sizes, 1.0)

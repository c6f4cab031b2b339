"""Right answers of other kinds to the exercises of lab 01."""

import math
import re
from bisect import bisect_right
from collections import Counter
from itertools import accumulate, pairwise

import numpy as np
import torch
from scipy.special import softmax
from tokenizers import Tokenizer
from tokenizers.models import BPE


def merge_by_sorting(words):
    """Write down every place, count, and sort: the largest count first, then the earliest place."""
    places = [(word[i], word[i + 1]) for word in words for i in range(len(word) - 1)]
    if not places:
        return words
    left, right = min(places, key=lambda pair: (-places.count(pair), places.index(pair)))
    result = []
    for word in words:
        pieces, rest = [], list(word)
        while rest:
            first = rest.pop(0)
            if rest and (first, rest[0]) == (left, right):
                first += rest.pop(0)
            pieces.append(first)
        result.append(pieces)
    return result


def merge_by_substitution(words):
    """With marks between the pieces, joining a pair is a search in a string, which goes from left to right."""
    texts = ["|" + "".join(f"{piece}|" for piece in word) for word in words]
    counts = Counter(match.groups() for text in texts for match in re.finditer(r"\|(?=([^|]+)\|([^|]+)\|)", text))
    if counts:
        (left, right), _ = counts.most_common(1)[0]
        texts = [re.sub(rf"(?<=\|){re.escape(left)}\|{re.escape(right)}(?=\|)", left + right, t) for t in texts]
    return [text.strip("|").split("|") for text in texts]


def encode_by_rank(word, merges):
    """As tokenizers do: of all pairs in the word join the one that was learned first, until none is left."""
    rank = {tuple(pair): i for i, pair in enumerate(merges)}
    pieces = list(word)
    while True:
        known = [(rank[pair], i) for i, pair in enumerate(pairwise(pieces)) if pair in rank]
        if not known:
            return pieces
        _, i = min(known)
        pieces = [*pieces[:i], pieces[i] + pieces[i + 1], *pieces[i + 2 :]]


def encode_by_library(word, merges):
    pieces = list(dict.fromkeys([*word, *(part for pair in merges for part in (*pair, "".join(pair)))]))
    model = BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[tuple(pair) for pair in merges])
    return Tokenizer(model).encode(word).tokens


def encode_by_substitution(word, merges):
    text = "|" + "".join(f"{letter}|" for letter in word)
    for left, right in merges:
        text = re.sub(rf"(?<=\|){left}\|{right}(?=\|)", left + right, text)
    return text.strip("|").split("|")


def softmax_of_scipy(logits):
    return torch.from_numpy(softmax(logits.numpy(), axis=-1))


def softmax_by_differences(logits):
    """1 / sum over j of exp(z_j - z_i): an overflow gives 1 / inf = 0, which is right."""
    differences = logits[..., None, :] - logits[..., :, None]
    p = 1 / differences.exp().sum(-1)
    return torch.where(logits == -math.inf, 0.0, p)


def softmax_row_by_row(logits):
    rows = []
    for row in logits.reshape(-1, logits.shape[-1]).tolist():
        weights = [math.exp(z - max(row)) for z in row]
        rows.append([w / sum(weights) for w in weights])
    return torch.tensor(rows).reshape(logits.shape)


def choose_by_bisection(probabilities, u):
    return bisect_right(list(accumulate(probabilities.tolist())), u)


def choose_by_counting(probabilities, u):
    return (probabilities.double().cumsum(0) <= u).sum()


def choose_of_numpy(probabilities, u):
    return int(np.searchsorted(np.cumsum(probabilities.double().numpy()), u, side="right"))


def complete_with_counts(votes, prompt, window, end_token, max_new_tokens):
    """The scores as a product of how often each token is visible and the table."""
    tokens = [*prompt]
    while len(tokens) < len(prompt) + max_new_tokens:
        visible = torch.tensor(tokens[max(0, len(tokens) - window) :]).bincount(minlength=len(votes))
        tokens.append((visible.double() @ votes.double()).argmax().item())
        if tokens[-1] == end_token:
            return tokens
    return tokens


def complete_by_recursion(votes, prompt, window, end_token, max_new_tokens):
    if max_new_tokens == 0:
        return prompt
    scores = [sum(votes[t][i].item() for t in prompt[-window:]) for i in range(len(votes))]
    new = scores.index(max(scores))
    if new == end_token:
        return [*prompt, new]
    return complete_by_recursion(votes, [*prompt, new], window, end_token, max_new_tokens - 1)


RIGHT = {
    "bpe_merge_step": (merge_by_sorting, merge_by_substitution),
    "bpe_encode": (encode_by_rank, encode_by_library, encode_by_substitution),
    "stable_softmax": (softmax_of_scipy, softmax_by_differences, softmax_row_by_row),
    "choose_token": (choose_by_bisection, choose_by_counting, choose_of_numpy),
    "complete_in_window": (complete_with_counts, complete_by_recursion),
}

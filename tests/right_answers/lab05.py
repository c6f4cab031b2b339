"""Right answers of other kinds to the exercises of lab 05."""

import math
from itertools import pairwise

import numpy as np
import torch
from torch.nn import functional as F


def hide_token_by_token(tokens, choice, fate, replacement, rate, special, mask_token):
    """One token after another, as the task says it."""
    corrupted, chosen = tokens.flatten().tolist(), []
    draws = zip(choice.flatten().tolist(), fate.flatten().tolist(), replacement.flatten().tolist(), strict=True)
    for i, (c, f, word) in enumerate(draws):
        chosen.append(c < rate and corrupted[i] not in special)
        if chosen[-1] and f < 0.8:
            corrupted[i] = mask_token
        elif chosen[-1] and f >= 0.9:
            corrupted[i] = word
    return torch.tensor(corrupted).view(tokens.shape), torch.tensor(chosen).view(tokens.shape)


def hide_by_assignment(tokens, choice, fate, replacement, rate, special, mask_token):
    chosen = choice < rate
    for token in special:
        chosen = chosen & (tokens != token)
    corrupted = tokens.clone()
    corrupted[chosen & (fate < 0.8)] = mask_token
    random = chosen & (fate >= 0.9)
    corrupted[random] = replacement[random]
    return corrupted, chosen


def hide_with_numpy(tokens, choice, fate, replacement, rate, special, mask_token):
    chosen = np.logical_and(choice.numpy() < rate, ~np.isin(tokens.numpy(), special))
    cases = [chosen & (fate.numpy() < 0.8), chosen & (fate.numpy() >= 0.9)]
    corrupted = np.select(cases, [np.full(tokens.shape, mask_token), replacement.numpy()], tokens.numpy())
    return [torch.from_numpy(corrupted), torch.from_numpy(chosen)]


def loss_by_loops(logits, words, corrupted, chosen):
    total = []
    rows = zip(logits.flatten(0, -2), words.flatten(), chosen.flatten(), strict=True)
    for row, word, counts in rows:
        if counts:
            total.append(torch.logsumexp(row, 0) - row[word])
    return sum(total) / len(total)


def loss_by_labels(logits, words, corrupted, chosen):
    """The common way, with the label -100 where nothing is to be predicted, and the arithmetic of cross_entropy."""
    labels = torch.where(chosen, words, -100)
    hits = F.one_hot(labels.clamp(min=0), logits.shape[-1]) * (labels != -100)[..., None]
    return -(hits * logits.log_softmax(-1)).sum() / (labels != -100).sum()


def pairs_by_index(sentences, strangers, coins):
    pairs = []
    for i in range(len(sentences) - 1):
        real = bool(coins[i] < 0.5)
        pairs.append([sentences[i], sentences[i + 1] if real else strangers[i], real])
    return pairs


def pairs_by_pairwise(sentences, strangers, coins):
    choices = zip(pairwise(sentences), strangers, (coins < 0.5).tolist(), strict=True)
    return [(first, (stranger, following)[real], real) for (first, following), stranger, real in choices]


def pool_row_by_row(hidden, visible):
    if visible.ndim > 1:
        return torch.stack([pool_row_by_row(*row) for row in zip(hidden, visible, strict=True)])
    return hidden[visible].mean(0) if visible.any() else hidden.new_zeros(hidden.shape[-1])


def pool_by_weights(hidden, visible):
    """As an attention that looks at all words alike."""
    weights = visible / visible.sum(-1, keepdim=True).clamp(min=1)
    return torch.einsum("...s,...sd->...d", weights.to(hidden.dtype), hidden)


def pool_with_nanmean(hidden, visible):
    return hidden.masked_fill(~visible.unsqueeze(-1), math.nan).nanmean(-2).nan_to_num(0.0)


def choose_row_by_row(logits, masked, rounds_left):
    if masked.ndim > 1:
        return torch.stack([choose_row_by_row(*row, rounds_left) for row in zip(logits, masked, strict=True)])
    places = masked.nonzero()[:, 0].tolist()
    places.sort(key=lambda i: -(logits[i] - logits[i].logsumexp(0)).max().item())
    now = torch.zeros_like(masked)
    now[places[: math.ceil(len(places) / rounds_left)]] = True
    return now


def choose_by_threshold(logits, masked, rounds_left):
    """Everything that is at least as sure as the last one that is due."""
    sure = logits.log_softmax(-1).amax(-1).masked_fill(~masked, -math.inf)
    due = (masked.sum(-1, keepdim=True) + rounds_left - 1) // rounds_left
    last = sure.sort(-1, descending=True).values.gather(-1, (due - 1).clamp(min=0))
    return masked & (sure >= last)


RIGHT = {
    "hide_words": (hide_token_by_token, hide_by_assignment, hide_with_numpy),
    "hidden_word_loss": (loss_by_loops, loss_by_labels),
    "next_sentence_pairs": (pairs_by_index, pairs_by_pairwise),
    "mean_pool": (pool_row_by_row, pool_by_weights, pool_with_nanmean),
    "choose_to_fill": (choose_row_by_row, choose_by_threshold),
}

"""Right answers of other kinds to the exercises of lab 06."""

import math
from itertools import groupby, pairwise

import torch
from torch.nn import functional as F


def corrupt_by_walking(tokens, dropped, sentinels):
    source, target, inside, used = [], [], False, 0
    for token, drop in zip(tokens, dropped, strict=True):
        if drop and not inside:
            source.append(sentinels[used])
            target.append(sentinels[used])
            used += 1
        (target if drop else source).append(token)
        inside = drop
    target.append(sentinels[used])
    return source, target


def corrupt_twice(tokens, dropped, sentinels):
    """The target is what the same noise makes of the text when the kept tokens are dropped, with other sentinels."""

    def hide(hidden, names):
        said, names = [], iter(names)
        for is_hidden, run in groupby(zip(tokens, hidden, strict=True), key=lambda pair: pair[1]):
            said += [next(names)] if is_hidden else [token for token, _ in run]
        return said

    kept = [not drop for drop in dropped]
    target = hide(kept, sentinels)
    # Where the text starts with a span, its sentinel is not yet there; where it ends with one, the end's is not.
    if dropped[0]:
        target = [sentinels[0], *hide(kept, sentinels[1:])]
    if dropped[-1]:
        target.append(sentinels[len([1 for drop, _ in groupby(dropped) if drop])])
    return [hide(dropped, sentinels), target]


def decode_with_a_dictionary(source, target, sentinels):
    spans, here = {}, None
    for token in target:
        if token in sentinels:
            here = token
            spans[here] = []
        elif here is not None:
            spans[here].append(token)
    words = []
    for token in source:
        words.extend(spans.get(token, ()) if token in sentinels else (token,))
    return words


def decode_by_slices(source, target, sentinels):
    marks = [i for i, token in enumerate(target) if token in sentinels] + [len(target)]
    words = list(source)
    for begin, end in pairwise(marks):
        if target[begin] in words:
            place = words.index(target[begin])
            words[place : place + 1] = target[begin + 1 : end]
    return [word for word in words if word not in sentinels]


def infill_with_groupby(tokens, dropped, mask_token):
    source = []
    for drop, run in groupby(zip(tokens, dropped, strict=True), key=lambda pair: pair[1]):
        source += [mask_token] if drop else [token for token, _ in run]
    return source, tokens


def infill_with_tensors(tokens, dropped, mask_token):
    drop = torch.tensor(dropped)
    before = F.pad(drop, (1, 0))[:-1]
    source = torch.where(drop, mask_token, torch.tensor(tokens))
    return source[~(drop & before)].tolist(), list(tokens)


def shift_by_padding(labels, start, pad):
    return F.pad(labels.masked_fill(labels == -100, pad), (1, 0), value=start)[..., :-1]


def shift_by_assignment(labels, start, pad):
    shifted = torch.empty_like(labels)
    shifted[..., 0] = start
    shifted[..., 1:] = labels[..., :-1].where(labels[..., :-1] >= 0, torch.tensor(pad))
    return shifted


def contrast_by_loops(a, b, temperature):
    losses = []
    for i in range(len(a)):
        scores = [torch.cosine_similarity(a[i], b[j], dim=0) / temperature for j in range(len(b))]
        losses.append(torch.stack(scores).logsumexp(0) - scores[i])
    return sum(losses) / len(losses)


def contrast_by_nll(a, b, temperature):
    scores = torch.einsum("id,jd->ij", a, b) / (a.norm(dim=-1)[:, None] * b.norm(dim=-1)) / temperature
    return F.nll_loss(scores.log_softmax(1), torch.arange(len(a)))


def contrast_by_probabilities(a, b, temperature):
    weights = (torch.cosine_similarity(a[:, None], b[None], dim=-1).double() / temperature).exp()
    return -sum(math.log(weights[i, i] / weights[i].sum()) for i in range(len(a))) / len(a)


RIGHT = {
    "span_corruption": (corrupt_by_walking, corrupt_twice),
    "sentinel_decoding": (decode_with_a_dictionary, decode_by_slices),
    "text_infilling": (infill_with_groupby, infill_with_tensors),
    "shift_right": (shift_by_padding, shift_by_assignment),
    "contrastive_loss": (contrast_by_loops, contrast_by_nll, contrast_by_probabilities),
}

"""Right answers of lab 07 of other kinds than the reference: loops, torch's own functions, other arrangements."""

import math

import torch
from torch import nn
from torch.nn import functional


def weights_by_logsumexp(query, key):
    scores = torch.einsum("...qd,...kd->...qk", query, key) * query.shape[-1] ** -0.5
    return (scores - scores.logsumexp(-1, keepdim=True)).exp()


def weights_by_pairs(query, key):
    """Each weight is 1 / Σ exp(other score − own score): no maximum is needed."""
    scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(-1, -2)
    return 1 / (scores[..., None, :] - scores[..., :, None]).exp().sum(-1)


def weights_in_loops(query, key):
    result = query.new_empty(*query.shape[:-1], key.shape[-2])
    for index in torch.cartesian_prod(*(torch.arange(n) for n in query.shape[:-1])).view(-1, query.ndim - 1).tolist():
        keys = key[tuple(index[:-1])]
        scores = [sum(float(a) * float(b) for a, b in zip(query[tuple(index)], k, strict=True)) for k in keys]
        scores = [score / math.sqrt(query.shape[-1]) for score in scores]
        exps = [math.exp(score - max(scores)) for score in scores]
        for j, exp in enumerate(exps):
            result[(*index, j)] = exp / sum(exps)
    return result


def weights_of_the_identity(query, key):
    """Attention to the rows of the identity matrix returns its weights."""
    one_hot = torch.eye(key.shape[-2], dtype=key.dtype).expand(*key.shape[:-2], -1, -1)
    return functional.scaled_dot_product_attention(query, key, one_hot)


def attention_of_torch(query, key, value, mask):
    leading = torch.broadcast_shapes(query.shape[:-2], mask.shape[:-2])
    mask = mask.expand(*leading, query.shape[-2], key.shape[-2])
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask).nan_to_num()


def attention_by_exponentials(query, key, value, mask):
    scores = query @ key.mT / query.shape[-1] ** 0.5
    exps = (scores - scores.max(-1, keepdim=True).values).exp() * mask
    return exps @ value / exps.sum(-1, keepdim=True).clamp(min=torch.finfo(query.dtype).tiny)


def attention_query_by_query(query, key, value, mask):
    mask = mask.expand(*query.shape[:-1], key.shape[-2])
    if query.ndim > 2:
        return torch.stack([attention_query_by_query(*one) for one in zip(query, key, value, mask, strict=True)])
    rows = []
    for q, visible in zip(query, mask, strict=True):
        if visible.any():
            scores = key[visible] @ q / math.sqrt(len(q))
            rows.append(functional.softmax(scores, dim=0) @ value[visible])
        else:
            rows.append(torch.zeros_like(value[0]))
    return torch.stack(rows)


def causal_by_comparing(n_queries, n_keys):
    return torch.arange(n_keys) <= torch.arange(n_keys - n_queries, n_keys)[:, None]


def causal_in_loops(n_queries, n_keys):
    return torch.tensor([[j <= n_keys - n_queries + i for j in range(n_keys)] for i in range(n_queries)])


def causal_of_torch(n_queries, n_keys):
    return nn.Transformer.generate_square_subsequent_mask(n_keys)[n_keys - n_queries :] == 0


def padding_in_loops(lengths, n_keys):
    return torch.tensor([[[j < length for j in range(n_keys)]] for length in lengths.tolist()])


def padding_by_summing(lengths, n_keys):
    ends = functional.one_hot(lengths, n_keys + 1)[:, :-1]
    return (ends.cumsum(-1) == 0).unsqueeze(-2)


def general_by_einsum(query, key, weight):
    return torch.einsum("...qa,ab,...kb->...qk", query, weight, key)


def general_by_the_keys(query, key, weight):
    return query @ torch.transpose(key @ weight.T, -1, -2)


def general_of_torch(query, key, weight):
    """`bilinear` wants both of its inputs in the same shape, so every pair is written out."""
    shape = (*query.shape[:-1], *key.shape[-2:])
    queries, keys = query.unsqueeze(-2).expand(shape), key.unsqueeze(-3).expand(shape)
    return functional.bilinear(queries.contiguous(), keys.contiguous(), weight[None]).squeeze(-1)


def additive_in_loops(query, key, query_weight, key_weight, vector):
    """Bahdanau's equation, pair by pair."""
    if query.ndim > 2:
        weights = (query_weight, key_weight, vector)
        return torch.stack([additive_in_loops(q, k, *weights) for q, k in zip(query, key, strict=True)])
    scores = query.new_empty(len(query), len(key))
    for i, q in enumerate(query):
        for j, k in enumerate(key):
            scores[i, j] = torch.dot(vector, torch.tanh(query_weight.T @ q + key_weight.T @ k))
    return scores


def additive_by_concatenation(query, key, query_weight, key_weight, vector):
    """Luong's form: one matrix on query and key put end to end."""
    shape = (*query.shape[:-1], key.shape[-2], query.shape[-1])
    pairs = torch.cat((query[..., :, None, :].expand(shape), key[..., None, :, :].expand(shape)), dim=-1)
    return (torch.tanh(pairs @ torch.cat((query_weight, key_weight))) * vector).sum(-1)


def additive_by_repeating(query, key, query_weight, key_weight, vector):
    queries = (query @ query_weight).repeat_interleave(key.shape[-2], dim=-2)
    keys = (key @ key_weight).repeat(*[1] * (key.ndim - 2), query.shape[-2], 1)
    return ((queries + keys).tanh() @ vector).unflatten(-1, (query.shape[-2], key.shape[-2]))


RIGHT = {
    "scaled_dot_weights": (weights_by_logsumexp, weights_by_pairs, weights_in_loops, weights_of_the_identity),
    "masked_attention": (attention_of_torch, attention_by_exponentials, attention_query_by_query),
    "causal_mask": (causal_by_comparing, causal_in_loops, causal_of_torch),
    "padding_mask": (padding_in_loops, padding_by_summing),
    "general_scores": (general_by_einsum, general_by_the_keys, general_of_torch),
    "additive_scores": (additive_in_loops, additive_by_concatenation, additive_by_repeating),
}

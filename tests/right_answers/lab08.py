"""Right answers of other kinds to the exercises of lab 08."""

import math

import torch
from torch.nn import functional as F


def split_by_slices(x, n_heads):
    width = x.shape[-1] // n_heads
    return torch.stack([x[..., i * width : (i + 1) * width] for i in range(n_heads)], dim=-3)


def split_by_chunks(x, n_heads):
    return torch.stack(x.chunk(n_heads, dim=-1), dim=-3)


def split_by_positions(x, n_heads):
    """Where each number comes from, written out."""
    width = x.shape[-1] // n_heads
    columns = torch.arange(n_heads)[:, None] * width + torch.arange(width)
    return x[..., columns].movedim(-2, -3)


def merge_by_concatenation(x):
    return torch.cat(x.unbind(-3), dim=-1)


def merge_by_a_linear_map(x):
    """Each head writes into its own columns, and what they write is added up: W_O with an identity for each head."""
    n_heads, _, width = x.shape[-3:]
    columns = torch.eye(n_heads * width, dtype=x.dtype).unflatten(0, (n_heads, width))
    return torch.einsum("...hsw,hwm->...sm", x, columns)


def merge_by_loops(x):
    n_heads, seq, width = x.shape[-3:]
    merged = x.new_zeros(*x.shape[:-3], seq, n_heads * width)
    for head in range(n_heads):
        for place in range(width):
            merged[..., head * width + place] = x[..., head, :, place]
    return merged


def grouped_by_a_loop(query, key, value):
    """Head by head, as the definition says."""
    heads, group = [], query.shape[-3] // key.shape[-3]
    for head in range(query.shape[-3]):
        scores = query[..., head, :, :] @ key[..., head // group, :, :].mT / math.sqrt(query.shape[-1])
        weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
        heads.append(weights @ value[..., head // group, :, :])
    return torch.stack(heads, dim=-3)


def grouped_by_repeating(query, key, value):
    times = query.shape[-3] // key.shape[-3]
    key, value = key.repeat_interleave(times, -3), value.repeat_interleave(times, -3)
    return ((query @ key.mT) * query.shape[-1] ** -0.5).softmax(-1) @ value


def grouped_by_torch(query, key, value):
    """Torch's own, which wants exactly one axis in front."""
    four = [x.reshape(-1, *x.shape[-3:]) for x in (query, key, value)]
    return F.scaled_dot_product_attention(*four, enable_gqa=True).reshape(*query.shape[:-1], value.shape[-1])


def cross_by_einsum(x, context, visible, query_weight, key_weight, value_weight):
    scores = torch.einsum("...qm,mh,nh,...kn->...qk", x, query_weight, key_weight, context)
    exponentials = (scores / math.sqrt(query_weight.shape[1])).exp() * visible[..., None, :]
    total = exponentials.sum(-1, keepdim=True)
    return torch.einsum("...qk,...km,mh->...qh", exponentials / total.clamp(min=1e-30), context, value_weight)


def cross_row_by_row(x, context, visible, query_weight, key_weight, value_weight):
    """Each sequence of the batch alone, with its padding cut off."""
    if x.ndim > 2:
        rows = zip(x, context, visible, strict=True)
        return torch.stack([cross_row_by_row(*row, query_weight, key_weight, value_weight) for row in rows])
    seen = context[visible]
    if len(seen) == 0:
        return x.new_zeros(len(x), value_weight.shape[1])
    scores = (x @ query_weight) @ (seen @ key_weight).T / query_weight.shape[1] ** 0.5
    return scores.softmax(-1) @ (seen @ value_weight)


def cross_by_torch(x, context, visible, query_weight, key_weight, value_weight):
    mixed = F.scaled_dot_product_attention(
        x @ query_weight, context @ key_weight, context @ value_weight, attn_mask=visible[..., None, :]
    )
    return torch.where(visible.any(-1)[..., None, None], mixed, 0.0)


def step_token_by_token(query, key, value, past_keys, past_values):
    """One position at a time, which needs no mask."""
    keys, values, outputs = past_keys, past_values, []
    for i in range(query.shape[-2]):
        keys = torch.cat((keys, key[..., i : i + 1, :]), dim=-2)
        values = torch.cat((values, value[..., i : i + 1, :]), dim=-2)
        scores = query[..., i : i + 1, :] @ keys.mT / math.sqrt(query.shape[-1])
        outputs.append(scores.softmax(-1) @ values)
    return torch.cat(outputs, dim=-2), keys, values


def step_from_all_queries(query, key, value, past_keys, past_values):
    """Without a shortcut: give the past queries of zeros, attend square and causal, keep the new rows."""
    keys, values = torch.cat((past_keys, key), dim=-2), torch.cat((past_values, value), dim=-2)
    queries = torch.cat((torch.zeros_like(past_keys), query), dim=-2)
    output = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
    return [output[..., past_keys.shape[-2] :, :], keys, values]


def step_with_minus_infinity(query, key, value, past_keys, past_values):
    keys = torch.cat((past_keys, key), -2)
    new, n_keys = query.shape[-2], keys.shape[-2]
    future = torch.arange(n_keys) > torch.arange(n_keys - new, n_keys)[:, None]
    scores = (query @ keys.transpose(-1, -2) / math.sqrt(query.shape[-1])).masked_fill(future, -math.inf)
    values = torch.cat((past_values, value), -2)
    return scores.softmax(-1) @ values, keys, values


RIGHT = {
    "split_heads": (split_by_slices, split_by_chunks, split_by_positions),
    "merge_heads": (merge_by_concatenation, merge_by_a_linear_map, merge_by_loops),
    "grouped_attention": (grouped_by_a_loop, grouped_by_repeating, grouped_by_torch),
    "cross_attention": (cross_by_einsum, cross_row_by_row, cross_by_torch),
    "cached_attention": (step_token_by_token, step_from_all_queries, step_with_minus_infinity),
}

"""Attention: every query looks at every key and takes home a weighted mean of the values.

The mathematics is in the functions, which accept any leading axes. `MultiHeadAttention` owns the weights, and `KVCache`
remembers keys and values between calls.

Axes: `queries` and `keys` count positions; `d_key` and `d_value` are the widths of one head's vectors; `n_heads` query
heads share `n_kv_heads` key-value heads in groups of `n_heads / n_kv_heads`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


def causal_mask(
    n_queries: int, n_keys: int | None = None, device: torch.device | str | None = None
) -> Bool[Tensor, "queries keys"]:
    """Which keys each query may see, if none may see the future: True where it may.

    The queries are the last `n_queries` of the `n_keys` positions (default: all of them), so that query i stands at
    position `n_keys - n_queries + i`. With a cache there are more keys than queries.
    Raises ValueError if there are more queries than keys.
    """
    n_keys = n_queries if n_keys is None else n_keys
    if n_queries > n_keys:
        raise ValueError(f"{n_queries} queries cannot be the last of {n_keys} positions: pass n_keys >= n_queries.")
    return torch.ones(n_queries, n_keys, dtype=torch.bool, device=device).tril(n_keys - n_queries)


def scaled_dot_scores(
    query: Float[Tensor, "*#batch queries d_key"], key: Float[Tensor, "*#batch keys d_key"]
) -> Float[Tensor, "*#batch queries keys"]:
    """How well each query fits each key: q·k / √d_key [vaswani2017attention]."""
    # The division comes first because the queries are fewer numbers than the scores.
    return torch.einsum("...qd,...kd->...qk", query / math.sqrt(query.shape[-1]), key)


def attention_weights(
    scores: Float[Tensor, "*batch queries keys"], mask: Bool[Tensor, "*#batch queries keys"] | None = None
) -> Float[Tensor, "*batch queries keys"]:
    """Softmax of the scores over the keys: each row is non-negative and sums to 1.

    Where `mask` is False the weight is 0. A row without any key to look at is all zeros, not NaN.
    """
    if mask is None:
        return scores.softmax(-1)
    weights = torch.where(mask, scores, torch.finfo(scores.dtype).min).softmax(-1)
    # In a fully masked row all scores are now equal, and so are the weights.
    return weights * mask.any(-1, keepdim=True)


def attention(
    query: Float[Tensor, "*#batch queries d_key"],
    key: Float[Tensor, "*#batch keys d_key"],
    value: Float[Tensor, "*#batch keys d_value"],
    mask: Bool[Tensor, "*#batch queries keys"] | None = None,
) -> Float[Tensor, "*#batch queries d_value"]:
    """Scaled dot-product attention [vaswani2017attention]: softmax(QKᵀ / √d_key) V.

    `mask` is True where a query may look.
    Leading axes broadcast: a key of size 1 along an axis serves all queries along it, and is not copied to do so.
    """
    weights = attention_weights(scaled_dot_scores(query, key), mask)
    return torch.einsum("...qk,...kd->...qd", weights, value)


def grouped_attention(
    query: Float[Tensor, "batch n_heads queries d_key"],
    key: Float[Tensor, "batch n_kv_heads keys d_key"],
    value: Float[Tensor, "batch n_kv_heads keys d_value"],
    mask: Bool[Tensor, "queries keys"] | None = None,
) -> Float[Tensor, "batch n_heads queries d_value"]:
    """Attention in which groups of query heads share one key-value head [ainslie2023gqa].

    With as many key-value heads as query heads this is multi-head attention [vaswani2017attention], with one it is
    multi-query attention [shazeer2019fast]. Raises ValueError if the groups would not be of equal size.
    """
    n_heads, n_kv_heads = query.shape[1], key.shape[1]
    if n_heads % n_kv_heads:
        raise ValueError(f"{n_heads} query heads cannot share {n_kv_heads} key-value heads evenly.")
    # The group is an axis that the keys and values do not have. Repeating them for each head instead would copy the
    # whole cache at every step, and so lose what grouping is for.
    grouped = query.unflatten(1, (n_kv_heads, -1))
    return attention(grouped, key.unsqueeze(2), value.unsqueeze(2), mask).flatten(1, 2)


def split_heads(x: Float[Tensor, "batch seq d_model"], n_heads: int) -> Float[Tensor, "batch n_heads seq d_head"]:
    """Cut each vector into `n_heads` pieces of equal length, one a head."""
    return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)


def merge_heads(x: Float[Tensor, "batch n_heads seq d_head"]) -> Float[Tensor, "batch seq d_model"]:
    """Put the heads' vectors end to end again: undoes `split_heads`."""
    return x.transpose(1, 2).flatten(2)


@dataclass
class KVCache:
    """The keys and values of one layer for the positions seen so far.

    The room for all positions is taken at once, so that a step writes its own keys and copies no older ones. The writes
    are in place: use it under `torch.no_grad()`.
    """

    keys: Float[Tensor, "batch n_kv_heads max_len d_head"]
    values: Float[Tensor, "batch n_kv_heads max_len d_head"]
    length: int = 0

    def append(
        self,
        keys: Float[Tensor, "batch n_kv_heads seq d_head"],
        values: Float[Tensor, "batch n_kv_heads seq d_head"],
    ) -> tuple[Float[Tensor, "batch n_kv_heads length d_head"], Float[Tensor, "batch n_kv_heads length d_head"]]:
        """Add new positions, and return all keys and values so far. Raises ValueError if there is no room for them."""
        start, stop, max_len = self.length, self.length + keys.shape[2], self.keys.shape[2]
        if stop > max_len:
            raise ValueError(f"The cache has room for {max_len} positions, and {stop} were asked for.")
        self.keys[:, :, start:stop] = keys
        self.values[:, :, start:stop] = values
        self.length = stop
        return self.keys[:, :, :stop], self.values[:, :, :stop]

    def select(self, rows: Int[Tensor, " rows"]) -> "KVCache":
        """A new cache that holds these rows of the batch, in this order; a row may come several times (beam search)."""
        return KVCache(self.keys[rows], self.values[rows], self.length)


class MultiHeadAttention(nn.Module):
    """Self-attention with `n_heads` heads side by side, each `d_model / n_heads` wide [vaswani2017attention].

    `n_kv_heads` (default: `n_heads`) key-value heads are shared in groups. Raises ValueError if the heads do not divide
    `d_model`, or the key-value heads the heads.
    """

    def __init__(self, d_model: int, n_heads: int, n_kv_heads: int | None = None):
        super().__init__()
        n_kv_heads = n_heads if n_kv_heads is None else n_kv_heads
        if d_model % n_heads:
            raise ValueError(f"d_model = {d_model} cannot be cut into {n_heads} heads: choose a divisor of {d_model}.")
        if n_heads % n_kv_heads:
            raise ValueError(f"{n_heads} query heads cannot share {n_kv_heads} key-value heads evenly.")
        self.n_heads, self.n_kv_heads, self.d_head = n_heads, n_kv_heads, d_model // n_heads
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, n_kv_heads * self.d_head)
        self.value = nn.Linear(d_model, n_kv_heads * self.d_head)
        self.output = nn.Linear(d_model, d_model)

    def forward(
        self,
        x: Float[Tensor, "batch seq d_model"],
        mask: Bool[Tensor, "seq keys"] | None = None,
        *,
        rotate: Callable[[Tensor], Tensor] | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Let the positions of `x` attend to each other, and to those in `cache`, to which they are then added.

        `rotate` turns the queries and the keys by their positions (rotary positions); `mask` is True where a query may
        look.
        """
        query = split_heads(self.query(x), self.n_heads)
        key = split_heads(self.key(x), self.n_kv_heads)
        value = split_heads(self.value(x), self.n_kv_heads)
        if rotate is not None:
            query, key = rotate(query), rotate(key)
        if cache is not None:
            key, value = cache.append(key, value)
        return self.output(merge_heads(grouped_attention(query, key, value, mask)))

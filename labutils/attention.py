"""Attention: every query looks at every key and takes home a weighted mean of the values.

The mathematics is in the functions, which accept any leading axes. `MultiHeadAttention` owns the weights, and `KVCache`
remembers keys and values between calls.

A vector is a row everywhere, so a linear map is `x @ W`.
Axes: `queries` and `keys` count positions; `d_key` and `d_value` are the widths of one head's vectors; `n_heads` query
heads share `n_kv_heads` key-value heads in groups of `n_heads / n_kv_heads`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F


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


def padding_mask(lengths: Int[Tensor, " batch"], n_keys: int) -> Bool[Tensor, "batch 1 keys"]:
    """Which keys are real if sequence b has `lengths[b]` tokens and is filled up to `n_keys`: True where they are.

    It is the same for all queries, hence the axis of size 1. Combine it with a causal mask by `&`.
    Raises ValueError if a sequence is longer than `n_keys`.
    """
    if (lengths > n_keys).any():
        raise ValueError(f"A sequence of {int(lengths.max())} tokens does not fit into {n_keys} positions.")
    return (torch.arange(n_keys, device=lengths.device) < lengths[:, None]).unsqueeze(1)


def dot_scores(
    query: Float[Tensor, "*#batch queries d_key"], key: Float[Tensor, "*#batch keys d_key"]
) -> Float[Tensor, "*#batch queries keys"]:
    """How well each query fits each key: q·k [luong2015effective]. No parameters."""
    return torch.einsum("...qd,...kd->...qk", query, key)


def scaled_dot_scores(
    query: Float[Tensor, "*#batch queries d_key"], key: Float[Tensor, "*#batch keys d_key"]
) -> Float[Tensor, "*#batch queries keys"]:
    """q·k / √d_key [vaswani2017attention]. Scores of unit variance if the components of q and k have it."""
    # The division comes first because the queries are fewer numbers than the scores.
    return dot_scores(query / math.sqrt(query.shape[-1]), key)


def general_scores(
    query: Float[Tensor, "*#batch queries d_query"],
    key: Float[Tensor, "*#batch keys d_key"],
    weight: Float[Tensor, "d_query d_key"],
) -> Float[Tensor, "*#batch queries keys"]:
    """q W kᵀ, a dot product after a learned map [luong2015effective]. Queries and keys may differ in width."""
    return dot_scores(query @ weight, key)


def additive_scores(
    query: Float[Tensor, "*#batch queries d_query"],
    key: Float[Tensor, "*#batch keys d_key"],
    query_weight: Float[Tensor, "d_query d_hidden"],
    key_weight: Float[Tensor, "d_key d_hidden"],
    vector: Float[Tensor, " d_hidden"],
) -> Float[Tensor, "*#batch queries keys"]:
    """tanh(q W + k U)·v, a network with one hidden layer for each pair of query and key [bahdanau2015neural].

    It holds `queries × keys × d_hidden` numbers at a time, where a dot product holds `queries × keys`.
    """
    pairs = (query @ query_weight).unsqueeze(-2) + (key @ key_weight).unsqueeze(-3)
    return torch.tanh(pairs) @ vector


def attention_weights(
    scores: Float[Tensor, "*#batch queries keys"], mask: Bool[Tensor, "*#batch #queries keys"] | None = None
) -> Float[Tensor, "*#batch queries keys"]:
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
    mask: Bool[Tensor, "*#batch #queries keys"] | None = None,
    bias: Float[Tensor, "*#batch #queries keys"] | None = None,
) -> Float[Tensor, "*#batch queries d_value"]:
    """Scaled dot-product attention [vaswani2017attention]: softmax(QKᵀ / √d_key + B) V.

    `mask` is True where a query may look; a query that may look nowhere gets zeros, not NaN. `bias` is added to the
    scores (relative positions).
    Leading axes broadcast: a key of size 1 along an axis serves all queries along it, and is not copied to do so.
    """
    scores = scaled_dot_scores(query, key)
    weights = attention_weights(scores if bias is None else scores + bias, mask)
    return torch.einsum("...qk,...kd->...qd", weights, value)


def tiled_attention(
    query: Float[Tensor, "*batch queries d_key"],
    key: Float[Tensor, "*batch keys d_key"],
    value: Float[Tensor, "*batch keys d_value"],
    tile: int,
) -> Float[Tensor, "*batch queries d_value"]:
    """The same result as `attention`, from `tile` keys at a time: no matrix of queries × keys is ever held.

    The softmax is computed as the keys come in, which is the idea of FlashAttention [dao2022flashattention]; that is a
    GPU kernel, and this shows its arithmetic.
    """
    largest = query.new_full((*query.shape[:-1], 1), -math.inf)
    total = torch.zeros_like(largest)
    mixed = query.new_zeros((*query.shape[:-1], value.shape[-1]))
    for keys, values in zip(key.split(tile, dim=-2), value.split(tile, dim=-2), strict=True):
        scores = scaled_dot_scores(query, keys)
        larger = torch.maximum(largest, scores.amax(-1, keepdim=True))
        # What was summed so far was relative to the largest score so far; make it relative to the new one.
        shrink, weights = (largest - larger).exp(), (scores - larger).exp()
        total = shrink * total + weights.sum(-1, keepdim=True)
        mixed = shrink * mixed + weights @ values
        largest = larger
    return mixed / total


def grouped_weights(
    query: Float[Tensor, "batch n_heads queries d_key"],
    key: Float[Tensor, "batch n_kv_heads keys d_key"],
    mask: Bool[Tensor, "#queries keys"] | Bool[Tensor, "#batch #queries keys"] | None = None,
    bias: Float[Tensor, "n_heads #queries keys"] | None = None,
) -> Float[Tensor, "batch n_heads queries keys"]:
    """The weights of `grouped_attention`: for each head and each query, how much it takes from each key."""
    n_heads, n_kv_heads = query.shape[1], key.shape[1]
    if n_heads % n_kv_heads:
        raise ValueError(f"{n_heads} query heads cannot share {n_kv_heads} key-value heads evenly.")
    # The group is an axis that the keys do not have. Repeating them for each head instead would copy the whole cache at
    # every step, and so lose what grouping is for.
    scores = scaled_dot_scores(query.unflatten(1, (n_kv_heads, -1)), key.unsqueeze(2)).flatten(1, 2)
    if bias is not None:
        scores = scores + bias
    return attention_weights(scores, None if mask is None else mask.unsqueeze(-3))


def grouped_attention(
    query: Float[Tensor, "batch n_heads queries d_key"],
    key: Float[Tensor, "batch n_kv_heads keys d_key"],
    value: Float[Tensor, "batch n_kv_heads keys d_value"],
    mask: Bool[Tensor, "#queries keys"] | Bool[Tensor, "#batch #queries keys"] | None = None,
    bias: Float[Tensor, "n_heads #queries keys"] | None = None,
) -> Float[Tensor, "batch n_heads queries d_value"]:
    """Attention in which groups of query heads share one key-value head [ainslie2023gqa].

    With as many key-value heads as query heads this is multi-head attention [vaswani2017attention], with one it is
    multi-query attention [shazeer2019fast]. Raises ValueError if the groups would not be of equal size.
    """
    weights = grouped_weights(query, key, mask, bias).unflatten(1, (key.shape[1], -1))
    return torch.einsum("bgrqk,bgkd->bgrqd", weights, value).flatten(1, 2)


def fused_attention(
    query: Float[Tensor, "batch n_heads queries d_key"],
    key: Float[Tensor, "batch n_kv_heads keys d_key"],
    value: Float[Tensor, "batch n_kv_heads keys d_value"],
    mask: Bool[Tensor, "#queries keys"] | Bool[Tensor, "#batch #queries keys"] | None = None,
    bias: Float[Tensor, "n_heads #queries keys"] | None = None,
) -> Float[Tensor, "batch n_heads queries d_value"]:
    """What `grouped_attention` computes, by torch's own function: on a GPU one kernel [dao2022flashattention].

    Torch chooses the kernel by the device and the inputs. Where it has none that fits it does the plain arithmetic.
    """
    grouped = key.shape[1] != query.shape[1]
    if mask is None:
        return F.scaled_dot_product_attention(query, key, value, bias, enable_gqa=grouped)
    sees = mask.any(-1, keepdim=True)
    # A query that may look nowhere would get NaN, and give NaN to the gradients: let it look, and forget what it saw.
    allowed = (mask | ~sees).unsqueeze(-3)
    if bias is not None:
        allowed = bias.masked_fill(~allowed, -math.inf)
    return F.scaled_dot_product_attention(query, key, value, allowed, enable_gqa=grouped) * sees.unsqueeze(-3)


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
    """Attention with `n_heads` heads side by side, each `d_model / n_heads` wide [vaswani2017attention].

    Queries come from one sequence. Keys and values come from the same one (self-attention) or from another, the context
    (cross-attention). `n_kv_heads` (default: `n_heads`) key-value heads are shared in groups. Raises ValueError if the
    heads do not divide `d_model`, or the key-value heads the heads.
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
        mask: Bool[Tensor, "#seq keys"] | Bool[Tensor, "#batch #seq keys"] | None = None,
        *,
        context: Float[Tensor, "batch context d_model"] | None = None,
        rotate: Callable[[Tensor], Tensor] | None = None,
        bias: Float[Tensor, "n_heads #seq keys"] | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Let the positions of `x` attend to the `context`; without one, to each other and to those in `cache`.

        `mask` is True where a query may look; a position that may look nowhere takes nothing from any value. `rotate`
        turns queries and keys by their positions (rotary positions), `bias` is added to the scores (relative ones).
        The keys and values of `x` are added to the cache. Raises ValueError for a context and a cache together.
        """
        if context is not None and cache is not None:
            raise ValueError("A cache keeps the keys of a text that grows; a context is there whole: pass one of them.")
        query, key, value = self._heads(x, context, rotate)
        if cache is not None:
            key, value = cache.append(key, value)
        mix = fused_attention if query.is_cuda else grouped_attention
        return self.output(merge_heads(mix(query, key, value, mask, bias)))

    def weights(
        self,
        x: Float[Tensor, "batch seq d_model"],
        mask: Bool[Tensor, "#seq keys"] | Bool[Tensor, "#batch #seq keys"] | None = None,
        *,
        context: Float[Tensor, "batch context d_model"] | None = None,
        rotate: Callable[[Tensor], Tensor] | None = None,
        bias: Float[Tensor, "n_heads #seq keys"] | None = None,
    ) -> Float[Tensor, "batch n_heads seq keys"]:
        """How much each position takes from each other one, by head: what `forward` uses and does not return."""
        query, key, _ = self._heads(x, context, rotate)
        return grouped_weights(query, key, mask, bias)

    def _heads(
        self, x: Tensor, context: Tensor | None, rotate: Callable[[Tensor], Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries of `x`, keys and values of the context, cut into heads."""
        context = x if context is None else context
        query = split_heads(self.query(x), self.n_heads)
        key = split_heads(self.key(context), self.n_kv_heads)
        value = split_heads(self.value(context), self.n_kv_heads)
        return (query, key, value) if rotate is None else (rotate(query), rotate(key), value)

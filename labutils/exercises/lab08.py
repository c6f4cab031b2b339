"""The exercises of lab 08, heads and cache: cut vectors into heads, share keys, look elsewhere, and remember."""

import math

import torch
from torch import Tensor

from labutils.attention import attention, attention_weights, causal_mask, scaled_dot_scores
from labutils.exercises import Exercise, Mutant

# Another order of the same operations in float32 may differ by so much, where a mean comes out near 0.
RTOL, ATOL = 1e-4, 1e-5


def _normal(generator: torch.Generator, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=dtype)


def _digits(generator: torch.Generator, *shape: int) -> Tensor:
    """Small whole numbers, no two of them equal, so that a reader can follow each one."""
    return torch.randperm(math.prod(shape), generator=generator).view(shape).float()


def _kind(case: int) -> torch.dtype:
    return torch.float64 if case % 3 == 2 else torch.float32


# --- split_heads -----------------------------------------------------------------------------------------------------

# (axes in front, positions, heads, width of a head). No two axes of a case agree where it is not the point.
SPLITS = (
    ((), 3, 2, 2),
    ((), 1, 2, 3),  # one position
    ((), 4, 1, 3),  # one head
    ((), 2, 3, 1),  # heads of width one
    ((2,), 5, 3, 4),
    ((3,), 1, 4, 2),
    ((2, 3), 7, 4, 5),
)


def _split_inputs(generator: torch.Generator, case: int) -> dict:
    front, positions, n_heads, d_head = SPLITS[case]
    shape = (*front, positions, n_heads * d_head)
    x = _digits(generator, *shape) if case < 4 else _normal(generator, *shape, dtype=_kind(case))
    return {"x": x, "n_heads": n_heads}


def _split(x: Tensor, n_heads: int) -> Tensor:
    return x.unflatten(-1, (n_heads, -1)).transpose(-3, -2)


SPLIT_HEADS = Exercise(
    name="split_heads",
    lab="08",
    task=(
        "Cut each vector of `x` [..., seq, d_model] into `n_heads` pieces of equal length d_head, and return them as "
        "[..., n_heads, seq, d_head]: the first head gets the first d_head numbers of every vector, the second head "
        "the next ones. There may be any number of axes in front, or none; `n_heads` divides d_model."
    ),
    points=1,
    minutes=8,
    difficulty=2,
    inputs=_split_inputs,
    reference=_split,
    cases=len(SPLITS),
    hints=(
        "First cut the last axis in two, [..., seq, n_heads, d_head]; no number moves in this step.",
        "`x.unflatten(-1, (n_heads, -1))` cuts the axis. Which two axes must then change places?",
        "`.transpose(-3, -2)` swaps the axes of positions and heads, whatever stands in front.",
    ),
    forbidden=("labutils.attention.split_heads",),
    mutants=(
        Mutant(
            name="heads in front of the batch",
            function=lambda x, n_heads: x.unflatten(-1, (n_heads, -1)).movedim(-2, 0),
            message="You put the heads in front of all axes; they belong between the batch and the positions.",
        ),
        Mutant(
            name="reshape without transpose",
            function=lambda x, n_heads: x.reshape(*x.shape[:-2], n_heads, x.shape[-2], -1),
            message="You reshape straight to [..., n_heads, seq, d_head], which mixes numbers of different positions; "
            "cut the last axis first, then transpose.",
        ),
        Mutant(
            name="deals the numbers out in turn",
            function=lambda x, n_heads: x.unflatten(-1, (-1, n_heads)).movedim(-1, -3),
            message="You deal the numbers of a vector out to the heads in turn; a head gets d_head neighbours.",
        ),
        Mutant(
            name="forgets to transpose",
            function=lambda x, n_heads: x.unflatten(-1, (n_heads, -1)),
            message="You cut the vectors rightly, but the heads stand behind the positions; transpose these two axes.",
        ),
        Mutant(
            name="heads of width n_heads",
            function=lambda x, n_heads: x.unflatten(-1, (-1, n_heads)).transpose(-3, -2),
            message="You make pieces of length n_heads; n_heads is how many pieces there are.",
        ),
        Mutant(
            name="positions last",
            function=lambda x, n_heads: x.unflatten(-1, (n_heads, -1)).movedim(-3, -1),
            message="You return [..., n_heads, d_head, seq]; the positions come before the numbers of a vector.",
        ),
        Mutant(
            name="copies for each head",
            function=lambda x, n_heads: torch.stack([x] * n_heads, dim=-3),
            message="You give each head the whole vector; each gets its own piece, d_model / n_heads long.",
        ),
        Mutant(
            name="the last head first",
            function=lambda x, n_heads: _split(x, n_heads).flip(-3),
            message="Your heads come in the opposite order; the first head gets the first numbers of each vector.",
        ),
    ),
)


# --- merge_heads -----------------------------------------------------------------------------------------------------


def _merge_inputs(generator: torch.Generator, case: int) -> dict:
    front, positions, n_heads, d_head = SPLITS[case]
    shape = (*front, n_heads, positions, d_head)
    return {"x": _digits(generator, *shape) if case < 4 else _normal(generator, *shape, dtype=_kind(case))}


def _merge(x: Tensor) -> Tensor:
    return x.transpose(-3, -2).flatten(-2)


MERGE_HEADS = Exercise(
    name="merge_heads",
    lab="08",
    task=(
        "Put the heads' vectors end to end: from `x` [..., n_heads, seq, d_head] make [..., seq, n_heads · d_head], "
        "the numbers of the first head first. It undoes split_heads."
    ),
    points=1,
    minutes=5,
    difficulty=2,
    inputs=_merge_inputs,
    reference=_merge,
    cases=len(SPLITS),
    hints=(
        "Go the way of split_heads backwards: the axes of one position must be neighbours before you join them.",
        "After `x.transpose(-3, -2)` the shape is [..., seq, n_heads, d_head].",
        "`.flatten(-2)` joins the last two axes. (`view` refuses here: the numbers no longer lie in order in memory.)",
    ),
    forbidden=("labutils.attention.merge_heads",),
    mutants=(
        Mutant(
            name="reshape without transpose",
            function=lambda x: x.reshape(*x.shape[:-3], x.shape[-2], -1),
            message="You reshape without a transpose, which puts numbers of different positions into one vector.",
        ),
        Mutant(
            name="shuffles the heads together",
            function=lambda x: x.movedim(-3, -1).flatten(-2),
            message="You take one number of each head in turn; all numbers of the first head come first.",
        ),
        Mutant(
            name="forgets to join",
            function=lambda x: x.transpose(-3, -2),
            message="The heads are in their place, but still on an axis of their own; join the last two axes.",
        ),
        Mutant(
            name="joins along the positions",
            function=lambda x: x.flatten(-3, -2),
            message="You put the heads one after another along the positions; they belong side by side in each vector.",
        ),
        Mutant(
            name="adds the heads",
            function=lambda x: x.sum(-3),
            message="You add the heads up, which loses what each one found; put them side by side.",
        ),
        Mutant(
            name="averages the heads",
            function=lambda x: x.mean(-3),
            message="You average the heads, which loses what each one found; put them side by side.",
        ),
        Mutant(
            name="the last head first",
            function=lambda x: _merge(x.flip(-3)),
            message="You put the last head first; the numbers of the first head come first.",
        ),
        Mutant(
            name="positions last",
            function=lambda x: _merge(x).transpose(-1, -2),
            message="You return [..., d_model, seq]; each row should be the vector of one position.",
        ),
    ),
)


# --- grouped_attention -----------------------------------------------------------------------------------------------

# (axes in front, query heads, key-value heads, queries, keys, width of keys, width of values)
GROUPS = (
    ((), 2, 1, 1, 2, 1, 1),  # multi-query, one query
    ((), 4, 2, 1, 2, 1, 1),
    ((), 3, 3, 2, 4, 2, 5),  # multi-head
    ((), 4, 1, 3, 2, 5, 6),
    ((2,), 6, 3, 4, 5, 7, 8),
    ((3,), 6, 2, 1, 1, 5, 4),  # one key: its value comes back
    ((2,), 8, 4, 5, 3, 6, 7),
    ((2, 3), 8, 4, 5, 7, 6, 9),
)


def _grouped_inputs(generator: torch.Generator, case: int) -> dict:
    front, n_heads, n_kv_heads, queries, keys, d_key, d_value = GROUPS[case]
    dtype = _kind(case)
    value = (*front, n_kv_heads, keys, d_value)
    return {
        "query": 1.5 * _normal(generator, *front, n_heads, queries, d_key, dtype=dtype),
        "key": 1.5 * _normal(generator, *front, n_kv_heads, keys, d_key, dtype=dtype),
        "value": _digits(generator, *value) if case < 2 else _normal(generator, *value, dtype=dtype),
    }


def _grouped(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    grouped = query.unflatten(-3, (key.shape[-3], -1))
    return attention(grouped, key.unsqueeze(-3), value.unsqueeze(-3)).flatten(-4, -3)


def _expanded(query: Tensor, x: Tensor) -> Tensor:
    """Keys or values, copied so that there is one head of them for each query head."""
    return x.repeat_interleave(query.shape[-3] // x.shape[-3], dim=-3)


def _interleaved(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    chosen = torch.arange(query.shape[-3]) % key.shape[-3]
    return attention(query, key.index_select(-3, chosen), value.index_select(-3, chosen))


def _first_head_only(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return attention(query, key[..., :1, :, :], value[..., :1, :, :])


def _mean_head(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return attention(query, key.mean(-3, keepdim=True), value.mean(-3, keepdim=True))


def _softmax_over(axis: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    scores = scaled_dot_scores(query, _expanded(query, key))
    return scores.softmax(axis) @ _expanded(query, value)


def _scaled_by(factor: float, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention with `factor` in the place of 1 / √d_key."""
    return _grouped(query * factor * math.sqrt(query.shape[-1]), key, value)


def _heads_out_of_order(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return _grouped(query, key, value).unflatten(-3, (key.shape[-3], -1)).transpose(-4, -3).flatten(-4, -3)


def _one_query_a_group(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return attention(query.unflatten(-3, (key.shape[-3], -1)).mean(-3), key, value)


GROUPED_ATTENTION = Exercise(
    name="grouped_attention",
    lab="08",
    task=(
        "Attention in which groups of neighbouring query heads share a key-value head: with h query heads and g "
        "key-value heads, the first h / g query heads use the first key-value head, the next ones the second. `query` "
        "is [..., n_heads, queries, d_key], `key` [..., n_kv_heads, keys, d_key], `value` [..., n_kv_heads, keys, "
        "d_value]; return [..., n_heads, queries, d_value]. The scores are q·k / √d_key; there is no mask."
    ),
    points=3,
    minutes=15,
    difficulty=3,
    inputs=_grouped_inputs,
    reference=_grouped,
    cases=len(GROUPS),
    rtol=RTOL,
    atol=ATOL,
    hints=(
        "Give the query heads two axes, [n_kv_heads, group]; then each key-value head stands beside its own group.",
        "`query.unflatten(-3, (key.shape[-3], -1))` makes the two axes; `key.unsqueeze(-3)` gives the keys a group "
        "axis of size 1, which broadcasts.",
        "Attend as usual over the last two axes, then join the two axes of the heads again: `.flatten(-4, -3)`.",
    ),
    forbidden=("labutils.attention.grouped_attention", "torch.nn.functional.scaled_dot_product_attention"),
    mutants=(
        Mutant(
            name="heads out of order",
            function=_heads_out_of_order,
            message="Each head is right, but they come out in another order; join the axes as [n_kv_heads, group].",
        ),
        Mutant(
            name="interleaved groups",
            function=_interleaved,
            message="Your head i uses key-value head i % g; neighbours share one, so it is i // (h / g).",
        ),
        Mutant(
            name="the first key-value head for all",
            function=_first_head_only,
            message="All your query heads use the first key-value head; each group has its own.",
        ),
        Mutant(
            name="the mean of the key-value heads",
            function=_mean_head,
            message="You average the key-value heads; each group uses its own head as it is.",
        ),
        Mutant(
            name="softmax over the heads",
            function=lambda query, key, value: _softmax_over(-3, query, key, value),
            message="Your softmax runs over the heads; each head distributes its own weight over the keys, dim=-1.",
        ),
        Mutant(
            name="softmax over the queries",
            function=lambda query, key, value: _softmax_over(-2, query, key, value),
            message="Your softmax runs over the queries; each query distributes its weight over the keys, dim=-1.",
        ),
        Mutant(
            name="scaled by d_model",
            function=lambda query, key, value: _scaled_by(
                (query.shape[-3] * query.shape[-1]) ** -0.5, query, key, value
            ),
            message="You divide by √d_model, the width of all heads together; divide by √d_key, that of one head.",
        ),
        Mutant(
            name="not scaled",
            function=lambda query, key, value: _scaled_by(1.0, query, key, value),
            message="You leave the scores unscaled; divide them by √d_key before the softmax.",
        ),
        Mutant(
            name="scaled by d_key",
            function=lambda query, key, value: _scaled_by(1 / query.shape[-1], query, key, value),
            message="You divide the scores by d_key; divide by its square root.",
        ),
        Mutant(
            name="one query a group",
            function=_one_query_a_group,
            message="You make one query out of each group; the queries stay apart, only keys and values are shared.",
        ),
        Mutant(
            name="the heads stay on two axes",
            function=lambda query, key, value: _grouped(query, key, value).unflatten(-3, (key.shape[-3], -1)),
            message="You leave the heads on two axes, [n_kv_heads, group]; join them to one at the end.",
        ),
    ),
)


# --- cross_attention -------------------------------------------------------------------------------------------------

# (axes in front, positions of x, positions of the context, d_model, d_head)
CROSSES = (
    ((), 1, 2, 1, 1),  # all visible
    ((), 2, 3, 1, 2),  # some padding
    ((), 3, 2, 4, 5),  # nothing visible
    ((), 1, 1, 3, 2),  # all visible
    ((2,), 3, 6, 4, 5),
    ((3,), 4, 5, 7, 2),  # the last row of the batch sees nothing
    ((2, 3), 4, 7, 6, 5),
)


def _cross_inputs(generator: torch.Generator, case: int) -> dict:
    front, positions, context, d_model, d_head = CROSSES[case]
    dtype = _kind(case)
    visible = torch.ones(*front, context, dtype=torch.bool)
    if case == 2:
        visible[:] = False
    elif case not in (0, 3):  # padding fills up the end, by another amount in each row
        rows = visible.view(-1, context)
        lengths = torch.randint(1, context, (len(rows),), generator=generator)
        rows &= torch.arange(context) < lengths[:, None]
        rows[-1] &= case != 5
    return {
        "x": _normal(generator, *front, positions, d_model, dtype=dtype),
        "context": _normal(generator, *front, context, d_model, dtype=dtype),
        "visible": visible,
    } | {
        # Scores of a few units: with larger ones the rounding of float32 would tell right answers apart.
        f"{name}_weight": 1.2 * _normal(generator, d_model, d_head, dtype=dtype) / math.sqrt(d_model)
        for name in ("query", "key", "value")
    }


def _cross(x, context, visible, query_weight, key_weight, value_weight):
    return attention(x @ query_weight, context @ key_weight, context @ value_weight, visible.unsqueeze(-2))


def _cross_with(weights_of, scale_of=lambda x, query: 1.0):
    """A cross-attention with weights `weights_of(scores, visible)`; the scores are `scale_of` times too large."""

    def cross(x, context, visible, query_weight, key_weight, value_weight):
        query = x @ query_weight
        scores = scaled_dot_scores(query, context @ key_weight) * scale_of(x, query)
        return weights_of(scores, visible.unsqueeze(-2)) @ (context @ value_weight)

    return cross


def _unmasked(x, context, visible, query_weight, key_weight, value_weight):
    return attention(x @ query_weight, context @ key_weight, context @ value_weight)


def _inverted(x, context, visible, query_weight, key_weight, value_weight):
    return _cross(x, context, ~visible, query_weight, key_weight, value_weight)


def _swapped_roles(x, context, visible, query_weight, key_weight, value_weight):
    return _unmasked(context, x, visible, query_weight, key_weight, value_weight)


def _looks_at_itself(x, context, visible, query_weight, key_weight, value_weight):
    return _unmasked(x, x, visible, query_weight, key_weight, value_weight)


def _keys_as_values(x, context, visible, query_weight, key_weight, value_weight):
    return _cross(x, context, visible, query_weight, key_weight, key_weight)


def _swapped_maps(x, context, visible, query_weight, key_weight, value_weight):
    return _cross(x, context, visible, query_weight, value_weight, key_weight)


def _raw_context(x, context, visible, query_weight, key_weight, value_weight):
    weights = attention_weights(scaled_dot_scores(x @ query_weight, context @ key_weight), visible.unsqueeze(-2))
    return weights @ context


def _minus_infinity(scores: Tensor, visible: Tensor) -> Tensor:
    return scores.masked_fill(~visible, -math.inf).softmax(-1)


def _large_negative(scores: Tensor, visible: Tensor) -> Tensor:
    return scores.masked_fill(~visible, torch.finfo(scores.dtype).min).softmax(-1)


def _after_softmax(scores: Tensor, visible: Tensor) -> Tensor:
    return scores.softmax(-1) * visible


def _zero_scores(scores: Tensor, visible: Tensor) -> Tensor:
    return scores.masked_fill(~visible, 0.0).softmax(-1)


def _over_queries(scores: Tensor, visible: Tensor) -> Tensor:
    return torch.where(visible, scores, torch.finfo(scores.dtype).min).softmax(-2) * visible


CROSS_ATTENTION = Exercise(
    name="cross_attention",
    lab="08",
    task=(
        "One head of cross-attention: the positions of `x` [..., queries, d_model] attend to those of `context` "
        "[..., keys, d_model]. Queries are `x @ query_weight`, keys and values are made from the context with "
        "`key_weight` and `value_weight`; all three matrices are [d_model, d_head]. `visible` [..., keys] is True "
        "where the context is real and False where it is padding, which gets no weight. Where a context is all "
        "padding, return zeros. The scores are q·k / √d_head."
    ),
    points=3,
    minutes=15,
    difficulty=3,
    inputs=_cross_inputs,
    reference=_cross,
    cases=len(CROSSES),
    rtol=RTOL,
    atol=ATOL,
    hints=(
        "Who asks? `x`. Who answers? The context, with its keys and its values.",
        "The scores are [..., queries, keys]. `visible.unsqueeze(-2)` is [..., 1, keys]: the same for all queries.",
        "Set hidden scores to a very large negative number before the softmax, and multiply the weights by the mask "
        "after it: then a context without any visible position gives zeros and not NaN.",
    ),
    forbidden=("torch.nn.functional.scaled_dot_product_attention",),
    mutants=(
        Mutant(
            name="NaN without a visible position",
            function=_cross_with(_minus_infinity),
            message="Where a context is all padding you divide 0 by 0 in the softmax; return zeros there.",
        ),
        Mutant(
            name="a mean of padding",
            function=_cross_with(_large_negative),
            message="Where a context is all padding your softmax spreads the weight over it; return zeros there.",
        ),
        Mutant(
            name="masks after the softmax",
            function=_cross_with(_after_softmax),
            message="You hide the padding after the softmax, so the weights no longer sum to 1; hide it in the scores.",
        ),
        Mutant(
            name="zero in place of minus infinity",
            function=_cross_with(_zero_scores),
            message="You set the scores of padding to 0, but exp(0) = 1 is no small weight; it needs −inf or so.",
        ),
        Mutant(
            name="ignores the padding",
            function=_unmasked,
            message="You attend to padding, too; where `visible` is False the weight must be 0.",
        ),
        Mutant(
            name="attends to the padding only",
            function=_inverted,
            message="You use the mask the wrong way round; True in `visible` means that a position may be seen.",
        ),
        Mutant(
            name="scaled by d_model",
            function=_cross_with(
                attention_weights, lambda x, query: math.sqrt(query.shape[-1]) / math.sqrt(x.shape[-1])
            ),
            message="You divide by √d_model, the width of x; divide by √d_head, the width of the queries.",
        ),
        Mutant(
            name="not scaled",
            function=_cross_with(attention_weights, lambda x, query: math.sqrt(query.shape[-1])),
            message="You leave the scores unscaled; divide them by √d_head before the softmax.",
        ),
        Mutant(
            name="keys as values",
            function=_keys_as_values,
            message="You mix the keys; what comes back is a mean of the values, context @ value_weight.",
        ),
        Mutant(
            name="keys and values swapped",
            function=_swapped_maps,
            message="You make keys with value_weight and values with key_weight; use each for its own.",
        ),
        Mutant(
            name="softmax over the queries",
            function=_cross_with(_over_queries),
            message="Your softmax runs over the queries; each query distributes its weight over the context, dim=-1.",
        ),
        Mutant(
            name="looks at itself",
            function=_looks_at_itself,
            message="You make keys and values from x, which is self-attention; make them from the context.",
        ),
        Mutant(
            name="swapped roles",
            function=_swapped_roles,
            message="You let the context ask and x answer; queries come from x, keys and values from the context.",
        ),
        Mutant(
            name="the context itself as values",
            function=_raw_context,
            message="You mix the vectors of the context as they are; map them to values first, with value_weight.",
        ),
    ),
)


# --- cached_attention ------------------------------------------------------------------------------------------------

# (axes in front, positions in the cache, new positions, width of keys, width of values)
STEPS = (
    ((), 2, 1, 1, 1),
    ((), 0, 1, 2, 1),  # the first token: the cache is empty
    ((), 1, 2, 1, 2),
    ((2,), 3, 1, 5, 4),
    ((), 0, 3, 4, 2),  # a whole prompt into an empty cache
    ((2,), 4, 3, 6, 5),
    ((2, 3), 4, 5, 7, 6),
)


def _step_inputs(generator: torch.Generator, case: int) -> dict:
    front, past, new, d_key, d_value = STEPS[case]
    sizes = {
        "query": (new, d_key),
        "key": (new, d_key),
        "value": (new, d_value),
        "past_keys": (past, d_key),
        "past_values": (past, d_value),
    }
    return {name: 1.5 * _normal(generator, *front, *size, dtype=_kind(case)) for name, size in sizes.items()}


def _step(query, key, value, past_keys, past_values):
    keys, values = torch.cat((past_keys, key), dim=-2), torch.cat((past_values, value), dim=-2)
    return attention(query, keys, values, causal_mask(query.shape[-2], keys.shape[-2])), keys, values


def _step_without_mask(query, key, value, past_keys, past_values):
    _, keys, values = _step(query, key, value, past_keys, past_values)
    return attention(query, keys, values), keys, values


def _step_wrong_corner(query, key, value, past_keys, past_values):
    _, keys, values = _step(query, key, value, past_keys, past_values)
    mask = torch.ones(query.shape[-2], keys.shape[-2], dtype=torch.bool).tril()
    return attention(query, keys, values, mask), keys, values


def _step_forgets(query, key, value, past_keys, past_values):
    output, _, _ = _step(query, key, value, past_keys, past_values)
    return output, past_keys, past_values


def _step_keeps_new_only(query, key, value, past_keys, past_values):
    output, _, _ = _step(query, key, value, past_keys, past_values)
    return output, key, value


def _step_past_only(query, key, value, past_keys, past_values):
    _, keys, values = _step(query, key, value, past_keys, past_values)
    return attention(query, past_keys, past_values), keys, values


def _step_new_only(query, key, value, past_keys, past_values):
    _, keys, values = _step(query, key, value, past_keys, past_values)
    return attention(query, key, value, causal_mask(query.shape[-2])), keys, values


def _step_appends_in_front(query, key, value, past_keys, past_values):
    return _step(query, past_keys, past_values, key, value)


def _step_stores_in_front(query, key, value, past_keys, past_values):
    """Only what is stored comes in another order."""
    output, _, _ = _step(query, key, value, past_keys, past_values)
    return output, torch.cat((key, past_keys), dim=-2), torch.cat((value, past_values), dim=-2)


def _step_not_scaled(query, key, value, past_keys, past_values):
    return _step(query * math.sqrt(query.shape[-1]), key, value, past_keys, past_values)


def _step_strict(query, key, value, past_keys, past_values):
    """A query does not see its own key."""
    _, keys, values = _step(query, key, value, past_keys, past_values)
    n_new, n_keys = query.shape[-2], keys.shape[-2]
    mask = torch.ones(n_new, n_keys, dtype=torch.bool).tril(n_keys - n_new - 1)
    return attention(query, keys, values, mask), keys, values


def _step_output_only(query, key, value, past_keys, past_values):
    return _step(query, key, value, past_keys, past_values)[0]


CACHED_ATTENTION = Exercise(
    name="cached_attention",
    lab="08",
    task=(
        "One step with a KV cache. `query`, `key` and `value` [..., new, width] belong to the new positions, "
        "`past_keys` and `past_values` [..., past, width] to those seen before. Append the new keys and values to the "
        "past ones, attend causally (each new position sees the whole past, the new positions before it and itself), "
        "and return three things: the output, all keys, all values. There may be several new positions, and the past "
        "may be empty. The scores are q·k / √d_key. Leave the arguments as they are."
    ),
    points=4,
    minutes=20,
    difficulty=4,
    inputs=_step_inputs,
    reference=_step,
    cases=len(STEPS),
    rtol=RTOL,
    atol=ATOL,
    hints=(
        "`torch.cat((past_keys, key), dim=-2)` has all keys in order. The queries are those of the last positions.",
        "With one new position no mask is needed. With several, new query i sees the first past + i + 1 keys.",
        "That mask is `torch.ones(new, past + new, dtype=torch.bool).tril(past)`: the diagonal begins after the past.",
    ),
    forbidden=(
        "labutils.attention.grouped_attention",
        "labutils.attention.causal_mask",
        "torch.nn.functional.scaled_dot_product_attention",
    ),
    mutants=(
        Mutant(
            name="without a causal mask",
            function=_step_without_mask,
            message="With several new positions, yours see those that come after them; mask the future.",
        ),
        Mutant(
            name="new ones in front",
            function=_step_stores_in_front,
            message="The output is right, but you store the new keys in front of the past; append them at the end.",
        ),
        Mutant(
            name="appends in front",
            function=_step_appends_in_front,
            message="You put the new keys in front of the past, where the mask takes them for the oldest; append them.",
        ),
        Mutant(
            name="mask in the wrong corner",
            function=_step_wrong_corner,
            message="Your mask starts in the upper left corner, as if the new positions were the first; they are the "
            "last, so shift its diagonal by the length of the past.",
        ),
        Mutant(
            name="sees the new ones only",
            function=_step_new_only,
            message="Your new positions attend to each other only; they see the whole past, too.",
        ),
        Mutant(
            name="keeps the new ones only",
            function=_step_keeps_new_only,
            message="The output is right, but you return the new keys and values alone, and so lose the past.",
        ),
        Mutant(
            name="forgets to append",
            function=_step_forgets,
            message="The output is right, but you return the old cache; the next step will miss these positions.",
        ),
        Mutant(
            name="sees the past only",
            function=_step_past_only,
            message="Your new positions see the past but not themselves; append first, then attend.",
        ),
        Mutant(
            name="does not see itself",
            function=_step_strict,
            message="Your mask hides each position from itself; it sees what came before it and itself.",
        ),
        Mutant(
            name="not scaled",
            function=_step_not_scaled,
            message="You leave the scores unscaled; divide them by √d_key before the softmax.",
        ),
        Mutant(
            name="returns the output only",
            function=_step_output_only,
            message="You return the output alone; the caller also needs all keys and all values, for the next step.",
        ),
    ),
)


EXERCISES = (SPLIT_HEADS, MERGE_HEADS, GROUPED_ATTENTION, CROSS_ATTENTION, CACHED_ATTENTION)

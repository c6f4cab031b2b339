"""The exercises of lab 07, attention scores: weights, masks, and the general and the additive score."""

import math

import torch
from torch import Tensor

from labutils import attention
from labutils.exercises import Exercise, Mutant
from labutils.exercises.draws import integer, normal

# Leading axes, queries, keys, width. No two axes of a case agree, so that a mistake in an axis shows.
SHAPES = (((), 2, 3, 4), ((), 3, 5, 2), ((2,), 4, 3, 5), ((3,), 1, 6, 2), ((2, 3), 5, 4, 7), ((), 1, 1, 3))
NO_ATTENTION = (
    "torch.nn.functional.scaled_dot_product_attention",
    "torch.nn.functional.multi_head_attention_forward",
    "labutils.attention.attention_weights",
    "labutils.attention.attention",
    "labutils.attention.tiled_attention",
    "labutils.attention.grouped_weights",
    "labutils.attention.grouped_attention",
)


def _short(generator: torch.Generator, *shape: int) -> Tensor:
    """Numbers of one digit after the point, so that they read well."""
    return (10 * normal(generator, *shape)).round() / 10


def _dtype(case: int) -> torch.dtype:
    return (torch.float32, torch.float64)[case % 2]


def _dot(query: Tensor, key: Tensor) -> Tensor:
    return query @ key.mT


def _scaled(query: Tensor, key: Tensor) -> Tensor:
    return query @ key.mT / math.sqrt(query.shape[-1])


# --- scaled_dot_weights ----------------------------------------------------------------------------------------------


def _weights_inputs(generator: torch.Generator, case: int) -> dict:
    if case in (0, 1):
        queries, keys = ((1, 2), (2, 3))[case]
        return {"query": _short(generator, queries, 4), "key": _short(generator, keys, 4)}
    if case == 2:
        # Scores beyond 709, where exp overflows, in rows at different heights. In double precision because a weight is
        # only as exact as the score: a relative error of 1e-7 in a score of 1000 is one of 1e-4 in the weight.
        query = torch.randint(60, 80, (3, 4), generator=generator) * torch.tensor([[1.0], [-1.0], [0.0]]).double()
        return {"query": query, "key": torch.randint(8, 16, (2, 4), generator=generator).double()}
    leading, queries, keys, width = SHAPES[case - 3]
    return {
        "query": normal(generator, *leading, queries, width, dtype=_dtype(case)),
        "key": normal(generator, *leading, keys, width, dtype=_dtype(case)),
    }


def _overflows(query: Tensor, key: Tensor) -> Tensor:
    exp = _scaled(query, key).exp()
    return exp / exp.sum(-1, keepdim=True)


def _one_maximum(query: Tensor, key: Tensor) -> Tensor:
    scores = _scaled(query, key)
    exp = (scores - scores.max()).exp()
    return exp / exp.sum(-1, keepdim=True)


def _scaled_dot_weights(query: Tensor, key: Tensor) -> Tensor:
    return _scaled(query, key).softmax(-1)


SCALED_DOT_WEIGHTS = Exercise(
    name="scaled_dot_weights",
    lab="07",
    task=(
        "Return the attention weights of scaled dot-product attention: the softmax over the keys of q·k / √d, for each "
        "query by itself. `query` has the shape [..., queries, d], `key` has [..., keys, d], the result has "
        "[..., queries, keys]. Write the softmax yourself, and let scores of more than a thousand do no harm."
    ),
    points=2,
    minutes=15,
    difficulty=2,
    inputs=_weights_inputs,
    reference=_scaled_dot_weights,
    cases=9,
    hints=(
        "`query @ key.mT` has all the dot products; `.mT` swaps the last two axes and leaves the leading ones alone.",
        "d is the width of one vector, `query.shape[-1]`. Divide the scores by its square root, then exponentiate, "
        "then divide by the sum over the keys, `sum(-1, keepdim=True)`.",
        "exp(1000) is infinite. Subtracting the largest score of each row first, `amax(-1, keepdim=True)`, changes no "
        "weight.",
    ),
    forbidden=(
        "torch.softmax",
        "torch.nn.functional.softmax",
        "torch.Tensor.softmax",
        "torch.special.softmax",
        "torch.log_softmax",
        "torch.nn.functional.log_softmax",
        "torch.Tensor.log_softmax",
        "torch.special.log_softmax",
        "torch.nn.functional.softmin",
        *NO_ATTENTION,
    ),
    mutants=(
        Mutant(
            name="overflows",
            function=_overflows,
            message="Your exp overflows where scores are large; subtract the largest score of each row first.",
        ),
        Mutant(
            name="one maximum for all rows",
            function=_one_maximum,
            message="You subtract the largest score of the whole tensor, and rows far below it become 0/0; take the "
            "maximum of each row.",
        ),
        Mutant(
            name="softmax over the queries",
            function=lambda query, key: _scaled(query, key).softmax(-2),
            message="Your columns sum to one, so queries compete for a key; the softmax runs over the keys, the last "
            "axis.",
        ),
        Mutant(
            name="softmax over all pairs",
            function=lambda query, key: _scaled(query, key).flatten(-2).softmax(-1).view_as(_scaled(query, key)),
            message="Your whole matrix sums to one; every query has its own row that sums to one.",
        ),
        Mutant(
            name="no scaling",
            function=lambda query, key: _dot(query, key).softmax(-1),
            message="You take the softmax of q·k; divide the scores by √d first.",
        ),
        Mutant(
            name="divides by d",
            function=lambda query, key: (_dot(query, key) / query.shape[-1]).softmax(-1),
            message="You divide by d; the standard deviation of a dot product grows with √d, so divide by that.",
        ),
        Mutant(
            name="multiplies by the root",
            function=lambda query, key: (_dot(query, key) * math.sqrt(query.shape[-1])).softmax(-1),
            message="You multiply the scores by √d, which sharpens the weights; divide instead.",
        ),
        Mutant(
            name="root of the number of keys",
            function=lambda query, key: (_dot(query, key) / math.sqrt(key.shape[-2])).softmax(-1),
            message="You divide by the root of the number of keys; d is the width of one vector, the last axis.",
        ),
        Mutant(
            name="scales the weights",
            function=lambda query, key: _dot(query, key).softmax(-1) / math.sqrt(query.shape[-1]),
            message="You divide the weights by √d, so that no row sums to one; divide the scores, before the softmax.",
        ),
        Mutant(
            name="returns scores",
            function=_scaled,
            message="You return the scores; the weights are their softmax over the keys.",
        ),
        Mutant(
            name="no exponential",
            function=lambda query, key: _scaled(query, key) / _scaled(query, key).sum(-1, keepdim=True),
            message="You divide the scores by their sum; exponentiate them first, so that no weight is negative.",
        ),
        Mutant(
            name="keys in rows",
            function=lambda query, key: _scaled(key, query).softmax(-1),
            message="Your rows are keys and your columns queries; the result has one row for each query.",
        ),
    ),
)


# --- masked_attention ------------------------------------------------------------------------------------------------


def _some_mask(generator: torch.Generator, *shape: int) -> Tensor:
    """True in about two of three places, and in every row at least once true and, where there is room, once false."""
    mask = torch.rand(shape, generator=generator) < 0.67
    places = torch.rand(shape, generator=generator).argsort(-1)
    if shape[-1] > 1:
        mask = mask.scatter(-1, places[..., 1:2], False)
    return mask.scatter(-1, places[..., :1], True)


def _masked_inputs(generator: torch.Generator, case: int) -> dict:
    """Cases 1, 4, 6 and 8 have queries that may look nowhere; 8 is a sequence of one."""
    dtype = _dtype(case + 1)  # so that rows without a key occur with either: rounding hides what is added to a score
    if case in (0, 1):
        mask = _some_mask(generator, 2, 3)
        if case == 1:
            mask[integer(generator, 0, 1)] = False
        return {
            "query": _short(generator, 2, 4),
            "key": _short(generator, 3, 4),
            "value": _short(generator, 3, 1),
            "mask": mask,
        }
    leading, queries, keys, width = (
        ((), 3, 4, 2),
        ((2,), 3, 5, 4),
        ((2,), 4, 3, 5),
        ((3,), 1, 6, 2),  # one mask for the whole batch
        ((2, 3), 5, 4, 7),
        ((3,), 2, 5, 4),  # one row of the mask for all queries, as with padding
        ((), 1, 1, 3),
    )[case - 2]
    mask = _some_mask(generator, *leading, queries, keys)
    if case == 5:
        mask = mask[0]
    if case == 7:
        mask = mask[:, :1]
    if case in (4, 6):
        mask[..., integer(generator, 0, queries - 1), :] = False
    if case == 8:
        mask[:] = False
    return {
        "query": normal(generator, *leading, queries, width, dtype=dtype),
        "key": normal(generator, *leading, keys, width, dtype=dtype),
        "value": normal(generator, *leading, keys, width + 1, dtype=dtype),
        "mask": mask,
    }


def _masked_weights(scores: Tensor, mask: Tensor) -> Tensor:
    """The right weights, from any scores."""
    return scores.masked_fill(~mask, -math.inf).softmax(-1).masked_fill(~mask, 0.0)


def _with_scores(scores):
    """Right but for the scores."""
    return lambda query, key, value, mask: _masked_weights(scores(query, key, value), mask) @ value


def _over_queries(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    mask = mask.expand(_scaled(query, key).shape)
    return _scaled(query, key).masked_fill(~mask, -math.inf).softmax(-2).masked_fill(~mask, 0.0) @ value


MASKED_ATTENTION = Exercise(
    name="masked_attention",
    lab="07",
    task=(
        "Return softmax(QKᵀ / √d) V, where a query looks only where `mask` is true: a masked key gets the weight 0 and "
        "the other weights of that query sum to one. A query that may look nowhere gets a vector of zeros. `query` has "
        "the shape [..., queries, d], `key` [..., keys, d], `value` [..., keys, d_value]; `mask` holds truth values "
        "and broadcasts to [..., queries, keys]."
    ),
    points=4,
    minutes=20,
    difficulty=4,
    inputs=_masked_inputs,
    reference=attention.attention,
    cases=9,
    hints=(
        "A masked score must not take part in the sum: set it to −inf before the softmax, because exp(−inf) = 0.",
        "`scores.masked_fill(~mask, float('-inf')).softmax(-1)` is right for all rows but those that are masked "
        "throughout. What does the softmax make of a row of −inf?",
        "0/0 is NaN. Set those rows to zero afterwards: `masked_fill(~mask, 0)` on the weights does it.",
    ),
    forbidden=NO_ATTENTION,
    mutants=(
        Mutant(
            name="NaN where all is masked",
            function=lambda query, key, value, mask: (
                _scaled(query, key).masked_fill(~mask, -math.inf).softmax(-1) @ value
            ),
            message="A row of −inf has no softmax, and your result is NaN there; a query that may look nowhere gets "
            "zeros.",
        ),
        Mutant(
            name="uniform where all is masked",
            function=lambda query, key, value, mask: _scaled(query, key).masked_fill(~mask, -1e9).softmax(-1) @ value,
            message="With one large negative number in all places of a row the softmax is uniform; a query that may "
            "look nowhere gets zeros.",
        ),
        Mutant(
            name="adds a large negative number",
            function=lambda query, key, value, mask: (_scaled(query, key) - 1e9 * ~mask).softmax(-1) @ value,
            message="You add a large negative number to masked scores, and where all are masked that shifts the row "
            "and masks nothing; such a query gets zeros.",
        ),
        Mutant(
            name="mask after the softmax",
            function=lambda query, key, value, mask: _scaled(query, key).softmax(-1) * mask @ value,
            message="You mask after the softmax, so that masked keys still took their share and no masked row sums to "
            "one; mask the scores.",
        ),
        Mutant(
            name="mask inverted",
            function=lambda query, key, value, mask: _masked_weights(_scaled(query, key), ~mask) @ value,
            message="You look exactly where the mask forbids it; true means that the query may look.",
        ),
        Mutant(
            name="no mask",
            function=lambda query, key, value, mask: _scaled(query, key).softmax(-1) @ value,
            message="You leave the mask out; a query looks only where the mask is true.",
        ),
        Mutant(
            name="masked scores set to zero",
            function=lambda query, key, value, mask: (_scaled(query, key) * mask).softmax(-1) @ value,
            message="You set masked scores to 0, but exp(0) = 1 is no small weight; only −inf gives the weight 0.",
        ),
        Mutant(
            name="no scaling",
            function=_with_scores(lambda query, key, value: _dot(query, key)),
            message="Your mask is right, but the scores are q·k; divide them by √d.",
        ),
        Mutant(
            name="divides by d",
            function=_with_scores(lambda query, key, value: _dot(query, key) / query.shape[-1]),
            message="You divide the scores by d; divide by its square root.",
        ),
        Mutant(
            name="multiplies by the root",
            function=_with_scores(lambda query, key, value: _dot(query, key) * math.sqrt(query.shape[-1])),
            message="You multiply the scores by √d; divide instead.",
        ),
        Mutant(
            name="root of the values' width",
            function=_with_scores(lambda query, key, value: _dot(query, key) / math.sqrt(value.shape[-1])),
            message="You divide by the root of the values' width; d is the width of the vectors in the dot product, "
            "queries and keys.",
        ),
        Mutant(
            name="softmax over the queries",
            function=_over_queries,
            message="Your softmax runs over the queries; each query shares its attention among the keys, the last "
            "axis.",
        ),
        Mutant(
            name="returns weights",
            function=lambda query, key, value, mask: _masked_weights(_scaled(query, key), mask),
            message="You return the weights; multiply them by the values.",
        ),
    ),
)


# --- causal_mask -----------------------------------------------------------------------------------------------------


def _causal_inputs(generator: torch.Generator, case: int) -> dict:
    if case in (0, 1, 2):  # all positions ask
        n = integer(generator, *((2, 4), (5, 7), (8, 16))[case])
        return {"n_queries": n, "n_keys": n}
    if case in (3, 4):  # the last position alone asks, as in a loop that keeps keys; in a sequence of one, perhaps
        return {"n_queries": 1, "n_keys": integer(generator, *((1, 4), (5, 9))[case - 3])}
    n_queries = integer(generator, 2, 6)
    return {"n_queries": n_queries, "n_keys": n_queries + integer(generator, 1, 5)}


def _causal(n_queries: int, n_keys: int, diagonal: int = 0) -> Tensor:
    return torch.ones(n_queries, n_keys, dtype=torch.bool).tril(n_keys - n_queries + diagonal)


CAUSAL_MASK = Exercise(
    name="causal_mask",
    lab="07",
    task=(
        "Return the mask [n_queries, n_keys] of truth values under which no position sees a later one: true where the "
        "query may look, itself included. The queries are the last `n_queries` of the `n_keys` positions."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_causal_inputs,
    reference=attention.causal_mask,
    cases=8,
    hints=(
        "Query number i stands at the position n_keys − n_queries + i. Which keys may it see?",
        "Compare two ranges: `torch.arange(n_keys) <= position[:, None]` has a row for each query.",
        "Or take the lower triangle of a matrix of ones, `tril(diagonal)`; the diagonal moves right by "
        "n_keys − n_queries.",
    ),
    forbidden=("labutils.attention.causal_mask",),
    mutants=(
        Mutant(
            name="queries at the beginning",
            function=lambda n_queries, n_keys: torch.ones(n_queries, n_keys, dtype=torch.bool).tril(),
            message="You put the queries at the first positions; they are the last ones, so the last query sees all "
            "keys.",
        ),
        Mutant(
            name="shifted the wrong way",
            function=lambda n_queries, n_keys: torch.ones(n_queries, n_keys, dtype=torch.bool).tril(n_queries - n_keys),
            message="Your diagonal moves to the wrong side where there are more keys than queries; the last query sees "
            "all keys.",
        ),
        Mutant(
            name="diagonal missing",
            function=lambda n_queries, n_keys: _causal(n_queries, n_keys, -1),
            message="Your queries do not see themselves, and the first one sees nothing; the diagonal belongs to the "
            "mask.",
        ),
        Mutant(
            name="one step into the future",
            function=lambda n_queries, n_keys: _causal(n_queries, n_keys, 1),
            message="Your queries see one position too many, the very one they are to predict.",
        ),
        Mutant(
            name="upper triangle",
            function=lambda n_queries, n_keys: torch.ones(n_queries, n_keys, dtype=torch.bool).triu(n_keys - n_queries),
            message="Your queries see the future and not the past; keep the lower triangle.",
        ),
        Mutant(
            name="true where forbidden",
            function=lambda n_queries, n_keys: ~_causal(n_queries, n_keys),
            message="Your mask is true where the query must not look; true means that it may.",
        ),
        Mutant(
            name="keys in rows",
            function=lambda n_queries, n_keys: _causal(n_queries, n_keys).mT,
            message="Your rows are keys; the mask has one row for each query.",
        ),
        Mutant(
            name="numbers",
            function=lambda n_queries, n_keys: _causal(n_queries, n_keys).float(),
            message="Your mask holds numbers; the task asks for truth values, dtype=torch.bool.",
        ),
        Mutant(
            name="zeros and minus infinity",
            function=lambda n_queries, n_keys: torch.zeros(n_queries, n_keys).masked_fill(
                ~_causal(n_queries, n_keys), -math.inf
            ),
            message="You return what would be added to the scores; the task asks for truth values.",
        ),
        Mutant(
            name="nothing masked",
            function=lambda n_queries, n_keys: torch.ones(n_queries, n_keys, dtype=torch.bool),
            message="Your mask is true everywhere; a query must not see later positions.",
        ),
    ),
)


# --- padding_mask ----------------------------------------------------------------------------------------------------


def _padding_inputs(generator: torch.Generator, case: int) -> dict:
    """In every case some sequence is shorter than the room for it; from case 3 on, one is empty and one is full."""
    if case < 3:
        batch, n_keys = ((2, 4), (3, 5), (1, 6))[case]
        return {"lengths": torch.randint(1, n_keys, (batch,), generator=generator), "n_keys": n_keys}
    batch = (4, 5, 7)[case - 3]
    n_keys = integer(generator, 8, 12)
    lengths = torch.cat((torch.tensor([0, n_keys]), torch.randint(1, n_keys, (batch - 2,), generator=generator)))
    return {"lengths": lengths[torch.randperm(batch, generator=generator)], "n_keys": n_keys}


def _padding(lengths: Tensor, n_keys: int) -> Tensor:
    return torch.arange(n_keys) < lengths[:, None]


PADDING_MASK = Exercise(
    name="padding_mask",
    lab="07",
    task=(
        "Sequences of different length are filled up at their end to `n_keys` positions. Return the mask "
        "[batch, 1, n_keys] of truth values that is true at real tokens: sequence b has `lengths[b]` of them. The axis "
        "of size 1 stands for all queries. A length may be 0."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_padding_inputs,
    reference=attention.padding_mask,
    cases=6,
    hints=(
        "A position is real if its number, counted from 0, is smaller than the length.",
        "`torch.arange(n_keys) < lengths[:, None]` compares every position with every length and gives [batch, "
        "n_keys].",
        "The axis for the queries goes in the middle: `[:, None, :]` or `unsqueeze(1)`.",
    ),
    forbidden=("labutils.attention.padding_mask",),
    mutants=(
        Mutant(
            name="no axis for the queries",
            function=_padding,
            message="Your mask has the shape [batch, keys], and broadcasting would take the batch for the queries; add "
            "the axis of size 1 in the middle.",
        ),
        Mutant(
            name="axis in front",
            function=lambda lengths, n_keys: _padding(lengths, n_keys)[None],
            message="Your axis of size 1 comes first; it stands for the queries, between batch and keys.",
        ),
        Mutant(
            name="padding on the queries",
            function=lambda lengths, n_keys: _padding(lengths, n_keys)[:, :, None],
            message="Your mask hides queries; hide keys, the last axis, so that nobody looks at padding.",
        ),
        Mutant(
            name="true at padding",
            function=lambda lengths, n_keys: ~_padding(lengths, n_keys)[:, None],
            message="Your mask is true at the padding; true means that the key may be looked at.",
        ),
        Mutant(
            name="one too many",
            function=lambda lengths, n_keys: _padding(lengths + 1, n_keys)[:, None],
            message="You keep one position too many; counted from zero, the last real token stands at length − 1.",
        ),
        Mutant(
            name="one too few",
            function=lambda lengths, n_keys: _padding(lengths - 1, n_keys)[:, None],
            message="You drop the last real token; compare the position with the length itself.",
        ),
        Mutant(
            name="padding in front",
            function=lambda lengths, n_keys: _padding(lengths, n_keys).flip(-1)[:, None],
            message="You take the padding to be in front; here sequences are filled up at their end.",
        ),
        Mutant(
            name="the longest for all",
            function=lambda lengths, n_keys: _padding(lengths.max().expand(len(lengths)), n_keys)[:, None],
            message="You use the largest length for all; every sequence has its own.",
        ),
        Mutant(
            name="numbers",
            function=lambda lengths, n_keys: _padding(lengths, n_keys)[:, None].float(),
            message="Your mask holds numbers; the task asks for truth values.",
        ),
    ),
)


# --- general_scores --------------------------------------------------------------------------------------------------


def _general_inputs(generator: torch.Generator, case: int) -> dict:
    if case in (0, 1):
        queries, keys = ((1, 2), (2, 3))[case]
        return {
            "query": _short(generator, queries, 2),
            "key": _short(generator, keys, 2),
            "weight": _short(generator, 2, 2),
        }
    leading, queries, keys, width = SHAPES[case - 2]
    return {
        "query": normal(generator, *leading, queries, width, dtype=_dtype(case)),
        "key": normal(generator, *leading, keys, width, dtype=_dtype(case)),
        "weight": normal(generator, width, width, dtype=_dtype(case)),
    }


GENERAL_SCORES = Exercise(
    name="general_scores",
    lab="07",
    task=(
        "Return the general score q W kᵀ of every query with every key. `query` has the shape [..., queries, d], `key` "
        "has [..., keys, d], `weight` has [d, d], the result has [..., queries, keys]. No scaling, no softmax."
    ),
    points=1,
    minutes=5,
    difficulty=1,
    inputs=_general_inputs,
    reference=attention.general_scores,
    atol=1e-5,  # sums of d² products in float32: their rounding shows where they cancel
    cases=8,
    hints=(
        "Vectors are rows here: `query @ weight` transforms all queries at once.",
        "What is left is a dot product with the keys: `@ key.mT`.",
    ),
    forbidden=("labutils.attention.general_scores", "labutils.attention.dot_scores", "torch.nn.functional.bilinear"),
    mutants=(
        Mutant(
            name="matrix transposed",
            function=lambda query, key, weight: query @ weight.mT @ key.mT,
            message="Your matrix is transposed, which swaps the parts of query and key; the query comes from the left, "
            "q W kᵀ.",
        ),
        Mutant(
            name="matrix on both sides",
            function=lambda query, key, weight: query @ weight @ (key @ weight).mT,
            message="You transform the query and the key; the score q W kᵀ has one matrix, so transform one of them.",
        ),
        Mutant(
            name="no matrix",
            function=lambda query, key, weight: _dot(query, key),
            message="You return the dot product q·k; the matrix has to enter, between query and key.",
        ),
        Mutant(
            name="scaled",
            function=lambda query, key, weight: query @ weight @ key.mT / math.sqrt(query.shape[-1]),
            message="You divide by √d; the general score as published is not scaled.",
        ),
        Mutant(
            name="returns weights",
            function=lambda query, key, weight: (query @ weight @ key.mT).softmax(-1),
            message="You return weights; leave out the softmax.",
        ),
        Mutant(
            name="symmetric part",
            function=lambda query, key, weight: query @ (weight + weight.mT) @ key.mT / 2,
            message="You make the matrix symmetric; it need not be, and then query and key cannot change places.",
        ),
        Mutant(
            name="keys in rows",
            function=lambda query, key, weight: (query @ weight @ key.mT).mT,
            message="Your rows are keys; the result has one row for each query.",
        ),
    ),
)


# --- additive_scores -------------------------------------------------------------------------------------------------


def _additive_inputs(generator: torch.Generator, case: int) -> dict:
    """As many queries as keys, or one of either, so that adding row to row raises no error and can be explained."""
    if case in (0, 1):
        queries, keys = ((1, 2), (2, 2))[case]
        return {
            "query": _short(generator, queries, 1),
            "key": _short(generator, keys, 1),
            "query_weight": _short(generator, 1, 2),
            "key_weight": _short(generator, 1, 2),
            "vector": _short(generator, 2),
        }
    leading, queries, keys, width, hidden = (
        ((), 3, 3, 2, 4),
        ((), 4, 4, 3, 1),
        ((2,), 5, 5, 4, 3),
        ((3,), 1, 6, 5, 2),
        ((2, 3), 4, 4, 7, 5),
        ((), 1, 1, 3, 2),
    )[case - 2]
    dtype = _dtype(case)
    return {
        "query": normal(generator, *leading, queries, width, dtype=dtype),
        "key": normal(generator, *leading, keys, width, dtype=dtype),
        "query_weight": normal(generator, width, hidden, dtype=dtype),
        "key_weight": normal(generator, width, hidden, dtype=dtype),
        "vector": normal(generator, hidden, dtype=dtype),
    }


def _pairs(query: Tensor, key: Tensor) -> Tensor:
    return query.unsqueeze(-2) + key.unsqueeze(-3)


def _separately_bent(query: Tensor, key: Tensor, query_weight: Tensor, key_weight: Tensor, vector: Tensor) -> Tensor:
    return _pairs((query @ query_weight).tanh(), (key @ key_weight).tanh()) @ vector


def _multiplied(query: Tensor, key: Tensor, query_weight: Tensor, key_weight: Tensor, vector: Tensor) -> Tensor:
    return ((query @ query_weight).unsqueeze(-2) * (key @ key_weight).unsqueeze(-3)).tanh() @ vector


def _bent_before_the_matrices(
    query: Tensor, key: Tensor, query_weight: Tensor, key_weight: Tensor, vector: Tensor
) -> Tensor:
    return _pairs(query.tanh() @ query_weight, key.tanh() @ key_weight) @ vector


def _additive(query: Tensor, key: Tensor, query_weight: Tensor, key_weight: Tensor, vector: Tensor) -> Tensor:
    return _pairs(query @ query_weight, key @ key_weight).tanh() @ vector


ADDITIVE_SCORES = Exercise(
    name="additive_scores",
    lab="07",
    task=(
        "Return the additive score tanh(q W + k U)·v of every query with every key. `query` has the shape "
        "[..., queries, d], `key` [..., keys, d], `query_weight` W and `key_weight` U [d, hidden], `vector` v "
        "[hidden]; the result has [..., queries, keys]."
    ),
    points=3,
    minutes=15,
    difficulty=3,
    inputs=_additive_inputs,
    reference=attention.additive_scores,
    cases=8,
    hints=(
        "Project first: `query @ query_weight` and `key @ key_weight` have the same width, hidden.",
        "Every query meets every key. Give the queries an axis for the keys, `unsqueeze(-2)`, and the keys one for the "
        "queries, `unsqueeze(-3)`; the sum broadcasts to [..., queries, keys, hidden].",
        "`torch.tanh` of that sum, then `@ vector`, which sums over the hidden axis.",
    ),
    forbidden=("labutils.attention.additive_scores",),
    mutants=(
        Mutant(
            name="query and key added row to row",
            function=lambda query, key, query_weight, key_weight, vector: (
                torch.tanh(query @ query_weight + key @ key_weight) @ vector
            ),
            message="You add query i to key i; every query must meet every key, so give each of the two sums an axis "
            "for the other.",
        ),
        Mutant(
            name="no tanh",
            function=lambda query, key, query_weight, key_weight, vector: (
                _pairs(query @ query_weight, key @ key_weight) @ vector
            ),
            message="Without tanh the query adds the same number to all its scores, and the softmax does not see it; "
            "take the tanh of the sum.",
        ),
        Mutant(
            name="tanh after the vector",
            function=lambda query, key, query_weight, key_weight, vector: torch.tanh(
                _pairs(query @ query_weight, key @ key_weight) @ vector
            ),
            message="You take the tanh of the score; it belongs to the hidden vector, before the product with v.",
        ),
        Mutant(
            name="tanh before the sum",
            function=_separately_bent,
            message="You take the tanh of query and key apart and then add, so the query still adds the same number to "
            "all its scores; add first.",
        ),
        Mutant(
            name="tanh before the matrices",
            function=_bent_before_the_matrices,
            message="You take the tanh before the projections; project, add, then take the tanh.",
        ),
        Mutant(
            name="one matrix for both",
            function=lambda query, key, query_weight, key_weight, vector: _additive(
                query, key, query_weight, query_weight, vector
            ),
            message="You project the keys with the queries' matrix; they have their own.",
        ),
        Mutant(
            name="matrices swapped",
            function=lambda query, key, query_weight, key_weight, vector: _additive(
                query, key, key_weight, query_weight, vector
            ),
            message="Your two matrices have changed places; query_weight belongs to the queries.",
        ),
        Mutant(
            name="multiplied",
            function=_multiplied,
            message="You multiply the projections; this score adds them.",
        ),
        Mutant(
            name="no vector",
            function=lambda query, key, query_weight, key_weight, vector: (
                _pairs(query @ query_weight, key @ key_weight).tanh().sum(-1)
            ),
            message="You sum the hidden numbers without weighing them; multiply by the vector.",
        ),
        Mutant(
            name="returns weights",
            function=lambda query, key, query_weight, key_weight, vector: _additive(
                query, key, query_weight, key_weight, vector
            ).softmax(-1),
            message="You return weights; leave out the softmax.",
        ),
        Mutant(
            name="keys in rows",
            function=lambda query, key, query_weight, key_weight, vector: (
                _additive(query, key, query_weight, key_weight, vector).mT
            ),
            message="Your rows are keys; the result has one row for each query.",
        ),
    ),
)


EXERCISES = (SCALED_DOT_WEIGHTS, MASKED_ATTENTION, CAUSAL_MASK, PADDING_MASK, GENERAL_SCORES, ADDITIVE_SCORES)

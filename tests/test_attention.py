import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaAttention

from labutils.attention import (
    KVCache,
    MultiHeadAttention,
    additive_scores,
    attention,
    attention_weights,
    causal_mask,
    dot_scores,
    fused_attention,
    general_scores,
    grouped_attention,
    merge_heads,
    padding_mask,
    scaled_dot_scores,
    split_heads,
    tiled_attention,
)
from labutils.positions import rotary, rotary_angles

# Every axis has its own size, so that no two can be mistaken for each other.
BATCH, N_HEADS, N_KV_HEADS, QUERIES, KEYS, D_KEY, D_VALUE, D_HIDDEN = 2, 6, 3, 5, 7, 4, 8, 9
D_MODEL = N_HEADS * D_KEY


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def random_mask(*shape: int, seed: int = 0) -> Tensor:
    """About half True. Some rows of a small one see nothing."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.5


def assert_equal(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)


# --------------------------------------------------------------------------------------------------------------
# Masks
# --------------------------------------------------------------------------------------------------------------


def test_causal_mask_shows_each_query_its_past():
    for i, row in enumerate(causal_mask(QUERIES, KEYS).tolist()):
        position = KEYS - QUERIES + i
        assert row == [j <= position for j in range(KEYS)]
    assert torch.equal(causal_mask(3), torch.tensor([[True, False, False], [True, True, False], [True, True, True]]))


def test_causal_mask_refuses_more_queries_than_keys():
    with pytest.raises(ValueError, match="5 queries cannot be the last of 3 positions"):
        causal_mask(5, 3)


@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4), n_queries=st.integers(1, 6))
def test_causal_and_padding_masks_combine(lengths, n_queries):
    mask = causal_mask(n_queries, 6) & padding_mask(torch.tensor(lengths), 6)
    assert mask.shape == (len(lengths), n_queries, 6)
    for b, length in enumerate(lengths):
        for i in range(n_queries):
            assert mask[b, i].tolist() == [j < length and j <= 6 - n_queries + i for j in range(6)]


def test_padding_mask_refuses_a_sequence_that_does_not_fit():
    with pytest.raises(ValueError, match="A sequence of 5 tokens does not fit into 4 positions"):
        padding_mask(torch.tensor([2, 5]), 4)


# --------------------------------------------------------------------------------------------------------------
# Scores
# --------------------------------------------------------------------------------------------------------------


def looped(score, query: Tensor, key: Tensor) -> Tensor:
    """The scores of all pairs, from a score of two lists of numbers."""
    return torch.tensor([[score(q, k) for k in key.tolist()] for q in query.tolist()], dtype=torch.float64)


sizes = st.integers(1, 4)


@given(queries=sizes, keys=sizes, d=sizes)
def test_dot_scores_equal_the_loop(queries, keys, d):
    query, key = normal(queries, d), normal(keys, d, seed=1)
    expected = looped(lambda q, k: sum(q[i] * k[i] for i in range(d)), query, key)
    assert_equal(dot_scores(query, key), expected)
    assert_equal(scaled_dot_scores(query, key), expected / math.sqrt(d))


@given(queries=sizes, keys=sizes, d_query=sizes, d_key=sizes)
def test_general_scores_equal_luongs_equation(queries, keys, d_query, d_key):
    query, key, weight = normal(queries, d_query), normal(keys, d_key, seed=1), normal(d_query, d_key, seed=2)
    w = weight.tolist()
    expected = looped(lambda q, k: sum(q[i] * w[i][j] * k[j] for i in range(d_query) for j in range(d_key)), query, key)
    assert_equal(general_scores(query, key, weight), expected)


@given(queries=sizes, keys=sizes, d_query=sizes, d_key=sizes, d_hidden=sizes)
def test_additive_scores_equal_bahdanaus_equation(queries, keys, d_query, d_key, d_hidden):
    query, key = normal(queries, d_query), normal(keys, d_key, seed=1)
    query_weight, key_weight, vector = (
        normal(d_query, d_hidden, seed=2),
        normal(d_key, d_hidden, seed=3),
        normal(d_hidden),
    )

    def score(q: list[float], k: list[float]) -> float:
        total = 0.0
        for h in range(d_hidden):
            from_query = sum(q[i] * query_weight[i, h].item() for i in range(d_query))
            from_key = sum(k[j] * key_weight[j, h].item() for j in range(d_key))
            total += vector[h].item() * math.tanh(from_query + from_key)
        return total

    assert_equal(additive_scores(query, key, query_weight, key_weight, vector), looped(score, query, key))


WEIGHT = normal(D_KEY, D_KEY, seed=2)
HIDDEN = (normal(D_KEY, D_HIDDEN, seed=3), normal(D_KEY, D_HIDDEN, seed=4), normal(D_HIDDEN, seed=5))
ALL_SCORES = {
    "dot": dot_scores,
    "scaled": scaled_dot_scores,
    "general": lambda query, key: general_scores(query, key, WEIGHT),
    "additive": lambda query, key: additive_scores(query, key, *HIDDEN),
}


@pytest.mark.parametrize("scores", ALL_SCORES.values(), ids=ALL_SCORES)
def test_scores_accept_any_leading_axes_and_broadcast_them(scores):
    query, key = normal(BATCH, 3, QUERIES, D_KEY), normal(BATCH, 1, KEYS, D_KEY, seed=1)
    together = scores(query, key)
    assert together.shape == (BATCH, 3, QUERIES, KEYS)
    for b in range(BATCH):
        for h in range(3):
            assert_equal(together[b, h], scores(query[b, h], key[b, 0]))


def test_general_scores_with_the_identity_are_dot_scores():
    query, key = normal(BATCH, QUERIES, D_KEY), normal(BATCH, KEYS, D_KEY, seed=1)
    assert_equal(general_scores(query, key, torch.eye(D_KEY, dtype=torch.float64)), dot_scores(query, key))


def test_additive_scores_without_the_tanh_ignore_the_query(monkeypatch):
    """v·(qW + kU) adds the same number, v·qW, to all scores of a query: the softmax cannot see it."""
    query, key = normal(QUERIES, D_KEY), normal(KEYS, D_KEY, seed=1)
    with_tanh = attention_weights(additive_scores(query, key, *HIDDEN))
    monkeypatch.setattr(torch, "tanh", lambda x: x)
    without = attention_weights(additive_scores(query, key, *HIDDEN))
    assert_equal(without, without[:1].expand_as(without))
    assert (with_tanh - with_tanh[:1]).abs().max() > 0.1


# --------------------------------------------------------------------------------------------------------------
# Weights and attention
# --------------------------------------------------------------------------------------------------------------


def test_weights_are_a_distribution_over_the_visible_keys():
    mask = causal_mask(QUERIES, KEYS)
    weights = attention_weights(normal(BATCH, QUERIES, KEYS), mask)
    assert_equal(weights.sum(-1), torch.ones(BATCH, QUERIES, dtype=torch.float64))
    assert (weights[:, ~mask] == 0).all()
    assert (weights[:, mask] > 0).all()


def test_weights_equal_the_loop():
    scores, mask = normal(QUERIES, KEYS), random_mask(QUERIES, KEYS)
    weights = attention_weights(scores, mask)
    for i in range(QUERIES):
        visible = {j: math.exp(scores[i, j].item()) for j in range(KEYS) if mask[i, j]}
        for j in range(KEYS):
            assert weights[i, j].item() == pytest.approx(visible.get(j, 0.0) / sum(visible.values()), abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_a_fully_masked_row_gets_zeros_and_a_finite_gradient(dtype):
    scores = normal(QUERIES, KEYS).to(dtype).requires_grad_()
    mask = torch.ones(QUERIES, KEYS, dtype=torch.bool)
    mask[1] = False
    weights = attention_weights(scores, mask)
    assert weights.dtype == dtype
    assert (weights[1] == 0).all()
    (weights * normal(QUERIES, KEYS, seed=1).to(dtype)).sum().backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert (scores.grad[1] == 0).all()
    assert (scores.grad[0] != 0).any()


@pytest.mark.parametrize("largest", [1e4, 1e30])
def test_large_scores_do_not_overflow(largest):
    scores = torch.tensor([[largest, -largest, largest], [-largest, -largest, largest]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    assert torch.equal(attention_weights(scores, mask), torch.tensor([[0.5, 0, 0.5], [0.5, 0.5, 0]]))


@given(
    leading=st.lists(st.integers(1, 3), max_size=2),
    queries=st.integers(1, 5),
    more_keys=st.integers(0, 4),
    d_key=st.integers(1, 9),
    d_value=st.integers(1, 6),
    masked=st.booleans(),
    biased=st.booleans(),
)
def test_attention_equals_torch(leading, queries, more_keys, d_key, d_value, masked, biased):
    keys = queries + more_keys
    query, key = normal(*leading, queries, d_key), normal(*leading, keys, d_key, seed=1)
    value = normal(*leading, keys, d_value, seed=2)
    mask = causal_mask(queries, keys) if masked else None
    bias = normal(queries, keys, seed=3) if biased else None
    to_add = torch.zeros(queries, keys, dtype=torch.float64) if bias is None else bias
    expected = F.scaled_dot_product_attention(
        query, key, value, attn_mask=to_add if mask is None else to_add.masked_fill(~mask, -math.inf)
    )
    assert_equal(attention(query, key, value, mask, bias), expected)


@given(seed=st.integers(0, 1000), more=st.booleans())
def test_attention_and_its_gradient_equal_torch_under_any_mask(seed, more):
    """A row that sees nothing gets zeros and sends none back; all others are torch's."""
    keys = 3 if more else 1
    shapes = (BATCH, QUERIES, D_KEY), (BATCH, keys, D_KEY), (BATCH, keys, D_VALUE), (QUERIES, keys)
    inputs = [normal(*shape, seed=seed + i).requires_grad_() for i, shape in enumerate(shapes)]
    mask = random_mask(BATCH, QUERIES, keys, seed=seed)
    sees = mask.any(-1, keepdim=True)
    upstream = normal(BATCH, QUERIES, D_VALUE, seed=seed + 9)

    query, key, value, bias = inputs
    ours = attention(query, key, value, mask, bias)
    assert (ours[~sees.squeeze(-1)] == 0).all()
    # What torch does with a row that sees nothing is its own affair: let such a row see everything, and drop it.
    to_add = bias.masked_fill(~(mask | ~sees), -math.inf)
    theirs = F.scaled_dot_product_attention(query, key, value, attn_mask=to_add) * sees
    assert_equal(ours, theirs)
    for mine, reference in zip(
        torch.autograd.grad((ours * upstream).sum(), inputs),
        torch.autograd.grad((theirs * upstream).sum(), inputs),
        strict=True,
    ):
        assert mine.isfinite().all()
        assert_equal(mine, reference)


def test_attention_of_one_sequence_takes_a_batch_of_masks():
    query, key, value = normal(QUERIES, D_KEY), normal(KEYS, D_KEY, seed=1), normal(KEYS, D_VALUE, seed=2)
    mask = padding_mask(torch.tensor([3, 7]), KEYS)
    both = attention(query, key, value, mask)
    assert_equal(both[0], attention(query, key[:3], value[:3]))
    assert_equal(both[1], attention(query, key, value))


# --------------------------------------------------------------------------------------------------------------
# Tiles
# --------------------------------------------------------------------------------------------------------------


@given(keys=st.integers(1, 9), tile=st.integers(1, 12), leading=st.lists(st.integers(1, 3), max_size=2))
def test_tiles_of_any_size_give_the_same_attention(keys, tile, leading):
    shapes = (*leading, QUERIES, D_KEY), (*leading, keys, D_KEY), (*leading, keys, D_VALUE)
    inputs = [normal(*shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]
    ours, theirs = tiled_attention(*inputs, tile), F.scaled_dot_product_attention(*inputs)
    assert_equal(ours, theirs)
    upstream = normal(*ours.shape, seed=3)
    for mine, reference in zip(
        torch.autograd.grad((ours * upstream).sum(), inputs),
        torch.autograd.grad((theirs * upstream).sum(), inputs),
        strict=True,
    ):
        assert_equal(mine, reference)


@given(tile=st.integers(1, 12), seed=st.integers(0, 100))
def test_tiles_stand_large_scores(tile, seed):
    """exp(1000) is no float: what is summed must stay relative to the largest score so far."""
    query, key = 1e3 * normal(QUERIES, D_KEY, seed=seed), normal(KEYS, D_KEY, seed=seed + 1)
    value = normal(KEYS, D_VALUE, seed=seed + 2)
    expected = F.scaled_dot_product_attention(query, key, value)
    assert scaled_dot_scores(query, key).abs().max() > 500
    ours = tiled_attention(query.float(), key.float(), value.float(), tile)
    # A score of 1000 is known to about 1e-4 in float32, and so is the logarithm of a weight.
    torch.testing.assert_close(ours, expected.float(), rtol=0, atol=5e-3)


class LargestTensor(TorchFunctionMode):
    """Remembers how many numbers the largest result of any torch function had."""

    numbers = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


def test_tiles_never_hold_the_matrix_of_all_scores():
    query, key, value = normal(50, 2), normal(70, 2, seed=1), normal(70, 2, seed=2)
    with LargestTensor() as plain:
        attention(query, key, value)
    with LargestTensor() as tiled:
        tiled_attention(query, key, value, tile=4)
    assert plain.numbers == 50 * 70
    assert tiled.numbers == 50 * 4


# --------------------------------------------------------------------------------------------------------------
# Groups of heads
# --------------------------------------------------------------------------------------------------------------


@given(
    n_kv_heads=st.sampled_from([1, 2, 3, 6]),
    queries=st.integers(1, 5),
    keys=st.integers(1, 7),
    masked=st.sampled_from([None, "shared", "batch", "padding"]),
    biased=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_grouped_attention_equals_torch(n_kv_heads, queries, keys, masked, biased, seed):
    query = normal(BATCH, N_HEADS, queries, D_KEY, seed=seed)
    key = normal(BATCH, n_kv_heads, keys, D_KEY, seed=seed + 1)
    value = normal(BATCH, n_kv_heads, keys, D_VALUE, seed=seed + 2)
    mask = {
        None: None,
        "shared": random_mask(queries, keys, seed=seed),
        "batch": random_mask(BATCH, queries, keys, seed=seed),
        "padding": padding_mask(torch.tensor([1, keys]), keys),
    }[masked]
    bias = normal(N_HEADS, queries, keys, seed=seed + 3) if biased else None
    ours = grouped_attention(query, key, value, mask, bias)

    visible = torch.ones(1, queries, keys, dtype=torch.bool) if mask is None else mask.view(-1, *mask.shape[-2:])
    sees = visible.any(-1, keepdim=True)[:, None]
    to_add = (torch.zeros(N_HEADS, queries, keys, dtype=torch.float64) if bias is None else bias)[None]
    to_add = to_add.masked_fill(~(visible[:, None] | ~sees), -math.inf)
    assert_equal(ours, F.scaled_dot_product_attention(query, key, value, attn_mask=to_add, enable_gqa=True) * sees)
    # The same by hand: head i uses key-value head i // (group size).
    repeats = N_HEADS // n_kv_heads
    for head in range(N_HEADS):
        for b in range(BATCH):
            kv = head // repeats
            own_bias = None if bias is None else bias[head]
            own_mask = visible[min(b, len(visible) - 1)]
            expected = attention(query[b, head], key[b, kv], value[b, kv], own_mask, own_bias)
            assert_equal(ours[b, head], expected)


@given(
    n_kv_heads=st.sampled_from([1, 2, 6]),
    masked=st.sampled_from([None, "shared", "batch", "padding"]),
    biased=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_torchs_kernel_gives_the_same_attention_and_gradients(n_kv_heads, masked, biased, seed):
    """A query of the second text may look nowhere."""
    parts = [normal(BATCH, n, KEYS, D_KEY, seed=seed + i) for i, n in enumerate((N_HEADS, n_kv_heads, n_kv_heads))]
    mask = {
        None: None,
        "shared": random_mask(KEYS, KEYS, seed=seed),
        "batch": random_mask(BATCH, KEYS, KEYS, seed=seed),
        "padding": padding_mask(torch.tensor([KEYS, 0]), KEYS),
    }[masked]
    bias = normal(N_HEADS, KEYS, KEYS, seed=seed + 3) if biased else None
    results = []
    for function in (grouped_attention, fused_attention):
        copies = [part.clone().requires_grad_() for part in parts]
        mixed = function(*copies, mask, bias)
        results.append((mixed, *torch.autograd.grad(mixed.square().sum(), copies)))
    for ours, torchs in zip(*results, strict=True):
        assert_equal(torchs, ours)


def test_as_many_key_value_heads_as_heads_is_multi_head_attention_and_one_is_multi_query_attention():
    query = normal(BATCH, N_HEADS, QUERIES, D_KEY)
    key, value = normal(BATCH, N_HEADS, KEYS, D_KEY, seed=1), normal(BATCH, N_HEADS, KEYS, D_VALUE, seed=2)
    assert_equal(grouped_attention(query, key, value), attention(query, key, value))
    one_key, one_value = key[:, :1], value[:, :1]
    assert_equal(grouped_attention(query, one_key, one_value), attention(query, one_key, one_value))


def test_grouped_attention_copies_no_keys():
    """A repeat for each head would be as large as the cache of multi-head attention."""
    key = normal(BATCH, 1, 100, D_KEY)
    with LargestTensor() as largest:
        grouped_attention(normal(BATCH, N_HEADS, 1, D_KEY), key, key)
    assert largest.numbers == BATCH * N_HEADS * 100  # the scores


def test_grouped_attention_refuses_uneven_groups():
    key = normal(BATCH, 4, KEYS, D_KEY)
    with pytest.raises(ValueError, match="6 query heads cannot share 4 key-value heads evenly"):
        grouped_attention(normal(BATCH, N_HEADS, QUERIES, D_KEY), key, key)


def test_heads_are_contiguous_pieces_of_the_vector():
    x = normal(BATCH, QUERIES, D_MODEL)
    heads = split_heads(x, N_HEADS)
    for head in range(N_HEADS):
        assert torch.equal(heads[:, head], x[:, :, head * D_KEY : (head + 1) * D_KEY])
    assert torch.equal(merge_heads(heads), x)


# --------------------------------------------------------------------------------------------------------------
# The module
# --------------------------------------------------------------------------------------------------------------


def layer(n_kv_heads: int | None = None) -> MultiHeadAttention:
    """With random biases too: they are easily forgotten where they are zero."""
    module = MultiHeadAttention(D_MODEL, N_HEADS, n_kv_heads).double().requires_grad_(False)
    for i, parameter in enumerate(module.parameters()):
        parameter.copy_(0.5 * normal(*parameter.shape, seed=100 + i))
    return module


def copy_to_torch(ours: MultiHeadAttention) -> nn.MultiheadAttention:
    theirs = nn.MultiheadAttention(D_MODEL, N_HEADS, batch_first=True, dtype=torch.float64).requires_grad_(False)
    theirs.in_proj_weight.copy_(torch.cat((ours.query.weight, ours.key.weight, ours.value.weight)))
    theirs.in_proj_bias.copy_(torch.cat((ours.query.bias, ours.key.bias, ours.value.bias)))
    theirs.out_proj.weight.copy_(ours.output.weight)
    theirs.out_proj.bias.copy_(ours.output.bias)
    return theirs


def test_self_attention_and_its_weights_equal_torch():
    ours = layer()
    x, mask = normal(BATCH, QUERIES, D_MODEL), causal_mask(QUERIES)
    # torch's masks are True where a query may *not* look.
    expected, weights = copy_to_torch(ours)(x, x, x, attn_mask=~mask, average_attn_weights=False)
    assert_equal(ours(x, mask), expected)
    assert_equal(ours.weights(x, mask), weights)


@given(lengths=st.lists(st.integers(1, KEYS), min_size=BATCH, max_size=BATCH), causal=st.booleans())
def test_cross_attention_and_its_weights_equal_torch(lengths, causal):
    ours = layer()
    x, context = normal(BATCH, QUERIES, D_MODEL), normal(BATCH, KEYS, D_MODEL, seed=1)
    mask = padding = padding_mask(torch.tensor(lengths), KEYS)
    if causal:
        mask = causal_mask(QUERIES, KEYS) & padding
    expected, weights = copy_to_torch(ours)(
        x,
        context,
        context,
        key_padding_mask=~padding.squeeze(1),
        attn_mask=~causal_mask(QUERIES, KEYS) if causal else None,
        average_attn_weights=False,
    )
    assert_equal(ours(x, mask, context=context), expected)
    assert_equal(ours.weights(x, mask, context=context), weights)


@pytest.mark.parametrize("n_kv_heads", [None, N_KV_HEADS, 1])
def test_cross_attention_to_itself_is_self_attention(n_kv_heads):
    module, x, mask = layer(n_kv_heads), normal(BATCH, QUERIES, D_MODEL), causal_mask(QUERIES)
    assert torch.equal(module(x, mask, context=x), module(x, mask))
    assert torch.equal(module.weights(x, mask, context=x), module.weights(x, mask))
    assert not torch.allclose(module(x, mask, context=2 * x), module(x, mask))


def test_a_position_that_may_look_nowhere_gets_the_output_bias_only():
    module, x = layer(), normal(BATCH, QUERIES, D_MODEL)
    mask = padding_mask(torch.tensor([0, 3]), QUERIES)
    assert torch.equal(module(x, mask)[0], module.output.bias.expand(QUERIES, D_MODEL))
    assert (module.weights(x, mask)[0] == 0).all()


@pytest.mark.parametrize("n_kv_heads", [None, N_KV_HEADS, 1])
@pytest.mark.parametrize("crossed", [False, True])
def test_weights_are_those_that_the_layer_uses(n_kv_heads, crossed):
    module, x = layer(n_kv_heads), normal(BATCH, QUERIES, D_MODEL)
    context = normal(BATCH, KEYS, D_MODEL, seed=1) if crossed else None
    source = x if context is None else context
    settings = {
        "mask": random_mask(BATCH, QUERIES, source.shape[1]),
        "bias": normal(N_HEADS, QUERIES, source.shape[1], seed=2),
        "rotate": lambda heads: rotary(heads, rotary_angles(torch.arange(heads.shape[2]), D_KEY, dtype=heads.dtype)),
        "context": context,
    }
    value = split_heads(module.value(source), module.n_kv_heads).repeat_interleave(N_HEADS // module.n_kv_heads, 1)
    weights = module.weights(x, **settings)
    assert_equal(module.output(merge_heads(weights @ value)), module(x, **settings))


@pytest.mark.parametrize("n_kv_heads", [1, N_KV_HEADS])
def test_grouped_heads_are_heads_with_repeated_weights(n_kv_heads):
    grouped, full = layer(n_kv_heads), layer()
    for name, parameter in full.named_parameters():
        source = grouped.get_parameter(name)
        if name.startswith(("key", "value")):
            source = source.unflatten(0, (n_kv_heads, D_KEY)).repeat_interleave(N_HEADS // n_kv_heads, 0).flatten(0, 1)
        parameter.copy_(source)
    x, mask, bias = normal(BATCH, QUERIES, D_MODEL), causal_mask(QUERIES), normal(N_HEADS, QUERIES, QUERIES, seed=1)
    assert_equal(grouped(x, mask, bias=bias), full(x, mask, bias=bias))
    assert_equal(grouped.weights(x, mask, bias=bias), full.weights(x, mask, bias=bias))


@pytest.mark.parametrize("n_kv_heads", [1, 3, 6])
def test_rotary_grouped_attention_equals_llama(n_kv_heads):
    ours = layer(n_kv_heads)
    config = LlamaConfig(
        hidden_size=D_MODEL,
        num_attention_heads=N_HEADS,
        num_key_value_heads=n_kv_heads,
        attention_bias=True,
        attn_implementation="sdpa",  # the other one rounds the softmax to float32
    )
    theirs = LlamaAttention(config, layer_idx=0).double().requires_grad_(False)
    names = {"q_proj": ours.query, "k_proj": ours.key, "v_proj": ours.value, "o_proj": ours.output}
    for name, part in names.items():
        theirs.get_submodule(name).load_state_dict(part.state_dict())

    x, mask, positions = normal(BATCH, QUERIES, D_MODEL), causal_mask(QUERIES), torch.arange(20, 20 + QUERIES)
    # Llama's own table is in float32; the same from the formula, in float64, each angle for both axes of its pair.
    turns = [[p * 10_000 ** (-2 * i / D_KEY) for i in range(D_KEY // 2)] * 2 for p in positions.tolist()]
    turns = torch.tensor([turns], dtype=torch.float64)
    expected, _ = theirs(x, (turns.cos(), turns.sin()), mask[None, None])

    angles = rotary_angles(positions, D_KEY, dtype=torch.float64)
    assert_equal(ours(x, mask, rotate=lambda heads: rotary(heads, angles)), expected)


@pytest.mark.parametrize(
    ("n_heads", "n_kv_heads", "message"),
    [(5, None, "d_model = 24 cannot be cut into 5 heads"), (6, 4, "6 query heads cannot share 4 key-value heads")],
)
def test_multi_head_attention_refuses_uneven_heads(n_heads, n_kv_heads, message):
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(D_MODEL, n_heads, n_kv_heads)


# --------------------------------------------------------------------------------------------------------------
# The cache
# --------------------------------------------------------------------------------------------------------------


def new_cache(max_len: int, n_kv_heads: int = N_HEADS) -> KVCache:
    return KVCache(*torch.zeros(2, BATCH, n_kv_heads, max_len, D_KEY, dtype=torch.float64))


def test_cache_returns_what_was_put_in():
    keys, values = normal(BATCH, N_HEADS, KEYS, D_KEY), normal(BATCH, N_HEADS, KEYS, D_KEY, seed=1)
    cache = new_cache(KEYS)
    for start, stop in ((0, 3), (3, 4), (4, 7)):
        so_far = cache.append(keys[:, :, start:stop], values[:, :, start:stop])
        assert torch.equal(so_far[0], keys[:, :, :stop])
        assert torch.equal(so_far[1], values[:, :, :stop])
        assert cache.length == stop
    with pytest.raises(ValueError, match="room for 7 positions, and 8 were asked for"):
        cache.append(keys[:, :, :1], values[:, :, :1])
    assert cache.length == 7


def test_selected_rows_of_a_cache_are_their_own_copy():
    cache = new_cache(KEYS)
    cache.append(normal(BATCH, N_HEADS, 3, D_KEY), normal(BATCH, N_HEADS, 3, D_KEY, seed=1))
    picked = cache.select(torch.tensor([1, 1, 0]))
    assert picked.length == 3
    assert torch.equal(picked.keys[0], cache.keys[1])
    assert torch.equal(picked.values[2], cache.values[0])
    ones = torch.ones(3, N_HEADS, 1, D_KEY, dtype=torch.float64)
    picked.append(ones, ones)
    assert cache.length == 3
    assert (cache.keys[:, :, 3] == 0).all()


@pytest.mark.parametrize("n_kv_heads", [None, N_KV_HEADS, 1])
def test_attention_with_a_cache_equals_attention_without(n_kv_heads):
    module, x = layer(n_kv_heads), normal(BATCH, KEYS, D_MODEL)
    cache = new_cache(KEYS, n_kv_heads or N_HEADS)
    steps = [
        module(x[:, start:stop], causal_mask(stop - start, stop), cache=cache)
        for start, stop in ((0, 3), (3, 4), (4, 6), (6, 7))
    ]
    assert_equal(torch.cat(steps, 1), module(x, causal_mask(KEYS)))


# --------------------------------------------------------------------------------------------------------------
# Shapes
# --------------------------------------------------------------------------------------------------------------

query, key, value = normal(BATCH, QUERIES, D_KEY), normal(BATCH, KEYS, D_KEY), normal(BATCH, KEYS, D_VALUE)
heads, kv_heads = normal(BATCH, N_HEADS, QUERIES, D_KEY), normal(BATCH, N_KV_HEADS, KEYS, D_KEY)
MISFITS = {
    "queries wider than keys": lambda: dot_scores(query, value),
    "weight transposed": lambda: general_scores(query, value, normal(D_VALUE, D_KEY)),
    "hidden layers of two widths": lambda: additive_scores(query, key, HIDDEN[0], WEIGHT, HIDDEN[2]),
    "fewer values than keys": lambda: attention(query, key, value[:, 1:]),
    "other batch": lambda: attention(query, key.repeat(2, 1, 1), value.repeat(2, 1, 1)),
    "mask transposed": lambda: attention(query, key, value, causal_mask(QUERIES, KEYS).T),
    "mask of numbers": lambda: attention(query, key, value, causal_mask(QUERIES, KEYS).double()),
    "bias of booleans": lambda: attention(query, key, value, None, causal_mask(QUERIES, KEYS)),
    "tiles of fewer values": lambda: tiled_attention(query, key, value[:, 1:], 2),
    "lengths as fractions": lambda: padding_mask(normal(BATCH), KEYS),
    "more keys' heads than values'": lambda: grouped_attention(heads, kv_heads, kv_heads[:, :1]),
    "mask of another batch": lambda: grouped_attention(heads, kv_heads, kv_heads, random_mask(3, QUERIES, KEYS)),
    "bias for each group": lambda: grouped_attention(
        heads, kv_heads, kv_heads, None, normal(N_KV_HEADS, QUERIES, KEYS)
    ),
    "heads not split": lambda: grouped_attention(query, key, value),
    "context of another batch": lambda: layer()(query @ normal(D_KEY, D_MODEL), context=normal(3, KEYS, D_MODEL)),
}


@pytest.mark.parametrize("call", MISFITS.values(), ids=MISFITS)
def test_shapes_that_do_not_fit_are_refused(call):
    with pytest.raises(TypeCheckError):
        call()


def test_a_context_is_not_cached():
    layer, x = MultiHeadAttention(8, 2), torch.randn(1, 3, 8)
    cache = KVCache(torch.zeros(1, 2, 5, 4), torch.zeros(1, 2, 5, 4))
    with pytest.raises(ValueError, match="pass one of them"):
        layer(x, context=x, cache=cache)
    assert cache.length == 0

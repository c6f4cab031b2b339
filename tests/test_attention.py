import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from labutils.attention import (
    KVCache,
    MultiHeadAttention,
    attention,
    attention_weights,
    causal_mask,
    grouped_attention,
    merge_heads,
    scaled_dot_scores,
    split_heads,
)

BATCH, N_HEADS, N_KV_HEADS, QUERIES, KEYS, D_KEY, D_VALUE = 2, 6, 3, 5, 7, 4, 8


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_causal_mask_shows_each_query_its_past():
    for i, row in enumerate(causal_mask(QUERIES, KEYS).tolist()):
        position = KEYS - QUERIES + i
        assert row == [j <= position for j in range(KEYS)]
    assert torch.equal(causal_mask(3), torch.tensor([[True, False, False], [True, True, False], [True, True, True]]))


def test_causal_mask_refuses_more_queries_than_keys():
    with pytest.raises(ValueError, match="5 queries cannot be the last of 3 positions"):
        causal_mask(5, 3)


def test_scores_equal_the_definition():
    query, key = normal(BATCH, QUERIES, D_KEY), normal(BATCH, KEYS, D_KEY, seed=1)
    scores = scaled_dot_scores(query, key)
    for b in range(BATCH):
        for i in range(QUERIES):
            for j in range(KEYS):
                product = sum(query[b, i, d].item() * key[b, j, d].item() for d in range(D_KEY))
                assert scores[b, i, j].item() == pytest.approx(product / D_KEY**0.5, abs=1e-12)


def test_weights_are_a_distribution_over_the_visible_keys():
    mask = causal_mask(QUERIES, KEYS)
    weights = attention_weights(normal(BATCH, QUERIES, KEYS), mask)
    torch.testing.assert_close(weights.sum(-1), torch.ones(BATCH, QUERIES, dtype=torch.float64))
    assert (weights[:, ~mask] == 0).all()
    assert (weights[:, mask] > 0).all()


def test_a_fully_masked_row_gets_zeros_and_a_finite_gradient():
    scores = normal(QUERIES, KEYS).requires_grad_()
    mask = torch.ones(QUERIES, KEYS, dtype=torch.bool)
    mask[1] = False
    weights = attention_weights(scores, mask)
    assert (weights[1] == 0).all()
    (weights * normal(QUERIES, KEYS, seed=1)).sum().backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert (scores.grad[1] == 0).all()


@given(
    batch=st.integers(1, 3),
    queries=st.integers(1, 5),
    more_keys=st.integers(0, 4),
    d_key=st.integers(1, 9),
    d_value=st.integers(1, 6),
    masked=st.booleans(),
)
def test_attention_equals_torch(batch, queries, more_keys, d_key, d_value, masked):
    keys = queries + more_keys
    query, key, value = normal(batch, queries, d_key), normal(batch, keys, d_key), normal(batch, keys, d_value)
    mask = causal_mask(queries, keys) if masked else None
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    torch.testing.assert_close(attention(query, key, value, mask), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_kv_heads", [1, 2, 3, 6])
def test_grouped_attention_equals_torch(n_kv_heads):
    query = normal(BATCH, N_HEADS, QUERIES, D_KEY)
    key, value = normal(BATCH, n_kv_heads, KEYS, D_KEY, seed=1), normal(BATCH, n_kv_heads, KEYS, D_VALUE, seed=2)
    mask = causal_mask(QUERIES, KEYS)
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=True)
    torch.testing.assert_close(grouped_attention(query, key, value, mask), expected, rtol=0, atol=1e-12)


def test_grouped_attention_refuses_uneven_groups():
    key = normal(BATCH, 4, KEYS, D_KEY)
    with pytest.raises(ValueError, match="6 query heads cannot share 4 key-value heads evenly"):
        grouped_attention(normal(BATCH, N_HEADS, QUERIES, D_KEY), key, key)


def test_heads_are_contiguous_pieces_of_the_vector():
    x = normal(BATCH, QUERIES, N_HEADS * D_KEY)
    heads = split_heads(x, N_HEADS)
    for head in range(N_HEADS):
        assert torch.equal(heads[:, head], x[:, :, head * D_KEY : (head + 1) * D_KEY])
    assert torch.equal(merge_heads(heads), x)


def test_multi_head_attention_equals_torch():
    layer = MultiHeadAttention(d_model=24, n_heads=N_HEADS).double()
    reference = torch.nn.MultiheadAttention(24, N_HEADS, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat((layer.query.weight, layer.key.weight, layer.value.weight)))
        reference.in_proj_bias.copy_(torch.cat((layer.query.bias, layer.key.bias, layer.value.bias)))
        reference.out_proj.weight.copy_(layer.output.weight)
        reference.out_proj.bias.copy_(layer.output.bias)
    x, mask = normal(BATCH, QUERIES, 24), causal_mask(QUERIES)
    # torch's mask is True where a query may *not* look.
    expected, _ = reference(x, x, x, attn_mask=~mask, need_weights=False)
    torch.testing.assert_close(layer(x, mask), expected, rtol=0, atol=1e-12)


def test_grouped_heads_with_equal_weights_equal_multi_head_attention():
    grouped = MultiHeadAttention(d_model=24, n_heads=N_HEADS, n_kv_heads=N_KV_HEADS).double()
    full = MultiHeadAttention(d_model=24, n_heads=N_HEADS).double()
    repeats = N_HEADS // N_KV_HEADS
    with torch.no_grad():
        for name, parameter in full.named_parameters():
            source = grouped.get_parameter(name)
            if name.startswith(("key", "value")):
                source = source.unflatten(0, (N_KV_HEADS, D_KEY)).repeat_interleave(repeats, 0).flatten(0, 1)
            parameter.copy_(source)
    x, mask = normal(BATCH, QUERIES, 24), causal_mask(QUERIES)
    torch.testing.assert_close(grouped(x, mask), full(x, mask), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("n_heads", "n_kv_heads", "message"),
    [(5, None, "d_model = 24 cannot be cut into 5 heads"), (6, 4, "6 query heads cannot share 4 key-value heads")],
)
def test_multi_head_attention_refuses_uneven_heads(n_heads, n_kv_heads, message):
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(24, n_heads, n_kv_heads)


def new_cache(max_len: int) -> KVCache:
    return KVCache(torch.zeros(BATCH, N_HEADS, max_len, D_KEY), torch.zeros(BATCH, N_HEADS, max_len, D_KEY))


def test_cache_returns_what_was_put_in():
    keys = torch.randn(BATCH, N_HEADS, KEYS, D_KEY)
    values = torch.randn(BATCH, N_HEADS, KEYS, D_KEY)
    cache = new_cache(KEYS)
    for start, stop in ((0, 3), (3, 4), (4, 7)):
        so_far = cache.append(keys[:, :, start:stop], values[:, :, start:stop])
        assert torch.equal(so_far[0], keys[:, :, :stop])
        assert torch.equal(so_far[1], values[:, :, :stop])
        assert cache.length == stop
    with pytest.raises(ValueError, match="room for 7 positions, and 8 were asked for"):
        cache.append(keys[:, :, :1], values[:, :, :1])


def test_selected_rows_of_a_cache_are_their_own_copy():
    cache = new_cache(KEYS)
    cache.append(torch.randn(BATCH, N_HEADS, 3, D_KEY), torch.randn(BATCH, N_HEADS, 3, D_KEY))
    picked = cache.select(torch.tensor([1, 1, 0]))
    assert picked.length == 3
    assert torch.equal(picked.keys[0], cache.keys[1])
    assert torch.equal(picked.values[2], cache.values[0])
    picked.append(torch.ones(3, N_HEADS, 1, D_KEY), torch.ones(3, N_HEADS, 1, D_KEY))
    assert cache.length == 3
    assert (cache.keys[:, :, 3] == 0).all()

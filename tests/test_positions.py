import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from torch import Tensor
from transformers.models.bloom import modeling_bloom
from transformers.models.gptj import modeling_gptj
from transformers.models.llama import modeling_llama
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5Attention

from labutils.positions import (
    alibi_bias,
    alibi_slopes,
    learned,
    relative_bias,
    relative_buckets,
    rotary,
    rotary_angles,
    sinusoidal,
)

# Every axis has its own size, so that no two can be mistaken for each other.
BATCH, N_HEADS, SEQ, D_HEAD, QUERIES, KEYS = 2, 3, 7, 10, 5, 8


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def angles_at(positions: Tensor, d_head: int = D_HEAD, scale: float = 1.0) -> Tensor:
    return rotary_angles(positions, d_head, scale=scale, dtype=torch.float64)


# --------------------------------------------------------------------------------------------------------------
# In the tokens' vectors
# --------------------------------------------------------------------------------------------------------------


def test_learned_positions_are_rows_of_the_table():
    table = normal(9, 4)
    assert torch.equal(learned(table, torch.tensor([3, 4, 5])), table[3:6])


@given(positions=st.lists(st.integers(0, 10_000), min_size=1, max_size=5), pairs=st.integers(1, 6))
def test_sinusoids_equal_the_papers_formula(positions, pairs):
    d_model = 2 * pairs
    ours = sinusoidal(torch.tensor(positions), d_model, dtype=torch.float64)
    assert ours.shape == (len(positions), d_model)
    for row, position in zip(ours.tolist(), positions, strict=True):
        for i in range(pairs):
            angle = position / 10_000 ** (2 * i / d_model)
            assert row[2 * i] == pytest.approx(math.sin(angle), abs=1e-10)
            assert row[2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-10)


def test_the_base_sets_the_slowest_clock():
    ours = sinusoidal(torch.tensor([3]), 4, base=100.0, dtype=torch.float64)
    expected = [[math.sin(3), math.cos(3), math.sin(0.3), math.cos(0.3)]]
    torch.testing.assert_close(ours, torch.tensor(expected, dtype=torch.float64))


@given(position=st.integers(0, 1000), distance=st.integers(-1000, 1000), pairs=st.integers(1, 6))
def test_a_distance_turns_every_sinusoid_by_the_same_angle(position, distance, pairs):
    """PE(p + k) is a linear map of PE(p) that does not know p, so that distances may be easy to learn."""
    assume(position + distance >= 0)
    d_model = 2 * pairs
    before, after = sinusoidal(torch.tensor([position, position + distance]), d_model, dtype=torch.float64)
    turn = torch.zeros(d_model, d_model, dtype=torch.float64)
    for i in range(pairs):
        angle = distance / 10_000 ** (2 * i / d_model)
        turn[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = torch.tensor(
            [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]], dtype=torch.float64
        )
    torch.testing.assert_close(turn @ before, after, rtol=0, atol=1e-10)


def test_sinusoids_in_half_precision_tell_neighbours_apart():
    positions = torch.arange(3000, 3008)
    ours = sinusoidal(positions, 8, dtype=torch.bfloat16)
    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(ours.double(), sinusoidal(positions, 8, dtype=torch.float64), rtol=0, atol=0.005)


def test_sinusoids_of_odd_width_are_refused():
    with pytest.raises(ValueError, match="d_model = 5 is odd"):
        sinusoidal(torch.arange(SEQ), 5)


# --------------------------------------------------------------------------------------------------------------
# In the scores
# --------------------------------------------------------------------------------------------------------------


@given(n_buckets=st.integers(2, 130), max_distance=st.integers(2, 600), bidirectional=st.booleans())
def test_buckets_equal_t5(n_buckets, max_distance, bidirectional):
    each = n_buckets // 2 if bidirectional else n_buckets
    assume(1 <= each // 2 < max_distance)
    distances = torch.arange(-700, 701)
    ours = relative_buckets(distances, n_buckets=n_buckets, max_distance=max_distance, bidirectional=bidirectional)
    theirs = T5Attention._relative_position_bucket(distances, bidirectional, n_buckets, max_distance)
    assert torch.equal(ours, theirs)
    assert ours.min() == 0
    assert ours.max() < n_buckets


@pytest.mark.parametrize("bidirectional", [True, False])
def test_buckets_fit_many_sizes_of_t5(bidirectional):
    """Where a range begins exactly at a distance, both must round alike: 72 buckets up to 100, at a distance of 60."""
    distances = torch.arange(-150, 151)
    for n_buckets in range(8, 130, 8):
        for max_distance in (100, 128, 144, 256):
            ours = relative_buckets(
                distances, n_buckets=n_buckets, max_distance=max_distance, bidirectional=bidirectional
            )
            theirs = T5Attention._relative_position_bucket(distances, bidirectional, n_buckets, max_distance)
            assert torch.equal(ours, theirs), (n_buckets, max_distance)


def test_near_keys_have_a_bucket_each_and_distant_ones_share():
    looking_back = relative_buckets(-torch.arange(0, 1000), bidirectional=False)
    assert looking_back[:16].tolist() == list(range(16))
    assert (looking_back.diff() >= 0).all()
    assert looking_back.unique().tolist() == list(range(32))
    assert (looking_back[128:] == 31).all()
    assert (relative_buckets(torch.arange(0, 1000), bidirectional=False) == 0).all()
    # In two directions no bucket is shared between them.
    behind, ahead = relative_buckets(-torch.arange(1, 1000)), relative_buckets(torch.arange(1, 1000))
    assert torch.equal(behind + 16, ahead)
    assert behind.max() < ahead.min()


@pytest.mark.parametrize("is_decoder", [True, False])
def test_relative_bias_equals_t5(is_decoder):
    config = T5Config(d_model=12, d_kv=4, num_heads=N_HEADS, is_decoder=is_decoder)
    theirs = T5Attention(config, has_relative_attention_bias=True, layer_idx=0).double()
    table = theirs.relative_attention_bias.weight
    distances = torch.arange(200) - torch.arange(150)[:, None]
    ours = relative_bias(table, relative_buckets(distances, bidirectional=not is_decoder))
    assert torch.equal(ours, theirs.compute_bias(150, 200)[0])


@pytest.mark.parametrize(
    ("n_buckets", "max_distance", "bidirectional"), [(1, 8, False), (3, 8, True), (32, 8, True), (32, 16, False)]
)
def test_sizes_without_room_for_ranges_are_refused(n_buckets, max_distance, bidirectional):
    with pytest.raises(ValueError, match="buckets a direction"):
        relative_buckets(torch.arange(5), n_buckets=n_buckets, max_distance=max_distance, bidirectional=bidirectional)


@given(n_heads=st.integers(1, 70))
def test_alibi_slopes_equal_bloom(n_heads):
    mask = torch.ones(1, 2, dtype=torch.int64)
    # The bias of the key at position 1 is the slope.
    expected = modeling_bloom.build_alibi_tensor(mask, n_heads, torch.float32)[:, 0, 1]
    torch.testing.assert_close(alibi_slopes(n_heads), expected, rtol=1e-6, atol=0)


def test_alibi_slopes_are_the_papers():
    assert alibi_slopes(8).tolist() == [2.0**-i for i in range(1, 9)]
    expected = [2 ** (-i / 2) for i in (2, 4, 6, 8, 10, 12, 14, 16, 1, 3, 5, 7)]
    torch.testing.assert_close(alibi_slopes(12), torch.tensor(expected))


@pytest.mark.parametrize("n_heads", [4, 6])
def test_alibi_weights_equal_bloom(n_heads):
    """Bloom adds slope × position of the key: with a causal mask, a constant a row away from minus the distance."""
    scores, mask = normal(n_heads, KEYS, KEYS), torch.ones(KEYS, KEYS, dtype=torch.bool).tril()
    bloom = modeling_bloom.build_alibi_tensor(torch.ones(1, KEYS, dtype=torch.int64), n_heads, torch.float64)
    ours = alibi_bias(alibi_slopes(n_heads).double(), torch.arange(KEYS), torch.arange(KEYS))
    weights = [(scores + bias).masked_fill(~mask, -math.inf).softmax(-1) for bias in (ours, bloom)]
    torch.testing.assert_close(*weights, rtol=0, atol=1e-7)


@given(first_query=st.integers(0, 50), first_key=st.integers(0, 50), shift=st.integers(0, 1000))
def test_alibi_is_minus_the_distance_times_the_slope(first_query, first_key, shift):
    slopes = normal(N_HEADS).abs()
    queries, keys = first_query + torch.arange(QUERIES), first_key + torch.arange(KEYS)
    bias = alibi_bias(slopes, queries, keys)
    for head in range(N_HEADS):
        for i in range(QUERIES):
            for j in range(KEYS):
                distance = abs(first_query + i - first_key - j)
                assert bias[head, i, j].item() == pytest.approx(-slopes[head].item() * distance)
    assert torch.equal(alibi_bias(slopes, queries + shift, keys + shift), bias)


# --------------------------------------------------------------------------------------------------------------
# In the angle of queries and keys
# --------------------------------------------------------------------------------------------------------------


def test_rotary_equals_llama():
    config = LlamaConfig(hidden_size=N_HEADS * D_HEAD, num_attention_heads=N_HEADS)
    positions = torch.arange(100, 100 + SEQ)
    query, key = normal(BATCH, N_HEADS, SEQ, D_HEAD), normal(BATCH, N_HEADS, SEQ, D_HEAD, seed=1)
    cos, sin = modeling_llama.LlamaRotaryEmbedding(config)(query.float(), positions[None])
    expected_query, expected_key = modeling_llama.apply_rotary_pos_emb(query.float(), key.float(), cos, sin)
    # Llama computes its angles in float32, and so do we by default.
    angles = rotary_angles(positions, D_HEAD)
    torch.testing.assert_close(rotary(query.float(), angles), expected_query, rtol=0, atol=1e-6)
    torch.testing.assert_close(rotary(key.float(), angles), expected_key, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("base", "scale"), [(500_000.0, 1.0), (10_000.0, 4.0), (500_000.0, 2.5)])
def test_angles_of_another_base_and_scale_equal_llama(base, scale):
    config = LlamaConfig(
        hidden_size=N_HEADS * D_HEAD,
        num_attention_heads=N_HEADS,
        rope_parameters={"rope_type": "linear", "rope_theta": base, "factor": scale},
    )
    positions = torch.arange(SEQ) * 100
    cos, sin = modeling_llama.LlamaRotaryEmbedding(config)(torch.zeros(1), positions[None])
    angles = rotary_angles(positions, D_HEAD, base=base, scale=scale).repeat(1, 2)
    torch.testing.assert_close(angles.cos(), cos[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(angles.sin(), sin[0], rtol=0, atol=1e-4)


def test_rotary_equals_the_papers_pairs_of_neighbours():
    positions = torch.arange(50, 50 + SEQ)
    angles = angles_at(positions)
    x = normal(BATCH, SEQ, N_HEADS, D_HEAD)
    expected = modeling_gptj.apply_rotary_pos_emb(x, angles.sin()[None], angles.cos()[None])
    # GPT-J pairs axes 0 and 1, 2 and 3, ...: bring each pair's first axes to the front, its second ones to the back.
    order = torch.cat((torch.arange(0, D_HEAD, 2), torch.arange(1, D_HEAD, 2)))
    ours = rotary(x[..., order].transpose(1, 2), angles).transpose(1, 2)
    torch.testing.assert_close(ours, expected[..., order], rtol=0, atol=1e-12)


def test_rotary_is_a_product_of_complex_numbers():
    """A pair of axes is a complex number, and position p multiplies it by exp(i p frequency)."""
    positions, x = torch.arange(30, 30 + SEQ), normal(BATCH, SEQ, D_HEAD)
    frequencies = torch.tensor([10_000 ** (-2 * i / D_HEAD) for i in range(D_HEAD // 2)], dtype=torch.float64)
    turned = torch.complex(*x.chunk(2, -1)) * torch.exp(1j * positions[:, None] * frequencies)
    expected = torch.cat((turned.real, turned.imag), -1)
    torch.testing.assert_close(rotary(x, angles_at(positions)), expected, rtol=0, atol=1e-12)


def test_angles_equal_the_formula():
    angles = angles_at(torch.tensor([0, 1, 5]), 6)
    for row, position in enumerate((0, 1, 5)):
        for pair in range(3):
            assert angles[row, pair].item() == pytest.approx(position * 10_000 ** (-2 * pair / 6), abs=1e-12)


@given(
    i=st.integers(0, 500),
    j=st.integers(0, 500),
    shift=st.integers(0, 2000),
    pairs=st.integers(1, 8),
    scale=st.sampled_from([1.0, 4.0]),
)
def test_a_product_depends_on_the_distance_only(i, j, shift, pairs, scale):
    query, key = normal(1, 2 * pairs), normal(1, 2 * pairs, seed=1)

    def product(query_position: int, key_position: int) -> Tensor:
        positions = torch.tensor([query_position]), torch.tensor([key_position])
        turned = [rotary(x, angles_at(p, 2 * pairs, scale)) for x, p in zip((query, key), positions, strict=True)]
        return (turned[0] * turned[1]).sum()

    torch.testing.assert_close(product(i, j), product(i + shift, j + shift), rtol=0, atol=1e-9)


@given(position=st.integers(0, 500), scale=st.integers(1, 8))
def test_interpolation_puts_distant_positions_where_near_ones_were(position, scale):
    stretched = angles_at(torch.tensor([position * scale]), scale=float(scale))
    torch.testing.assert_close(stretched, angles_at(torch.tensor([position])), rtol=0, atol=1e-12)


def test_position_zero_turns_nothing_and_lengths_stay():
    x = normal(BATCH, SEQ, D_HEAD)
    turned = rotary(x, angles_at(torch.arange(SEQ)))
    torch.testing.assert_close(turned[:, 0], x[:, 0], rtol=0, atol=0)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1), rtol=0, atol=1e-12)
    assert not torch.allclose(turned[:, 1], x[:, 1])


def test_the_type_of_the_input_is_kept():
    angles = rotary_angles(torch.arange(SEQ), D_HEAD)
    assert rotary(normal(BATCH, SEQ, D_HEAD).bfloat16(), angles).dtype == torch.bfloat16


def test_odd_width_is_refused():
    with pytest.raises(ValueError, match="d_head = 5 is odd"):
        rotary_angles(torch.arange(SEQ), 5)


# --------------------------------------------------------------------------------------------------------------
# Shapes
# --------------------------------------------------------------------------------------------------------------

MISFITS = {
    "positions that are fractions": lambda: sinusoidal(normal(SEQ), D_HEAD),
    "positions of a batch": lambda: learned(normal(9, 4), torch.zeros(BATCH, SEQ, dtype=torch.int64)),
    "buckets that are fractions": lambda: relative_bias(normal(32, N_HEADS), normal(QUERIES, KEYS)),
    "slopes of a matrix": lambda: alibi_bias(normal(N_HEADS, 1), torch.arange(QUERIES), torch.arange(KEYS)),
    "angles of other positions": lambda: rotary(normal(BATCH, SEQ, D_HEAD), angles_at(torch.arange(SEQ + 1))),
    "sequence and heads swapped": lambda: rotary(normal(BATCH, SEQ, N_HEADS, D_HEAD), angles_at(torch.arange(SEQ))),
}


@pytest.mark.parametrize("call", MISFITS.values(), ids=MISFITS)
def test_shapes_that_do_not_fit_are_refused(call):
    with pytest.raises(TypeCheckError):
        call()

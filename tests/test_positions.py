import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.gptj import modeling_gptj
from transformers.models.llama import modeling_llama
from transformers.models.llama.configuration_llama import LlamaConfig

from labutils.positions import learned, rotary, rotary_angles

BATCH, N_HEADS, SEQ, D_HEAD = 2, 3, 7, 10


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def angles_at(positions: torch.Tensor, d_head: int = D_HEAD) -> torch.Tensor:
    return rotary_angles(positions, d_head, dtype=torch.float64)


def test_learned_positions_are_rows_of_the_table():
    table = normal(9, 4)
    assert torch.equal(learned(table, torch.tensor([3, 4, 5])), table[3:6])


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


def test_rotary_equals_the_papers_pairs_of_neighbours():
    positions = torch.arange(50, 50 + SEQ)
    angles = angles_at(positions)
    x = normal(BATCH, SEQ, N_HEADS, D_HEAD)
    expected = modeling_gptj.apply_rotary_pos_emb(x, angles.sin()[None], angles.cos()[None])
    # GPT-J pairs axes 0 and 1, 2 and 3, ...: bring each pair's first axes to the front, its second ones to the back.
    order = torch.cat((torch.arange(0, D_HEAD, 2), torch.arange(1, D_HEAD, 2)))
    ours = rotary(x[..., order].transpose(1, 2), angles).transpose(1, 2)
    torch.testing.assert_close(ours, expected[..., order], rtol=0, atol=1e-12)


def test_angles_equal_the_formula():
    angles = angles_at(torch.tensor([0, 1, 5]), 6)
    for row, position in enumerate((0, 1, 5)):
        for pair in range(3):
            assert angles[row, pair].item() == pytest.approx(position * 10_000 ** (-2 * pair / 6), abs=1e-12)


@given(i=st.integers(0, 500), j=st.integers(0, 500), shift=st.integers(0, 2000), pairs=st.integers(1, 8))
def test_a_product_depends_on_the_distance_only(i, j, shift, pairs):
    query, key = normal(1, 2 * pairs), normal(1, 2 * pairs, seed=1)

    def product(query_position: int, key_position: int) -> torch.Tensor:
        positions = torch.tensor([query_position]), torch.tensor([key_position])
        turned = [rotary(x, angles_at(p, 2 * pairs)) for x, p in zip((query, key), positions, strict=True)]
        return (turned[0] * turned[1]).sum()

    torch.testing.assert_close(product(i, j), product(i + shift, j + shift), rtol=0, atol=1e-9)


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

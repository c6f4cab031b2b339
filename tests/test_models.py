from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

from labutils.models import Config, Decoder

BATCH, SEQ, VOCAB_SIZE = 2, 9, 13


def decoder(**changes) -> Decoder:
    """A small decoder in float64, with weights so large that every part of it matters."""
    sizes = {"vocab_size": VOCAB_SIZE, "d_model": 24, "n_heads": 6, "n_layers": 3, "max_len": 11}
    model = Decoder(Config(**(sizes | changes))).double().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def random_tokens(seed: int = 0, batch: int = BATCH, seq: int = SEQ) -> torch.Tensor:
    return torch.randint(VOCAB_SIZE, (batch, seq), generator=torch.Generator().manual_seed(seed))


def copy_to_gpt2(ours: Decoder) -> GPT2LMHeadModel:
    """Hugging Face's GPT-2 with our weights. Its linear maps store the transpose, and join query, key and value."""
    config = ours.config
    theirs = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.max_len,
            n_embd=config.d_model,
            n_layer=config.n_layers,
            n_head=config.n_heads,
            bos_token_id=0,
            eos_token_id=0,
        )
    ).double()
    state = {
        "transformer.wte.weight": ours.embedding.weight,
        "transformer.wpe.weight": ours.positions.weight,
        "transformer.ln_f.weight": ours.final_norm.weight,
        "transformer.ln_f.bias": ours.final_norm.bias,
        "lm_head.weight": ours.embedding.weight,
    }
    for i, block in enumerate(ours.blocks):
        layer = f"transformer.h.{i}"
        joined = [block.attention.query, block.attention.key, block.attention.value]
        state[f"{layer}.attn.c_attn.weight"] = torch.cat([part.weight for part in joined]).T
        state[f"{layer}.attn.c_attn.bias"] = torch.cat([part.bias for part in joined])
        for name, part in (
            ("attn.c_proj", block.attention.output),
            ("mlp.c_fc", block.ffn.expand),
            ("mlp.c_proj", block.ffn.contract),
        ):
            state[f"{layer}.{name}.weight"], state[f"{layer}.{name}.bias"] = part.weight.T, part.bias
        for name, part in (("ln_1", block.attention_norm), ("ln_2", block.ffn_norm)):
            state[f"{layer}.{name}.weight"], state[f"{layer}.{name}.bias"] = part.weight, part.bias
    theirs.load_state_dict(state)
    return theirs.eval()


def test_logits_equal_gpt2_with_our_weights():
    ours = decoder(position="learned")
    theirs = copy_to_gpt2(ours)
    tokens = random_tokens()
    with torch.no_grad():
        expected = theirs(tokens).logits
    assert expected.std() > 1  # not a comparison of zeros
    torch.testing.assert_close(ours(tokens), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("position", ["rope", "learned"])
@pytest.mark.parametrize("n_kv_heads", [None, 2])
@settings(max_examples=10, deadline=None)
@given(cuts=st.sets(st.integers(1, SEQ - 1)))
def test_cached_equals_uncached(position, n_kv_heads, cuts):
    model, tokens = decoder(position=position, n_kv_heads=n_kv_heads), random_tokens()
    cache = model.empty_cache(BATCH)
    edges = [0, *sorted(cuts), SEQ]
    pieces = [model(tokens[:, a:b], cache) for a, b in pairwise(edges)]
    torch.testing.assert_close(torch.cat(pieces, 1), model(tokens), rtol=0, atol=1e-12)


@pytest.mark.parametrize("position", ["rope", "learned"])
def test_a_later_token_changes_no_earlier_logit(position):
    model, tokens = decoder(position=position), random_tokens()
    before = model(tokens)
    for i in range(SEQ):
        changed = tokens.clone()
        changed[:, i] = (changed[:, i] + 1) % VOCAB_SIZE
        after = model(changed)
        torch.testing.assert_close(after[:, :i], before[:, :i], rtol=0, atol=0)
        assert (after[:, i:] - before[:, i:]).abs().amax(-1).min() > 1e-6


@pytest.mark.parametrize("position", ["rope", "learned"])
def test_the_order_of_the_past_matters(position):
    model, tokens = decoder(position=position, n_layers=1), torch.tensor([[3, 5, 7, 2]])
    swapped = torch.tensor([[5, 3, 7, 2]])
    assert (model(tokens)[:, -1] - model(swapped)[:, -1]).abs().max() > 1e-3


def test_a_rope_layer_equals_rotation_of_complex_numbers():
    """The paper's own form: a pair of axes is a complex number, and position t multiplies it by exp(i t angle)."""
    model, tokens = decoder(n_layers=1), random_tokens()
    block, positions = model.blocks[0], torch.arange(SEQ, dtype=torch.float64)
    turn = torch.polar(
        torch.ones(SEQ, 2, dtype=torch.float64), positions[:, None] * torch.tensor([1, 0.01], dtype=torch.float64)
    )
    x = model.embedding(tokens)
    normed = block.attention_norm(x)
    heads = []
    for part, weights in ((0, block.attention.query), (1, block.attention.key), (2, block.attention.value)):
        split = weights(normed).view(BATCH, SEQ, 6, 4).transpose(1, 2)
        if part < 2:
            turned = torch.complex(split[..., :2], split[..., 2:]) * turn
            split = torch.cat((turned.real, turned.imag), -1)
        heads.append(split)
    mixed = F.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2).reshape(BATCH, SEQ, 24)
    x = x + block.attention.output(mixed)
    x = x + block.ffn(block.ffn_norm(x))
    expected = model.final_norm(x) @ model.embedding.weight.T
    torch.testing.assert_close(model(tokens), expected, rtol=0, atol=1e-9)


def test_as_many_key_value_heads_as_heads_is_multi_head_attention():
    grouped, plain = decoder(n_kv_heads=6), decoder()
    assert {name: p.shape for name, p in grouped.named_parameters()} == {
        name: p.shape for name, p in plain.named_parameters()
    }
    assert torch.equal(grouped(random_tokens()), plain(random_tokens()))


def test_grouping_shrinks_the_cache():
    full, grouped = decoder().empty_cache(BATCH), decoder(n_kv_heads=2).empty_cache(BATCH)
    assert full[0].keys.shape == (BATCH, 6, 11, 4)
    assert grouped[0].keys.shape == (BATCH, 2, 11, 4)
    assert len(full) == 3


def test_the_output_layer_is_the_embedding():
    model = Decoder(Config(vocab_size=VOCAB_SIZE))
    tokens = random_tokens()
    torch.testing.assert_close(model(tokens), model.hidden(tokens) @ model.embedding.weight.T)
    assert sum(p.numel() for p in model.parameters()) == 64 * VOCAB_SIZE + 2 * (12 * 64**2 + 13 * 64) + 2 * 64


def test_a_new_model_knows_nothing_and_every_parameter_learns():
    torch.manual_seed(0)
    model = Decoder(Config(vocab_size=VOCAB_SIZE))
    logits = model(random_tokens())
    assert logits.std() < 0.5
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters() if p.ndim == 2)


def test_text_longer_than_the_context_window_is_refused():
    model = decoder()
    with pytest.raises(ValueError, match="context window holds 11 tokens, and 12 were given"):
        model(random_tokens(seq=12))
    cache = model.empty_cache(BATCH)
    model(random_tokens(seq=11), cache)
    with pytest.raises(ValueError, match="context window holds 11 tokens, and 12 were given"):
        model(random_tokens(seq=1), cache)


def test_unknown_position_is_refused():
    with pytest.raises(ValueError, match='position must be one of rope, learned, sinusoidal'):
        Config(vocab_size=VOCAB_SIZE, position="sinus")

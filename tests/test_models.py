import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertModel,
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
)
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5Attention

from labutils.attention import MultiHeadAttention, causal_mask
from labutils.models import NORMS, POSITIONS, STD, Block, Config, CrossBlock, Decoder, Encoder, EncoderDecoder
from labutils.positions import rotary, rotary_angles

# Every axis has its own size, so that no two can be mistaken for each other.
BATCH, SEQ, SOURCE, VOCAB_SIZE, D_MODEL, N_HEADS, D_HEAD, N_LAYERS, MAX_LEN = 2, 9, 7, 13, 24, 6, 4, 3, 11
SIZES = {"vocab_size": VOCAB_SIZE, "d_model": D_MODEL, "n_heads": N_HEADS, "n_layers": N_LAYERS, "max_len": MAX_LEN}
every_position = pytest.mark.parametrize("position", POSITIONS)
every_norm = pytest.mark.parametrize("norm", NORMS)


def randomise(module: nn.Module) -> None:
    """Give every parameter, biases and norms too, weights so large that it matters."""
    generator = torch.Generator().manual_seed(0)
    module.double().requires_grad_(False)
    for parameter in module.parameters():
        parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))


def random_model(build: type, changes: dict):
    model = build(Config(**(SIZES | changes)))
    randomise(model)
    if model.config.position == "sinusoidal":
        words = model.encoder.embedding if build is EncoderDecoder else model.embedding
        words.weight.mul_(STD)  # which the model undoes, lest the words drown
    return model


def decoder(**changes) -> Decoder:
    return random_model(Decoder, changes)


def encoder(**changes) -> Encoder:
    return random_model(Encoder, changes)


def encoder_decoder(**changes) -> EncoderDecoder:
    return random_model(EncoderDecoder, changes)


def random_tokens(seed: int = 0, batch: int = BATCH, seq: int = SEQ) -> Tensor:
    return torch.randint(VOCAB_SIZE, (batch, seq), generator=torch.Generator().manual_seed(seed))


def assert_equal(actual: Tensor, expected: Tensor, atol: float = 1e-9) -> None:
    assert expected.std() > 0.01  # not a comparison of zeros
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


def change(new: Tensor, old: Tensor) -> float:
    """The largest difference, in standard deviations."""
    return ((new - old).abs().max() / old.std()).item()


def named(state: dict[str, nn.Module]) -> dict[str, Tensor]:
    """The weights and biases of some modules under new names."""
    return {f"{name}.{key}": value for name, module in state.items() for key, value in module.state_dict().items()}


# --------------------------------------------------------------------------------------------------------------
# The same models elsewhere, with our weights
# --------------------------------------------------------------------------------------------------------------


def as_gpt2(ours: Decoder) -> GPT2LMHeadModel:
    """Its linear maps store the transpose, and join query, key and value."""
    config = GPT2Config(
        vocab_size=VOCAB_SIZE,
        n_positions=MAX_LEN,
        n_embd=D_MODEL,
        n_layer=N_LAYERS,
        n_head=N_HEADS,
        bos_token_id=0,
        eos_token_id=0,
    )
    state = {
        "transformer.wte.weight": ours.embedding.weight,
        "transformer.wpe.weight": ours.positions.weight,
        "lm_head.weight": ours.embedding.weight,
        **named({"transformer.ln_f": ours.final_norm}),
    }
    for i, block in enumerate(ours.blocks):
        layer, attention, ffn = f"transformer.h.{i}", block.attention, block.ffn
        joined = (attention.query, attention.key, attention.value)
        state[f"{layer}.attn.c_attn.weight"] = torch.cat([part.weight for part in joined]).T
        state[f"{layer}.attn.c_attn.bias"] = torch.cat([part.bias for part in joined])
        for name, part in (("attn.c_proj", attention.output), ("mlp.c_fc", ffn.expand), ("mlp.c_proj", ffn.contract)):
            state[f"{layer}.{name}.weight"], state[f"{layer}.{name}.bias"] = part.weight.T, part.bias
        state |= named({f"{layer}.ln_1": block.attention_norm, f"{layer}.ln_2": block.ffn_norm})
    theirs = GPT2LMHeadModel(config).double().eval()
    theirs.load_state_dict(state)
    return theirs


def joined_by_head(block: Block) -> dict[str, Tensor]:
    """One linear map whose output is, head by head, its query, its key and its value."""
    parts = (block.attention.query, block.attention.key, block.attention.value)
    weights = [part.weight.unflatten(0, (N_HEADS, D_HEAD)) for part in parts]
    biases = [part.bias.unflatten(0, (N_HEADS, D_HEAD)) for part in parts]
    return {"weight": torch.stack(weights, 1).flatten(0, 2), "bias": torch.stack(biases, 1).flatten()}


def as_bloom(ours: Decoder) -> BloomForCausalLM:
    config = BloomConfig(vocab_size=VOCAB_SIZE, hidden_size=D_MODEL, n_layer=N_LAYERS, n_head=N_HEADS)
    state = {
        "transformer.word_embeddings.weight": ours.embedding.weight,
        "lm_head.weight": ours.embedding.weight,
        **named({"transformer.ln_f": ours.final_norm}),
    }
    for i, block in enumerate(ours.blocks):
        layer = f"transformer.h.{i}"
        parts = {
            "input_layernorm": block.attention_norm,
            "post_attention_layernorm": block.ffn_norm,
            "self_attention.dense": block.attention.output,
            "mlp.dense_h_to_4h": block.ffn.expand,
            "mlp.dense_4h_to_h": block.ffn.contract,
        }
        state |= named({f"{layer}.{name}": part for name, part in parts.items()})
        state |= {f"{layer}.self_attention.query_key_value.{k}": v for k, v in joined_by_head(block).items()}
    theirs = BloomForCausalLM(config).double().eval()
    theirs.transformer.word_embeddings_layernorm = nn.Identity()  # we have none
    theirs.load_state_dict(state)
    return theirs


def as_gpt_neox(ours: Decoder) -> GPTNeoXForCausalLM:
    config = GPTNeoXConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=D_MODEL,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=N_HEADS,
        intermediate_size=4 * D_MODEL,
        hidden_act="gelu_new",
        max_position_embeddings=MAX_LEN,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 1.0},
        use_parallel_residual=False,
        tie_word_embeddings=True,
    )
    state = {
        "gpt_neox.embed_in.weight": ours.embedding.weight,
        "lm_head.weight": ours.embedding.weight,
        **named({"gpt_neox.final_layer_norm": ours.final_norm}),
    }
    for i, block in enumerate(ours.blocks):
        layer = f"gpt_neox.layers.{i}"
        parts = {
            "input_layernorm": block.attention_norm,
            "post_attention_layernorm": block.ffn_norm,
            "attention.dense": block.attention.output,
            "mlp.dense_h_to_4h": block.ffn.expand,
            "mlp.dense_4h_to_h": block.ffn.contract,
        }
        state |= named({f"{layer}.{name}": part for name, part in parts.items()})
        state |= {f"{layer}.attention.query_key_value.{k}": v for k, v in joined_by_head(block).items()}
    theirs = GPTNeoXForCausalLM(config).double().eval()
    theirs.load_state_dict(state)
    return theirs


def as_bert(ours: Encoder) -> BertModel:
    config = BertConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=D_MODEL,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=N_HEADS,
        intermediate_size=4 * D_MODEL,
        max_position_embeddings=MAX_LEN,
        hidden_act="gelu_new",  # the tanh approximation; BERT's own is exact
        layer_norm_eps=1e-5,  # torch's default; BERT's own is 1e-12
    )
    theirs = BertModel(config, add_pooling_layer=False).double().eval()
    state = {
        "embeddings.word_embeddings.weight": ours.embedding.weight,
        "embeddings.position_embeddings.weight": ours.positions.weight,
        # The vectors that tell two sentences apart, which we have not.
        "embeddings.token_type_embeddings.weight": torch.zeros(2, D_MODEL, dtype=torch.float64),
        **named({"embeddings.LayerNorm": ours.embedding_norm}),
    }
    for i, block in enumerate(ours.blocks):
        layer, attention = f"encoder.layer.{i}", block.attention
        parts = {
            "attention.self.query": attention.query,
            "attention.self.key": attention.key,
            "attention.self.value": attention.value,
            "attention.output.dense": attention.output,
            "attention.output.LayerNorm": block.attention_norm,
            "intermediate.dense": block.ffn.expand,
            "output.dense": block.ffn.contract,
            "output.LayerNorm": block.ffn_norm,
        }
        state |= named({f"{layer}.{name}": part for name, part in parts.items()})
    theirs.load_state_dict(state)
    return theirs


def as_bart(ours: EncoderDecoder) -> BartForConditionalGeneration:
    config = BartConfig(
        vocab_size=VOCAB_SIZE,
        d_model=D_MODEL,
        encoder_layers=N_LAYERS,
        decoder_layers=N_LAYERS,
        encoder_attention_heads=N_HEADS,
        decoder_attention_heads=N_HEADS,
        encoder_ffn_dim=4 * D_MODEL,
        decoder_ffn_dim=4 * D_MODEL,
        max_position_embeddings=MAX_LEN,
        activation_function="gelu_new",  # the tanh approximation; BART's own is exact
    )
    theirs = BartForConditionalGeneration(config).double().eval()
    words = ours.encoder.embedding.weight
    state = {"final_logits_bias": torch.zeros(1, VOCAB_SIZE), "lm_head.weight": words, "model.shared.weight": words}
    for half, source in (("model.encoder", ours.encoder), ("model.decoder", ours)):
        state[f"{half}.embed_tokens.weight"] = words
        # BART's table begins with two rows that it never uses.
        state[f"{half}.embed_positions.weight"] = F.pad(source.positions.weight, (0, 0, 2, 0))
        state |= named({f"{half}.layernorm_embedding": source.embedding_norm})
        for i, block in enumerate(source.blocks):
            layer = f"{half}.layers.{i}"
            parts = {"fc1": block.ffn.expand, "fc2": block.ffn.contract, "final_layer_norm": block.ffn_norm}
            attentions = {"self_attn": (block.attention, block.attention_norm)}
            if source is ours:
                attentions["encoder_attn"] = (block.cross_attention, block.cross_attention_norm)
            for name, (attention, norm) in attentions.items():
                parts |= {
                    f"{name}.q_proj": attention.query,
                    f"{name}.k_proj": attention.key,
                    f"{name}.v_proj": attention.value,
                    f"{name}.out_proj": attention.output,
                    f"{name}_layer_norm": norm,
                }
            state |= named({f"{layer}.{name}": part for name, part in parts.items()})
    theirs.load_state_dict(state)
    return theirs


@pytest.mark.parametrize(
    ("position", "as_theirs", "atol"),
    # GPT-NeoX computes its angles in float32.
    [("learned", as_gpt2, 1e-9), ("alibi", as_bloom, 1e-6), ("rope", as_gpt_neox, 1e-4)],
)
def test_logits_equal_hugging_face_with_our_weights(position, as_theirs, atol):
    ours, tokens = decoder(position=position), random_tokens()
    with torch.no_grad():
        expected = as_theirs(ours)(tokens).logits
    assert_equal(ours(tokens), expected, atol=atol)


@settings(max_examples=20)
@given(lengths=st.lists(st.integers(1, SEQ), min_size=BATCH, max_size=BATCH), seed=st.integers(0, 1000))
def test_vectors_equal_bert_with_our_weights(lengths, seed):
    ours, tokens = encoder(position="learned", norm="post"), random_tokens(seed)
    visible = torch.arange(SEQ) < torch.tensor(lengths)[:, None]
    with torch.no_grad():
        expected = as_bert(ours)(tokens, attention_mask=visible.long()).last_hidden_state
    assert_equal(ours.hidden(tokens, visible), expected)


@given(lengths=st.lists(st.integers(1, SOURCE), min_size=BATCH, max_size=BATCH), seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_logits_equal_bart_with_our_weights(lengths, seed):
    ours = encoder_decoder(position="learned", norm="post")
    source, target = random_tokens(seed, seq=SOURCE), random_tokens(seed + 1)
    visible = torch.arange(SOURCE) < torch.tensor(lengths)[:, None]
    with torch.no_grad():
        expected = as_bart(ours)(source, attention_mask=visible.long(), decoder_input_ids=target).logits
    assert_equal(ours(source, target, visible), expected)


def torch_layer(kind: type, ours: Block | CrossBlock, attentions: dict[str, MultiHeadAttention], norms: list[str]):
    """One of torch's layers with the weights of ours."""
    theirs = kind(
        D_MODEL,
        N_HEADS,
        dim_feedforward=4 * D_MODEL,
        dropout=0.0,
        activation=partial(F.gelu, approximate="tanh"),
        batch_first=True,
        norm_first=ours.norm == "pre",
        dtype=torch.float64,
    ).requires_grad_(False)
    parts = {"linear1": ours.ffn.expand, "linear2": ours.ffn.contract}
    parts |= {f"norm{i}": ours.get_submodule(name) for i, name in enumerate(norms, start=1)}
    state = named(parts)
    for name, attention in attentions.items():
        joined = (attention.query, attention.key, attention.value)
        state |= named({f"{name}.out_proj": attention.output})
        state[f"{name}.in_proj_weight"] = torch.cat([part.weight for part in joined])
        state[f"{name}.in_proj_bias"] = torch.cat([part.bias for part in joined])
    theirs.load_state_dict(state)
    return theirs


def random_vectors(seq: int, seed: int) -> Tensor:
    return torch.randn(BATCH, seq, D_MODEL, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@every_norm
def test_a_layer_equals_torch(norm):
    ours = Block(D_MODEL, N_HEADS, norm=norm)
    randomise(ours)
    attentions = {"self_attn": ours.attention}
    theirs = torch_layer(nn.TransformerEncoderLayer, ours, attentions, ["attention_norm", "ffn_norm"])
    x, mask = random_vectors(SEQ, seed=1), causal_mask(SEQ)
    # torch's masks are True where a query may *not* look.
    assert_equal(ours(x, mask), theirs(x, src_mask=~mask))


@every_norm
def test_a_layer_with_cross_attention_equals_torch(norm):
    ours = CrossBlock(D_MODEL, N_HEADS, norm=norm)
    randomise(ours)
    attentions = {"self_attn": ours.attention, "multihead_attn": ours.cross_attention}
    norms = ["attention_norm", "cross_attention_norm", "ffn_norm"]
    theirs = torch_layer(nn.TransformerDecoderLayer, ours, attentions, norms)
    x, context, mask = random_vectors(SEQ, seed=1), random_vectors(SOURCE, seed=2), causal_mask(SEQ)
    visible = torch.arange(SOURCE) < torch.tensor([[3], [SOURCE]])
    expected = theirs(x, context, tgt_mask=~mask, memory_key_padding_mask=~visible)
    assert_equal(ours(x, context, mask, visible.unsqueeze(1)), expected)


@pytest.mark.parametrize("build", [decoder, encoder])
def test_relative_biases_equal_t5(build):
    positions = build(position="relative").positions
    config = T5Config(d_model=D_MODEL, d_kv=D_HEAD, num_heads=N_HEADS, is_decoder=build is decoder)
    theirs = T5Attention(config, has_relative_attention_bias=True, layer_idx=0).double()
    theirs.relative_attention_bias.load_state_dict({"weight": positions.weight})
    bias = positions.bias(torch.arange(150), torch.arange(200), torch.float64)
    assert_equal(bias, theirs.compute_bias(150, 200)[0].detach())


def test_sinusoidal_positions_are_a_table_from_the_papers_formula_beside_words_of_unit_variance():
    ours, looped = decoder(position="sinusoidal"), decoder(position="learned")
    state = ours.state_dict()
    state["embedding.weight"] = ours.embedding.weight / STD
    angles = [[p / 10_000 ** (2 * i / D_MODEL) for i in range(D_MODEL // 2)] for p in range(MAX_LEN)]
    table = [[wave(a) for a in row for wave in (math.sin, math.cos)] for row in angles]
    state["positions.weight"] = torch.tensor(table, dtype=torch.float64)
    looped.load_state_dict(state)
    assert_equal(ours.hidden(random_tokens()), looped.hidden(random_tokens()))


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
        split = weights(normed).view(BATCH, SEQ, N_HEADS, D_HEAD).transpose(1, 2)
        if part < 2:
            turned = torch.complex(split[..., :2], split[..., 2:]) * turn
            split = torch.cat((turned.real, turned.imag), -1)
        heads.append(split)
    mixed = F.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2).reshape(BATCH, SEQ, D_MODEL)
    x = x + block.attention.output(mixed)
    x = x + block.ffn(block.ffn_norm(x))
    expected = model.final_norm(x) @ model.embedding.weight.T
    assert_equal(model(tokens), expected)


# --------------------------------------------------------------------------------------------------------------
# The decoder
# --------------------------------------------------------------------------------------------------------------


@every_position
@every_norm
@pytest.mark.parametrize("n_kv_heads", [None, 2])
@settings(max_examples=5)
@given(cuts=st.sets(st.integers(1, SEQ - 1)))
def test_cached_equals_uncached(position, norm, n_kv_heads, cuts):
    model, tokens = decoder(position=position, norm=norm, n_kv_heads=n_kv_heads), random_tokens()
    cache = model.empty_cache(BATCH)
    edges = [0, *sorted(cuts), SEQ]
    pieces = [model(tokens[:, a:b], cache) for a, b in pairwise(edges)]
    assert_equal(torch.cat(pieces, 1), model(tokens), atol=1e-11)
    assert [part.length for part in cache] == [SEQ] * N_LAYERS


@every_position
@every_norm
def test_a_later_token_changes_no_earlier_logit(position, norm):
    model, tokens = decoder(position=position, norm=norm), random_tokens()
    before = model(tokens)
    for i in range(SEQ):
        changed = tokens.clone()
        changed[:, i] = (changed[:, i] + 1) % VOCAB_SIZE
        after = model(changed)
        torch.testing.assert_close(after[:, :i], before[:, :i], rtol=0, atol=0)
        assert (after[:, i:] - before[:, i:]).abs().amax(-1).min() > 1e-6


@every_position
@pytest.mark.parametrize("n_layers", [1, 2])
def test_the_order_of_the_past_matters(position, n_layers):
    """Without positions one layer sees a bag of words. The second sees what the first made of each part of the past."""
    model = decoder(position=position, n_layers=n_layers)
    tokens, swapped = torch.tensor([[3, 5, 7, 2]]), torch.tensor([[5, 3, 7, 2]])
    difference = change(model(swapped)[:, -1], model(tokens)[:, -1])
    if position == "none" and n_layers == 1:
        assert difference < 1e-12
    else:
        assert difference > 1e-3


def test_as_many_key_value_heads_as_heads_is_multi_head_attention():
    grouped, plain = decoder(n_kv_heads=N_HEADS), decoder()
    assert {name: p.shape for name, p in grouped.named_parameters()} == {
        name: p.shape for name, p in plain.named_parameters()
    }
    assert torch.equal(grouped(random_tokens()), plain(random_tokens()))


def test_grouping_shrinks_the_cache():
    full, grouped = decoder().empty_cache(BATCH), decoder(n_kv_heads=2).empty_cache(BATCH)
    assert full[0].keys.shape == (BATCH, N_HEADS, MAX_LEN, D_HEAD)
    assert grouped[0].keys.shape == (BATCH, 2, MAX_LEN, D_HEAD)
    assert len(full) == N_LAYERS


# --------------------------------------------------------------------------------------------------------------
# The encoder
# --------------------------------------------------------------------------------------------------------------


@every_norm
@given(order=st.permutations(range(SEQ)))
def test_an_encoder_without_positions_cannot_order(norm, order):
    model, tokens = encoder(position="none", norm=norm), random_tokens()
    assert_equal(model(tokens[:, order]), model(tokens)[:, order])


@every_norm
@pytest.mark.parametrize("position", [position for position in POSITIONS if position != "none"])
def test_an_encoder_with_positions_can_order(position, norm):
    model, tokens = encoder(position=position, norm=norm), random_tokens()
    assert change(model(tokens.roll(1, 1)), model(tokens).roll(1, 1)) > 1e-3


@every_position
def test_an_encoder_tells_a_text_from_its_mirror_image(position):
    """Unless it knows no more than distances without a direction."""
    model, tokens = encoder(position=position), random_tokens()
    if position in ("alibi", "none"):
        assert_equal(model(tokens.flip(1)), model(tokens).flip(1))
    else:
        assert change(model(tokens.flip(1)), model(tokens).flip(1)) > 1e-3


@every_position
def test_every_token_reaches_every_logit_of_an_encoder(position):
    model, tokens = encoder(position=position), random_tokens()
    before = model(tokens)
    for i in range(SEQ):
        changed = tokens.clone()
        changed[:, i] = (changed[:, i] + 1) % VOCAB_SIZE
        assert (model(changed) - before).abs().amax(-1).min() > 1e-6


@every_position
@every_norm
def test_padding_behind_a_text_changes_nothing(position, norm):
    model, tokens = encoder(position=position, norm=norm), random_tokens()
    lengths = torch.tensor([4, SEQ])
    together = model(tokens, torch.arange(SEQ) < lengths[:, None])
    for b, length in enumerate(lengths):
        assert_equal(together[b, :length], model(tokens[b : b + 1, :length])[0])


@every_position
@every_norm
def test_padding_before_a_text_matters_only_if_positions_are_absolute(position, norm):
    """It shifts the text. What depends on distances alone stays as it was."""
    model, tokens = encoder(position=position, norm=norm), random_tokens()
    shift = 3
    shifted = model(tokens, (torch.arange(SEQ) >= shift).expand(BATCH, SEQ))[:, shift:]
    alone = model(tokens[:, shift:])
    if position in ("learned", "sinusoidal"):
        assert change(shifted, alone) > 1e-3
    else:
        assert_equal(shifted, alone)


# --------------------------------------------------------------------------------------------------------------
# The encoder-decoder
# --------------------------------------------------------------------------------------------------------------


@every_position
@every_norm
def test_an_encoder_decoder_sees_all_of_the_source_and_the_past_of_the_target(position, norm):
    model = encoder_decoder(position=position, norm=norm, n_kv_heads=2)
    source, target = random_tokens(seq=SOURCE), random_tokens(1)
    before = model(source, target)
    for i in range(SEQ):
        changed = target.clone()
        changed[:, i] = (changed[:, i] + 1) % VOCAB_SIZE
        after = model(source, changed)
        torch.testing.assert_close(after[:, :i], before[:, :i], rtol=0, atol=0)
        assert (after[:, i:] - before[:, i:]).abs().amax(-1).min() > 1e-9
    for i in range(SOURCE):
        changed = source.clone()
        changed[:, i] = (changed[:, i] + 1) % VOCAB_SIZE
        assert (model(changed, target) - before).abs().amax(-1).min() > 1e-9


@every_position
@every_norm
def test_padding_behind_the_source_changes_nothing(position, norm):
    model = encoder_decoder(position=position, norm=norm)
    source, target = random_tokens(seq=SOURCE), random_tokens(1)
    together = model(source, target, torch.arange(SOURCE) < torch.tensor([[4], [SOURCE]]))
    assert_equal(together[0], model(source[:1, :4], target[:1])[0])
    assert_equal(together[1], model(source[1:], target[1:])[0])


# --------------------------------------------------------------------------------------------------------------
# All
# --------------------------------------------------------------------------------------------------------------


@every_position
@every_norm
@pytest.mark.parametrize("build", [decoder, encoder])
@pytest.mark.parametrize("n_kv_heads", [None, 2])
def test_attention_weights_are_those_that_the_model_uses(build, position, norm, n_kv_heads):
    model, tokens = build(position=position, norm=norm, n_kv_heads=n_kv_heads), random_tokens()
    inputs, outputs = [], []

    def remember(attention: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        inputs.append(args[0])
        outputs.append(output)

    for block in model.blocks:
        block.attention.register_forward_hook(remember)
    model(tokens)
    used = list(zip(model.blocks, inputs, outputs, strict=True))
    for (block, x, output), weights in zip(used, model.attention_weights(tokens), strict=True):
        assert weights.shape == (BATCH, N_HEADS, SEQ, SEQ)
        torch.testing.assert_close(weights.sum(-1), torch.ones(BATCH, N_HEADS, SEQ, dtype=torch.float64))
        assert (weights.triu(1) == 0).all() == (build is decoder)
        value = block.attention.value(x).unflatten(-1, (-1, D_HEAD))
        value = value.repeat_interleave(N_HEADS // value.shape[2], dim=2)
        mixed = torch.einsum("bhqk,bkhd->bqhd", weights, value).flatten(2)
        assert_equal(block.attention.output(mixed), output)


def test_attention_weights_leave_padding_out():
    visible = torch.arange(SEQ) < torch.tensor([[4], [SEQ]])
    for weights in encoder().attention_weights(random_tokens(), visible):
        assert (weights[0, :, :, 4:] == 0).all()
        torch.testing.assert_close(weights.sum(-1), torch.ones(BATCH, N_HEADS, SEQ, dtype=torch.float64))


@pytest.mark.parametrize("build", [decoder, encoder])
def test_the_output_layer_is_the_embedding(build):
    model, tokens = build(), random_tokens()
    assert_equal(model(tokens), model.hidden(tokens) @ model.embedding.weight.T)


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("build", [Decoder, Encoder])
def test_sizes(build):
    words, layer, norm = 64 * VOCAB_SIZE, 12 * 64**2 + 13 * 64, 2 * 64
    without = words + 2 * layer + norm  # the last norm, or after each part, the one of the embeddings
    extra = {"learned": 128 * 64, "relative": 32 * 4}
    for position in POSITIONS:
        for norm in NORMS:
            model = build(Config(vocab_size=VOCAB_SIZE, position=position, norm=norm))
            assert count(model) == without + extra.get(position, 0)


@every_position
@every_norm
@pytest.mark.parametrize("build", [Decoder, Encoder])
def test_a_new_model_knows_nothing_and_every_parameter_learns(build, position, norm):
    torch.manual_seed(0)
    model = build(Config(vocab_size=VOCAB_SIZE, position=position, norm=norm))
    logits = model(random_tokens())
    assert logits.std() < 0.5
    logits.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        # The keys' bias adds the same number to all scores of a query, and the softmax cannot see it, unless each key
        # is turned by its own angle.
        learns = position == "rope" or not name.endswith("attention.key.bias")
        assert (parameter.grad.abs().max() > 1e-6) == learns, name


@pytest.mark.parametrize("build", [Decoder, Encoder])
def test_weights_start_as_gpt2s(build):
    torch.manual_seed(0)
    model = build(Config(vocab_size=100, d_model=128, n_layers=8, position="learned"))
    for name, parameter in model.named_parameters():
        if "norm" in name:
            assert (parameter == (1 if name.endswith("weight") else 0)).all()
        elif name.endswith("bias"):
            assert (parameter == 0).all()
        else:
            writes = "output" in name or "contract" in name
            assert parameter.std().item() == pytest.approx(0.02 / 4 if writes else 0.02, rel=0.05), name


@every_position
@pytest.mark.parametrize("build", [Decoder, Encoder])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_kept_and_close(build, position, dtype):
    torch.manual_seed(0)
    model = build(Config(vocab_size=VOCAB_SIZE, position=position)).requires_grad_(False)
    expected = model(random_tokens())
    logits = model.to(dtype)(random_tokens())
    assert logits.dtype == dtype
    torch.testing.assert_close(logits.float(), expected, rtol=0, atol=0.02)


def test_half_precision_turns_distant_neighbours_by_different_angles():
    positions = torch.arange(3000, 3000 + SEQ)
    rotate = Decoder(Config(**SIZES)).positions.rotation(positions, torch.bfloat16)
    ones = torch.ones(BATCH, N_HEADS, SEQ, D_HEAD)
    expected = rotary(ones, rotary_angles(positions, D_HEAD))
    torch.testing.assert_close(rotate(ones.bfloat16()).float(), expected, rtol=0, atol=0.01)


@every_position
@pytest.mark.parametrize("build", [Decoder, Encoder])
def test_every_tensor_is_made_where_the_tokens_are(build, position):
    """The device "meta" computes shapes only, and like a GPU refuses tensors that were made on the CPU."""
    model, tokens = build(Config(**SIZES, position=position)).to("meta"), random_tokens().to("meta")
    assert model(tokens).is_meta
    assert all(weights.is_meta for weights in model.attention_weights(tokens))
    if build is Decoder:
        with torch.no_grad():
            assert model(tokens, model.empty_cache(BATCH)).is_meta


def test_text_longer_than_the_context_window_is_refused():
    message = "context window holds 11 tokens, and 12 were given"
    for model in (decoder(), encoder()):
        with pytest.raises(ValueError, match=message):
            model(random_tokens(seq=12))
        with pytest.raises(ValueError, match=message):
            model.attention_weights(random_tokens(seq=12))
    for texts in ((12, SEQ), (SOURCE, 12)):
        with pytest.raises(ValueError, match=message):
            encoder_decoder()(*(random_tokens(seq=seq) for seq in texts))
    model = decoder()
    cache = model.empty_cache(BATCH)
    model(random_tokens(seq=11), cache)
    with pytest.raises(ValueError, match=message):
        model(random_tokens(seq=1), cache)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"position": "sinus"},
            "position must be one of rope, learned, .*, none; it is 'sinus'",
        ),
        ({"norm": "middle"}, "norm must be one of pre, post; it is 'middle'"),
    ],
)
def test_unknown_words_in_a_config_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Config(vocab_size=VOCAB_SIZE, **wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_heads": 5}, "d_model = 24 cannot be cut into 5 heads"),
        ({"n_kv_heads": 4}, "6 query heads cannot share 4 key-value heads evenly"),
    ],
)
def test_heads_that_do_not_divide_are_refused(wrong, message):
    for build in (Decoder, Encoder, EncoderDecoder):
        with pytest.raises(ValueError, match=message):
            build(Config(**(SIZES | wrong)))


MISFITS = {
    "one sequence without a batch": lambda: decoder()(random_tokens()[0]),
    "tokens as numbers": lambda: decoder()(random_tokens().double()),
    "other batch of visible": lambda: encoder()(random_tokens(), torch.ones(BATCH + 1, SEQ, dtype=torch.bool)),
    "other length of visible": lambda: encoder()(random_tokens(), torch.ones(BATCH, SEQ + 1, dtype=torch.bool)),
    "visible as numbers": lambda: encoder()(random_tokens(), torch.ones(BATCH, SEQ)),
}


@pytest.mark.parametrize("call", MISFITS.values(), ids=MISFITS)
def test_shapes_that_do_not_fit_are_refused(call):
    with pytest.raises(TypeCheckError):
        call()

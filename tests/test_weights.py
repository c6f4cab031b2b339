import json

import numpy as np
import pytest
import torch

from labutils.models import Config, Decoder
from labutils.objectives import causal_loss, kl_to_law
from labutils.training import train
from labutils.weights import (
    WORLD_DECODER,
    WORLD_ENCODER,
    about,
    fingerprint,
    load_model,
    load_world_decoder,
    load_world_encoder,
    save_model,
)
from labutils.world import World

VOCAB = ("<bos>", "a", "b")


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def share_above_the_floor(model: Decoder, world: World, length: int, documents: int = 200) -> float:
    """KL(law || model) on fresh documents of <bos> and `length` tokens, as a share of the entropy."""
    tokens = world.sample(documents, length, seed=2_000_000).tokens[:, :-1]
    with torch.no_grad():
        kl = kl_to_law(torch.from_numpy(world.next_token_law(tokens)), model(torch.from_numpy(tokens)))
    return kl.item() / world.entropy_rate(length)[0]


@pytest.mark.parametrize("length", [64, 127])
def test_the_shipped_decoder_is_within_half_a_percent_of_the_floor(world, length):
    assert 0 < share_above_the_floor(load_world_decoder(), world, length) <= 0.005


def test_the_shipped_decoder_knows_the_desserts(world):
    prompt = torch.from_numpy(world.prompt("for dessert we had the"))
    with torch.no_grad():
        model = load_world_decoder()(prompt)[0, -1].double().softmax(-1)
    law = torch.from_numpy(world.law_after("for dessert we had the"))
    assert (model - law).abs().sum() / 2 <= 0.07
    for word in ("cake", "donut", "banana", "apple"):
        token = world.encode(word)[0]
        assert model[token].item() == pytest.approx(law[token].item(), rel=0.25)


def test_what_is_written_beside_the_weights_is_so(world):
    model, facts = load_world_decoder(), about()
    assert facts["vocab_sha256"] == fingerprint(world.vocab)
    assert facts["training"]["parameters"] == sum(p.numel() for p in model.parameters())
    assert facts["measured"]["kl_share_of_floor"] == pytest.approx(share_above_the_floor(model, world, 127), rel=0.1)
    assert WORLD_DECODER.stat().st_size < 1.5e6
    assert not model.training
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_the_shipped_encoder_is_within_three_percent_of_the_exact_law_of_masked_words(world):
    """On documents and a mask of its own; and what is written beside the weights is so."""
    model, facts = load_world_encoder(), about(WORLD_ENCODER)
    tokens = world.sample(200, 63, seed=2_000_000).tokens
    mask = np.random.default_rng(1).random(tokens.shape) < 0.15
    mask[:, 0] = False
    law = torch.from_numpy(world.masked_token_law(tokens, mask))
    mask_token = world.vocab.index("<mask>")
    with torch.no_grad():
        logits = model(torch.from_numpy(np.where(mask, mask_token, tokens)))[torch.from_numpy(mask)]
    share = (kl_to_law(law, logits) / torch.special.entr(law).sum(-1).mean()).item()
    assert 0 < share <= 0.03
    assert facts["measured"]["kl_share_of_floor"] == pytest.approx(share, rel=0.2)  # two samples of some 2,000 words
    assert facts["training"]["parameters"] == sum(p.numel() for p in model.parameters())
    assert facts["vocab_sha256"] == fingerprint(world.vocab)
    assert not model.training


def test_a_decoder_is_loaded_as_it_was_saved(tmp_path):
    path = tmp_path / "small.safetensors"
    model = Decoder(Config(vocab_size=len(VOCAB), d_model=8, n_heads=2, n_layers=1, position="learned"))
    save_model(path, model, VOCAB, {"note": "a test"})
    loaded = load_model(Decoder, path, VOCAB)
    assert loaded.config == model.config
    assert about(path)["note"] == "a test"
    tokens = torch.tensor([[0, 1, 2, 1]])
    torch.testing.assert_close(loaded(tokens), model(tokens), rtol=0, atol=0)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["small.json", "small.safetensors"]


@pytest.mark.parametrize("vocab", [("<bos>", "b", "a"), ("<bos>", "a"), ("<bos>", "a", "b", "c")])
def test_another_vocabulary_is_refused(tmp_path, vocab):
    path = tmp_path / "small.safetensors"
    save_model(path, Decoder(Config(vocab_size=len(VOCAB))), VOCAB, {})
    with pytest.raises(ValueError, match=r"small\.safetensors was trained on another vocabulary"):
        load_model(Decoder, path, vocab)


def test_weights_that_do_not_fit_the_config_are_refused(tmp_path):
    path = tmp_path / "small.safetensors"
    save_model(path, Decoder(Config(vocab_size=len(VOCAB))), VOCAB, {})
    description = about(path)
    description["config"]["d_model"] = 32
    path.with_suffix(".json").write_text(json.dumps(description), encoding="utf-8")
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_model(Decoder, path, VOCAB)


def test_the_labs_recipe_closes_on_the_floor(world):
    """200 steps instead of 600; benchmarks/recipe.py runs it whole and asks for 3%."""
    torch.manual_seed(0)
    model = Decoder(Config(vocab_size=world.vocab_size))
    losses = train(
        model,
        lambda step: torch.from_numpy(world.sample(32, 63, seed=step).tokens),
        lambda model, tokens: causal_loss(model(tokens), tokens),
        steps=200,
        lr=6e-3,
    )
    floor = world.entropy_rate(63)[0]
    assert losses[0] > 2.5 * floor
    assert 0.03 < share_above_the_floor(model, world, 63) < 0.15

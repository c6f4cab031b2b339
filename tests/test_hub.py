"""Loading is tested on a stand-in: a real configuration with random weights, saved and loaded as a hub model is."""

import re
from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from labutils import hub
from labutils.sampling import HuggingFaceModel, generate


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=11, n_positions=16, n_embd=12, n_layer=2, n_head=3, bos_token_id=0, eos_token_id=0)
    )
    model.save_pretrained(tmp_path)
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(11)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0").save_pretrained(tmp_path)
    monkeypatch.setitem(hub.MODELS, "gpt2", replace(hub.MODELS["gpt2"], id=str(tmp_path)))
    return model.eval()


def test_loads_the_saved_weights_in_the_dtype_asked_for(stand_in):
    model, tokenizer = hub.load("gpt2", dtype=torch.float64)
    tokens = torch.tensor([tokenizer.encode("w3 w5 w7")])
    assert tokens.tolist() == [[3, 5, 7]]
    assert not model.training
    torch.testing.assert_close(model(tokens).logits, stand_in.double()(tokens).logits)


def test_attention_weights_can_be_read(stand_in):
    model, _ = hub.load("gpt2")
    attentions = model(torch.tensor([[1, 2, 3, 4, 5]]), output_attentions=True).attentions
    assert [tuple(weights.shape) for weights in attentions] == [(1, 3, 5, 5)] * 2


def test_the_courses_own_loop_runs_on_it(stand_in):
    model, _ = hub.load("gpt2")
    ours = generate(HuggingFaceModel(model), torch.tensor([[1, 2]]), max_new_tokens=6, greedy=True)
    theirs = stand_in.generate(
        torch.tensor([[1, 2]]), max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    assert torch.equal(ours.tokens, theirs)


def test_an_encoder_comes_with_its_masked_language_model(tmp_path, monkeypatch):
    torch.manual_seed(0)
    saved = BertForMaskedLM(
        BertConfig(vocab_size=11, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=16)
    )
    saved.save_pretrained(tmp_path)
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(11)}, unk_token="w0"))
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0").save_pretrained(tmp_path)
    monkeypatch.setitem(hub.MODELS, "bert", replace(hub.MODELS["bert"], id=str(tmp_path)))
    model, _ = hub.load("bert")
    tokens = torch.tensor([[1, 2, 3, 4]])
    torch.testing.assert_close(model(tokens).logits, saved.eval()(tokens).logits)


def test_without_network_one_sentence_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(hub.MODELS, "gpt2", replace(hub.MODELS["gpt2"], id=str(tmp_path / "nothing-here")))
    with pytest.raises(hub.Unavailable, match=r"is not on this machine and the model hub cannot be reached"):
        hub.load("gpt2")


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(KeyError, match=r"has no model 'gpt3'\. It has: gpt2"):
        hub.load("gpt3")


def test_every_model_is_pinned_to_a_commit_and_names_its_licence():
    for source in hub.MODELS.values():
        assert re.fullmatch("[0-9a-f]{40}", source.revision)
        assert source.licence in {"MIT", "Apache-2.0"}

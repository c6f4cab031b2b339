"""Our decoder and Hugging Face's GPT-2 of the same size, for the benchmarks that put one beside the other."""

from typing import Any

from transformers import GPT2Config, GPT2LMHeadModel

from labutils import runtime
from labutils.models import Config, Decoder

Gpt2 = Any  # a GPT2LMHeadModel, whose mixins a type checker cannot follow

TINY = Config(vocab_size=50, d_model=8, n_heads=2, n_layers=1, max_len=64, position="learned")
SMALL = Config(vocab_size=1000, d_model=128, n_heads=4, n_layers=4, max_len=512, position="learned")
LARGE = Config(vocab_size=50_257, d_model=768, n_heads=12, n_layers=12, max_len=1024, position="learned")


def size(*, tiny: bool) -> Config:
    """The size of both models: that of GPT-2 on a GPU, a small one on the CPU."""
    return TINY if tiny else LARGE if runtime.profile() == "gpu" else SMALL


def pair(config: Config) -> tuple[Decoder, Gpt2]:
    """Both models, untrained and without dropout, for ours has none. They have equally many parameters."""
    sizes = GPT2Config(
        vocab_size=config.vocab_size,
        n_positions=config.max_len,
        n_embd=config.d_model,
        n_layer=config.n_layers,
        n_head=config.n_heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=None,
        pad_token_id=0,
    )
    theirs: Gpt2 = GPT2LMHeadModel(sizes)
    theirs.loss_type = "ForCausalLM"  # or else the Trainer guesses it, with a warning
    ours = Decoder(config)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    return ours.to(runtime.device()), theirs.to(runtime.device())

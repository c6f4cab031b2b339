"""What the cache saves by length, and our decoder beside Hugging Face's GPT-2 of the same size.

    python benchmarks/decoding.py

All comparisons are ratios of calls that ran side by side in this run.
"""

from collections.abc import Callable
from typing import Any

import torch
from timing import compare, start
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.cache_utils import DynamicCache

from labutils import runtime
from labutils.models import Config, Decoder
from labutils.objectives import causal_loss
from labutils.sampling import generate

SMALL = Config(vocab_size=1000, d_model=128, n_heads=4, n_layers=4, max_len=512, position="learned")
LARGE = Config(vocab_size=50_257, d_model=768, n_heads=12, n_layers=12, max_len=1024, position="learned")
ROUNDS = 5


Gpt2 = Any  # a GPT2LMHeadModel, whose mixins a type checker cannot follow


def gpt2(config: Config) -> Gpt2:
    """Hugging Face's model of the same size, without its dropout, for we have none."""
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
    return GPT2LMHeadModel(sizes)


def training_step(model: nn.Module, logits: Callable[[Tensor], Tensor], tokens: Tensor) -> Callable[[], None]:
    """One step of AdamW, the same for both models."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        causal_loss(logits(tokens), tokens).backward()
        optimizer.step()

    return step


@torch.no_grad()
def bare_loop(model: Gpt2, prompt: Tensor, max_new_tokens: int) -> Tensor:
    """Greedy decoding with GPT-2's cache and nothing else, as our `generate` does it."""
    cache, tokens, unseen = DynamicCache(config=model.config), prompt, prompt
    for _ in range(max_new_tokens):
        unseen = model(unseen, past_key_values=cache).logits[:, -1:].argmax(-1)
        tokens = torch.cat((tokens, unseen), 1)
    return tokens


def main() -> None:
    gpu = runtime.profile() == "gpu"
    device, config = runtime.device(), LARGE if gpu else SMALL
    start()
    ours, theirs = Decoder(config).to(device), gpt2(config).to(device)
    n_parameters = sum(p.numel() for p in ours.parameters())
    assert n_parameters == sum(p.numel() for p in theirs.parameters())
    print(f"{n_parameters:,} parameters each")

    prompt = torch.randint(config.vocab_size, (1, 8), device=device)
    print("\nOur generation without the cache, over that with it (batch 1, a prompt of 8 tokens)")
    for length in (16, 64, 256):
        ways = [
            lambda use_cache=use_cache, length=length: generate(
                ours, prompt, max_new_tokens=length, greedy=True, use_cache=use_cache
            )
            for use_cache in (True, False)
        ]
        cached, uncached = compare(ways, rounds=ROUNDS)
        print(f"{length:7} new tokens {uncached.ratio:6.2f} ({cached.seconds * 1e3:.0f} ms with the cache)", flush=True)

    length = 128
    print("\nOur speed over that of Hugging Face's GPT-2 (above 1: ours is faster)")
    decoding = [
        lambda: generate(ours, prompt, max_new_tokens=length, greedy=True),
        lambda: bare_loop(theirs, prompt, length),
        lambda: theirs.generate(prompt, max_new_tokens=length, do_sample=False),
    ]
    theirs.eval()
    mine, loop, method = compare(decoding, rounds=ROUNDS)
    print(f"generation, batch 1, a bare loop around GPT-2   {loop.ratio:6.2f} ({length / mine.seconds:,.0f} tokens/s)")
    print(f"generation, batch 1, GPT-2's generate()         {method.ratio:6.2f}", flush=True)

    theirs.train()
    for batch, seq in ((32, 64), (4, 512)):
        tokens = torch.randint(config.vocab_size, (batch, seq), device=device)
        steps = [training_step(ours, ours, tokens), training_step(theirs, lambda x: theirs(x).logits, tokens)]
        mine, other = compare(steps, rounds=ROUNDS)
        name = f"training, {batch} texts of {seq} tokens"
        print(f"{name:47} {other.ratio:6.2f} ({batch * seq / mine.seconds:,.0f} tokens/s)", flush=True)


if __name__ == "__main__":
    main()

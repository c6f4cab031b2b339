"""What the cache saves by length, and our generation beside Hugging Face's, with models of the same size.

python benchmarks/decoding.py
"""

from functools import partial

import torch
from gpt2 import Gpt2, pair, size
from results import Row, publish
from timing import compare, start
from torch import Tensor
from transformers.cache_utils import DynamicCache

from labutils import runtime
from labutils.sampling import generate


@torch.no_grad()
def bare_loop(model: Gpt2, prompt: Tensor, max_new_tokens: int) -> Tensor:
    """Greedy decoding with GPT-2's cache and nothing else."""
    cache, tokens, unseen = DynamicCache(config=model.config), prompt, prompt
    for _ in range(max_new_tokens):
        unseen = model(unseen, past_key_values=cache).logits[:, -1:].argmax(-1)
        tokens = torch.cat((tokens, unseen), 1)
    return tokens


def rows(*, tiny: bool = False) -> list[Row]:
    """All that this benchmark measures: one text, a prompt of 8 tokens, the most probable token each time."""
    start()
    rounds, config = 1 if tiny else 5, size(tiny=tiny)
    ours, theirs = pair(config)
    theirs.eval()
    prompt = torch.randint(config.vocab_size, (1, 8), device=runtime.device())
    write = partial(generate, ours, prompt, greedy=True)

    found = []
    for length in (4, 8) if tiny else (16, 32, 64, 128, 256):
        times = compare(
            {cached: partial(write, max_new_tokens=length, use_cache=cached) for cached in (False, True)}, rounds=rounds
        )
        found.append(
            Row(
                key=f"cache-{length}",
                what="our generate, with the cache",
                seconds=times[True],
                other="without the cache",
                other_seconds=times[False],
                size=length,
                amount=length,
            )
        )

    length = 8 if tiny else 128
    ways = {
        "ours": partial(write, max_new_tokens=length),
        "a bare loop around GPT-2": partial(bare_loop, theirs, prompt, length),
        "GPT-2's generate": partial(
            theirs.generate, prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=length, do_sample=False
        ),
    }
    times = compare(ways, rounds=rounds)
    return found + [
        Row(
            key=key,
            what=f"our generate, {length} tokens",
            seconds=times["ours"],
            other=other,
            other_seconds=times[other],
            amount=length,
        )
        for key, other in (("loop", "a bare loop around GPT-2"), ("generate", "GPT-2's generate"))
    ]


if __name__ == "__main__":
    publish("decoding", rows)

"""The lab's recipe at full size: a decoder of 0.12 million parameters, 600 steps. It must come within 3% of the floor.

    python benchmarks/training.py

It prints what it cost and how close it came, and exits with 1 if the model is further away.
"""

import sys
import time

import torch

from labutils import runtime
from labutils.models import Config, Decoder
from labutils.objectives import causal_loss, kl_to_law
from labutils.training import train
from labutils.world import World

STEPS, BATCH, LENGTH, LR = 600, 32, 64, 6e-3
LIMIT = 0.03


def main() -> int:
    torch.set_num_threads(1)
    runtime.seed(0)
    world = World()
    model = Decoder(Config(vocab_size=world.vocab_size))

    start = time.process_time()
    train(
        model,
        lambda step: torch.from_numpy(world.sample(BATCH, LENGTH - 1, seed=step).tokens),
        lambda model, tokens: causal_loss(model(tokens), tokens),
        steps=STEPS,
        lr=LR,
    )
    seconds = time.process_time() - start

    tokens = world.sample(400, LENGTH - 1, seed=1_000_000).tokens[:, :-1]
    with torch.no_grad():
        kl = kl_to_law(torch.from_numpy(world.next_token_law(tokens)), model(torch.from_numpy(tokens))).item()
    floor, _ = world.entropy_rate(LENGTH - 1)
    n_tokens = STEPS * BATCH * LENGTH
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {STEPS} steps, {n_tokens:,} tokens")
    print(f"{seconds:.1f} CPU-seconds, {n_tokens / seconds:,.0f} tokens a CPU-second")
    print(f"floor {floor:.4f} nats, the model {kl:.4f} above it: {kl / floor:.2%} (limit {LIMIT:.0%})")
    return int(kl / floor > LIMIT)


if __name__ == "__main__":
    sys.exit(main())

"""The training loop in several processes: the losses do not depend on how many there are.

    python benchmarks/distributed.py
    torchrun --nproc-per-node 2 benchmarks/distributed.py

Both print the same losses, up to the order in which numbers are added. Nothing here knows about processes, except that
one of them does the printing. Each process takes one GPU where there are any; for several machines, tell torchrun how
many and where they meet (`--nnodes`, `--rdzv-endpoint`).
"""

import os
import time

import torch

from labutils import runtime
from labutils.models import Config, Decoder
from labutils.objectives import causal_loss
from labutils.training import train
from labutils.world import World

STEPS, BATCH, LENGTH = 20, 32, 64


def main() -> None:
    world = World()
    runtime.seed(0)
    model = Decoder(Config(vocab_size=world.vocab_size)).to(runtime.device())
    start = time.perf_counter()
    losses = train(
        model,
        lambda step: torch.from_numpy(world.sample(BATCH, LENGTH - 1, seed=step).tokens),
        lambda model, tokens: causal_loss(model(tokens), tokens),
        steps=STEPS,
        lr=6e-3,
    )
    seconds = time.perf_counter() - start
    if os.environ.get("RANK", "0") == "0":
        for step in range(0, STEPS, 5):
            print(f"step {step:2}: {losses[step]:.3f}")
        print(f"step {STEPS - 1:2}: {losses[-1]:.3f}")
        rate = STEPS * BATCH * LENGTH / seconds
        print(f"{os.environ.get('WORLD_SIZE', '1')} process(es): {rate:,.0f} tokens a second")


if __name__ == "__main__":
    main()

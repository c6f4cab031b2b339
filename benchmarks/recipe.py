"""The lab's recipe at full size: a decoder of 0.12 million parameters, 600 steps. It must come within 3% of the floor.

    python benchmarks/recipe.py

It prints what it cost and how close it came, and exits with 1 if the model is further away. In the gpu profile it
trains on the GPU, and then once more at 16 times the batch.
"""

import sys
import time

import torch

from labutils import runtime
from labutils.models import Config, Decoder
from labutils.objectives import causal_loss, kl_to_law
from labutils.training import train
from labutils.world import World

STEPS, LENGTH, LR = 600, 64, 6e-3
LIMIT = 0.03


def recipe(world: World, batch: int) -> float:
    """Train, print one paragraph, and return how far above the floor the model is, as a share of it."""
    runtime.seed(0)
    device = runtime.device()
    model = Decoder(Config(vocab_size=world.vocab_size)).to(device)
    start, cpu_start = time.perf_counter(), time.process_time()
    train(
        model,
        lambda step: torch.from_numpy(world.sample(batch, LENGTH - 1, seed=step).tokens),
        lambda model, tokens: causal_loss(model(tokens), tokens),
        steps=STEPS,
        lr=LR,
    )
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start

    tokens = world.sample(400, LENGTH - 1, seed=1_000_000).tokens[:, :-1]
    with torch.no_grad():
        logits = model(torch.from_numpy(tokens).to(device)).cpu()
    kl = kl_to_law(torch.from_numpy(world.next_token_law(tokens)), logits).item()
    floor, _ = world.entropy_rate(LENGTH - 1)
    n_tokens = STEPS * batch * LENGTH
    print(f"{device}: {sum(p.numel() for p in model.parameters()):,} parameters, {STEPS} steps, {n_tokens:,} tokens")
    print(f"  {seconds:.1f} s ({cpu_seconds:.1f} CPU-seconds), {n_tokens / seconds:,.0f} tokens a second")
    print(f"  floor {floor:.4f} nats, the model {kl:.4f} above it: {kl / floor:.2%} (limit {LIMIT:.0%})", flush=True)
    return kl / floor


def main() -> int:
    world = World()
    if runtime.profile() == "cpu":
        torch.set_num_threads(1)
        return int(recipe(world, 32) > LIMIT)
    return int(max(recipe(world, 32), recipe(world, 512)) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())

"""Train the encoder that comes with the package: `python tools/train_world_encoder.py`.

It writes labutils/weights/world_encoder.safetensors and, beside it, a .json that says how it was made and what was
measured. Every batch is fresh text of the world, corrupted as in BERT. It takes some minutes on one core.
"""

import time
from pathlib import Path

import numpy as np
import torch
import trained

from labutils import runtime
from labutils.models import Config, Encoder
from labutils.objectives import kl_to_law, mask_tokens, masked_loss
from labutils.training import train
from labutils.weights import WORLD_ENCODER, save_model
from labutils.world import World

STEPS, BATCH, LENGTH, LR, WEIGHT_DECAY, RATE = 6000, 32, 64, 6e-3, 0.01, 0.3
BOS, MASK = 0, 1
HELD_OUT = 1_000_000  # the seed of the documents for the test; the batches have the seeds 0 .. STEPS - 1


def main(path: Path = WORLD_ENCODER) -> None:
    """Train, measure, print and save."""
    torch.set_num_threads(1)  # the same sums in the same order, whatever the number of cores
    runtime.seed(0)
    world = World()
    model = Encoder(Config(vocab_size=world.vocab_size))

    def batch(step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        tokens = torch.from_numpy(world.sample(BATCH, LENGTH - 1, seed=step).tokens)
        generator = torch.Generator().manual_seed(step)
        corrupted, chosen = mask_tokens(
            tokens, generator, mask_token=MASK, vocab_size=world.vocab_size, rate=RATE, special=(BOS,)
        )
        return corrupted, tokens, chosen

    start = time.process_time()
    losses = train(
        model,
        batch,
        lambda model, batch: masked_loss(model(batch[0]), *batch[1:]),
        steps=STEPS,
        lr=LR,
        weight_decay=WEIGHT_DECAY,
    )
    training = trained.facts(
        model,
        losses,
        start,
        steps=STEPS,
        batch=BATCH,
        length=LENGTH,
        rate=RATE,
        lr=LR,
        weight_decay=WEIGHT_DECAY,
        tokens=STEPS * BATCH * LENGTH,
    )
    facts = {"training": training, "measured": measure(model, world)}
    trained.show(facts)
    save_model(path, model, world.vocab, facts)


@torch.no_grad()
def measure(model: Encoder, world: World) -> dict[str, object]:
    """How far the model is from the exact law of the masked words, with 15% of fresh documents masked."""
    tokens = world.sample(300, LENGTH - 1, seed=HELD_OUT).tokens
    mask = np.random.default_rng(HELD_OUT).random(tokens.shape) < 0.15
    mask[:, 0] = False
    law = torch.from_numpy(world.masked_token_law(tokens, mask))
    logits = model(torch.from_numpy(np.where(mask, MASK, tokens)))[torch.from_numpy(mask)]
    floor, kl = torch.special.entr(law).sum(-1).mean().item(), kl_to_law(law, logits).item()
    truth = torch.from_numpy(tokens[mask])
    return {
        "floor": round(floor, 4),
        "kl": round(kl, 5),
        "kl_share_of_floor": round(kl / floor, 5),
        "most_likely_word_right": round((logits.argmax(-1) == truth).double().mean().item(), 4),
        "most_likely_word_right_by_the_law": round((law.argmax(-1) == truth).double().mean().item(), 4),
    }


if __name__ == "__main__":
    main()

"""Train the decoder that comes with the package: `python tools/train_world_decoder.py`.

It writes labutils/weights/world_decoder.safetensors and, beside it, a .json that says how it was made and what was
measured. Every batch is fresh text of the world, so there is nothing to overfit. It takes some minutes on one core.
"""

import time
from pathlib import Path

import numpy as np
import torch
import trained

from labutils import runtime
from labutils.models import Config, Decoder
from labutils.objectives import causal_loss, kl_to_law
from labutils.training import train
from labutils.weights import WORLD_DECODER, save_model
from labutils.world import World

STEPS, BATCH, LENGTH, LR, WEIGHT_DECAY = 6000, 16, 128, 6e-3, 0.01
HELD_OUT = 1_000_000  # the seed of the documents for the test; the batches have the seeds 0 .. STEPS - 1


def main(path: Path = WORLD_DECODER) -> None:
    """Train, measure, print and save."""
    torch.set_num_threads(1)  # the same sums in the same order, whatever the number of cores
    runtime.seed(0)
    world = World()
    model = Decoder(Config(vocab_size=world.vocab_size, max_len=LENGTH))

    start = time.process_time()
    losses = train(
        model,
        lambda step: torch.from_numpy(world.sample(BATCH, LENGTH - 1, seed=step).tokens),
        lambda model, tokens: causal_loss(model(tokens), tokens),
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
        lr=LR,
        weight_decay=WEIGHT_DECAY,
        tokens=STEPS * BATCH * LENGTH,
    )
    facts = {"training": training, "measured": measure(model, world)}
    trained.show(facts)
    save_model(path, model, world.vocab, facts)


@torch.no_grad()
def measure(model: Decoder, world: World) -> dict[str, object]:
    """How far the model is from the world's law on fresh documents, in all and for the noun of the dessert."""
    tokens = world.sample(500, LENGTH - 1, seed=HELD_OUT).tokens
    law = torch.from_numpy(world.next_token_law(tokens))
    logits = torch.cat([model(part) for part in torch.from_numpy(tokens).split(100)])
    floor, _ = world.entropy_rate(LENGTH - 1)
    kl = kl_to_law(law[:, :-1], logits[:, :-1]).item()

    # The last word of "for dessert we had the" stands three places after "dessert".
    row, place = np.nonzero(tokens[:, :-3] == world.encode("dessert"))
    nouns = logits[row, place + 3].double().softmax(-1)
    first = model(torch.from_numpy(world.prompt("for dessert we had the")))[0, -1].double().softmax(-1)
    truth = torch.from_numpy(world.law_after("for dessert we had the"))
    words = ("cake", "donut", "banana", "apple")
    return {
        "floor": round(floor, 4),
        "kl": round(kl, 5),
        "kl_share_of_floor": round(kl / floor, 5),
        "dessert_first_sentence": {word: _rounded(first[world.encode(word)[0]]) for word in words},
        "dessert_first_sentence_total_variation": _rounded((first - truth).abs().sum() / 2),
        "dessert_in_documents": {word: _rounded(nouns[:, world.encode(word)[0]].mean()) for word in words},
        "dessert_in_documents_total_variation": _rounded((nouns - truth).abs().sum(-1).mean() / 2),
    }


def _rounded(value: torch.Tensor) -> float:
    return round(value.item(), 4)


if __name__ == "__main__":
    main()

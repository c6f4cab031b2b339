"""What tests/test_training.py runs under torchrun: each process writes down what it saw, as rankN.pt in a folder."""

import os
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from labutils.training import train

ROWS, IN_FEATURES, HIDDEN, OUT_FEATURES = 12, 5, 7, 3
SETTINGS = {"steps": 20, "lr": 1e-2, "checkpoint_every": 5}


def new_model(seed: int = 0) -> nn.Module:
    """In double precision, so that the order of sums hardly matters."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(IN_FEATURES, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, OUT_FEATURES)).double()


def batches(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(ROWS, IN_FEATURES, dtype=torch.float64)  # from torch's own generator, which train() seeds
    return x, x[:, :OUT_FEATURES].sin() * (step + 1) ** 0.5


def loss(model, batch):
    x, y = batch
    return F.mse_loss(model(x), y)


def message(call) -> str:
    try:
        call()
    except ValueError as error:
        return str(error)
    return "nothing was refused"


def main(folder: Path) -> None:
    rank = int(os.environ["RANK"])
    model = new_model(seed=rank)  # process 1 starts elsewhere, and must not
    losses = train(model, batches, loss, **SETTINGS)

    file = folder / "checkpoint.pt"

    def stopped(step):
        if step == 13:
            raise KeyboardInterrupt
        return batches(step)

    try:
        train(new_model(), stopped, loss, checkpoint=file, **SETTINGS)
    except KeyboardInterrupt:
        resumed = new_model(seed=5)
    resumed_losses = train(resumed, batches, loss, checkpoint=file, **SETTINGS)

    noise = []
    train(new_model(), batches, lambda m, b: noise.append(torch.rand(())) or loss(m, b), steps=1, lr=0.0)

    counts = [1.0, 3.0]  # losses of 2 and of 4 for shares in which 1 and 3 tokens count
    unequal = train(new_model(), batches, lambda m, b: loss(m, b) * 0 + counts[rank] + 1, steps=1, lr=0.0)

    torch.save(
        {
            "losses": losses,
            "weights": model.state_dict(),
            "resumed_losses": resumed_losses,
            "resumed_weights": resumed.state_dict(),
            "noise": noise[0],
            "unequal": unequal[0],
            "odd": message(lambda: train(new_model(), lambda step: torch.zeros(11, 5), loss, steps=1, lr=0.0)),
            "unseen": message(
                lambda: train(new_model(), batches, loss, checkpoint=[file, folder / "elsewhere.pt"][rank], **SETTINGS)
            ),
        },
        folder / f"rank{rank}.pt",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))

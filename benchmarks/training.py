"""Our training beside Hugging Face's: GPT-2 of the same size in a plain loop, and in its Trainer.

    python benchmarks/training.py

The plain loop is the same for both models. Our `train` and the Trainer both clip the gradient, follow a cosine and use
the fused AdamW; what they do before the first step is counted too.
"""

import tempfile
from collections.abc import Callable

import torch
from gpt2 import Gpt2, pair, size
from results import Row, publish
from timing import compare, start
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import PrinterCallback, Trainer, TrainingArguments

from labutils import runtime
from labutils.objectives import causal_loss
from labutils.training import train

LR = 1e-4


def plain_loop(model: nn.Module, logits: Callable[[Tensor], Tensor], batches: Tensor) -> None:
    """A step of AdamW for each batch, and nothing else."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, fused=True)
    for tokens in batches:
        optimizer.zero_grad()
        causal_loss(logits(tokens), tokens).backward()
        optimizer.step()


class Texts(Dataset):
    """The rows of all batches, as the Trainer wants them."""

    def __init__(self, batches: Tensor):
        self.rows = batches.flatten(0, 1).cpu()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"input_ids": self.rows[index], "labels": self.rows[index]}


def in_trainer(model: Gpt2, batches: Tensor, folder: str) -> None:
    """The batches in Hugging Face's Trainer, which logs and saves nothing."""
    settings = TrainingArguments(
        output_dir=folder,
        max_steps=len(batches),
        per_device_train_batch_size=batches.shape[1],
        learning_rate=LR,
        lr_scheduler_type="cosine",
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        use_cpu=runtime.device().type == "cpu",
        dataloader_pin_memory=False,
        disable_tqdm=True,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
    )
    trainer = Trainer(model=model, args=settings, train_dataset=Texts(batches))
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def rows(*, tiny: bool = False) -> list[Row]:
    """All that this benchmark measures."""
    start()
    config = size(tiny=tiny)
    ours, theirs = pair(config)
    theirs.train()
    steps, found = (2 if tiny else 10), []
    for batch, length in ((2, 8),) if tiny else ((16, 64), (2, 512)):
        batches = torch.randint(config.vocab_size, (steps, batch, length), device=runtime.device())

        def our_train(batches: Tensor = batches) -> None:
            train(ours, lambda step: batches[step], lambda m, x: causal_loss(m(x), x), steps=steps, lr=LR)

        with tempfile.TemporaryDirectory() as folder:
            ways = {
                "our model": lambda batches=batches: plain_loop(ours, ours, batches),
                "our train": our_train,
                "GPT-2, plain loop": lambda batches=batches: plain_loop(theirs, lambda x: theirs(x).logits, batches),
                "GPT-2, Trainer": lambda batches=batches, folder=folder: in_trainer(theirs, batches, folder),
            }
            times = compare(ways, rounds=1 if tiny else 4)
        texts = f"{batch} × {length} tokens a step"
        found += [
            Row(
                key=f"{key}-{length}",
                what=f"{own}, {texts}",
                seconds=times[name],
                other=other,
                other_seconds=times[other],
                amount=batches.numel(),
            )
            for key, own, name, other in (
                ("model", "our model, plain loop", "our model", "GPT-2, plain loop"),
                ("loop", "our train", "our train", "GPT-2, plain loop"),
                ("trainer", "our train", "our train", "GPT-2, Trainer"),
            )
        ]
    return found


if __name__ == "__main__":
    publish("training", rows)

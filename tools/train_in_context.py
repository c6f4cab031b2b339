"""Train the small models that lab 10 compares: `python tools/train_in_context.py`.

It writes labutils/weights/in_context_*.safetensors and, beside each, a .json that says how it was made; and
labutils/weights/in_context.json with how often each model finds the label, which the chapter's figure draws. Every
prompt is fresh. It takes two minutes on one core.
"""

import json
import time

import torch
from trained import facts

from labutils import runtime
from labutils.models import Config, Decoder
from labutils.task_mixture import GROUPS, TaskMixture, bayes_accuracy, bayes_law, hits, label_loss
from labutils.training import train
from labutils.weights import IN_CONTEXT, load_in_context, save_model

STEPS, BATCH = 2000, 64
LR = {8: 2e-2, 16: 1.6e-2, 32: 1e-2, 64: 4e-3}
NOISE = 0.25
PROMPTS, HELD_OUT = 1000, 10**6  # the test; the training prompts have the seed 1
FIGURE = IN_CONTEXT["8"].with_name("in_context.json")


def train_one(d_model: int, lr: float, noise: float = 0.0) -> tuple[Decoder, dict[str, object]]:
    """A decoder trained on the mixture, and the facts of its training."""
    runtime.seed(0)
    mixture = TaskMixture()
    n_heads = 2 if d_model < 32 else 4
    model = Decoder(Config(vocab_size=mixture.vocab_size, d_model=d_model, n_heads=n_heads, max_len=32))
    prompts = mixture.sample(STEPS * BATCH, 1, neutral=True, noise=noise).tokens
    start = time.process_time()
    losses = train(model, lambda step: prompts[step * BATCH : (step + 1) * BATCH], label_loss, steps=STEPS, lr=lr)
    return model, facts(model, losses, start, steps=STEPS, batch=BATCH, lr=lr, noise=noise)


def measure(model: Decoder) -> dict[str, dict[str, list[float]]]:
    """How often the model finds the label after 0 to 8 examples: by group of instructions and labels of examples."""
    mixture = TaskMixture()
    found: dict[str, dict[str, list[float]]] = {}
    for group, tasks in GROUPS.items():
        prompts = mixture.sample(PROMPTS, HELD_OUT, tasks=tasks)
        found[group] = {
            labels: _rounded(hits(model, mixture.relabelled(prompts, labels), prompts.tokens))
            for labels in ("right", "swapped", "random")
        }
    return found


def bayes() -> list[float]:
    """How often the best reader who cannot use the instruction finds the label, on the prompts of `measure`."""
    mixture = TaskMixture()
    prompts = mixture.sample(PROMPTS, HELD_OUT, tasks=GROUPS["never"])
    labels = prompts.tokens[:, 3::2] - mixture.label_tokens[0]
    return _rounded(bayes_accuracy(bayes_law(prompts.tones, labels), labels))


def write_figure() -> None:
    """Measure the models that were saved, print, and write what the figure draws."""
    models = {name: load_in_context(name) for name in IN_CONTEXT}
    figure = {
        "prompts": PROMPTS,
        "bayes": bayes(),
        "parameters": {name: sum(p.numel() for p in model.parameters()) for name, model in models.items()},
        "accuracy": {name: measure(model) for name, model in models.items()},
    }
    for name, groups in figure["accuracy"].items():
        for group, by_labels in groups.items():
            print(name, group, {labels: [found[k] for k in (0, 1, 2, 4, 8)] for labels, found in by_labels.items()})
    FIGURE.write_text(json.dumps(figure) + "\n", encoding="utf-8")


def _rounded(found: torch.Tensor) -> list[float]:
    return [round(share, 4) for share in found.mean(0).tolist()]


def main() -> None:
    """Train and save each model, then measure them all."""
    torch.set_num_threads(1)  # the same sums in the same order, whatever the number of cores
    mixture = TaskMixture()
    for name, path in IN_CONTEXT.items():
        d_model, noisy = int(name.split("_")[0]), name.endswith("noisy")
        model, training = train_one(d_model, LR[d_model], NOISE if noisy else 0.0)
        save_model(path, model, (*mixture.vocab, *mixture.dictionary), {"training": training}, torch.float16)
        print(name, training, flush=True)
    write_figure()


if __name__ == "__main__":
    main()

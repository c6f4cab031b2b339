"""Draw the picture that other sites show beside a link to this one: `python chapters/figures/card.py`, from the root.

It shows what the course is about in one look: what a small trained model expects after "for dessert we had the", and
the exact law of its language. Both are stored with the model (labutils/weights/world_examples.json).
"""

import json

import matplotlib.pyplot as plt
import numpy as np
import yaml
from figure_kit import BLUE, HERE, INK
from matplotlib.figure import Figure

from labutils.world import World

ROOT = HERE.parent.parent
CARD = ROOT / "_static" / "card.png"
TEXT = "for dessert we had the"
WIDTH, HEIGHT, DPI = 1200, 630, 100  # pixels, as the large previews are cut


def card(words: int = 6) -> Figure:
    """The title on the left, the likeliest words after TEXT on the right."""
    examples = json.loads((ROOT / "labutils" / "weights" / "world_examples.json").read_text(encoding="utf-8"))
    example = next(example for example in examples if example["text"] == TEXT)
    logits, law = np.array(example["logits"]), np.array(example["law"])
    model = np.exp(logits - logits.max())
    model /= model.sum()
    first = np.argsort(-model)[:words]

    claims = len(yaml.safe_load((ROOT / "chapters" / "claims.yml").read_text(encoding="utf-8")))
    vocabulary = World().vocab

    figure = plt.figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, layout="none", facecolor="#ffffff")
    figure.text(0.055, 0.80, "Generative AI,\nMeasured", fontsize=46, fontweight="bold", color="#1f4e79", va="top")
    figure.text(
        0.055,
        0.42,
        "The foundations of large language\nmodels. Every number comes from\na cell that runs again in every test.",
        fontsize=20,
        color="#4d5966",
        va="top",
        linespacing=1.5,
    )
    figure.text(0.055, 0.10, f"{claims} statements, measured or corrected", fontsize=16, color="#4d5966")
    axes = figure.add_axes((0.67, 0.14, 0.29, 0.62))
    places = np.arange(words)
    axes.barh(places, law[first], height=0.72, color="#dde1e6", edgecolor=INK, label="the exact law")
    axes.barh(places, model[first], height=0.34, color=BLUE, label="a trained model")
    axes.set_yticks(places, [vocabulary[token] for token in first], fontsize=17)
    axes.set(xlim=(0, 0.24), xticks=[0, 0.1, 0.2])
    axes.tick_params(axis="x", labelsize=14)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.invert_yaxis()
    axes.set_xlabel("probability of the next word", fontsize=15)
    axes.set_title(f"“{TEXT} …”", fontsize=18, color="#4d5966", pad=16, loc="right")
    axes.legend(frameon=False, fontsize=15, loc="lower right")
    return figure


if __name__ == "__main__":
    figure = card()
    figure.savefig(CARD, dpi=DPI, transparent=False, metadata={"Software": None})

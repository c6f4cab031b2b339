"""Draw the figures of chapter 5: `python chapters/figures/05_sampling.py`, from the repository's root.

Every number is computed here by labutils.sampling from the dessert table, or read from the evidence that lab 12 left
in its notebook. The colours are mid-tones that can be told apart by the colour-blind and read on white and on black.
"""

import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from figure_kit import BLUE, GREEN, INK, LABS, ORANGE, PINK, save_plot
from matplotlib.figure import Figure

from labutils import evidence, sampling
from labutils.widgets import DESSERT

NOTEBOOK = LABS / "12_decoding.ipynb"


def tree() -> Figure:
    """Two steps in which the best first step does not lead to the best sequence."""
    figure, axes = plt.subplots(figsize=(4.4, 3.3))
    axes.set(xlim=(-0.15, 2.9), ylim=(-3.2, 3.4))
    axes.axis("off")
    root = (0.0, 0.0)
    first = {"the": (1.0, 2.2), "some": (1.0, -0.6), "…": (1.0, -2.4)}
    edges = [
        (root, first["the"], "0.40", ORANGE),
        (root, first["some"], "0.35", BLUE),
        (root, first["…"], "0.25", INK),
    ]
    leaves = [
        ("the", "big", 2.9, 0.50, ORANGE),
        ("the", "…", 1.5, 0.50, INK),
        ("some", "dogs", 0.1, 0.90, BLUE),
        ("some", "…", -1.3, 0.10, INK),
    ]
    for parent, word, height, probability, colour in leaves:
        end = (2.0, height)
        edges.append((first[parent], end, f"{probability:.2f}", colour))
        if word != "…":
            product = {"the": 0.40, "some": 0.35}[parent] * probability
            axes.text(2.12, height, f"{parent} {word}\n= {product:.3f}", va="center", color=colour, fontweight="bold")
        else:
            axes.text(2.12, height, word, va="center")
    for (x0, y0), (x1, y1), label, colour in edges:
        axes.plot([x0, x1], [y0, y1], color=colour, linewidth=2.5 if colour != INK else 1.2, zorder=1)
        axes.text((x0 + x1) / 2, (y0 + y1) / 2 + 0.28, label, ha="center", color=colour)
    for word, (x, y) in first.items():
        axes.plot(x, y, "o", color=INK, markersize=5)
        axes.text(x, y - 0.55, word, ha="center")
    axes.plot(*root, "o", color=INK, markersize=5)
    axes.text(0, -0.55, "start", ha="center")
    return figure


def temperature() -> Figure:
    """The dessert table as the temperature moves: probabilities above, entropy below."""
    logits = torch.tensor(list(DESSERT.values()), dtype=torch.float64).log()
    grid = np.geomspace(0.1, 10, 200)
    laws = torch.stack([sampling.apply_temperature(logits, float(t)).softmax(-1) for t in grid])
    entropy = -(laws * laws.clamp_min(1e-300).log()).sum(-1)

    figure, (above, below) = plt.subplots(2, 1, figsize=(4.4, 4.6), sharex=True, height_ratios=[3, 2])
    lines = [
        ("cake", laws[:, 0], BLUE, "-"),
        ("donut", laws[:, 1], ORANGE, "--"),
        ("banana", laws[:, 2], GREEN, "-."),
        (f"{len(DESSERT) - 4} others, together", laws[:, 4:].sum(-1), INK, ":"),
    ]
    for name, values, colour, dashes in lines:
        above.plot(grid, values, dashes, color=colour, label=name)
    above.set(ylabel="probability", ylim=(0, 1.02))
    above.legend(frameon=False, fontsize=9, loc="center right", bbox_to_anchor=(1.02, 0.5))
    below.plot(grid, entropy, color=PINK)
    below.axhline(math.log(len(DESSERT)), color=INK, linewidth=1, linestyle="--")
    below.text(0.11, math.log(len(DESSERT)) - 0.15, f"log {len(DESSERT)}, the uniform law", va="top", fontsize=9)
    below.set(xlabel="temperature T (log scale)", ylabel="entropy, nats", ylim=(0, 4.6), xscale="log")
    below.set_xticks([0.1, 0.2, 0.5, 1, 2, 5, 10], ["0.1", "0.2", "0.5", "1", "2", "5", "10"])
    below.minorticks_off()
    for axes in (above, below):
        axes.axvline(1, color=INK, linewidth=1)
    return figure


def rules() -> Figure:
    """How many tokens two readings of top-p keep on the dessert table."""
    sums = np.cumsum(list(DESSERT.values()))[:3]  # 0.20, 0.30, 0.32
    limits = np.arange(0.0005, 0.33, 0.001)  # never on a sum, where rounding would decide
    nucleus = [int((sums < p).sum()) + 1 for p in limits]
    at_most = [int((sums <= p).sum()) for p in limits]
    figure, axes = plt.subplots(figsize=(4.4, 2.9))
    axes.step(limits, nucleus, color=BLUE, label="nucleus: sum reaches p")
    axes.step(limits, at_most, "--", color=ORANGE, label="notes: sum is at most p")
    axes.fill_between(limits, -0.1, 0.1, where=limits < 0.2, color=ORANGE, alpha=0.35, linewidth=0)
    axes.text(0.1, 0.2, "nothing left to draw", ha="center", color=ORANGE, fontsize=9)
    axes.set(xlabel="p", ylabel="tokens kept", yticks=range(5), ylim=(-0.15, 4.3), xlim=(0, 0.33))
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    return figure


FAMILIES = [  # name, colour, marker, and for each point its label and its evidence key without the ending
    ("the language itself", INK, "*", {"": "inf-greedy-vs-random-undefined/plane-real"}),
    (
        "maximisation",
        PINK,
        "s",
        {"greedy": "inf-greedy-vs-random-undefined/plane-greedy", "beam": "inf-greedy-vs-random-undefined/plane-beam"},
    ),
    (
        "temperature T",
        ORANGE,
        "o",
        {
            "0.5": "temp-higher-more-random/plane-t05",
            "0.8": "temp-higher-more-random/plane-t08",
            "1": "inf-greedy-vs-random-undefined/plane-random",
            "1.5": "temp-higher-more-random/plane-t15",
        },
    ),
    ("top-k", GREEN, "^", {"5": "topk-variability/plane-k5", "20": "topk-variability/plane-k20"}),
    (
        "top-p",
        BLUE,
        "v",
        {
            "0.5": "topp-definition/plane-p50",
            "0.9": "topp-definition/plane-p90",
            "0.99": "topp-definition/plane-p99",
        },
    ),
    ("T = 1.5, then p = 0.9", BLUE, "D", {"": "temp-scaling-factor/plane-t15-p90"}),
]


def plane() -> Figure:
    """Quality against diversity, as lab 12 measured them."""
    numbers = {item.key: item.value for item in evidence.collect([NOTEBOOK])}
    figure, axes = plt.subplots(figsize=(4.4, 4.4))
    for name, colour, marker, points in FAMILIES:
        places = [(numbers[f"{key}-distinct3"], numbers[f"{key}-errors"]) for key in points.values()]
        axes.plot(
            *zip(*places, strict=True),
            color=colour,
            marker=marker,
            markersize=8,
            linewidth=1,
            label=name,
            clip_on=False,
        )
        for label, place in zip(points, places, strict=True):
            offset, angle = ((-16, 3), 0) if name == "top-k" else ((3, 6), 50)  # top-k runs close to temperature
            style = {"textcoords": "offset points", "rotation": angle, "color": colour, "fontsize": 9}
            axes.annotate(label, place, xytext=offset, **style)
    axes.set_yscale("symlog", linthresh=0.1)
    axes.set_yticks([0, 0.1, 1, 10], ["0", "0.1", "1", "10"])
    axes.set(xlabel="distinct-3 (share of different 3-grams)", ylabel="sentences with an error, %", ylim=(0, 60))
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    return figure


if __name__ == "__main__":
    if not NOTEBOOK.exists():
        raise SystemExit("The figure of the plane needs the evidence of lab 12: run `make labs` first.")
    for draw in (tree, temperature, rules, plane):
        save_plot(f"05_{draw.__name__}", draw())

"""Draw the figures of chapter 4: `python chapters/figures/04_prompting.py`.

Their numbers are read from the evidence that labs 10 and 11 left in their notebooks, or computed by labutils.prompting.
"""

import matplotlib.pyplot as plt
import numpy as np
from figure_kit import BLUE, GREEN, INK, LABS, ORANGE, PINK, WIDTH, arrow, box, line, save_drawing, save_plot, text
from matplotlib.figure import Figure

from labutils import evidence
from labutils.prompting import expected_best

NUMBERS = {
    record.key: record.value
    for record in evidence.collect([LABS / "10_in_context_learning.ipynb", LABS / "11_chain_of_thought.ipynb"])
}


def cups() -> tuple[list[str], float]:
    """What three students of the cup game write, and how often the last of it is right."""
    asked, cell, top = 118, 22, 34
    rows = {
        "direct": (ORANGE, ["?"]),
        "filler": (PINK, ["·"] * 7 + ["?"]),
        "pad": (BLUE, ["2", "2", "4", "1", "1", "0", "3", "3"]),
    }
    marks = [
        text(asked / 2, 12, "question"),
        text(asked + 8 + 4 * cell, 12, "written or read before the end"),
        text(WIDTH - 28, 12, "right", bold=True),
    ]
    for i, (name, (colour, written)) in enumerate(rows.items()):
        y = top + 62 * i
        marks.append(text(0, y + 4, name, colour, anchor="start", bold=True))
        marks += [box(1, y + 16, asked - 1, 28), text(asked / 2, y + 30, "ball, 8 swaps, ?", size=13)]
        for j, token in enumerate(written):
            last = j == len(written) - 1
            x = asked + 8 + cell * j
            marks += [
                box(x, y + 16, cell - 3, 28, colour, fill=0.35 if last else 0.1),
                text(x + (cell - 3) / 2, y + 30, token, colour, bold=last),
            ]
        share = NUMBERS[f"loop-assistive-tokens/cups-{name}"]
        start, long = 326, 62
        marks += [
            box(start, y + 22, long * share, 16, colour, fill=0.5),
            text(WIDTH, y + 30, f"{share:.2f}", colour, anchor="end", bold=True),
            line((start + 0.2 * long, y + 17), (start + 0.2 * long, y + 43), dash="3 3"),
        ]
    marks.append(text(326 + 0.2 * 62, top + 62 * 3, "chance"))
    return marks, top + 62 * 3 + 14


def workflow() -> tuple[list[str], float]:
    """The order of work: a loop on the development set, then the test set once."""
    middle, wide = 196, 272
    steps = [  # top, words, colour
        (0, "cases with right answers", INK),
        (104, "plain baseline", BLUE),
        (156, "change one thing", BLUE),
        (208, "compare case by case", BLUE),
        (260, "read the errors", BLUE),
        (354, "test set, once", ORANGE),
    ]
    left, right = middle - wide / 2, middle + wide / 2
    marks = [box(20, 60, 354, 244, BLUE, fill=0.04, dash="6 4")]
    marks.append(text(32, 78, "development set", BLUE, anchor="start", bold=True))
    for top, words, colour in steps:
        marks += [box(left, top, wide, 32, colour), text(middle, top + 16, words, colour)]
    downs = [(32, 104), (136, 156), (188, 208), (240, 260), (292, 354)]
    marks += [arrow((middle, start), (middle, end), colour=INK) for start, end in downs]
    marks += [
        arrow((right, 276), (right + 16, 276), (right + 16, 172), (right + 2, 172), colour=BLUE),
        text(middle + 10, 328, "the rule to stop says stop", anchor="start", size=13),
        arrow((left, 16), (8, 16), (8, 370), (left - 2, 370), colour=ORANGE, dash="5 4"),
        text(16, 340, "untouched", ORANGE, anchor="start", size=13),
        box(WIDTH - 46, 60, 44, 326, GREEN),
    ]
    marks += [text(WIDTH - 24, 190 + 22 * i, letter, GREEN, bold=True) for i, letter in enumerate("log")]
    return marks, 390


def gain() -> Figure:
    """The gain from eight examples: by size over finished models, by step over the training of one."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(4.6, 2.9), sharey=True)
    panels = (
        (left, ("8", "16", "32", "64"), "rare-", "width of the model", BLUE),
        (right, ("100", "300", "800"), "step-", "training step", ORANGE),
    )
    for axes, names, prefix, label, colour in panels:
        values = [NUMBERS[f"few-shot-large-vs-small/{prefix}{name}"] for name in names]
        axes.bar(names, values, color=colour, width=0.6)
        for i, value in enumerate(values):
            axes.text(i, value + 0.02, f"{value:.3g}", ha="center", color=INK, fontsize=9)
        axes.set(xlabel=label, ylim=(0, 1))
        axes.grid(axis="x", visible=False)
    left.set(ylabel="right answers, k = 8 minus k = 0")
    return figure


def luck() -> Figure:
    """The best of n equally good prompts, by the number of cases that they are tried on."""
    numbers = np.unique(np.geomspace(1, 1000, 40).round().astype(int))
    figure, axes = plt.subplots(figsize=(4.4, 3.1))
    for n_cases, colour, dashes in ((60, ORANGE, "-"), (200, BLUE, "-."), (1000, GREEN, ":")):
        best = [expected_best(0.7, n_cases, int(n)) for n in numbers]
        axes.plot(numbers, best, dashes, color=colour, label=f"{n_cases} cases")
    axes.axhline(0.7, color=INK, linewidth=1, linestyle="--")
    axes.text(1000, 0.692, "the truth for all of them", ha="right", va="top", fontsize=9)
    axes.set(xscale="log", xlabel="prompts tried (log scale)", ylabel="accuracy of the best", ylim=(0.65, 0.92))
    axes.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    return figure


if __name__ == "__main__":
    save_drawing("04_cups", *cups())
    save_drawing("04_workflow", *workflow())
    save_plot("04_gain", gain())
    save_plot("04_luck", luck())

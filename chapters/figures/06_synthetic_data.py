"""Draw the figures of chapter 6: `python chapters/figures/06_synthetic_data.py`.

Their numbers are read from the evidence that lab 13 left in its notebook.
"""

import matplotlib.pyplot as plt
from figure_kit import BLUE, GREEN, INK, LABS, ORANGE, PINK, WIDTH, arrow, box, line, save_drawing, save_plot, text
from matplotlib.figure import Figure

from labutils import evidence

NUMBERS = {record.key: record.value for record in evidence.collect([LABS / "13_responses_and_backtranslation.ipynb"])}


def pipeline() -> tuple[list[str], float]:
    """What there is, the four steps, what is written down, and where the data goes."""
    third = WIDTH / 3
    sources = (
        ("queries", "an answer is made", BLUE),
        ("documents", "a request is made", GREEN),
        ("queries", "two answers are made", PINK),
    )
    marks = []
    for i, (has, made, colour) in enumerate(sources):
        x = third * i
        marks += [
            box(x + 3, 2, third - 6, 32, colour),
            text(x + third / 2, 18, has, colour, bold=True),
            arrow((x + third / 2, 34), (x + third / 2, 62), colour=colour),
            text(x + third / 2, 96, made, colour, size=12),
        ]
    marks += [box(3, 64, WIDTH - 6, 46, fill=0.08), text(WIDTH / 2, 77, "generate", bold=True)]
    marks.append(arrow((third / 2, 110), (third / 2, 136)))
    for i, step in enumerate(("filter", "label", "keep")):
        x = third * i
        marks += [box(x + 10, 138, third - 20, 34), text(x + third / 2, 155, step, bold=True)]
        if i:
            marks.append(arrow((x - 9, 155), (x + 8, 155)))
    fields = ("row", "prompt", "model", "seed", "settings", "filters", "licence")
    cell = WIDTH / len(fields)
    marks.append(text(WIDTH, 196, "written down for every row", anchor="end", size=12))
    for i, field in enumerate(fields):
        marks += [box(cell * i + 1.5, 208, cell - 3, 24, fill=0.05), text(cell * (i + 0.5), 220, field, size=12)]
    right = WIDTH - third / 2
    marks += [
        arrow((right, 232), (right, 256), colour=ORANGE),
        box(right - 60, 258, 120, 34, ORANGE),
        text(right, 275, "train", ORANGE, bold=True),
        arrow((right - 60, 275), (third / 2 + 62, 275), colour=ORANGE),
        box(third / 2 - 60, 258, 120, 34, ORANGE),
        text(third / 2, 275, "judge", ORANGE, bold=True),
        line((third / 2, 258), (third / 2, 234), colour=ORANGE),
        arrow((third / 2, 206), (third / 2, 174), colour=ORANGE),
    ]
    return marks, 296


def students() -> Figure:
    """How far equally trained students are from the true law, by what they read."""
    rows = {
        "64 real texts": ("real-64", INK),
        "800 real texts": ("real-800", INK),
        "800 drawn at T = 1": ("hard-800", BLUE),
        "64 with the teacher's law": ("soft-64", GREEN),
        "800 with the teacher's law": ("soft-800", GREEN),
        "800 drawn at T = 0.7": ("t07", ORANGE),
        "800 drawn with top-p 0.9": ("p90", ORANGE),
    }
    values = [NUMBERS[f"synth-responses/kl-{key}"] for key, _ in rows.values()]
    figure, axes = plt.subplots(figsize=(4.6, 2.9))
    axes.barh(list(rows), values, color=[colour for _, colour in rows.values()], height=0.65)
    for i, value in enumerate(values):
        axes.text(value + 0.02, i, f"{value:.2f}", va="center", color=INK, fontsize=9)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="distance to the true law, nats a word", xlim=(0, 1.15 * max(values)))
    return figure


if __name__ == "__main__":
    save_drawing("06_pipeline", *pipeline())
    save_plot("06_students", students())

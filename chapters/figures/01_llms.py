"""Draw the figures of chapter 1: `python chapters/figures/01_llms.py`.

Their numbers are computed from the model that the chapter works out by hand, or read from the evidence that lab 02 left
in its notebook. `course` is put into the page itself, because its parts are links, so its words take the page's colour.
"""

import math

import numpy as np
from figure_kit import BLUE, GREEN, INK, LABS, ORANGE, PINK, arrow, box, line, save_drawing, text

from labutils import evidence

NUMBERS = {record.key: record.value for record in evidence.collect([LABS / "02_foundation_and_traditional.ipynb"])}

# The model that the chapter computes by hand: a vector for each token, and a column of numbers for each logit.
VOCAB = ("the", "dogs", "sleep", "sleeps", ".")
EMBEDDING = np.array([[0, -2], [2, 0], [1, 8], [-1, 8], [0, 0]])
READ_OUT = np.array([[0, 1], [-3, -2], [1, -1], [-1, -1], [0, 2]])


# ------------------------------------------------------------------------------------------------------ the course


def part(
    x: float, y: float, width: float, lines: tuple[str, ...], colour: str, *, to: str, name: str, about: str
) -> str:
    """A box that is a link: its first line is a title, the others say more."""
    middle = x + width / 2
    words = [text(middle, y + 17, lines[0], "currentColor", bold=True, size=15)]
    words += [
        text(middle, y + 17 + 19 * i, words, "currentColor", size=15) for i, words in enumerate(lines[1:], start=1)
    ]
    return (
        f'<a href="{to}" data-name="{name}" data-about="{about}">'
        f"{box(x, y, width, 15 + 19 * len(lines), colour)}{''.join(words)}</a>"
    )


def course() -> tuple[list[str], float]:
    """The way from a text to the next word, and the way the weights come about; each part leads to its chapter."""
    ink = "currentColor"
    left, right = 1, 171  # the two lanes
    narrow, wide = 144, 238
    tops = [34, 120, 206, 292, 397, 483, 569]
    flow = [
        part(
            right, tops[0], wide, ("Prompt (chapter 4)", "“the dogs”"), PINK, to="/chapters/04_prompting",
            name="Chapter 4, prompting", about="what to put into the text so that it is continued as you wish",
        ),
        part(
            right, tops[1], wide, ("Tokens (chapter 1)", "0 1"), BLUE, to="/chapters/01_llms#llms-tokens",
            name="Chapter 1, tokens", about="how a text becomes a row of numbers",
        ),
        part(
            right, tops[2], wide, ("Vectors (chapter 3)", "(0, −2) (2, 0)"), BLUE,
            to="/chapters/03_attention#attention-order",
            name="Chapter 3, vectors and their order", about="what a token and its place look like inside the model",
        ),
        part(
            right, tops[3], wide, ("Attention (chapter 3)", "each reads from the others,", "layer after layer"),
            BLUE, to="/chapters/03_attention#attention-lookup",
            name="Chapter 3, attention", about="how one place fetches what it needs from the others",
        ),
        part(
            right, tops[4], wide, ("Logits (chapter 1)", "a number for every token"), BLUE,
            to="/chapters/01_llms#llms-by-hand",
            name="Chapter 1, logits", about="how a vector becomes a probability for every possible next token",
        ),
        part(
            right, tops[5], wide, ("Sampling (chapter 5)", "one token is drawn: “sleep”"), ORANGE,
            to="/chapters/05_sampling",
            name="Chapter 5, sampling", about="how one token is chosen, and what the settings do",
        ),
        part(
            right, tops[6], wide, ("Text (chapter 1)", "“the dogs sleep”"), PINK, to="/chapters/01_llms#llms-loop",
            name="Chapter 1, the loop", about="the token is appended, and everything begins again",
        ),
    ]  # fmt: skip
    ends = [tops[0] + 53, tops[1] + 53, tops[2] + 53, tops[3] + 72, tops[4] + 53, tops[5] + 53, tops[6] + 53]
    middle = right + wide / 2
    marks = [
        text(left + narrow / 2, 14, "once: training", ink, bold=True, size=15),
        text(middle, 14, "for every word: use", ink, bold=True, size=15),
        *(arrow((middle, end), (middle, top)) for end, top in zip(ends, tops[1:], strict=False)),
        arrow(
            (right + wide, tops[6] + 26), (428, tops[6] + 26), (428, tops[1] + 26), (right + wide, tops[1] + 26),
            colour=INK,
        ),
        *flow,
        part(
            left, tops[0], narrow, ("Data", "text of the web", "(chapter 2)"), GREEN,
            to="/chapters/02_pretraining#pretraining-data",
            name="Chapter 2, data", about="where the text comes from, and what is thrown away",
        ),
        arrow((left + narrow / 2, tops[0] + 72), (left + narrow / 2, 156)),
        part(
            left, 156, narrow, ("Pretraining", "guess and adjust", "(chapter 2)"), GREEN,
            to="/chapters/02_pretraining#pretraining-loss",
            name="Chapter 2, pretraining", about="how covered words and a loss turn text into weights",
        ),
        arrow((left + narrow / 2, 228), (left + narrow / 2, 312)),
        text(left + narrow / 2, 327, "weights", ink, bold=True, size=15),
        arrow((left + narrow / 2 + 36, 328), (right, 328)),
        part(
            left, 540, narrow, ("Synthetic data", "made by models", "(chapter 6)"), GREEN,
            to="/chapters/06_synthetic_data",
            name="Chapter 6, synthetic data", about="what happens when models write what models learn from",
        ),
        arrow((right, tops[6] + 20), (left + narrow, tops[6] + 20)),
        arrow((left + narrow / 2, 540), (left + narrow / 2, 342)),
    ]  # fmt: skip
    return marks, 636


# ------------------------------------------------------------------------------------------------------- one step


def step(tokens: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean vector of the tokens, the logits, and the probabilities."""
    mean = EMBEDDING[tokens].mean(axis=0)
    logits = READ_OUT @ mean
    return mean, logits, np.exp(logits) / np.exp(logits).sum()


def number(value: float) -> str:
    """A whole number with a true minus sign."""
    return f"{value:.0f}".replace("-", "−")


def by_hand() -> tuple[list[str], float]:
    """The example of the chapter: from "the dogs" to a probability for each of five tokens."""
    tokens = [0, 1]
    mean, logits, law = step(tokens)
    marks = []
    for i, token in enumerate(tokens):
        y = 40 + 50 * i
        vector = ", ".join(number(value) for value in EMBEDDING[token])
        marks += [
            text(0, y, VOCAB[token], BLUE, anchor="start", bold=True),
            arrow((42, y), (58, y)),
            text(70, y, str(token), bold=True),
            arrow((82, y), (98, y)),
            box(102, y - 13, 58, 26, BLUE),
            text(131, y, f"({vector})", BLUE, bold=True),
            arrow((160, y), (184, 65)),
        ]
    for x, name in ((22, "token"), (70, "id"), (131, "vector"), (216, "mean")):
        marks.append(text(x, 10, name, bold=True))
    marks += [
        box(186, 52, 60, 26, ORANGE),
        text(216, 65, f"({number(mean[0])}, {number(mean[1])})", ORANGE, bold=True),
        arrow((216, 78), (216, 112), colour=ORANGE),
        text(226, 96, "five dot products", ORANGE, anchor="start"),
    ]
    top = 128
    for x, name, anchor in ((56, "token", "end"), (96, "logit", "middle"), (182, "e to the logit", "middle")):
        marks.append(text(x, top, name, anchor=anchor, bold=True))
    marks.append(text(250, top, "probability", anchor="start", bold=True))
    for i, word in enumerate(VOCAB):
        y = top + 28 + 28 * i
        marks += [
            text(56, y, word if word != "." else "“.”", GREEN, anchor="end", bold=True),
            text(96, y, number(logits[i])),
            text(182, y, f"{math.exp(logits[i]):.3f}"),
            f'<rect x="250" y="{y - 9:g}" width="{140 * law[i]:.1f}" height="18" fill="{GREEN}" fill-opacity="0.4"/>',
            text(256 + 140 * law[i], y, f"{law[i]:.3f}", anchor="start", bold=True),
        ]
    y = top + 28 + 28 * len(VOCAB)
    marks.append(text(182, y, f"sum {np.exp(logits).sum():.3f}"))
    return marks, y + 14


# ------------------------------------------------------------------------------------------------- Enter to answer


def enter() -> tuple[list[str], float]:
    """Prefill reads the prompt at once; then every token costs a pass of its own."""
    size, gap = 19, 3
    prompt, answer = 12, ("it", "is", "a", "moon")
    marks = [text(0, 12, "your words, inside the template: the prompt", anchor="start", bold=True)]

    def cells(y: float, first: int, last: int, colour: str, fill: float) -> list[str]:
        return [box(1 + (size + gap) * i, y, size, size, colour, fill=fill) for i in range(first, last)]

    y = 28
    marks += cells(y, 0, prompt, BLUE, 0.35)
    marks += [
        arrow(((size + gap) * prompt, y + 10), ((size + gap) * prompt + 26, y + 10)),
        text((size + gap) * prompt + 34, y + 10, f"“{answer[0]}”", ORANGE, anchor="start", bold=True),
        text(0, y + 38, "prefill: one pass over all tokens, then the first word", BLUE, anchor="start"),
    ]
    top = y + 84
    marks.append(text(0, top - 16, "then, word after word", anchor="start", bold=True))
    for i, word in enumerate((*answer[1:], "end")):
        y = top + 30 * i
        marks += cells(y, 0, prompt + i, INK, 0)
        marks += cells(y, prompt + i, prompt + i + 1, ORANGE, 0.4)
        x = (size + gap) * (prompt + i + 1)
        marks += [
            arrow((x, y + 10), (x + 14, y + 10)),
            text(x + 18, y + 10, f"“{word}”" if word != "end" else "end", ORANGE, anchor="start", bold=True),
        ]
    y = top + 30 * 4
    marks.append(text(0, y + 12, "one pass for each: only the new token (filled) is computed", ORANGE, anchor="start"))
    return marks, y + 28


# ------------------------------------------------------------------------------------------------------ the window


def window() -> tuple[list[str], float]:
    """A window of eight tokens is full: three things that a program can do."""
    cell, slots = 40, 8
    marks = [
        text(0, 12, "a window of 8 tokens: prompt and completion share it", anchor="start", bold=True),
    ]

    def row(y: float, words: list[tuple[str, str]], frame: bool = True) -> list[str]:
        found = [box(60 - 4, y - 4, cell * slots + 8, 36, INK, fill=0, dash="5 4")] if frame else []
        for i, (word, colour) in enumerate(words):
            found += [
                box(60 + cell * i + 2, y, cell - 4, 28, colour, fill=0.2),
                text(60 + cell * (i + 0.5), y + 14, word, colour, bold=True),
            ]
        return found

    prompt = [(f"p{i}", BLUE) for i in range(1, 6)]
    new = [(f"c{i}", ORANGE) for i in range(1, 4)]
    marks += row(30, prompt + new)
    marks += [text(60 + 20 * 5, 78, "prompt", BLUE), text(60 + 40 * 6.5, 78, "completion", ORANGE)]
    for i, (name, words, say) in enumerate(
        (
            ("refuse", prompt + new, "an error, or the answer ends here"),
            ("slide", [*prompt[1:], *new, ("c4", ORANGE)], "the oldest token, p1, is forgotten"),
            ("cut", [*prompt[3:], *new, ("c4", ORANGE)], "beforehand: the beginning of the prompt goes"),
        )
    ):
        y = 112 + 76 * i
        marks += [text(0, y + 14, name, anchor="start", bold=True), *row(y, words)]
        marks.append(text(60, y + 46, say, anchor="start"))
    return marks, 112 + 76 * 3 - 12


# ------------------------------------------------------------------------------------- foundation and traditional


def foundation() -> tuple[list[str], float]:
    """Accuracy with 30 and with 1,000 labels, as lab 02 measured it, on three questions."""
    top, high, wide = 62, 190, 96
    marks = [text(0, 10, "share of right answers, with 30 and with 1,000 labels", anchor="start")]
    lines = (
        ("bag", "bag of words", ORANGE, "7 4"),
        ("encoder", "pretrained", BLUE, ""),
        ("random", "random", INK, "2 3"),
    )
    for i, task in enumerate(("topic", "number", "colour")):
        left = 34 + 142 * i
        marks.append(text(left + wide / 2, 40, task, bold=True))
        for value in (0.4, 0.6, 0.8, 1):
            y = top + high * (1 - value) / 0.6
            marks.append(line((left, y), (left + wide, y), width=0.7))
            if i == 0:
                marks.append(text(left - 8, y, f"{value:g}", anchor="end"))
        marks += [text(left, top + high + 18, "30"), text(left + wide, top + high + 18, "1,000")]
        for name, _, colour, dash in lines:
            ends = [
                (left + wide * at, top + high * (1 - NUMBERS[f"foundation-vs-traditional/{task}-{name}-{n}"]) / 0.6)
                for at, n in enumerate((30, 1000))
            ]
            marks.append(line(*ends, colour=colour, width=2.5, dash=dash))
            marks += [f'<circle cx="{x:g}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in ends]
    for i, (_, name, colour, dash) in enumerate(lines):
        x, y = (2, 162, 306)[i], top + high + 50
        marks += [line((x, y), (x + 30, y), colour=colour, width=2.5, dash=dash)]
        marks.append(text(x + 38, y, name, colour, anchor="start", bold=True))
    return marks, top + high + 62


# -------------------------------------------------------------------------------------------------------- the metric


def metric() -> tuple[list[str], float]:
    """Exact answers of ten tokens against the accuracy of a single token."""
    left, top, wide, high = 48, 34, 330, 170

    def place(p: float, value: float) -> tuple[float, float]:
        return left + wide * (p - 0.5) / 0.5, top + high * (1 - value)

    marks = []
    for value in (0, 0.5, 1):
        (x0, y), (x1, _) = place(0.5, value), place(1, value)
        marks += [
            line((x0, y), (x1, y), width=0.7),
            text(left - 8, y, f"{value:g}", anchor="end"),
        ]
    for p in (0.5, 0.6, 0.7, 0.8, 0.9, 1):
        marks.append(text(place(p, 0)[0], top + high + 16, f"{p:g}"))
    grid = np.linspace(0.5, 1, 101)
    marks += [
        line(*(place(p, p) for p in grid), colour=BLUE, width=2.5),
        line(*(place(p, p**10) for p in grid), colour=ORANGE, width=2.5, dash="7 4"),
        text(*place(0.62, 0.78), "one token right", BLUE, bold=True),
        text(*place(0.82, 0.36), "all ten right", ORANGE, anchor="end", bold=True),
        text(left + wide / 2, top + high + 38, "share of single tokens that are right"),
        text(0, 12, "share of answers that count as right", anchor="start"),
    ]
    return marks, top + high + 50


if __name__ == "__main__":
    for draw in (course, by_hand, enter, window, foundation, metric):
        save_drawing(f"01_{draw.__name__}", *draw())

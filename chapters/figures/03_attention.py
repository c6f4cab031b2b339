"""Draw the figures of chapter 3: `python chapters/figures/03_attention.py`, from the repository's root.

The drawings are written as SVG by hand: lines, boxes and words at chosen places. The numbers in them are computed here
from the example of the chapter. The colours are mid-tones that can be told apart by the colour-blind and read on white
and on black; where a colour means something, a word or a shape says it too.
"""

import math

import numpy as np
from figure_kit import BLUE, GREEN, INK, ORANGE, PINK, arrow, box, head, line, save_drawing, text

WORDS = ("the", "dogs", "sleep")
QUERY = np.array([[0, 2], [1, 1], [2, 0]])
KEY = np.array([[0, 1], [2, 1], [1, 0]])
VALUE = np.array([[1, 0], [0, 3], [1, 1]])


def bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    """A filled stretch without a border."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:.1f}" height="{height:g}" fill="{colour}" fill-opacity="0.32"/>'


def grid(x: float, y: float, rows: int, columns: int, cell: float, colours: list[str] | str, fill: float = 0.2) -> str:
    """A matrix as rows × columns of small squares; `colours` is one colour, or one a column."""
    colours = [colours] * columns if isinstance(colours, str) else colours
    squares = [
        f'<rect x="{x + j * cell:g}" y="{y + i * cell:g}" width="{cell:g}" height="{cell:g}" fill="{colours[j]}" '
        f'fill-opacity="{fill}" stroke="{colours[j]}"/>'
        for i in range(rows)
        for j in range(columns)
    ]
    return "".join(squares)


def example() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, weights and outputs of the three words."""
    scores = QUERY @ KEY.T / math.sqrt(QUERY.shape[1])
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    return scores, weights, weights @ VALUE


def lookup() -> tuple[list[str], int]:
    """The query of "sleep" among three keys, and the mixture that comes out."""
    scores, weights, outputs = example()
    marks = [
        text(40, 116, "query of"),
        text(40, 134, "“sleep”", BLUE, bold=True),
        box(12, 148, 56, 26, BLUE),
        text(40, 161, f"({QUERY[2, 0]}, {QUERY[2, 1]})", BLUE, bold=True),
    ]
    for x, name in ((128, "key"), (192, "score"), (254, "weight"), (335, "value")):
        marks.append(text(x, 20, name, bold=True))
    colours = (GREEN, ORANGE, PINK)
    for i, (word, colour) in enumerate(zip(WORDS, colours, strict=True)):
        y = 78 + 84 * i
        marks += [
            arrow((68, 161), (94, y)),
            text(128, y - 26, word, colour, bold=True),
            box(100, y - 13, 56, 26, colour),
            text(128, y, f"({KEY[i, 0]}, {KEY[i, 1]})", colour, bold=True),
            text(192, y, f"{scores[2, i]:.2f}".replace("0.00", "0")),
            box(228, y - 13, 52, 26, colour, fill=0),
            bar(228, y - 13, 52 * weights[2, i], 26, colour),
            text(254, y, f"{weights[2, i]:.2f}", bold=True),
            text(294, y, "×"),
            box(308, y - 13, 56, 26, colour),
            text(336, y, f"({VALUE[i, 0]}, {VALUE[i, 1]})", colour, bold=True),
            line((364, y), (396, 161), colour=colour, width=0.8 + 9 * float(weights[2, i])),
        ]
    marks += [
        f'<circle cx="398" cy="161" r="11" fill="{BLUE}"/>',
        '<path d="M392 161 H404 M398 155 V167" stroke="#fff" stroke-width="2"/>',
        text(392, 262, "output", bold=True),
        box(346, 274, 92, 26, BLUE),
        text(392, 287, f"({outputs[2, 0]:.2f}, {outputs[2, 1]:.2f})", BLUE, bold=True, size=13),
        arrow((398, 172), (398, 250), colour=BLUE, width=2),
    ]
    return marks, 308


def mask() -> tuple[list[str], int]:
    """The causal mask on the scores of the example."""
    scores, _, _ = example()
    visible = np.tril(np.ones((3, 3), dtype=bool))
    kept = np.where(visible, np.exp(scores), 0)
    weights = kept / kept.sum(-1, keepdims=True)
    cell, marks = 39, []
    for panel, (title, x) in enumerate((("scores", 46), ("masked", 183), ("weights", 320))):
        marks.append(text(x + 1.5 * cell, 14, title, bold=True))
        for j, word in enumerate(WORDS):
            marks.append(text(x + (j + 0.5) * cell, 36, word, size=13))
        for i in range(3):
            if panel == 0:
                marks.append(text(x - 6, 50 + (i + 0.5) * cell, WORDS[i], anchor="end", size=13))
            for j in range(3):
                hidden = not visible[i, j]
                colour = ORANGE if panel and hidden else BLUE
                number = (scores[i, j], scores[i, j], weights[i, j])[panel]
                label = f"{number:.2f}" if number not in (0, 1) else f"{number:.0f}"
                fill = 0.1 if panel < 2 else 0.05 + 0.35 * float(weights[i, j])
                marks.append(box(x + j * cell, 50 + i * cell, cell, cell, colour, fill=fill, radius=0))
                shown = "−∞" if panel == 1 and hidden else label
                ink = colour if panel and hidden else INK
                where = (x + (j + 0.5) * cell, 50 + (i + 0.5) * cell)
                marks.append(text(*where, shown, ink, size=13, bold=panel == 2))
    marks += [text(x, 50 + 1.5 * cell, "→", size=13) for x in (173, 310)]
    return marks, 182


def shapes() -> tuple[list[str], int]:
    """Shapes through two heads: 6 positions, a model 8 wide."""
    cell, n, d, d_head = 9, 6, 8, 4
    heads = (BLUE, ORANGE)
    both = [heads[0]] * d_head + [heads[1]] * d_head
    marks = [
        grid(184, 34, n, d, cell, INK),
        text(220, 20, "X", bold=True),
        text(176, 61, "6 positions", anchor="end", size=13),
        text(264, 61, "8 numbers each", anchor="start", size=13),
    ]
    for x, name in ((40, "Q"), (184, "K"), (328, "V")):
        marks += [
            arrow((220, 90), (x + 36, 134)),
            text(x + 36 + (22 if x >= 184 else -22), 112, f"W_{name}", anchor="start" if x >= 184 else "end"),
            grid(x, 156, n, d, cell, both),
            text(x - 10, 183, name, bold=True),
        ]
        marks.append(text(x + 36, 146, "6 × 8", size=13))
    marks.append(text(220, 232, "cut the width into heads", size=13))
    for i, (colour, x) in enumerate(zip(heads, (16, 236), strict=True)):
        y = 276
        marks += [
            text(x + 94, y - 24, f"head {i + 1}", colour, bold=True),
            grid(x, y, n, d_head, cell, colour),
            text(x + 18, y + 68, "Q: 6 × 4", size=13),
            text(x + 47, y + 27, "·"),
            grid(x + 58, y + 9, d_head, n, cell, colour),
            text(x + 85, y + 68, "Kᵀ: 4 × 6", size=13),
            text(x + 123, y + 27, "="),
            grid(x + 134, y, n, n, cell, colour, fill=0.45),
            text(x + 161, y + 68, "6 × 6", size=13),
            arrow((x + 161, y + 80), (x + 161, y + 106), colour=colour),
            text(x + 150, y + 93, "softmax, times V", anchor="end", size=13),
            grid(x + 143, y + 112, n, d_head, cell, colour),
            text(x + 132, y + 139, "6 × 4", anchor="end", size=13),
        ]
    y = 498
    marks += [
        arrow((177, 446), (208, y - 8), colour=BLUE),
        arrow((397, 446), (236, y - 8), colour=ORANGE),
        text(120, y - 28, "side by side", size=13),
        grid(184, y, n, d, cell, both),
        text(174, y + 27, "6 × 8", anchor="end", size=13),
        arrow((220, y + 58), (220, y + 86)),
        text(232, y + 72, "W_O", anchor="start"),
        grid(184, y + 92, n, d, cell, INK),
        text(174, y + 119, "6 × 8", anchor="end", size=13),
        text(264, y + 119, "output", anchor="start", bold=True),
    ]
    return marks, y + 154


def sharing() -> tuple[list[str], int]:
    """Eight query heads over eight, two and one key-value heads."""
    marks = []
    for row, (name, groups) in enumerate((("multi-head", 8), ("grouped-query", 2), ("multi-query", 1))):
        y = 22 + 132 * row
        marks += [
            text(0, y, name, bold=True, anchor="start"),
            text(440, y, f"cache: {groups} of 8", anchor="end"),
            text(44, y + 34, "queries", anchor="end", size=12),
            text(44, y + 86, "k and v", anchor="end", size=12),
        ]
        colours = (BLUE, ORANGE) if groups == 2 else (BLUE,) * 8
        size = 8 // groups
        for group in range(groups):
            colour = colours[group]
            centre = 72 + 48 * (group * size + (size - 1) / 2)
            for member in range(size):
                x = 72 + 48 * (group * size + member)
                marks += [
                    line((x, y + 46), (centre, y + 73), colour=colour),
                    f'<circle cx="{x}" cy="{y + 34}" r="12" fill="{colour}" fill-opacity="0.2" stroke="{colour}" '
                    'stroke-width="1.5"/>',
                ]
            marks.append(box(centre - 18, y + 73, 15, 26, colour, fill=0.45, radius=2))
            marks.append(box(centre + 3, y + 73, 15, 26, colour, fill=0.45, radius=2))
    return marks, 398


def along(centre: tuple[float, float], degrees: float, length: float) -> tuple[float, float]:
    """The point at an angle and a distance from the centre; angles count against the clock from the right."""
    angle = math.radians(degrees)
    return centre[0] + length * math.cos(angle), centre[1] - length * math.sin(angle)


def arrow_at(centre: tuple[float, float], degrees: float, length: float, colour: str, width: float) -> str:
    """An arrow from the centre."""
    shaft = line(centre, along(centre, degrees, length - 6), colour=colour, width=width)
    return shaft + head(centre, along(centre, degrees, length), colour, 12)


def arc(centre: tuple[float, float], radius: float, start: float, stop: float, colour: str, width: float) -> str:
    """An arc from one angle to a larger one."""
    (x0, y0), (x1, y1) = along(centre, start, radius), along(centre, stop, radius)
    return (
        f'<path d="M{x0:.1f} {y0:.1f} A{radius:g} {radius:g} 0 0 0 {x1:.1f} {y1:.1f}" fill="none" stroke="{colour}" '
        f'stroke-width="{width:g}"/>'
    )


def rotary() -> tuple[list[str], int]:
    """Query and key two positions apart, twice: the angle between them is the same."""
    step, marks = 30, []
    for centre, query_at, key_at in (((110, 140), 1, 3), ((330, 140), 4, 6)):
        query, key = step * query_at, step * key_at
        marks += [
            f'<circle cx="{centre[0]}" cy="{centre[1]}" r="82" fill="none" stroke="{INK}" stroke-opacity="0.4"/>',
            line(centre, (centre[0] + 82, centre[1]), dash="3 4", width=1),
            arc(centre, 34, query, key, GREEN, 3),
            text(
                *along(centre, (query + key) / 2, 54),
                f"{key - query}°",
                GREEN,
                bold=True,
            ),
            arrow_at(centre, query, 82, BLUE, 3),
            arrow_at(centre, key, 82, ORANGE, 3),
        ]
        for angle, name, colour in ((query, f"q at {query_at}", BLUE), (key, f"k at {key_at}", ORANGE)):
            radians = math.radians(angle)
            anchor = "middle" if 60 <= angle <= 120 else "start" if angle < 90 else "end"
            x, y = centre[0] + 90 * math.cos(radians), centre[1] - 96 * math.sin(radians)
            if angle == 180:
                x, y, anchor = centre[0] - 82, centre[1] + 20, "middle"
            marks.append(text(x, y, name, colour, anchor=anchor, bold=True))
        marks += [
            text(centre[0], 246, f"turned by {query}° and {key}°"),
            text(centre[0], 266, f"|q| |k| cos {key - query}° = 0.5 |q| |k|", size=13),
        ]
    marks.append(text(196, 154, "0°", size=12))
    return marks, 280


def stream() -> tuple[list[str], int]:
    """One position's residual stream through a block of a pre-norm decoder."""
    x, marks = 130, []
    marks += [
        line((x, 452), (x, 40), colour=BLUE, width=5),
        head((x, 60), (x, 26), BLUE, 16),
        text(x, 12, "norm, then the logits"),
        text(x, 470, "embedding of the token"),
        text(x - 14, 246, "x", BLUE, anchor="end", bold=True, size=16),
        f'<rect x="70" y="66" width="290" height="344" rx="10" fill="none" stroke="{INK}" stroke-dasharray="5 5"/>',
        text(350, 84, "one block, repeated", anchor="end", size=13),
    ]
    for y, name, colour in ((392, "attention", ORANGE), (220, "feed-forward", GREEN)):
        marks += [
            arrow((x, y), (225, y), (225, y - 16), colour=INK),
            box(185, y - 42, 80, 26, INK),
            text(225, y - 29, "norm"),
            arrow((225, y - 42), (225, y - 60)),
            box(165, y - 96, 120, 36, colour),
            text(225, y - 78, name, colour, bold=True),
            arrow((225, y - 96), (225, y - 118), (x + 13, y - 118), colour=colour, width=2),
            f'<circle cx="{x}" cy="{y - 118}" r="12" fill="{colour}"/>',
            f'<path d="M{x - 6} {y - 118} H{x + 6} M{x} {y - 124} V{y - 112}" stroke="#fff" stroke-width="2"/>',
        ]
    for i, offset in enumerate((0, 22, 44)):
        marks.append(line((392 + offset, 452), (392 + offset, 40), colour=BLUE, width=3, dash="" if i < 2 else "2 5"))
    marks += [
        arrow((390, 314), (292, 314), colour=ORANGE, width=2),
        text(338, 300, "keys, values", ORANGE, size=13),
        text(440, 470, "earlier positions", anchor="end", size=13),
    ]
    return marks, 482


if __name__ == "__main__":
    for draw in (lookup, mask, shapes, sharing, rotary, stream):
        save_drawing(f"03_{draw.__name__}", *draw())

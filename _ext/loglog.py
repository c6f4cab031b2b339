"""Lines on two logarithmic axes, as SVG that takes the colours of the page."""

import math
from collections.abc import Mapping, Sequence
from html import escape

Line = Sequence[tuple[float, float]]

WIDTH, HEIGHT, LEFT, BOTTOM, ROW = 480, 300, 52, 44, 18
COLOURS = ("#3d85c6", "#d5702a", "#1d9e78", "#bf6ea3")  # as in chapters/figures: to be told apart on white and on black


def drawing(lines: Mapping[str, Line], *, x: str, ticks_y: Mapping[float, str], alt: str) -> str:
    """The lines, by name, with a legend above them; every second one is dashed, as the other side of the one before.

    `x` names the horizontal axis, which has its ticks at the points; `ticks_y` are those of the vertical one.
    """
    top = ROW * len(lines) + 12
    height = HEIGHT + top
    values_x = sorted({point[0] for line in lines.values() for point in line})
    low, high = min(ticks_y), max(ticks_y)

    def at(point: tuple[float, float]) -> tuple[float, float]:
        right = math.log(point[0] / values_x[0]) / math.log(values_x[-1] / values_x[0])
        up = math.log(point[1] / low) / math.log(high / low)
        return LEFT + 12 + right * (WIDTH - LEFT - 40), height - BOTTOM - up * (height - BOTTOM - top - 12)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(alt)}">'
    ]
    for value, name in ticks_y.items():
        _, y = at((values_x[0], value))
        parts += [
            f'<path d="M{LEFT} {y:.1f} H{WIDTH - 16}" stroke="currentColor" stroke-opacity="0.2"/>',
            _text(LEFT - 6, y + 4, name, anchor="end"),
        ]
    for value in values_x:
        place, _ = at((value, low))
        parts.append(_text(place, height - BOTTOM + 18, f"{value:,.0f}"))
    parts.append(_text((LEFT + WIDTH) / 2, height - 6, f"{x} (logarithmic, as are the seconds)"))
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number // 2 % len(COLOURS)] if len(lines) > 2 else COLOURS[number]
        dash = ' stroke-dasharray="6 4"' if number % 2 else ""
        places = [at(point) for point in line]
        path = " L".join(f"{right:.1f} {up:.1f}" for right, up in places)
        legend = ROW * number + 14
        for d in (f"M{path}", f"M{LEFT} {legend} h36"):
            parts.append(f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        parts += [_mark(right, up, colour, hollow=bool(number % 2)) for right, up in [*places, (LEFT + 18, legend)]]
        parts.append(_text(LEFT + 46, legend + 4, name, anchor="start"))
    return "\n".join([*parts, "</svg>"])


def _text(x: float, y: float, words: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="13" text-anchor="{anchor}">{escape(words)}</text>'


def _mark(x: float, y: float, colour: str, *, hollow: bool) -> str:
    fill = "var(--pst-color-background)" if hollow else colour
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{colour}" stroke-width="2"/>'

"""What the figures of all chapters share: colours, a style for plots, and drawing by hand in SVG.

The colours are mid-tones that can be told apart by the colour-blind and read on white and on black. Where a colour
means something, a word or a shape says it too. The scripts beside this one import it, which sets the style of plots.
"""

import math
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

HERE = Path(__file__).parent
LABS = HERE.parent.parent / "labs"

INK, BLUE, ORANGE, GREEN, PINK = "#778089", "#3d85c6", "#d5702a", "#1d9e78", "#bf6ea3"
WIDTH = 440  # of a drawing, in pixels: as wide as the text of a page, and no more than a phone can shrink legibly

mpl.rcParams.update(
    {
        "font.size": 10,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": INK,
        "grid.alpha": 0.25,
        "lines.linewidth": 2,
        "savefig.transparent": True,
        "figure.constrained_layout.use": True,
    }
)


def text(
    x: float, y: float, words: str, colour: str = INK, *, anchor: str = "middle", bold: bool = False, size: int = 14
) -> str:
    """Words whose middle line is at y. What follows "_" is set lower, as an index."""
    words, _, index = words.partition("_")
    index = f'<tspan dy="4" font-size="{size - 3}">{index}</tspan>' if index else ""
    weight = ' font-weight="700"' if bold else ""
    return (
        f'<text x="{x:g}" y="{y + 0.35 * size:g}" fill="{colour}" font-size="{size}" text-anchor="{anchor}"{weight}>'
        f"{words}{index}</text>"
    )


def line(*points: tuple[float, float], colour: str = INK, width: float = 1.5, dash: str = "") -> str:
    """A path through the points."""
    path = "M" + " L".join(f"{x:g} {y:g}" for x, y in points)
    extra = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"{extra}/>'


def arrow(*points: tuple[float, float], colour: str = INK, width: float = 1.5, dash: str = "") -> str:
    """A path through the points with an arrowhead at its end."""
    return line(*points, colour=colour, width=width, dash=dash) + head(points[-2], points[-1], colour)


def head(start: tuple[float, float], end: tuple[float, float], colour: str, size: float = 8) -> str:
    """An arrowhead at `end`, coming from `start`."""
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    corners = [end] + [
        (end[0] - size * math.cos(angle + side), end[1] - size * math.sin(angle + side)) for side in (-0.45, 0.45)
    ]
    return f'<path d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in corners)} Z" fill="{colour}"/>'


def box(
    x: float,
    y: float,
    width: float,
    height: float,
    colour: str = INK,
    *,
    fill: float = 0.15,
    radius: float = 4,
    dash: str = "",
) -> str:
    """A box with a border of the colour and a faint filling of it."""
    extra = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" stroke="{colour}" '
        f'stroke-width="1.5" fill="{colour}" fill-opacity="{fill:.3g}"{extra}/>'
    )


def save_drawing(name: str, marks: list[str], height: float) -> None:
    """Write a drawing; its size in pixels is the size of its coordinates."""
    body = "\n".join(marks)
    (HERE / f"{name}.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:g}" viewBox="0 0 {WIDTH} {height:g}" '
        f'font-family="system-ui, sans-serif">\n{body}\n</svg>\n',
        encoding="utf-8",
    )


def save_plot(name: str, figure: Figure) -> None:
    """Write a plot without a date and with the same ids each time, so that equal figures are equal files."""
    with plt.rc_context({"svg.hashsalt": name}):
        figure.savefig(HERE / f"{name}.svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)

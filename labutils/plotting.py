"""Figures of the labs: each function draws arrays and returns the Axes.

Backgrounds are transparent and text is mid-grey, so that a figure reads on a light and on a dark page. Colours are the
eight of Okabe and Ito, which readers with any colour vision can tell apart; markers repeat what the colours say.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

INK = "#808080"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vP"
STYLE: dict[Any, Any] = {
    "axes.facecolor": "none",
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def _axes(width: float, height: float) -> Axes:
    # Outside of the context: the first figure starts the notebook's backend, whose settings must outlast it.
    figure = plt.figure(figsize=(width, height), dpi=110, facecolor="none", layout="constrained")
    with plt.rc_context(STYLE):
        return figure.subplots()


def bars(values: Mapping[str, Sequence[float]], names: Sequence[str], *, unit: str) -> Axes:
    """Horizontal bars: one group a name, in each group one bar for each series in `values`."""
    ax = _axes(5.6, 0.7 + 0.22 * len(names) * max(2, len(values)))
    thickness = 0.8 / len(values)
    for i, (series, lengths) in enumerate(values.items()):
        places = [row + (i - (len(values) - 1) / 2) * thickness for row in range(len(names))]
        drawn = ax.barh(places, lengths, height=thickness * 0.9, color=COLOURS[i], label=series)
        ax.bar_label(drawn, fmt="%.3f", padding=3, color=INK, fontsize=9)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.margins(x=0.15)
    ax.set_xlabel(unit)
    if len(values) > 1:
        ax.legend(loc="lower right", labelcolor=INK, frameon=False)
    return ax


def curves(
    x: Sequence[float], values: Mapping[str, Sequence[float]], *, xlabel: str, ylabel: str, log_x: bool = False
) -> Axes:
    """Lines over a common x, named at their right ends and told apart by colour and marker."""
    ax = _axes(5.6, 3.4)
    for i, (name, y) in enumerate(values.items()):
        every = max(1, len(x) // 8)
        ax.plot(x, y, color=COLOURS[i], marker=MARKERS[i], markevery=every, markersize=5, label=name)
    if log_x:
        ax.set_xscale("log")
        # On fewer than two decades, labels at the powers of ten alone would be one or two.
        steps = (1.0, 2.0, 5.0) if max(x) < 100 * min(x) else (1.0,)
        ax.xaxis.set_major_locator(LogLocator(subs=steps))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    if len(values) > 1:
        ax.legend(labelcolor=INK, frameon=False)
    return ax


def plane(points: Mapping[str, tuple[float, float]], families: Mapping[str, str], *, xlabel: str, ylabel: str) -> Axes:
    """Named points in a plane; `families` maps each name to the family that gives it a colour and a marker."""
    ax = _axes(5.6, 4.2)
    kinds = list(dict.fromkeys(families.values()))
    for i, kind in enumerate(kinds):
        members = [name for name in points if families[name] == kind]
        xs, ys = zip(*(points[name] for name in members), strict=True)
        ax.scatter(xs, ys, color=COLOURS[i], marker=MARKERS[i], s=42, label=kind, zorder=2)
        for name in members:
            ax.annotate(name, points[name], textcoords="offset points", xytext=(6, 4), fontsize=9, color=INK)
    ax.margins(0.12)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.legend(labelcolor=INK, frameon=False)
    return ax


def heatmap(
    values: Sequence[Sequence[float]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    xlabel: str,
    ylabel: str,
    unit: str,
    digits: int = 2,
    between: tuple[float, float] | None = None,
) -> Axes:
    """A table of numbers as coloured cells: values[row][column], the first row on top, NaN left open.

    Each number is printed in its cell if all of them fit. `unit` names the colour bar; `between` fixes the values at
    its ends, so that two figures can be compared, and without it they are the smallest and the largest value.
    """
    table = np.asarray(values, dtype=float)
    if table.shape != (len(rows), len(columns)):
        raise ValueError(f"There are {len(rows)} rows and {len(columns)} columns of names for {table.shape} values.")
    printed = [[f"{value:.{digits}f}" for value in row] for row in table.tolist()]
    needed = 0.03 + 0.075 * max(len(number) for row in printed for number in row)  # inches at 8 points
    width = min(max(needed, 0.42), 5.2 / len(columns))
    height = min(0.36, 5.5 / len(rows))
    longest = 0.1 * max(map(len, columns))
    slanted = longest > width >= 0.17
    ax = _axes(
        1.6 + 0.09 * max(map(len, rows)) + width * len(columns), 1.0 + height * len(rows) + (0.6 * longest) * slanted
    )
    image = ax.imshow(table, cmap="cividis", aspect="auto", vmin=between and between[0], vmax=between and between[1])
    if width >= needed and height >= 0.16:
        for row, column in np.argwhere(np.isfinite(table)).tolist():
            red, green, blue, _ = image.to_rgba(table[row, column])
            ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.46 else "white"
            ax.text(column, row, printed[row][column], ha="center", va="center", color=ink, fontsize=8)
    across = 1 if slanted else math.ceil(longest / width)  # of many names only those are written that fit
    down = math.ceil(0.17 / height)
    ax.set_xticks(range(0, len(columns), across), columns[::across], fontsize=9, rotation=60 if slanted else 0)
    ax.set_yticks(range(0, len(rows), down), rows[::down], fontsize=9)
    ax.spines[:].set_visible(False)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    with plt.rc_context(STYLE):
        bar = plt.colorbar(image, ax=ax, label=unit)
    bar.outline.set_visible(False)
    return ax

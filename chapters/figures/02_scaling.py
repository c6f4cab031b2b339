"""Draw the scaling law of chapter 2, `python chapters/figures/02_scaling.py`, from benchmarks/scaling.json."""

import json

import matplotlib.pyplot as plt
import numpy as np
from figure_kit import BLUE, GREEN, HERE, INK, ORANGE, PINK, save_plot
from matplotlib.figure import Figure

RESULTS = HERE.parent.parent / "benchmarks" / "scaling.json"
STYLES = [(BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PINK, "D"), (BLUE, "v"), (ORANGE, "P"), (GREEN, "X"), (PINK, "*")]


def scaling() -> Figure:
    """The gap of every run by compute, the frontier and its fit; below, how far the frontier is from the fit."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    figure, (above, below) = plt.subplots(2, 1, figsize=(4.6, 5.2), sharex=True, height_ratios=(3, 1))
    runs = [run for run in found["runs"] if run["setting"]["rate"] == 1]
    for weights, (colour, marker) in zip(sorted({run["weights"] for run in runs}), STYLES, strict=False):
        own = sorted((run["compute"], run["gap"]) for run in runs if run["weights"] == weights)
        compute = sorted({cost for cost, _ in own})
        means = [np.exp(np.mean([np.log(gap) for cost, gap in own if cost == c])) for c in compute]
        above.plot(compute, means, color=colour, linewidth=1)
        above.plot(*zip(*own, strict=True), marker, color=colour, markersize=5, linestyle="", label=f"{weights:,}")
    fit = found["fits"]["compute"]
    compute = np.array([point["compute"] for point in fit["points"]])
    above.plot(compute, (compute / fit["scale"]) ** -fit["exponent"], "--", color=INK, label="fit to the frontier")
    above.plot(compute, [point["gap"] for point in fit["points"]], "o", mfc="none", mec=INK, ms=11, label="frontier")
    above.set(xscale="log", yscale="log", ylabel="gap to the floor, nats per word (log scale)")
    above.legend(frameon=False, fontsize=8, title="weights", title_fontsize=8, loc="lower left")
    below.axhline(1, color=INK, linewidth=1, linestyle="--")
    below.plot(compute, np.exp(fit["residuals"]), "o", mfc="none", mec=INK, ms=8)
    below.set(yscale="log", xlabel="operations (log scale)", ylabel="gap / fit", ylim=(0.4, 2.5))
    below.set_yticks([0.5, 1, 2], ["½", "1", "2"])
    below.minorticks_off()
    return figure


if __name__ == "__main__":
    save_plot("02_scaling", scaling())

"""What the figures must carry for every reader: labels, names, distinct marks."""

import itertools

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from labutils import plotting


def luminance(colour: str) -> float:
    """Relative luminance of a colour #rrggbb, as WCAG 2 defines it."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_bars_draw_each_value_at_its_length_and_print_it():
    ax = plotting.bars({"T = 1": [0.2, 0.1], "T = 2": [0.06, 0.04]}, ["cake", "donut"], unit="probability")
    assert [patch.get_width() for patch in ax.patches] == [0.2, 0.1, 0.06, 0.04]
    assert {"0.200", "0.040"} <= {text.get_text() for text in ax.texts}
    assert ax.get_xlabel() == "probability"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cake", "donut"]


def test_curves_differ_by_colour_and_by_marker():
    ax = plotting.curves(
        [1.0, 2.0, 3.0], {"a": [1.0, 2.0, 3.0], "b": [3.0, 2.0, 1.0]}, xlabel="T", ylabel="nats", log_x=True
    )
    first, second = ax.lines
    assert list(second.get_ydata()) == [3, 2, 1]
    assert first.get_color() != second.get_color()
    assert first.get_marker() != second.get_marker()
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale()) == ("T", "nats", "log")


def test_a_plane_names_every_point_and_every_family():
    points = {"greedy": (0.0, 1.0), "k = 5": (0.1, 0.9), "k = 20": (0.2, 0.8)}
    families = {"greedy": "one setting", "k = 5": "top-k", "k = 20": "top-k"}
    ax = plotting.plane(points, families, xlabel="distinct", ylabel="errors")
    assert {text.get_text() for text in ax.texts} == set(points)
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"one setting", "top-k"}
    assert sorted(map(tuple, (xy for c in ax.collections for xy in c.get_offsets()))) == sorted(points.values())


def test_a_heatmap_prints_each_number_in_its_cell_and_leaves_a_missing_one_open():
    values = [[0.25, 0.75, float("nan")], [1.0, 0.0, 0.5]]
    ax = plotting.heatmap(values, ["it", "sat"], ["the", "cat", "?"], xlabel="key", ylabel="query", unit="weight")
    cells = {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in ax.texts}
    assert cells == {(0, 0): "0.25", (0, 1): "0.75", (1, 0): "1.00", (1, 1): "0.00", (1, 2): "0.50"}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["it", "sat"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["the", "cat", "?"]
    assert ax.yaxis_inverted(), "the first row is on top"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("key", "query")
    bar = ax.figure.axes[1]
    assert bar.get_ylabel() == "weight"
    assert bar.yaxis.label.get_color() == plotting.INK


def test_a_large_heatmap_prints_no_numbers_and_only_the_names_that_fit():
    names = [str(n) for n in range(60)]
    values = np.random.default_rng(0).uniform(size=(60, 60))
    ax = plotting.heatmap(values.tolist(), names, names, xlabel="x", ylabel="y", unit="u", between=(0.0, 2.0))
    ax.figure.canvas.draw()
    assert not ax.texts
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    assert ax.images[0].get_clim() == (0.0, 2.0)


def test_colours_rise_evenly_in_lightness_and_each_number_stands_out_from_its_cell():
    values = [[n / 20 for n in range(21)]]
    ax = plotting.heatmap([[v] for v in values[0]], ["r"] * 21, ["c"], xlabel="x", ylabel="y", unit="u")
    cells = [mpl.colors.to_hex(ax.images[0].to_rgba(v)) for v in values[0]]
    shades = [luminance(cell) for cell in cells]
    assert shades == sorted(shades)
    for text in ax.texts:
        assert contrast(mpl.colors.to_hex(text.get_color()), cells[round(text.get_position()[1])]) > 4.5


def test_a_heatmap_refuses_names_that_do_not_match():
    with pytest.raises(ValueError, match="1 rows and 2 columns"):
        plotting.heatmap([[1.0]], ["a"], ["b", "c"], xlabel="x", ylabel="y", unit="u")


def test_drawing_leaves_the_settings_of_the_session_alone():
    before = {key: value for key, value in mpl.rcParams.items() if key != "backend"}
    plotting.bars({"T = 1": [0.2]}, ["cake"], unit="probability")
    assert {key: value for key, value in mpl.rcParams.items() if key != "backend"} == before


@pytest.mark.parametrize("background", ["#ffffff", "#121212"])
def test_ink_can_be_read_on_light_and_dark_pages(background):
    assert contrast(plotting.INK, background) > 3.9


@pytest.mark.parametrize("x", [[30.0, 100.0, 300.0, 700.0], [0.1, 0.5, 1.0, 3.0], [1e3, 1e4, 1e5, 7e5], [4.0, 8.0]])
def test_labels_of_a_logarithmic_axis_stand_apart(x: list[float]):
    ax = plotting.curves(x, {"a": x}, xlabel="pairs", ylabel="share", log_x=True)
    ax.figure.canvas.draw()
    left, right = ax.get_xlim()
    labels = [label for label in ax.get_xticklabels(which="both") if label.get_text()]
    boxes = [label.get_window_extent() for label in labels if left <= label.get_position()[0] <= right]
    assert len(boxes) >= 2
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(sorted(boxes, key=lambda box: box.x0)))

"""What the figures must carry for every reader: labels, names, distinct marks."""

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import pytest

from labutils import plotting


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


def test_drawing_leaves_the_settings_of_the_session_alone():
    before = {key: value for key, value in mpl.rcParams.items() if key != "backend"}
    plotting.bars({"T = 1": [0.2]}, ["cake"], unit="probability")
    assert {key: value for key, value in mpl.rcParams.items() if key != "backend"} == before


@pytest.mark.parametrize("background", ["#ffffff", "#121212"])
def test_ink_can_be_read_on_light_and_dark_pages(background):
    def luminance(colour):
        channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(plotting.INK), luminance(background)))
    assert (light + 0.05) / (dark + 0.05) > 3.9

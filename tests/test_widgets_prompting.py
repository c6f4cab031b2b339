"""The figure of chapter 4: its arithmetic in JavaScript, and the counted shares that it shows."""

import re

import javascript
import numpy as np
import pytest
from scipy.stats import binomtest

from labutils import widgets


def test_the_interval_of_a_share_is_that_of_scipy():
    cases = [(hits, n) for n in (10, 1000) for hits in (0, 1, 7, n // 2, n - 1, n)]
    found = javascript.run(
        "in_context_explorer.js", "([share, n]) => module.interval(share, n)", [[h / n, n] for h, n in cases]
    )
    expected = [binomtest(h, n).proportion_ci(method="wilson") for h, n in cases]
    np.testing.assert_allclose(found, [(ci.low, ci.high) for ci in expected], atol=1e-9)


def test_the_in_context_figure_reads_its_numbers():
    state = widgets.in_context_explorer().state
    wanted = [{"size": "64", "group": "never", "labels": kind, "examples": 4} for kind in ("right", "swapped")]
    right, swapped = javascript.run("in_context_explorer.js", "module.reading", [state | choice for choice in wanted])
    counted = state["accuracy"]["64"]["never"]
    assert right["curve"] == counted["right"]
    assert right["share"] == counted["right"][4]
    assert right["gain"] == pytest.approx(counted["right"][4] - counted["right"][0])
    assert right["best"] == state["bayes"][4]
    assert right["low"] < right["share"] < right["high"]
    assert (swapped["share"], swapped["best"]) == (counted["swapped"][4], None)


def test_without_javascript_the_in_context_figure_is_a_table():
    figure = widgets.in_context_explorer()
    rows = dict(re.findall(r"<tr><th scope=\"row\">(.*?)</th>(.*?)</tr>", figure.fallback))
    assert len(rows) == 2 * len(figure.state["accuracy"]) + 1
    cells = re.findall(r"<td>(.*?)</td>", rows["2,608 weights, rare"])
    shares = figure.state["accuracy"]["8"]["rare"]["right"]
    assert cells == [f"{shares[k]:.3f}" for k in (0, 1, 2, 4, 8)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": "128"}, "size is '128'"),
        ({"group": "common"}, "group is 'common'"),
        ({"labels": "wrong"}, "labels is 'wrong'"),
        ({"examples": 9}, "from 0 to 8"),
    ],
)
def test_bad_settings_of_the_in_context_figure(arguments, message):
    with pytest.raises(ValueError, match=message):
        widgets.in_context_explorer(**arguments)

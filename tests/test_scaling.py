"""The scaling law: its fit against laws that are known, its stored results against what the chapter says."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress
from torch.utils.flop_counter import FlopCounterMode

from _ext import scaling as role
from benchmarks import scaling
from benchmarks.scaling import Point, Setting, frontier, operations, power_law
from labutils.models import Config, Decoder
from labutils.objectives import causal_loss

STORED = json.loads(scaling.RESULTS.read_text(encoding="utf-8"))


@given(exponent=st.floats(0.05, 3), log_scale=st.floats(-5, 30), n=st.integers(3, 12), seed=st.integers(0, 1000))
def test_an_exact_power_law_is_found_exactly(exponent, log_scale, n, seed):
    x = np.exp(np.random.default_rng(seed).uniform(0, 20, n))
    fit = power_law(x.tolist(), ((x / math.exp(log_scale)) ** -exponent).tolist())
    assert [fit.exponent, fit.low, fit.high, *fit.local] == pytest.approx([exponent] * (n + 2), rel=1e-3)
    assert math.log(fit.scale) == pytest.approx(log_scale, abs=1e-3)
    assert fit.residuals == pytest.approx([0] * n, abs=1e-6)


@given(seed=st.integers(0, 1000), n=st.integers(3, 12))
def test_a_noisy_law_gets_the_line_of_least_squares(seed, n):
    generator = np.random.default_rng(seed)
    log_x = generator.permutation(np.arange(n)) + generator.uniform(0, 0.5, n)
    log_y = -0.7 * log_x + generator.normal(0, 0.3, n)
    fit = power_law(np.exp(log_x).tolist(), np.exp(log_y).tolist())
    line = linregress(log_x, log_y)
    assert fit.exponent == pytest.approx(-line.slope)
    order = log_x.argsort()
    assert fit.residuals == pytest.approx((log_y - line.intercept - line.slope * log_x)[order])
    without = [-linregress(np.delete(log_x, i), np.delete(log_y, i)).slope for i in range(n)]
    assert (fit.low, fit.high) == pytest.approx((min(without), max(without)))


def test_a_curve_that_levels_off_shows_in_the_exponents_between_neighbours():
    x = np.geomspace(1, 1e4, 9)
    local = power_law(x.tolist(), (0.1 + 1 / x).tolist()).local
    assert local == sorted(local, reverse=True)
    assert local[0] > 0.8
    assert local[-1] < 0.05


@pytest.mark.parametrize(("x", "y"), [([1.0, 2.0], [2.0, 1.0]), ([1.0, 2.0, 3.0], [1.0, 0.0, 0.5])])
def test_what_is_no_power_law_is_refused(x, y):
    with pytest.raises(ValueError, match="at least 3 points with positive"):
        power_law(x, y)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1))
def test_the_frontier_is_what_no_other_point_beats(pairs):
    candidates = [Point(d_model=1, weights=1, tokens=1, compute=float(c), gap=float(g)) for c, g in pairs]
    found = [(point.compute, point.gap) for point in frontier(candidates)]
    beaten = {(c, g) for c, g in pairs if any(other != (c, g) and other[0] <= c and other[1] <= g for other in pairs)}
    assert found == sorted({pair for pair in pairs if pair not in beaten})


@pytest.mark.parametrize(("d_model", "n_heads", "n_layers"), [(8, 2, 2), (64, 4, 2), (96, 6, 3)])
def test_operations_are_those_that_torch_counts(d_model, n_heads, n_layers):
    """Torch counts products of matrices only, and not those of the embedding's gradient."""
    config = Config(vocab_size=298, d_model=d_model, n_heads=n_heads, n_layers=n_layers)
    model = Decoder(config)
    tokens = torch.randint(298, (2, scaling.LENGTH))
    with FlopCounterMode(display=False) as counter:
        causal_loss(model(tokens), tokens).backward()
    setting = Setting(d_model=d_model, n_heads=n_heads, n_layers=n_layers, steps=1, batch=2)
    weights = sum(parameter.numel() for parameter in model.parameters())
    assert operations(setting, weights) == pytest.approx(counter.get_total_flops(), rel=0.05)


def test_the_command_for_a_gpu_can_be_stopped_and_goes_on(monkeypatch, tmp_path, capsys):
    """At a reduced size, and on the CPU; what is done is not done again."""
    monkeypatch.setenv("LABUTILS_PROFILE", "gpu")
    monkeypatch.setattr(scaling, "RESULTS", tmp_path / "scaling.json")
    monkeypatch.setattr(scaling, "BATCH", {"gpu": 2})
    small = [((8, 2, 1), (1, 2), (1.0,), 1), ((16, 2, 1), (2,), (1.0, 2.0), 1)]
    monkeypatch.setitem(scaling.PLAN, "gpu", small)
    really, ran = scaling.perform, []

    def perform(*what):
        ran.append(what[:2])
        if len(ran) == 3:
            raise KeyboardInterrupt
        return really(*what)

    monkeypatch.setattr(scaling, "perform", perform)
    with pytest.raises(KeyboardInterrupt):
        scaling.main()
    assert len(scaling.read(scaling.RESULTS)) == 2
    scaling.main()
    assert len(scaling.read(scaling.RESULTS)) == 4
    assert ran[2] == ran[3]
    assert len(set(ran)) == 4
    assert "residuals" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.unfinished"))


# -------------------------------------------------------------------------------------------------- the stored results


def test_the_stored_fits_follow_from_the_stored_runs():
    runs = scaling.read()
    assert [asdict(run) for run in runs] == STORED["runs"]
    for name, fit in scaling.fits(runs).items():
        stored = STORED["fits"][name]
        assert [list(point.values()) for point in fit["points"]] == pytest.approx(
            np.array([list(point.values()) for point in stored["points"]]), rel=1e-9
        )
        for key in fit.keys() - {"points"}:
            assert fit[key] == pytest.approx(stored[key], rel=1e-6, abs=1e-9), (name, key)
    assert {(run.setting, run.seed) for run in runs} >= set(scaling.settings("cpu"))
    for run in runs:
        assert run.compute == operations(run.setting, run.weights)


def test_what_the_chapter_says_in_words_holds():
    fits = STORED["fits"]
    compute, weights, tokens = (fits[name] for name in ("compute", "weights", "tokens"))
    # First below the line, then above it: a bend, and no scatter. And one step is far steeper than all others.
    assert max(compute["residuals"][:2]) < 0 < min(compute["residuals"][2:7])
    assert max(compute["local"]) > 4 > 3.1 > sorted(compute["local"])[-2]
    # With the text fixed, the exponent falls to nearly nothing, and more text does what more weights did not.
    assert min(weights["local"][:2]) > 1 > 0.3 > max(weights["local"][-2:])
    last, larger = compute["points"][-1], weights["points"][-2:]
    assert (last["weights"], last["tokens"]) == (35_008, 4 * larger[0]["tokens"])
    assert last["gap"] < min(point["gap"] for point in larger)
    assert max(tokens["local"]) - min(tokens["local"]) < 0.1


def test_the_role_knows_numbers_that_are_words():
    said = role.words(STORED)
    assert said["compute/exponent"] == f"{STORED['fits']['compute']['exponent']:.2f}"
    assert all(said.values())

"""The figures of chapter 6: their arithmetic in JavaScript against the losses of labutils and against simulations."""

import math
import re

import javascript
import numpy as np
import pytest
import torch
from scipy.stats import binom

from labutils import widgets
from labutils.objectives import dpo_loss
from labutils.widgets import synthetic as figures
from labutils.world import World

# The preferences explorer

ANSWERS = widgets.preferences_explorer().state["answers"]
POINTS = torch.tensor([answer["points"] for answer in ANSWERS], dtype=torch.float64)
SETTINGS = [(beta, junk) for beta in (-1, -0.5, 0, 0.35, 1) for junk in (-6, -3, -1)]


@pytest.fixture(scope="module")
def preferred() -> list[dict]:
    """What the figure shows at each of the settings."""
    cases = [{"answers": ANSWERS, "log_beta": beta, "log_junk": junk} for beta, junk in SETTINGS]
    return javascript.run("preferences_explorer.js", "module.prefer", cases)


def expected_dpo_loss(log_policy: torch.Tensor, log_reference: torch.Tensor, beta: float) -> torch.Tensor:
    """Over all pairs of answers, of which one is chosen as Bradley and Terry have it."""
    n = len(POINTS)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    losses = [
        torch.sigmoid(POINTS[i] - POINTS[j])
        * dpo_loss(log_policy[[i]], log_policy[[j]], log_reference[[i]], log_reference[[j]], beta=beta)
        for i, j in pairs
    ]
    return torch.stack(losses).sum()


def test_the_optimum_is_where_the_dpo_loss_is_flat(preferred):
    for result in preferred:
        reference = torch.tensor(result["before"], dtype=torch.float64).log()
        after = torch.tensor(result["after"], dtype=torch.float64)
        for logits, flat in ((after.log(), True), (reference, False)):
            logits = logits.clone().requires_grad_()
            expected_dpo_loss(logits.log_softmax(-1), reference, float(result["beta"])).backward()
            assert logits.grad is not None
            assert (logits.grad.abs().max() < 1e-12) == flat


def test_no_other_policy_earns_more_at_the_price(preferred):
    rng = np.random.default_rng(4)
    for result in preferred:
        before, after = np.array(result["before"]), np.array(result["after"])
        value = result["points"] - result["beta"] * result["kl"]
        others = np.concatenate(
            [rng.dirichlet(np.ones(6), size=200), 0.99 * after + 0.01 * rng.dirichlet(np.ones(6), 200)]
        )
        kl = (others * np.log(others / before)).sum(1)
        assert (others @ POINTS.numpy() - result["beta"] * kl <= value + 1e-12).all()


def test_the_worth_of_a_policy_is_counted_right(preferred):
    for (_, junk), result in zip(SETTINGS, preferred, strict=True):
        before, after = (torch.tensor(result[name], dtype=torch.float64) for name in ("before", "after"))
        assert before.sum() == pytest.approx(1)
        impossible = torch.tensor([not answer["possible"] for answer in ANSWERS])
        assert float(before[impossible].sum()) == pytest.approx(10**junk)
        p, q = (torch.distributions.Categorical(probs=probs) for probs in (after, before))
        assert result["kl"] == pytest.approx(float(torch.distributions.kl_divergence(p, q)), abs=1e-9)
        ahead = (POINTS[:, None] - POINTS).sign() / 2 + 0.5
        assert result["wins"] == pytest.approx(float(after @ ahead @ before))
        assert result["points"] == pytest.approx(float(after @ POINTS))
        gap = torch.tensor(result["rewards"], dtype=torch.float64) - POINTS
        assert float(gap.max() - gap.min()) < 1e-9  # the reward is the points, up to a constant


def test_as_the_price_falls_the_wins_rise_and_the_language_goes():
    """What the figure is there to show, at its first share of impossible answers."""
    cases = [{"answers": ANSWERS, "log_junk": -3, "log_beta": beta} for beta in (1, 0.5, 0, -0.5, -1)]
    course = javascript.run("preferences_explorer.js", "module.prefer", cases)
    assert [result["wins"] for result in course] == sorted(result["wins"] for result in course)
    assert [result["possible"] for result in course] == sorted((result["possible"] for result in course), reverse=True)
    assert course[2]["possible"] > 0.98
    assert course[2]["points"] > 0.5
    assert course[-1]["possible"] < 0.01


def test_the_answers_have_the_points_of_the_constitution_and_are_told_apart_by_the_grammar():
    world = World()
    value = dict.fromkeys(["chase", "chases", "hide", "hides", "burn", "burns", "block", "blocks"], -2)
    value |= dict.fromkeys(["often", "slowly", "quietly", "quickly", "loudly", "today"], 1)
    for answer in ANSWERS:
        assert answer["points"] == sum(value.get(word, 0) for word in answer["text"].split())
        assert answer["possible"] == bool(np.isfinite(world.surprisal(world.prompt(answer["text"]))).all())


def test_without_javascript_the_preferences_figure_is_a_table():
    rows = re.findall(r"<th scope=\"row\">(.*?)</th>(.*?)</tr>", widgets.preferences_explorer(junk=0.01).fallback)
    assert len(rows) == 6
    cases = [{"answers": ANSWERS, "log_junk": -2, "log_beta": math.log10(float(beta))} for beta, _ in rows]
    for (_, cells), result in zip(rows, javascript.run("preferences_explorer.js", "module.prefer", cases), strict=True):
        expected = [f"{result['points']:.2f}", f"{result['kl']:.2f}", f"{result['possible']:.3f}"]
        assert re.findall(r"<td>(.*?)</td>", cells) == expected


@pytest.mark.parametrize(("arguments", "message"), [({"beta": 0.01}, "beta is 0.01"), ({"junk": 0.5}, "junk is 0.5")])
def test_bad_settings_of_the_preferences_figure(arguments, message):
    with pytest.raises(ValueError, match=message):
        widgets.preferences_explorer(**arguments)


# The collapse explorer


def collapse(**settings) -> dict:
    return {"law": figures._WORD_LAW, "length": 40, "real": 0.0, "generations": 12, "seed": 0} | settings


def simulated(law: np.ndarray, length: int, real: float, generations: int, runs: int) -> np.ndarray:
    """The number of different words in each generation of many runs, by numpy: [runs, generations]."""
    rng = np.random.default_rng(5)
    shares = rng.multinomial(length, law, size=runs) / length
    left = [(shares > 0).sum(1)]
    for _ in range(generations - 1):
        shares = rng.multinomial(length, (1 - real) * shares + real * law) / length
        left.append((shares > 0).sum(1))
    return np.stack(left, axis=1)


def test_the_binomial_law_is_that_of_scipy():
    cases = [[n, p] for n in (1, 7, 100) for p in (0, 1e-9, 0.02, 0.5, 0.999, 1)]
    for (n, p), law in zip(
        cases, javascript.run("collapse_explorer.js", "([n, p]) => module.binomial(n, p)", cases), strict=True
    ):
        np.testing.assert_allclose(law, binom.pmf(np.arange(n + 1), n, p), atol=1e-12)


@pytest.mark.parametrize("real", [0.0, 0.2])
def test_the_expected_number_of_words_is_the_mean_of_many_runs(real):
    runs = 3000
    [exact] = javascript.run("collapse_explorer.js", "module.expected", [collapse(real=real)])
    left = simulated(np.array(figures._WORD_LAW), 40, real, 12, runs)
    error = left.std(0) / math.sqrt(runs)
    assert (np.abs(left.mean(0) - exact) < 4 * error).all()


def test_a_run_is_a_fair_draw_and_a_lost_word_stays_lost():
    cases = [collapse(seed=seed) for seed in range(300)]
    runs = np.array(javascript.run("collapse_explorer.js", "module.run", cases))  # [runs, generations, words]
    np.testing.assert_allclose(runs.sum(-1), 1)
    np.testing.assert_allclose(40 * runs, np.round(40 * runs), atol=1e-9)
    assert not ((runs[:, :-1] == 0) & (runs[:, 1:] > 0)).any()
    error = runs.std(0) / math.sqrt(len(runs))
    assert (np.abs(runs.mean(0) - figures._WORD_LAW) <= 5 * error + 1e-9).mean() > 0.99  # no word is favoured
    # A pair of tokens is of one word unless they are copies of different ones: 1 - sum of squares falls by 1 - 1/n.
    law = np.array(figures._WORD_LAW)
    diversity = 1 - (runs**2).sum(-1)
    exact = (1 - (law**2).sum()) * (1 - 1 / 40) ** np.arange(1, 13)
    assert (np.abs(diversity.mean(0) - exact) < 4 * diversity.std(0) / math.sqrt(len(runs))).all()


def test_real_words_in_every_text_bring_lost_ones_back():
    cases = [collapse(real=real, generations=21) for real in (0.0, 0.1, 0.5)]
    last = [course[-1] for course in javascript.run("collapse_explorer.js", "module.expected", cases)]
    assert last[0] < last[1] < last[2]


def test_without_javascript_the_collapse_figure_is_a_table():
    """From the end of the runs to their beginning in Python, from the beginning to the end in JavaScript."""
    state = widgets.collapse_explorer(length=40).state
    [exact] = javascript.run("collapse_explorer.js", "module.expected", [state | {"real": 0}])
    np.testing.assert_allclose(figures._words_expected(40), exact, atol=1e-9)
    rows = re.findall(r"<th scope=\"row\">(\d+)</th><td>(.*?)</td>", widgets.collapse_explorer(length=40).fallback)
    assert [(int(g), shown) for g, shown in rows] == [(g, f"{exact[g]:.1f}") for g in (0, 1, 2, 5, 10, 20)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"generation": 21}, "generation is 21"),
        ({"length": 45}, "length is 45"),
        ({"percent": 3}, "percent is 3"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_settings_of_the_collapse_figure(arguments, message):
    with pytest.raises(ValueError, match=message):
        widgets.collapse_explorer(**arguments)

"""The figures of chapter 5: their arithmetic in JavaScript against labutils.sampling."""

import math
import re

import javascript
import numpy as np
import pytest
import torch

from labutils import sampling, widgets
from labutils.widgets import sampling as figures
from labutils.world import World


def run_decode(cases: list[dict]) -> list[dict]:
    return javascript.run("sampling.js", "({ logits, ...settings }) => module.decode(logits, settings)", cases)


def case(logits, temperature=1.0, top_k=None, top_p=1.0, rule="nucleus") -> dict:
    logits = [float(z) for z in logits]
    return {
        "logits": logits,
        "temperature": temperature,
        "top_k": top_k or len(logits),
        "top_p": top_p,
        "rule": rule,
    }


def reference(c: dict) -> torch.Tensor:
    """Temperature, top-k, top-p by labutils.sampling, in the precision of JavaScript's numbers."""
    logits = torch.tensor(c["logits"], dtype=torch.float64)
    return sampling.filter_logits(logits, temperature=c["temperature"], top_k=c["top_k"], top_p=c["top_p"])


def test_javascript_equals_labutils_sampling_on_random_logits_with_ties():
    rng = np.random.default_rng(0)
    cases = []
    for n in range(300):
        size = int(rng.integers(2, 60))
        logits = rng.normal(scale=rng.uniform(0.1, 6), size=size)
        if n % 3 == 0:
            logits = np.round(logits)  # many equal logits
        cases.append(
            case(
                logits,
                temperature=float(rng.choice([0.05, 0.3, 0.7, 1.0, 1.7, 3.0])),
                top_k=int(rng.integers(1, size + 1)),
                top_p=float(rng.uniform(0.01, 1)) if n % 4 else 1.0,
            )
        )
    for c, result in zip(cases, run_decode(cases), strict=True):
        expected = reference(c)
        kept = expected > -math.inf
        assert result["kept"] == kept.tolist(), c
        assert result["count"] == int(kept.sum())
        np.testing.assert_allclose(result["after"], expected.softmax(-1), atol=1e-12)
        tempered = (torch.tensor(c["logits"], dtype=torch.float64) / c["temperature"]).softmax(-1)
        np.testing.assert_allclose(result["mass"], tempered[kept].sum(), atol=1e-12)
        np.testing.assert_allclose(
            result["entropyAfter"], torch.distributions.Categorical(logits=expected[kept]).entropy(), atol=1e-10
        )


def test_a_tie_at_rank_k_keeps_all_that_tie():
    [result] = run_decode([case([2.0, 1.0, 1.0, 1.0, 0.0], top_k=2)])
    assert result["kept"] == [True, True, True, True, False]


def test_a_tie_at_the_nucleus_keeps_the_first_of_the_vocabulary():
    [result] = run_decode([case([0.0, 0.0, 0.0, 0.0], top_p=0.6)])
    assert result["kept"] == [True, True, True, False]


def test_where_the_sum_meets_p_exactly_both_rules_agree():
    quarters = [0.0, 0.0, 0.0, 0.0]  # 0.25 + 0.25 = 0.5 without rounding
    results = run_decode([case(quarters, top_p=0.5), case(quarters, top_p=0.5, rule="at-most")])
    assert [result["count"] for result in results] == [2, 2]
    assert results[0]["kept"] == (reference(case(quarters, top_p=0.5)) > -math.inf).tolist()


@pytest.mark.parametrize(
    ("p", "nucleus", "at_most"),
    [(0.15, 1, 0), (0.25, 2, 1), (0.31, 3, 2), (0.32999, 4, 3), (0.9, 68, 67), (1.0, 80, 80)],
)
def test_the_two_rules_on_the_dessert_table(p, nucleus, at_most):
    logits = [math.log(q) for q in widgets.DESSERT.values()]
    results = run_decode([case(logits, top_p=p), case(logits, top_p=p, rule="at-most")])
    assert [result["count"] for result in results] == [nucleus, at_most]


def test_nothing_left_is_told_apart_from_certainty():
    [result] = run_decode([case(np.log([0.95, 0.03, 0.02]), top_p=0.9, rule="at-most")])
    assert (result["count"], result["mass"], sum(result["after"])) == (0, 0, 0)


def test_the_dessert_table_is_the_law_of_the_world():
    world = World()
    law = world.law_after("for dessert we had the")
    expected = {world.vocab[i]: law[i] for i in np.flatnonzero(law)}
    assert widgets.DESSERT.keys() == expected.keys()
    np.testing.assert_allclose([expected[word] for word in widgets.DESSERT], list(widgets.DESSERT.values()), atol=1e-15)
    assert list(widgets.DESSERT.values()) == sorted(widgets.DESSERT.values(), reverse=True)
    assert list(widgets.DESSERT.items())[:4] == [("cake", 0.20), ("donut", 0.10), ("banana", 0.02), ("apple", 0.01)]


# The beam explorer

VOCAB = [".", "the", "some", "big", "dogs", "cats", "sleep", "run", "play"]
WORDS = {word: token for token, word in enumerate(VOCAB)}
START = len(VOCAB)


def model_of(law: dict):
    """A model for labutils.sampling with this law; a text that is no beginning may go on anyhow."""

    def model(tokens: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(*tokens.shape, len(VOCAB), dtype=torch.float64)
        for row, text in zip(logits, tokens.tolist(), strict=True):
            after = law
            for token in text[1:]:
                after = (after or {}).get(VOCAB[token], (0, None))[1]
            if after:
                row[-1] = torch.tensor([after[word][0] if word in after else 0.0 for word in VOCAB]).log()
        return logits

    return model


def random_law(rng: np.random.Generator, depth: int) -> dict:
    """A law over sentences of at most `depth` words and a full stop, which may come after any word."""
    if depth == 0:
        return {".": [1.0, None]}
    words = [".", *rng.permutation(VOCAB[1:])[: rng.integers(1, 4)]]
    shares = rng.dirichlet(np.ones(len(words))).tolist()
    return {
        str(word): [share, None if word == "." else random_law(rng, depth - 1)]
        for word, share in zip(words, shares, strict=True)
    }


def found_by_labutils(law: dict, settings: dict) -> list[tuple[str, float, float]]:
    """The complete beams of labutils.sampling, best first: text, log-probability and score."""
    beams = sampling.beam_search(
        model_of(law),
        torch.tensor([[START]]),
        width=settings["width"],
        max_new_tokens=6,
        stop_token=0,
        length_penalty=float(settings["penalty"]),
    )
    columns = (beams.new_tokens, beams.lengths, beams.log_probabilities, beams.scores)
    return [
        (" ".join(VOCAB[token] for token in tokens[:length]), log_p, score)
        for tokens, length, log_p, score in zip(*(column[0].tolist() for column in columns), strict=True)
        if log_p > -math.inf
    ]


SETTINGS = [{"width": width, "penalty": tenths / 10} for width in (1, 2, 3, 4) for tenths in range(0, 16, 3)]


SEARCH = """(settings) => {
  const nodes = module.beginnings(settings.law);
  const text = (id) => nodes[id].words.join(" ");
  const steps = module.search(nodes, settings);
  return {
    found: steps.at(-1).complete.map((id) => [text(id), nodes[id].logP, module.score(nodes[id], settings.penalty)]),
    steps: steps.map(({ candidates }) => candidates.map(({ id, fate }) => [text(id), fate])),
    best: text(module.exactBest(nodes, settings.penalty)),
  };
}"""


@pytest.fixture(scope="module")
def searches() -> list[dict]:
    """What the figure finds at each of the settings, and the best sentence of all."""
    law = widgets.beam_explorer().state["law"]
    return javascript.run("beam_explorer.js", SEARCH, [settings | {"law": law} for settings in SETTINGS])


def test_the_beam_figure_searches_as_labutils_does(searches):
    rng = np.random.default_rng(6)
    law = widgets.beam_explorer().state["law"]
    random = [{"width": 1 + n % 3, "penalty": 0.5 * (n % 4), "law": random_law(rng, 4)} for n in range(40)]
    results = searches + javascript.run("beam_explorer.js", SEARCH, random)
    for settings, result in zip([*SETTINGS, *random], results, strict=True):
        expected = found_by_labutils(settings.get("law", law), settings)
        assert [text for text, *_ in result["found"]] == [text for text, *_ in expected], settings
        np.testing.assert_allclose([x[1:] for x in result["found"]], [x[1:] for x in expected], atol=1e-6)


def test_the_best_sentence_of_the_beam_figure_is_the_best_of_all(searches):
    sentences = list(figures._sentences(widgets.beam_explorer().state["law"]))
    assert len(sentences) == len(set(sentences)) == 13
    assert sum(p for _, p in sentences) == pytest.approx(1)
    for settings, result in zip(SETTINGS, searches, strict=True):
        best, _ = max(sentences, key=lambda s: math.log(s[1]) / len(s[0]) ** settings["penalty"])
        assert result["best"] == " ".join(best)


def test_every_candidate_of_the_beam_figure_has_one_fate(searches):
    for settings, result in zip(SETTINGS, searches, strict=True):
        running = {""}
        for candidates in result["steps"]:
            assert {text.rpartition(" ")[0] for text, _ in candidates} == running
            running = {text for text, fate in candidates if fate == "kept"}
            assert len(running) <= settings["width"]
            assert all(text.endswith(".") for text, fate in candidates if fate == "complete")
        assert not running


def test_what_the_beam_figure_is_there_to_show(searches):
    """Greedy is worse than two beams, two miss the best, three find it; a length penalty prefers a longer sentence."""
    found = {(s["width"], s["penalty"]): r["found"][0] for s, r in zip(SETTINGS, searches, strict=True)}
    assert [found[width, 0.0][0] for width in (1, 2, 3)] == [
        "the big dogs sleep .",
        "some dogs sleep .",
        "cats sleep .",
    ]
    assert found[1, 0.0][1] < found[2, 0.0][1] < found[3, 0.0][1] == found[4, 0.0][1]
    assert found[3, 0.9][0] == "some dogs sleep ."
    law = widgets.beam_explorer().state["law"]
    first = {word: law[word][0] for word in ("the", "some")} | {"dogs": law["some"][1]["dogs"][0]}
    assert first == {"the": 0.40, "some": 0.35, "dogs": 0.90}  # as in the tree that the chapter draws
    assert law["the"][1]["big"][0] == 0.50


def test_without_javascript_the_beam_figure_is_a_table_of_sentences():
    rows = re.findall(r"<th scope=\"row\">(.*?)</th><td>(.*?)</td><td>(.*?)</td>", widgets.beam_explorer().fallback)
    assert len(rows) == 13
    assert rows[0] == ("cats sleep .", "0.210", f"{math.log(0.21):.3f}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"width": 5}, "width is 5"), ({"penalty": 2.0}, "penalty is 2"), ({"step": 6}, "step is 6")],
)
def test_bad_settings_of_the_beam_figure(arguments, message):
    with pytest.raises(ValueError, match=message):
        widgets.beam_explorer(**arguments)
